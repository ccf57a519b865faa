//! For how long an answer says that it is fresh.
//!
//! Pure. Entry point: [`max_age`].

use http::HeaderMap;
use http::header::CACHE_CONTROL;

/// For how many seconds an answer is fresh (RFC 9111, section 5.2.2): 0 if it is to be asked for each time, `None`
/// if it does not say.
pub(crate) fn max_age(headers: &HeaderMap) -> Option<u64> {
    let mut found = None;
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    for directive in values.flat_map(|value| value.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let name = name.trim();
        if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
            return Some(0);
        }
        if name.eq_ignore_ascii_case("max-age") {
            // Of several the shortest one, which is what the section on conflicts (4.2.1) suggests.
            found = match (found, seconds(value.trim().trim_matches('"'))) {
                (Some(known), Some(new)) => Some(u64::min(known, new)),
                (known, new) => new.or(known),
            };
        }
    }
    found
}

/// A number that is too large is the largest one (RFC 9111, section 1.2.2).
fn seconds(digits: &str) -> Option<u64> {
    let numeric = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    numeric.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read() {
        for (values, expected) in [
            (&[][..], None),
            (&["public"], None),
            (&["max-age=300"], Some(300)),
            (&["public, Max-Age = 60 , must-revalidate"], Some(60)),
            (&["max-age=\"90\""], Some(90)),
            (&["max-age=99999999999999999999"], Some(u64::MAX)),
            (&["max-age=-1"], None),
            (&["max-age=1.5"], None),
            (&["max-age"], None),
            (&["s-maxage=5"], None),
            (&["max-age=60, max-age=30"], Some(30)),
            (&["max-age=60", "no-store"], Some(0)),
            (&["no-cache"], Some(0)),
        ] {
            let headers = values
                .iter()
                .map(|value| (CACHE_CONTROL, http::HeaderValue::from_static(value)))
                .fold(HeaderMap::new(), |mut headers, (name, value)| {
                    headers.append(name, value);
                    headers
                });
            assert_eq!(max_age(&headers), expected, "{values:?}");
        }
    }
}

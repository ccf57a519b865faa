//! Cookies of a request (RFC 6265 §5.4).

use crate::Headers;

/// The value of a cookie, as it was sent: the first one of the name counts.
pub fn cookie<'h>(headers: &'h Headers, name: &[u8]) -> Option<&'h [u8]> {
    let pairs = headers.values(b"cookie").flat_map(|field| field.split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| {
        let value = pair.strip_prefix(name)?.trim_ascii_start().strip_prefix(b"=")?;
        Some(value.trim_ascii_start())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_name_counts() {
        for (fields, want) in [
            (&["a=1; sid=x; b=2"][..], Some("x")),
            (&["sid=x;sid=y"], Some("x")),
            (&["a=1", "sid=\"x y\""], Some("\"x y\"")),
            (&["sid = x"], Some("x")),
            (&["sid="], Some("")),
            (&["sid", "side=1", "xsid=2", ""], None),
            (&[], None),
        ] {
            let mut headers = Headers::default();
            fields.iter().for_each(|field| headers.push(b"cookie", field.as_bytes()));
            assert_eq!(cookie(&headers, b"sid"), want.map(str::as_bytes), "{fields:?}");
        }
    }
}

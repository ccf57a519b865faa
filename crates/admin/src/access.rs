//! Who is answered.
//!
//! A token, if there is one, has to be shown for everything but health, and where others can reach the listener
//! there is nothing but health without one. And a page in a browser must not be able to
//! ask on behalf of whoever opened it: requests of other origins are refused, and on a loopback address only names
//! of this machine are answered, so that a name that is made to lead here (DNS rebinding) does not help.

use std::net::IpAddr;

use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderValue, ORIGIN};
use snapshot::Admin;
use subtle::ConstantTimeEq;

/// Why a request is not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Denied {
    /// Without the right token.
    Token,
    /// For another name, or on behalf of another site.
    Origin,
}

/// Whether a request may have what it asks for. `at` is where the listener is, whatever the configuration says by
/// now: its address may not have been to be had. `open` is what everybody may have.
pub(crate) fn check(admin: &Admin, at: IpAddr, headers: &HeaderMap, open: bool) -> Result<(), Denied> {
    let is_loopback = at.to_canonical().is_loopback();
    let host = headers.get(HOST).map(HeaderValue::as_bytes).unwrap_or_default();
    if is_loopback && !is_this_machine(host) {
        return Err(Denied::Origin);
    }
    if let Some(origin) = headers.get(ORIGIN) {
        let site = origin.as_bytes().strip_prefix(b"http://");
        if site.is_none_or(|site| !site.eq_ignore_ascii_case(host)) {
            return Err(Denied::Origin);
        }
    }
    match &admin.token {
        Some(token) if !open && !shows(headers, token.expose()) => Err(Denied::Token),
        None if !open && !is_loopback => Err(Denied::Token),
        _ => Ok(()),
    }
}

fn is_this_machine(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = match host.strip_prefix('[') {
        Some(inner) => inner.split(']').next(),
        None => host.split(':').next(),
    };
    let name = name.unwrap_or_default();
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Compared in constant time: how long it takes says nothing of how much was right.
fn shows(headers: &HeaderMap, token: &str) -> bool {
    let shown = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
    let shown = match shown.split_at_checked(7) {
        Some((scheme, shown)) if scheme.eq_ignore_ascii_case(b"bearer ") => shown,
        _ => return false,
    };
    shown.ct_eq(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use document::Secret;

    fn asked(
        at: &str,
        token: Option<&str>,
        headers: &[(&'static str, &str)],
        open: bool,
    ) -> Result<(), Denied> {
        let admin = Admin { address: None, token: token.map(Secret::new), explicit: true };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        check(&admin, at.parse().unwrap(), &map, open)
    }

    #[test]
    fn a_token_has_to_be_shown_for_all_but_health() {
        let (token, host) = (Some("0123456789abcdef"), ("host", "gw.test:9901"));
        let ask = |value: &str, open| asked("10.0.0.1", token, &[host, ("authorization", value)], open);
        assert_eq!(ask("Bearer 0123456789abcdef", false), Ok(()));
        assert_eq!(ask("bearer 0123456789abcdef", false), Ok(()));
        for wrong in
            ["Bearer 0123456789abcde", "Bearer 0123456789abcdefg", "Basic 0123456789abcdef", "Bearer", ""]
        {
            assert_eq!(ask(wrong, false), Err(Denied::Token), "{wrong}");
            assert_eq!(ask(wrong, true), Ok(()), "{wrong}");
        }
    }

    #[test]
    fn others_get_nothing_but_health_where_there_is_no_token() {
        for host in ["localhost", "10.0.0.1:9901"] {
            assert_eq!(asked("0.0.0.0", None, &[("host", host)], false), Err(Denied::Token), "{host}");
            assert_eq!(asked("0.0.0.0", None, &[("host", host)], true), Ok(()), "{host}");
        }
    }

    #[test]
    fn other_sites_cannot_ask_through_a_browser() {
        let ask = |headers: &[(&'static str, &str)]| asked("127.0.0.1", None, headers, false);
        for host in ["localhost:9901", "127.0.0.1", "[::1]:9901", "LOCALHOST"] {
            assert_eq!(ask(&[("host", host)]), Ok(()), "{host}");
        }
        for host in ["evil.test", "localhost.evil.test", "", "10.0.0.1", "[::1", "127.0.0.1.evil.test"] {
            assert_eq!(ask(&[("host", host)]).is_ok(), host == "[::1", "{host}");
        }
        let own = [("host", "localhost:9901"), ("origin", "http://localhost:9901")];
        assert_eq!(ask(&own), Ok(()));
        for origin in ["http://evil.test", "null", "https://localhost:9901"] {
            assert_eq!(
                ask(&[("host", "localhost:9901"), ("origin", origin)]),
                Err(Denied::Origin),
                "{origin}"
            );
        }
    }
}

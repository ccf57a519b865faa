//! Origins (RFC 6454 §4): how the user writes them, and which of them a browser names.
//!
//! It must not know what follows from that. Entry points: [`WrittenOrigin`] for a configuration, [`Origins`] for
//! requests.

use std::cmp::Ordering;

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{Decode, Node, Shape, Value};

/// An origin, or a set of them, as it stands in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WrittenOrigin {
    /// `*`: every origin.
    Any,
    /// `"null"`: that of pages that have none, such as those in a sandbox.
    Null,
    /// `https://app.example.com`, in lower case and without the port that its scheme has anyway.
    One(String),
    /// `https://*.example.com`: any with one or more labels in front.
    Below {
        /// `https://`
        scheme: String,
        /// `.example.com`, with a port if it has one.
        suffix: String,
    },
}

impl Decode for WrittenOrigin {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        if node.value == Value::Null {
            let help = "write \"null\" in quotes to mean the origin of pages that have none, or remove it";
            diagnostics.push(node.wrong_type("an origin such as `https://app.example.com`").help(help));
            return None;
        }
        let Some(scalar) = node.scalar() else {
            diagnostics.push(node.wrong_type("an origin such as `https://app.example.com`"));
            return None;
        };
        match parse(&scalar.text) {
            Ok(origin) => Some(origin),
            Err(help) => {
                let message = format!("{} is not an origin", scalar.shown());
                let help = if scalar.secret { FORM.to_owned() } else { help };
                diagnostics.push(Diagnostic::error(Code::InvalidValue, node.span, message).help(help));
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::Text { format: "origin", example: "https://app.example.com" }
    }
}

/// What an origin consists of.
const FORM: &str = "an origin is a scheme, a host and, if it is not the usual one, a port: \
                    `https://app.example.com`, `http://localhost:5173`";

/// Reads an origin, or says what to write in its place.
fn parse(text: &str) -> Result<WrittenOrigin, String> {
    match text {
        "*" => return Ok(WrittenOrigin::Any),
        "null" => return Ok(WrittenOrigin::Null),
        _ => {}
    }
    let lower = text.to_ascii_lowercase();
    let Some((scheme, rest)) = lower.split_once("://") else {
        let host = lower.trim_end_matches('/');
        let is_host = message::parse_authority(host.trim_start_matches("*.").as_bytes()).is_ok();
        return Err(if is_host && !host.contains('/') {
            format!("write it with its scheme: `https://{host}`")
        } else {
            FORM.to_owned()
        });
    };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if !is_scheme {
        return Err(FORM.to_owned());
    }
    if let Some(at) = rest.find(['/', '?', '#']) {
        let origin = format!("{scheme}://{}", rest.get(..at).unwrap_or(""));
        return Err(match rest.get(at..) {
            Some("/") => format!("write it without the `/` at its end, as browsers do: `{origin}`"),
            _ => format!("an origin has no path: write `{origin}`"),
        });
    }
    let (authority, is_wildcard) = match rest.strip_prefix("*.") {
        Some(below) => (below, true),
        None => (rest, false),
    };
    if authority.contains('*') {
        return Err("`*.` can stand only in front of the whole host: `https://*.example.com`".to_owned());
    }
    if !authority.is_ascii() {
        return Err("write the host as browsers send it, in its ASCII form: `https://xn--…`".to_owned());
    }
    let host_len = message::parse_authority(authority.as_bytes()).map_err(|_| FORM.to_owned())?.host_len;
    let host = authority.get(..host_len).unwrap_or(authority);
    let usual = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    // Browsers leave it out (RFC 6454 §6.2).
    let authority = authority.strip_suffix(usual).filter(|rest| *rest == host).unwrap_or(authority);
    if !is_wildcard {
        return Ok(WrittenOrigin::One(format!("{scheme}://{authority}")));
    }
    let is_address = host.starts_with('[')
        || host.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    if is_address {
        return Err("`*.` stands for names in front of a name, and an address has none".to_owned());
    }
    Ok(WrittenOrigin::Below { scheme: format!("{scheme}://"), suffix: format!(".{authority}") })
}

/// Origins with one end in common.
#[derive(Debug, PartialEq, Eq)]
struct Below {
    scheme: Box<[u8]>,
    suffix: Box<[u8]>,
}

/// A set of origins, ready to be asked.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    /// In lower case, sorted.
    exact: Box<[Box<[u8]>]>,
    below: Box<[Below]>,
    null: bool,
}

impl Origins {
    /// From what was written. `*` is not a member: what follows from it is for the policy to say.
    pub(crate) fn new(written: &[Spanned<WrittenOrigin>]) -> Origins {
        let (mut exact, mut below, mut null) = (Vec::new(), Vec::new(), false);
        for origin in written {
            match &origin.value {
                WrittenOrigin::Any => {}
                WrittenOrigin::Null => null = true,
                WrittenOrigin::One(text) => exact.push(Box::from(text.as_bytes())),
                WrittenOrigin::Below { scheme, suffix } => {
                    below.push(Below { scheme: scheme.as_bytes().into(), suffix: suffix.as_bytes().into() });
                }
            }
        }
        exact.sort_unstable();
        exact.dedup();
        Origins { exact: exact.into(), below: below.into(), null }
    }

    /// Whether an origin is one of them, as a browser writes it (RFC 6454 §6.2). Scheme and host have no case.
    pub(crate) fn contains(&self, origin: &[u8]) -> bool {
        if origin == b"null" {
            return self.null;
        }
        self.exact.binary_search_by(|known| without_case(known, origin)).is_ok()
            || self.below.iter().any(|below| below.contains(origin))
    }
}

impl Below {
    fn contains(&self, origin: &[u8]) -> bool {
        let Some((scheme, rest)) = origin.split_at_checked(self.scheme.len()) else { return false };
        let Some(labels) = rest.len().checked_sub(self.suffix.len()) else { return false };
        let Some((labels, suffix)) = rest.split_at_checked(labels) else { return false };
        let is_plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        scheme.eq_ignore_ascii_case(&self.scheme)
            && suffix.eq_ignore_ascii_case(&self.suffix)
            && labels.split(|b| *b == b'.').all(|label| !label.is_empty() && label.iter().all(is_plain))
    }
}

/// The order of a text in lower case and one in any case.
fn without_case(lower: &[u8], other: &[u8]) -> Ordering {
    lower.iter().copied().cmp(other.iter().map(u8::to_ascii_lowercase))
}

/// The field if it is there exactly once; `Err` if it is there more often, and nobody can say which one counts.
pub(crate) fn single<'h>(headers: &'h message::Headers, name: &'h [u8]) -> Result<Option<&'h [u8]>, ()> {
    let mut values = headers.values(name);
    match (values.next(), values.next()) {
        (one, None) => Ok(one),
        (_, Some(_)) => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use diagnostics::Span;

    use super::*;

    #[test]
    fn origins_are_read_as_browsers_write_them() {
        let one = |text: &str| Ok(WrittenOrigin::One(text.to_owned()));
        let below = |scheme: &str, suffix: &str| {
            Ok(WrittenOrigin::Below { scheme: scheme.to_owned(), suffix: suffix.to_owned() })
        };
        for (text, want) in [
            ("*", Ok(WrittenOrigin::Any)),
            ("null", Ok(WrittenOrigin::Null)),
            ("https://App.Example.com", one("https://app.example.com")),
            ("https://a.test:443", one("https://a.test")),
            ("http://a.test:443", one("http://a.test:443")),
            ("http://a.test:80", one("http://a.test")),
            ("http://localhost:5173", one("http://localhost:5173")),
            ("https://[::1]:443", one("https://[::1]")),
            ("https://[::443]", one("https://[::443]")),
            ("capacitor://localhost", one("capacitor://localhost")),
            ("chrome-extension://abcdefgh", one("chrome-extension://abcdefgh")),
            ("https://*.Example.org", below("https://", ".example.org")),
            ("https://*.example.org:443", below("https://", ".example.org")),
            ("https://*.example.org:8443", below("https://", ".example.org:8443")),
        ] {
            assert_eq!(parse(text), want, "{text}");
        }
    }

    #[test]
    fn what_is_no_origin_is_told_apart() {
        for (text, help) in [
            ("https://a.test/", "without the `/` at its end, as browsers do: `https://a.test`"),
            ("https://a.test/x", "no path: write `https://a.test`"),
            ("https://a.test?x", "no path"),
            ("a.test", "with its scheme: `https://a.test`"),
            ("*.a.test", "with its scheme: `https://*.a.test`"),
            ("", "a scheme, a host"),
            ("https://", "a scheme, a host"),
            ("https://*", "in front of the whole host"),
            ("https://a.*.test", "in front of the whole host"),
            ("https://*a.test", "in front of the whole host"),
            ("https://*.*.test", "in front of the whole host"),
            ("https://*.0.0.1", "an address has none"),
            ("https://*.[::1]", "an address has none"),
            ("https://u@a.test", "a scheme, a host"),
            ("https://a.test:0", "a scheme, a host"),
            ("https://a b", "a scheme, a host"),
            ("://a.test", "a scheme, a host"),
            ("https://bücher.test", "in its ASCII form"),
            ("~https://.*", "a scheme, a host"),
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.contains(help), "{text}: {said}");
        }
    }

    #[test]
    fn only_what_is_listed_is_contained() {
        let of = |texts: &[&str]| {
            let written: Vec<_> =
                texts.iter().map(|text| Spanned::new(parse(text).unwrap(), Span::default())).collect();
            Origins::new(&written)
        };
        let some = of(&["https://b.test", "https://a.test:8443", "http://a.test", "https://*.c.test"]);
        for (origin, want) in [
            ("https://b.test", true),
            ("HTTPS://B.Test", true),
            ("http://b.test", false),
            ("https://b.test:8443", false),
            ("https://b.test/", false),
            ("https://b.test.evil.test", false),
            ("https://evilb.test", false),
            ("https://a.test", false),
            ("https://a.test:8443", true),
            ("http://a.test", true),
            ("https://x.c.test", true),
            ("https://x.Y.c.test", true),
            ("https://c.test", false),
            ("https://.c.test", false),
            ("https://x..c.test", false),
            ("https://evil.test/.c.test", false),
            ("https://evil.test?.c.test", false),
            ("https://u@x.c.test", false),
            ("https://x:1.c.test", false),
            ("https://x.c.test:8443", false),
            ("http://x.c.test", false),
            ("httpz://x.c.test", false),
            ("https://xc.test", false),
            ("null", false),
            ("*", false),
            ("", false),
        ] {
            assert_eq!(some.contains(origin.as_bytes()), want, "{origin}");
        }
        assert!(of(&["null"]).contains(b"null") && !of(&["null"]).contains(b"NULL"));
        assert!(!of(&["*"]).contains(b"https://a.test"));
        let ported = of(&["https://*.c.test:8443"]);
        assert!(ported.contains(b"https://x.c.test:8443") && !ported.contains(b"https://x.c.test"));
    }

    #[test]
    fn many_origins_are_all_found() {
        let text = |n: u32| format!("https://tenant{n}.test");
        let written: Vec<_> =
            (0..2000).map(|n| Spanned::new(parse(&text(n * 7 % 2000)).unwrap(), Span::default())).collect();
        let all = Origins::new(&written);
        assert!((0..2000).all(|n| all.contains(text(n).as_bytes())));
        assert!(!all.contains(text(2000).as_bytes()));
    }
}

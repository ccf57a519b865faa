//! `application/x-www-form-urlencoded`: writing requests and reading queries (RFC 6749 appendix B).
//!
//! It must not know which parameters there are. Entry points: [`Form`], [`Parameters::parse`], [`FormPost`].

use std::fmt;

use zeroize::Zeroizing;

use crate::Secret;

/// A request to the provider that the caller is to send: a POST of a form, answered with JSON. Redirects must not
/// be followed, because they would carry the code or the token elsewhere.
pub struct FormPost {
    /// Where to.
    pub url: String,
    /// Header fields beside `content-length`, names in lower case.
    pub headers: Vec<(&'static str, Secret)>,
    /// The body. It holds secrets.
    pub body: Secret,
}

impl fmt::Debug for FormPost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("FormPost").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Text encoded as one name or value of a form.
pub(crate) fn encode(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().map_or('0', char::from);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => out.extend(['%', digit(byte >> 4), digit(byte & 15)]),
        }
    }
}

/// A form that is being written. It is wiped when dropped.
pub(crate) struct Form(Zeroizing<String>);

impl Form {
    /// An empty form with room, so that it need not move and leave copies behind.
    pub(crate) fn new() -> Self {
        Self(Zeroizing::new(String::with_capacity(4096)))
    }

    /// Adds a parameter.
    pub(crate) fn push(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        encode(name, &mut self.0);
        self.0.push('=');
        encode(value, &mut self.0);
    }

    /// The form as a body.
    pub(crate) fn into_body(mut self) -> Secret {
        Secret::new(std::mem::take(&mut *self.0))
    }

    /// An endpoint with this form as its query, behind one that is there already (RFC 6749 §3.1).
    pub(crate) fn behind(&self, endpoint: &str) -> String {
        let joint = match endpoint.split_once('?') {
            None => "?",
            Some((_, query)) if query.is_empty() || query.ends_with('&') => "",
            Some(_) => "&",
        };
        format!("{endpoint}{joint}{}", &*self.0)
    }
}

/// Parameters that were read.
pub(crate) struct Parameters(Vec<(String, Secret)>);

/// Why parameters could not be read: escapes that are none, text that is not UTF-8, too much of it, or the one
/// that was asked for stands there twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadForm;

impl Parameters {
    /// More are refused.
    const MOST: usize = 64;

    /// Reads at most `limit` bytes.
    pub(crate) fn parse(text: &[u8], limit: usize) -> Result<Self, BadForm> {
        if text.len() > limit {
            return Err(BadForm);
        }
        let mut all = Vec::new();
        for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            if all.len() == Self::MOST {
                return Err(BadForm);
            }
            let cut = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = match cut.and_then(|at| pair.split_at_checked(at)) {
                Some((name, value)) => (name, value.get(1..).unwrap_or_default()),
                None => (pair, &[][..]),
            };
            all.push((decode(name)?, Secret::new(decode(value)?)));
        }
        Ok(Self(all))
    }

    /// The value of a parameter that may stand there once (RFC 6749 §3.1).
    pub(crate) fn find(&self, name: &str) -> Result<Option<&str>, BadForm> {
        let mut values = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.expose());
        let first = values.next();
        if values.next().is_some() { Err(BadForm) } else { Ok(first) }
    }
}

fn decode(text: &[u8]) -> Result<String, BadForm> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit =
                    || bytes.next().and_then(|digit| char::from(*digit).to_digit(16)).ok_or(BadForm);
                u8::try_from(digit()? * 16 + digit()?).map_err(|_| BadForm)?
            }
            other => *other,
        });
    }
    String::from_utf8(out).map_err(|_| BadForm)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6749 appendix B.
    #[test]
    fn the_example_of_the_standard_is_encoded_as_there() {
        let mut out = String::new();
        encode(" %&+£€", &mut out);
        assert_eq!(out, "+%25%26%2B%C2%A3%E2%82%AC");
        assert_eq!(decode(out.as_bytes()).as_deref(), Ok(" %&+£€"));
    }

    #[test]
    fn a_query_is_joined_to_the_one_that_is_there() {
        let mut form = Form::new();
        form.push("a", "1 2");
        form.push("b&", "");
        for (endpoint, want) in [
            ("https://p/x", "https://p/x?a=1+2&b%26="),
            ("https://p/x?", "https://p/x?a=1+2&b%26="),
            ("https://p/x?t=1", "https://p/x?t=1&a=1+2&b%26="),
            ("https://p/x?t=1&", "https://p/x?t=1&a=1+2&b%26="),
        ] {
            assert_eq!(form.behind(endpoint), want);
        }
    }

    #[test]
    fn parameters_are_read_once_and_strictly() {
        let read = |text: &str| Parameters::parse(text.as_bytes(), 100);
        let all = read("code=a%2Fb+c&x&&y=1=2&x2=").unwrap();
        for (name, want) in [("code", Some("a/b c")), ("x", Some("")), ("y", Some("1=2")), ("z", None)] {
            assert_eq!(all.find(name), Ok(want), "{name}");
        }
        assert_eq!(read("a=1&%61=2").unwrap().find("a"), Err(BadForm), "twice, in two spellings");
        for bad in ["a=%", "a=%1", "a=%zz", "a=%ff", "%+1=a", &"a".repeat(101)] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(Parameters::parse("a&".repeat(64).as_bytes(), 1000).is_ok());
        assert!(Parameters::parse("a&".repeat(65).as_bytes(), 1000).is_err());
    }

    #[test]
    fn a_request_does_not_show_its_secrets() {
        let post = FormPost {
            url: "https://p/token".to_owned(),
            headers: vec![("authorization", Secret::new("Basic hidden".to_owned()))],
            body: Secret::new("code=hidden".to_owned()),
        };
        assert_eq!(format!("{post:?}"), "FormPost { url: \"https://p/token\", .. }");
    }
}

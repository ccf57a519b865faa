//! A request that shows what is said of a route.
//!
//! It is written as `gateward explain` takes it. It must not know routes. Entry point: [`Example`].

use std::cell::Cell;
use std::fmt;

use crate::Subject;

/// A request in canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The method.
    pub method: Box<str>,
    /// The host without port; `None` where any will do, and none too.
    pub host: Option<Box<str>>,
    /// The canonical path.
    pub path: Box<[u8]>,
    /// Header fields: names in lower case, with one value each.
    pub headers: Vec<(Box<str>, Box<[u8]>)>,
    /// Query parameters, decoded.
    pub query: Vec<(Box<str>, Box<[u8]>)>,
    /// The same, encoded.
    raw_query: Option<Box<str>>,
}

impl Example {
    pub(super) fn new(
        method: &str,
        host: Option<&str>,
        path: Vec<u8>,
        headers: Vec<(Box<str>, Box<[u8]>)>,
        query: Vec<(Box<str>, Box<[u8]>)>,
    ) -> Self {
        let raw_query = (!query.is_empty()).then(|| encoded(&query).into());
        Self {
            method: method.into(),
            host: host.map(Box::from),
            path: path.into(),
            headers,
            query,
            raw_query,
        }
    }

    /// With other values in place of some that must not be shown: `hide` says which.
    #[must_use]
    pub fn hiding(mut self, hide: impl Fn(&[u8]) -> bool) -> Self {
        let values = self.headers.iter_mut().chain(&mut self.query).map(|(_, value)| value);
        values.filter(|value| hide(value)).for_each(|value| *value = (*b"HIDDEN").into());
        self.raw_query = (!self.query.is_empty()).then(|| encoded(&self.query).into());
        self
    }
}

impl Subject for Example {
    fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    fn path(&self) -> &[u8] {
        &self.path
    }

    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }

    fn header(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.headers.iter().any(|(known, value)| **known == *name && test(value))
    }

    fn query(&self) -> Option<&[u8]> {
        self.raw_query.as_deref().map(str::as_bytes)
    }
}

/// Looks at an example, and counts how many alternatives asked for its method: how much work a lookup is.
pub(super) struct Probe<'e> {
    example: &'e Example,
    asked: Cell<u64>,
}

impl<'e> Probe<'e> {
    pub(super) fn new(example: &'e Example) -> Self {
        Self { example, asked: Cell::new(0) }
    }

    pub(super) fn asked(&self) -> u64 {
        self.asked.get()
    }
}

impl Subject for Probe<'_> {
    fn host(&self) -> Option<&str> {
        self.example.host()
    }

    fn path(&self) -> &[u8] {
        self.example.path()
    }

    fn method(&self) -> &[u8] {
        self.asked.set(self.asked.get() + 1);
        self.example.method()
    }

    fn header(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.example.header(name, test)
    }

    fn query(&self) -> Option<&[u8]> {
        self.example.query()
    }
}

/// `GET http://api.example.com/orders/42?debug=1 -H 'x-api-version: 2'`: method, URL and options, quoted
/// for a shell where they must be.
impl fmt::Display for Example {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.host.as_ref().map(|host| format!("http://{host}")).unwrap_or_default();
        url.push_str(&String::from_utf8_lossy(&self.path));
        if let Some(query) = &self.raw_query {
            url.push('?');
            url.push_str(query);
        }
        let is_plain = |c: char| {
            c.is_ascii_alphanumeric()
                || matches!(c, '/' | ':' | '?' | '=' | '.' | '-' | '_' | '%' | '~' | '@' | '+' | ',')
        };
        write!(f, "{} ", self.method)?;
        if url.chars().all(is_plain) {
            f.write_str(&url)?;
        } else {
            f.write_str(&quoted(&url))?;
        }
        for (name, value) in &self.headers {
            write!(f, " -H {}", quoted(&format!("{name}: {}", String::from_utf8_lossy(value))))?;
        }
        Ok(())
    }
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// As `application/x-www-form-urlencoded`.
fn encoded(query: &[(Box<str>, Box<[u8]>)]) -> String {
    let mut out = String::new();
    let push = |out: &mut String, bytes: &[u8]| {
        for &byte in bytes {
            match byte {
                b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
                _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
                _ => out.push_str(&format!("%{byte:02X}")),
            }
        }
    };
    for (name, value) in query {
        if !out.is_empty() {
            out.push('&');
        }
        push(&mut out, name.as_bytes());
        out.push('=');
        push(&mut out, value);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(all: &[(&str, &str)]) -> Vec<(Box<str>, Box<[u8]>)> {
        all.iter().map(|(name, value)| ((*name).into(), value.as_bytes().into())).collect()
    }

    #[test]
    fn as_a_person_would_write_it() {
        let headers = [("x-api-version", "2")];
        for (host, path, headers, query, want) in [
            (None, "/orders/42", &[][..], &[][..], "GET /orders/42"),
            (
                Some("a.com"),
                "/",
                &headers,
                &[("debug", "1")],
                "GET http://a.com/?debug=1 -H 'x-api-version: 2'",
            ),
            (None, "/a;b", &[("x", "it's")], &[], r"GET '/a;b' -H 'x: it'\''s'"),
            (None, "/", &[], &[("a", "1"), ("b c", "&=é")], "GET '/?a=1&b%20c=%26%3D%C3%A9'"),
        ] {
            let path = path.as_bytes().to_vec();
            let example = Example::new("GET", host, path, pairs(headers), pairs(query));
            assert_eq!(example.to_string(), want);
        }
    }

    #[test]
    fn what_is_hidden_is_nowhere() {
        let all = pairs(&[("a", "S3CRET"), ("b", "2")]);
        let example =
            Example::new("GET", None, b"/".to_vec(), all.clone(), all).hiding(|value| value == b"S3CRET");
        assert_eq!(example.to_string(), "GET '/?a=HIDDEN&b=2' -H 'a: HIDDEN' -H 'b: 2'");
        assert!(!format!("{example:?}").contains("S3CRET"));
    }
}

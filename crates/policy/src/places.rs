//! Where in a request a credential may stand.
//!
//! Headers are looked at first, then the query, then cookies; the first that holds something counts. Nothing is
//! allocated to look. Entry points: [`Places::show`], [`Places::hide`].

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::OneOrMany;
use message::{ConnectionOptions, Headers, RequestHead, cookie};

/// Where a credential may stand.
#[derive(Debug)]
pub(crate) struct Places {
    /// Headers, in lower case.
    pub(crate) headers: Box<[Box<[u8]>]>,
    /// Parameters of the query.
    pub(crate) query: Box<[Box<[u8]>]>,
    /// Cookies.
    pub(crate) cookies: Box<[Box<[u8]>]>,
    /// What stands in front of it in Authorization.
    pub(crate) scheme: Box<[u8]>,
}

/// The same as it was written.
pub(crate) struct Written<'a> {
    pub(crate) header: Option<&'a OneOrMany<Spanned<String>>>,
    pub(crate) query: Option<&'a OneOrMany<Spanned<String>>>,
    pub(crate) cookie: Option<&'a OneOrMany<Spanned<String>>>,
    /// What stands in front of it in Authorization; `Bearer` without one.
    pub(crate) scheme: Option<&'a Spanned<String>>,
}

impl Written<'_> {
    /// Checks the names. Where nothing was written it is this header.
    pub(crate) fn compile(&self, usual: &str, diagnostics: &mut Diagnostics) -> Option<Places> {
        let before = diagnostics.errors();
        for name in self.header.into_iter().flatten() {
            check_header(name, diagnostics);
        }
        for name in self.cookie.into_iter().flatten().chain(self.scheme) {
            if !Headers::is_valid_name(name.as_bytes()) {
                refuse_name(name, diagnostics);
            }
        }
        for name in self.query.into_iter().flatten().filter(|name| name.is_empty()) {
            diagnostics.push(
                Diagnostic::error(Code::InvalidValue, name.span, "a query parameter needs a name")
                    .help("write `query: NAME`"),
            );
        }
        let texts = |names: Option<&OneOrMany<Spanned<String>>>| -> Box<[Box<[u8]>]> {
            names.into_iter().flatten().map(|name| name.as_bytes().into()).collect()
        };
        let (query, cookies) = (texts(self.query), texts(self.cookie));
        let headers = self.header.into_iter().flatten();
        let mut headers: Vec<Box<[u8]>> =
            headers.map(|name| name.to_ascii_lowercase().as_bytes().into()).collect();
        if headers.is_empty() && query.is_empty() && cookies.is_empty() {
            headers.push(usual.as_bytes().into());
        }
        let scheme = self.scheme.map_or("Bearer", |scheme| scheme.as_str()).as_bytes().into();
        (diagnostics.errors() == before).then(|| Places { headers: headers.into(), query, cookies, scheme })
    }
}

fn refuse_name(name: &Spanned<String>, diagnostics: &mut Diagnostics) {
    diagnostics.push(
        Diagnostic::error(Code::InvalidValue, name.span, format!("`{}` is no name", name.value))
            .help("a name has letters, digits, `-` and `_`"),
    );
}

/// Whether a header can still be there when policies run.
pub(crate) fn check_header(name: &Spanned<String>, diagnostics: &mut Diagnostics) {
    if !Headers::is_valid_name(name.as_bytes()) {
        return refuse_name(name, diagnostics);
    }
    let mut fields = Headers::default();
    fields.push(name.as_bytes(), b"");
    fields.strip_request(ConnectionOptions::default(), true);
    let help = if name.contains('_') {
        "headers with `_` are removed from requests, because services could take them for others: use `-`"
    } else if fields.is_empty() {
        "fields of the connection are removed before policies run: use `authorization`, or a name of your own"
    } else {
        return;
    };
    diagnostics.push(
        Diagnostic::error(
            Code::InvalidHeader,
            name.span,
            format!("no request has a header `{}` here", name.value),
        )
        .help(help),
    );
}

impl Places {
    /// Calls `look` with what a request shows; `None` where it shows nothing.
    #[inline]
    pub(crate) fn show<T>(&self, head: &RequestHead, look: impl FnOnce(&[u8]) -> T) -> Option<T> {
        for name in &self.headers {
            for value in head.headers.values(name) {
                let value = if **name == *b"authorization" {
                    behind_scheme(value, &self.scheme)
                } else {
                    Some(value)
                };
                if let Some(shown) = value.filter(|shown| !shown.is_empty()) {
                    return Some(look(shown));
                }
            }
        }
        let mut look = Some(look);
        for name in &self.query {
            let mut found = None;
            if let Some(query) = head.query() {
                router::any_query_value(query, name, |value| {
                    found = look.take().map(|look| look(value));
                    true
                });
            }
            if found.is_some() {
                return found;
            }
        }
        let mut cookies = self.cookies.iter().filter_map(|name| cookie(&head.headers, name));
        let shown = cookies.find(|shown| !shown.is_empty())?;
        look.take().map(|look| look(shown))
    }

    /// Removes it from wherever it may stand.
    #[inline]
    pub(crate) fn hide(&self, head: &mut RequestHead) {
        for name in &self.headers {
            // Another scheme is somebody else's.
            let is_ours = **name != *b"authorization"
                || head.headers.values(name).any(|value| behind_scheme(value, &self.scheme).is_some());
            if is_ours {
                head.headers.remove(name);
            }
        }
        for name in &self.query {
            head.remove_query(name);
        }
        for name in &self.cookies {
            head.headers.remove_cookie(name);
        }
    }
}

/// What stands behind a scheme (RFC 9110 §11.4); `None` for another scheme.
pub(crate) fn behind_scheme<'v>(value: &'v [u8], scheme: &[u8]) -> Option<&'v [u8]> {
    let (own, rest) = value.split_at_checked(scheme.len())?;
    let rest = own.eq_ignore_ascii_case(scheme).then_some(rest)?;
    rest.starts_with(b" ").then(|| rest.trim_ascii())
}

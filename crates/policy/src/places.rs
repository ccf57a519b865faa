//! Where in a request a credential may stand.
//!
//! Headers are looked at first, then the query, then cookies; the first that holds something counts, and what is
//! empty holds nothing. Nothing is allocated to look. Entry points: [`Places::show`], [`Places::hide`].

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
                    if !value.is_empty() {
                        found = look.take().map(|look| look(value));
                    }
                    !value.is_empty()
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

    /// Removes it from wherever it may stand; with `keep`, from all places but the first that shows something, which is
    /// the one that was looked at.
    #[inline]
    pub(crate) fn hide(&self, head: &mut RequestHead, keep: bool) {
        if keep {
            return self.hide_others(head);
        }
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

impl Places {
    /// Removes all that was not looked at, so that a service does not take another value for the one that was verified.
    fn hide_others(&self, head: &mut RequestHead) {
        let is_alone = |name: &[u8]| head.headers.values(name).nth(1).is_none();
        if self.query.is_empty()
            && self.cookies.is_empty()
            && matches!(&*self.headers, [name] if is_alone(name))
        {
            return;
        }
        let Some(first) = self.first(head) else { return self.hide(head, false) };
        self.hide(head, false);
        match first {
            Place::Header(name, value) => head.headers.push(name, &value),
            Place::Query(name, value) => head.add_query(name, &value),
            Place::Cookie(name, value) => head.headers.add_cookie(name, &value),
        }
    }

    /// Where [`Places::show`] finds something, with the whole value of the field.
    fn first(&self, head: &RequestHead) -> Option<Place<'_>> {
        for name in &self.headers {
            let is_shown = |value: &&[u8]| {
                let shown = if **name == *b"authorization" {
                    behind_scheme(value, &self.scheme)
                } else {
                    Some(*value)
                };
                shown.is_some_and(|shown| !shown.is_empty())
            };
            if let Some(value) = head.headers.values(name).find(is_shown) {
                return Some(Place::Header(name, value.to_vec()));
            }
        }
        for name in &self.query {
            let mut found = None;
            router::any_query_value(head.query().unwrap_or_default(), name, |value| {
                found = Some(value.to_vec()).filter(|value| !value.is_empty());
                found.is_some()
            });
            if let Some(value) = found {
                return Some(Place::Query(name, value));
            }
        }
        let cookies = self.cookies.iter().filter_map(|name| Some((name, cookie(&head.headers, name)?)));
        let (name, value) = cookies.into_iter().find(|(_, value)| !value.is_empty())?;
        Some(Place::Cookie(name, value.to_vec()))
    }
}

/// What stands behind a scheme (RFC 9110 §11.4); `None` for another scheme.
pub(crate) fn behind_scheme<'v>(value: &'v [u8], scheme: &[u8]) -> Option<&'v [u8]> {
    let (own, rest) = value.split_at_checked(scheme.len())?;
    let rest = own.eq_ignore_ascii_case(scheme).then_some(rest)?;
    // A tab is no separator there, but services may take it for one: what they could see is looked at.
    rest.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')).then(|| rest.trim_ascii())
}

/// Where something was found, by its name, and what.
enum Place<'p> {
    Header(&'p [u8], Vec<u8>),
    Query(&'p [u8], Vec<u8>),
    Cookie(&'p [u8], Vec<u8>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_values_a_service_sees_the_one_that_was_looked_at() {
        let texts = |names: &[&str]| names.iter().map(|name| name.as_bytes().into()).collect();
        let places = Places {
            headers: texts(&["x-key", "authorization"]),
            query: texts(&["key"]),
            cookies: texts(&["key"]),
            scheme: b"Bearer".as_slice().into(),
        };
        let left = |target: &str, fields: &[(&str, &str)]| {
            let mut head = crate::scene::Scene::get(target, fields).head;
            places.hide(&mut head, true);
            let mut left = String::from_utf8_lossy(head.query().unwrap_or_default()).into_owned();
            for (name, value) in head.headers.iter().skip(1) {
                left += &format!(" {}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(value));
            }
            left
        };
        let fields = [("x-key", "a"), ("cookie", "key=c; o=1"), ("x-key", "d")];
        assert_eq!(left("/?key=b&a=1", &fields), "a=1 cookie: o=1 x-key: a");
        assert_eq!(left("/?a=1&key=b%26&key=c", &[("cookie", "key=c")]), "a=1&key=b%26");
        assert_eq!(left("/?a=1", &[("cookie", "o=1; key=c; key=d")]), "a=1 cookie: o=1; key=c");
        let fields = [("authorization", "bearer t"), ("x-key", "")];
        assert_eq!(left("/?a=1&key=x", &fields), "a=1 authorization: bearer t");
    }
}

//! What a request must be besides its host and path: method, headers, query.
//!
//! The one place that decides it, for [`Router::find`](crate::Router::find) and
//! [`Router::explain`](crate::Router::explain) alike. It must not know tables or ranks.

use crate::value::ValuePattern;
use crate::{Match, Subject, query};

/// The first condition that a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure<'a> {
    Method,
    Header(&'a str),
    Query(&'a str),
}

/// Checks `subject` against all conditions of `of`.
pub(crate) fn check<'a, S: Subject + ?Sized>(of: &'a Match, subject: &S) -> Result<(), Failure<'a>> {
    if !serves_method(&of.methods, subject.method()) {
        return Err(Failure::Method);
    }
    for (name, pattern) in &of.headers {
        if !subject.header(name, &mut |value| pattern.matches(value)) {
            return Err(Failure::Header(name));
        }
    }
    for (name, pattern) in &of.query {
        if !has_query(subject.query(), name, pattern) {
            return Err(Failure::Query(name));
        }
    }
    Ok(())
}

/// Whether `methods` (none: any) serve `method`. GET serves HEAD too.
pub(crate) fn serves_method(methods: &[Box<str>], method: &[u8]) -> bool {
    methods.is_empty()
        || methods.iter().any(|named| named.as_bytes() == method || (&**named == "GET" && method == b"HEAD"))
}

fn has_query(raw: Option<&[u8]>, name: &str, pattern: &ValuePattern) -> bool {
    raw.is_some_and(|raw| query::any_value(raw, name.as_bytes(), |value| pattern.matches(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn get_serves_head_and_not_the_other_way() {
        let methods = |names: &[&str]| names.iter().map(|&n| n.into()).collect::<Vec<Box<str>>>();
        for (named, method, want) in [
            (&[][..], "BREW", true),
            (&["GET"], "GET", true),
            (&["GET"], "HEAD", true),
            (&["HEAD"], "GET", false),
            (&["POST", "GET"], "HEAD", true),
            (&["POST"], "HEAD", false),
            (&["GET"], "get", false),
        ] {
            assert_eq!(serves_method(&methods(named), method.as_bytes()), want, "{named:?} {method}");
        }
    }
}

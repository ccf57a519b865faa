//! Whether two matches are written for the same requests.
//!
//! It compares what was written, brought into one order, so that the answer is one that a reader of the
//! file sees. Entry point: [`Identity`].

use crate::Match;
use crate::host::HostPattern;
use crate::path::{Form, PathPattern, Segment};
use crate::value::ValuePattern;

/// Two alternatives with the same identity match the same requests at the same precedence.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Identity<'a> {
    priority: i32,
    host: Option<&'a HostPattern>,
    path: PathIdentity<'a>,
    methods: Vec<&'a str>,
    headers: Vec<&'a (Box<str>, ValuePattern)>,
    query: Vec<&'a (Box<str>, ValuePattern)>,
}

#[derive(PartialEq, Eq, Hash)]
enum PathIdentity<'a> {
    Exact(&'a [u8]),
    Template(&'a [Segment], bool),
    Regex(&'a str),
    Prefix(&'a [u8]),
    Any,
}

impl<'a> Identity<'a> {
    pub(super) fn new(of: &'a Match, host: Option<&'a HostPattern>) -> Self {
        let mut methods: Vec<&str> = of.methods.iter().map(|m| &**m).collect();
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.sort_unstable();
        methods.dedup();
        Self {
            priority: of.priority,
            host,
            path: match of.path.as_ref().map(PathPattern::form) {
                Some(Form::Exact(path)) => PathIdentity::Exact(path),
                Some(Form::Template(template)) => {
                    PathIdentity::Template(&template.segments, template.has_rest)
                }
                Some(Form::Regex(regex)) => PathIdentity::Regex(regex.source()),
                Some(Form::Prefix(prefix)) => PathIdentity::Prefix(prefix),
                None => PathIdentity::Any,
            },
            methods,
            headers: sorted(&of.headers),
            query: sorted(&of.query),
        }
    }
}

/// Conditions in an order that does not depend on how they were written.
fn sorted(conditions: &[(Box<str>, ValuePattern)]) -> Vec<&(Box<str>, ValuePattern)> {
    let mut all: Vec<_> = conditions.iter().collect();
    all.sort_by_key(|(name, pattern)| {
        let (kind, text) = match pattern {
            ValuePattern::Present => (0, &b""[..]),
            ValuePattern::Exact(value) => (1, &**value),
            ValuePattern::Regex(regex) => (2, regex.as_str().as_bytes()),
        };
        (&**name, kind, text)
    });
    all
}

//! The order of precedence as a derived [`Ord`]: the smallest rank wins.
//!
//! The table it implements is in the crate's documentation. It must not know requests.

use std::cmp::Reverse;
use std::fmt;

use smallvec::SmallVec;

use crate::Match;
use crate::host::HostPattern;
use crate::path::{Form, PathKind, PathPattern};

/// Position of an alternative in the order of precedence: the smallest that matches wins.
pub(crate) type Rank = u32;

/// Ranks in ascending order.
pub(crate) type Ranks = SmallVec<[Rank; 4]>;

/// Where an alternative stands. The order of the fields is the precedence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MatchRank {
    priority: Reverse<i32>,
    host: HostRank,
    path: PathRank,
    method: MethodRank,
    headers: Reverse<usize>,
    query: Reverse<usize>,
    file_order: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum HostRank {
    Exact,
    Wildcard { length: Reverse<usize> },
    Any,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PathRank {
    Exact,
    Template { literal: Reverse<usize>, has_rest: bool },
    Regex { file_order: u32 },
    Prefix { length: Reverse<usize> },
    Any,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum MethodRank {
    Some,
    Any,
}

impl MatchRank {
    /// The rank of `of` for one of its hosts. `regex_order` is the place of the first route in the file
    /// that has the same regex (ignored for other paths), `file_order` that of this one.
    pub(crate) fn new(of: &Match, host: Option<&HostPattern>, regex_order: u32, file_order: u32) -> Self {
        Self {
            priority: Reverse(of.priority),
            host: match host {
                Some(HostPattern::Exact(_)) => HostRank::Exact,
                Some(HostPattern::Wildcard(below)) => HostRank::Wildcard { length: Reverse(below.len()) },
                None => HostRank::Any,
            },
            path: match of.path.as_ref().map(PathPattern::form) {
                Some(Form::Exact(_)) => PathRank::Exact,
                Some(Form::Template(template)) => {
                    PathRank::Template { literal: Reverse(template.literal_len), has_rest: template.has_rest }
                }
                Some(Form::Regex(_)) => PathRank::Regex { file_order: regex_order },
                Some(Form::Prefix(prefix)) => PathRank::Prefix { length: Reverse(prefix.len()) },
                None => PathRank::Any,
            },
            method: if of.methods.is_empty() { MethodRank::Any } else { MethodRank::Some },
            headers: Reverse(of.headers.len()),
            query: Reverse(of.query.len()),
            file_order,
        }
    }
}

/// The row of the precedence that decides between two alternatives; see the crate's documentation. Its text
/// says what is true of the one that comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// The higher number.
    Priority,
    /// An exact host, a wildcard, none.
    Host,
    /// The kinds of the paths: of the first, of the second; `None` for no path.
    PathKind(Option<PathKind>, Option<PathKind>),
    /// More literal bytes of a template.
    Literals,
    /// No `{rest...}`.
    Rest,
    /// The order of regexes in the file.
    RegexOrder,
    /// The longer prefix.
    Prefix,
    /// Some methods, or none.
    Methods,
    /// More conditions on headers.
    Headers,
    /// More conditions on the query.
    Query,
    /// The order in the file.
    FileOrder,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = |kind: Option<PathKind>| match kind {
            Some(PathKind::Exact) => "an exact path",
            Some(PathKind::Template) => "a template",
            Some(PathKind::Regex) => "a regular expression",
            Some(PathKind::Prefix) => "a prefix",
            None => "no path",
        };
        f.write_str(match self {
            Self::Priority => "its priority is higher",
            Self::Host => "its host is more specific",
            Self::PathKind(first, second) => {
                return write!(f, "{} comes before {}", kind(*first), kind(*second));
            }
            Self::Literals => "its path has more literal characters",
            Self::Rest => "its path does not end in `{rest...}`",
            Self::RegexOrder => "its regular expression comes earlier in the file",
            Self::Prefix => "its prefix is longer",
            Self::Methods => "it names methods",
            Self::Headers => "it has more conditions on headers",
            Self::Query => "it has more conditions on the query",
            Self::FileOrder => "it comes earlier in the file",
        })
    }
}

impl Row {
    /// The first row in which two alternatives differ. `first` comes first.
    pub(crate) fn between(
        (first, first_host): (&Match, Option<&HostPattern>),
        (second, second_host): (&Match, Option<&HostPattern>),
    ) -> Self {
        let one = MatchRank::new(first, first_host, 0, 0);
        let other = MatchRank::new(second, second_host, 0, 0);
        let kind = |of: &Match| of.path.as_ref().map(PathPattern::kind);
        let source = |of: &Match| of.path.as_ref().map(|path| path.as_str().to_owned());
        if one.priority != other.priority {
            return Self::Priority;
        }
        if one.host != other.host {
            return Self::Host;
        }
        match (&one.path, &other.path) {
            (
                PathRank::Template { literal, has_rest },
                PathRank::Template { literal: other_literal, has_rest: other_rest },
            ) if (literal, has_rest) != (other_literal, other_rest) => {
                return if literal == other_literal { Self::Rest } else { Self::Literals };
            }
            (PathRank::Regex { .. }, PathRank::Regex { .. }) if source(first) != source(second) => {
                return Self::RegexOrder;
            }
            (PathRank::Prefix { length }, PathRank::Prefix { length: other }) if length != other => {
                return Self::Prefix;
            }
            _ if kind(first) != kind(second) => return Self::PathKind(kind(first), kind(second)),
            _ => {}
        }
        if one.method != other.method {
            Self::Methods
        } else if one.headers != other.headers {
            Self::Headers
        } else if one.query != other.query {
            Self::Query
        } else {
            Self::FileOrder
        }
    }
}

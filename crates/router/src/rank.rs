//! The order of precedence as a derived [`Ord`]: the smallest rank wins.
//!
//! The table it implements is in the crate's documentation. It must not know requests.

use std::cmp::Reverse;

use smallvec::SmallVec;

use crate::Match;
use crate::host::HostPattern;
use crate::path::{Form, PathPattern};

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

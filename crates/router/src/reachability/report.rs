//! What there is to say about the routes of a router.
//!
//! It must not know how it was found out. Entry point: [`Report`].

use super::example::Example;
use super::frame::Frame;
use super::region::Condition;
use crate::{HostPattern, RouteIndex, Row};

/// All that was found.
#[derive(Clone, Debug, Default)]
pub struct Report<'r> {
    /// In the order of the routes that they are about; at most one for each.
    pub findings: Vec<Finding<'r>>,
    /// Whether everything was compared. Else some pairs were too much work, such as those of very large
    /// regexes, and nothing is said about them.
    pub is_complete: bool,
}

/// One thing to say about a route.
#[derive(Clone, Debug)]
pub struct Finding<'r> {
    /// The route.
    pub route: RouteIndex,
    /// What is with it.
    pub kind: Kind<'r>,
}

/// What is with a route.
#[derive(Clone, Debug)]
pub enum Kind<'r> {
    /// It can never match, as no request is like this.
    Impossible(Part<'r>),
    /// It can never match, as others take every request that it could get.
    Unreachable(Unreachable<'r>),
    /// These take some of its requests, though they are not the more specific ones: those that come just
    /// before it, and not more than a few.
    Overlaps(Vec<Overlap>),
}

/// Who takes the requests of a route that can never match.
#[derive(Clone, Debug)]
pub struct Unreachable<'r> {
    /// The hosts for which it is so; empty if that is all of the route.
    pub hosts: Vec<&'r HostPattern>,
    /// Who takes them; the first one takes the example.
    pub by: Vec<RouteIndex>,
    /// Whether each of its hosts is one of a route with the same match.
    pub is_duplicate: bool,
    /// A request that the route matches.
    pub example: Example,
}

/// A route that takes some of the requests of another, without being the more specific one.
#[derive(Clone, Debug)]
pub struct Overlap {
    /// Who takes them.
    pub with: RouteIndex,
    /// Why it comes first.
    pub decided_by: Row,
    /// A request that both match.
    pub example: Example,
}

/// Two routes that match some requests together, while each matches others alone.
#[derive(Clone, Copy, Debug)]
pub struct Crossing {
    /// The one that takes them.
    pub higher: RouteIndex,
    /// The one that does not get them.
    pub lower: RouteIndex,
    /// The higher one is for a narrower place, host or path, and the lower one is narrower in nothing but
    /// its methods: hardly a surprise, as every place that is named takes requests of all methods.
    pub is_by_methods: bool,
}

/// A part of a request that a match is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'r> {
    /// The host.
    Host,
    /// The path.
    Path,
    /// The method.
    Method,
    /// A value of the header of this name.
    Header(&'r str),
    /// A value of the query parameter of this name.
    Query(&'r str),
}

impl<'r> Part<'r> {
    pub(super) fn of(condition: Condition<'r>) -> Self {
        match condition.field {
            Frame::Query => Self::Query(condition.name),
            Frame::Path | Frame::Header => Self::Header(condition.name),
        }
    }
}

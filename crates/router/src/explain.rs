//! Why each route was or was not taken.
//!
//! It asks the predicates of the patterns one by one, without the tables that make [`Router::find`] fast:
//! the property tests hold the two against each other. Entry point: [`Router::explain`].

use crate::conditions::{self, Failure};
use crate::find::Router;
use crate::host::HostPattern;
use crate::path::PathPattern;
use crate::{RouteIndex, Subject};

/// One alternative of a route (a route has one for each host), and what became of it.
#[derive(Clone, Debug)]
pub struct Candidate<'r> {
    /// The route.
    pub route: RouteIndex,
    /// The host it was asked under; `None` for any.
    pub host: Option<&'r HostPattern>,
    /// Its path; `None` for any.
    pub path: Option<&'r PathPattern>,
    /// Its explicit priority.
    pub priority: i32,
    /// What became of it.
    pub verdict: Verdict<'r>,
}

/// Whether an alternative holds, or the first predicate that failed, in the order they are listed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'r> {
    /// Everything holds. The first such candidate is the route taken.
    Matched,
    /// The host is another.
    Host,
    /// The path is another.
    Path,
    /// The method is not served.
    Method,
    /// No value of the header of this name passes.
    Header(&'r str),
    /// No value of the query parameter of this name passes.
    Query(&'r str),
}

impl Router {
    /// Every alternative, in order of precedence, with its verdict. The first that matched is what
    /// [`Router::find`] returns. Costs time and memory per alternative: for people, not for requests.
    pub fn explain<S: Subject + ?Sized>(&self, subject: &S) -> Vec<Candidate<'_>> {
        let candidate = |rank: usize| {
            let (entry, host) = self.alternative(rank)?;
            let verdict = if host.is_some_and(|host| !subject.host().is_some_and(|name| host.matches(name))) {
                Verdict::Host
            } else if entry.of.path.as_ref().is_some_and(|path| !path.matches(subject.path())) {
                Verdict::Path
            } else {
                match conditions::check(&entry.of, subject) {
                    Ok(()) => Verdict::Matched,
                    Err(Failure::Method) => Verdict::Method,
                    Err(Failure::Header(name)) => Verdict::Header(name),
                    Err(Failure::Query(name)) => Verdict::Query(name),
                }
            };
            let path = entry.of.path.as_ref();
            Some(Candidate { route: entry.route, host, path, priority: entry.of.priority, verdict })
        };
        (0..self.len()).map_while(candidate).collect()
    }
}

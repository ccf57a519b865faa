//! Why each route was or was not taken.
//!
//! It asks the predicates of the patterns one by one, without the tables that make [`Router::find`] fast:
//! the property tests hold the two against each other. Entry point: [`Router::explain`].

use crate::conditions::{self, Failure};
use crate::find::Router;
use crate::host::HostPattern;
use crate::path::PathPattern;
use crate::{Match, RouteIndex, Row, Subject, query};

/// One alternative of a route (a route has one for each host), and what became of it.
#[derive(Clone, Debug)]
pub struct Candidate<'r> {
    /// The route.
    pub route: RouteIndex,
    /// The host it was asked under; `None` for any.
    pub host: Option<&'r HostPattern>,
    /// Its path; `None` for any.
    pub path: Option<&'r PathPattern>,
    /// All that the route asks of a request.
    pub of: &'r Match,
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

impl Candidate<'_> {
    /// Why it comes before another one.
    #[must_use]
    pub fn row_before(&self, other: &Candidate<'_>) -> Row {
        Row::between((self.of, self.host), (other.of, other.host))
    }
}

impl Verdict<'_> {
    /// The values that a request has of the header or query parameter that failed, as they were looked at.
    pub fn had<S: Subject + ?Sized>(&self, subject: &S) -> Vec<Vec<u8>> {
        let mut had = Vec::new();
        let mut take = |value: &[u8]| {
            had.push(value.to_vec());
            false
        };
        match *self {
            Verdict::Header(name) => _ = subject.header(name, &mut take),
            Verdict::Query(name) => {
                _ = subject.query().is_some_and(|raw| query::any_value(raw, name.as_bytes(), take));
            }
            Verdict::Matched | Verdict::Host | Verdict::Path | Verdict::Method => {}
        }
        had
    }
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
            let of = &entry.of;
            Some(Candidate { route: entry.route, host, path, of, priority: of.priority, verdict })
        };
        (0..self.len()).map_while(candidate).collect()
    }
}

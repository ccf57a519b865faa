//! Collecting the matches of all routes, and putting them in order.
//!
//! It must not know requests. Entry points: [`Builder::add`], [`Builder::build`].

use hashbrown::HashMap;

use crate::host::HostPattern;
use crate::path::{Form, PathPattern};
use crate::rank::MatchRank;
use crate::value::ValuePattern;
use crate::{RouteIndex, Router};

/// What a request must be for a route. All of it must hold; what is empty or `None` always does.
#[derive(Clone, Debug, Default)]
pub struct Match {
    /// The hosts; empty for any, also for requests without one.
    pub hosts: Vec<HostPattern>,
    /// The path; `None` for any.
    pub path: Option<PathPattern>,
    /// The methods, case-sensitive; empty for any. GET serves HEAD too.
    pub methods: Vec<Box<str>>,
    /// Header names in lower case, each with what one of its values must be.
    pub headers: Vec<(Box<str>, ValuePattern)>,
    /// Names of query parameters (decoded), each with what one of its values must be.
    pub query: Vec<(Box<str>, ValuePattern)>,
    /// Overrides the rest of the precedence: higher first. 0 when not written.
    pub priority: i32,
}

/// One match of a route, as it was added.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) route: RouteIndex,
    pub(crate) of: Match,
}

/// An entry under one of its hosts. They are kept in order of precedence, and their position is their rank.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alternative {
    pub(crate) entry: u32,
    /// Position in the entry's hosts; meaningless if it has none.
    pub(crate) host: u32,
    /// Host and path are all there is to check.
    pub(crate) is_plain: bool,
}

/// Collects matches in file order.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    entries: Vec<Entry>,
}

impl Builder {
    /// Without any route.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a match of a route. The order of the calls is the file order. A route may be added more than
    /// once: then it is taken if any of its matches holds.
    pub fn add(&mut self, route: RouteIndex, of: Match) {
        self.entries.push(Entry { route, of });
    }

    /// Puts everything in order. It cannot fail: patterns were checked when they were parsed.
    #[must_use]
    pub fn build(self) -> Router {
        let mut regexes: HashMap<&str, u32> = HashMap::new();
        let mut ranked = Vec::with_capacity(self.entries.len());
        for (entry, file_order) in self.entries.iter().zip(0..) {
            let regex_order = match entry.of.path.as_ref() {
                Some(path) if matches!(path.form(), Form::Regex(_)) => {
                    *regexes.entry(path.as_str()).or_insert(file_order)
                }
                _ => 0,
            };
            let of = &entry.of;
            let is_plain = of.methods.is_empty() && of.headers.is_empty() && of.query.is_empty();
            for (host, position) in hosts(of).zip(0..) {
                let rank = MatchRank::new(of, host, regex_order, file_order);
                ranked.push((rank, Alternative { entry: file_order, host: position, is_plain }));
            }
        }
        drop(regexes);
        // Stable, so that equal ranks (two hosts of one route) keep the order in which they are written.
        ranked.sort_by(|(a, _), (b, _)| a.cmp(b));
        let alternatives = ranked.into_iter().map(|(_, alternative)| alternative).collect();
        Router::new(self.entries, alternatives)
    }
}

/// Each host of a match; one `None` if it has none.
fn hosts(of: &Match) -> impl Iterator<Item = Option<&HostPattern>> {
    let any = of.hosts.is_empty().then_some(None);
    of.hosts.iter().map(Some).chain(any)
}

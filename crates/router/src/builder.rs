//! Collecting the matches of all routes, and putting them in order.
//!
//! It must not know requests. Entry points: [`Builder::add`], [`Builder::build`].

use hashbrown::{HashMap, HashSet};

use crate::host::HostPattern;
use crate::path::{Form, PathPattern, Segment};
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

    /// Pairs of routes of which the later can never be taken, as an earlier one has the same match: the
    /// same host, path (whatever the captures are called), methods, conditions and priority. A pair is
    /// reported once, in file order of the later one.
    #[must_use]
    pub fn duplicates(&self) -> Vec<(RouteIndex, RouteIndex)> {
        let mut first: HashMap<Identity<'_>, RouteIndex> = HashMap::new();
        let mut reported = HashSet::new();
        let mut pairs = Vec::new();
        for entry in &self.entries {
            for host in hosts(&entry.of) {
                let earlier = *first.entry(Identity::new(&entry.of, host)).or_insert(entry.route);
                if earlier != entry.route && reported.insert((earlier, entry.route)) {
                    pairs.push((earlier, entry.route));
                }
            }
        }
        pairs
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

/// Two alternatives with the same identity match the same requests at the same precedence.
#[derive(PartialEq, Eq, Hash)]
struct Identity<'a> {
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
    fn new(of: &'a Match, host: Option<&'a HostPattern>) -> Self {
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

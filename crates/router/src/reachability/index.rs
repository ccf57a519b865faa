//! Which alternatives may match requests that another one matches, without looking at all of them.
//!
//! Alternatives stand by host, and their paths in a tree of segments that is walked with a whole pattern
//! instead of a path. What it names is a candidate; regexes have to be asked. Entry points:
//! [`Index::new`], [`Index::candidates`].

use std::ops::Range;
use std::rc::Rc;

use hashbrown::HashMap;

use super::region::{is_host_within, regex};
use super::search::Work;
use super::shape::{Part, Shape};
use super::solve::Solver;
use crate::Router;
use crate::host::HostPattern;
use crate::rank::Rank;

/// More related hosts than this are looked up in the index of all hosts.
const FEW_HOSTS: usize = 8;

/// All alternatives of a router.
pub(super) struct Index<'r> {
    all: Group<'r>,
    by_host: HashMap<Option<&'r HostPattern>, Group<'r>>,
    /// The hosts that a wildcard holds, itself excluded.
    below: HashMap<&'r str, Vec<&'r HostPattern>>,
}

/// What is asked of an index.
pub(super) struct Query<'q, 's> {
    pub(super) host: Option<&'q HostPattern>,
    /// The paths; for a regex what is known of it.
    pub(super) shape: &'q Shape<'s>,
    /// What each path begins with.
    pub(super) start: &'q [u8],
    /// Whether `start` goes on behind `shape`, within a segment.
    pub(super) is_partial: bool,
    /// Only these ranks.
    pub(super) ranks: Range<Rank>,
    /// Leave out what is of `shape` altogether.
    pub(super) skip_within: bool,
}

/// The alternatives of one host, or of all.
#[derive(Default)]
pub(super) struct Group<'r> {
    nodes: Vec<Node<'r>>,
    /// Each with what its paths begin with.
    regexes: Vec<(Rank, Rc<[u8]>)>,
}

/// Patterns that begin with the same segments.
struct Node<'r> {
    /// The smallest rank here and below.
    best: Rank,
    /// In the order they came.
    steps: Vec<(&'r [u8], u32)>,
    by_literal: HashMap<&'r [u8], u32>,
    name: Option<u32>,
    ends: Vec<Rank>,
    rests: Vec<Rank>,
}

impl<'r> Index<'r> {
    pub(super) fn new(router: &'r Router, solver: &mut Solver<'r>) -> Self {
        let mut all = Group::default();
        let mut by_host: HashMap<Option<&'r HostPattern>, Group<'r>> = HashMap::new();
        for rank in 0..router.len() {
            let Some((entry, host)) = router.alternative(rank) else { continue };
            let path = entry.of.path.as_ref();
            let group = by_host.entry(host).or_default();
            for group in [&mut all, group] {
                if let Some(regex) = regex(path) {
                    group.insert_regex(solver.literal_start(regex), rank as Rank);
                } else if let Some(shape) = Shape::of(path) {
                    group.insert(&shape, rank as Rank);
                }
            }
        }
        let mut below: HashMap<&'r str, Vec<&'r HostPattern>> = HashMap::new();
        for host in by_host.keys().copied().flatten() {
            let (HostPattern::Exact(name) | HostPattern::Wildcard(name)) = host;
            for (dot, _) in name.match_indices('.') {
                below.entry(&name[dot + 1..]).or_default().push(host);
            }
        }
        // The order of a table of hashes is another one in every process.
        below.values_mut().for_each(|hosts| hosts.sort_by_key(|host| host.to_string()));
        Self { all, by_host, below }
    }

    /// The ranks of all alternatives for hosts of `query.host` whose paths may be among those asked for.
    pub(super) fn candidates(&self, query: &Query<'_, '_>, router: &'r Router, work: &mut Work) -> Vec<Rank> {
        let mut found = Vec::new();
        let mut search = |host: Option<&HostPattern>| {
            if let Some(group) = self.by_host.get(&host) {
                group.collect(query, &mut found, work);
            }
        };
        match query.host {
            Some(HostPattern::Wildcard(name)) => {
                let below = self.below.get(&**name).map_or(&[][..], |below| below);
                if below.len() <= FEW_HOSTS {
                    search(query.host);
                    below.iter().for_each(|&host| search(Some(host)));
                } else {
                    self.all.collect(query, &mut found, work);
                    found.retain(|&rank| {
                        let alternative = router.alternative(rank as usize);
                        alternative.is_some_and(|(_, host)| is_host_within(host, query.host))
                    });
                }
            }
            Some(HostPattern::Exact(_)) => search(query.host),
            None => self.all.collect(query, &mut found, work),
        }
        found.sort_unstable();
        found
    }
}

impl<'r> Group<'r> {
    /// Adds a pattern. Ranks must come in ascending order.
    pub(super) fn insert(&mut self, shape: &Shape<'r>, rank: Rank) {
        if self.nodes.is_empty() {
            self.add_node(rank);
        }
        let mut at = 0;
        for part in &shape.parts {
            let known = match part {
                Part::Literal(literal) => self.nodes[at].by_literal.get(literal).copied(),
                Part::Name => self.nodes[at].name,
            };
            let to = known.unwrap_or_else(|| {
                let to = self.add_node(rank);
                let node = &mut self.nodes[at];
                match part {
                    Part::Literal(literal) => {
                        node.by_literal.insert(literal, to);
                        node.steps.push((literal, to));
                    }
                    Part::Name => node.name = Some(to),
                }
                to
            });
            at = to as usize;
        }
        let node = &mut self.nodes[at];
        if shape.has_rest { node.rests.push(rank) } else { node.ends.push(rank) }
    }

    fn add_node(&mut self, best: Rank) -> u32 {
        let at = self.nodes.len() as u32;
        let (steps, by_literal, name) = (Vec::new(), HashMap::new(), None);
        self.nodes.push(Node { best, steps, by_literal, name, ends: Vec::new(), rests: Vec::new() });
        at
    }

    /// Adds a regex, with what its paths begin with. Ranks must come in ascending order.
    pub(super) fn insert_regex(&mut self, start: Rc<[u8]>, rank: Rank) {
        self.regexes.push((rank, start));
    }

    /// The ranks of the patterns whose paths may be among those asked for; the host is not looked at.
    pub(super) fn collect(&self, query: &Query<'_, '_>, found: &mut Vec<Rank>, work: &mut Work) {
        let mut take = |ranks: &[Rank], work: &mut Work| {
            let first = ranks.partition_point(|&rank| rank < query.ranks.start);
            let ranks = ranks[first..].iter().copied().take_while(|&rank| rank < query.ranks.end);
            let before = found.len();
            found.extend(ranks);
            work.spend((found.len() - before) as u64)
        };
        let parts = &query.shape.parts;
        // What the segment behind the parts begins with, if there is one.
        let tail = query.start.rsplit(|&b| b == b'/').next().filter(|_| query.is_partial).unwrap_or_default();
        // Where to go on: the node, how many parts are done (and counted on behind them), and whether what is
        // there is of the shape.
        let mut left: Vec<(u32, usize, bool)> =
            if self.nodes.is_empty() { vec![] } else { vec![(0, 0, true)] };
        while let Some((at, done, is_within)) = left.pop() {
            let node = &self.nodes[at as usize];
            if node.best >= query.ranks.end || !work.spend(2) {
                continue;
            }
            let is_done = done >= parts.len();
            let is_skipped = query.skip_within && is_within && is_done;
            if is_skipped && query.shape.has_rest {
                continue;
            }
            take(&node.rests, work);
            if is_done && !is_skipped {
                take(&node.ends, work);
            }
            match parts.get(done) {
                Some(Part::Literal(literal)) => {
                    left.extend(node.by_literal.get(*literal).map(|&to| (to, done + 1, is_within)));
                    let name = node.name.filter(|_| !literal.is_empty());
                    left.extend(name.map(|to| (to, done + 1, false)));
                }
                Some(Part::Name) => {
                    let literals = node.steps.iter().filter(|(literal, _)| !literal.is_empty());
                    left.extend(literals.map(|&(_, to)| (to, done + 1, is_within)));
                    left.extend(node.name.map(|to| (to, done + 1, is_within)));
                }
                None if query.shape.has_rest => {
                    let tail = if done == parts.len() { tail } else { b"" };
                    let literals = node.steps.iter().filter(|(literal, _)| literal.starts_with(tail));
                    left.extend(literals.map(|&(_, to)| (to, done + 1, is_within)));
                    left.extend(node.name.map(|to| (to, done + 1, is_within)));
                }
                None => {}
            }
        }
        for (rank, start) in &self.regexes {
            let may_meet = start.starts_with(query.start) || query.start.starts_with(start);
            if may_meet && query.ranks.contains(rank) {
                found.push(*rank);
            }
        }
        work.spend(self.regexes.len() as u64 / 4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, Match, PathPattern, RouteIndex};

    fn names(paths: &[&str], asked: &str, skip_within: bool) -> Vec<String> {
        let mut builder = Builder::new();
        for (path, index) in paths.iter().zip(0..) {
            let path = Some(PathPattern::parse(path).unwrap());
            builder.add(RouteIndex(index), Match { path, ..Match::default() });
        }
        let router = builder.build();
        let pattern = PathPattern::parse(asked).unwrap();
        let shape = Shape::of(Some(&pattern)).unwrap();
        let ranks = 0..router.len() as Rank;
        let query =
            Query { host: None, shape: &shape, start: &shape.start(), is_partial: false, ranks, skip_within };
        let mut solver = Solver::new(Work::new(10_000), &[]);
        let found = Index::new(&router, &mut solver).candidates(&query, &router, &mut solver.work);
        let path =
            |rank: &Rank| router.alternative(*rank as usize).unwrap().0.of.path.as_ref().unwrap().to_string();
        let mut paths: Vec<String> = found.iter().map(path).collect();
        paths.sort();
        paths
    }

    #[test]
    fn patterns_that_share_paths() {
        let all = ["/*", "/a", "/a/", "/a/*", "/a/{x}", "/b/c", "/{x}/c", "~^/a/b", "~^/b", "~c$"];
        for (asked, want) in [
            ("/a", &["/*", "/a", "/a/*", "~^/a/b", "~c$"][..]),
            ("/a/", &["/*", "/a/", "/a/*", "~^/a/b", "~c$"]),
            ("/a/c", &["/*", "/a/*", "/a/{x}", "/{x}/c", "~c$"]),
            ("/{x}/c", &["/*", "/a/*", "/a/{x}", "/b/c", "/{x}/c", "~^/a/b", "~^/b", "~c$"]),
            ("/a/*", &["/*", "/a", "/a/", "/a/*", "/a/{x}", "/{x}/c", "~^/a/b", "~c$"]),
        ] {
            assert_eq!(names(&all, asked, false), want, "{asked}");
        }
        assert_eq!(names(&all, "/a/*", true), ["/*", "/{x}/c", "~^/a/b", "~c$"]);
        assert_eq!(names(&all, "/*", true), ["~^/a/b", "~^/b", "~c$"]);
    }
}

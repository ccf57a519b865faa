//! A trie of path segments, for templates and prefixes.
//!
//! Every node knows the smallest rank below it, so that a search skips what cannot win any more. No node
//! is visited twice in a search, none deeper than the longest pattern, and no more of the path is read than
//! that. It must not know hosts or what else a request must be. Entry points: [`Trie::insert`],
//! [`Trie::search`].

use std::hash::BuildHasher;
use std::num::NonZeroU32;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::path::Segment;
use crate::rank::{Rank, Ranks};

/// Patterns as segments. Node 0 is the root: what follows the first slash.
#[derive(Debug, Default)]
pub(crate) struct Trie {
    nodes: Vec<Node>,
    /// All literal steps of all nodes in one table: as fast for one child as for ten thousand.
    edges: HashTable<Edge>,
    /// Seeded, as the segments looked up come from clients.
    hasher: RandomState,
    /// The longest literal: longer segments are not even hashed.
    longest: usize,
}

#[derive(Debug)]
struct Node {
    /// The smallest rank here and below.
    best: Rank,
    /// Whether any literal step leads on.
    has_literals: bool,
    /// The step for a segment that is not empty, whatever it is.
    name: Option<NonZeroU32>,
    /// Patterns that end here.
    ends: Ranks,
    /// Patterns that take all that is left, or nothing.
    rests: Ranks,
}

#[derive(Debug)]
struct Edge {
    from: u32,
    segment: Box<[u8]>,
    to: u32,
}

/// How a pattern ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// With its last segment.
    Here,
    /// With anything or nothing.
    Rest,
}

impl Trie {
    /// Adds a pattern. Ranks must come in ascending order.
    pub(crate) fn insert(&mut self, segments: &[Segment], end: End, rank: Rank) {
        if self.nodes.is_empty() {
            self.add_node(rank);
        }
        let mut at = 0;
        for segment in segments {
            at = match segment {
                Segment::Literal(literal) => self.literal_step(at, literal).unwrap_or_else(|| {
                    let to = self.add_node(rank);
                    self.add_edge(Edge { from: at, segment: literal.clone(), to });
                    to
                }),
                Segment::Name => match self.nodes[at as usize].name {
                    Some(to) => to.get(),
                    None => {
                        let to = self.add_node(rank);
                        self.nodes[at as usize].name = NonZeroU32::new(to);
                        to
                    }
                },
            };
        }
        let node = &mut self.nodes[at as usize];
        match end {
            End::Here => node.ends.push(rank),
            End::Rest => node.rests.push(rank),
        }
    }

    /// Offers the ranks of all patterns that match `path`, each node's in ascending order. `offer` takes
    /// them and returns the rank that the others must now be below.
    pub(crate) fn search(&self, path: &[u8], bound: Rank, offer: &mut dyn FnMut(&[Rank]) -> Rank) {
        if !self.nodes.is_empty() && path.first() == Some(&b'/') {
            self.visit(0, path, 1, bound, offer);
        }
    }

    /// `at` is where the next segment begins; beyond the path when none is left. The depth of the
    /// recursion is that of the trie, which the pattern parser bounds. Returns the new bound.
    fn visit(
        &self,
        node: u32,
        path: &[u8],
        at: usize,
        mut bound: Rank,
        offer: &mut dyn FnMut(&[Rank]) -> Rank,
    ) -> Rank {
        let node_at = node;
        let node = &self.nodes[node as usize];
        if node.best >= bound {
            return bound;
        }
        match path.get(at..) {
            None if !node.ends.is_empty() => bound = offer(&node.ends),
            Some(left) if node.has_literals || node.name.is_some() => {
                let end = at + memchr::memchr(b'/', left).unwrap_or(left.len());
                let segment = &path[at..end];
                if node.has_literals
                    && let Some(to) = self.literal_step(node_at, segment)
                {
                    bound = self.visit(to, path, end + 1, bound, offer);
                }
                if let Some(to) = node.name.filter(|_| !segment.is_empty()) {
                    bound = self.visit(to.get(), path, end + 1, bound, offer);
                }
            }
            _ => {}
        }
        if node.rests.first().is_some_and(|&first| first < bound) {
            bound = offer(&node.rests);
        }
        bound
    }

    fn literal_step(&self, from: u32, segment: &[u8]) -> Option<u32> {
        if segment.len() > self.longest {
            return None;
        }
        let hash = self.hasher.hash_one((from, segment));
        let is_it = |edge: &Edge| edge.from == from && *edge.segment == *segment;
        self.edges.find(hash, is_it).map(|edge| edge.to)
    }

    fn add_node(&mut self, rank: Rank) -> u32 {
        let at = self.nodes.len() as u32;
        let (ends, rests) = (Ranks::new(), Ranks::new());
        self.nodes.push(Node { best: rank, has_literals: false, name: None, ends, rests });
        at
    }

    fn add_edge(&mut self, edge: Edge) {
        self.longest = self.longest.max(edge.segment.len());
        self.nodes[edge.from as usize].has_literals = true;
        let hasher = &self.hasher;
        let hash = |edge: &Edge| hasher.hash_one((edge.from, &*edge.segment));
        self.edges.insert_unique(hash(&edge), edge, hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::{Form, PathPattern};

    fn trie(patterns: &[&str]) -> Trie {
        let mut trie = Trie::default();
        for (pattern, rank) in patterns.iter().zip(0..) {
            match PathPattern::parse(pattern).unwrap().form() {
                Form::Template(template) => {
                    let end = if template.has_rest { End::Rest } else { End::Here };
                    trie.insert(&template.segments, end, rank);
                }
                Form::Prefix(prefix) => trie.insert(&Segment::of_prefix(prefix), End::Rest, rank),
                _ => panic!("{pattern} does not belong into the trie"),
            }
        }
        trie
    }

    fn all(trie: &Trie, path: &str) -> Vec<Rank> {
        let mut found = Vec::new();
        trie.search(path.as_bytes(), Rank::MAX, &mut |ranks| {
            found.extend_from_slice(ranks);
            Rank::MAX
        });
        found.sort_unstable();
        found
    }

    #[test]
    fn finds_all_patterns_that_match() {
        let trie = trie(&["/a/{x}/c", "/a/b/{y}", "/{x}/b/", "/a/{r...}", "/a/*", "/*", "/{x}/b/"]);
        for (path, want) in [
            ("/a/b/c", &[0, 1, 3, 4, 5][..]),
            ("/a/b/", &[2, 3, 4, 5, 6]),
            ("/a", &[3, 4, 5]),
            ("/a/", &[3, 4, 5]),
            ("/", &[5]),
            ("/ab", &[5]),
            ("a", &[]),
            ("", &[]),
            ("//b/", &[5]),
        ] {
            assert_eq!(all(&trie, path), want, "{path}");
        }
        assert!(all(&Trie::default(), "/").is_empty());
    }

    #[test]
    fn skips_what_cannot_win() {
        let trie = trie(&["/a/{x}", "/{y}/b", "/a/*"]);
        let mut offered = Vec::new();
        trie.search(b"/a/b", Rank::MAX, &mut |ranks| {
            offered.extend_from_slice(ranks);
            ranks[0]
        });
        assert_eq!(offered, [0]);
    }

    #[test]
    fn reads_no_more_of_a_long_path_than_the_patterns_are_long() {
        let trie = trie(&["/a/{x}/{y}", "/a/*"]);
        let path = "/a".repeat(2_000_000);
        let started = std::time::Instant::now();
        for _ in 0..1000 {
            assert_eq!(all(&trie, &path), [1]);
        }
        assert!(started.elapsed().as_millis() < 500);
    }
}

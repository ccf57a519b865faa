//! The alternatives of one host, by the form of their path.
//!
//! It must not know what else a request must be: whoever searches offers ranks to a closure that does.
//! Entry points: [`Table::insert`], [`Table::search`].

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::path::{Form, PathPattern, Segment};
use crate::rank::{Rank, Ranks};
use crate::trie::{End, Trie};

/// What is known of an alternative when it is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Its path matches.
    Path,
    /// Its path has yet to be asked.
    Unknown,
}

/// All alternatives of one host.
#[derive(Debug)]
pub(crate) struct Table {
    /// The smallest rank in it.
    best: Rank,
    /// Seeded, as the paths looked up come from clients.
    exact: HashMap<Box<[u8]>, Ranks, RandomState>,
    trie: Trie,
    regexes: Vec<Rank>,
    any: Vec<Rank>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            best: Rank::MAX,
            exact: HashMap::default(),
            trie: Trie::default(),
            regexes: Vec::new(),
            any: Vec::new(),
        }
    }
}

impl Table {
    /// Adds an alternative. Ranks must come in ascending order.
    pub(crate) fn insert(&mut self, path: Option<&PathPattern>, rank: Rank) {
        self.best = self.best.min(rank);
        match path.map(PathPattern::form) {
            Some(Form::Exact(path)) => self.exact.entry(path.clone()).or_default().push(rank),
            Some(Form::Template(template)) => {
                let end = if template.has_rest { End::Rest } else { End::Here };
                self.trie.insert(&template.segments, end, rank);
            }
            Some(Form::Prefix(prefix)) => self.trie.insert(&Segment::of_prefix(prefix), End::Rest, rank),
            Some(Form::Regex(_)) => self.regexes.push(rank),
            None => self.any.push(rank),
        }
    }

    /// Offers every alternative that may match `path` and has a rank below `bound`, class by class, each in
    /// ascending order. `offer` returns the new bound: the rank of the best match so far.
    pub(crate) fn search(
        &self,
        path: &[u8],
        mut bound: Rank,
        mut offer: impl FnMut(&[Rank], Offer) -> Rank,
    ) -> Rank {
        if self.best >= bound {
            return bound;
        }
        if let Some(ranks) = self.exact.get(path) {
            bound = offer(ranks, Offer::Path);
        }
        self.trie.search(path, bound, &mut |ranks| {
            bound = offer(ranks, Offer::Path);
            bound
        });
        if self.regexes.first().is_some_and(|&first| first < bound) {
            bound = offer(&self.regexes, Offer::Unknown);
        }
        if self.any.first().is_some_and(|&first| first < bound) {
            bound = offer(&self.any, Offer::Path);
        }
        bound
    }
}

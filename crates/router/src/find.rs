//! Finding the route of a request.
//!
//! Hosts are looked up from the most to the least exact; in each table the best match so far bounds what
//! is still looked at. With one priority level every table's ranks are above those of the table before,
//! so that the first that has a match ends the search; with several the bound keeps it right. Entry
//! point: [`Router::find`].

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::builder::{Alternative, Entry};
use crate::captures::Captures;
use crate::conditions;
use crate::host::HostPattern;
use crate::path::PathPattern;
use crate::rank::Rank;
use crate::table::{Offer, Table};
use crate::{RouteIndex, Subject};

/// Tables by host. Seeded, as the hosts looked up come from clients.
type Hosts = HashMap<Box<str>, Table, RandomState>;

/// All routes, ready to be looked up. Immutable; made by [`Builder::build`](crate::Builder::build).
#[derive(Debug)]
pub struct Router {
    entries: Box<[Entry]>,
    /// In order of precedence: positions are ranks.
    alternatives: Box<[Alternative]>,
    exact: Hosts,
    /// By what follows `*.`.
    wildcards: Hosts,
    /// The longest key of `wildcards`.
    longest_wildcard: usize,
    any: Table,
}

impl Router {
    /// `alternatives` are in order of precedence.
    pub(crate) fn new(entries: Vec<Entry>, alternatives: Box<[Alternative]>) -> Self {
        let (mut exact, mut wildcards) = (Hosts::default(), Hosts::default());
        let mut any = Table::default();
        for (alternative, rank) in alternatives.iter().zip(0..) {
            let Some(Entry { of, .. }) = entries.get(alternative.entry as usize) else { continue };
            let table = match of.hosts.get(alternative.host as usize) {
                Some(HostPattern::Exact(name)) => exact.entry(name.clone()).or_default(),
                Some(HostPattern::Wildcard(below)) => wildcards.entry(below.clone()).or_default(),
                None => &mut any,
            };
            table.insert(of.path.as_ref(), rank);
        }
        let longest_wildcard = wildcards.keys().map(|below| below.len()).max().unwrap_or(0);
        Self { entries: entries.into(), alternatives, exact, wildcards, longest_wildcard, any }
    }

    /// The route of a request, and where the captures of its path are; `None` (and no captures) if no
    /// route matches. Does not allocate, but for what a regex or a long escaped query value may need.
    pub fn find<S: Subject + ?Sized>(&self, subject: &S, captures: &mut Captures) -> Option<RouteIndex> {
        captures.clear();
        let path = subject.path();
        let rank = self.best(subject, path);
        let entry = self.entries.get(self.alternatives.get(rank as usize)?.entry as usize)?;
        if let Some(pattern) = entry.of.path.as_ref().filter(|pattern| !pattern.captures().is_empty()) {
            let matches = pattern.capture(path, captures);
            debug_assert!(matches, "the tables and the pattern disagree about {pattern}");
        }
        Some(entry.route)
    }

    /// How many alternatives there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.alternatives.len()
    }

    /// Whether there is no route at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.alternatives.is_empty()
    }

    /// The alternative of this rank: its match, and the host it stands for.
    pub(crate) fn alternative(&self, rank: usize) -> Option<(&Entry, Option<&HostPattern>)> {
        let alternative = self.alternatives.get(rank)?;
        let entry = self.entries.get(alternative.entry as usize)?;
        Some((entry, entry.of.hosts.get(alternative.host as usize)))
    }

    /// The smallest rank that matches; [`Rank::MAX`] if none does.
    pub(crate) fn best<S: Subject + ?Sized>(&self, subject: &S, path: &[u8]) -> Rank {
        let mut best = Rank::MAX;
        let mut search = |table: &Table| {
            best = table.search(path, best, |ranks, known| {
                best = self.first_match(ranks, best, subject, path, known);
                best
            });
        };
        let by_host = !self.exact.is_empty() || !self.wildcards.is_empty();
        if let Some(host) = by_host.then(|| subject.host()).flatten() {
            if let Some(table) = self.exact.get(host) {
                search(table);
            }
            if !self.wildcards.is_empty() {
                self.wildcards_of(host).for_each(&mut search);
            }
        }
        search(&self.any);
        best
    }

    /// The tables of all wildcards that `host` is below, longest first.
    fn wildcards_of(&self, host: &str) -> impl Iterator<Item = &Table> {
        // No label stands in front of a dot at the very start.
        let dots = memchr::memchr_iter(b'.', host.as_bytes()).skip_while(|&at| at == 0);
        let names = dots.filter_map(move |at| host.get(at + 1..));
        names.filter(|name| name.len() <= self.longest_wildcard).filter_map(|name| self.wildcards.get(name))
    }

    /// The first of `ranks` (ascending) that matches in full, if it is below `bound`; else `bound`.
    fn first_match<S: Subject + ?Sized>(
        &self,
        ranks: &[Rank],
        bound: Rank,
        subject: &S,
        path: &[u8],
        known: Offer,
    ) -> Rank {
        for &rank in ranks {
            if rank >= bound {
                break;
            }
            let Some(alternative) = self.alternatives.get(rank as usize) else { continue };
            if alternative.is_plain && known == Offer::Path {
                return rank;
            }
            let Some(Entry { of, .. }) = self.entries.get(alternative.entry as usize) else { continue };
            // Conditions before a regex: they are cheaper.
            if conditions::check(of, subject).is_ok()
                && (known == Offer::Path
                    || of.path.as_ref().is_none_or(|pattern: &PathPattern| pattern.matches(path)))
            {
                return rank;
            }
        }
        bound
    }
}

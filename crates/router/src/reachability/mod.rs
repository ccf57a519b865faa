//! Routes that can never match, and routes that take requests from each other unexpectedly.
//!
//! It is for people who check a configuration, never for requests. Entry points: [`examine`], and [`around()`] for
//! routes that lead around what protects others.
//!
//! # What is said
//!
//! An alternative (a route under one of its hosts) is a set of requests, and of two that match a request the
//! one of higher precedence takes it. Let A be of higher precedence than B.
//!
//! | A and B | said | why |
//! |---|---|---|
//! | nothing in common | nothing | |
//! | A lies within B | nothing | A is an exception from B: so are routes meant to be written |
//! | B lies within those that come before it, together | B can never match | a rule that never holds is a mistake |
//! | each has requests of its own | they overlap | neither is the more specific one |
//!
//! An overlap is silent where the two differ in `priority`, as then somebody decided; where more specific
//! routes take all that the two have in common; where only a request that repeats a header or parameter,
//! with different values, is common to both; and where the caller says that it does not matter.
//!
//! # How it is known
//!
//! Whatever is said is proven, and shown by an example that was looked up with [`Router::find`].
//!
//! - **Reachable** is what takes one request. It is looked for by choosing a request and looking it up; if
//!   another alternative takes it, the next request must differ from that one by host, method, a condition
//!   or path, and so on, until one is found or none is left (`escape`). None left is the proof that the
//!   others take all, also together: `/a` once with GET and once with all other methods, or `/a/*` as `/a`,
//!   `/a/`, `/a/{x}` and `/a/{x}/*`.
//! - **Parts are independent** of each other: host, method, path, each condition (`region`). A condition
//!   holds if any of several values passes, so two conditions on one name never exclude each other.
//! - **Paths** without regexes are sequences of segments, which are compared exactly (`shape`). With
//!   regexes, and where several must be avoided, the patterns are walked together as automata over the
//!   canonical paths, breadth first (`search`, `dfa`, `frame`): what is not found is not there. Values of
//!   conditions are compared likewise.
//! - **Pairs** are not all compared: an index names those whose hosts and paths may meet (`index`).
//!
//! The work is bounded, in the number of steps and in the memory for regexes, not by a clock. What is not
//! known then is not said, and [`Report::is_complete`] is false.
//!
//! A header condition on `host` says the same as `hosts` in another way; no example is made for such a
//! route, and only what needs none is said. `OPTIONS *` is left out: the gateway answers it before routes
//! are looked for.

mod around;
mod bytes;
mod dfa;
mod escape;
mod example;
mod frame;
mod identity;
mod index;
mod onward;
mod overlap;
mod region;
mod report;
mod search;
mod shape;
mod solve;
mod spelling;

use std::collections::BTreeMap;

use hashbrown::HashSet;

pub use around::{Around, How, Road, Way, Weaker, around};
pub use example::Example;
pub use onward::Written;
pub use report::{Crossing, Finding, Kind, Overlap, Part, Report, Unreachable};

use crate::builder::Entry;
use crate::host::HostPattern;
use crate::rank::Rank;
use crate::{RouteIndex, Router, Row};
use escape::Verdict;
use identity::Identity;
use index::{Index, Query};
use overlap::Cross;
use region::Region;
use search::Work;
use shape::Shape;
use solve::Solver;

/// All work, in units of some 20 ns: a second at the very most, and some ten milliseconds for ten thousand
/// routes.
const WORK: u64 = 30_000_000;
/// Most requests that are looked up to find out whether an alternative is reachable, or whether two have a
/// request that none takes before them.
const STEPS: u32 = 60;
/// Most routes that are named to overlap one.
const MOST_NAMED: usize = 3;

/// Looks for routes that can never match or overlap. `matters` says whether it matters which of two routes
/// takes a request: it does not if both do the same.
#[must_use]
pub fn examine<'r>(router: &'r Router, matters: impl Fn(&Crossing) -> bool) -> Report<'r> {
    let alternatives: Vec<_> = (0..router.len()).map_while(|rank| router.alternative(rank)).collect();
    let regions: Vec<Region<'r>> =
        alternatives.iter().map(|&(entry, host)| Region::of(entry, host)).collect();
    let solver = Solver::new(Work::new(WORK), &regions);
    let mut examiner =
        Examiner { router, alternatives, regions, solver, verdicts: Vec::new(), is_complete: true };
    examiner.judge();
    let mut findings = examiner.unreachable();
    for (route, overlaps) in examiner.overlaps(&matters) {
        findings.entry(route).or_insert(Kind::Overlaps(overlaps));
    }
    let findings = findings.into_iter().map(|(route, kind)| Finding { route, kind }).collect();
    Report { findings, is_complete: examiner.is_complete && !examiner.solver.work.is_spent() }
}

/// One examination, under way. Everything is by rank.
struct Examiner<'r> {
    router: &'r Router,
    alternatives: Vec<(&'r Entry, Option<&'r HostPattern>)>,
    regions: Vec<Region<'r>>,
    solver: Solver<'r>,
    verdicts: Vec<Verdict<'r>>,
    is_complete: bool,
}

impl<'r> Examiner<'r> {
    /// Finds out which alternatives take any request.
    fn judge(&mut self) {
        for (rank, region) in (0..).zip(&self.regions) {
            let verdict = self.solver.escape(self.router, region, rank, STEPS);
            self.is_complete &= !matches!(verdict, Verdict::Unknown);
            self.verdicts.push(verdict);
        }
    }

    /// The routes that take no request, and those that take none under some of their hosts.
    fn unreachable(&self) -> BTreeMap<RouteIndex, Kind<'r>> {
        let mut ranks: BTreeMap<RouteIndex, Vec<usize>> = BTreeMap::new();
        for (rank, (entry, _)) in self.alternatives.iter().enumerate() {
            ranks.entry(entry.route).or_default().push(rank);
        }
        let kinds = ranks.into_iter().filter_map(|(route, ranks)| Some((route, self.kind(route, &ranks)?)));
        kinds.collect()
    }

    /// What is with a route of these alternatives, as far as reaching it goes.
    fn kind(&self, route: RouteIndex, ranks: &[usize]) -> Option<Kind<'r>> {
        let mut is_all = true;
        let mut impossible = None;
        let mut taken: Option<Unreachable<'r>> = None;
        for &rank in ranks {
            match self.verdicts.get(rank)? {
                Verdict::Takes(_) | Verdict::Unknown => is_all = false,
                Verdict::Impossible(part) => impossible = Some(*part),
                Verdict::Taken { by, example } => {
                    let routes: Vec<RouteIndex> = by.iter().filter_map(|&rank| self.route(rank)).collect();
                    if routes.contains(&route) {
                        continue; // two hosts of it are the same, or one lies within the other
                    }
                    let is_duplicate = matches!(by[..], [by] if self.is_same(by as usize, rank));
                    let host = self.alternatives.get(rank).and_then(|(_, host)| *host);
                    let known = taken.get_or_insert_with(|| Unreachable {
                        hosts: Vec::new(),
                        by: Vec::new(),
                        is_duplicate: true,
                        example: example.clone(),
                    });
                    known.hosts.extend(host);
                    known.by.extend(routes);
                    known.is_duplicate &= is_duplicate;
                }
            }
        }
        match (taken, impossible) {
            (Some(mut taken), _) => {
                let mut seen = HashSet::new();
                taken.by.retain(|route| seen.insert(*route));
                if is_all {
                    taken.hosts.clear();
                }
                Some(Kind::Unreachable(taken))
            }
            (None, Some(part)) if is_all => Some(Kind::Impossible(part)),
            _ => None,
        }
    }

    fn route(&self, rank: Rank) -> Option<RouteIndex> {
        self.alternatives.get(rank as usize).map(|(entry, _)| entry.route)
    }

    /// Whether two alternatives have the same match.
    fn is_same(&self, one: usize, other: usize) -> bool {
        let identity = |rank: usize| {
            let (entry, host) = self.alternatives.get(rank)?;
            Some(Identity::new(&entry.of, *host))
        };
        identity(one) == identity(other)
    }

    /// The routes that overlap others which come before them, nearest first.
    fn overlaps(&mut self, matters: &dyn Fn(&Crossing) -> bool) -> BTreeMap<RouteIndex, Vec<Overlap>> {
        let index = Index::new(self.router, &mut self.solver);
        let mut found: BTreeMap<RouteIndex, Vec<Overlap>> = BTreeMap::new();
        // The first rank of the same priority.
        let mut first = 0;
        for rank in 0..self.alternatives.len() {
            let (entry, host) = self.alternatives[rank];
            if entry.of.priority != self.alternatives[first].0.of.priority {
                first = rank;
            }
            if !self.takes_any(rank) || overlap::takes_all(&self.regions[rank], &entry.of) {
                continue;
            }
            for other in self.candidates(&index, first, rank).into_iter().rev() {
                let (higher, higher_host) = self.alternatives[other];
                let known = found.get(&entry.route).map_or(&[][..], |known| known);
                if known.len() >= MOST_NAMED {
                    break;
                }
                if known.iter().any(|known| known.with == higher.route) {
                    continue;
                }
                let Some(example) = self.overlap(other, rank, matters) else { continue };
                let decided_by = Row::between((&higher.of, higher_host), (&entry.of, host));
                let overlap = Overlap { with: higher.route, decided_by, example };
                found.entry(entry.route).or_default().push(overlap);
            }
        }
        found
    }

    fn takes_any(&self, rank: usize) -> bool {
        matches!(self.verdicts.get(rank), Some(Verdict::Takes(_)))
    }

    /// The ranks from `first` to `rank` whose hosts and paths may meet those of `rank`.
    fn candidates(&mut self, index: &Index<'r>, first: usize, rank: usize) -> Vec<usize> {
        let ((entry, host), region) = (self.alternatives[rank], &self.regions[rank]);
        let is_regex = !region.regexes.is_empty();
        let start = match region.regexes.first() {
            Some(regex) => self.solver.literal_start(regex),
            None => region.shape.start().into(),
        };
        let shape = if is_regex { Shape::around(&start) } else { region.shape.for_now() };
        let query = Query {
            host,
            shape: &shape,
            start: &start,
            is_partial: is_regex,
            ranks: first as Rank..rank as Rank,
            skip_within: !is_regex && overlap::is_open(&entry.of),
        };
        let found = index.candidates(&query, self.router, &mut self.solver.work);
        found.into_iter().map(|rank| rank as usize).collect()
    }

    /// A request that two alternatives match and the one of `higher` takes, if they cross and that matters.
    fn overlap(
        &mut self,
        higher: usize,
        lower: usize,
        matters: &dyn Fn(&Crossing) -> bool,
    ) -> Option<Example> {
        let [(one, _), (two, _)] = [self.alternatives[higher], self.alternatives[lower]];
        let [region, outer] = [&self.regions[higher], &self.regions[lower]];
        let is_nested = overlap::is_open(&two.of) && overlap::is_exact_in_regex(&one.of, &two.of);
        let is_settled = one.route == two.route || is_nested || overlap::are_told_apart(region, outer);
        if is_settled || !self.takes_any(higher) || !self.solver.work.spend(2) {
            return None;
        }
        let is_by_methods = match self.solver.crosses((region, &one.of), (outer, &two.of)) {
            Cross::Yes { is_by_methods } => is_by_methods,
            Cross::No => return None,
            Cross::Unknown => {
                self.is_complete = false;
                return None;
            }
        };
        if !matters(&Crossing { higher: one.route, lower: two.route, is_by_methods }) {
            return None;
        }
        let mut both = region.clone().meet(outer.clone())?;
        // As in `are_told_apart`.
        both.has_single_values = true;
        match self.solver.escape(self.router, &both, higher as Rank, STEPS) {
            Verdict::Takes(example) => Some(example),
            Verdict::Taken { .. } | Verdict::Impossible(_) => None,
            Verdict::Unknown => {
                self.is_complete = false;
                None
            }
        }
    }
}

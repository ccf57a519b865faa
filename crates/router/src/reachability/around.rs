//! Routes that lead around what protects others.
//!
//! A rule on a route holds for the requests that come to this route. Who wants to get around it looks for others:
//! by another host, method or header, by a narrower path, by a path that is rewritten to the same one, in another
//! spelling. It must not know policies: who calls says which routes are protected, and which are weaker than others.
//! Entry point: [`around`].
//!
//! # What is said
//!
//! Let P be protected and O be weaker. A request that O takes is a way around P
//!
//! - where both lead to the same service, if the path that O hands on is one of those that P hands on, whatever the
//!   host, method and conditions: all of these are up to the client. One that differs only in capitals and small
//!   letters is told apart from these ([`How`]).
//!   The method counts in two cases, as it says what a request does: where O is written for methods that only read,
//!   and P for others; and where something stands in front of O too, and the methods are none of P ([`Weaker`]).
//! - where they lead to different services, if it is one that P matches and O takes in its place. Not where O is for
//!   a narrower host or path: every request has one that is narrower, and another service is there for that.
//!
//! What lies within a narrower path and leads to another service, and what O would only take if P did not, is
//! nothing to be told of.

use std::rc::Rc;

use hashbrown::{HashMap, HashSet};

use super::STEPS;
use super::escape::Verdict;
use super::example::Example;
use super::index::{Group, Query};
use super::onward::{Onward, Written};
use super::overlap::{are_told_apart, do_methods_meet};
use super::region::Region;
use super::search::Work;
use super::shape::Shape;
use super::solve::Solver;
use super::spelling::Spellings;
use crate::builder::Entry;
use crate::host::HostPattern;
use crate::rank::Rank;
use crate::{RouteIndex, Router};

/// All work, in the units of [`Work`]: half a second at the very most.
const WORK: u64 = 15_000_000;

/// Where a route leads, and whether anything protects it.
#[derive(Clone, Debug, Default)]
pub struct Road {
    /// The services that it leads to, by number; none where it answers by itself.
    pub services: Vec<u32>,
    /// The path that it hands on, where it is not the one that it matched.
    pub rewrite: Option<Vec<Written>>,
    /// What protects it: the same number stands for the same protection. `None` for nothing.
    pub protection: Option<u32>,
}

/// How a route is weaker than a protected one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weaker {
    /// Nothing stands in front of it, or nothing that counts: any request is a way around.
    Open,
    /// Less stands in front of it. A request is a way around if the protected route is for its method: there may be
    /// stricter rules for those who write than for those who read.
    Less,
}

/// How a way leads around a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It hands on the same path to this service.
    SamePath(u32),
    /// It hands on the same path to this service, with other letters than small ones or capitals. They are those of
    /// the pattern.
    OtherLetters(u32),
    /// It takes requests in its place, to another service.
    InPlace,
}

/// A route that leads around another one.
#[derive(Clone, Debug)]
pub struct Way {
    /// The one that is protected.
    pub protected: RouteIndex,
    /// The one that leads around it.
    pub by: RouteIndex,
    /// How.
    pub how: How,
    /// A request that it takes.
    pub example: Example,
}

/// All that was found.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// The ways, in the order of the protected routes; not more than was asked for.
    pub ways: Vec<Way>,
    /// How many more there are.
    pub more: usize,
    /// A way that exists only because a path in other letters is another path, which a wider route takes: the first.
    pub letters: Option<Way>,
    /// How many more of these there are.
    pub more_letters: usize,
    /// Whether everything was compared. Else some pairs were too much work, and nothing is said about them.
    pub is_complete: bool,
}

/// Looks for routes that lead around others. `roads` are those of the routes, by index. `is_weaker` says of a protected
/// route and another one how much less stands in front of the other one, on the way to a service that both lead to, or
/// in general; `None` for not less. Of the routes with one protection that hand on the same paths to a service for the
/// same methods, one stands for all. At most `most` ways are kept.
#[must_use]
pub fn around(
    router: &Router,
    roads: &[Road],
    most: usize,
    is_weaker: impl Fn(RouteIndex, RouteIndex, Option<u32>) -> Option<Weaker>,
) -> Around {
    let alternatives: Vec<_> = (0..router.len()).map_while(|rank| router.alternative(rank)).collect();
    let shapes = alternatives.iter().map(|(entry, _)| onward(entry, roads).shape);
    let spellings = Spellings::of(shapes);
    let onwards: Vec<Onward<'_>> = alternatives.iter().map(|(entry, _)| onward(entry, roads)).collect();
    let regions: Vec<Region<'_>> =
        alternatives.iter().map(|&(entry, host)| Region::of(entry, host)).collect();
    let solver = Solver::new(Work::new(WORK), &regions);
    let found = Around { is_complete: true, ..Around::default() };
    let mut search = Search {
        router,
        roads,
        alternatives,
        onwards,
        regions,
        spellings: &spellings,
        solver,
        is_weaker: &is_weaker,
        most,
        settled: HashSet::new(),
        found,
    };
    search.run();
    search.found.is_complete &= !search.solver.work.is_spent();
    search.found
}

fn onward<'a>(entry: &'a Entry, roads: &'a [Road]) -> Onward<'a> {
    let road = roads.get(entry.route.0 as usize);
    Onward::of(entry.of.path.as_ref(), road.and_then(|road| road.rewrite.as_deref()))
}

/// One search, under way. Everything that is not a route is by rank.
struct Search<'a> {
    router: &'a Router,
    roads: &'a [Road],
    alternatives: Vec<(&'a Entry, Option<&'a HostPattern>)>,
    onwards: Vec<Onward<'a>>,
    regions: Vec<Region<'a>>,
    spellings: &'a Spellings,
    solver: Solver<'a>,
    is_weaker: &'a dyn Fn(RouteIndex, RouteIndex, Option<u32>) -> Option<Weaker>,
    most: usize,
    /// Pairs that were found: the protected route, and the other one.
    settled: HashSet<(RouteIndex, RouteIndex)>,
    found: Around,
}

/// All paths of a pattern.
type Paths<'a> = (Shape<'a>, Option<&'a str>);

/// What is looked at once: a service, its protection, paths and methods.
type Question<'a> = (u32, Option<u32>, Paths<'a>, &'a [Box<str>]);

/// The alternatives in whose place another one can be, by host and path.
#[derive(Default)]
struct Places<'a> {
    by_host: HashMap<Option<&'a HostPattern>, Group<'a>>,
    /// Those of exactly these paths.
    same: HashMap<(Option<&'a HostPattern>, Paths<'a>), Vec<Rank>>,
}

impl<'a> Search<'a> {
    fn run(&mut self) {
        let mut protected: Vec<(RouteIndex, usize)> = Vec::new();
        for (rank, (entry, _)) in self.alternatives.iter().enumerate() {
            if self.road(entry.route).is_some_and(|road| road.protection.is_some()) {
                protected.push((entry.route, rank));
            }
        }
        protected.sort_unstable();
        let groups = self.groups(&protected);
        let places = self.places();
        let mut asked: HashSet<Question<'a>> = HashSet::new();
        for (route, rank) in protected {
            let Some(road) = self.road(route) else { continue };
            let paths = paths(&self.onwards[rank]);
            for &service in &road.services {
                let methods = &*self.alternatives[rank].0.of.methods;
                if asked.insert((service, road.protection, paths.clone(), methods))
                    && let Some(group) = groups.get(&service)
                {
                    self.same_service((route, rank), service, group);
                }
            }
            self.in_place((route, rank), &places);
            if self.solver.work.is_spent() {
                break;
            }
        }
    }

    fn road(&self, route: RouteIndex) -> Option<&'a Road> {
        self.roads.get(route.0 as usize)
    }

    /// The alternatives by service, in small letters.
    fn groups(&mut self, protected: &[(RouteIndex, usize)]) -> HashMap<u32, Group<'a>> {
        let services = protected.iter().filter_map(|(route, _)| self.road(*route));
        let mut groups: HashMap<u32, Group<'a>> =
            services.flat_map(|road| &road.services).map(|&service| (service, Group::default())).collect();
        for (rank, (entry, _)) in self.alternatives.iter().enumerate() {
            for service in self.road(entry.route).map_or(&[][..], |road| &road.services) {
                let Some(group) = groups.get_mut(service) else { continue };
                let onward = &self.onwards[rank];
                match onward.regex {
                    Some(regex) => {
                        let start = self.solver.literal_start(regex).to_ascii_lowercase();
                        group.insert_regex(start.into(), rank as Rank);
                    }
                    None => group.insert(&self.spellings.folded(&onward.shape), rank as Rank),
                }
            }
        }
        groups
    }

    /// The alternatives that lead to a service, by host.
    fn places(&mut self) -> Places<'a> {
        let mut places = Places::default();
        for (rank, (entry, host)) in self.alternatives.iter().enumerate() {
            if self.road(entry.route).is_none_or(|road| road.services.is_empty()) {
                continue;
            }
            let region = &self.regions[rank];
            let group = places.by_host.entry(*host).or_default();
            match region.regexes.first() {
                Some(regex) => group.insert_regex(self.solver.literal_start(regex), rank as Rank),
                None => group.insert(&region.shape, rank as Rank),
            }
            places.same.entry((*host, paths_of(region))).or_default().push(rank as Rank);
        }
        places
    }

    /// Ways to the same service.
    fn same_service(&mut self, (route, rank): (RouteIndex, usize), service: u32, group: &Group<'a>) {
        let wanted = self.onwards[rank].clone();
        let start: Rc<[u8]> = match wanted.regex {
            Some(regex) => self.solver.literal_start(regex).to_ascii_lowercase().into(),
            None => self.spellings.folded(&wanted.shape).start().into(),
        };
        let is_regex = wanted.regex.is_some();
        let shape =
            if is_regex { Shape::around(&start) } else { self.spellings.folded(&wanted.shape).for_now() };
        let ranks = 0..Rank::MAX;
        let query = Query {
            host: None,
            shape: &shape,
            start: &start,
            is_partial: is_regex,
            ranks,
            skip_within: false,
        };
        let mut candidates = Vec::new();
        group.collect(&query, &mut candidates, &mut self.solver.work);
        candidates.sort_unstable();
        let mut left = Vec::new();
        for other in candidates {
            let Some((entry, _)) = self.alternatives.get(other as usize) else { continue };
            let by = entry.route;
            if by == route || self.settled.contains(&(route, by)) || !self.solver.work.spend(1) {
                continue;
            }
            let Some(weaker) = (self.is_weaker)(route, by, Some(service)) else { continue };
            let methods = &*self.alternatives[rank].0.of.methods;
            if is_for_reading(&entry.of.methods, methods) {
                continue;
            }
            let region = self.regions[other as usize].clone();
            let region = if weaker == Weaker::Less { of_methods(region, methods) } else { region };
            match self.same_path(&wanted, &region, other) {
                Some(example) => {
                    self.keep(Way { protected: route, by, how: How::SamePath(service), example });
                }
                None => left.push((by, other, region)),
            }
        }
        for (by, other, region) in left {
            if !self.settled.contains(&(route, by)) {
                self.other_letters((route, &wanted), (by, other, region), service);
            }
        }
    }

    /// A request of a region that an alternative takes, and for which it hands on a path that is wanted.
    fn same_path(&mut self, wanted: &Onward<'a>, region: &Region<'a>, other: Rank) -> Option<Example> {
        let onward = &self.onwards[other as usize];
        let region = onward.narrow(region, wanted)?;
        let example = self.taken(&region, other)?;
        wanted.holds(&self.onwards[other as usize].hands_on(&example.path)).then_some(example)
    }

    /// Keeps a way of an alternative that takes paths which are wanted, in another spelling.
    fn other_letters(
        &mut self,
        (route, wanted): (RouteIndex, &Onward<'a>),
        (by, other, mut region): (RouteIndex, Rank, Region<'a>),
        service: u32,
    ) {
        let onward = &self.onwards[other as usize];
        if wanted.regex.is_some() || wanted.is_rewritten() || onward.is_rewritten() {
            return;
        }
        let Some(respelled) = self.spellings.respelled(&onward.shape, &wanted.shape) else { return };
        region.shape = respelled.shape;
        let Some(example) = self.taken(&region, other) else { return };
        let way = Way { protected: route, by, how: How::OtherLetters(service), example };
        if respelled.is_written {
            self.keep(way);
        } else if self.settled.insert((route, by)) {
            match self.found.letters {
                Some(_) => self.found.more_letters += 1,
                None => self.found.letters = Some(way),
            }
        }
    }

    /// Ways to another service, in the place of an alternative.
    fn in_place(&mut self, (route, rank): (RouteIndex, usize), places: &Places<'a>) {
        let (host, region) = (self.alternatives[rank].1, self.regions[rank].clone());
        let start = match region.regexes.first() {
            Some(regex) => self.solver.literal_start(regex),
            None => region.shape.start().into(),
        };
        let is_regex = !region.regexes.is_empty();
        let shape = if is_regex { Shape::around(&start) } else { region.shape.for_now() };
        let ranks = 0..rank as Rank;
        // What lies within a path is for a narrower one, unless it is for the same.
        let skip_within = !is_regex;
        let query = Query {
            host: None,
            shape: &shape,
            start: &start,
            is_partial: is_regex,
            ranks: ranks.clone(),
            skip_within,
        };
        let mut candidates = Vec::new();
        let mut hosts = vec![host];
        hosts.extend(host.map(|_| None));
        for host in hosts {
            if let Some(group) = places.by_host.get(&host) {
                group.collect(&query, &mut candidates, &mut self.solver.work);
            }
            let same = places.same.get(&(host, paths_of(&region)));
            candidates.extend(same.into_iter().flatten().filter(|rank| ranks.contains(rank)));
        }
        candidates.sort_unstable();
        candidates.dedup();
        for other in candidates {
            self.try_in_place((route, &region), rank, other);
        }
    }

    fn try_in_place(&mut self, (route, region): (RouteIndex, &Region<'a>), rank: usize, other: Rank) {
        let (entry, _) = self.alternatives[other as usize];
        let (by, outer) = (entry.route, self.alternatives[rank].0);
        let [Some(mine), Some(others)] = [route, by].map(|route| self.road(route)) else { return };
        let is_shared = mine.services.iter().any(|service| others.services.contains(service));
        let is_settled = is_shared || by == route || self.settled.contains(&(route, by));
        if is_settled || !self.solver.work.spend(1) || (self.is_weaker)(route, by, None).is_none() {
            return;
        }
        let inner = self.regions[other as usize].clone();
        if are_told_apart(&inner, region) {
            return;
        }
        if let (Some(path), Some(own)) = (&outer.of.path, &entry.of.path) {
            match self.solver.is_path_within(&inner, path) {
                Some(false) => {}
                Some(true) if self.solver.is_path_within(region, own) == Some(true) => {}
                Some(true) => return,
                None => {
                    self.found.is_complete = false;
                    return;
                }
            }
        } else if outer.of.path.is_none() && entry.of.path.is_some() {
            return;
        }
        let Some(mut both) = inner.meet(region.clone()) else { return };
        both.has_single_values = true;
        if let Some(example) = self.taken(&both, other) {
            self.keep(Way { protected: route, by, how: How::InPlace, example });
        }
    }

    /// A request of a region that an alternative takes.
    fn taken(&mut self, region: &Region<'a>, by: Rank) -> Option<Example> {
        match self.solver.escape(self.router, region, by, STEPS) {
            Verdict::Takes(example) => Some(example),
            Verdict::Taken { .. } | Verdict::Impossible(_) => None,
            Verdict::Unknown => {
                self.found.is_complete = false;
                None
            }
        }
    }

    fn keep(&mut self, way: Way) {
        if !self.settled.insert((way.protected, way.by)) {
            return;
        }
        if self.found.ways.len() < self.most {
            self.found.ways.push(way);
        } else {
            self.found.more += 1;
        }
    }
}

/// Whether methods that only read are told apart from others.
fn is_for_reading(methods: &[Box<str>], others: &[Box<str>]) -> bool {
    let only_reads = |method: &str| matches!(method, "GET" | "HEAD" | "OPTIONS");
    !methods.is_empty()
        && methods.iter().all(|method| only_reads(method))
        && !do_methods_meet(methods, others)
}

/// Of a region, what is of these methods.
fn of_methods<'a>(mut region: Region<'a>, methods: &'a [Box<str>]) -> Region<'a> {
    region.methods.extend((!methods.is_empty()).then_some(methods));
    region
}

fn paths<'a>(onward: &Onward<'a>) -> Paths<'a> {
    (onward.shape.clone(), onward.regex.map(|regex| regex.source()))
}

fn paths_of<'a>(region: &Region<'a>) -> Paths<'a> {
    (region.shape.clone(), region.regexes.first().map(|regex| regex.source()))
}

//! Choosing a request that is in a region and avoids what must be avoided.
//!
//! Each part of a request is chosen by itself, and exactly: if there is none, that is a proof. A request
//! holds no more values than its region asks for, as every further one only makes more conditions hold.
//! Entry point: [`Solver::solve`].

use std::rc::Rc;

use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use super::dfa::{Dfa, Regexes};
use super::example::Example;
use super::frame::Frame;
use super::region::{Avoid, Condition, Region, is_host_within, regex};
use super::report::Part;
use super::search::{Found, Language, Work, search};
use super::shape::{Machine, Part as Segment, Shape};
use crate::conditions::serves_method;
use crate::host::HostPattern;
use crate::path::PathPattern;
use crate::regex::ByteRegex;
use crate::value::ValuePattern;

/// Most paths that are avoided at once: a search walks them all.
const MOST_PATHS: usize = 6;
/// Longest name in DNS, without trailing dot (RFC 1035 §2.3.4).
const LONGEST_HOST: usize = 253;
/// Where nothing else is asked for, the methods that are tried.
const METHODS: &[&str] = &["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"];

/// What became of the choice of a request.
#[derive(Debug)]
pub(super) enum Solved<'r> {
    /// This one.
    Request(Example),
    /// There is none, because nothing is left for this part.
    None(Part<'r>),
    /// It is not known.
    Unknown,
}

/// Chooses requests. Its bounds hold for all that it is asked.
#[derive(Debug)]
pub(super) struct Solver<'r> {
    pub(super) work: Work,
    pub(super) regexes: Regexes<'r>,
    /// A segment that no pattern has as a literal.
    word: String,
    /// A host that no pattern matches; `None` if that needs no care.
    other_host: Option<String>,
    /// The shortest text of a regex.
    shortest: HashMap<(&'r str, Frame), Found<Vec<u8>>>,
    /// What every path begins with that a regex matches.
    starts: HashMap<&'r str, Rc<[u8]>>,
}

/// A pattern of a path or value, ready to be walked.
enum Walked<'a> {
    Exact(&'a [u8]),
    Shape(Machine),
    Regex(Rc<Dfa>),
}

impl Walked<'_> {
    fn language(&self) -> Language<'_> {
        match self {
            Self::Exact(text) => Language::Exact(text),
            Self::Shape(machine) => Language::Shape(machine),
            Self::Regex(dfa) => Language::Regex(dfa),
        }
    }
}

impl<'r> Solver<'r> {
    /// For a router of these regions.
    pub(super) fn new(work: Work, regions: &[Region<'r>]) -> Self {
        let parts = regions.iter().flat_map(|region| &region.shape.parts);
        let literals: HashSet<&[u8]> = parts
            .filter_map(|part| match part {
                Segment::Literal(literal) => Some(*literal),
                Segment::Name => None,
            })
            .collect();
        let words = ["42", "7", "item", "any"].into_iter().map(str::to_owned);
        let mut words = words.chain((1..).map(|number| format!("x{number}")));
        let word = words.find(|word| !literals.contains(word.as_bytes())).unwrap_or_default();
        // Who leaves the host out of a URL means his own machine.
        let is_named =
            |name: &str| regions.iter().any(|region| region.host.is_some_and(|host| host.matches(name)));
        let mut names = ["example.com", "example.org"].into_iter().map(str::to_owned);
        let other_host = is_named("localhost").then(|| {
            names
                .find(|name| !is_named(name))
                .or_else(|| (1..).map(|number| format!("x{number}.test")).find(|name| !is_named(name)))
        });
        let (regexes, shortest, starts) = (Regexes::default(), HashMap::new(), HashMap::new());
        Self { work, regexes, word, other_host: other_host.flatten(), shortest, starts }
    }

    /// A request of the region that none of `avoided` matches.
    pub(super) fn solve(&mut self, region: &Region<'r>, avoided: &[Avoid<'r>]) -> Solved<'r> {
        let mut is_known = true;
        let host = match host(region.host, avoided) {
            Found::Some(host) => host.or_else(|| self.other_host.clone()),
            Found::None => return Solved::None(Part::Host),
            Found::Unknown => return Solved::Unknown,
        };
        let Some(method) = method(&region.methods, avoided) else {
            return Solved::None(Part::Method);
        };
        let mut values: Vec<(Condition<'r>, Vec<u8>)> = Vec::new();
        let mut left = in_order(&region.conditions);
        while let Some(&condition) = left.first() {
            // The host is another part of the request already, and the two would have to agree.
            is_known &= !(condition.field == Frame::Header && condition.name == "host");
            let wanted: SmallVec<[&'r ValuePattern; 2]> = if region.has_single_values {
                left.iter().filter(|one| one.is_about(&condition)).map(|one| one.pattern).collect()
            } else {
                SmallVec::from_slice(&[condition.pattern])
            };
            match self.value(condition, &wanted, avoided) {
                Found::Some(value) => {
                    left.retain(|one| !(one.is_about(&condition) && one.pattern.matches(&value)));
                    values.push((condition, value));
                }
                Found::None => return Solved::None(Part::of(condition)),
                Found::Unknown => {
                    is_known = false;
                    left.remove(0);
                }
            }
        }
        let path = match self.path(region, avoided) {
            Found::Some(path) => path,
            Found::None => return Solved::None(Part::Path),
            Found::Unknown => return Solved::Unknown,
        };
        if !is_known {
            return Solved::Unknown;
        }
        let of = |field: Frame| {
            let all = values.iter().filter(|(condition, _)| condition.field == field);
            all.map(|(condition, value)| (condition.name.into(), value[..].into())).collect()
        };
        let (headers, query) = (of(Frame::Header), of(Frame::Query));
        Solved::Request(Example::new(&method, host.as_deref(), path, headers, query))
    }

    /// A path of the region that none of `avoided` matches.
    pub(super) fn path(&mut self, region: &Region<'r>, avoided: &[Avoid<'r>]) -> Found<Vec<u8>> {
        let avoided: SmallVec<[&'r PathPattern; 4]> = avoided
            .iter()
            .filter_map(|avoid| match avoid {
                Avoid::Path(path) => Some(*path),
                _ => None,
            })
            .collect();
        if region.regexes.is_empty() {
            let mut instances = region.shape.instances(self.word.as_bytes());
            if let Some(path) = instances.find(|path| !avoided.iter().any(|avoided| avoided.matches(path))) {
                return Found::Some(path);
            }
            let mut shapes = avoided.iter().filter_map(|avoided| Shape::of(Some(avoided)));
            if shapes.any(|avoided| region.shape.is_within(&avoided)) {
                return Found::None;
            }
        }
        if let ([regex], true) = (&region.regexes[..], region.shape == Shape::all())
            && let Found::Some(path) = self.shortest(regex.source(), Frame::Path)
            && !avoided.iter().any(|avoided| avoided.matches(&path))
        {
            return Found::Some(path);
        }
        if avoided.len() > MOST_PATHS {
            return Found::Unknown;
        }
        let Some(mut within) = self.walked(region.regexes.iter().map(|regex| regex.source()), Frame::Path)
        else {
            return Found::Unknown;
        };
        if region.shape != Shape::all() {
            within.push(Walked::Shape(Machine::new(&region.shape)));
        }
        let regexes = avoided.iter().filter_map(|path| regex(Some(path)));
        let Some(mut without) = self.walked(regexes.map(|regex| regex.source()), Frame::Path) else {
            return Found::Unknown;
        };
        let shapes = avoided.iter().filter_map(|path| Shape::of(Some(path)));
        without.extend(shapes.map(|shape| Walked::Shape(Machine::new(&shape))));
        self.search(Frame::Path, &within, &without)
    }

    /// A value for the field that `about` is about, which passes all of `wanted`.
    fn value(
        &mut self,
        about: Condition<'r>,
        wanted: &[&'r ValuePattern],
        avoided: &[Avoid<'r>],
    ) -> Found<Vec<u8>> {
        let frame = about.field;
        let unwanted: SmallVec<[&'r ValuePattern; 4]> = avoided
            .iter()
            .filter_map(|avoid| match avoid {
                Avoid::Condition(condition) if condition.is_about(&about) => Some(condition.pattern),
                _ => None,
            })
            .collect();
        let passes = |value: &[u8]| {
            frame.admits(value)
                && wanted.iter().all(|pattern| pattern.matches(value))
                && !unwanted.iter().any(|pattern| pattern.matches(value))
        };
        let exact = wanted.iter().find_map(|pattern| match pattern {
            ValuePattern::Exact(value) => Some(value),
            _ => None,
        });
        if let Some(value) = exact {
            return if passes(value) { Found::Some(value.to_vec()) } else { Found::None };
        }
        if unwanted.contains(&&ValuePattern::Present) {
            return Found::None;
        }
        let regexes = wanted.iter().filter_map(|pattern| regex_of(pattern));
        let regexes: SmallVec<[&'r str; 2]> = regexes.collect();
        let plain: SmallVec<[Found<Vec<u8>>; 3]> = match regexes[..] {
            [] => ["1", "2", "x"].map(|value| Found::Some(value.into())).into(),
            [regex] => std::iter::once(self.shortest(regex, frame)).collect(),
            _ => SmallVec::new(),
        };
        for value in plain {
            match value {
                Found::Some(value) if passes(&value) => return Found::Some(value),
                Found::Some(_) => {}
                other => return other,
            }
        }
        let within = self.walked(regexes.iter().copied(), frame);
        let without = self.walked(unwanted.iter().filter_map(|pattern| regex_of(pattern)), frame);
        let (Some(within), Some(mut without)) = (within, without) else { return Found::Unknown };
        without.extend(unwanted.iter().filter_map(|pattern| match pattern {
            ValuePattern::Exact(value) => Some(Walked::Exact(value)),
            _ => None,
        }));
        self.search(frame, &within, &without)
    }

    /// What every path begins with that the regex matches, as far as it is known.
    pub(super) fn literal_start(&mut self, regex: &'r ByteRegex) -> Rc<[u8]> {
        if let Some(known) = self.starts.get(regex.source()) {
            return Rc::clone(known);
        }
        let start: Rc<[u8]> = match self.regexes.dfa(regex.source(), Frame::Path) {
            Some(dfa) => dfa.literal_start().into(),
            None => regex.start().into(),
        };
        self.starts.insert(regex.source(), Rc::clone(&start));
        start
    }

    /// Regexes, as tables of states.
    fn walked(
        &mut self,
        sources: impl Iterator<Item = &'r str>,
        frame: Frame,
    ) -> Option<SmallVec<[Walked<'r>; 4]>> {
        sources.map(|source| self.regexes.dfa(source, frame).map(Walked::Regex)).collect()
    }

    /// The shortest text that a regex matches.
    fn shortest(&mut self, source: &'r str, frame: Frame) -> Found<Vec<u8>> {
        if let Some(known) = self.shortest.get(&(source, frame)) {
            return known.clone();
        }
        let found = match self.regexes.dfa(source, frame) {
            Some(dfa) => search(frame, &[Language::Regex(&dfa)], &[], &mut self.work),
            None => Found::Unknown,
        };
        self.shortest.insert((source, frame), found.clone());
        found
    }

    fn search(&mut self, frame: Frame, within: &[Walked<'_>], without: &[Walked<'_>]) -> Found<Vec<u8>> {
        let [within, without] = [within, without]
            .map(|all| all.iter().map(Walked::language).collect::<SmallVec<[Language<'_>; 4]>>());
        search(frame, &within, &without, &mut self.work)
    }

    /// Whether two regexes have a path in common; `None` if it is not known.
    pub(super) fn do_regexes_meet(&mut self, one: &'r ByteRegex, other: &'r ByteRegex) -> Option<bool> {
        if one.source() == other.source() {
            return Some(true);
        }
        let one = self.regexes.dfa(one.source(), Frame::Path)?;
        let other = self.regexes.dfa(other.source(), Frame::Path)?;
        match search(Frame::Path, &[Language::Regex(&one), Language::Regex(&other)], &[], &mut self.work) {
            Found::Some(_) => Some(true),
            Found::None => Some(false),
            Found::Unknown => None,
        }
    }

    /// Whether every path of `inner` is one of `outer`; `None` if it is not known.
    pub(super) fn is_path_within(&mut self, inner: &Region<'r>, outer: &'r PathPattern) -> Option<bool> {
        let shape = Shape::of(Some(outer));
        if inner.regexes.is_empty()
            && let Some(outer) = shape
        {
            return Some(inner.shape.is_within(&outer));
        }
        if regex(Some(outer))
            .is_some_and(|outer| inner.regexes.iter().any(|one| one.source() == outer.source()))
        {
            return Some(true);
        }
        match self.path(inner, &[Avoid::Path(outer)]) {
            Found::Some(_) => Some(false),
            Found::None => Some(true),
            Found::Unknown => None,
        }
    }

    /// Whether a value that satisfies `inner` always satisfies `outer`; `None` if it is not known.
    pub(super) fn is_value_within(&mut self, inner: Condition<'r>, outer: Condition<'r>) -> Option<bool> {
        if inner.pattern == outer.pattern {
            return Some(true);
        }
        match self.value(inner, &[inner.pattern], &[Avoid::Condition(outer)]) {
            Found::Some(_) => Some(false),
            Found::None => Some(true),
            Found::Unknown => None,
        }
    }
}

fn regex_of(pattern: &ValuePattern) -> Option<&str> {
    match pattern {
        ValuePattern::Regex(regex) => Some(regex.as_str()),
        _ => None,
    }
}

/// Exact values first, as one may satisfy the other conditions on its name too.
fn in_order<'r>(conditions: &[Condition<'r>]) -> SmallVec<[Condition<'r>; 4]> {
    let mut all: SmallVec<[Condition<'r>; 4]> = conditions.into();
    all.sort_by_key(|condition| match condition.pattern {
        ValuePattern::Exact(_) => 0,
        ValuePattern::Regex(_) => 1,
        ValuePattern::Present => 2,
    });
    all
}

/// A host of the pattern that is none of `avoided`. Without a pattern it is no host at all, which no pattern
/// matches, as little as the countless names that nobody has thought of.
fn host(pattern: Option<&HostPattern>, avoided: &[Avoid<'_>]) -> Found<Option<String>> {
    let avoided: SmallVec<[&HostPattern; 4]> = avoided
        .iter()
        .filter_map(|avoid| match avoid {
            Avoid::Host(host) => Some(*host),
            _ => None,
        })
        .collect();
    let is_free = |host: &str| !avoided.iter().any(|pattern| pattern.matches(host));
    match pattern {
        None => Found::Some(None),
        Some(HostPattern::Exact(name)) if is_free(name) => Found::Some(Some(name.to_string())),
        Some(HostPattern::Exact(_)) => Found::None,
        Some(HostPattern::Wildcard(_)) if avoided.iter().any(|&one| is_host_within(pattern, Some(one))) => {
            Found::None
        }
        Some(HostPattern::Wildcard(below)) => {
            // What is left to avoid are names, and wildcards further below: one more label than there are
            // patterns is free.
            let labels = ["www", "api", "app"].into_iter().map(str::to_owned);
            let labels = labels.chain((1..=avoided.len()).map(|number| format!("x{number}")));
            let mut hosts = labels.map(|label| format!("{label}.{below}"));
            match hosts.find(|host| host.len() <= LONGEST_HOST && is_free(host)) {
                Some(host) => Found::Some(Some(host)),
                None => Found::Unknown,
            }
        }
    }
}

/// A method that one of each of `wanted` serves, and none of `avoided` (of which none serves all).
fn method(wanted: &[&[Box<str>]], avoided: &[Avoid<'_>]) -> Option<String> {
    let is_free = |method: &&str| {
        let serves = |methods: &[Box<str>]| serves_method(methods, method.as_bytes());
        wanted.iter().all(|methods| serves(methods))
            && !avoided.iter().any(|avoid| matches!(avoid, Avoid::Methods(methods) if serves(methods)))
    };
    match wanted.first() {
        Some(named) => ["GET"]
            .into_iter()
            .chain(named.iter().map(|method| &**method))
            .chain(["HEAD"])
            .find(is_free)
            .map(str::to_owned),
        None => match METHODS.iter().copied().find(is_free) {
            Some(method) => Some(method.to_owned()),
            // Other methods pass as well.
            None => (1..).map(|number| format!("OTHER-{number}")).find(|method| is_free(&method.as_str())),
        },
    }
}

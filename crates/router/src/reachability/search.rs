//! The shortest text that some patterns match and others do not.
//!
//! Every pattern is walked as an automaton, all at once, over the texts of a [`Frame`]: breadth first, so
//! that what is found is as short as can be, and what is not found is not there. It must not know routes.
//! Entry point: [`search`].

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashSet, HashTable};
use smallvec::SmallVec;

use super::bytes::{ByteSet, ORDER, PLACE};
use super::dfa::{DEAD, Dfa, SURE, State};
use super::frame::{self, Frame, FrameState};
use super::shape::Machine;

/// Most states of one search. More than a few hundred are rare.
const STATES: usize = 1 << 14;

/// Work to find the kinds of bytes.
const SETTING_UP: u64 = 100;
/// So few bytes are all tried.
const FEW: u32 = 16;

/// A pattern, as a search walks it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Language<'a> {
    /// This text only.
    Exact(&'a [u8]),
    /// Paths by segments.
    Shape(&'a Machine),
    /// A regex.
    Regex(&'a Dfa),
}

/// What became of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found<T> {
    /// This one is.
    Some(T),
    /// There is none.
    None,
    /// It was too much work, or a regex is too large.
    Unknown,
}

/// How much may still be done, so that no configuration takes long: a unit is some 20 ns.
#[derive(Debug)]
pub(super) struct Work {
    left: u64,
}

impl Work {
    pub(super) fn new(units: u64) -> Self {
        Self { left: units }
    }

    /// Takes a part of what is left; false if there is not so much.
    pub(super) fn spend(&mut self, units: u64) -> bool {
        let left = self.left.checked_sub(units);
        self.left = left.unwrap_or(0);
        left.is_some()
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left == 0
    }
}

impl Language<'_> {
    fn start(&self) -> State {
        match self {
            Self::Exact(_) | Self::Shape(_) => 0,
            Self::Regex(dfa) => dfa.start(),
        }
    }

    fn step(&self, state: State, byte: u8) -> State {
        match self {
            Self::Exact(text) => match text.get(state as usize) {
                Some(&wanted) if wanted == byte => state + 1,
                _ => DEAD,
            },
            Self::Shape(machine) => machine.step(state, byte),
            Self::Regex(dfa) => dfa.step(state, byte),
        }
    }

    /// The bytes after which something can still match.
    fn live(&self, state: State) -> ByteSet {
        match self {
            Self::Exact(text) => ByteSet::of(text.get(state as usize).copied()),
            Self::Shape(machine) => machine.live(state),
            Self::Regex(dfa) => dfa.live(state),
        }
    }

    fn accepts(&self, state: State) -> bool {
        match self {
            Self::Exact(text) => state as usize == text.len(),
            Self::Shape(machine) => machine.accepts(state),
            Self::Regex(dfa) => dfa.accepts(state),
        }
    }
}

/// States of all patterns: first those that must match, then those that must not.
type States = SmallVec<[State; 6]>;

/// Where a search has come to, and how: from which place in its list, by which byte.
struct Reached {
    place: FrameState,
    states: States,
    from: usize,
    byte: u8,
}

/// The shortest text that all of `within` match and none of `without`.
pub(super) fn search(
    frame: Frame,
    within: &[Language<'_>],
    without: &[Language<'_>],
    work: &mut Work,
) -> Found<Vec<u8>> {
    let all: SmallVec<[Language<'_>; 6]> = within.iter().chain(without).copied().collect();
    let is_hopeless = |states: &States| {
        let (wanted, unwanted) = states.split_at(within.len());
        wanted.contains(&DEAD) || unwanted.contains(&SURE)
    };
    let is_found = |at: FrameState, states: &States| {
        let mut accepted = all.iter().zip(states).map(|(language, &state)| language.accepts(state));
        frame.may_end(at) && (0..all.len()).all(|place| accepted.next() == Some(place < within.len()))
    };
    let first: States = all.iter().map(Language::start).collect();
    if is_hopeless(&first) {
        return Found::None;
    }
    let hasher = DefaultHashBuilder::default();
    let mut reached = vec![Reached { place: frame::START, states: first, from: 0, byte: 0 }];
    let mut seen: HashTable<usize> = HashTable::new();
    let mut kinds: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(Reached { place, states, .. }) = reached.get(at) {
        let (place, states) = (*place, states.clone());
        if is_found(place, &states) {
            return Found::Some(text_of(&reached, at));
        }
        let live = within
            .iter()
            .zip(&states)
            .fold(ByteSet::ALL, |live, (language, &state)| live.and(language.live(state)));
        // Mostly there is next to nothing to try; else it pays to try one byte of each kind.
        let mut few: SmallVec<[u8; 16]> = SmallVec::new();
        let tried = if live.len() <= FEW || frame.wants_digit(place) {
            few.extend(live.iter());
            few.sort_unstable_by_key(|&byte| PLACE[usize::from(byte)]);
            &few
        } else {
            if kinds.is_none() {
                kinds = representatives(frame, &all).filter(|_| work.spend(SETTING_UP));
            }
            let Some(kinds) = &kinds else { return Found::Unknown };
            &kinds[..]
        };
        if reached.len() > STATES || !work.spend(8 + (tried.len() * all.len() / 2) as u64) {
            return Found::Unknown;
        }
        for &byte in tried.iter().filter(|&&byte| live.holds(byte)) {
            let Some(place) = frame.step(place, byte) else { continue };
            let states: States =
                all.iter().zip(&states).map(|(language, &state)| language.step(state, byte)).collect();
            if is_hopeless(&states) {
                continue;
            }
            let hash = hasher.hash_one((place, &states));
            let is_same = |&known: &usize| {
                reached.get(known).is_some_and(|known| known.place == place && known.states == states)
            };
            if seen.find(hash, is_same).is_none() {
                seen.insert_unique(hash, reached.len(), |&known| {
                    reached.get(known).map_or(0, |known| hasher.hash_one((known.place, &known.states)))
                });
                reached.push(Reached { place, states, from: at, byte });
            }
        }
        at += 1;
    }
    Found::None
}

fn text_of(reached: &[Reached], mut at: usize) -> Vec<u8> {
    let mut text = Vec::new();
    while at > 0
        && let Some(known) = reached.get(at)
    {
        text.push(known.byte);
        at = known.from;
    }
    text.reverse();
    text
}

/// One byte of all that no pattern tells apart, by kind; `None` for too many regexes.
fn representatives(frame: Frame, all: &[Language<'_>]) -> Option<Vec<u8>> {
    let mut is_alone = [false; 256];
    let mut regexes: SmallVec<[&Dfa; 4]> = SmallVec::new();
    for language in all {
        match language {
            Language::Exact(text) => text.iter().for_each(|&byte| is_alone[usize::from(byte)] = true),
            Language::Shape(machine) => {
                machine.literals().for_each(|byte| is_alone[usize::from(byte)] = true);
            }
            Language::Regex(dfa) => regexes.push(dfa),
        }
    }
    if regexes.len() >= size_of::<u128>() {
        return None;
    }
    // What each pattern makes of a byte, in a byte of this number each.
    let mut kinds: HashSet<u128> = HashSet::new();
    let is_first = |byte: &u8| {
        let alone = if is_alone[usize::from(*byte)] || is_special(frame, *byte) { *byte } else { 0 };
        let class = |kind: u128, dfa: &&Dfa| kind << 8 | u128::from(dfa.class(*byte));
        kinds.insert(regexes.iter().fold(u128::from(alone), class))
    };
    Some(ORDER.into_iter().filter(|&byte| frame.holds(byte)).filter(is_first).collect())
}

/// Bytes that the frame tells from others.
fn is_special(frame: Frame, byte: u8) -> bool {
    match frame {
        Frame::Path => matches!(byte, b'/' | b'.' | b'%'),
        Frame::Header => matches!(byte, b' ' | b'\t'),
        Frame::Query => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::PathPattern;
    use crate::reachability::shape::Shape;

    enum Pattern {
        Shape(Machine),
        Regex(Dfa),
    }

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        let made = texts.iter().map(|text| match text.strip_prefix('~') {
            Some(source) => Pattern::Regex(Dfa::build(source, Frame::Path).unwrap()),
            None => {
                let pattern = PathPattern::parse(text).unwrap();
                Pattern::Shape(Machine::new(&Shape::of(Some(&pattern)).unwrap()))
            }
        });
        made.collect()
    }

    fn languages(patterns: &[Pattern]) -> Vec<Language<'_>> {
        let all = patterns.iter().map(|pattern| match pattern {
            Pattern::Shape(machine) => Language::Shape(machine),
            Pattern::Regex(dfa) => Language::Regex(dfa),
        });
        all.collect()
    }

    #[test]
    fn shortest_paths() {
        for (within, without, want) in [
            (&["/a/*"][..], &[][..], Some("/a")),
            (&["/a/*"], &["/a"], Some("/a/")),
            (&["/a/*"], &["/a", "/a/"], Some("/a/a")),
            (&["/a/*"], &["/a", "/a/", "/a/{x}"], Some("/a/a/")),
            (&["/a/*"], &["/a", "/a/", "/a/{x}", "/a/{x}/*"], None),
            (&["/{x}/b", "/a/{y}"], &[], Some("/a/b")),
            (&["/{x}"], &["~[a-z]"], Some("/1")),
            (&["/{x}"], &["~[a-zA-Z0-9]"], Some("/-")),
            (&["/{x}"], &["~[a-zA-Z]", "~[0-9]"], Some("/-")),
            (&["~\\.png$", "/img/*"], &[], Some("/img/.png")),
            (&["~^/\\.\\.?$"], &[], None),
            (&["~^/a//b"], &[], None),
            (&["~^a"], &[], None),
            (&["~^/%41"], &[], None),
            (&["~^/%2F$"], &[], Some("/%2F")),
            (&["~^/[^a-z]{2}$"], &["~1"], Some("/22")),
            (&["~^/v[0-9]+/x$"], &["/v1/{a}"], Some("/v2/x")),
            (&["~^/r/[0-9]+$"], &["/{kind}/{id}"], None),
            (&["~^/q/x/[0-9]+$"], &["~^/q/x/.*$"], None),
            (&["~^/q/x/.*$"], &["~^/q/x/[0-9]+$"], Some("/q/x/")),
        ] {
            let (inside, outside) = (patterns(within), patterns(without));
            let mut work = Work::new(1_000_000);
            let found = search(Frame::Path, &languages(&inside), &languages(&outside), &mut work);
            let want = want.map_or(Found::None, |text| Found::Some(text.as_bytes().to_vec()));
            assert_eq!(found, want, "{within:?} without {without:?}");
        }
    }

    #[test]
    fn values() {
        let find = |frame: Frame, within: &str, without: &[u8]| {
            let dfa = Dfa::build(within, frame).unwrap();
            let found =
                search(frame, &[Language::Regex(&dfa)], &[Language::Exact(without)], &mut Work::new(100_000));
            match found {
                Found::Some(text) => Some(String::from_utf8_lossy(&text).into_owned()),
                _ => None,
            }
        };
        assert_eq!(find(Frame::Header, "^v[0-9]+$", b"v1").as_deref(), Some("v2"));
        assert_eq!(find(Frame::Header, "^ ?a$", b"a"), None, "no space at an end");
        assert_eq!(find(Frame::Query, "^ ?a$", b"a").as_deref(), Some(" a"));
        assert_eq!(find(Frame::Header, "a\nb", b""), None);
        assert_eq!(find(Frame::Header, "^$", b""), None);
    }

    #[test]
    fn work_is_bounded() {
        let many = patterns(&["~a.{8}$", "~b.{9}$", "~c.{10}$"]);
        let found = search(Frame::Path, &languages(&many), &[], &mut Work::new(1000));
        assert_eq!(found, Found::Unknown);
        let mut work = Work::new(10);
        assert!(work.spend(4) && !work.spend(7) && work.is_spent());
    }
}

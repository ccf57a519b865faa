//! Regexes as tables of states, small enough to be compared with other patterns.
//!
//! A regex matches anywhere in a text, so a state that has seen a match stays one. It must not know
//! routes. Entry points: [`Regexes::dfa`], [`Dfa::build`].

use std::cell::RefCell;
use std::rc::Rc;

use hashbrown::HashMap;
use regex_automata::Anchored;
use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;

use super::bytes::ByteSet;
use super::frame::Frame;
use super::shape::{Part, Shape};
use crate::regex;

/// State of a pattern that is walked byte by byte.
pub(super) type State = u32;
/// Nothing that follows can match any more.
pub(super) const DEAD: State = State::MAX;
/// Whatever follows, it matches.
pub(super) const SURE: State = State::MAX - 1;

/// Memory for the states of one regex. What needs more is not compared, as most are small, and a few grow
/// without measure when they are made deterministic.
const BYTES: usize = 128 << 10;

/// The states of one regex over the texts of one [`Frame`].
#[derive(Debug)]
pub(super) struct Dfa {
    /// Which bytes mean the same.
    classes: Box<[u8; 256]>,
    width: usize,
    /// By state and class.
    next: Vec<State>,
    /// The bytes that do not lead to [`DEAD`], by state.
    live: Vec<ByteSet>,
    /// Whether a text that ends in the state matches.
    accepts: Vec<bool>,
    start: State,
    /// Where a whole segment leads, by state.
    segments: RefCell<HashMap<State, Rc<[State]>>>,
}

/// What a quick look at a shape found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sweep {
    /// Some path may match.
    pub(super) may_match: bool,
    /// Some path may not match.
    pub(super) may_differ: bool,
}

impl Dfa {
    /// `None` if it is too large, or depends on more than the bytes it sees.
    pub(super) fn build(source: &str, frame: Frame) -> Option<Self> {
        let limits = dense::Config::new().dfa_size_limit(Some(BYTES)).determinize_size_limit(Some(BYTES));
        let dfa = dense::Builder::new()
            .configure(limits.start_kind(StartKind::Unanchored).accelerate(false))
            .thompson(thompson::Config::new().utf8(false).nfa_size_limit(Some(regex::AUTOMATON_BYTES)))
            .syntax(regex::syntax())
            .build(source)
            .ok()?;
        let mut classes = Box::new([u8::MAX; 256]);
        let mut bytes: Vec<u8> = Vec::new();
        let mut numbers: HashMap<u8, u8> = HashMap::new();
        for byte in (0..=u8::MAX).filter(|&byte| frame.holds(byte)) {
            let number = *numbers.entry(dfa.byte_classes().get(byte)).or_insert_with(|| {
                bytes.push(byte);
                (bytes.len() - 1) as u8
            });
            classes[usize::from(byte)] = number;
        }
        explore(&dfa, &bytes).map(|(next, accepts)| {
            let width = bytes.len();
            let segments = RefCell::default();
            let live = Vec::new();
            let mut made = Self { classes, width, next, live, accepts, start: 0, segments };
            made.settle();
            made
        })
    }

    pub(super) fn start(&self) -> State {
        self.start
    }

    /// What every text that matches begins with, as far as it is clear.
    pub(super) fn literal_start(&self) -> Vec<u8> {
        let mut literal = Vec::new();
        let mut state = self.start;
        while state < SURE && !self.accepts(state) && literal.len() <= self.accepts.len() {
            let live = self.live(state);
            let Some(byte) = (0..=u8::MAX).find(|&byte| live.holds(byte)).filter(|_| live.len() == 1) else {
                break;
            };
            literal.push(byte);
            state = self.step(state, byte);
        }
        literal
    }

    /// How much memory it takes, in bytes.
    fn size(&self) -> usize {
        self.next.len() * size_of::<State>() + self.live.len() * size_of::<ByteSet>()
    }

    pub(super) fn step(&self, state: State, byte: u8) -> State {
        if state >= SURE {
            return state;
        }
        let class = usize::from(self.classes[usize::from(byte)]);
        if class >= self.width {
            return DEAD;
        }
        self.next.get(state as usize * self.width + class).copied().unwrap_or(DEAD)
    }

    pub(super) fn accepts(&self, state: State) -> bool {
        state == SURE || self.accepts.get(state as usize).is_some_and(|&accepts| accepts)
    }

    /// The bytes after which something can still match.
    pub(super) fn live(&self, state: State) -> ByteSet {
        let known = self.live.get(state as usize).copied();
        known.unwrap_or(if state == SURE { ByteSet::ALL } else { ByteSet::default() })
    }

    /// Which bytes need not be told apart.
    pub(super) fn class(&self, byte: u8) -> u8 {
        self.classes[usize::from(byte)]
    }

    /// The states that some segment which is not empty leads to, whatever it is. It takes no notice of
    /// what a segment cannot hold, so it may name too many states, never too few.
    pub(super) fn behind_a_segment(&self, from: State) -> Rc<[State]> {
        if from >= SURE {
            return Rc::new([from]);
        }
        if let Some(known) = self.segments.borrow().get(&from) {
            return Rc::clone(known);
        }
        let bytes = self.bytes_of_segments();
        let mut found: Vec<State> = Vec::new();
        let mut is_found = vec![false; self.accepts.len() + 2];
        let mut left = vec![from];
        while let Some(state) = left.pop() {
            for &byte in &bytes {
                let to = self.step(state, byte);
                let place = (to as usize).min(self.accepts.len() + usize::from(to == DEAD));
                if !std::mem::replace(&mut is_found[place], true) {
                    found.push(to);
                    left.push(to);
                }
            }
        }
        let found: Rc<[State]> = found.into();
        self.segments.borrow_mut().insert(from, Rc::clone(&found));
        found
    }

    /// Whether some path of the shape may match, and whether some may not: a quick look that is wrong only
    /// in saying that it may be. It costs as many steps as the second number says.
    pub(super) fn sweep(&self, shape: &Shape<'_>) -> (Sweep, u64) {
        let mut states: Vec<State> = vec![self.start];
        let mut cost = 0;
        let mut step = |states: &mut Vec<State>, byte: u8| {
            cost += states.len() as u64;
            states.iter_mut().for_each(|state| *state = self.step(*state, byte));
            states.dedup();
        };
        for part in &shape.parts {
            step(&mut states, b'/');
            match part {
                Part::Literal(literal) => literal.iter().for_each(|&byte| step(&mut states, byte)),
                Part::Name => {
                    states = states.iter().flat_map(|&state| self.behind_a_segment(state).to_vec()).collect();
                    states.sort_unstable();
                    states.dedup();
                }
            }
            if let [DEAD | SURE] = states[..] {
                break; // it stays so, whatever follows
            }
        }
        let ends = |accepts: bool| states.iter().any(|&state| self.accepts(state) == accepts);
        let mut sweep = Sweep { may_match: ends(true), may_differ: ends(false) };
        if shape.has_rest {
            let goes_on: Vec<State> = states.iter().map(|&state| self.step(state, b'/')).collect();
            if shape.parts.is_empty() {
                sweep = Sweep { may_match: false, may_differ: false };
            }
            sweep.may_match |= goes_on.iter().any(|&state| state != DEAD);
            sweep.may_differ |= goes_on.iter().any(|&state| state != SURE);
        }
        (sweep, cost)
    }

    /// One byte of each class that has one besides the slash.
    fn bytes_of_segments(&self) -> Vec<u8> {
        let mut seen = vec![false; self.width];
        let bytes = (0..=u8::MAX).filter(|&byte| byte != b'/');
        bytes
            .filter(|&byte| {
                let class = seen.get_mut(usize::from(self.class(byte)));
                class.is_some_and(|class| !std::mem::replace(class, true))
            })
            .collect()
    }

    /// Replaces the states from which nothing, or everything, matches, so that a walk can stop there.
    fn settle(&mut self) {
        let can_accept = self.leads_to(true);
        let can_reject = self.leads_to(false);
        let settled = |state: State| {
            let at = state as usize;
            match (can_accept.get(at), can_reject.get(at)) {
                (Some(false), _) => DEAD,
                (_, Some(false)) => SURE,
                _ => state,
            }
        };
        self.next.iter_mut().for_each(|to| *to = settled(*to));
        self.start = settled(self.start);
        let rows = self.next.chunks_exact(self.width);
        let live = rows.map(|row| {
            let leads_on = |byte: &u8| {
                row.get(usize::from(self.classes[usize::from(*byte)])).is_some_and(|&to| to != DEAD)
            };
            ByteSet::of((0..=u8::MAX).filter(leads_on))
        });
        self.live = live.collect();
    }

    /// The states from which some text ends in a state that accepts, or that does not.
    fn leads_to(&self, accepts: bool) -> Vec<bool> {
        let mut before: Vec<Vec<u32>> = vec![Vec::new(); self.accepts.len()];
        for (from, row) in (0..).zip(self.next.chunks_exact(self.width)) {
            for &to in row {
                if let Some(known) = before.get_mut(to as usize).filter(|known| known.last() != Some(&from)) {
                    known.push(from);
                }
            }
        }
        let settled = if accepts { SURE } else { DEAD };
        let rows = self.next.chunks_exact(self.width);
        let ends = self.accepts.iter().zip(rows);
        let mut leads: Vec<bool> = ends.map(|(&one, row)| one == accepts || row.contains(&settled)).collect();
        let mut left: Vec<usize> = (0..leads.len()).filter(|&state| leads[state]).collect();
        while let Some(state) = left.pop() {
            for &from in &before[state] {
                if !std::mem::replace(&mut leads[from as usize], true) {
                    left.push(from as usize);
                }
            }
        }
        leads
    }
}

/// Numbers the states that can be reached: their steps by class of byte, and whether they accept. The
/// state behind a match is one state, [`SURE`].
fn explore(dfa: &dense::DFA<Vec<u32>>, bytes: &[u8]) -> Option<(Vec<State>, Vec<bool>)> {
    let first = dfa.start_state(&start::Config::new().anchored(Anchored::No)).ok()?;
    let mut numbers: HashMap<StateID, State> = HashMap::from_iter([(first, 0)]);
    let mut states = vec![first];
    let (mut next, mut accepts) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(&state) = states.get(at) {
        for &byte in bytes {
            let to = dfa.next_state(state, byte);
            if dfa.is_quit_state(to) {
                return None;
            }
            next.push(if dfa.is_match_state(to) {
                SURE
            } else if dfa.is_dead_state(to) {
                DEAD
            } else {
                *numbers.entry(to).or_insert_with(|| {
                    states.push(to);
                    states.len() as State - 1
                })
            });
        }
        accepts.push(dfa.is_match_state(dfa.next_eoi_state(state)));
        at += 1;
    }
    Some((next, accepts))
}

/// The regexes that were made tables of states so far.
#[derive(Debug, Default)]
pub(super) struct Regexes<'r> {
    made: HashMap<(&'r str, Frame), Option<Rc<Dfa>>>,
    /// Memory that they take, in bytes.
    size: usize,
}

/// Memory for all regexes together.
const REGEX_BYTES: usize = 32 << 20;

impl<'r> Regexes<'r> {
    /// `None` if it is too large.
    pub(super) fn dfa(&mut self, source: &'r str, frame: Frame) -> Option<Rc<Dfa>> {
        if let Some(known) = self.made.get(&(source, frame)) {
            return known.clone();
        }
        if self.size > REGEX_BYTES {
            return None;
        }
        let made = Dfa::build(source, frame).map(Rc::new);
        // One that is too large took the work of the largest.
        self.size += made.as_ref().map_or(BYTES, |dfa| dfa.size());
        self.made.insert((source, frame), made.clone());
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regex::ByteRegex;
    use proptest::prelude::*;

    fn matches(dfa: &Dfa, text: &[u8]) -> bool {
        let end = text.iter().fold(dfa.start(), |state, &byte| dfa.step(state, byte));
        dfa.accepts(end)
    }

    #[test]
    fn settled_states() {
        let all = Dfa::build(".", Frame::Path).unwrap();
        assert_eq!(all.step(all.start(), b'/'), SURE);
        let below = Dfa::build("^/a/", Frame::Path).unwrap();
        let walk = |text: &str| text.bytes().fold(below.start(), |state, byte| below.step(state, byte));
        assert_eq!((walk("/a/"), walk("/b")), (SURE, DEAD));
        let rest = Dfa::build("^/a.*$", Frame::Path).unwrap();
        assert_eq!(rest.step(rest.step(rest.start(), b'/'), b'a'), SURE, "no path holds a line feed");
        assert_eq!(Dfa::build("a^", Frame::Path).unwrap().start(), DEAD);
        assert_eq!(Dfa::build("^", Frame::Path).unwrap().start(), SURE);
    }

    #[test]
    fn literal_starts() {
        for (source, want) in [
            ("^/a/[0-9]", "/a/"),
            ("^(/ab|/ac)", "/a"),
            ("^/a\\.b$", "/a.b"),
            ("^(?i)/a", "/"),
            ("^/ab?", "/a"),
            ("a", ""),
        ] {
            assert_eq!(Dfa::build(source, Frame::Path).unwrap().literal_start(), want.as_bytes(), "{source}");
        }
    }

    #[test]
    fn sweeps() {
        for (source, path, may_match, may_differ) in [
            ("^/a/", "/a/{x}", true, false),
            ("^/a/", "/a/*", true, true),
            ("^/a", "/a/*", true, false),
            ("^/a/", "/b/*", false, true),
            ("c$", "/a/{x}/b", false, true),
            ("c$", "/a/{x}", true, true),
            ("^/a/[0-9]+$", "/{x}/{y}", true, true),
            (".", "/*", true, false),
            ("^/v1/", "/*", true, true),
        ] {
            let pattern = crate::PathPattern::parse(path).unwrap();
            let (sweep, _) =
                Dfa::build(source, Frame::Path).unwrap().sweep(&Shape::of(Some(&pattern)).unwrap());
            assert_eq!(sweep, Sweep { may_match, may_differ }, "{source} {path}");
        }
    }

    #[test]
    fn too_large_or_too_clever() {
        assert!(Dfa::build("a.{20}$", Frame::Path).is_none());
        assert!(Dfa::build(r"(?u)\bä", Frame::Query).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn agrees_with_the_regex(
            source in r"(\^|)([ab/]|[ab][*+?]|\(a\|b/\)|\.|\\b|\[\^a\]|\(b\|\)|b\{2\}){1,5}(\$|)",
            texts in prop::collection::vec("[ab/.c]{0,6}", 1..12),
        ) {
            let regex = ByteRegex::parse(&source).unwrap();
            let dfa = Dfa::build(&source, Frame::Path).unwrap();
            for text in texts {
                prop_assert_eq!(matches(&dfa, text.as_bytes()), regex.is_match(text.as_bytes()), "{} {}", &source, &text);
            }
        }
    }
}

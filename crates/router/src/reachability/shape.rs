//! Paths as sequences of segments: exact paths, templates, prefixes, and no path at all.
//!
//! Sets of these are compared segment by segment, and what two have in common is one of them again. Regexes
//! are not here. Entry points: [`Shape::of`], [`Shape::meet`], [`Shape::is_within`].

use smallvec::SmallVec;

use super::bytes::ByteSet;
use super::dfa::{DEAD, SURE, State};
use crate::path::{Form, PathPattern, Segment};

/// A segment of a [`Shape`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Part<'r> {
    /// This one. Empty only as the last one, for a trailing slash.
    Literal(&'r [u8]),
    /// Any that is not empty.
    Name,
}

/// The paths that begin with these segments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape<'r> {
    pub(super) parts: SmallVec<[Part<'r>; 4]>,
    /// Whether anything may follow; else nothing does.
    pub(super) has_rest: bool,
}

impl<'r> Shape<'r> {
    /// Every path.
    pub(super) fn all() -> Self {
        Self { parts: SmallVec::new(), has_rest: true }
    }

    /// `None` for a regex.
    pub(super) fn of(path: Option<&'r PathPattern>) -> Option<Self> {
        let literals = |path: &'r [u8]| path.split(|&b| b == b'/').skip(1).map(Part::Literal).collect();
        Some(match path.map(PathPattern::form) {
            None => Self::all(),
            Some(Form::Exact(path)) => Self { parts: literals(path), has_rest: false },
            Some(Form::Prefix(prefix)) => Self { parts: literals(prefix), has_rest: true },
            Some(Form::Template(template)) => {
                let parts = template.segments.iter().map(|segment| match segment {
                    Segment::Literal(literal) => Part::Literal(literal),
                    Segment::Name => Part::Name,
                });
                Self { parts: parts.collect(), has_rest: template.has_rest }
            }
            Some(Form::Regex(_)) => return None,
        })
    }

    /// The whole segments that every path which begins with these bytes begins with.
    pub(super) fn around(start: &'r [u8]) -> Self {
        let mut parts: SmallVec<_> = start.split(|&b| b == b'/').skip(1).map(Part::Literal).collect();
        parts.pop(); // it may go on
        Self { parts, has_rest: true }
    }

    /// The same, for a shorter while: the compiler does not see by itself that this is one too.
    pub(super) fn for_now<'q>(&self) -> Shape<'q>
    where
        'r: 'q,
    {
        Shape { parts: self.parts.iter().copied().collect(), has_rest: self.has_rest }
    }

    /// The paths that are in both; `None` if there is none.
    pub(super) fn meet(&self, other: &Self) -> Option<Self> {
        let (long, short) = if self.parts.len() < other.parts.len() { (other, self) } else { (self, other) };
        if long.parts.len() > short.parts.len() && !short.has_rest {
            return None;
        }
        let mut parts = long.parts.clone();
        for (mine, theirs) in parts.iter_mut().zip(&short.parts) {
            *mine = match (*mine, *theirs) {
                (Part::Name, Part::Literal(literal)) | (Part::Literal(literal), Part::Name) => {
                    (!literal.is_empty()).then_some(Part::Literal(literal))?
                }
                (one, other) => (one == other).then_some(one)?,
            };
        }
        let has_rest = long.has_rest && (short.has_rest || short.parts.len() < long.parts.len());
        Some(Self { parts, has_rest })
    }

    /// Whether every path of this one is in `outer`.
    pub(super) fn is_within(&self, outer: &Self) -> bool {
        let is_long_enough = if outer.has_rest {
            self.parts.len() >= outer.parts.len()
        } else {
            self.parts.len() == outer.parts.len() && !self.has_rest
        };
        is_long_enough
            && self.parts.iter().zip(&outer.parts).all(|(mine, theirs)| match (mine, theirs) {
                (Part::Literal(mine), Part::Name) => !mine.is_empty(),
                (Part::Name, Part::Literal(_)) => false,
                _ => mine == theirs,
            })
    }

    /// What every path begins with.
    pub(super) fn start(&self) -> Vec<u8> {
        let mut start = Vec::new();
        for part in &self.parts {
            start.push(b'/');
            match part {
                Part::Literal(literal) => start.extend_from_slice(literal),
                Part::Name => return start,
            }
        }
        if self.parts.is_empty() {
            start.push(b'/');
        }
        start
    }

    /// Some paths that look as a person would write them, the plainest first. `word` stands for what may
    /// be anything.
    pub(super) fn instances(&self, word: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        let mut base = Vec::new();
        for part in &self.parts {
            base.push(b'/');
            base.extend_from_slice(match part {
                Part::Literal(literal) => literal,
                Part::Name => word,
            });
        }
        let ends_open = base.last() == Some(&b'/');
        let ends: &[&[&[u8]]] = match (self.has_rest, self.parts.is_empty()) {
            (false, _) => &[&[]],
            (true, true) => &[&[b"/", word], &[b"/"], &[b"/", word, b"/", word]],
            (true, false) if ends_open => &[&[]],
            (true, false) => &[&[b"/", word], &[], &[b"/"], &[b"/", word, b"/", word]],
        };
        let all: SmallVec<[Vec<u8>; 4]> =
            ends.iter().map(|end| [&base[..], &end.concat()].concat()).collect();
        all.into_iter()
    }
}

/// One step of a [`Machine`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Byte(u8),
    /// The first byte of a segment that may be anything.
    NameFirst,
    /// Its further bytes, until a slash.
    NameMore,
    /// Nothing, or a slash and anything.
    Rest,
}

/// A [`Shape`] that is walked byte by byte: its steps in a row, the state being how many are done.
#[derive(Debug)]
pub(super) struct Machine(Vec<Step>);

impl Machine {
    pub(super) fn new(shape: &Shape<'_>) -> Self {
        let mut steps = Vec::new();
        for part in &shape.parts {
            steps.push(Step::Byte(b'/'));
            match part {
                Part::Literal(literal) => steps.extend(literal.iter().map(|&byte| Step::Byte(byte))),
                Part::Name => steps.extend([Step::NameFirst, Step::NameMore]),
            }
        }
        if shape.has_rest {
            steps.push(Step::Rest);
        }
        Self(steps)
    }

    pub(super) fn step(&self, state: State, byte: u8) -> State {
        if state >= SURE {
            return state;
        }
        match self.0.get(state as usize) {
            Some(Step::Byte(wanted)) if *wanted == byte => state + 1,
            Some(Step::NameFirst) if byte != b'/' => state + 1,
            Some(Step::NameMore) if byte != b'/' => state,
            // A name is never followed by another: this goes one step further only.
            Some(Step::NameMore) => self.step(state + 1, byte),
            Some(Step::Rest) if byte == b'/' => SURE,
            _ => DEAD,
        }
    }

    pub(super) fn accepts(&self, state: State) -> bool {
        let may_end = |at: usize| matches!(self.0.get(at), None | Some(Step::Rest));
        match self.0.get(state as usize) {
            Some(Step::NameMore) => may_end(state as usize + 1),
            _ => state != DEAD && may_end(state as usize),
        }
    }

    /// The bytes after which something can still match.
    pub(super) fn live(&self, state: State) -> ByteSet {
        match self.0.get(state as usize) {
            Some(Step::Byte(wanted)) => ByteSet::of([*wanted]),
            Some(Step::Rest) => ByteSet::of([b'/']),
            Some(Step::NameFirst | Step::NameMore) => ByteSet::ALL,
            None => {
                if state == SURE {
                    ByteSet::ALL
                } else {
                    ByteSet::default()
                }
            }
        }
    }

    /// The bytes that it tells apart.
    pub(super) fn literals(&self) -> impl Iterator<Item = u8> {
        self.0.iter().filter_map(|step| match step {
            Step::Byte(byte) => Some(*byte),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(patterns: [&str; 2], common: Option<&str>, is_within: [bool; 2]) {
        let common = common.map(|text| PathPattern::parse(text).unwrap());
        let parsed = patterns.map(|text| PathPattern::parse(text).unwrap());
        let [one, other] = [&parsed[0], &parsed[1]].map(|pattern| Shape::of(Some(pattern)).unwrap());
        let want = common.as_ref().map(|pattern| Shape::of(Some(pattern)).unwrap());
        assert_eq!(one.meet(&other), want, "{patterns:?}");
        assert_eq!(other.meet(&one), want, "{patterns:?}");
        assert_eq!([one.is_within(&other), other.is_within(&one)], is_within, "{patterns:?}");
    }

    #[test]
    fn sets_of_two() {
        for (one, other, common, is_within) in [
            ("/a", "/a", Some("/a"), [true, true]),
            ("/a", "/b", None, [false, false]),
            ("/a", "/a/", None, [false, false]),
            ("/a", "/a/*", Some("/a"), [true, false]),
            ("/a/", "/a/*", Some("/a/"), [true, false]),
            ("/", "/*", Some("/"), [true, false]),
            ("/", "/{x}", None, [false, false]),
            ("/a/", "/a/{x}", None, [false, false]),
            ("/a", "/{x}", Some("/a"), [true, false]),
            ("/a/{x}", "/{x}/b", Some("/a/b"), [false, false]),
            ("/a/{x}", "/{x}/b/", None, [false, false]),
            ("/a/{x}", "/a/*", Some("/a/{x}"), [true, false]),
            ("/a/{x}/*", "/a/*", Some("/a/{x}/*"), [true, false]),
            ("/a/*", "/{x}", Some("/a"), [false, false]),
            ("/a/*", "/{x}/*", Some("/a/*"), [true, false]),
            ("/a/*", "/{x}/b/*", Some("/a/b/*"), [false, false]),
            ("/a/*", "/a/{rest...}", Some("/a/*"), [true, true]),
            ("/*", "/{rest...}", Some("/*"), [true, true]),
            ("/*", "/{x}/*", Some("/{x}/*"), [false, true]),
        ] {
            check([one, other], common, is_within);
        }
    }

    #[test]
    fn starts_and_what_is_around_them() {
        for (pattern, start) in [
            ("/a/b", "/a/b"),
            ("/a/{x}/b", "/a/"),
            ("/{x}", "/"),
            ("/*", "/"),
            ("/a/*", "/a"),
            ("/a/", "/a/"),
        ] {
            let pattern = PathPattern::parse(pattern).unwrap();
            assert_eq!(Shape::of(Some(&pattern)).unwrap().start(), start.as_bytes(), "{pattern}");
        }
        let parts = |start: &'static str| Shape::around(start.as_bytes()).parts.to_vec();
        assert_eq!(parts("/a/b"), [Part::Literal(b"a")]);
        assert_eq!(parts("/a/"), [Part::Literal(b"a")]);
        assert!(parts("/a").is_empty() && parts("/").is_empty() && parts("").is_empty());
    }

    fn pattern() -> impl Strategy<Value = PathPattern> {
        ("(/(a|b|\\{x\\}|\\{x\\}/a)){0,3}", proptest::sample::select(&["", "/", "/*"][..])).prop_filter_map(
            "a capture may not be there twice",
            |(body, end)| {
                let mut number = 0;
                let named: String = body
                    .split("{x}")
                    .map(|part| {
                        number += 1;
                        if number == 1 { part.to_owned() } else { format!("{{x{number}}}{part}") }
                    })
                    .collect();
                PathPattern::parse(&(named + end)).ok()
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn shapes_hold_what_patterns_match(
            one in pattern(),
            other in pattern(),
            paths in prop::collection::vec("(/(a|b|c)){0,4}(/|)", 1..20),
        ) {
            let [mine, theirs] = [&one, &other].map(|pattern| Shape::of(Some(pattern)).unwrap());
            let common = mine.meet(&theirs).map(|shape| Machine::new(&shape));
            let machine = Machine::new(&mine);
            let accepts = |machine: &Machine, path: &[u8]| {
                machine.accepts(path.iter().fold(0, |state, &byte| machine.step(state, byte)))
            };
            for path in paths.iter().filter(|path| !path.is_empty() && !path.contains("//")) {
                let path = path.as_bytes();
                let (is_one, is_other) = (one.matches(path), other.matches(path));
                prop_assert_eq!(accepts(&machine, path), is_one);
                prop_assert_eq!(common.as_ref().is_some_and(|common| accepts(common, path)), is_one && is_other);
                prop_assert!(!mine.is_within(&theirs) || !is_one || is_other);
            }
            prop_assert!(mine.instances(b"w").all(|path| one.matches(&path)));
        }
    }
}

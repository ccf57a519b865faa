//! Paths that differ only in capital and small letters.
//!
//! To a gateway they are different paths, as RFC 3986 §6.2.2.1 has it; many services take them for the same. It must
//! not know routes. Entry points: [`Spellings::folded`], [`Spellings::respelled`].

use std::cmp::Ordering;
use std::iter;

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::shape::{Part, Shape};

/// Other spellings of all literals of some patterns.
#[derive(Debug, Default)]
pub(super) struct Spellings(HashMap<Box<[u8]>, Spelling>);

#[derive(Debug)]
struct Spelling {
    /// In small letters, escapes too: only to find what may be alike.
    folded: Box<[u8]>,
    /// In capitals, or in small letters if it is in capitals. The same if it has no letters.
    other: Box<[u8]>,
}

/// Paths of one pattern that are those of another in another spelling.
#[derive(Debug)]
pub(super) struct Respelled<'r> {
    pub(super) shape: Shape<'r>,
    /// Whether the other spelling is what is written in the pattern. Else it has a name or a star there.
    pub(super) is_written: bool,
}

impl Spellings {
    /// Of these patterns.
    pub(super) fn of<'s>(shapes: impl Iterator<Item = Shape<'s>>) -> Self {
        let mut all = HashMap::new();
        for part in shapes.flat_map(|shape| shape.parts) {
            if let Part::Literal(literal) = part
                && !all.contains_key(literal)
            {
                let spelling =
                    Spelling { folded: literal.to_ascii_lowercase().into(), other: other(literal) };
                all.insert(literal.into(), spelling);
            }
        }
        Self(all)
    }

    /// The pattern in small letters.
    pub(super) fn folded<'s>(&'s self, shape: &Shape<'s>) -> Shape<'s> {
        let parts = shape.parts.iter().map(|part| match *part {
            Part::Literal(literal) => {
                Part::Literal(self.0.get(literal).map_or(literal, |known| &known.folded))
            }
            Part::Name => Part::Name,
        });
        Shape { parts: parts.collect(), has_rest: shape.has_rest }
    }

    /// Paths of `other` that are paths of `wanted` in another spelling. `None` if there is none.
    pub(super) fn respelled<'s>(&'s self, other: &Shape<'s>, wanted: &Shape<'s>) -> Option<Respelled<'s>> {
        let [length, wanted_length] = [other.parts.len(), wanted.parts.len()];
        let is_long_enough = |long: usize, short: usize, has_rest: bool| long <= short || has_rest;
        if !is_long_enough(length, wanted_length, wanted.has_rest)
            || !is_long_enough(wanted_length, length, other.has_rest)
        {
            return None;
        }
        let mut parts = SmallVec::new();
        let (mut differs, mut is_written) = (false, false);
        let some = |shape: &Shape<'s>| {
            shape
                .parts
                .clone()
                .into_iter()
                .map(Some)
                .chain(iter::repeat(None))
                .take(length.max(wanted_length))
        };
        for pair in some(other).zip(some(wanted)) {
            parts.push(match pair {
                (Some(Part::Literal(mine)), Some(Part::Literal(theirs))) => {
                    if !mine.eq_ignore_ascii_case(theirs) {
                        return None;
                    }
                    is_written |= mine != theirs;
                    Part::Literal(mine)
                }
                (None | Some(Part::Name), Some(Part::Literal(theirs))) => {
                    let spelled = self.0.get(theirs).map_or(theirs, |known| &known.other);
                    if theirs.is_empty() && pair.0.is_some() {
                        return None;
                    }
                    differs |= spelled != theirs;
                    Part::Literal(spelled)
                }
                (Some(Part::Literal(b"")), Some(Part::Name)) => return None,
                (Some(part), _) => part,
                (None, part) => part?,
            });
        }
        let has_rest = match length.cmp(&wanted_length) {
            Ordering::Equal => other.has_rest && wanted.has_rest,
            Ordering::Greater => other.has_rest,
            Ordering::Less => wanted.has_rest,
        };
        (differs || is_written).then_some(Respelled { shape: Shape { parts, has_rest }, is_written })
    }
}

/// Escapes stay as they are: they have capitals in a canonical path.
fn other(literal: &[u8]) -> Box<[u8]> {
    let spelled = |spell: fn(&u8) -> u8| {
        let mut left = 0;
        let spelled = literal.iter().map(|byte| {
            let is_escape = *byte == b'%' || left > 0;
            left = if *byte == b'%' { 2_u8 } else { left.saturating_sub(1) };
            if is_escape { *byte } else { spell(byte) }
        });
        spelled.collect::<Box<[u8]>>()
    };
    let upper = spelled(u8::to_ascii_uppercase);
    if *upper == *literal { spelled(u8::to_ascii_lowercase) } else { upper }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PathPattern;

    #[test]
    fn escapes_keep_their_capitals() {
        for (literal, want) in
            [("admin", "ADMIN"), ("ADMIN", "admin"), ("a%2Fb", "A%2FB"), ("A%C3%A9", "a%C3%A9"), ("42", "42")]
        {
            assert_eq!(&*other(literal.as_bytes()), want.as_bytes(), "{literal}");
        }
    }

    #[test]
    fn paths_in_another_spelling() {
        for (pattern, wanted, want) in [
            ("/*", "/admin/*", Some(("/ADMIN/*", false))),
            ("/{x}/*", "/admin/users", Some(("/ADMIN/USERS", false))),
            ("/{x}", "/admin", Some(("/ADMIN", false))),
            ("/Admin/*", "/admin/*", Some(("/Admin/*", true))),
            ("/Admin/{x}", "/admin/*", Some(("/Admin/{x}", true))),
            ("/admin/{x}", "/admin/users", Some(("/admin/USERS", false))),
            ("/admin/*", "/admin/*", None),
            ("/other/*", "/admin/*", None),
            ("/Admin", "/admin/{x}", None),
            ("/*", "/1/*", None),
            ("/{x}/", "/admin/{y}", None),
        ] {
            let parsed = [pattern, wanted].map(|text| PathPattern::parse(text).unwrap());
            let want = want.map(|(text, is_written)| (PathPattern::parse(text).unwrap(), is_written));
            let spellings = Spellings::of(parsed.iter().filter_map(|pattern| Shape::of(Some(pattern))));
            let [mine, theirs] = [&parsed[0], &parsed[1]].map(|pattern| Shape::of(Some(pattern)).unwrap());
            let found = spellings.respelled(&mine, &theirs);
            let found = found.map(|found| (found.shape.for_now(), found.is_written));
            let want =
                want.as_ref().map(|(pattern, is_written)| (Shape::of(Some(pattern)).unwrap(), *is_written));
            assert_eq!(found, want, "{pattern} {wanted}");
        }
    }
}

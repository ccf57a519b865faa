//! The paths that a route hands on to what is behind it, and which of its requests make it hand on certain ones.
//!
//! Without a rewrite they are the paths that it matches. With one they are sequences of segments again: a name
//! stands for a segment, and what is captured at the end for all that is left. What a group of a regex captures
//! is not known, so that more paths may be named than there are: what is found is looked at once more with
//! [`Onward::hands_on`]. It must not know hosts, methods or conditions. Entry points: [`Onward::of`],
//! [`Onward::narrow`].

use smallvec::SmallVec;

use super::region::{Region, regex};
use super::shape::{Machine, Part, Shape};
use crate::captures::Captures;
use crate::path::{Form, PathPattern, Segment};
use crate::regex::ByteRegex;

/// A part of the path that a route hands on instead of the one it matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// Text as it stands. What follows a `?` is no path any more.
    Literal(Box<[u8]>),
    /// What the path pattern has captured, by position.
    Capture(usize),
}

/// The paths that a route hands on.
#[derive(Clone, Debug)]
pub(super) struct Onward<'r> {
    pub(super) shape: Shape<'r>,
    /// These match too.
    pub(super) regex: Option<&'r ByteRegex>,
    rewrite: Option<Rewrite<'r>>,
}

#[derive(Clone, Debug)]
struct Rewrite<'r> {
    pieces: &'r [Written],
    path: Option<&'r PathPattern>,
    /// Which name stands for a segment, by segment.
    names: SmallVec<[Option<usize>; 4]>,
    /// The capture that stands for all that is left, where it is known to.
    rest: Option<usize>,
}

/// What a capture may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Captured {
    Segment,
    Rest,
    /// Anything.
    Group,
}

impl<'r> Onward<'r> {
    /// Of a route that matches `path`, and writes the path anew if `pieces` are given.
    pub(super) fn of(path: Option<&'r PathPattern>, pieces: Option<&'r [Written]>) -> Self {
        match pieces {
            Some(pieces) => Self::rewritten(path, pieces),
            None => {
                Self { shape: Shape::of(path).unwrap_or_else(Shape::all), regex: regex(path), rewrite: None }
            }
        }
    }

    fn rewritten(path: Option<&'r PathPattern>, pieces: &'r [Written]) -> Self {
        let mut shape = Shape { parts: SmallVec::new(), has_rest: false };
        let mut rewrite = Rewrite { pieces, path, names: SmallVec::new(), rest: None };
        // The segment that is under way; `None` before the first slash.
        let mut segment: Option<(Part<'r>, Option<usize>)> = None;
        let mut push = |segment: Option<(Part<'r>, Option<usize>)>, shape: &mut Shape<'r>| {
            if let Some((part, name)) = segment {
                shape.parts.push(part);
                rewrite.names.push(name);
            }
        };
        for (at, piece) in pieces.iter().enumerate() {
            match piece {
                Written::Literal(text) => {
                    let end = memchr::memchr(b'?', text).unwrap_or(text.len());
                    for (number, text) in text[..end].split(|&byte| byte == b'/').enumerate() {
                        if number > 0 {
                            push(segment.take(), &mut shape);
                            segment = Some((Part::Literal(text), None));
                        } else if let Some(known) = segment.as_mut().filter(|_| !text.is_empty()) {
                            *known = (Part::Name, None);
                        }
                    }
                    if end < text.len() {
                        break;
                    }
                }
                Written::Capture(index) => {
                    let captured = captured(path, *index);
                    let is_empty = matches!(segment, Some((Part::Literal(b""), _)));
                    if captured == Captured::Segment {
                        segment = Some((Part::Name, is_empty.then_some(*index)));
                        continue;
                    }
                    // It may hold slashes, so nothing is known of what follows.
                    let is_last = at + 1 == pieces.len() && is_empty && captured == Captured::Rest;
                    rewrite.rest = is_last.then_some(*index);
                    shape.has_rest = true;
                    return Self { shape, regex: None, rewrite: Some(rewrite) };
                }
            }
        }
        push(segment, &mut shape);
        Self { shape, regex: None, rewrite: Some(rewrite) }
    }

    pub(super) fn is_rewritten(&self) -> bool {
        self.rewrite.is_some()
    }

    /// The path that is handed on for one that the route matches.
    pub(super) fn hands_on(&self, path: &[u8]) -> Vec<u8> {
        let Some(rewrite) = &self.rewrite else { return path.to_vec() };
        let mut captures = Captures::new();
        if let Some(pattern) = rewrite.path {
            pattern.capture(path, &mut captures);
        }
        let mut out = Vec::new();
        for piece in rewrite.pieces {
            match piece {
                Written::Literal(text) => out.extend_from_slice(text),
                Written::Capture(index) => {
                    let captured = captures.get(*index).and_then(|range| path.get(range));
                    out.extend_from_slice(captured.unwrap_or_default());
                }
            }
        }
        out.truncate(memchr::memchr(b'?', &out).unwrap_or(out.len()));
        out
    }

    /// Whether a path may be one of those that are handed on.
    pub(super) fn holds(&self, path: &[u8]) -> bool {
        let machine = Machine::new(&self.shape);
        let end = path.iter().fold(0, |state, &byte| machine.step(state, byte));
        machine.accepts(end) && self.regex.is_none_or(|regex| regex.is_match(path))
    }

    /// The requests of `region`, which is of this route, that make it hand on a path of `wanted`; some more where
    /// that cannot be told. `None` if there is none.
    pub(super) fn narrow(&self, region: &Region<'r>, wanted: &Onward<'r>) -> Option<Region<'r>> {
        let mut region = region.clone();
        let Some(rewrite) = &self.rewrite else {
            region.shape = region.shape.meet(&wanted.shape)?;
            let is_new = |regex: &&ByteRegex| region.regexes.iter().all(|one| one.source() != regex.source());
            region.regexes.extend(wanted.regex.filter(is_new));
            return Some(region);
        };
        let common = self.shape.meet(&wanted.shape)?;
        let mut number = 0;
        for part in region.shape.parts.iter_mut().filter(|part| **part == Part::Name) {
            for (place, name) in rewrite.names.iter().enumerate() {
                let Some(Part::Literal(literal)) = common.parts.get(place).filter(|_| *name == Some(number))
                else {
                    continue;
                };
                match *part {
                    Part::Literal(known) if known != *literal => return None,
                    _ => *part = Part::Literal(literal),
                }
            }
            number += 1;
        }
        if rewrite.rest.is_some() {
            region.shape.parts.extend(common.parts.iter().skip(rewrite.names.len()).copied());
            region.shape.has_rest = common.has_rest;
        }
        Some(region)
    }
}

fn captured(path: Option<&PathPattern>, index: usize) -> Captured {
    match path.map(PathPattern::form) {
        Some(Form::Template(template)) => {
            let names = template.segments.iter().filter(|segment| **segment == Segment::Name).count();
            if index < names { Captured::Segment } else { Captured::Rest }
        }
        Some(Form::Prefix(_)) => Captured::Rest,
        _ => Captured::Group,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RouteIndex;
    use crate::builder::{Entry, Match};

    /// `/new/{0}/x`: a number in braces is a capture.
    fn pieces(text: &str) -> Vec<Written> {
        let parts = text.split_inclusive(['{', '}']).flat_map(|part| match part.strip_suffix('}') {
            Some(number) => vec![Written::Capture(number.parse().unwrap())],
            None => vec![Written::Literal(part.trim_end_matches('{').as_bytes().into())],
        });
        parts.filter(|piece| *piece != Written::Literal((*b"").into())).collect()
    }

    fn written(shape: &Shape<'_>) -> String {
        let parts = shape.parts.iter().map(|part| match part {
            Part::Literal(literal) => format!("/{}", String::from_utf8_lossy(literal)),
            Part::Name => "/{}".to_owned(),
        });
        parts.collect::<String>() + if shape.has_rest { "/*" } else { "" }
    }

    #[test]
    fn what_is_handed_on() {
        for (path, rewrite, want) in [
            ("/a/*", "/b/{0}", "/b/*"),
            ("/a/*", "/{0}", "/*"),
            ("/a/{x}", "/b/{0}/c", "/b/{}/c"),
            ("/a/{x}/{rest...}", "/{0}/{1}", "/{}/*"),
            ("/a/{x}", "/v{0}/c", "/{}/c"),
            ("/a/{x}/{y}", "/{0}-{1}/c", "/{}/c"),
            ("/a/{x}", "/b/{0}?from={0}", "/b/{}"),
            ("/a", "/b/", "/b/"),
            ("/a/*", "/b{0}/c", "/*"),
            ("~^/a/(.*)$", "/b/{0}", "/b/*"),
        ] {
            let (pattern, pieces) = (PathPattern::parse(path).unwrap(), pieces(rewrite));
            let onward = Onward::of(Some(&pattern), Some(&pieces));
            assert_eq!(written(&onward.shape), want, "{path} {rewrite}");
            for path in ["/a/1", "/a/1/2", "/a", "/a/%2F/x/y"].map(str::as_bytes) {
                if pattern.matches(path) {
                    assert!(onward.holds(&onward.hands_on(path)), "{path:?} {rewrite}");
                }
            }
        }
    }

    #[test]
    fn what_is_handed_on_comes_from() {
        for (path, rewrite, wanted, want) in [
            ("/api/*", "/{0}", "/admin/*", Some("/api/admin/*")),
            ("/api/*", "/{0}", "/admin", Some("/api/admin")),
            ("/pub/*", "/admin/{0}", "/admin/*", Some("/pub/*")),
            ("/pub/*", "/admin/{0}", "/admin/users/{id}", Some("/pub/users/{}")),
            ("/pub/*", "/public/{0}", "/admin/*", None),
            ("/t/{x}", "/{0}/list", "/admin/*", Some("/t/admin")),
            ("/t/{x}", "/{0}/{0}", "/a/b", None),
            ("/t/{x}/{y}", "/{1}/{0}", "/a/b", Some("/t/b/a")),
            ("~^/t/(.*)$", "/{0}", "/admin/*", Some("/*")),
        ] {
            let (pattern, pieces) = (PathPattern::parse(path).unwrap(), pieces(rewrite));
            let of = Match { path: Some(pattern), ..Match::default() };
            let entry = Entry { route: RouteIndex(0), of };
            let wanted_pattern = PathPattern::parse(wanted).unwrap();
            let onward = Onward::of(entry.of.path.as_ref(), Some(&pieces));
            let region = onward.narrow(&Region::of(&entry, None), &Onward::of(Some(&wanted_pattern), None));
            assert_eq!(region.map(|region| written(&region.shape)).as_deref(), want, "{path} {rewrite}");
        }
    }
}

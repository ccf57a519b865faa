//! Which path of the description a path of a request is.
//!
//! Paths stand in a tree of segments. What is written out goes before what is a parameter (OpenAPI 3.1 §4.8.8.2),
//! segment by segment from the left. Each node is looked at once at most, so a lookup is bounded by the
//! description. It must not know methods. Entry points: [`Paths::insert`], [`Paths::find`].

use std::collections::HashMap;

/// A piece of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Parameter(String),
}

/// Paths with parameters, and the number that each has.
#[derive(Debug, Default)]
pub(super) struct Paths {
    written: HashMap<Vec<u8>, Paths>,
    /// Segments with parameters, the longest text first.
    templated: Vec<(Vec<Piece>, Paths)>,
    end: Option<usize>,
}

/// The names and values of the parameters of a path; values as they were sent.
pub(super) type Values<'a, 'p> = Vec<(&'a str, &'p [u8])>;

impl Paths {
    /// Adds a path.
    ///
    /// # Errors
    /// It is malformed, or there already.
    pub(super) fn insert(&mut self, template: &str, number: usize) -> Result<(), String> {
        let Some(rest) = template.strip_prefix('/') else { return Err("must begin with `/`".into()) };
        let mut node = self;
        for segment in rest.split('/') {
            let pieces = pieces(segment)?;
            node = match pieces.as_slice() {
                [] => node.written.entry(Vec::new()).or_default(),
                [Piece::Text(text)] => node.written.entry(text.clone()).or_default(),
                _ => node.templated_child(pieces),
            };
        }
        if node.end.replace(number).is_some() {
            return Err("is the same as another path".into());
        }
        Ok(())
    }

    fn templated_child(&mut self, pieces: Vec<Piece>) -> &mut Paths {
        let at = self.templated.iter().position(|(known, _)| *known == pieces).unwrap_or_else(|| {
            let weight = |pieces: &[Piece]| -> usize {
                pieces.iter().map(|piece| if let Piece::Text(text) = piece { text.len() } else { 0 }).sum()
            };
            let at = self.templated.partition_point(|(known, _)| weight(known) >= weight(&pieces));
            self.templated.insert(at, (pieces, Paths::default()));
            at
        });
        &mut self.templated[at].1
    }

    /// The number of the path that this one is, and its parameters. The path is in its canonical form.
    pub(super) fn find<'a, 'p>(&'a self, path: &'p [u8]) -> Option<(usize, Values<'a, 'p>)> {
        let mut values = Vec::new();
        let number = self.search(Some(path.strip_prefix(b"/")?), &mut values)?;
        Some((number, values))
    }

    fn search<'a, 'p>(&'a self, rest: Option<&'p [u8]>, values: &mut Values<'a, 'p>) -> Option<usize> {
        let Some(rest) = rest else { return self.end };
        let (segment, rest) = match memchr::memchr(b'/', rest) {
            Some(at) => (&rest[..at], Some(&rest[at + 1..])),
            None => (rest, None),
        };
        if let Some(found) = self.written.get(segment).and_then(|node| node.search(rest, values)) {
            return Some(found);
        }
        let kept = values.len();
        for (pieces, node) in &self.templated {
            if take(pieces, segment, values)
                && let Some(found) = node.search(rest, values)
            {
                return Some(found);
            }
            values.truncate(kept);
        }
        None
    }
}

/// Matches a segment. A parameter is at least one byte, and ends where the text behind it first stands.
fn take<'a, 'p>(pieces: &'a [Piece], segment: &'p [u8], values: &mut Values<'a, 'p>) -> bool {
    let mut rest = segment;
    let mut pieces = pieces.iter().peekable();
    while let Some(piece) = pieces.next() {
        match piece {
            Piece::Text(text) => match rest.strip_prefix(text.as_slice()) {
                Some(tail) => rest = tail,
                None => return false,
            },
            Piece::Parameter(name) => {
                let end = match pieces.next() {
                    Some(Piece::Text(text)) if pieces.peek().is_none() => {
                        rest.strip_suffix(text.as_slice()).map(|value| (value.len(), rest.len()))
                    }
                    Some(Piece::Text(text)) => memchr::memmem::find(rest.get(1..).unwrap_or_default(), text)
                        .map(|at| (at + 1, at + 1 + text.len())),
                    _ => Some((rest.len(), rest.len())),
                };
                match end {
                    Some((end, next)) if end > 0 => {
                        values.push((name, &rest[..end]));
                        rest = &rest[next..];
                    }
                    _ => return false,
                }
            }
        }
    }
    rest.is_empty()
}

/// The pieces of a segment of a template; texts in their canonical form.
fn pieces(segment: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = segment;
    while !rest.is_empty() {
        let (text, behind) = rest.split_once('{').map_or((rest, None), |(text, behind)| (text, Some(behind)));
        if text.contains('}') {
            return Err("has a `}` without its `{`".into());
        }
        if !text.is_empty() {
            // Behind a letter, so that a dot between parameters is no segment of its own.
            let canonical = message::canonicalize_path(format!("/x{text}").as_bytes());
            let canonical = canonical.map_err(|_| format!("has a segment that no path can have: {text}"))?;
            pieces.push(Piece::Text(canonical.get(2..).unwrap_or_default().to_vec()));
        }
        let Some(behind) = behind else { break };
        let Some((name, behind)) = behind.split_once('}') else {
            return Err("has a `{` without its `}`".into());
        };
        if matches!(pieces.last(), Some(Piece::Parameter(_))) {
            return Err("has two parameters without anything between them".into());
        }
        pieces.push(Piece::Parameter(name.to_owned()));
        rest = behind;
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(templates: &[&str]) -> Paths {
        let mut paths = Paths::default();
        for (number, template) in templates.iter().enumerate() {
            paths.insert(template, number).expect("a path");
        }
        paths
    }

    #[test]
    fn what_is_written_out_goes_first_and_a_dead_end_is_left() {
        let paths = paths(&[
            "/pets/{id}",
            "/pets/mine",
            "/pets/{id}/toys",
            "/pets/mine/{what}/x",
            "/",
            "/pets/",
            "/f/{name}.{kind}",
            "/f/{name}.json",
            "/f/{name}",
            "/ä%20b/{x}",
            "/v/{a}-{b}-{c}",
        ]);
        for (path, want, values) in [
            ("/pets/mine", Some(1), vec![]),
            ("/pets/7", Some(0), vec![("id", "7")]),
            ("/pets/mine/toys", Some(2), vec![("id", "mine")]),
            ("/pets/mine/toys/x", Some(3), vec![("what", "toys")]),
            ("/pets/", Some(5), vec![]),
            ("/pets", None, vec![]),
            ("/", Some(4), vec![]),
            ("//", None, vec![]),
            ("/f/a.json", Some(7), vec![("name", "a")]),
            ("/f/a.b.json", Some(7), vec![("name", "a.b")]),
            ("/f/.json", Some(8), vec![("name", ".json")]),
            ("/f/a.xml", Some(6), vec![("name", "a"), ("kind", "xml")]),
            ("/%C3%A4%20b/%2F", Some(9), vec![("x", "%2F")]),
            ("/v/1-2-3-4", Some(10), vec![("a", "1"), ("b", "2"), ("c", "3-4")]),
            ("/v/1-2", None, vec![]),
        ] {
            let found = paths.find(path.as_bytes());
            assert_eq!(found.as_ref().map(|(number, _)| *number), want, "{path}");
            let found: Vec<(&str, String)> = found
                .map(|(_, values)| values)
                .unwrap_or_default()
                .into_iter()
                .map(|(name, value)| (name, String::from_utf8_lossy(value).into_owned()))
                .collect();
            let values: Vec<(&str, String)> =
                values.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
            assert_eq!(found, values, "{path}");
        }
    }

    #[test]
    fn malformed_paths_are_refused() {
        let mut paths = Paths::default();
        for template in ["pets", "/{a", "/a}", "/{a}{b}", "/%zz"] {
            assert!(paths.insert(template, 0).is_err(), "{template}");
        }
        assert!(paths.insert("/a/{b}", 1).is_ok());
        assert!(paths.insert("/a/{b}", 2).is_err());
    }
}

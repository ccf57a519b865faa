//! Path patterns: exact, prefix, template and regex.
//!
//! It must not know hosts or other patterns. Entry points: [`PathPattern::parse`], [`PathPattern::capture`].

use std::fmt;

use crate::captures::{Captures, MAX_CAPTURES};
use crate::error::PatternError;
use crate::limits::{MAX_PATTERN_BYTES, MAX_SEGMENTS};
use crate::literal::canonical_literal;
use crate::regex::ByteRegex;

/// Which paths a route answers for.
///
/// | form | example | matches | captures |
/// |---|---|---|---|
/// | exact | `/users` | that path only: `/users/` is another | none |
/// | prefix | `/users/*` | `/users`, `/users/`, `/users/a/b`; `/*` everything | `*`: what follows the slash, maybe nothing |
/// | template | `/orders/{id}` | one segment, not empty, for each name | each name |
/// | template | `/old/{rest...}` | as a prefix, but ranked as a template | `rest`: as `*` above |
/// | regex | `~^/legacy/(?<id>[0-9]+)$` | where the regex does, anchored as written | each group |
///
/// Literals are brought into canonical form when parsed (see [`canonical_literal`]); a regex is not, and
/// sees the canonical path: ASCII, with escapes in upper case.
#[derive(Clone, Debug)]
pub struct PathPattern {
    source: Box<str>,
    form: Form,
    names: Box<[Box<str>]>,
}

/// The four forms of a [`PathPattern`], in the order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathKind {
    /// One path.
    Exact,
    /// Segments with names.
    Template,
    /// A regex.
    Regex,
    /// A path and everything below it.
    Prefix,
}

#[derive(Clone, Debug)]
pub(crate) enum Form {
    Exact(Box<[u8]>),
    Template(Template),
    Regex(ByteRegex),
    /// Without the slash and star: empty for `/*`.
    Prefix(Box<[u8]>),
}

#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) segments: Box<[Segment]>,
    /// A last `{name...}`.
    pub(crate) has_rest: bool,
    /// Bytes outside of braces, slashes included.
    pub(crate) literal_len: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Segment {
    /// Empty only as the last one, for a trailing slash.
    Literal(Box<[u8]>),
    /// One segment that is not empty.
    Name,
}

impl Segment {
    /// The segments of a prefix (without its slash and star).
    pub(crate) fn of_prefix(prefix: &[u8]) -> Vec<Self> {
        prefix.split(|&b| b == b'/').skip(1).map(|segment| Self::Literal(segment.into())).collect()
    }
}

impl PathPattern {
    /// Reads one of the four forms.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let (form, names) = if let Some(source) = text.strip_prefix('~') {
            let regex = ByteRegex::parse(source)?;
            let names = regex.group_names();
            (Form::Regex(regex), names)
        } else {
            parse_segments(text)?
        };
        if names.len() > MAX_CAPTURES {
            return Err(PatternError::TooManyCaptures);
        }
        for (i, name) in names.iter().enumerate() {
            if names[..i].contains(name) {
                return Err(PatternError::CaptureTwice(name.clone()));
            }
        }
        Ok(Self { source: text.into(), form, names: names.into() })
    }

    /// As the user wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Which of the four forms it is.
    #[must_use]
    pub fn kind(&self) -> PathKind {
        match self.form {
            Form::Exact(_) => PathKind::Exact,
            Form::Template(_) => PathKind::Template,
            Form::Regex(_) => PathKind::Regex,
            Form::Prefix(_) => PathKind::Prefix,
        }
    }

    /// The names of the captures, in the order of their positions in [`Captures`]. The rest of a prefix is
    /// called `*`, a regex group without a name by its number.
    #[must_use]
    pub fn captures(&self) -> &[Box<str>] {
        &self.names
    }

    /// Whether the canonical `path` is one of these.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        match &self.form {
            Form::Exact(want) => **want == *path,
            Form::Prefix(prefix) => below(prefix, path).is_some(),
            Form::Template(template) => walk(template, path, |_| {}),
            Form::Regex(regex) => regex.is_match(path),
        }
    }

    /// [`PathPattern::matches`], and where the captures are. They are cleared first.
    pub fn capture(&self, path: &[u8], captures: &mut Captures) -> bool {
        captures.clear();
        match &self.form {
            Form::Exact(want) => **want == *path,
            Form::Prefix(prefix) => match below(prefix, path) {
                Some(start) => {
                    captures.push(Some((start, path.len())));
                    true
                }
                None => false,
            },
            Form::Template(template) => walk(template, path, |range| captures.push(Some(range))),
            Form::Regex(regex) => regex.capture(path, captures),
        }
    }

    pub(crate) fn form(&self) -> &Form {
        &self.form
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// Where the rest begins, if `path` is `prefix` or below it.
fn below(prefix: &[u8], path: &[u8]) -> Option<usize> {
    if path.first() != Some(&b'/') {
        return None;
    }
    match path.strip_prefix(prefix)? {
        [] => Some(path.len()),
        [b'/', ..] => Some(prefix.len() + 1),
        _ => None,
    }
}

/// Compares segment by segment, and reports what each name stands for.
fn walk(template: &Template, path: &[u8], mut name: impl FnMut((usize, usize))) -> bool {
    // Where the next segment begins; beyond the path when none is left.
    let mut at = match path {
        [b'/', ..] => 1,
        _ => return false,
    };
    for segment in &template.segments {
        let Some(left) = path.get(at..) else { return false };
        let end = at + memchr::memchr(b'/', left).unwrap_or(left.len());
        match segment {
            Segment::Literal(want) if **want != path[at..end] => return false,
            Segment::Name if at == end => return false,
            Segment::Literal(_) => {}
            Segment::Name => name((at, end)),
        }
        at = end + 1;
    }
    if template.has_rest {
        name((at.min(path.len()), path.len()));
        return true;
    }
    at > path.len()
}

/// Exact, prefix and template: everything that is not a regex.
fn parse_segments(text: &str) -> Result<(Form, Vec<Box<str>>), PatternError> {
    let Some(body) = text.strip_prefix('/') else {
        return Err(if text.is_empty() { PatternError::Empty } else { PatternError::PathNotAbsolute });
    };
    if text.len() > MAX_PATTERN_BYTES {
        return Err(PatternError::TooLong);
    }
    let mut segments = Vec::new();
    let mut names: Vec<Box<str>> = Vec::new();
    let mut has_rest = false;
    let mut literal: Vec<u8> = Vec::with_capacity(text.len());
    let mut parts = body.split('/').peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        if part == "*" && is_last {
            // A prefix with names in front is a template with a rest that is called `*`.
            names.push("*".into());
            if names.len() == 1 {
                check_count(segments.len())?;
                return Ok((Form::Prefix(literal.into()), names));
            }
            literal.push(b'/');
            has_rest = true;
            break;
        }
        literal.push(b'/');
        if let Some(name) = braced(part) {
            let (name, is_rest) = match name.strip_suffix("...") {
                Some(name) => (name, true),
                None => (name, false),
            };
            check_name(name)?;
            names.push(name.into());
            if is_rest && !is_last {
                return Err(PatternError::PathRestNotLast);
            }
            has_rest = is_rest;
            if !is_rest {
                segments.push(Segment::Name);
            }
        } else if part.is_empty() && is_last {
            segments.push(Segment::Literal(Box::default()));
        } else {
            let canonical = canonical_literal(part)?;
            literal.extend_from_slice(&canonical);
            segments.push(Segment::Literal(canonical.into()));
        }
    }
    if names.is_empty() {
        return Ok((Form::Exact(literal.into()), names));
    }
    check_count(segments.len())?;
    let template = Template { segments: segments.into(), has_rest, literal_len: literal.len() };
    Ok((Form::Template(template), names))
}

/// What stands between the braces, if the whole segment is braced.
fn braced(part: &str) -> Option<&str> {
    part.strip_prefix('{')?.strip_suffix('}').filter(|inner| !inner.contains(['{', '}']))
}

fn check_name(name: &str) -> Result<(), PatternError> {
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.starts_with(is_start) && name.chars().all(is_part) {
        return Ok(());
    }
    Err(PatternError::CaptureName(name.into()))
}

fn check_count(segments: usize) -> Result<(), PatternError> {
    if segments > MAX_SEGMENTS { Err(PatternError::PathTooManySegments) } else { Ok(()) }
}

#[cfg(test)]
mod tests;

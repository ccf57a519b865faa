//! Texts, places in them, and values that remember their place.
//!
//! A place is a range of bytes; lines and columns are worked out only when something is shown. Nothing here
//! knows what the texts mean. Entry points: [`Sources::add`], [`Span`], [`Spanned`].

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use crate::Veil;

/// Names one text of a [`Sources`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// A range of bytes in one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The text.
    pub source: SourceId,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes `start..end` of `source`; offsets beyond 4 GiB are cut off there.
    pub fn new(source: SourceId, start: usize, end: usize) -> Self {
        let cut = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { source, start: cut(start), end: cut(end.max(start)) }
    }

    /// The place from the start of this span to the end of `last`, which lies behind it in the same text.
    pub fn to(self, last: Self) -> Self {
        Self { end: self.end.max(last.end), ..self }
    }

    /// Whether another place is this one or a part of it.
    pub fn holds(self, other: Self) -> bool {
        self.source == other.source && self.start <= other.start && other.end <= self.end
    }

    /// Whether another place has a part of this one, or stands inside of it.
    pub fn touches(self, other: Self) -> bool {
        let apart = self.end <= other.start || other.end <= self.start;
        self.source == other.source && (!apart || self.holds(other) || other.holds(self))
    }

    /// How many bytes.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Whether it is a mere point.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The bytes `from..to`, counted from the start of this span and kept inside it.
    pub fn part(self, from: usize, to: usize) -> Self {
        let at = |offset: usize| self.start as usize + offset.min(self.len());
        Self::new(self.source, at(from), at(to))
    }
}

/// A value and the place it was written at.
///
/// Two are equal when their values are: the place is for people.
#[derive(Clone, Copy)]
pub struct Spanned<T> {
    /// What was written.
    pub value: T,
    /// Where it was written.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Joins a value and its place.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }

    /// The same place with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { value: change(self.value), span: self.span }
    }
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Spanned<T> {}

impl<T: Hash> Hash for Spanned<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

impl<T: fmt::Debug> fmt::Debug for Spanned<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(out)
    }
}

impl<T: fmt::Display> fmt::Display for Spanned<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(out)
    }
}

/// Where a byte stands for a reader: both numbers count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line; lines end with a line feed.
    pub line: usize,
    /// The column, in characters (Unicode scalar values).
    pub column: usize,
}

/// Every text that a diagnostic may point into.
#[derive(Debug, Default, Clone)]
pub struct Sources {
    files: Vec<File>,
}

#[derive(Debug, Clone)]
struct File {
    name: String,
    text: String,
    /// Offset of the first byte of each line.
    lines: Vec<u32>,
}

impl Sources {
    /// Without any text.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a text in. `name` is what people see in front of the line number, so usually the path as given.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> SourceId {
        let text = text.into();
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(ends).map_while(|at| u32::try_from(at).ok()).collect();
        self.files.push(File { name: name.into(), text, lines });
        SourceId(u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX))
    }

    /// Puts `*` in the place of a part of a text, so that it is never shown. Places stay what they are.
    pub fn hide(&mut self, veil: &Veil) {
        if let Some(file) = self.files.get_mut(veil.region.source.0 as usize) {
            veil.draw(&mut file.text);
        }
    }

    /// The name a text was added under; empty for an id of another `Sources`.
    pub fn name(&self, source: SourceId) -> &str {
        self.file(source).map_or("", |file| &file.name)
    }

    /// The names of all texts, in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| file.name.as_str())
    }

    /// The whole text; empty for an id of another `Sources`.
    pub fn text(&self, source: SourceId) -> &str {
        self.file(source).map_or("", |file| &file.text)
    }

    /// The bytes of a span, shortened to whole characters inside the text.
    pub fn slice(&self, span: Span) -> &str {
        let text = self.text(span.source);
        let start = floor(text, span.start as usize);
        text.get(start..floor(text, span.end as usize).max(start)).unwrap_or("")
    }

    /// Line and column of a byte; an offset behind the text means its end.
    pub fn position(&self, source: SourceId, offset: u32) -> Position {
        let line = self.line_of(source, offset);
        let (start, _) = self.line_bounds(source, line);
        let text = self.text(source);
        let before = text.get(start..floor(text, offset as usize).max(start)).unwrap_or("");
        Position { line, column: before.chars().count() + 1 }
    }

    /// `name:line:column` of the start of a span.
    pub fn place(&self, span: Span) -> String {
        let Position { line, column } = self.position(span.source, span.start);
        format!("{}:{line}:{column}", self.name(span.source))
    }

    /// The number of the line that holds a byte, from 1.
    pub(crate) fn line_of(&self, source: SourceId, offset: u32) -> usize {
        self.file(source).map_or(1, |file| file.lines.partition_point(|start| *start <= offset).max(1))
    }

    /// Where a line begins and ends, without its line break. `line` counts from 1.
    pub(crate) fn line_bounds(&self, source: SourceId, line: usize) -> (usize, usize) {
        let Some(file) = self.file(source) else { return (0, 0) };
        let at = |index: usize| file.lines.get(index).map(|start| *start as usize);
        let start = at(line.saturating_sub(1)).unwrap_or(file.text.len());
        let next = at(line).unwrap_or(file.text.len());
        let whole = file.text.get(start..next).unwrap_or("");
        (start, start + whole.trim_end_matches(['\n', '\r']).len())
    }

    fn file(&self, source: SourceId) -> Option<&File> {
        self.files.get(source.0 as usize)
    }
}

/// The nearest start of a character at or before `at`.
pub(crate) fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}

#[cfg(test)]
mod tests {
    use super::{Position, Sources, Span, Spanned};

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let mut sources = Sources::new();
        let id = sources.add("a.yaml", "ab\ngrün: 1\r\n\nend");
        for (offset, line, column) in [
            (0, 1, 1),
            (2, 1, 3),
            (3, 2, 1),
            (5, 2, 3),
            (6, 2, 3),
            (7, 2, 4),
            (13, 3, 1),
            (14, 4, 1),
            (99, 4, 4),
        ] {
            assert_eq!(sources.position(id, offset), Position { line, column }, "at {offset}");
        }
        assert_eq!(sources.place(Span::new(id, 3, 4)), "a.yaml:2:1");
        assert_eq!(sources.line_bounds(id, 2), (3, 11));
    }

    #[test]
    fn a_slice_never_cuts_a_character() {
        let mut sources = Sources::new();
        let id = sources.add("a", "ü");
        assert_eq!(sources.slice(Span::new(id, 0, 1)), "");
        assert_eq!(sources.slice(Span::new(id, 1, 9)), "ü");
        assert_eq!(Sources::new().slice(Span::new(id, 0, 1)), "");
    }

    #[test]
    fn values_compare_without_their_place() {
        let mut sources = Sources::new();
        let id = sources.add("a", "xx");
        assert_eq!(Spanned::new(1, Span::new(id, 0, 1)), Spanned::new(1, Span::new(id, 1, 2)));
        assert_eq!(format!("{:?}", Spanned::new("x", Span::default())), "\"x\"");
    }
}

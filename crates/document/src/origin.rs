//! Where the parts of a single value stand in the file, in spite of indentation, folding, escapes and what was filled in.
//!
//! A value that stands in the file byte by byte needs nothing of this. Of every other one its pieces are kept: some
//! were copied byte by byte, and some stand for something else, such as an escape. What cannot be told is left out;
//! a place in it is that of its neighbour. Entry points: [`Origin::read`], [`Origin::place`].

use std::borrow::Cow;

use diagnostics::Span;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Without quotes: lines without the white space around them.
    Plain,
    /// As a block of lines, which begin behind the line with `|` or `>`.
    Block,
    /// `'…'`: two quotes stand for one.
    Single,
    /// `"…"`: with escapes.
    Double,
}

/// Where the parts of a value stand, in the order of the value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origin(Vec<Piece>);

/// A part of a value. It was copied byte by byte if it is as long as its place and was not filled in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Piece {
    /// Where it begins in the value.
    pub(crate) at: usize,
    /// Its length in the value.
    pub(crate) len: usize,
    /// Where it stands in the file.
    pub(crate) place: Span,
    /// Whether it came from outside of the file.
    pub(crate) filled: bool,
}

impl Piece {
    fn end(&self) -> usize {
        self.at + self.len
    }

    fn is_exact(&self) -> bool {
        !self.filled && self.place.len() == self.len
    }

    /// The place of the bytes `from..to` of the value, as far as they are in this piece.
    fn part(&self, from: usize, to: usize) -> Span {
        if !self.is_exact() {
            return self.place;
        }
        self.place.part(from.saturating_sub(self.at), to.saturating_sub(self.at))
    }
}

impl Origin {
    /// Of a value whose bytes stand in the file as they are; `None` if they do not.
    fn plain(plain: bool, text: &str, span: Span) -> Option<Self> {
        let quotes = usize::from(!plain);
        let place = span.part(quotes, span.len().saturating_sub(quotes));
        let exact = place.len() == text.len();
        exact.then(|| Self(vec![Piece { at: 0, len: text.len(), place, filled: false }]))
    }

    /// Of a value that stands as `written` at `span`. `None` where nothing needs to be kept.
    pub(crate) fn read(style: Style, text: &str, written: &str, span: Span) -> Option<Box<Self>> {
        if style != Style::Block && Self::plain(style == Style::Plain, text, span).is_some() {
            return None;
        }
        let mut origin = Self::default();
        match style {
            Style::Plain | Style::Block => origin.read_lines(text, written, span),
            Style::Single | Style::Double => origin.read_quoted(style == Style::Double, text, written, span),
        }
        Some(Box::new(origin))
    }

    /// Of a single value. One that nothing is known of is one piece.
    pub(crate) fn of<'a>(kept: Option<&'a Self>, plain: bool, text: &str, span: Span) -> Cow<'a, Self> {
        if let Some(origin) = kept {
            return Cow::Borrowed(origin);
        }
        let whole = || Self(vec![Piece { at: 0, len: text.len(), place: span, filled: false }]);
        Cow::Owned(Self::plain(plain, text, span).unwrap_or_else(whole))
    }

    /// The pieces, in the order of the value.
    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The place of the bytes `from..to` of the value; `whole` where nothing is known.
    pub(crate) fn place(&self, from: usize, to: usize, whole: Span) -> Span {
        let some = || self.0.iter().filter(|piece| piece.len > 0);
        let Some(first) = some().find(|piece| from < piece.end()).or_else(|| some().next_back()) else {
            return whole;
        };
        let start = first.part(from, to.max(from));
        let Some(last) = some().rfind(|piece| piece.at < to && piece.at >= first.at) else { return start };
        let end = last.part(to.saturating_sub(1), to);
        if end.end < start.start { start } else { Span { end: end.end, ..start } }
    }

    /// Adds the part `from..to` of another value of the same file, copied to `at`.
    pub(crate) fn copy(&mut self, other: &Self, from: usize, to: usize, at: usize) {
        for piece in &other.0 {
            let (start, end) = (piece.at.max(from), piece.end().min(to));
            if start < end {
                let place = piece.part(start, end);
                self.add(at + start - from, end - start, place, piece.filled);
            }
        }
    }

    /// Adds a piece.
    pub(crate) fn add(&mut self, at: usize, len: usize, place: Span, filled: bool) {
        self.0.push(Piece { at, len, place, filled });
    }

    /// Lines, each without the white space around it. Between them is nothing but white space in the value too.
    fn read_lines(&mut self, text: &str, written: &str, span: Span) {
        let mut at = 0;
        let mut start = 0;
        for line in written.split_inclusive('\n') {
            let content = line.trim();
            let offset = start + line.len() - line.trim_start().len();
            start += line.len();
            if content.is_empty() {
                continue;
            }
            while !text[at..].starts_with(content) {
                match text[at..].chars().next() {
                    Some(c) if c.is_whitespace() => at += c.len_utf8(),
                    // Behind the value, such as a comment.
                    _ => return,
                }
            }
            self.add(at, content.len(), span.part(offset, offset + content.len()), false);
            at += content.len();
        }
    }

    /// What stands in quotes: runs of bytes, with escapes and line breaks between them.
    fn read_quoted(&mut self, escapes: bool, text: &str, written: &str, span: Span) {
        let mut at = 0;
        let mut offset = 1;
        let inner = written.len().saturating_sub(1);
        let mut run = (at, offset);
        while let Some(c) = written.get(offset..inner).and_then(|rest| rest.chars().next()) {
            let rest = &written[offset..inner];
            let (taken, value) = match c {
                '\\' if escapes => escape(rest),
                '\'' if !escapes => (2, 1),
                ' ' | '\t' | '\r' | '\n' => match fold(rest) {
                    Some(taken) => {
                        let spaces = |c: char| c == '\n' || c == ' ';
                        (taken, text[at..].len() - text[at..].trim_start_matches(spaces).len())
                    }
                    None => (c.len_utf8(), c.len_utf8()),
                },
                _ => (c.len_utf8(), c.len_utf8()),
            };
            let value = match value {
                // An escape: one character, however long.
                1 if taken > 1 => text[at..].chars().next().map_or(0, char::len_utf8),
                value => value,
            };
            if text.get(at..at + value).is_none() {
                break;
            }
            if taken != value || (c == '\\' && escapes) {
                self.run(run, at, span);
                self.add(at, value, span.part(offset, offset + taken), false);
                run = (at + value, offset + taken);
            }
            (at, offset) = (at + value, offset + taken);
        }
        self.run(run, at, span);
    }

    fn run(&mut self, (at, offset): (usize, usize), end: usize, span: Span) {
        if at < end {
            self.add(at, end - at, span.part(offset, offset + end - at), false);
        }
    }
}

/// The length of an escape, and how many characters it stands for.
fn escape(rest: &str) -> (usize, usize) {
    let mut chars = rest.chars().skip(1);
    match chars.next() {
        Some('x') => (4, 1),
        Some('u') => (6, 1),
        Some('U') => (10, 1),
        // A line break that says nothing, with the white space behind it.
        Some('\n' | '\r') => (rest.len() - rest[1..].trim_start().len(), 0),
        Some(c) => (1 + c.len_utf8(), 1),
        None => (1, 0),
    }
}

/// The length of the white space around a line break; `None` if there is no line break in it.
fn fold(rest: &str) -> Option<usize> {
    let taken = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    rest[..taken].contains('\n').then_some(taken)
}

#[cfg(test)]
mod tests {
    use diagnostics::{Diagnostics, SourceId, Sources};

    use crate::parse;

    /// Every word of the value is found at its place in the text.
    #[test]
    fn the_parts_of_a_value_are_found_however_it_is_written() {
        for text in [
            "one two",
            "'one two'",
            "|\n  one\n    two\n\n  three three\n",
            "|2-\n    one\n  two\n",
            "| # comment\n\n  one ü two\n  three\n\n\n# four\n",
            ">-\n  one two\n  three\n\n  four\n    five\n  six\n# seven\n",
            "one two\n  three\n\n  four # five",
            "'one''s two\n   three\n\n  four'",
            "\"one\\ttwo \\\n   three\\u00fcfour \\\"five\\\"\n   six\\x41 seven\\U0001F600eight\"",
            "|\n  one two\n  | three\n\n  > four\n",
            ">\r\n  one\r\n  two\r\n",
        ] {
            let text = format!("k: {text}");
            let mut sources = Sources::new();
            sources.add("a", text.as_str());
            let node = parse(SourceId(0), &text, &mut Diagnostics::new()).unwrap();
            let node = node.get("k").unwrap();
            let value = node.text().unwrap();
            let mut words = 0;
            for word in value.split(|c: char| !c.is_ascii_lowercase()).filter(|word| word.len() > 1) {
                let at = value.find(word).unwrap();
                assert_eq!(sources.slice(node.part(at, at + word.len())), word, "{text:?}");
                words += 1;
            }
            assert!(words >= 2, "{text:?}");
            for from in 0..=value.len() + 1 {
                for to in from..=value.len() + 1 {
                    assert!(node.span.holds(node.part(from, to)), "{text:?} {from}..{to}");
                }
            }
            let whole = sources.slice(node.part(0, value.len()));
            assert!(whole.starts_with("one") && !whole.contains('#'), "{text:?}: {whole:?}");
        }
    }
}

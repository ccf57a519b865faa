//! Diagnostics that do not repeat what is not to be shown.
//!
//! Texts of a diagnostic that are written in the code are [`Words`] that repeat nothing. All others may repeat what
//! stands at their place; so where that is hidden, everything in backticks goes, and whatever else also occurs in
//! the value. Which places are hidden is for others to say. Entry points: [`Words`],
//! [`Diagnostics::hide`](crate::Diagnostics::hide).

use std::collections::HashSet;
use std::fmt;

use crate::{Diagnostic, Span};

/// What stands in place of what is not shown.
const HIDDEN: &str = "[hidden]";

/// So many characters in a row that a text shares with a hidden value are not there by chance.
const RUN: usize = 5;

/// Shorter values are hidden only where they stand in backticks: they also occur by chance.
const SHORTEST: usize = 4;

/// A text of a diagnostic. One that is written in the code repeats nothing; one that was put together may.
#[derive(Clone, Debug)]
pub struct Words {
    pub(crate) text: String,
    pub(crate) fixed: bool,
}

impl Words {
    /// A text that was put together, but repeats nothing of a file that is hidden.
    pub fn fixed(text: impl Into<String>) -> Self {
        Self { text: text.into(), fixed: true }
    }
}

impl From<&'static str> for Words {
    fn from(text: &'static str) -> Self {
        Self::fixed(text)
    }
}

impl From<String> for Words {
    fn from(text: String) -> Self {
        Self { text, fixed: false }
    }
}

/// A value, or a key, with something in it that is not shown.
#[derive(Clone)]
pub struct Hidden {
    /// The whole of it.
    pub span: Span,
    /// What is hidden of it: where it stands in the file.
    pub parts: Vec<Span>,
    /// What is hidden of it: its text.
    pub texts: Vec<String>,
}

impl fmt::Debug for Hidden {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} {HIDDEN}", self.span)
    }
}

/// How near a diagnostic is to what is hidden.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Near {
    /// It is about something that the value is a part of, or about another value.
    Around,
    /// It is about another part of the same value.
    Beside,
    /// It is about the very thing.
    At,
}

/// Takes what is hidden out of the texts of a diagnostic.
pub(crate) fn hide(one: &mut Diagnostic, places: &[Hidden]) {
    let spans: Vec<Span> = one.span.into_iter().chain(one.related.iter().map(|(span, _)| *span)).collect();
    for place in places {
        let Some(near) = near(&spans, place) else { continue };
        for text in one.quoting() {
            *text = without(text, &place.texts, near);
        }
    }
}

/// `None` where they have nothing to do with each other.
fn near(spans: &[Span], place: &Hidden) -> Option<Near> {
    if spans.is_empty() {
        return Some(Near::Around);
    }
    let of = |span: &Span| {
        if !span.touches(place.span) {
            None
        } else if !place.span.holds(*span) {
            Some(Near::Around)
        } else if place.parts.iter().any(|part| part.touches(*span)) {
            Some(Near::At)
        } else {
            Some(Near::Beside)
        }
    };
    spans.iter().filter_map(of).max()
}

fn without(text: &str, hidden: &[String], near: Near) -> String {
    let mut text = text.to_owned();
    for value in hidden.iter().filter(|value| !value.is_empty()) {
        if value.chars().count() >= SHORTEST {
            text = text.replace(value.as_str(), HIDDEN);
        } else {
            text = text.replace(&format!("`{value}`"), &format!("`{HIDDEN}`"));
        }
    }
    if near >= Near::Beside {
        text = without_runs(&text, hidden);
    }
    if near == Near::At {
        let odd = hidden.iter().any(|value| value.contains('`'));
        text = without_quoted(&text, odd);
    }
    text
}

/// Everything in backticks goes. `odd`: a value holds backticks itself, so that nobody can tell where it ends.
fn without_quoted(text: &str, odd: bool) -> String {
    let pieces: Vec<&str> = text.split('`').collect();
    let [first, between @ .., last] = pieces.as_slice() else { return text.to_owned() };
    if between.is_empty() {
        return text.to_owned();
    }
    if odd || between.len() % 2 == 0 {
        return format!("{first}`{HIDDEN}`{last}");
    }
    let between = between.iter().enumerate().map(|(at, piece)| if at % 2 == 0 { HIDDEN } else { piece });
    format!("{first}`{}`{last}", between.collect::<Vec<_>>().join("`"))
}

/// Every [`RUN`] of characters that also stands in a hidden value goes. Case counts for nothing.
fn without_runs(text: &str, hidden: &[String]) -> String {
    let chars: Vec<char> = text.chars().collect();
    let lower: Vec<char> = chars.iter().map(char::to_ascii_lowercase).collect();
    let wanted: HashSet<&[char]> = lower.windows(RUN).collect();
    let mut found: HashSet<Vec<char>> = HashSet::new();
    for value in hidden {
        let value: Vec<char> = value.chars().map(|c| c.to_ascii_lowercase()).collect();
        found.extend(value.windows(RUN).filter(|run| wanted.contains(run)).map(<[char]>::to_vec));
    }
    let mut out = String::with_capacity(text.len());
    let mut until = 0;
    for (at, c) in chars.iter().enumerate() {
        if lower.get(at..at + RUN).is_some_and(|run| found.contains(run)) {
            if until <= at {
                out.push_str(HIDDEN);
            }
            until = at + RUN;
        }
        if at >= until {
            out.push(*c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Hidden, Words};
    use crate::{Code, Diagnostic, Diagnostics, SourceId, Span};

    fn span(start: usize, end: usize) -> Span {
        Span::new(SourceId(0), start, end)
    }

    /// `Bearer ${env:KEY}` at 10, of which 17 to 27 are filled in.
    fn said(place: Option<Span>, filled: &str, message: impl Into<Words>) -> String {
        let mut all = Diagnostics::new();
        all.push(Diagnostic::error(Code::InvalidValue, place, message));
        all.hide(&[Hidden { span: span(10, 27), parts: vec![span(17, 27)], texts: vec![filled.to_owned()] }]);
        let message = all.iter().next().map(|one| one.message.clone());
        message.unwrap_or_default()
    }

    #[test]
    fn only_what_is_hidden_goes() {
        let (whole, literal, around, far) = (span(10, 27), span(10, 16), span(0, 90), span(30, 31));
        for (place, filled, message, wanted) in [
            (whole, "s3cret", "`Bearer s3cret` is no URL", "`[hidden]` is no URL"),
            (
                whole,
                "s3cret",
                "`5` is too much: 64 digits are needed",
                "`[hidden]` is too much: 64 digits are needed",
            ),
            (whole, "S3CRET", "the host s3cre is unknown", "the host [hidden] is unknown"),
            (whole, "a`b", "`a`b` is no name", "`[hidden]` is no name"),
            (whole, "x", "an odd ` is there", "an odd ` is there"),
            (literal, "s3cret", "`Bearer` is no scheme", "`Bearer` is no scheme"),
            (literal, "s3cret", "`Bearer` and `s3cre`", "`Bearer` and `[hidden]`"),
            (around, "s3cret", "`x-s3cret` is given twice", "`x-[hidden]` is given twice"),
            (around, "web", "web: `web` and `webs`", "web: `[hidden]` and `webs`"),
            (far, "s3cret", "`s3cret` is not hidden here", "`s3cret` is not hidden here"),
        ] {
            assert_eq!(said(Some(place), filled, message.to_owned()), wanted);
        }
        assert_eq!(said(None, "s3cret", "no s3cret".to_owned()), "no [hidden]");
        assert_eq!(
            said(Some(whole), "word", "`hash-password` makes one word"),
            "`hash-password` makes one word"
        );
        assert_eq!(
            said(Some(whole), "word", Words::fixed("one of `a`, `word`".to_owned())),
            "one of `a`, `word`"
        );
    }

    #[test]
    fn labels_help_and_other_places_are_looked_at_too() {
        let mut all = Diagnostics::new();
        let one = Diagnostic::error(Code::InvalidValue, span(40, 41), "fixed")
            .related(span(12, 13), "`s3cret` is here".to_owned())
            .label("s3cret!".to_owned())
            .help("write `s3cret` in quotes".to_owned());
        all.push(one);
        all.hide(&[Hidden {
            span: span(10, 27),
            parts: vec![span(10, 27)],
            texts: vec!["s3cret".to_owned()],
        }]);
        let shown = format!("{:?}", all.iter().next());
        assert!(!shown.contains("s3cret") && shown.matches("[hidden]").count() == 3, "{shown}");
    }
}

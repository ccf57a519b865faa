//! The tree: what a file says, without any meaning, each part with its place.
//!
//! It knows nothing of YAML, and nothing of the language. Entry point: [`Node`].

use std::borrow::Cow;
use std::fmt;

use diagnostics::{Code, Diagnostic, Hidden, Span, Spanned, Words, visible};

use crate::origin::Origin;
use crate::value::Files;

/// How much of a value a message repeats, in characters.
const SHOWN: usize = 60;

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// From the first to the last byte of it.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing: an empty value, `null` or `~`.
    Null,
    /// A single value: text, a number, `true`. What it means is for the decoder to say.
    Scalar(Scalar),
    /// Values in order.
    List(Vec<Node>),
    /// Keys with their values, in the order of the file, no key twice.
    Map(Vec<Entry>),
}

/// A single value, as text.
#[derive(Clone, PartialEq)]
pub struct Scalar {
    /// The text, with quotes and escapes resolved.
    pub text: String,
    /// Whether it was written without quotes.
    pub plain: bool,
    /// Whether it is never shown: a part of it came from the environment or a file, or it stands where a secret
    /// may be.
    pub secret: bool,
    /// Where its parts stand in the file, where that takes more than counting bytes.
    pub origin: Option<Box<Origin>>,
    /// What stands in the files that it names, where it names some and they were read.
    pub files: Option<Box<Files>>,
}

/// A key of a map and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key and its place.
    pub key: Spanned<String>,
    /// The value.
    pub node: Node,
}

impl Entry {
    /// Whether it is a key without a colon, as a part of a value becomes one that has a comma in it and no quotes.
    pub fn is_cut_off(&self) -> bool {
        self.node.value == Value::Null
            && self.node.span.is_empty()
            && self.node.span.start == self.key.span.end
    }
}

impl Scalar {
    /// The text for a message: in backticks, shortened, and hidden if it is never shown.
    pub fn shown(&self) -> String {
        if self.secret {
            return "the hidden value".to_owned();
        }
        let mut text: String = self.text.chars().take(SHOWN).collect();
        if text.len() < self.text.len() {
            text.push('…');
        }
        format!("`{}`", visible(&text))
    }
}

impl Scalar {
    /// Where its parts stand, if it stands at `span`.
    pub(crate) fn origin(&self, span: Span) -> Cow<'_, Origin> {
        Origin::of(self.origin.as_deref(), self.plain, &self.text, span)
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.secret { out.write_str("[hidden]") } else { self.text.fmt(out) }
    }
}

impl Node {
    /// A value without quotes, such as a default that the code holds.
    pub fn plain(text: impl Into<String>, span: Span) -> Self {
        Self {
            span,
            value: Value::Scalar(Scalar {
                text: text.into(),
                plain: true,
                secret: false,
                origin: None,
                files: None,
            }),
        }
    }

    /// What it is, for a message: `a list`, `a section`, `nothing`, or the value itself in backticks.
    pub fn kind(&self) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Scalar(scalar) => scalar.shown(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a section".to_owned(),
        }
    }

    /// The single value, if it is one.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The text of a single value.
    pub fn text(&self) -> Option<&str> {
        self.scalar().map(|scalar| scalar.text.as_str())
    }

    /// Whether it is exactly this word, without quotes.
    pub fn is_word(&self, word: &str) -> bool {
        self.scalar().is_some_and(|scalar| scalar.plain && scalar.text == word)
    }

    /// The values of a list.
    pub fn list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(nodes) => Some(nodes),
            _ => None,
        }
    }

    /// The entries of a map.
    pub fn map(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The value of a key of a map. Looks at one key after the other.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.map()?.iter().find(|entry| entry.key.value == key).map(|entry| &entry.node)
    }

    /// The place of the bytes `from..to` of a single value. Of what was filled in, it is that of the whole `${…}`.
    pub fn part(&self, from: usize, to: usize) -> Span {
        let Some(scalar) = self.scalar() else { return self.span };
        scalar.origin(self.span).place(from, to, self.span)
    }

    /// What came from outside, if anything in this single value did.
    pub fn filled(&self) -> Option<Hidden> {
        let scalar = self.scalar()?;
        let filled = || scalar.origin.iter().flat_map(|origin| origin.pieces()).filter(|piece| piece.filled);
        let texts = filled().filter_map(|piece| scalar.text.get(piece.at..piece.at + piece.len));
        let texts: Vec<String> = texts.map(str::to_owned).collect();
        let parts: Vec<Span> = filled().map(|piece| piece.place).collect();
        (!parts.is_empty()).then_some(Hidden { span: self.span, parts, texts })
    }

    /// Says that something else stands here. `wanted` reads on from "expected": `a list of addresses`. It must not
    /// repeat the value.
    pub fn wrong_type(&self, wanted: &str) -> Diagnostic {
        let message = Words::fixed(format!("expected {wanted}, found {}", self.kind()));
        let one = Diagnostic::error(Code::WrongType, self.span, message);
        match self.value {
            Value::Null => one.label("nothing is here").help("give the key a value, or remove it"),
            _ => one.label(Words::fixed(format!("expected {wanted}"))),
        }
    }
}

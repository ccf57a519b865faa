//! From a node to a typed value.
//!
//! A decoder looks at everything below its node even after a mistake, pushes what it finds, and returns what could
//! be read, or `None` if that is nothing. Nothing here knows a key of the language. Entry point: [`Decode`].

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned, Words};

use crate::node::{Node, Value};
use crate::shape::Shape;

/// A type that can be made of a node.
pub trait Decode: Sized {
    /// Makes the value, or says what is wrong. `None` means that at least one error was pushed. A value may
    /// come with errors too: what could be read of it, so that the crates above can look for further
    /// mistakes. So nobody may use a value for anything else without asking `Diagnostics::has_errors`.
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self>;

    /// What a value may look like.
    fn shape() -> Shape;

    /// The value of a key that is not given; `None` if it must be given.
    fn absent() -> Option<Self> {
        None
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        T::decode(node, diagnostics).map(Some)
    }

    fn shape() -> Shape {
        T::shape()
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Decode> Decode for Spanned<T> {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        Some(Self::new(T::decode(node, diagnostics)?, node.span))
    }

    fn shape() -> Shape {
        T::shape()
    }
}

/// The node itself, for what is decoded elsewhere.
impl Decode for Node {
    fn decode(node: &Node, _: &mut Diagnostics) -> Option<Self> {
        Some(node.clone())
    }

    fn shape() -> Shape {
        Shape::Any
    }
}

impl Decode for bool {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        match node.text() {
            Some("true") => return Some(true),
            Some("false") => return Some(false),
            Some(text) => {
                let one = node.wrong_type("`true` or `false`");
                diagnostics.push(match text.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "true" | "1" => one.help("write `true`"),
                    "no" | "off" | "false" | "0" => one.help("write `false`"),
                    _ => one,
                });
            }
            None => diagnostics.push(node.wrong_type("`true` or `false`")),
        }
        None
    }

    fn shape() -> Shape {
        Shape::Boolean
    }
}

/// Any single value, as it is written.
impl Decode for String {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let text = node.text();
        if text.is_none() {
            diagnostics.push(node.wrong_type("text"));
        }
        text.map(str::to_owned)
    }

    fn shape() -> Shape {
        Shape::TEXT
    }
}

/// A whole number from `MIN` to `MAX`, where it is not the value of a key that names its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Int<const MIN: u32, const MAX: u32>(pub u32);

impl<const MIN: u32, const MAX: u32> Int<MIN, MAX> {
    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl<const MIN: u32, const MAX: u32> From<Int<MIN, MAX>> for u32 {
    fn from(number: Int<MIN, MAX>) -> Self {
        number.0
    }
}

impl<const MIN: u32, const MAX: u32> Decode for Int<MIN, MAX> {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let number = integer(node, i128::from(MIN), i128::from(MAX), diagnostics)?;
        u32::try_from(number).ok().map(Self)
    }

    fn shape() -> Shape {
        Shape::Integer { min: i64::from(MIN), max: u64::from(MAX) }
    }
}

macro_rules! whole_numbers {
    ($($type:ty),+) => {$(
        impl Decode for $type {
            fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
                let number = integer(node, <$type>::MIN as i128, <$type>::MAX as i128, diagnostics)?;
                <$type>::try_from(number).ok()
            }

            fn shape() -> Shape {
                Shape::Integer { min: <$type>::MIN as i64, max: <$type>::MAX as u64 }
            }
        }
    )+};
}

whole_numbers!(u16, u32, u64, usize, i32);

fn integer(node: &Node, min: i128, max: i128, diagnostics: &mut Diagnostics) -> Option<i128> {
    let Some(scalar) = node.scalar() else {
        diagnostics.push(node.wrong_type("a number"));
        return None;
    };
    let digits = scalar.text.strip_prefix('-').unwrap_or(&scalar.text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        diagnostics.push(node.wrong_type("a whole number"));
        return None;
    }
    if digits.len() > 1 && digits.starts_with('0') {
        let message = format!("{} begins with a zero", scalar.shown());
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, node.span, Words::fixed(message))
                .help("write the number without it: some readers take it for an octal number"),
        );
        return None;
    }
    match scalar.text.parse() {
        Ok(number) if (min..=max).contains(&number) => Some(number),
        _ => {
            let range = if max >= i128::from(i64::MAX) {
                format!("at least {min}")
            } else {
                format!("{min} to {max}")
            };
            let message = format!("{} is out of range", scalar.shown());
            diagnostics.push(
                Diagnostic::error(Code::InvalidValue, node.span, Words::fixed(message))
                    .label(Words::fixed(format!("must be {range}"))),
            );
            None
        }
    }
}

/// A list. Every element is looked at, also after a wrong one.
impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Some(nodes) = node.list() else {
            let one = node.wrong_type("a list");
            diagnostics.push(match node.scalar() {
                Some(_) => one.help("put it in brackets: `[…]`"),
                None => one,
            });
            return None;
        };
        // What could not be decoded was reported; the rest is worth looking at too.
        Some(nodes.iter().filter_map(|node| T::decode(node, diagnostics)).collect())
    }

    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }
}

/// One value, or a list with at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T> OneOrMany<T> {
    /// The values, at least one.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<'a, T> IntoIterator for &'a OneOrMany<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: Decode> Decode for OneOrMany<T> {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        match &node.value {
            Value::List(nodes) if nodes.is_empty() => {
                let one = Diagnostic::error(Code::InvalidValue, node.span, "the list is empty");
                diagnostics.push(one.help("add a value, or remove the key"));
                None
            }
            Value::List(_) => Vec::decode(node, diagnostics).map(Self),
            _ => Some(Self(vec![T::decode(node, diagnostics)?])),
        }
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![T::shape(), Shape::List(Box::new(T::shape()))])
    }
}

/// Names that the user chose, with values, in the order of the file.
#[derive(Clone, Debug)]
pub struct Map<T> {
    entries: Vec<(Spanned<String>, T)>,
    /// Positions in `entries`, sorted by name.
    sorted: Vec<usize>,
    /// Names whose value could not be decoded.
    broken: Vec<String>,
}

impl<T> Map<T> {
    /// From names, each of them once, and values.
    pub fn new(entries: Vec<(Spanned<String>, T)>) -> Self {
        let mut sorted: Vec<usize> = (0..entries.len()).collect();
        sorted.sort_by(|a, b| entries[*a].0.value.cmp(&entries[*b].0.value));
        Self { entries, sorted, broken: Vec::new() }
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.index_of(name).map(|at| &self.entries[at].1)
    }

    /// Whether a name is there, but its value could not be decoded and was reported.
    pub fn is_broken(&self, name: &str) -> bool {
        self.broken.iter().any(|broken| broken == name)
    }

    /// Whether there are names whose value could not be decoded.
    pub fn has_broken(&self) -> bool {
        !self.broken.is_empty()
    }

    /// The position of a name, in the order of the file.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        let at = self.sorted.binary_search_by(|at| self.entries[*at].0.value.as_str().cmp(name)).ok()?;
        Some(self.sorted[at])
    }

    /// Names and values, in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &(Spanned<String>, T)> {
        self.entries.iter()
    }

    /// The names, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.value.as_str())
    }

    /// How many names.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no name.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl<'a, T> IntoIterator for &'a Map<T> {
    type Item = &'a (Spanned<String>, T);
    type IntoIter = std::slice::Iter<'a, (Spanned<String>, T)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter()
    }
}

impl<T> Default for Map<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), sorted: Vec::new(), broken: Vec::new() }
    }
}

impl<T: Decode> Decode for Map<T> {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Some(entries) = node.map() else {
            diagnostics.push(node.wrong_type("names with values"));
            return None;
        };
        let (mut all, mut broken) = (Vec::with_capacity(entries.len()), Vec::new());
        for entry in entries {
            match T::decode(&entry.node, diagnostics) {
                Some(value) => all.push((entry.key.clone(), value)),
                None => broken.push(entry.key.value.clone()),
            }
        }
        Some(Self { broken, ..Self::new(all) })
    }

    fn shape() -> Shape {
        Shape::Map(Box::new(T::shape()))
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;

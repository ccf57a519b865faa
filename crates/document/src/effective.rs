//! What holds: a tree and its shape as JSON, with every default filled in and nothing secret in it.
//!
//! One key has one form in it, whichever of its forms was written. It does not say whether the tree is right:
//! what does not fit its shape is hidden, so that a secret at a wrong place is not shown either. Entry point:
//! [`effective`].

use std::borrow::Cow;

use serde_json::{Map, Number, Value as Json};

use crate::node::{Entry, Node, Scalar, Value};
use crate::section::{SectionReader, written};
use crate::shape::{SectionInfo, Shape};

/// What stands for a value that is not shown.
const HIDDEN: &str = "[hidden]";

/// How deep it looks. A file cannot be deeper; a tree that was made in another way, or a section that is its own
/// default, could be.
const DEEPEST: usize = 200;

/// What holds by this tree, if it has this shape.
///
/// Sections have all their keys in the order of the declaration as far as JSON objects have one, those with
/// defaults also if they are not written. Short forms become sections, and one value where a list is possible
/// becomes a list of one. Numbers, `true` and `false` are those of JSON if they were written without quotes;
/// everything else is text, as it was written. Values from outside, values of type
/// [`Secret`](crate::Secret), and what does not fit are `"[hidden]"`; keys that a section does not have are left
/// out. It never fails, whatever the tree is.
///
/// `named` gives the shape of what is decoded elsewhere ([`Shape::Any`]), by the key that it stands at; without
/// one it is hidden. What is inside of it is not asked for again.
///
/// ```
/// use document::{Decode, DurationValue, Diagnostics, SourceId};
///
/// document::section! {
///     /// How long to wait.
///     pub struct Wait {
///         /// For a connection.
///         connect: DurationValue = "1s",
///         /// For how many.
///         count: u32,
///     }
/// }
///
/// let node = document::parse(SourceId(0), "count: 2", &mut Diagnostics::new()).unwrap();
/// let all = document::effective(&node, &Wait::shape(), &|_| None);
/// assert_eq!(all, serde_json::json!({ "connect": "1s", "count": 2 }));
/// ```
pub fn effective(node: &Node, shape: &Shape, named: &dyn Fn(&str) -> Option<Shape>) -> Json {
    Writer { named }.value(node, shape, "", 0)
}

struct Writer<'a> {
    named: &'a dyn Fn(&str) -> Option<Shape>,
}

impl Writer<'_> {
    /// The value at the key `name`.
    fn value(&self, node: &Node, shape: &Shape, name: &str, depth: usize) -> Json {
        if depth > DEEPEST {
            return hidden();
        }
        let below = |node: &Node, shape: &Shape, name: &str| self.value(node, shape, name, depth + 1);
        match (shape, &node.value) {
            (_, Value::Null) => Json::Null,
            (Shape::Any, _) => match (self.named)(name) {
                Some(shape) => Writer { named: &|_| None }.value(node, &shape, name, depth + 1),
                None => hidden(),
            },
            (Shape::OneOf(shapes), _) => match shapes.as_slice() {
                [one, Shape::List(_)] if node.list().is_none() => Json::Array(vec![below(node, one, name)]),
                _ => best(shapes, node).map_or_else(hidden, |shape| below(node, shape, name)),
            },
            (Shape::Section(info), _) => self.section(node, &info(), depth),
            (Shape::List(inner), Value::List(nodes)) => {
                nodes.iter().map(|node| below(node, inner, name)).collect()
            }
            (Shape::Map(inner), Value::Map(entries)) => {
                let one = |entry: &Entry| {
                    let key = &entry.key.value;
                    (key.clone(), below(&entry.node, inner, key))
                };
                Json::Object(entries.iter().map(one).collect())
            }
            (Shape::List(_) | Shape::Map(_), _) | (_, Value::List(_) | Value::Map(_)) => hidden(),
            (_, Value::Scalar(scalar)) => single(scalar, shape),
        }
    }

    fn section(&self, node: &Node, info: &SectionInfo, depth: usize) -> Json {
        let node = match info.short {
            Some(key) => SectionReader::short(node, key),
            None => Cow::Borrowed(node),
        };
        let Some(entries) = node.map() else { return hidden() };
        let mut all = Map::new();
        for key in &info.keys {
            let given = entries.iter().find(|entry| entry.key.value == key.name);
            let value = match (given, key.default) {
                (Some(entry), _) => self.value(&entry.node, &key.shape, key.name, depth + 1),
                (None, Some(default)) => written(default, node.span, &mut diagnostics::Diagnostics::new())
                    .map_or(Json::Null, |node| self.value(&node, &key.shape, key.name, depth + 1)),
                (None, None) => continue,
            };
            all.insert(key.name.to_owned(), value);
        }
        Json::Object(all)
    }
}

fn hidden() -> Json {
    Json::String(HIDDEN.to_owned())
}

/// A single value, by what the shape says that it is.
fn single(scalar: &Scalar, shape: &Shape) -> Json {
    if scalar.secret || matches!(shape, Shape::Text { format: Shape::SECRET, .. }) {
        return hidden();
    }
    let typed = match (shape, scalar.text.as_str()) {
        _ if !scalar.plain => None,
        // A word too: a condition is `true`, and it is another one if that stands in quotes.
        (Shape::Boolean | Shape::Keyword(_), "true") => Some(Json::Bool(true)),
        (Shape::Boolean | Shape::Keyword(_), "false") => Some(Json::Bool(false)),
        (Shape::Integer { .. }, text) => number(text),
        _ => None,
    };
    typed.unwrap_or_else(|| Json::String(scalar.text.clone()))
}

/// A whole number, if it is written in the one form that JSON has for it.
fn number(text: &str) -> Option<Json> {
    let number: Number =
        text.parse::<u64>().map(Number::from).or_else(|_| text.parse::<i64>().map(Number::from)).ok()?;
    (number.to_string() == text).then_some(Json::Number(number))
}

/// How well a value fits a shape.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// It cannot be meant.
    No,
    /// It can be meant, as nearly everything can.
    Loose,
    /// It is one of few values that have this form.
    Close,
}

/// The shape that is meant by a value: the first of those that fit best.
pub(crate) fn best<'a>(shapes: &'a [Shape], node: &Node) -> Option<&'a Shape> {
    // Beside a section with a short form stands the shape of the key that it is short for.
    let short = |shape: &&Shape| matches!(shape, Shape::Section(info) if info().short.is_some());
    if node.scalar().is_some()
        && let Some(section) = shapes.iter().find(short)
    {
        return Some(section);
    }
    let mut found: Option<(Fit, &Shape)> = None;
    for shape in shapes {
        let fit = fit(shape, node);
        if fit > found.map_or(Fit::No, |(fit, _)| fit) {
            found = Some((fit, shape));
        }
    }
    found.map(|(_, shape)| shape)
}

fn fit(shape: &Shape, node: &Node) -> Fit {
    let close = |fits: bool| if fits { Fit::Close } else { Fit::No };
    match (shape, &node.value) {
        (Shape::Any, _) | (Shape::Text { .. }, Value::Scalar(_)) => Fit::Loose,
        // `true` in quotes is the text, wherever both are possible.
        (Shape::Boolean, Value::Scalar(scalar)) => close(scalar.plain && is_boolean(scalar)),
        (Shape::Integer { min, max }, Value::Scalar(scalar)) => close(
            scalar
                .text
                .parse()
                .is_ok_and(|number: i128| (i128::from(*min)..=i128::from(*max)).contains(&number)),
        ),
        (Shape::Keyword(words), Value::Scalar(scalar)) => {
            close(words.contains(&scalar.text.as_str()) && (scalar.plain || !is_boolean(scalar)))
        }
        (Shape::List(_), Value::List(_)) => Fit::Close,
        (Shape::Map(_), Value::Map(_)) => Fit::Loose,
        (Shape::Section(info), Value::Map(entries)) => {
            let keys = info().keys;
            let known = |entry: &Entry| keys.iter().any(|key| key.name == entry.key.value);
            if entries.iter().all(known) { Fit::Close } else { Fit::Loose }
        }
        (Shape::Section(info), Value::Scalar(_)) => close(info().short.is_some()),
        (Shape::OneOf(shapes), _) => shapes.iter().map(|shape| fit(shape, node)).max().unwrap_or(Fit::No),
        _ => Fit::No,
    }
}

fn is_boolean(scalar: &Scalar) -> bool {
    matches!(scalar.text.as_str(), "true" | "false")
}

#[cfg(test)]
#[allow(dead_code, reason = "the sections are described here, and never decoded")]
#[path = "effective_tests.rs"]
mod tests;

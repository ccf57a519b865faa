//! Values while a condition is evaluated: borrowed wherever possible, read only where the condition looks.
//!
//! It must not know which variables there are. Entry points: [`Value`], and the traits [`Entries`] and [`Sequence`]
//! with which the caller shows its own maps and lists.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::code::Constant;
use crate::time::Nanos;

/// A value. It is cheap to copy: nothing in it is copied that has a size.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A floating-point number.
    Double(f64),
    /// A string; make one with `Value::from`.
    Text(Text<'a, str>),
    /// Bytes; make them with `Value::from`.
    Bytes(Text<'a, [u8]>),
    /// An instant, since the beginning of 1970 in UTC.
    Timestamp(Nanos),
    /// A length of time.
    Duration(Nanos),
    /// A list; make one with [`Value::list`] or [`Value::json`].
    List(List<'a>),
    /// A map; make one with [`Value::map`] or [`Value::json`].
    Map(Map<'a>),
}

/// A string or bytes, of somebody else or made by the evaluation.
#[derive(Debug)]
pub enum Text<'a, T: ?Sized> {
    /// It lies in what the caller or the program holds.
    Borrowed(&'a T),
    /// It was made, and is shared rather than copied.
    Made(Arc<T>),
}

impl<T: ?Sized> Clone for Text<'_, T> {
    fn clone(&self) -> Self {
        match self {
            Self::Borrowed(text) => Self::Borrowed(text),
            Self::Made(text) => Self::Made(Arc::clone(text)),
        }
    }
}

impl<T: ?Sized> Deref for Text<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Borrowed(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Text::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Text::Made(text.into()))
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(Text::Borrowed(bytes))
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

/// A list of the caller, read element by element.
pub trait Sequence {
    /// The number of elements.
    fn len(&self) -> usize;

    /// An element, counted from 0; none beyond the end.
    fn at(&self, index: usize) -> Option<Value<'_>>;

    /// Whether there is no element.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Sequence for Vec<String> {
    fn len(&self) -> usize {
        self.len()
    }

    fn at(&self, index: usize) -> Option<Value<'_>> {
        self.get(index).map(|text| Value::from(text.as_str()))
    }
}

/// A map of the caller from strings to values, read entry by entry.
pub trait Entries {
    /// The value of a key, if there is one.
    fn find(&self, key: &str) -> Option<Value<'_>>;

    /// Whether there is such a key. Worth its own function where making the value takes more than looking.
    fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The number of different keys.
    fn len(&self) -> usize;

    /// Each key once, in an order of the caller, counted from 0; none beyond the end.
    fn key(&self, index: usize) -> Option<Value<'_>>;

    /// Whether there is no entry.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes are read to find a key, for what it costs; 0 where that does not depend on how many there are.
    fn scanned(&self) -> usize {
        0
    }
}

/// A list, wherever its elements are.
#[derive(Clone)]
pub struct List<'a>(pub(crate) Elements<'a>);

#[derive(Clone)]
pub(crate) enum Elements<'a> {
    Theirs(&'a dyn Sequence),
    Json(&'a [serde_json::Value]),
    Constant(&'a [Constant]),
    Made(Arc<[Value<'a>]>),
}

/// A map, wherever its entries are.
#[derive(Clone)]
pub struct Map<'a>(pub(crate) Pairs<'a>);

#[derive(Clone)]
pub(crate) enum Pairs<'a> {
    Theirs(&'a dyn Entries),
    Json(&'a serde_json::Map<String, serde_json::Value>),
    Made(Arc<[[Value<'a>; 2]]>),
}

impl<'a> Value<'a> {
    /// A list of the caller.
    pub fn list(of: &'a dyn Sequence) -> Self {
        Self::List(List(Elements::Theirs(of)))
    }

    /// A map of the caller.
    pub fn map(of: &'a dyn Entries) -> Self {
        Self::Map(Map(Pairs::Theirs(of)))
    }

    /// A value of JSON. An integer is an `int`, one that is too large for it a `uint`, and every other number
    /// a `double`.
    pub fn json(value: &'a serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => number
                .as_i64()
                .map(Self::Int)
                .or_else(|| number.as_u64().map(Self::Uint))
                .or_else(|| number.as_f64().map(Self::Double))
                .unwrap_or(Self::Null),
            serde_json::Value::String(text) => Self::from(text.as_str()),
            serde_json::Value::Array(elements) => Self::List(List(Elements::Json(elements))),
            serde_json::Value::Object(entries) => Self::json_map(entries),
        }
    }

    /// An object of JSON.
    pub fn json_map(entries: &'a serde_json::Map<String, serde_json::Value>) -> Self {
        Self::Map(Map(Pairs::Json(entries)))
    }

    /// An instant, in milliseconds since the beginning of 1970 in UTC.
    #[must_use]
    pub fn timestamp_ms(milliseconds: u64) -> Self {
        Self::Timestamp(Nanos::from_ms(milliseconds))
    }

    pub(crate) fn constant(constant: &'a Constant) -> Self {
        match constant {
            Constant::Null => Self::Null,
            Constant::Bool(value) => Self::Bool(*value),
            Constant::Int(value) => Self::Int(*value),
            Constant::Uint(value) => Self::Uint(*value),
            Constant::Double(value) => Self::Double(*value),
            Constant::Text(text) => Self::from(&**text),
            Constant::Bytes(bytes) => Self::from(&**bytes),
            Constant::Timestamp(at) => Self::Timestamp(*at),
            Constant::Duration(length) => Self::Duration(*length),
            Constant::List(elements) => Self::List(List(Elements::Constant(elements))),
        }
    }
}

impl<'a> List<'a> {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match &self.0 {
            Elements::Theirs(list) => list.len(),
            Elements::Json(list) => list.len(),
            Elements::Constant(list) => list.len(),
            Elements::Made(list) => list.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An element, counted from 0.
    pub fn at(&self, index: usize) -> Option<Value<'a>> {
        match &self.0 {
            Elements::Theirs(list) => list.at(index),
            Elements::Json(list) => list.get(index).map(Value::json),
            Elements::Constant(list) => list.get(index).map(Value::constant),
            Elements::Made(list) => list.get(index).cloned(),
        }
    }
}

impl<'a> Map<'a> {
    /// The number of entries.
    pub fn len(&self) -> usize {
        match &self.0 {
            Pairs::Theirs(map) => map.len(),
            Pairs::Json(map) => map.len(),
            Pairs::Made(map) => map.len(),
        }
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All keys, one after the other.
    pub(crate) fn keys(&self) -> Keys<'a> {
        match &self.0 {
            Pairs::Theirs(map) => Keys::Theirs(*map, 0),
            Pairs::Json(map) => Keys::Json(map.keys()),
            Pairs::Made(map) => Keys::Made(Arc::clone(map), 0),
        }
    }
}

/// The keys of a map. It holds no borrow of the map itself.
pub(crate) enum Keys<'a> {
    Theirs(&'a dyn Entries, usize),
    Json(serde_json::map::Keys<'a>),
    Made(Arc<[[Value<'a>; 2]]>, usize),
}

impl<'a> Iterator for Keys<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        match self {
            Self::Theirs(map, at) => {
                *at += 1;
                map.key(*at - 1)
            }
            Self::Json(keys) => keys.next().map(|key| Value::from(key.as_str())),
            Self::Made(entries, at) => {
                *at += 1;
                entries.get(*at - 1).map(|[key, _]| key.clone())
            }
        }
    }
}

impl fmt::Debug for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries((0..self.len()).filter_map(|index| self.at(index))).finish()
    }
}

impl fmt::Debug for Map<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.keys()).finish()
    }
}

//! JSON that can be read in one way only.
//!
//! A member that is there twice is refused at every depth (RFC 8259 §4): a service might take the other one. It
//! is all found in one pass. Depth is bounded by the parser (128). The tree borrows what it can of the text: to
//! copy each name and string would cost more than to validate them. It must not know schemas. Entry point:
//! [`Json::read`].

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

/// Why a text is not JSON that can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotJson {
    /// It is no JSON, is cut off, or goes on behind its end; seen at this line and column, from one.
    Syntax(usize, usize),
    /// It is nested more than 128 deep, or a number has no value.
    Beyond,
    /// An object has a member twice; seen at this line and column, from one.
    Twice(usize, usize),
}

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotJson::Syntax(line, column) => write!(f, "is not JSON: line {line}, column {column}"),
            NotJson::Beyond => f.write_str("is nested too deep, or has a number that is too large"),
            NotJson::Twice(line, column) => {
                write!(f, "has an object with the same member twice: line {line}, column {column}")
            }
        }
    }
}

impl std::error::Error for NotJson {}

/// A value that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Json<'t> {
    pub(crate) tree: Tree<'t>,
    values: u64,
}

/// One value and what is in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree<'t> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'t, str>),
    Array(Vec<Tree<'t>>),
    /// Sorted by name, and no name is there twice.
    Object(Vec<(Cow<'t, str>, Tree<'t>)>),
}

impl<'t> Json<'t> {
    /// The value that a text is.
    ///
    /// # Errors
    /// It is not JSON, or ambiguous.
    pub fn read(text: &'t [u8]) -> Result<Json<'t>, NotJson> {
        let seen = Seen { values: Cell::new(0), twice: Cell::new(false) };
        let mut parser = serde_json::Deserializer::from_slice(text);
        let result = Reader(&seen).deserialize(&mut parser).and_then(|tree| parser.end().map(|()| tree));
        match result {
            Ok(tree) => Ok(Json { tree, values: seen.values.get() }),
            Err(error) if seen.twice.get() => Err(NotJson::Twice(error.line(), error.column())),
            // The parser has no other way to tell its limits apart from what is malformed.
            Err(error)
                if ["recursion limit", "number out of range"].iter().any(|text| starts(&error, text)) =>
            {
                Err(NotJson::Beyond)
            }
            Err(error) => Err(NotJson::Syntax(error.line(), error.column())),
        }
    }

    /// How many values there are, with objects and arrays.
    pub fn values(&self) -> u64 {
        self.values
    }

    /// A copy for those who want another form.
    pub fn to_value(&self) -> Value {
        self.tree.to_value()
    }
}

impl<'t> From<&'t Value> for Json<'t> {
    fn from(value: &'t Value) -> Json<'t> {
        let tree = Tree::from(value);
        Json { values: tree.count(), tree }
    }
}

impl<'t> From<&'t Value> for Tree<'t> {
    fn from(value: &'t Value) -> Tree<'t> {
        match value {
            Value::Null => Tree::Null,
            Value::Bool(value) => Tree::Bool(*value),
            Value::Number(number) => Tree::Number(number.clone()),
            Value::String(text) => Tree::Text(Cow::Borrowed(text)),
            Value::Array(items) => Tree::Array(items.iter().map(Tree::from).collect()),
            Value::Object(members) => {
                let members =
                    members.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), value.into()));
                let mut members: Vec<_> = members.collect();
                members.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
                Tree::Object(members)
            }
        }
    }
}

impl Tree<'_> {
    fn count(&self) -> u64 {
        match self {
            Tree::Object(members) => 1 + members.iter().map(|(_, value)| value.count()).sum::<u64>(),
            Tree::Array(items) => 1 + items.iter().map(Tree::count).sum::<u64>(),
            _ => 1,
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        match self {
            Tree::Null => Value::Null,
            Tree::Bool(value) => Value::Bool(*value),
            Tree::Number(number) => Value::Number(number.clone()),
            Tree::Text(text) => Value::String(text.to_string()),
            Tree::Array(items) => Value::Array(items.iter().map(Tree::to_value).collect()),
            Tree::Object(members) => Value::Object(
                members.iter().map(|(name, value)| (name.to_string(), value.to_value())).collect(),
            ),
        }
    }
}

fn starts(error: &serde_json::Error, text: &str) -> bool {
    error.to_string().starts_with(text)
}

struct Seen {
    values: Cell<u64>,
    twice: Cell<bool>,
}

#[derive(Clone, Copy)]
struct Reader<'s>(&'s Seen);

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Tree<'de>;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<Tree<'de>, D::Error> {
        self.0.values.set(self.0.values.get() + 1);
        parser.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Tree<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree<'de>, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree<'de>, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree<'de>, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree<'de>, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree<'de>, E> {
        Ok(Number::from_f64(value).map_or(Tree::Null, Tree::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree<'de>, E> {
        Ok(Tree::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Tree<'de>, E> {
        Ok(Tree::Text(Cow::Borrowed(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Tree<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = elements.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Tree::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Tree<'de>, A::Error> {
        let mut members: Vec<(Cow<'de, str>, Tree<'de>)> = Vec::new();
        while let Some(name) = access.next_key_seed(Name)? {
            members.push((name, access.next_value_seed(self)?));
        }
        members.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        if members.windows(2).any(|pair| matches!(pair, [(one, _), (other, _)] if one == other)) {
            self.0.twice.set(true);
            return Err(A::Error::custom("twice"));
        }
        Ok(Tree::Object(members))
    }
}

/// The name of a member, borrowed where nothing in it is escaped.
pub(crate) struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<Cow<'de, str>, D::Error> {
        parser.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, value: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(value.to_owned()))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(value))
    }
}

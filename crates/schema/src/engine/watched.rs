//! How the library sees an instance: as what it is, until the effort that was allowed is spent.
//!
//! Whether an instance is valid is found out in a time that grows with its size, because the library remembers
//! what it has seen. Why it is not valid is not: a schema that refers to itself from several branches of a
//! `oneOf` makes the library try each branch at each depth. So each step into a container costs, and when all
//! is spent, containers look empty and the search ends. What was found then is void. It must not know schemas.
//! Entry points: [`Effort`], [`Watched`].

use std::borrow::Cow;
use std::cell::Cell;

use jsonschema::JsonType;
use jsonschema::json::{Array, Json, Node, NodeIdentity, Object, cmp, unique};
use serde_json::{Number, Value};

use crate::reader::Tree;

/// How many steps are left.
#[derive(Debug)]
pub(super) struct Effort(Cell<u64>);

impl Effort {
    pub(super) fn new(steps: u64) -> Effort {
        Effort(Cell::new(steps))
    }

    /// Whether there were too few steps, so that what was found means nothing.
    pub(super) fn is_spent(&self) -> bool {
        self.0.get() == 0
    }

    fn spend(&self, steps: usize) -> bool {
        self.0.set(self.0.get().saturating_sub(steps as u64));
        !self.is_spent()
    }
}

/// A value under watch.
#[derive(Clone, Copy)]
pub(super) struct Watched<'a> {
    pub(super) value: &'a Tree<'a>,
    /// `None` for the name of a member, which contains nothing.
    pub(super) effort: Option<&'a Effort>,
}

impl Watched<'_> {
    fn spend(&self, steps: usize) -> bool {
        self.effort.is_none_or(|effort| effort.spend(steps))
    }
}

/// The representation, for the library.
pub(super) struct Representation;

impl Json for Representation {
    type Node<'a> = Watched<'a>;
    type PreparedKey = String;
    type StringBuffer = ();

    // As for the representation of the library itself: to look a name up compares several, as there.
    const KEYS_PER_LOOKUP: usize = 2;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>((): &mut (), string: &str, run: impl FnOnce(Watched<'_>) -> T) -> T {
        run(Watched { value: &Tree::Text(Cow::Borrowed(string)), effort: None })
    }
}

impl<'a> Node<'a, Representation> for Watched<'a> {
    type Object = Members<'a>;
    type Array = Elements<'a>;
    type Number = &'a Number;

    fn as_object(&self) -> Option<Members<'a>> {
        let Tree::Object(members) = self.value else { return None };
        Some(Members { members: if self.spend(1) { members } else { &[] }, watched: *self })
    }

    fn as_array(&self) -> Option<Elements<'a>> {
        let Tree::Array(items) = self.value else { return None };
        Some(Elements { items: if self.spend(1) { items } else { &[] }, watched: *self })
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        let Tree::Text(text) = self.value else { return None };
        // Patterns and formats read all of it.
        self.spend(text.len() / 64);
        Some(Cow::Borrowed(text))
    }

    fn as_number(&self) -> Option<&'a Number> {
        if let Tree::Number(number) = self.value { Some(number) } else { None }
    }

    fn as_boolean(&self) -> Option<bool> {
        if let Tree::Bool(value) = self.value { Some(*value) } else { None }
    }

    fn is_null(&self) -> bool {
        matches!(self.value, Tree::Null)
    }

    fn json_type(&self) -> JsonType {
        match self.value {
            Tree::Null => JsonType::Null,
            Tree::Bool(_) => JsonType::Boolean,
            Tree::Number(_) => JsonType::Number,
            Tree::Text(_) => JsonType::String,
            Tree::Array(_) => JsonType::Array,
            Tree::Object(_) => JsonType::Object,
        }
    }

    fn string_length_within(&self, min: u64, max: u64) -> Option<bool> {
        let Tree::Text(text) = self.value else { return None };
        // A character has one to four bytes: most limits are decided without counting.
        let bytes = text.len() as u64;
        let fewest = bytes.div_ceil(4);
        if bytes < min || fewest > max {
            return Some(false);
        }
        Some((min <= fewest && bytes <= max) || (min..=max).contains(&(text.chars().count() as u64)))
    }

    fn equals_value(&self, expected: &Value) -> bool {
        equal(self.value, expected)
    }

    /// The library puts this into what it says of a mistake and uses it for nothing else. A mistake deep inside
    /// would be copied at each level, and we do not repeat what was sent.
    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Owned(Value::Null)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        Some(NodeIdentity::new(std::ptr::from_ref(self.value) as usize))
    }
}

/// Whether a value is one of the schema's. It ends with what the schema has.
fn equal(value: &Tree<'_>, expected: &Value) -> bool {
    match (value, expected) {
        (Tree::Null, Value::Null) => true,
        (Tree::Bool(value), Value::Bool(expected)) => value == expected,
        (Tree::Number(value), Value::Number(expected)) => cmp::equal_numbers(value, expected),
        (Tree::Text(value), Value::String(expected)) => value == expected,
        (Tree::Array(items), Value::Array(expected)) => {
            items.len() == expected.len() && items.iter().zip(expected).all(|(item, it)| equal(item, it))
        }
        (Tree::Object(members), Value::Object(expected)) => {
            members.len() == expected.len()
                && members.iter().all(|(name, value)| {
                    expected.get(name.as_ref()).is_some_and(|expected| equal(value, expected))
                })
        }
        _ => false,
    }
}

/// The members of an object; none when all effort is spent.
pub(super) struct Members<'a> {
    members: &'a [(Cow<'a, str>, Tree<'a>)],
    watched: Watched<'a>,
}

impl<'a> Object<'a, Representation> for Members<'a> {
    type Node = Watched<'a>;
    type MemberName = &'a str;
    type MembersIter = MembersIter<'a>;

    fn len(&self) -> usize {
        self.members.len()
    }

    fn get(&self, key: &String) -> Option<Watched<'a>> {
        let at = self.members.binary_search_by(|(name, _)| name.as_ref().cmp(key)).ok()?;
        let (_, value) = self.members.get(at)?;
        Some(Watched { value, ..self.watched })
    }

    fn members(&self) -> MembersIter<'a> {
        let going = self.watched.spend(self.members.len());
        let members = if going { self.members } else { &[] };
        MembersIter { members: members.iter(), effort: self.watched.effort }
    }
}

pub(super) struct MembersIter<'a> {
    members: std::slice::Iter<'a, (Cow<'a, str>, Tree<'a>)>,
    effort: Option<&'a Effort>,
}

impl<'a> Iterator for MembersIter<'a> {
    type Item = (&'a str, Watched<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.members.next()?;
        Some((name, Watched { value, effort: self.effort }))
    }
}

/// The elements of an array; none when all effort is spent.
pub(super) struct Elements<'a> {
    items: &'a [Tree<'a>],
    watched: Watched<'a>,
}

impl<'a> Array<'a, Representation> for Elements<'a> {
    type Node = Watched<'a>;
    type ElementsIter = ElementsIter<'a>;

    fn len(&self) -> usize {
        self.items.len()
    }

    fn elements(&self) -> ElementsIter<'a> {
        let going = self.watched.spend(self.items.len());
        let items = if going { self.items } else { &[] };
        ElementsIter { items: items.iter(), effort: self.watched.effort }
    }

    fn is_unique(&self) -> bool {
        self.watched.spend(self.items.len());
        // The hashing of the library wants its own values. Few schemas ask for this.
        let values: Vec<Value> = self.items.iter().map(Tree::to_value).collect();
        unique::is_unique(&values)
    }
}

pub(super) struct ElementsIter<'a> {
    items: std::slice::Iter<'a, Tree<'a>>,
    effort: Option<&'a Effort>,
}

impl<'a> Iterator for ElementsIter<'a> {
    type Item = Watched<'a>;

    fn next(&mut self) -> Option<Watched<'a>> {
        Some(Watched { value: self.items.next()?, effort: self.effort })
    }
}

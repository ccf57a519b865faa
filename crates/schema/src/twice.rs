//! Names that an object has twice, found without building a tree.
//!
//! Which of the two counts is up to the reader (RFC 8259 §4), so the gateway and a service could take different ones.
//! The names of the objects that are open are kept, and nothing else of the text. Depth is bounded by the parser (127).
//! It must not know schemas. Entry point: [`find_twice`].

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::pointer::{bounded, join};
use crate::reader::Name;

/// Why a text is not one that everybody reads in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Twice {
    /// An object has a member twice: JSON pointer to it (RFC 6901). Bounded.
    Member(String),
    /// It cannot be read to its end: it is no JSON, is nested too deep, or has a number that is too large. JSON pointer to
    /// what could not be read.
    Unreadable(String),
}

/// Looks for a member that is there twice.
///
/// # Errors
/// Where it is; or where the text cannot be read, because nothing can be said of what is behind.
pub fn find_twice(text: &[u8]) -> Result<(), Twice> {
    let walk = Walk { path: RefCell::default(), found: RefCell::new(false) };
    let mut parser = serde_json::Deserializer::from_slice(text);
    if Look(&walk).deserialize(&mut parser).and_then(|()| parser.end()).is_ok() {
        return Ok(());
    }
    let mut pointer = String::new();
    for step in walk.path.borrow().iter() {
        pointer = match step {
            Step::Name(name) => join(&pointer, name),
            Step::Index(index) => format!("{pointer}/{index}"),
        };
    }
    let pointer = bounded(&pointer).to_owned();
    Err(if *walk.found.borrow() { Twice::Member(pointer) } else { Twice::Unreadable(pointer) })
}

enum Step<'t> {
    Name(Cow<'t, str>),
    Index(usize),
}

/// Where the reader is: of a text that is refused, where it was seen.
struct Walk<'t> {
    path: RefCell<Vec<Step<'t>>>,
    found: RefCell<bool>,
}

impl<'t> Walk<'t> {
    fn enter(&self, step: Step<'t>) {
        self.path.borrow_mut().push(step);
    }

    fn leave(&self) {
        self.path.borrow_mut().pop();
    }
}

struct Look<'w, 't>(&'w Walk<'t>);

impl<'de> DeserializeSeed<'de> for Look<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        for index in 0.. {
            self.0.enter(Step::Index(index));
            if elements.next_element_seed(Look(self.0))?.is_none() {
                self.0.leave();
                return Ok(());
            }
            self.0.leave();
        }
        elements.next_element::<IgnoredAny>().map(drop)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let mut names: Vec<Cow<'de, str>> = Vec::new();
        while let Some(name) = access.next_key_seed(Name)? {
            self.0.enter(Step::Name(name.clone()));
            access.next_value_seed(Look(self.0))?;
            self.0.leave();
            names.push(name);
        }
        names.sort_unstable();
        let twice = names.windows(2).find_map(|pair| match pair {
            [one, other] if one == other => Some(one),
            _ => None,
        });
        match twice {
            None => Ok(()),
            Some(name) => {
                *self.0.found.borrow_mut() = true;
                self.0.enter(Step::Name(name.clone()));
                Err(A::Error::custom("twice"))
            }
        }
    }
}

//! Reading a description: its documents, what is wrong with it, and the schemas it uses, each compiled once.
//!
//! It must not know requests. Entry point: [`Description`].

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::dialect::{Dialect, Direction, gather};
use super::documents::{At, Documents};
use super::shape::Shape;
use crate::engine::{Engine, Setup};
use crate::json_schema::Schema;
use crate::{Draft, MAX_VIOLATIONS, Mistake};

/// A schema, and what texts may stand for in it.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) schema: Schema,
    pub(super) shape: Shape,
}

/// What is being read.
pub(super) struct Description {
    pub(super) documents: Documents,
    pub(super) dialect: Dialect,
    /// Whether `format` is asserted.
    pub(super) formats: bool,
    mistakes: Vec<Mistake>,
    typed: HashMap<(At, Direction), Option<Arc<Typed>>>,
}

impl Description {
    pub(super) fn new(documents: Documents, dialect: Dialect, formats: bool) -> Description {
        Description { documents, dialect, formats, mistakes: Vec::new(), typed: HashMap::new() }
    }

    /// Notes a mistake; the first ones count.
    pub(super) fn complain(&mut self, at: &At, message: impl Into<String>) {
        let mistake = Mistake { pointer: self.documents.describe(at), message: message.into() };
        if self.mistakes.len() < MAX_VIOLATIONS && !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
    }

    pub(super) fn into_mistakes(self) -> Vec<Mistake> {
        self.mistakes
    }

    pub(super) fn get(&self, at: &At) -> Option<&Value> {
        self.documents.get(at)
    }

    pub(super) fn text(&self, at: &At, name: &str) -> Option<&str> {
        self.get(at)?.get(name)?.as_str()
    }

    pub(super) fn is_true(&self, at: &At, name: &str) -> bool {
        self.get(at).and_then(|value| value.get(name)) == Some(&Value::Bool(true))
    }

    /// The names of the members of an object that is a member here; none if there is no such object.
    pub(super) fn names(&mut self, at: &At, member: &str) -> Vec<String> {
        match self.get(at).and_then(|value| value.get(member)) {
            Some(Value::Object(members)) => members.keys().cloned().collect(),
            None => Vec::new(),
            Some(_) => {
                self.complain(&at.member(member), "must be an object");
                Vec::new()
            }
        }
    }

    /// Where an object really is that may be a reference; `None` with a mistake if it leads nowhere.
    pub(super) fn settle(&mut self, at: &At) -> Option<At> {
        match self.documents.settle(at) {
            Ok(settled) if self.get(&settled).is_some_and(Value::is_object) => Some(settled),
            Ok(_) => {
                self.complain(at, "must be an object");
                None
            }
            Err(why) => {
                self.complain(at, why);
                None
            }
        }
    }

    /// The schema there, if there is one.
    pub(super) fn typed(&mut self, at: &At, direction: Direction) -> Option<Arc<Typed>> {
        self.get(at)?;
        // A schema that is a reference and nothing else is the one it refers to: many places share it.
        let is_reference = self.get(at).is_some_and(|schema| {
            schema.as_object().is_some_and(|members| members.len() == 1 && members.contains_key("$ref"))
        });
        let at =
            if is_reference { self.documents.settle(at).unwrap_or_else(|_| at.clone()) } else { at.clone() };
        if let Some(known) = self.typed.get(&(at.clone(), direction)) {
            return known.clone();
        }
        let typed = self.compile(&at, direction);
        self.typed.insert((at, direction), typed.clone());
        typed
    }

    fn compile(&mut self, at: &At, direction: Direction) -> Option<Arc<Typed>> {
        let gathered = match gather(&mut self.documents, at, self.dialect, direction, self.formats) {
            Ok(gathered) => gathered,
            Err((at, why)) => {
                self.complain(&at, why);
                return None;
            }
        };
        let setup = Setup { name: "", draft: Some(Draft::Draft202012), formats: Some(self.formats) };
        match Engine::build(&gathered.schema, &setup, &crate::nothing_else()) {
            Ok(engine) => {
                Some(Arc::new(Typed { shape: Shape::of(&gathered.schema), schema: Schema::from(engine) }))
            }
            Err(mistakes) => {
                for mistake in mistakes {
                    let place = place(&gathered.places, &mistake.pointer).unwrap_or_else(|| at.clone());
                    self.complain(&place, mistake.message);
                }
                None
            }
        }
    }
}

/// The place in the description of a place in a gathered document.
fn place(places: &[At], pointer: &str) -> Option<At> {
    let mut tokens = crate::pointer::tokens(pointer.strip_prefix("/$defs")?);
    let mut at = places.get(tokens.next()?.parse::<usize>().ok()?)?.clone();
    for token in tokens {
        at = at.member(&token);
    }
    Some(at)
}

//! JSON Schema: 2020-12, draft 7, draft 4.
//!
//! Entry points: [`Schema::compile`], [`Schema::check`], [`Schema::validate`].

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::engine::{Engine, Setup};
use crate::reader::Json;
use crate::violation::{Mistake, Place, Violation};

/// The most violations that are told of one message.
pub const MAX_VIOLATIONS: usize = 50;
/// The most documents that one schema or OpenAPI document may consist of.
pub const MAX_DOCUMENTS: usize = 256;

/// Gives the value of a further document by its name: a path in relation to the first one's, or an absolute URI.
/// The error says why there is none. It is called while compiling only.
pub type Resolve = Arc<dyn Fn(&str) -> Result<Value, String> + Send + Sync>;

/// A version of JSON Schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draft {
    /// Draft 4, as Swagger used it.
    Draft4,
    /// Draft 7.
    Draft7,
    /// 2020-12, as OpenAPI 3.1 uses it.
    Draft202012,
}

/// How a schema is to be understood.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The name of the document, a path with `/`: references to other documents are relative to it.
    pub name: String,
    /// The draft; `None`: as `$schema` says, and 2020-12 if it says nothing.
    pub draft: Option<Draft>,
    /// Whether `format` is asserted; `None`: up to draft 7 it is, from 2019-09 on it is a remark. The format
    /// `regex` never is.
    pub formats: Option<bool>,
}

/// A compiled schema.
pub struct Schema(Engine);

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").finish_non_exhaustive()
    }
}

impl From<Engine> for Schema {
    fn from(engine: Engine) -> Schema {
        Schema(engine)
    }
}

impl Schema {
    /// Compiles a schema and all it refers to. Patterns must be such that can be matched in linear time: no
    /// backward references, and looking around only at the start.
    ///
    /// # Errors
    /// Every mistake that was found, by its place in `value`.
    pub fn compile(value: &Value, options: &Options, resolve: &Resolve) -> Result<Schema, Vec<Mistake>> {
        let setup = Setup { name: &options.name, draft: options.draft, formats: options.formats };
        Engine::build(value, &setup, resolve).map(Schema)
    }

    /// What is wrong with a value; nothing if it is valid.
    pub fn validate(&self, instance: &Json<'_>) -> Vec<Violation> {
        self.violations(instance, Place::Body, "")
    }

    /// What is wrong with a text that should be JSON of this schema; nothing if it is valid.
    pub fn check(&self, text: &[u8]) -> Vec<Violation> {
        match Json::read(text) {
            Ok(json) => self.validate(&json),
            Err(error) => vec![Violation::new(Place::Body, "", "json", error.to_string())],
        }
    }

    pub(crate) fn violations(&self, instance: &Json<'_>, place: Place, name: &str) -> Vec<Violation> {
        let complaints = self.0.complaints(instance).into_iter();
        complaints
            .map(|complaint| Violation {
                place,
                name: name.to_owned(),
                pointer: complaint.pointer,
                keyword: complaint.keyword,
                message: complaint.message,
            })
            .collect()
    }
}

/// For schemas that refer to nothing outside.
pub fn nothing_else() -> Resolve {
    Arc::new(|name| Err(format!("{name} is not part of this document")))
}

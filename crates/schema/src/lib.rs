//! Whether requests and responses have the shape that a JSON Schema or an OpenAPI document wants; pure.
//!
//! This crate owns the reading of schemas and OpenAPI documents, and the judgement. It knows no file and no
//! network: documents are parsed values, and a [`Resolve`] gives further ones while compiling. What comes from
//! outside costs time and memory in proportion to its size, within bounds, and is not repeated in messages.
//!
//! Entry points: [`Schema`], [`Api`], [`Json`], [`Scanner`], [`find_twice`].

mod engine;
mod json_schema;
mod openapi;
mod pointer;
mod reader;
mod threat;
mod twice;
mod violation;

pub use json_schema::{Draft, MAX_DOCUMENTS, MAX_VIOLATIONS, Options, Resolve, Schema, nothing_else};
pub use openapi::{Api, ApiOptions, Body, Findings, Found, MAX_BODY, Operation, RequestView};
pub use reader::{Json, NotJson};
pub use threat::{Limits, Scanner, Threat};
pub use twice::{Twice, find_twice};
pub use violation::{Mistake, Place, Violation};

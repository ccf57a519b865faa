//! Text to a tree of spanned nodes, and typed extraction that reports every mistake at once.
//!
//! Three steps, each usable alone: [`parse()`] makes a [`Node`] of YAML (JSON is a part of it), [`interpolate()`]
//! fills in `${env:…}` and `${file:…}`, and [`Decode`] makes typed values. The macros [`section!`] and
//! [`keywords!`] write a `Decode` from a declaration with doc comments; the same declaration becomes a JSON
//! Schema ([`json_schema`]), a reference page ([`reference()`]), and the JSON of what holds ([`effective()`]).
//!
//! This crate knows nothing of listeners, routes or services: the language itself is declared above it.

mod conceal;
mod decode;
mod effective;
mod environment;
mod interpolate;
mod keywords;
mod node;
mod number;
mod origin;
mod parse;
mod reference;
mod schema;
mod section;
mod shape;
mod switch;
mod value;

pub use conceal::{Concealed, Concealer};
pub use decode::{Decode, Int, Map, OneOrMany};
pub use diagnostics::{Code, Diagnostic, Diagnostics, SourceId, Sources, Span, Spanned, Words};
pub use effective::effective;
pub use environment::{
    Environment, MAX_BINARY, MAX_FILE, MAX_SECRET, MemoryEnvironment, SystemEnvironment, reason,
};
pub use interpolate::interpolate;
pub use keywords::decode_keyword;
pub use node::{Entry, Node, Scalar, Value};
pub use origin::Origin;
pub use parse::{Draft, MAX_DEPTH, MAX_NODES, draft, parse};
pub use reference::reference;
pub use schema::json_schema;
pub use section::{Key, SectionReader};
pub use shape::{KeyInfo, SectionInfo, Shape};
pub use switch::Switch;
pub use value::{
    BinaryFile, ByteSize, Cidr, DurationValue, File, FileBytes, FileText, Files, LinkedFiles, MAX_LINKED,
    Percent, Secret, SocketAddress, read_linked,
};

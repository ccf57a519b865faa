//! Conditions in CEL: checked when they are loaded, bounded when they run; pure.
//!
//! What is written in the Common Expression Language (<https://github.com/google/cel-spec>) is parsed, checked
//! against the variables that the caller declares, and kept as a tree that is evaluated for each request. This
//! crate must not know what a request is, and it asks no clock: variables come from the caller, one at a time and
//! only those that a condition asks for. Entry points: [`Schema`] declares, [`Program::compile`] checks and
//! prepares, [`Program::evaluate`] answers, [`Variables`] is what the caller implements.
//!
//! What CEL leaves open, or what differs on purpose:
//!
//! - Integers in JSON are `int`, or `uint` beyond its range, not `double`, so that one can calculate with them.
//! - The pattern of `matches` must be a literal: it is compiled once, and a mistake in it is found at load. Its
//!   syntax is that of the `regex` crate, in which `\d`, `\w` and `\s` know Unicode; RE2 takes them as ASCII.
//! - Ordering a NaN is an error rather than false, since `!(x < 1.0)` would otherwise hold.
//! - Instants are in UTC: the functions of a timestamp take no time zone.
//! - There are no messages, no optional values, no `type`, and no macros with two variables.

mod check;
mod cidr;
mod code;
mod compare;
mod convert;
mod cost;
mod evaluate;
mod functions;
mod lexer;
mod literal;
mod mistake;
mod names;
mod numbers;
mod operators;
mod parser;
mod program;
mod schema;
mod time;
mod value;

#[cfg(test)]
mod tests;

pub use evaluate::{Failure, Reason, Variables};
pub use mistake::Mistake;
pub use program::{MAX_SOURCE, Program};
pub use schema::{Limits, Schema, Type};
pub use time::Nanos;
pub use value::{Entries, List, Map, Sequence, Text, Value};

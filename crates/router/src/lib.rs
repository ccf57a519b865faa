//! Match tables: which route a request takes, by a documented precedence.
//!
//! Entry points: [`Builder`] turns parsed matches into a [`Router`], [`Router::find`] picks the route of
//! a request, [`Router::explain`] says why every route was or was not picked, [`reachability::examine`] which
//! routes can never be. This crate must not know the configuration, sockets, or the message type: a request
//! is whatever implements [`Subject`].
//!
//! # Precedence
//!
//! A route is as many *alternatives* as it has hosts. Several alternatives may match one request; they
//! are compared by the rows of this table, top row first, and the first row that differs decides.
//!
//! | # | what | order |
//! |---|---|---|
//! | 1 | `priority` | higher first; 0 when not written |
//! | 2 | host | exact, then wildcard (longer first), then none |
//! | 3 | path | exact, then template (more literal bytes first, slashes counted; at equal length one without `{rest...}` first), then regex (file order; one regex written twice holds one place), then prefix (longer first), then none |
//! | 4 | methods | some, then none |
//! | 5 | headers | more conditions first |
//! | 6 | query | more conditions first |
//! | 7 | file order | earlier first |
//!
//! # What matches
//!
//! - Hosts: `*.example.com` stands for one or more labels in front, never for `example.com` itself.
//! - Paths are compared in canonical form, literals of patterns too (see [`canonical_literal`]).
//!   `/users/*` matches `/users`, `/users/` and `/users/a`, not `/usersx`; see [`PathPattern`].
//! - Methods are case-sensitive (RFC 9110 §9.1). `GET` serves `HEAD` too, as a resource that can be
//!   read can be asked about (RFC 9110 §9.3.2); `HEAD` alone does not serve `GET`. Of two routes that differ only
//!   in this, the earlier in the file takes `HEAD`.
//! - A header or query condition holds if any of the values passes. See [`ValuePattern`].

mod builder;
mod captures;
mod conditions;
mod error;
mod explain;
mod find;
mod host;
mod limits;
mod literal;
mod path;
mod query;
mod rank;
pub mod reachability;
mod regex;
mod table;
mod trie;
mod value;

pub use builder::{Builder, Match};
pub use captures::{Captures, MAX_CAPTURES};
pub use error::PatternError;
pub use explain::{Candidate, Verdict};
pub use find::Router;
pub use host::HostPattern;
pub use literal::canonical_literal;
pub use path::{PathKind, PathPattern};
pub use query::any_value as any_query_value;
pub use query::decode as decoded_query;
pub use rank::Row;
pub use value::{ValuePattern, ValueRegex};

/// Index into the caller's list of routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteIndex(pub u32);

/// What the router asks of a request. Everything is borrowed and in canonical form.
pub trait Subject {
    /// The host without port, in lower case and without trailing dot; `None` if the request names none.
    fn host(&self) -> Option<&str>;
    /// The canonical path, without query. It starts with `/`; one that does not (`OPTIONS *`) is matched
    /// by routes without a path and by regexes only.
    fn path(&self) -> &[u8];
    /// The method as it came.
    fn method(&self) -> &[u8];
    /// Whether any value of the header `name` (lower case) passes `test`; false if there is none.
    fn header(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool;
    /// The raw query without the `?`.
    fn query(&self) -> Option<&[u8]>;
}

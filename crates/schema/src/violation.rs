//! What is told about a message, and about a schema: data, for whoever reports it.
//!
//! Entry points: [`Violation`], [`Mistake`].

use std::fmt;

/// Where in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A parameter in the path.
    Path,
    /// A parameter in the query.
    Query,
    /// A header field.
    Header,
    /// A cookie.
    Cookie,
    /// The body.
    Body,
}

impl Place {
    /// As OpenAPI writes it in `in`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Place::Path => "path",
            Place::Query => "query",
            Place::Header => "header",
            Place::Cookie => "cookie",
            Place::Body => "body",
        }
    }
}

/// What is wrong at one place of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where.
    pub place: Place,
    /// The name of the parameter; empty for bodies. Bounded.
    pub name: String,
    /// JSON pointer into the body or the value of the parameter (RFC 6901). Bounded: what lies deeper is told at
    /// what surrounds it.
    pub pointer: String,
    /// The keyword that is not met, or what else it is about: `json`, `syntax`, `required`, `unknown`.
    pub keyword: &'static str,
    /// Why, as the rest of a sentence that begins with the place. It does not repeat values that were sent.
    pub message: String,
}

impl Violation {
    pub(crate) fn new(
        place: Place,
        name: &str,
        keyword: &'static str,
        message: impl Into<String>,
    ) -> Violation {
        Violation { place, name: name.to_owned(), pointer: String::new(), keyword, message: message.into() }
    }
}

/// What is wrong with a schema or an OpenAPI document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistake {
    /// JSON pointer into the document.
    pub pointer: String,
    /// Why.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", if self.pointer.is_empty() { "/" } else { &self.pointer }, self.message)
    }
}

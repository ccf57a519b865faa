//! What requests that belong together have in common.

use std::fmt;

use diagnostics::{Code, Diagnostic, Diagnostics, Words};
use document::{Decode, Node, Shape};

/// What requests that belong together have in common: `{ header: x-user }`, `{ cookie: sid }`, `{ query: id }`, `path`,
/// `client_ip` or `consumer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestKey {
    /// A header, by its name in lower case.
    Header(String),
    /// A cookie.
    Cookie(String),
    /// A parameter of the query.
    Query(String),
    /// The path.
    Path,
    /// The address of the client.
    ClientIp,
    /// Who is calling.
    Consumer,
}

const WANTED: &str = "`path`, `client_ip`, `consumer`, or one of `header`, `cookie` and `query` with a name";

/// Whether a text can be the name of a header or cookie (RFC 9110 §5.6.2).
pub(crate) fn is_token(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

impl fmt::Display for RequestKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestKey::Header(name) => write!(out, "header {name}"),
            RequestKey::Cookie(name) => write!(out, "cookie {name}"),
            RequestKey::Query(name) => write!(out, "query parameter {name}"),
            RequestKey::Path => out.write_str("path"),
            RequestKey::ClientIp => out.write_str("client address"),
            RequestKey::Consumer => out.write_str("consumer"),
        }
    }
}

impl Decode for RequestKey {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        match node.text() {
            Some("path") => return Some(Self::Path),
            Some("client_ip") => return Some(Self::ClientIp),
            Some("consumer") => return Some(Self::Consumer),
            Some(text) => {
                diagnostics.push(
                    Diagnostic::error(Code::InvalidValue, node.span, format!("`{text}` is nothing to go by"))
                        .help(Words::fixed(format!("possible are {WANTED}: `{{ header: x-user }}`")))
                        .did_you_mean(text, ["path", "client_ip", "consumer"]),
                );
                return None;
            }
            None => {}
        }
        let Some([entry]) = node.map() else {
            diagnostics.push(node.wrong_type(WANTED).help("write `{ header: x-user }`"));
            return None;
        };
        let name = String::decode(&entry.node, diagnostics)?;
        let is_token = is_token(&name);
        let key = match entry.key.value.as_str() {
            "header" => Self::Header(name.to_ascii_lowercase()),
            "cookie" => Self::Cookie(name),
            "query" if !name.is_empty() => return Some(Self::Query(name)),
            "query" => Self::Query(name),
            other => {
                diagnostics.push(
                    Diagnostic::error(Code::UnknownKey, entry.key.span, format!("unknown key `{other}`"))
                        .help(Words::fixed(format!("possible are {WANTED}")))
                        .did_you_mean(other, ["header", "cookie", "query"]),
                );
                return None;
            }
        };
        if !is_token {
            diagnostics.push(
                Diagnostic::error(
                    Code::InvalidValue,
                    entry.node.span,
                    format!(
                        "`{}` is no name",
                        match &key {
                            Self::Header(name) | Self::Cookie(name) | Self::Query(name) => name,
                            Self::Path | Self::ClientIp | Self::Consumer => "",
                        }
                    ),
                )
                .help("a name has letters, digits, `-` and `_`"),
            );
            return None;
        }
        Some(key)
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![
            Shape::Keyword(&["path", "client_ip", "consumer"]),
            Shape::Map(Box::new(Shape::TEXT)),
        ])
    }
}

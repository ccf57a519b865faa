//! `routes`: what matches a request, and what is done with it.
//!
//! Patterns and names of services stay text here, each with its place: what they mean is checked later.

use std::fmt;

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{Decode, Int, Map, Node, OneOrMany, Percent, Shape, section};

use crate::canary::Canary;
use crate::overload::Importance;
use crate::policies::Policies;
use crate::request_key::RequestKey;
use crate::timeout::Timeout;

section! {
    /// What matches a request, the policies that hold there, and what to do: exactly one of `service`, `split`,
    /// `redirect` and `respond`.
    pub struct Route {
        /// Its name in logs, metrics and diagnostics; without one it is named after its path.
        name: Option<Spanned<String>>,
        /// Hosts it is for: a name, an address, or a wildcard for the leftmost label (`"*.example.com"`). Every
        /// host without it.
        hosts: Option<OneOrMany<Spanned<String>>>,
        /// Paths it is for: exactly (`/a`), with parts to take out (`/a/{id}`), everything below (`/a/*`,
        /// `/a/{rest...}`), or a regular expression (`~^/a/(?<id>[0-9]+)$`). Every path without it.
        path: Option<Spanned<String>>,
        /// Methods it is for. Every method without it.
        methods: Option<OneOrMany<Spanned<String>>>,
        /// Headers that a request must have, by name: a value, `~` and a regular expression, or `true` for any.
        headers: Option<Map<Condition>>,
        /// Query parameters that a request must have, by name, as in `headers`.
        query: Option<Map<Condition>>,
        /// Which of two routes comes first where both match: the greater one, before any other rule.
        priority: i32 = "0",
        /// The service that gets the request.
        service: Option<Spanned<String>>,
        /// Several services that get requests, with their shares.
        split: Option<Spanned<Map<Int<0, 10000>>>>,
        /// What requests that stay with one service of a `split`, or one version of a `canary`, have in common: `{ header: x-user }`, `{ query: id }`,
        /// `client_ip`, or `{ cookie: NAME }`, which clients without it are given. Without it each request is on its own.
        split_by: Option<Spanned<RequestKey>>,
        /// A new version of `service` that gets more requests step by step, and none when it is worse.
        canary: Option<Canary>,
        /// A service that gets copies of some requests; what it answers is not looked at.
        mirror: Option<MirrorTo>,
        /// Send the client elsewhere.
        redirect: Option<Redirect>,
        /// Answer without any service.
        respond: Option<Respond>,
        /// The path that the service sees. `{name}` takes what `{name}` in `path` has matched.
        rewrite: Option<Spanned<String>>,
        /// For the whole exchange, all attempts together; without it what the service says.
        timeout: Option<Timeout>,
        /// How much it matters that requests are served when not all can be: `high`, `normal` or `low`.
        importance: Importance = "normal",
        /// Clients speak gRPC-Web here, and the service speaks gRPC: bodies are translated, in the binary and in the
        /// text form. Other requests pass as they are.
        grpc_web: bool = "false",
        /// Policies of this route. They take the place of the same kinds of the service and of the gateway;
        /// `off` switches a kind off.
        policies: Option<Policies>,
    }
    not_built {
        "when" => "a condition over the whole request",
        "openapi" => "routes from an OpenAPI file",
    }
}

section! {
    /// A service that gets copies of some requests. Nobody waits for it, and what it answers is not looked at. Requests
    /// with a body of more than 64 KiB are not copied, nor are upgrades and gRPC-Web.
    pub struct MirrorTo {
        /// The service.
        service: Spanned<String>,
        /// How many of a hundred requests are copied: `10`, `0.5`, or `10%`.
        percent: Share = "100",
    }
}

/// A share in percent, with or without `%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(pub Percent);

impl fmt::Display for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl Decode for Share {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let plain = node.text().filter(|text| text.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
        match plain {
            Some(text) => Percent::decode(&Node::plain(format!("{text}%"), node.span), diagnostics),
            None => Percent::decode(node, diagnostics),
        }
        .map(Share)
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Integer { min: 0, max: 100 }, Percent::shape()])
    }
}

section! {
    /// Send the client elsewhere.
    pub struct Redirect {
        /// A path or a URL. `{name}` takes what `{name}` in `path` has matched.
        to: Spanned<String>,
        /// 301, 302, 303, 307 or 308. 307 and 308 keep the method.
        status: Spanned<u16> = "308",
    }
}

section! {
    /// Answer without any service.
    pub struct Respond {
        /// The status, 200 to 599.
        status: Spanned<u16> = "200",
        /// Headers of the response.
        headers: Option<Map<Spanned<String>>>,
        /// The body of the response.
        body: Spanned<String> = "",
    }
}

/// What a header or query parameter of a request must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// `true`: it must be there.
    Present,
    /// A value, or `~` and a regular expression.
    Text(Spanned<String>),
    /// A value from outside, which is taken as it stands: what it holds must not change what it means.
    Literal(Spanned<String>),
}

impl Decode for Condition {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        const WANTED: &str = "a value, `~` and a regular expression, or `true` for any value";
        if let Some(scalar) = node.scalar()
            && scalar.secret
        {
            if scalar.text.is_empty() {
                diagnostics.push(
                    Diagnostic::error(Code::InvalidValue, node.span, "the value that was filled in is empty")
                        .help("set the variable, or fill the file"),
                );
                return None;
            }
            return Some(Self::Literal(Spanned::new(scalar.text.clone(), node.span)));
        }
        if node.is_word("true") {
            return Some(Self::Present);
        }
        match node.text() {
            Some(text) if !node.is_word("false") => {
                Some(Self::Text(Spanned::new(text.to_owned(), node.span)))
            }
            Some(_) => {
                diagnostics
                    .push(node.wrong_type(WANTED).help("put it in quotes if the value is the text `false`"));
                None
            }
            None => {
                diagnostics.push(node.wrong_type(WANTED));
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Keyword(&["true"]), Shape::TEXT])
    }
}

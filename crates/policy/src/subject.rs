//! Who shares a limit: what of a request goes into the key.
//!
//! Nobody is without a key. Where what is asked for is absent or empty, it is the address of the client: one key for all
//! who leave a header out would let one of them starve the others, and none would be no limit. What goes in is told apart
//! by kind and length, so that no header can look like a consumer, and no token like a consumer of its name. Entry points:
//! [`By`] is what the user writes, [`Whose`] is ready, [`Parts`] is what a key is made of.

use std::fmt::{self, Write};
use std::hash::Hasher;
use std::net::IpAddr;

use diagnostics::{Code, Diagnostic, Diagnostics, Span, Spanned};
use document::{Decode, Node, Shape};
use expression::{Program, Type, Value as Computed};
use message::{client_network, cookie};
use serde_json::Value;

use crate::claims::{claim, claim_name};
use crate::{Compiling, RequestCx};

/// What tells those apart who have limits of their own, as it was written.
#[derive(Clone, Debug)]
pub(crate) enum By {
    /// The consumer, or else the address.
    Consumer,
    /// The address of the client.
    ClientIp,
    /// The route.
    Route,
    /// A header.
    Header(String),
    /// A parameter of the query.
    Query(String),
    /// A cookie.
    Cookie(String),
    /// A claim of a token.
    Claim(String),
    /// The value of an expression: where it stands, and how much stands in front of it.
    Expression(Node, usize),
}

const WANTED: &str = "`consumer`, `client_ip`, `route`, `header:NAME`, `query:NAME`, `cookie:NAME`, `claim:NAME` and `cel:EXPRESSION`";

impl Decode for By {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let text = String::decode(node, diagnostics)?;
        let found = match (text.as_str(), text.split_once(':')) {
            ("consumer", _) => Some(By::Consumer),
            ("client_ip", _) => Some(By::ClientIp),
            ("route", _) => Some(By::Route),
            (_, Some((kind, name))) if !name.trim().is_empty() => match kind {
                "header" => Some(By::Header(name.trim().to_ascii_lowercase())),
                "query" => Some(By::Query(name.trim().to_owned())),
                "cookie" => Some(By::Cookie(name.trim().to_owned())),
                "claim" => Some(By::Claim(name.trim().to_owned())),
                "cel" => Some(By::Expression(node.clone(), "cel:".len())),
                _ => None,
            },
            _ => None,
        };
        if found.is_none() {
            diagnostics.push(
                Diagnostic::error(Code::InvalidValue, node.span, format!("`{text}` tells nobody apart"))
                    .help(format!("possible are {WANTED}"))
                    .did_you_mean(&text, ["consumer", "client_ip", "route"]),
            );
        }
        found
    }

    fn shape() -> Shape {
        Shape::Text { format: "key", example: "header:x-tenant" }
    }
}

/// What tells those apart who have limits of their own.
#[derive(Debug)]
enum Subject {
    Consumer,
    ClientIp,
    Route,
    Header(Box<[u8]>),
    Query(Box<[u8]>),
    Cookie(Box<[u8]>),
    Claim(Box<str>),
    Expression(Box<Program>),
}

/// What a part of a key is.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum PartKind {
    Consumer = 1,
    Method,
    Issuer,
    Subject,
    Address,
    Route,
    Header,
    Query,
    Cookie,
    Claim,
    Expression,
}

impl PartKind {
    /// How it is written.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            PartKind::Consumer => "consumer",
            PartKind::Method => "method",
            PartKind::Issuer => "issuer",
            PartKind::Subject => "subject",
            PartKind::Address => "client_ip",
            PartKind::Route => "route",
            PartKind::Header => "header",
            PartKind::Query => "query",
            PartKind::Cookie => "cookie",
            PartKind::Claim => "claim",
            PartKind::Expression => "cel",
        }
    }
}

/// What a key is made into.
pub(crate) trait Parts {
    /// A text.
    fn text(&mut self, kind: PartKind, value: &[u8]);
    /// An address; of IPv6 the network of 64 bits that one client has.
    fn address(&mut self, address: IpAddr);
}

/// A number by which a limit finds what was used.
struct Hashed<'h>(&'h mut dyn Hasher);

impl Parts for Hashed<'_> {
    fn text(&mut self, kind: PartKind, value: &[u8]) {
        // In one word: each costs as much as a short text.
        self.0.write_u64((kind as u64) << 56 ^ value.len() as u64);
        self.0.write(value);
    }

    fn address(&mut self, address: IpAddr) {
        self.0.write_u8(PartKind::Address as u8);
        match address {
            IpAddr::V4(address) => self.0.write_u32(address.to_bits()),
            IpAddr::V6(address) => self.0.write_u128(address.to_bits()),
        }
    }
}

/// Words, for whoever asks what would become of a request.
#[derive(Default)]
struct Worded(String);

impl Parts for Worded {
    fn text(&mut self, kind: PartKind, value: &[u8]) {
        let and = if self.0.is_empty() { "" } else { ", " };
        // Writing to a text does not fail.
        _ = write!(self.0, "{and}{} {}", kind.as_str(), String::from_utf8_lossy(value));
    }

    fn address(&mut self, address: IpAddr) {
        let length = if address.is_ipv6() { "/64" } else { "" };
        self.text(PartKind::Address, format!("{address}{length}").as_bytes());
    }
}

/// All that together tells those apart who have limits of their own.
#[derive(Debug)]
pub(crate) struct Whose(Box<[Subject]>);

impl Whose {
    /// Checks what was written.
    pub(crate) fn prepare(written: &[Spanned<By>], cx: &mut Compiling<'_>) -> Option<Whose> {
        // All mistakes at once.
        let all: Vec<Option<Subject>> = written.iter().map(|by| prepare(&by.value, by.span, cx)).collect();
        let mut all: Vec<Subject> = all.into_iter().collect::<Option<_>>()?;
        if cx.of_plan && !all.iter().any(|subject| matches!(subject, Subject::Consumer)) {
            all.insert(0, Subject::Consumer);
        }
        Some(Whose(all.into()))
    }

    /// Puts what a request has of it into a key.
    #[inline]
    pub(crate) fn write(&self, cx: &RequestCx<'_>, out: &mut dyn Parts) {
        self.0.iter().for_each(|subject| subject.write(cx, out));
    }

    /// The same into a key that is a number.
    #[inline]
    pub(crate) fn hash(&self, cx: &RequestCx<'_>, out: &mut dyn Hasher) {
        self.write(cx, &mut Hashed(out));
    }

    /// Who a request is of, in words.
    pub(crate) fn in_words(&self, cx: &RequestCx<'_>) -> String {
        let mut words = Worded::default();
        self.write(cx, &mut words);
        words.0
    }

    /// Whether somebody with these values can be meant: there is one for each, and an address where it has to be one.
    pub(crate) fn fits(&self, values: &[&str]) -> bool {
        let can_be = |(subject, value): (&Subject, &&str)| {
            !matches!(subject, Subject::ClientIp) || value.parse::<IpAddr>().is_ok()
        };
        values.len() == self.0.len() && self.0.iter().zip(values).all(can_be)
    }

    /// The same as for a request that has these values.
    pub(crate) fn write_values(&self, values: &[&str], out: &mut dyn Parts) {
        self.0.iter().zip(values).for_each(|(subject, value)| subject.write_value(value, out));
    }

    /// The same into a key that is a number.
    pub(crate) fn hash_values(&self, values: &[&str], out: &mut dyn Hasher) {
        self.write_values(values, &mut Hashed(out));
    }

    /// How each is written.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    /// Whether all who take a route share a limit.
    pub(crate) fn is_route(&self) -> bool {
        matches!(*self.0, [Subject::Route])
    }
}

impl Subject {
    /// Puts what a request has of it into a key.
    fn write(&self, cx: &RequestCx<'_>, out: &mut dyn Parts) {
        let written = match self {
            Subject::ClientIp => false,
            Subject::Consumer => put_caller(cx, out),
            Subject::Route => put(out, PartKind::Route, Some(cx.route.as_bytes())),
            Subject::Header(name) => {
                // All of them: a service may go by any.
                let values = cx.head.headers.values(name);
                values.filter(|value| put(out, PartKind::Header, Some(*value))).count() > 0
            }
            Subject::Query(name) => {
                let mut any = false;
                router::any_query_value(cx.head.query().unwrap_or_default(), name, |value| {
                    any |= put(out, PartKind::Query, Some(value));
                    false
                });
                any
            }
            Subject::Cookie(name) => put(out, PartKind::Cookie, cookie(&cx.head.headers, name)),
            Subject::Claim(path) => match cx.identity().and_then(|identity| claim(&identity.claims, path)) {
                Some(Value::String(text)) => put(out, PartKind::Claim, Some(text.as_bytes())),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => {
                    put(out, PartKind::Claim, Some(value.to_string().as_bytes()))
                }
                _ => false,
            },
            Subject::Expression(program) => crate::rule::computed(program, cx, |value| match value {
                Computed::Text(text) => put(out, PartKind::Expression, Some(text.as_bytes())),
                _ => false,
            }),
        };
        if !written {
            out.address(client_network(cx.client));
        }
    }

    /// The same as for a request that has this value.
    fn write_value(&self, value: &str, out: &mut dyn Parts) {
        let kind = match self {
            Subject::Consumer => PartKind::Consumer,
            Subject::ClientIp => PartKind::Address,
            Subject::Route => PartKind::Route,
            Subject::Header(_) => PartKind::Header,
            Subject::Query(_) => PartKind::Query,
            Subject::Cookie(_) => PartKind::Cookie,
            Subject::Claim(_) => PartKind::Claim,
            Subject::Expression(_) => PartKind::Expression,
        };
        // Whoever has no such value is known by an address.
        match value.parse() {
            Ok(address) => out.address(client_network(address)),
            Err(_) => _ = put(out, kind, Some(value.as_bytes())),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = match self {
            Subject::Consumer => return out.write_str("consumer"),
            Subject::ClientIp => return out.write_str("client_ip"),
            Subject::Route => return out.write_str("route"),
            Subject::Claim(path) => return write!(out, "claim:{path}"),
            Subject::Expression(_) => return out.write_str("cel"),
            Subject::Header(name) => ("header", name),
            Subject::Query(name) => ("query", name),
            Subject::Cookie(name) => ("cookie", name),
        };
        write!(out, "{kind}:{}", String::from_utf8_lossy(name))
    }
}

/// Whoever is no consumer has a name that somebody else has given: two who give the same one are not the same, and
/// neither is a consumer who has it.
fn put_caller(cx: &RequestCx<'_>, out: &mut dyn Parts) -> bool {
    let Some(identity) = cx.identity() else { return false };
    if let Some(consumer) = &identity.consumer {
        return put(out, PartKind::Consumer, Some(consumer.as_bytes()));
    }
    if identity.subject.is_empty() {
        return false;
    }
    put(out, PartKind::Method, Some(cx.state.caller().method().as_bytes()));
    put(out, PartKind::Issuer, identity.claims.get("iss").and_then(Value::as_str).map(str::as_bytes));
    put(out, PartKind::Subject, Some(identity.subject.as_bytes()))
}

/// Whether there was something to put.
fn put(out: &mut dyn Parts, kind: PartKind, value: Option<&[u8]>) -> bool {
    let value = value.filter(|value| !value.is_empty());
    value.inspect(|value| out.text(kind, value)).is_some()
}

/// What tells those apart who have limits of their own, checked.
fn prepare(by: &By, place: Span, cx: &mut Compiling<'_>) -> Option<Subject> {
    let diagnostics = &mut *cx.diagnostics;
    let name = |name: &str| Spanned::new(name.to_owned(), place);
    Some(match by {
        By::Consumer => Subject::Consumer,
        By::ClientIp => Subject::ClientIp,
        By::Route => Subject::Route,
        By::Header(header) => {
            let errors = diagnostics.errors();
            crate::places::check_header(&name(header), diagnostics);
            if diagnostics.errors() > errors {
                return None;
            }
            Subject::Header(header.as_bytes().into())
        }
        By::Query(parameter) => Subject::Query(parameter.as_bytes().into()),
        By::Cookie(cookie) => Subject::Cookie(cookie.as_bytes().into()),
        By::Claim(path) => Subject::Claim(claim_name(&name(path), diagnostics)?),
        By::Expression(node, from) => {
            let text = node.text().unwrap_or_default().get(*from..).unwrap_or_default();
            let program = crate::rule::compile_part(node, *from, text, &Type::String, diagnostics)?;
            Subject::Expression(Box::new(program))
        }
    })
}

//! Who shares a limit: what of a request goes into the key.
//!
//! Nobody is without a key. Where what is asked for is absent or empty, it is the address of the client: one key for all
//! who leave a header out would let one of them starve the others, and none would be no limit. What goes in is told apart
//! by kind and length, so that no header can look like a consumer, and no token like a consumer of its name. Entry points:
//! [`Subject::write`], [`Parts`].

use std::fmt::{self, Write};
use std::hash::Hasher;
use std::net::IpAddr;

use expression::{Program, Value as Computed};
use message::{client_network, cookie};
use serde_json::Value;

use crate::RequestCx;
use crate::claims::claim;

/// What tells those apart who have limits of their own.
#[derive(Debug)]
pub(crate) enum Subject {
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
pub(crate) enum Kind {
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

impl Kind {
    /// How it is written.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::Consumer => "consumer",
            Kind::Method => "method",
            Kind::Issuer => "issuer",
            Kind::Subject => "subject",
            Kind::Address => "client_ip",
            Kind::Route => "route",
            Kind::Header => "header",
            Kind::Query => "query",
            Kind::Cookie => "cookie",
            Kind::Claim => "claim",
            Kind::Expression => "cel",
        }
    }
}

/// What a key is made into.
pub(crate) trait Parts {
    /// A text.
    fn text(&mut self, kind: Kind, value: &[u8]);
    /// An address; of IPv6 the network of 64 bits that one client has.
    fn address(&mut self, address: IpAddr);
}

/// A number by which a limit finds what was used.
pub(crate) struct Hashed<'h>(pub(crate) &'h mut dyn Hasher);

impl Parts for Hashed<'_> {
    fn text(&mut self, kind: Kind, value: &[u8]) {
        self.0.write_u8(kind as u8);
        self.0.write_usize(value.len());
        self.0.write(value);
    }

    fn address(&mut self, address: IpAddr) {
        self.0.write_u8(Kind::Address as u8);
        match address {
            IpAddr::V4(address) => self.0.write_u32(address.to_bits()),
            IpAddr::V6(address) => self.0.write_u128(address.to_bits()),
        }
    }
}

/// Words, for whoever asks what would become of a request.
#[derive(Default)]
pub(crate) struct Worded(pub(crate) String);

impl Parts for Worded {
    fn text(&mut self, kind: Kind, value: &[u8]) {
        let and = if self.0.is_empty() { "" } else { ", " };
        // Writing to a text does not fail.
        _ = write!(self.0, "{and}{} {}", kind.as_str(), String::from_utf8_lossy(value));
    }

    fn address(&mut self, address: IpAddr) {
        let length = if address.is_ipv6() { "/64" } else { "" };
        self.text(Kind::Address, format!("{address}{length}").as_bytes());
    }
}

impl Subject {
    /// Puts what a request has of it into a key.
    pub(crate) fn write(&self, cx: &RequestCx<'_>, out: &mut dyn Parts) {
        let written = match self {
            Subject::ClientIp => false,
            Subject::Consumer => put_caller(cx, out),
            Subject::Route => put(out, Kind::Route, Some(cx.route.as_bytes())),
            Subject::Header(name) => {
                // All of them: a service may go by any.
                let values = cx.head.headers.values(name);
                values.filter(|value| put(out, Kind::Header, Some(*value))).count() > 0
            }
            Subject::Query(name) => {
                let mut any = false;
                router::any_query_value(cx.head.query().unwrap_or_default(), name, |value| {
                    any |= put(out, Kind::Query, Some(value));
                    false
                });
                any
            }
            Subject::Cookie(name) => put(out, Kind::Cookie, cookie(&cx.head.headers, name)),
            Subject::Claim(path) => match cx.identity().and_then(|identity| claim(&identity.claims, path)) {
                Some(Value::String(text)) => put(out, Kind::Claim, Some(text.as_bytes())),
                Some(value @ (Value::Number(_) | Value::Bool(_))) => {
                    put(out, Kind::Claim, Some(value.to_string().as_bytes()))
                }
                _ => false,
            },
            Subject::Expression(program) => crate::rule::computed(program, cx, |value| match value {
                Computed::Text(text) => put(out, Kind::Expression, Some(text.as_bytes())),
                _ => false,
            }),
        };
        if !written {
            out.address(client_network(cx.client));
        }
    }

    /// The same as for a request that has this value.
    pub(crate) fn write_value(&self, value: &str, out: &mut dyn Parts) {
        let kind = match self {
            Subject::Consumer => Kind::Consumer,
            Subject::ClientIp => Kind::Address,
            Subject::Route => Kind::Route,
            Subject::Header(_) => Kind::Header,
            Subject::Query(_) => Kind::Query,
            Subject::Cookie(_) => Kind::Cookie,
            Subject::Claim(_) => Kind::Claim,
            Subject::Expression(_) => Kind::Expression,
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
        return put(out, Kind::Consumer, Some(consumer.as_bytes()));
    }
    if identity.subject.is_empty() {
        return false;
    }
    put(out, Kind::Method, Some(cx.state.caller().method().as_bytes()));
    put(out, Kind::Issuer, identity.claims.get("iss").and_then(Value::as_str).map(str::as_bytes));
    put(out, Kind::Subject, Some(identity.subject.as_bytes()))
}

/// Whether there was something to put.
fn put(out: &mut dyn Parts, kind: Kind, value: Option<&[u8]>) -> bool {
    let value = value.filter(|value| !value.is_empty());
    value.inspect(|value| out.text(kind, value)).is_some()
}

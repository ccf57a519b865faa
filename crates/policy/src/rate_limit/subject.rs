//! Who shares a limit: what of a request goes into the key.
//!
//! Nobody is without a key. Where what is asked for is absent or empty, it is the address of the client: one key for all
//! who leave a header out would let one of them starve the others, and none would be no limit. What goes in is told apart
//! by kind and length, so that no header can look like a consumer. Entry point: [`Subject::write`].

use std::fmt;
use std::hash::Hasher;
use std::net::{IpAddr, Ipv6Addr};

use expression::{Program, Value as Computed};
use message::cookie;
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
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Name = 1,
    Address,
    Route,
    Header,
    Query,
    Cookie,
    Claim,
    Expression,
}

impl Subject {
    /// Puts what a request has of it into a key.
    pub(crate) fn write(&self, cx: &RequestCx<'_>, out: &mut dyn Hasher) {
        let written = match self {
            Subject::ClientIp => false,
            Subject::Consumer => {
                put(out, Kind::Name, cx.identity().map(|identity| identity.name().as_bytes()))
            }
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
                Some(Value::Number(number)) => put(out, Kind::Claim, Some(number.to_string().as_bytes())),
                Some(Value::Bool(truth)) => put(out, Kind::Claim, Some(&[u8::from(*truth)])),
                _ => false,
            },
            Subject::Expression(program) => crate::rule::computed(program, cx, |value| match value {
                Computed::Text(text) => put(out, Kind::Expression, Some(text.as_bytes())),
                _ => false,
            }),
        };
        if !written {
            put_address(out, cx.client);
        }
    }
}

impl Subject {
    /// The same as for a request that has this value.
    pub(crate) fn write_value(&self, value: &str, out: &mut dyn Hasher) {
        let kind = match self {
            Subject::Consumer => Kind::Name,
            Subject::ClientIp => Kind::Address,
            Subject::Route => Kind::Route,
            Subject::Header(_) => Kind::Header,
            Subject::Query(_) => Kind::Query,
            Subject::Cookie(_) => Kind::Cookie,
            Subject::Claim(_) => Kind::Claim,
            Subject::Expression(_) => Kind::Expression,
        };
        // Whoever has no such value is known by an address.
        match value.parse::<IpAddr>() {
            Ok(address) => put_address(out, address),
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

/// Whether there was something to put.
fn put(out: &mut dyn Hasher, kind: Kind, value: Option<&[u8]>) -> bool {
    let Some(value) = value.filter(|value| !value.is_empty()) else { return false };
    out.write_u8(kind as u8);
    out.write_usize(value.len());
    out.write(value);
    true
}

/// Of IPv6 one client has a whole network of 64 bits.
fn put_address(out: &mut dyn Hasher, address: IpAddr) {
    out.write_u8(Kind::Address as u8);
    match address.to_canonical() {
        IpAddr::V4(address) => out.write_u32(address.to_bits()),
        IpAddr::V6(address) => out.write_u128(network_of(address)),
    }
}

/// The first 64 bits.
fn network_of(address: Ipv6Addr) -> u128 {
    address.to_bits() & !u128::from(u64::MAX)
}

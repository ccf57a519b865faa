//! Tests: a gateway in small that declares and provides variables, and what all tests use.

mod bounds;
mod examples;
mod mistakes;
mod oracle;
mod random;
mod semantics;
mod speed;

use std::cell::Cell;

use serde_json::json;

use crate::{Entries, Failure, Limits, Mistake, Program, Reason, Schema, Type, Value, Variables};

// The keys of the variables of the gateway.
const METHOD: u16 = 0;
const PATH: u16 = 1;
const QUERY: u16 = 2;
const HEADERS: u16 = 3;
const COOKIES: u16 = 4;
const IP: u16 = 5;
const CONSUMER: u16 = 6;
const SUBJECT: u16 = 7;
const GROUPS: u16 = 8;
const SCOPES: u16 = 9;
const CLAIMS: u16 = 10;
const NOW: u16 = 11;
// The key of its function.
const SAMPLE: u16 = 0;

fn schema() -> Schema {
    schema_within(Limits::default())
}

fn schema_within(limits: Limits) -> Schema {
    Schema::new(limits)
        .variable("request.method", Type::String, METHOD)
        .variable("request.path", Type::String, PATH)
        .variable("request.query", Type::map(Type::String), QUERY)
        .lower_case_map("request.headers", Type::String, HEADERS)
        .variable("request.cookies", Type::map(Type::String), COOKIES)
        .variable("client.ip", Type::String, IP)
        .variable("identity.consumer", Type::String, CONSUMER)
        .variable("identity.subject", Type::String, SUBJECT)
        .variable("identity.groups", Type::list(Type::String), GROUPS)
        .variable("identity.scopes", Type::list(Type::String), SCOPES)
        .variable("identity.claims", Type::map(Type::Dyn), CLAIMS)
        .variable("now", Type::Timestamp, NOW)
        .function("sample", &[Type::Double], Type::Bool, SAMPLE, 1)
}

/// Fields of a head, shown as a map: several of one name are one value with ", " between them (RFC 9110, section
/// 5.3), and a name that is not there is no key.
struct Fields {
    fields: Vec<(&'static str, &'static str)>,
    /// How often it was asked for a value.
    asked: Cell<u32>,
}

impl Fields {
    fn new(fields: &[(&'static str, &'static str)]) -> Self {
        Self { fields: fields.to_vec(), asked: Cell::new(0) }
    }

    /// The place of the first field with each name.
    fn firsts(&self) -> impl Iterator<Item = &'static str> {
        let first = |at: usize, name: &str| self.fields.iter().position(|field| field.0 == name) == Some(at);
        self.fields
            .iter()
            .enumerate()
            .filter(move |(at, field)| first(*at, field.0))
            .map(|(_, field)| field.0)
    }
}

impl Entries for Fields {
    fn find(&self, key: &str) -> Option<Value<'_>> {
        self.asked.set(self.asked.get() + 1);
        let mut values = self.fields.iter().filter(|(name, _)| *name == key).map(|(_, value)| *value);
        let first = values.next()?;
        match values.next() {
            None => Some(Value::from(first)),
            Some(second) => {
                Some(Value::from([first, second].into_iter().chain(values).collect::<Vec<_>>().join(", ")))
            }
        }
    }

    fn has(&self, key: &str) -> bool {
        self.fields.iter().any(|(name, _)| *name == key)
    }

    fn len(&self) -> usize {
        self.firsts().count()
    }

    fn key(&self, index: usize) -> Option<Value<'_>> {
        self.firsts().nth(index).map(Value::from)
    }
}

/// What is known about one request.
struct Request {
    path: String,
    headers: Fields,
    query: Fields,
    ip: &'static str,
    groups: Vec<String>,
    claims: serde_json::Map<String, serde_json::Value>,
    /// Which variables were asked for.
    asked: Cell<u32>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            path: "/a/orders/7".to_owned(),
            headers: Fields::new(&[
                ("host", "example.com"),
                ("x-tier", "gold"),
                ("via", "1.1 a"),
                ("via", "1.1 b"),
            ]),
            query: Fields::new(&[("page", "3")]),
            ip: "10.1.2.3",
            groups: vec!["staff".to_owned(), "admin".to_owned()],
            claims: object(json!({
                "region": "eu", "email": "ann@example.com", "roles": ["reader", "x"], "level": 7,
                "exp": 1_900_000_000, "ratio": 0.5, "large": u64::MAX, "nothing": null, "verified": true,
                "address": {"country": "DE", "lines": ["a", "b"]}
            })),
            asked: Cell::new(0),
        }
    }
}

fn object(value: serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
    match value {
        serde_json::Value::Object(entries) => entries,
        other => panic!("{other} is no object"),
    }
}

impl Variables for Request {
    fn variable(&self, key: u16) -> Option<Value<'_>> {
        self.asked.set(self.asked.get() | 1 << key);
        match key {
            METHOD => Some(Value::from("GET")),
            PATH => Some(Value::from(self.path.as_str())),
            QUERY => Some(Value::map(&self.query)),
            HEADERS => Some(Value::map(&self.headers)),
            IP => Some(Value::from(self.ip)),
            CONSUMER => Some(Value::from("")),
            GROUPS => Some(Value::list(&self.groups)),
            CLAIMS => Some(Value::json_map(&self.claims)),
            NOW => Some(Value::timestamp_ms(1_700_000_000_500)),
            // There are no cookies, no subject and no scopes.
            _ => None,
        }
    }

    fn call<'a>(&'a self, key: u16, arguments: &[Value<'a>]) -> Option<Value<'a>> {
        match (key, arguments) {
            (SAMPLE, [Value::Double(share)]) => Some(Value::Bool(*share >= 0.5)),
            _ => None,
        }
    }
}

fn compiled(source: &str) -> Program {
    match Program::compile(source, &schema(), &Type::Bool) {
        Ok(program) => program,
        Err(mistakes) => panic!("{source}: {mistakes:#?}"),
    }
}

fn holds(source: &str) -> Result<bool, Reason> {
    compiled(source).evaluate(&Request::default()).map_err(|failure| failure.reason)
}

fn mistakes(source: &str) -> Vec<Mistake> {
    match Program::compile(source, &schema(), &Type::Bool) {
        Ok(_) => panic!("{source} has no mistake"),
        Err(mistakes) => mistakes,
    }
}

//! Conditions: what is written is refused with a place or ends, says the same each time, and keeps to logic.
//!
//! The bytes are a condition and, in the last line, claims as JSON. That it ends soon is for libFuzzer to see
//! (`-timeout`); that it needs no more steps than were counted before is checked here.

#![no_main]

use std::cell::Cell;
use std::sync::LazyLock;

use expression::{Entries, Failure, Limits, Program, Reason, Schema, Type, Value, Variables};
use libfuzzer_sys::fuzz_target;
use serde_json::Map;

/// What conditions can speak of, as in the gateway. A variable's key is its place.
const VARIABLES: [&str; 14] = [
    "request.method",
    "request.scheme",
    "request.host",
    "request.path",
    "request.query",
    "request.cookies",
    "client.ip",
    "identity.consumer",
    "identity.method",
    "identity.subject",
    "identity.groups",
    "identity.scopes",
    "identity.claims",
    "now",
];
const HEADERS: u16 = u16::MAX;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let schema = Schema::new(Limits::default()).lower_case_map("request.headers", Type::String, HEADERS);
    VARIABLES.into_iter().zip(0..).fold(schema, |schema, (path, key)| {
        let is = match path {
            "request.query" | "request.cookies" => Type::map(Type::String),
            "identity.groups" | "identity.scopes" => Type::list(Type::String),
            "identity.claims" => Type::map(Type::Dyn),
            "now" => Type::Timestamp,
            _ => Type::String,
        };
        schema.variable(path, is, key)
    })
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let (source, claims) = text.rsplit_once('\n').unwrap_or((text, "{}"));
    let Ok(claims) = serde_json::from_str::<Map<_, _>>(claims) else { return };
    let request = Request { claims, asked: Cell::new(0), texts: vec!["staff".to_owned(), "eu".to_owned()] };

    if let Ok(program) = Program::compile(source, &SCHEMA, &Type::Dyn) {
        let first = program.value(&request).map(|value| format!("{value:?}"));
        assert_eq!(first, program.value(&request).map(|value| format!("{value:?}")));
    }
    let program = match Program::compile(source, &SCHEMA, &Type::Bool) {
        Ok(program) => program,
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "refused without a reason");
            for mistake in mistakes {
                assert!(source.get(mistake.start..mistake.end).is_some(), "{mistake:?}");
                assert!(!mistake.message.is_empty() && mistake.message.len() < 2 * source.len() + 1000);
            }
            return;
        }
    };
    request.asked.set(0);
    let answer = program.evaluate(&request);
    for (path, key) in VARIABLES.into_iter().zip(0..) {
        assert!(request.asked.get() >> key & 1 == 0 || program.uses(path), "{path} was not declared");
    }
    if let Err(failure) = &answer {
        assert!(source.get(failure.start..failure.end).is_some(), "{failure:?}");
        let too_many = failure.reason == Reason::TooManySteps;
        assert!(!too_many || !request.is_as_assumed(), "it takes more steps than were counted");
    }
    check_logic(source, &request, answer);
});

/// What holds for whatever has a value, and for whatever has none. What is put around it is not constant, so that it is
/// evaluated as well.
fn check_logic(source: &str, request: &Request, answer: Result<bool, Failure>) {
    let told = |answer: Result<bool, Failure>| answer.map_err(|failure| failure.reason);
    let answer = told(answer);
    for (before, behind, want) in [
        ("!(", "\n)", answer.map(|holds| !holds)),
        ("(", "\n) && request.path != ''", answer),
        ("request.path == '' || (", "\n)", answer),
        ("(", "\n) ? request.path != '' : request.path == ''", answer),
        ("(", "\n) || request.path != ''", Ok(true)),
        ("request.path == '' && (", "\n)", Ok(false)),
    ] {
        // The longer one may be too long or too deep.
        let Ok(program) = Program::compile(&format!("{before}{source}{behind}"), &SCHEMA, &Type::Bool) else {
            continue;
        };
        let got = told(program.evaluate(request));
        let is_cut = [&got, &answer].into_iter().any(|one| *one == Err(Reason::TooManySteps));
        assert!(is_cut || got == want, "{before}{source}{behind} is {got:?}, and not {want:?}");
    }
}

/// A request of somebody with these claims.
struct Request {
    claims: Map<String, serde_json::Value>,
    /// Which variables were asked for, by bits.
    asked: Cell<u64>,
    texts: Vec<String>,
}

impl Request {
    /// Whether all is as small and as even as the count of steps assumes.
    fn is_as_assumed(&self) -> bool {
        let small = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.len() <= 64,
            other => !other.is_array() && !other.is_object(),
        };
        self.claims.len() <= 32 && self.claims.iter().all(|(key, value)| key.len() <= 64 && small(value))
    }
}

impl Variables for Request {
    fn variable(&self, key: u16) -> Option<Value<'_>> {
        if key == HEADERS {
            return Some(Value::map(self));
        }
        self.asked.set(self.asked.get() | 1 << key);
        Some(match VARIABLES[usize::from(key)] {
            "request.query" | "request.cookies" => Value::map(self),
            "identity.groups" => Value::list(&self.texts),
            "identity.claims" => Value::json_map(&self.claims),
            "now" => Value::timestamp_ms(1_700_000_000_500),
            "client.ip" => Value::from("2001:db8::1"),
            "request.path" => Value::from("/a/orders/7"),
            "identity.scopes" => Value::list(&NO_TEXTS),
            _ => return None,
        })
    }
}

static NO_TEXTS: Vec<String> = Vec::new();

/// A map with two keys: what the query, cookies and headers hold.
impl Entries for Request {
    fn find(&self, key: &str) -> Option<Value<'_>> {
        match key {
            "a" => Some(Value::from("1")),
            "x-b" => Some(Value::from("\u{e4}, b")),
            _ => None,
        }
    }

    fn len(&self) -> usize {
        2
    }

    fn key(&self, index: usize) -> Option<Value<'_>> {
        ["a", "x-b"].get(index).map(|key| Value::from(*key))
    }
}

//! Bodies that are looked into: the scanner says the same however a text is cut, agrees with the reader on what is JSON, and
//! what is judged is judged in bounded time and without a panic.
//!
//! The bytes are a body; the first one says where it is cut.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use schema::{
    Json, Limits, MAX_VIOLATIONS, NotJson, Options, Scanner, Schema, Threat, Twice, find_twice, nothing_else,
};

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let schema = serde_json::json!({
        "type": ["object", "array"],
        "required": ["a"],
        "properties": {
            "a": {"type": "string", "maxLength": 3, "pattern": "^[a-z]+$", "format": "email"},
            "b": {"type": "array", "uniqueItems": true, "items": {"$ref": "#"}},
            "c": {"oneOf": [{"type": "integer", "multipleOf": 0.5}, {"minimum": 1e3}]},
        },
        "items": {"$ref": "#"},
        "unevaluatedProperties": false,
    });
    Schema::compile(&schema, &Options::default(), &nothing_else()).unwrap()
});

fuzz_target!(|bytes: &[u8]| {
    let Some((cut, text)) = bytes.split_first() else { return };
    let wide = Limits {
        depth: 100,
        name_bytes: usize::MAX,
        string_bytes: usize::MAX,
        number_bytes: usize::MAX,
        ..Limits::default()
    };
    let whole = scan(wide, &[text]);
    let at = usize::from(*cut).min(text.len());
    assert_eq!(whole, scan(wide, &[&text[..at], &text[at..]]), "it depends on how it is cut");
    let tight = Limits {
        depth: 3,
        members: 3,
        elements: 3,
        values: 9,
        name_bytes: 4,
        string_bytes: 8,
        number_bytes: 4,
    };
    if scan(tight, &[text]).0.is_ok() {
        assert!(whole.0.is_ok(), "a smaller limit lets more pass");
    }
    if let Err(threat) = whole.0 {
        assert!(whole.1 <= text.len() as u64, "{threat} beyond the end");
    }
    let read = Json::read(text);
    if let Ok(()) = whole.0 {
        match (&read, find_twice(text)) {
            (Ok(_), Ok(()))
            | (Err(NotJson::Twice(..)), Err(Twice::Member(_)))
            | (Err(NotJson::Beyond), Err(Twice::Unreadable(_))) => {}
            other => panic!("readers differ: {other:?}"),
        }
    } else if matches!(whole.0, Err(Threat::Syntax(_) | Threat::Incomplete)) {
        assert!(read.is_err(), "what is no JSON is read");
    }
    assert!(SCHEMA.check(text).len() <= MAX_VIOLATIONS);
});

fn scan(limits: Limits, pieces: &[&[u8]]) -> (Result<(), Threat>, u64) {
    let mut scanner = Scanner::new(limits);
    let fed = pieces.iter().try_for_each(|piece| scanner.feed(piece));
    let outcome = fed.and_then(|()| scanner.finish());
    (outcome, scanner.wrong_at())
}

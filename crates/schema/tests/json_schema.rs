//! JSON Schema: drafts, references, what is told, and that a hostile body costs little.
#![allow(clippy::expect_used, reason = "a failed unwrap in a test is a failed test")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use schema::{Draft, Json, NotJson, Options, Resolve, Schema, Violation, nothing_else};
use serde_json::{Value, json};

fn compile(schema: &Value) -> Schema {
    Schema::compile(schema, &Options::default(), &nothing_else()).expect("compiles")
}

fn validate(schema: &Schema, value: &Value) -> Vec<Violation> {
    schema.validate(&Json::from(value))
}

fn told(violations: &[Violation]) -> Vec<(&str, &str, &str)> {
    let line = |violation: &'_ Violation| {
        let Violation { pointer, keyword, message, .. } = violation;
        (pointer.clone(), *keyword, message.clone())
    };
    violations
        .iter()
        .map(line)
        .map(|(pointer, keyword, message)| {
            (&*Box::leak(pointer.into_boxed_str()), keyword, &*Box::leak(message.into_boxed_str()))
        })
        .collect()
}

#[test]
fn every_violation_is_told_by_its_place_and_without_what_was_sent() {
    let schema = compile(&json!({
        "type": "object",
        "properties": {
            "id": {"type": "integer", "minimum": 1},
            "name": {"type": "string", "maxLength": 3, "pattern": "^[a-z]+$"},
            "kind": {"enum": ["cat", "dog"]},
            "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": true},
            "a/b~c": {"type": ["null", "boolean"]},
        },
        "required": ["id", "owner"],
        "additionalProperties": false,
    }));
    assert_eq!(validate(&schema, &json!({"id": 1, "owner": 1})).len(), 1, "owner is not a property");
    let secret = "hunter2-SECRET";
    let violations = validate(
        &schema,
        &json!({
            "id": 0, "name": secret, "kind": secret, "tags": [secret, 7, secret], "a/b~c": secret, "x/y": secret,
        }),
    );
    let mut told = told(&violations);
    told.sort_unstable();
    assert_eq!(
        told,
        [
            ("", "required", "lacks the member \"owner\""),
            ("/a~1b~0c", "type", "must be of the type null or boolean"),
            ("/id", "minimum", "must be at least 1"),
            ("/kind", "enum", "must be one of [\"cat\",\"dog\"]"),
            ("/name", "maxLength", "must have at most 3 characters"),
            ("/name", "pattern", "must match the pattern ^[a-z]+$"),
            ("/tags", "uniqueItems", "must not have the same element twice"),
            ("/tags/1", "type", "must be of the type string"),
            ("/x~1y", "additionalProperties", "is not allowed here"),
        ]
    );
    assert!(!format!("{violations:?}").contains("SECRET"));
}

#[test]
fn drafts_differ_where_they_should() {
    let exclusive = json!({"minimum": 3, "exclusiveMinimum": true});
    let tuple = json!({"items": [{"type": "integer"}], "additionalItems": false});
    let prefix = json!({"prefixItems": [{"type": "integer"}], "items": false});
    for (schema, draft, good, bad) in [
        (&exclusive, Draft::Draft4, json!(4), json!(3)),
        (&tuple, Draft::Draft4, json!([1]), json!([1, 2])),
        (&tuple, Draft::Draft7, json!([1]), json!(["a"])),
        (&prefix, Draft::Draft202012, json!([1]), json!([1, 2])),
    ] {
        let options = Options { draft: Some(draft), ..Options::default() };
        let schema = Schema::compile(schema, &options, &nothing_else()).expect("compiles");
        assert_eq!(validate(&schema, &good), [], "{draft:?}");
        assert_ne!(validate(&schema, &bad), [], "{draft:?}");
    }
    let mut by_itself = tuple.clone();
    assert!(Schema::compile(&by_itself, &Options::default(), &nothing_else()).is_err(), "not in 2020-12");
    by_itself["$schema"] = json!("http://json-schema.org/draft-04/schema#");
    assert_ne!(validate(&compile(&by_itself), &json!([1, 2])), []);
}

#[test]
fn formats_are_asserted_as_the_draft_says_or_as_told() {
    for (draft, formats, asserted) in [
        (Draft::Draft4, None, true),
        (Draft::Draft7, None, true),
        (Draft::Draft202012, None, false),
        (Draft::Draft202012, Some(true), true),
        (Draft::Draft7, Some(false), false),
    ] {
        let options = Options { draft: Some(draft), formats, ..Options::default() };
        let schema =
            Schema::compile(&json!({"format": "ipv4"}), &options, &nothing_else()).expect("compiles");
        assert_eq!(validate(&schema, &json!("::1")).len(), usize::from(asserted), "{draft:?} {formats:?}");
    }
}

#[test]
fn other_documents_come_from_the_resolver_by_names_relative_to_their_own() {
    let resolve: Resolve = Arc::new(|name| match name {
        "apis/common/pet.json" => Ok(json!({"properties": {"owner": {"$ref": "owner.json#/$defs/owner"}}})),
        "apis/common/owner.json" => Ok(json!({"$defs": {"owner": {"type": "string"}}})),
        other => Err(format!("there is no {other}")),
    });
    let options = Options { name: "apis/shop/order.json".into(), ..Options::default() };
    let schema = json!({"properties": {"pet": {"$ref": "../common/pet.json"}}});
    let schema = Schema::compile(&schema, &options, &resolve).expect("compiles");
    let violations = validate(&schema, &json!({"pet": {"owner": 1}}));
    assert_eq!(told(&violations), [("/pet/owner", "type", "must be of the type string")]);
    for missing in ["gone.json", "http://example.com/x", "file:///etc/passwd"] {
        let schema = json!({"properties": {"pet": {"$ref": missing}}});
        let mistakes = Schema::compile(&schema, &options, &resolve).expect_err("nothing is fetched");
        assert_eq!(mistakes[0].pointer, "/properties/pet/$ref", "{mistakes:?}");
        assert!(mistakes[0].message.contains("there is no "), "{mistakes:?}");
    }
}

#[test]
fn mistakes_say_where_and_all_at_once() {
    let schema = json!({"properties": {"a": {"type": "strin"}, "b": {"minimum": "x"}}, "required": [1]});
    let mistakes = Schema::compile(&schema, &Options::default(), &nothing_else()).expect_err("wrong");
    let mut places: Vec<&str> = mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect();
    places.sort_unstable();
    assert_eq!(places, ["/properties/a/type", "/properties/b/minimum", "/required/0"]);
    for (schema, place) in [
        (json!({"properties": {"a": {"pattern": "("}}}), "/properties/a/pattern"),
        (json!({"properties": {"a": {"pattern": "(a)\\1"}}}), "/properties/a/pattern"),
        (json!({"items": {"$ref": "#/$defs/none"}}), "/items/$ref"),
        (json!({"$schema": "https://example.com/mine"}), "/$schema"),
    ] {
        let mistakes = Schema::compile(&schema, &Options::default(), &nothing_else()).expect_err("wrong");
        assert_eq!(mistakes[0].pointer, place, "{mistakes:?}");
    }
    let none = Schema::compile(&json!([1]), &Options::default(), &nothing_else()).expect_err("no schema");
    assert_eq!(none.len(), 1, "{none:?}");
}

#[test]
fn the_choice_that_was_meant_is_told() {
    let nullable = compile(
        &json!({"anyOf": [{"type": "null"}, {"properties": {"a": {"type": "string"}}, "type": "object"}]}),
    );
    assert_eq!(told(&validate(&nullable, &json!({"a": 1}))), [("/a", "type", "must be of the type string")]);
    let kinds = compile(&json!({"oneOf": [
        {"properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}}},
        {"properties": {"kind": {"const": "dog"}, "legs": {"type": "integer"}}},
    ]}));
    let violations = validate(&kinds, &json!({"kind": "cat", "lives": "nine"}));
    assert_eq!(told(&violations), [("/lives", "type", "must be of the type integer")]);
    assert_eq!(validate(&kinds, &json!({}))[0].message, "must fit only one of the choices");
}

/// An expression may hold expressions in each branch: telling why naively tries 3^100 ways.
#[test]
fn recursion_through_choices_costs_little_and_so_do_large_arrays() {
    let schema = compile(&json!({
        "$ref": "#/$defs/node",
        "$defs": {"node": {"oneOf": [
            {"type": "integer"},
            {"properties": {"a": {"$ref": "#/$defs/node"}}, "required": ["x"]},
            {"properties": {"a": {"$ref": "#/$defs/node"}}, "required": ["y"]},
            {"properties": {"a": {"$ref": "#/$defs/node"}}, "required": ["z"]},
        ]}},
    }));
    let mut deep = json!("wrong");
    for _ in 0..100 {
        deep = json!({"a": deep, "y": 1});
    }
    let start = Instant::now();
    assert_eq!(validate(&schema, &deep).len(), 1);
    assert_ne!(validate(&schema, &json!({"a": {"a": "wrong", "x": 1}, "x": 1})), []);
    let numbers = compile(&json!({"items": {"type": "string"}, "uniqueItems": true}));
    let many: Vec<u8> = [b"[".to_vec(), b"1,".repeat(400_000), b"1]".to_vec()].concat();
    assert_eq!(numbers.check(&many).len(), 1);
    assert_eq!(numbers.check(b"[1,2,\"x\"]").len(), 2);
    assert_eq!(numbers.check(&[b"[".to_vec(), b"1,".repeat(400), b"1]".to_vec()].concat()).len(), 50);
    let pattern = compile(&json!({"pattern": "^(a+)+$"}));
    assert_eq!(validate(&pattern, &json!("a".repeat(200_000) + "b")).len(), 1);
    let expression =
        compile(&json!({"format": "regex", "$schema": "http://json-schema.org/draft-07/schema#"}));
    assert_eq!(validate(&expression, &json!("(x{900}){900}".repeat(100))), []);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[test]
fn references_in_circles_end() {
    let circle =
        json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}});
    if let Ok(schema) = Schema::compile(&circle, &Options::default(), &nothing_else()) {
        validate(&schema, &json!({"a": 1}));
    }
    let list = compile(&json!({"properties": {"next": {"$ref": "#"}, "v": {"type": "integer"}}}));
    let violations = validate(&list, &json!({"next": {"next": {"v": "x"}}}));
    assert_eq!(violations[0].pointer, "/next/next/v");
}

#[test]
fn json_is_read_in_one_way_only() {
    for (text, want) in [
        (r#"{"a":1,"a":1}"#, NotJson::Twice(1, 12)),
        (r#"{"a":1,"\u0061":2}"#, NotJson::Twice(1, 17)),
        (r#"[{"b":{"a":1,"b":2,"a":3}}]"#, NotJson::Twice(1, 24)),
        (r#"{"a":1}x"#, NotJson::Syntax(1, 8)),
        ("", NotJson::Syntax(1, 0)),
        ("[1,]", NotJson::Syntax(1, 4)),
        ("NaN", NotJson::Syntax(1, 1)),
        ("\"\\ud800\"", NotJson::Syntax(1, 8)),
        ("1e999", NotJson::Beyond),
    ] {
        match (Json::read(text.as_bytes()).expect_err(text), want) {
            (NotJson::Twice(..), NotJson::Twice(..)) | (NotJson::Syntax(..), NotJson::Syntax(..)) => {}
            (found, want) => assert_eq!(found, want, "{text}"),
        }
    }
    assert_eq!(Json::read("[".repeat(200_000).as_bytes()), Err(NotJson::Beyond));
    assert!(Json::read(b"\"\xff\"").is_err());
    let json = Json::read(br#" {"a": [1, -2, 1.5, null, true, "x"], "b": {"a": 18446744073709551615}} "#)
        .expect("JSON");
    assert_eq!(
        (json.values(), &json.to_value()["a"][2], &json.to_value()["b"]["a"]),
        (10, &json!(1.5), &json!(u64::MAX))
    );
}

proptest! {
    #[test]
    fn what_is_read_is_what_serde_reads(text in r#"[\[\]{}:,"a0-9.eE\\u \-tfnrl]{0,40}"#) {
        if let Ok(json) = Json::read(text.as_bytes()) {
            prop_assert_eq!(Some(json.to_value()), serde_json::from_str(&text).ok());
        }
    }

    #[test]
    fn no_schema_and_no_body_make_a_panic(schema in any_json(), body in any_json()) {
        for draft in [None, Some(Draft::Draft4), Some(Draft::Draft7)] {
            let options = Options { draft, formats: Some(true), ..Options::default() };
            if let Ok(schema) = Schema::compile(&schema, &options, &nothing_else()) {
                validate(&schema, &body);
            }
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(
        &[
            "type",
            "properties",
            "items",
            "$ref",
            "$defs",
            "anyOf",
            "oneOf",
            "not",
            "enum",
            "required",
            "minimum",
            "pattern",
            "format",
            "a",
            "#/$defs/a",
            "#",
            "string",
            "object",
            "array",
            "$id",
            "if",
            "then",
            "allOf",
            "unevaluatedProperties",
            "additionalProperties",
            "contains",
            "date",
            "[a",
            "uniqueItems",
            "prefixItems",
        ][..],
    )
    .prop_map(str::to_owned);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..4).prop_map(Value::from),
        name.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Prints what the check of a body of 2 KiB against a schema of 40 properties costs: in release it should stay
/// within 15 µs.
#[test]
fn a_body_of_two_kib_against_forty_properties() {
    let mut properties = serde_json::Map::new();
    let mut body = serde_json::Map::new();
    for at in 0..40 {
        let (schema, value) = match at % 5 {
            0 => (
                json!({"type": "string", "minLength": 1, "maxLength": 80}),
                json!("a short text of some words, no more, or hardly more than these"),
            ),
            1 => (json!({"type": "integer", "minimum": 0, "maximum": 1_000_000}), json!(at * 1000)),
            2 => (json!({"type": "string", "pattern": "^[A-Z]{2}-[0-9]{4,8}$"}), json!("DE-4711000")),
            3 => (
                json!({"type": "array", "items": {"type": "string", "maxLength": 40}, "maxItems": 10}),
                json!(["red", "green", "a colour"]),
            ),
            _ => (
                json!({"type": "object", "properties": {"street": {"type": "string"}, "zip": {"type": "string"}}, "required": ["zip"], "additionalProperties": false}),
                json!({"street": "Long Street 12345, in the yard on the left side", "zip": "10115"}),
            ),
        };
        properties.insert(format!("property_{at}"), schema);
        body.insert(format!("property_{at}"), value);
    }
    let required: Vec<String> = (0..20).map(|at| format!("property_{at}")).collect();
    let schema = compile(
        &json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false}),
    );
    let text = Value::Object(body).to_string();
    assert!((1900..2200).contains(&text.len()), "{}", text.len());
    // Many short rounds: the best of them was not disturbed by others on the machine.
    let rounds = 50;
    let mut best = [Duration::MAX; 3];
    for _ in 0..if cfg!(debug_assertions) { 2 } else { 1000 } {
        let text = std::hint::black_box(text.as_bytes());
        let time = |run: &dyn Fn() -> bool| {
            let start = Instant::now();
            assert!((0..rounds).all(|_| run()));
            start.elapsed() / rounds
        };
        let whole = time(&|| schema.check(text).is_empty());
        let reading = time(&|| Json::read(text).is_ok());
        let serde = time(&|| serde_json::from_slice::<Value>(text).is_ok());
        best = [best[0].min(whole), best[1].min(reading), best[2].min(serde)];
    }
    let [whole, reading, serde] = best;
    println!(
        "{} bytes: in all {whole:?}, of it reading {reading:?} (serde_json alone {serde:?})",
        text.len()
    );
    // Times depend on the machine, their relation hardly.
    assert!(cfg!(debug_assertions) || whole < serde * 4, "{best:?}");
}

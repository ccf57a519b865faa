//! Bodies of requests and responses, by their media types.

use message::Headers;
use schema::{Body, Found, MAX_BODY};
use serde_json::json;

use super::{ask, compile, headers, operation, told, with_operation};

#[test]
fn bodies_are_judged_by_their_media_type() {
    let pet = json!({"type": "object", "properties": {"age": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "integer"}}}, "required": ["age"]});
    let api = compile(&with_operation(
        "3.1.0",
        json!({"requestBody": {"required": true, "content": {
            "application/json; charset=utf-8": {"schema": pet},
            "application/*+json": {"schema": {"type": "array"}},
            "application/x-www-form-urlencoded": {"schema": pet},
            "text/*": {"schema": {"type": "integer"}},
            "image/png": {},
        }}}),
        json!({}),
    ));
    let check = |media_type: &str, body: &str| {
        let fields = [("content-type", media_type)];
        let fields = if media_type.is_empty() { &[][..] } else { &fields[..] };
        let found = ask(&api, "/x/1", fields, Body::Bytes(body.as_bytes()));
        if found.unknown_content_type { vec!["unknown".to_owned()] } else { told(&found) }
    };
    for (media_type, body, want) in [
        ("application/json", r#"{"age": 3}"#, &[][..]),
        ("Application/JSON;charset=utf-8", r#"{"age": "3"}"#, &["body  /age type"]),
        ("application/json", r#"{"age": 3"#, &["body   json"]),
        ("application/json", r#"{"age": 3, "age": "x"}"#, &["body   json"]),
        ("application/json", "", &["body   required"]),
        ("application/hal+json", "{}", &["body   type"]),
        ("application/x-www-form-urlencoded", "age=3&tags=1&tags=2", &[]),
        (
            "application/x-www-form-urlencoded",
            "age=x&tags=1&tags=b",
            &["body  /age type", "body  /tags/1 type"],
        ),
        ("application/x-www-form-urlencoded", "age=3&age=4", &["body   unique"]),
        ("text/plain", "anything", &[]),
        ("image/png", "{", &[]),
        ("image/jpeg", "{", &["unknown"]),
        ("application/xml", "<a/>", &["unknown"]),
        ("", "{}", &["unknown"]),
    ] {
        assert_eq!(check(media_type, body), want, "{media_type} {body}");
    }
    assert!(operation(&api).wants_body() && !operation(&api).wants_response_body());
    let large = vec![b' '; MAX_BODY + 1];
    let found = ask(&api, "/x/1", &[("content-type", "application/json")], Body::Bytes(&large));
    assert_eq!(told(&found), ["body   size"]);
    let found = ask(&api, "/x/1", &[("content-type", "application/json")], Body::Unseen);
    assert!(found.is_clean());
    let twice = [("content-type", "image/png"), ("content-type", "application/json")];
    assert_eq!(told(&ask(&api, "/x/1", &twice, Body::Unseen)), ["header content-type  unique"]);
    assert_eq!(told(&ask(&api, "/x/1", &[], Body::Absent)), ["body   required"]);
    let without = compile(&with_operation("3.1.0", json!({}), json!({})));
    assert!(ask(&without, "/x/1", &[], Body::Bytes(b"x")).unknown_content_type);
    assert!(ask(&without, "/x/1", &[], Body::Bytes(b"")).is_clean());
}

#[test]
fn any_media_type_is_any() {
    let content =
        json!({"application/json": {"schema": {"type": "array"}}, "*/*": {"schema": {"type": "object"}}});
    let responses =
        json!({"200": {"content": {"*/*": {"schema": {"type": "object"}}}}, "201": {"description": "ok"}});
    let api = compile(&with_operation(
        "3.0.1",
        json!({"requestBody": {"content": content}, "responses": responses}),
        json!({}),
    ));
    let json = ("content-type", "application/json");
    for (media_type, body, want) in [
        ("application/json", "{}", &["body   type"][..]),
        ("application/hal+json", "{}", &[]),
        ("application/hal+json", "[]", &["body   type"]),
        ("text/plain", "anything", &[]),
        ("", "anything", &[]),
    ] {
        let fields = [("content-type", media_type)];
        let fields = if media_type.is_empty() { &[][..] } else { &fields[..] };
        let found = ask(&api, "/x/1", fields, Body::Bytes(body.as_bytes()));
        assert!(!found.unknown_content_type, "{media_type}");
        assert_eq!(told(&found), want, "{media_type} {body}");
    }
    let operation = operation(&api);
    assert!(operation.check_response(200, &headers(&[json]), Body::Bytes(b"{}")).is_clean());
    assert!(!operation.check_response(200, &headers(&[json]), Body::Bytes(b"[]")).is_clean());
    assert!(operation.check_response(201, &headers(&[json]), Body::Bytes(b"{}")).is_clean(), "not described");
}

#[test]
fn responses_are_judged_by_their_status() {
    let api = compile(&with_operation(
        "3.0.0",
        json!({"responses": {
            "200": {"content": {"application/json": {"schema": {"type": "integer"}}}, "headers": {"X-Rate": {"required": true, "schema": {"type": "integer"}}}},
            "4XX": {"$ref": "#/components/responses/Problem"},
            "default": {"description": "whatever"},
        }}),
        json!({"responses": {"Problem": {"content": {"application/problem+json": {"schema": {"required": ["title"]}}}}}}),
    ));
    let operation = operation(&api);
    let check =
        |status, fields: &[(&str, &str)], body| operation.check_response(status, &headers(fields), body);
    let json = ("content-type", "application/json");
    assert!(check(200, &[json, ("x-rate", "7")], Body::Bytes(b"1")).is_clean());
    let found = check(200, &[json, ("x-rate", "many")], Body::Bytes(b"\"a\""));
    assert_eq!(told(&found), ["header X-Rate  type", "body   type"]);
    assert_eq!(told(&check(200, &[], Body::Absent)), ["header X-Rate  required"]);
    assert_eq!(
        told(&check(404, &[("content-type", "application/problem+json")], Body::Bytes(b"{}"))),
        ["body   required"]
    );
    assert!(check(404, &[("content-type", "text/html")], Body::Unseen).unknown_content_type);
    assert!(check(500, &[], Body::Absent).is_clean());
    let strict = compile(&with_operation("3.0.0", json!({"responses": {"204": {}}}), json!({})));
    let Found::Operation(operation, _) = strict.find(b"POST", b"/x/1") else { panic!() };
    assert!(operation.check_response(200, &Headers::default(), Body::Absent).unknown_status);
}

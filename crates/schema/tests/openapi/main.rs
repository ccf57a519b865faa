//! OpenAPI 3.0 and 3.1: which operation a request is for, and what is wrong with it.
#![allow(clippy::expect_used, clippy::panic, reason = "a failed unwrap in a test is a failed test")]

mod bodies;

use std::sync::Arc;

use message::Headers;
use proptest::prelude::*;
use schema::{Api, ApiOptions, Body, Findings, Found, Operation, Place, RequestView, Resolve, nothing_else};
use serde_json::{Value, json};

fn compile(document: &Value) -> Api {
    Api::compile(document, &ApiOptions::default(), &nothing_else()).expect("compiles")
}

/// A description with one operation, `POST /x/{id}`.
fn with_operation(version: &str, operation: impl Into<Value>, components: impl Into<Value>) -> Value {
    let (operation, components): (Value, Value) = (operation.into(), components.into());
    json!({"openapi": version, "paths": {"/x/{id}": {"post": operation}}, "components": components})
}

fn headers(fields: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::default();
    fields.iter().for_each(|(name, value)| headers.push(name.as_bytes(), value.as_bytes()));
    headers
}

fn ask(api: &Api, target: &str, fields: &[(&str, &str)], body: Body<'_>) -> Findings {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Found::Operation(operation, parameters) = api.find(b"POST", path.as_bytes()) else {
        panic!("no {target}")
    };
    operation.check_request(&RequestView {
        path_parameters: &parameters,
        query: query.as_bytes(),
        headers: &headers(fields),
        body,
    })
}

/// `place name pointer keyword` of each violation.
fn told(findings: &Findings) -> Vec<String> {
    findings
        .violations
        .iter()
        .map(|it| format!("{} {} {} {}", it.place.as_str(), it.name, it.pointer, it.keyword))
        .collect()
}

fn operation(api: &Api) -> Arc<Operation> {
    match api.find(b"POST", b"/x/1") {
        Found::Operation(operation, _) => Arc::clone(operation),
        other => panic!("{other:?}"),
    }
}

#[test]
fn paths_have_the_bases_of_their_servers_and_methods_are_told() {
    let api = compile(&json!({
        "openapi": "3.1.0",
        "servers": [{"url": "https://{host}.example.com/{v}/", "variables": {"host": {"default": "a"}, "v": {"default": "v1"}}}, {"url": "/b"}],
        "paths": {
            "/pets": {"get": {}, "post": {}},
            "/pets/{id}": {"delete": {}},
            "/own": {"servers": [{"url": "/"}], "put": {}, "x-note": 1},
            "x-note": 2,
        },
    }));
    for (method, path, want) in [
        ("GET", "/v1/pets", "GET /pets"),
        ("HEAD", "/b/pets", "GET /pets"),
        ("DELETE", "/b/pets/7", "DELETE /pets/{id}"),
        ("PUT", "/own", "PUT /own"),
        ("GET", "/pets", "nowhere"),
        ("GET", "/v1/own", "nowhere"),
        ("get", "/v1/pets", "not allowed: GET POST HEAD"),
        ("PUT", "/b/pets/7", "not allowed: DELETE"),
    ] {
        let found = match api.find(method.as_bytes(), path.as_bytes()) {
            Found::Operation(operation, _) => operation.name().to_owned(),
            Found::NoPath => "nowhere".to_owned(),
            Found::NoMethod(allowed) => format!("not allowed: {}", allowed.join(" ")),
        };
        assert_eq!(found, want, "{method} {path}");
    }
}

#[test]
fn parameters_are_read_by_place_and_style() {
    let integers = json!({"type": "array", "items": {"type": "integer"}, "maxItems": 3});
    let point = json!({"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "boolean"}}, "required": ["x"], "additionalProperties": false});
    let api = compile(&with_operation(
        "3.0.3",
        json!({"parameters": [
            {"in": "path", "name": "id", "required": true, "schema": {"type": "integer", "minimum": 1}},
            {"in": "query", "name": "list", "schema": integers},
            {"in": "query", "name": "commas", "schema": integers, "explode": false},
            {"in": "query", "name": "pipes", "schema": integers, "style": "pipeDelimited", "explode": false},
            {"in": "query", "name": "spaces", "schema": integers, "style": "spaceDelimited", "explode": false},
            {"in": "query", "name": "deep", "schema": point, "style": "deepObject", "explode": true},
            {"in": "query", "name": "flat", "schema": point, "explode": false},
            {"in": "query", "name": "flag", "schema": {"type": "boolean"}, "allowEmptyValue": true},
            {"in": "query", "name": "text", "schema": {"type": "string", "maxLength": 3}},
            {"in": "query", "name": "filter", "content": {"application/json": {"schema": point}}},
            {"in": "header", "name": "X-List", "schema": integers},
            {"in": "header", "name": "X-Point", "schema": point, "explode": true},
            {"in": "header", "name": "Authorization", "required": true, "schema": {"type": "integer"}},
            {"in": "cookie", "name": "level", "schema": {"enum": ["low", "high"]}},
        ]}),
        json!({}),
    ));
    for (target, fields, want) in [
        ("/x/1", &[][..], &[][..]),
        ("/x/0", &[], &["path id  minimum"]),
        ("/x/a", &[], &["path id  type"]),
        ("/x/%31", &[], &[]),
        ("/x/1?list=1&list=2", &[], &[]),
        ("/x/1?list=1&list=b", &[], &["query list /1 type"]),
        ("/x/1?list=1&list=2&list=3&list=4", &[], &["query list  maxItems"]),
        ("/x/1?commas=1,2,3", &[], &[]),
        ("/x/1?commas=1%2C2", &[], &["query commas /0 type"]),
        ("/x/1?commas=1&commas=2", &[], &["query commas  unique"]),
        ("/x/1?pipes=1|2&spaces=1%202+3", &[], &[]),
        ("/x/1?pipes=1%7C2%7cx", &[], &["query pipes /2 type"]),
        ("/x/1?deep[x]=1&deep%5By%5D=true", &[], &[]),
        (
            "/x/1?deep[y]=1&deep[z]=1",
            &[],
            &["query deep  required", "query deep /y type", "query deep /z additionalProperties"],
        ),
        ("/x/1?flat=x,1,y,false", &[], &[]),
        ("/x/1?flat=x,1,y", &[], &["query flat  syntax"]),
        ("/x/1?flag&text=%C3%A4bc", &[], &[]),
        ("/x/1?flag=yes&text=abcd", &[], &["query flag  type", "query text  maxLength"]),
        ("/x/1?text=a&text=b", &[], &["query text  unique"]),
        ("/x/1?text=%FF", &[], &["query text  syntax"]),
        ("/x/1?text=%F", &[], &["query text  syntax"]),
        ("/x/1?filter=%7B%22x%22:1%7D", &[], &[]),
        ("/x/1?filter=%7B%22x%22:1,%22x%22:2%7D", &[], &["query filter  syntax"]),
        ("/x/1?unknown=1", &[], &[]),
        ("/x/1", &[("x-list", "1, 2"), ("X-LIST", "3")], &[]),
        ("/x/1", &[("x-list", "1, b")], &["header X-List /1 type"]),
        ("/x/1", &[("x-point", "x=1,y=true")], &[]),
        ("/x/1", &[("x-point", "x=1,x=2")], &["header X-Point  unique"]),
        ("/x/1", &[("cookie", "a=b; level=low")], &[]),
        ("/x/1", &[("cookie", "level=mid")], &["cookie level  enum"]),
        ("/x/1", &[("cookie", "level=low"), ("cookie", "level=high")], &["cookie level  unique"]),
    ] {
        let mut told = told(&ask(&api, target, fields, Body::Absent));
        told.sort_unstable();
        assert_eq!(told, want, "{target} {fields:?}");
    }
}

#[test]
fn required_parameters_and_those_nobody_describes() {
    let document = json!({
        "openapi": "3.1.0",
        "paths": {"/x/{id}": {
            "parameters": [
                {"$ref": "#/components/parameters/Id"},
                {"in": "query", "name": "page", "required": true, "schema": {"type": "integer"}},
            ],
            "post": {"parameters": [
                {"in": "query", "name": "page", "schema": {"type": "string"}},
                {"in": "header", "name": "X-Need", "required": true, "schema": {}},
                {"in": "query", "name": "form", "schema": {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": false}},
                {"in": "query", "name": "d", "style": "deepObject", "schema": {"type": "object"}},
            ]},
        }},
        "components": {
            "parameters": {"Id": {"in": "path", "name": "id", "required": true, "schema": {"$ref": "#/components/schemas/Id"}}},
            "schemas": {"Id": {"type": ["integer", "null"]}},
            "securitySchemes": {"key": {"type": "apiKey", "in": "query", "name": "key"}},
        },
    });
    let options = ApiOptions { refuse_unknown_query: true, ..ApiOptions::default() };
    let api = Api::compile(&document, &options, &nothing_else()).expect("compiles");
    let found = ask(&api, "/x/a?page=x&a=1&d[q]=1&key=s&other=2&form=1", &[], Body::Absent);
    assert_eq!(told(&found), ["header X-Need  required", "path id  type", "query other  unknown"]);
    let found = ask(&api, "/x/1?a=b", &[("x-need", "")], Body::Absent);
    assert_eq!(told(&found), ["query form /a type"]);
}

#[test]
fn members_that_are_not_listed_have_types_too() {
    let numbers = json!({"type": "object", "additionalProperties": {"type": "integer"}});
    let named = json!({"type": "object", "patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": false});
    let api = compile(&with_operation(
        "3.1.0",
        json!({"parameters": [
            {"in": "query", "name": "d", "style": "deepObject", "explode": true, "schema": numbers},
            {"in": "query", "name": "p", "style": "deepObject", "explode": true, "schema": named},
        ]}),
        json!({}),
    ));
    for (query, want) in [
        ("d[a]=1&d[b]=2", &[][..]),
        ("d[a]=x", &["query d /a type"]),
        ("p[xa]=1", &[]),
        ("p[xa]=b", &["query p /xa type"]),
        ("p[y]=1", &["query p /y additionalProperties"]),
    ] {
        let found = ask(&api, &format!("/x/1?{query}"), &[], Body::Absent);
        assert_eq!(told(&found), want, "{query}");
    }
}

#[test]
fn the_dialect_of_3_0_is_translated() {
    for (schema, good, bad) in [
        (json!({"type": "string", "nullable": true}), json!([null, "a"]), json!([1])),
        (json!({"nullable": true, "allOf": [{"type": "integer"}]}), json!([null, 1]), json!(["a"])),
        (json!({"type": "number", "minimum": 1, "exclusiveMinimum": true}), json!([1.5]), json!([1])),
        (json!({"type": "number", "maximum": 1, "exclusiveMaximum": false}), json!([1]), json!([2])),
        (json!({"$ref": "#/components/schemas/Small", "maximum": 0}), json!([3]), json!([4])),
        (json!({"type": "integer", "format": "int32"}), json!([2_147_483_647]), json!([2_147_483_648_i64])),
        (json!({"type": "string", "format": "date"}), json!(["2024-02-29"]), json!(["2023-02-29"])),
        (
            json!({"oneOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}], "discriminator": {"propertyName": "kind"}}),
            json!([{"kind": "cat"}, {"kind": "dog"}]),
            json!([{"kind": "cow"}, {}]),
        ),
        (
            json!({"type": "object", "properties": {"nullable": {"type": "string"}, "required": {"type": "boolean"}}}),
            json!([{"nullable": "a", "required": true}]),
            json!([{"nullable": null}]),
        ),
    ] {
        let operation = json!({"requestBody": {"content": {"application/json": {"schema": schema}}}});
        let api = compile(&with_operation(
            "3.0.3",
            operation,
            json!({"schemas": {
                "Small": {"maximum": 3},
                "Cat": {"type": "object", "required": ["kind"], "properties": {"kind": {"enum": ["cat"]}}},
                "Dog": {"type": "object", "required": ["kind"], "properties": {"kind": {"enum": ["dog"]}}},
            }}),
        ));
        let check = |value: &Value| {
            ask(
                &api,
                "/x/1",
                &[("content-type", "application/json")],
                Body::Bytes(value.to_string().as_bytes()),
            )
        };
        for value in good.as_array().expect("a list") {
            assert!(check(value).is_clean(), "{schema} {value} {:?}", check(value));
        }
        for value in bad.as_array().expect("a list") {
            assert!(!check(value).is_clean(), "{schema} {value}");
        }
    }
}

#[test]
fn what_is_for_one_direction_need_not_be_in_the_other() {
    for version in ["3.0.3", "3.1.0"] {
        let api = compile(&with_operation(
            version,
            json!({
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/User"}}}},
                "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/User"}}}}},
            }),
            json!({"schemas": {
                "Key": {"type": "integer", "readOnly": true},
                "User": {
                    "allOf": [{"properties": {"at": {"type": "string", "readOnly": true}}}],
                    "required": ["id", "at", "password", "name"],
                    "properties": {
                        "id": {"$ref": "#/components/schemas/Key"},
                        "password": {"type": "string", "writeOnly": true},
                        "name": {"type": "string"},
                    },
                },
            }}),
        ));
        let json = [("content-type", "application/json")];
        let sent = ask(&api, "/x/1", &json, Body::Bytes(br#"{"name": "a"}"#));
        assert_eq!(sent.violations[0].message, "lacks the member \"password\"", "{version}");
        assert_eq!(sent.violations.len(), 1, "{version}: {sent:?}");
        let got =
            operation(&api).check_response(200, &headers(&json), Body::Bytes(br#"{"name": "a", "id": 1}"#));
        assert_eq!(got.violations[0].message, "lacks the member \"at\"", "{version}");
        assert_eq!(got.violations.len(), 1, "{version}: {got:?}");
    }
}

#[test]
fn references_lead_anywhere_and_in_circles() {
    let resolve: Resolve = Arc::new(|name| match name {
        "apis/paths.yaml" => {
            Ok(json!({"x": {"post": {"requestBody": {"$ref": "common/bodies.yaml#/Tree"}}}}))
        }
        "apis/common/bodies.yaml" => Ok(
            json!({"Tree": {"content": {"application/json": {"schema": {"$ref": "../../schemas/tree.json"}}}}}),
        ),
        "schemas/tree.json" => {
            Ok(json!({"properties": {"left": {"$ref": "#"}, "leaf": {"$ref": "leaf.json#/a~1b%20c"}}}))
        }
        "schemas/leaf.json" => Ok(json!({"a/b c": {"type": "integer"}})),
        other => Err(format!("there is no {other}")),
    });
    let options = ApiOptions { name: "apis/api.yaml".into(), ..ApiOptions::default() };
    let document = json!({"openapi": "3.1.0", "paths": {"/x": {"$ref": "paths.yaml#/x"}}});
    let api = Api::compile(&document, &options, &resolve).expect("compiles");
    let body = Body::Bytes(br#"{"left": {"left": {"leaf": "x"}}}"#);
    assert_eq!(
        told(&ask(&api, "/x", &[("content-type", "application/json")], body)),
        ["body  /left/left/leaf type"]
    );
}

#[test]
fn every_mistake_is_told_by_its_place() {
    let document = json!({
        "openapi": "3.1.0",
        "paths": {
            "/a": {"get": {"parameters": [{"in": "nowhere"}, {"in": "query"}, {"in": "query", "name": "a", "style": "matrix", "schema": {}}]}},
            "/b": {"get": {"requestBody": {"$ref": "#/components/none"}, "responses": {"20": {}}}},
            "/c/{x}": {"get": {"parameters": [{"in": "path", "name": "y", "schema": {}}]}},
            "/c/{y}": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/S"}}}}}}},
            "/c/{x}/{": {},
            "/d": {"$ref": "#/paths/~1d"},
            "/e": {"get": {"requestBody": {"content": {"application/json": {"schema": {"items": {"$ref": "gone.json"}}}}}}},
            "/f": 7,
            "/h": {"post": {"requestBody": {"content": {
                "application/json; v=1": {"schema": {}}, "application/json; v=2": {"schema": {}},
                "application/x-www-form-urlencoded": {"schema": {}, "encoding": {
                    "a": {"style": "form", "contentType": "text/plain"}, "b": {"explode": false}, "c": {"style": "deepObject"},
                }},
                "multipart/form-data": {"schema": {}, "encoding": {"a": {"contentType": "image/png", "style": "deepObject"}}},
            }}}},
            "/g": {"get": {"parameters": [{"in": "query", "name": "a", "schema": {"items": {"pattern": "("}}}]}},
        },
        "components": {"schemas": {"S": {"properties": {"p": {"type": "strin"}}}}},
    });
    let mistakes = Api::compile(&document, &ApiOptions::default(), &nothing_else()).expect_err("wrong");
    let mut places: Vec<&str> = mistakes.iter().map(|mistake| mistake.pointer.as_str()).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(
        places,
        [
            "/components/schemas/S/properties/p/type",
            "/paths/~1a/get/parameters/0",
            "/paths/~1a/get/parameters/1",
            "/paths/~1a/get/parameters/2/style",
            "/paths/~1b/get/requestBody",
            "/paths/~1b/get/responses/20",
            "/paths/~1c~1{x}/get/parameters",
            "/paths/~1c~1{x}~1{",
            "/paths/~1d",
            "/paths/~1e/get/requestBody/content/application~1json/schema/items/$ref",
            "/paths/~1f",
            "/paths/~1g/get/parameters/0/schema/items/pattern",
            "/paths/~1h/post/requestBody/content/application~1json; v=2",
            "/paths/~1h/post/requestBody/content/application~1x-www-form-urlencoded/encoding/b",
            "/paths/~1h/post/requestBody/content/application~1x-www-form-urlencoded/encoding/c",
        ]
    );
    for version in [json!("2.0"), json!(3.1), json!("3.2.0"), Value::Null] {
        let mistakes = Api::compile(&json!({"openapi": version}), &ApiOptions::default(), &nothing_else());
        assert_eq!(mistakes.expect_err("unknown")[0].pointer, "/openapi");
    }
}

#[test]
fn names_that_were_sent_are_bounded_and_values_never_told() {
    let options = ApiOptions { refuse_unknown_query: true, ..ApiOptions::default() };
    let document = with_operation(
        "3.1.0",
        json!({"parameters": [{"in": "query", "name": "n", "schema": {"type": "integer"}}]}),
        json!({}),
    );
    let api = Api::compile(&document, &options, &nothing_else()).expect("compiles");
    let target = format!("/x/1?n=SECRET&{}=SECRET", "ü".repeat(500));
    let found = ask(&api, &target, &[], Body::Absent);
    assert_eq!(found.violations.len(), 2);
    assert!(found.violations.iter().all(|it| it.place == Place::Query && it.name.len() <= 100));
    assert!(!format!("{found:?}").contains("SECRET"));
    for target in [format!("/x/1?{}", "a&".repeat(2000)), format!("/x/1?a={}", "b".repeat(70_000))] {
        assert_eq!(told(&ask(&api, &target, &[], Body::Absent)), ["query   syntax"]);
    }
    let many: String = (0..900).map(|at| format!("u{at}&")).collect();
    assert_eq!(ask(&api, &format!("/x/1?{many}"), &[], Body::Absent).violations.len(), 50);
}

proptest! {
    #[test]
    fn nothing_that_is_sent_makes_a_panic(
        path in "/x/[ -~]{1,20}",
        query in r"[ab\[\]=&%2Cx1|,+;ü]{0,60}",
        header in r"[ab=,x1 ;]{0,30}",
        body in r#"[\[\]{}:,"ab0-9.eE\\u-]{0,40}"#,
        kind in 0..3_usize,
    ) {
        let point = json!({"type": "object", "properties": {"x": {"type": "integer"}}});
        let list = json!({"type": "array", "items": {"type": "integer"}});
        let anything = json!({});
        let api = compile(&with_operation("3.1.0", json!({
            "parameters": [
                {"in": "path", "name": "id", "schema": ([&point, &list][kind % 2]), "explode": kind == 2},
                {"in": "query", "name": "a", "schema": ([&point, &list, &anything][kind])},
                {"in": "query", "name": "b", "schema": point, "style": "deepObject"},
                {"in": "query", "name": "ab", "schema": list, "style": "pipeDelimited"},
                {"in": "header", "name": "h", "schema": ([&point, &list][kind % 2]), "explode": kind == 2},
                {"in": "cookie", "name": "a", "schema": list},
            ],
            "requestBody": {"content": {"application/json": {"schema": point}, "application/x-www-form-urlencoded": {"schema": point}}},
        }), json!({})));
        let media_type = ["application/json", "application/x-www-form-urlencoded", "a"][kind];
        let fields = [("h", header.as_str()), ("cookie", header.as_str()), ("content-type", media_type)];
        if let Found::Operation(operation, parameters) = api.find(b"POST", path.as_bytes()) {
            let headers = headers(&fields);
            let body = Body::Bytes(body.as_bytes());
            let view = RequestView { path_parameters: &parameters, query: query.as_bytes(), headers: &headers, body };
            prop_assert!(operation.check_request(&view).violations.len() <= 50);
        }
    }
}

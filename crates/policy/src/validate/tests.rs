//! What is refused by which description, how it is told, and what is wrong with descriptions.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use diagnostics::{Code, Diagnostics, SourceId, Span};
use document::{Files, MemoryEnvironment, Node};
use message::{Headers, Method, Reply};
use serde_json::{Value, json};

use crate::scene::{Scene, chain};
use crate::{
    Answer, Chain, Compiling, Consumers, HeldBody, Link, Policy, Providers, ResponseBody, ResponseCheck,
};

const API: &str = r#"
openapi: 3.1.0
servers: [{ url: https://api.test/v1 }]
paths:
  /orders/{id}:
    parameters:
      - { name: id, in: path, required: true, schema: { type: integer } }
      - { name: trace, in: header, schema: { type: string, maxLength: 3 } }
    get:
      parameters:
        - { name: limit, in: query, schema: { type: integer, maximum: 100 } }
        - { name: theme, in: cookie, schema: { enum: [light, dark] } }
      responses:
        '200':
          description: an order
          content: { application/json: { schema: { $ref: 'more.yaml#/Order' } } }
    put:
      requestBody:
        required: true
        content:
          application/json: { schema: { $ref: 'more.yaml#/Order' } }
          application/x-www-form-urlencoded: { schema: { $ref: 'more.yaml#/Order' } }
          image/png: {}
      responses: { '204': { description: done } }
"#;
const MORE: &str = r#"
Order:
  type: object
  required: [item]
  properties:
    item: { type: string }
    count: { type: integer, minimum: 1 }
"#;

/// The policy, with files as they are hung on the values that name them.
fn compiled(written: &str, files: &[(&str, &str)]) -> Result<Policy, Vec<(Code, String)>> {
    let mut diagnostics = Diagnostics::new();
    let mut environment = MemoryEnvironment::new();
    for (name, text) in files {
        environment = environment.with_file(*name, text);
    }
    let mut node = document::parse(SourceId(0), written, &mut diagnostics).unwrap();
    attach(&mut node, &environment);
    let (consumers, providers) = (Arc::<Consumers>::default(), Providers::default());
    let policy =
        crate::compile("validate", &node, &mut Compiling::new(&mut diagnostics, &consumers, &providers));
    let mistakes: Vec<_> = diagnostics.iter().map(|one| (one.code, one.message.to_string())).collect();
    policy.filter(|_| mistakes.is_empty()).ok_or(mistakes)
}

fn attach(node: &mut Node, environment: &MemoryEnvironment) {
    let document::Value::Map(entries) = &mut node.value else { return };
    for entry in entries.iter_mut().filter(|entry| ["openapi", "schema"].contains(&&*entry.key.value)) {
        if let document::Value::Scalar(scalar) = &mut entry.node.value {
            let path = Path::new(&scalar.text).to_path_buf();
            let texts = document::read_linked(path.clone(), environment, Path::to_path_buf);
            scalar.files = Some(Box::new(Files { path, texts, binary: None }));
        }
    }
}

struct Api(Chain);

impl Api {
    fn new(settings: &str) -> Api {
        let files = [("api.yaml", API), ("more.yaml", MORE)];
        let policy = compiled(settings, &files).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        Api(Chain::new(vec![Link { policy: Arc::new(policy), source: Span::default() }]))
    }

    fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)], body: &str) -> (Option<Reply>, Scene) {
        let mut scene = Scene::get(target, fields);
        scene.head.method = Method::of(method.as_bytes());
        scene.head.method_text = scene.head.headers.append_text(method.as_bytes());
        scene.body_length = Some(body.len() as u64);
        scene.state.body = Some(Rc::new(HeldBody { bytes: body.into(), is_whole: true }));
        let reply = scene.run(&self.0, || Answer::Body);
        (reply, scene)
    }
}

/// The status and reason, and `in parameter pointer` of each error.
fn told(asked: &(Option<Reply>, Scene)) -> (u16, &'static str, Vec<String>) {
    let Some(reply) = &asked.0 else { return (200, "", Vec::new()) };
    let problem: Value = serde_json::from_slice(&reply.body).unwrap();
    let text = |error: &Value, name: &str| error[name].as_str().unwrap_or_default().to_owned();
    let errors = problem["errors"].as_array().into_iter().flatten();
    let errors =
        errors.map(|one| format!("{} {}{}", text(one, "in"), text(one, "parameter"), text(one, "pointer")));
    (reply.status, asked.1.state.stopped_by.map_or("", |(_, reason)| reason), errors.collect())
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

#[test]
fn requests_are_as_their_operation_says() {
    let api = Api::new("{ openapi: api.yaml, unknown_query: refuse }");
    let form = &[("content-type", "application/x-www-form-urlencoded")][..];
    let bad = &[("trace", "abcd"), ("cookie", "a=b; theme=blue")][..];
    for (method, target, fields, body, status, reason, errors) in [
        ("GET", "/v1/orders/7?limit=3", &[][..], "", 200, "", &[][..]),
        ("HEAD", "/v1/orders/7", &[], "", 200, "", &[]),
        (
            "GET",
            "/v1/orders/x?limit=101&y=1",
            bad,
            "",
            400,
            "invalid",
            &["query limit", "cookie theme", "path id", "header trace", "query y"],
        ),
        ("GET", "/v1/order/7", &[], "", 404, "unknown_path", &[]),
        ("GET", "/orders/7", &[], "", 404, "unknown_path", &[]),
        ("DELETE", "/v1/orders/7", &[], "", 405, "unknown_method", &[]),
        ("PUT", "/v1/orders/7", JSON, r#"{"item":"x","count":2}"#, 200, "", &[]),
        ("PUT", "/v1/orders/7", form, "item=x&count=2", 200, "", &[]),
        ("PUT", "/v1/orders/7", form, "item=x&count=0", 400, "invalid", &["body /count"]),
        ("PUT", "/v1/orders/x", JSON, r#"{"count":0}"#, 400, "invalid", &["path id", "body /count", "body "]),
        ("PUT", "/v1/orders/7", JSON, r#"{"item":"x","item":"y"}"#, 400, "invalid", &["body "]),
        ("PUT", "/v1/orders/7", JSON, "{", 400, "invalid", &["body "]),
        ("PUT", "/v1/orders/7", JSON, "", 400, "invalid", &["body "]),
        ("PUT", "/v1/orders/7", &[("content-type", "image/png")], "{", 200, "", &[]),
        ("PUT", "/v1/orders/7", &[("content-type", "text/plain")], "{}", 415, "media_type", &[]),
        ("PUT", "/v1/orders/7", &[], "{}", 415, "media_type", &[]),
        ("GET", "/v1/orders/7", JSON, "{}", 415, "media_type", &[]),
        (
            "PUT",
            "/v1/orders/7",
            &[("content-type", "application/json"), ("content-encoding", "br")],
            "{}",
            415,
            "coding",
            &[],
        ),
    ] {
        let asked = api.ask(method, target, fields, body);
        let (got_status, got_reason, mut got) = told(&asked);
        let mut want: Vec<String> = errors.iter().map(|text| (*text).to_owned()).collect();
        (got.sort(), want.sort());
        assert_eq!((got_status, got_reason, got), (status, reason, want), "{method} {target} {body}");
        if status == 405 {
            let reply = asked.0.unwrap();
            assert!(reply.headers.contains(&("allow".into(), "GET, PUT, HEAD".into())), "{reply:?}");
        }
    }
}

#[test]
fn other_requests_pass_where_it_says_so() {
    let api = Api::new(
        "{ openapi: api.yaml, undescribed: pass, base: /shop/, unknown_content_types: pass, max_body: 10B }",
    );
    for (method, target, fields, body, status) in [
        ("GET", "/v1/orders/x", &[][..], "", 200),
        ("GET", "/shop/orders/x", &[], "", 400),
        ("GET", "/shop/orders/7?y=1", &[], "", 200),
        ("GET", "/shopping", &[], "", 200),
        ("PATCH", "/shop/orders/x", &[], "", 200),
        ("PUT", "/shop/orders/7", &[("content-type", "text/plain")], "0123456789abcdef", 200),
        ("PUT", "/shop/orders/7", JSON, r#"{"item":"1234567"}"#, 413),
    ] {
        assert_eq!(told(&api.ask(method, target, fields, body)).0, status, "{method} {target}");
    }
}

#[test]
fn schemas_are_about_bodies() {
    let api = Api::new("{ schema: { type: object, required: [a], properties: { a: { type: integer } } } }");
    let optional = Api::new("{ schema: more.yaml, required: false, content_types: 'text/*', mode: dry_run }");
    let twice = [("content-type", "application/json"), ("content-type", "text/plain")];
    for (method, fields, body, status) in [
        ("POST", JSON, r#"{"a":1}"#, 200),
        ("POST", &[("content-type", "application/x.y+json; v=1")][..], r#"{"a":1}"#, 200),
        ("POST", JSON, r#"{"a":"1"}"#, 400),
        ("POST", JSON, "", 400),
        ("PATCH", JSON, "", 400),
        ("GET", &[], "", 200),
        ("DELETE", &[], "", 200),
        ("POST", &[("content-type", "text/plain")], "x", 415),
        ("POST", &[], "{}", 415),
        ("POST", &twice, r#"{"a":1}"#, 400),
    ] {
        assert_eq!(told(&api.ask(method, "/", fields, body)).0, status, "{method} {fields:?} {body}");
    }
    let (reply, scene) = optional.ask("POST", "/", &[("content-type", "text/plain")], "x");
    assert!(reply.is_none());
    assert_eq!(scene.state.tried, Some(("validate", "dry_run")));
    assert!(scene.state.note.is_some_and(|note| note.1.starts_with("would refuse: body is not JSON")));
    let (_, scene) = optional.ask("POST", "/", &[], "");
    assert_eq!(scene.state.tried, None);
}

#[test]
fn all_is_told_and_no_more_than_can_be_read() {
    let api = Api::new("{ schema: { type: array, items: { type: integer } } }");
    let body = json!(vec!["x"; 1000]).to_string();
    let asked = api.ask("POST", "/", JSON, &body);
    let (_, _, errors) = told(&asked);
    assert_eq!((errors.len(), errors[49].as_str()), (50, "body /49"));
    let problem: Value = serde_json::from_slice(&asked.0.unwrap().body).unwrap();
    assert_eq!(problem["errors"][3]["keyword"], "type");
    assert!(problem["errors"][3]["detail"].as_str().unwrap().contains("integer"), "{problem}");
}

#[test]
fn whoever_asks_what_would_be_is_told_without_a_body() {
    let api = Api::new("{ openapi: api.yaml, responses: report }");
    let explain = |method: &str, target: &str| {
        let mut scene = Scene::get(target, &[]);
        scene.head.method = Method::of(method.as_bytes());
        scene.head.method_text = scene.head.headers.append_text(method.as_bytes());
        scene.body_length = Some(0);
        scene.state.explain();
        let reply = scene.run(&api.0, || panic!("nothing is asked"));
        (reply.map(|reply| reply.status), scene.state.remark_of("validate").unwrap().to_owned())
    };
    let (status, words) = explain("PUT", "/v1/orders/7");
    assert_eq!(status, None);
    assert!(words.starts_with("validates it as PUT /orders/{id}, and reports responses"), "{words}");
    assert_eq!(explain("PUT", "/v1/orders/x").0, Some(400));
    assert_eq!(explain("GET", "/v1/x").0, Some(404));
}

/// What is said of a response to this request.
fn judged(
    settings: &str,
    status: u16,
    fields: &[(&str, &str)],
    body: ResponseBody<'_>,
) -> (bool, Option<String>) {
    let api = Api::new(settings);
    let (reply, scene) =
        api.ask("GET", "/v1/orders/7", &[("accept-encoding", "br, gzip;q=0.5"), ("range", "bytes=0-1")], "");
    assert!(reply.is_none());
    assert_eq!(scene.head.headers.values(b"accept-encoding").collect::<Vec<_>>(), [b"gzip;q=0.5"]);
    let check: Box<ResponseCheck> = scene.state.response_check.unwrap();
    assert_eq!(scene.head.headers.values(b"range").next().is_none(), check.enforces());
    let mut headers = Headers::default();
    fields.iter().for_each(|(name, value)| headers.push(name.as_bytes(), value.as_bytes()));
    assert_eq!(
        check.most(status, &headers).is_some(),
        status == 200 && fields == JSON,
        "{status} {fields:?}"
    );
    (check.enforces(), check.judge(status, &headers, body))
}

#[test]
fn responses_are_as_their_operation_says() {
    let whole = |body: &'static str| ResponseBody::Whole(body.as_bytes());
    for (status, fields, body, want) in [
        (200, JSON, whole(r#"{"item":"x"}"#), None),
        (200, JSON, whole(r#"{"item":1,"count":0}"#), Some("body /item")),
        (200, JSON, whole("{"), Some("is not JSON")),
        (200, JSON, ResponseBody::TooLarge, Some("larger than 1MiB")),
        (200, &[("content-type", "text/event-stream")][..], ResponseBody::Unseen, Some("media type")),
        (304, &[], ResponseBody::Absent, None),
        (500, &[], ResponseBody::Absent, Some("has a status that is not described")),
    ] {
        for (mode, is_enforced) in [("report", false), ("enforce", true)] {
            let settings = format!("{{ openapi: api.yaml, responses: {mode} }}");
            let (enforces, said) = judged(&settings, status, fields, body);
            assert_eq!(enforces, is_enforced);
            match want {
                None => assert_eq!(said, None, "{status} {body:?}"),
                Some(want) => {
                    let said = said.unwrap();
                    let begin = format!("the response {status} to GET /orders/{{id}} ");
                    assert!(said.starts_with(&begin) && said.contains(want), "{said}");
                }
            }
        }
    }
}

#[test]
fn mistakes_are_told_where_they_are() {
    let broken =
        "openapi: 3.1.0\npaths:\n  /x:\n    get:\n      parameters:\n        - { name: a, in: nowhere }\n";
    let missing =
        "openapi: 3.1.0\npaths:\n  /x:\n    get:\n      parameters:\n        - { $ref: 'p.yaml#/b' }\n";
    let outside = r#"{"type": "object", "properties": {"a": {"$ref": "https://x.test/s.json"}}}"#;
    let files = [
        ("api.yaml", API),
        ("more.yaml", MORE),
        ("broken.yaml", broken),
        ("missing.yaml", missing),
        ("p.yaml", "a: 1"),
        ("no.yaml", "a: [\n"),
        ("outside.json", outside),
        ("v2.json", r#"{"swagger": "2.0"}"#),
    ];
    for (written, code, want) in [
        ("{}", Code::MissingKey, "knows nothing to go by"),
        ("{ openapi: api.yaml, schema: more.yaml }", Code::ConflictingKeys, "both say"),
        ("{ openapi: api.yaml, draft: draft-07 }", Code::ConflictingKeys, "`draft` goes with `schema`"),
        (
            "{ schema: more.yaml, responses: report }",
            Code::ConflictingKeys,
            "`responses` goes with `openapi`",
        ),
        ("{ openapi: gone.yaml }", Code::MissingFile, "it does not exist"),
        ("{ openapi: no.yaml }", Code::InvalidValue, "`no.yaml` cannot be read: line "),
        ("{ openapi: v2.json }", Code::InvalidValue, "`v2.json`: /openapi: must be 3.0 or 3.1"),
        ("{ openapi: broken.yaml }", Code::InvalidValue, "`broken.yaml`: line 6, column "),
        ("{ openapi: missing.yaml }", Code::InvalidValue, "refers to p.yaml#/b, which does not exist"),
        ("{ schema: outside.json }", Code::InvalidValue, "nothing is fetched"),
        ("{ schema: { type: objekt } }", Code::InvalidValue, "the schema cannot be used: /type"),
        (
            "{ schema: { pattern: '(?<x>a)\\k<x>' } }",
            Code::InvalidValue,
            "the schema cannot be used: /pattern",
        ),
        ("{ schema: more.yaml, content_types: json }", Code::InvalidValue, "`json` is no media type"),
        ("{ openapi: api.yaml, base: shop }", Code::InvalidPath, "`shop` is no path"),
        ("{ openapi: api.yaml, max_body: 1GiB }", Code::InvalidValue, "held in memory"),
    ] {
        let mistakes = compiled(written, &files).expect_err(written);
        assert!(
            mistakes.len() == 1 && mistakes[0].0 == code && mistakes[0].1.contains(want),
            "{written}: {mistakes:?}"
        );
        assert!(!mistakes[0].1.contains("up/"), "{mistakes:?}");
    }
}

#[test]
fn two_kib_against_forty_properties_are_quick() {
    let property = |at: usize| match at % 4 {
        0 => (format!("text_{at}"), json!({"type": "string", "maxLength": 200}), json!("x".repeat(60))),
        1 => (format!("count_{at}"), json!({"type": "integer", "minimum": 0}), json!(at)),
        2 => (format!("flag_{at}"), json!({"type": "boolean"}), json!(true)),
        _ => (
            format!("list_{at}"),
            json!({"type": "array", "items": {"type": "string", "maxLength": 40}}),
            json!(["first", "second", "third", "and one that is a little longer"]),
        ),
    };
    let all: Vec<_> = (0..40).map(property).collect();
    let pick = |of: fn(&(String, Value, Value)) -> Value| -> Value {
        all.iter().map(|one| (one.0.clone(), of(one))).collect::<serde_json::Map<_, _>>().into()
    };
    let schema =
        json!({"type": "object", "properties": pick(|one| one.1.clone()), "additionalProperties": false});
    let body = pick(|one| one.2.clone()).to_string();
    assert!((1800..2400).contains(&body.len()), "{}", body.len());
    let chain = chain(&[("validate", &json!({ "schema": schema }).to_string())], &Arc::default());
    let mut scene = Scene::get("/x", JSON);
    scene.body_length = Some(body.len() as u64);
    let held = Rc::new(HeldBody { bytes: body.into_bytes(), is_whole: true });
    let mut best = u128::MAX;
    for _ in 0..200 {
        let begin = Instant::now();
        for _ in 0..10 {
            scene.state.body = Some(Rc::clone(&held));
            assert!(scene.run(&chain, || Answer::Body).is_none());
        }
        best = best.min(begin.elapsed().as_nanos() / 10);
    }
    println!("validating {} bytes by 40 properties takes {best} ns", held.bytes.len());
    // Tests are built for looking for mistakes and not for speed: the bound is that of a linear algorithm.
    assert!(best < 1_000_000, "{best} ns");
}

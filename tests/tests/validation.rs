//! Requests and responses that are held to a description, and JSON that would hurt.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test"
)]

use std::io::Write;
use std::time::{Duration, Instant};

use end_to_end::{Gateway, Message, Origin, SOON, Setup, check, wait_until};
use serde_json::{Value, json};

const API: &str = r#"{
  "openapi": "3.0.3",
  "paths": {
    "/orders/{id}": {
      "parameters": [
        { "name": "id", "in": "path", "required": true, "schema": { "type": "integer" } },
        { "name": "x-tenant", "in": "header", "required": true, "schema": { "type": "string", "minLength": 3 } }
      ],
      "get": {
        "parameters": [
          { "name": "limit", "in": "query", "schema": { "type": "integer", "maximum": 100 } },
          { "name": "theme", "in": "cookie", "schema": { "enum": ["light", "dark"] } }
        ],
        "responses": {
          "200": { "description": "", "content": { "application/json": { "schema": { "$ref": "parts/order.yaml#/Order" } } } },
          "204": { "description": "" }
        }
      },
      "put": {
        "requestBody": { "content": { "application/json": { "schema": { "$ref": "parts/order.yaml#/Order" } } } },
        "responses": { "default": { "description": "" } }
      }
    }
  }
}"#;
const ORDER: &str = "Order:\n  type: object\n  required: [item]\n  properties:\n    item: { type: string }\n    \
                     count: { type: integer, minimum: 1 }\n";

fn setup(origin: &Origin, policies: &str) -> Setup {
    let yaml = format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\ntelemetry: {{ access_log: access.log }}\n\
         services: {{ shop: {{ endpoints: [\"http://{}\"] }} }}\n\
         routes: [{{ path: /*, service: shop, policies: {{ {policies} }} }}]\n",
        origin.address()
    );
    let files = vec![("api.json".into(), API.into()), ("parts/order.yaml".into(), ORDER.into())];
    Setup { files, ..Setup::new(yaml) }
}

/// Sends a request with these fields and this body.
fn ask(gateway: &Gateway, line: &str, fields: &[&str], body: impl AsRef<[u8]>) -> Message {
    let body = body.as_ref();
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let head = format!("{line} HTTP/1.1\r\nHost: gw.test\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    gateway.connect().ask([head.as_bytes(), body].concat())
}

const JSON: &str = "Content-Type: application/json";
const TENANT: &str = "X-Tenant: abc";

/// The places of what is wrong.
fn errors(answer: &Message) -> Vec<String> {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let all = problem["errors"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let mut places: Vec<String> = all
        .iter()
        .map(|one| format!("{} {}{}", text(one, "in"), text(one, "parameter"), text(one, "pointer")))
        .collect();
    places.sort();
    places
}

#[test]
fn every_violation_is_listed_and_nothing_reaches_the_service() {
    let origin = Origin::saying("ok");
    let gateway = setup(&origin, "validate: { openapi: api.json }").start();
    let wrong = ask(&gateway, "GET /orders/x?limit=101", &["X-Tenant: ab", "Cookie: theme=blue"], "");
    assert_eq!((wrong.status(), wrong.field("content-type")), (400, Some("application/problem+json")));
    assert_eq!(errors(&wrong), ["cookie theme", "header x-tenant", "path id", "query limit"]);
    let wrong = ask(&gateway, "PUT /orders/x", &[JSON], r#"{"count":0}"#);
    assert_eq!(errors(&wrong), ["body ", "body /count", "header x-tenant", "path id"]);
    for (line, fields, body, status) in [
        ("GET /orders/7?limit=1", &[TENANT][..], "", 200),
        ("PUT /orders/7", &[TENANT, JSON], r#"{"item":"a","count":3}"#, 200),
        ("PUT /orders/7", &[TENANT, JSON], r#"{"item":"a","item":"b"}"#, 400),
        ("PUT /orders/7", &[TENANT, "Content-Type: text/xml"], "<a/>", 415),
        ("PUT /orders/7", &[TENANT, JSON, "Content-Encoding: br"], "{}", 415),
        ("GET /order/7", &[TENANT], "", 404),
        ("DELETE /orders/7", &[TENANT], "", 405),
    ] {
        let answer = ask(&gateway, line, fields, body);
        assert_eq!(answer.status(), status, "{line} {body}: {answer}");
        let (allow, coding) = (answer.field("allow"), answer.field("accept-encoding"));
        assert_eq!(allow, (status == 405).then_some("GET, PUT, HEAD"));
        assert_eq!(coding.is_some(), fields.len() == 3);
    }
    assert_eq!(origin.count(), 2);
    assert!(gateway.metric("gateward_policy_answers_total{policy=\"validate\"}") > 6.5);
    gateway.stop();
}

#[test]
fn json_that_would_hurt_is_refused_at_once() {
    let origin = Origin::saying("ok");
    let gateway = setup(&origin, "json_threat: {}").start();
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    ask(&gateway, "POST /", &[JSON], "[1]");
    let begin = Instant::now();
    let refused = ask(&gateway, "POST /", &[JSON], &deep);
    assert!(begin.elapsed() < Duration::from_millis(50), "{:?}", begin.elapsed());
    assert!(refused.status() == 400 && refused.text().contains("nested too deep"), "{refused}");
    let problem: Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!((&problem["errors"][0]["offset"], &problem["code"]), (&json!(32), &json!("json-threat")));
    let twice = ask(&gateway, "POST /", &[JSON], r#"{"a":{"b":1,"\u0062":2}}"#);
    assert_eq!((twice.status(), errors(&twice)), (400, vec!["body /a/b".to_owned()]));
    assert_eq!(ask(&gateway, "POST /", &[JSON], vec![b' '; (1 << 20) + 1]).status(), 413);
    assert_eq!(ask(&gateway, "POST /", &["Content-Type: text/plain"], &deep).status(), 200);
    assert_eq!(origin.count(), 2);
    gateway.stop();
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn nothing_passes_because_it_is_compressed() {
    let origin = Origin::saying("ok");
    let gateway = setup(&origin, "json_threat: {}, validate: { schema: { type: array } }").start();
    let coded = [JSON, "Content-Encoding: gzip"];
    let good = gzip(b"[1,2,3]");
    assert_eq!(ask(&gateway, "POST /", &coded, &good).status(), 200);
    assert_eq!(ask(&gateway, "POST /", &coded, gzip(b"{}")).status(), 400);
    assert_eq!(ask(&gateway, "POST /", &coded, gzip("[".repeat(99).as_bytes())).status(), 400);
    assert_eq!(ask(&gateway, "POST /", &coded, b"[1]").status(), 400);
    let bomb = gzip(&vec![b' '; 128 << 20]);
    assert!(bomb.len() < 1 << 20);
    let before = gateway.peak_memory();
    let begin = Instant::now();
    assert_eq!(ask(&gateway, "POST /", &coded, &bomb).status(), 413);
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    assert!(gateway.peak_memory() < before + (32 << 20), "{} and {before}", gateway.peak_memory());
    let [request] = &origin.requests()[..] else { panic!("{}", origin.count()) };
    assert_eq!((&request.body, request.field("content-encoding")), (&good, Some("gzip")));
    gateway.stop();
}

/// A service that answers with what the path says: a status, and `good`, `bad`, `large`, `zipped`, `cut` or nothing.
fn talking() -> Origin {
    Origin::serving(|request| {
        let (good, bad) = (r#"{"item":"x"}"#, r#"{"count":0}"#);
        let body = match request.field("x-want").unwrap_or_default() {
            "good" | "plain" | "chunked" | "events" => good.as_bytes().to_vec(),
            "zipped" => gzip(bad.as_bytes()),
            "large" => format!("{{\"item\":\"{}\"}}", "x".repeat(5000)).into_bytes(),
            "bad" | "error" => bad.as_bytes().to_vec(),
            _ => return None,
        };
        let (status, more) = match request.field("x-want").unwrap_or_default() {
            "error" => ("500 Oops", ""),
            "zipped" => ("200 OK", "Content-Encoding: gzip\r\n"),
            _ => ("200 OK", ""),
        };
        let media_type = match request.field("x-want").unwrap_or_default() {
            "plain" => "text/plain",
            "events" => "text/event-stream",
            _ => "application/json",
        };
        let mut response = format!("HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\n{more}").into_bytes();
        if request.field("x-want") == Some("chunked") {
            let half = body.len() / 2;
            response.extend(b"Transfer-Encoding: chunked\r\n\r\n");
            for piece in [&body[..half], &body[half..]] {
                response.extend(format!("{:x}\r\n", piece.len()).into_bytes());
                response.extend(piece);
                response.extend(b"\r\n");
            }
            response.extend(b"0\r\nX-Sum: 1\r\n\r\n");
        } else {
            response.extend(format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes());
            if request.method() != "HEAD" {
                response.extend(body);
            }
        }
        Some(response)
    })
}

#[test]
fn responses_are_reported_or_stopped() {
    let origin = talking();
    let want = |gateway: &Gateway, what: &str| {
        let want = format!("X-Want: {what}");
        ask(gateway, "GET /orders/7", &[TENANT, &want, "Accept-Encoding: br, gzip", "Range: bytes=0-"], "")
    };
    for (mode, enforces) in [("report", false), ("enforce", true)] {
        let policies = format!("validate: {{ openapi: api.json, responses: {mode}, max_body: 4KiB }}");
        let gateway = setup(&origin, &policies).start();
        for what in ["good", "chunked", "good"] {
            let answer = want(&gateway, what);
            assert_eq!((answer.status(), answer.text()), (200, "{\"item\":\"x\"}".to_owned()), "{what}");
            assert_eq!(answer.trailers.len(), usize::from(what == "chunked"), "{answer}");
        }
        let asked = origin.requests().pop().unwrap();
        assert_eq!(asked.field("accept-encoding"), Some("gzip"));
        assert_eq!(asked.field("range").is_none(), enforces);
        for what in ["bad", "zipped", "large", "plain", "events", "error"] {
            let answer = want(&gateway, what);
            if enforces {
                assert_eq!(answer.status(), 502, "{what}: {answer}");
                assert!(
                    answer.text().contains("invalid-response") && !answer.text().contains("count"),
                    "{answer}"
                );
            } else {
                assert_eq!(answer.status(), if what == "error" { 500 } else { 200 }, "{what}: {answer}");
                let long = what == "large";
                assert!(!long || answer.body.len() == 5011, "{}", answer.body.len());
            }
        }
        assert_eq!(want(&gateway, "cut").status(), 502);
        let head = ask(&gateway, "HEAD /orders/7", &[TENANT, "X-Want: good"], "");
        assert_eq!(head.status(), 200);
        let told = "the response 200 to GET /orders/{id}";
        wait_until("operators are told", SOON, || gateway.log().contains(told));
        let name = if enforces { "answers" } else { "dry_runs" };
        wait_until("it is counted", SOON, || {
            gateway.metric(&format!("gateward_policy_{name}_total{{policy=\"validate\"}}")) > 5.5
        });
        gateway.stop();
    }
}

#[test]
fn what_is_tried_only_is_told() {
    let origin = Origin::saying("ok");
    let gateway = setup(&origin, "validate: { openapi: api.json, mode: dry_run }").start();
    for (line, body) in [("PUT /orders/x", "{"), ("GET /nothing", ""), ("DELETE /orders/7", "")] {
        assert_eq!(ask(&gateway, line, &[TENANT, JSON], body).status(), 200, "{line}");
    }
    let log = gateway.folder().path().join("access.log");
    wait_until("the lines are written", SOON, || {
        std::fs::read_to_string(&log)
            .is_ok_and(|text| text.matches("\"policy\":\"validate\",\"reason\":\"dry_run\"").count() == 3)
    });
    assert!(gateway.metric("gateward_policy_dry_runs_total{policy=\"validate\"}") > 2.5);
    assert!(gateway.log().contains("policy validate: would refuse: path id"), "{}", gateway.log());
    gateway.stop();
}

#[test]
fn a_document_that_changes_is_taken_over_and_a_broken_one_is_not() {
    let origin = Origin::saying("ok");
    let gateway = setup(&origin, "validate: { openapi: api.json }").start();
    let put = || ask(&gateway, "PUT /orders/7", &[TENANT, JSON], r#"{"item":"a"}"#).status();
    assert_eq!(put(), 200);
    gateway.folder().write("parts/order.yaml", &ORDER.replace("[item]", "[item, count]"));
    wait_until("the new file holds", SOON, || put() == 400);
    gateway.folder().write("parts/order.yaml", &ORDER.replace("type: object", "type: objekt"));
    wait_until("the mistake is told", SOON, || gateway.log().contains("order.yaml"));
    assert_eq!(put(), 400, "what held before goes on");
    gateway.folder().write("parts/order.yaml", ORDER);
    wait_until("the old file holds again", SOON, || put() == 200);
    gateway.stop();
}

#[test]
fn mistakes_in_documents_are_told_with_their_place() {
    let origin = Origin::saying("ok");
    let mut setup = setup(&origin, "validate: { openapi: broken.yaml }");
    setup.files.push((
        "broken.yaml".into(),
        "openapi: 3.1.0\npaths:\n  /a:\n    get:\n      parameters:\n      - { name: x, in: body }\n".into(),
    ));
    let output = check(&setup, &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success());
    assert!(text.contains("`broken.yaml`: line 6, column ") && text.contains("gateward.yaml:5"), "{text}");
}

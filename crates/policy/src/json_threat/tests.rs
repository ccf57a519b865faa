//! What is refused, where it is said to be wrong, and what nobody looks at.

use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diagnostics::Code;
use message::Reply;
use serde_json::Value;

use crate::scene::{Scene, chain, policy};
use crate::{Answer, HeldBody};

/// What the policy says to a body, and what it leaves behind.
fn send(settings: &str, fields: &[(&str, &str)], body: &[u8]) -> (Option<Reply>, Scene) {
    let chain = chain(&[("json_threat", settings)], &Arc::default());
    let mut scene = Scene::get("/x", fields);
    scene.body_length = Some(body.len() as u64);
    scene.state.body = Some(Rc::new(HeldBody { bytes: body.to_vec(), is_whole: true }));
    let reply = scene.run(&chain, || Answer::Body);
    (reply, scene)
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json; charset=utf-8")];

#[test]
fn what_goes_beyond_a_limit_is_refused_where_it_does() {
    for (settings, body, reason, place) in [
        ("{ depth: 2 }", r#"{"a":[[1]]}"#, "depth", 6.into()),
        ("{ keys: 2 }", r#"{"a":1,"b":2,"c":3}"#, "keys", 13.into()),
        ("{ items: 2 }", "[1,2,3]", "items", 5.into()),
        ("{ values: 3 }", "[1,2,3]", "values", 5.into()),
        ("{ key_length: 2B }", r#"{"abc":1}"#, "key_length", 2.into()),
        ("{ string_length: 2B }", r#"["abc"]"#, "string_length", 2.into()),
        ("{ number_length: 2 }", "[123]", "number_length", 3.into()),
        ("{}", "[1,]", "syntax", 3.into()),
        ("{}", "", "", Value::Null),
        ("{}", "[1", "syntax", 2.into()),
        ("{}", r#"[{"a":{"b":1,"b":2}}]"#, "duplicate_key", "/0/a/b".into()),
        ("{ duplicate_keys: allow }", r#"{"b":1,"b":2}"#, "", Value::Null),
        ("{}", "[1e999]", "number", "/0".into()),
        ("{}", r#"{"a":[1,2,{"b":null}],"c":"x"}"#, "", Value::Null),
    ] {
        let (reply, scene) = send(settings, JSON, body.as_bytes());
        let Some(reply) = reply else {
            assert_eq!(reason, "", "{body}");
            continue;
        };
        let problem: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((reply.status, &problem["code"]), (400, &"json-threat".into()), "{body}");
        assert_eq!(scene.state.stopped_by, Some(("json_threat", reason)), "{body}");
        let error = &problem["errors"][0];
        let got = if error["offset"].is_null() { &error["pointer"] } else { &error["offset"] };
        assert_eq!((got, &error["in"]), (&place, &"body".into()), "{body}: {problem}");
        assert!(problem["detail"].as_str().unwrap().starts_with("The body "), "{problem}");
    }
}

#[test]
fn depth_costs_nothing() {
    let deep = [vec![b'['; 10_000], vec![b']'; 10_000]].concat();
    let begin = Instant::now();
    let (reply, _) = send("{}", JSON, &deep);
    assert_eq!(reply.unwrap().status, 400);
    assert!(begin.elapsed() < Duration::from_millis(50), "{:?}", begin.elapsed());
}

#[test]
fn nobody_gets_around_it_by_what_the_body_is_said_to_be() {
    for (settings, fields, refused) in [
        ("{}", &[][..], true),
        ("{}", &[("content-type", "Application/Problem+JSON")], true),
        ("{}", &[("content-type", "text/plain"), ("content-type", "application/json")], true),
        ("{}", &[("content-type", "text/plain")], false),
        ("{ bodies: all }", &[("content-type", "text/plain")], true),
    ] {
        let (reply, _) = send(settings, fields, b"[[[1");
        assert_eq!(reply.is_some(), refused, "{settings} {fields:?}");
    }
}

#[test]
fn what_cannot_be_seen_does_not_pass() {
    let zipped = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let coded = |coding| [("content-type", "application/json"), ("content-encoding", coding)];
    for (coding, body, want) in [
        ("gzip", zipped(b"[1]"), None),
        ("gzip", zipped(b"[1"), Some((400, "syntax"))),
        ("gzip", zipped(&vec![b' '; 20 << 20]), Some((413, "too_large"))),
        ("gzip", b"[1]".to_vec(), Some((400, "coding"))),
        ("br", b"[1]".to_vec(), Some((415, "coding"))),
        ("identity", vec![b' '; (1 << 20) + 1], Some((413, "too_large"))),
    ] {
        let (reply, scene) = send("{}", &coded(coding), &body);
        let got = reply.map(|reply| (reply.status, scene.state.stopped_by.unwrap().1));
        assert_eq!(got, want, "{coding} {}", body.len());
    }
}

#[test]
fn what_is_tried_only_passes() {
    let (reply, scene) = send("{ mode: dry_run }", JSON, b"[[");
    assert!(reply.is_none());
    assert_eq!(scene.state.tried, Some(("json_threat", "dry_run")));
    let note = scene.state.note.unwrap();
    assert!(note.1.starts_with("would refuse: body is not complete JSON"), "{note:?}");
}

#[test]
fn mistakes_are_told() {
    for (written, code) in [
        ("{ max_body: 17MiB }", Code::InvalidValue),
        ("{ max_body: 0 }", Code::InvalidValue),
        ("{ depth: 0 }", Code::InvalidValue),
        ("{ depth: 101 }", Code::InvalidValue),
        ("{ dept: 3 }", Code::UnknownKey),
    ] {
        let mistakes = policy("json_threat", written, &Arc::default()).unwrap_err();
        assert_eq!(mistakes.iter().map(|one| one.0).collect::<Vec<_>>(), [code], "{written}: {mistakes:?}");
    }
}

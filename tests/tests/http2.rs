//! HTTP/2 with clients: conformance, and how requests and responses are translated to HTTP/1.1 and back.
//!
//! Clients are h2spec, curl, and a peer that sends frame by frame what a test says.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use end_to_end::certificates::{Authority, Wish};
use end_to_end::http2::{Http2, code, request, value};
use end_to_end::peer::{missing, output_of, scripts};
use end_to_end::{Gateway, Origin, SOON, Setup, wait_until};
use serde_json::json;

fn gateway_for(origin: &Origin) -> Gateway {
    Gateway::start(format!(
        "listen: 127.0.0.1:0\n\
         services: {{ site: {{ endpoints: [http://{}] }} }}\n\
         routes: [{{ path: /*, service: site }}]\n",
        origin.address()
    ))
}

/// h2spec of the version in `peers/h2spec`, built once; `None` where there is no Go.
fn h2spec() -> Option<PathBuf> {
    static BUILDING: Mutex<()> = Mutex::new(());
    let _guard = BUILDING.lock();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("target/tools");
    let built = folder.join("h2spec");
    if !built.exists() {
        let candidates = ["go", "/usr/local/go/bin/go", "/usr/lib/go/bin/go"];
        let found = candidates.iter().find(|go| Command::new(go).arg("version").output().is_ok());
        let Some(go) = found else {
            missing("HTTP/2 by h2spec", "there is no Go");
            return None;
        };
        let mut install = Command::new(go);
        install.args(["install", "github.com/summerwind/h2spec/cmd/h2spec"]).env("GOBIN", &folder);
        let output = install.current_dir(scripts().join("h2spec")).output().unwrap();
        if !output.status.success() {
            missing("HTTP/2 by h2spec", &String::from_utf8_lossy(&output.stderr));
            return None;
        }
    }
    Some(built)
}

fn conforms(gateway: &Gateway, more: &[&str]) {
    let Some(h2spec) = h2spec() else { return };
    let (host, port) = (gateway.address().ip().to_string(), gateway.address().port().to_string());
    let mut arguments = vec!["--strict", "--host", &host, "--port", &port, "--timeout", "3"];
    arguments.extend(more);
    let output = Command::new(h2spec).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().rev().find(|line| line.contains(" tests, ")).unwrap_or("it printed no sum");
    assert_eq!(last, "146 tests, 146 passed, 0 skipped, 0 failed", "{text}");
}

#[test]
fn h2spec_passes_in_the_clear() {
    let origin = Origin::saying("hello, whoever you are");
    // With HTTP/1.1 beside it, a wrong preface would be a request that deserves 400.
    let gateway = Gateway::start(format!(
        "listen: {{ address: 127.0.0.1:0, protocols: [http2] }}\n\
         services: {{ site: {{ endpoints: [http://{}] }} }}\nroutes: [{{ path: /*, service: site }}]\n",
        origin.address()
    ));
    conforms(&gateway, &[]);
    gateway.stop();
}

#[test]
fn h2spec_passes_over_tls() {
    let origin = Origin::saying("hello, whoever you are");
    let identity = Authority::new("tests").sign(&Wish::server(&["127.0.0.1"]));
    let setup = Setup {
        files: vec![("cert.pem".into(), identity.cert), ("key.pem".into(), identity.key)],
        ..Setup::new(format!(
            "listen: {{ address: 127.0.0.1:0, tls: {{ certificates: [{{ cert: cert.pem, key: key.pem }}] }} }}\n\
             services: {{ site: {{ endpoints: [http://{}] }} }}\n\
             routes: [{{ path: /*, service: site }}]\n",
            origin.address()
        ))
    };
    let gateway = setup.start();
    conforms(&gateway, &["--tls", "--insecure"]);
    gateway.stop();
}

#[test]
fn curl_speaks_both_versions_to_one_listener() {
    let origin = Origin::serving(|request| {
        let body = format!("{} {} {}", request.method(), request.target(), request.text());
        Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
    });
    let gateway = gateway_for(&origin);
    let url = format!("http://{}/a?b=c", gateway.address());
    let version = "\n%{http_version} %{num_connects}\n";
    let post = ["-sS", "--fail", "--http2-prior-knowledge", "-w", version, "-d", "body", &url];
    assert_eq!(output_of("curl", &post), "POST /a?b=c body\n2 1\n");
    assert_eq!(output_of("curl", &["-sS", "--fail", "-w", version, &url]), "GET /a?b=c \n1.1 1\n");
    let head = output_of("curl", &["-sS", "--fail", "--http2-prior-knowledge", "-I", &url]);
    assert!(head.starts_with("HTTP/2 200 ") && head.contains("via: 1.1 gateward\r\n"), "{head}");
    // RFC 9113 §3.1: the upgrade of HTTP/1.1 is gone; the request is answered where it is.
    assert_eq!(output_of("curl", &["-sS", "--fail", "--http2", "-w", version, &url]), "GET /a?b=c \n1.1 1\n");
    gateway.stop();
}

#[test]
fn a_request_reaches_the_service_as_http1() {
    let origin = Origin::scripted();
    let gateway = gateway_for(&origin);
    let client = Http2::connect(gateway.address());
    let fields = [
        ("cookie", "a=1"),
        ("x-two", "1"),
        ("cookie", "b=2"),
        ("x-two", "2"),
        ("cookie", "c=3"),
        ("te", "trailers"),
    ];
    client.headers(1, request("POST", "http", "/up?q=%20", &fields), false);
    client.data(1, "hello ", false);
    client.data(1, "world", false);
    client.headers(1, json!([["x-sum", "11"]]), true);
    let (link, asked) = origin.expect();
    assert_eq!(asked.start, "POST /up?q=%20 HTTP/1.1");
    assert_eq!((asked.field("host"), asked.field("cookie")), (Some("gw.test"), Some("a=1; b=2; c=3")));
    assert_eq!(asked.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie")).count(), 1);
    assert_eq!((asked.text().as_str(), asked.field("transfer-encoding")), ("hello world", Some("chunked")));
    assert_eq!(asked.trailers, [("x-sum".to_owned(), "11".to_owned())]);
    let pseudo = asked.fields.iter().find(|(name, _)| name.starts_with(':'));
    assert_eq!((pseudo, asked.field("x-forwarded-proto")), (None, Some("http")));
    link.send(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\n\
         Keep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\nX-Upper: Kept\r\n\r\n5\r\nhello\r\n0\r\nx-end: yes\r\n\r\n",
    );
    let answer = client.response(1);
    assert_eq!(
        answer.interim.iter().map(|fields| value(fields, ":status")).collect::<Vec<_>>(),
        [Some("103")]
    );
    assert_eq!(value(&answer.interim[0], "link"), Some("</a>"));
    assert_eq!(
        (answer.status(), answer.body.as_str(), answer.field("x-upper")),
        (200, "hello", Some("Kept"))
    );
    assert_eq!(value(&answer.trailers, "x-end"), Some("yes"));
    for name in ["connection", "keep-alive", "transfer-encoding", "x-hop"] {
        assert_eq!(answer.field(name), None, "RFC 9113 §8.2.2");
    }
    client.get(3, "/next");
    let (second, _) = origin.expect();
    assert_eq!(second.peer(), link.peer(), "the connection to the service is kept");
    second.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.response(3).status(), 204);
    gateway.stop();
}

#[test]
fn many_streams_at_a_time_do_not_wait_for_each_other() {
    let origin = Origin::scripted();
    let gateway = gateway_for(&origin);
    let client = Http2::connect(gateway.address());
    let streams: Vec<u64> = (0..100).map(|number| 2 * number + 1).collect();
    for stream in &streams {
        client.get(*stream, &format!("/{stream}"));
    }
    let mut waiting: Vec<_> = streams.iter().map(|_| origin.expect()).collect();
    // The last one is answered first.
    while let Some((link, asked)) = waiting.pop() {
        let body = asked.target().to_owned();
        link.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        let stream = body.trim_start_matches('/').parse().unwrap();
        assert_eq!(client.response(stream).body, body);
    }
    gateway.stop();
}

#[test]
fn streams_above_the_limit_are_refused_and_not_queued() {
    let origin = Origin::scripted();
    let gateway = Gateway::start(format!(
        "listen: {{ address: 127.0.0.1:0, limits: {{ streams: 10 }} }}\n\
         services: {{ site: {{ endpoints: [http://{}] }} }}\nroutes: [{{ path: /*, service: site }}]\n",
        origin.address()
    ));
    let client = Http2::connect(gateway.address());
    let settings = client.events().take("settings", |event| event["ack"] == false);
    assert_eq!(settings["values"]["3"], 10);
    client.events().take("settings", |event| event["ack"] == true);
    for number in 0..15 {
        client.get(2 * number + 1, "/x");
    }
    for _ in 0..5 {
        client.events().take("reset", |event| event["code"] == code::REFUSED_STREAM);
    }
    for _ in 0..10 {
        let (link, _) = origin.expect();
        link.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
    for number in 0..10 {
        assert_eq!(client.response(2 * number + 1).status(), 200);
    }
    gateway.stop();
}

#[test]
fn a_cancelled_request_ends_at_the_service_at_once() {
    let origin = Origin::scripted();
    let gateway = gateway_for(&origin);
    let client = Http2::connect(gateway.address());
    client.get(1, "/slow");
    let (link, _) = origin.expect();
    client.reset(1, code::CANCEL);
    assert!(link.wait_end(Duration::from_secs(1)).is_some(), "the service was not told");
    // In the middle of an upload.
    client.headers(3, request("POST", "http", "/up", &[("content-length", "100")]), false);
    client.data(3, "the beginning", false);
    let came = origin.bell().wait(SOON, || origin.links().get(1).filter(|link| link.total() > 50).cloned());
    let link = came.expect("the upload reached the service");
    client.reset(3, code::CANCEL);
    assert!(link.wait_end(Duration::from_secs(1)).is_some(), "the service was not told");
    // In the middle of a download; the connection to the client goes on.
    client.get(5, "/down");
    let (link, _) = origin.expect();
    link.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthe beginning");
    client.events().take("data", |event| event["stream"] == 5);
    client.reset(5, code::CANCEL);
    assert!(link.wait_end(Duration::from_secs(1)).is_some(), "the service was not told");
    client.get(7, "/after");
    origin.expect().0.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nafter");
    assert_eq!(client.response(7).body, "after");
    gateway.stop();
}

#[test]
fn a_service_that_breaks_off_ends_the_stream_and_only_it() {
    let origin = Origin::scripted();
    let gateway = gateway_for(&origin);
    let client = Http2::connect(gateway.address());
    client.get(1, "/other");
    let (other, _) = origin.expect();
    client.get(3, "/cut");
    let (link, _) = origin.expect();
    link.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nthe beginning");
    client.events().take("data", |event| event["stream"] == 3);
    link.reset();
    let reset = client.events().take("reset", |event| event["stream"] == 3);
    assert_ne!(reset["code"], code::NO_ERROR, "a cut answer must not look whole");
    other.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole");
    assert_eq!(client.response(1).body, "whole");
    gateway.stop();
}

#[test]
fn an_early_answer_stops_the_upload_without_an_error() {
    let origin = Origin::scripted();
    let gateway = gateway_for(&origin);
    let client = Http2::connect(gateway.address());
    client.headers(1, request("POST", "http", "/up", &[]), false);
    client.data(1, "the beginning", false);
    let came = origin.bell().wait(SOON, || origin.links().first().filter(|link| link.total() > 50).cloned());
    let link = came.expect("the upload reached the service");
    link.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig");
    let status = client.events().take("headers", |event| event["stream"] == 1);
    assert!(status["fields"].to_string().contains("413"), "{status}");
    client.events().take("data", |event| event["stream"] == 1 && event["end"] == true);
    // RFC 9113 §8.1: the server asks to stop the upload without an error.
    let reset = client.events().take("reset", |event| event["stream"] == 1);
    assert_eq!(reset["code"], code::NO_ERROR);
    gateway.stop();
}

#[test]
fn bodiless_answers_have_no_body() {
    let origin = Origin::serving(|request| {
        let text = match request.target() {
            "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
            "/304" => "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 5\r\n\r\n",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        };
        Some(text.as_bytes().to_vec())
    });
    let gateway = gateway_for(&origin);
    let client = Http2::connect(gateway.address());
    client.get(1, "/204");
    client.get(3, "/304");
    client.headers(5, request("HEAD", "http", "/head", &[]), true);
    let (no_content, not_modified, head) = (client.response(1), client.response(3), client.response(5));
    assert_eq!((no_content.status(), no_content.body.as_str(), no_content.reset), (204, "", None));
    assert_eq!(
        (not_modified.status(), not_modified.field("etag"), not_modified.reset),
        (304, Some("\"x\""), None)
    );
    assert_eq!((head.status(), head.field("content-length"), head.body.as_str()), (200, Some("5"), ""));
    gateway.stop();
}

#[test]
fn expectations_are_met_on_both_sides() {
    let origin = Origin::scripted();
    let gateway = gateway_for(&origin);
    let client = Http2::connect(gateway.address());
    client.headers(
        1,
        request("POST", "http", "/up", &[("expect", "100-continue"), ("content-length", "5")]),
        false,
    );
    let wants = |event: &serde_json::Value| event["fields"].to_string().contains("\"100\"");
    // The service is asked, and what it says is passed on.
    let asked = || String::from_utf8_lossy(&origin.links()[0].unread()).contains("expect: 100-continue");
    wait_until("the service is asked", SOON, || !origin.links().is_empty() && asked());
    origin.links()[0].send("HTTP/1.1 100 Continue\r\n\r\n");
    if client.events().find(SOON, "headers", wants).is_none() {
        panic!("nobody said 100: {}", client.events().show());
    }
    client.data(1, "hello", true);
    let (link, asked) = origin.expect();
    assert_eq!(asked.text(), "hello");
    link.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response(1).status(), 200);
    gateway.stop();
}

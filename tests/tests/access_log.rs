//! The access log: what a line says, and that nothing breaks out of a line. Where lines go is in `log_sinks.rs`.
//!
//! Every log is read by Python's `json` (`peers/access_log.py`), which also holds it to the fields of a line and
//! their order.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use end_to_end::message::{Kind, Parsed, parse};
use end_to_end::python::lines_of;
use end_to_end::{Client, End, Gateway, Message, Origin, SOON, refused_address};
use serde_json::Value;

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const UPGRADED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn log_file(gateway: &Gateway) -> PathBuf {
    gateway.folder().path().join("access.log")
}

/// The one line with this path.
fn with_path<'a>(lines: &'a [Value], path: &str) -> &'a Value {
    let found: Vec<&Value> = lines.iter().filter(|line| line["path"] == path).collect();
    assert_eq!(found.len(), 1, "{path}: {lines:#?}");
    found[0]
}

fn assert_says(line: &Value, wanted: &[(&str, Value)]) {
    for (key, value) in wanted {
        assert_eq!(&line[*key], value, "{key} of {line}");
    }
}

/// Sends a request on a connection of its own; the answer, and how many bytes came.
fn ask(gateway: &Gateway, request: &str) -> (Message, u64) {
    let client = gateway.connect();
    let answer = client.ask(request);
    (answer, client.total())
}

/// A gateway with a route of every kind; one of its services echoes, the other one is played by the test.
fn everything() -> (Origin, Origin, Gateway, impl Sized) {
    let echo = Origin::serving(|request| {
        let body = request.text();
        Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
    });
    let scripted = Origin::scripted();
    let (refused, held) = refused_address();
    let gateway = Gateway::start(format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\ntelemetry: {{ access_log: access.log }}\n\
         policies: {{ request_id: {{ header: x-request-id }} }}\n\
         services:\n  echo: {{ endpoints: [\"http://{echo}\"] }}\n  half: {{ endpoints: [\"http://{refused}\", \"http://{echo}\"] }}\n  \
         none: {{ endpoints: [\"http://{refused}\"] }}\n  talk: {{ endpoints: [\"http://{talk}\"] }}\n\
         routes:\n- {{ name: echo, path: /echo/*, service: echo }}\n- {{ name: half, path: /half/*, service: half }}\n\
         - {{ name: none, path: /none, service: none }}\n- {{ name: ws, path: /ws, service: talk }}\n\
         - {{ name: slow, path: /slow, service: talk }}\n\
         - {{ name: fixed, path: /fixed, respond: {{ status: 418, body: teapot }} }}\n\
         - {{ name: moved, path: /moved, redirect: {{ to: /fixed }} }}\n",
        echo = echo.address(),
        talk = scripted.address(),
    ));
    (echo, scripted, gateway, held)
}

#[test]
fn a_forwarded_request_is_described_in_full() {
    let (echo, _talk, gateway, _held) = everything();
    let get = "GET /echo/get?password=hunter2 HTTP/1.1\r\nHost: GW.test:80\r\n\r\n";
    let post = "POST /echo/post HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    let (got, got_bytes) = ask(&gateway, get);
    let (posted, posted_bytes) = ask(&gateway, post);
    assert_eq!((got.status(), posted.text().as_str()), (200, "abcdefg"));
    let endpoint = echo.address().to_string();
    let lines = lines_of(&log_file(&gateway), 2);
    for (path, method, request, bytes, answer) in
        [("/echo/get", "GET", get, got_bytes, &got), ("/echo/post", "POST", post, posted_bytes, &posted)]
    {
        let line = with_path(&lines, path);
        assert_says(
            line,
            &[
                ("client", "127.0.0.1".into()),
                ("method", method.into()),
                ("host", "gw.test".into()),
                ("status", 200.into()),
                ("bytes_in", request.len().into()),
                ("bytes_out", bytes.into()),
                ("route", "echo".into()),
                ("service", "echo".into()),
                ("endpoint", endpoint.as_str().into()),
                ("retries", 0.into()),
                ("fault", Value::Null),
                ("request_id", answer.field("x-request-id").unwrap().into()),
            ],
        );
        let times = ["first_byte_ms", "total_ms"].map(|key| line[key].as_f64().unwrap());
        assert!(0.0 < times[0] && times[0] <= times[1] && times[1] < 8000.0, "{line}");
    }
    let connects: Vec<bool> = lines.iter().map(|line| line["connect_ms"].is_f64()).collect();
    assert_eq!(connects, [true, false], "the second request used the connection of the first");
    let seen: Vec<String> =
        echo.requests().iter().map(|request| request.field("x-request-id").unwrap().to_owned()).collect();
    assert_eq!(seen, [lines[0]["request_id"].as_str().unwrap(), lines[1]["request_id"].as_str().unwrap()]);
    gateway.stop();
}

#[test]
fn what_the_gateway_answers_itself_is_in_the_log() {
    let (_echo, _talk, gateway, _held) = everything();
    let head = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: gw.test\r\n\r\n");
    let malformed = "GET /bad path HTTP/1.1\r\nHost: gw.test\r\n\r\n";
    let cases: [(String, u16, &str, &str, &str); 5] = [
        (head("/fixed"), 418, "fixed", "", ""),
        (head("/moved"), 308, "moved", "", ""),
        (head("/nowhere"), 404, "", "", "no-route"),
        (head("/none"), 502, "none", "none", "connect-failed"),
        (malformed.to_owned(), 400, "", "", "bad-request-line"),
    ];
    let answers: Vec<(Message, u64)> = cases.iter().map(|(request, ..)| ask(&gateway, request)).collect();
    let lines = lines_of(&log_file(&gateway), cases.len());
    let text = |text: &str| if text.is_empty() { Value::Null } else { text.into() };
    for (((request, status, route, service, fault), (answer, bytes)), line) in
        cases.iter().zip(&answers).zip(&lines)
    {
        assert_eq!(answer.status(), *status);
        assert_says(
            line,
            &[
                ("status", (*status).into()),
                ("bytes_in", request.len().into()),
                ("bytes_out", (*bytes).into()),
                ("route", text(route)),
                ("service", text(service)),
                ("fault", text(fault)),
                ("first_byte_ms", Value::Null),
                ("connect_ms", Value::Null),
            ],
        );
        if !fault.is_empty() {
            let problem: Value = serde_json::from_str(&answer.text()).unwrap();
            assert_eq!((&problem["request_id"], &problem["code"]), (&line["request_id"], &line["fault"]));
        }
        if *fault == "bad-request-line" {
            let nothing = ("method", Value::Null);
            assert_says(line, &[nothing, ("host", Value::Null), ("path", Value::Null)]);
        }
    }
    assert!(lines[3]["endpoint"].is_string(), "the address that could not be reached is named: {}", lines[3]);
    gateway.stop();
}

#[test]
fn a_retry_that_helped_is_no_fault() {
    let (echo, _talk, gateway, _held) = everything();
    for number in 0..4 {
        let (answer, _) = ask(&gateway, &format!("GET /half/{number} HTTP/1.1\r\nHost: gw.test\r\n\r\n"));
        assert_eq!(answer.status(), 200);
    }
    let lines = lines_of(&log_file(&gateway), 4);
    let retries: u64 = lines.iter().map(|line| line["retries"].as_u64().unwrap()).sum();
    assert!((1..4).contains(&retries), "round robin leads to the refused address now and then: {lines:#?}");
    for line in &lines {
        let endpoint = echo.address().to_string();
        assert_says(
            line,
            &[("fault", Value::Null), ("endpoint", endpoint.into()), ("service", "half".into())],
        );
    }
    assert_eq!(gateway.metric("gateward_upstream_retries_total{service=\"half\"}") as u64, retries);
    gateway.stop();
}

#[test]
fn clients_that_leave_and_heads_that_do_not_come_are_in_the_log() {
    let scripted = Origin::scripted();
    let gateway = Gateway::start(format!(
        "listen: {{ address: 127.0.0.1:0, timeouts: {{ header: 300ms }} }}\ntelemetry: {{ access_log: access.log }}\n\
         services: {{ talk: {{ endpoints: [\"http://{}\"] }} }}\nroutes: [{{ path: /*, service: talk }}]\n",
        scripted.address()
    ));
    let gone = "GET /gone HTTP/1.1\r\nHost: gw.test\r\nx-fill: 0123456789\r\n\r\n";
    let client = gateway.connect();
    client.send(gone);
    let (link, _) = scripted.expect();
    client.reset();
    assert!(link.wait_end(SOON).is_some(), "the request to the service is cancelled");
    // The next one reuses what the first one left behind: nothing of it may show.
    let slow = gateway.connect();
    slow.send("GET /slow");
    assert_eq!(slow.response().status(), 408);
    let lines = lines_of(&log_file(&gateway), 2);
    assert_says(
        &lines[0],
        &[
            ("path", "/gone".into()),
            ("status", 499.into()),
            ("fault", "client-gone".into()),
            ("bytes_in", gone.len().into()),
            ("bytes_out", 0.into()),
            ("first_byte_ms", Value::Null),
        ],
    );
    let late =
        [("status", 408.into()), ("fault", "header-timeout".into()), ("bytes_in", "GET /slow".len().into())];
    assert_says(&lines[1], &late);
    assert_says(&lines[1], &[("path", Value::Null), ("bytes_out", slow.total().into())]);
    assert!(lines[1]["total_ms"].as_f64().unwrap() >= 250.0, "{}", lines[1]);
    gateway.stop();
}

#[test]
fn a_tunnel_is_logged_when_it_ends() {
    let (_echo, talk, gateway, _held) = everything();
    let client = gateway.connect();
    client.send(UPGRADE);
    let (service, _) = talk.expect();
    service.send(UPGRADED);
    assert_eq!(client.response().status(), 101);
    client.send("x".repeat(5000));
    service.wait_text(&"x".repeat(5000)).unwrap();
    service.send("y".repeat(70_000));
    client.wait_text(&"y".repeat(70_000)).unwrap();
    ask(&gateway, "GET /fixed HTTP/1.1\r\nHost: gw.test\r\n\r\n");
    let before = lines_of(&log_file(&gateway), 1);
    assert_eq!(before[0]["path"], "/fixed", "the tunnel is still open");
    client.half_close();
    assert_eq!(service.wait_end(SOON), Some(End::Closed));
    service.half_close();
    let lines = lines_of(&log_file(&gateway), 2);
    assert_says(
        &lines[1],
        &[
            ("path", "/ws".into()),
            ("status", 101.into()),
            ("bytes_in", (UPGRADE.len() + 5000).into()),
            ("bytes_out", client.total().into()),
            ("endpoint", talk.address().to_string().into()),
            ("fault", Value::Null),
        ],
    );
    assert!(client.total() > 70_000);
    gateway.stop();
}

/// What must not be in the log, wherever a client writes it.
const SECRET: &str = "hunter2";

/// Requests that try to break out of a line, or to bring a secret into it. Bytes are Latin-1.
fn hostile() -> Vec<Vec<u8>> {
    let nasty = [
        "\"",
        "\\",
        "\\\"",
        "\"}",
        "\",\"status\":200,\"x\":\"",
        "\r\n{\"time\":\"x\"}",
        "\n",
        "\r",
        "\0",
        "\x1b[31m",
        "\x7f",
        "\u{85}",
        "é",
        "\u{ff}\u{fe}",
        "%0d%0a{}",
        "%22%5c",
        "%00",
        "%e2%80%a8",
        "{}",
        "${env:HOME}",
        "%n%s",
    ];
    let long = "a".repeat(8150);
    let escapes = "%22".repeat(2700);
    let bytes = |text: String| -> Vec<u8> { text.chars().map(|c| c as u8).collect() };
    let mut all = Vec::new();
    for bad in nasty.into_iter().chain([long.as_str(), escapes.as_str()]) {
        let rest =
            format!("x-secret: {SECRET}\r\nauthorization: Bearer {SECRET}\r\nconnection: close\r\n\r\n");
        let query = format!("?password={SECRET}{bad}");
        all.extend([
            format!("G{bad}T /a?{SECRET} HTTP/1.1\r\nHost: gw.test\r\n{rest}"),
            format!("GET /a{bad}b?{SECRET} HTTP/1.1\r\nHost: gw.test\r\n{rest}"),
            format!("GET /a{query} HTTP/1.1\r\nHost: gw.test\r\n{rest}"),
            format!("GET /moved{query} HTTP/1.1\r\nHost: gw.test\r\nreferer: http://x/?{SECRET}\r\n{rest}"),
            format!("GET http://user:{SECRET}@gw.test/{bad} HTTP/1.1\r\nHost: gw.test\r\n{rest}"),
            format!("GET /a HTTP/1.1\r\nHost: gw{bad}.test\r\n{rest}"),
            format!("GET /a HTTP/1.1\r\nHost: gw.test\r\nx-request-id: id{bad}\r\n{rest}"),
            format!("GET /a HTTP/1.1\r\nHost: gw.test\r\nx-forwarded-for: 192.0.2.7{bad}, 192.0.2.8{bad}\r\n{rest}"),
            format!("GET /a HTTP/1.1\r\nHost: gw.test\r\nforwarded: for=\"192.0.2.7{bad}\"\r\nx{bad}: y\r\n{rest}"),
        ].map(bytes));
    }
    all
}

/// How many answers come on a connection until it ends.
fn answers(client: &Client) -> usize {
    client.wait_end(SOON).expect("the connection ends");
    let (unread, end) = (client.unread(), client.end());
    let (mut at, mut count) = (0, 0);
    while let Ok(Parsed::Whole(_, length)) = parse(&unread[at..], Kind::Response, end) {
        (at, count) = (at + length, count + 1);
        if at == unread.len() {
            break;
        }
    }
    assert_eq!(at, unread.len(), "there is something else than answers");
    count
}

#[test]
fn nothing_breaks_out_of_a_line() {
    for trusted in ["", "127.0.0.1"] {
        let gateway = Gateway::start(format!(
            "listen: 127.0.0.1:0\ntrusted_proxies: [{trusted}]\ntelemetry: {{ access_log: access.log }}\n\
             policies: {{ request_id: {{ header: x-request-id }} }}\n\
             routes:\n- {{ path: /*, respond: {{ body: ok }} }}\n- {{ path: /moved, redirect: {{ to: /a }} }}\n"
        ));
        let mut expected = 0;
        for request in hostile() {
            let client = gateway.connect();
            client.send(&request);
            let count = answers(&client);
            assert!(count > 0, "{:?} was not answered", String::from_utf8_lossy(&request));
            expected += count;
        }
        let lines = lines_of(&log_file(&gateway), expected);
        let raw = std::fs::read_to_string(log_file(&gateway)).unwrap();
        assert!(!raw.contains(SECRET), "{:?}", raw.lines().find(|line| line.contains(SECRET)));
        assert!(raw.lines().all(|line| line.len() < 32 * 1024 && !line.contains('?')));
        let long = |line: &&Value| line["path"].as_str().is_some_and(|path| path.ends_with('…'));
        assert!(lines.iter().filter(long).count() >= 2, "long paths are cut");
        let clients: HashSet<&str> = lines.iter().filter_map(|line| line["client"].as_str()).collect();
        let adopted =
            lines.iter().any(|line| line["request_id"] == "id%22%5c" || line["request_id"] == "id{}");
        assert!(!adopted, "ids are letters, digits and a few marks");
        match trusted {
            "" => assert_eq!(clients, HashSet::from(["127.0.0.1"])),
            _ => assert!(
                clients.iter().all(|client| client.parse::<std::net::IpAddr>().is_ok()),
                "{clients:?}"
            ),
        }
        gateway.stop();
    }
}

#[test]
fn a_trusted_proxy_is_believed_also_where_no_route_is_found() {
    for (trusted, client, id) in
        [("127.0.0.1", "203.0.113.9", Some("proxy/7")), ("192.0.2.1", "127.0.0.1", None)]
    {
        let gateway = Gateway::start(format!(
            "listen: 127.0.0.1:0\ntrusted_proxies: [{trusted}]\ntelemetry: {{ access_log: access.log }}\n\
             policies: {{ request_id: {{ header: x-request-id }} }}\nroutes: [{{ path: /a, respond: {{ body: ok }} }}]\n"
        ));
        let connection = gateway.connect();
        for (path, status) in [("/a", 200), ("/nowhere", 404)] {
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: gw.test\r\nx-forwarded-for: 203.0.113.9\r\nx-request-id: proxy/7\r\n\r\n"
            );
            assert_eq!(connection.ask(request).status(), status);
        }
        // What one request was told of its client must not stick to the next one.
        connection.send("GET / nonsense\r\n\r\n");
        assert_eq!(connection.response().status(), 400);
        let lines = lines_of(&log_file(&gateway), 3);
        let clients: Vec<&str> = lines.iter().map(|line| line["client"].as_str().unwrap()).collect();
        assert_eq!(clients, [client, client, "127.0.0.1"]);
        assert_eq!(lines[0]["request_id"] == "proxy/7", id.is_some());
        gateway.stop();
    }
}

#[test]
fn the_documentation_names_every_field() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("docs/operations.md");
    let page = std::fs::read_to_string(page).unwrap();
    let section = page.split("## The access log").nth(1).unwrap().split("### Reasons").next().unwrap();
    let row = |line: &str| Some(line.strip_prefix("| `")?.split('`').next().unwrap().to_owned());
    let rows: Vec<String> = section.lines().filter_map(row).collect();
    let example = section.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let places: Vec<Option<usize>> =
        rows.iter().map(|field| example.find(&format!("\"{field}\":"))).collect();
    assert!(places.is_sorted() && !places.contains(&None), "the table and the example differ: {rows:?}");
    let gateway = Gateway::start(
        "listen: 127.0.0.1:0\ntelemetry: { access_log: access.log }\nroutes: [{ path: /*, respond: { body: ok } }]\n",
    );
    gateway.connect().get("/");
    let lines = lines_of(&log_file(&gateway), 1);
    let example: Value = serde_json::from_str(example).unwrap();
    let fields = |line: &Value| -> Vec<String> { line.as_object().unwrap().keys().cloned().collect() };
    assert_eq!((fields(&example), rows.len()), (fields(&lines[0]), fields(&lines[0]).len()));
    gateway.stop();
}

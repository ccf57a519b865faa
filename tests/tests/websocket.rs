//! WebSocket: Autobahn's judgement directly and through a gateway, over HTTP/2, and what outlives what.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use end_to_end::http2::{Http2, code, request, value};
use end_to_end::peer::{Peer, missing, scripts};
use end_to_end::{End, Folder, Gateway, Origin, QUIET, SOON, free_address, wait_until};
use serde_json::{Value, json};

const UPGRADED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const UPGRADE: &str = "GET /chat HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn yaml(address: impl std::fmt::Display, more: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\nservices: {{ site: {{ endpoints: [http://{address}] }} }}\n\
         routes: [{{ path: /*, service: site }}]\n{more}"
    )
}

/// Python 2.7 and a folder with Autobahn, installed once.
fn autobahn() -> Option<(PathBuf, PathBuf)> {
    static INSTALLING: Mutex<()> = Mutex::new(());
    let _guard = INSTALLING.lock();
    let versions = std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv/versions"));
    let pyenv = versions.into_iter().filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten();
    let mut candidates: Vec<PathBuf> = pyenv.map(|entry| entry.path().join("bin/python2.7")).collect();
    candidates.push("python2.7".into());
    let runs = |python: &PathBuf| {
        Command::new(python).arg("-V").output().is_ok_and(|output| output.status.success())
    };
    let Some(python) = candidates.into_iter().find(runs) else {
        missing("WebSocket by Autobahn", "there is no Python 2.7");
        return None;
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("target/tools/autobahn");
    if !folder.join("autobahntestsuite").exists() {
        let mut install = Command::new(&python);
        install
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target"])
            .arg(&folder);
        let output = install.args(["autobahntestsuite==25.10.1"]).output().unwrap();
        if !output.status.success() {
            missing("WebSocket by Autobahn", &String::from_utf8_lossy(&output.stderr));
            return None;
        }
    }
    Some((python, folder))
}

fn wstest(python: &Path, folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(python);
    command.arg(scripts().join("wstest.py")).arg(folder).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// How a server behaved in each case.
fn judged(python: &Path, folder: &Path, address: impl std::fmt::Display) -> Vec<(String, String, String)> {
    let out = Folder::new();
    let spec = json!({
        "outdir": out.path(), "cases": ["*"], "exclude-cases": ["9.*", "12.*", "13.*"], "exclude-agent-cases": {},
        "servers": [{ "agent": "it", "url": format!("ws://{address}") }]
    });
    let spec = out.write("spec.json", &spec.to_string());
    let mut client =
        Peer(wstest(python, folder, &["-m", "fuzzingclient", "-s", spec.to_str().unwrap()]).spawn().unwrap());
    wait_until("all cases are judged", Duration::from_secs(180), || client.0.try_wait().unwrap().is_some());
    let text = std::fs::read_to_string(out.path().join("index.json")).expect("Autobahn judged");
    let index: Value = serde_json::from_str(&text).unwrap();
    // Both are passes. Which it is, is a race between an echo and a reset, without a gateway as well (3.4, 4.1.5).
    let text = |case: &Value, name: &str| case[name].as_str().unwrap().replace("NON-STRICT", "OK");
    let cases = index["it"].as_object().unwrap().iter();
    let mut cases: Vec<_> = cases
        .map(|(name, case)| (name.clone(), text(case, "behavior"), text(case, "behaviorClose")))
        .collect();
    cases.sort();
    cases
}

#[test]
fn autobahn_judges_a_gateway_like_the_service_behind_it() {
    let Some((python, folder)) = autobahn() else { return };
    let address = free_address();
    let url = format!("ws://{address}");
    let _service = Peer(wstest(&python, &folder, &["-m", "echoserver", "-w", &url]).spawn().unwrap());
    wait_until("the service listens", SOON, || TcpStream::connect(address).is_ok());
    // Autobahn's service insists on its own port in Host.
    let host = format!("policies: {{ headers: {{ request: {{ set: {{ host: \"{address}\" }} }} }} }}\n");
    let gateway = Gateway::start(yaml(address, &host));
    let (direct, through) = (judged(&python, &folder, address), judged(&python, &folder, gateway.address()));
    assert!(direct.len() >= 240, "only {} cases were judged", direct.len());
    let different: Vec<_> = direct.iter().zip(&through).filter(|(one, other)| one != other).collect();
    assert!(direct.len() == through.len() && different.is_empty(), "{different:?}");
    gateway.stop();
}

/// RFC 8441: a request by extended CONNECT.
fn connect(client: &Http2, stream: u64, more: &[(&str, &str)]) {
    let mut fields = vec![
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":authority", "gw.test"),
        (":path", "/chat"),
        ("sec-websocket-version", "13"),
    ];
    fields.extend(more);
    client.headers(stream, json!(fields), false);
}

#[test]
fn over_http2_to_http1() {
    let origin = Origin::scripted();
    let gateway = Gateway::start(yaml(origin.address(), ""));
    let client = Http2::connect(gateway.address());
    let settings = client.events().take("settings", |event| event["ack"] == false);
    assert_eq!(settings["values"]["8"], 1, "RFC 8441 §3: SETTINGS_ENABLE_CONNECT_PROTOCOL");
    connect(&client, 1, &[("sec-websocket-protocol", "chat"), ("origin", "http://gw.test")]);
    let (link, asked) = origin.expect();
    assert_eq!(asked.start, "GET /chat HTTP/1.1");
    assert_eq!(
        (asked.field("upgrade"), asked.field("sec-websocket-version")),
        (Some("websocket"), Some("13"))
    );
    assert!(asked.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")));
    assert_eq!((asked.field("sec-websocket-protocol"), asked.field(":protocol")), (Some("chat"), None));
    let key = asked.field("sec-websocket-key").expect("RFC 6455 §4.1: a key of the gateway's own").to_owned();
    let python = "import base64,hashlib,sys;print(base64.b64encode(hashlib.sha1(sys.argv[1].encode()+b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest()).decode())";
    let accept = end_to_end::peer::output_of("python3", &["-c", python, &key]);
    // Before the service agrees, nothing passes.
    client.data(1, "early", false);
    assert!(
        link.wait_for(QUIET, |unread, _| (!unread.is_empty()).then_some(((), 0))).is_none(),
        "{:?}",
        link.unread()
    );
    link.send(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: chat\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\nhello",
        accept.trim()
    ));
    let answer = client.events().take("headers", |event| event["stream"] == 1);
    let fields = end_to_end::http2::fields(&answer);
    assert_eq!(
        (value(&fields, ":status"), value(&fields, "sec-websocket-protocol")),
        (Some("200"), Some("chat"))
    );
    for name in ["upgrade", "connection", "sec-websocket-accept"] {
        assert_eq!(value(&fields, name), None);
    }
    client.events().take("data", |event| event["text"] == "hello");
    assert!(link.wait_text("early").is_some());
    // Byte for byte, in both directions.
    let all: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    link.send(&all);
    let mut came = String::new();
    while came.chars().count() < all.len() {
        came += client.events().take("data", |_| true)["text"].as_str().unwrap();
    }
    assert!(came.chars().map(|character| character as u8).eq(all.iter().copied()));
    client.data(1, "\0\u{ff}\u{81}", false);
    assert!(
        link.wait_for(SOON, |unread, _| unread.ends_with(b"\0\xff\x81").then_some(((), unread.len())))
            .is_some()
    );
    // Other streams go on beside it.
    client.get(3, "/page");
    let (page, _) = origin.expect();
    page.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.response(3).status(), 204);
    client.data(1, "bye", true);
    assert_eq!(link.wait_end(SOON), Some(End::Closed));
    link.close();
    assert!(client.response(1).reset.is_none_or(|code| code == code::NO_ERROR));
    gateway.stop();
}

#[test]
fn over_http2_both_sides_learn_of_the_end() {
    let origin = Origin::scripted();
    let gateway = Gateway::start(yaml(origin.address(), ""));
    let client = Http2::connect(gateway.address());
    connect(&client, 1, &[]);
    let (link, _) = origin.expect();
    link.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    let answer = client.response(1);
    assert_eq!((answer.status(), answer.body.as_str()), (403, "no"));
    // A wrong proof is no agreement.
    connect(&client, 3, &[]);
    let (link, _) = origin.expect();
    link.send(UPGRADED);
    assert_eq!(client.response(3).status(), 502);
    assert!(link.wait_end(SOON).is_some());
    // The client leaves before the answer.
    connect(&client, 5, &[]);
    let (link, _) = origin.expect();
    client.reset(5, code::CANCEL);
    assert!(link.wait_end(Duration::from_secs(1)).is_some());
    // Another protocol is not known (RFC 8441 §4, RFC 9220).
    client.headers(
        7,
        json!([
            [":method", "CONNECT"],
            [":protocol", "other"],
            [":scheme", "http"],
            [":authority", "gw.test"],
            [":path", "/"]
        ]),
        false,
    );
    let answer = client.response(7);
    assert!(answer.status() >= 400 || answer.reset.is_some(), "{answer:?}");
    // CONNECT itself is refused, and nothing of it reaches the service.
    client.headers(9, json!([[":method", "CONNECT"], [":authority", "gw.test:80"]]), false);
    let answer = client.response(9);
    assert!(answer.status() >= 400 || answer.reset.is_some(), "{answer:?}");
    // A connection that was left whole may have been used again.
    assert!(origin.links().len() <= 3);
    gateway.stop();
}

#[test]
fn http1_to_a_service_of_http2() {
    let service = Http2::listen_with(json!({ "settings": { "8": 1 } }));
    let gateway = Gateway::start(yaml(service.address(), "").replace("] }", "], protocol: http2 }"));
    let client = gateway.connect();
    client.send(UPGRADE);
    let asked = service.asked();
    assert_eq!(
        (value(&asked.fields, ":method"), value(&asked.fields, ":protocol")),
        (Some("CONNECT"), Some("websocket"))
    );
    service.headers(asked.stream, json!([[":status", "200"]]), false);
    let answer = client.response();
    assert_eq!(
        (answer.status(), answer.field("sec-websocket-accept")),
        (101, Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
    );
    client.send("there");
    service.events().take("data", |event| event["text"] == "there");
    service.data(asked.stream, "and back", false);
    assert!(client.wait_text("and back").is_some());
    client.close();
    let told = |name: &str| {
        service.events().find(SOON, name, |event| {
            event["stream"] == asked.stream && (name == "reset" || event["end"] == true)
        })
    };
    assert!(told("data").is_some() || told("reset").is_some(), "the service learns of the end");
    gateway.stop();
}

#[test]
fn tunnels_outlive_reloads_and_end_after_a_grace_period() {
    let origin = Origin::scripted();
    let text = yaml(origin.address(), "shutdown: { drain: 1s }\n");
    let mut gateway = Gateway::start(text.clone());
    let (plain, client) = (gateway.connect(), Http2::connect(gateway.address()));
    plain.send(UPGRADE);
    let (one, _) = origin.expect();
    one.send(UPGRADED);
    assert_eq!(plain.response().status(), 101);
    client.headers(1, request("GET", "http", "/page", &[]), true);
    let (page, _) = origin.expect();
    for number in 0..5 {
        gateway.reload(&format!("{text}# {number}\n"));
        let message = format!("{number};");
        plain.send(&message);
        assert!(one.wait_text(&message).is_some());
        one.send(&message);
        assert!(plain.wait_text(&message).is_some());
    }
    page.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.response(1).status(), 204);
    gateway.signal("TERM");
    plain.send("still;");
    assert!(one.wait_text("still;").is_some(), "a tunnel has its grace period");
    assert!(plain.wait_end(SOON).is_some() && one.wait_end(SOON).is_some());
    assert!(gateway.wait(SOON).success());
}

#[test]
fn idle_tunnels_end_and_busy_ones_do_not() {
    let origin = Origin::scripted();
    let gateway = Gateway::start(
        yaml(origin.address(), "admin: 127.0.0.1:0\n").replace("] }", "], timeouts: { tunnel: 1s } }"),
    );
    let (idle, busy) = (gateway.connect(), gateway.connect());
    let mut links = Vec::new();
    for client in [&idle, &busy] {
        client.send(UPGRADE);
        let (link, _) = origin.expect();
        link.send(UPGRADED);
        assert_eq!(client.response().status(), 101);
        links.push(link);
    }
    let tunnels = |count: u8| {
        let line = format!("gateward_upstream_tunnels{{service=\"site\"}} {count}\n");
        gateway.ask_admin("/metrics").1.contains(&line)
    };
    assert!(tunnels(2), "{}", gateway.ask_admin("/metrics").1);
    let mut number = 0;
    wait_until("the idle tunnel has ended", Duration::from_secs(5), || {
        number += 1;
        busy.send(format!("{number};"));
        assert!(links[1].wait_text(&format!("{number};")).is_some());
        idle.end().is_some()
    });
    assert_eq!((busy.end(), links[0].wait_end(SOON).is_some()), (None, true));
    wait_until("it counts no more", SOON, || tunnels(1));
    gateway.stop();
}

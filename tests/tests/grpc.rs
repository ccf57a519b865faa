//! gRPC and gRPC-Web: Python's `grpcio` on both sides, first directly, then through a gateway.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use end_to_end::certificates::{Authority, Wish};
use end_to_end::http2::{Http2, code, request, value};
use end_to_end::peer::{Peer, missing, output_of, scripts};
use end_to_end::python::python_with;
use end_to_end::{Gateway, Origin, SOON, Setup, refused_address, wait_until};
use serde_json::json;

struct Echo {
    python: PathBuf,
    address: SocketAddr,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    _peer: Peer,
}

impl Echo {
    /// `None` where grpcio cannot be had, which is then said.
    fn start() -> Option<Echo> {
        let Some(python) = python_with("grpc_health") else {
            missing("gRPC by grpcio", "the package could not be installed");
            return None;
        };
        let mut command = Command::new(&python);
        command.arg("-u").arg(scripts().join("grpc_server.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut peer = Peer(command.spawn().unwrap());
        let (stdin, mut stdout) =
            (peer.0.stdin.take().unwrap(), BufReader::new(peer.0.stdout.take().unwrap()));
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], line.trim().parse().unwrap()));
        Some(Echo { python, address, stdin, stdout, _peer: peer })
    }

    fn call(&self, address: SocketAddr, case: &str) {
        client(&self.python, address, case, &[]);
    }

    /// What its health service says from now on.
    fn is(&mut self, state: &str) {
        writeln!(self.stdin, "{state}").unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), state);
    }
}

fn client(python: &std::path::Path, address: SocketAddr, case: &str, more: &[&str]) {
    let (script, address) = (scripts().join("grpc_client.py"), address.to_string());
    let mut arguments = vec![script.to_str().unwrap(), &address, case];
    arguments.extend(more);
    assert_eq!(output_of(python.to_str().unwrap(), &arguments).trim(), "fine", "{case}");
}

fn gateway_for(address: SocketAddr, service: &str, route: &str) -> Gateway {
    Gateway::start(format!(
        "listen: 127.0.0.1:0\n\
         services: {{ echo: {{ endpoints: [http://{address}], protocol: http2{service} }} }}\n\
         routes:\n- {{ path: /test.Denied/*, respond: {{ status: 403 }} }}\n\
         - {{ path: /test.Echo/*, service: echo{route} }}\n- {{ path: /grpc.health.v1.Health/Check, service: echo }}\n"
    ))
}

/// Directly, which proves the peers, and through a gateway.
fn both_ways(case: &str) {
    let Some(echo) = Echo::start() else { return };
    echo.call(echo.address, case);
    let gateway = gateway_for(echo.address, "", "");
    echo.call(gateway.address(), case);
    gateway.stop();
}

#[test]
fn unary_calls() {
    both_ways("unary");
}

#[test]
fn streams_from_the_service() {
    both_ways("server_stream");
}

#[test]
fn streams_from_the_client() {
    both_ways("client_stream");
}

#[test]
fn streams_in_both_directions_hold_nothing_back() {
    both_ways("bidi");
}

#[test]
fn deadlines_reach_the_service() {
    both_ways("deadline");
}

#[test]
fn cancellation_reaches_the_service() {
    both_ways("cancellation");
}

#[test]
fn large_messages_in_little_memory() {
    let Some(echo) = Echo::start() else { return };
    let gateway = gateway_for(echo.address, "", "");
    echo.call(gateway.address(), "large");
    assert!(gateway.peak_memory() < 40_000_000, "{}", gateway.peak_memory());
    gateway.stop();
}

#[test]
fn metadata_in_both_directions() {
    both_ways("metadata");
}

#[test]
fn every_status() {
    both_ways("statuses");
}

#[test]
fn over_tls() {
    let Some(echo) = Echo::start() else { return };
    let authority = Authority::new("tests");
    let identity = authority.sign(&Wish::server(&["a.test"]));
    let setup = Setup {
        files: vec![
            ("cert.pem".into(), identity.cert),
            ("key.pem".into(), identity.key),
            ("ca.pem".into(), authority.cert().into()),
        ],
        ..Setup::new(format!(
            "listen: {{ address: 127.0.0.1:0, tls: {{ certificates: [{{ cert: cert.pem, key: key.pem }}] }} }}\n\
             services: {{ echo: {{ endpoints: [http://{}], protocol: http2 }} }}\n\
             routes: [{{ path: /test.Echo/*, service: echo }}]\n",
            echo.address
        ))
    };
    let gateway = setup.start();
    let ca = gateway.folder().path().join("ca.pem");
    for case in ["unary", "bidi", "metadata"] {
        client(&echo.python, gateway.address(), case, &[ca.to_str().unwrap(), "a.test"]);
    }
    gateway.stop();
}

#[test]
fn what_a_gateway_refuses_has_a_status() {
    let Some(echo) = Echo::start() else { return };
    let gateway = gateway_for(echo.address, "", "");
    echo.call(gateway.address(), "no_route");
    echo.call(gateway.address(), "denied");
    gateway.stop();
    let (down, _held) = refused_address();
    let gateway = gateway_for(down, "", "");
    echo.call(gateway.address(), "unavailable");
    gateway.stop();
    let gateway = gateway_for(echo.address, "", ", timeout: 300ms");
    echo.call(gateway.address(), "late");
    gateway.stop();
}

const GRPC: [(&str, &str); 2] = [("content-type", "application/grpc"), ("te", "trailers")];

/// gRPC over HTTP/2, "Trailers-Only": one block of fields, with 200 and the status of gRPC.
#[test]
fn faults_are_trailers_only() {
    let (down, _held) = refused_address();
    let gateway = gateway_for(down, "", "");
    let client = Http2::connect(gateway.address());
    for (stream, path, status) in
        [(1, "/other.Service/M", "12"), (3, "/test.Echo/Unary", "14"), (5, "/test.Denied/M", "7")]
    {
        client.headers(stream, request("POST", "http", path, &GRPC), true);
        let answer = client.response(stream);
        assert_eq!(
            (answer.status(), answer.field("content-type")),
            (200, Some("application/grpc")),
            "{answer:?}"
        );
        assert_eq!((answer.field("grpc-status"), answer.body.as_str()), (Some(status), ""), "{answer:?}");
        assert!(answer.trailers.is_empty() && answer.field("grpc-message").is_some(), "{answer:?}");
    }
    // Who does not speak gRPC gets what everybody gets.
    client.headers(
        7,
        request("POST", "http", "/other.Service/M", &[("content-type", "application/grpcx")]),
        true,
    );
    assert_eq!(client.response(7).status(), 404);
    gateway.stop();
}

#[test]
fn a_service_that_breaks_off_has_a_status_too() {
    let service = Http2::listen();
    let gateway = gateway_for(service.address(), "", "");
    let client = Http2::connect(gateway.address());
    client.headers(1, request("POST", "http", "/test.Echo/Unary", &GRPC), true);
    let asked = service.asked();
    service.reset(asked.stream, code::INTERNAL_ERROR);
    let answer = client.response(1);
    assert_eq!((answer.status(), answer.field("grpc-status").is_some()), (200, true), "{answer:?}");
    assert_ne!(answer.field("grpc-status"), Some("0"));
    // An answer of HTTP that is no answer of gRPC passes as it is; clients know what to make of it.
    client.headers(3, request("POST", "http", "/test.Echo/Unary", &GRPC), true);
    let asked = service.asked();
    service.answer(&asked, "503", "busy");
    assert!(matches!(client.response(3).status(), 503 | 200));
    gateway.stop();
}

#[test]
fn timeouts_are_checked_and_shrink() {
    let service = Http2::listen();
    let gateway = gateway_for(service.address(), "", "");
    let client = Http2::connect(gateway.address());
    let mut stream = 1;
    let call = |stream: u64, timeout: &str| {
        let fields = [GRPC[0], GRPC[1], ("grpc-timeout", timeout)];
        client.headers(stream, request("POST", "http", "/test.Echo/Unary", &fields), true);
    };
    for timeout in ["2S", "2000m", "2000000u"] {
        call(stream, timeout);
        let asked = service.asked();
        let passed = value(&asked.fields, "grpc-timeout").expect("the deadline is passed on");
        let (number, unit) = passed.split_at(passed.len() - 1);
        let number: u64 = number.parse().unwrap();
        let micros = number
            * match unit {
                "S" => 1_000_000,
                "m" => 1000,
                "u" => 1,
                _ => panic!("{passed}"),
            };
        assert!(micros <= 2_000_000 && micros > 1_000_000 && passed.len() <= 9, "{passed}");
        service.answer(&asked, "200", "");
        assert_eq!(client.response(stream).status(), 200);
        stream += 2;
    }
    for timeout in ["-1S", "1x", "S", "", "123456789S", "1 S", "0x1S"] {
        call(stream, timeout);
        let answer = client.response(stream);
        assert!(
            answer.field("grpc-status").is_some_and(|status| status != "0") || answer.status() == 400,
            "{timeout:?}: {answer:?}"
        );
        stream += 2;
    }
    call(stream, "99999999H");
    let asked = service.asked();
    service.answer(&asked, "200", "");
    assert_eq!(client.response(stream).status(), 200);
    call(stream + 2, "200m");
    let asked = service.asked();
    assert_eq!(client.response(stream + 2).field("grpc-status"), Some("4"));
    let told =
        service.events().find(Duration::from_secs(2), "reset", |event| event["stream"] == asked.stream);
    assert!(told.is_some(), "the service is told that nobody waits any more");
    gateway.stop();
}

/// CVE-2026-33186: a path without a slash is no path.
#[test]
fn methods_without_a_slash_are_refused() {
    let service = Http2::listen();
    let gateway = gateway_for(service.address(), "", "");
    let client = Http2::connect(gateway.address());
    client.headers(1, request("POST", "http", "test.Echo/Unary", &GRPC), true);
    let refused = client.events().find(SOON, "reset", |_| true).is_some()
        || client
            .events()
            .find(Duration::ZERO, "headers", |event| {
                !event["fields"].to_string().contains("\"grpc-status\",\"0\"")
            })
            .is_some();
    assert!(refused && service.events().count("headers") == 0);
    gateway.stop();
}

#[test]
fn health_is_asked_by_grpc() {
    let Some(mut echo) = Echo::start() else { return };
    let gateway = gateway_for(
        echo.address,
        ", health: { grpc: true, every: 200ms, timeout: 1s, healthy_after: 1, unhealthy_after: 1 }",
        "",
    );
    wait_until("a healthy service is asked", SOON, || {
        let client = Http2::connect(gateway.address());
        client.headers(1, request("POST", "http", "/test.Echo/Unary", &GRPC), false);
        client.data(1, "\0\0\0\0\0", true);
        value(&client.response(1).trailers, "grpc-status") == Some("0")
    });
    echo.is("NOT_SERVING");
    wait_until("a service that is not well is left alone", SOON, || {
        let client = Http2::connect(gateway.address());
        client.headers(1, request("POST", "http", "/test.Echo/Unary", &GRPC), false);
        client.data(1, "\0\0\0\0\0", true);
        client.response(1).field("grpc-status") == Some("14")
    });
    gateway.stop();
}

#[test]
fn retries_by_status_of_grpc() {
    let service = Http2::listen();
    let gateway = gateway_for(
        service.address(),
        ", retries: { attempts: 2, on: [\"grpc:unavailable\", \"503\"], budget: 100% }",
        "",
    );
    let client = Http2::connect(gateway.address());
    client.headers(1, request("POST", "http", "/test.Echo/Unary", &GRPC), true);
    let first = service.asked();
    let fields = json!([[":status", "200"], ["content-type", "application/grpc"], ["grpc-status", "14"]]);
    service.tell(json!({ "do": "headers", "connection": first.connection, "stream": first.stream, "fields": fields, "end": true }));
    let second = service.asked();
    let fields = json!([[":status", "200"], ["content-type", "application/grpc"], ["grpc-status", "0"]]);
    service.tell(json!({ "do": "headers", "connection": second.connection, "stream": second.stream, "fields": fields, "end": true }));
    assert_eq!(client.response(1).field("grpc-status"), Some("0"));
    // Statuses of HTTP hold beside them.
    client.get(3, "/test.Echo/Page");
    let first = service.asked();
    service.tell(json!({ "do": "headers", "connection": first.connection, "stream": first.stream, "fields": [[":status", "503"]], "end": true }));
    let second = service.asked();
    service.answer(&second, "200", "");
    assert_eq!(client.response(3).status(), 200);
    gateway.stop();
}

#[test]
fn browsers_call_by_grpc_web() {
    let Some(echo) = Echo::start() else { return };
    let gateway = gateway_for(echo.address, "", ", grpc_web: true");
    let (script, address) = (scripts().join("grpc_web.py"), gateway.address().to_string());
    let text = output_of(echo.python.to_str().unwrap(), &[script.to_str().unwrap(), &address]);
    assert_eq!(text.trim(), "fine");
    // Plain gRPC goes on over the same route.
    echo.call(gateway.address(), "unary");
    gateway.stop();
}

/// Without the setting nothing is translated.
#[test]
fn grpc_web_is_off_unless_asked_for() {
    let origin = Origin::saying("as it is");
    let gateway = Gateway::start(format!(
        "listen: 127.0.0.1:0\nservices: {{ site: {{ endpoints: [http://{}] }} }}\nroutes: [{{ path: /*, service: site }}]\n",
        origin.address()
    ));
    let answer = gateway.connect().ask(
        "POST /test.Echo/Unary HTTP/1.1\r\nHost: gw.test\r\nContent-Type: application/grpc-web\r\nContent-Length: 5\r\n\r\n\0\0\0\0\0",
    );
    assert_eq!(answer.text(), "as it is");
    assert_eq!(origin.requests()[0].field("content-type"), Some("application/grpc-web"));
    gateway.stop();
}

//! HTTP/3 as a client that nobody here wrote speaks it: aioquic, driven by `peers/h3.py`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use end_to_end::certificates::{Authority, Wish};
use end_to_end::python::python_with;
use end_to_end::{Gateway, Origin, SOON, Setup, check, wait_until};

const ALL: &str = "[http1, http2, http3]";

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}

fn python() -> PathBuf {
    python_with("aioquic").expect("this test needs aioquic, which pip can install")
}

/// A listener with a certificate, and what else is to be said of it.
fn listen(protocols: &str, more: &str) -> String {
    format!(
        "listen: {{ address: 127.0.0.1:0, protocols: {protocols}, {more} tls: {{ certificates: [{{ cert: site.pem, key: \
         site.key }}] }} }}\n"
    )
}

fn forwarding_to(address: SocketAddr) -> String {
    format!(
        "services: {{ site: {{ endpoints: [\"http://{address}\"] }} }}\nroutes: [{{ path: /*, service: site }}]\n"
    )
}

fn setup(yaml: String) -> Setup {
    let site = Authority::new("test").sign(&Wish::server(&["site.test"]));
    let files = vec![("site.pem".to_owned(), site.cert), ("site.key".to_owned(), site.key)];
    Setup { files, ..Setup::new(yaml) }
}

fn answering(more: &str) -> Gateway {
    let routes = "routes: [{ path: /*, respond: { status: 200, body: hello } }]\n";
    setup(listen(ALL, more) + routes).start()
}

/// The client at work.
struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    fn start(python: &Path, case: &str, gateway: &Gateway, more: &[&str]) -> Peer {
        let mut command = Command::new(python);
        command.arg("-u").arg(script("h3.py")).arg(case).arg(gateway.address().port().to_string()).args(more);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Peer { child, input, output: BufReader::new(output) }
    }

    /// The next line that it prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Lets it go on.
    fn go_on(&mut self) {
        self.input.write_all(b"\n").unwrap();
    }

    /// Everything that it still prints, once it has ended well.
    fn end(mut self) -> String {
        drop(self.input);
        let mut text = String::new();
        self.output.read_to_string(&mut text).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}:\n{text}");
        text.trim_end().to_owned()
    }
}

fn run(python: &Path, case: &str, gateway: &Gateway, more: &[&str]) -> String {
    Peer::start(python, case, gateway, more).end()
}

fn echo() -> Origin {
    Origin::serving(|request| {
        let body = format!("{} {}", request.method(), request.target());
        Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
    })
}

#[test]
fn a_request_is_served_like_any_other() {
    let python = python();
    let origin = echo();
    let yaml = format!(
        "telemetry: {{ access_log: access.log }}\n{}{}",
        listen(ALL, ""),
        forwarding_to(origin.address())
    );
    let gateway = setup(yaml).start();
    assert_eq!(run(&python, "get", &gateway, &["/a?b=c"]), "200 GET /a?b=c");
    let request = &origin.requests()[0];
    assert_eq!(request.field("host"), Some("site.test"));
    assert_eq!(request.field("x-forwarded-proto"), Some("https"));
    assert_eq!(request.field("via"), Some("3.0 gateward"));
    let log = gateway.folder().path().join("access.log");
    wait_until("the request is logged", SOON, || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("\"path\":\"/a\""))
    });
    gateway.stop();
}

#[test]
fn bodies_and_trailers_pass_both_ways() {
    let python = python();
    let origin = Origin::serving(|request| {
        let body = &request.body;
        let mut response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for piece in body.chunks(50_000) {
            response.extend(format!("{:x}\r\n", piece.len()).into_bytes());
            response.extend(piece);
            response.extend(b"\r\n");
        }
        response.extend(b"0\r\nX-Down: 2\r\n\r\n");
        Some(response)
    });
    let gateway = setup(listen(ALL, "") + &forwarding_to(origin.address())).start();
    assert_eq!(run(&python, "echo", &gateway, &[]), "200 True 2 2\n200 True");
    let requests = origin.requests();
    assert_eq!(requests[0].field("transfer-encoding"), Some("chunked"));
    assert_eq!(requests[0].trailers, [("x-up".to_owned(), "1".to_owned())]);
    assert_eq!(requests[1].field("content-length"), Some("1048576"));
    gateway.stop();
}

#[test]
fn interim_responses_pass_and_heads_stand_alone() {
    let python = python();
    let origin = Origin::serving(|request| {
        Some(match request.method() {
            "HEAD" => b"HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n".to_vec(),
            _ => {
                b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
                    .to_vec()
            }
        })
    });
    let gateway = setup(listen(ALL, "") + &forwarding_to(origin.address())).start();
    let text = run(&python, "heads", &gateway, &[]);
    assert_eq!(text, "1 103 b'</a>' None\n1 200 None b'0'\n1 200 None b'77'");
    gateway.stop();
}

#[test]
fn a_request_that_is_given_up_is_given_up_at_the_service() {
    let python = python();
    let origin = Origin::scripted();
    let gateway = setup(listen(ALL, "") + &forwarding_to(origin.address())).start();
    let mut peer = Peer::start(&python, "cancel", &gateway, &[]);
    let (link, _) = origin.expect();
    peer.go_on();
    wait_until("the service's connection is closed", SOON, || link.end().is_some());
    wait_until("the second request comes", SOON, || origin.links().len() == 2);
    let link = origin.links()[1].clone();
    wait_until("its head comes", SOON, || link.unread().ends_with(b"\r\n\r\n"));
    peer.go_on();
    wait_until("the service's connection is closed", SOON, || link.end().is_some());
    peer.go_on();
    peer.end();
    gateway.stop();
}

#[test]
fn a_body_that_is_not_as_long_as_promised_never_becomes_a_whole_request() {
    let python = python();
    let origin = echo();
    let gateway = setup(listen(ALL, "") + &forwarding_to(origin.address())).start();
    let text = run(&python, "lies", &gateway, &[]);
    assert_eq!(text, "0x10e 0\n0x10e 0\n0x10e 0\n0x10e 0\n200");
    let targets: Vec<String> = origin.requests().iter().map(|request| request.target().to_owned()).collect();
    assert_eq!(targets, ["/fine"]);
    gateway.stop();
}

#[test]
fn many_requests_share_a_connection() {
    let python = python();
    let origin = echo();
    let gateway = setup(listen(ALL, "") + &forwarding_to(origin.address())).start();
    assert_eq!(run(&python, "many", &gateway, &[]), "300");
    gateway.stop();
}

#[test]
fn requests_under_way_are_finished_when_the_gateway_stops() {
    let python = python();
    let origin = Origin::scripted();
    let mut gateway = setup(listen(ALL, "") + &forwarding_to(origin.address())).start();
    let mut peer = Peer::start(&python, "goaway", &gateway, &[]);
    let (link, _) = origin.expect();
    gateway.signal("TERM");
    assert_eq!(peer.line(), "goaway");
    link.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
    assert_eq!(peer.line(), "200 done");
    assert_eq!(peer.line(), "0x100");
    peer.end();
    assert!(gateway.wait(SOON).success());
}

#[test]
fn a_certificate_is_swapped_under_a_connection_that_lasts() {
    let python = python();
    let gateway = answering("");
    let mut peer = Peer::start(&python, "swap", &gateway, &[]);
    assert_eq!(peer.line(), "200");
    let site = Authority::new("other").sign(&Wish::server(&["site.test"]));
    gateway.folder().write("site.key", &site.key);
    gateway.folder().write("site.pem", &site.cert);
    let seen = gateway.log().len();
    gateway.signal("HUP");
    gateway.wait_for("gateward: reloaded: ", seen);
    peer.go_on();
    assert_eq!(peer.end(), "200\n200 True");
    gateway.stop();
}

fn alternatives(gateway: &Gateway, version: &str) -> String {
    let url = format!("https://{}/", gateway.address());
    let output =
        Command::new("curl").args(["-sSk", version, "-D", "-", "-o", "/dev/null", &url]).output().unwrap();
    let head = String::from_utf8(output.stdout).unwrap().to_ascii_lowercase();
    head.lines().find_map(|line| line.strip_prefix("alt-svc: ")).unwrap_or_default().to_owned()
}

#[test]
fn http3_is_switched_off_and_on_by_reloads() {
    let python = python();
    let routes = "routes: [{ path: /*, respond: { status: 200, body: hello } }]\n";
    let gateway = answering("");
    let announced = format!("h3=\":{}\"; ma=86400", gateway.address().port());
    assert_eq!(alternatives(&gateway, "--http1.1"), announced);
    assert_eq!(alternatives(&gateway, "--http2"), announced);
    let mut peer = Peer::start(&python, "switched_off", &gateway, &[]);
    assert_eq!(peer.line(), "200");
    gateway.reload(&(listen("[http1, http2]", "") + routes));
    assert_eq!(alternatives(&gateway, "--http2"), "");
    peer.go_on();
    assert_eq!(peer.line(), "0x100");
    assert_eq!(peer.line(), "not there");
    gateway.reload(&(listen(ALL, "") + routes));
    assert_eq!(alternatives(&gateway, "--http2"), announced);
    peer.go_on();
    assert_eq!(peer.end(), "200");
    gateway.stop();
}

#[test]
fn http3_is_switched_on_by_a_reload() {
    let python = python();
    let routes = "routes: [{ path: /*, respond: { status: 200, body: hello } }]\n";
    let gateway = setup(listen("[http1, http2]", "") + routes).start();
    assert_eq!(alternatives(&gateway, "--http2"), "");
    gateway.reload(&(listen(ALL, "") + routes));
    assert_eq!(run(&python, "get", &gateway, &["/"]), "200 hello");
    gateway.stop();
}

#[test]
fn a_service_that_names_an_alternative_is_believed() {
    let origin =
        Origin::serving(|_| Some(b"HTTP/1.1 200 OK\r\nAlt-Svc: clear\r\nContent-Length: 0\r\n\r\n".to_vec()));
    let gateway = setup(listen(ALL, "") + &forwarding_to(origin.address())).start();
    assert_eq!(alternatives(&gateway, "--http2"), "clear");
    gateway.stop();
}

#[test]
fn a_request_for_another_host_than_that_of_the_handshake_is_misdirected() {
    let python = python();
    let gateway = answering("");
    assert_eq!(run(&python, "misdirected", &gateway, &[]), "421 200");
    gateway.stop();
}

#[test]
fn a_client_that_does_not_read_costs_no_memory() {
    let python = python();
    let origin = Origin::raw(|mut stream| {
        let mut room = [0; 4096];
        let count = stream.read(&mut room).unwrap_or(0);
        if room[..count].starts_with(b"GET /warm") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwarm");
            return;
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        let piece = [7; 64 * 1024];
        while stream.write_all(&piece).is_ok() {}
    });
    let gateway = setup(listen(ALL, "") + &forwarding_to(origin.address())).start();
    assert_eq!(run(&python, "get", &gateway, &["/warm"]), "200 warm");
    let before = gateway.peak_memory();
    let mut peer = Peer::start(&python, "slow", &gateway, &[]);
    assert_eq!(peer.line(), "stuck");
    let grown = gateway.peak_memory() - before;
    assert!(grown < 8 << 20, "{grown} bytes for 8 responses of 100 MB that nobody reads");
    peer.go_on();
    peer.end();
    gateway.stop();
}

#[test]
fn what_breaks_the_rules_gets_a_named_error_and_grease_is_ignored() {
    let python = python();
    let origin = echo();
    let gateway = setup(listen(ALL, "") + &forwarding_to(origin.address())).start();
    let text = run(&python, "rules", &gateway, &[]);
    let expected = include_str!("../peers/h3_rules.txt");
    assert_eq!(text, expected.trim_end());
    assert!(origin.requests().iter().all(|request| request.target() == "/"));
    assert_eq!(run(&python, "get", &gateway, &["/after"]), "200 GET /after");
    gateway.stop();
}

#[test]
fn a_client_that_gives_every_request_up_is_sent_away() {
    let python = python();
    let origin = Origin::scripted();
    let gateway = setup(listen(ALL, "") + &forwarding_to(origin.address())).start();
    assert_eq!(run(&python, "resets", &gateway, &[]), "0x107");
    gateway.stop();
}

#[test]
fn a_connection_lasts_when_the_address_of_the_client_changes() {
    let python = python();
    let routes = "routes: [{ path: /*, respond: { status: 200, body: hello } }]\n";
    let setup = Setup { workers: Some(4), ..setup(listen(ALL, "") + routes) };
    let gateway = setup.start();
    assert_eq!(run(&python, "moves", &gateway, &[]), ["200"; 9].join("\n"));
    gateway.stop();
}

#[test]
fn clients_prove_their_address_when_many_handshakes_are_unfinished() {
    let python = python();
    let gateway = answering("");
    assert_eq!(run(&python, "crowd", &gateway, &[]), "200 retry");
    drop(gateway); // it would wait for the handshakes
}

#[test]
fn connections_count_and_have_a_limit() {
    let python = python();
    let gateway = answering("limits: { connections: 1 },");
    assert_eq!(run(&python, "one_too_many", &gateway, &[]), "200\nrefused\n200");
    gateway.stop();
}

#[test]
fn an_idle_connection_ends() {
    let python = python();
    let gateway = answering("timeouts: { idle: 300ms },");
    assert_eq!(run(&python, "idle", &gateway, &[]), "200\n0x100");
    gateway.stop();
}

#[test]
fn clients_show_certificates_as_over_tcp() {
    let python = python();
    let authority = Authority::new("clients");
    let client = authority.sign(&Wish::client("someone"));
    let routes = "routes: [{ path: /*, respond: { status: 200, body: hello } }]\n";
    let yaml = listen(ALL, "").replace("tls: {", "tls: { client_auth: { ca: clients.pem },") + routes;
    let mut setup = setup(yaml);
    setup.files.push(("clients.pem".into(), authority.cert().into()));
    setup.files.push(("client.pem".into(), client.cert));
    setup.files.push(("client.key".into(), client.key));
    let gateway = setup.start();
    let path = |name: &str| gateway.folder().path().join(name).display().to_string();
    let text = run(&python, "certificates", &gateway, &[&path("client.pem"), &path("client.key")]);
    assert_eq!(text, "not served\n200");
    gateway.stop();
}

#[test]
fn check_says_what_cannot_be() {
    let routes = "trusted_proxies: [127.0.0.1/32]\nroutes: [{ path: /*, respond: { status: 200 } }]\n";
    let output = check(&setup(listen(ALL, "proxy_protocol: true,") + routes), &[]);
    let text =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && text.contains("HTTP/3"), "{text}");
    let output = check(&setup(listen(ALL, "") + routes), &[]);
    assert!(output.status.success());
}

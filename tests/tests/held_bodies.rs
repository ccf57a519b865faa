//! Bodies that a policy looks into: they reach the service byte by byte as they came, whatever happens on the way.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test"
)]

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use end_to_end::certificates::{Authority, Wish};
use end_to_end::message::Framing;
use end_to_end::peer::output_of;
use end_to_end::python::python_with;
use end_to_end::{Client, Folder, Gateway, Origin, SOON, Setup, wait_until};

/// Both policies ask for the same body.
const POLICIES: &str =
    "json_threat: { string_length: 3MiB, max_body: 2MiB }, validate: { schema: {}, max_body: 2MiB }";

fn yaml(address: SocketAddr, policies: &str, more: &str) -> String {
    format!(
        "listen: {{ address: 127.0.0.1:0, timeouts: {{ body: 1s }}, limits: {{ min_rate: 0B }} }}\nadmin: 127.0.0.1:0\n\
         telemetry: {{ access_log: access.log }}\n\
         services: {{ site: {{ endpoints: [\"http://{address}\"] {more} }} }}\n\
         routes: [{{ path: /*, service: site, policies: {{ {policies} }} }}]\n"
    )
}

/// JSON of so many bytes that no two parts of are alike.
fn text(length: usize) -> Vec<u8> {
    let mut state = 7_u32;
    let inner = (2..length).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        b"abcdefghijklmnopqrstuvwxyz"[(state >> 24) as usize % 26]
    });
    std::iter::once(b'"').chain(inner).chain(std::iter::once(b'"')).collect()
}

/// In chunks of these sizes, one after the other.
fn chunked(body: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut rest, mut sizes) = (body, sizes.iter().cycle());
    while !rest.is_empty() {
        let (piece, left) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        out.extend(format!("{:x}\r\n", piece.len()).into_bytes());
        out.extend(piece);
        out.extend(b"\r\n");
        rest = left;
    }
    out
}

fn post(fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST /a HTTP/1.1\r\nHost: gw.test\r\nContent-Type: application/json\r\n{fields}\r\n");
    [head.as_bytes(), body].concat()
}

fn with_length(body: &[u8]) -> Vec<u8> {
    post(&format!("Content-Length: {}\r\n", body.len()), body)
}

#[test]
fn they_arrive_as_they_came() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::start(yaml(origin.address(), POLICIES, ""));
    let client = gateway.connect();
    let edges = [16 * 1024, 64 * 1024, 512 * 1024]
        .into_iter()
        .flat_map(|edge| [-65, -64, -49, -48, -1, 0, 1].map(|by| edge + by));
    let sizes: Vec<usize> = edges.map(|size: i64| size as usize).chain([2, 3, 1 << 20, 2 << 20]).collect();
    for (at, size) in sizes.iter().enumerate() {
        let body = text(*size);
        assert_eq!(client.ask(with_length(&body)).status(), 200, "{size}");
        let in_chunks =
            [chunked(&body, &[1, 4000, 17, 70_000, 65_536]), b"0\r\nX-Sum: 1\r\n\r\n".to_vec()].concat();
        assert_eq!(client.ask(post("Transfer-Encoding: chunked\r\n", &in_chunks)).status(), 200, "{size}");
        let requests = origin.requests();
        let [one, other] = &requests[at * 2..] else { panic!("{} requests", requests.len()) };
        assert!(one.body == body && other.body == body, "{size}");
        assert_eq!((one.framing, other.framing), (Framing::Length(*size as u64), Framing::Chunked));
        assert_eq!(other.trailers, [("x-sum".to_owned(), "1".to_owned())]);
    }
    // Two at once, and what follows a refused one.
    let pair = [with_length(b"[1]"), with_length(b"[1"), with_length(b"[2]")].concat();
    assert_eq!(client.ask(pair).status(), 200);
    assert_eq!((client.response().status(), client.response().status()), (400, 200));
    assert_eq!(origin.requests().last().unwrap().body, b"[2]");
    // Nothing of it, which is not JSON; and one without a body, which a POST must have.
    assert_eq!(client.ask(post("Transfer-Encoding: chunked\r\n", b"0\r\n\r\n")).status(), 400);
    assert_eq!(client.ask(post("", b"")).status(), 400);
    assert_eq!(client.get("/").status(), 200);
    gateway.stop();
}

#[test]
fn they_arrive_over_every_version() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::start(yaml(origin.address(), POLICIES, ""));
    for (at, version) in ["--http1.1", "--http2-prior-knowledge"].into_iter().enumerate() {
        for (number, size) in [20, 65_535, 65_536, 1 << 20].into_iter().enumerate() {
            let body = text(size);
            let file = gateway.folder().path().join("body");
            std::fs::write(&file, &body).unwrap();
            let (data, url) = (format!("@{}", file.display()), format!("http://{}/a", gateway.address()));
            let arguments =
                ["-sS", version, "-H", "content-type: application/json", "--data-binary", &data, &url];
            assert_eq!(output_of("curl", &arguments), "ok", "{version} {size}");
            let got = &origin.requests()[at * 4 + number];
            assert!(got.body == body, "{version} {size}: {got}");
        }
        let url = format!("http://{}/a", gateway.address());
        let refused =
            output_of("curl", &["-sS", version, "-H", "content-type: application/json", "-d", "[1,", &url]);
        assert!(refused.contains("\"offset\":3"), "{refused}");
    }
    gateway.stop();
}

#[test]
fn what_is_too_large_is_refused_over_every_version() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::start(yaml(origin.address(), "size_limit: { body: 100KiB }", ""));
    let file = gateway.folder().path().join("body");
    std::fs::write(&file, text(3_000_000)).unwrap();
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        // Announced, and not: curl takes the length away where it is told to.
        let unannounced =
            if version == "--http1.1" { "transfer-encoding: chunked" } else { "content-length:" };
        for length in ["content-length: 3000000", unannounced] {
            let url = format!("http://{}/a", gateway.address());
            let data = format!("@{}", file.display());
            let arguments = [
                "-sS",
                version,
                "-H",
                length,
                "-H",
                "expect:",
                "-w",
                " %{http_code}",
                "--data-binary",
                &data,
                &url,
            ];
            let said = output_of("curl", &arguments);
            assert!(said.contains("body-too-large") && said.ends_with(" 413"), "{version} {length}: {said}");
        }
    }
    assert_eq!(origin.count(), 0, "none has reached it whole");
    gateway.stop();
}

#[test]
fn they_arrive_over_http3() {
    let python = python_with("aioquic").expect("this test needs aioquic, which pip can install");
    let origin = Origin::saying("ok");
    let site = Authority::new("test").sign(&Wish::server(&["site.test"]));
    let yaml = format!(
        "listen: {{ address: 127.0.0.1:0, protocols: [http1, http2, http3], tls: {{ certificates: [{{ cert: site.pem, key: \
         site.key }}] }} }}\nservices: {{ site: {{ endpoints: [\"http://{}\"] }} }}\n\
         routes: [{{ path: /*, service: site, policies: {{ size_limit: {{ body: 2MiB }}, {POLICIES} }} }}]\n",
        origin.address()
    );
    let files = vec![("site.pem".to_owned(), site.cert), ("site.key".to_owned(), site.key)];
    let gateway = Setup { files, ..Setup::new(yaml) }.start();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/h3.py");
    let port = gateway.address().port().to_string();
    let said = output_of(python.to_str().unwrap(), &["-u", script.to_str().unwrap(), "checked", &port]);
    assert_eq!(said.trim(), "200 False\n400 True\n413 False\n413 False");
    let [request] = &origin.requests()[..] else { panic!("{:?}", origin.count()) };
    assert_eq!((request.body.len(), request.trailers.len()), (200_002, 1));
    gateway.stop();
}

#[test]
fn nginx_gets_what_curl_has_sent() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path().join("www")).unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let root = folder.path().display();
    let file = folder.write(
        "nginx.conf",
        &format!(
            "daemon off; master_process off; worker_processes 1; pid {root}/pid; error_log stderr;\n\
             events {{ worker_connections 64; }}\n\
             http {{ access_log off; client_body_temp_path {root}/b; proxy_temp_path {root}/p; client_max_body_size 8m;\n\
             fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;\n\
             server {{ listen {address}; root {root}/www; dav_methods PUT; }} }}\n"
        ),
    );
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-c").arg(file).arg("-p").arg(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut nginx = command.spawn().expect("this test needs nginx");
    wait_until("nginx listens", SOON, || TcpStream::connect(address).is_ok());
    let gateway = Gateway::start(yaml(address, POLICIES, ""));
    let body = text(1_234_567);
    std::fs::write(folder.path().join("body"), &body).unwrap();
    for (name, more) in
        [("a", "content-length: 1234569"), ("b", "transfer-encoding: chunked"), ("c", "expect: 100-continue")]
    {
        let url = format!("http://{}/{name}", gateway.address());
        let file = folder.path().join("body");
        let more = if name == "a" { "x: y" } else { more };
        let arguments = [
            "-sS",
            "-w",
            "%{http_code}",
            "-o",
            "/dev/null",
            "-H",
            "content-type: application/json",
            "-H",
            more,
            "-T",
            file.to_str().unwrap(),
            &url,
        ];
        assert_eq!(output_of("curl", &arguments), "201", "{name}");
        assert!(std::fs::read(folder.path().join("www").join(name)).unwrap() == body, "{name}");
    }
    gateway.stop();
    nginx.kill().unwrap();
    nginx.wait().unwrap();
}

#[test]
fn they_are_sent_again_whatever_their_length() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let origin = Origin::serving(move |_| {
        let first = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 2 == 0;
        let status = if first { "503 Service Unavailable" } else { "200 OK" };
        Some(format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok").into_bytes())
    });
    let copies = Origin::saying("ok");
    let retries = format!(
        ", retries: {{ methods: [POST], on: [\"503\"], backoff: 1ms, budget: 100% }} }}, copies: {{ endpoints: [\"http://{}\"]",
        copies.address()
    );
    let yaml = yaml(origin.address(), POLICIES, &retries)
        .replace("service: site,", "service: site, mirror: { service: copies, percent: 100% },");
    let gateway = Gateway::start(yaml);
    let body = text(300_000);
    let client = gateway.connect();
    assert_eq!(client.ask(with_length(&body)).status(), 200);
    let in_chunks = [chunked(&body, &[10_000]), b"0\r\n\r\n".to_vec()].concat();
    assert_eq!(client.ask(post("Transfer-Encoding: chunked\r\n", &in_chunks)).status(), 200);
    let requests = origin.requests();
    assert_eq!(requests.len(), 4);
    assert!(requests.iter().all(|request| request.body == body));
    wait_until("copies have come", SOON, || copies.count() == 2);
    assert!(copies.requests().iter().all(|request| request.body == body));
    gateway.stop();
}

#[test]
fn who_waits_for_permission_gets_it_when_the_body_is_wanted() {
    let origin = Origin::scripted();
    let gateway = Gateway::start(yaml(origin.address(), POLICIES, ""));
    let client = gateway.connect();
    client.send(post("Expect: 100-continue\r\nContent-Length: 3\r\n", b""));
    assert!(client.wait_text("HTTP/1.1 100 Continue\r\n\r\n").is_some());
    client.try_take(|unread, _| Some(((), unread.len())));
    assert!(origin.links().is_empty(), "the service has not heard of it");
    client.send("[7]");
    let (link, request) = origin.expect();
    assert_eq!((request.body.as_slice(), request.field("expect")), (&b"[7]"[..], None));
    link.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    let refused = gateway.connect().ask(post("Expect: 100-continue\r\nContent-Length: 9000000\r\n", b""));
    assert_eq!((refused.status(), refused.field("connection")), (413, Some("close")));
    let refused = gateway.connect().ask(
        "POST /a HTTP/1.1\r\nHost: gw.test\r\nContent-Type: text/plain\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
    );
    assert_eq!(refused.status(), 415);
    gateway.stop();
}

#[test]
fn who_is_slow_or_leaves_reaches_no_service() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::start(yaml(origin.address(), POLICIES, ""));
    let begin = Instant::now();
    let slow = gateway.connect().ask(post("Content-Length: 10\r\n", b"[1"));
    assert_eq!(slow.status(), 408, "{slow}");
    assert!(begin.elapsed() >= Duration::from_millis(900), "{:?}", begin.elapsed());
    let leaving = gateway.connect();
    leaving.send(post("Content-Length: 10\r\n", b"[1"));
    leaving.reset();
    let closing = gateway.connect();
    closing.send(post("Content-Length: 10\r\n", b"[1"));
    closing.half_close();
    assert_eq!(closing.response().status(), 400);
    let broken = gateway.connect().ask(post("Transfer-Encoding: chunked\r\n", b"x\r\n"));
    assert_eq!(broken.status(), 400);
    assert_eq!(gateway.connect().ask(with_length(b"[1]")).status(), 200);
    assert_eq!(origin.count(), 1);
    gateway.stop();
}

#[test]
fn what_is_held_is_bounded_and_given_back() {
    let origin = Origin::saying("ok");
    let policies = "validate: { schema: {}, max_body: 16MiB }";
    let yaml = yaml(origin.address(), policies, "").replace("body: 1s", "body: 60s");
    let gateway = Gateway::start(yaml);
    // Announced, but not sent: it takes nothing.
    let idle: Vec<Client> = (0..50)
        .map(|_| {
            let client = gateway.connect();
            client.send(post("Content-Length: 16000000\r\n", b""));
            client
        })
        .collect();
    assert_eq!(gateway.connect().ask(with_length(b"[1]")).status(), 200);
    let piece = vec![b' '; 15_000_000];
    let held: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = TcpStream::connect(gateway.address()).unwrap();
            stream.write_all(&post("Content-Length: 15000001\r\n", &piece)).unwrap();
            stream
        })
        .collect();
    let fifth = || {
        let client = gateway.connect();
        client.send(post("Content-Length: 15000001\r\n", &piece));
        client
    };
    let mut shed = None;
    wait_until("there is no room any more", SOON * 2, || {
        let answer = fifth();
        let is_shed = answer.wait_text("gateway-overloaded").is_some();
        shed = is_shed.then(|| answer.response());
        is_shed
    });
    let shed = shed.unwrap();
    assert_eq!((shed.status(), shed.field("retry-after")), (503, Some("1")));
    drop((held, idle));
    wait_until("there is room again", SOON * 2, || {
        gateway.connect().ask(with_length(&text(9_000_000))).status() == 200
    });
    assert!(gateway.peak_memory() < 400 << 20, "{}", gateway.peak_memory());
    gateway.stop();
}

#[test]
fn what_is_only_tried_passes_whatever_its_length() {
    let origin = Origin::saying("ok");
    let gateway = Gateway::start(yaml(
        origin.address(),
        "validate: { schema: { type: object }, max_body: 1KiB, mode: dry_run }, json_threat: { max_body: 64KiB, mode: dry_run }",
        "",
    ));
    let client = gateway.connect();
    for size in [500, 1025, 65_536, 65_537, 1_000_000] {
        let body = text(size);
        let in_chunks = [chunked(&body, &[5000]), b"0\r\nX-Sum: 1\r\n\r\n".to_vec()].concat();
        assert_eq!(client.ask(post("Transfer-Encoding: chunked\r\n", &in_chunks)).status(), 200, "{size}");
        assert_eq!(client.ask(with_length(&body)).status(), 200, "{size}");
        let requests = origin.requests();
        let [.., one, other] = &requests[..] else { panic!() };
        assert!(one.body == body && other.body == body && one.trailers.len() == 1, "{size}");
    }
    assert!(gateway.metric("gateward_policy_dry_runs_total{policy=\"validate\"}") > 9.5);
    gateway.stop();
}

//! Peers that nobody here wrote: curl, nginx, Python's `http.server` and `websockets`, wrk.
//!
//! A peer that cannot be had is said in a visible line; `make test` installs all of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use end_to_end::peer::{Peer, missing, output_of, scripts};
use end_to_end::python::python_with;
use end_to_end::{Folder, Gateway, Origin, SOON, wait_until};

fn gateway_for(address: &SocketAddr) -> Gateway {
    Gateway::start(format!(
        "listen: 127.0.0.1:0\nservices: {{ site: {{ endpoints: [\"http://{address}\"] }} }}\n\
         routes: [{{ path: /*, service: site }}]\n"
    ))
}

fn echo() -> Origin {
    Origin::serving(|request| {
        let body = format!("{} {} {}", request.method(), request.target(), request.text());
        Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
    })
}

#[test]
fn curl() {
    let origin = echo();
    let gateway = gateway_for(&origin.address());
    let url = format!("http://{}/a?b=c", gateway.address());
    assert_eq!(output_of("curl", &["-sS", "--fail", &url]), "GET /a?b=c ");
    assert_eq!(output_of("curl", &["-sS", "--fail", "-d", "body", &url]), "POST /a?b=c body");
    let chunked = ["-sS", "--fail", "-H", "Transfer-Encoding: chunked", "-d", "body", &url];
    assert_eq!(output_of("curl", &chunked), "POST /a?b=c body");
    let expecting =
        ["-sS", "--fail", "-H", "Expect: 100-continue", "--expect100-timeout", "0.2", "-d", "body", &url];
    assert_eq!(output_of("curl", &expecting), "POST /a?b=c body");
    assert_eq!(output_of("curl", &["-sS", "--fail", "--http1.0", &url]), "GET /a?b=c ");
    let head = output_of("curl", &["-sS", "--fail", "-I", &url]);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("via: 1.1 gateward\r\n"), "{head}");
    let as_proxy = ["-sS", "--fail", "-x", &format!("http://{}", gateway.address()), "http://other.test/x"];
    assert_eq!(output_of("curl", &as_proxy), "GET /x ");
    let twice = output_of("curl", &["-sS", "--fail", "-w", "\n%{num_connects}\n", &url, &url]);
    assert_eq!(twice, "GET /a?b=c \n1\nGET /a?b=c \n0\n");
    assert_eq!(
        output_of("curl", &["-sS", "--path-as-is", &format!("http://{}/x/../y", gateway.address())]),
        "GET /y "
    );
    gateway.stop();
}

fn nginx(folder: &Folder) -> Option<(Peer, SocketAddr)> {
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];
    let program = program.iter().find(|path| Path::new(path).exists()).expect("this test needs nginx");
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let root = folder.path().display();
    let file = folder.write(
        "nginx.conf",
        &format!(
            "daemon off; master_process off; worker_processes 1; pid {root}/pid; error_log stderr;\n\
             events {{ worker_connections 512; }}\n\
             http {{ access_log off; client_body_temp_path {root}/b; proxy_temp_path {root}/p;\n\
             fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;\n\
             server {{ listen {address}; root {root}/www;\n\
             location /moved {{ return 301 /elsewhere; }} location = /empty {{ return 204; }}\n\
             location /say {{ return 200 \"$request_method $host $http_x_forwarded_for\"; }} }} }}\n"
        ),
    );
    let mut command = Command::new(program);
    command.arg("-c").arg(file).arg("-p").arg(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut peer = Peer(command.spawn().unwrap());
    let mut failed = false;
    wait_until("nginx listens", SOON, || {
        failed = peer.0.try_wait().unwrap().is_some(); // somebody else took the port meanwhile
        failed || TcpStream::connect(address).is_ok()
    });
    (!failed).then_some((peer, address))
}

#[test]
fn nginx_behind_the_gateway() {
    let folder = Folder::new();
    let large: String = (0..200_000).map(|number| format!("{number}\n")).collect();
    folder.write("www/large.txt", &large);
    let (_nginx, address) = (0..5).find_map(|_| nginx(&folder)).expect("nginx does not start");
    let gateway = gateway_for(&address);
    let client = gateway.connect();
    assert!(client.get("/large.txt").text() == large);
    let part = client.ask("GET /large.txt HTTP/1.1\r\nHost: gw.test\r\nRange: bytes=2-5\r\n\r\n");
    assert_eq!((part.status(), part.text()), (206, large[2..6].to_owned()));
    let etag = client.get("/large.txt").field("etag").unwrap().to_owned();
    let known =
        client.ask(format!("GET /large.txt HTTP/1.1\r\nHost: gw.test\r\nIf-None-Match: {etag}\r\n\r\n"));
    assert_eq!(known.status(), 304);
    assert_eq!(client.get("/empty").status(), 204);
    assert_eq!(client.get("/missing").status(), 404);
    assert_eq!(client.get("/moved").status(), 301);
    assert_eq!(client.get("/say").text(), "GET gw.test 127.0.0.1");
    let posted = client.ask("POST /say HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!(posted.text(), "POST gw.test 127.0.0.1");
    gateway.stop();
}

#[test]
fn pythons_http_server_behind_the_gateway() {
    let folder = Folder::new();
    folder.write("file.txt", "from python");
    let mut command = Command::new("python3");
    command.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]).current_dir(folder.path());
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut peer = Peer(command.spawn().expect("this test needs python3"));
    let mut line = String::new();
    BufReader::new(peer.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.split(" port ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
    let gateway = gateway_for(&SocketAddr::from(([127, 0, 0, 1], port)));
    let client = gateway.connect();
    for _ in 0..3 {
        assert_eq!(client.get("/file.txt").text(), "from python"); // HTTP/1.0 behind, HTTP/1.1 before
    }
    assert!(client.get("/").text().contains("file.txt"));
    assert_eq!(client.get("/missing").status(), 404);
    gateway.stop();
}

#[test]
fn wrk_meets_no_error() {
    let origin = echo();
    let gateway = gateway_for(&origin.address());
    let url = format!("http://{}/load", gateway.address());
    let text = output_of("wrk", &["-t", "1", "-c", "16", "-d", "2s", &url]);
    assert!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "{text}");
    let requests = text.lines().find_map(|line| line.trim().strip_suffix(" read")?.split(" requests").next());
    assert!(requests.and_then(|count| count.parse::<u32>().ok()).is_some_and(|count| count > 500), "{text}");
    gateway.stop();
}

#[test]
fn pythons_websockets_through_the_gateway() {
    let Some(python) = python_with("websockets") else {
        missing("Python's websockets", "the package could not be installed");
        return;
    };
    let scripts = scripts();
    let mut server = Command::new(&python);
    server.arg("-u").arg(scripts.join("websocket_server.py")).stdout(Stdio::piped()).stdin(Stdio::null());
    let mut server = Peer(server.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let gateway = gateway_for(&SocketAddr::from(([127, 0, 0, 1], line.trim().parse().unwrap())));
    let client = scripts.join("websocket_client.py");
    let url = format!("ws://{}/chat", gateway.address());
    let text = output_of(python.to_str().unwrap(), &[client.to_str().unwrap(), &url]);
    assert_eq!(text.trim(), "fine");
    gateway.stop();
}

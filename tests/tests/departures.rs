//! Clients that close: those that only have nothing more to say get their answer, those that have gone cost
//! nobody anything.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use end_to_end::bulk::{check_pattern, read_head, write_pattern};
use end_to_end::{Client, End, Gateway, Message, Origin, SOON, wait_until};

const GET: &str = "GET /a HTTP/1.1\r\nHost: gw.test\r\n\r\n";
const OLD_GET: &str = "GET /a HTTP/1.0\r\nHost: gw.test\r\n\r\n";
const POST: &str = "POST /a HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 2\r\n\r\nhi";

fn gateway_for(origin: &Origin) -> Gateway {
    Gateway::start(format!(
        "listen: 127.0.0.1:0\nshutdown: {{ drain: 60s }}\n\
         services: {{ site: {{ endpoints: [http://{}] }} }}\n\
         routes: [{{ path: /*, service: site }}]\n",
        origin.address()
    ))
}

/// The response behind interim ones, which a client must be able to take (RFC 9110 §15.2).
fn final_response(client: &Client) -> Message {
    loop {
        let response = client.response();
        if response.status() != 100 {
            return response;
        }
    }
}

#[test]
fn a_half_closed_client_gets_a_body_that_comes_in_parts() {
    let origin = Origin::scripted();
    let gateway = gateway_for(&origin);
    for request in [GET, OLD_GET, POST] {
        let client = gateway.connect();
        client.send(request);
        client.half_close();
        let (link, _) = origin.expect();
        link.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
        assert!(client.wait_text("\r\n\r\nab").is_some_and(|bytes| bytes.starts_with(b"HTTP/1.1 ")));
        let ended = client.wait_end(Duration::from_millis(400));
        assert_eq!((ended, link.end()), (None, None), "{request:?}: it was given up");
        link.send("cd");
        assert!(client.wait_text("cd").is_some(), "{request:?}: the rest does not come");
        assert_eq!(client.wait_end(SOON), Some(End::Closed));
        link.half_close();
    }
    gateway.stop();
}

#[test]
fn a_half_closed_client_gets_a_late_answer() {
    let origin = Origin::scripted();
    let gateway = gateway_for(&origin);
    for request in [GET, OLD_GET, POST] {
        let client = gateway.connect();
        client.send(request);
        client.half_close();
        let (link, _) = origin.expect();
        assert_eq!(link.wait_end(Duration::from_millis(700)), None, "{request:?}: the service was left");
        assert_eq!(client.end(), None, "{request:?}: the client was left");
        link.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
        let response = final_response(&client);
        assert_eq!((response.status(), &response.text()[..]), (200, "late"), "{request:?}");
        assert_eq!(client.wait_end(SOON), Some(End::Closed));
        link.half_close();
    }
    gateway.stop();
}

/// Longer than any time after which a silent client might count as gone.
const LONG: Duration = Duration::from_millis(1500);
const LARGE: u64 = 20_000_000;

/// A connection whose own system takes little, so that the gateway feels how slowly it is read.
fn connect_with_little_room(address: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// Reads a large response with long pauses; half-closes before it begins, or in the middle.
fn slow_reader(early: bool) {
    let (given_up, failure) = sync_channel(1);
    let origin = Origin::raw(move |mut stream| {
        read_head(&mut stream).unwrap();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").unwrap();
        if let Err(error) = write_pattern(&mut stream, 0, LARGE, |_| ()) {
            given_up.send(error.to_string()).unwrap();
        }
        let _ = stream.read(&mut [0]);
    });
    let gateway = gateway_for(&origin);
    let mut client = connect_with_little_room(gateway.address());
    client.write_all(GET.as_bytes()).unwrap();
    if early {
        client.shutdown(Shutdown::Write).unwrap();
    }
    assert!(read_head(&mut client).unwrap().starts_with("HTTP/1.1 200 "));
    if !early {
        client.shutdown(Shutdown::Write).unwrap();
    }
    let mut reader = PausingReader {
        client: &client,
        at: 0,
        pauses: vec![LARGE / 2, 1_000_000],
        pause: || {
            assert_eq!(
                failure.recv_timeout(LONG),
                Err(RecvTimeoutError::Timeout),
                "the download was given up"
            );
        },
    };
    check_pattern(&mut reader, LARGE).unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "it ends with a FIN");
    gateway.stop();
}

/// Pauses whenever it has read so much.
struct PausingReader<'a, F> {
    client: &'a TcpStream,
    at: u64,
    pauses: Vec<u64>,
    pause: F,
}

impl<F: Fn()> Read for PausingReader<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.pauses.last().is_some_and(|place| self.at >= *place) {
            self.pauses.pop();
            (self.pause)();
        }
        let count = self.client.read(buffer)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[test]
fn a_half_closed_slow_reader_gets_all() {
    slow_reader(true);
}

#[test]
fn a_slow_reader_that_half_closes_meanwhile_gets_all() {
    slow_reader(false);
}

#[test]
fn a_client_that_leaves_before_the_answer_is_noticed_within_a_second() {
    let origin = Origin::scripted();
    let gateway = gateway_for(&origin);
    for request in [GET, POST] {
        let client = gateway.connect();
        client.send(request);
        let (link, _) = origin.expect();
        drop(client);
        assert!(link.wait_end(Duration::from_secs(1)).is_some(), "{request:?}: the service works for nobody");
    }
    gateway.stop();
}

#[test]
fn a_client_that_leaves_a_silent_stream_is_noticed() {
    let origin = Origin::scripted();
    let gateway = gateway_for(&origin);
    let (event, chunk) = ("data: one\n\n", "b\r\ndata: one\n\n\r\n");
    for (request, coding, piece) in
        [(GET, "", event), (GET, "Transfer-Encoding: chunked\r\n", chunk), (OLD_GET, "", event)]
    {
        let client = gateway.connect();
        client.send(request);
        let (link, _) = origin.expect();
        link.send(format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{coding}\r\n{piece}"));
        assert!(client.wait_text(event).is_some());
        drop(client);
        assert!(link.wait_end(Duration::from_secs(3)).is_some(), "{coding:?}: the stream goes on for nobody");
    }
    gateway.stop();
}

/// How many sockets the gateway has open.
fn sockets(gateway: &Gateway) -> usize {
    let files = std::fs::read_dir(format!("/proc/{}/fd", gateway.id())).unwrap();
    let targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

/// The service keeps its end open, as one does that has lost sight of the connection.
#[test]
fn a_websocket_client_that_leaves_ends_the_tunnel() {
    type Leave = fn(Client) -> Option<Client>;
    let leaves = |client: Client| {
        drop(client);
        None
    };
    let half_closes = |client: Client| {
        client.half_close();
        Some(client)
    };
    for leave in [leaves as Leave, half_closes] {
        let origin = Origin::scripted();
        let mut gateway = gateway_for(&origin);
        let idle = gateway.connect(); // once it is served, everything that the gateway needs is open
        assert_eq!(idle.ask("OPTIONS * HTTP/1.1\r\nHost: gw.test\r\n\r\n").status(), 204);
        let before = sockets(&gateway);
        let client = gateway.connect();
        client.send(
            "GET /chat HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        let (link, _) = origin.expect();
        link.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
        );
        assert_eq!(client.response().status(), 101);
        assert_eq!(sockets(&gateway), before + 2);
        let left = leave(client);
        assert!(link.wait_end(SOON).is_some(), "the service does not hear that the client has gone");
        wait_until("the tunnel is closed on both sides", Duration::from_secs(5), || {
            sockets(&gateway) == before
        });
        gateway.signal("TERM");
        assert!(gateway.wait(Duration::from_secs(5)).success());
        drop((left, link));
    }
}

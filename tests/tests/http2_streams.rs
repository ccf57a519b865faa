//! HTTP/2 over time: bodies of any size in little memory, windows that couple both sides, and how connections end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use end_to_end::bulk::{Chunks, check_pattern, read_head, write_pattern};
use end_to_end::http2::{Http2, code, request};
use end_to_end::peer::Peer;
use end_to_end::{Gateway, Origin, SOON, wait_until};
use serde_json::json;

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;
/// What a gateway may ever have resident, whatever passes through it.
const MOST_MEMORY: u64 = 32_000_000;

fn yaml(origin: &Origin, listen: &str) -> String {
    format!(
        "listen: [{listen}]\nservices: {{ site: {{ endpoints: [http://{}] }} }}\n\
         routes: [{{ path: /*, service: site }}]\n",
        origin.address()
    )
}

fn gateway_for(origin: &Origin) -> Gateway {
    Gateway::start(yaml(origin, "127.0.0.1:0"))
}

fn memory_was_small(gateway: &Gateway) {
    let peak = gateway.peak_memory();
    assert!(peak < MOST_MEMORY, "the gateway had {peak} bytes resident");
}

fn curl(gateway: &Gateway, arguments: &[&str]) -> Peer {
    let mut command = Command::new("curl");
    command.args(["-sSN", "--fail", "--http2-prior-knowledge", "--max-time", "300"]).args(arguments);
    command.arg(format!("http://{}/big", gateway.address())).stdin(Stdio::piped()).stdout(Stdio::piped());
    Peer(command.spawn().expect("this test needs curl"))
}

#[test]
fn a_download_of_1_gib_passes_in_little_memory() {
    let origin = Origin::raw(|mut stream| {
        read_head(&mut stream).unwrap();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\n\r\n").unwrap();
        write_pattern(&mut stream, 0, GIB, |_| ()).unwrap();
    });
    let gateway = gateway_for(&origin);
    let mut client = curl(&gateway, &[]);
    check_pattern(client.0.stdout.as_mut().unwrap(), GIB).unwrap();
    assert!(client.0.wait().unwrap().success());
    memory_was_small(&gateway);
    gateway.stop();
}

/// Reads a body to its end. Whoever answers before has the gateway reset the rest of the stream, as RFC 9113 §8.1 has
/// it, and some versions of curl take that for no answer at all.
fn check_whole(stream: &TcpStream, length: u64) -> std::io::Result<()> {
    let mut body = Chunks::new(stream);
    check_pattern(&mut body, length)?;
    match body.read(&mut [0])? {
        0 => Ok(()),
        _ => Err(std::io::Error::other("there is more")),
    }
}

#[test]
fn an_upload_of_1_gib_passes_in_little_memory() {
    let origin = Origin::raw(|mut stream| {
        let head = read_head(&mut stream).unwrap();
        assert!(head.to_lowercase().contains("transfer-encoding: chunked\r\n"), "{head}");
        let verdict = check_whole(&stream, GIB);
        let verdict = verdict.map_or_else(|error| error.to_string(), |()| "whole".into());
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{verdict}", verdict.len()).unwrap();
        let _ = stream.read(&mut [0]);
    });
    let gateway = gateway_for(&origin);
    let mut client = curl(&gateway, &["-T", "-"]);
    let mut upload = client.0.stdin.take().unwrap();
    write_pattern(&mut upload, 0, GIB, |_| ()).unwrap();
    drop(upload);
    let mut verdict = String::new();
    client.0.stdout.as_mut().unwrap().read_to_string(&mut verdict).unwrap();
    assert_eq!(verdict, "whole");
    memory_was_small(&gateway);
    gateway.stop();
}

/// Waits until a counter has stood still for a while, and returns it.
fn settled(counter: &AtomicU64) -> u64 {
    let mut last = (counter.load(Ordering::Relaxed), Instant::now());
    wait_until("nothing more is sent", Duration::from_secs(30), || {
        let now = counter.load(Ordering::Relaxed);
        if now != last.0 {
            last = (now, Instant::now());
        }
        now > 0 && last.1.elapsed() > Duration::from_millis(400)
    });
    last.0
}

#[test]
fn a_client_that_gives_no_window_slows_the_service_down() {
    let length = 64 * MIB;
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let origin = Origin::raw(move |mut stream| {
        let head = read_head(&mut stream).unwrap();
        if head.starts_with("GET /small ") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsmall").unwrap();
            return;
        }
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").unwrap();
        let _ = write_pattern(&mut stream, 0, length, |at| counter.store(at, Ordering::Relaxed));
    });
    let gateway = gateway_for(&origin);
    // The connection has room for more than one stream may send.
    let setup = json!({ "windows": false, "count": true, "window": 1 << 30 });
    let client = Http2::connect_with(gateway.address(), setup);
    client.get(1, "/big");
    client.events().take("headers", |event| event["stream"] == 1);
    let held = settled(&sent);
    assert!(
        held < 20 * MIB,
        "{held} bytes were taken from the service while the client gave no room for them"
    );
    client.get(3, "/small");
    client.events().take("data", |event| event["stream"] == 3 && event["end"] == true);
    client.tell(json!({ "do": "window", "stream": 1, "by": length }));
    let whole = client.events().find(Duration::from_secs(60), "data", |event| event["end"] == true);
    assert_eq!(whole.expect("the rest comes")["length"], length);
    memory_was_small(&gateway);
    gateway.stop();
}

#[test]
fn a_service_that_does_not_read_slows_the_client_down() {
    let length = 256 * MIB;
    let (begin, wait) = std::sync::mpsc::sync_channel::<()>(1);
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::raw(move |mut stream| {
        read_head(&mut stream).unwrap();
        wait.lock().unwrap().recv().unwrap();
        check_whole(&stream, length).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone").unwrap();
        let _ = stream.read(&mut [0]);
    });
    let gateway = gateway_for(&origin);
    let mut client = curl(&gateway, &["-T", "-"]);
    let mut upload = client.0.stdin.take().unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let uploading = std::thread::spawn(move || {
        write_pattern(&mut upload, 0, length, |at| counter.store(at, Ordering::Relaxed))
    });
    let held = settled(&sent);
    assert!(held < 40 * MIB, "{held} bytes were taken from the client while the service read nothing");
    begin.send(()).unwrap();
    uploading.join().unwrap().unwrap();
    let mut answer = String::new();
    client.0.stdout.as_mut().unwrap().read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "done");
    memory_was_small(&gateway);
    gateway.stop();
}

/// RFC 9113 §6.8: what has begun is finished, and the connection ends by itself.
fn goes_gracefully(gateway: &Gateway, client: &Http2, origin: &Origin, end: impl FnOnce()) {
    client.get(1, "/slow");
    let (link, _) = origin.expect();
    end();
    let goaway = client.events().take("goaway", |_| true);
    assert_eq!(goaway["code"], code::NO_ERROR);
    // A first one may announce the end without a last stream; the final one names it.
    link.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
    assert_eq!(client.response(1).body, "slow");
    assert_eq!(client.end(SOON).flatten().unwrap_or(code::NO_ERROR), code::NO_ERROR);
    assert!(!gateway.log().contains("panicked"), "{}", gateway.log());
}

#[test]
fn sigterm_lets_streams_finish() {
    let origin = Origin::scripted();
    let mut gateway = gateway_for(&origin);
    let idle = Http2::connect(gateway.address());
    idle.get(1, "/first");
    origin.expect().0.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(idle.response(1).status(), 204);
    let client = Http2::connect(gateway.address());
    goes_gracefully(&gateway, &client, &origin, || gateway.signal("TERM"));
    assert_eq!(idle.end(SOON), Some(Some(code::NO_ERROR)), "an idle connection is told and closed");
    assert!(gateway.wait(SOON).success());
}

#[test]
fn a_listener_that_goes_lets_streams_finish() {
    let origin = Origin::scripted();
    let second = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gateway = Gateway::start(yaml(&origin, &format!("127.0.0.1:0, {second}")));
    let stays = Http2::connect(gateway.address());
    stays.get(1, "/first");
    origin.expect().0.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(stays.response(1).status(), 204);
    let client = Http2::connect(second);
    goes_gracefully(&gateway, &client, &origin, || gateway.reload(&yaml(&origin, "127.0.0.1:0")));
    stays.get(3, "/second");
    origin.expect().0.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(stays.response(3).status(), 204, "the connection of a listener that stays goes on");
    gateway.stop();
}

#[test]
fn reloads_are_noticed_by_no_stream() {
    let origin = Origin::scripted();
    let gateway = gateway_for(&origin);
    let client = Http2::connect(gateway.address());
    client.headers(1, request("POST", "http", "/stream", &[]), false);
    for number in 0..20 {
        gateway.reload(&(yaml(&origin, "127.0.0.1:0") + &format!("# {number}\n")));
        client.data(1, "x", false);
        client.get(2 * number + 3, "/page");
        let page = origin.bell().wait(SOON, || {
            origin.links().into_iter().find(|link| {
                let unread = String::from_utf8_lossy(&link.unread()).into_owned();
                unread.starts_with("GET ") && unread.ends_with("\r\n\r\n")
            })
        });
        let page = page.expect("the request reached the service");
        page.try_take(|unread, _| Some(((), unread.len())));
        page.send("HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(client.response(2 * number + 3).status(), 204);
    }
    client.data(1, "end", true);
    let (link, asked) = origin.expect();
    assert_eq!(asked.text(), "x".repeat(20) + "end");
    link.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response(1).status(), 200);
    gateway.stop();
}

/// The timeout for idle connections holds; a stream that is open is not idle.
#[test]
fn idle_connections_are_ended_with_goaway() {
    let origin = Origin::scripted();
    let gateway = Gateway::start(yaml(&origin, "{ address: 127.0.0.1:0, timeouts: { idle: 1s } }"));
    let client = Http2::connect(gateway.address());
    client.get(1, "/slow");
    let (link, _) = origin.expect();
    let begun = Instant::now();
    wait_until("longer than the timeout has passed", SOON, || begun.elapsed() > Duration::from_millis(1800));
    link.send("HTTP/1.1 204 No Content\r\n\r\n");
    assert_eq!(client.response(1).status(), 204);
    assert_eq!(client.end(SOON), Some(Some(code::NO_ERROR)));
    gateway.stop();
}

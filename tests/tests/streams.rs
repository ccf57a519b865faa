//! Bodies: large ones in little memory, slow readers, and streams that must not wait.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use end_to_end::bulk::{Chunks, check_pattern, read_head, write_pattern};
use end_to_end::message::{Kind, Parsed, parse};
use end_to_end::{Gateway, Origin, SOON, wait_until};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;
/// What a gateway may ever have resident, whatever passes through it.
const MOST_MEMORY: u64 = 25_000_000;

fn gateway_for(origin: &Origin) -> Gateway {
    Gateway::start(format!(
        "listen: 127.0.0.1:0\n\
         services: {{ site: {{ endpoints: [http://{}] }} }}\n\
         routes: [{{ path: /*, service: site }}]\n",
        origin.address()
    ))
}

fn connect(gateway: &Gateway) -> TcpStream {
    let stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

fn memory_was_small(gateway: &Gateway) {
    let peak = gateway.peak_memory();
    assert!(peak < MOST_MEMORY, "the gateway had {peak} bytes resident");
}

#[test]
fn a_download_of_1_gib_passes_in_little_memory() {
    let origin = Origin::raw(|mut stream| {
        read_head(&mut stream).unwrap();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\n\r\n").unwrap();
        write_pattern(&mut stream, 0, GIB, |_| ()).unwrap();
    });
    let gateway = gateway_for(&origin);
    let mut client = connect(&gateway);
    client.write_all(b"GET /big HTTP/1.1\r\nHost: gw.test\r\n\r\n").unwrap();
    let head = read_head(&mut client).unwrap();
    assert!(head.contains(&format!("content-length: {GIB}\r\n")), "{head}");
    check_pattern(&mut client, GIB).unwrap();
    memory_was_small(&gateway);
    drop(client);
    gateway.stop();
}

#[test]
fn an_upload_of_1_gib_passes_in_little_memory() {
    let origin = Origin::raw(|mut stream| {
        let head = read_head(&mut stream).unwrap();
        assert!(head.to_lowercase().contains(&format!("content-length: {GIB}\r\n")), "{head}");
        let verdict =
            check_pattern(&mut stream, GIB).map_or_else(|error| error.to_string(), |()| "whole".into());
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{verdict}", verdict.len()).unwrap();
        let _ = stream.read(&mut [0]);
    });
    let gateway = gateway_for(&origin);
    let mut client = connect(&gateway);
    write!(client, "PUT /big HTTP/1.1\r\nHost: gw.test\r\nContent-Length: {GIB}\r\n\r\n").unwrap();
    write_pattern(&mut client, 0, GIB, |_| ()).unwrap();
    let head = read_head(&mut client).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let mut verdict = [0; 5];
    client.read_exact(&mut verdict).unwrap();
    assert_eq!(&verdict, b"whole");
    memory_was_small(&gateway);
    drop(client);
    gateway.stop();
}

#[test]
fn chunks_pass_in_both_directions() {
    let length = 64 * MIB;
    let origin = Origin::raw(move |mut stream| {
        let head = read_head(&mut stream).unwrap();
        assert!(head.to_lowercase().contains("transfer-encoding: chunked\r\n"), "{head}");
        let mut body = Chunks::new(&stream);
        check_pattern(&mut body, length).unwrap();
        assert_eq!(body.read(&mut [0]).unwrap(), 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        write_in_chunks(&mut stream, length).unwrap();
        let _ = stream.read(&mut [0]);
    });
    let gateway = gateway_for(&origin);
    let mut client = connect(&gateway);
    client.write_all(b"POST / HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    write_in_chunks(&mut client, length).unwrap();
    let head = read_head(&mut client).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("transfer-encoding: chunked\r\n"), "{head}");
    let mut body = Chunks::new(&client);
    check_pattern(&mut body, length).unwrap();
    assert_eq!(body.read(&mut [0]).unwrap(), 0);
    memory_was_small(&gateway);
    drop(client);
    gateway.stop();
}

/// In chunks of odd sizes, many of them small.
fn write_in_chunks(stream: &mut TcpStream, length: u64) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::with_capacity(60_000, stream);
    let sizes = [1u64, 17, 4096, 65_536, 100_003];
    let (mut at, mut number) = (0, 0);
    while at < length {
        let size = sizes[number % sizes.len()].min(length - at);
        write!(out, "{size:x}\r\n")?;
        write_pattern(&mut out, at, at + size, |_| ())?;
        out.write_all(b"\r\n")?;
        (at, number) = (at + size, number + 1);
    }
    out.write_all(b"0\r\n\r\n")?;
    out.flush()
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
fn a_client_that_does_not_read_slows_the_service_down() {
    let length = 512 * MIB;
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let origin = Origin::raw(move |mut stream| {
        read_head(&mut stream).unwrap();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").unwrap();
        let _ = write_pattern(&mut stream, 0, length, |at| counter.store(at, Ordering::Relaxed));
    });
    let gateway = gateway_for(&origin);
    let mut client = connect(&gateway);
    client.write_all(b"GET /big HTTP/1.1\r\nHost: gw.test\r\n\r\n").unwrap();
    let held = settled(&sent);
    // What the kernel's buffers of four sockets take, and no more.
    assert!(held < 40 * MIB, "{held} bytes were taken from the service while the client read nothing");
    memory_was_small(&gateway);
    read_head(&mut client).unwrap();
    check_pattern(&mut client, length).unwrap();
    memory_was_small(&gateway);
    drop(client);
    gateway.stop();
}

#[test]
fn a_service_that_does_not_read_slows_the_client_down() {
    let length = 512 * MIB;
    let (begin, wait) = std::sync::mpsc::sync_channel::<()>(1);
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::raw(move |mut stream| {
        read_head(&mut stream).unwrap();
        wait.lock().unwrap().recv().unwrap();
        check_pattern(&mut stream, length).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        let _ = stream.read(&mut [0]);
    });
    let gateway = gateway_for(&origin);
    let mut client = connect(&gateway);
    write!(client, "PUT /big HTTP/1.1\r\nHost: gw.test\r\nContent-Length: {length}\r\n\r\n").unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let (mut uploading, counter) = (client.try_clone().unwrap(), Arc::clone(&sent));
    let upload = std::thread::spawn(move || {
        write_pattern(&mut uploading, 0, length, |at| counter.store(at, Ordering::Relaxed))
    });
    let held = settled(&sent);
    assert!(held < 40 * MIB, "{held} bytes were taken from the client while the service read nothing");
    memory_was_small(&gateway);
    begin.send(()).unwrap();
    upload.join().unwrap().unwrap();
    assert!(read_head(&mut client).unwrap().starts_with("HTTP/1.1 200 "));
    drop(client);
    gateway.stop();
}

#[test]
fn server_sent_events_pass_byte_for_byte_as_they_come() {
    for chunked in [true, false] {
        let origin = Origin::scripted();
        let gateway = gateway_for(&origin);
        let client = gateway.connect();
        client.send("GET /events HTTP/1.1\r\nHost: gw.test\r\nAccept: text/event-stream\r\n\r\n");
        let (link, _) = origin.expect();
        let coding = if chunked { "Transfer-Encoding: chunked\r\n" } else { "" };
        link.send(format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{coding}\r\n"));
        let text = "data: one\n\n: comment\n\nevent: x\ndata: two\n\n";
        for (index, byte) in text.char_indices() {
            if chunked {
                link.send(format!("1\r\n{byte}\r\n"))
            } else {
                link.send(byte.to_string())
            };
            let wanted = &text[..=index];
            let came = client.wait_for(SOON, |unread, end| match parse(unread, Kind::Response, end) {
                Ok(Parsed::Part(message)) => (message.text() == wanted).then_some(((), 0)),
                _ => None,
            });
            assert!(came.is_some(), "{wanted:?} did not arrive before the next byte was sent");
        }
        if chunked {
            link.send("0\r\n\r\n");
        }
        link.half_close();
        assert_eq!(client.response().text(), text);
        gateway.stop();
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_download_ends_it() {
    let (ended, end) = std::sync::mpsc::sync_channel(1);
    let origin = Origin::raw(move |mut stream| {
        read_head(&mut stream).unwrap();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {GIB}\r\n\r\n").unwrap();
        let outcome = write_pattern(&mut stream, 0, GIB, |_| ());
        ended.send(outcome.is_err()).unwrap();
    });
    let gateway = gateway_for(&origin);
    let mut client = connect(&gateway);
    client.write_all(b"GET /big HTTP/1.1\r\nHost: gw.test\r\n\r\n").unwrap();
    read_head(&mut client).unwrap();
    check_pattern(&mut client, MIB).unwrap();
    drop(client);
    assert_eq!(end.recv_timeout(SOON), Ok(true), "the service could go on sending");
    gateway.stop();
}

/// The time for an answer begins anew with all that the service takes.
#[test]
fn a_service_that_reads_slowly_is_not_late() {
    let length = 64 * MIB;
    // Never written to: it paces the service, and ends it early when the test is over.
    let (running, pace) = std::sync::mpsc::sync_channel::<()>(0);
    let pace = std::sync::Mutex::new(pace);
    let origin = Origin::raw(move |mut stream| {
        socket2::SockRef::from(&stream).set_recv_buffer_size(256 * 1024).unwrap();
        read_head(&mut stream).unwrap();
        let mut left = length;
        while left > 0 {
            let piece = (4 * MIB).min(left);
            left -= std::io::copy(&mut (&stream).take(piece), &mut std::io::sink()).unwrap();
            let over = pace.lock().unwrap().recv_timeout(Duration::from_millis(150));
            if over == Err(std::sync::mpsc::RecvTimeoutError::Disconnected) {
                return;
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        let _ = stream.read(&mut [0]);
    });
    let gateway = Gateway::start(format!(
        "listen: 127.0.0.1:0\n\
         services: {{ site: {{ endpoints: [http://{}], timeouts: {{ response: 1s }} }} }}\n\
         routes: [{{ path: /*, service: site }}]\n",
        origin.address()
    ));
    let mut client = connect(&gateway);
    let started = Instant::now();
    write!(client, "PUT /big HTTP/1.1\r\nHost: gw.test\r\nContent-Length: {length}\r\n\r\n").unwrap();
    let _ = write_pattern(&mut client, 0, length, |_| ()); // a gateway that gives up says so in its answer
    let head = read_head(&mut client).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(started.elapsed() > Duration::from_secs(2), "that was not slow: {:?}", started.elapsed());
    drop((running, client));
    gateway.stop();
}

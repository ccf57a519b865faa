//! Clients that take their time: they are cut off, and nobody else notices them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use end_to_end::bulk::{read_head, write_pattern};
use end_to_end::{Client, Gateway, Origin, SOON, wait_until};

const PACE: Duration = Duration::from_millis(50);

fn gateway_with(listener: &str, origin: &Origin) -> Gateway {
    Gateway::start(format!(
        "listen: [{{ address: 127.0.0.1:0, {listener} }}]\n\
         services: {{ site: {{ endpoints: [http://{}] }} }}\n\
         routes: [{{ path: /*, service: site }}]\n",
        origin.address()
    ))
}

/// Another client, who must be served as if nothing was.
fn canary(gateway: &Gateway) {
    let started = Instant::now();
    let response = gateway.connect().get("/canary");
    assert_eq!(response.status(), 200);
    assert!(started.elapsed() < Duration::from_secs(1), "others wait: {:?}", started.elapsed());
}

#[test]
fn a_head_that_drips_is_cut_off_by_the_total_time() {
    let origin = Origin::saying("ok");
    let gateway = gateway_with("timeouts: { header: 1s }", &origin);
    let client = gateway.connect();
    let started = Instant::now();
    let mut head = b"GET / HTTP/1.1\r\nHost: gw.test\r\nX: ".iter().chain(std::iter::repeat(&b'a'));
    loop {
        client.send([*head.next().unwrap()]);
        if client.wait_end(PACE).is_some() || !client.unread().is_empty() {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(4), "it may go on for ever");
    }
    assert!(started.elapsed() > Duration::from_millis(800), "cut off too early");
    assert_eq!(client.response().status(), 408);
    canary(&gateway);
    gateway.stop();
}

#[test]
fn hundreds_of_half_heads_hurt_nobody() {
    let origin = Origin::saying("ok");
    let gateway = gateway_with("timeouts: { header: 2s }", &origin);
    let slow: Vec<Client> = (0..300).map(|_| gateway.connect()).collect();
    for client in &slow {
        client.send("GET / HTTP/1.1\r\nHost: gw");
    }
    for _ in 0..20 {
        canary(&gateway);
    }
    for client in &slow {
        assert_eq!(client.response().status(), 408);
    }
    canary(&gateway);
    let peak = gateway.peak_memory();
    assert!(peak < 25_000_000, "{peak} bytes for 300 half heads");
    drop(slow);
    gateway.stop();
}

#[test]
fn a_body_that_drips_is_cut_off_by_its_rate() {
    let origin = Origin::scripted();
    let gateway = gateway_with("limits: { min_rate: 2000 }, timeouts: { body: 1s }", &origin);
    let client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 1000000\r\n\r\n");
    let started = Instant::now();
    loop {
        client.send([b'a'; 10]); // 200 bytes per second
        if client.wait_end(PACE).is_some() || !client.unread().is_empty() {
            break;
        }
        assert!(started.elapsed() < SOON, "it may go on for ever");
    }
    assert_eq!(client.response().status(), 408);
    let links = origin.links();
    assert!(links.iter().all(|link| link.wait_end(SOON).is_some()), "the service still waits");
    gateway.stop();
}

#[test]
fn a_body_that_is_slow_but_fast_enough_passes() {
    let origin = Origin::saying("ok");
    let gateway = gateway_with("limits: { min_rate: 1000 }, timeouts: { body: 1s }", &origin);
    let client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 6000\r\n\r\n");
    for _ in 0..40 {
        assert!(client.send([b'a'; 150])); // 3000 bytes per second, for twice the time of silence allowed
        assert!(client.wait_end(PACE).is_none());
    }
    assert_eq!(client.response().status(), 200);
    gateway.stop();
}

#[test]
fn a_client_that_does_not_read_is_cut_off() {
    let (ended, end) = std::sync::mpsc::sync_channel(1);
    let origin = Origin::raw(move |mut stream| {
        let Ok(head) = read_head(&mut stream) else { return };
        if head.starts_with("GET /canary") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
            return;
        }
        let length = 1u64 << 32;
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").unwrap();
        ended.send(write_pattern(&mut stream, 0, length, |_| ()).is_err()).unwrap();
    });
    let gateway = gateway_with("timeouts: { send: 1s }", &origin);
    let mut client = TcpStream::connect(gateway.address()).unwrap();
    client.write_all(b"GET /big HTTP/1.1\r\nHost: gw.test\r\n\r\n").unwrap();
    canary(&gateway);
    assert_eq!(end.recv_timeout(Duration::from_secs(15)), Ok(true), "the service is held for ever");
    canary(&gateway);
    drop(client);
    gateway.stop();
}

#[test]
fn an_idle_connection_costs_little() {
    let origin = Origin::saying("ok");
    let gateway = gateway_with("timeouts: { idle: 60s }", &origin);
    canary(&gateway);
    let before = gateway.peak_memory();
    // Plain streams: this is about the gateway's memory, and threads of ours are not free either.
    let idle: Vec<TcpStream> = (0..1000)
        .map(|_| {
            let mut stream = TcpStream::connect(gateway.address()).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n").unwrap();
            read_head(&mut stream).unwrap();
            stream
        })
        .collect();
    let each = (gateway.peak_memory() - before) / idle.len() as u64;
    // 1.3 KiB, and what a thousandth of the rest of the process has grown by.
    assert!(each <= 2560, "{each} bytes for each idle connection");
    drop(idle);
    gateway.stop();
}

#[test]
fn who_asks_for_much_and_reads_late_gets_all_of_it_in_order() {
    ask_for_much_and_read_late(true);
}

#[test]
fn who_asks_for_much_and_half_closes_gets_all_of_it_too() {
    ask_for_much_and_read_late(false);
}

/// The last request `says_so` that it is the last one, or the client closes its direction behind it.
fn ask_for_much_and_read_late(says_so: bool) {
    const COUNT: usize = 20_000;
    let origin = Origin::serving(|request| {
        let body = format!("{:1000}", request.target());
        Some(format!("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{body}").into_bytes())
    });
    let gateway = gateway_with("timeouts: { send: 20s, idle: 20s }", &origin);
    let stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let asked = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..COUNT {
                let last = if says_so && number + 1 == COUNT { "Connection: close\r\n" } else { "" };
                // As long as the answer, so that the buffers of the system fill on both sides.
                let request =
                    format!("GET /{number} HTTP/1.1\r\nHost: gw.test\r\nX: {:1000}\r\n{last}\r\n", 'x');
                (&stream).write_all(request.as_bytes()).unwrap();
                asked.store(number + 1, Ordering::Relaxed);
            }
            if !says_so {
                stream.shutdown(Shutdown::Write).unwrap();
            }
        });
        let mut seen = (0, Instant::now());
        wait_until("the gateway takes no more requests", SOON, || {
            let now = asked.load(Ordering::Relaxed);
            if now != seen.0 {
                seen = (now, Instant::now());
            }
            now > 0 && seen.1.elapsed() > Duration::from_millis(300)
        });
        assert!(asked.load(Ordering::Relaxed) < COUNT, "nothing stopped it");
        canary(&gateway);
        let mut answers = BufReader::new(&stream);
        let mut body = [0; 1000];
        for number in 0..COUNT {
            let mut line = String::new();
            answers.read_line(&mut line).unwrap();
            assert_eq!(line, "HTTP/1.1 200 OK\r\n", "{number}");
            while line != "\r\n" {
                line.clear();
                answers.read_line(&mut line).unwrap();
            }
            answers.read_exact(&mut body).unwrap();
            assert_eq!(std::str::from_utf8(&body).unwrap().trim_end(), format!("/{number}"));
        }
        assert_eq!(answers.read(&mut body).unwrap(), 0, "and then the end");
    });
    gateway.stop();
}

//! Answers that are none, that come too early, or that come in a strange order.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use end_to_end::bulk::read_head;
use end_to_end::fault_proxy::{Faults, Outcome, Stand, Then, Way, outcome};
use end_to_end::message::Kind;
use end_to_end::{Bell, Link, Origin, SOON};

use crate::{GET, PROMPT, answering};

/// What stands behind `HTTP/1.1 200 OK` and is no head, each with an empty line or without an end.
const HEADS: [&str; 22] = [
    "Content-Length : 4\r\n\r\nevil",
    "Content-Length\r\n\r\nevil",
    ": empty\r\nContent-Length: 4\r\n\r\nevil",
    "X Y: z\r\nContent-Length: 4\r\n\r\nevil",
    " X: folded\r\nContent-Length: 4\r\n\r\nevil",
    "X: a\r\n folded\r\nContent-Length: 4\r\n\r\nevil",
    "X: a\0b\r\nContent-Length: 4\r\n\r\nevil",
    "X: a\nSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n",
    "Content-Length: -4\r\n\r\nevil",
    "Content-Length: +4\r\n\r\nevil",
    "Content-Length: 4 4\r\n\r\nevil",
    "Content-Length: 4, 4\r\n\r\nevil",
    "Content-Length: 0x4\r\n\r\nevil",
    "Content-Length: \r\n\r\nevil",
    "Content-Length: 18446744073709551620\r\n\r\nevil",
    "Content-Length: 4\r\nContent-Length: 4\r\n\r\nevil",
    "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked, chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
    "Transfer-Encoding: xchunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
    "Transfer-Encoding: identity\r\nContent-Length: 4\r\n\r\nevil",
    "Transfer-Encoding: chunked\0\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
];

/// Whole answers that are none.
const ANSWERS: [&str; 17] = [
    "\x15\x03\x01\0\x02\x02\x46",
    "\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\x04\0\x10\0\0\0\x06\0\x01\0\0",
    "<html>evil</html>\r\n\r\n",
    "evil",
    "\r\n\r\n\r\n",
    "ICY 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "HTTP/2 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "http/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "HTTP/1.1  200 OK\r\nContent-Length: 4\r\n\r\nevil",
    "HTTP/1.1 200OK\r\nContent-Length: 4\r\n\r\nevil",
    "HTTP/1.1 20 OK\r\nContent-Length: 4\r\n\r\nevil",
    "HTTP/1.1 2000 OK\r\nContent-Length: 4\r\n\r\nevil",
    "HTTP/1.1 099 OK\r\nContent-Length: 4\r\n\r\nevil",
    "HTTP/1.1 -20 OK\r\nContent-Length: 4\r\n\r\nevil",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",
    "GET /evil HTTP/1.1\r\nHost: gw.test\r\n\r\n",
];

/// Chunks that are none, behind a good one.
const CHUNKS: [&str; 14] = [
    "-4\r\nevil\r\n0\r\n\r\n",
    "+4\r\nevil\r\n0\r\n\r\n",
    "0x4\r\nevil\r\n0\r\n\r\n",
    " 4\r\nevil\r\n0\r\n\r\n",
    "\r\nevil\r\n0\r\n\r\n",
    "4\nevil\r\n0\r\n\r\n",
    "4;a\nevil\r\n0\r\n\r\n",
    "4\revil\r\n0\r\n\r\n",
    "g\r\nevil\r\n0\r\n\r\n",
    "10000000000000004\r\nevil\r\n0\r\n\r\n",
    "2\r\nokXX0\r\n\r\n",
    "2\r\nok\n0\r\n\r\n",
    "0\r\nX evil\r\n\r\n",
    "0\r\n: evil\r\n\r\n",
];

/// RFC 9110 §15.6.3. Nothing of what is not HTTP/1.1 reaches a client, and nothing behind it counts.
#[test]
fn what_is_no_answer_is_a_bad_gateway() {
    let long = |text: &str, times: usize| text.repeat(times);
    let mut answers: Vec<Vec<u8>> = ANSWERS.iter().map(|text| text.bytes().collect()).collect();
    answers.extend(HEADS.iter().map(|rest| format!("HTTP/1.1 200 OK\r\n{rest}").into_bytes()));
    for rest in [
        long("X: y\r\n", 300) + "\r\n",
        format!("X: {}\r\n\r\n", long("y", 100_000)),
        long("X: y\r\n", 50_000),
        long("y", 200_000),
    ] {
        answers.push(format!("HTTP/1.1 200 OK\r\n{rest}").into_bytes());
    }
    let broken = answers.len();
    let mut chunks: Vec<String> = CHUNKS.iter().map(|rest| (*rest).to_owned()).collect();
    chunks.extend([
        format!("4;{}\r\nevil\r\n0\r\n\r\n", long("x", 100_000)),
        long("0", 100_000) + "4\r\nevil\r\n0\r\n\r\n",
        "4;".to_owned() + &long("x", 100_000),
        format!("0\r\nX: {}\r\n\r\n", long("y", 200_000)),
        "0\r\n".to_owned() + &long("X: y\r\n", 20_000) + "\r\n",
    ]);
    answers.extend(chunks.iter().map(|rest| {
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n{rest}").into_bytes()
    }));
    let (count, by_number) = (answers.len(), answers.clone());
    let origin = answering(move |request| by_number[request.target()[1..].parse::<usize>().unwrap()].clone());
    let stand = Stand::before(origin.address(), "");
    for (number, answer) in (0..count).zip(&answers) {
        let shown: String = answer.iter().take(90).map(|byte| char::from(*byte)).collect();
        let faults = Faults::after_response(answer.len() as u64, Then::HalfClose);
        let (started, asked) = (Instant::now(), origin.count());
        let told = stand.ask_under(faults, &format!("GET /{number} HTTP/1.1\r\nHost: gw.test\r\n\r\n"));
        let right = told.status() == 502 || (number >= broken && told.is_broken());
        assert!(right && !format!("{told:?}").contains("evil"), "{shown:?}: {told:?}");
        assert!(started.elapsed() < PROMPT, "{shown:?}: {:?}", started.elapsed());
        assert_eq!(origin.count() - asked, 1, "{shown:?}: what is broken is not asked for again");
        stand.canary(&shown);
    }
    stand.gateway.stop();
}

/// RFC 9112 §6.3, §9.2: what must not have a body has none, and what comes behind it is nobody's answer, whether it
/// comes at once or when the connection is unused.
#[test]
fn what_comes_where_no_body_may_be_is_dropped() {
    for (method, head, surplus) in [
        ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\n", "evil"),
        ("GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\nevil\r\n0\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n", "evil"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\nevil\r\n0\r\n\r\n"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nX: evil\r\n\r\n"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", "evil"),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\nevil\r\n0\r\n\r\n"),
        ("HEAD", "HTTP/1.1 404 Not Found\r\n\r\n", "evil"),
    ] {
        let origin = answering(move |_| [head, surplus].concat().into_bytes());
        let stand = Stand::before(origin.address(), "");
        for way in [Way::default(), Way::trickle(head.len(), Duration::from_millis(40))] {
            let what = format!("{surplus:?} behind {head:?} to {method}");
            stand.proxy.end_all(Then::Close);
            stand.proxy.set(Faults { response: way, ..Faults::default() });
            let client = stand.gateway.connect();
            client.send(format!("{method} /a HTTP/1.1\r\nHost: gw.test\r\n\r\n"));
            let answer = client.read(Kind::Bodiless, SOON).unwrap();
            assert_eq!(Ok(answer.status()), head[9..12].parse(), "{what}: {answer}");
            let passage = stand.proxy.passages().pop().unwrap();
            assert!(passage.wait_end(SOON).is_some(), "{what}: the connection is kept");
            assert_eq!(client.unread(), b"", "{what}");
            stand.canary(&what);
        }
        stand.gateway.stop();
    }
}

const EXPECTING: &str =
    "POST /a HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What a service says before the body, and behind it. A canary is answered with its target.
fn continuing(before: &'static str, behind: &'static str) -> Origin {
    Origin::raw(move |stream| {
        let link = Link::new(stream, &Bell::default());
        while let Ok(head) = link.read(Kind::Head, SOON) {
            let target = head.target();
            if target.starts_with("/canary/") {
                link.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len()));
                continue;
            }
            link.send(before);
            if head.field("content-length").is_some() && link.wait_text("hello").is_none() {
                return;
            }
            link.send(behind);
            if !behind.ends_with("ok") {
                return link.close();
            }
        }
    })
}

/// RFC 9110 §10.1.1, §15.2. Each row: what comes before the body, what comes behind it, what the client is told.
#[test]
fn strange_continues() {
    let many = CONTINUE.repeat(99);
    let many: &'static str = many.leak();
    for (before, behind, status) in [
        (CONTINUE, OK, 200),
        ("", OK, 200),
        ("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n", OK, 200),
        ("HTTP/1.1 100 \r\n\r\nHTTP/1.1 100\r\n\r\n", OK, 200),
        ("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n", OK, 200),
        (CONTINUE, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200),
        (many, OK, 502),
        (CONTINUE, "", 502),
        (CONTINUE, CONTINUE, 502),
        ("", "", 502),
        ("HTTP/1.1 100 Continue\r\nX\r\n\r\n", OK, 502),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", OK, 502),
    ] {
        let origin = continuing(before, behind);
        let stand = Stand::before(origin.address(), "");
        for (request, patient) in [(GET, false), (EXPECTING, true), (EXPECTING, false)] {
            for way in [Way::default(), Way::trickle(5, Duration::from_millis(1))] {
                if before.len() > 1000 && way.piece == 5 {
                    continue;
                }
                let what = format!("{before:?}, then {behind:?} to {request:?}");
                stand.proxy.set_all(Faults { response: way, ..Faults::default() });
                let client = stand.gateway.connect();
                client.send(request);
                let asked = before.starts_with("HTTP/1.1 100") && status == 200;
                if request != GET {
                    if patient && asked {
                        let first = client.response();
                        assert_eq!(first.status(), 100, "{what}: {first}");
                    }
                    client.send("hello");
                }
                let told = outcome(&client);
                assert_eq!(told.status(), status, "{what}: {told:?}");
                assert!(status != 200 || told.text() == "ok", "{what}: {told:?}");
                stand.canary(&what);
                stand.proxy.end_all(Then::Close);
            }
        }
        stand.gateway.stop();
    }
}

/// The client waits for the service, so it is the service that is late.
#[test]
fn a_continue_that_never_comes_is_the_services_fault() {
    let origin = continuing("", OK);
    let stand = Stand::before(origin.address(), ", timeouts: { response: 1s }");
    for faults in [
        Faults::black_hole(),
        Faults::after_response(0, Then::Stall),
        Faults { response: Way::until(12, Then::Stall), ..Faults::default() },
    ] {
        let started = Instant::now();
        let told = stand.ask_under(faults, EXPECTING);
        assert!(told.is_fault(504, "response-timeout"), "{:?}: {told:?}", started.elapsed());
        assert!(started.elapsed() < PROMPT, "{:?}", started.elapsed());
        stand.proxy.end_all(Then::Close);
        stand.canary("a continue that never came");
        stand.proxy.end_all(Then::Close);
    }
    stand.gateway.stop();
}

/// A service that answers when it has read a head, and then leaves in some way.
fn too_large(leave: fn(&mut TcpStream)) -> Origin {
    Origin::raw(move |mut stream| {
        while let Ok(head) = read_head(&mut stream) {
            let target = head.split(' ').nth(1).unwrap().to_owned();
            if target.starts_with("/canary/") {
                let length = target.len();
                write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{target}").unwrap();
                continue;
            }
            stream.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 5\r\n\r\nlarge").unwrap();
            return leave(&mut stream);
        }
    })
}

/// RFC 9112 §9.5: the answer to an upload that nobody wants any more. A reset may overtake it.
#[test]
fn an_answer_in_the_middle_of_an_upload() {
    let reads_on: fn(&mut TcpStream) = |stream| drop(std::io::copy(stream, &mut std::io::sink()));
    let closes: fn(&mut TcpStream) = |stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        drop(std::io::copy(stream, &mut std::io::sink()));
    };
    let resets: fn(&mut TcpStream) = |_| ();
    let (none, stall) = (Faults::default(), Faults::after_request(20_000, Then::Stall));
    for (what, leave, faults, may_be_lost) in [
        ("it reads on", reads_on, none, false),
        ("it closes and reads on", closes, none, false),
        ("it reads no more", reads_on, stall, false),
        ("it closes and reads no more", closes, stall, false),
        ("it closes with bytes unread", resets, none, true),
    ] {
        let origin = too_large(leave);
        let stand = Stand::before(origin.address(), "");
        for length in [100, 8_000_000] {
            stand.proxy.set_all(faults);
            let started = Instant::now();
            let told = upload(&stand, length);
            let lost = may_be_lost && told.is_fault(502, "upstream-reset");
            assert!(told.status() == 413 || lost, "{what}, {length} bytes: {told:?}");
            assert!(started.elapsed() < PROMPT, "{what}, {length} bytes: {:?}", started.elapsed());
            stand.canary(what);
        }
        stand.gateway.stop();
    }
}

/// Sends a head, and half of a body for as long as it is taken.
fn upload(stand: &Stand, length: usize) -> Outcome {
    let client = stand.gateway.connect();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            client.send(format!("POST /a HTTP/1.1\r\nHost: gw.test\r\nContent-Length: {length}\r\n\r\n"));
            client.send(vec![b'x'; length / 2]);
        });
        let told = outcome(&client);
        assert!(client.wait_end(SOON).is_some(), "the rest of the body is no request");
        client.close();
        sender.join().unwrap();
        told
    })
}

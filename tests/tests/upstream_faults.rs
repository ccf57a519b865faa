//! Services and networks that fail in the middle of something: what clients get, and that nobody pays for it afterwards.
//!
//! Every fault is followed by a canary: innocent requests that must get their own answers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

#[path = "upstream_faults/answers.rs"]
mod answers;
#[path = "upstream_faults/services.rs"]
mod services;

use std::time::{Duration, Instant};

use end_to_end::failing::Failing;
use end_to_end::fault_proxy::{Faults, Outcome, Stand, Then, Way, outcome};
use end_to_end::{Message, Origin, QUIET, SOON, wait_until};

const GET: &str = "GET /a HTTP/1.1\r\nHost: gw.test\r\n\r\n";
const OLD_GET: &str = "GET /a HTTP/1.0\r\nHost: gw.test\r\n\r\n";
const POST: &str = "POST /a HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 10\r\n\r\n0123456789";
const CHUNKED_POST: &str = "POST /a HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n";
/// [`Failing`] answers it with a head of 60 bytes and a body of 16.
const LONG_GET: &str = "GET /a/longer/answer HTTP/1.1\r\nHost: gw.test\r\n\r\n";
const IN_BODY: u64 = 63;
const LARGE: usize = 8_000_000;
/// Nothing is tried again but what a kept connection may have lost.
const ONCE: &str = ", retries: { attempts: 0 }";
/// The same, and no connection is kept.
const FRESH: &str = ", retries: { attempts: 0 }, connections: { idle: 0 }";
/// Sooner than any timeout that is not set in a test.
const PROMPT: Duration = Duration::from_secs(5);

const PLAIN: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                       4;x=y\r\n0123\r\n6\r\n456789\r\n0\r\nX-Sum: 1\r\n\r\n";
const UNTIL_CLOSE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n0123456789";

/// Answers canaries, and everything else with bytes made for it.
fn answering(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Origin {
    Origin::serving(move |request| {
        let target = request.target();
        Some(if target.starts_with("/canary/") {
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len()).into_bytes()
        } else {
            answer(request)
        })
    })
}

/// Whether a client may be told this where `answer` was ended after `bytes` bytes.
fn is_safe(told: &Outcome, answer: &str, bytes: usize, then: Then) -> bool {
    let head = answer.find("\r\n\r\n").unwrap() + 4;
    let by_end = answer == UNTIL_CLOSE;
    // A reset may overtake what was sent before it.
    let overtaken = then == Then::Reset;
    match told {
        Outcome::Whole(message) if message.status() == 502 => bytes < head || overtaken,
        Outcome::Whole(message) if by_end => then == Then::Close && message.text() == answer[head..bytes],
        Outcome::Whole(message) => bytes == answer.len() && message.text() == "0123456789",
        broken => broken.is_broken() && bytes >= head && (overtaken || !(by_end || bytes == answer.len())),
    }
}

/// RFC 9112 §8. The end comes behind any byte of a body and many of a head, on fresh and on kept connections.
#[test]
fn an_answer_that_breaks_off_never_looks_whole() {
    for (answer, rest) in
        [(PLAIN, ONCE), (CHUNKED, ONCE), (UNTIL_CLOSE, ONCE), (PLAIN, FRESH), (CHUNKED, FRESH)]
    {
        let origin = answering(|_| answer.into());
        let stand = Stand::before(origin.address(), rest);
        stand.canary("nothing");
        let head = answer.find("\r\n\r\n").unwrap();
        for then in [Then::Close, Then::Reset] {
            for bytes in (1..=answer.len()).filter(|bytes| bytes % 6 == 1 || *bytes > head) {
                let what = format!("{then:?} behind {bytes} bytes of {answer:?}");
                let (before, asked) = (origin.count(), if bytes % 5 == 0 { OLD_GET } else { GET });
                let told = stand.ask_under(Faults::after_response(bytes as u64, then), asked);
                assert!(is_safe(&told, answer, bytes, then), "{what}: {told:?}");
                // What was begun is not asked for again; after a reset that overtakes everything nothing was begun.
                let most = if then == Then::Reset && rest == ONCE { 2 } else { 1 };
                assert!((1..=most).contains(&(origin.count() - before)), "{what}");
                stand.canary(&what);
            }
        }
        stand.gateway.stop();
    }
}

/// The end comes behind every few bytes of a request. Nobody knows what the service has seen, so it is sent once only.
#[test]
fn a_request_that_breaks_off_is_sent_once() {
    let service = Failing::named("a");
    let stand = Stand::before(service.address(), FRESH);
    for request in [GET, POST, CHUNKED_POST] {
        assert_eq!(stand.ask_under(Faults::default(), request).status(), 200);
        let passage = stand.proxy.passages().pop().unwrap();
        wait_until("all is counted", SOON, || passage.is_over());
        let length = passage.requested();
        for then in [Then::Close, Then::Reset, Then::HalfClose] {
            let near_the_end = |bytes: &u64| bytes % 16 == 1 || bytes + 12 > length;
            for bytes in (1..=length).filter(near_the_end) {
                let what = format!("{then:?} behind {bytes} of {length} bytes of {request:?}");
                let (connections, before) = (stand.proxy.count(), service.count());
                let told = stand.ask_under(Faults::after_request(bytes, then), request);
                let came = bytes == length && told.status() == 200;
                assert!(came || told.is_fault(502, "upstream-reset"), "{what}: {told:?}");
                assert_eq!(stand.proxy.count() - connections, 1, "{what}");
                assert!(service.count() - before <= u64::from(bytes == length), "{what}");
                stand.canary(&what);
            }
        }
    }
    stand.gateway.stop();
}

/// RFC 9110 §9.2.2: what is idempotent, and of which no body is gone, is sent once more; nothing else is.
#[test]
fn a_connection_that_ends_as_it_is_used_again_costs_no_safe_request() {
    let service = Failing::named("a");
    let stand = Stand::before(service.address(), ONCE);
    for (method, rest, repeated) in [
        ("GET", "\r\n", true),
        ("OPTIONS", "\r\n", true),
        ("DELETE", "\r\n", true),
        ("PUT", "Content-Length: 0\r\n\r\n", true),
        ("POST", "Content-Length: 0\r\n\r\n", false),
        ("POST", "Content-Length: 2\r\n\r\nhi", false),
        ("PATCH", "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", false),
    ] {
        for (then, seen) in
            [Then::Close, Then::Reset].into_iter().flat_map(|then| [(then, false), (then, true)])
        {
            let what = format!("{then:?} of a kept connection, {method}, seen by the service: {seen}");
            stand.canary(&what);
            let (connections, before) = (stand.proxy.count(), service.count());
            let passage = stand.proxy.open().pop().expect("a connection is kept");
            passage.set(if seen {
                Faults::after_response(0, Then::Stall)
            } else {
                Faults::after_request(1, then)
            });
            let client = stand.gateway.connect();
            client.send(format!("{method} /again HTTP/1.1\r\nHost: gw.test\r\n{rest}"));
            if seen {
                wait_until("the service has it", SOON, || service.count() > before);
                passage.end(then);
            }
            let told = outcome(&client);
            if repeated {
                assert_eq!((told.status(), &told.text()[..]), (200, "/again"), "{what}: {told:?}");
            } else {
                assert!(told.is_fault(502, "upstream-reset"), "{what}: {told:?}");
            }
            let sent = u64::from(seen) + u64::from(repeated);
            assert_eq!(service.count() - before, sent, "{what}");
            assert_eq!(stand.proxy.count() - connections, usize::from(repeated), "{what}");
        }
    }
    stand.gateway.stop();
}

#[test]
fn of_many_dead_connections_one_is_tried_and_then_a_new_one() {
    let service = Failing::named("a");
    let stand = Stand::before(service.address(), ONCE);
    for (then, fresh_too) in
        [(Then::Close, false), (Then::Reset, false), (Then::Close, true), (Then::Reset, true)]
    {
        service.pause();
        let clients = [(); 4].map(|()| stand.gateway.connect());
        clients.iter().for_each(|client| assert!(client.send(GET)));
        wait_until("all wait for their answers", SOON, || service.waiting() == 4);
        service.resume();
        clients.iter().for_each(|client| assert_eq!(client.response().status(), 200));
        let (kept, before) = (stand.proxy.count(), service.count());
        stand.proxy.open().iter().for_each(|passage| passage.set(Faults::after_request(1, then)));
        stand.proxy.set(if fresh_too { Faults::after_request(1, then) } else { Faults::default() });
        let client = stand.gateway.connect();
        client.send(GET);
        let told = outcome(&client);
        assert_eq!(told.status(), if fresh_too { 502 } else { 200 }, "{told:?}");
        assert_eq!(stand.proxy.count() - kept, 1, "as many new connections as it may take");
        assert_eq!(service.count() - before, u64::from(!fresh_too));
        stand.proxy.end_all(Then::Close);
        stand.canary("dead connections");
    }
    stand.gateway.stop();
}

/// A race on purpose: whatever comes first, the end or the next request.
#[test]
fn a_connection_that_ends_unused_costs_no_get_and_repeats_no_post() {
    let service = Failing::named("a");
    let stand = Stand::before(service.address(), ONCE);
    for then in [Then::Close, Then::Reset, Then::HalfClose] {
        stand.canary("nothing");
        stand.proxy.end_all(then);
        // Once the gateway knows, it does not even begin.
        stand.wait_closed(&format!("a connection after {then:?}"));
        assert_eq!(stand.ask_under(Faults::default(), POST).status(), 200, "{then:?}");
        for round in 0..60 {
            let (request, seen) = (if round % 2 == 0 { GET } else { POST }, service.count());
            stand.canary("a race");
            assert_eq!(service.count() - seen, 2);
            stand.proxy.end_all(then);
            let told = stand.ask_under(Faults::default(), request);
            let sent = service.count() - seen - 2;
            let right = match request {
                GET => told.status() == 200 && (1..=2).contains(&sent),
                _ if told.status() == 200 => sent == 1,
                _ => told.is_fault(502, "upstream-reset") && sent <= 1,
            };
            assert!(right, "{then:?} in round {round}, sent {sent} times: {told:?}");
        }
    }
    stand.gateway.stop();
}

/// A FIN of the service, which goes on reading.
#[test]
fn a_service_that_half_closes_is_not_waited_for() {
    let body = PLAIN.find("\r\n\r\n").unwrap() + 4;
    for (answer, bytes, whole) in [
        (PLAIN, 0, false),
        (PLAIN, 20, false),
        (PLAIN, body + 3, false),
        (PLAIN, PLAIN.len(), true),
        (CHUNKED, CHUNKED.len(), true),
        (UNTIL_CLOSE, UNTIL_CLOSE.len(), true),
    ] {
        let origin = answering(|_| answer.into());
        let stand = Stand::before(origin.address(), "");
        for request in [GET, POST] {
            let what = format!("a half-close behind {bytes} bytes of {answer:?}");
            let started = Instant::now();
            let told = stand.ask_under(Faults::after_response(bytes as u64, Then::HalfClose), request);
            assert_eq!(
                (told.status() == 200, told.text() == "0123456789"),
                (whole, whole),
                "{what}: {told:?}"
            );
            assert!(whole || told.status() == 502 || told.is_broken(), "{what}: {told:?}");
            assert!(started.elapsed() < PROMPT, "{what}");
            let passage = stand.proxy.passages().pop().unwrap();
            assert!(passage.wait_end(SOON).is_some(), "{what}: the gateway keeps it");
            stand.wait_closed(&what);
            stand.canary(&what);
            stand.proxy.end_all(Then::Close);
        }
        stand.gateway.stop();
    }
}

/// A service that accepts and takes nothing, gives nothing, or stops in the middle. Nothing of it is used again.
#[test]
fn what_stands_still_is_given_up_in_time() {
    let large =
        format!("PUT /a HTTP/1.1\r\nHost: gw.test\r\nContent-Length: {LARGE}\r\n\r\n{}", "x".repeat(LARGE));
    let late = |told: &Outcome| told.is_fault(504, "response-timeout");
    let cut = |told: &Outcome| told.cut() == 200;
    let rows = [
        ("a black hole", Faults::black_hole(), GET, late as Judge),
        ("a black hole for a body", Faults::black_hole(), POST, late),
        ("a black hole for a large body", Faults::black_hole(), &large, late),
        ("half a request", Faults::after_request(30, Then::Stall), GET, late),
        ("half a large body", Faults::after_request(100_000, Then::Stall), &large, late),
        ("no answer", Faults::after_response(0, Then::Stall), GET, late),
        ("half a head", Faults::after_response(20, Then::Stall), GET, late),
        ("no answer to a large body", Faults::after_response(0, Then::Stall), &large, late),
        ("half a body", Faults::after_response(IN_BODY, Then::Stall), LONG_GET, cut),
    ];
    // They do nothing but wait, so they wait together.
    std::thread::scope(|scope| {
        for (what, faults, request, right) in rows {
            scope.spawn(move || stand_still(what, faults, request, right));
        }
    });
}

/// Whether a client may be told this.
type Judge = fn(&Outcome) -> bool;

fn stand_still(what: &str, faults: Faults, request: &str, right: Judge) {
    let service = Failing::named("a");
    let stand = Stand::before(service.address(), ", timeouts: { response: 1s, stream: 1s }");
    stand.proxy.set(faults);
    let started = Instant::now();
    let client = stand.gateway.connect();
    let told = std::thread::scope(|scope| {
        // On a thread of its own: who is not read from cannot send.
        scope.spawn(|| client.send(request));
        let told = outcome(&client);
        client.close();
        told
    });
    let took = started.elapsed();
    assert!(right(&told), "{what}: {told:?}");
    assert!(took >= Duration::from_millis(800) && took < PROMPT, "{what}: {took:?}");
    stand.wait_closed(what);
    stand.canary(what);
    stand.gateway.stop();
}

#[test]
fn what_comes_late_and_in_time_is_as_good_as_any() {
    let service = Failing::named("a");
    let stand = Stand::before(service.address(), FRESH);
    let trickle = Way::trickle(3, Duration::from_millis(2));
    for (what, faults) in [
        ("late", Faults::late(Duration::from_millis(100))),
        ("in pieces", Faults { request: trickle, response: trickle }),
    ] {
        for request in [GET, POST, CHUNKED_POST] {
            let told = stand.ask_under(faults, request);
            assert_eq!((told.status(), &told.text()[..]), (200, "/a"), "{what}: {told:?}");
            stand.canary(what);
        }
    }
    for bytes in [0, 20, IN_BODY] {
        stand.proxy.set_all(Faults::after_response(bytes, Then::Stall));
        let client = stand.gateway.connect();
        client.send(LONG_GET);
        let passage =
            || stand.proxy.open().into_iter().find(|one| one.responded() >= bytes && one.requested() > 0);
        wait_until("it stands still", SOON, || passage().is_some());
        assert_eq!(client.wait_end(QUIET), None);
        stand.proxy.set_all(Faults::default());
        assert_eq!(outcome(&client).text(), "/a/longer/answer", "after a stall behind {bytes} bytes");
        stand.canary("a stall that was lifted");
    }
    stand.gateway.stop();
}

/// Bytes that come are no reason to wait for ever.
#[test]
fn a_service_that_trickles_for_ever_is_given_up_in_time() {
    let hint = "HTTP/1.1 103 Early Hints\r\n\r\n";
    let endless = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".to_owned() + &"x".repeat(100_000);
    let pause = |bytes, millis| Faults {
        response: Way::trickle(bytes, Duration::from_millis(millis)),
        ..Faults::default()
    };
    for (what, answer, faults, rest, right) in [
        ("a head", PLAIN.to_owned(), pause(1, 50), ", timeouts: { response: 1s }", 504),
        ("interim answers", hint.repeat(2000), pause(hint.len(), 10), ", timeouts: { response: 1s }", 502),
        ("a body", endless, pause(10, 10), ", timeouts: { request: 1s }", 0),
    ] {
        let origin = answering(move |_| answer.clone().into());
        let stand = Stand::before(origin.address(), rest);
        let started = Instant::now();
        let told = stand.ask_under(faults, GET);
        assert_eq!(
            (told.status(), told.cut()),
            (right, if right == 0 { 200 } else { 0 }),
            "{what}: {told:?}"
        );
        assert!(started.elapsed() < PROMPT, "{what}: {:?}", started.elapsed());
        stand.canary(what);
        stand.gateway.stop();
    }
}

#[test]
fn a_large_body_in_pieces_arrives_whole() {
    let origin = answering(|request| {
        let right =
            request.body.len() == 100_000 && request.body.iter().zip((0..=250).cycle()).all(|(a, b)| *a == b);
        format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{right:>5}").into_bytes()
    });
    let stand = Stand::before(origin.address(), "");
    let body: Vec<u8> = (0..=250).cycle().take(100_000).collect();
    for piece in [700, 7, 9000] {
        let pause = Duration::from_micros(if piece == 7 { 0 } else { 500 });
        stand.proxy.set_all(Faults { request: Way::trickle(piece, pause), ..Faults::default() });
        let client = stand.gateway.connect();
        client.send("POST / HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 100000\r\n\r\n");
        client.send(&body);
        assert_eq!(outcome(&client).text(), " true", "in pieces of {piece}");
        stand.canary("a body in pieces");
    }
    stand.gateway.stop();
}

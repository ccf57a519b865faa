//! Tests of the proxy itself, between a client and a service of this kit.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::{FaultProxy, Faults, Then, Way};
use crate::message::Kind;
use crate::{Client, End, Origin, QUIET, SOON, wait_until};

const MOMENT: Duration = Duration::from_millis(60);

#[test]
fn without_faults_bytes_and_ends_pass() {
    let origin = Origin::scripted();
    let proxy = FaultProxy::to(origin.address());
    let client = Client::connect(proxy.address());
    let (asked, answered) = (
        "POST /a HTTP/1.1\r\nHost: b\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\n\r\nuntil the end",
    );
    client.send(asked);
    let (link, request) = origin.expect();
    assert_eq!((request.target(), &request.text()[..]), ("/a", "hi"));
    link.send(answered);
    link.half_close();
    assert_eq!(client.response().text(), "until the end");
    assert_eq!((client.wait_end(SOON), link.end()), (Some(End::Closed), None));
    client.half_close();
    assert_eq!(link.wait_end(SOON), Some(End::Closed));
    let passage = &proxy.passages()[0];
    assert_eq!(passage.wait_end(SOON), Some(End::Closed));
    assert_eq!((passage.requested(), passage.responded()), (asked.len() as u64, answered.len() as u64));
    wait_until("it is over", SOON, || passage.is_over());
}

#[test]
fn resets_pass_in_both_directions() {
    let origin = Origin::scripted();
    let proxy = FaultProxy::to(origin.address());
    let client = Client::connect(proxy.address());
    client.send("GET /a HTTP/1.1\r\nHost: b\r\n\r\n");
    origin.expect().0.reset();
    assert_eq!(client.wait_end(SOON), Some(End::Reset));
    let client = Client::connect(proxy.address());
    client.send("GET /b HTTP/1.1\r\nHost: b\r\n\r\n");
    let link = origin.expect().0;
    client.reset();
    assert_eq!(link.wait_end(SOON), Some(End::Reset));
    assert_eq!(proxy.passages()[1].wait_end(SOON), Some(End::Reset));
}

#[test]
fn connections_end_after_so_many_bytes() {
    for (then, end) in [(Then::Close, End::Closed), (Then::Reset, End::Reset)] {
        let origin = Origin::scripted();
        let proxy = FaultProxy::to(origin.address());
        proxy.once(Faults::after_request(5, then));
        let client = Client::connect(proxy.address());
        client.send("0123456789");
        assert_eq!(client.wait_end(SOON), Some(end));
        wait_until("the service is connected", SOON, || origin.links().len() == 1);
        let link = &origin.links()[0];
        assert_eq!(link.wait_end(SOON), Some(end));
        // A reset may overtake what was sent before it.
        assert!(link.total() == 5 || then == Then::Reset);
        // The next one is like any other, until it is told otherwise.
        let client = Client::connect(proxy.address());
        client.send("0123456789");
        let link = origin.bell().wait(SOON, || origin.links().get(1).cloned()).unwrap();
        assert!(link.wait_text("9").is_some());
        proxy.passages()[1].set(Faults::after_response(3, then));
        link.send("abcdef");
        assert_eq!(client.wait_end(SOON), Some(end));
        assert!(client.unread() == b"abc" || then == Then::Reset);
        assert_eq!(link.wait_end(SOON), Some(end));
    }
}

#[test]
fn a_connection_can_be_ended_before_a_byte_has_passed() {
    for (then, end) in [(Then::Close, End::Closed), (Then::Reset, End::Reset), (Then::HalfClose, End::Closed)]
    {
        let origin = Origin::scripted();
        let proxy = FaultProxy::to(origin.address());
        proxy.set(Faults::after_response(0, then));
        let told = match Client::try_connect(proxy.address()) {
            Ok(client) => client.wait_end(SOON),
            Err(error) => (error.kind() == ErrorKind::ConnectionReset).then_some(End::Reset),
        };
        assert_eq!(told, Some(end), "{then:?}");
        let open = usize::from(then == Then::HalfClose);
        wait_until("only half of it has ended", SOON, || proxy.count() == 1 && proxy.open().len() == open);
    }
}

#[test]
fn half_closes_leave_the_other_direction() {
    let origin = Origin::scripted();
    let proxy = FaultProxy::to(origin.address());
    proxy.once(Faults::after_response(2, Then::HalfClose));
    proxy.once(Faults::after_request(2, Then::HalfClose));
    let (one, two) = (Client::connect(proxy.address()), Client::connect(proxy.address()));
    one.send("a");
    let link = origin.bell().wait(SOON, || origin.links().iter().find(|link| link.total() == 1).cloned());
    let link = link.unwrap();
    link.send("abcd");
    assert_eq!(one.wait_end(SOON), Some(End::Closed));
    assert_eq!(one.unread(), b"ab");
    one.send("bc");
    assert!(link.wait_text("abc").is_some());
    assert_eq!(link.end(), None);
    two.send("ab");
    let link = origin.bell().wait(SOON, || origin.links().into_iter().find(|link| link.end().is_some()));
    let link = link.unwrap();
    assert_eq!((link.end(), link.unread()), (Some(End::Closed), b"ab".to_vec()));
    link.send("answer");
    assert!(two.wait_text("answer").is_some());
    two.send("dropped");
    assert_eq!(two.wait_end(QUIET), None);
}

#[test]
fn a_stall_holds_until_it_is_lifted() {
    let origin = Origin::saying("hello");
    let proxy = FaultProxy::to(origin.address());
    proxy.once(Faults::after_response(20, Then::Stall));
    let client = Client::connect(proxy.address());
    client.send("GET /a HTTP/1.1\r\nHost: b\r\n\r\n");
    wait_until("as much came as may", SOON, || client.total() == 20);
    assert!(client.read(Kind::Response, QUIET).is_err());
    assert_eq!(client.total(), 20);
    proxy.passages()[0].set(Faults::default());
    assert_eq!(client.response().text(), "hello");
}

#[test]
fn nothing_comes_out_of_a_black_hole() {
    let origin = Origin::saying("hello");
    let proxy = FaultProxy::to(origin.address());
    proxy.set(Faults::black_hole());
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_write_timeout(Some(MOMENT)).unwrap();
    stream.set_read_timeout(Some(MOMENT)).unwrap();
    // It is not read either: at some time the system takes no more.
    while stream.write(&[b'x'; 64 * 1024]).is_ok() {}
    assert!(stream.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
    let passage = &proxy.passages()[0];
    assert_eq!((passage.requested(), passage.is_over()), (0, false));
}

#[test]
fn time_is_taken_where_it_was_asked_for() {
    let origin = Origin::saying("hello");
    let proxy = FaultProxy::to(origin.address());
    let took = |faults| {
        proxy.once(faults);
        let started = Instant::now();
        assert_eq!(Client::connect(proxy.address()).get("/").text(), "hello");
        started.elapsed()
    };
    assert!(took(Faults::late(MOMENT)) >= 2 * MOMENT);
    let pause = Duration::from_millis(2);
    // 43 bytes, one at a time; nothing waits for the pause behind the last.
    assert!(took(Faults { response: Way::trickle(1, pause), ..Faults::default() }) >= 40 * pause);
}

#[test]
fn a_door_can_be_shut_and_opened_again() {
    let origin = Origin::saying("hello");
    let proxy = FaultProxy::to(origin.address());
    let before = Client::connect(proxy.address());
    assert_eq!(before.get("/").text(), "hello");
    for _ in 0..3 {
        proxy.refuse();
        let error = TcpStream::connect(proxy.address()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        assert_eq!(before.get("/").text(), "hello");
        proxy.accept_again();
        assert_eq!(Client::connect(proxy.address()).get("/").text(), "hello");
    }
    proxy.end_all(Then::Close);
    assert_eq!(before.wait_end(SOON), Some(End::Closed));
    let address = proxy.address();
    drop(proxy);
    assert!(TcpStream::connect(address).is_err());
}

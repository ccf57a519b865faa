//! What runs out: places for connections, descriptors, patience. Others are served all the same, and what was taken
//! comes back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use end_to_end::{Client, Gateway, Origin, SOON, wait_until};

fn yaml(origin: &Origin, listener: &str, route: &str) -> String {
    format!(
        "listen: {{ address: 127.0.0.1:0, {listener} }}\nadmin: 127.0.0.1:0\n\
         services: {{ site: {{ endpoints: [\"http://{}\"], connections: {{ idle: 1 }} }} }}\nroutes: [{{ {route}service: site }}]\n",
        origin.address()
    )
}

/// A connection on which a request was answered, and that waits for the next one.
fn idle(gateway: &Gateway) -> Client {
    let client = gateway.connect();
    assert_eq!(client.get("/page").status(), 200);
    client
}

/// Open descriptors of the gateway.
fn descriptors(gateway: &Gateway) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", gateway.id())).unwrap().count()
}

/// Processor time that the gateway has used, in hundredths of a second.
fn processor_time(gateway: &Gateway) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", gateway.id())).unwrap();
    // Behind the name, which may have spaces: the 12th and 13th of the fields that follow.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn those_that_are_idle_make_room_and_those_at_work_do_not() {
    let origin = Origin::scripted();
    let gateway = Gateway::start(yaml(&origin, "limits: { connections: 8 }", ""));
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let ask = || {
        let client = gateway.connect();
        client.send("GET /page HTTP/1.1\r\nHost: gw.test\r\n\r\n");
        (client, origin.expect().0)
    };
    // Three wait for their answers; the others have theirs, and wait for what comes next.
    let busy: Vec<_> = (0..3).map(|_| ask()).collect();
    let mut quiet = Vec::new();
    for _ in 0..5 {
        let (client, link) = ask();
        link.send(answer);
        assert_eq!(client.response().status(), 200);
        quiet.push(client);
    }
    for newcomer in 0..4 {
        let (client, link) = ask();
        link.send(answer);
        assert_eq!(client.response().status(), 200, "{newcomer}");
        quiet.push(client);
        // It looks for idle connections once in a tick of its clock.
        let until = Instant::now() + Duration::from_millis(120);
        wait_until("the next tick has come", SOON, || Instant::now() >= until);
    }
    let gone = |client: &Client| client.end().is_some();
    // Which of them is the oldest is as exact as the clock of the timers, which is late on a machine that is busy.
    wait_until("four idle ones are closed", SOON, || quiet.iter().filter(|one| gone(one)).count() == 4);
    quiet.retain(|client| !gone(client));
    for (client, link) in &busy {
        link.send(answer);
        assert_eq!(client.response().status(), 200, "what was under way is answered");
    }
    let listener = gateway.address();
    let counted = |series: &str| gateway.metric(&format!("{series}{{listener=\"{listener}\"}}"));
    assert_eq!((counted("gateward_connections"), counted("gateward_connections_refused_total")), (8.0, 0.0));

    // Nobody is idle any more: whoever comes is told so at once.
    let _all: Vec<_> = quiet
        .iter()
        .chain(busy.iter().map(|(client, _)| client))
        .map(|client| {
            client.send("GET /page HTTP/1.1\r\nHost: gw.test\r\n\r\n");
            origin.expect()
        })
        .collect();
    let refused = gateway.connect().response();
    assert_eq!((refused.status(), refused.field("retry-after")), (503, Some("1")), "{refused}");
    assert_eq!(counted("gateward_connections_refused_total"), 1.0);
    drop((quiet, busy));
    gateway.stop();
}

#[test]
fn without_descriptors_it_waits_without_spinning_and_goes_on() {
    let origin = Origin::saying("page");
    let gateway = Gateway::start(yaml(&origin, "limits: { connections: 10000 }", ""));
    drop(idle(&gateway));
    let most = descriptors(&gateway) + 40;
    let limit = format!("--nofile={most}:{most}");
    let set = Command::new("prlimit").args(["--pid", &gateway.id().to_string(), &limit]).status().unwrap();
    assert!(set.success());
    // Far more than there is room for. Their requests are sent, and nobody reads the answers yet.
    let mut waiting: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect_timeout(&gateway.address(), SOON).unwrap();
            stream.set_read_timeout(Some(SOON)).unwrap();
            stream.write_all(b"GET /page HTTP/1.1\r\nHost: gw.test\r\n\r\n").unwrap();
            stream
        })
        .collect();
    // Idle ones make room, so that all get their turn, although no client closes anything.
    for (at, stream) in waiting.iter_mut().enumerate() {
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap_or_else(|error| panic!("{at}: {error}"));
        // Without a descriptor for the service there is a 502.
        assert!(matches!(&answer, b"HTTP/1.1 200" | b"HTTP/1.1 502"), "{}", String::from_utf8_lossy(&answer));
    }
    drop(waiting);
    // Those that are at work keep their places, and then nobody gets in, and nothing spins.
    let held: Vec<TcpStream> = (0..120)
        .map(|_| {
            let mut stream = TcpStream::connect_timeout(&gateway.address(), SOON).unwrap();
            stream.write_all(b"GET /page HTTP/1.1\r\nHost: gw").unwrap();
            stream
        })
        .collect();
    wait_until("no descriptor is left", SOON, || descriptors(&gateway) >= most);
    let (before, since) = (processor_time(&gateway), Instant::now());
    wait_until("it had time to spin", SOON, || since.elapsed() > Duration::from_secs(1));
    let used = processor_time(&gateway) - before;
    assert!(used <= 30, "{used} hundredths of a second of processor time in one second");
    drop(held);
    wait_until("it serves again", SOON, || gateway.connect().get("/page").status() == 200);
    assert!(!gateway.log().contains("panicked"));
    gateway.stop();
}

#[test]
fn connections_that_come_and_go_leave_nothing_behind() {
    let origin = Origin::saying("page");
    let gateway = Gateway::start(yaml(&origin, "limits: { connections: 5000 }", ""));
    drop(idle(&gateway));
    let open = || gateway.metric(&format!("gateward_connections{{listener=\"{}\"}}", gateway.address()));
    wait_until("it is quiet", SOON, || open() < 0.5);
    let before = descriptors(&gateway);
    for round in 0..1_500 {
        let mut stream = TcpStream::connect_timeout(&gateway.address(), SOON).unwrap();
        // The end is a reset, at whatever point it comes.
        let socket = socket2::SockRef::from(&stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
        let sent: &[u8] = match round % 5 {
            0 => b"",
            1 => b"GET /page HTTP/1.1\r\nHo",
            2 => b"GET /page HTTP/1.1\r\nHost: gw.test\r\n\r\n",
            3 => b"POST /page HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 1000\r\n\r\nhalf",
            _ => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        };
        // It may have been answered with a reset already.
        _ = stream.write_all(sent);
    }
    wait_until("all connections are gone", SOON, || open() < 0.5);
    // One to the service may be kept by each worker, and one to the admin listener is just ending.
    wait_until("all descriptors are back", SOON, || descriptors(&gateway) <= before + 2);
    assert_eq!(gateway.connect().get("/page").status(), 200);
    gateway.stop();
}

#[test]
fn patterns_that_make_others_go_back_and_forth_take_no_time() {
    let origin = Origin::saying("page");
    let route =
        "path: \"~^/(a+)+$\", policies: { authorize: { rule: 'request.path.matches(\"^/(a|aa)+$\")' } }, ";
    let gateway = Gateway::start(yaml(&origin, "limits: { uri: 60KiB, header_bytes: 64KiB }", route));
    let client = gateway.connect();
    assert_eq!(client.get("/aaa").status(), 200);
    for (end, status) in [("", 200), ("!", 404)] {
        let began = Instant::now();
        let answer = client.get(&format!("/{}{end}", "a".repeat(50_000)));
        assert_eq!(answer.status(), status, "{answer}");
        // Milliseconds; a machine that is busy is given time.
        assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    }
    gateway.stop();
}

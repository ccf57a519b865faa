//! Reloads: what changes, what stays, and what nobody may notice.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use end_to_end::{Client, End, Gateway, Origin, SOON, Setup, wait_until};

/// A configuration whose `/version` answers `version`, with a service behind everything else.
fn yaml(origin: SocketAddr, version: &str, listen: &str) -> String {
    format!(
        "listen: [{listen}]\nadmin: 127.0.0.1:0\n\
         services: {{ site: {{ endpoints: [\"http://{origin}\"] }} }}\n\
         routes:\n  - {{ path: /version, respond: {{ body: \"{version}\" }} }}\n  \
         - {{ name: site, path: /*, service: site }}\n"
    )
}

const ANY: &str = "127.0.0.1:0";

fn write(gateway: &Gateway, text: &str) {
    // Whole at once, as good editors and deployment tools do it.
    let folder = gateway.folder();
    let new = folder.write("gateward.yaml.new", text);
    std::fs::rename(new, folder.path().join("gateward.yaml")).unwrap();
}

/// Writes a configuration, sends SIGHUP and waits until it is in use.
fn reload(gateway: &Gateway, text: &str) {
    let seen = gateway.log().len();
    write(gateway, text);
    gateway.signal("HUP");
    gateway.wait_for("gateward: reloaded: ", seen);
}

fn hello() -> Origin {
    Origin::saying("hello")
}

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const UPGRADED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A client that asks without a pause until it is told to stop. Returns how often it was answered.
fn ask_all_the_time(address: SocketAddr, stop: &AtomicBool, answered: &AtomicU64) {
    let mut kept = Client::connect(address);
    while !stop.load(Ordering::Relaxed) {
        let answer = kept.get("/page");
        assert_eq!((answer.status(), answer.text().as_str()), (200, "hello"));
        assert_eq!(answer.field("connection"), None, "a reload must not end a connection");
        let count = answered.fetch_add(1, Ordering::Relaxed);
        if count.is_multiple_of(16) {
            // Every now and then a connection of its own: listening sockets must not drop any.
            let fresh = Client::connect(address);
            assert_eq!(fresh.get("/page").status(), 200);
            kept = fresh;
        }
    }
}

#[test]
fn a_hundred_reloads_are_noticed_by_nobody() {
    let (origin, scripted) = (hello(), Origin::scripted());
    let text = |version: &str| {
        yaml(origin.address(), version, ANY)
            + &format!("  - {{ path: /ws, service: talk }}\ninclude: [talk.yaml]\n# {}\n", scripted.address())
    };
    let talk = format!("services: {{ talk: {{ endpoints: [\"http://{}\"] }} }}\n", scripted.address());
    let setup =
        Setup { workers: Some(2), files: vec![("talk.yaml".to_owned(), talk)], ..Setup::new(text("0")) };
    let gateway = setup.start();
    let address = gateway.address();
    let tunnel = gateway.connect();
    tunnel.send(UPGRADE);
    let (service, _) = scripted.expect();
    service.send(UPGRADED);
    assert_eq!(tunnel.response().status(), 101);
    let idle: Vec<Client> = (0..100).map(|_| gateway.connect()).collect();
    assert!(idle.iter().all(|client| client.get("/page").text() == "hello"));
    let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
    let askers: Vec<_> = (0..4)
        .map(|_| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            std::thread::spawn(move || ask_all_the_time(address, &stop, &answered))
        })
        .collect();
    wait_until("the load runs", SOON, || answered.load(Ordering::Relaxed) > 100);
    let opened = origin.links().len();
    for number in 1..=100 {
        reload(&gateway, &text(&number.to_string()));
        assert_eq!(idle[0].get("/version").text(), number.to_string());
        let message = format!("{number};");
        tunnel.send(&message);
        assert!(service.wait_text(&message).is_some(), "the tunnel is dead after {number} reloads");
    }
    stop.store(true, Ordering::Relaxed);
    for asker in askers {
        asker.join().unwrap();
    }
    for client in &idle {
        assert_eq!((client.end(), client.get("/page").text().as_str()), (None, "hello"));
    }
    // The pools of a service that was not touched stay: what was opened since is what the load itself needed.
    let more = origin.links().len() - opened;
    assert!(more <= 16, "{more} connections to an untouched service were opened anew");
    let requests = gateway
        .metric("gateward_requests_total{route=\"site\",service=\"site\",method=\"GET\",status=\"2xx\"}");
    assert!(requests >= (answered.load(Ordering::Relaxed) + 200) as f64, "counters went on: {requests}");
    assert_eq!(gateway.metric("gateward_reloads_total{result=\"applied\"}"), 100.0);
    drop((tunnel, idle));
    gateway.stop();
}

#[test]
fn a_changed_file_is_taken_over_by_itself() {
    let origin = hello();
    let gateway = Gateway::start(yaml(origin.address(), "old", ANY));
    let client = gateway.connect();
    assert_eq!(client.get("/version").text(), "old");
    write(&gateway, &yaml(origin.address(), "new", ANY));
    gateway.wait_for("gateward: reloaded: ", 0);
    assert_eq!(client.get("/version").text(), "new");
    gateway.stop();
}

#[test]
fn included_files_and_secrets_are_watched_too() {
    let setup = Setup {
        files: vec![
            ("conf.d/a.yaml".to_owned(), "routes: [{ path: /a, respond: { body: a } }]\n".to_owned()),
            ("secret".to_owned(), "first".to_owned()),
        ],
        ..Setup::new(
            "listen: 127.0.0.1:0\ninclude: [conf.d/*.yaml]\n\
             routes: [{ path: /secret, respond: { body: \"${file:secret}\" } }]\n",
        )
    };
    let gateway = setup.start();
    let client = gateway.connect();
    assert_eq!((client.get("/a").status(), client.get("/b").status()), (200, 404));
    gateway.folder().write("conf.d/b.yaml", "routes: [{ path: /b, respond: { body: b } }]\n");
    let seen = gateway.wait_for("gateward: reloaded: ", 0);
    assert_eq!((client.get("/a").text(), client.get("/b").text()), ("a".to_owned(), "b".to_owned()));
    assert_eq!(client.get("/secret").text(), "first");
    gateway.folder().write("secret", "second");
    gateway.wait_for("gateward: reloaded: ", seen);
    assert_eq!(client.get("/secret").text(), "second");
    gateway.stop();
}

#[test]
fn a_bad_file_changes_nothing_and_is_reported() {
    let origin = hello();
    let good = yaml(origin.address(), "good", ANY);
    let gateway = Gateway::start(good.clone());
    let client = gateway.connect();
    let seen = gateway.log().len();
    write(&gateway, &good.replace("service: site", "servcie: site"));
    gateway.signal("HUP");
    let seen = gateway.wait_for("did you mean `service`", seen);
    let log = gateway.log();
    assert!(
        log.contains("GW0101") && log.contains("gateward.yaml:6:") && log.contains("stays in use"),
        "{log}"
    );
    assert_eq!((client.get("/version").text().as_str(), client.get("/page").status()), ("good", 200));
    assert_eq!(gateway.metric("gateward_last_reload_successful"), 0.0);
    assert_eq!(gateway.metric("gateward_reloads_total{result=\"rejected\"}"), 1.0);
    let (_, page) = gateway.ask_admin("/config");
    let page: serde_json::Value = serde_json::from_str(&page).unwrap();
    assert!(page["rejected"]["why"].as_str().unwrap().contains("servcie"), "{page}");
    // Taking it back is noticed without a signal.
    write(&gateway, &good);
    gateway.wait_for("again the one in use", seen);
    assert_eq!(gateway.metric("gateward_last_reload_successful"), 1.0);
    assert_eq!(client.end(), None);
    gateway.stop();
}

#[test]
fn listeners_come_and_go() {
    let scripted = Origin::scripted();
    let gateway = Gateway::start(yaml(scripted.address(), "one", ANY));
    let stays = gateway.connect();
    assert_eq!(stays.get("/version").text(), "one");
    // A port that is free now; the gateway finds out whether it still is.
    let second = TcpListener::bind(ANY).unwrap().local_addr().unwrap();
    reload(&gateway, &yaml(scripted.address(), "two", &format!("{ANY}, {second}")));
    let idle = Client::connect(second);
    assert_eq!(idle.get("/version").text(), "two");
    let busy = Client::connect(second);
    busy.send("GET /slow HTTP/1.1\r\nHost: gw.test\r\n\r\n");
    let (link, _) = scripted.expect();
    reload(&gateway, &yaml(scripted.address(), "three", ANY));
    assert_eq!(
        idle.wait_end(SOON),
        Some(End::Closed),
        "an idle connection of a listener that has gone is closed"
    );
    wait_until("nobody is let in any more", SOON, || TcpStream::connect(second).is_err());
    link.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
    let answer = busy.response();
    assert_eq!((answer.text().as_str(), answer.field("connection")), ("slow", Some("close")));
    assert_eq!(stays.get("/version").text(), "three");
    gateway.stop();
}

#[test]
fn an_address_that_is_taken_stops_the_reload_and_nothing_else() {
    let origin = hello();
    let gateway = Gateway::start(yaml(origin.address(), "old", ANY));
    let client = gateway.connect();
    let taken = TcpListener::bind(ANY).unwrap();
    let address = taken.local_addr().unwrap();
    let seen = gateway.log().len();
    write(&gateway, &yaml(origin.address(), "new", &format!("{ANY}, {address}")));
    gateway.signal("HUP");
    gateway.wait_for(&format!("cannot listen on {address}"), seen);
    assert_eq!(client.get("/version").text(), "old");
    assert_eq!(gateway.metric("gateward_reloads_total{result=\"rejected\"}"), 1.0);
    drop(taken);
    gateway.stop();
}

#[test]
fn a_request_ends_with_the_route_it_began_with() {
    let scripted = Origin::scripted();
    let gateway = Gateway::start(yaml(scripted.address(), "one", ANY));
    let client = gateway.connect();
    client.send("GET /slow HTTP/1.1\r\nHost: gw.test\r\n\r\n");
    let (link, _) = scripted.expect();
    reload(
        &gateway,
        "listen: [127.0.0.1:0]\nadmin: 127.0.0.1:0\nroutes: [{ path: /version, respond: { body: two } }]\n",
    );
    link.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
    assert_eq!(client.response().text(), "slow");
    assert_eq!(client.get("/slow").status(), 404, "the next one takes the new routes");
    assert_eq!(client.get("/version").text(), "two");
    gateway.stop();
}

#[test]
fn new_limits_hold_for_connections_that_are_there() {
    let origin = hello();
    let text = yaml(origin.address(), "one", ANY);
    let gateway = Gateway::start(text.clone());
    let client = gateway.connect();
    let large = format!("GET /page HTTP/1.1\r\nHost: gw.test\r\nx-large: {}\r\n\r\n", "a".repeat(4000));
    assert_eq!(client.ask(&large).status(), 200);
    reload(
        &gateway,
        &text.replace(&format!("[{ANY}]"), "[{ address: 127.0.0.1:0, limits: { header_bytes: 1KiB } }]"),
    );
    assert_eq!(client.ask(&large).status(), 431);
    gateway.stop();
}

#[test]
fn a_new_endpoint_is_used_and_the_old_one_is_left() {
    let (one, two) = (Origin::saying("one"), Origin::saying("two"));
    let gateway = Gateway::start(yaml(one.address(), "", ANY));
    let client = gateway.connect();
    assert_eq!(client.get("/").text(), "one");
    reload(&gateway, &yaml(two.address(), "", ANY));
    assert_eq!(client.get("/").text(), "two");
    let link = one.links().pop().unwrap();
    assert!(link.wait_end(SOON).is_some(), "the kept connection to an endpoint that has gone is closed");
    gateway.stop();
}

#[test]
fn a_long_tunnel_keeps_nothing_else_of_an_old_configuration() {
    let (scripted, other) = (Origin::scripted(), hello());
    let services = |weight: u32| {
        format!(
            "listen: [{ANY}]\nadmin: 127.0.0.1:0\nservices:\n  talk: {{ endpoints: [\"http://{}\"] }}\n  \
             site: {{ endpoints: [{{ url: \"http://{}\", weight: {weight} }}], connections: {{ max: 2 }} }}\n\
             routes: [{{ path: /ws, service: talk }}, {{ name: site, path: /*, split: {{ site: 1, talk: 0 }} }}]\n",
            scripted.address(),
            other.address()
        )
    };
    let gateway = Gateway::start(services(1));
    let tunnel = gateway.connect();
    tunnel.send(UPGRADE);
    let (service, _) = scripted.expect();
    service.send(UPGRADED);
    assert_eq!(tunnel.response().status(), 101);
    let client = gateway.connect();
    assert_eq!(client.get("/page").text(), "hello");
    // Another weight is no reason to connect anew, and what was open does not count against the limit for ever.
    for weight in 2..6 {
        reload(&gateway, &services(weight));
        assert_eq!(client.get("/page").text(), "hello");
    }
    assert_eq!(other.links().len(), 1);
    let gone = services(1).replace("site: 1, talk: 0", "talk: 1");
    let gone: String =
        gone.lines().filter(|line| !line.starts_with("  site:")).map(|line| format!("{line}\n")).collect();
    reload(&gateway, &gone);
    let link = other.links().pop().unwrap();
    assert!(link.wait_end(SOON).is_some(), "the kept connection of a service that has gone is closed");
    assert_eq!(tunnel.end(), None);
    drop(tunnel);
    gateway.stop();
}

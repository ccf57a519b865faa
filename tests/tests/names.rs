//! Endpoints by name: resolved, and resolved again when the name moves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use end_to_end::{Folder, Gateway, Origin, SOON, wait_until};

#[test]
fn localhost_is_resolved_by_the_system() {
    let origin = Origin::saying("here");
    let gateway = Gateway::start(format!(
        "listen: 127.0.0.1:0\n\
         services: {{ site: {{ endpoints: [\"http://localhost:{}\"] }} }}\n\
         routes: [{{ path: /*, service: site }}]\n",
        origin.address().port()
    ));
    wait_until("the name is resolved", SOON, || gateway.connect().get("/").text() == "here");
    let host = origin.requests().last().unwrap().field("host").unwrap().to_owned();
    assert_eq!(host, "gw.test", "the client's Host is passed on");
    gateway.stop();
}

/// Debian's dnsmasq on a free port, answering from a hosts file with a time to live of one second.
struct NameServer {
    child: Child,
    folder: Folder,
    port: u16,
}

impl NameServer {
    fn start(hosts: &str) -> NameServer {
        NameServer::start_with(hosts, &[])
    }

    /// The same, told more.
    fn start_with(hosts: &str, more: &[String]) -> NameServer {
        let program = ["/usr/sbin/dnsmasq", "/usr/local/sbin/dnsmasq", "/usr/bin/dnsmasq"];
        let program = program.iter().find(|path| Path::new(path).exists());
        let program = program.expect("this test needs dnsmasq: install the package dnsmasq-base");
        (0..10).find_map(|_| NameServer::try_start(program, hosts, more)).expect("dnsmasq does not start")
    }

    /// `None` if somebody else has taken the port (of UDP or TCP) before dnsmasq could.
    fn try_start(program: &str, hosts: &str, more: &[String]) -> Option<NameServer> {
        let folder = Folder::new();
        let file = folder.write("hosts", hosts);
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program)
            .args([
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--no-resolv",
                "--no-hosts",
                "--no-daemon",
            ])
            .args(["--listen-address=127.0.0.1", "--bind-interfaces", "--local-ttl=1", "--local=/test/"])
            .args(["--user=", "--group=", "--pid-file="])
            .arg(format!("--port={port}"))
            .arg(format!("--addn-hosts={}", file.display()))
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = NameServer { child, folder, port };
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        // A question for `x.test`, type A.
        let question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01x\x04test\0\0\x01\0\x01";
        let mut ended = false;
        wait_until("the name server answers", SOON, || {
            ended = server.child.try_wait().unwrap().is_some();
            let _ = socket.send_to(question, ("127.0.0.1", port));
            ended || socket.recv(&mut [0; 512]).is_ok()
        });
        (!ended).then_some(server)
    }

    fn change(&self, hosts: &str) {
        self.folder.write("hosts", hosts);
        let id = self.child.id().to_string();
        assert!(Command::new("sh").args(["-c", "kill -s HUP \"$0\"", &id]).status().unwrap().success());
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answer(text: &str) -> impl Fn(&end_to_end::Message) -> Option<Vec<u8>> + Send + Sync + 'static {
    let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    move |_| Some(response.clone().into_bytes())
}

/// Two services on one port of two addresses, and a gateway that knows them by a name.
fn moving() -> (Origin, Origin, NameServer, Gateway) {
    moving_with("")
}

/// The same, with more about the service.
fn moving_with(more: &str) -> (Origin, Origin, NameServer, Gateway) {
    let one = Origin::serving(answer("one"));
    let two = Origin::serving_at(&format!("127.0.0.2:{}", one.address().port()), answer("two"));
    let names = NameServer::start("127.0.0.1 service.test\n");
    let gateway = Gateway::start(format!(
        "listen: 127.0.0.1:0\n\
         dns: {{ servers: [\"127.0.0.1:{}\"] }}\n\
         services: {{ site: {{ endpoints: [\"http://service.test:{}\"]{more} }} }}\n\
         routes: [{{ path: /*, service: site }}]\n",
        names.port,
        one.address().port()
    ));
    (one, two, names, gateway)
}

#[test]
fn a_name_that_moves_is_followed() {
    let (_one, _two, names, gateway) = moving();
    let client = gateway.connect();
    wait_until("the name is resolved", SOON, || client.get("/").text() == "one");
    names.change("127.0.0.2 service.test\n");
    wait_until("requests go to the new address", Duration::from_secs(20), || client.get("/").text() == "two");
    names.change("127.0.0.1 service.test\n127.0.0.2 service.test\n");
    wait_until("both addresses take part", Duration::from_secs(20), || {
        let two: Vec<String> = (0..2).map(|_| client.get("/").text()).collect();
        two.contains(&"one".to_owned()) && two.contains(&"two".to_owned())
    });
    gateway.stop();
}

#[test]
fn addresses_are_probed_as_they_come_and_go() {
    let (one, two, names, gateway) = moving_with(", health: { path: /probe, every: 100ms }");
    let probes = |origin: &Origin| origin.requests().iter().filter(|one| one.target() == "/probe").count();
    wait_until("the first address is probed", SOON, || probes(&one) >= 2);
    assert_eq!(probes(&two), 0);
    names.change("127.0.0.2 service.test\n");
    wait_until("the other address is probed", Duration::from_secs(20), || probes(&two) >= 1);
    let last = probes(&one);
    let later = probes(&two);
    wait_until("it goes on", SOON, || probes(&two) >= later + 3);
    assert!(probes(&one) <= last + 1, "what is gone is not probed any more");
    gateway.stop();
}

#[test]
fn the_last_good_answer_is_kept() {
    let (_one, _two, names, gateway) = moving();
    let client = gateway.connect();
    wait_until("the name is resolved", SOON, || client.get("/").text() == "one");
    let port = names.port;
    drop(names);
    // From now on questions are heard and not answered.
    let mute = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    mute.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut questions = 0;
    wait_until("the name was asked for in vain", Duration::from_secs(20), || {
        assert_eq!(client.get("/").text(), "one");
        questions += usize::from(mute.recv(&mut [0; 512]).is_ok());
        questions >= 3
    });
    assert_eq!(client.get("/").text(), "one");
    gateway.stop();
}

#[test]
fn a_name_that_nobody_knows_is_a_503() {
    let names = NameServer::start("127.0.0.1 other.test\n");
    let gateway = Gateway::start(format!(
        "listen: 127.0.0.1:0\n\
         dns: {{ servers: [\"127.0.0.1:{}\"] }}\n\
         services: {{ site: {{ endpoints: [\"http://unknown.test:80\"] }} }}\n\
         routes: [{{ path: /*, service: site }}]\n",
        names.port
    ));
    let response = gateway.connect().get("/");
    assert_eq!(response.status(), 503, "{response}");
    assert!(response.text().contains("\"code\":\"no-endpoint\""), "{response}");
    gateway.stop();
}

#[test]
fn endpoints_are_discovered_by_dns_and_by_srv_records() {
    let [one, two, spare] = ["one", "two", "spare"].map(|name| Origin::serving(answer(name)));
    let record = |origin: &Origin, priority: u32, weight: u32| {
        let port = origin.address().port();
        format!("--srv-host=_http._tcp.shop.test,service.test,{port},{priority},{weight}")
    };
    // Of two priorities the first counts, and in it the weights.
    let records = [record(&one, 1, 3), record(&two, 1, 1), record(&spare, 2, 1)];
    let names = NameServer::start_with("127.0.0.1 service.test\n", &records);
    let gateway = Gateway::start(format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\ndns: {{ servers: [\"127.0.0.1:{}\"] }}\n\
         services:\n  srv: {{ discover: {{ srv: _http._tcp.shop.test, every: 200ms }} }}\n  \
         dns: {{ discover: {{ dns: \"service.test:{}\", every: 200ms }} }}\n\
         routes: [{{ path: /srv, service: srv }}, {{ path: /dns, service: dns }}]\n",
        names.port,
        two.address().port()
    ));
    let client = gateway.connect();
    let answers: Vec<String> = (0..40).map(|_| client.get("/srv").text()).collect();
    let count = |name: &str| answers.iter().filter(|answer| *answer == name).count();
    assert_eq!((count("one"), count("two"), count("spare")), (30, 10, 0), "{}", gateway.log());
    assert_eq!(client.get("/dns").text(), "two");
    let (_, shown) = gateway.ask_admin("/services");
    assert!(shown.contains("SRV _http._tcp.shop.test every 200 ms"), "{shown}");
    // It is asked as often as it says, whatever the answer is good for.
    names.change("127.0.0.2 service.test\n");
    let at = format!("127.0.0.2:{}", one.address().port());
    let _moved = Origin::serving_at(&at, answer("moved"));
    wait_until("the addresses are followed", SOON, || (0..8).any(|_| client.get("/srv").text() == "moved"));
    gateway.stop();
}

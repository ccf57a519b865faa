//! Names and services that move, fail and come back.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::LocalSet;

use super::responder::Responder;
use super::srv::Service;
use super::{Dns, FIRST_RETRY, LONGEST, SHORTEST};
use crate::Endpoint;

const SERVICE: &str = "_http._tcp.app.test";
/// Whatever should happen has happened by then.
const SOON: Duration = Duration::from_secs(10);
const OFTEN: Option<Duration> = Some(Duration::from_millis(100));

/// A set on one line: `10.0.0.1:80 x2`.
fn words(endpoints: &[Endpoint]) -> String {
    assert!(endpoints.iter().all(|one| one.zone.is_none()));
    let each = endpoints.iter().map(|one| format!("{} x{}", one.address, one.weight.unwrap()));
    each.collect::<Vec<_>>().join(", ")
}

/// One look-up: endpoints and how long they hold, or why there are none; then the reports, with a `!` before each.
async fn once(service: &mut Service, dns: &Dns, name: &str) -> (String, Duration) {
    let reports = RefCell::new(String::new());
    let report = |text: String| reports.borrow_mut().push_str(&format!(" ! {text}"));
    let (text, valid) = match service.look_up(&dns.resolver, name, &report).await {
        Ok((endpoints, valid)) => (words(&endpoints), valid),
        Err(why) => (format!("failed: {why}"), Duration::ZERO),
    };
    (text + &reports.into_inner(), valid)
}

#[tokio::test]
async fn records_become_endpoints() {
    for (zone, wanted) in [
        // Weights, of which 0 is the smallest, and several addresses of a target; IPv6 only without IPv4.
        (
            "_http._tcp.app.test 30 SRV 10 5 8080 a.test\n_http._tcp.app.test 30 SRV 10 0 8081 b.test\n\
             a.test 30 A 10.0.0.2\na.test 30 A 10.0.0.1\na.test 30 AAAA fd00::1\nb.test 30 AAAA fd00::2",
            "10.0.0.1:8080 x5, 10.0.0.2:8080 x5, [fd00::2]:8081 x1",
        ),
        // The lowest number only, though the answer lists it last.
        (
            "_http._tcp.app.test 30 SRV 20 1 80 b.test\n_http._tcp.app.test 30 SRV 10 1 80 a.test\n\
             a.test 30 A 10.0.0.1\nb.test 30 A 10.0.0.2",
            "10.0.0.1:80 x1",
        ),
        // The next one if that has no address: NXDOMAIN, no record of the type, port 0.
        (
            "_http._tcp.app.test 30 SRV 10 1 80 gone.test\n_http._tcp.app.test 30 SRV 20 1 0 a.test\n\
             _http._tcp.app.test 30 SRV 30 1 80 a.test\na.test 30 A 10.0.0.1",
            "10.0.0.1:80 x1 ! the target gone.test. of _http._tcp.app.test has no address; it is left out",
        ),
        // Not available, which is believed; beside other targets it means nothing.
        ("_http._tcp.app.test 30 SRV 0 0 0 .", ""),
        (
            "_http._tcp.app.test 30 SRV 0 0 0 .\n_http._tcp.app.test 30 SRV 10 1 80 a.test\na.test 30 A 10.0.0.1",
            "10.0.0.1:80 x1",
        ),
        // One address by two targets is one endpoint with both shares.
        (
            "_http._tcp.app.test 30 SRV 1 2 80 a.test\n_http._tcp.app.test 30 SRV 1 3 80 b.test\n\
             a.test 30 A 10.0.0.1\nb.test 30 CNAME a.test\na.test 30 A 10.0.0.1",
            "10.0.0.1:80 x5",
        ),
        // Behind an alias.
        (
            "_http._tcp.app.test 30 CNAME real.test\nreal.test 30 SRV 1 2 80 a.test\na.test 30 A 10.0.0.1",
            "10.0.0.1:80 x2",
        ),
        ("_http._tcp.app.test 30 CNAME _http._tcp.app.test", "failed: it is an alias of an alias, and so on"),
        ("_http._tcp.app.test 30 A 10.0.0.1", "failed: it has no SRV record"),
        ("", "failed: it has no SRV record"),
        ("_http._tcp.app.test 30 SRV 1 1 80 a.test", "failed: its target a.test. has no address"),
        ("FAIL", "failed: DNS error: error response: Server Failure"),
    ] {
        let server = Responder::start(zone).await;
        let dns = Dns::new(&[server.address]).unwrap();
        let (found, _) = once(&mut Service::default(), &dns, SERVICE).await;
        assert_eq!(found, wanted, "{zone}");
    }
}

#[tokio::test]
async fn addresses_in_the_answer_are_not_asked_for() {
    let server = Responder::start(
        "_http._tcp.app.test 30 SRV 10 1 80 a.test\n_http._tcp.app.test 30 SRV 10 1 80 b.test\n\
         _http._tcp.app.test 30 SRV 10 1 80 c.test\n\
         + A.test 30 A 10.0.0.1\n+ a.test 30 AAAA fd00::1\n+ c.test 20 AAAA fd00::3\n+ other.test 1 A 10.0.0.9\n\
         a.test 30 A 10.1.0.1\nb.test 30 A 10.0.0.2",
    )
    .await;
    let dns = Dns::new(&[server.address]).unwrap();
    let (found, valid) = once(&mut Service::default(), &dns, SERVICE).await;
    assert_eq!(found, "10.0.0.1:80 x1, 10.0.0.2:80 x1, [fd00::3]:80 x1");
    assert_eq!(server.asked(), ["_http._tcp.app.test SRV", "b.test A"]);
    assert_eq!(valid, Duration::from_secs(20), "the least of what is used");
}

#[tokio::test]
async fn an_answer_holds_as_long_as_its_shortest_record() {
    for (service, target, wanted) in [
        (30, 40, Duration::from_secs(30)),
        (30, 20, Duration::from_secs(20)),
        (0, 20, SHORTEST),
        (20, 0, SHORTEST),
        (9000, 9000, LONGEST),
    ] {
        let zone = format!("_http._tcp.app.test {service} SRV 10 1 80 a.test\na.test {target} A 10.0.0.1");
        let server = Responder::start(&zone).await;
        let dns = Dns::new(&[server.address]).unwrap();
        let (_, valid) = once(&mut Service::default(), &dns, SERVICE).await;
        // Some of the time has passed.
        assert!(valid <= wanted && valid + Duration::from_secs(3) > wanted, "{valid:?} {wanted:?}");
    }
}

#[tokio::test]
async fn a_target_that_fails_keeps_its_addresses_while_others_move() {
    let records = "_http._tcp.app.test 30 SRV 1 1 80 a.test\n_http._tcp.app.test 30 SRV 1 1 80 b.test\n\
                   _http._tcp.app.test 30 SRV 2 1 80 spare.test\nspare.test 30 A 10.0.0.9\n";
    let server = Responder::start("").await;
    let dns = Dns::new(&[server.address]).unwrap();
    let mut service = Service::default();
    for (targets, wanted) in [
        (
            "a.test FAIL\nb.test FAIL",
            "10.0.0.9:80 x1 ! the target a.test. of _http._tcp.app.test cannot be resolved (DNS error: error \
             response: Server Failure); it is left out; the same is true of 1 more targets",
        ),
        ("a.test 30 A 10.0.0.1\nb.test 30 A 10.0.0.2", "10.0.0.1:80 x1, 10.0.0.2:80 x1"),
        (
            "a.test FAIL\nb.test 30 A 10.0.0.3",
            "10.0.0.1:80 x1, 10.0.0.3:80 x1 ! the target a.test. of _http._tcp.app.test cannot be resolved \
             (DNS error: error response: Server Failure); its last addresses stay in use",
        ),
        ("a.test FAIL\nb.test 30 A 10.0.0.4", "10.0.0.1:80 x1, 10.0.0.4:80 x1"),
        ("a.test 30 A 10.0.0.5\nb.test 30 A 10.0.0.4", "10.0.0.4:80 x1, 10.0.0.5:80 x1"),
        // That there is no address is an answer, and leads on to the next priority.
        (
            "b.test 30 A 10.0.0.4",
            "10.0.0.4:80 x1 ! the target a.test. of _http._tcp.app.test has no address; it is left out",
        ),
        (
            "a.test FAIL",
            "10.0.0.9:80 x1 ! the target a.test. of _http._tcp.app.test cannot be resolved (DNS error: error \
             response: Server Failure); it is left out; the same is true of 1 more targets",
        ),
    ] {
        server.change(&format!("{records}{targets}"));
        assert_eq!(once(&mut service, &dns, SERVICE).await.0, wanted, "{targets}");
    }
}

#[tokio::test]
async fn the_number_of_endpoints_is_bounded() {
    let mut zone = String::new();
    for target in 0..5 {
        zone += &format!("_http._tcp.app.test 30 SRV 1 1 80 t{target}.test\n");
        for address in 1..=60 {
            zone += &format!("t{target}.test 30 A 10.0.{target}.{address}\n");
        }
    }
    let server = Responder::start(&zone).await;
    let dns = Dns::new(&[server.address]).unwrap();
    let mut service = Service::default();
    let (first, _) = once(&mut service, &dns, SERVICE).await;
    let (endpoints, report) = first.split_once(" ! ").unwrap();
    assert_eq!(endpoints.split(", ").count(), 256);
    assert_eq!(report, "_http._tcp.app.test has more than 256 endpoints, of which only so many are used");
    assert_eq!(once(&mut service, &dns, SERVICE).await.0, endpoints, "the same ones, and told once");
}

/// What a watch has told.
struct Told {
    sets: mpsc::Receiver<String>,
    reports: mpsc::Receiver<String>,
}

impl Told {
    async fn set(&mut self) -> String {
        tokio::time::timeout(SOON, self.sets.recv()).await.expect("no new set").unwrap()
    }

    async fn report(&mut self) -> String {
        tokio::time::timeout(SOON, self.reports.recv()).await.expect("no report").unwrap()
    }
}

/// Watches a service, and calls `body` meanwhile.
async fn watching(zone: &str, body: impl AsyncFnOnce(&Responder, &mut Told)) {
    let server = Responder::start(zone).await;
    let dns = Dns::new(&[server.address]).unwrap();
    let (set, sets) = mpsc::channel(100);
    let (said, reports) = mpsc::channel(100);
    let changed = async move |endpoints: Arc<[Endpoint]>| set.send(words(&endpoints)).await.unwrap();
    let report = move |text| said.try_send(text).unwrap();
    LocalSet::new()
        .run_until(async {
            let watch = tokio::task::spawn_local(dns.watch_srv(SERVICE.into(), OFTEN, changed, report));
            body(&server, &mut Told { sets, reports }).await;
            watch.abort();
        })
        .await;
}

#[tokio::test]
async fn a_service_that_moves_is_followed_and_a_failure_keeps_what_was_known() {
    let at = |address| format!("_http._tcp.app.test 900 SRV 1 1 80 a.test\na.test 900 A {address}");
    watching(&at("10.0.0.1"), async |server, told| {
        assert_eq!(told.set().await, "10.0.0.1:80 x1");
        server.change(&at("10.0.0.2"));
        assert_eq!(told.set().await, "10.0.0.2:80 x1", "asked again long before 900 seconds");
        server.change("FAIL");
        let failed = told.report().await;
        assert!(failed.starts_with("_http._tcp.app.test cannot be resolved: "), "{failed}");
        assert!(failed.ends_with("; the last addresses stay in use"), "{failed}");
        server.change(&at("10.0.0.2"));
        assert_eq!(told.report().await, "_http._tcp.app.test can be resolved again");
        server.change("_http._tcp.app.test 900 SRV 0 0 0 .");
        assert_eq!(told.set().await, "", "no set in between: the failure has changed nothing");
        server.change(&at("10.0.0.1"));
        assert_eq!(told.set().await, "10.0.0.1:80 x1");
        assert!(told.reports.try_recv().is_err(), "nothing else was said");
    })
    .await;
}

#[tokio::test]
async fn equal_sets_are_no_change() {
    let (a, b) = ("_http._tcp.app.test 9 SRV 1 1 80 a.test\n", "_http._tcp.app.test 9 SRV 1 1 80 b.test\n");
    let addresses = "a.test 9 A 10.0.0.1\nb.test 9 A 10.0.0.2\n";
    watching(&format!("{a}{b}{addresses}"), async |server, told| {
        assert_eq!(told.set().await, "10.0.0.1:80 x1, 10.0.0.2:80 x1");
        server.change(&format!("{b}{a}{addresses}"));
        server.asked();
        let mut asked = 0;
        let asks = async {
            while asked < 3 {
                tokio::time::sleep(Duration::from_millis(20)).await;
                asked += server.asked().iter().filter(|one| one.ends_with(" SRV")).count();
            }
        };
        tokio::time::timeout(SOON, asks).await.unwrap();
        server.change(&format!("{a}{addresses}"));
        assert_eq!(told.set().await, "10.0.0.1:80 x1", "the other order was no change");
    })
    .await;
}

#[tokio::test]
async fn addresses_are_asked_for_at_the_interval_that_is_wanted() {
    let server = Responder::start("app.test 900 A 10.0.0.1").await;
    let dns = Dns::new(&[server.address]).unwrap();
    let (set, mut sets) = mpsc::channel(10);
    let changed = async move |addresses: Arc<[std::net::IpAddr]>| set.send(addresses).await.unwrap();
    let reports = Rc::new(RefCell::new(Vec::new()));
    let said = Rc::clone(&reports);
    LocalSet::new()
        .run_until(async {
            let report = move |text| said.borrow_mut().push(text);
            let watch = tokio::task::spawn_local(dns.watch_every("app.test".into(), OFTEN, changed, report));
            for address in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
                server.change(&format!("app.test 900 A {address}"));
                let set = tokio::time::timeout(SOON, sets.recv()).await.unwrap().unwrap();
                assert_eq!(*set, [address.parse::<std::net::IpAddr>().unwrap()]);
            }
            watch.abort();
        })
        .await;
    assert!(reports.borrow().is_empty());
}

#[tokio::test]
async fn a_server_that_nobody_runs_is_a_failure() {
    let nobody: SocketAddr = {
        let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        taken.local_addr().unwrap()
    };
    let dns = Dns::new(&[nobody]).unwrap();
    let (found, _) = once(&mut Service::default(), &dns, SERVICE).await;
    assert!(found.starts_with("failed: "), "{found}");
    assert!(FIRST_RETRY <= SHORTEST, "and is tried again as soon as an answer could expire");
}

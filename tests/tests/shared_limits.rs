//! Limits that two gateways share through a real store, and what holds when it fails in every way that a test can make.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::time::{Duration, Instant};

use end_to_end::certificates::Authority;
use end_to_end::fault_proxy::{FaultProxy, Faults, Then};
use end_to_end::redis::{Redis, installed};
use end_to_end::{Client, Gateway, Origin, SOON, Setup, check, wait_until};

/// How long it may take until a store that is back is asked again.
const BACK: Duration = Duration::from_secs(5);
/// A busy machine takes its time too.
const SLACK: Duration = Duration::from_millis(400);

fn yaml(origin: &Origin, state: &str, limit: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nworkers: 2\nstate: {state}\n\
         services: {{ site: {{ endpoints: [\"http://{}\"] }} }}\n\
         policies: {{ rate_limit: {limit} }}\n\
         routes: [{{ path: /*, service: site }}]\n",
        origin.address()
    )
}

fn pair(origin: &Origin, state: &str, limit: &str) -> [Gateway; 2] {
    let start = || Setup { workers: Some(2), ..Setup::new(yaml(origin, state, limit)) }.start();
    let both = [start(), start()];
    both.iter().for_each(|gateway| connected(gateway, 2));
    both
}

/// With a timeout that a busy machine does not reach.
fn patient(redis: &Redis) -> String {
    format!("{{ url: \"{}\", timeout: 5s }}", redis.url())
}

/// Waits until all workers can ask the store.
fn connected(gateway: &Gateway, workers: u32) {
    wait_until("the store can be asked", SOON, || {
        gateway.metric("gateward_store_connections{state=\"up\"}") == f64::from(workers)
    });
}

/// How many requests pass over so many connections to each of these gateways, while `goes_on` says so.
fn passed(gateways: &[Gateway], clients: usize, goes_on: impl Fn(usize) -> bool + Sync) -> usize {
    std::thread::scope(|scope| {
        let goes_on = &goes_on;
        let all: Vec<_> = gateways
            .iter()
            .flat_map(|gateway| {
                (0..clients).map(move |_| {
                    scope.spawn(move || {
                        let client = Client::connect(gateway.address());
                        let count = (0..).take_while(|asked| goes_on(*asked)).filter(|_| {
                            match client.get("/page").status() {
                                200 => true,
                                429 => false,
                                other => panic!("{other}"),
                            }
                        });
                        count.count()
                    })
                })
            })
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).sum()
    })
}

#[test]
fn two_gateways_together_let_through_exactly_the_limit() {
    if !installed() {
        return;
    }
    let (redis, origin) = (Redis::start(&[], None), Origin::saying("page"));
    for limit in ["limit: 150/h", "limit: 1/h, burst: 150"] {
        let gateways = pair(
            &origin,
            &patient(&redis),
            &format!("{{ {limit}, shared: exact, by: route, on_store_failure: closed }}"),
        );
        // Ten connections on one key, of which more than enough ask.
        assert_eq!(passed(&gateways, 5, |asked| asked < 60), 150, "{limit}");
        let refused = gateways[0].connect().get("/page");
        assert_eq!(
            (refused.status(), refused.field("ratelimit").map(|text| text.starts_with("\"default\";r=0;"))),
            (429, Some(true))
        );
        assert!(refused.field("retry-after").is_some());
        gateways.into_iter().for_each(Gateway::stop);
    }
}

#[test]
fn a_request_is_charged_at_the_store_to_all_limits_or_to_none() {
    if !installed() {
        return;
    }
    let (redis, origin) = (Redis::start(&[], None), Origin::saying("page"));
    let limit = "[{ limit: 8/h, by: route, shared: exact }, { limit: 3/h, by: 'header:x-tenant', shared: exact }, { limit: 1/h, by: route, shared: exact, mode: dry_run }]";
    let gateways = pair(&origin, &patient(&redis), limit);
    let ask = |tenant: &str, at: usize| {
        let client = gateways[at % 2].connect();
        client.ask(format!("GET /a HTTP/1.1\r\nHost: gw.test\r\nX-Tenant: {tenant}\r\n\r\n")).status()
    };
    let passes = |tenant: &str| (0..6).filter(|at| ask(tenant, *at) == 200).count();
    assert_eq!([passes("t"), passes("u"), passes("v"), passes("w")], [3, 3, 2, 0]);
    gateways.into_iter().for_each(Gateway::stop);
}

#[test]
fn leases_let_through_no_more_than_their_bound() {
    if !installed() {
        return;
    }
    let (redis, origin) = (Redis::start(&[], None), Origin::saying("page"));
    // What is used in all of an hour: leases never let through more than was charged.
    let gateways = pair(&origin, &patient(&redis), "{ limit: 1/h, burst: 640, by: route }");
    let passing = passed(&gateways, 5, |asked| asked < 200);
    assert!(passing <= 640, "{passing}");
    // What others hold is missing for a while only: at most 2 slices of 10 for each gateway.
    assert!(passing >= 600, "{passing}");
    gateways.into_iter().for_each(Gateway::stop);
    // In a moment: what the store would allow in that time and in the one that units may be held and are given back.
    let gateways = pair(&origin, &patient(&redis), "{ limit: 400/s, burst: 400, by: client_ip }");
    let begin = Instant::now();
    let passing = passed(&gateways, 5, |_| begin.elapsed() < Duration::from_secs(3)) as f64;
    let most = 400.0 + 400.0 * (begin.elapsed().as_secs_f64() + 0.25 + 0.05) + 1.0;
    assert!(passing <= most, "{passing} of {most}");
    assert!(passing >= 800.0, "{passing}");
    // Most requests have not waited for it.
    let calls = |gateway: &Gateway| gateway.metric("gateward_store_calls_total{result=\"decided\"}");
    let calls: f64 = gateways.iter().map(calls).sum();
    assert!(calls < passing, "{calls} calls for {passing} requests that passed");
    gateways.into_iter().for_each(Gateway::stop);
}

#[test]
fn units_that_nobody_uses_go_back_to_the_store() {
    if !installed() {
        return;
    }
    let (redis, origin) = (Redis::start(&[], None), Origin::saying("page"));
    let gateways = pair(&origin, &patient(&redis), "{ limit: 6400/min, by: client_ip }");
    assert_eq!(passed(&gateways[..1], 4, |asked| asked < 100), 400);
    let page = || -> serde_json::Value {
        let (status, text) = gateways[1].ask_admin("/limits?key=127.0.0.1");
        assert_eq!(status, 200);
        serde_json::from_str(&text).unwrap()
    };
    // In this time nothing comes back of a window of a minute but what was not used.
    wait_until("all others are there again", SOON, || page()["limits"][0]["left"] == 6000);
    let now = page();
    assert_eq!(
        (&now["limits"][0]["shared"], &now["limits"][0]["counted"]),
        (&"leased".into(), &"at the store".into())
    );
    assert_eq!((&now["store"]["state"], &now["store"]["error"]), (&"up".into(), &serde_json::Value::Null));
    assert_eq!(now["store"]["address"], format!("{}/0", redis.url()));
    let reset = |gateway: &Gateway| {
        let ask = "POST /limits/reset?key=127.0.0.1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        Client::connect(gateway.admin()).ask(ask).status()
    };
    assert_eq!(reset(&gateways[1]), 200);
    assert_eq!(page()["limits"][0]["left"], 6400);
    gateways.into_iter().for_each(Gateway::stop);
}

/// A gateway whose way to the store fails, with limits of each kind that are asked about each time.
struct Failing {
    redis: Redis,
    proxy: FaultProxy,
    origin: Origin,
    gateways: Vec<(&'static str, Gateway)>,
}

impl Failing {
    fn new(shared: &str) -> Failing {
        let (redis, origin) = (Redis::start(&[], None), Origin::saying("page"));
        let proxy = FaultProxy::to(redis.address);
        let start = |failure: &'static str| {
            let state = format!("redis://{}", proxy.address());
            let limit = format!(
                "{{ limit: 1/h, burst: 5, by: route, shared: {shared}, on_store_failure: {failure} }}"
            );
            // One worker, which notices with the first request.
            let gateway = Setup::new(yaml(&origin, &state, &limit)).start();
            connected(&gateway, 1);
            (failure, gateway)
        };
        let gateways = ["local", "open", "closed"].map(start).into();
        Failing { redis, proxy, origin, gateways }
    }

    /// Each gateway does what it was told, and no request takes longer than the timeout; later ones take no time.
    fn holds(&self, how: &str) {
        for (failure, gateway) in &self.gateways {
            let client = gateway.connect();
            let mut times = Vec::new();
            let statuses: Vec<u16> = (0..12)
                .map(|_| {
                    let begin = Instant::now();
                    let status = client.get("/page").status();
                    times.push(begin.elapsed());
                    status
                })
                .collect();
            let expected = match *failure {
                "local" => [200, 200, 200, 200, 200, 429, 429, 429, 429, 429, 429, 429],
                "open" => [200; 12],
                _ => [503; 12],
            };
            assert_eq!(statuses, expected, "{how}, {failure}");
            let most = Duration::from_millis(100) + SLACK;
            assert!(times.iter().all(|time| *time < most), "{how}, {failure}: {times:?}");
            times.sort();
            assert!(times[6] < Duration::from_millis(20), "{how}, {failure}: {times:?}");
            assert_eq!(gateway.ask_admin("/readyz").0, 200, "{how}");
        }
    }

    /// All are back by themselves in time, and count together again.
    fn recovers(&self, how: &str) {
        let begin = Instant::now();
        for (failure, gateway) in &self.gateways {
            wait_until("the store is asked again", BACK + SLACK, || {
                gateway.metric("gateward_store_connections{state=\"up\"}") == 1.0
            });
            assert!(begin.elapsed() < BACK + SLACK, "{how}, {failure}");
        }
        self.redis.tell("FLUSHALL");
        let passed: usize =
            (0..12).filter(|at| self.gateways[at % 3].1.connect().get("/page").status() == 200).count();
        assert_eq!(passed, 5, "{how}: all of them have one limit");
        self.redis.tell("FLUSHALL");
    }
}

#[test]
fn each_limit_says_what_holds_while_the_store_fails() {
    if !installed() {
        return;
    }
    let mut failing = Failing::new("exact");
    failing.redis.kill();
    failing.holds("killed");
    failing.redis.restart();
    failing.recovers("killed");
    for (_, gateway) in &failing.gateways {
        let log = gateway.log();
        assert_eq!(log.matches("`on_store_failure` of each limit holds").count(), 1, "{log}");
        assert_eq!(log.matches("it can be asked again").count(), 1, "{log}");
        assert!(log.contains("state redis://127.0.0.1:"), "{log}");
    }
    assert!(failing.origin.count() > 0);
    failing.gateways.into_iter().for_each(|(_, gateway)| gateway.stop());
}

#[test]
fn a_store_that_says_nothing_costs_its_timeout_and_then_nothing() {
    if !installed() {
        return;
    }
    for shared in ["exact", "leased"] {
        let failing = Failing::new(shared);
        failing.proxy.set_all(Faults::black_hole());
        failing.holds("black hole");
        failing.proxy.set(Faults::default());
        failing.proxy.end_all(Then::Reset);
        failing.recovers("black hole");
        failing.gateways.into_iter().for_each(|(_, gateway)| gateway.stop());
    }
}

#[test]
fn a_store_that_takes_two_seconds_is_not_waited_for() {
    if !installed() {
        return;
    }
    let failing = Failing::new("exact");
    failing.proxy.set_all(Faults::late(Duration::from_secs(2)));
    failing.holds("slow");
    failing.proxy.set(Faults::default());
    failing.proxy.end_all(Then::Reset);
    failing.recovers("slow");
    failing.gateways.into_iter().for_each(|(_, gateway)| gateway.stop());
}

#[test]
fn a_store_that_takes_no_changes_or_refuses_the_password_counts_as_gone() {
    if !installed() {
        return;
    }
    let failing = Failing::new("exact");
    for (break_it, mend_it, says) in [
        ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "the store has no memory left"),
        ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "the store is a replica"),
    ] {
        let seen: Vec<usize> = failing.gateways.iter().map(|(_, gateway)| gateway.log().len()).collect();
        assert_eq!(failing.redis.tell(break_it), "+OK");
        // The open one lets everything pass either way; the closed one shows that it was noticed.
        let closed = failing.gateways[2].1.connect();
        wait_until("it is noticed", SOON, || closed.get("/page").status() == 503);
        failing.gateways[2].1.wait_for(says, seen[2]);
        assert_eq!(failing.redis.tell(mend_it), "+OK");
        failing.redis.tell("FLUSHALL");
        failing.recovers(says);
    }
    failing.gateways.into_iter().for_each(|(_, gateway)| gateway.stop());
}

#[test]
fn keys_that_others_have_written_and_data_that_is_lost() {
    if !installed() {
        return;
    }
    let failing = Failing::new("exact");
    let closed = &failing.gateways[2].1;
    assert_eq!(closed.connect().get("/page").status(), 200);
    let key = failing.redis.tell("EVAL \"return redis.status_reply(redis.call('RANDOMKEY'))\" 0");
    let key = key.strip_prefix('+').unwrap();
    // Somebody else writes what no limit can be counted by: it is not forgotten, and an operator is told.
    let seen = closed.log().len();
    assert_eq!(failing.redis.tell(&format!("SET {key} x")), "+OK");
    assert_eq!(closed.connect().get("/page").status(), 503);
    closed.wait_for(&format!("the key `{key}` holds something that was not written here: delete it"), seen);
    assert_eq!(failing.redis.tell(&format!("DEL {key}")), ":1");
    assert_eq!(closed.connect().get("/page").status(), 200);
    // Scripts and data are lost: nobody notices but those who count.
    failing.redis.tell("SCRIPT FLUSH");
    failing.redis.tell("FLUSHALL");
    failing.recovers("flushed");
    failing.gateways.into_iter().for_each(|(_, gateway)| gateway.stop());
}

#[test]
fn a_password_and_tls_and_neither_is_ever_shown() {
    if !installed() {
        return;
    }
    let authority = Authority::new("store");
    let (redis, origin) =
        (Redis::start(&["--requirepass", "hunter2-hunter2"], Some(&authority)), Origin::saying("page"));
    let url = |password: &str| format!("rediss://:{password}@localhost:{}", redis.tls.port());
    let setup = |state: &str| Setup {
        yaml: yaml(&origin, state, "{ limit: 3/h, shared: exact, on_store_failure: closed, by: route }"),
        files: vec![("ca.pem".to_owned(), authority.cert().to_owned())],
        workers: Some(2),
        environment: vec![("STORE".to_owned(), url("hunter2-hunter2"))],
    };
    let gateway = setup("{ url: \"${env:STORE}\", ca: ca.pem, timeout: 1s }").start();
    connected(&gateway, 2);
    assert_eq!((0..5).filter(|_| gateway.connect().get("/a").status() == 200).count(), 3);
    for path in ["/config", "/limits", "/metrics"] {
        let page = gateway.ask_admin(path).1;
        assert!(!page.contains("hunter2"), "{path}: {page}");
    }
    assert!(gateway.ask_admin("/limits").1.contains("rediss://localhost:"));
    assert!(!gateway.log().contains("hunter2"));
    gateway.stop();
    // Written into the file itself, and wrong.
    let gateway = setup(&format!("{{ url: \"{}\", ca: ca.pem }}", url("hunter2-other"))).start();
    gateway.wait_for("the store refuses user and password", 0);
    assert_eq!(gateway.connect().get("/a").status(), 503);
    let shown = gateway.log() + &gateway.ask_admin("/config").1 + &gateway.ask_admin("/limits").1;
    assert!(!shown.contains("hunter2"), "{shown}");
    gateway.stop();
    // Nobody vouches for it.
    let stranger = Setup {
        files: vec![("ca.pem".to_owned(), Authority::new("other").cert().to_owned())],
        ..setup("{ url: \"${env:STORE}\", ca: ca.pem }")
    };
    let gateway = stranger.start();
    gateway.wait_for("no TLS with the store", 0);
    gateway.stop();
}

#[test]
fn mistakes_are_shown_without_the_password() {
    let origin = Origin::saying("page");
    for (state, says) in [
        ("redis://:hunter2@", "a host is a name"),
        ("http://:hunter2@a", "the scheme of a store"),
        ("{ url: \"redis://:hunter2@a\", ca: missing.pem }", "missing.pem"),
        ("{ urll: \"redis://:hunter2@a\" }", "urll"),
        ("{ url: \"redis://:hunter2@a\", timeout: 1m }", "from 1 ms to 5 s"),
        ("[\"redis://:hunter2@a\"]", "state"),
    ] {
        let output = check(&Setup::new(yaml(&origin, state, "5/h")), &[]);
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && text.contains(says), "{state}: {text}");
        assert!(!text.contains("hunter2"), "{state}: {text}");
    }
    let idle =
        check(&Setup::new(yaml(&origin, "memory", "{ limit: 5/h, shared: exact }")), &["--deny-warnings"]);
    let text = String::from_utf8_lossy(&idle.stdout).into_owned() + &String::from_utf8_lossy(&idle.stderr);
    assert!(!idle.status.success() && text.contains("gateways share no state"), "{text}");
}

#[test]
fn a_gateway_starts_without_its_store_and_finds_it_later() {
    if !installed() {
        return;
    }
    let origin = Origin::saying("page");
    let mut redis = Redis::start(&[], None);
    redis.kill();
    let limit = "{ limit: 3/h, shared: leased, by: route }";
    let gateway = Setup { workers: Some(2), ..Setup::new(yaml(&origin, &redis.url(), limit)) }.start();
    gateway.wait_for("the store cannot be reached", 0);
    assert_eq!((0..5).filter(|_| gateway.connect().get("/a").status() == 200).count(), 3, "by itself");
    redis.restart();
    connected(&gateway, 2);
    assert_eq!((0..5).filter(|_| gateway.connect().get("/a").status() == 200).count(), 3, "for all");
    // Another store, none, and the first one again: a reload does it.
    gateway.reload(&yaml(&origin, "memory", "{ limit: 1000/h, by: route }"));
    assert_eq!(gateway.metric("gateward_store_connections{state=\"up\"}"), 0.0);
    assert_eq!(gateway.connect().get("/a").status(), 200);
    gateway.reload(&yaml(&origin, &redis.url(), limit));
    connected(&gateway, 2);
    assert_eq!(gateway.connect().get("/a").status(), 429);
    gateway.stop();
}

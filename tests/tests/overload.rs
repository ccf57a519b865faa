//! Services that get more than they can bear: limits, queues, circuit breakers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use end_to_end::failing::{Behaviour, Failing, Failure};
use end_to_end::{Client, Gateway, Message, SOON, Setup, wait_until};
use serde_json::Value;

fn yaml(service: SocketAddr, more: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nservices: {{ site: {{ endpoints: [http://{service}]{more} }} }}\n\
         routes:\n- {{ path: /high, service: site, importance: high }}\n\
         - {{ path: /low, service: site, importance: low }}\n- {{ path: /*, service: site }}\n"
    )
}

fn ask(address: SocketAddr, path: &'static str) -> JoinHandle<Message> {
    std::thread::spawn(move || Client::connect(address).get(path))
}

fn service(gateway: &Gateway) -> Value {
    let (_, text) = gateway.ask_admin("/services");
    serde_json::from_str::<Value>(&text).unwrap()["services"][0].clone()
}

#[test]
fn a_limit_holds_and_who_waits_goes_by_importance() {
    for workers in [1, 2] {
        let site = Failing::named("site");
        site.pause();
        let more = ", concurrency: { limit: 2, queue: 2, max_wait: 30s }, connections: { idle: 0 }";
        let gateway = Setup { workers: Some(workers), ..Setup::new(yaml(site.address(), more)) }.start();
        let first: Vec<_> = (0..2).map(|_| ask(gateway.address(), "/x")).collect();
        wait_until("two are with the service", SOON, || site.waiting() == 2);
        let low = ask(gateway.address(), "/low");
        let waiting = || service(&gateway)["waiting"].as_i64().unwrap();
        wait_until("one waits", SOON, || waiting() == 1);
        let normal = ask(gateway.address(), "/y");
        wait_until("two wait", SOON, || waiting() == 2);
        if workers == 1 {
            let refused = Client::connect(gateway.address()).get("/low");
            assert_eq!((refused.status(), refused.field("retry-after")), (503, Some("1")), "{refused}");
            assert!(refused.text().contains("\"queue-full\""), "{refused}");
            // What matters more takes the place of what matters less.
            let high = ask(gateway.address(), "/high");
            assert_eq!(low.join().unwrap().status(), 503);
            site.resume();
            assert_eq!(high.join().unwrap().status(), 200);
            let counted = "gateward_upstream_failures_total{service=\"site\",fault=\"queue-full\"}";
            assert_eq!(gateway.metric(counted), 2.0);
        } else {
            site.resume();
            assert_eq!(low.join().unwrap().status(), 200);
        }
        assert_eq!(normal.join().unwrap().status(), 200);
        assert!(first.into_iter().all(|asked| asked.join().unwrap().status() == 200));
        assert_eq!(site.most_waiting(), 2, "never more than the limit");
        wait_until("nobody waits", SOON, || waiting() == 0);
    }
}

#[test]
fn nobody_waits_longer_than_allowed() {
    let site = Failing::named("site");
    site.pause();
    let more = ", concurrency: { limit: 1, queue: 10, max_wait: 200ms }";
    let gateway = Gateway::start(yaml(site.address(), more));
    let first = ask(gateway.address(), "/x");
    wait_until("one is with the service", SOON, || site.waiting() == 1);
    let refused = Client::connect(gateway.address()).get("/y");
    assert!(refused.status() == 503 && refused.text().contains("\"queue-timeout\""), "{refused}");
    site.resume();
    assert_eq!(first.join().unwrap().status(), 200);
    assert_eq!(Client::connect(gateway.address()).get("/z").status(), 200);
}

#[test]
fn an_adaptive_limit_keeps_a_slow_service_from_drowning() {
    let site = Failing::named("site");
    site.set(Behaviour::slow(Duration::from_millis(20)));
    let gateway = Gateway::start(yaml(site.address(), ", concurrency: { limit: adaptive, queue: 10 }"));
    let statuses: Vec<u16> =
        (0..20).map(|_| ask(gateway.address(), "/x")).map(|asked| asked.join().unwrap().status()).collect();
    assert_eq!(statuses, [200; 20]);
    let shown = service(&gateway);
    assert!(shown["concurrency_limit"].as_i64().unwrap() >= 2, "{shown}");
}

#[test]
fn a_circuit_opens_tries_and_closes() {
    let site = Failing::named("site");
    let more = ", circuit_breaker: { min_requests: 10, open: 500ms, probes: 2 }, retries: off";
    let gateway = Gateway::start(yaml(site.address(), more));
    let client = gateway.connect();
    assert!((0..10).all(|_| client.get("/x").status() == 200));
    site.set(Behaviour::failing(Failure::Status(500)));
    let mut refused = None;
    wait_until("it opens", SOON, || {
        let answer = client.get("/x");
        let is_open = answer.status() == 503;
        refused = Some(answer);
        is_open
    });
    let refused = refused.unwrap();
    assert!(
        refused.text().contains("\"circuit-open\"") && refused.field("retry-after").is_some(),
        "{refused}"
    );
    gateway.wait_for("its circuit is open", 0);
    assert_eq!(service(&gateway)["circuit"], "open");
    assert_eq!(gateway.metric("gateward_upstream_circuit_opened_total{service=\"site\"}"), 1.0);
    // A probe fails, and it is open again; then all pass.
    let before = site.count();
    wait_until("it was tried", SOON, || {
        client.get("/x");
        site.count() > before
    });
    gateway.wait_for("its circuit is open", gateway.log().find("its circuit is half-open").unwrap());
    site.set(Behaviour::default());
    wait_until("it works again", SOON, || {
        (0..3).all(|_| client.get("/x").status() == 200) && service(&gateway)["circuit"] == "closed"
    });
    gateway.wait_for("its circuit is closed", 0);
}

#[test]
fn a_slow_answer_is_asked_for_a_second_time_elsewhere() {
    let [quick, slow] = Failing::several(["quick", "slow"]);
    slow.set(Behaviour::slow(Duration::from_secs(3)));
    let text = yaml(quick.address(), ", hedge: { after: 30ms }, retries: { budget: 100% }, eject: off")
        .replace("endpoints: [", &format!("endpoints: [http://{}, ", slow.address()));
    let gateway = Gateway::start(text);
    let client = gateway.connect();
    let began = std::time::Instant::now();
    for turn in 0..10 {
        let answer = client.get("/x");
        assert_eq!((answer.status(), answer.field("x-served-by")), (200, Some("quick")), "{turn}");
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(gateway.metric("gateward_upstream_hedges_won_total{service=\"site\"}"), 5.0);
    // What is not safe is asked once.
    let post = client.ask("POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
    let other = client.ask("POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n");
    assert!([post, other].iter().any(|answer| answer.field("x-served-by") == Some("slow")));
}

#[test]
fn the_gateway_sheds_what_matters_less_when_it_is_short_of_memory() {
    let site = Failing::named("site");
    // Whatever it has is more than nothing.
    let gateway = Gateway::start(format!("overload: {{ memory: 0% }}\n{}", yaml(site.address(), "")));
    let client = gateway.connect();
    wait_until("it refuses what matters least", SOON, || client.get("/low").status() == 503);
    let refused = client.get("/low");
    assert!(
        refused.text().contains("\"gateway-overloaded\"") && refused.field("retry-after").is_some(),
        "{refused}"
    );
    assert!((0..50).all(|_| client.get("/high").status() == 200));
    let normal = (0..200).filter(|_| client.get("/x").status() == 200).count();
    assert!((60..=140).contains(&normal), "{normal} of 200");
    assert_eq!(gateway.ask_admin("/livez").0, 200);
    assert!(gateway.metric("gateward_worker_shed_ratio{worker=\"0\"}") >= 0.5);
}

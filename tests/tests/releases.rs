//! Releases: splits that clients stay with, canaries that go forward and back by themselves, mirrors, injected faults.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use end_to_end::failing::{Behaviour, Failing, Failure};
use end_to_end::{Client, Folder, Gateway, Message, SOON, wait_until};
use serde_json::Value;

fn yaml(services: &[&Failing], routes: &str) -> String {
    let one = |service: &&Failing| {
        format!("  {}: {{ endpoints: [http://{}] }}\n", service.name(), service.address())
    };
    let services: String = services.iter().map(one).collect();
    format!("listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nservices:\n{services}routes:\n{routes}")
}

fn served_by(answer: &Message) -> String {
    answer.field("x-served-by").unwrap_or_default().to_owned()
}

fn post(gateway: &Gateway, path: &str) -> Message {
    let admin = Client::connect(gateway.admin());
    admin.ask(format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"))
}

fn canary(gateway: &Gateway) -> Value {
    let (status, text) = gateway.ask_admin("/canaries");
    assert_eq!(status, 200, "{text}");
    serde_json::from_str::<Value>(&text).unwrap()["canaries"][0].clone()
}

#[test]
fn clients_stay_with_a_service_of_a_split_and_with_an_endpoint() {
    let [one, two] = Failing::several(["one", "two"]);
    let routes = "- { path: /cookie, split: { one: 50, two: 50 }, split_by: { cookie: gw_release } }\n\
                  - { path: /header, split: { one: 50, two: 50 }, split_by: { header: x-user } }\n\
                  - { path: /sticky, service: both }\n";
    let both = format!(
        "  both: {{ endpoints: [http://{}, http://{}], sticky: {{ cookie: gw_both, ttl: 1h }} }}\n",
        one.address(),
        two.address()
    );
    let text = yaml(&[&one, &two], routes).replace("routes:\n", &format!("{both}routes:\n"));
    let gateway = Gateway::start(&*text);
    let client = gateway.connect();
    let ask =
        |path: &str, more: &str| client.ask(format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n{more}\r\n"));
    // A client without the cookie gets one, and comes back with it.
    for path in ["/cookie", "/sticky"] {
        let first: Vec<(String, String)> = (0..20)
            .map(|_| {
                let answer = ask(path, "");
                let cookie = answer.field("set-cookie").unwrap();
                assert!(cookie.contains("; HttpOnly") && !cookie.contains("127.0.0.1"), "{cookie}");
                (served_by(&answer), cookie.split(';').next().unwrap().to_owned())
            })
            .collect();
        assert_eq!(first.iter().map(|(service, _)| service).collect::<BTreeSet<_>>().len(), 2);
        for (service, cookie) in &first {
            let again = ask(path, &format!("Cookie: {cookie}\r\n"));
            assert_eq!((&served_by(&again), again.field("set-cookie")), (service, None), "{path} {cookie}");
        }
        gateway.reload(&format!("{text}# {path}\n"));
        for (service, cookie) in &first {
            assert_eq!(&served_by(&ask(path, &format!("Cookie: {cookie}\r\n"))), service, "after a reload");
        }
    }
    // One that was made up is worth nothing.
    let forged = ask("/sticky", "Cookie: gw_both=0123456789abcdef0123456789abcdef\r\n");
    assert!(forged.field("set-cookie").is_some(), "{forged}");
    let by_user: BTreeSet<(String, String)> = (0..60)
        .map(|turn| {
            let user = format!("user-{}", turn % 20);
            (user.clone(), served_by(&ask("/header", &format!("X-User: {user}\r\n"))))
        })
        .collect();
    assert_eq!(by_user.len(), 20, "each user always gets the same service");
    assert_eq!(by_user.iter().map(|(_, service)| service).collect::<BTreeSet<_>>().len(), 2);
}

#[test]
fn a_client_is_told_of_the_endpoint_that_answered_and_of_no_other() {
    let [bad, good] = Failing::several(["bad", "good"]);
    bad.set(Behaviour::failing(Failure::Status(503)));
    let both = format!("http://{}, http://{}", bad.address(), good.address());
    let gateway = Gateway::start(format!(
        "listen: 127.0.0.1:0\nservices:\n  both: {{ endpoints: [{both}], sticky: {{ cookie: gw }}, eject: off, \
         retries: {{ on: [503], budget: 100% }} }}\nroutes: [{{ path: /*, service: both }}]\n"
    ));
    let client = gateway.connect();
    for _ in 0..6 {
        let answer = client.get("/x");
        let cookies = answer.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
        assert_eq!((served_by(&answer), cookies.count()), ("good".to_owned(), 1), "{answer}");
    }
    assert!(bad.count() > 0);
}

const CANARY: &str = "- { name: shop, path: /*, service: v1, canary: { service: v2, steps: [10%, 50%, 100%], \
                      every: 1s, min_requests: 5, abort_if: { error_rate: \"> 10%\" } } }\n";

#[test]
fn a_good_canary_goes_forward_by_itself() {
    let [v1, v2] = Failing::several(["v1", "v2"]);
    let folder = Folder::new();
    let state = format!("state_dir: {}\n", folder.path().display());
    let text = state + &yaml(&[&v1, &v2], CANARY);
    let gateway = Gateway::start(&*text);
    let client = gateway.connect();
    let mut seen = BTreeSet::new();
    let began = Instant::now();
    while canary(&gateway)["state"] != "promoted" {
        assert!(began.elapsed() < Duration::from_secs(30), "{}", canary(&gateway));
        (0..50).for_each(|_| assert_eq!(client.get("/x").status(), 200));
        seen.insert(canary(&gateway)["percent"].to_string());
    }
    assert!(seen.contains("10.0") && seen.contains("50.0"), "{seen:?}");
    assert!((0..20).all(|_| served_by(&client.get("/x")) == "v2"));
    gateway.wait_for("canary v2 gets all requests", 0);
    assert_eq!(gateway.metric("gateward_canary_share_ratio{route=\"shop\"}"), 1.0);
    // It stays so over a reload and a restart.
    gateway.reload(&format!("{text}# the same\n"));
    assert_eq!(canary(&gateway)["state"], "promoted");
    gateway.stop();
    let again = Gateway::start(&*text);
    assert_eq!(canary(&again)["state"], "promoted", "{}", again.log());
    assert_eq!(served_by(&again.connect().get("/x")), "v2");
}

#[test]
fn a_bad_canary_is_rolled_back_and_says_why() {
    let [v1, v2] = Failing::several(["v1", "v2"]);
    v2.set(Behaviour { share: 50, ..Behaviour::failing(Failure::Status(500)) });
    let gateway = Gateway::start(yaml(&[&v1, &v2], &CANARY.replace("[10%, 50%, 100%]", "[50%, 100%]")));
    let client = gateway.connect();
    wait_until("it is rolled back", SOON, || {
        (0..20).for_each(|_| drop(client.get("/x")));
        canary(&gateway)["state"] == "rolled_back"
    });
    let shown = canary(&gateway);
    assert!(shown["why"].as_str().unwrap().contains("is above 10"), "{shown}");
    gateway.wait_for("canary v2 is rolled back", 0);
    assert!((0..30).all(|_| served_by(&client.get("/x")) == "v1"));
    // An operator has the last word.
    let refused = post(&gateway, "/canaries/shop/pause");
    assert!(refused.status() == 404 && refused.text().contains("rolled_back"), "{refused}");
    assert_eq!(post(&gateway, "/canaries/none/pause").status(), 404);
    v2.set(Behaviour::default());
    assert_eq!(post(&gateway, "/canaries/shop/restart").status(), 200);
    assert_eq!(canary(&gateway)["state"], "stepping");
    assert_eq!(post(&gateway, "/canaries/shop/promote").status(), 200);
    wait_until("it gets everything", SOON, || served_by(&client.get("/x")) == "v2");
}

#[test]
fn a_mirror_gets_copies_and_is_never_felt() {
    let [site, shadow] = Failing::several(["site", "shadow"]);
    shadow.set(Behaviour::failing(Failure::Silence));
    let routes = "- { path: /all, service: site, mirror: { service: shadow } }\n\
                  - { path: /some, service: site, mirror: { service: shadow, percent: 20 } }\n";
    let gateway = Gateway::start(yaml(&[&site, &shadow], routes));
    let client = gateway.connect();
    let began = Instant::now();
    for turn in 0..20 {
        let answer = client
            .ask(format!("POST /all HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nbod{turn:02}"));
        assert_eq!((answer.status(), served_by(&answer)), (200, "site".to_owned()));
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    wait_until("all copies have come", SOON, || shadow.count_of("/all") == 20);
    (0..500).for_each(|_| assert_eq!(client.get("/some").status(), 200));
    shadow.set(Behaviour::default());
    let counted =
        || gateway.metric("gateward_upstream_mirrored_requests_total{service=\"shadow\",result=\"sent\"}");
    let dropped =
        || gateway.metric("gateward_upstream_mirrored_requests_total{service=\"shadow\",result=\"dropped\"}");
    let copies = counted() + dropped() - 20.0;
    assert!((60.0..=140.0).contains(&copies), "{copies} of 500");
    // A body that is too long is not kept.
    let long = "x".repeat(100_000);
    let before = dropped();
    let answer = client
        .ask(format!("POST /all HTTP/1.1\r\nHost: a.test\r\nContent-Length: {}\r\n\r\n{long}", long.len()));
    assert_eq!(answer.status(), 200);
    wait_until("it is counted", SOON, || dropped() > before);
}

#[test]
fn faults_are_injected_for_a_share_of_requests() {
    let site = Failing::named("site");
    let routes = "- { path: /abort, service: site, policies: { fault: { abort: { status: 503, percent: 50% } } } }\n\
                  - { path: /delay, service: site, policies: { fault: { delay: { for: 300ms }, header: x-fault } } }\n";
    let gateway = Gateway::start(yaml(&[&site], routes));
    let client = gateway.connect();
    let aborted = (0..200).filter(|_| client.get("/abort").status() == 503).count();
    assert!((60..=140).contains(&aborted), "{aborted} of 200");
    assert_eq!(site.count_of("/abort"), 200 - aborted as u64);
    let began = Instant::now();
    let answer = client.ask("GET /delay HTTP/1.1\r\nHost: a.test\r\nX-Fault: 1\r\n\r\n");
    assert!(answer.status() == 200 && began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    let began = Instant::now();
    assert_eq!(client.get("/delay").status(), 200);
    assert!(began.elapsed() < Duration::from_millis(300));
}

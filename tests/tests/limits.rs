//! Limits of how often somebody may ask, over all workers and over reloads.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::sync::atomic::{AtomicUsize, Ordering};

use end_to_end::{Client, Gateway, Origin};

fn json(text: &str) -> serde_json::Value {
    text.into()
}

fn yaml(origin: &Origin, limit: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nworkers: 2\n\
         telemetry: {{ access_log: access.log }}\n\
         services: {{ site: {{ endpoints: [\"http://{}\"] }} }}\n\
         policies: {{ rate_limit: {limit} }}\n\
         routes:\n  - {{ path: /free, service: site, policies: {{ rate_limit: off }} }}\n  \
         - {{ path: /*, service: site }}\n",
        origin.address()
    )
}

/// How many of so many requests pass, over many connections at once.
fn passed(gateway: &Gateway, count: usize) -> usize {
    let (left, passed) = (AtomicUsize::new(count), AtomicUsize::new(0));
    let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                let client = Client::connect(gateway.address());
                while take() {
                    let answer = client.get("/page");
                    match answer.status() {
                        200 => _ = passed.fetch_add(1, Ordering::Relaxed),
                        429 => assert!(answer.field("retry-after").is_some(), "{answer}"),
                        _ => panic!("{answer}"),
                    }
                }
            });
        }
    });
    passed.into_inner()
}

#[test]
fn all_workers_together_let_through_what_the_limit_says() {
    let origin = Origin::saying("page");
    let gateway = Gateway::start(yaml(&origin, "200/h"));
    assert_eq!(passed(&gateway, 1_000), 200);
    assert_eq!(origin.count(), 200, "nothing else has reached the service");
    // A limit that is raised keeps what was used of it, and a policy that is switched off limits nothing.
    gateway.reload(&yaml(&origin, "250/h"));
    assert_eq!(passed(&gateway, 300), 50);
    assert_eq!(gateway.connect().get("/free").status(), 200);
    gateway.reload(&yaml(&origin, "{ limit: 1/h, burst: 30 }"));
    assert_eq!(passed(&gateway, 300), 30, "it is counted in another way, and from the beginning");
    assert!(gateway.metric("gateward_policy_answers_total{policy=\"rate_limit\"}") >= 800.0 + 250.0 + 270.0);
    gateway.stop();
}

#[test]
fn a_client_is_told_when_to_come_back() {
    let origin = Origin::saying("page");
    let gateway = Gateway::start(yaml(&origin, "{ limit: 2/min, by: 'header:x-tenant' }"));
    let ask = |tenant: &str| {
        gateway.connect().ask(format!("GET /a HTTP/1.1\r\nHost: gw.test\r\nX-Tenant: {tenant}\r\n\r\n"))
    };
    let first = ask("t");
    assert_eq!(first.status(), 200);
    assert_eq!(first.field("ratelimit-policy"), Some("\"default\";q=2;w=60"));
    assert!(first.field("ratelimit").is_some_and(|text| text.starts_with("\"default\";r=1;t=")), "{first}");
    assert_eq!(ask("t").status(), 200);
    let refused = ask("t");
    assert_eq!((refused.status(), refused.field("content-type")), (429, Some("application/problem+json")));
    let seconds: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=68).contains(&seconds), "{refused}");
    assert!(refused.text().contains("rate-limited"), "{refused}");
    assert!(
        refused.field("ratelimit").is_some_and(|text| text.starts_with("\"default\";r=0;t=")),
        "{refused}"
    );
    assert_eq!(ask("u").status(), 200, "somebody else");
    gateway.stop();
}

#[test]
fn what_is_tried_only_is_in_the_log() {
    let origin = Origin::saying("page");
    let gateway = Gateway::start(yaml(&origin, "{ limit: 1/min, mode: dry_run }"));
    assert_eq!(passed(&gateway, 3), 3);
    let log = gateway.folder().path().join("access.log");
    end_to_end::wait_until("the lines are written", end_to_end::SOON, || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.lines().count() == 3)
    });
    let text = std::fs::read_to_string(&log).unwrap();
    let marked = text.matches("\"policy\":\"rate_limit\",\"reason\":\"dry_run\"").count();
    assert_eq!(marked, 2, "{text}");
    assert!(gateway.metric("gateward_policy_answers_total{policy=\"rate_limit\"}") < 0.5);
    gateway.stop();
}

#[test]
fn each_consumer_uses_what_its_plan_allows() {
    let origin = Origin::saying("page");
    let address = origin.address();
    let gateway = Gateway::start(format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nworkers: 2\n\
         services: {{ site: {{ endpoints: [\"http://{address}\"] }}, reports: {{ endpoints: [\"http://{address}\"] }} }}\n\
         consumers:\n- {{ name: big, api_keys: [0123456789abcdef-big], plan: gold }}\n\
         - {{ name: small, api_keys: [0123456789abcdef-small], plan: bronze }}\n\
         plans:\n  gold: {{ rate_limit: {{ limit: 10/h, burst: 10 }}, services: {{ reports: {{ rate_limit: 3/h }} }} }}\n  \
         bronze: {{ rate_limit: 2/h }}\n\
         policies: {{ api_key: {{}} }}\n\
         routes:\n- {{ path: /reports, service: reports }}\n- {{ path: /free, service: site, policies: {{ plan: off }} }}\n\
         - {{ path: /*, service: site }}\n"
    ));
    let pass = |key: &str, path: &str| {
        let ask = |_: &i32| {
            let head =
                format!("GET {path} HTTP/1.1\r\nHost: gw.test\r\nX-Api-Key: 0123456789abcdef-{key}\r\n\r\n");
            let answer = gateway.connect().ask(head);
            assert!(matches!(answer.status(), 200 | 429), "{answer}");
            answer.status() == 200
        };
        (0..15).filter(ask).count()
    };
    assert_eq!(pass("big", "/reports"), 3);
    assert_eq!(pass("big", "/page"), 7, "what was refused for one service was not charged to the plan");
    assert_eq!((pass("small", "/page"), pass("small", "/reports")), (2, 0));
    assert_eq!((pass("big", "/free"), pass("small", "/free")), (15, 15));
    let (_, page) = gateway.ask_admin("/limits?key=big&at=plan%20gold");
    let page: serde_json::Value = serde_json::from_str(&page).unwrap();
    let gold = &page["limits"][0];
    assert_eq!(
        (&gold["policy"], &gold["at"], &gold["left"]),
        (&json("plan"), &json("plan gold"), &0.into()),
        "{page}"
    );
    assert_eq!(
        (&gold["burst"], &gold["keys"], &gold["by"][0]),
        (&10.into(), &1.into(), &json("consumer")),
        "{page}"
    );
    assert_eq!(page["limits"].as_array().unwrap().len(), 1, "{page}");
    let reset = |query: &str| {
        let head =
            format!("POST /limits/reset?{query} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        Client::connect(gateway.admin()).ask(head).status()
    };
    assert_eq!((reset("key=nobody"), reset(""), reset("key=big")), (404, 404, 200));
    assert_eq!((pass("big", "/reports"), pass("big", "/page"), pass("small", "/page")), (3, 7, 0));
    assert!(gateway.metric("gateward_policy_answers_total{policy=\"plan\"}") >= 12.0 + 8.0 + 13.0 + 15.0);
    gateway.stop();
}

#[test]
fn places_are_free_again_when_requests_are_over_or_their_clients_gone() {
    let origin = Origin::scripted();
    let yaml = |limit: &str| {
        yaml(&origin, "off").replace("rate_limit: off }\n", &format!("concurrency: {limit} }}\n"))
    };
    let gateway = Gateway::start(yaml("{ limit: 3, by: 'header:x-tenant' }"));
    let head = |tenant: &str| format!("GET /a HTTP/1.1\r\nHost: gw.test\r\nX-Tenant: {tenant}\r\n\r\n");
    let begin = |tenant: &str| {
        let client = gateway.connect();
        client.send(head(tenant));
        (client, origin.expect().0)
    };
    let mut held: Vec<_> = (0..3).map(|_| begin("t")).collect();
    let asked = std::time::Instant::now();
    let refused = gateway.connect().ask(head("t"));
    assert_eq!((refused.status(), refused.field("retry-after")), (429, Some("1")), "{refused}");
    assert!(refused.text().contains("too-many-at-once"), "{refused}");
    assert!(
        asked.elapsed() < std::time::Duration::from_millis(500),
        "it does not wait: {:?}",
        asked.elapsed()
    );
    let others = begin("u");
    let under_way = || {
        let (_, page) = gateway.ask_admin("/limits?key=t");
        let page: serde_json::Value = serde_json::from_str(&page).unwrap();
        page["limits"][0]["under_way"].as_u64().unwrap()
    };
    assert_eq!(under_way(), 3);
    // What is under way counts across a reload.
    gateway.reload(&yaml("{ limit: 4, by: 'header:x-tenant' }"));
    held.push(begin("t"));
    assert_eq!(gateway.connect().ask(head("t")).status(), 429);
    let (client, link) = held.remove(0);
    link.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    end_to_end::wait_until("a request is over", end_to_end::SOON, || under_way() == 3);
    drop(held);
    end_to_end::wait_until("the clients have gone", end_to_end::SOON, || under_way() == 0);
    drop(others);
    gateway.reload(&yaml("[100, { limit: 1, by: route }]"));
    let last = begin("t");
    assert_eq!(gateway.connect().ask(head("u")).status(), 503, "nobody's fault");
    drop(last);
    gateway.stop();
}

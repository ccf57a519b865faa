//! Limits of how often somebody may ask, over all workers and over reloads.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::sync::atomic::{AtomicUsize, Ordering};

use end_to_end::{Client, Gateway, Origin};

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

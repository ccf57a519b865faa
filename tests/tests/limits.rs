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
    assert_eq!((reset("key=nobody"), reset(""), reset("ky=big"), reset("key=big")), (404, 400, 400, 200));
    assert_eq!((pass("big", "/reports"), pass("big", "/page"), pass("small", "/page")), (3, 7, 0));
    assert!(gateway.metric("gateward_policy_answers_total{policy=\"plan\"}") >= 12.0 + 8.0 + 13.0 + 15.0);
    gateway.stop();
}

#[test]
fn the_service_says_the_cost_whatever_becomes_of_its_answer() {
    let origin = Origin::serving(|request| {
        let kind = if request.target() == "/wrong" { "text/plain" } else { "application/json" };
        let head = format!(
            "HTTP/1.1 200 OK\r\nX-Cost: 3.5\r\nContent-Type: {kind}\r\nContent-Length: 2\r\n\r\n{{}}"
        );
        Some(head.into_bytes())
    });
    let operation =
        r#"{"get": {"responses": {"200": {"description": "ok", "content": {"application/json": {}}}}}}"#;
    let api = format!(
        r#"{{"openapi": "3.0.3", "info": {{"title": "t", "version": "1"}}, "paths": {{"/right": {operation}, "/wrong": {operation}}}}}"#
    );
    let limit = "{ limit: 10/h, by: [client_ip, 'header:x-tenant'], cost: { response_header: x-cost } }";
    let text = yaml(&origin, limit).replace(
        "policies: { rate_limit:",
        "policies: { headers: { response: { remove: [x-cost] } }, validate: { openapi: api.json, responses: enforce }, rate_limit:",
    );
    let gateway =
        end_to_end::Setup { files: vec![("api.json".to_owned(), api)], ..end_to_end::Setup::new(text) }
            .start();
    for (path, status) in [("/right", 200), ("/wrong", 502)] {
        let ask = |_| {
            let head = format!("GET {path} HTTP/1.1\r\nHost: gw.test\r\nX-Tenant: {path}\r\n\r\n");
            let answer = gateway.connect().ask(head);
            assert_eq!(answer.field("x-cost"), None, "{answer}");
            answer.status()
        };
        let answers: Vec<u16> = (0..4).map(ask).collect();
        assert_eq!(answers, [status, status, status, 429], "four units each: {path}");
    }
    gateway.stop();
}

#[test]
fn an_expensive_request_costs_more_of_a_plan() {
    let origin = Origin::saying("page");
    let address = origin.address();
    let gateway = Gateway::start(format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nworkers: 2\n\
         services: {{ site: {{ endpoints: [\"http://{address}\"] }} }}\n\
         consumers: [{{ name: big, api_keys: [0123456789abcdef-big], plan: gold }}]\n\
         plans: {{ gold: {{ rate_limit: [30/h, {{ limit: 25/h, by: [consumer, route] }}] }} }}\n\
         policies: {{ api_key: {{}} }}\n\
         routes:\n- {{ path: /dear, service: site, policies: {{ plan_cost: 10 }} }}\n- {{ path: /*, service: site }}\n"
    ));
    let ask = |path: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nHost: gw.test\r\nX-Api-Key: 0123456789abcdef-big\r\n\r\n");
        gateway.connect().ask(head)
    };
    assert_eq!((ask("/dear").status(), ask("/dear").status()), (200, 200));
    let refused = ask("/dear");
    assert_eq!(refused.status(), 429, "five are left of what the route has: {refused}");
    let answers: Vec<u16> = (0..11).map(|_| ask("/page").status()).collect();
    assert_eq!((answers[..10].iter().all(|status| *status == 200), answers[10]), (true, 429), "{answers:?}");
    let reset = |query: &str| {
        let head =
            format!("POST /limits/reset?{query} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        Client::connect(gateway.admin()).ask(head).text()
    };
    let said: serde_json::Value = serde_json::from_str(&reset("key=big")).unwrap();
    let others = &said["not_reset"][0];
    assert_eq!(
        (&said["reset"], &others["at"], &others["by"][1]),
        (&1.into(), &json("plan gold"), &json("route"))
    );
    gateway.wait_for("1 limits of big were reset, as 127.0.0.1 has asked", 0);
    assert_eq!(ask("/dear").status(), 429, "what the route has is another limit");
    let said: serde_json::Value = serde_json::from_str(&reset("key=big&key=/dear")).unwrap();
    assert_eq!((&said["reset"], ask("/dear").status()), (&1.into(), 200), "{said}");
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

#[test]
fn whoever_changes_address_or_header_is_never_without_a_limit() {
    let origin = Origin::saying("page");
    let limited = |limit: &str| {
        let yaml = yaml(&origin, limit).replace("workers: 2\n", "workers: 2\ntrusted_proxies: [127.0.0.1]\n");
        Gateway::start(yaml)
    };
    // One network of 64 bits is one client, whatever address it takes.
    let gateway = limited("{ limit: 5/h, by: client_ip, keys: 5000 }");
    let client = gateway.connect();
    let from = |address: &str| {
        let head = format!("GET /a HTTP/1.1\r\nHost: gw.test\r\nX-Forwarded-For: {address}\r\n\r\n");
        client.ask(head).status()
    };
    let own = (0..20).filter(|host| from(&format!("2001:db8:0:1::{host:x}")) == 200).count();
    assert_eq!(own, 5);
    // Thousands of others do not make it forget who is at the limit, and do not fill the memory.
    let before = gateway.peak_memory();
    for other in 0..12_000_u32 {
        assert_eq!(from(&format!("2001:db8:{:x}:{:x}::1", 1 + (other >> 16), other & 0xffff)), 200);
    }
    assert_eq!(from("2001:db8:0:1:ffff::1"), 429);
    let grown = gateway.peak_memory() - before;
    assert!(grown < 8 * 1024 * 1024, "{grown} bytes");
    gateway.stop();

    // What is absent or empty is the address; what is doubled counts with all its values; the case of a name is nothing.
    let gateway = limited("{ limit: 2/h, by: 'header:x-tenant' }");
    let passed = |fields: &str| {
        let ask = |_: &i32| {
            let head = format!("GET /a HTTP/1.1\r\nHost: gw.test\r\n{fields}\r\n");
            let status = gateway.connect().ask(head).status();
            assert!(matches!(status, 200 | 429), "{status}");
            status == 200
        };
        (0..4).filter(ask).count()
    };
    let long = format!("X-Tenant: {}\r\n", "x".repeat(20_000));
    for (fields, expected) in [
        ("", 2),
        ("X-Tenant: \r\n", 0),
        ("X-Tenant: a\r\n", 2),
        ("x-TENANT: a\r\n", 0),
        ("X-Tenant: a\r\nX-Tenant: b\r\n", 2),
        ("X-Tenant: a\r\nX-Tenant: b\r\nX-Tenant: \r\n", 0),
        (&long, 2),
        (&long, 0),
    ] {
        assert_eq!(passed(fields), expected, "{}", fields.get(..40).unwrap_or(fields));
    }
    gateway.stop();
}

#[test]
fn a_clock_that_is_set_gives_nothing_and_takes_nothing() {
    let library = std::fs::read_dir("/usr/lib").unwrap().filter_map(Result::ok);
    let mut library = library.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1"));
    let library = library.find(|path| path.exists()).expect("faketime is installed by `make test`");
    let (origin, clock) = (Origin::saying("page"), end_to_end::Folder::new());
    let set = |offset: &str| {
        let new = clock.write("new", offset);
        std::fs::rename(new, clock.path().join("clock")).unwrap();
    };
    set("+0");
    let yaml = yaml(&origin, "5/h")
        .replace("rate_limit: 5/h", "rate_limit: 5/h, quota: 8/month")
        .replace("rate_limit: off", "rate_limit: off, quota: off");
    let file = clock.path().join("clock");
    let environment = [
        ("LD_PRELOAD", library.to_str().unwrap()),
        ("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap()),
        ("FAKETIME_NO_CACHE", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let gateway = end_to_end::Setup { environment, ..end_to_end::Setup::new(yaml.clone()) }.start();
    let today = |gateway: &Gateway| gateway.connect().get("/free").field("date").unwrap().to_owned();
    let (first, client) = (today(&gateway), gateway.connect());
    let statuses = |count: usize| (0..count).map(|_| client.get("/page").status()).collect::<Vec<_>>();
    assert_eq!(statuses(3), [200; 3]);
    // The rate does not look at the time of day, and a quota begins anew only when its period does.
    for offset in ["+1h", "-1h", "+1h", "+0"] {
        set(offset);
        end_to_end::wait_until("the clock is seen", end_to_end::SOON, || {
            today(&gateway)[..19] != first[..19] || offset == "+0"
        });
        let expected: &[u16] = if offset == "+1h"
            && gateway.metric("gateward_policy_answers_total{policy=\"rate_limit\"}") < 0.5
        {
            &[200, 200, 429, 429]
        } else {
            &[429; 4]
        };
        assert_eq!(statuses(4), expected, "{offset}");
    }
    // What the quota refuses was charged to the rate, which has to have room for all that are tried here.
    gateway.reload(&yaml.replace("5/h", "1M/h"));
    assert_eq!(statuses(5), [200, 200, 200, 429, 429], "of the quota");
    // Another month, and back: what was used up in the later one stays used up.
    set("+32d");
    end_to_end::wait_until("the month is seen", end_to_end::SOON, || client.get("/page").status() == 200);
    let left = statuses(20).iter().filter(|status| **status == 200).count();
    assert_eq!(left, 7, "and no more");
    set("+0");
    end_to_end::wait_until("the clock is back", end_to_end::SOON, || today(&gateway)[..16] == first[..16]);
    assert_eq!(statuses(3), [429; 3]);
    gateway.stop();
}

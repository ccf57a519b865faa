//! Which endpoint gets a request: by key, by latency, by zone, and evenly with several workers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use end_to_end::failing::{Behaviour, Failing};
use end_to_end::{Client, Gateway, SOON, Setup, wait_until};

fn start(workers: usize, top: &str, endpoints: &[String], more: &str) -> Gateway {
    let text = format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n{top}services: {{ site: {{ endpoints: [{}]{more} }} }}\n\
         routes: [{{ path: /*, service: site }}]\n",
        endpoints.join(", ")
    );
    Setup { workers: Some(workers), ..Setup::new(text) }.start()
}

fn urls(services: &[Failing]) -> Vec<String> {
    services.iter().map(|service| format!("http://{}", service.address())).collect()
}

/// Who serves each of these users, asked over a connection of its own, so that any worker may get it.
fn servers(gateway: &Gateway, users: usize) -> BTreeMap<usize, String> {
    let ask = |user| {
        let answer =
            gateway.connect().ask(format!("GET / HTTP/1.1\r\nHost: a.test\r\nX-User: u{user}\r\n\r\n"));
        assert_eq!(answer.status(), 200, "{answer}");
        (user, answer.field("x-served-by").unwrap().to_owned())
    };
    (0..users).map(ask).collect()
}

#[test]
fn a_key_stays_with_its_endpoint_in_every_worker() {
    let services = Failing::several(["a", "b", "c", "d"]);
    let mut endpoints = urls(&services);
    let by = ", balance: { hash: { header: x-user } }";
    let gateway = start(2, "", &endpoints, by);
    let before = servers(&gateway, 80);
    assert_eq!(servers(&gateway, 80), before, "whichever worker it is");
    for service in &services {
        let own = before.values().filter(|name| *name == service.name()).count();
        assert!((8..=36).contains(&own), "{} has {own} of 80", service.name());
    }
    // In another order, and without one of them: only its keys move.
    endpoints.reverse();
    let other = start(1, "", &endpoints, by);
    assert_eq!(servers(&other, 80), before, "the order does not matter");
    endpoints.remove(0);
    let smaller = start(1, "", &endpoints, by);
    let after = servers(&smaller, 80);
    let moved = before.iter().filter(|(user, name)| *name != "d" && after[user] != **name).count();
    assert!(moved <= 6, "{moved} keys of others have moved");
}

#[test]
fn what_is_slow_gets_less() {
    let services = Failing::several(["quick", "slow"]);
    services[1].set(Behaviour::slow(Duration::from_millis(60)));
    let gateway = start(1, "", &urls(&services), ", balance: ewma, eject: off");
    let address = gateway.address();
    let askers: Vec<_> = (0..4)
        .map(|_| {
            std::thread::spawn(move || {
                let client = Client::connect(address);
                (0..100).for_each(|_| assert_eq!(client.get("/").status(), 200));
            })
        })
        .collect();
    askers.into_iter().for_each(|asker| asker.join().unwrap());
    let slow = services[1].count();
    assert!(slow * 4 < services[0].count(), "the slow one got {slow} of 400");
}

#[test]
fn what_is_near_is_preferred_as_long_as_there_is_enough() {
    let services = Failing::several(["near", "far"]);
    let endpoints: Vec<String> = services
        .iter()
        .map(|service| format!("{{ url: http://{}, zone: {} }}", service.address(), service.name()))
        .collect();
    let gateway = start(1, "zone: near\n", &endpoints, ", slow_start: off");
    let client = gateway.connect();
    let served = || client.get("/").field("x-served-by").unwrap().to_owned();
    assert!((0..50).all(|_| served() == "near"));
    let admin = |what: &str| {
        let path = format!("/services/site/endpoints/{}/{what}", services[0].address());
        let admin = Client::connect(gateway.admin());
        admin.ask(format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"))
    };
    assert_eq!(admin("drain").status(), 200);
    wait_until("the far one serves", SOON, || (0..10).all(|_| served() == "far"));
    assert_eq!(admin("undrain").status(), 200);
    wait_until("the near one serves", SOON, || (0..10).all(|_| served() == "near"));
}

#[test]
fn several_workers_spread_few_requests_evenly() {
    for balance in ["round_robin", "random", "least_requests", "ewma"] {
        let services = Failing::several(["a", "b", "c"]);
        if balance == "ewma" {
            // It goes by how long they take: long enough that what a busy machine adds by chance is little.
            services.iter().for_each(|service| service.set(Behaviour::slow(Duration::from_millis(50))));
        }
        let gateway = start(2, "", &urls(&services), &format!(", balance: {balance}"));
        (0..90).for_each(|_| assert_eq!(gateway.connect().get("/").status(), 200));
        let counts = services.each_ref().map(Failing::count);
        // A third each; by chance, of 90, hardly ever less than half of that.
        assert!(counts.iter().all(|count| (15..=50).contains(count)), "{balance}: {counts:?}");
    }
}

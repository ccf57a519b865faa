//! Quotas that two gateways share through a real store: nothing too much, nothing back by a restart, and what holds when
//! the store is gone.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use end_to_end::redis::{Redis, installed};
use end_to_end::{Client, Gateway, Origin, SOON, Setup, wait_until};
use serde_json::Value;

fn yaml(origin: &Origin, redis: &Redis, more: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nworkers: 2\nstate: {{ url: \"{}\", timeout: 5s }}\n\
         services: {{ site: {{ endpoints: [\"http://{}\"] }} }}\n\
         routes: [{{ path: /*, service: site }}]\n{more}\n",
        redis.url(),
        origin.address()
    )
}

fn start(yaml: &str) -> Gateway {
    let gateway = Setup { workers: Some(2), ..Setup::new(yaml) }.start();
    wait_until("the store can be asked", SOON, || {
        gateway.metric("gateward_store_connections{state=\"up\"}") == 2.0
    });
    gateway
}

fn json(gateway: &Gateway, path: &str) -> Value {
    let (status, text) = gateway.ask_admin(path);
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn status(client: &Client) -> u16 {
    client.ask("GET /page HTTP/1.1\r\nHost: gw.test\r\nX-Api-Key: a-key-of-mobile\r\n\r\n").status()
}

/// How many of so many requests pass over each of five connections to each gateway.
fn passed(gateways: &[Gateway], asked: usize) -> u64 {
    std::thread::scope(|scope| {
        let one = |gateway: &Gateway| {
            let client = gateway.connect();
            (0..asked).map(|_| status(&client)).fold(0, |passed, status| match status {
                200 => passed + 1,
                429 => passed,
                other => panic!("{other}"),
            })
        };
        let all: Vec<_> = gateways
            .iter()
            .flat_map(|gateway| (0..5).map(move |_| scope.spawn(move || one(gateway))))
            .collect();
        all.into_iter().map(|one| one.join().unwrap()).sum()
    })
}

/// What these gateways say that they have let pass, together.
fn used(gateways: &[Gateway]) -> u64 {
    let pages = gateways.iter().map(|gateway| json(gateway, "/usage"));
    pages.map(|page| page["usage"].get(0).map_or(0, |one| one["used"].as_u64().unwrap())).sum()
}

#[test]
fn two_gateways_let_through_one_quota_and_a_restart_gives_nothing_back() {
    if !installed() {
        return;
    }
    let origin = Origin::saying("page");
    // Leases of the larger one are charged ahead of need.
    for (shared, limit) in [("exact", 200), ("leased", 200), ("leased", 640)] {
        let redis = Redis::start(&[], None);
        let quota =
            format!("policies: {{ quota: {{ limit: {limit}/month, by: client_ip, shared: {shared} }} }}");
        let text = yaml(&origin, &redis, &quota);
        let mut gateways = vec![start(&text), start(&text)];
        let mut total = passed(&gateways, 100);
        assert!(total <= limit, "{shared}: {total} of {limit}");
        if shared == "exact" {
            assert_eq!(total, limit);
        }
        // Units that one of them holds and does not use come back within two seconds.
        wait_until("all of it is used", SOON, || {
            total += passed(&gateways, 1);
            total >= limit
        });
        assert_eq!((total, used(&gateways)), (limit, limit), "{shared}");
        assert_eq!(passed(&gateways, 3), 0, "{shared}");
        let page = json(&gateways[1], "/limits?key=127.0.0.1");
        let said = ["used", "left", "counted", "shared"].map(|name| page["limits"][0][name].clone());
        let expected: [Value; 4] = [limit.into(), 0.into(), "at the store".into(), shared.into()];
        assert_eq!(said, expected, "{page}");
        // It has no `state_dir`: it has forgotten all of it.
        gateways.pop().unwrap().stop();
        gateways.push(start(&text));
        assert_eq!(passed(&gateways, 3), 0, "{shared}");
        let refused = gateways[1].connect().get("/page");
        assert!(refused.field("retry-after").unwrap().parse::<u64>().unwrap() <= 31 * 86_400 + 3600);
        gateways.into_iter().for_each(Gateway::stop);
    }
}

#[test]
fn a_reset_holds_for_all_gateways() {
    if !installed() {
        return;
    }
    let (redis, origin) = (Redis::start(&[], None), Origin::saying("page"));
    let text = yaml(&origin, &redis, "policies: { quota: { limit: 20/day, by: client_ip, shared: exact } }");
    let gateways = [start(&text), start(&text)];
    assert_eq!(passed(&gateways, 10), 20);
    let ask = "POST /limits/reset?key=127.0.0.1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(Client::connect(gateways[0].admin()).ask(ask).status(), 200);
    assert_eq!(passed(&gateways, 10), 20);
    gateways.into_iter().for_each(Gateway::stop);
}

#[test]
fn each_quota_says_what_holds_while_the_store_is_gone() {
    if !installed() {
        return;
    }
    let origin = Origin::saying("page");
    for shared in ["exact", "leased"] {
        let mut redis = Redis::start(&[], None);
        let gateways = ["local", "open", "closed"].map(|failure| {
            let quota = format!(
                "policies: {{ quota: {{ limit: 6/month, by: client_ip, shared: {shared}, on_store_failure: {failure} }} }}"
            );
            start(&yaml(&origin, &redis, &quota))
        });
        let ask = |at: usize, count: usize| {
            let client = gateways[at].connect();
            (0..count).map(|_| status(&client)).collect::<Vec<_>>()
        };
        assert_eq!([ask(0, 1), ask(1, 1), ask(2, 1)], [[200], [200], [200]], "{shared}");
        redis.kill();
        // What it has let pass before counts.
        assert_eq!(ask(0, 7), [200, 200, 200, 200, 200, 429, 429], "{shared}");
        assert_eq!((ask(1, 10), ask(2, 3)), (vec![200; 10], vec![503; 3]), "{shared}");
        redis.restart();
        redis.tell("FLUSHALL");
        for gateway in &gateways {
            wait_until("the store is asked again", SOON, || {
                gateway.metric("gateward_store_connections{state=\"up\"}") == 2.0
            });
        }
        let passing = (0..12).filter(|at| ask(at % 3, 1) == [200]).count();
        assert!(passing == 6 || (shared == "leased" && passing < 6), "{shared}: {passing}");
        gateways.into_iter().for_each(Gateway::stop);
    }
}

#[test]
fn a_plan_shares_its_limits_and_its_quotas() {
    if !installed() {
        return;
    }
    let (redis, origin) = (Redis::start(&[], None), Origin::saying("page"));
    let more = "consumers: [{ name: mobile, api_keys: [a-key-of-mobile], plan: free }]\n\
        plans: { free: { rate_limit: { limit: 50/h, shared: exact }, quota: { limit: 30/month, shared: exact } } }\n\
        policies: { api_key: {} }\n";
    let text = yaml(&origin, &redis, more);
    let gateways = [start(&text), start(&text)];
    assert_eq!(passed(&gateways, 10), 30);
    // What the quota has refused is not charged to the limit.
    let page = json(&gateways[0], "/limits?key=mobile");
    let mut left: Vec<_> =
        page["limits"].as_array().unwrap().iter().map(|one| one["left"].as_u64()).collect();
    left.sort_unstable();
    assert_eq!(left, [Some(0), Some(20)], "{page}");
    gateways.into_iter().for_each(Gateway::stop);
}

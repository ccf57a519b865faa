//! Endpoints that fail get no requests for a while, without probes; and clients hardly notice.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use end_to_end::failing::{Behaviour, Failing, Failure, Process};
use end_to_end::{Client, Gateway, SOON, wait_until};
use serde_json::{Value, json};

fn yaml(endpoints: &[SocketAddr], more: &str) -> String {
    let endpoints: Vec<String> = endpoints.iter().map(|address| format!("http://{address}")).collect();
    format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n\
         services: {{ site: {{ endpoints: [{}]{more} }} }}\nroutes: [{{ path: /*, service: site }}]\n",
        endpoints.join(", ")
    )
}

/// The addresses of the service that are to get no requests, and why.
fn out(gateway: &Gateway) -> Value {
    let (status, text) = gateway.ask_admin("/services");
    assert_eq!(status, 200, "{text}");
    serde_json::from_str::<Value>(&text).unwrap()["services"][0]["out"].clone()
}

/// Asks until `done`, and returns the statuses of all answers that were not 200.
fn ask_until(client: &Client, what: &str, mut done: impl FnMut() -> bool) -> Vec<u16> {
    let began = Instant::now();
    let mut others = Vec::new();
    while !done() {
        assert!(began.elapsed() < SOON, "{what}");
        let status = client.get("/x").status();
        others.extend((status != 200).then_some(status));
    }
    others
}

#[test]
fn one_that_answers_errors_is_ejected_and_comes_back() {
    let [one, two, three] = Failing::several(["one", "two", "three"]);
    let addresses = [one.address(), two.address(), three.address()];
    let gateway = Gateway::start(yaml(&addresses, ", eject: { for: 1s }, slow_start: off"));
    let client = gateway.connect();
    assert!((0..30).all(|_| client.get("/x").status() == 200));
    three.set(Behaviour::failing(Failure::Status(500)));
    let began = Instant::now();
    let failed = ask_until(&client, "it is ejected", || out(&gateway) != json!([]));
    // It is judged ten times per second. How many fail until then says how fast this machine asks.
    let took = began.elapsed();
    assert!(failed.len() >= 5 && took < Duration::from_secs(1), "{} failures in {took:?}", failed.len());
    let shown = out(&gateway);
    assert_eq!(
        (&shown[0]["address"], &shown[0]["reason"]),
        (&json!(three.address().to_string()), &json!("ejected"))
    );
    assert!(shown[0]["why"].as_str().unwrap().contains("fail"), "{shown}");
    gateway.wait_for(&format!("{} is ejected for 1 s: ", three.address()), 0);
    assert_eq!(gateway.metric("gateward_upstream_addresses_out{service=\"site\",reason=\"ejected\"}"), 1.0);
    let ejections = ["in_a_row", "failure_rate"].map(|cause| {
        gateway.metric(&format!("gateward_upstream_ejections_total{{service=\"site\",cause=\"{cause}\"}}"))
    });
    assert_eq!(ejections.iter().sum::<f64>(), 1.0);
    let before = three.count();
    assert!((0..30).all(|_| client.get("/x").status() == 200));
    assert_eq!(three.count(), before);
    three.set(Behaviour::default());
    let failed = ask_until(&client, "it is back", || three.count() > before);
    assert_eq!((failed, out(&gateway)), (vec![], json!([])));
    gateway.wait_for(&format!("{} gets requests again", three.address()), 0);
}

#[test]
fn one_that_fails_half_the_time_is_ejected() {
    let [one, two, three] = Failing::several(["one", "two", "three"]);
    let gateway = Gateway::start(yaml(&[one.address(), two.address(), three.address()], ""));
    let client = gateway.connect();
    three.set(Behaviour { share: 50, ..Behaviour::failing(Failure::Status(503)) });
    ask_until(&client, "it is ejected", || out(&gateway) != json!([]));
    assert!(out(&gateway)[0]["why"].as_str().unwrap().contains("requests failed"), "{}", out(&gateway));
}

#[test]
fn what_fails_everywhere_ejects_nobody_and_off_is_off() {
    let [one, two] = Failing::several(["one", "two"]);
    for service in [&one, &two] {
        service.set(Behaviour::failing(Failure::Status(500)));
    }
    let gateway = Gateway::start(yaml(&[one.address(), two.address()], ""));
    let client = gateway.connect();
    assert!((0..200).all(|_| client.get("/x").status() == 500));
    one.set(Behaviour::default());
    let off = Gateway::start(yaml(&[one.address(), two.address()], ", eject: off"));
    let other = off.connect();
    let failures = (0..200).filter(|_| other.get("/x").status() == 500).count();
    assert_eq!(failures, 100);
    assert_eq!((out(&off), one.count() + two.count()), (json!([]), 400));
}

#[test]
fn a_process_that_is_killed_costs_no_request() {
    let mut all = ["one", "two", "three"].map(Process::named);
    let gateway = Gateway::start(yaml(&[all[0].address(), all[1].address(), all[2].address()], ""));
    let clients: Vec<Client> = (0..8).map(|_| gateway.connect()).collect();
    let ask = |times: usize| (0..times).all(|turn| clients[turn % clients.len()].get("/x").status() == 200);
    assert!(ask(100));
    all[1].kill();
    assert!(ask(500), "while one is dead");
    all[1].start_again();
    assert!(ask(500), "when it is back");
}

#[test]
fn requests_do_not_wait_for_a_process_that_hangs() {
    let all = ["one", "two", "three"].map(Process::named);
    let gateway = Gateway::start(yaml(&[all[0].address(), all[1].address(), all[2].address()], ""));
    let warm = gateway.connect();
    assert!((0..150).all(|_| warm.get("/x").status() == 200));
    all[2].stop();
    let began = Instant::now();
    let address = gateway.address();
    let asker = move || Client::connect(address).get("/x").status();
    let mut askers: Vec<_> = (0..12).map(|_| std::thread::spawn(asker)).collect();
    // Others have to be answered meanwhile, or all might hang together.
    let mut others = Vec::new();
    wait_until("it is ejected", SOON, || {
        let (done, is_done) = std::sync::mpsc::sync_channel(1);
        others.push(std::thread::spawn(move || {
            let status = asker();
            let _ = done.send(());
            status
        }));
        let _ = is_done.recv_timeout(Duration::from_millis(50));
        out(&gateway) != json!([])
    });
    askers.extend(others);
    let statuses: Vec<u16> = askers.into_iter().map(|asker| asker.join().unwrap()).collect();
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    assert_eq!(out(&gateway)[0]["reason"], json!("stalled"), "{}", gateway.log());
    all[2].go_on();
}

#[test]
fn who_wants_to_be_left_alone_is_not_asked_again() {
    let [one, two] = Failing::several(["one", "two"]);
    let busy = Behaviour { retry_after: Some(7), ..Behaviour::failing(Failure::Status(503)) };
    one.set(busy.clone());
    let more = ", eject: off, retries: { on: [503], attempts: 3, budget: 100% }";
    let alone = Gateway::start(yaml(&[one.address()], more));
    let answer = alone.connect().get("/x");
    assert_eq!((answer.status(), answer.field("retry-after"), one.count()), (503, Some("7"), 1));
    let both = Gateway::start(yaml(&[one.address(), two.address()], more));
    let client = both.connect();
    assert!((0..10).all(|_| client.get("/x").status() == 200), "the other one is asked");
    two.set(busy);
    let before = one.count() + two.count();
    assert_eq!(client.get("/x").status(), 503);
    assert_eq!(one.count() + two.count() - before, 2, "each of them once");
}

#[test]
fn what_an_operator_drains_gets_nothing_new() {
    let [one, two] = Failing::several(["one", "two"]);
    let text = yaml(&[one.address(), two.address()], "");
    let gateway = Gateway::start(&*text);
    let client = gateway.connect();
    let post = |what: &str| {
        let admin = Client::connect(gateway.admin());
        let path = format!("/services/site/endpoints/{what}");
        let answer =
            admin.ask(format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"));
        (answer.status(), answer.text())
    };
    let address = one.address();
    assert_eq!(post(&format!("{address}/drain")).0, 200);
    gateway.wait_for(&format!("{address} is drained"), 0);
    assert_eq!(out(&gateway)[0]["reason"], json!("drained"));
    let settled = || {
        let before = one.count();
        (0..10).for_each(|_| assert_eq!(client.get("/x").status(), 200));
        one.count() == before
    };
    wait_until("nothing new comes", SOON, settled);
    gateway.reload(&format!("{text}# the same\n"));
    assert!(settled(), "it holds over a reload");
    assert_eq!(post(&format!("{}/drain", two.address())).0, 200);
    wait_until("nobody is left", SOON, || client.get("/x").status() == 503);
    assert_eq!(post(&format!("{address}/undrain")).0, 200);
    wait_until("it is back", SOON, || client.get("/x").status() == 200);
    for (what, status, words) in
        [("127.0.0.1:1/drain", 404, "has no address 127.0.0.1:1"), ("here/drain", 404, "is no address")]
    {
        let (found, text) = post(what);
        assert!(found == status && text.contains(words), "{what}: {found} {text}");
    }
}

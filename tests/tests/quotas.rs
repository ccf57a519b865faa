//! What is used up in a month: kept over restarts and crashes, shown, reset, and part of plans.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use end_to_end::{Client, Folder, Gateway, Origin, SOON, Setup, check, wait_until};
use serde_json::Value;

/// What a crash may forget: what came since the last flush, which happens once per second and takes its time on a
/// machine that is busy.
const FORGOTTEN: Duration = Duration::from_millis(1_500);

fn yaml(origin: &Origin, state: &Path, quota: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nworkers: 2\nstate_dir: {}\n\
         services: {{ site: {{ endpoints: [\"http://{}\"] }} }}\n\
         policies: {{ quota: {quota} }}\nroutes: [{{ path: /*, service: site }}]\n",
        state.display(),
        origin.address()
    )
}

fn json(gateway: &Gateway, path: &str) -> Value {
    let (status, text) = gateway.ask_admin(path);
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// What is used up by the only one who has used something.
fn used(gateway: &Gateway) -> u64 {
    let page = json(gateway, "/usage");
    page["usage"].get(0).map_or(0, |one| one["used"].as_u64().unwrap())
}

fn statuses(gateway: &Gateway, count: usize) -> Vec<u16> {
    let client = gateway.connect();
    (0..count).map(|_| client.get("/page").status()).collect()
}

/// Asks until the other side has gone, and says when each 200 came.
fn ask_until_it_is_gone(address: SocketAddr, stop: &AtomicBool, answered: &Mutex<Vec<Instant>>) {
    let Ok(mut stream) = TcpStream::connect_timeout(&address, SOON) else { return };
    stream.set_read_timeout(Some(SOON)).unwrap();
    let (mut buffer, mut unread) = ([0; 4096], Vec::new());
    while !stop.load(Ordering::Relaxed) {
        if stream.write_all(b"GET /page HTTP/1.1\r\nHost: gw.test\r\n\r\n").is_err() {
            return;
        }
        unread.clear();
        while !unread.ends_with(b"\r\n\r\npage") {
            match stream.read(&mut buffer) {
                Ok(count @ 1..) => unread.extend_from_slice(&buffer[..count]),
                _ => return,
            }
        }
        assert!(unread.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&unread));
        answered.lock().unwrap().push(Instant::now());
    }
}

#[test]
fn a_crash_under_load_forgets_at_most_a_second_and_counts_nothing_twice() {
    const CLIENTS: usize = 4;
    let (origin, state) = (Origin::saying("page"), Folder::new());
    let text = yaml(&origin, state.path(), "100M/month");
    let setup = Setup { workers: Some(2), ..Setup::new(text) };
    let (mut least, mut most) = (0, 0);
    for round in 0..6_u64 {
        let mut gateway = setup.start();
        let known = used(&gateway);
        assert!((least..=most).contains(&known), "round {round}: {known} is not in {least}..={most}");
        let (stop, answered) = (AtomicBool::new(false), Mutex::new(Vec::new()));
        let address = gateway.address();
        let killed = std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| ask_until_it_is_gone(address, &stop, &answered));
            }
            // At another moment between two flushes each time.
            let until = Instant::now() + Duration::from_millis(1_700 + round * 170);
            wait_until("it was asked for a while", SOON, || Instant::now() >= until);
            let killed = Instant::now();
            gateway.signal("KILL");
            _ = gateway.wait(SOON);
            stop.store(true, Ordering::Relaxed);
            killed
        });
        let answered = answered.into_inner().unwrap();
        let old = answered.iter().filter(|at| **at + FORGOTTEN < killed).count() as u64;
        assert!(old > 0, "nothing was answered in time to be kept");
        // Those whose answers were on their way are counted too.
        (least, most) = (known + old, known + answered.len() as u64 + CLIENTS as u64);
    }
}

#[test]
fn a_restart_forgets_nothing_and_a_damaged_ledger_is_set_aside() {
    let (origin, state) = (Origin::saying("page"), Folder::new());
    let text = yaml(&origin, state.path(), "5/month");
    let gateway = Gateway::start(text.clone());
    assert_eq!(statuses(&gateway, 3), [200; 3]);
    gateway.stop();
    let gateway = Gateway::start(text.clone());
    assert_eq!(used(&gateway), 3);
    assert_eq!(statuses(&gateway, 4), [200, 200, 429, 429]);
    let refused = gateway.connect().get("/page");
    assert_eq!(refused.field("content-type"), Some("application/problem+json"), "{refused}");
    let wait: u64 = refused.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=31 * 86_400).contains(&wait) && refused.text().contains("quota-exceeded"), "{refused}");
    assert!(refused.field("ratelimit").is_some_and(|level| level.starts_with("\"default\";r=0;t=")));
    assert_eq!(origin.count(), 5);

    // A second gateway would count what the first one does not see.
    let mut second = std::process::Command::new(end_to_end::binary());
    second.args(["run", "-c", "gateward.yaml"]).current_dir(gateway.folder().path());
    let output = second.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("another gateway keeps its quotas there"), "{said}");
    gateway.stop();

    let ledger = state.path().join("quota").join("journal");
    let mut bytes = std::fs::read(&ledger).unwrap();
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    bytes.extend(std::iter::repeat_n(0xa5, 200));
    std::fs::write(&ledger, &bytes).unwrap();
    let gateway = Gateway::start(text);
    gateway.wait_for("is damaged: ", 0);
    assert!(gateway.metric("gateward_quota_ledger_damaged") > 0.5);
    let aside = std::fs::read_dir(state.path().join("quota")).unwrap().map(|entry| entry.unwrap());
    let aside: Vec<_> =
        aside.filter(|entry| entry.file_name().to_string_lossy().contains(".corrupt-")).collect();
    assert!(aside.len() == 1 && std::fs::read(aside[0].path()).unwrap() == bytes, "as it was");
    assert_eq!(gateway.connect().get("/page").status(), 200);
    gateway.stop();
}

#[test]
fn usage_is_shown_and_reset() {
    let (origin, state) = (Origin::saying("page"), Folder::new());
    let quota = "[{ limit: [3/month, 100/month], by: \"header:x-tenant\" }]";
    let twice = check(&Setup::new(yaml(&origin, state.path(), quota)), &[]);
    assert!(String::from_utf8_lossy(&twice.stdout).contains("another quota of the same ones"), "{twice:?}");
    let quota = "{ limit: 3/month, by: \"header:x-tenant\", time_zone: Europe/Berlin }";
    let gateway = Gateway::start(yaml(&origin, state.path(), quota));
    let ask = |tenant: &str| {
        let head = format!("GET /a HTTP/1.1\r\nHost: gw.test\r\nX-Tenant: {tenant}\r\n\r\n");
        gateway.connect().ask(head).status()
    };
    assert_eq!((0..5).map(|_| ask("acme")).collect::<Vec<_>>(), [200, 200, 200, 429, 429]);
    assert_eq!((ask("a b"), ask(&"x".repeat(2_000))), (200, 200));
    let page = json(&gateway, "/usage");
    let keys: Vec<&str> =
        page["usage"].as_array().unwrap().iter().map(|one| one["key"].as_str().unwrap()).collect();
    assert!(keys[..2] == ["header=a%20b", "header=acme"] && keys[2].starts_with("sha256:"), "{page}");
    assert_eq!((&page["usage"][1]["used"], &page["usage"][1]["left"]), (&3.into(), &0.into()), "{page}");
    let next = json(&gateway, "/usage?after=header=a%2520b");
    assert_eq!(next["usage"].as_array().unwrap().len(), 2, "{next}");
    assert_eq!(json(&gateway, "/usage?key=acme")["usage"].as_array().unwrap().len(), 1);
    for (asked, status, says) in [
        ("/usage?at=route%20x", 404, "There are: `gateway`."),
        ("/limits?at=gatewy", 404, "There are: `gateway`."),
        ("/usage?limit=1", 400, "no parameter `limit` here, but `key`, `at`, `after`"),
        ("/limits?consumer=acme", 400, "no parameter `consumer` here, but `key`, `at`"),
    ] {
        let (code, text) = gateway.ask_admin(asked);
        assert!(code == status && text.contains(says), "{asked}: {code} {text}");
    }
    let limits = json(&gateway, "/limits?key=acme");
    let one = &limits["limits"][0];
    assert_eq!(
        (&one["quota"], &one["used"], &one["left"]),
        (&"3/month".into(), &3.into(), &0.into()),
        "{one}"
    );
    assert_eq!((&one["at"], &one["time_zone"]), (&"gateway".into(), &"Europe/Berlin".into()), "{one}");
    assert!(one["until"].as_str().unwrap().ends_with(":00:00Z"), "{one}");

    let reset = |query: &str| {
        let head =
            format!("POST /limits/reset?{query} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        Client::connect(gateway.admin()).ask(head).status()
    };
    assert_eq!((reset("key=nobody"), reset("key=acme")), (404, 200));
    gateway.wait_for(
        "1 limits of acme were reset; 3 of 3/month of gateway were used, as 127.0.0.1 has asked",
        0,
    );
    assert_eq!(ask("acme"), 200);
    // A quota that is raised keeps what was used of it.
    gateway.reload(&yaml(&origin, state.path(), &quota.replace("3/month", "4/month")));
    assert_eq!((0..5).map(|_| ask("acme")).collect::<Vec<_>>(), [200, 200, 200, 429, 429]);
    gateway.stop();
}

#[test]
fn what_was_counted_in_memory_is_kept_once_there_is_a_folder() {
    let (origin, state) = (Origin::saying("page"), Folder::new());
    let with = yaml(&origin, state.path(), "5/month");
    let without = with.replace(&format!("state_dir: {}\n", state.path().display()), "");
    let warned = check(&Setup::new(without.clone()), &[]);
    let said = String::from_utf8_lossy(&warned.stdout);
    assert!(warned.status.success() && said.contains("GW0517") && said.contains("state_dir"), "{said}");
    let gateway = Gateway::start(without);
    assert_eq!(statuses(&gateway, 2), [200; 2]);
    gateway.reload(&with);
    assert_eq!((used(&gateway), statuses(&gateway, 1)), (2, vec![200]));
    gateway.stop();
    let gateway = Gateway::start(with.clone());
    assert_eq!((used(&gateway), statuses(&gateway, 3)), (3, vec![200, 200, 429]));
    // A folder that is not there: nothing changes.
    let seen = gateway.rewrite(&with.replace("state_dir: ", "state_dir: /nonexistent"));
    gateway.signal("HUP");
    gateway.wait_for("does not exist, and what is used up of quotas is kept there", seen);
    assert_eq!(used(&gateway), 5);
    gateway.stop();
}

#[test]
fn a_plan_has_quotas_and_what_the_rate_refuses_uses_nothing_up() {
    let (origin, state) = (Origin::saying("page"), Folder::new());
    let text = yaml(&origin, state.path(), "off").replace(
        "policies: { quota: off }\n",
        "consumers: [{ name: big, api_keys: [0123456789abcdef-big], plan: gold }]\n\
         plans: { gold: { rate_limit: 4/h, quota: 6/month, services: { site: { quota: 5/month } } } }\n\
         policies: { api_key: {} }\n",
    );
    let gateway = Gateway::start(text.clone());
    let ask = |gateway: &Gateway, count: usize| {
        let head = "GET /a HTTP/1.1\r\nHost: gw.test\r\nX-Api-Key: 0123456789abcdef-big\r\n\r\n";
        let client = gateway.connect();
        (0..count).map(|_| client.ask(head).status()).collect::<Vec<_>>()
    };
    assert_eq!(ask(&gateway, 6), [200, 200, 200, 200, 429, 429]);
    let page = json(&gateway, "/usage");
    let rows: Vec<_> =
        page["usage"].as_array().unwrap().iter().map(|one| (&one["at"], &one["used"])).collect();
    let (gold, site): (Value, Value) = ("plan gold".into(), "plan gold service site".into());
    assert_eq!(rows, [(&gold, &4.into()), (&site, &4.into())], "{page}");
    gateway.stop();
    // The rate begins anew, and the quota does not: a request that the service's refuses is charged to none.
    let gateway = Gateway::start(text);
    assert_eq!(ask(&gateway, 3), [200, 429, 429]);
    let page = json(&gateway, "/limits?key=big&at=plan%20gold");
    let left: Vec<_> = page["limits"].as_array().unwrap().iter().map(|one| &one["left"]).collect();
    assert_eq!(left, [&Value::from(3), &Value::from(1)], "{page}");
    gateway.stop();
}

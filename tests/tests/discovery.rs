//! Endpoints that come from a file: they come and go, and no request is lost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::time::{Duration, Instant};

use end_to_end::Load;
use end_to_end::failing::Failing;
use end_to_end::{Folder, Gateway, SOON, Setup, check, wait_until};

/// Replaces a file as a whole, as careful writers do.
fn replace(folder: &Folder, name: &str, text: &str) {
    let fresh = folder.write("fresh", text);
    std::fs::rename(fresh, folder.path().join(name)).unwrap();
}

fn yaml(file: &std::path::Path) -> String {
    format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n\
         services: {{ site: {{ discover: {{ file: {} }}, slow_start: off }} }}\n\
         routes: [{{ path: /*, service: site }}]\n",
        file.display()
    )
}

#[test]
fn endpoints_of_a_file_come_and_go() {
    let [one, two] = Failing::several(["one", "two"]);
    let folder = Folder::new();
    let file = folder.write("endpoints.yaml", &format!("- {}\n", one.address()));
    let gateway = Gateway::start(yaml(&file));
    let client = gateway.connect();
    let served_by = || client.get("/x").field("x-served-by").map(str::to_owned);
    assert_eq!(served_by().as_deref(), Some("one"));
    replace(&folder, "endpoints.yaml", &format!("[{{ address: \"{}\", weight: 2 }}]", two.address()));
    wait_until("the other one serves", SOON, || served_by().as_deref() == Some("two"));
    let (_, shown) = gateway.ask_admin("/services");
    assert!(shown.contains(&two.address().to_string()) && shown.contains("endpoints.yaml"), "{shown}");
    // What cannot be read changes nothing, and is told.
    replace(&folder, "endpoints.yaml", "- not an address\n");
    gateway.wait_for("the last endpoints stay in use", 0);
    assert_eq!(served_by().as_deref(), Some("two"));
    replace(&folder, "endpoints.yaml", "[]");
    wait_until("nobody is left", SOON, || client.get("/x").status() == 503);
    replace(&folder, "endpoints.yaml", &format!("- {}\n", one.address()));
    wait_until("one is back", SOON, || client.get("/x").status() == 200);
}

#[test]
fn endpoints_that_change_ten_times_a_second_lose_no_request() {
    let services = Failing::several(["a", "b", "c", "d", "e", "f"]);
    let folder = Folder::new();
    let list = |turn: usize| -> String {
        let chosen = (0..3).map(|offset| &services[(turn + offset * 2) % services.len()]);
        chosen.map(|service| format!("- {}\n", service.address())).collect()
    };
    let file = folder.write("endpoints.yaml", &list(0));
    let gateway = Gateway::start(yaml(&file));
    // Each of its clients checks that all its requests are answered with 200.
    let load = Load::start(gateway.address(), 8);
    let began = Instant::now();
    let mut turn = 0;
    wait_until("all of them have served, and a while has passed", Duration::from_secs(30), || {
        turn += 1;
        replace(&folder, "endpoints.yaml", &list(turn));
        let until = Instant::now() + Duration::from_millis(100);
        wait_until("a tenth of a second has passed", SOON, || Instant::now() >= until);
        began.elapsed() > Duration::from_secs(5) && services.iter().all(|service| service.count() > 0)
    });
    assert!(load.finish().iter().all(|asked| *asked > 0));
}

#[test]
fn what_is_wrong_with_a_source_is_said() {
    for (discover, code, words) in [
        ("{}", "GW0102", "does not say where to look"),
        ("{ dns: orders.internal }", "GW0201", "no name with a port"),
        ("{ dns: 10.0.0.1:80 }", "GW0201", "an address stands in `endpoints`"),
        ("{ srv: _http._tcp.a, file: x.yaml }", "GW0105", "one source"),
        ("{ file: x.yaml, every: 1s }", "GW0201", "a file is read when it changes"),
        ("{ consul: orders }", "GW0104", "not built yet"),
    ] {
        let text = format!(
            "listen: 127.0.0.1:0\nservices: {{ site: {{ discover: {discover} }} }}\nroutes: [{{ path: /*, service: site }}]\n"
        );
        let output = check(&Setup::new(text), &[]);
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(code) && said.contains(words), "{discover}\n{said}");
    }
}

//! The admin listener: what it answers, to whom, and that it is in nobody's way. Numbers are in `metrics.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use end_to_end::{
    Client, Folder, Gateway, Load, Message, Origin, SOON, Setup, binary, free_address, wait_until,
};
use serde_json::Value;

/// A gateway that answers everything itself, with more keys of the configuration.
fn yaml(more: &str) -> String {
    format!("listen: 127.0.0.1:0\nroutes: [{{ name: all, path: /*, respond: {{ body: ok }} }}]\n{more}\n")
}

const ADMIN: &str = "admin: 127.0.0.1:0";
const TOKEN: &str = "0123456789abcdef-token";

/// Asks a page of an admin listener, with more fields than the Host of this machine.
fn ask(admin: SocketAddr, method: &str, path: &str, fields: &str) -> Message {
    let host = if fields.to_lowercase().contains("host:") { "" } else { "Host: localhost\r\n" };
    Client::connect(admin).ask(format!("{method} {path} HTTP/1.1\r\n{host}{fields}Connection: close\r\n\r\n"))
}

fn status(admin: SocketAddr, path: &str, fields: &str) -> u16 {
    ask(admin, "GET", path, fields).status()
}

fn page(gateway: &Gateway, path: &str) -> Value {
    let (status, text) = gateway.ask_admin(path);
    assert_eq!(status, 200, "{path}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Runs a gateway that is expected not to start.
fn refused(yaml: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let folder = Folder::new();
    folder.write("gateward.yaml", yaml);
    let mut command = Command::new(binary());
    command.args(["run", "-c", "gateward.yaml"]).args(arguments).current_dir(folder.path());
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("it ends", SOON, || child.try_wait().unwrap().is_some());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

#[test]
fn the_index_names_every_page() {
    let gateway = Gateway::start(yaml(ADMIN));
    let admin = gateway.admin();
    let index = ask(admin, "GET", "/", "");
    let pages: Vec<String> =
        index.text().lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect();
    let (changes, pages): (Vec<_>, Vec<_>) = pages
        .into_iter()
        .partition(|page| ["NAME", "ROUTE", "reset", "/keys"].iter().any(|word| page.contains(word)));
    let wanted = [
        "/livez",
        "/readyz",
        "/metrics",
        "/config",
        "/routes",
        "/services",
        "/canaries",
        "/limits",
        "/usage",
        "/issuers",
        "/certificates",
    ];
    assert_eq!(pages, wanted);
    let wanted = [
        "/services/NAME/endpoints/ADDRESS/drain",
        "/canaries/ROUTE/ORDER",
        "/limits/reset",
        "/keys",
        "/keys/ID",
        "/keys/ID/ORDER",
    ];
    assert_eq!(changes, wanted);
    for path in &pages {
        let answer = ask(admin, "GET", path, "");
        assert_eq!((answer.status(), answer.field("cache-control")), (200, Some("no-store")), "{path}");
        let kind = match path.as_str() {
            "/metrics" => "text/plain; version=0.0.4; charset=utf-8",
            "/livez" | "/readyz" => "text/plain; charset=utf-8",
            _ => "application/json",
        };
        assert_eq!(answer.field("content-type"), Some(kind), "{path}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
            let answer = ask(admin, method, path, "");
            assert_eq!((answer.status(), answer.field("allow")), (405, Some("GET, HEAD")), "{method} {path}");
        }
    }
    let missing = ask(admin, "GET", "/nothing", "");
    assert_eq!(missing.status(), 404);
    assert!(pages.iter().all(|path| missing.text().contains(path)), "{}", missing.text());
    assert_eq!(status(admin, "/metrics/", ""), 404);
    assert_eq!(status(admin, "/livez?verbose", ""), 200);
    gateway.stop();
}

#[test]
fn routes_and_services_say_what_is_in_use() {
    let (origin, other) = (Origin::saying("one"), Origin::saying("other"));
    let port = origin.address().port();
    let gateway = Gateway::start(format!(
        "listen: 127.0.0.1:0\n{ADMIN}\npolicies: {{ size_limit: {{ body: 1MiB }} }}\n\
         services:\n  named: {{ endpoints: [\"http://localhost:{port}\"], balance: random }}\n  \
         other: {{ endpoints: [{{ url: \"http://{}\", weight: 3 }}] }}\n\
         routes:\n- {{ name: split, path: /a/*, methods: [GET], split: {{ named: 1, other: 0 }}, policies: {{ request_id: {{}} }} }}\n\
         - {{ path: /b, redirect: {{ to: /a/, status: 302 }} }}\n",
        other.address()
    ));
    let client = gateway.connect();
    wait_until("the name is resolved", SOON, || client.get("/a/1").text() == "one");
    // The client has its answer before it is counted.
    let counted = || page(&gateway, "/routes")["routes"][0]["ways"][0]["requests"]["2xx"].as_u64().unwrap();
    wait_until("it is counted", SOON, || counted() == 1);
    (0..5).for_each(|_| assert_eq!(client.get("/a/1").status(), 200));
    assert_eq!(client.get("/b").status(), 302);
    let routes = page(&gateway, "/routes");
    let (split, redirect) = (&routes["routes"][0], &routes["routes"][1]);
    assert_eq!((&split["name"], &split["action"]), (&"split".into(), &"forward".into()), "{routes:#}");
    assert_eq!(split["source"], "gateward.yaml:8:3");
    assert_eq!(split["match"]["methods"], serde_json::json!(["GET"]));
    let ways = split["ways"].as_array().unwrap();
    let shown: Vec<(&str, u64)> =
        ways.iter().map(|way| (way["service"].as_str().unwrap(), way["weight"].as_u64().unwrap())).collect();
    assert_eq!(shown, [("named", 1), ("other", 0)]);
    assert_eq!(ways[0]["requests"]["2xx"], 6);
    let kinds = |way: &Value| -> Vec<String> {
        let policies = way["policies"].as_array().unwrap().iter();
        policies
            .map(|policy| {
                format!("{} {}", policy["kind"].as_str().unwrap(), policy["source"].as_str().unwrap())
            })
            .collect()
    };
    let policies = kinds(&ways[0]);
    assert!(policies[0].starts_with("request_id gateward.yaml:8:"), "{policies:?}");
    assert!(policies[1].starts_with("size_limit gateward.yaml:3:"), "{policies:?}");
    assert_eq!((&redirect["action"], &redirect["status"]), (&"redirect".into(), &302.into()));
    assert_eq!(redirect["ways"][0]["requests"]["3xx"], 1);
    let services = page(&gateway, "/services");
    let (named, other_page) = (&services["services"][0], &services["services"][1]);
    assert_eq!((&named["name"], &named["balance"]), (&"named".into(), &"random".into()), "{services:#}");
    assert_eq!(named["endpoints"][0]["url"], format!("http://localhost:{port}"));
    let addresses = named["endpoints"][0]["addresses"].as_array().unwrap();
    assert!(
        addresses.contains(&format!("127.0.0.1:{port}").into()),
        "what the name stands for: {services:#}"
    );
    assert_eq!(named["connections"]["opened"], origin.links().len());
    assert_eq!(named["connections"]["idle"], 1);
    assert_eq!(other_page["endpoints"][0]["weight"], 3);
    assert_eq!(other_page["endpoints"][0]["addresses"], serde_json::json!([other.address().to_string()]));
    gateway.stop();
}

#[test]
fn no_page_shows_a_secret() {
    let secrets = ["s3cret-from-the-environment", "s3cret-from-a-file", "s3cret-token-as-written"];
    let text = format!(
        "listen: 127.0.0.1:0\nadmin: {{ address: 127.0.0.1:0, token: {} }}\n\
         services: {{ site: {{ endpoints: [http://127.0.0.1:9], policies: {{ headers: {{ request: {{ set: {{ x-key: \"${{env:KEY}}\" }} }} }} }} }} }}\n\
         routes:\n- {{ path: /a, service: site, headers: {{ x-key: \"${{file:secret}}\" }} }}\n- {{ path: /b, respond: {{ body: \"${{env:KEY}}\" }} }}\n",
        secrets[2]
    );
    let setup = Setup {
        environment: vec![("KEY".to_owned(), secrets[0].to_owned())],
        files: vec![("secret".to_owned(), secrets[1].to_owned())],
        ..Setup::new(text.clone())
    };
    let gateway = setup.start();
    let authorization = format!("Authorization: Bearer {}\r\n", secrets[2]);
    let everything = || -> String {
        let pages = [
            "/",
            "/livez",
            "/readyz",
            "/metrics",
            "/config",
            "/routes",
            "/services",
            "/issuers",
            "/certificates",
        ];
        let pages = pages.map(|path| ask(gateway.admin(), "GET", path, &authorization));
        assert!(pages.iter().all(|page| page.status() == 200));
        pages.map(|page| page.text()).concat()
    };
    let shown = everything();
    assert!(shown.contains("x-key") && shown.matches("[hidden]").count() >= 4, "{shown}");
    // A mistake right beside a secret is shown, the secret is not.
    let seen = gateway.rewrite(&text.replace("path: /b", "path: b"));
    gateway.wait_for("stays in use", seen);
    let rejected = everything();
    assert!(rejected.contains("\"why\": \"error[GW"), "{rejected}");
    for secret in secrets {
        assert!(!shown.contains(secret) && !rejected.contains(secret), "{secret} is in\n{shown}\n{rejected}");
        assert!(!gateway.log().contains(secret), "{secret} is in\n{}", gateway.log());
    }
    gateway.stop();
}

#[test]
fn unready_comes_before_the_drain() {
    let origin = Origin::scripted();
    let mut gateway = Gateway::start(format!(
        "listen: 127.0.0.1:0\n{ADMIN}\nshutdown: {{ delay: 3s, drain: 20s }}\n\
         services: {{ site: {{ endpoints: [\"http://{}\"] }} }}\n\
         routes: [{{ path: /fixed, respond: {{ body: ok }} }}, {{ path: /*, service: site }}]\n",
        origin.address()
    ));
    let admin = gateway.admin();
    assert_eq!((status(admin, "/livez", ""), status(admin, "/readyz", "")), (200, 200));
    let slow = gateway.connect();
    slow.send("GET /slow HTTP/1.1\r\nHost: gw.test\r\n\r\n");
    let (link, _) = origin.expect();
    let told = Instant::now();
    gateway.signal("TERM");
    wait_until("it is not ready any more", SOON, || status(admin, "/readyz", "") == 503);
    assert_eq!(ask(admin, "GET", "/readyz", "").text(), "not ready: stopping\n");
    let late = gateway.connect();
    let answer = late.get("/fixed");
    assert_eq!((answer.text().as_str(), answer.field("connection")), ("ok", None), "as before, for a while");
    assert!(told.elapsed() < Duration::from_secs(3), "this machine is too slow for this test");
    gateway.wait_for("accepting for 3 s more; then requests have 20 s to finish", 0);
    let address = gateway.address();
    wait_until("nobody is let in any more", SOON, || TcpStream::connect(address).is_err());
    assert!(told.elapsed() >= Duration::from_millis(2900), "that was too early: {:?}", told.elapsed());
    assert_eq!(
        (status(admin, "/livez", ""), status(admin, "/readyz", "")),
        (200, 503),
        "also while it drains"
    );
    link.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow");
    assert_eq!(slow.response().text(), "slow");
    assert!(gateway.wait(SOON).success());
}

/// A worker that has nothing left to do has ended, and does not hang.
#[test]
fn a_long_drain_is_alive() {
    let origin = Origin::scripted();
    let setup = Setup::new(format!(
        "listen: 127.0.0.1:0\n{ADMIN}\nservices: {{ site: {{ endpoints: [\"http://{}\"] }} }}\nroutes: [{{ path: /*, service: site }}]\n",
        origin.address()
    ));
    let mut gateway = Setup { workers: Some(2), ..setup }.start();
    let admin = gateway.admin();
    let client = gateway.connect();
    client.send("GET /slow HTTP/1.1\r\nHost: gw.test\r\n\r\n");
    let (link, _) = origin.expect();
    gateway.signal("TERM");
    let told = Instant::now();
    // A worker that was not seen for five seconds hangs.
    wait_until("it drained for long", SOON, || {
        let answer = ask(admin, "GET", "/livez", "");
        assert_eq!(answer.status(), 200, "after {:?}: {}", told.elapsed(), answer.text());
        told.elapsed() > Duration::from_millis(5800)
    });
    link.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    assert!(gateway.wait(SOON).success());
}

#[test]
fn a_token_is_asked_for_everything_but_health() {
    let gateway = Gateway::start(yaml(&format!("admin: {{ address: 0.0.0.0:0, token: {TOKEN} }}")));
    let admin = SocketAddr::from(([127, 0, 0, 1], gateway.admin().port()));
    let shown = format!("Host: gw.test\r\nAuthorization: Bearer {TOKEN}\r\n");
    for path in ["/", "/metrics", "/config", "/routes", "/services", "/issuers", "/certificates", "/nothing"]
    {
        let denied = ask(admin, "GET", path, "Host: gw.test\r\n");
        assert_eq!((denied.status(), denied.field("www-authenticate")), (401, Some("Bearer")), "{path}");
        let wrong =
            [format!("Bearer {TOKEN}x"), format!("Basic {TOKEN}"), "Bearer ".to_owned(), TOKEN.to_owned()];
        for wrong in wrong {
            assert_eq!(status(admin, path, &format!("Authorization: {wrong}\r\n")), 401, "{path} {wrong}");
        }
        assert_eq!(status(admin, path, &shown), if path == "/nothing" { 404 } else { 200 }, "{path}");
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(status(admin, path, "Host: gw.test\r\n"), 200, "{path}");
    }
    // The next configuration brings another token, which holds at once.
    gateway.reload(&yaml("admin: { address: 0.0.0.0:0, token: another-token-of-mine }"));
    assert_eq!(status(admin, "/config", &shown), 401);
    assert_eq!(status(admin, "/config", "Authorization: Bearer another-token-of-mine\r\n"), 200);
    gateway.stop();
}

#[test]
fn a_browser_cannot_be_used_against_it() {
    let gateway = Gateway::start(yaml(ADMIN));
    let admin = gateway.admin();
    let port = admin.port();
    for host in ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"] {
        assert_eq!(status(admin, "/config", &format!("Host: {host}:{port}\r\n")), 200, "{host}");
    }
    for path in ["/config", "/livez"] {
        for host in ["evil.test", "localhost.evil.test", "127.0.0.1.evil.test", "10.0.0.1", "gw.test:9901"] {
            assert_eq!(status(admin, path, &format!("Host: {host}\r\n")), 403, "{host}");
        }
        for origin in ["http://evil.test", "null", "https://localhost", "http://localhost.evil.test"] {
            assert_eq!(status(admin, path, &format!("Origin: {origin}\r\n")), 403, "{origin}");
        }
    }
    let own = format!("Host: localhost:{port}\r\nOrigin: http://localhost:{port}\r\n");
    assert_eq!(status(admin, "/config", &own), 200);
    gateway.stop();
}

#[test]
fn whoever_says_nothing_is_in_nobodys_way() {
    let gateway = Setup { workers: Some(2), ..Setup::new(yaml(ADMIN)) }.start();
    let admin = gateway.admin();
    let slow = Client::connect(admin);
    slow.send("GET /metrics HTTP/1.1\r\nHost: local");
    let idle: Vec<Client> = (0..100).map(|_| Client::connect(admin)).collect();
    let started = Instant::now();
    assert_eq!(Load::run(gateway.address(), 4, 500), 2000);
    assert!(started.elapsed() < SOON, "the gateway was slow: {:?}", started.elapsed());
    assert!(slow.wait_end(SOON).is_some(), "a head that does not come ends the connection");
    assert!(slow.total() < 500, "it got no page");
    assert_eq!(gateway.ask_admin("/livez").0, 200, "there is room again");
    drop(idle);
    gateway.stop();
}

#[test]
fn the_default_address_may_be_taken() {
    // Taken by this test, or by something else on this machine: both will do.
    let _taken = TcpListener::bind("127.0.0.1:9901");
    // The comment keeps the harness from switching it off.
    let gateway = Gateway::start(yaml("# admin: nothing is said about it"));
    gateway.wait_for("the admin listener cannot listen on 127.0.0.1:9901: Address already in use", 0);
    gateway.wait_for("It goes on without one", 0);
    assert_eq!(gateway.connect().get("/").text(), "ok");
    gateway.stop();
}

#[test]
fn an_address_that_was_asked_for_is_needed() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for (more, arguments) in [
        (format!("admin: {address}"), vec![]),
        (String::new(), vec!["--admin".to_owned(), address.to_string()]),
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let (code, text) = refused(&yaml(&more), &arguments);
        assert_eq!(code, Some(1), "{text}");
        assert!(
            text.contains(&format!("cannot listen on {address}")) && text.contains("admin: off"),
            "{text}"
        );
        assert!(!text.contains("listening on"), "{text}");
    }
    let (code, text) = refused(&yaml(""), &["--admin", "0.0.0.0:0"]);
    assert_eq!(code, Some(1), "others could reach it without a token: {text}");
    assert!(text.contains("token"), "{text}");
}

#[test]
fn a_reload_moves_it() {
    let (first, free) = (free_address(), free_address());
    let gateway = Gateway::start(yaml(&format!("admin: {first}")));
    assert_eq!(gateway.admin(), first);
    let move_to = |admin: &str, says: &str| {
        let seen = gateway.rewrite(&yaml(admin));
        gateway.wait_for(says, seen);
    };
    move_to(&format!("admin: {free}"), &format!("the admin listener is at http://{free}"));
    assert_eq!(status(free, "/readyz", ""), 200);
    wait_until("nothing listens at the old address", SOON, || TcpStream::connect(first).is_err());
    // The same port at all addresses: it must not stand in its own way.
    let wide = format!("0.0.0.0:{}", free.port());
    move_to(&format!("admin: {{ address: \"{wide}\", token: {TOKEN} }}"), &format!("is at http://{wide}"));
    assert_eq!((status(free, "/config", ""), status(free, "/readyz", "")), (401, 200));
    // An address that is taken leaves it where it is, and then a token that has gone opens nothing to others.
    let other = free_address();
    let taken = TcpListener::bind(other).unwrap();
    move_to(&format!("admin: {other}"), &format!("It stays at http://{wide}"));
    assert_eq!((status(free, "/config", ""), status(free, "/readyz", "")), (401, 200));
    // It is tried again with the next reload.
    drop(taken);
    let seen = gateway.log().len();
    gateway.signal("HUP");
    gateway.wait_for(&format!("the admin listener is at http://{other}"), seen);
    assert_eq!(status(other, "/config", ""), 200);
    move_to("admin: off", "there is no admin listener any more");
    wait_until("nothing listens any more", SOON, || TcpStream::connect(other).is_err());
    move_to(&format!("admin: {free}"), &format!("is at http://{free}"));
    assert_eq!(status(free, "/readyz", ""), 200);
    gateway.stop();
}

#[test]
fn the_command_line_wins_also_after_a_reload() {
    // The harness starts it with `--admin off`, because this says nothing.
    let gateway = Gateway::start(yaml(""));
    gateway.wait_for("there is no admin listener", 0);
    let free = free_address();
    gateway.reload(&yaml(&format!("admin: {free}")));
    gateway.reload(&yaml(&format!("admin: {free}\n# again")));
    assert!(
        TcpStream::connect(free).is_err() && !gateway.log().contains("listener is at"),
        "{}",
        gateway.log()
    );
    gateway.stop();
}

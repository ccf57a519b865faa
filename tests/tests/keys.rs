//! API keys that are made while the gateway runs: their life by the command line and by the admin listener, what survives
//! which end, and what nobody gets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::process::{Command, Output};

use end_to_end::{Client, Folder, Gateway, Message, SOON, Setup, binary, wait_until};
use serde_json::{Value, json};

/// A gateway with these consumers that keeps keys in a folder and logs to a file.
fn yaml(state: &Folder, consumers: &str) -> String {
    let state = state.path().display();
    format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nstate_dir: {state}/state\ntelemetry: {{ access_log: {state}/access.log }}\n\
         consumers: [{consumers}]\npolicies: {{ api_key: {{}} }}\n\
         routes: [{{ name: all, path: /*, respond: {{ body: ok }} }}]\n"
    )
}

const MOBILE: &str = "{ name: mobile }, { name: other }";

/// Asks the admin listener of a gateway.
fn ask(gateway: &Gateway, method: &str, path: &str, body: &str) -> Message {
    ask_with(gateway, method, path, body, "")
}

fn ask_with(gateway: &Gateway, method: &str, path: &str, body: &str, fields: &str) -> Message {
    let length = body.len();
    Client::connect(gateway.admin()).ask(format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    ))
}

fn json_of(answer: &Message) -> Value {
    // The text has a character for each byte.
    let bytes: Vec<u8> = answer.text().chars().map(|c| c as u8).collect();
    serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("no JSON: {}", answer.text()))
}

/// Makes a key, and returns its id and its secret.
fn create(gateway: &Gateway, body: &Value) -> (String, String) {
    let answer = ask(gateway, "POST", "/keys", &body.to_string());
    assert_eq!(answer.status(), 201, "{}", answer.text());
    let key = json_of(&answer);
    let word = |name: &str| key[name].as_str().unwrap().to_owned();
    assert_eq!(answer.field("location"), Some(format!("/keys/{}", word("id")).as_str()));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    (word("id"), word("secret"))
}

/// What a request that shows a secret gets on a connection.
fn shown(client: &Client, secret: &str) -> u16 {
    client.ask(format!("GET / HTTP/1.1\r\nHost: gw.test\r\nX-Api-Key: {secret}\r\n\r\n")).status()
}

/// Runs `gateward keys` for a gateway.
fn cli(gateway: &Gateway, arguments: &[&str]) -> (Option<i32>, String, String) {
    cli_at(&gateway.admin().to_string(), arguments)
}

fn cli_at(admin: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = Folder::new();
    let mut command = Command::new(binary());
    command.arg("keys").args(arguments).args(["--admin", admin]).current_dir(folder.path());
    for name in ["GATEWARD_CONFIG", "GATEWARD_ADMIN", "GATEWARD_ADMIN_TOKEN"] {
        command.env_remove(name);
    }
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Runs it, and expects that it is done.
fn done(gateway: &Gateway, arguments: &[&str]) -> String {
    let (code, out, err) = cli(gateway, arguments);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{arguments:?}: {out}");
    out
}

#[test]
fn the_life_of_a_key_by_the_command_line() {
    let state = Folder::new();
    let gateway = Gateway::start(yaml(&state, MOBILE));
    let client = gateway.connect();
    assert!(done(&gateway, &["list"]).contains("There are no keys."));
    let out = done(&gateway, &["create", "mobile", "--name", "ci", "--expires", "90d"]);
    assert!(out.contains("shown once"), "{out}");
    let first = out.lines().find(|line| line.starts_with("gw_")).unwrap().to_owned();
    let id = out.split_whitespace().find(|word| word.starts_with("k_")).unwrap().to_owned();
    assert_eq!((first.len(), shown(&client, &first)), (52, 200));
    let list = done(&gateway, &["list", "--consumer", "mobile"]);
    let line = list.lines().nth(1).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[..5], [&id, "mobile", "ci", "active", &first[..7]], "{list}");
    assert!(done(&gateway, &["list", "--consumer", "other"]).contains("of the name other has a key"));
    // The old secret goes on for a while, the new one is there at once.
    let second: Value =
        serde_json::from_str(&done(&gateway, &["rotate", &id, "--grace", "1h", "--json"])).unwrap();
    let second = second["secret"].as_str().unwrap().to_owned();
    assert_eq!([&first, &second].map(|secret| shown(&client, secret)), [200, 200]);
    assert!(done(&gateway, &["show", &id]).contains("old secret    holds until "));
    let third: Value =
        serde_json::from_str(&done(&gateway, &["rotate", &id, "--grace", "0s", "--json"])).unwrap();
    let third = third["secret"].as_str().unwrap().to_owned();
    assert_eq!([&first, &second, &third].map(|secret| shown(&client, secret)), [401, 401, 200]);
    assert!(done(&gateway, &["disable", &id]).contains("is switched off"));
    assert_eq!(shown(&client, &third), 401);
    assert!(done(&gateway, &["enable", &id]).contains("is switched on"));
    assert_eq!(shown(&client, &third), 200);
    done(&gateway, &["expire", &id]);
    assert_eq!(shown(&client, &third), 401);
    done(&gateway, &["expire", &id, "--at", "never"]);
    assert_eq!(shown(&client, &third), 200);
    done(&gateway, &["delete", &id]);
    assert_eq!(shown(&client, &third), 401);
    let (code, _, err) = cli(&gateway, &["show", &id]);
    assert_eq!((code, err.trim()), (Some(1), &*format!("There is no key `{id}`: /keys lists them.")));
    let (code, _, err) = cli(&gateway, &["create", "mobil"]);
    assert!(code == Some(1) && err.contains("no consumer `mobil`. Did you mean `mobile`?"), "{err}");
    assert_eq!(cli(&gateway, &["show", "k_1"]).0, Some(2), "that is no id");
    let admin = gateway.admin().to_string();
    gateway.stop();
    let (code, _, err) = cli_at(&admin, &["list"]);
    assert!(code == Some(1) && err.contains("`gateward run`"), "{err}");
    // Why each request was refused, and of which key it was.
    let log = std::fs::read_to_string(state.path().join("access.log")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let reasons: Vec<&str> = lines.iter().filter_map(|line| line["reason"].as_str()).collect();
    assert_eq!(reasons, ["replaced", "replaced", "disabled", "expired", "unknown"]);
    assert!(lines.iter().take(lines.len() - 1).all(|line| line["subject"] == *id), "{log}");
    assert_eq!((&lines[0]["consumer"], &lines[0]["auth"]), (&"mobile".into(), &"api_key".into()));
}

#[test]
fn the_life_of_a_key_by_the_admin_listener() {
    let state = Folder::new();
    let gateway = Gateway::start(yaml(&state, MOBILE));
    let client = gateway.connect();
    let (id, secret) = create(&gateway, &json!({ "consumer": "mobile", "name": "Grüße 世界" }));
    assert_eq!(shown(&client, &secret), 200);
    let key = json_of(&ask(&gateway, "GET", &format!("/keys/{id}"), ""));
    assert_eq!(
        (&key["state"], &key["name"], &key["expires"]),
        (&"active".into(), &"Grüße 世界".into(), &Value::Null)
    );
    assert!(key["last_seen"].as_str().unwrap().starts_with("20") && key["secret"].is_null(), "{key:#}");
    let order = |what: &str, body: &str| {
        let answer = ask(&gateway, "POST", &format!("/keys/{id}/{what}"), body);
        (answer.status(), json_of(&answer))
    };
    let (status, rotated) = order("rotate", "");
    let old = rotated["old_secrets"].as_array().unwrap();
    assert!(status == 200 && old.len() == 1 && old[0]["last_seen"].is_string(), "{rotated:#}");
    let second = rotated["secret"].as_str().unwrap();
    assert_eq!([&secret, second].map(|secret| shown(&client, secret)), [200, 200], "a day by default");
    assert_eq!(order("disable", "").1["state"], "disabled");
    assert_eq!(order("disable", "{}").0, 200, "again");
    assert_eq!(order("enable", "").1["state"], "active");
    assert_eq!(order("expire", r#"{"at": "2999-01-01"}"#).1["expires"], "2999-01-01T00:00:00Z");
    assert_eq!(order("expire", "").1["state"], "expired");
    // Pages, in the order of ids.
    let mut made: Vec<String> = (0..5).map(|_| create(&gateway, &json!({ "consumer": "other" })).0).collect();
    made.sort();
    let (mut listed, mut path) = (Vec::new(), "/keys?consumer=other&limit=2".to_owned());
    loop {
        let page = json_of(&ask(&gateway, "GET", &path, ""));
        listed.extend(
            page["keys"].as_array().unwrap().iter().map(|key| key["id"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/keys?consumer=other&limit=2&after={next}");
    }
    assert_eq!(listed, made);
    let deleted = ask(&gateway, "DELETE", &format!("/keys/{id}"), "");
    assert_eq!((deleted.status(), deleted.text().as_str()), (204, ""));
    assert_eq!(ask(&gateway, "GET", &format!("/keys/{id}"), "").status(), 404);
    gateway.wait_for(&format!("API key {id} of mobile was deleted, as 127.0.0.1 has asked"), 0);
    gateway.stop();
}

#[test]
fn a_secret_is_shown_once_and_stands_nowhere_else() {
    let state = Folder::new();
    let gateway = Gateway::start(yaml(&state, MOBILE));
    let (id, first) = create(&gateway, &json!({ "consumer": "mobile" }));
    let second = json_of(&ask(&gateway, "POST", &format!("/keys/{id}/rotate"), ""));
    let second = second["secret"].as_str().unwrap().to_owned();
    assert_eq!(shown(&gateway.connect(), &first), 200);
    let mut all: Vec<String> =
        ["/", "/keys", &format!("/keys/{id}"), "/config", "/metrics", "/routes", "/limits"]
            .map(|page| ask(&gateway, "GET", page, "").text())
            .into();
    all.extend([
        done(&gateway, &["list"]),
        done(&gateway, &["show", &id]),
        done(&gateway, &["disable", &id]),
    ]);
    let log = gateway.log();
    gateway.stop();
    let mut folders = vec![state.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.is_dir() {
                true => folders.push(entry),
                false => all.push(std::fs::read_to_string(entry).unwrap()),
            }
        }
    }
    for (what, text) in all.iter().chain([&log]).enumerate() {
        assert!(!text.contains(&first[8..]) && !text.contains(&second[8..]), "{what}: {text}");
    }
}

#[test]
fn what_was_answered_survives_every_end() {
    let state = Folder::new();
    let text = yaml(&state, MOBILE);
    let mut gateway = Gateway::start(text.clone());
    let mut secrets = Vec::new();
    for _ in 0..8 {
        let (id, secret) = create(&gateway, &json!({ "consumer": "mobile" }));
        if secrets.len() % 2 == 1 {
            assert_eq!(ask(&gateway, "POST", &format!("/keys/{id}/disable"), "").status(), 200);
        }
        // Right after the answer.
        gateway.signal("KILL");
        gateway.wait(SOON);
        secrets.push(secret);
        gateway = Gateway::start(text.clone());
        let client = gateway.connect();
        for (number, secret) in secrets.iter().enumerate() {
            assert_eq!(shown(&client, secret), if number % 2 == 1 { 401 } else { 200 }, "{number}");
        }
    }
    // No configuration overwrites them; a consumer that goes takes them along, and brings them back.
    let statuses = || -> Vec<u16> {
        let client = gateway.connect();
        secrets.iter().take(2).map(|secret| shown(&client, secret)).collect()
    };
    gateway.reload(&text.replace(MOBILE, "{ name: other }, { name: mobile }, { name: third }"));
    assert_eq!(statuses(), [200, 401]);
    gateway.reload(&text.replace(MOBILE, "{ name: other }"));
    assert_eq!(statuses(), [401, 401]);
    let keys = json_of(&ask(&gateway, "GET", "/keys?consumer=mobile", ""));
    let states: Vec<&str> =
        keys["keys"].as_array().unwrap().iter().filter_map(|key| key["state"].as_str()).collect();
    assert_eq!(states.iter().filter(|state| **state == "no_consumer").count(), 4, "{states:?}");
    gateway.reload(&text);
    assert_eq!(statuses(), [200, 401]);
    // Another folder has other keys.
    gateway.reload(&text.replace("/state\n", "/elsewhere\n"));
    assert_eq!(statuses(), [401, 401]);
    gateway.reload(&text);
    assert_eq!(statuses(), [200, 401]);
    gateway.stop();
}

#[test]
fn what_changes_holds_for_open_connections_of_every_worker() {
    let state = Folder::new();
    let gateway = Setup { workers: Some(2), ..Setup::new(yaml(&state, MOBILE)) }.start();
    let clients: Vec<Client> = (0..8).map(|_| gateway.connect()).collect();
    let (id, secret) = create(&gateway, &json!({ "consumer": "mobile" }));
    let all = |want: u16| {
        for client in &clients {
            assert_eq!(shown(client, &secret), want);
        }
    };
    for _ in 0..5 {
        (0..3).for_each(|_| all(200));
        assert_eq!(ask(&gateway, "POST", &format!("/keys/{id}/disable"), "").status(), 200);
        all(401);
        assert_eq!(ask(&gateway, "POST", &format!("/keys/{id}/enable"), "").status(), 200);
    }
    // It ends while requests run, without anybody doing anything.
    assert_eq!(ask(&gateway, "POST", &format!("/keys/{id}/expire"), r#"{"at": "3s"}"#).status(), 200);
    all(200);
    wait_until("it has ended", SOON, || shown(&clients[0], &secret) == 401);
    all(401);
    gateway.stop();
}

#[test]
fn a_key_has_the_plan_of_its_consumer() {
    let state = Folder::new();
    let text = yaml(&state, "{ name: mobile, plan: small }, { name: other }");
    let gateway = Gateway::start(text + "plans: { small: { rate_limit: 3/h } }\n");
    let client = gateway.connect();
    let [(_, one), (_, two)] =
        ["mobile", "mobile"].map(|name| create(&gateway, &json!({ "consumer": name })));
    let (_, free) = create(&gateway, &json!({ "consumer": "other" }));
    assert_eq!(
        [&one, &two, &one, &two].map(|secret| shown(&client, secret)),
        [200, 200, 200, 429],
        "both draw from one"
    );
    assert_eq!([&free; 4].map(|secret| shown(&client, secret)), [200; 4]);
    gateway.stop();
}

#[test]
fn what_cannot_be_done_is_refused_in_words() {
    let state = Folder::new();
    let gateway = Gateway::start(yaml(&state, MOBILE));
    let (id, _) = create(&gateway, &json!({ "consumer": "mobile" }));
    let long = format!(r#"{{"consumer": "mobile", "name": "{}"}}"#, "é".repeat(129));
    let longer = format!(r#"{{"consumer": "{}"}}"#, "x".repeat(20_000));
    for (method, path, body, status, says) in [
        ("POST", "/keys", r#"{"consumer": "mobil"}"#, 422, "Did you mean `mobile`?"),
        ("POST", "/keys", r#"{"consumer": "moble\u001b[31m"}"#, 422, "no consumer"),
        ("POST", "/keys", "", 422, "`consumer` is needed"),
        ("POST", "/keys", "consumer=mobile", 400, "no JSON object"),
        ("POST", "/keys", &long, 422, "no name for a key"),
        ("POST", "/keys", r#"{"consumer": "mobile", "name": "a\nb"}"#, 422, "no name for a key"),
        ("POST", "/keys", &longer, 400, "more than 16384 bytes"),
        ("POST", "/keys", r#"{"consumer": "mobile", "expires": "soon"}"#, 422, "write `90d`"),
        ("POST", "/keys", r#"{"consumer": "mobile", "expires": "2020-01-01"}"#, 422, "over already"),
        ("POST", "/keys", r#"{"consumer": "mobile", "scope": "x"}"#, 422, "`scope` is not known here"),
        ("GET", "/keys/k_0000000000000000", "", 404, "/keys lists them"),
        ("GET", "/keys/k_00000000%2f0000", "", 404, "/keys lists them"),
        ("DELETE", "/keys/..%2fkeys", "", 404, "/keys lists them"),
        ("POST", "/keys/k_0000000000000000/rotate", "", 404, "/keys lists them"),
        ("POST", &format!("/keys/{id}%2frotate"), "", 404, "/keys lists them"),
        ("POST", &format!("/keys/{id}/explode"), "", 404, "`rotate`"),
        ("POST", &format!("/keys/{id}/rotate"), r#"{"grace": "long"}"#, 422, "write `24h`"),
        ("GET", "/keys?limit=5000", "", 422, "1 to 1000"),
        ("GET", "/keys?page=2", "", 422, "`page`"),
        ("PUT", "/keys", "", 405, "GET, HEAD, POST"),
        ("POST", &format!("/keys/{id}"), "", 405, "GET, HEAD, DELETE"),
        ("GET", &format!("/keys/{id}/rotate"), "", 405, "POST"),
    ] {
        let answer = ask(&gateway, method, path, body);
        assert_eq!(answer.status(), status, "{method} {path} {body}: {}", answer.text());
        assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{path}");
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{path}");
        let detail = json_of(&answer)["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(says) && !detail.contains('\u{1b}'), "{method} {path} {body}: {detail}");
    }
    // Four old secrets, and no more.
    let rotate = || ask(&gateway, "POST", &format!("/keys/{id}/rotate"), r#"{"grace": "1h"}"#).status();
    assert_eq!([(); 5].map(|()| rotate()), [200, 200, 200, 200, 409]);
    // A page in a browser.
    for fields in ["Origin: http://evil.test\r\n", "Origin: null\r\n"] {
        let answer = ask_with(&gateway, "POST", "/keys", r#"{"consumer": "mobile"}"#, fields);
        assert_eq!(answer.status(), 403, "{fields}");
    }
    assert_eq!(json_of(&ask(&gateway, "GET", "/keys", ""))["keys"].as_array().unwrap().len(), 1);
    gateway.reload(&yaml(&state, MOBILE).replace("state_dir", "# state_dir"));
    let answer = ask(&gateway, "POST", "/keys", r#"{"consumer": "mobile"}"#);
    assert!(
        answer.status() == 409 && answer.text().contains("state_dir: /var/lib/gateward"),
        "{}",
        answer.text()
    );
    gateway.stop();
}

#[test]
fn whoever_has_not_the_token_gets_nothing() {
    let state = Folder::new();
    let token = "0123456789abcdef-token";
    let text = yaml(&state, MOBILE)
        .replace("admin: 127.0.0.1:0", &format!("admin: {{ address: 0.0.0.0:0, token: {token} }}"));
    let gateway = Gateway::start(text);
    let address = format!("127.0.0.1:{}", gateway.admin().port());
    let post = |fields: &str| {
        let (body, length) = (r#"{"consumer": "mobile"}"#, r#"{"consumer": "mobile"}"#.len());
        let bytes = format!(
            "POST /keys HTTP/1.1\r\nHost: gw\r\n{fields}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        Client::connect(address.parse().unwrap()).ask(bytes).status()
    };
    assert_eq!(post(""), 401);
    assert_eq!(post("Authorization: Bearer wrong\r\n"), 401);
    assert_eq!(post(&format!("Authorization: Bearer {token}\r\n")), 201);
    let (code, _, err) = cli_at(&address, &["list"]);
    assert!(code == Some(1) && err.contains("GATEWARD_ADMIN_TOKEN"), "{err}");
    let mut command = Command::new(binary());
    command.args(["keys", "list", "--json", "--admin", &address]).env("GATEWARD_ADMIN_TOKEN", token);
    let out = command.current_dir(state.path()).output().unwrap();
    let listed: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(listed["keys"].as_array().unwrap().len(), 1);
    gateway.stop();
}

#[test]
fn two_gateways_do_not_share_a_folder() {
    let state = Folder::new();
    let text = yaml(&state, MOBILE);
    let first = Gateway::start(text.clone());
    let (_, secret) = create(&first, &json!({ "consumer": "mobile" }));
    let second = Gateway::start(text);
    second.wait_for(
        "cannot be used, and whoever shows one is refused until they can: another gateway keeps",
        0,
    );
    assert_eq!(shown(&second.connect(), &secret), 503, "it may be good");
    let refused = ask(&second, "POST", "/keys", r#"{"consumer": "mobile"}"#);
    assert!(
        refused.status() == 503 && refused.text().contains("another gateway keeps"),
        "{}",
        refused.text()
    );
    first.stop();
    second.wait_for("the API keys of the state folder can be used", 0);
    assert_eq!(shown(&second.connect(), &secret), 200);
    second.stop();
}

#[test]
fn a_damaged_file_is_told_and_lets_nobody_in_who_is_in_doubt() {
    let state = Folder::new();
    let text = yaml(&state, MOBILE);
    let gateway = Gateway::start(text.clone());
    let [(first, one), (_, two), (_, three)] =
        [(); 3].map(|()| create(&gateway, &json!({ "consumer": "mobile" })));
    gateway.stop();
    let file = state.path().join("state/api-keys/journal");
    let whole = std::fs::read_to_string(&file).unwrap();
    let mut lines: Vec<String> = whole.lines().map(str::to_owned).collect();
    lines[2] = lines[2].replace("mobile", "mobil3");
    std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    let gateway = Gateway::start(text);
    gateway.wait_for("is damaged: its line 3 cannot be read.", 0);
    let client = gateway.connect();
    assert_eq!([&one, &two, &three].map(|secret| shown(&client, secret)), [401, 401, 200]);
    done(&gateway, &["enable", &first]);
    assert_eq!(shown(&client, &one), 200);
    gateway.stop();
}

#[test]
fn wrong_keys_do_not_fill_the_memory() {
    let state = Folder::new();
    let gateway = Gateway::start(yaml(&state, MOBILE));
    let (_, secret) = create(&gateway, &json!({ "consumer": "mobile" }));
    let client = gateway.connect();
    let wrong = |number: usize| {
        let long = "x".repeat(number % 3_000);
        assert_eq!(shown(&client, &format!("gw_{number}{long}")), 401);
    };
    (0..1_000).for_each(wrong);
    let before = gateway.peak_memory();
    (1_000..11_000).for_each(wrong);
    let grown = gateway.peak_memory() - before;
    assert!(grown < 2 << 20, "{grown} bytes");
    assert_eq!(shown(&client, &secret), 200);
    gateway.stop();
}

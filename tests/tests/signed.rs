//! The policy `hmac` with signers that nobody here wrote: openssl and curl as the page of the policy shows it, and PyPI's
//! `http-message-signatures` for RFC 9421. What becomes of bodies is in `bodies.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

#[path = "signed/bodies.rs"]
mod bodies;

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Barrier};

use end_to_end::peer::{missing, output_of, scripts};
use end_to_end::python::{pipe_through, python_with};
use end_to_end::{Client, Folder, Gateway, Message, Origin, SOON, Setup, wait_until};
use serde_json::{Value, json};

const SECRET: &str = "81f1d4fb53be2e1a06a2e1b1b7a0a2f7d1f8a0ab7c3b5e21";
/// What a signature has to cover.
const WHOLE: [&str; 4] = ["@method", "@authority", "@path", "@query"];

/// Keys that openssl has made: the private halves lie in the folder, the public ones are files of the gateway.
struct Keys {
    folder: Folder,
    public: Vec<(String, String)>,
}

impl Keys {
    fn new() -> Keys {
        let (folder, mut public) = (Folder::new(), Vec::new());
        for (name, arguments) in [
            ("ed25519", &["-algorithm", "ED25519"][..]),
            ("p256", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]),
            ("rsa", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
        ] {
            let key = folder.path().join(name).display().to_string();
            output_of("openssl", &[&["genpkey", "-out", &key][..], arguments].concat());
            public.push((format!("{name}.pem"), output_of("openssl", &["pkey", "-in", &key, "-pubout"])));
        }
        Keys { folder, public }
    }

    fn setup(&self, origin: &Origin, policy: &str) -> Setup {
        let consumers: String = ["ed25519", "p256", "rsa"]
            .map(|name| {
                format!("- {{ name: {name}, hmac: {{ id: \"{name}-1\", public_key: {name}.pem }} }}\n")
            })
            .concat();
        let yaml = format!(
            "listen: 127.0.0.1:0\ntelemetry: {{ access_log: access.log }}\n\
             services: {{ site: {{ endpoints: [http://{}] }} }}\nconsumers:\n\
             - {{ name: shared, hmac: {{ id: shared-1, secret: \"${{env:SECRET}}\" }} }}\n{consumers}\
             routes: [{{ path: /*, service: site, policies: {{ hmac: {{ {policy} }} }} }}]\n",
            origin.address()
        );
        let environment = vec![("SECRET".into(), SECRET.into())];
        Setup { files: self.public.clone(), environment, ..Setup::new(yaml) }
    }

    /// A request for a URL that is signed with one of the keys, and more of how it is signed.
    fn job(&self, signer: &str, method: &str, target: &str, more: &Value) -> Value {
        let algorithm = match signer {
            "shared" => "hmac-sha256",
            "p256" => "ecdsa-p256-sha256",
            "rsa" => "rsa-pss-sha512",
            other => other,
        };
        let mut job = json!({ "method": method, "url": format!("http://gw.test{target}"), "id": format!("{signer}-1"),
                              "algorithm": algorithm, "covers": WHOLE });
        match signer {
            "shared" => job["secret"] = json!(SECRET),
            _ => job["key"] = json!(self.folder.path().join(signer)),
        }
        more.as_object().unwrap().iter().for_each(|(key, value)| job[key] = value.clone());
        job
    }
}

/// The fields of signed requests, as lines; `None` where the package cannot be had, which is then said.
fn sign(jobs: &[Value]) -> Option<Vec<String>> {
    let Some(python) = python_with("http_message_signatures") else {
        missing("signatures by http-message-signatures", "the package could not be installed");
        return None;
    };
    let input: String = jobs.iter().map(|job| format!("{job}\n")).collect();
    let printed = pipe_through(&python, &scripts().join("signed.py"), input.as_bytes());
    let fields = |line: &str| {
        let fields: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
        fields
            .iter()
            .map(|(name, value)| format!("{name}: {}\r\n", value.as_str().unwrap()))
            .collect::<String>()
    };
    Some(printed.lines().map(fields).collect())
}

fn get(target: &str, host: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n")
}

/// Why the last of so many requests was refused, as the access log says it.
fn reason(gateway: &Gateway, count: usize) -> String {
    let (path, mut log) = (gateway.folder().path().join("access.log"), String::new());
    wait_until(&format!("the access log has {count} lines"), SOON, || {
        log = std::fs::read_to_string(&path).unwrap_or_default();
        log.matches('\n').count() >= count
    });
    assert_eq!(log.lines().count(), count, "there are more lines than requests");
    let line: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    line["reason"].as_str().unwrap_or_default().to_owned()
}

#[track_caller]
fn assert_served(answer: &Message, request: &Message, consumer: &str) {
    assert_eq!(answer.status(), 200, "{answer}");
    assert_eq!(request.field("x-consumer"), Some(consumer), "{request}");
    for name in ["signature", "signature-input", "authorization"] {
        assert_eq!(request.field(name), None, "{request}");
    }
}

/// The page of the policy: its configuration, with these addresses, and its shell commands.
fn page(origin: &Origin) -> (Setup, String) {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/policy/src/hmac/doc.md");
    let page = std::fs::read_to_string(page).unwrap();
    let block = |begin: &str| page.split_once(begin).unwrap().1.split("```").next().unwrap().to_owned();
    let yaml = block("```yaml\n");
    assert!(yaml.contains("127.0.0.1:8080") && yaml.contains("http://127.0.0.1:3000"), "{yaml}");
    let yaml = yaml.replace("127.0.0.1:8080", "127.0.0.1:0");
    let yaml = yaml.replace("http://127.0.0.1:3000", &format!("http://{}", origin.address()));
    let environment = vec![("PARTNER_SECRET".into(), SECRET.into())];
    (Setup { environment, ..Setup::new(yaml + "telemetry: { access_log: access.log }\n") }, block("```sh\n"))
}

fn shell(folder: &Path, script: &str) -> String {
    let mut command = Command::new("sh");
    command.args(["-ec", script]).current_dir(folder).env("PARTNER_SECRET", SECRET).env("no_proxy", "*");
    let output = command.output().unwrap();
    let [said, errors] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{script}\n{said}{errors}");
    said
}

#[test]
fn openssl_and_curl_as_the_page_shows_it() {
    let origin = Origin::saying("taken");
    let (setup, script) = page(&origin);
    let gateway = setup.start();
    let folder = Folder::new();
    folder.write("order.json", "{\"item\": 1}\n");
    folder.write("other.json", "{\"item\": 2}\n");
    let script = script.replace("127.0.0.1:8080", &gateway.address().to_string());
    assert!(script.contains("curl http://"), "{script}");
    let script = script.replace("curl ", "curl -sS -w ' %{http_code}' ");
    assert_eq!(shell(folder.path(), &script), "taken 200");
    let request = origin.requests().pop().unwrap();
    assert_eq!((request.target(), request.text().as_str()), ("/orders/", "{\"item\": 1}\n"));
    assert_eq!(
        (request.field("x-consumer"), request.field("authorization")),
        (Some("partner"), None),
        "{request}"
    );
    assert!(request.field("digest").is_some(), "it is of use to the service");

    // The other name of the target says the version too; what hides the form is no part of it.
    let with_line = script.replace("@request-target: post /orders/", "POST /orders/ HTTP/1.1");
    let with_line = with_line.replace("@request-target", "request-line");
    let with_line = with_line
        .replace("x-date: ", "x-request-id: 7\\nx-date: ")
        .replace("s=\\\"x-date", "s=\\\"x-request-id x-date");
    let with_line = with_line.replace("-H \"X-Date", "-H \"X-Request-Id: 7\" -H \"X-Date");
    assert_eq!(shell(folder.path(), &with_line), "taken 200", "{with_line}");
    assert_eq!(origin.count(), 2);
    for (refused, (what, from, to, reason_of_it)) in [
        ("another secret", "secret=$PARTNER_SECRET", "secret=none", "wrong"),
        ("another target", "/orders/ --data", "/orders/1 --data", "wrong"),
        ("an old date", "date -u", "date -u -d '-3 minutes'", "too_old"),
        ("a date to come", "date -u", "date -u -d '+3 minutes'", "not_yet_valid"),
        ("a target that is not covered", " @request-target digest", " digest", "not_covered"),
        ("no digest", "date @request-target digest", "date @request-target", "digest_not_covered"),
        ("a weaker algorithm", "hmac-sha256", "hmac-sha1", "algorithm_not_allowed"),
        ("nobody known", "partner-2026", "partner-2025", "unknown_key"),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(script.contains(from), "{what}: {script}");
        let said = shell(folder.path(), &script.replace(from, to));
        assert!(said.ends_with(" 401") && !said.contains(reason_of_it), "{what}: {said}");
        assert_eq!(reason(&gateway, 3 + refused), reason_of_it, "{what}");
    }
    // Within a second the page signs the same again, and that would be refused as used; so this signs something else.
    let fresh = with_line.replace("equest-id: 7", "equest-id: 8").replace("equest-Id: 7", "equest-Id: 8");
    let said = shell(folder.path(), &fresh.replace("--data-binary @order", "--data-binary @other"));
    assert!(said.contains("digest-mismatch") && said.ends_with(" 400"), "{said}");
    assert_eq!(origin.count(), 2, "nothing of that reached the service as a whole");
    gateway.stop();
}

#[test]
fn every_algorithm_of_another_implementation() {
    let (keys, origin) = (Keys::new(), Origin::saying("page"));
    let mut jobs = Vec::new();
    for (signer, more) in [
        ("shared", json!({})),
        ("shared", json!({ "named": false, "nonce": "1" })),
        ("ed25519", json!({})),
        ("ed25519", json!({ "named": false, "nonce": "1" })),
        ("p256", json!({})),
        ("p256", json!({ "named": false })),
        ("rsa", json!({})),
        ("rsa", json!({ "named": false })),
        ("rsa", json!({ "algorithm": "rsa-v1_5-sha256" })),
        ("shared", json!({ "covers": ["@method", "@target-uri"] })),
        ("shared", json!({ "covers": ["@method", "@authority", "@request-target"] })),
        ("shared", json!({ "covers": ["@method", "@scheme", "@authority", "@path", "@query", "x-list"] })),
        (
            "shared",
            json!({ "covers": [WHOLE[0], WHOLE[1], WHOLE[2], WHOLE[3], "\"@query-param\";name=\"a%20b\""] }),
        ),
        ("shared", json!({ "covers": [WHOLE[0], WHOLE[1], WHOLE[2], WHOLE[3], "\"x-list\";key=\"b\""] })),
        ("shared", json!({ "label": "mine", "tag": "app", "lasts": 60 })),
    ] {
        let mut job = keys.job(signer, "GET", "/Orders/1%2a;v?a%20b=1&c=%C3%A9&", &more);
        job["headers"] = json!({ "X-List": "a=1,  b=(x  y);q=2" });
        jobs.push(job);
    }
    let Some(signed) = sign(&jobs) else { return };
    let gateway = keys.setup(&origin, "").start();
    for (job, fields) in jobs.iter().zip(&signed) {
        // Whether the name of a host is written in another way does not matter (RFC 9421 §2.2.3).
        let host = if job["named"] == false { "GW.test:80" } else { "gw.test" };
        let answer = gateway.connect().ask(get("/Orders/1%2a;v?a%20b=1&c=%C3%A9&", host, fields));
        let consumer = job["id"].as_str().unwrap().trim_end_matches("-1");
        assert_eq!(answer.status(), 200, "{job:#}\n{fields}{answer}");
        assert_served(&answer, &origin.requests().pop().unwrap(), consumer);
    }
    gateway.stop();
}

#[test]
fn what_was_changed_on_the_way_is_refused() {
    let (keys, origin) = (Keys::new(), Origin::saying("page"));
    let headers = json!({ "X-Amount": "10" });
    let covers = json!(["@method", "@authority", "@path", "@query", "x-amount"]);
    let public = keys.public[0].1.clone();
    let target = "/pay?to=a&x=1";
    let base = |signer: &str, nonce: &str| {
        keys.job(signer, "GET", target, &json!({ "headers": headers, "covers": covers, "nonce": nonce }))
    };
    let mut jobs: Vec<Value> = (0..12).map(|number| base("shared", &number.to_string())).collect();
    // A public key is no secret.
    let mut confused = base("ed25519", "confused");
    confused["algorithm"] = json!("hmac-sha256");
    confused["secret"] = json!(public);
    let mut foreign = base("ed25519", "foreign");
    foreign["id"] = json!("shared-1");
    let mut unsigned = base("shared", "less");
    unsigned["covers"] = json!(["@method", "@authority", "@path", "x-amount"]);
    jobs.extend([confused.clone(), foreign, unsigned]);
    confused["named"] = json!(false);
    jobs.push(confused);
    let Some(signed) = sign(&jobs) else { return };
    let gateway = keys.setup(&origin, "").start();
    let mut count = 0;
    let mut refuse = |what: &str, request: &str, why: &str| {
        let answer = gateway.connect().ask(request);
        count += 1;
        assert_eq!(answer.status(), 401, "{what}: {request}{answer}");
        assert!(answer.field("www-authenticate").is_some(), "{what}: {answer}");
        assert_eq!(reason(&gateway, count), why, "{what}");
    };
    let request = |number: usize| get(target, "gw.test", &signed[number]);
    for (number, (what, from, to, why)) in [
        ("the path", "/pay?", "/pay2?", "wrong"),
        ("the case of the path", "/pay?", "/Pay?", "wrong"),
        ("an escape in the path", "/pay?", "/%70ay?", "wrong"),
        ("the query", "to=a", "to=b", "wrong"),
        ("the order of the query", "to=a&x=1", "x=1&to=a", "wrong"),
        ("the method", "GET", "PUT", "wrong"),
        ("the host", "gw.test", "other.test", "wrong"),
        ("a covered field", "X-Amount: 10", "X-Amount: 1000", "wrong"),
        ("a second covered field", "X-Amount: 10", "X-Amount: 10\r\nx-amount: 1000", "wrong"),
        ("a covered field that is gone", "X-Amount: 10", "X-Other: 10", "missing_component"),
        ("the nonce", "nonce=\"10\"", "nonce=\"11\"", "wrong"),
        ("the key", "keyid=\"shared-1\"", "keyid=\"p256-1\"", "algorithm_mismatch"),
    ]
    .into_iter()
    .enumerate()
    {
        let (before, after) = (request(number), request(number).replacen(from, to, 1));
        assert_ne!(before, after, "{what}");
        refuse(what, &after, why);
    }
    refuse("a public key as a secret", &request(12), "algorithm_mismatch");
    refuse("the signature of another", &request(13), "algorithm_mismatch");
    refuse("a query that is not covered", &request(14), "not_covered");
    refuse("a public key as a secret, not named", &request(15), "wrong");
    refuse("no signature", &get(target, "gw.test", ""), "missing");
    assert_eq!(origin.count(), 0);
    gateway.stop();
}

#[test]
fn a_signature_is_good_for_one_request() {
    let (keys, origin) = (Keys::new(), Origin::saying("page"));
    let jobs: Vec<Value> =
        (0..3).map(|number| keys.job("p256", "GET", "/", &json!({ "nonce": number.to_string() }))).collect();
    let Some(signed) = sign(&jobs) else { return };
    for workers in [1, 2] {
        let served = origin.count();
        let setup = Setup { workers: Some(workers), ..keys.setup(&origin, "") };
        let gateway = setup.start();
        let client = gateway.connect();
        assert_eq!(client.ask(get("/", "gw.test", &signed[0])).status(), 200);
        // On the same connection, and on so many others that every worker has some.
        assert_eq!(client.ask(get("/", "gw.test", &signed[0])).status(), 401);
        for _ in 0..20 {
            assert_eq!(gateway.connect().ask(get("/", "gw.test", &signed[0])).status(), 401);
        }
        assert_eq!(reason(&gateway, 22), "replayed");
        // All at once: one of them is the first.
        let (barrier, address) = (Arc::new(Barrier::new(16)), gateway.address());
        let threads: Vec<_> = (0..16)
            .map(|_| {
                let (barrier, request) = (Arc::clone(&barrier), get("/", "gw.test", &signed[1]));
                std::thread::spawn(move || {
                    let client = Client::connect(address);
                    barrier.wait();
                    client.ask(request).status()
                })
            })
            .collect();
        let mut statuses: Vec<u16> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        statuses.sort_unstable();
        assert_eq!((statuses[0], &statuses[1..]), (200, &[401; 15][..]), "with {workers} workers");
        // What was used is remembered by the process, whatever else is configured.
        gateway.reload(&setup.yaml.replace("path: /*", "path: /*, timeout: 9s"));
        assert_eq!(gateway.connect().ask(get("/", "gw.test", &signed[0])).status(), 401);
        assert_eq!(gateway.connect().ask(get("/", "gw.test", &signed[2])).status(), 200);
        assert_eq!(origin.count() - served, 3);
        gateway.stop();
    }
    let gateway = keys.setup(&origin, "replay: allow").start();
    for _ in 0..2 {
        assert_eq!(gateway.connect().ask(get("/", "gw.test", &signed[0])).status(), 200);
    }
    gateway.stop();
}

#[test]
fn the_time_of_a_signature_is_near() {
    let (keys, origin) = (Keys::new(), Origin::saying("page"));
    let wishes = [
        (json!({ "age": 120 }), 401, "too_old"),
        (json!({ "age": -120 }), 401, "not_yet_valid"),
        (json!({ "age": 30 }), 200, ""),
        (json!({ "age": -30 }), 200, ""),
        (json!({ "age": 30, "lasts": 10 }), 401, "expired"),
        (json!({ "age": 30, "lasts": 3000 }), 200, ""),
    ];
    let jobs: Vec<Value> = wishes.iter().map(|(more, ..)| keys.job("ed25519", "GET", "/", more)).collect();
    let Some(signed) = sign(&jobs) else { return };
    let gateway = keys.setup(&origin, "max_skew: 1m").start();
    for (count, ((more, status, why), fields)) in wishes.iter().zip(&signed).enumerate() {
        let answer = gateway.connect().ask(get("/", "gw.test", fields));
        assert_eq!(answer.status(), *status, "{more}: {answer}");
        assert_eq!(reason(&gateway, count + 1), *why, "{more}");
    }
    gateway.stop();
}

#[test]
fn only_the_signature_that_is_meant_counts() {
    let (keys, origin) = (Keys::new(), Origin::saying("page"));
    let wishes = [
        (json!({ "label": "app", "tag": "shop", "nonce": "1" }), 200),
        (json!({ "label": "other", "tag": "shop", "nonce": "2" }), 401),
        (json!({ "label": "app", "tag": "other", "nonce": "3" }), 401),
        (json!({ "label": "app", "tag": "shop" }), 401),
    ];
    let jobs: Vec<Value> = wishes.iter().map(|(more, _)| keys.job("ed25519", "GET", "/", more)).collect();
    let Some(signed) = sign(&jobs) else { return };
    let policy =
        "forms: message, algorithms: [ed25519], label: app, tag: shop, require_nonce: true, forward: true";
    let gateway = keys.setup(&origin, policy).start();
    for ((more, status), fields) in wishes.iter().zip(&signed) {
        let answer = gateway.connect().ask(get("/", "gw.test", fields));
        assert_eq!(answer.status(), *status, "{more}: {answer}");
    }
    let request = origin.requests().pop().unwrap();
    assert!(request.field("signature").is_some() && request.field("signature-input").is_some(), "{request}");
    gateway.stop();
}

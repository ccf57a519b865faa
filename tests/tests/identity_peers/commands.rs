//! What `gateward check --exposure` and `gateward explain` say of callers.

use std::process::{Command, Stdio};

use end_to_end::peer::output_of;
use end_to_end::{Folder, Setup, binary, check};
use serde_json::{Value, json};

const YAML: &str = r#"listen: [127.0.0.1:8080, { address: 127.0.0.1:8443, tls: { certificates: { cert: a.pem, key: a.key }, client_auth: { ca: a.pem } } }]
services:
  orders: { endpoints: [http://127.0.0.1:3000] }
  next: { endpoints: [http://127.0.0.1:3001] }
consumers:
  - { name: mobile, groups: [apps], api_keys: [0123456789abcdef-mobile], jwt: { subject: app-7 } }
  - { name: batch, groups: [internal], api_keys: [0123456789abcdef-batch] }
  - { name: ops, mtls: { subject: CN=ops }, basic: { username: ops, password: "$2b$06$abcdefghijklmnopqrstuuSv4rCwNtAVRbeM7SqWLDhH2mVBFqDdm" } }
  - { name: partner, hmac: { id: partner-1, secret: 0123456789abcdef-partner } }
policies:
  api_key: {}
  jwt: { issuer: "https://idp.test/", audience: api, keys: { secret: 0123456789abcdef0123456789abcdef } }
routes:
  - path: /orders/*
    service: orders
    policies:
      authorize: { any: [{ group: internal }, { scope: "orders:read" }], rule: '!request.path.endsWith("/secret")' }
      cors: { origins: [https://app.test] }
  - { path: /both/*, service: orders, policies: { auth: { all: [api_key, jwt] } } }
  - { path: /maybe/*, service: orders, policies: { jwt: off, auth: { anonymous: allow }, ip: { allow: [10.0.0.0/8] } } }
  - { path: /judged/*, service: orders, policies: { jwt: off, api_key: off, forward_auth: { url: "http://127.0.0.1:9/verify" } } }
  - { path: /signed/*, service: orders, policies: { jwt: off, api_key: off, hmac: {}, mtls: {}, basic: {} } }
  - { path: /machines/*, service: orders, policies: { jwt: off, api_key: off, mtls: { consumer: optional } } }
  - { path: /split/*, split: { orders: 90, next: 10 }, split_by: consumer }
  - { path: /old, redirect: { to: /orders/ }, policies: { jwt: off, api_key: off } }
  - { path: /ping, respond: { status: 200, body: pong }, policies: { jwt: off, api_key: off } }
"#;

fn setup() -> Setup {
    let authority = end_to_end::certificates::Authority::new("tests");
    let identity = authority.sign(&end_to_end::certificates::Wish::server(&["a.test"]));
    let files = vec![("a.pem".into(), identity.cert), ("a.key".into(), identity.key)];
    Setup { files, ..Setup::new(YAML) }
}

/// Words with one space between them.
fn plain(text: &str) -> String {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n").collect()
}

#[test]
fn exposure_says_who_reaches_what() {
    let setup = setup();
    let output = check(&setup, &["--exposure"]);
    let text = plain(&String::from_utf8(output.stdout).unwrap());
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.contains("Every route can be reached by http://127.0.0.1:8080, https://127.0.0.1:8443 (only clients with a certificate)."),
        "{text}"
    );
    let lines: Vec<&str> = text.lines().skip_while(|line| !line.starts_with("ROUTE")).take(11).collect();
    assert_eq!(
        lines,
        [
            "ROUTE WHO GUARDS TO",
            "/orders/* consumers with an API key (2), or anybody with a token cors, authorize (group internal or scope orders:read; a rule) service orders",
            "/both/* consumers with an API key and a token (at most 2) - service orders",
            "/maybe/* anybody; recognises consumers with an API key (2) ip (10.0.0.0/8) service orders",
            "/judged/* whoever `forward_auth` lets pass forward_auth service orders",
            "/signed/* consumers with a certificate (1) or a key to sign with (1) or a password (1) - service orders",
            "/machines/* anybody with a certificate; not by http://127.0.0.1:8080 - service orders",
            "/split/* consumers with an API key (2), or anybody with a token - service orders",
            "/split/* consumers with an API key (2), or anybody with a token - service next",
            "/old anybody - redirect",
            "/ping anybody - fixed answer",
        ],
        "{text}"
    );
    let output = check(&setup, &["--exposure", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let exposure = &report["exposure"];
    assert_eq!((&report["ok"], output.status.code()), (&json!(true), Some(0)), "{report:#}");
    assert_eq!(
        exposure["listeners"],
        json!(["http://127.0.0.1:8080", "https://127.0.0.1:8443 (only clients with a certificate)"])
    );
    let routes = exposure["routes"].as_array().unwrap();
    assert_eq!(routes.len(), 10);
    let both = json!({ "route": "/both/*", "known_by": ["api_key", "jwt"], "all": true, "anonymous": false,
                       "who": "consumers with an API key and a token (at most 2)", "guards": [], "terms": {},
                       "to": "service orders" });
    assert_eq!(routes[1], both);
    let maybe = json!({ "route": "/maybe/*", "known_by": ["api_key"], "all": false, "anonymous": true,
                        "who": "anybody; recognises consumers with an API key (2)", "guards": ["ip"],
                        "terms": { "ip": "10.0.0.0/8" }, "to": "service orders" });
    assert_eq!(routes[2], maybe);
    assert_eq!((&routes[3]["known_by"], &routes[3]["guards"]), (&json!([]), &json!(["forward_auth"])));
    // A configuration that cannot be served exposes nothing.
    let broken = Setup { yaml: YAML.replace("service: orders\n", "service: none\n"), ..setup };
    let output = check(&broken, &["--exposure", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["exposure"], output.status.code()), (&Value::Null, Some(1)));
}

/// A token, signed by openssl.
fn token(claims: &Value) -> String {
    let script = r#"b64() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
        text=$(printf '{"alg":"HS256","typ":"JWT"}' | b64).$(printf %s "$0" | b64)
        printf %s "$text.$(printf %s "$text" | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef -binary | b64)""#;
    output_of("sh", &["-ec", script, &claims.to_string()])
}

fn explain(folder: &Folder, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(binary());
    command.arg("explain").args(arguments).current_dir(folder.path()).stdin(Stdio::null());
    let output = command.env_remove("GATEWARD_CONFIG").output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), plain(&text))
}

/// It ends with a code and says all of this.
fn assert_explains(folder: &Folder, arguments: &[&str], code: i32, lines: &[&str]) {
    let (ended, text) = explain(folder, arguments);
    assert!(lines.iter().all(|line| text.contains(line)), "{lines:?}: {text}");
    assert_eq!(ended, Some(code), "{text}");
}

fn laid_out() -> Folder {
    let (folder, setup) = (Folder::new(), setup());
    folder.write("gateward.yaml", &setup.yaml);
    setup.files.iter().for_each(|(name, text)| drop(folder.write(name, text)));
    folder
}

#[test]
fn explain_says_whether_a_consumer_may() {
    let folder = laid_out();
    let has =
        |arguments: &[&str], code: i32, lines: &[&str]| assert_explains(&folder, arguments, code, lines);
    has(
        &["/orders/1", "--as", "batch"],
        0,
        &[
            "Forwarded to service orders by route /orders/*",
            "authenticate api_key gateward.yaml:11 knows the caller: consumer batch, groups internal\n",
            "authorize authorize gateward.yaml:17 lets it pass: any[0]: group internal; rule: !request.path.endsWith(\"/secret\")\n",
            "added x-consumer: batch by api_key (gateward.yaml:11)\n",
        ],
    );
    has(
        &["/orders/1", "--as", "mobile"],
        1,
        &[
            "Answered with 403 Forbidden by policy authorize (gateward.yaml:17).\n",
            "knows the caller: consumer mobile, groups apps\n",
            "authorize authorize gateward.yaml:17 refuses",
        ],
    );
    has(&["/orders/secret", "--as", "batch"], 1, &["Answered with 403 Forbidden by policy authorize"]);
    has(&["/orders/1", "--as", "nobody"], 2, &["there is no consumer `nobody`"]);
    has(
        &["/orders/1"],
        1,
        &["Answered with 401 Unauthorized", "api_key gateward.yaml:11 finds no credentials\n"],
    );
    has(
        &["/orders/1", "-H", "X-Api-Key: 0123456789abcdef-batch"],
        0,
        &["knows the caller: consumer batch", "removed x-api-key"],
    );
    has(&["/maybe/1", "--client", "10.0.0.1"], 0, &["Forwarded to service orders"]);
    has(&["/maybe/1", "--client", "10.0.0.1", "-H", "X-Api-Key: wrong"], 1, &["401 Unauthorized"]);
    has(&["/maybe/1", "--client", "192.0.2.1", "--as", "batch"], 1, &["403 Forbidden by policy ip"]);
    has(&["/ping", "--as", "batch"], 0, &["Nothing asks who is calling on this route"]);
    has(&["/split/1", "--as", "batch"], 0, &["Requests with the same consumer go to the same service.\n"]);
}

/// It is asked what the consumer has, and not what can be imagined.
#[test]
fn explain_says_what_a_consumer_lacks() {
    let folder = laid_out();
    let has =
        |arguments: &[&str], code: i32, lines: &[&str]| assert_explains(&folder, arguments, code, lines);
    has(
        &["/orders/1", "--as", "partner"],
        1,
        &[
            "Answered with 401 Unauthorized by policy api_key (gateward.yaml:11): partner has no credential that this route accepts (api_key or jwt).\n",
            "authenticate api_key gateward.yaml:11 partner has no API key\n",
            "authenticate jwt gateward.yaml:12 partner has no token\n",
        ],
    );
    has(
        &["/both/1", "--as", "batch"],
        1,
        &[
            "401 Unauthorized by policy jwt (gateward.yaml:12): batch has no credential for jwt, which this route demands besides.\n",
            "api_key gateward.yaml:11 knows the caller: consumer batch, groups internal\n",
        ],
    );
    has(
        &["/both/1", "--as", "mobile"],
        0,
        &["x-consumer: mobile", "are not supposed: what is shown tells them (--bearer, -H).\n"],
    );
    has(
        &["/both/1", "-H", "X-Api-Key: 0123456789abcdef-batch"],
        1,
        &[
            "401 Unauthorized by policy jwt",
            "api_key gateward.yaml:11 knows the caller: consumer batch, groups internal\n",
            "jwt gateward.yaml:12 finds no credentials\n",
        ],
    );
    has(
        &["/maybe/1", "--client", "10.0.0.1", "--as", "ops"],
        0,
        &["ops has no credential that this route accepts (api_key), and goes on without a name.\n"],
    );
    has(&["/signed/1", "--as", "partner"], 0, &["hmac", "knows the caller: consumer partner\n"]);
    // A password is compared: nobody has to be asked for that.
    has(
        &["/signed/1", "-H", "Authorization: Basic b3BzOndyb25n"],
        1,
        &["401 Unauthorized by policy basic", "refuses what is shown: wrong\n"],
    );
}

#[test]
fn explain_says_whom_a_token_names_and_what_it_may() {
    let folder = laid_out();
    let claims = json!({ "iss": "https://idp.test/", "aud": "api", "sub": "app-7", "exp": 4_000_000_000_u64,
                         "scope": "orders:read orders:write" });
    let with = |key: &str, value: Value| {
        let mut claims = claims.clone();
        claims[key] = value;
        token(&claims)
    };
    for (token, code, lines) in [
        (
            token(&claims),
            0,
            &[
                "Forwarded to service orders by route /orders/*",
                "jwt gateward.yaml:12 knows the caller: consumer mobile, groups apps, scopes orders:read orders:write",
                "authorize gateward.yaml:17 lets it pass: any[1]: scope orders:read; rule: !request.path",
                "added x-consumer: mobile by jwt (gateward.yaml:12)\n",
                "removed authorization: Bearer ",
            ][..],
        ),
        (
            with("scope", json!("other")),
            1,
            &[
                "Answered with 403 Forbidden by policy authorize",
                "consumer mobile",
                "authorize gateward.yaml:17 refuses",
            ],
        ),
        (
            with("sub", json!("app-8")),
            0,
            &["jwt gateward.yaml:12 knows the caller: app-8, scopes orders:read orders:write"],
        ),
        (
            with("aud", json!("other")),
            1,
            &["Answered with 401 Unauthorized by policy jwt", "refuses what is shown"],
        ),
        (with("exp", json!(1_000_000_000)), 1, &["401 Unauthorized", "refuses what is shown", "expired"]),
        (token(&claims) + "x", 1, &["401 Unauthorized", "refuses what is shown: bad_signature\n"]),
        ("none".to_owned(), 1, &["401 Unauthorized", "refuses what is shown"]),
    ] {
        let (ended, text) = explain(&folder, &["/orders/1", "--bearer", &token]);
        assert!(lines.iter().all(|line| text.contains(line)), "{lines:?}: {text}");
        assert_eq!(ended, Some(code), "{text}");
    }
}

/// As the page of `authorize` says.
#[test]
fn explain_says_which_condition_refuses() {
    let folder = laid_out();
    for (target, consumer, reason) in [
        ("/orders/1", "mobile", "refuses: any: none of group internal, scope orders:read"),
        ("/orders/secret", "batch", "refuses: rule: !request.path.endsWith(\"/secret\")"),
    ] {
        let (_, text) = explain(&folder, &[target, "--as", consumer]);
        let line = text.lines().find(|line| line.contains("authorize gateward.yaml:17 refuses"));
        assert!(line.is_some_and(|line| line.ends_with(reason)), "{reason}: {text}");
    }
}

/// What keeps requests out at the edge says which entry, and an answer that is meant is none of it.
#[test]
fn rules_at_the_edge_say_why() {
    let folder = Folder::new();
    folder.write(
        "gateward.yaml",
        "listen: 127.0.0.1:8080
services: { s: { endpoints: [http://127.0.0.1:1] } }
policies:
  ip: { allow: [10.0.0.0/8, 127.0.0.1], deny: [10.9.0.0/16] }
  bots: { deny: [curl/] }
  cors: { origins: [https://app.test] }
  csrf: {}
routes: [{ path: /*, service: s }]
",
    );
    let preflight =
        |origin: &'static str| ["OPTIONS", "/", "-H", origin, "-H", "Access-Control-Request-Method: PUT"];
    for (arguments, code, parts) in [
        (
            &["/", "--client", "10.9.0.1"][..],
            1,
            ["by policy ip", "refuses: 10.9.0.1 is in 10.9.0.0/16 of deny"],
        ),
        (&["/", "--client", "192.0.2.1"], 1, ["by policy ip", "refuses: 192.0.2.1 is not in allow"]),
        (
            &["/", "-H", "User-Agent: curl/8"],
            1,
            ["by policy bots", "refuses: user-agent curl/8 has curl/ of deny"],
        ),
        (
            &["POST", "/", "-H", "Origin: http://x.test"],
            1,
            ["by policy csrf", "refuses: origin http://x.test"],
        ),
        (
            &preflight("Origin: https://x.test"),
            1,
            ["by policy cors", "refuses: origin https://x.test is not in origins"],
        ),
        (
            &preflight("Origin: https://app.test"),
            0,
            ["Answered with 204 No Content by policy cors", "answers the preflight"],
        ),
    ] {
        let (ended, text) = explain(&folder, arguments);
        assert_eq!(ended, Some(code), "{text}");
        parts.iter().for_each(|part| assert!(text.contains(part), "{part}: {text}"));
    }
    let mut all = preflight("Origin: https://app.test").to_vec();
    all.extend(["--format", "json"]);
    let report: Value = serde_json::from_str(&explain(&folder, &all).1).unwrap();
    let cors = &report["ways"][0]["policies"][2];
    assert_eq!((&report["ok"], &report["outcome"]), (&true.into(), &"reply".into()), "{report:#}");
    assert_eq!((&cors["verdict"], &cors["reason"]), (&"answer".into(), &"preflight".into()), "{report:#}");
}

//! The policy `jwt` with a real issuer of tokens: npm's `oidc-provider`, whose keys are found, fetched, and change.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::time::{Duration, Instant, SystemTime};

use end_to_end::oidc_provider::{Provider, machine};
use end_to_end::{Folder, Gateway, Message, Origin, SOON, free_address, refused_address, wait_until};
use serde_json::{Value, json};

/// What tokens are for.
const API: &str = "https://api.test/";
/// The client that they are issued to.
const ROBOT: &str = "robot";
/// Keys are fetched for unknown ids every thirty seconds; and a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A provider with one key, that issues tokens for some resources.
fn setup(resources: &Value) -> Value {
    json!({ "keys": ["P-256"], "clients": [machine(ROBOT)], "resources": resources })
}

fn for_api() -> Value {
    setup(&json!({ API: { "alg": "ES256", "scope": "read write" } }))
}

/// A gateway before a service, with these settings of `jwt` and more of the route.
fn yaml(origin: &Origin, jwt: &str, more: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nservices: {{ site: {{ endpoints: [http://{}] }} }}\n\
         policies:\n  jwt: {{ {jwt} }}\nroutes:\n- path: /*\n  service: site\n{more}",
        origin.address()
    )
}

/// The settings of a policy that discovers the keys.
fn discovered(issuer: &str) -> String {
    format!("issuer: \"{issuer}\", audience: \"{API}\"")
}

fn ask(gateway: &Gateway, token: &str, fields: &str) -> Message {
    let authorization =
        if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
    gateway.connect().ask(format!("GET /a HTTP/1.1\r\nHost: gw.test\r\n{authorization}{fields}\r\n"))
}

fn status(gateway: &Gateway, token: &str) -> u16 {
    ask(gateway, token, "").status()
}

/// What the admin listener says of the only issuer.
fn issuer(gateway: &Gateway) -> Value {
    let (status, text) = gateway.ask_admin("/issuers");
    assert_eq!(status, 200, "{text}");
    let page: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(page["issuers"].as_array().map(Vec::len), Some(1), "{page}");
    page["issuers"][0].clone()
}

fn fetches(gateway: &Gateway, issuer: &str, result: &str) -> f64 {
    gateway.metric(&format!("gateward_issuer_key_fetches_total{{issuer=\"{issuer}\",result=\"{result}\"}}"))
}

/// A token whose claims nobody has signed.
fn with_other_claims(token: &str, other: &str) -> String {
    let [one, two] = [token, other].map(|token| token.split('.').collect::<Vec<_>>());
    format!("{}.{}.{}", one[0], two[1], one[2])
}

fn all_of<'m>(request: &'m Message, name: &str) -> Vec<&'m str> {
    let of_name = request.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    of_name.map(|(_, value)| value.as_str()).collect()
}

#[test]
fn tokens_of_every_algorithm_are_accepted_and_those_for_others_refused() {
    let algorithms = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"];
    let name = |algorithm: &str| format!("{API}{algorithm}");
    let mut resources = json!({ "https://other.test/": { "alg": "ES256" } });
    algorithms.iter().for_each(|alg| resources[name(alg)] = json!({ "alg": alg, "scope": "read" }));
    let mut setup = setup(&resources);
    setup["keys"] = json!(["RSA", "P-256", "Ed25519"]);
    let Some(provider) = Provider::start(setup) else { return };
    let origin = Origin::saying("served");
    let (issuer, audiences) = (provider.issuer(), algorithms.map(name).join("\", \""));
    // By discovery, and where the place of the keys is written.
    for (jwks, asked) in [(String::new(), 1), (format!(", jwks: \"{issuer}/jwks\""), 0)] {
        provider.events().drain();
        let jwt = format!("issuer: \"{issuer}\", audience: [\"{audiences}\"], typ: at+jwt{jwks}");
        let gateway = Gateway::start(yaml(&origin, &jwt, ""));
        assert_eq!(provider.count("GET /.well-known/openid-configuration"), asked);
        for algorithm in algorithms {
            let token = provider.token(ROBOT, &name(algorithm), "read");
            let answer = ask(&gateway, &token, "");
            assert_eq!((answer.status(), answer.text().as_str()), (200, "served"), "{algorithm}: {answer}");
        }
        let served = origin.count();
        let (good, foreign) =
            (provider.token(ROBOT, &name("ES256"), "read"), provider.token(ROBOT, "https://other.test/", ""));
        for (what, token) in
            [("another audience", foreign.clone()), ("forged", with_other_claims(&good, &foreign))]
        {
            let answer = ask(&gateway, &token, "");
            let challenge = answer.field("www-authenticate").unwrap_or_default();
            assert!(
                answer.status() == 401 && challenge.contains("error=\"invalid_token\""),
                "{what}: {answer}"
            );
        }
        let answer = ask(&gateway, "", "");
        let challenge = answer.field("www-authenticate").unwrap_or_default();
        assert!(answer.status() == 401 && challenge.starts_with("Bearer "), "{answer}");
        assert!(
            !challenge.contains("error"),
            "who shows nothing has made no mistake (RFC 6750 §3.1): {answer}"
        );
        assert_eq!(origin.count(), served, "nothing of it reached the service");
        assert_eq!(provider.count("GET /jwks"), 1);
        gateway.stop();
    }
}

#[test]
fn what_a_token_says_reaches_the_service_and_what_a_client_says_does_not() {
    let Some(provider) = Provider::start(for_api()) else { return };
    let origin = Origin::saying("");
    let jwt = format!(
        "{}, claims_to_headers: {{ x-user: sub, x-team: team, x-roles: realm.roles, x-nothing: nothing }}",
        discovered(&provider.issuer())
    );
    let more = format!(
        "  policies: {{ authorize: {{ any: [{{ scope: write }}] }} }}\n\
         consumers:\n- {{ name: partner, jwt: {{ issuer: \"{}\", subject: {ROBOT} }} }}\n",
        provider.issuer()
    );
    let gateway = Gateway::start(yaml(&origin, &jwt, &more));
    let forged = "X-User: root\r\nx-user: admin\r\nX_User: admin\r\nx-team: all\r\nx-roles: owner\r\nX-NOTHING: much\r\n\
                  x-consumer: root\r\nx-mine: kept\r\n";
    assert_eq!(ask(&gateway, "", forged).status(), 401);
    assert_eq!(
        ask(&gateway, &provider.token(ROBOT, API, "read"), forged).status(),
        403,
        "its scope is another one"
    );
    let token = provider.token(ROBOT, API, "read write");
    // Twice: verified, and remembered.
    for _ in 0..2 {
        assert_eq!(ask(&gateway, &token, forged).status(), 200);
        let requests = origin.requests();
        let request = requests.last().unwrap();
        for (name, want) in [
            ("x-user", vec![ROBOT]),
            ("x-team", vec!["team of robot"]),
            ("x-nothing", vec![]),
            ("x-consumer", vec!["partner"]),
            ("x-mine", vec!["kept"]),
            ("authorization", vec![]),
        ] {
            assert_eq!(all_of(request, name), want, "{name}\n{request}");
        }
        let roles = all_of(request, "x-roles");
        assert!(roles.len() == 1 && roles[0].contains("reader") && roles[0].contains("writer"), "{roles:?}");
        assert!(!request.to_string().contains("admin") && !request.to_string().contains(&token), "{request}");
    }
    assert_eq!(origin.count(), 2);
    gateway.reload(&yaml(&origin, &format!("{jwt}, forward: true"), &more));
    assert_eq!(ask(&gateway, &token, "").status(), 200);
    let requests = origin.requests();
    assert_eq!(all_of(requests.last().unwrap(), "authorization"), [format!("Bearer {token}")]);
    gateway.stop();
}

#[test]
fn what_is_remembered_of_a_token_ends_with_it() {
    let mut setup = for_api();
    setup["ttl"] = json!({ "ClientCredentials": 3 });
    let Some(provider) = Provider::start(setup) else { return };
    let origin = Origin::saying("");
    let jwt = format!("{}, leeway: 0s", discovered(&provider.issuer()));
    let gateway = Gateway::start(yaml(&origin, &jwt, ""));
    let token = provider.token(ROBOT, API, "read");
    assert_eq!(status(&gateway, &token), 200);
    let mut answer = ask(&gateway, &token, "");
    wait_until("the token has ended", SOON, || {
        answer = ask(&gateway, &token, "");
        answer.status() != 200
    });
    let challenge = answer.field("www-authenticate").unwrap_or_default();
    assert!(answer.status() == 401 && challenge.contains("error=\"invalid_token\""), "{answer}");
    gateway.stop();
}

#[test]
fn new_keys_are_fetched_when_they_are_missed_and_old_ones_count_no_more() {
    let Some(mut provider) = Provider::start(for_api()) else { return };
    let origin = Origin::saying("");
    let gateway = Gateway::start(yaml(&origin, &discovered(&provider.issuer()), ""));
    let old = provider.token(ROBOT, API, "read");
    assert_eq!([(); 3].map(|()| status(&gateway, &old)), [200; 3], "it is remembered");
    let first = issuer(&gateway);
    assert_eq!((&first["issuer"], &first["keys"]), (&json!(provider.issuer()), &json!(provider.key_ids())));
    assert_eq!((&first["failures"], &first["last_error"]), (&json!(0), &Value::Null));
    provider.change(json!({ "keys": ["P-256"] }));
    let new = provider.token(ROBOT, API, "read");
    // An issuer is not bothered more often than every thirty seconds.
    let fetched = first["last_success"].as_u64().unwrap();
    wait_until("keys may be fetched again", PATIENCE, || {
        SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() > fetched + 30
    });
    assert_eq!((status(&gateway, &old), provider.count("GET /jwks")), (200, 1), "nobody has missed a key");
    assert_eq!(status(&gateway, &new), 200, "the first request with the new key waits for it");
    let answer = ask(&gateway, &old, "");
    assert_eq!(answer.status(), 401, "its key was withdrawn, whatever is remembered: {answer}");
    assert_eq!(issuer(&gateway)["keys"], json!(provider.key_ids()));
    assert_eq!([(); 20].map(|()| status(&gateway, &old)), [401; 20]);
    assert_eq!(provider.count("GET /jwks"), 2, "tokens with unknown keys do not make it be asked each time");
    let counted = ["fetched", "failed"].map(|result| fetches(&gateway, &provider.issuer(), result));
    assert!(counted[0] == 2.0 && counted[1] == 0.0, "{counted:?}");
    gateway.stop();
}

#[test]
fn keys_are_kept_over_a_restart_while_the_issuer_is_down() {
    let Some(provider) = Provider::start(for_api()) else { return };
    let (origin, state, name) = (Origin::saying(""), Folder::new(), provider.issuer());
    let yaml = format!("state_dir: {}\n{}", state.path().display(), yaml(&origin, &discovered(&name), ""));
    let first = Gateway::start(yaml.clone());
    let token = provider.token(ROBOT, API, "read");
    assert_eq!(status(&first, &token), 200);
    first.stop();
    let (ids, forged) =
        (json!(provider.key_ids()), with_other_claims(&token, &provider.token(ROBOT, API, "write")));
    let setup = provider.stop();
    let gateway = Gateway::start(yaml);
    assert_eq!((status(&gateway, &token), status(&gateway, &forged)), (200, 401));
    gateway.wait_for(&format!("the keys of {name} cannot be fetched, those that are there stay in use"), 0);
    let said = issuer(&gateway);
    assert!(said["keys"] == ids && said["failures"].as_u64() > Some(0), "{said}");
    assert!(said["last_success"].is_null() && said["last_error"].is_string(), "{said}");
    assert!(said["failing_since"].is_u64(), "{said}");
    assert!(fetches(&gateway, &name, "failed") >= 1.0 && fetches(&gateway, &name, "fetched") == 0.0);
    let _provider = Provider::start(setup).unwrap();
    wait_until("the issuer is back", PATIENCE, || issuer(&gateway)["failures"] == 0);
    gateway.wait_for(&format!("the keys of {name} can be fetched again"), 0);
    assert!(issuer(&gateway)["failing_since"].is_null());
    assert_eq!(status(&gateway, &token), 200);
    gateway.stop();
}

#[test]
fn nobody_gets_in_until_there_are_keys() {
    let Some(provider) = Provider::start(for_api()) else { return };
    let (token, name) = (provider.token(ROBOT, API, "read"), provider.issuer());
    let setup = provider.stop();
    let origin = Origin::saying("");
    let gateway = Gateway::start(yaml(&origin, &discovered(&name), ""));
    let answer = ask(&gateway, &token, "");
    assert!(answer.status() == 503 && answer.text().contains("authority-unavailable"), "{answer}");
    assert_eq!(status(&gateway, ""), 401, "whoever shows nothing need not wait for the issuer");
    assert_eq!((origin.count(), &issuer(&gateway)["keys"]), (0, &json!([])));
    let _provider = Provider::start(setup).unwrap();
    wait_until("the token is accepted", PATIENCE, || status(&gateway, &token) == 200);
    gateway.stop();
}

#[test]
fn an_issuer_that_names_itself_otherwise_is_not_believed() {
    let address = free_address();
    let mut setup = for_api();
    setup["address"] = json!(address.to_string());
    let Some(provider) = Provider::start(setup) else { return };
    let origin = Origin::saying("");
    let name = format!("http://localhost:{}", address.port());
    let gateway = Gateway::start(yaml(&origin, &discovered(&name), ""));
    assert_eq!(status(&gateway, &provider.token(ROBOT, API, "read")), 503);
    let said = issuer(&gateway);
    assert!(said["last_error"].as_str().is_some_and(|why| why.contains("discovery: ")), "{said}");
    assert_eq!((&said["issuer"], &said["keys"]), (&json!(name), &json!([])));
    assert_eq!(provider.count("GET /jwks"), 0, "its keys are not even asked for");
    gateway.stop();
}

/// What tells programs who they are has no place to log in: the tokens of a cluster or of a build server.
#[test]
fn an_issuer_needs_no_endpoints_but_that_of_its_keys() {
    let address = free_address();
    let name = format!("http://{address}");
    let document = json!({ "issuer": name, "jwks_uri": format!("{name}/jwks") }).to_string();
    let keys = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let serves = move |request: &Message| {
        let body = if request.target() == "/jwks" { keys } else { &document };
        Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
    };
    let _issuer = Origin::serving_at(&address.to_string(), serves);
    let origin = Origin::saying("");
    let gateway = Gateway::start(yaml(&origin, &discovered(&name), ""));
    wait_until("its keys are there", PATIENCE, || issuer(&gateway)["keys"] == json!(["a"]));
    // {"alg":"EdDSA","kid":"a"} {} and a signature that is none.
    let answer = ask(&gateway, "eyJhbGciOiJFZERTQSIsImtpZCI6ImEifQ.e30.AAAA", "");
    assert_eq!(answer.status(), 401, "{answer}");
    gateway.stop();
}

#[test]
fn nobody_waits_for_an_issuer_that_is_known_to_be_down() {
    let (address, _kept) = refused_address();
    let (origin, name) = (Origin::saying(""), format!("http://{address}"));
    let gateway = Gateway::start(yaml(&origin, &discovered(&name), ""));
    wait_until("the first fetch has failed", PATIENCE, || issuer(&gateway)["failures"].as_u64() > Some(0));
    let started = Instant::now();
    let answer = ask(&gateway, "eyJhbGciOiJFZERTQSIsImtpZCI6ImEifQ.e30.AAAA", "");
    assert_eq!(answer.status(), 503, "{answer}");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    gateway.wait_for("cannot be fetched", 0);
    gateway.stop();
}

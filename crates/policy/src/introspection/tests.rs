//! What is asked, what follows from an answer, and for how long. Answers are made by hand, and the time is a number.

use std::sync::Arc;
use std::time::Duration;

use authority::{Ask, Trust};
use diagnostics::Code;
use serde_json::{Value, json};

use crate::scene::{Scene, chain, policy};
use crate::{Answer, Caller, Chain, Consumers, Halt, NewConsumer, Question, Refusal};

const SERVER: &str = "url: https://id.test/introspect, client_id: gw, client_secret: hush";
const TOKEN: (&str, &str) = ("authorization", "Bearer opaque-1");
/// When the scene plays, in seconds since 1970.
const NOW: u64 = 1_000_000;

fn consumers() -> Arc<Consumers> {
    let one = |name: &str, issuer: &str, subject: &str| NewConsumer {
        name: name.into(),
        groups: vec!["apps".into()],
        tokens: vec![(issuer.into(), subject.into())],
        ..NewConsumer::default()
    };
    Arc::new(Consumers::new(&[one("mobile", "", "mobile-app"), one("ann", "https://id.test", "ann")]))
}

/// What came of a request.
#[derive(Debug, PartialEq)]
enum Outcome {
    Known(String),
    /// The word for logs of a 401.
    Refused(&'static str),
    /// The status of another answer.
    Failed(u16),
}

fn known(name: &str) -> Outcome {
    Outcome::Known(name.to_owned())
}

/// A worker, with a chain of the policy alone.
struct Play {
    chain: Chain,
    scene: Scene,
    asked: Vec<Ask>,
}

impl Play {
    fn new(settings: &str) -> Play {
        let consumers = consumers();
        let chain = chain(&[("introspection", &format!("{{ {SERVER}, {settings} }}"))], &consumers);
        Play { chain, scene: Scene { consumers, ..Scene::get("/", &[]) }, asked: Vec::new() }
    }

    /// A request comes at a time, and who is asked answers this.
    fn send(&mut self, now: u64, target: &str, fields: &[(&str, &str)], answer: Option<Answer>) -> Outcome {
        let before = std::mem::replace(&mut self.scene, Scene::get(target, fields));
        self.scene.verified = before.verified;
        self.scene.consumers = before.consumers;
        self.scene.now = now;
        let mut answer = answer;
        let reply = loop {
            match self.chain.run_request(&mut self.scene.cx(), |_, _, _| {}) {
                Ok(_) => {
                    let cx = self.scene.cx();
                    return known(cx.identity().map(|identity| identity.name()).unwrap_or_default());
                }
                Err(Halt::Refused(Refusal::Reply(reply))) => break reply,
                Err(Halt::Refused(Refusal::Fault(fault))) => return Outcome::Failed(fault.status()),
                Err(Halt::Ask(_, question)) => {
                    let Question::Http(ask) = *question else { panic!("{question:?}") };
                    self.asked.push(*ask);
                    self.scene.answer = Some(answer.take().expect("nobody is to be asked"));
                }
            }
        };
        match self.scene.state.stopped_by {
            Some(("introspection", word)) if reply.status == 401 => Outcome::Refused(word),
            _ => Outcome::Failed(reply.status),
        }
    }

    fn token(&mut self, now: u64, answer: Option<Answer>) -> Outcome {
        self.send(now, "/", &[TOKEN], answer)
    }

    /// The values of a field that the service gets.
    fn told(&self, name: &str) -> Vec<String> {
        let values = self.scene.head.headers.values(name.as_bytes());
        values.map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    }
}

fn answer(status: u16, body: &str) -> Option<Answer> {
    let body = body.as_bytes().to_vec().into();
    Some(Answer::Http(Box::new(authority::Answer { status, body, ..authority::Answer::default() })))
}

fn active(more: &Value) -> Option<Answer> {
    let mut body = json!({ "active": true, "sub": "eve" });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    answer(200, &body.to_string())
}

#[test]
fn the_server_is_asked_as_it_is_written() {
    let mut play = Play::new("timeout: 700ms");
    assert_eq!(play.token(NOW, active(&json!({}))), known("eve"));
    let ask = &play.asked[0];
    assert_eq!((ask.method.as_str(), ask.uri.to_string().as_str()), ("POST", "https://id.test/introspect"));
    assert_eq!(ask.body, "token=opaque-1");
    assert_eq!(ask.timeout, Duration::from_millis(700));
    assert_eq!(ask.trust, Trust::System);
    assert_eq!(ask.headers["authorization"], "Basic Z3c6aHVzaA==");
    assert!(matches!(play.scene.state.caller(), Caller::Verified(_, "introspection")));
}

#[test]
fn only_an_active_token_that_is_meant_gets_in() {
    let rules = "audience: [api, web], issuer: https://id.test";
    let meant = json!({ "aud": "api", "iss": "https://id.test" });
    for (settings, more, want) in [
        ("", json!({}), known("eve")),
        ("", json!({ "exp": NOW + 1 }), known("eve")),
        ("", json!({ "exp": NOW }), Outcome::Refused("expired")),
        ("", json!({ "exp": 5 }), Outcome::Refused("expired")),
        ("", json!({ "active": false }), Outcome::Refused("inactive")),
        ("", json!({ "token_type": "Bearer", "typ": "Bearer", "token_use": "access_token" }), known("eve")),
        ("", json!({ "token_use": "refresh_token" }), Outcome::Refused("wrong_kind")),
        ("", json!({ "typ": "Refresh" }), Outcome::Refused("wrong_kind")),
        ("", json!({ "typ": "ID" }), Outcome::Refused("wrong_kind")),
        ("", json!({ "cnf": { "jkt": "x" } }), Outcome::Refused("bound")),
        (rules, meant.clone(), known("eve")),
        (rules, json!({ "aud": ["x", "web"], "iss": "https://id.test" }), known("eve")),
        (
            rules,
            json!({ "aud": ["x", "apis"], "iss": "https://id.test" }),
            Outcome::Refused("wrong_audience"),
        ),
        (rules, json!({ "aud": { "api": 1 }, "iss": "https://id.test" }), Outcome::Refused("wrong_audience")),
        (rules, json!({ "iss": "https://id.test" }), Outcome::Refused("wrong_audience")),
        (rules, json!({ "aud": "api", "iss": "https://id.test/" }), Outcome::Refused("wrong_issuer")),
        (rules, json!({ "aud": "api" }), Outcome::Refused("wrong_issuer")),
        ("consumer: required", json!({}), Outcome::Refused("unknown")),
        ("consumer: required", json!({ "client_id": "mobile-app" }), known("mobile")),
    ] {
        let mut play = Play::new(settings);
        assert_eq!(play.token(NOW, active(&more)), want, "{settings} {more}");
        // What was found out is known without asking, and is the same.
        assert_eq!(play.token(NOW, None), want, "{settings} {more}, again");
    }
}

#[test]
fn nobody_gets_in_without_an_answer_that_counts() {
    for (status, body) in [
        (500, r#"{"active":true}"#),
        (401, r#"{"active":true}"#),
        (302, ""),
        (200, "no JSON"),
        (200, "[]"),
        (200, r#"{"active":"true"}"#),
        (200, r#"{"active":true,"exp":"soon"}"#),
    ] {
        let mut play = Play::new("");
        assert_eq!(play.token(NOW, answer(status, body)), Outcome::Failed(503), "{status} {body}");
        // It is no no either: the next one asks again.
        assert_eq!(play.token(NOW, active(&json!({}))), known("eve"));
    }
    let mut play = Play::new("");
    assert_eq!(play.token(NOW, Some(Answer::Nothing("timeout".to_owned()))), Outcome::Failed(503));
    assert_eq!(play.token(NOW, Some(Answer::Password(true))), Outcome::Failed(503));
}

#[test]
fn an_answer_is_believed_for_a_while_and_not_past_the_end() {
    for (settings, exp, hit, miss) in [
        ("", None, NOW + 59, NOW + 60),
        ("", Some(NOW + 30), NOW + 29, NOW + 30),
        ("cache: 5m", None, NOW + 299, NOW + 300),
        ("cache: 5m", Some(NOW + 1000), NOW + 299, NOW + 300),
    ] {
        let mut play = Play::new(settings);
        play.token(NOW, active(&exp.map_or(json!({}), |exp| json!({ "exp": exp }))));
        assert_eq!(play.token(hit, None), known("eve"), "{settings} {exp:?}");
        // The server has changed its mind meanwhile.
        let no = active(&json!({ "active": false }));
        assert_eq!(play.token(miss, no), Outcome::Refused("inactive"), "{settings} {exp:?}");
        assert_eq!(play.asked.len(), 2);
    }
}

#[test]
fn a_no_is_believed_for_ten_seconds_at_most() {
    for (settings, hit, miss) in [("", 9, 10), ("cache: 1h", 9, 10), ("cache: 3s", 2, 3)] {
        let mut play = Play::new(settings);
        assert_eq!(play.token(NOW, active(&json!({ "active": false }))), Outcome::Refused("inactive"));
        assert_eq!(play.token(NOW + hit, None), Outcome::Refused("inactive"), "{settings}");
        assert_eq!(play.token(NOW + miss, active(&json!({}))), known("eve"), "{settings}");
        assert_eq!(play.asked.len(), 2);
    }
}

#[test]
fn nothing_is_remembered_where_nothing_may_be() {
    let mut play = Play::new("cache: 0s");
    for now in [NOW, NOW, NOW + 1] {
        assert_eq!(play.token(now, active(&json!({}))), known("eve"));
        assert_eq!(play.token(now, active(&json!({ "active": false }))), Outcome::Refused("inactive"));
    }
    assert_eq!((play.asked.len(), play.scene.verified.len()), (6, 0));
}

#[test]
fn what_is_remembered_is_of_one_token_and_one_policy() {
    let mut play = Play::new("");
    play.token(NOW, active(&json!({})));
    let other = [("authorization", "Bearer opaque-2")];
    assert_eq!(play.send(NOW, "/", &other, active(&json!({ "sub": "bob" }))), known("bob"));
    assert_eq!(play.token(NOW, None), known("eve"));
    let mut stricter = Play::new("audience: api");
    stricter.scene.verified = std::mem::take(&mut play.scene.verified);
    assert_eq!(stricter.token(NOW, active(&json!({}))), Outcome::Refused("wrong_audience"));
}

/// Two requests with the same token have asked; the first one was answered before the second one was not.
#[test]
fn what_another_request_was_told_counts_where_there_is_no_answer() {
    let mut play = Play::new("");
    let mut second = Scene::get("/", &[TOKEN]);
    second.consumers = Arc::clone(&play.scene.consumers);
    let asked = play.chain.run_request(&mut second.cx(), |_, _, _| {});
    assert!(matches!(asked, Err(Halt::Ask(..))));
    play.token(NOW, active(&json!({})));
    second.verified = std::mem::take(&mut play.scene.verified);
    second.answer = Some(Answer::Nothing("timeout".to_owned()));
    assert!(play.chain.run_request(&mut second.cx(), |_, _, _| {}).is_ok());
    assert_eq!(second.cx().identity().map(|identity| &*identity.subject), Some("eve"));
}

#[test]
fn tokens_are_found_where_they_may_stand_and_go_no_further() {
    for (settings, target, fields) in [
        ("", "/", &[TOKEN][..]),
        ("header: x-token", "/", &[("x-token", "opaque-1")]),
        ("scheme: Token", "/", &[("authorization", "token opaque-1")]),
        ("query: access_token", "/?a=1&access_token=opaque-1", &[]),
        ("cookie: session", "/", &[("cookie", "a=1; session=opaque-1")]),
    ] {
        let mut play = Play::new(settings);
        assert_eq!(play.send(NOW, target, fields, active(&json!({}))), known("eve"), "{settings}");
        assert_eq!(play.asked[0].body, "token=opaque-1", "{settings}");
        let left = play.scene.head.headers.iter().any(|(_, value)| value.windows(6).any(|w| w == b"opaque"));
        let query = play.scene.head.query().unwrap_or_default().windows(6).any(|w| w == b"opaque");
        assert!(!left && !query, "{settings}");
    }
    let mut play = Play::new("forward: true");
    play.token(NOW, active(&json!({})));
    assert_eq!(play.told("authorization"), ["Bearer opaque-1"]);
}

#[test]
fn what_is_no_token_is_not_asked_for() {
    let long = format!("Bearer {}", "x".repeat(8193));
    for (value, want) in [
        ("Bearer a b", "malformed"),
        ("Bearer a\u{e9}", "malformed"),
        (long.as_str(), "malformed"),
        ("Bearer ", "missing"),
        ("Basic YTpi", "missing"),
    ] {
        let mut play = Play::new("");
        let got = play.send(NOW, "/", &[("authorization", value)], None);
        assert_eq!(got, Outcome::Refused(want), "{value}");
    }
}

#[test]
fn the_challenge_says_what_is_wrong() {
    let consumers = consumers();
    let chain = chain(&[("introspection", &format!("{{ {SERVER} }}"))], &consumers);
    for (fields, want) in [
        (&[][..], "Bearer realm=\"gateward\""),
        (
            &[TOKEN],
            "Bearer realm=\"gateward\", error=\"invalid_token\", \
             error_description=\"The token is not valid, or not any more.\"",
        ),
    ] {
        let mut scene = Scene::get("/", fields);
        let reply = scene.run(&chain, || answer(200, r#"{"active":false}"#).unwrap()).unwrap();
        let told: Vec<_> = reply.headers.iter().filter(|(name, _)| name == "www-authenticate").collect();
        assert_eq!((reply.status, &*told[0].1, told.len()), (401, want, 1));
    }
}

#[test]
fn services_are_told_what_the_token_says() {
    let mut play = Play::new(
        "groups_claim: realm.roles, claims_to_headers: { X-User: sub, x-roles: realm.roles, x-none: none }",
    );
    let more =
        json!({ "client_id": "mobile-app", "scope": "read write", "realm": { "roles": ["ops", "dev"] } });
    assert_eq!(play.token(NOW, active(&more)), known("mobile"));
    assert_eq!(play.told("x-consumer"), ["mobile"]);
    assert_eq!(
        (play.told("x-user"), play.told("x-roles")),
        (vec!["eve".to_owned()], vec!["ops,dev".to_owned()])
    );
    assert!(play.told("x-none").is_empty());
    let identity = play.scene.cx().identity().unwrap().clone();
    assert_eq!(identity.groups, ["apps", "ops", "dev"].map(Into::into).into());
    assert_eq!(identity.scopes, ["read", "write"].map(Into::into).into());
    let told = play.chain.links()[0].policy.told_fields();
    assert_eq!(told, [&b"x-user"[..], b"x-roles", b"x-none"]);
}

/// A client and a user may have the same name: which of them counts is not up to the token.
#[test]
fn the_client_counts_before_the_user() {
    let iss = "https://id.test";
    for (settings, more, want) in [
        ("", json!({ "client_id": "mobile-app", "sub": "ann", "iss": iss }), "mobile"),
        ("", json!({ "client_id": "other", "sub": "mobile-app" }), "mobile-app"),
        ("", json!({ "sub": "mobile-app" }), "mobile"),
        ("consumer_claim: sub", json!({ "client_id": "mobile-app", "sub": "ann", "iss": iss }), "ann"),
        ("consumer_claim: azp", json!({ "client_id": "mobile-app", "sub": "x" }), "x"),
    ] {
        let mut play = Play::new(settings);
        assert_eq!(play.token(NOW, active(&more)), known(want), "{settings} {more}");
        let consumer = play.scene.cx().identity().unwrap().consumer.is_some();
        assert_eq!(consumer, settings != "consumer_claim: azp" && more["client_id"] != "other", "{more}");
    }
    // A consumer that is named with its issuer is nobody else's.
    for other in [json!({ "sub": "ann", "iss": "https://other.test" }), json!({ "sub": "ann" })] {
        let mut play = Play::new("consumer_claim: sub, consumer: required");
        assert_eq!(play.token(NOW, active(&other)), Outcome::Refused("unknown"), "{other}");
    }
}

#[test]
fn mistakes_are_reported() {
    let good = format!("{{ {SERVER} }}");
    assert!(policy("introspection", &good, &consumers()).is_ok());
    for (from, to, code) in [
        ("https://id.test/introspect", "id.test", Code::InvalidUrl),
        ("https://id.test/introspect", "https://a:b@id.test/", Code::InvalidUrl),
        ("https://id.test/introspect", "http://id.test/introspect", Code::InvalidUrl),
        ("https://id.test/introspect", "http://id.test/, allow_http: true", Code::VerificationOff),
        ("hush", "hush, allow_http: true", Code::UnusedSetting),
        ("url: https://id.test/introspect, ", "", Code::MissingKey),
        ("client_id: gw", "client_id: ''", Code::InvalidValue),
        ("hush", "''", Code::InvalidValue),
        ("hush", "hush, timeout: 0s", Code::InvalidValue),
        ("hush", "hush, timeout: soon", Code::InvalidDuration),
        ("hush", "hush, scope_claim: ''", Code::InvalidValue),
        ("hush", "hush, consumer_claim: ''", Code::InvalidValue),
        ("hush", "hush, consumer: maybe", Code::InvalidValue),
        ("hush", "hush, header: x_token", Code::InvalidHeader),
        ("hush", "hush, claims_to_headers: { authorization: sub }", Code::InvalidHeader),
        ("hush", "hush, header: x-token, claims_to_headers: { x-token: sub }", Code::InvalidHeader),
        ("hush", "hush, ca: missing.pem", Code::MissingFile),
        ("hush", "hush, required_scopes: [a]", Code::UnknownKey),
    ] {
        let written = good.replace(from, to);
        let mistakes = policy("introspection", &written, &consumers()).unwrap_err();
        assert_eq!(
            mistakes.iter().map(|(code, _)| *code).collect::<Vec<_>>(),
            [code],
            "{written}: {mistakes:?}"
        );
        assert!(!mistakes.iter().any(|(_, message)| message.contains("hush")), "{mistakes:?}");
    }
    for loopback in ["http://127.0.0.1:9/", "'http://[::1]/'", "http://localhost:9/i"] {
        let written = good.replace("https://id.test/introspect", loopback);
        assert!(policy("introspection", &written, &consumers()).is_ok(), "{loopback}");
    }
    let nobody = policy("introspection", &good.replace("hush", "hush, consumer: required"), &Arc::default());
    assert_eq!(nobody.unwrap_err()[0].0, Code::NoCredentials);
    let ready = policy("introspection", &good, &consumers()).unwrap();
    assert!(!format!("{ready:?}").contains("hush"), "secrets are not shown");
}

//! Whose token it is, for how long that is remembered, and what is wrong with what is written. How signatures and
//! claims are checked is tested in `jose`, keys that are fetched with a real server.

use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use diagnostics::Code;

use crate::scene::{Scene, chain, policy};
use crate::{Answer, Caller, Consumers, NewConsumer};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const POLICY: &str = "{ issuer: idp, audience: api, keys: { secret: 0123456789abcdef0123456789abcdef }, leeway: 0s, \
     claims_to_headers: { x-user: sub, x-roles: realm.roles } }";

fn token(claims: &str) -> String {
    let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let text = format!("{}.{}", encoded(r#"{"alg":"HS256"}"#), encoded(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, text.as_bytes())))
}

fn consumers() -> Arc<Consumers> {
    let tokens = vec![("idp".into(), "ann".into())];
    Arc::new(Consumers::new(&[NewConsumer {
        name: "partner".into(),
        groups: vec!["partners".into()],
        tokens,
        ..NewConsumer::default()
    }]))
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Runs the policy over a request with this token.
fn run(settings: &str, field: (&str, &str)) -> (Option<u16>, Scene) {
    let consumers = consumers();
    let chain = chain(&[("jwt", settings)], &consumers);
    let mut scene = Scene { consumers, ..Scene::get("/", &[field, ("x-user", "forged")]) };
    let reply = scene.run(&chain, || -> Answer { panic!("nobody is asked") });
    (reply.map(|reply| reply.status), scene)
}

#[test]
fn a_token_says_who_it_is() {
    let claims = r#"{"iss":"idp","aud":"api","sub":"ann","exp":2000000,"scope":"a b","groups":["g"],"realm":{"roles":["x","y"]}}"#;
    let (refused, mut scene) = run(POLICY, ("authorization", &bearer(&token(claims))));
    assert_eq!(refused, None);
    let identity = scene.cx().identity().cloned().unwrap();
    assert_eq!((identity.name(), &*identity.subject), ("partner", "ann"));
    assert!(identity.has_group("partners") && identity.has_group("g") && identity.has_scope("b"));
    let field = |name: &str| -> Vec<String> {
        let values = scene.head.headers.values(name.as_bytes());
        values.map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    };
    assert_eq!((field("x-consumer"), field("x-user")), (vec!["partner".to_owned()], vec!["ann".to_owned()]));
    assert_eq!((field("x-roles"), field("authorization")), (vec!["x,y".to_owned()], vec![]));

    let unknown = r#"{"iss":"idp","aud":["b","api"],"sub":"bob","exp":2000000}"#;
    let (refused, mut scene) = run(POLICY, ("authorization", &bearer(&token(unknown))));
    assert_eq!(refused, None);
    assert_eq!(scene.cx().identity().map(|identity| identity.name().to_owned()), Some("bob".to_owned()));
    assert!(scene.head.headers.values(b"x-consumer").next().is_none());
    let required = POLICY.replace("leeway: 0s", "consumer: required");
    assert_eq!(run(&required, ("authorization", &bearer(&token(unknown)))).0, Some(401));
}

#[test]
fn what_does_not_hold_is_refused() {
    let good = r#"{"iss":"idp","aud":"api","sub":"ann","exp":2000000}"#;
    for claims in [
        r#"{"iss":"idp","aud":"api","sub":"ann","exp":1000000}"#,
        r#"{"iss":"idp","aud":"api","sub":"ann"}"#,
        r#"{"iss":"other","aud":"api","sub":"ann","exp":2000000}"#,
        r#"{"iss":"idp","aud":"other","sub":"ann","exp":2000000}"#,
        r#"{"iss":"idp","aud":"api","sub":"ann","exp":2000000,"nbf":1000001}"#,
        r#"{"iss":"idp","aud":"api","sub":"ann","exp":"2000000"}"#,
    ] {
        assert_eq!(run(POLICY, ("authorization", &bearer(&token(claims)))).0, Some(401), "{claims}");
    }
    let token = token(good);
    let unsigned = format!("{}.", token.rsplit_once('.').unwrap().0);
    for field in [
        ("authorization", format!("Bearer {token}x")),
        ("authorization", format!("Bearer {unsigned}")),
        ("authorization", format!("Basic {token}")),
        ("x-token", token.clone()),
    ] {
        assert_eq!(run(POLICY, (field.0, &field.1)).0, Some(401), "{field:?}");
    }
    let elsewhere = POLICY.replace("leeway: 0s", "header: x-token, cookie: t");
    assert_eq!(run(&elsewhere, ("x-token", &token)).0, None);
    assert_eq!(run(&elsewhere, ("cookie", &format!("t={token}"))).0, None);
}

#[test]
fn what_was_verified_is_remembered_until_it_ends() {
    let consumers = consumers();
    let chain = chain(&[("jwt", POLICY)], &consumers);
    let value = bearer(&token(r#"{"iss":"idp","aud":"api","sub":"ann","exp":1000010}"#));
    let mut scene = Scene { consumers, ..Scene::get("/", &[("authorization", &value)]) };
    let ask = |scene: &mut Scene| {
        scene.state.clear();
        scene.head.headers.set(b"authorization", value.as_bytes());
        let reply = scene.run(&chain, || -> Answer { panic!("nobody is asked") });
        match (reply, scene.state.caller()) {
            (None, Caller::Verified(identity, "jwt")) => Ok(std::rc::Rc::as_ptr(identity)),
            (reply, _) => Err(reply.map(|reply| reply.status)),
        }
    };
    let first = ask(&mut scene).unwrap();
    assert_eq!(ask(&mut scene), Ok(first), "it was not made anew");
    assert_eq!(scene.verified.len(), 1);
    scene.now = 1_000_009;
    assert_eq!(ask(&mut scene), Ok(first));
    scene.now = 1_000_010;
    assert_eq!(ask(&mut scene), Err(Some(401)));
}

#[test]
fn the_challenge_says_what_is_wrong() {
    let consumers = consumers();
    let chain = chain(&[("jwt", POLICY)], &consumers);
    let value = bearer(&token(r#"{"iss":"idp","aud":"api","sub":"ann","exp":1}"#));
    let mut scene = Scene { consumers, ..Scene::get("/", &[("authorization", &value)]) };
    let reply = scene.run(&chain, || -> Answer { panic!("nobody is asked") }).unwrap();
    let told = reply.headers.iter().find(|(name, _)| name == "www-authenticate").unwrap();
    assert!(
        told.1.starts_with("Bearer realm=\"gateward\", error=\"invalid_token\", error_description=\""),
        "{}",
        told.1
    );
    assert_eq!(scene.state.stopped_by, Some(("jwt", "expired")));
}

#[test]
fn keys_are_asked_for_before_anybody_is_refused() {
    let consumers = consumers();
    let settings = "{ issuer: 'https://idp.test', audience: api }";
    let chain = chain(&[("jwt", settings)], &consumers);
    let value = bearer(&token(r#"{"iss":"idp","aud":"api","sub":"ann","exp":1}"#));
    let mut scene = Scene { consumers, ..Scene::get("/", &[("authorization", &value)]) };
    let mut asked = 0;
    let reply = scene.run(&chain, || {
        asked += 1;
        Answer::Nothing("nobody answers".to_owned())
    });
    assert_eq!((reply.map(|reply| reply.status), asked), (Some(503), 1));
}

#[test]
fn no_way_of_writing_hides_a_token() {
    let wrong = format!("{}x", token(r#"{"iss":"idp","aud":"api","sub":"ann","exp":2000000}"#));
    for between in [" ", "\t", "  ", " \t", "\t "] {
        let field = format!("bEARER{between}{wrong}");
        let consumers = consumers();
        let chain = chain(&[("jwt", POLICY), ("auth", "{ anonymous: allow }")], &consumers);
        let mut scene = Scene { consumers, ..Scene::get("/", &[("authorization", &field)]) };
        let reply = scene.run(&chain, || -> Answer { panic!("nobody is asked") });
        assert_eq!(reply.map(|reply| reply.status), Some(401), "{field:?}");
    }
}

#[test]
fn mistakes_are_reported() {
    for (settings, code, want) in [
        ("{ audience: api }", Code::MissingKey, "which keys"),
        ("{ audience: api, issuer: idp }", Code::InvalidUrl, "no URL"),
        ("{ audience: api, issuer: 'http://idp.test' }", Code::InvalidUrl, "not encrypted"),
        ("{ audience: api, jwks: 'ftp://x' }", Code::MissingFile, "cannot be read"),
        ("{ audience: api, keys: { secret: short } }", Code::InvalidKey, "the secret cannot be used"),
        ("{ audience: api, keys: { id: x } }", Code::ConflictingKeys, "a key is one of"),
        ("{ audience: api, algorithms: none, jwks: 'https://a.test/x' }", Code::InvalidValue, "`none`"),
        (
            "{ audience: api, jwks: 'https://a.test/x', claims_to_headers: { authorization: sub } }",
            Code::InvalidHeader,
            "",
        ),
        ("{ jwks: 'https://a.test/x' }", Code::OpenRoute, "no `audience`"),
        (
            "{ audience: api, algorithms: [RS256, ES256], keys: { secret: 0123456789abcdef0123456789abcdef } }",
            Code::NoCredentials,
            "none of the keys can be used with these algorithms",
        ),
    ] {
        let mistakes = policy("jwt", settings, &consumers()).unwrap_err();
        let found = mistakes.iter().any(|(own, message)| *own == code && message.contains(want));
        assert!(found, "{settings}: {mistakes:?}");
    }
    let one_of_two =
        "{ audience: api, algorithms: [RS256, HS256], keys: { secret: 0123456789abcdef0123456789abcdef } }";
    assert!(policy("jwt", one_of_two, &consumers()).is_ok());
    assert!(policy("jwt", "{ audience: api, jwks: 'http://127.0.0.1:1/x' }", &consumers()).is_ok());
}

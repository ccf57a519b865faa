//! Any, all, nobody: how policies that know callers count together.

use std::sync::Arc;

use crate::scene::{Scene, chain, policy};
use crate::{Answer, Caller, Consumers, Halt, NewConsumer, NewKey, digest_of};

const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$4bRd3PJY1QCLNJ8vDhVVsQ$k6iVvXAdZUt4z4YVvMa7qQt7zJ5CDqXr0p4hYkTcM5k";

fn consumers() -> Arc<Consumers> {
    let key = |text: &str| vec![NewKey { digest: digest_of(text.as_bytes()), expires: None, name: None }];
    Arc::new(Consumers::new(&[
        NewConsumer {
            name: "a".into(),
            groups: vec!["one".into()],
            api_keys: key("key-a"),
            users: vec![("ann".into(), HASH.into())],
            ..NewConsumer::default()
        },
        NewConsumer {
            name: "b".into(),
            groups: vec!["two".into()],
            api_keys: key("key-b"),
            users: vec![("bob".into(), HASH.into())],
            ..NewConsumer::default()
        },
    ]))
}

const KEY_A: (&str, &str) = ("x-api-key", "key-a");
const KEY_WRONG: (&str, &str) = ("x-api-key", "key-x");
/// `ann:pw` and `bob:pw`.
const ANN: (&str, &str) = ("authorization", "Basic YW5uOnB3");
const BOB: (&str, &str) = ("authorization", "Basic Ym9iOnB3");

/// The status of the answer, or who it is and how it was recognised. Every password is right, or wrong.
fn outcome(auth: Option<&str>, fields: &[(&str, &str)], right: bool) -> Result<(String, String), u16> {
    let consumers = consumers();
    let mut policies = vec![("api_key", "{}"), ("basic", "{}")];
    policies.extend(auth.map(|auth| ("auth", auth)));
    let chain = chain(&policies, &consumers);
    let mut scene = Scene { consumers, ..Scene::get("/", fields) };
    match scene.run(&chain, || Answer::Password(right)) {
        Some(reply) => Err(reply.status),
        None => {
            let cx = scene.cx();
            let name = cx.identity().map(|identity| identity.name().to_owned()).unwrap_or_default();
            Ok((name, cx.state.caller().method().to_owned()))
        }
    }
}

fn who(name: &str, method: &str) -> Result<(String, String), u16> {
    Ok((name.to_owned(), method.to_owned()))
}

#[test]
fn any_is_enough() {
    assert_eq!(outcome(None, &[KEY_A], true), who("a", "api_key"));
    assert_eq!(outcome(None, &[BOB], true), who("b", "basic"));
    assert_eq!(outcome(None, &[KEY_WRONG, BOB], true), who("b", "basic"));
    assert_eq!(outcome(None, &[KEY_A, BOB], false), who("a", "api_key"));
    assert_eq!(outcome(None, &[KEY_WRONG], true), Err(401));
    assert_eq!(outcome(None, &[KEY_WRONG, BOB], false), Err(401));
    assert_eq!(outcome(None, &[], true), Err(401));
}

#[test]
fn all_have_to_agree() {
    let all = Some("{ all: [api_key, basic] }");
    assert_eq!(outcome(all, &[KEY_A, ANN], true), who("a", "api_key"));
    for (fields, right) in [
        (&[KEY_A][..], true),
        (&[ANN], true),
        (&[KEY_A, ANN], false),
        (&[KEY_WRONG, ANN], true),
        // Both are genuine, and of different consumers.
        (&[KEY_A, BOB], true),
        (&[], true),
    ] {
        assert_eq!(outcome(all, fields, right), Err(401), "{fields:?}");
    }
}

#[test]
fn nobody_may_pass_where_that_is_allowed_and_wrong_credentials_never() {
    let open = Some("{ anonymous: allow }");
    assert_eq!(outcome(open, &[], true), who("", "anonymous"));
    assert_eq!(outcome(open, &[KEY_A], true), who("a", "api_key"));
    assert_eq!(outcome(open, &[KEY_WRONG], true), Err(401));
    assert_eq!(outcome(open, &[ANN], false), Err(401));
    let all = Some("{ all: [api_key, basic], anonymous: allow }");
    assert_eq!(outcome(all, &[], true), who("", "anonymous"));
    assert_eq!(outcome(all, &[KEY_A], true), Err(401), "half of it is not nothing");
}

#[test]
fn a_password_is_looked_at_once() {
    let consumers = consumers();
    let chain = chain(&[("basic", "{ cache: 10s }")], &consumers);
    let mut scene = Scene { consumers, ..Scene::get("/", &[ANN]) };
    let mut asked = 0;
    let mut run = |scene: &mut Scene| {
        scene.state.clear();
        scene.head.headers.set(ANN.0.as_bytes(), ANN.1.as_bytes());
        let reply = scene.run(&chain, || {
            asked += 1;
            Answer::Password(true)
        });
        assert!(reply.is_none() && matches!(scene.state.caller(), Caller::Consumer(0, "basic")));
        assert_eq!(scene.head.headers.values(b"authorization").count(), 0, "the service does not get it");
        asked
    };
    assert_eq!((run(&mut scene), run(&mut scene)), (1, 1));
    scene.now += 10;
    assert_eq!(run(&mut scene), 2);
}

#[test]
fn two_authorization_fields_are_one_too_many() {
    assert_eq!(outcome(None, &[KEY_A, ANN, BOB], true), Err(401));
    assert_eq!(outcome(Some("{ anonymous: allow }"), &[ANN, ANN], true), Err(401));
}

#[test]
fn when_nobody_can_look_it_is_a_fault() {
    let consumers = consumers();
    let chain = chain(&[("basic", "{}")], &consumers);
    let mut scene = Scene { consumers, ..Scene::get("/", &[ANN]) };
    let reply = scene.run(&chain, || Answer::Nothing("too many wait".to_owned()));
    assert_eq!(reply.map(|reply| reply.status), Some(503));
}

#[test]
fn mistakes_are_reported() {
    for (settings, want) in [
        ("{ all: [headers] }", "`headers` is no policy that knows callers"),
        ("{ all: [basic, basic] }", "`basic` is named twice"),
        ("{ all: [basic] }", "`all` names `basic` and nothing else"),
        ("{ anonymous: yes }", "anonymous"),
    ] {
        let mistakes = policy("auth", settings, &consumers()).unwrap_err();
        assert!(
            mistakes.iter().any(|(_, message)| message.contains(want)) || want == "anonymous",
            "{settings}: {mistakes:?}"
        );
    }
}

/// What a service gets of a field.
fn passed(policies: &[(&str, &str)], fields: &[(&str, &str)], name: &[u8]) -> Option<String> {
    let consumers = consumers();
    let chain = chain(policies, &consumers);
    let mut scene = Scene { consumers, ..Scene::get("/", fields) };
    assert!(scene.run(&chain, || Answer::Password(true)).is_none(), "{fields:?}");
    scene.head.headers.values(name).next().map(|value| String::from_utf8(value.to_vec()).unwrap())
}

#[test]
fn what_nobody_has_verified_is_not_passed_on() {
    let forward = "{ forward: true }";
    let both = [("api_key", "{}"), ("basic", forward)];
    assert_eq!(passed(&both, &[ANN], b"authorization").as_deref(), Some(ANN.1));
    assert_eq!(
        passed(&both, &[KEY_A, ANN], b"authorization"),
        None,
        "the key was enough, the password not asked"
    );
    let open = [("api_key", forward), ("basic", forward), ("auth", "{ anonymous: allow }")];
    assert_eq!(passed(&open, &[("x-api-key", "")], b"x-api-key"), None);
    let all = [("api_key", forward), ("basic", forward), ("auth", "{ all: [api_key, basic] }")];
    assert_eq!(passed(&all, &[KEY_A, ANN], b"authorization").as_deref(), Some(ANN.1));
    assert_eq!(passed(&all, &[KEY_A, ANN, KEY_WRONG], b"x-api-key").as_deref(), Some("key-a"));
}

#[test]
fn an_answer_is_for_the_policy_that_has_asked() {
    let consumers = consumers();
    let asks = "{ url: 'http://127.0.0.1:1/' }";
    let chain = chain(&[("basic", "{}"), ("forward_auth", asks)], &consumers);
    let mut scene = Scene { consumers, ..Scene::get("/", &[ANN]) };
    // Another request has the password looked at while this one waits.
    let Err(Halt::Ask("basic", _)) = chain.run_request(&mut scene.cx(), |_, _, _| {}) else { panic!() };
    let mut other = Scene { consumers: Arc::clone(&scene.consumers), ..Scene::get("/", &[ANN]) };
    std::mem::swap(&mut other.verified, &mut scene.verified);
    other.answer = None;
    let Err(Halt::Ask("basic", _)) = chain.run_request(&mut other.cx(), |_, _, _| {}) else { panic!() };
    other.answer = Some(Answer::Password(true));
    let Err(Halt::Ask("forward_auth", _)) = chain.run_request(&mut other.cx(), |_, _, _| {}) else {
        panic!()
    };
    std::mem::swap(&mut other.verified, &mut scene.verified);
    scene.answer = Some(Answer::Password(true));
    assert!(matches!(chain.run_request(&mut scene.cx(), |_, _, _| {}), Err(Halt::Ask("forward_auth", _))));
}

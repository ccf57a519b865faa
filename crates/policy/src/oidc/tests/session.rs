//! Sessions that go on, are renewed, and end.

use std::sync::Arc;

use serde_json::json;

use super::world::{ISSUER, World, code};
use crate::{Answer, Consumers, NewConsumer, Question};

#[test]
fn cookies_that_were_changed_are_no_session() {
    let mut world = World::new("");
    world.login();
    let good = world.cookies[0].1.clone();
    let middle = good.len() / 2;
    let other = if good.as_bytes()[middle] == b'A' { "B" } else { "A" };
    let mut flipped = good.clone();
    flipped.replace_range(middle..=middle, other);
    for bad in [
        flipped,
        good[..good.len() - 2].to_owned(),
        String::new(),
        format!("2{}", &good[1..]),
        "1".to_owned(),
    ] {
        world.cookies = vec![("__Host-gateward".to_owned(), bad.clone())];
        assert_eq!(world.who(), None, "{bad}");
        assert!(world.cookies.is_empty(), "it is taken away: {bad}");
    }
    // Without its prefix a neighbouring host could have set it.
    world.cookies = vec![("gateward".to_owned(), good.clone())];
    assert_eq!(world.who(), None);
    world.cookies = vec![("__Host-gateward".to_owned(), good)];
    assert_eq!(world.who().as_deref(), Some("ada"));
}

#[test]
fn a_session_ends_when_it_is_idle_or_old_and_not_in_use() {
    let mut world = World::new("idle: 10m, lifetime: 1h");
    world.idp.lifetime = 100_000;
    world.login();
    let start = world.now;
    let (first, mut renewals) = (world.cookies.clone(), 0);
    while world.now < start + 3600 {
        let before = world.cookies.clone();
        assert_eq!(world.who().as_deref(), Some("ada"), "after {}", world.now - start);
        renewals += u32::from(world.cookies != before);
        world.now += 20;
    }
    assert_eq!(world.who(), None, "it is old");
    // An eighth of ten minutes, as the clock of this loop goes.
    assert!((40..=48).contains(&renewals), "{renewals}");
    (world.now, world.cookies) = (start + 599, first.clone());
    assert_eq!(world.who().as_deref(), Some("ada"));
    (world.now, world.cookies) = (start + 600, first);
    assert_eq!(world.who(), None, "it was idle");
}

#[test]
fn what_was_opened_is_remembered_for_a_while() {
    let mut world = World::new("");
    world.login();
    assert_eq!(world.who().as_deref(), Some("ada"));
    assert_eq!(world.verified.len(), 1);
    // With other cookies beside, and those of a login under way, it is the same session.
    world.cookies.insert(0, ("theme".to_owned(), "dark".to_owned()));
    world.cookies.push(("__Host-gateward-login-abcdefghijkl".to_owned(), "x".to_owned()));
    let (_, scene) = world.get("/", &[]);
    let left: Vec<_> = scene.head.headers.values(b"cookie").collect();
    assert_eq!(left, [b"theme=dark"], "the service gets its own cookies");
    assert_eq!(world.verified.len(), 1);
}

#[test]
fn the_service_gets_a_token_that_is_good() {
    let mut world = World::new("forward_access_token: true");
    world.login();
    let token = |world: &mut World| {
        let (reply, scene) = world.get("/", &[("authorization", "Basic eDp5")]);
        assert_eq!(reply, None);
        let all: Vec<_> = scene.head.headers.values(b"authorization").map(<[u8]>::to_vec).collect();
        String::from_utf8(all.join(&b','.to_owned())).unwrap()
    };
    assert_eq!(token(&mut world), "Bearer at-1");
    world.now += 269;
    assert_eq!(token(&mut world), "Bearer at-1");
    let before = world.cookies.clone();
    world.now += 1;
    assert_eq!(token(&mut world), "Bearer at-2", "it would have ended in 30 seconds");
    assert_ne!(world.cookies, before);
    assert_eq!(token(&mut world), "Bearer at-2");
    world.cookies = before;
    assert_eq!(token(&mut world), "Bearer at-2", "whoever comes with the cookies of before gets it too");
    assert_eq!(world.idp.forms.len(), 2, "the refresh token was used once");
    world.now += 270;
    assert_eq!(token(&mut world), "Bearer at-3");
    assert!(world.idp.forms[2].contains("refresh_token=refresh-1x"), "{:?}", world.idp.forms);

    // One that cannot be renewed ends with its token.
    let mut world = World::new("forward_access_token: true");
    world.idp.refresh = None;
    world.login();
    world.now += 299;
    assert_eq!(token(&mut world), "Bearer at-1");
    world.now += 1;
    assert_eq!(world.who(), None);
    let mut world = World::new("");
    world.idp.refresh = None;
    world.login();
    world.now += 300;
    assert_eq!(world.who().as_deref(), Some("ada"), "nobody needs the token");
}

#[test]
fn requests_of_one_session_renew_it_once() {
    let mut world = World::new("");
    world.login();
    // Before the token ends the others go on with it.
    world.now += 290;
    let mut first = world.scene("/a", &[]);
    let question = world.step(&mut first).unwrap_err();
    assert!(matches!(*question, Question::Http(_)));
    assert_eq!(world.who().as_deref(), Some("ada"));
    assert!(world.asked.len() == 1 && world.verified.is_empty(), "that is not remembered");
    first.answer = Some(world.answer(&question));
    assert_eq!(world.finish(&mut first), None);
    assert!(!first.state.cookies.is_empty());

    // When it has ended they wait.
    world.now += 400;
    let old = world.cookies.clone();
    let (mut first, mut second) = (world.scene("/a", &[]), world.scene("/b", &[]));
    let question = world.step(&mut first).unwrap_err();
    assert!(matches!(*question, Question::Http(_)));
    for _ in 0..3 {
        assert!(matches!(*world.step(&mut second).unwrap_err(), Question::Later(_)));
        second.answer = Some(Answer::Later);
    }
    first.answer = Some(world.answer(&question));
    assert_eq!((world.finish(&mut first), world.finish(&mut second)), (None, None));
    assert_eq!(first.state.cookies, second.state.cookies);
    assert_ne!(world.cookies, old);
    assert_eq!(world.idp.forms.len(), 3, "the login, and each renewal once");

    // Whoever was at it is gone.
    world.now += 400;
    let mut gone = world.scene("/a", &[]);
    assert!(matches!(*world.step(&mut gone).unwrap_err(), Question::Http(_)));
    let (reply, scene) = world.get("/b", &[]);
    assert_eq!((code(&reply.unwrap()).as_str(), scene.state.waits), ("authority-unavailable", 60));
    world.now += 12;
    assert_eq!(world.who().as_deref(), Some("ada"));
}

#[test]
fn a_session_survives_trouble_and_no_refusal() {
    let mut world = World::new("");
    world.login();
    world.idp.down = true;
    world.now += 280;
    for _ in 0..5 {
        assert_eq!(world.who().as_deref(), Some("ada"), "its token is good yet");
    }
    assert_eq!(world.asked.len(), 2, "a provider in trouble is not asked for each request");
    world.now += 20;
    assert_eq!(code(&world.open("/").0.unwrap()), "authority-unavailable");
    world.idp.down = false;
    world.now += 5;
    assert_eq!(world.who().as_deref(), Some("ada"));

    world.idp.refresh = None;
    let cookies = world.cookies.clone();
    world.now += 290;
    let asked = world.asked.len();
    let reply = world.open("/").0.unwrap();
    assert_eq!(reply.status, 302, "the provider has ended it: it begins anew");
    assert!(!world.cookies.iter().any(|(name, _)| name == "__Host-gateward"));
    world.cookies = cookies;
    assert_eq!(world.who(), None);
    assert_eq!(world.asked.len(), asked + 1, "nor is it asked for what it has refused");
}

#[test]
fn renewed_tokens_are_verified_too() {
    for (more, kid, want, asked) in [
        (json!({ "groups": ["boss"] }), "k1", true, &["Http", "Http"][..]),
        (json!({ "sub": "eve" }), "k1", false, &["Http", "Http"]),
        (json!({ "aud": "app" }), "k1", false, &["Http", "Http"]),
        (json!({}), "k2", true, &["Http", "Http", "Keys"]),
    ] {
        let mut world = World::new("");
        world.login();
        (world.idp.more, world.idp.kid) = (more.clone(), kid);
        world.now += 290;
        assert_eq!(world.who().is_some(), want, "{more}");
        assert_eq!(world.asked, asked, "{more}");
        if let Some(group) = more["groups"][0].as_str() {
            let (_, mut scene) = world.get("/", &[]);
            assert!(scene.cx().identity().unwrap().has_group(group), "what it says now counts");
        }
    }
}

#[test]
fn consumers_are_found_by_their_subject() {
    let consumers = |subject: &str| {
        let one = NewConsumer {
            name: "ada-inc".into(),
            groups: vec!["gold".into()],
            tokens: vec![(ISSUER.into(), subject.into())],
            ..NewConsumer::default()
        };
        Arc::new(Consumers::new(&[one]))
    };
    for (subject, settings, want) in [
        ("ada", "consumer: required", Some("ada-inc")),
        ("ada@a.test", "consumer: required, consumer_claim: email", Some("ada-inc")),
        ("bob", "consumer: required", None),
        ("bob", "consumer: optional", Some("ada")),
    ] {
        let mut world = World::with(settings, consumers(subject));
        world.fetch();
        world.login();
        assert_eq!(world.who().as_deref(), want, "{subject} {settings}");
    }
}

//! Logins from beginning to end, and what goes wrong in between.

use message::Method;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::testing::{World, object, query_of};
use crate::{Opened, begin};

/// What the provider learned from the request for authorization.
struct Asked {
    state: String,
    nonce: String,
}

fn start(world: &mut World, target: &str, now: u64) -> Asked {
    let login =
        begin(&world.client, &world.provider, &world.facts(target), now, &mut world.random()).unwrap();
    world.absorb(&login.set_cookies);
    let query = query_of(&login.location);
    let of = |name| query.find(name).unwrap().unwrap().to_owned();
    Asked { state: of("state"), nonce: of("nonce") }
}

fn back(world: &World, query: &str, now: u64) -> Result<Pending, CallbackError> {
    callback(&world.client, &world.provider, &world.facts(&format!("/.gateward/callback?{query}")), now)
}

fn answer() -> Vec<u8> {
    let all = json!({
        "access_token": "at", "token_type": "Bearer", "expires_in": 300, "refresh_token": "rt", "id_token": "a.b.c"
    });
    all.to_string().into_bytes()
}

fn claims(nonce: &str) -> Value {
    json!({
        "iss": "https://idp.test", "aud": "web", "sub": "ada", "sid": "s", "iat": 1001, "exp": 1300, "nonce": nonce,
        "name": "Ada", "email": "ada@idp.test", "other": 1,
    })
}

fn complete(world: &World, query: &str, claims: Value) -> Result<Completed, CompleteError> {
    let needs = back(world, query, 1002).unwrap().finish(200, &answer(), 1002).unwrap();
    assert_eq!(needs.id_token(), "a.b.c");
    let claims = object(claims);
    let verified = Verified { claims: &claims, algorithm: "RS256" };
    needs.complete(&world.client, &world.facts("/"), verified, 1002, &mut world.random())
}

#[test]
fn a_login_becomes_a_session_and_leads_back() {
    let mut world = World::new();
    let asked = start(&mut world, "/orders?page=2", 1000);
    let query = format!("code=c%2F1&state={}&iss=https%3A%2F%2Fidp.test&session_state=x", asked.state);
    let pending = back(&world, &query, 1001).unwrap();
    let body = pending.token_request.body.expose();
    let start = "grant_type=authorization_code&code=c%2F1\
                 &redirect_uri=https%3A%2F%2Fapp.test%2F.gateward%2Fcallback&code_verifier=";
    assert!(body.starts_with(start) && body.len() == start.len() + 43, "{body}");
    assert_eq!(pending.token_request.url, "https://idp.test/token");
    assert!(pending.token_request.headers.iter().any(|(name, _)| *name == "authorization"));

    let done = complete(&world, &query, claims(&asked.nonce)).unwrap();
    assert_eq!((done.return_to.as_str(), done.left_out.len()), ("/orders?page=2", 0));
    world.absorb(&done.set_cookies);
    let names: Vec<_> = world.cookies.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["__Host-gateward"], "the login is over");
    let Opened::Valid(session) = Session::open(&world.client, &world.facts("/"), 1003) else {
        panic!("no session")
    };
    assert!(*session == done.session);
    assert_eq!((session.subject.as_str(), session.sid.as_deref()), ("ada", Some("s")));
    assert_eq!(Value::from(session.claims), json!({ "name": "Ada", "email": "ada@idp.test" }));
    assert_eq!((session.access_token.expose(), session.access_expires), ("at", Some(1302)));
    assert_eq!((session.issued, session.authenticated), (1002, 1001));
    assert_eq!(session.id_token.as_ref().map(Secret::expose), Some("a.b.c"));
    assert_eq!(back(&world, &query, 1003).err(), Some(CallbackError::UnknownState), "a second time");
}

#[test]
fn logins_in_two_tabs_do_not_disturb_each_other() {
    let mut world = World::new();
    let first = start(&mut world, "/first", 1000);
    let second = start(&mut world, "/second", 1000);
    for (asked, want) in [(&second, "/second"), (&first, "/first")] {
        let done = complete(&world, &format!("code=c&state={}", asked.state), claims(&asked.nonce)).unwrap();
        assert_eq!(done.return_to, want);
        world.absorb(&done.set_cookies);
    }
    assert_eq!(world.cookies.len(), 1);
}

#[test]
fn only_the_answer_to_this_login_is_taken() {
    let mut world = World::new();
    let Asked { state, .. } = start(&mut world, "/", 1000);
    let forged = format!("{}{}", &state[..12], "A".repeat(32));
    let idp = "iss=https%3A%2F%2Fidp.test";
    let refused = |code: &str, description: &str| CallbackError::Refused {
        code: code.to_owned(),
        description: description.to_owned(),
    };
    for (query, want) in [
        (String::new(), CallbackError::Malformed),
        ("code=c".to_owned(), CallbackError::Malformed),
        (format!("state={state}"), CallbackError::Malformed),
        (format!("state={state}&code="), CallbackError::Malformed),
        (format!("state={state}&code=a+b"), CallbackError::Malformed),
        (format!("state={state}&code=c&code=d"), CallbackError::Malformed),
        (format!("state={state}&state={state}&code=c"), CallbackError::Malformed),
        (format!("state={state}&code={}", "c".repeat(LONGEST_CODE + 1)), CallbackError::Malformed),
        (format!("state={state}&code=c&x={}", "x".repeat(LONGEST_QUERY)), CallbackError::Malformed),
        ("state=&code=c".to_owned(), CallbackError::UnknownState),
        ("state=short&code=c".to_owned(), CallbackError::UnknownState),
        ("state=%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9%C3%A9&code=c".to_owned(), CallbackError::UnknownState),
        (format!("state={forged}&code=c"), CallbackError::UnknownState),
        (format!("state={state}A&code=c"), CallbackError::UnknownState),
        ("state=unknown&error=access_denied".to_owned(), CallbackError::UnknownState),
        (format!("state={state}&code=c&iss=https%3A%2F%2Fevil.test"), CallbackError::OtherIssuer),
        (format!("state={state}&error=access_denied&iss="), CallbackError::OtherIssuer),
        (format!("state={state}&error=access_denied&{idp}&code=c"), refused("access_denied", "")),
        (
            format!("state={state}&error=%3Cscript%3E&error_description=%3Cb%3Eno%3C/b%3E%0A%22way%22%C3%A9"),
            refused("unrecognized", "bno/bway"),
        ),
        (
            format!("state={state}&error=server_error&error_description={}", "x".repeat(300)),
            refused("server_error", &"x".repeat(256)),
        ),
    ] {
        assert_eq!(back(&world, &query, 1001).err(), Some(want), "{query}");
    }
    assert!(back(&world, &format!("state={state}&code=c&{idp}"), 1599).is_ok());
    assert_eq!(back(&world, &format!("state={state}&code=c"), 1600).err(), Some(CallbackError::UnknownState));
    world.provider.always_names_itself = true;
    assert_eq!(back(&world, &format!("state={state}&code=c"), 1001).err(), Some(CallbackError::OtherIssuer));
    assert!(back(&world, &format!("state={state}&code=c&{idp}"), 1001).is_ok());
}

#[test]
fn only_the_browser_that_began_comes_back_and_to_the_same_host() {
    let mut world = World::new();
    let Asked { state, .. } = start(&mut world, "/", 1000);
    let target = format!("/.gateward/callback?code=c&state={state}");
    let facts = world.facts(&target);
    let nothing = message::Headers::default();
    let other_keys = World::with_keys(&[&[2; 32]], |_| {});
    let more_keys = World::with_keys(&[&[2; 32], &[1; 32]], |_| {});
    for (client, facts, want) in [
        (&world.client, facts, None),
        (&world.client, RequestFacts { authority: b"APP.TEST", ..facts }, None),
        (&more_keys.client, facts, None),
        (&other_keys.client, facts, Some(CallbackError::UnknownState)),
        (&world.client, RequestFacts { headers: &nothing, ..facts }, Some(CallbackError::UnknownState)),
        (
            &world.client,
            RequestFacts { authority: b"app.test:8443", ..facts },
            Some(CallbackError::UnknownState),
        ),
        (&world.client, RequestFacts { authority: b"a b", ..facts }, Some(CallbackError::UnknownState)),
        (&world.client, RequestFacts { https: false, ..facts }, Some(CallbackError::UnknownState)),
        (&world.client, RequestFacts { method: Method::Head, ..facts }, Some(CallbackError::Malformed)),
    ] {
        assert_eq!(callback(client, &world.provider, &facts, 1001).err(), want, "{facts:?}");
    }
}

#[test]
fn an_id_token_of_another_login_makes_no_session() {
    let mut world = World::new();
    let first = start(&mut world, "/", 1000);
    let second = start(&mut world, "/", 1000);
    let query = format!("code=c&state={}", first.state);
    let found = complete(&world, &query, claims(&second.nonce));
    assert_eq!(found.err(), Some(CompleteError::Claim(ClaimError::Nonce)));
    let mut other = claims(&first.nonce);
    other["aud"] = json!("api");
    assert_eq!(complete(&world, &query, other).err(), Some(CompleteError::Claim(ClaimError::Audience)));
}

#[test]
fn a_session_that_cannot_be_kept_is_an_error() {
    let mut world = World::new();
    let asked = start(&mut world, "/", 1000);
    let pending = back(&world, &format!("code=c&state={}", asked.state), 1002).unwrap();
    let answer = json!({ "access_token": "a".repeat(15_000), "token_type": "Bearer", "id_token": "a.b.c" });
    let needs = pending.finish(200, answer.to_string().as_bytes(), 1002).unwrap();
    let claims = object(claims(&asked.nonce));
    let verified = Verified { claims: &claims, algorithm: "RS256" };
    let found = needs.complete(&world.client, &world.facts("/"), verified, 1002, &mut world.random());
    assert!(matches!(found, Err(CompleteError::Session(SessionError::TooLarge(_)))));
}

#[test]
fn without_an_id_token_there_is_no_login() {
    let mut world = World::new();
    let asked = start(&mut world, "/", 1000);
    let query = format!("code=c&state={}", asked.state);
    for (status, body, want) in [
        (200, "{\"access_token\":\"a\",\"token_type\":\"Bearer\"}", TokenError::Malformed("id_token")),
        (400, "{\"error\":\"invalid_grant\"}", TokenError::Refused("invalid_grant".to_owned())),
        (500, "", TokenError::Status(500)),
    ] {
        let pending = back(&world, &query, 1002).unwrap();
        assert_eq!(pending.finish(status, body.as_bytes(), 1002).err(), Some(want));
    }
}

#[test]
fn nothing_secret_is_shown_on_the_way() {
    let mut world = World::new();
    let asked = start(&mut world, "/", 1000);
    let query = format!("code=hidden&state={}", asked.state);
    let pending = back(&world, &query, 1002).unwrap();
    let mut shown = format!("{pending:?}");
    shown += &format!("{:?}", pending.finish(200, &answer(), 1002).unwrap());
    shown += &format!("{:?}", complete(&world, &query, claims(&asked.nonce)).unwrap().session);
    for secret in ["hidden", "hush", "a.b.c", "\"at\"", "\"rt\"", &asked.nonce, &asked.state] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

proptest! {
    #[test]
    fn no_query_makes_a_panic(query in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut world = World::new();
        start(&mut world, "/", 1000);
        let target = [b"/.gateward/callback?", &query[..]].concat();
        let facts = RequestFacts { path_and_query: &target, ..world.facts("/") };
        prop_assert!(callback(&world.client, &world.provider, &facts, 1000).is_err());
    }

    #[test]
    fn no_known_parameters_make_a_panic(
        pairs in prop::collection::vec(("code|state|iss|error|error_description", "[ -~é]{0,60}"), 0..6),
    ) {
        let mut world = World::new();
        let asked = start(&mut world, "/", 1000);
        let rest: String = pairs.iter().map(|(name, value)| format!("&{name}={value}")).collect();
        if let Err(CallbackError::Refused { code, description }) = back(&world, &format!("state={}{rest}", asked.state), 1000) {
            prop_assert!(!code.contains(['<', '>', '"', '&']) && !description.contains(['<', '>', '"', '&']));
        }
    }

    #[test]
    fn no_answer_makes_a_panic(status in 100u16..600, body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Tokens::parse(status, &body, 1000).is_err());
    }
}

//! From the first page to a session, and what goes wrong on the way.

use serde_json::json;

use super::world::{ISSUER, World, code, header, provider};
use crate::Caller;

#[test]
fn a_login_ends_where_it_began() {
    let mut world =
        World::new("groups_claim: groups, claims_to_headers: { x-email: email, x-groups: groups }");
    let back = world.begin("/orders?page=2");
    assert_eq!(world.cookies.len(), 1, "the login under way");
    let (reply, _) = world.open(&back);
    let reply = reply.unwrap();
    assert_eq!((reply.status, header(&reply, "location")), (302, "/orders?page=2".to_owned()));
    assert_eq!(header(&reply, "cache-control"), "no-store");
    assert_eq!(world.cookies.len(), 1, "the session alone");
    assert_eq!(world.asked, ["Http"]);

    let (reply, mut scene) = world.open("/orders?page=2");
    assert_eq!(reply, None);
    assert!(matches!(scene.state.caller(), Caller::Verified(_, "oidc")));
    let identity = scene.cx().identity().unwrap().clone();
    assert_eq!((identity.name(), identity.has_group("staff")), ("ada", true));
    assert_eq!(identity.claims["iss"], ISSUER);
    for (name, want) in [("x-email", "ada@a.test"), ("x-groups", "staff")] {
        assert_eq!(scene.head.headers.values(name.as_bytes()).next(), Some(want.as_bytes()));
    }
    assert!(!scene.head.headers.iter().any(|(name, _)| name == b"cookie" || name == b"authorization"));
    assert!(scene.state.cookies.is_empty());
    assert_eq!(world.asked.len(), 1, "nobody is asked about a session that goes on");
}

#[test]
fn others_than_pages_get_a_401() {
    let mut world = World::new("");
    for fields in
        [&[][..], &[("accept", "application/json")], &[("accept", "text/html"), ("sec-fetch-mode", "cors")]]
    {
        let (reply, _) = world.get("/api", fields);
        let reply = reply.unwrap();
        assert_eq!((reply.status, code(&reply).as_str()), (401, "unauthenticated"), "{fields:?}");
        assert_eq!(header(&reply, "www-authenticate"), "Bearer realm=\"gateward\"");
        assert!(world.cookies.is_empty());
    }
}

#[test]
fn an_answer_of_the_provider_counts_once_and_in_its_browser_only() {
    let mut world = World::new("");
    let back = world.begin("/");
    let under_way = world.cookies.clone();
    assert_eq!(world.open(&back).0.unwrap().status, 302);
    let refused = |world: &mut World, what: &str| {
        let asked = world.asked.len();
        let reply = world.open(&back).0.unwrap();
        assert_eq!((reply.status, code(&reply).as_str()), (400, "login-failed"), "{what}");
        world.asked.len() - asked
    };
    assert_eq!(refused(&mut world, "the login is complete"), 0);
    world.cookies.clear();
    assert_eq!(refused(&mut world, "another browser"), 0);
    world.cookies = under_way.clone();
    assert_eq!(refused(&mut world, "the code was used"), 1);
    assert_eq!(world.cookies, under_way, "there is no session");
    world.idp.code = Some("code-1");
    world.now += 600;
    assert_eq!(refused(&mut world, "it took too long"), 0);
    world.now -= 600;
    let sealed = &mut world.cookies[0].1;
    let other = if sealed.as_bytes()[10] == b'A' { "B" } else { "A" };
    sealed.replace_range(10..11, other);
    assert_eq!(refused(&mut world, "its cookie was changed"), 0);
}

#[test]
fn what_the_provider_says_is_not_believed_blindly() {
    for (claims, header_of, want) in [
        (json!({}), json!({}), 302),
        (json!({ "nonce": "other" }), json!({}), 502),
        (json!({ "aud": "app" }), json!({}), 502),
        (json!({ "iss": "https://evil.test" }), json!({}), 502),
        (json!({ "exp": 999_000 }), json!({}), 502),
        (json!({ "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" }), json!({}), 502),
    ] {
        let mut world = World::new("");
        let back = world.begin("/");
        world.idp.more = claims.clone();
        let reply = world.open(&back).0.unwrap();
        assert_eq!(reply.status, want, "{claims} {header_of}");
        assert_eq!(world.cookies.iter().any(|(name, _)| name == "__Host-gateward"), want == 302);
    }
    // An algorithm that the provider does not name.
    let mut world = World::new("");
    let back = world.begin("/");
    let named = ::oidc::Provider { id_token_algorithms: vec!["RS256".to_owned()], ..provider() };
    world.issuer.set_provider(Some(named));
    assert_eq!(world.open(&back).0.unwrap().status, 502);
}

#[test]
fn refusals_and_trouble_of_the_provider_are_told_apart() {
    let mut world = World::new("");
    let back = world.begin("/");
    let refused = back.replace("code=code-1", "error=access_denied");
    let reply = world.open(&refused).0.unwrap();
    assert_eq!(reply.status, 403);
    assert!(String::from_utf8_lossy(&reply.body).contains("access_denied"));
    world.idp.down = true;
    let reply = world.open(&back).0.unwrap();
    assert_eq!((reply.status, code(&reply).as_str()), (503, "authority-unavailable"));
    assert_eq!(world.open("/.gateward/callback").0.unwrap().status, 400);
}

#[test]
fn a_provider_that_is_not_known_yet_is_looked_for() {
    let mut world = World::unknown("");
    world.keys_come = false;
    for target in ["/", "/.gateward/callback?code=x&state=y", "/.gateward/logout"] {
        let reply = world.open(target).0.unwrap();
        assert_eq!((reply.status, code(&reply).as_str()), (503, "authority-unavailable"), "{target}");
    }
    assert_eq!(world.asked, ["Keys"; 3], "once for each request");
    world.keys_come = true;
    world.login();
    assert_eq!(world.who().as_deref(), Some("ada"));
    assert_eq!(world.asked[3..], ["Keys", "Http"]);
}

#[test]
fn a_new_key_is_fetched_while_the_tokens_are_kept() {
    let mut world = World::new("");
    world.idp.kid = "k2";
    world.login();
    assert_eq!(world.asked, ["Http", "Keys"]);
    assert_eq!(world.who().as_deref(), Some("ada"));

    // It is not there afterwards either.
    let mut world = World::new("");
    let back = world.begin("/");
    (world.idp.kid, world.keys_come) = ("k2", false);
    assert_eq!(world.open(&back).0.unwrap().status, 502);
    assert_eq!(world.asked, ["Http", "Keys"]);
}

#[test]
fn programs_show_a_token_of_the_provider() {
    let mut world = World::new("audience: api");
    let now = world.now;
    let claims = json!({ "iss": ISSUER, "aud": ["api"], "sub": "robot", "exp": now + 100 });
    let good = world.idp.sign(&json!({}), &claims);
    let changed = |name: &str, value: serde_json::Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        claims
    };
    let ask = |world: &mut World, token: &str| {
        let (reply, mut scene) = world.get("/api", &[("authorization", &format!("Bearer {token}"))]);
        let hidden = scene.head.headers.values(b"authorization").next().is_none();
        match reply {
            None => Ok((scene.cx().identity().unwrap().name().to_owned(), hidden)),
            Some(reply) => Err((reply.status, header(&reply, "www-authenticate"))),
        }
    };
    assert_eq!(ask(&mut world, &good), Ok(("robot".to_owned(), true)));
    assert_eq!(world.verified.len(), 1);
    for (name, value) in [
        ("aud", json!("web")),
        ("iss", json!("https://evil.test")),
        ("exp", json!(now - 60)),
        ("nonce", json!("n")),
        ("cnf", json!({ "jkt": "x" })),
        ("events", json!({ "http://schemas.openid.net/event/backchannel-logout": {} })),
    ] {
        let token = world.idp.sign(&json!({}), &changed(name, value));
        let (status, challenge) = ask(&mut world, &token).unwrap_err();
        assert!(status == 401 && challenge.contains("error=\"invalid_token\""), "{name}: {challenge}");
    }
    let mut forged = good.clone();
    forged.replace_range(forged.len() - 4.., "AAAA");
    assert_eq!(ask(&mut world, &forged).unwrap_err().0, 401);
    // What was remembered ends with the token, and with its key.
    world.now += 159;
    assert!(ask(&mut world, &good).is_ok());
    world.now += 1;
    assert!(ask(&mut world, &good).is_err());
    world.now = now;
    assert!(world.asked.is_empty());
    let other = World::new("");
    world.idp = other.idp;
    world.fetch();
    assert_eq!(ask(&mut world, &good).unwrap_err().0, 401, "its key is gone");

    let mut world = World::new("bearer: false");
    assert_eq!(ask(&mut world, "x").unwrap_err(), (401, "Session realm=\"gateward\"".to_owned()));
    world.login();
    assert_eq!(ask(&mut world, "the.services.own"), Ok(("ada".to_owned(), false)));
}

#[test]
fn nobody_is_logged_in_without_the_groups_that_the_provider_has_said() {
    let mut world = World::new("");
    let groups: Vec<String> = (0..400).map(|at| format!("group-{at:04}")).collect();
    world.idp.more = json!({ "groups": groups });
    let back = world.begin("/");
    let reply = world.open(&back).0.unwrap();
    assert_eq!((reply.status, code(&reply).as_str()), (502, "login-failed"));
    let body = String::from_utf8(reply.body.to_vec()).unwrap();
    assert!(body.contains("claim `groups`"), "{body}");
}

//! Both ways out.

use serde_json::{Value, json};

use super::world::{ISSUER, World, code, header};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const REPORT: &str = "/.gateward/backchannel-logout";

#[test]
fn a_browser_logs_out_here_and_at_the_provider() {
    let mut world = World::new("after_logout: /bye");
    world.login();
    let copy = world.cookies.clone();
    assert_eq!(world.who().as_deref(), Some("ada"));
    for forged in
        [&[("accept", "text/html"), ("sec-fetch-site", "cross-site")][..], &[("accept", "text/html")]]
    {
        let reply = world.get("/.gateward/logout", forged).0.unwrap();
        assert_eq!((reply.status, code(&reply).as_str()), (403, "logout-refused"));
    }
    let reply = world.post("/.gateward/logout", &[("sec-fetch-site", "same-origin")]).unwrap();
    assert_eq!(reply.status, 303);
    let location = header(&reply, "location");
    assert!(location.starts_with("https://idp.test/logout?id_token_hint="), "{location}");
    assert!(
        location.ends_with("&client_id=web&post_logout_redirect_uri=https%3A%2F%2Fa.test%2Fbye"),
        "{location}"
    );
    assert!(world.cookies.is_empty());
    world.cookies = copy;
    assert_eq!(world.who(), None, "copies of the cookies are worth nothing, remembered or not");
    assert_eq!(world.who(), None);
    // The next login of the same person goes on, although the provider gives it the same name.
    world.now += 1;
    world.login();
    assert_eq!(world.who().as_deref(), Some("ada"));
    world.cookies.clear();
    assert_eq!(
        world.post("/.gateward/logout", &[("sec-fetch-site", "none")]).unwrap().status,
        303,
        "nobody was in"
    );
}

fn report(world: &mut World, header_of: &Value, changes: &Value) -> u16 {
    let now = world.now;
    let mut claims = json!({ "iss": ISSUER, "aud": "web", "sub": "ada", "iat": now, "exp": now + 120, "jti": "j",
        "events": { EVENT: {} } });
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    world.body = format!("logout_token={}", world.idp.sign(header_of, &claims));
    let reply = world.post(REPORT, &[("content-type", "application/x-www-form-urlencoded")]).unwrap();
    assert_eq!(header(&reply, "cache-control"), "no-store");
    reply.status
}

#[test]
fn the_provider_logs_out_a_person_or_a_session() {
    for (changes, want) in [
        (json!({}), None),
        (json!({ "sid": "s1", "sub": null }), None),
        (json!({ "exp": null }), None),
        (json!({ "sid": "s2" }), Some("ada")),
        (json!({ "sub": "bob" }), Some("ada")),
    ] {
        let mut world = World::new("");
        world.login();
        assert_eq!(world.who().as_deref(), Some("ada"));
        assert_eq!(report(&mut world, &json!({ "typ": "logout+jwt" }), &changes), 200, "{changes}");
        assert_eq!(world.asked, ["Http", "Body"]);
        assert_eq!(world.who().as_deref(), want, "{changes}");
        // It is remembered again that the session goes on.
        assert_eq!(world.who().as_deref(), want, "{changes}");
    }
}

#[test]
fn what_is_no_report_changes_nothing() {
    let mut world = World::new("");
    world.login();
    for (header_of, changes) in [
        (json!({}), json!({ "events": null })),
        (json!({}), json!({ "nonce": "n" })),
        (json!({}), json!({ "aud": "app" })),
        (json!({}), json!({ "iss": "https://evil.test" })),
        (json!({}), json!({ "iat": world.now - 301 })),
        (json!({}), json!({ "exp": world.now - 60 })),
        (json!({ "typ": "at+jwt" }), json!({})),
        (json!({ "alg": "none" }), json!({})),
    ] {
        assert_eq!(report(&mut world, &header_of, &changes), 400, "{header_of} {changes}");
        assert_eq!(world.who().as_deref(), Some("ada"));
    }
    for body in ["", "logout_token=x", "a=b"] {
        world.body = body.to_owned();
        assert_eq!(world.post(REPORT, &[]).unwrap().status, 400, "{body}");
    }
    let reply = world.open(REPORT).0.unwrap();
    assert_eq!((reply.status, header(&reply, "allow")), (405, "POST".to_owned()));
    // Signed by somebody else.
    let other = std::mem::replace(&mut world.idp, World::new("").idp);
    assert_eq!(report(&mut world, &json!({}), &json!({})), 400);
    world.idp = other;
    assert_eq!(world.who().as_deref(), Some("ada"));
}

#[test]
fn a_report_with_a_new_key_is_kept_until_the_key_is_there() {
    let mut world = World::new("");
    world.login();
    world.idp.kid = "k2";
    assert_eq!(report(&mut world, &json!({}), &json!({})), 200);
    assert_eq!(world.asked, ["Http", "Body", "Keys"]);
    assert_eq!(world.who(), None);
    let mut world = World::unknown("");
    assert_eq!(report(&mut world, &json!({}), &json!({})), 200);
    assert_eq!(world.asked, ["Keys", "Body"], "before anything is known of the provider");
}

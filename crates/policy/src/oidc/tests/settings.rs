//! What users write, what they are told about it, and what outlives it.

use std::sync::Arc;

use diagnostics::Span;

use super::world::{SETTINGS, World, compile};
use crate::{Chain, Link, Policy, Providers};

#[test]
fn mistakes_are_reported() {
    for (settings, want) in [
        ("{ client_id: web, client_secret: hush }", "GW0102: the key `issuer` is missing"),
        ("{ issuer: idp.test, client_id: web, client_secret: hush }", "`idp.test` is no URL"),
        ("{ issuer: http://idp.test, client_id: web, client_secret: hush }", "it is not encrypted"),
        (
            "{ issuer: https://idp.test, client_id: web }",
            "GW0102: `client_secret` cannot be used: it must be given",
        ),
        (
            "{ issuer: https://idp.test, client_id: web, client_secret: x, auth_method: none }",
            "it must not be given",
        ),
        ("{ issuer: https://idp.test, client_id: web, client_secret: x }", "there is no `secret`"),
    ] {
        let (_, mistakes) = compile(settings, &Arc::default(), &Providers::default());
        assert!(mistakes.iter().any(|message| message.contains(want)), "{settings}: {mistakes:?}");
    }
    for (more, want) in [
        ("callback_path: callback", "GW0201: `callback_path` cannot be used: it must be a path"),
        ("logout_path: /.gateward/callback", "it must differ from the other paths"),
        ("backchannel_logout_path: /", "`backchannel_logout_path` cannot be used"),
        (
            "after_logout: https://evil.test",
            "`after_logout` cannot be used: it must be a path on the own host",
        ),
        ("scopes: [a b]", "`scopes` cannot be used"),
        ("parameters: { state: x }", "`parameters` cannot be used"),
        ("cookie: __Host-x", "`cookie` cannot be used"),
        (
            "idle: 2h, lifetime: 1h",
            "`idle` cannot be used: it must be at least a second, and at most `lifetime`",
        ),
        ("lifetime: 500d", "`lifetime` cannot be used"),
        ("same_site: strict", "GW0201"),
        ("groups_claim: ''", "a claim needs a name"),
        ("claims_to_headers: { authorization: sub }", "has a meaning of its own"),
        ("redirect: /", "unknown key `redirect`"),
    ] {
        let settings = SETTINGS.replace(" }", &format!(", {more} }}"));
        let (_, mistakes) = compile(&settings, &Arc::default(), &Providers::default());
        assert!(mistakes.iter().any(|message| message.contains(want)), "{settings}: {mistakes:?}");
    }
    for secret in [
        "short",
        "[0123456789abcdef0123456789abcdef, short]",
        "[a0123456789abcdef0123456789abcdef\
         , b, c, d, e, f, g, h, i]",
    ] {
        let settings = SETTINGS.replace("0123456789abcdef0123456789abcdef", secret);
        let (policy, mistakes) = compile(&settings, &Arc::default(), &Providers::default());
        assert!(policy.is_none() && !mistakes.is_empty(), "{settings}");
        assert!(!mistakes.concat().contains("short"), "{mistakes:?}");
    }
}

/// The same world with other settings, as after a reload.
fn reload(world: &mut World, settings: &str) {
    let (policy, _) = compile(settings, &world.consumers, &world.providers);
    world.chain = Chain::new(vec![Link { policy: Arc::new(policy.unwrap()), source: Span::default() }]);
}

#[test]
fn sessions_and_logouts_outlive_a_reload() {
    let old = "0123456789abcdef0123456789abcdef";
    let other = "fedcba9876543210fedcba9876543210";
    let mut world = World::new("");
    world.login();
    reload(&mut world, &SETTINGS.replace(old, &format!("[{other}, {old}]")));
    assert_eq!(world.who().as_deref(), Some("ada"), "the old secret opens");
    let copy = world.cookies.clone();
    world.post("/.gateward/logout", &[("sec-fetch-site", "same-origin")]);
    world.cookies = copy.clone();
    reload(&mut world, SETTINGS);
    assert_eq!(world.who(), None, "who has logged out does not get in again");
    reload(&mut world, &SETTINGS.replace(old, other));
    world.now += 1;
    world.login();
    assert_eq!(world.who().as_deref(), Some("ada"));
    reload(&mut world, SETTINGS);
    assert_eq!(world.who(), None, "the secret is another one");
}

#[test]
fn without_a_secret_sessions_last_as_long_as_the_process() {
    let settings = SETTINGS.replace(", secret: 0123456789abcdef0123456789abcdef", "");
    assert_ne!(settings, SETTINGS);
    let mut world = World::new("");
    reload(&mut world, &settings);
    world.login();
    reload(&mut world, &settings.replace("}", ", idle: 2h }"));
    assert_eq!(world.who().as_deref(), Some("ada"));
    let cookies = world.cookies.clone();
    let mut world = World::new("");
    reload(&mut world, &settings);
    world.cookies = cookies;
    assert_eq!(world.who(), None, "another process has other keys");
}

#[test]
fn the_own_paths_and_the_claims_that_are_kept() {
    let more = "logout_path: /out, claims: [email], groups_claim: realm_access.roles, claims_to_headers: { x-user: sub, x-mail: email }";
    let settings = SETTINGS.replace(" }", &format!(", {more} }}"));
    let providers = Providers::default();
    let (policy, mistakes) = compile(&settings, &Arc::default(), &providers);
    assert_eq!(mistakes, [""; 0]);
    let Some(Policy::Oidc(ready)) = policy else { panic!("no policy") };
    assert_eq!(ready.own_paths(), ["/.gateward/callback", "/out", "/.gateward/backchannel-logout"]);
    assert_eq!(ready.told_fields(), [b"x-user".as_slice(), b"x-mail"]);
    let shown = format!("{ready:?}");
    assert!(!shown.contains("hush") && !shown.contains("0123456789abcdef"), "{shown}");
    let mut world = World::new("groups_claim: realm_access.roles");
    world.idp.more = serde_json::json!({ "realm_access": { "roles": ["admin"] }, "phone": "1" });
    world.login();
    let (_, mut scene) = world.get("/", &[]);
    let identity = scene.cx().identity().unwrap().clone();
    assert!(identity.has_group("admin") && !identity.claims.contains_key("phone"));
}

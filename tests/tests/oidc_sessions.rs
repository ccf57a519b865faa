//! Sessions of the policy `oidc` with a real provider, npm's `oidc-provider`: forged ones, their renewal, and every way
//! in which they end. Logins are in `oidc.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::time::{Duration, Instant};

use end_to_end::browser::{Browser, set_cookies};
use end_to_end::logins::{API, Wish, World, code, parameter};
use end_to_end::oidc_provider::Provider;
use end_to_end::{Message, SOON, Setup, wait_until};
use serde_json::{Value, json};

/// A provider that was not there is asked again after five seconds; and a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_session_that_was_changed_is_none() {
    let Some(world) = World::new(&Wish::default()) else { return };
    let good = world.person("alice");
    let at = good.cookies.iter().position(|cookie| cookie.name == "gateward").unwrap();
    let value = good.cookies[at].value.clone();
    let middle = value.len() / 2;
    let other = if value.as_bytes()[middle] == b'A' { "B" } else { "A" };
    for changed in [
        format!("{}{other}{}", &value[..middle], &value[middle + 1..]),
        value[..middle].to_owned(),
        format!("{value}AAAA"),
        "A".repeat(value.len()),
        String::new(),
    ] {
        let mut browser = good.clone();
        browser.cookies[at].value.clone_from(&changed);
        assert_eq!(world.status(&browser), 401, "{changed}");
        assert!(world.asks_for_login(&browser), "{changed}");
        // The provider knows its user still, and asks nothing.
        let page = browser.open(&world.url("/page"));
        assert_eq!((page.status(), page.url()), (200, &*world.url("/page")), "{page:?}");
        assert_eq!(world.status(&browser), 200, "it has a session again");
    }
    assert_eq!(world.status(&good), 200);
    world.stop();
}

#[test]
fn tokens_are_renewed_without_anybody_noticing() {
    // They end within thirty seconds, which is when they are renewed: with each request.
    let wish = Wish { token: Some(20), oidc: "forward_access_token: true", ..Wish::default() };
    let Some(world) = World::new(&wish) else { return };
    let mut browser = world.newcomer("alice");
    let before = &browser;
    // A page that loads much at a time: the provider takes a refresh token once, and ends all if it comes again.
    let answers: Vec<Message> = std::thread::scope(|scope| {
        let urls = (0..8).map(|number| world.url(&format!("/part/{number}")));
        let asking: Vec<_> = urls.map(|url| scope.spawn(move || before.clone().script(&url))).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    assert_eq!(answers.iter().map(Message::status).collect::<Vec<_>>(), [200; 8]);
    let mut given: Vec<_> = answers.iter().map(set_cookies).filter(|cookies| !cookies.is_empty()).collect();
    given.dedup();
    assert_eq!(given.len(), 1, "all get the same new session: {given:?}");
    assert_eq!(renewals(&world), 1);

    // Whoever comes late with the session of before gets the new one.
    let late = browser.script(&world.url("/late"));
    assert_eq!((late.status(), set_cookies(&late)), (200, given[0].clone()));
    assert_eq!(renewals(&world), 0);
    let mut tokens = vec![world.last().field("authorization").unwrap().to_owned()];
    for _ in 0..3 {
        let before = browser.cookies.clone();
        let answer = browser.script(&world.url("/public"));
        assert_eq!((answer.status(), answer.field("location")), (200, None), "{answer}");
        assert!(set_cookies(&answer).contains(&"site=1; Path=/"), "{answer}");
        let caching = answer.field("cache-control").unwrap_or_default();
        assert!(
            !caching.contains("public") && caching.contains("private"),
            "no cache may keep a session: {answer}"
        );
        assert_ne!(browser.cookies, before, "the session has new tokens: {answer}");
        assert_eq!(world.last().field("x-user"), Some("alice"));
        tokens.push(world.last().field("authorization").unwrap().to_owned());
    }
    assert!(tokens.iter().all(|token| token.starts_with("Bearer ")), "{tokens:?}");
    tokens.dedup();
    assert_eq!(tokens.len(), 4, "the service gets each new token: {tokens:?}");
    assert_eq!(world.provider.count("grant refused"), 0);
    assert_eq!(renewals(&world), 3);
    world.stop();
}

/// How often tokens were renewed since this was asked.
fn renewals(world: &World) -> usize {
    // All that has happened is there, once it was counted.
    world.provider.count("grant");
    let events = world.provider.events().drain();
    events.iter().filter(|event| event["event"] == "grant" && event["type"] == "refresh_token").count()
}

#[test]
fn a_session_that_the_provider_does_not_renew_ends() {
    let Some(mut world) = World::new(&Wish { token: Some(25), ..Wish::default() }) else { return };
    let (browser, data) = (world.newcomer("alice"), world.url("/data"));
    // A provider that is down ends nothing as long as the tokens are good.
    let setup = world.provider.stop();
    let answer = browser.clone().script(&data);
    assert_eq!((answer.status(), set_cookies(&answer).len()), (200, 0), "{answer}");
    // This one knows nothing of the grant.
    world.provider = Provider::start(setup).unwrap();
    let mut answer = answer;
    wait_until("the session ends", PATIENCE, || {
        answer = browser.clone().script(&data);
        answer.status() == 401
    });
    assert_eq!(answer.field("location"), None, "{answer}");
    assert!(set_cookies(&answer).iter().any(|cookie| cookie.starts_with("gateward=;")), "{answer}");
    assert_eq!(world.provider.count("grant refused"), 1);
    assert!(world.asks_for_login(&browser));
    world.stop();
}

#[test]
fn a_session_in_use_goes_on_and_one_that_is_not_ends() {
    let Some(world) = World::new(&Wish { oidc: "idle: 3s", ..Wish::default() }) else { return };
    let (mut used, begin) = (world.person("alice"), Instant::now());
    let unused = used.clone();
    wait_until("the time for a session without requests is over", SOON, || {
        let answer = used.script(&world.url("/data"));
        assert_eq!(answer.status(), 200, "{answer}");
        begin.elapsed() > Duration::from_secs(5)
    });
    assert_ne!(used.cookies, unused.cookies);
    assert_eq!(world.status(&unused), 401);
    assert!(world.asks_for_login(&unused));
    assert_eq!(world.provider.count("GET /auth"), 1);
    world.stop();
}

#[test]
fn a_session_ends_at_last_even_if_it_is_in_use() {
    let Some(world) = World::new(&Wish { oidc: "idle: 3s, lifetime: 3s", ..Wish::default() }) else { return };
    let mut browser = world.person("alice");
    let mut answer = browser.script(&world.url("/data"));
    assert_eq!(answer.status(), 200, "{answer}");
    wait_until("its time is over", SOON, || {
        answer = browser.script(&world.url("/data"));
        answer.status() != 200
    });
    assert_eq!((answer.status(), answer.field("location")), (401, None), "{answer}");
    assert!(world.asks_for_login(&browser));
    world.stop();
}

#[test]
fn a_session_that_is_too_large_for_one_cookie_has_several() {
    let route = "policies: { authorize: { any: [{ group: number 199 }] } }";
    let Some(world) = World::new(&Wish { route, ..Wish::default() }) else { return };
    let mut browser = world.person("crowd 200");
    let own = |browser: &Browser| {
        let names = browser.cookies.iter().map(|cookie| cookie.name.clone());
        names.filter(|name| name.starts_with("gateward")).collect::<Vec<_>>()
    };
    assert!(own(&browser).len() >= 2, "{:?}", own(&browser));
    assert!(browser.cookies.iter().all(|cookie| cookie.name.len() + cookie.value.len() <= 4096));
    assert_eq!(world.last().field("cookie"), None);
    for name in own(&browser) {
        let mut without = browser.clone();
        without.cookies.retain(|cookie| cookie.name != name);
        assert_eq!(world.status(&without), 401, "{name}");
    }
    browser.stop_before = Some(world.provider.issuer());
    browser.follow(&world.base, &world.url("/.gateward/logout"));
    assert!(own(&browser).is_empty(), "{:?}", own(&browser));
    world.stop();
}

#[test]
fn a_session_outlives_the_gateway_if_its_secret_does() {
    let Some(mut world) = World::new(&Wish::default()) else { return };
    let browser = world.person("alice");
    let (setup, own) = (world.setup.clone(), "\"${env:SESSION_SECRET}\"");
    let other = "\"fedcba9876543210fedcba9876543210\"";
    for (secrets, want) in [(own, 200), (other, 401), (&format!("[{other}, {own}]"), 200)] {
        let yaml = setup.yaml.replace(&format!(" secret: {own}"), &format!(" secret: {secrets}"));
        assert!(yaml.contains(secrets));
        world = world.restarted(Setup { yaml, ..setup.clone() });
        assert_eq!(world.status(&browser), want, "{secrets}");
        assert_eq!(world.asks_for_login(&browser), want == 401, "{secrets}");
    }
    assert_eq!(world.last().field("x-user"), Some("alice"));
    assert_eq!(world.provider.count("GET /auth"), 1);
    world.stop();
}

/// A client that is told of logouts; so the provider names its sessions (`sid`).
fn told(base: &str) -> Value {
    json!({
        "backchannel_logout_uri": format!("{base}/.gateward/backchannel-logout"),
        "backchannel_logout_session_required": true,
    })
}

#[test]
fn logging_out_ends_the_session_here_and_there() {
    let Some(world) = World::new(&Wish { client: Some(told), ..Wish::default() }) else { return };
    let mut browser = world.person("alice");
    let out = world.url("/.gateward/logout");
    for (method, fields) in [
        ("GET", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n"),
        ("POST", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n"),
        ("GET", "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: no-cors\r\n"),
        ("GET", "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Purpose: prefetch\r\n"),
        ("GET", "Referer: http://evil.test/\r\n"),
        ("POST", "Origin: http://evil.test\r\n"),
    ] {
        let answer = browser.send(method, &out, &format!("Accept: text/html\r\n{fields}"), "");
        assert_eq!((answer.status(), &*code(&answer)), (403, "logout-refused"), "{fields}{answer}");
        assert_eq!(world.status(&browser), 200, "{fields}");
    }
    let copy = browser.clone();
    let page = browser.follow(&world.base, &out);
    let asked = &page.urls[1];
    assert!(asked.starts_with(&format!("{}/session/end?", world.provider.issuer())), "{:?}", page.urls);
    assert_eq!(parameter(asked, "id_token_hint").split('.').count(), 3);
    assert_eq!(
        world.status(&copy),
        401,
        "copies of its cookies are worth nothing, whatever the provider does"
    );
    let page = browser.submit(&page, &[("logout", "yes")]);
    assert_eq!((page.status(), page.answer.text().as_str()), (200, "good bye"), "{page:?}");
    assert_eq!(page.url(), world.url("/bye"));
    assert!(
        !browser.cookies.iter().any(|cookie| cookie.name.starts_with("gateward")),
        "{:?}",
        browser.cookies
    );
    let page = browser.open(&world.url("/"));
    assert!(
        page.answer.text().contains("name=\"password\""),
        "the provider has ended its session too: {page:?}"
    );
    assert_eq!(world.status(&world.person("alice")), 200);
    world.stop();
}

#[test]
fn a_logout_that_the_provider_reports_ends_that_session() {
    let Some(world) = World::new(&Wish { client: Some(told), ..Wish::default() }) else { return };
    let [one, two, bob] = ["alice", "alice", "bob"].map(|name| world.person(name));
    let statuses = || [&one, &two, &bob].map(|browser| world.status(browser));
    assert_eq!(statuses(), [200; 3]);

    // Forged ones end nothing, and neither do other tokens of the provider.
    let mut carol = Browser { stop_before: Some(world.provider.issuer()), ..world.person("carol") };
    let page = carol.follow(&world.base, &world.url("/.gateward/logout"));
    let id_token = parameter(page.url(), "id_token_hint");
    let robot = world.provider.token("robot", API, "");
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", id_token.split('.').nth(1).unwrap());
    let report = world.url("/.gateward/backchannel-logout");
    for token in [&*id_token, &robot, &unsigned, "", "a.b.c"] {
        let (fields, body) =
            ("Content-Type: application/x-www-form-urlencoded\r\n", format!("logout_token={token}"));
        let answer = Browser::default().send("POST", &report, fields, &body);
        assert_eq!((answer.status(), &*code(&answer)), (400, "logout-refused"), "{token}: {answer}");
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{answer}");
    }
    assert_eq!(Browser::default().send("GET", &report, "", "").status(), 405);
    assert_eq!(statuses(), [200; 3]);

    let mut leaving = one.clone();
    let page = leaving.open(&format!("{}/session/end", world.provider.issuer()));
    leaving.submit(&page, &[("logout", "yes")]);
    let told = world.provider.events().take("told", |_| true);
    assert_eq!((&told["client"], &told["subject"]), (&json!("web"), &json!("alice")), "{told}");
    assert_eq!(statuses(), [401, 200, 200], "the other sessions go on");
    assert!(world.asks_for_login(&one));
    world
        .gateway
        .reload(&world.setup.yaml.replace("after_logout: /bye", "after_logout: /bye, lifetime: 20h"));
    assert_eq!(statuses(), [401, 200, 200], "another configuration brings nobody back");
    world.stop();
}

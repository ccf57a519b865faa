//! The policy `oidc` with a real provider, npm's `oidc-provider`, and a browser that logs in there, out, and again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use end_to_end::browser::{Browser, Page, parameters, set_cookies};
use end_to_end::certificates::{Authority, Wish};
use end_to_end::oidc_provider::{Provider, machine};
use end_to_end::{Folder, Gateway, Message, Origin, SOON, Setup, free_address, wait_until};
use serde_json::{Value, json};

/// What cookies are encrypted with.
const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// Has to be escaped in `authorization` (RFC 6749 §2.3.1).
const CLIENT_SECRET: &str = "to be: escaped/+%&=";
const API: &str = "https://api.test/";
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_login_leads_to_the_page_that_was_wanted() {
    let Some(world) = World::new(&Wish::default()) else { return };
    let wanted = world.url("/shop/cart?item=1&next=%2Fa%20b&u=//x");
    let mut browser = Browser::default();
    browser.add_cookie(&world.url("/"), "theme", "dark");
    let page = browser.log_in(&wanted, "alice");
    assert_eq!(
        (page.status(), page.answer.text().as_str(), page.url()),
        (200, "served", &*wanted),
        "{page:?}"
    );

    let asked = &page.urls[1];
    assert!(asked.starts_with(&format!("{}/auth?", world.provider.issuer())), "{:?}", page.urls);
    for (name, want) in [
        ("response_type", "code"),
        ("client_id", "web"),
        ("code_challenge_method", "S256"),
        ("redirect_uri", &world.url("/.gateward/callback")),
        ("scope", "openid profile email"),
    ] {
        assert_eq!(parameter(asked, name), want);
    }
    assert!(parameter(asked, "state").len() >= 32 && parameter(asked, "nonce").len() >= 32, "{asked}");
    let grant = world.provider.events().take("grant", |_| true);
    assert!(grant["type"] == "authorization_code" && grant["verifier"].is_string(), "{grant}");

    let request = world.last();
    assert_eq!(world.origin.count(), 1, "nothing reached the service before");
    assert_eq!(request.target(), "/shop/cart?item=1&next=%2Fa%20b&u=//x");
    let told = ["x-user", "x-email", "cookie", "authorization"].map(|name| request.field(name));
    assert_eq!(told, [Some("alice"), Some("alice@people.test"), Some("theme=dark"), None], "{request}");

    let own: Vec<_> = browser.cookies.iter().filter(|cookie| cookie.name.starts_with("gateward")).collect();
    assert!(!own.is_empty() && own.iter().all(|cookie| !cookie.name.contains("login")), "{own:?}");
    for cookie in own {
        let attributes: Vec<&str> = cookie.attributes.split("; ").collect();
        assert!(
            ["HttpOnly", "SameSite=Lax", "Path=/"].iter().all(|name| attributes.contains(name)),
            "{cookie:?}"
        );
        assert!(!attributes.iter().any(|name| name.starts_with("Domain")), "{cookie:?}");
        assert!(!attributes.contains(&"Secure"), "over plain HTTP it would never come back: {cookie:?}");
    }

    let page = browser.open(&world.url("/again"));
    assert_eq!((page.status(), page.urls.len()), (200, 1), "it goes on without a login: {page:?}");
    let forged = "Accept: application/json\r\nX-User: root\r\nX_User: root\r\nX-Email: root@people.test\r\n";
    assert_eq!(browser.send("GET", &world.url("/again"), forged, "").status(), 200);
    let request = world.last();
    assert_eq!(request.field("x-user"), Some("alice"));
    assert!(!request.to_string().contains("root"), "{request}");
    assert_eq!(world.provider.count("GET /auth"), 1);
    world.stop();
}

#[test]
fn the_steps_of_a_login_are_kept_nowhere() {
    let Some(world) = World::new(&Wish::default()) else { return };
    let mut browser = Browser { stop_before: Some(world.url("/.gateward/callback")), ..Browser::default() };
    let before = browser.log_in(&world.url("/page"), "alice");
    let first = browser.clone().open(&world.url("/other")).answer;
    let callback = browser.send("GET", before.url(), "Accept: text/html\r\n", "");
    assert_eq!((callback.status(), callback.field("location")), (302, Some("/page")), "{callback}");
    for answer in [first, callback] {
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{answer}");
    }
    world.stop();
}

#[test]
fn programs_get_an_answer_instead_of_a_page() {
    let Some(world) = World::new(&Wish::default()) else { return };
    for (method, fields) in [
        ("GET", "Accept: application/json\r\n"),
        ("GET", "Accept: */*\r\n"),
        ("GET", ""),
        ("GET", "Accept: text/html\r\nSec-Fetch-Mode: cors\r\n"),
        ("GET", "Accept: text/html\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n"),
        ("POST", "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\n"),
        ("DELETE", "Accept: text/html\r\n"),
    ] {
        let answer = Browser::default().send(method, &world.url("/data"), fields, "");
        assert_eq!((answer.status(), answer.field("location")), (401, None), "{method} {fields}{answer}");
        assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{answer}");
        assert!(answer.field("www-authenticate").is_some(), "RFC 9110 §15.5.2: {answer}");
        assert!(set_cookies(&answer).is_empty(), "{answer}");
    }
    assert_eq!((world.origin.count(), world.provider.count("GET /auth")), (0, 0));
    world.stop();
}

#[test]
fn a_session_that_was_changed_is_none() {
    let Some(world) = World::new(&Wish::default()) else { return };
    let good = world.person("alice");
    let at = good.cookies.iter().position(|cookie| cookie.name == "gateward").unwrap();
    let value = good.cookies[at].value.clone();
    let middle = value.len() / 2;
    let other = if value.as_bytes()[middle] == b'A' { "B" } else { "A" };
    let changed = [
        format!("{}{other}{}", &value[..middle], &value[middle + 1..]),
        value[..middle].to_owned(),
        format!("{value}AAAA"),
        "A".repeat(value.len()),
        String::new(),
    ];
    for changed in changed {
        let mut browser = good.clone();
        browser.cookies[at].value.clone_from(&changed);
        let answer = browser.clone().script(&world.url("/data"));
        assert_eq!(answer.status(), 401, "{changed}");
        assert!(world.asks_for_login(&browser, "/page"), "{changed}");
        // The provider knows its user still, and asks nothing.
        let page = browser.open(&world.url("/page"));
        assert_eq!((page.status(), page.url()), (200, &*world.url("/page")), "{page:?}");
        assert_eq!(world.status(&browser), 200, "it has a session again");
    }
    assert_eq!(world.status(&good), 200);
    world.stop();
}

#[test]
fn a_callback_that_nobody_waits_for_is_refused() {
    let Some(world) = World::new(&Wish::default()) else { return };
    let stopping = || Browser { stop_before: Some(world.url("/.gateward/callback")), ..Browser::default() };
    let refused = |browser: &Browser, url: &str, want: u16| {
        let mut browser = browser.clone();
        let answer = browser.send("GET", url, "Accept: text/html\r\n", "");
        assert_eq!((answer.status(), code(&answer)), (want, json!("login-failed")), "{url}\n{answer}");
        assert_eq!(world.status(&browser), 401, "{url}");
    };
    let mut victim = stopping();
    let waiting = victim.log_in(&world.url("/page"), "alice");
    let right = waiting.url().to_owned();
    let state = parameter(&right, "state");
    // Somebody else's login, such as that of an attacker who wants to know what is typed in next.
    let theirs = stopping().log_in(&world.url("/page"), "mallory").url().to_owned();
    refused(&victim, &theirs, 400);
    refused(&Browser::default(), &right, 400);
    let mut last = state.clone();
    let end = if last.pop() == Some('A') { 'B' } else { 'A' };
    refused(&victim, &right.replace(&state, &format!("{last}{end}")), 400);
    refused(&victim, &world.url("/.gateward/callback"), 400);
    refused(&victim, &format!("{right}&state={state}"), 400);
    let elsewhere = right.replace("iss=http", "iss=https");
    assert_ne!(elsewhere, right, "the provider says who it is (RFC 9207)");
    refused(&victim, &elsewhere, 400);
    assert_eq!(world.provider.count("POST /token"), 0, "no code was exchanged for any of these");

    // Two logins in one browser do not disturb each other.
    let second = victim.log_in(&world.url("/other"), "alice").url().to_owned();
    for (url, page) in [(&second, "/other"), (&right, "/page")] {
        let answer = victim.send("GET", url, "Accept: text/html\r\n", "");
        assert_eq!((answer.status(), answer.field("location")), (302, Some(page)), "{answer}");
        assert_eq!(world.status(&victim), 200);
    }
    let again = Browser { cookies: Vec::new(), ..victim.clone() };
    refused(&again, &right, 400);
    assert_eq!(world.provider.count("POST /token"), 2);

    // Who changes their mind at the provider is told so, and not sent round in circles.
    let mut browser = Browser::default();
    let form = browser.open(&world.url("/page"));
    let page = browser.open(&format!("{}/abort", form.url()));
    assert_eq!((page.status(), code(&page.answer)), (403, json!("login-failed")), "{page:?}");
    world.stop();
}

#[test]
fn nobody_is_led_elsewhere() {
    let Some(world) = World::new(&Wish::default()) else { return };
    for target in [
        "//evil.test/",
        "/\\evil.test/",
        "/%5cevil.test/",
        "/%2f%2fevil.test/",
        "/.//evil.test",
        "/a/..//evil.test",
        "/?next=//evil.test/",
        "/@evil.test/",
        "/%09/evil.test/",
        "/.gateward/callback/../..//evil.test/",
    ] {
        let mut browser = Browser { stop_before: Some("http://evil.test".to_owned()), ..Browser::default() };
        let page = browser.log_in(&world.url(target), "alice");
        let own = |url: &String| {
            [&world.base, &world.provider.issuer()].iter().any(|base| url.starts_with(&**base))
        };
        assert!(page.urls.iter().all(own), "{target}: {:#?}", page.urls);
        assert!(matches!(page.status(), 200 | 400), "{target}: {page:?}");
    }
    // Nor by what a request says of the host.
    for fields in
        ["X-Forwarded-Host: evil.test\r\n", "Forwarded: host=evil.test\r\n", "X-Forwarded-Proto: https\r\n"]
    {
        let answer =
            Browser::default().send("GET", &world.url("/"), &format!("Accept: text/html\r\n{fields}"), "");
        let location = answer.field("location").unwrap_or_default();
        assert_eq!(parameter(location, "redirect_uri"), world.url("/.gateward/callback"), "{fields}{answer}");
    }
    let mut browser = world.person("alice");
    let evil = "http://evil.test/";
    let out = world
        .url(&format!("/.gateward/logout?post_logout_redirect_uri={evil}&after_logout={evil}&rd={evil}"));
    browser.stop_before = Some(world.provider.issuer());
    let page = browser.follow(&world.url("/"), &out);
    assert_eq!(parameter(page.url(), "post_logout_redirect_uri"), world.url("/bye"), "{page:?}");
    assert!(!page.url().contains("evil"), "{page:?}");
    world.stop();
}

#[test]
fn who_is_known_and_may_not_is_not_sent_to_log_in() {
    let more = "  policies: {}\n";
    let wish = Wish { more, ..Wish::default() };
    let Some(mut world) = World::new(&Wish { more: "", ..wish }) else { return };
    let mut setup = world.setup.clone();
    setup.yaml = setup.yaml.replace(
        "- { path: /*, service: site }",
        "- { path: /*, service: site, policies: { authorize: { any: [{ group: friends of alice }] } } }",
    );
    world.restart(setup);
    let _alice = world.person("alice");
    let page = Browser::default().log_in(&world.url("/"), "bob");
    assert_eq!((page.status(), page.url()), (403, &*world.url("/")), "{page:?}");
    assert_eq!(world.origin.count(), 1);
    world.stop();
}

#[test]
fn tokens_are_renewed_without_anybody_noticing() {
    // They end within thirty seconds, which is when they are renewed: with each request.
    let wish = Wish { token: Some(20), oidc: "forward_access_token: true", ..Wish::default() };
    let Some(world) = World::new(&wish) else { return };
    let mut browser = Browser { stop_before: Some(world.url("/page")), ..Browser::default() };
    browser.log_in(&world.url("/page"), "alice");
    assert_eq!(world.origin.count(), 0);
    let page = browser.clone();
    // A page that loads much at a time: the provider takes a refresh token once, and ends all if it comes again.
    let answers: Vec<Message> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..8)
            .map(|number| {
                let (mut browser, url) = (page.clone(), world.url(&format!("/part/{number}")));
                scope.spawn(move || browser.script(&url))
            })
            .collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    let statuses: Vec<u16> = answers.iter().map(Message::status).collect();
    assert_eq!(statuses, [200; 8]);
    let mut given: Vec<_> = answers.iter().map(set_cookies).filter(|cookies| !cookies.is_empty()).collect();
    given.dedup();
    assert_eq!(given.len(), 1, "all get the same new session: {given:?}");
    assert_eq!(grants(&world, "refresh_token"), 1);

    // Whoever comes late with the session of before gets the new one.
    let late = browser.clone().script(&world.url("/late"));
    assert_eq!((late.status(), set_cookies(&late)), (200, given[0].clone()));
    assert_eq!(grants(&world, "refresh_token"), 0);
    let mut tokens = vec![world.last().field("authorization").unwrap().to_owned()];
    for _ in 0..3 {
        let before = browser.cookies.clone();
        let answer = browser.script(&world.url("/next"));
        assert_eq!((answer.status(), answer.field("location")), (200, None), "{answer}");
        assert_ne!(browser.cookies, before, "the session has new tokens: {answer}");
        assert_eq!(world.last().field("x-user"), Some("alice"));
        tokens.push(world.last().field("authorization").unwrap().to_owned());
    }
    assert!(tokens.iter().all(|token| token.starts_with("Bearer ")), "{tokens:?}");
    tokens.dedup();
    assert_eq!(tokens.len(), 3, "the first of the three came late as well, the service gets each new token");
    assert_eq!((grants(&world, "refresh_token"), world.provider.count("grant refused")), (2, 0));
    world.stop();
}

/// How many grants of a kind there were since this was asked.
fn grants(world: &World, kind: &str) -> usize {
    world.provider.count("grant");
    let events = world.provider.events().drain();
    events.iter().filter(|event| event["event"] == "grant" && event["type"] == kind).count()
}

#[test]
fn a_session_that_the_provider_does_not_renew_ends() {
    let Some(mut world) = World::new(&Wish { token: Some(20), ..Wish::default() }) else { return };
    let mut browser = Browser { stop_before: Some(world.url("/page")), ..Browser::default() };
    browser.log_in(&world.url("/page"), "alice");
    let address: SocketAddr = world.provider.address();
    // A provider that is down ends nothing as long as the tokens are good.
    let base = world.base.clone();
    let World { provider, .. } = &mut world;
    let placeholder = Provider::start(json!({ "keys": ["P-256"] })).unwrap();
    let setup = std::mem::replace(provider, placeholder).stop();
    assert_eq!(world.status(&browser), 200);
    // This one knows nothing of the grant.
    world.provider = Provider::start(setup).unwrap();
    assert_eq!(world.provider.address(), address);
    let mut answer = browser.clone().script(&format!("{base}/data"));
    wait_until("the session ends", SOON, || {
        answer = browser.clone().script(&format!("{base}/data"));
        answer.status() != 200
    });
    assert_eq!((answer.status(), answer.field("location")), (401, None), "{answer}");
    assert!(set_cookies(&answer).iter().any(|cookie| cookie.starts_with("gateward=;")), "{answer}");
    assert!(world.asks_for_login(&browser, "/page"));
    world.stop();
}

#[test]
fn logging_out_ends_the_session_here_and_there() {
    let Some(world) = World::new(&Wish::default()) else { return };
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
        assert_eq!((answer.status(), code(&answer)), (403, json!("logout-refused")), "{fields}{answer}");
        assert_eq!(world.status(&browser), 200, "{fields}");
    }
    let copy = browser.clone();
    let page = browser.follow(&world.url("/"), &out);
    let asked = &page.urls[1];
    assert!(asked.starts_with(&format!("{}/session/end?", world.provider.issuer())), "{:?}", page.urls);
    assert_eq!(parameter(asked, "id_token_hint").split('.').count(), 3);
    let page = browser.submit(&page, &[("logout", "yes")]);
    assert_eq!((page.status(), page.answer.text().as_str()), (200, "good bye"), "{page:?}");
    assert_eq!(page.url(), world.url("/bye"));
    assert!(
        !browser.cookies.iter().any(|cookie| cookie.name.starts_with("gateward")),
        "{:?}",
        browser.cookies
    );
    assert_eq!(world.status(&copy), 401, "copies of its cookies are worth nothing");
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
    let address = free_address();
    let report = format!("http://{address}/.gateward/backchannel-logout");
    let client = json!({ "backchannel_logout_uri": report, "backchannel_logout_session_required": true });
    let Some(mut world) = World::new(&Wish { client, ..Wish::default() }) else { return };
    // The provider reports to the address that was registered.
    let mut setup = world.setup.clone();
    setup.yaml = setup.yaml.replacen("listen: ", &format!("listen:\n- {address}\n- "), 1);
    world.restart(setup);
    let [one, two, bob] = ["alice", "alice", "bob"].map(|name| world.person(name));
    let statuses = || [&one, &two, &bob].map(|browser| world.status(browser));
    assert_eq!(statuses(), [200; 3]);

    // Forged ones end nothing, and neither does another token of the provider.
    let mut leaving = Browser { stop_before: Some(world.provider.issuer()), ..world.person("carol") };
    let page = leaving.follow(&world.url("/"), &world.url("/.gateward/logout"));
    let id_token = parameter(page.url(), "id_token_hint");
    let robot = world.provider.token("robot", API, "read");
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", id_token.split('.').nth(1).unwrap());
    for token in [&id_token, &robot, &unsigned, "", "a.b.c"] {
        let (fields, body) =
            ("Content-Type: application/x-www-form-urlencoded\r\n", format!("logout_token={token}"));
        let answer = Browser::default().send("POST", &report, fields, &body);
        assert_eq!((answer.status(), code(&answer)), (400, json!("logout-refused")), "{token}: {answer}");
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
    assert!(world.asks_for_login(&one, "/page"));
    world.stop();
}

#[test]
fn a_session_outlives_the_gateway_if_its_secret_does() {
    let Some(mut world) = World::new(&Wish::default()) else { return };
    let browser = world.person("alice");
    let setup = world.setup.clone();
    let with = |secrets: &str| {
        let yaml = setup
            .yaml
            .replace("secret: \"${env:SESSION_SECRET}\", after", &format!("secret: {secrets}, after"));
        assert!(yaml.contains(&format!("secret: {secrets}")));
        Setup { yaml, ..setup.clone() }
    };
    let other = "\"fedcba9876543210fedcba9876543210\"";
    let own = "\"${env:SESSION_SECRET}\"";
    for (secrets, want) in [(own, 200), (other, 401), (&format!("[{other}, {own}]"), 200)] {
        world.restart(with(secrets));
        assert_eq!(world.status(&browser), want, "{secrets}");
        assert_eq!(world.asks_for_login(&browser, "/page"), want == 401, "{secrets}");
    }
    assert_eq!(world.last().field("x-user"), Some("alice"));
    assert_eq!(world.provider.count("GET /auth"), 1);
    world.stop();
}

#[test]
fn programs_show_tokens_on_the_routes_of_people() {
    let audience = format!("audience: \"{API}\"");
    let Some(mut world) = World::new(&Wish { oidc: &audience, ..Wish::default() }) else { return };
    let mut person = world.person("alice");
    let [good, foreign] = [API, "https://other.test/"].map(|api| world.provider.token("robot", api, ""));
    let show = |token: &str| format!("Accept: text/html\r\nAuthorization: Bearer {token}\r\n");
    // Verified, and remembered.
    for _ in 0..2 {
        let answer = Browser::default().send("GET", &world.url("/data"), &show(&good), "");
        assert_eq!((answer.status(), set_cookies(&answer).len()), (200, 0), "{answer}");
        let request = world.last();
        assert_eq!(
            (request.field("x-user"), request.field("authorization")),
            (Some("robot"), None),
            "{request}"
        );
    }
    let served = world.origin.count();
    // A session beside a bad token does not help: who shows both is not in doubt about either.
    for browser in [&mut Browser::default(), &mut person] {
        for token in [&foreign, "a.b.c"] {
            let answer = browser.send("GET", &world.url("/data"), &show(token), "");
            let challenge = answer.field("www-authenticate").unwrap_or_default();
            assert!(
                answer.status() == 401 && challenge.contains("error=\"invalid_token\""),
                "{token}: {answer}"
            );
            assert_eq!(answer.field("location"), None, "{answer}");
        }
    }
    assert_eq!(world.origin.count(), served);
    // Where tokens do not count, they are the business of the service.
    let mut setup = world.setup.clone();
    setup.yaml = setup.yaml.replace(&audience, "bearer: false");
    world.restart(setup);
    assert_eq!(Browser::default().send("GET", &world.url("/data"), &show(&good), "").status(), 302);
    assert_eq!(person.send("GET", &world.url("/data"), &show(&good), "").status(), 200);
    let request = world.last();
    assert_eq!(request.field("x-user"), Some("alice"));
    assert_eq!(request.field("authorization"), Some(&*format!("Bearer {good}")));
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
    assert!(world.asks_for_login(&unused, "/page"));
    world.stop();
}

#[test]
fn nobody_logs_in_until_the_provider_is_there() {
    let address = free_address();
    let wish = Wish::default();
    let Some(world) = World::new(&wish) else { return };
    let origin = Origin::saying("served");
    let listen = free_address();
    let yaml = yaml(&listen.to_string(), &format!("http://{address}"), &origin, &wish);
    let gateway = Setup { yaml, ..world.setup.clone() }.start();
    let url = format!("http://{listen}/page");
    let page = Browser::default().open(&url);
    assert_eq!((page.status(), code(&page.answer)), (503, json!("authority-unavailable")), "{page:?}");
    let client = json!({
        "client_id": "web",
        "client_secret": CLIENT_SECRET,
        "redirect_uris": [format!("http://{listen}/.gateward/callback")],
    });
    let setup = json!({ "address": address.to_string(), "keys": ["P-256"], "clients": [client] });
    let _provider = Provider::start(setup).unwrap();
    wait_until("the provider is found", PATIENCE, || Browser::default().open(&url).status() == 200);
    let page = Browser::default().log_in(&url, "alice");
    assert_eq!((page.status(), page.answer.text().as_str(), page.url()), (200, "served", &*url), "{page:?}");
    gateway.stop();
    world.stop();
}

/// Over TLS, with each way to prove who the gateway is.
#[test]
fn cookies_are_for_one_host_and_for_tls() {
    let authority = Authority::new("tests");
    let identity = authority.sign(&end_to_end::certificates::Wish::server(&["shop.test"]));
    let (folder, origin) = (Folder::new(), Origin::saying("served"));
    let ca = folder.write("ca.pem", authority.cert());
    let listens = [(); 3].map(|()| free_address());
    let base = |address: SocketAddr| format!("https://shop.test:{}", address.port());
    let methods = ["client_secret_basic", "client_secret_post", "none"];
    let clients: Vec<Value> = methods
        .iter()
        .zip(listens)
        .map(|(method, address)| {
            json!({
                "client_id": format!("web {method}"),
                "client_secret": CLIENT_SECRET,
                "token_endpoint_auth_method": method,
                "redirect_uris": [format!("{}/.gateward/callback", base(address))],
            })
        })
        .collect();
    let Some(provider) = Provider::start(json!({ "keys": ["RSA"], "clients": clients })) else { return };
    for (method, address) in methods.iter().zip(listens) {
        let yaml = format!(
            "listen: {{ address: {address}, tls: {{ certificates: [{{ cert: cert.pem, key: key.pem }}] }} }}\n\
             services: {{ site: {{ endpoints: [http://{}] }} }}\nroutes:\n- path: /*\n  service: site\n  policies:\n    \
             oidc: {{ issuer: \"{}\", client_id: \"web {method}\", client_secret: \"${{env:CLIENT_SECRET}}\", \
             auth_method: {method}, secret: \"${{env:SESSION_SECRET}}\", claims_to_headers: {{ x-user: sub }} }}\n",
            origin.address(),
            provider.issuer()
        );
        let environment = [("CLIENT_SECRET", CLIENT_SECRET), ("SESSION_SECRET", SECRET)];
        let setup = Setup {
            files: vec![("cert.pem".into(), identity.cert.clone()), ("key.pem".into(), identity.key.clone())],
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            ..Setup::new(yaml)
        };
        let gateway = setup.start();
        let mut browser = Browser { authorities: Some(ca.clone()), ..Browser::default() };
        let wanted = format!("{}/page?a=b", base(address));
        let page: Page = browser.log_in(&wanted, "alice");
        assert_eq!((page.status(), page.url()), (200, &*wanted), "{method}: {page:?}");
        let request = origin.requests().last().unwrap().clone();
        assert_eq!((request.field("x-user"), request.field("cookie")), (Some("alice"), None), "{request}");
        let own = browser.cookies_for(&wanted);
        assert!(own.starts_with("__Host-gateward="), "{own}");
        for cookie in browser.cookies.iter().filter(|cookie| cookie.name.contains("gateward")) {
            let attributes: Vec<&str> = cookie.attributes.split("; ").collect();
            let all = ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"];
            assert!(all.iter().all(|name| attributes.contains(name)), "{cookie:?}");
        }
        assert_eq!(browser.open(&wanted).urls.len(), 1);
        gateway.stop();
    }
}

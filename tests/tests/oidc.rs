//! Logins by the policy `oidc`: npm's `oidc-provider`, and a browser that logs in there. What becomes of sessions is in
//! `oidc_sessions.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::net::SocketAddr;
use std::time::Duration;

use end_to_end::browser::{Browser, set_cookies};
use end_to_end::certificates::{self, Authority};
use end_to_end::logins::{API, CLIENT_SECRET, Wish, World, client, code, environment, parameter, setup};
use end_to_end::oidc_provider::Provider;
use end_to_end::{Folder, Origin, Setup, free_address, wait_until};
use serde_json::{Value, json};

/// Keys are looked for every thirty seconds; and a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a browser says when a person waits for a page.
const PAGE: &str = "Accept: text/html\r\n";

#[test]
fn a_login_leads_to_the_page_that_was_wanted() {
    let Some(world) = World::new(&Wish::default()) else { return };
    let wanted = world.url("/shop/cart?item=1&next=%2Fa%20b&u=//x");
    let mut browser = Browser::default();
    browser.add_cookie(&world.base, "theme", "dark");
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
        ("redirect_uri", &world.callback()),
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
    let forged = "X-User: root\r\nX_User: root\r\nX-Email: root@people.test\r\nCookie: gateward.7=own; \
                  gateward-login-0=own; gateward-shop=1; gateward2=2; __Host-gateward=own\r\n";
    assert_eq!(browser.send("GET", &world.url("/again"), forged, "").status(), 200);
    let request = world.last();
    assert_eq!(request.field("x-user"), Some("alice"));
    assert!(["root", "own"].iter().all(|text| !request.to_string().contains(text)), "{request}");
    let cookies: Vec<_> =
        request.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie")).collect();
    let others = ["theme=dark", "gateward-shop=1", "gateward2=2"];
    assert!(others.iter().all(|cookie| format!("{cookies:?}").contains(cookie)), "{request}");
    assert_eq!(world.provider.count("GET /auth"), 1);
    let counted = |series: &str| world.gateway.metric(&format!("{series}{{policy=\"oidc\"}}"));
    assert!(counted("gateward_authenticated_requests_total") == 3.0, "one for each page");
    assert!(counted("gateward_policy_answers_total") == 2.0, "to the provider, and from there to the page");
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
        ("DELETE", PAGE),
    ] {
        let answer = Browser::default().send(method, &world.url("/data"), fields, "");
        assert_eq!((answer.status(), answer.field("location")), (401, None), "{method} {fields}{answer}");
        assert_eq!(answer.field("content-type"), Some("application/problem+json"), "{answer}");
        assert!(answer.field("www-authenticate").is_some(), "RFC 9110 §15.5.2: {answer}");
        assert!(set_cookies(&answer).is_empty(), "{answer}");
    }
    let answer = Browser::default().send("GET", &world.url("/data"), PAGE, "");
    assert_eq!((answer.status(), answer.field("cache-control")), (302, Some("no-store")), "{answer}");
    assert_eq!(world.origin.count(), 0);
    world.stop();
}

#[test]
fn a_callback_that_nobody_waits_for_is_refused() {
    let Some(world) = World::new(&Wish::default()) else { return };
    let stopping = || Browser { stop_before: Some(world.callback()), ..Browser::default() };
    let refused = |browser: &Browser, url: &str| {
        let mut browser = browser.clone();
        let answer = browser.send("GET", url, PAGE, "");
        assert_eq!((answer.status(), &*code(&answer)), (400, "login-failed"), "{url}\n{answer}");
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{answer}");
        assert_eq!(world.status(&browser), 401, "{url}");
    };
    let mut victim = stopping();
    let right = victim.log_in(&world.url("/page"), "alice").url().to_owned();
    let state = parameter(&right, "state");
    // Somebody else's login, such as that of an attacker who wants to know what is typed in next.
    let theirs = stopping().log_in(&world.url("/page"), "mallory").url().to_owned();
    refused(&victim, &theirs);
    refused(&Browser::default(), &right);
    let mut other = state.clone();
    let end = if other.pop() == Some('A') { 'B' } else { 'A' };
    refused(&victim, &right.replace(&state, &format!("{other}{end}")));
    refused(&victim, &world.callback());
    refused(&victim, &format!("{right}&state={state}"));
    let elsewhere = right.replace("iss=http", "iss=https");
    assert_ne!(elsewhere, right, "the provider says who it is (RFC 9207)");
    refused(&victim, &elsewhere);
    assert_eq!(world.provider.count("POST /token"), 0, "no code was exchanged for any of these");

    // Two logins in one browser do not disturb each other.
    let second = victim.log_in(&world.url("/other"), "alice").url().to_owned();
    for (url, page) in [(&second, "/other"), (&right, "/page")] {
        let answer = victim.send("GET", url, PAGE, "");
        assert_eq!((answer.status(), answer.field("location")), (302, Some(page)), "{answer}");
        assert_eq!(answer.field("cache-control"), Some("no-store"), "{answer}");
        assert_eq!(world.status(&victim), 200);
    }
    for browser in [&mut victim, &mut Browser::default()] {
        let answer = browser.send("GET", &right, PAGE, "");
        assert_eq!((answer.status(), set_cookies(&answer).len()), (400, 0), "a code comes once: {answer}");
    }
    assert_eq!(world.provider.count("POST /token"), 2);

    // Who changes their mind at the provider is told so, and not sent round in circles.
    let mut browser = Browser::default();
    let form = browser.open(&world.url("/page"));
    let page = browser.open(&format!("{}/abort", form.url()));
    assert_eq!((page.status(), &*code(&page.answer)), (403, "login-failed"), "{page:?}");
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
        let answer = Browser::default().send("GET", &world.url("/"), &format!("{PAGE}{fields}"), "");
        let location = answer.field("location").unwrap_or_default();
        assert_eq!(parameter(location, "redirect_uri"), world.callback(), "{fields}{answer}");
    }
    let mut browser = Browser { stop_before: Some(world.provider.issuer()), ..world.person("alice") };
    let evil = "http://evil.test/";
    let out =
        format!("/.gateward/logout?post_logout_redirect_uri={evil}&after_logout={evil}&return_to={evil}");
    let page = browser.follow(&world.base, &world.url(&out));
    assert_eq!(parameter(page.url(), "post_logout_redirect_uri"), world.url("/bye"), "{page:?}");
    assert!(!page.url().contains("evil"), "{page:?}");
    world.stop();
}

#[test]
fn who_is_known_and_may_not_is_not_sent_to_log_in() {
    let route = "policies: { authorize: { any: [{ group: friends of alice }] } }";
    let Some(world) = World::new(&Wish { route, ..Wish::default() }) else { return };
    world.person("alice");
    let page = Browser::default().log_in(&world.url("/"), "bob");
    assert_eq!((page.status(), page.url()), (403, &*world.url("/")), "{page:?}");
    assert_eq!(world.origin.count(), 1);
    world.stop();
}

#[test]
fn names_of_people_cannot_say_more_than_who_they_are() {
    let Some(world) = World::new(&Wish::default()) else { return };
    for (name, told) in [
        ("Zoë", Some("Zo\u{c3}\u{ab}")),
        ("x\r\nx-admin: true", None),
        // Whoever reads a field takes away what surrounds its value: that would be somebody else.
        ("alice ", None),
        ("\talice", None),
        ("alice\0", None),
    ] {
        let page = Browser::default().log_in(&world.url("/"), name);
        assert_eq!(page.status(), 200, "{name:?}: {page:?}");
        let request = world.last();
        assert_eq!((request.field("x-user"), request.field("x-admin")), (told, None), "{name:?}: {request}");
    }
    world.stop();
}

#[test]
fn programs_show_tokens_on_the_routes_of_people() {
    let audience = format!("audience: \"{API}\"");
    let Some(world) = World::new(&Wish { oidc: &audience, ..Wish::default() }) else { return };
    let mut person = world.person("alice");
    let [good, foreign] = [API, "https://other.test/"].map(|api| world.provider.token("robot", api, ""));
    let show = |token: &str| format!("{PAGE}Authorization: Bearer {token}\r\n");
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
    // A session beside a bad token does not help: whoever shows the token means it.
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
    let yaml = world.setup.yaml.replace(&audience, "bearer: false");
    let setup = Setup { yaml, ..world.setup.clone() };
    let world = world.restarted(setup);
    assert_eq!(Browser::default().send("GET", &world.url("/data"), &show(&good), "").status(), 302);
    assert_eq!(person.send("GET", &world.url("/data"), &show(&good), "").status(), 200);
    let request = world.last();
    assert_eq!(request.field("x-user"), Some("alice"));
    assert_eq!(request.field("authorization"), Some(&*format!("Bearer {good}")));
    world.stop();
}

#[test]
fn nobody_logs_in_until_the_provider_is_there() {
    if end_to_end::oidc_provider::installed().is_none() {
        return;
    }
    let [listen, address] = [(); 2].map(|()| free_address());
    let (origin, base) = (Origin::saying("served"), format!("http://{listen}"));
    let gateway = setup(&listen.to_string(), &format!("http://{address}"), &origin, &Wish::default()).start();
    let url = format!("{base}/page");
    let page = Browser::default().open(&url);
    assert_eq!((page.status(), &*code(&page.answer)), (503, "authority-unavailable"), "{page:?}");
    let provider = json!({ "address": address.to_string(), "keys": ["P-256"], "clients": [client(&base)] });
    let _provider = Provider::start(provider).unwrap();
    wait_until("the provider is found", PATIENCE, || Browser::default().open(&url).status() == 200);
    let page = Browser::default().log_in(&url, "alice");
    assert_eq!((page.status(), page.answer.text().as_str(), page.url()), (200, "served", &*url), "{page:?}");
    gateway.stop();
}

/// Over TLS, with each way to prove who the gateway is.
#[test]
fn cookies_are_for_one_host_and_for_tls() {
    let authority = Authority::new("tests");
    let identity = authority.sign(&certificates::Wish::server(&["shop.test"]));
    let (folder, origin) = (Folder::new(), Origin::saying("served"));
    let ca = folder.write("ca.pem", authority.cert());
    let base = |address: SocketAddr| format!("https://shop.test:{}", address.port());
    let all = ["client_secret_basic", "client_secret_post", "none"].map(|method| (method, free_address()));
    let clients = all.map(|(method, address)| {
        json!({
            "client_id": method,
            "client_secret": CLIENT_SECRET,
            "token_endpoint_auth_method": method,
            "redirect_uris": [format!("{}/.gateward/callback", base(address))],
        })
    });
    let clients: Vec<Value> = clients.into();
    let Some(provider) = Provider::start(json!({ "keys": ["RSA"], "clients": clients })) else { return };
    for (method, address) in all {
        let secret = if method == "none" { "" } else { "client_secret: \"${env:CLIENT_SECRET}\", " };
        let yaml = format!(
            "listen: {{ address: {address}, tls: {{ certificates: [{{ cert: cert.pem, key: key.pem }}] }} }}\n\
             services: {{ site: {{ endpoints: [http://{}] }} }}\nroutes:\n- path: /*\n  service: site\n  policies:\n    \
             oidc: {{ issuer: \"{}\", client_id: {method}, {secret}auth_method: {method}, \
             secret: \"${{env:SESSION_SECRET}}\", claims_to_headers: {{ x-user: sub }} }}\n",
            origin.address(),
            provider.issuer()
        );
        let files = [("cert.pem", &identity.cert), ("key.pem", &identity.key)];
        let files = files.map(|(name, text)| (name.to_owned(), text.clone())).into();
        let gateway = Setup { files, environment: environment(), ..Setup::new(yaml) }.start();
        let mut browser = Browser { authorities: Some(ca.clone()), ..Browser::default() };
        let wanted = format!("{}/page?a=b", base(address));
        let page = browser.log_in(&wanted, "alice");
        assert_eq!((page.status(), page.url()), (200, &*wanted), "{method}: {page:?}");
        let request = origin.requests().last().unwrap().clone();
        assert_eq!((request.field("x-user"), request.field("cookie")), (Some("alice"), None), "{request}");
        assert!(browser.cookies_for(&wanted).starts_with("__Host-gateward="), "{:?}", browser.cookies);
        for cookie in browser.cookies.iter().filter(|cookie| cookie.name.contains("gateward")) {
            let attributes: Vec<&str> = cookie.attributes.split("; ").collect();
            let needed = ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"];
            assert!(needed.iter().all(|name| attributes.contains(name)), "{cookie:?}");
        }
        assert_eq!(browser.open(&wanted).urls.len(), 1);
        gateway.stop();
    }
}

//! What is remembered, for whom, for how long, and what never is.

use std::net::IpAddr;
use std::rc::Rc;

use authority::ext_authz::{Action, HeaderChange};

use super::*;
use crate::Shown;
use crate::forward_auth::grants::{Granted, Grants};

const SETTINGS: &str = "response_headers: x-user, client_headers: [x-seen, set-cookie],
    cache: { by: [authorization, x-key], ttl: 10s }";

fn caller(target: &str) -> Scene {
    Scene::get(target, &[("authorization", "Bearer a"), ("cookie", "a=1"), ("x-user", "spoofed")])
}

/// A worker that has asked about this request, and got this answer.
fn after(ready: &Ready, mut scene: Scene, answer: Answer) -> Scene {
    told(ready, &mut scene, answer);
    scene
}

/// Another request to the same worker: whether it passes without a question.
fn passes(ready: &Ready, worker: &mut Scene, mut scene: Scene) -> bool {
    std::mem::swap(&mut worker.verified, &mut scene.verified);
    let flow = ready.on_request(&mut scene.cx());
    std::mem::swap(&mut worker.verified, &mut scene.verified);
    match flow {
        Flow::Continue => true,
        Flow::Ask(_) => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_hit_asks_nobody_and_does_the_same() {
    let ready = over_http(SETTINGS);
    let yes = says(200, &[("x-user", "me"), ("x-seen", "1")], "");
    let mut worker = after(&ready, caller("/a?b"), yes);
    let mut scene = caller("/a?b");
    std::mem::swap(&mut worker.verified, &mut scene.verified);
    assert!(matches!(ready.on_request(&mut scene.cx()), Flow::Continue));
    assert_eq!(values(&scene.head.headers, "x-user"), ["me"]);
    assert_eq!(values(&to_client(&ready, &scene, &[]), "x-seen"), ["1"]);
}

#[test]
fn an_answer_holds_for_the_same_request_of_the_same_caller() {
    let ready = over_http(SETTINGS);
    let with = |fields: &[(&str, &str)]| Scene::get("/a?b", fields);
    let method = |method: &[u8]| {
        let mut scene = caller("/a?b");
        scene.head.method_text = scene.head.headers.append_text(method);
        scene
    };
    let host = |host: &[u8]| {
        let mut scene = caller("/a?b");
        scene.head.headers.set(b"host", host);
        scene.head.normalize().unwrap();
        scene
    };
    let client = |address: &str| Scene { client: address.parse::<IpAddr>().unwrap(), ..caller("/a?b") };
    let mut https = caller("/a?b");
    https.state.https = true;
    let later = |seconds: u64| Scene { now: 1_000_000 + seconds, ..caller("/a?b") };
    for (what, scene, want) in [
        ("the same", caller("/a?b"), true),
        (
            "the same but for what does not count",
            {
                with(&[
                    ("authorization", "Bearer a"),
                    ("cookie", "a=1"),
                    ("accept", "x"),
                    ("x-user", "other"),
                ])
            },
            true,
        ),
        ("in time", later(9), true),
        ("too late", later(10), false),
        ("another path", caller("/b?b"), false),
        ("another query", caller("/a?c"), false),
        ("no query", caller("/a"), false),
        ("another method", method(b"PUT"), false),
        ("another host", host(b"b.test"), false),
        ("another port", host(b"a.test:81"), false),
        ("encrypted", https, false),
        ("another address", client("127.0.0.2"), false),
        ("the same address", client("::ffff:127.0.0.1"), true),
        ("another credential", with(&[("authorization", "Bearer b"), ("cookie", "a=1")]), false),
        (
            "another cookie, which nobody has named",
            { with(&[("authorization", "Bearer a"), ("cookie", "a=2")]) },
            false,
        ),
        ("no cookie", with(&[("authorization", "Bearer a")]), false),
        (
            "two credentials",
            { with(&[("authorization", "Bearer a"), ("authorization", ""), ("cookie", "a=1")]) },
            false,
        ),
        ("one more", with(&[("authorization", "Bearer a"), ("cookie", "a=1"), ("x-key", "k")]), false),
        ("the same under another name", with(&[("x-key", "Bearer a"), ("cookie", "a=1")]), false),
        ("nothing", with(&[]), false),
    ] {
        let mut worker = after(&ready, caller("/a?b"), says(200, &[], ""));
        assert_eq!(passes(&ready, &mut worker, scene), want, "{what}");
    }
}

#[test]
fn other_settings_know_nothing_of_it() {
    let ready = over_http(SETTINGS);
    let mut worker = after(&ready, caller("/"), says(200, &[], ""));
    let other = over_http(&format!("{SETTINGS}, timeout: 3s"));
    assert!(!passes(&other, &mut worker, caller("/")) && passes(&ready, &mut worker, caller("/")));
}

#[test]
fn the_path_can_be_left_out() {
    let ready = over_http("cache: { by: authorization, ttl: 10s, ignore_path: true }");
    let mut worker = after(&ready, caller("/a?b"), says(200, &[], ""));
    assert!(passes(&ready, &mut worker, caller("/other?c")));
    let mut put = caller("/other");
    put.head.method_text = put.head.headers.append_text(b"PUT");
    assert!(!passes(&ready, &mut worker, put));
}

#[test]
fn what_the_server_does_not_see_does_not_count() {
    let ready = over_http("request_headers: authorization, cache: { by: authorization, ttl: 10s }");
    let mut worker = after(&ready, caller("/"), says(200, &[], ""));
    let other = Scene::get("/", &[("authorization", "Bearer a"), ("cookie", "a=2")]);
    assert!(passes(&ready, &mut worker, other), "it never sees cookies");

    let ready =
        over_http("request_headers: [authorization, x-tenant], cache: { by: authorization, ttl: 10s }");
    let tenant = |name| Scene::get("/", &[("authorization", "Bearer a"), ("x-tenant", name)]);
    let mut worker = after(&ready, tenant("one"), says(200, &[], ""));
    assert!(passes(&ready, &mut worker, tenant("one")) && !passes(&ready, &mut worker, tenant("two")));
}

#[test]
fn what_is_not_remembered() {
    let ready = over_http(SETTINGS);
    for (what, answer) in [
        ("a no", says(403, &[], "")),
        ("a way to log in", says(302, &[("location", "/login")], "")),
        ("trouble", says(500, &[], "")),
        ("no answer", Answer::Nothing(String::new())),
        ("a yes for once", says(200, &[("cache-control", "private, No-Store")], "")),
        ("a new cookie", says(200, &[("set-cookie", "session=2")], "")),
    ] {
        let mut worker = after(&ready, caller("/"), answer);
        assert!(!passes(&ready, &mut worker, caller("/")), "{what}");
    }
    let anonymous = || Scene::get("/", &[("cookie", "a=1")]);
    let mut worker = after(&ready, anonymous(), says(200, &[], ""));
    assert!(!passes(&ready, &mut worker, anonymous()), "none of the headers that it is known by is there");
    let mut worker = after(&over_http(""), caller("/"), says(200, &[], ""));
    assert!(!passes(&over_http(""), &mut worker, caller("/")), "nothing is remembered without being told to");
}

#[test]
fn it_does_not_grow() {
    let mut grants = Grants::default();
    let value = HeaderValue::from_str(&"v".repeat(60_000)).unwrap();
    for number in 0..2_000_u32 {
        let mut granted = Granted::default();
        let name = HeaderName::from_static("x-user");
        granted.request.headers.push(HeaderChange { name, value: value.clone(), action: Action::Append });
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&number.to_le_bytes());
        grants.put(Shown { scope: [0; 32], digest }, Rc::new(granted), u64::MAX);
    }
    let (weight, most) = grants.weight();
    assert!(weight <= most && weight > most / 2, "{weight}");
}

/// What was allowed to one consumer says nothing of another one, though both show the same cookie.
#[test]
fn consumers_never_share_what_was_allowed() {
    let consumer = |name: &str| NewConsumer {
        name: name.into(),
        api_keys: vec![NewKey { digest: digest_of(name.as_bytes()), expires: None, name: None }],
        ..NewConsumer::default()
    };
    let consumers = Arc::new(Consumers::new(&[consumer("ann"), consumer("bob")]));
    let asks = "{ url: 'http://auth.test:9000/verify', cache: { by: [cookie], ttl: 10s } }";
    let chain = chain(&[("api_key", "{}"), ("forward_auth", asks)], &consumers);
    let mut verified = crate::Verified::default();
    let mut asked = |name: &str| {
        let fields = [("x-api-key", name), ("cookie", "a=1")];
        let mut scene = Scene { consumers: Arc::clone(&consumers), ..Scene::get("/a", &fields) };
        std::mem::swap(&mut verified, &mut scene.verified);
        let mut count = 0;
        let reply = scene.run(&chain, || {
            count += 1;
            says(200, &[], "")
        });
        std::mem::swap(&mut verified, &mut scene.verified);
        assert!(reply.is_none(), "{name}");
        count
    };
    assert_eq!([asked("ann"), asked("ann"), asked("bob"), asked("ann")], [1, 0, 1, 0]);
}

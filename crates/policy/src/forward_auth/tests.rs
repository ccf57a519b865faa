//! What the server is asked over HTTP, what its answers do, and what is wrong with what is written.

use std::sync::Arc;
use std::time::Duration;

use authority::Ask;
use diagnostics::Code;
use http::{HeaderMap, HeaderName, HeaderValue};
use message::{Fault, Headers, Reply};

use super::Ready;
use crate::scene::{Scene, chain, policy};
use crate::{Answer, Consumers, Flow, NewConsumer, NewKey, Policy, Question, ResponseCx, digest_of};

mod grpc;
mod remembering;

/// The policy with these settings.
fn ready(settings: &str) -> Ready {
    match policy("forward_auth", settings, &Arc::default()).unwrap() {
        Policy::ForwardAuth(ready) => ready,
        other => panic!("{other:?}"),
    }
}

fn over_http(more: &str) -> Ready {
    ready(&format!("{{ url: 'http://auth.test:9000/verify?realm=a', {more} }}"))
}

/// What is asked about a request.
fn question(ready: &Ready, scene: &mut Scene) -> Ask {
    match ready.on_request(&mut scene.cx()) {
        Flow::Ask(question) => match *question {
            Question::Http(ask) => *ask,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// What is said to a request when this is answered.
fn told(ready: &Ready, scene: &mut Scene, answer: Answer) -> Flow {
    question(ready, scene);
    scene.answer = Some(answer);
    ready.on_request(&mut scene.cx())
}

fn says(status: u16, fields: &[(&'static str, &str)], body: &str) -> Answer {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let body = body.as_bytes().to_vec().into();
    Answer::Http(Box::new(authority::Answer { status, headers, body, trailers: None }))
}

/// The values of a field, as the service or the client would get them.
fn values(headers: &Headers, name: &str) -> Vec<String> {
    headers.values(name.as_bytes()).map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

fn shown(ask: &Ask, name: &str) -> Vec<String> {
    let values = ask.headers.get_all(name).iter();
    values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
}

/// The values of a field of a reply.
fn replied<'r>(reply: &'r Reply, name: &str) -> Vec<&'r str> {
    reply.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| &**value).collect()
}

/// What becomes of these fields of a response on the way to the client.
fn to_client(ready: &Ready, scene: &Scene, fields: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::default();
    fields.iter().for_each(|(name, value)| headers.push(name.as_bytes(), value.as_bytes()));
    ready.on_response(&mut ResponseCx { status: 200, headers: &mut headers, state: &scene.state });
    headers
}

const SENT: &[(&str, &str)] = &[
    ("Authorization", "Bearer a"),
    ("cookie", "a=1"),
    ("cookie", "b=2"),
    ("X-User", "admin"),
    ("x-latin", "caf\u{e9}"),
    ("content-length", "100"),
    ("content-type", "application/json"),
    ("expect", "100-continue"),
    ("if-none-match", "\"etag\""),
    ("range", "bytes=0-1"),
    ("te", "trailers"),
    ("via", "1.1 edge"),
    ("x-original-url", "https://forged.test/"),
    ("x-forwarded-host", "forged.test"),
    ("x-request-id", "forged"),
];

#[test]
fn the_server_sees_the_request_and_what_the_gateway_knows() {
    let ready = over_http("timeout: 250ms, response_headers: [x-user]");
    let mut scene = Scene { client: "2001:db8::7".parse().unwrap(), ..Scene::get("/a/./b?c=%20d", SENT) };
    scene.state.https = true;
    let ask = question(&ready, &mut scene);
    assert_eq!(ask.uri, "http://auth.test:9000/verify?realm=a");
    assert!(ask.method == "GET" && ask.body.is_empty() && ask.timeout == Duration::from_millis(250));
    assert!(!ask.http2 && ask.repeatable);
    let id = scene.state.id.as_str();
    assert_eq!(id.len(), 32);
    for (name, want) in [
        ("authorization", &["Bearer a"][..]),
        ("cookie", &["a=1", "b=2"]),
        ("x-latin", &["caf\u{e9}"]),
        ("content-type", &["application/json"]),
        ("via", &["1.1 edge, 1.1 gateward"]),
        ("x-forwarded-method", &["GET"]),
        ("x-forwarded-proto", &["https"]),
        ("x-forwarded-host", &["a.test"]),
        ("x-forwarded-uri", &["/a/b?c=%20d"]),
        ("x-forwarded-for", &["2001:db8::7"]),
        ("x-original-method", &["GET"]),
        ("x-original-uri", &["/a/b?c=%20d"]),
        ("x-original-url", &["https://a.test/a/b?c=%20d"]),
        ("x-request-id", &[id]),
        // What only the server says, and what is about the connection, the body, or a copy that the client has.
        ("x-user", &[]),
        ("host", &[]),
        ("content-length", &[]),
        ("expect", &[]),
        ("te", &[]),
        ("if-none-match", &[]),
        ("range", &[]),
    ] {
        assert_eq!(shown(&ask, name), want, "{name}");
    }
    // The service still gets what the server does not see.
    assert_eq!(values(&scene.head.headers, "if-none-match"), ["\"etag\""]);
}

#[test]
fn a_list_says_what_the_server_sees() {
    let ready = over_http("request_headers: [Cookie, if-none-match, x-user], response_headers: [x-user]");
    let ask = question(&ready, &mut Scene::get("/", SENT));
    assert_eq!(shown(&ask, "cookie"), ["a=1", "b=2"]);
    assert_eq!(shown(&ask, "if-none-match"), ["\"etag\""]);
    assert_eq!(shown(&ask, "x-user"), ["admin"], "it was asked for");
    assert_eq!(shown(&ask, "x-forwarded-uri"), ["/"]);
    for name in ["authorization", "content-type", "x-latin"] {
        assert!(shown(&ask, name).is_empty(), "{name}");
    }
}

#[test]
fn a_circle_ends() {
    let ready = over_http("");
    let around = |times: usize| vec!["1.1 gateward"; times].join(", ");
    question(&ready, &mut Scene::get("/", &[("via", &around(8))]));
    let mut scene = Scene::get("/", &[("via", &around(9))]);
    assert!(matches!(ready.on_request(&mut scene.cx()), Flow::Fault(Fault::LoopDetected)));
}

#[test]
fn only_a_clear_yes_lets_pass() {
    let ready = over_http("");
    let outcome = |answer: Answer| {
        let mut scene = Scene::get("/", SENT);
        match told(&ready, &mut scene, answer) {
            Flow::Continue => (0, ""),
            Flow::Reply(reply) => (reply.status, scene.state.stopped_by.unwrap().1),
            Flow::Fault(fault) => (fault.status(), fault.code()),
            other => panic!("{other:?}"),
        }
    };
    for status in [200, 204, 299] {
        assert_eq!(outcome(says(status, &[], "body")), (0, ""), "{status}");
    }
    for status in [300, 302, 307, 400, 401, 403, 404, 429, 499] {
        assert_eq!(outcome(says(status, &[], "body")), (status, "denied"));
    }
    for status in [0, 101, 199, 304, 500, 502, 503, 599, 600, 999] {
        assert_eq!(outcome(says(status, &[], "body")), (503, "authority-unavailable"), "{status}");
    }
    assert_eq!(outcome(Answer::Nothing("no answer in time".to_owned())), (503, "authority-unavailable"));
    assert_eq!(outcome(Answer::Password(true)), (503, "authority-unavailable"));
}

#[test]
fn a_no_is_what_the_client_gets() {
    let ready = over_http("response_headers: [x-user], client_headers: [x-seen]");
    let fields = [
        ("content-type", "text/html"),
        ("www-authenticate", "Bearer realm=\"a\""),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("x-user", "me"),
        ("connection", "close, x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("content-length", "2"),
        ("trailer", "x-t"),
        ("proxy-authenticate", "Basic"),
        ("upgrade", "h2c"),
        ("date", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("server", "auth"),
        ("via", "1.1 auth"),
    ];
    let mut scene = Scene::get("/", SENT);
    let Flow::Reply(reply) = told(&ready, &mut scene, says(401, &fields, "no")) else { panic!() };
    assert_eq!((reply.status, &*reply.body), (401, &b"no"[..]));
    let names: Vec<&str> = reply.headers.iter().map(|(name, _)| &**name).collect();
    let want = ["content-type", "www-authenticate", "set-cookie", "set-cookie", "x-user", "cache-control"];
    assert_eq!(names, want);
    assert_eq!(replied(&reply, "set-cookie"), ["a=1", "b=2"]);
    assert_eq!(replied(&reply, "cache-control"), ["no-store"]);
    assert_eq!(scene.state.stopped_by, Some(("forward_auth", "denied")));

    let login = [("location", "https://login.test/?rd=/"), ("cache-control", "private")];
    let Flow::Reply(reply) = told(&ready, &mut Scene::get("/", &[]), says(302, &login, "")) else { panic!() };
    assert_eq!(replied(&reply, "location"), ["https://login.test/?rd=/"]);
    assert_eq!(replied(&reply, "cache-control"), ["private"], "the server says how");
}

#[test]
fn the_service_is_told_by_the_server_alone() {
    let ready = over_http("response_headers: [X-User, x-groups, authorization, x-user, cookie]");
    let spoofed = [
        ("x-user", "admin"),
        ("X.User", "admin"),
        ("x-groups", "root"),
        ("x-other", "stays"),
        ("authorization", "Basic a"),
        ("cookie", "session=1"),
    ];
    let mut scene = Scene::get("/", &spoofed);
    let ask = question(&ready, &mut scene);
    assert!(shown(&ask, "x-user").is_empty() && shown(&ask, "x.user").is_empty());
    assert_eq!(shown(&ask, "authorization"), ["Basic a"], "it is what the server judges");
    let fields = [
        ("x-user", "me"),
        ("x-groups", "a"),
        ("x-groups", "b"),
        ("authorization", "Bearer t"),
        ("x-unnamed", "1"),
    ];
    scene.answer = Some(says(200, &fields, ""));
    assert!(matches!(ready.on_request(&mut scene.cx()), Flow::Continue));
    for (name, want) in [
        ("x-user", &["me"][..]),
        ("x.user", &[]),
        ("x-groups", &["a", "b"]),
        ("authorization", &["Bearer t"]),
        ("cookie", &[]),
        ("x-unnamed", &[]),
        ("x-other", &["stays"]),
    ] {
        assert_eq!(values(&scene.head.headers, name), want, "{name}");
    }

    let mut scene = Scene::get("/", &spoofed);
    assert!(matches!(told(&ready, &mut scene, says(204, &[], "")), Flow::Continue));
    let left: Vec<&[u8]> = scene.head.headers.iter().map(|(name, _)| name).collect();
    assert_eq!(left, [&b"host"[..], b"x-other"], "nothing is said, and nothing is left of what was claimed");

    // Other routes remove the same names, but not what has a meaning there.
    assert_eq!(ready.told_fields(), [&b"x-groups"[..], b"x-user"]);
    let asked_for = over_http("request_headers: [x-user], response_headers: [x-user, x-groups]");
    assert_eq!(asked_for.told_fields(), [b"x-groups"]);
    let policy = Policy::ForwardAuth(asked_for);
    assert_eq!(policy.told_fields(), [b"x-groups"]);
}

#[test]
fn the_client_gets_what_is_meant_for_it() {
    let ready = over_http("client_headers: [set-cookie, x-expires]");
    let fields = [
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("x-expires", "60"),
        ("x-expires", "61"),
        ("x-other", "1"),
    ];
    let mut scene = Scene::get("/", &[]);
    assert!(matches!(told(&ready, &mut scene, says(200, &fields, "")), Flow::Continue));
    let headers = to_client(&ready, &scene, &[("set-cookie", "own=1"), ("x-expires", "forever")]);
    assert_eq!(values(&headers, "set-cookie"), ["own=1", "a=1", "b=2"]);
    assert_eq!(values(&headers, "x-expires"), ["60", "61"]);
    assert!(values(&headers, "x-other").is_empty());
    assert!(values(&scene.head.headers, "set-cookie").is_empty(), "the service does not get it");

    scene.state.clear();
    assert!(to_client(&ready, &scene, &[]).is_empty(), "the next request has nothing of it");
    assert!(matches!(told(&ready, &mut scene, says(200, &[], "")), Flow::Continue));
    assert!(to_client(&ready, &scene, &[]).is_empty());
}

#[test]
fn in_a_chain_it_comes_after_those_who_know_callers() {
    let mobile = NewConsumer {
        name: "mobile".into(),
        groups: vec!["apps".into()],
        api_keys: vec![NewKey { digest: digest_of(b"key"), expires: None, name: None }],
        ..NewConsumer::default()
    };
    let consumers = Arc::new(Consumers::new(&[mobile]));
    let settings = "{ url: 'http://auth.test/', response_headers: x-user }";
    let policies = [("forward_auth", settings), ("authorize", "{ any: { group: apps } }"), ("api_key", "{}")];
    let chain = chain(&policies, &consumers);
    let kinds: Vec<&str> = chain.links().iter().map(|link| link.policy.kind().name).collect();
    assert_eq!(kinds, ["api_key", "authorize", "forward_auth"]);

    let mut scene = Scene { consumers: Arc::clone(&consumers), ..Scene::get("/", &[("x-api-key", "key")]) };
    let mut asked = 0;
    let mut yes = || {
        asked += 1;
        says(200, &[("x-user", "me")], "")
    };
    assert!(scene.run(&chain, &mut yes).is_none());
    assert_eq!(values(&scene.head.headers, "x-user"), ["me"]);
    assert_eq!(asked, 1);

    let mut scene = Scene { consumers, ..Scene::get("/", &[("x-api-key", "wrong")]) };
    let reply = scene.run(&chain, || panic!("it is not asked about who is not known")).unwrap();
    assert_eq!(reply.status, 401);
}

#[test]
fn mistakes_are_reported() {
    let url = "url: 'http://auth/'";
    let cache = "cache: { by: authorization, ttl: 10s }";
    for (settings, code, want) in [
        ("{}".to_owned(), Code::MissingKey, "has nobody to ask"),
        (format!("{{ {url}, grpc: 'http://auth' }}"), Code::ConflictingKeys, "over HTTP or over gRPC"),
        ("{ url: 'auth:9000' }".to_owned(), Code::InvalidUrl, "`auth:9000`"),
        ("{ url: 'ftp://auth/' }".to_owned(), Code::InvalidUrl, "`ftp://auth/`"),
        ("{ url: 'http://me:secret@auth/' }".to_owned(), Code::InvalidUrl, "no URL"),
        ("{ grpc: 'http://auth/verify' }".to_owned(), Code::InvalidUrl, "without a path"),
        ("{ grpc: 'http://auth?a' }".to_owned(), Code::InvalidUrl, "without a path"),
        (
            "{ grpc: 'http://auth', client_headers: x-a }".to_owned(),
            Code::ConflictingKeys,
            "the server itself",
        ),
        (format!("{{ {url}, timeout: 0s }}"), Code::InvalidValue, "in no time"),
        (format!("{{ {url}, request_headers: [te] }}"), Code::InvalidHeader, "`te`"),
        (format!("{{ {url}, request_headers: [x_user] }}"), Code::InvalidHeader, "`x_user`"),
        (format!("{{ {url}, request_headers: [host] }}"), Code::InvalidHeader, "`host`"),
        (format!("{{ {url}, request_headers: ['a b'] }}"), Code::InvalidHeader, "`a b`"),
        (format!("{{ {url}, response_headers: [content-length] }}"), Code::InvalidHeader, "`content-length`"),
        (
            format!("{{ {url}, response_headers: [X-Forwarded-For] }}"),
            Code::InvalidHeader,
            "`X-Forwarded-For`",
        ),
        (
            format!("{{ {url}, response_headers: [x-forwarded-user] }}"),
            Code::InvalidHeader,
            "`x-forwarded-user`",
        ),
        (
            format!("{{ {url}, response_headers: [x-consumer-groups] }}"),
            Code::InvalidHeader,
            "`x-consumer-groups`",
        ),
        (format!("{{ {url}, response_headers: [x_user] }}"), Code::InvalidHeader, "`x_user`"),
        (format!("{{ {url}, client_headers: [server] }}"), Code::InvalidHeader, "`server`"),
        (format!("{{ {url}, client_headers: [connection] }}"), Code::InvalidHeader, "`connection`"),
        (format!("{{ {url}, cache: {{ by: cookie, ttl: 500ms }} }}"), Code::InvalidValue, "whole seconds"),
        (format!("{{ {url}, cache: {{ by: cookie, ttl: 0s }} }}"), Code::InvalidValue, "whole seconds"),
        (format!("{{ {url}, cache: {{ ttl: 1s }} }}"), Code::MissingKey, "`by`"),
        (
            format!("{{ {url}, request_headers: cookie, {cache} }}"),
            Code::InvalidValue,
            "does not see `authorization`",
        ),
        (
            format!("{{ {url}, response_headers: x-key, cache: {{ by: X-Key, ttl: 1s }} }}"),
            Code::InvalidValue,
            "does not see `X-Key`",
        ),
    ] {
        let mistakes = policy("forward_auth", &settings, &Arc::default()).unwrap_err();
        let [(found, message)] = &mistakes[..] else { panic!("{settings}: {mistakes:?}") };
        assert!(*found == code && message.contains(want), "{settings}: {found} {message}");
    }
}

//! Envoy's protocol: what the server is asked, and what its answers do.

use authority::ext_authz::{CheckFacts, Peer, encode_check};
use message::{ClientCertificate, Encryption};

use super::*;

fn over_grpc(more: &str) -> Ready {
    ready(&format!("{{ grpc: 'http://auth.test:9001', {more} }}"))
}

/// A field that holds bytes, by its number in the `.proto`.
fn field(number: u8, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let len = u8::try_from(content.len()).unwrap();
    let len = if len < 128 { vec![len] } else { vec![len | 0x80, 1] };
    [&[number << 3 | 2], &len[..], content].concat()
}

/// A `HeaderValueOption`; the numbers of `HeaderAppendAction` are 0 to 3.
fn option(name: &str, value: &str, action: u8) -> Vec<u8> {
    let header = field(1, [field(1, name), field(2, value)].concat());
    [header, vec![3 << 3, action]].concat()
}

/// An answer that consists of this message.
fn call(message: &[u8]) -> Answer {
    let mut body = vec![0];
    body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    body.extend(message);
    let Answer::Http(answer) = says(200, &[("content-type", "application/grpc")], "") else { panic!() };
    let trailers =
        HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
    Answer::Http(Box::new(authority::Answer { body: body.into(), trailers: Some(trailers), ..*answer }))
}

/// A permission with these fields of `OkHttpResponse`.
fn permit(fields: &[Vec<u8>]) -> Answer {
    let fields: Vec<u8> = fields.concat();
    // Longer than what `field` can write.
    let length = [(fields.len() & 0x7f) as u8 | 0x80, (fields.len() >> 7) as u8];
    call(&[&field(1, [])[..], &[3 << 3 | 2], &length, &fields].concat())
}

#[test]
fn the_server_is_asked_as_envoy_asks() {
    let ready = over_grpc("timeout: 1500ms, response_headers: x-user");
    let certificate = ClientCertificate {
        subject: "CN=a".into(),
        names: vec!["DNS:a.test".into(), "URI:spiffe://a/b".into()],
        fingerprint: "00".into(),
        not_after: u64::MAX,
    };
    let encryption = Encryption { certificate: Some(certificate), ..Encryption::default() };
    let mut scene = Scene { encryption: Some(encryption), ..Scene::get("/a?b=c", &SENT[..4]) };
    scene.state.id.adopt(b"id-1");
    let facts = CheckFacts {
        source: Peer { address: Some("127.0.0.1:0".parse().unwrap()), principal: "spiffe://a/b" },
        id: "id-1",
        method: "GET",
        path: "/a?b=c",
        host: "a.test",
        scheme: "https",
        protocol: "HTTP/1.1",
        size: Some(100),
        headers: &[("authorization", b"Bearer a"), ("cookie", b"a=1"), ("cookie", b"b=2")],
        ..CheckFacts::default()
    };
    let ask = question(&ready, &mut scene);
    assert_eq!(ask.body, encode_check(&facts));
    assert_eq!(ask.uri, "http://auth.test:9001/envoy.service.auth.v3.Authorization/Check");
    assert!(ask.http2 && ask.timeout == Duration::from_millis(1500));
    assert_eq!(
        (shown(&ask, "grpc-timeout"), shown(&ask, "via")),
        (vec!["1500m".into()], vec!["1.1 gateward".into()])
    );

    // The certificate is that of the proxy, not of the client.
    scene.trusted_peer = true;
    scene.body_length = None;
    let source = Peer { principal: "", ..facts.source };
    assert_eq!(question(&ready, &mut scene).body, encode_check(&CheckFacts { source, size: None, ..facts }));
}

#[test]
fn a_permission_changes_what_it_may() {
    let ready = over_grpc("response_headers: x-claimed");
    let mut scene = Scene::get(
        "/a?keep=1&token=2&set=3",
        &[
            ("x-user", "admin"),
            ("x.user", "admin"),
            ("x-claimed", "1"),
            ("x-list", "a"),
            ("x-there", "old"),
            ("authorization", "Bearer a"),
            ("x-consumer", "mobile"),
            ("x-forwarded-proto", "https"),
            ("content-length", "100"),
        ],
    );
    let set = |name, value, action| field(2, option(name, value, action));
    let answer = permit(&[
        set("X-User", "me", 2),
        set("x-list", "b", 0),
        set("x-there", "new", 3),
        set("x-absent", "1", 3),
        set("x-there", "newer", 1),
        set("x-fresh", "1", 1),
        field(2, field(1, [field(1, "x-list"), field(2, "c")].concat())),
        // What is not for a server to say.
        set("host", "evil.test", 2),
        set("content-length", "0", 2),
        set("transfer-encoding", "chunked", 2),
        set("connection", "close", 2),
        set("x-forwarded-for", "10.0.0.1", 2),
        set("x-forwarded-anything", "1", 2),
        set("x-real-ip", "10.0.0.1", 2),
        set("x-consumer-groups", "root", 2),
        set("x_user", "root", 2),
        set("x-client-cert-subject", "CN=root", 2),
        field(5, "Authorization"),
        field(5, "x-consumer"),
        field(5, "x-forwarded-proto"),
        field(5, "content-length"),
        field(6, option("set-cookie", "s=1", 0)),
        field(6, option("x-seen", "1", 2)),
        field(6, option("content-length", "0", 2)),
        field(6, option("server", "auth", 2)),
        field(7, [field(1, "set"), field(2, "a b&c")].concat()),
        field(8, "token"),
    ]);
    assert!(matches!(told(&ready, &mut scene, answer), Flow::Continue));
    let mut fields: Vec<String> = scene
        .head
        .headers
        .iter()
        .map(|(name, value)| format!("{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)))
        .collect();
    fields.sort();
    assert_eq!(
        fields,
        [
            "content-length: 100",
            "host: a.test",
            "x-consumer: mobile",
            "x-forwarded-proto: https",
            "x-fresh: 1",
            "x-list: c",
            "x-there: new",
            "x-user: me",
        ]
    );
    assert_eq!((scene.head.path(), scene.head.query()), (&b"/a"[..], Some(&b"keep=1&set=a+b%26c"[..])));
    let headers =
        to_client(&ready, &scene, &[("set-cookie", "own=1"), ("x-seen", "0"), ("content-length", "9")]);
    for (name, want) in [
        ("set-cookie", &["own=1", "s=1"][..]),
        ("x-seen", &["1"]),
        ("content-length", &["9"]),
        ("server", &[]),
    ] {
        assert_eq!(values(&headers, name), want, "{name}");
    }
}

#[test]
fn a_refusal_is_what_the_client_gets() {
    let ready = over_grpc("");
    let denied = |fields: &[Vec<u8>]| call(&[field(1, [8, 7]), field(2, fields.concat())].concat());
    let reply = |answer| match told(&ready, &mut Scene::get("/", &[]), answer) {
        Flow::Reply(reply) => reply,
        other => panic!("{other:?}"),
    };
    let full = denied(&[
        field(1, [8, 0x91, 0x03]),
        field(2, option("www-authenticate", "Bearer", 0)),
        field(2, option("content-length", "1", 0)),
        field(2, option("connection", "x-hop", 0)),
        field(2, option("x-hop", "1", 0)),
        field(3, "no entry"),
    ]);
    let full = reply(full);
    assert_eq!((full.status, &*full.body), (401, &b"no entry"[..]));
    let names: Vec<&str> = full.headers.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["www-authenticate", "cache-control", "content-type"]);
    let plain = reply(call(&field(1, [8, 7])));
    assert_eq!((plain.status, plain.body.len()), (403, 0));
    assert!(replied(&plain, "content-type").is_empty());
}

#[test]
fn what_is_no_decision_lets_nobody_pass() {
    let ready = over_grpc("cache: { by: cookie, ttl: 10s }");
    let Answer::Http(good) = call(&field(1, [])) else { panic!() };
    let failed =
        HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from_static("14"))]);
    for answer in [
        Answer::Nothing("no answer in time".to_owned()),
        says(200, &[], ""),
        says(403, &[], ""),
        call(&[]),
        call(b"\xff"),
        Answer::Http(Box::new(authority::Answer { status: 204, ..(*good).clone() })),
        Answer::Http(Box::new(authority::Answer { trailers: None, ..(*good).clone() })),
        Answer::Http(Box::new(authority::Answer { trailers: Some(failed), ..*good })),
    ] {
        let flow = told(&ready, &mut Scene::get("/", &[("cookie", "a=1")]), answer);
        assert!(matches!(flow, Flow::Fault(Fault::AuthorityUnavailable)), "{flow:?}");
    }
    let mut scene = Scene::get("/", &[("cookie", "a=1")]);
    assert!(matches!(told(&ready, &mut scene, call(&field(1, []))), Flow::Continue));
    assert!(matches!(ready.on_request(&mut scene.cx()), Flow::Continue), "it is remembered");
}

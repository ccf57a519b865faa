//! What is taken down of a request, on snapshots made by hand. The policies are tested end to end.

use std::sync::Arc;
use std::time::Duration;

use router::{Builder, Match, PathPattern};
use snapshot::{
    Admin, Endpoint, EndpointHost, ListenerLimits, ListenerTimeouts, Piece, Redirect, ServiceIndex, Split,
    Target, Template, TrustedProxies,
};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn service(name: &str) -> Service {
    let host = EndpointHost::Address([10, 0, 0, 1].into());
    let endpoint = Endpoint { host, port: 80, weight: 1, is_local: false, authority: "10.0.0.1".into() };
    Service::plain(name, vec![endpoint])
}

fn listener() -> Listener {
    Listener {
        address: ([127, 0, 0, 1], 8080).into(),
        protocols: snapshot::Protocols { http1: true, http2: true, http3: false },
        tls: None,
        acme: None,
        proxy_protocol: false,
        client_certificates: snapshot::ClientCertificates::Unasked,
        forwards_certificates: false,
        redirect_https: None,
        limits: ListenerLimits {
            connections: 1,
            header_bytes: 4096,
            headers: 10,
            streams: 100,
            uri: 1024,
            min_rate: 0,
        },
        timeouts: ListenerTimeouts { header: SECOND, idle: SECOND, body: SECOND, send: SECOND },
    }
}

fn forward(weights: &[u32]) -> Action {
    let target = |(position, weight): (usize, &u32)| Target {
        service: ServiceIndex(position),
        weight: *weight,
        chain: Chain::default(),
    };
    let split = Split::new(weights.iter().enumerate().map(target).collect(), None).unwrap();
    Action::Forward { split, rewrite: None, mirror: None }
}

fn snapshot(routes: Vec<(&str, Action)>) -> Snapshot {
    let mut builder = Builder::new();
    for ((path, _), index) in routes.iter().zip(0..) {
        let path = Some(PathPattern::parse(path).unwrap());
        builder.add(RouteIndex(index), Match { path, ..Match::default() });
    }
    let routes = routes.into_iter().map(|(name, action)| {
        Arc::new(Route {
            name: name.into(),
            action,
            timeout: None,
            importance: balance::Importance::Normal,
            canary: None,
            grpc_web: false,
            connect: false,
            consumers: Arc::default(),
            reserved: Arc::default(),
            source: Default::default(),
        })
    });
    Snapshot {
        overload: snapshot::Overload::default(),
        state: None,
        state_dir: None,
        listeners: vec![listener()],
        router: builder.build(),
        routes: routes.collect(),
        gateway: Chain::default(),
        consumers: Arc::default(),
        reserved: Arc::default(),
        providers: Arc::default(),
        services: vec![service("a"), service("b")],
        trusted_proxies: TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]),
        workers: None,
        delay: SECOND,
        drain: SECOND,
        admin: Admin { address: None, token: None, explicit: false },
        access_log: None,
        name_servers: Vec::new(),
        acme: snapshot::AcmeShared::default(),
    }
}

fn ask<'s>(head: &str, peer: [u8; 4], snapshot: &'s Snapshot) -> Explanation<'s> {
    let head = format!("{head}\r\nHost: A.test\r\n\r\n");
    let listener = listener();
    explain(
        &Question {
            head: head.as_bytes(),
            listener: &listener,
            peer: peer.into(),
            server_name: None,
            supposed: None,
            now: 0,
        },
        snapshot,
    )
}

fn ways<'e, 's>(explanation: &'e Explanation<'s>) -> &'e [Way<'s>] {
    match &explanation.next {
        Next::Ways(ways) => ways,
        other => panic!("it takes no route: {other:?}"),
    }
}

fn answer<'e>(explanation: &'e Explanation<'_>) -> &'e Answer {
    match &explanation.next {
        Next::Ways(ways) => match &ways[..] {
            [Way { end: End::Answer(answer), .. }] => answer,
            other => panic!("it is not answered: {other:?}"),
        },
        Next::Answer(answer) | Next::Ambiguous(answer, _) => answer,
    }
}

fn upstream<'e>(way: &'e Way<'_>) -> &'e Upstream {
    match &way.end {
        End::Forward(upstream) => upstream,
        other => panic!("it is not forwarded: {other:?}"),
    }
}

#[test]
fn fields_are_told_apart_by_who_changed_them() {
    let snapshot = snapshot(vec![("/*", forward(&[1]))]);
    let head = "GET /a HTTP/1.1\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-Forwarded-For: 6.6.6.6\r\nx_id: 1\r\n\
                Accept: x";
    let explanation = ask(head, [127, 0, 0, 1], &snapshot);
    let upstream = upstream(&ways(&explanation)[0]);
    assert_eq!((&*upstream.target, &*upstream.host), ("/a", "a.test"));
    let causes: Vec<(&str, Cause)> =
        upstream.changes.iter().map(|change| (change.name.as_str(), change.cause)).collect();
    for wanted in [
        ("connection", Cause::Connection),
        ("x-hop", Cause::Connection),
        ("x_id", Cause::Underscore),
        ("x-forwarded-for", Cause::Gateway),
        ("host", Cause::Gateway),
        ("via", Cause::Gateway),
        ("x-forwarded-proto", Cause::Gateway),
        ("x-forwarded-host", Cause::Gateway),
    ] {
        assert!(causes.contains(&wanted), "{wanted:?} is not in {causes:?}");
    }
    assert!(!causes.iter().any(|(name, _)| *name == "accept"), "{causes:?}");

    let explanation = ask("GET /a HTTP/1.1\r\nX-Real-IP: 6.6.6.6", [127, 0, 0, 1], &snapshot);
    let real = upstream_change(&explanation, "x-real-ip");
    assert_eq!((real.cause, real.after.len()), (Cause::Untrusted, 0));
    let explanation = ask("GET /a HTTP/1.1\r\nX-Forwarded-For: 6.6.6.6", [10, 0, 0, 1], &snapshot);
    assert_eq!(explanation.understood.as_ref().unwrap().client.to_string(), "6.6.6.6");
    assert_eq!(upstream_change(&explanation, "x-forwarded-for").after, ["6.6.6.6, 10.0.0.1"]);
}

fn upstream_change(explanation: &Explanation<'_>, name: &str) -> Change {
    let changes = &upstream(&ways(explanation)[0]).changes;
    changes.iter().find(|change| change.name == name).unwrap_or_else(|| panic!("{changes:?}")).clone()
}

#[test]
fn every_way_of_a_split_is_followed() {
    let snapshot = snapshot(vec![("/*", forward(&[90, 10]))]);
    let explanation = ask("GET / HTTP/1.1", [127, 0, 0, 1], &snapshot);
    let shares: Vec<_> =
        ways(&explanation).iter().map(|way| (&*way.service.unwrap().name, way.share)).collect();
    assert_eq!(shares, [("a", (90, 100)), ("b", (10, 100))]);
    assert_eq!(upstream(&ways(&explanation)[0]), upstream(&ways(&explanation)[1]));
}

#[test]
fn what_is_answered_says_who_decided() {
    let to = Template { pieces: [Piece::Literal((*b"/new").into())].into() };
    let redirect = Action::Redirect { redirect: Redirect { to, status: 308 }, chain: Chain::default() };
    let guarded = Action::Respond { reply: Arc::new(Reply::status(403)), chain: Chain::default() };
    let routes = vec![("/old", redirect), ("/admin/*", guarded), ("/files/*", forward(&[1]))];
    let snapshot = snapshot(routes);
    for (head, by, status, code) in [
        ("GET /old HTTP/1.1", Decider::Route, 308, None),
        ("GET /admin/x HTTP/1.1", Decider::Route, 403, None),
        ("GET /nowhere HTTP/1.1", Decider::Routing, 404, Some("no-route")),
        ("GET /files/%2fadmin/..%2fx HTTP/1.1", Decider::Routing, 400, Some("ambiguous-path")),
        ("OPTIONS * HTTP/1.1", Decider::Gateway, 204, None),
        ("GET /x HTTP/1.1\r\nBad Name: x", Decider::Reading, 400, Some("bad-header")),
        ("GET x HTTP/1.1", Decider::Normalizing, 400, Some("bad-target")),
        ("GET /x HTTP/1.1\r\nHost: b", Decider::Normalizing, 400, Some("bad-host")),
        ("TRACE /x HTTP/1.1", Decider::Normalizing, 501, Some("method-not-implemented")),
        ("GET /files/x HTTP/1.1\r\nVia: 1.1 gateward", Decider::Preparing, 508, Some("loop-detected")),
    ] {
        let head = match by {
            Decider::Preparing => head.replace("gateward", &["gateward"; 9].join(", 1.1 ")),
            _ => head.to_owned(),
        };
        let explanation = ask(&head, [127, 0, 0, 1], &snapshot);
        let answer = answer(&explanation);
        let fault = answer.fault.map(Fault::code);
        assert_eq!((answer.by, answer.status, fault), (by, status, code), "{head}");
        assert!(answer.fields.contains(&("server".to_owned(), "gateward".to_owned())), "{head}");
    }
    let too_large = format!("GET /{} HTTP/1.1", "x".repeat(2000));
    assert_eq!(answer(&ask(&too_large, [127, 0, 0, 1], &snapshot)).fault, Some(Fault::UriTooLong));
}

#[test]
fn another_reading_of_a_path_is_named() {
    let guarded = Action::Respond { reply: Arc::new(Reply::status(403)), chain: Chain::default() };
    let snapshot = snapshot(vec![("/files/admin/*", guarded), ("/files/*", forward(&[1]))]);
    let explanation = ask("GET /files/admin%2Fx HTTP/1.1", [127, 0, 0, 1], &snapshot);
    let Next::Ambiguous(_, Reading::Path(path, route)) = &explanation.next else {
        panic!("{:?}", explanation.next)
    };
    assert_eq!((&**path, &*route.name), ("/files/admin/x", "/files/admin/*"));
}

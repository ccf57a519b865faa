//! Who shares a limit, what is charged and taken back, and what clients are told. How limits count is tested in `limits`.

use std::sync::Arc;
use std::time::Duration;

use message::ResponseHead;

use crate::scene::{Scene, chain, policy};
use crate::{Answer, Chain, Consumers, NewConsumer, NewKey, ResponseCx, digest_of};

fn consumers() -> Arc<Consumers> {
    let one = |name: &str| NewConsumer {
        name: name.into(),
        api_keys: vec![NewKey { digest: digest_of(name.as_bytes()), expires: None, name: None }],
        ..NewConsumer::default()
    };
    Arc::new(Consumers::new(&[one("a"), one("b")]))
}

/// Requests to one chain, one after the other.
struct Client {
    chain: Chain,
    consumers: Arc<Consumers>,
    passed: Duration,
    begin: std::time::Instant,
}

impl Client {
    fn new(settings: &str) -> Client {
        let consumers = consumers();
        let policies = [("api_key", "{}"), ("auth", "{ anonymous: allow }"), ("rate_limit", settings)];
        let chain = chain(&policies, &consumers);
        Client { chain, consumers, passed: Duration::from_secs(1000), begin: std::time::Instant::now() }
    }

    fn ask(&self, fields: &[(&str, &str)], change: impl FnOnce(&mut Scene)) -> (u16, Scene) {
        let mut scene = Scene { consumers: Arc::clone(&self.consumers), ..Scene::get("/x?tenant=t", fields) };
        scene.at = self.begin + self.passed;
        change(&mut scene);
        let reply = scene.run(&self.chain, || -> Answer { panic!("nobody is asked") });
        (reply.map_or(200, |reply| reply.status), scene)
    }

    /// How many of ten pass.
    fn passes(&self, fields: &[(&str, &str)], change: impl Fn(&mut Scene)) -> usize {
        (0..10).filter(|_| self.ask(fields, &change).0 == 200).count()
    }

    /// The fields of the answer, where the service has set these.
    fn answered(&self, scene: &Scene, fields: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut head = ResponseHead::default();
        fields.iter().for_each(|(name, value)| head.headers.push(name.as_bytes(), value.as_bytes()));
        let mut cx = ResponseCx { status: 200, headers: &mut head.headers, state: &scene.state };
        self.chain.settle(&mut cx);
        self.chain.run_response(&mut cx);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        head.headers.iter().map(|(name, value)| (text(name), text(value))).collect()
    }
}

fn unchanged(_: &mut Scene) {}

#[test]
fn everybody_has_a_limit_of_their_own_and_nobody_has_none() {
    let from = |address: &'static str| move |scene: &mut Scene| scene.client = address.parse().unwrap();
    let client = Client::new("3/min");
    assert_eq!(client.passes(&[("x-api-key", "a")], unchanged), 3);
    assert_eq!(client.passes(&[("x-api-key", "b")], from("192.0.2.9")), 3, "each consumer");
    assert_eq!(client.passes(&[], from("192.0.2.1")), 3, "without one each address");
    assert_eq!(client.passes(&[], from("::ffff:192.0.2.1")), 0, "the same one");
    assert_eq!(client.passes(&[], from("2001:db8::1")), 3);
    assert_eq!(client.passes(&[], from("2001:db8::ffff:1:2:3")), 0, "the same network");
    assert_eq!(client.passes(&[], from("2001:db8:0:1::1")), 3);

    let client = Client::new("{ limit: 3/min, by: 'header:X-Tenant' }");
    assert_eq!(client.passes(&[("x-tenant", "t")], unchanged), 3);
    assert_eq!(client.passes(&[("X-TENANT", "t")], from("192.0.2.1")), 0, "whoever says so");
    assert_eq!(client.passes(&[("x-tenant", "T")], unchanged), 3);
    assert_eq!(client.passes(&[("x-tenant", "t"), ("x-tenant", "u")], unchanged), 3);
    assert_eq!(client.passes(&[("x-tenant", "t"), ("x-tenant", "u")], unchanged), 0);
    assert_eq!(client.passes(&[], unchanged), 3, "absent: the address");
    assert_eq!(client.passes(&[("x-tenant", "")], unchanged), 0, "empty: likewise");
    assert_eq!(client.passes(&[("x-tenant", &"x".repeat(64_000))], unchanged), 3);
    assert_eq!(client.passes(&[("x-tenant", &"x".repeat(64_000))], unchanged), 0);
}

#[test]
fn limits_go_by_what_is_named() {
    let change = |at: usize| {
        move |scene: &mut Scene| match at {
            1 => scene.route = "other",
            2 => scene.client = "192.0.2.7".parse().unwrap(),
            _ => {}
        }
    };
    let tenant = [("x-api-key", "a"), ("cookie", "sid=1")];
    let other = [("x-api-key", "b"), ("cookie", "sid=2")];
    for (by, shared) in [
        // With another route, another address, another caller with another cookie.
        ("consumer", [true, true, false]),
        ("client_ip", [true, false, true]),
        ("route", [false, true, true]),
        ("'query:tenant'", [true, true, true]),
        ("'cookie:sid'", [true, true, false]),
        ("[route, consumer]", [false, true, false]),
        ("'cel:request.method + request.host'", [true, true, true]),
        ("'cel:identity.consumer + \"x\"'", [true, true, false]),
        ("'cel:request.headers[\"missing\"]'", [true, false, true]),
        ("'claim:sub'", [true, false, true]),
    ] {
        for (at, shared) in (1..).zip(shared) {
            let client = Client::new(&format!("{{ limit: 3/min, by: {by} }}"));
            assert_eq!(client.passes(&tenant, unchanged), 3, "{by}");
            let fields = if at == 3 { other } else { tenant };
            let expected = if shared { 0 } else { 3 };
            assert_eq!(client.passes(&fields, change(at)), expected, "{by} {at}");
        }
    }
}

#[test]
fn a_request_is_charged_to_all_limits_or_to_none() {
    let client =
        Client::new("[{ limit: [100/h, 5/min], by: client_ip }, { limit: 3/min, by: 'header:x-tenant' }]");
    for tenant in ["t", "u", "v"] {
        let passed = client.passes(&[("x-tenant", tenant)], unchanged);
        assert_eq!(
            passed,
            if tenant == "t" {
                3
            } else if tenant == "u" {
                2
            } else {
                0
            },
            "{tenant}"
        );
    }
    // Those that one limit has refused were not charged to the other ones.
    let (status, scene) = client.ask(&[("x-tenant", "w")], unchanged);
    assert_eq!((status, scene.state.stopped_by), (429, Some(("rate_limit", "limited"))));
    let client = Client { passed: client.passed + Duration::from_secs(70), ..client };
    assert_eq!(client.passes(&[("x-tenant", "x")], unchanged), 3);
    assert_eq!(client.passes(&[("x-tenant", "y")], unchanged), 2);
}

#[test]
fn clients_are_told_how_their_limit_stands() {
    let client = Client::new("[{ limit: 5/min }, { limit: 100/h, burst: 50, by: client_ip }]");
    let (_, scene) = client.ask(&[("x-api-key", "a")], unchanged);
    let told = client.answered(&scene, &[("ratelimit", "forged"), ("x", "y")]);
    let own =
        |name: &str| told.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect::<Vec<_>>();
    assert_eq!(own("ratelimit-policy"), ["\"default\";q=5;w=60"]);
    let level = own("ratelimit");
    assert!(level.len() == 1 && level[0].starts_with("\"default\";r=4;t="), "{told:?}");
    let mut refused = Vec::new();
    for _ in 0..5 {
        let mut scene =
            Scene { consumers: Arc::clone(&client.consumers), ..Scene::get("/", &[("x-api-key", "a")]) };
        scene.at = client.begin + client.passed;
        refused.extend(scene.run(&client.chain, || -> Answer { panic!("nobody is asked") }));
    }
    let [reply] = &refused[..] else { panic!("{refused:?}") };
    let seconds = reply.retry_after.unwrap();
    assert!((60..=68).contains(&seconds), "{seconds}");
    let mut body = Vec::new();
    reply.push_body(b"id", &mut body);
    assert!(String::from_utf8_lossy(&body).contains("\"code\":\"rate-limited\""));
    let quiet = Client::new("{ limit: 5/min, headers: false }");
    let (_, scene) = quiet.ask(&[], unchanged);
    assert_eq!(quiet.answered(&scene, &[("x", "y")]).len(), 1);
}

#[test]
fn a_service_says_what_a_request_has_cost() {
    let client = Client::new("{ limit: 10/min, cost: { response_header: X-Cost } }");
    let spend = |cost: &str| {
        let (status, scene) = client.ask(&[], unchanged);
        client.answered(&scene, &[("x-cost", cost)]);
        status
    };
    // 4, none, 1 (it cannot be read), and then a debt.
    assert_eq!(
        [spend("4"), spend("0"), spend("much"), spend("4"), spend("1"), spend("1")],
        [200, 200, 200, 200, 200, 429]
    );
    let fixed = Client::new("{ limit: 10/min, cost: 4 }");
    assert_eq!(fixed.passes(&[], unchanged), 2);
}

#[test]
fn what_is_tried_only_lets_everybody_through() {
    let client = Client::new("{ limit: 1/min, mode: dry_run }");
    let reasons: Vec<_> = (0..3)
        .map(|_| client.ask(&[], unchanged))
        .map(|(status, scene)| (status, scene.state.tried))
        .collect();
    let would = Some(("rate_limit", "dry_run"));
    assert_eq!(reasons, [(200, None), (200, would), (200, would)]);
}

#[test]
fn mistakes_are_reported() {
    for (settings, want) in [
        ("{}", "`limit` is missing"),
        ("lots", "no rate"),
        ("100/fortnight", "units are"),
        ("0/s", "from 1 to"),
        ("[]", "empty"),
        ("{ limit: 1/s, burst: 0 }", "burst of 0"),
        ("{ limit: [1/s, 2/min], burst: 4 }", "of which limit"),
        ("{ limit: 1/s, by: header }", "tells nobody apart"),
        ("{ limit: 1/s, by: consumr }", "tells nobody apart"),
        ("{ limit: 1/s, by: 'header:connection' }", "no request has a header"),
        ("{ limit: 1/s, by: 'cel:request.pth' }", "pth"),
        ("{ limit: 1/s, by: 'cel:1 + 1' }", "string"),
        ("{ limit: 5/s, cost: 6 }", "no request would pass"),
        ("{ limit: 5/s, cost: 0 }", "expected a number"),
        ("{ limit: 5/s, keys: 0 }", ""),
        ("{ limit: 5/s, mode: off }", ""),
        ("[1/s, 2/s, 3/s, 4/s, 5/s, 6/s, 7/s, 8/s, 9/s]", "9 limits hold at once"),
    ] {
        let mistakes = policy("rate_limit", settings, &consumers()).unwrap_err();
        assert!(mistakes.iter().any(|(_, message)| message.contains(want)), "{settings}: {mistakes:?}");
    }
}

#[test]
fn a_cost_counts_though_another_policy_removes_its_field() {
    let consumers = consumers();
    let settings = "{ limit: 10/min, cost: { response_header: x-cost } }";
    let headers = ("headers", "{ response: { remove: [x-cost] } }");
    let chain = chain(&[("api_key", "{}"), ("rate_limit", settings), headers], &consumers);
    let client = Client { chain, consumers, passed: Duration::ZERO, begin: std::time::Instant::now() };
    let (status, scene) = client.ask(&[("x-api-key", "a")], unchanged);
    assert_eq!(status, 200);
    let told = client.answered(&scene, &[("x-cost", "9")]);
    assert!(told.iter().all(|(name, _)| name != "x-cost"), "{told:?}");
    assert_eq!(client.passes(&[("x-api-key", "a")], unchanged), 1, "nine of ten are used");
}

#[test]
fn clients_are_told_of_the_limit_that_lets_fewer_requests_through() {
    let client = Client::new("[{ limit: 20/min }, { limit: 30/min, cost: 10 }]");
    let told = |fields: &[(&str, &str)]| {
        let (_, scene) = client.ask(fields, unchanged);
        client.answered(&scene, &[]).into_iter().find(|(name, _)| name == "ratelimit").unwrap().1
    };
    let told: Vec<String> = (0..3).map(|_| told(&[("x-api-key", "a")])).collect();
    let left: Vec<&str> = told.iter().map(|text| text.split([';', '=']).nth(2).unwrap()).collect();
    assert_eq!(left, ["20", "10", "0"], "{told:?}");
}

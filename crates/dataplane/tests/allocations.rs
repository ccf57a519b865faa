//! A proxied keep-alive request allocates nothing in the steady state, nor does one that a limit refuses.
//!
//! Every allocation of the process is counted: a worker on its own thread, a service and a client that allocate
//! nothing themselves.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use dataplane::{ListenerId, Order, Part, Setup, Shared, Stage, StagedListener};
use policy::{Chain, Compiling, Consumers, Link, NewConsumer, NewKey, digest_of};
use router::{Builder, Match, PathPattern, RouteIndex};
use snapshot::{
    Action, Admin, Endpoint, EndpointHost, Listener, ListenerLimits, ListenerTimeouts, Retries, RetryOn,
    Route, Service, ServiceIndex, ServiceTimeouts, Snapshot, Split, Target, TrustedProxies,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use telemetry::{LogBuffer, Metrics, Sink};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const REQUEST: &[u8] =
    b"GET /items/42?page=1 HTTP/1.1\r\nHost: api.test\r\nUser-Agent: test\r\nAccept: */*\r\n\
                         Accept-Encoding: gzip, br\r\nCookie: session=0123456789abcdef\r\n\r\n";
/// With an API key, a token and a user name that were verified before.
const KEY: &[u8] =
    b"GET /items/42?page=1 HTTP/1.1\r\nHost: api.test\r\nX-Api-Key: 0123456789abcdef-a\r\n\r\n";
const TOKEN: &[u8] = b"GET /items/42?page=1 HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer \
    eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJpZHAiLCJhdWQiOiJhcGkiLCJzdWIiOiJhbm4iLCJleHAiOjQxMDI0NDQ4MDB9.k94LpM1QFa4zheGxa1ACCfLe7p5AZ-YvAwihIOPnedU\r\n\r\n";
const JWT: &str = "{ issuer: idp, audience: api, keys: { secret: 0123456789abcdef0123456789abcdef }, claims_to_headers: { x-user: sub } }";
const POST: &[u8] = b"POST /items HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n\
                      5\r\nhello\r\n0\r\n\r\n";
const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: test\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n\
                         5\r\nhello\r\n0\r\n\r\n";

/// Limits that have no room for a second request.
const ONCE: [(&str, &str); 2] = [("rate_limit", "1/h"), ("quota", "1/month")];

/// A service that answers every read, as its requests come one at a time.
fn service(response: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
                    stream.write_all(response).unwrap();
                }
            });
        }
    });
    address
}

fn limits() -> ListenerLimits {
    ListenerLimits {
        connections: 100,
        header_bytes: 8192,
        headers: 100,
        streams: 100,
        uri: 4096,
        min_rate: 512,
    }
}

/// A chain of these policies.
fn chain(policies: &[(&str, &str)], consumers: &Arc<Consumers>) -> Chain {
    let (mut diagnostics, providers) = (diagnostics::Diagnostics::new(), policy::Providers::default());
    let links = policies.iter().map(|(kind, written)| {
        let node = document::parse(diagnostics::SourceId(0), written, &mut diagnostics).unwrap();
        let policy =
            policy::compile(kind, &node, &mut Compiling::new(&mut diagnostics, consumers, &providers));
        Link { policy: Arc::new(policy.unwrap()), source: diagnostics::Span::default() }
    });
    Chain::new(links.collect())
}

fn consumers() -> Arc<Consumers> {
    Arc::new(Consumers::new(&[NewConsumer {
        name: "a".into(),
        groups: vec!["apps".into()],
        api_keys: vec![NewKey { digest: digest_of(b"0123456789abcdef-a"), expires: None, name: None }],
        tokens: vec![("idp".into(), "ann".into())],
        ..NewConsumer::default()
    }]))
}

fn snapshot(service: SocketAddr, policies: &[(&str, &str)]) -> Snapshot {
    let consumers = consumers();
    let long = Duration::from_secs(60);
    let mut builder = Builder::new();
    let of = Match { path: Some(PathPattern::parse("/items/*").unwrap()), ..Match::default() };
    builder.add(RouteIndex(0), of);
    let target = Target { service: ServiceIndex(0), weight: 1, chain: chain(policies, &consumers) };
    let action =
        Action::Forward { split: Split::new(vec![target], None).unwrap(), rewrite: None, mirror: None };
    let endpoint = Endpoint {
        host: EndpointHost::Address(service.ip()),
        port: service.port(),
        weight: 1,
        is_local: false,
        authority: service.to_string().into(),
    };
    Snapshot {
        listeners: vec![Listener {
            address: "127.0.0.1:0".parse().unwrap(),
            protocols: snapshot::Protocols { http1: true, http2: true, http3: false },
            tls: None,
            acme: None,
            proxy_protocol: false,
            client_certificates: snapshot::ClientCertificates::Unasked,
            forwards_certificates: false,
            redirect_https: None,
            limits: limits(),
            timeouts: ListenerTimeouts { header: long, idle: long, body: long, send: long },
        }],
        state: None,
        router: builder.build(),
        routes: vec![Arc::new(Route {
            name: "items".into(),
            action,
            timeout: None,
            importance: balance::Importance::Normal,
            canary: None,
            grpc_web: false,
            connect: false,
            consumers: Arc::clone(&consumers),
            reserved: Arc::default(),
            source: diagnostics::Span::new(diagnostics::SourceId(0), 0, 0),
        })],
        gateway: Chain::default(),
        consumers,
        reserved: Arc::default(),
        providers: Arc::default(),
        services: vec![Service {
            timeouts: ServiceTimeouts {
                connect: long,
                response: long,
                stream: long,
                idle: long,
                request: None,
                tunnel: long,
            },
            retries: Retries {
                attempts: 2,
                on: RetryOn { connect_failure: true, reset: true, stall: true, ..RetryOn::default() },
                methods: Vec::new(),
                per_try: None,
                again: false,
                backoff: Duration::from_millis(25),
                budget: 20,
            },
            ..Service::plain("items", vec![endpoint])
        }],
        trusted_proxies: TrustedProxies::default(),
        workers: Some(1),
        overload: snapshot::Overload::default(),
        state_dir: None,
        delay: Duration::ZERO,
        drain: Duration::ZERO,
        admin: Admin { address: None, token: None, explicit: true },
        access_log: None,
        name_servers: Vec::new(),
        acme: snapshot::AcmeShared::default(),
    }
}

/// A worker in front of a service. Returns its address and the queue of its orders.
fn gateway(
    service: SocketAddr,
    log: Option<LogBuffer>,
    policies: &[(&str, &str)],
) -> (SocketAddr, tokio::sync::mpsc::Sender<Order>, std::thread::JoinHandle<std::io::Result<()>>) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let metrics = Metrics::new("test", 1, []);
    let listener =
        StagedListener { id: ListenerId(0), series: Arc::default(), socket: Some(socket), udp: None };
    let part = Part { listeners: vec![listener], log };
    let snapshot = Arc::new(snapshot(service, policies));
    let stage = Stage::all(&snapshot, 1, &metrics, &[], &[], vec![part]).pop().unwrap();
    let (queue, orders) = dataplane::orders();
    let (troubles, _told) = dataplane::troubles();
    let shared = Shared::new(metrics);
    let setup = Setup { index: 0, stage, shared, orders, troubles, siblings: vec![queue.clone()] };
    let thread = std::thread::spawn(move || dataplane::run(setup));
    (address, queue, thread)
}

/// Sends a request so many times over each connection, one after another.
fn ask(connections: &mut [TcpStream], request: &[u8], times: usize, (begin, end): (&[u8], &[u8])) {
    let mut buffer = [0; 4096];
    for _ in 0..times {
        for stream in &mut *connections {
            stream.write_all(request).unwrap();
            let mut length = 0;
            while !buffer[..length].ends_with(end) {
                let count = stream.read(&mut buffer[length..]).unwrap();
                assert!(count > 0, "the gateway closed the connection");
                length += count;
            }
            assert!(buffer.starts_with(begin));
        }
    }
}

/// Allocations of the whole process during 8,000 requests, after it has warmed up.
fn allocations(
    request: &[u8],
    response: &'static [u8],
    log: Option<LogBuffer>,
    policies: &[(&str, &str)],
) -> usize {
    let (address, queue, thread) = gateway(service(response), log, policies);
    let mut connections: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(address).unwrap()).collect();
    connections.iter().for_each(|stream| stream.set_nodelay(true).unwrap());
    let passed: (&[u8], &[u8]) =
        (b"HTTP/1.1 200 OK\r\n", if response == CHUNKED { b"0\r\n\r\n" } else { b"hello" });
    // Where it is only the first that passes.
    let refused: (&[u8], &[u8]) = (b"HTTP/1.1 429 Too Many Requests\r\n", b"\"retryable\":true}\n");
    ask(&mut connections[..1], request, 1, passed);
    let answer = if policies.iter().any(|policy| ONCE.contains(policy)) { refused } else { passed };
    ask(&mut connections, request, 250, answer);
    let region = Region::new(COUNTED);
    ask(&mut connections, request, 1000, answer);
    let change = region.change();
    drop(connections);
    queue.blocking_send(Order::Drain(Duration::from_secs(5))).unwrap();
    thread.join().unwrap().unwrap();
    change.allocations + change.reallocations
}

/// One test, as everything in the process is counted.
#[test]
fn a_proxied_request_allocates_nothing() {
    for (request, response) in [(REQUEST, RESPONSE), (REQUEST, CHUNKED), (POST, RESPONSE)] {
        let count = allocations(request, response, None, &[]);
        assert_eq!(count, 0, "allocations in 8,000 requests");
    }
    // Callers that were verified before.
    let authorize = ("authorize", "{ any: { group: apps }, rule: 'request.method == \"GET\"' }");
    for (request, policies) in [(KEY, [("api_key", "{}"), authorize]), (TOKEN, [("jwt", JWT), authorize])] {
        let count = allocations(request, RESPONSE, None, &policies);
        assert_eq!(count, 0, "allocations in 8,000 requests with {policies:?}");
    }
    // What limits somebody who was seen before.
    let limits = [
        ("concurrency", "100"),
        ("rate_limit", "[{ limit: 1M/s, burst: 1000000 }, { limit: 1M/min, by: route }]"),
        ("quota", "[10M/day, { limit: 100M/month, time_zone: Europe/Berlin, by: [client_ip, route] }]"),
    ];
    let count = allocations(REQUEST, RESPONSE, None, &limits);
    assert_eq!(count, 0, "allocations in 8,000 requests with {limits:?}");
    for once in ONCE {
        let count = allocations(KEY, RESPONSE, None, &[("api_key", "{}"), once]);
        assert_eq!(count, 0, "allocations in 8,000 requests that {once:?} refuses");
    }
    // With an access log, a buffer more may be made now and then, as many as there may be; requests make none.
    let (trouble, _told) = tokio::sync::mpsc::channel(1);
    let target = telemetry::Target::File("/dev/null".into());
    let sink = Sink::open(target, 1, Arc::default(), trouble).unwrap();
    let count = allocations(REQUEST, RESPONSE, Some(sink.buffer()), &[]);
    assert!(count <= 32, "{count} allocations in 8,000 requests with an access log");
    sink.close(Duration::from_secs(5));
}

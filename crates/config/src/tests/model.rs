//! What right files become.

use std::path::Path;

use super::fine;
use crate::{
    Admin, AdminSetting, Algorithm, Balance, Condition, LogFormat, LogTarget, PolicySetting, RetryCondition,
};

pub(super) const FILE: &str = r#"
listen:
  - 0.0.0.0:8080
  - address: "[::1]:8081"
    limits: { connections: 10, header_bytes: 1KiB, min_rate: 0 }
    timeouts: { idle: 5s }
workers: 4
shutdown: { drain: 0s, delay: 5s }
trusted_proxies: [10.0.0.0/8, "fd00::/8"]
dns: { servers: 10.0.0.53:53 }

services:
  users:
    endpoints: [http://Users.internal., "http://[fd00::1]:81"]
  orders:
    endpoints:
      - http://10.0.0.1:8080/
      - { url: http://10.0.0.2, weight: 2 }
    balance: least_requests
    timeouts: { connect: 250ms, request: 1m }
    connections: { max: 5, idle: 0 }
    retries: { attempts: 2, on: [timeout, 503, "504"], methods: GET, budget: 12.5% }
    policies: { size_limit: off }

policies:
  request_id: { header: x-request-id }
  size_limit: { body: 1MiB }

routes:
  - path: /users/*
    service: users
  - name: order
    hosts: [api.example.com, "*.example.org"]
    path: /orders/{id}
    methods: [GET, HEAD]
    headers: { x-api-version: "2", x-any: true, x-text: "true" }
    query: { debug: "~^1$" }
    priority: -3
    split: { orders: 95, users: 0 }
    rewrite: /v2/orders/{id}
    timeout: 2s
  - { path: "/old/{rest...}", redirect: { to: "/new/{rest}", status: 301 } }
  - path: /ping
    policies: { request_id: off }
    respond: { headers: { content-type: text/plain }, body: pong }
"#;

#[test]
fn listeners_and_the_whole() {
    let config = fine(FILE);
    let [first, second] = &config.listen.iter().collect::<Vec<_>>()[..] else { panic!("two listeners") };
    assert_eq!((first.address.to_string(), first.limits.connections), ("0.0.0.0:8080".to_owned(), 50_000));
    assert_eq!((first.limits.min_rate.get(), first.timeouts.send.to_string()), (512, "30s".to_owned()));
    assert_eq!((second.address.to_string(), second.limits.headers), ("[::1]:8081".to_owned(), 100));
    assert_eq!((second.limits.header_bytes.get(), second.limits.uri.get()), (1024, 8192));
    assert_eq!(
        (second.timeouts.idle.to_string(), second.timeouts.header.to_string()),
        ("5s".into(), "10s".into())
    );
    assert_eq!(
        (config.workers.count(), config.drain().as_secs(), config.shutdown_delay().as_secs()),
        (Some(4), 0, 5)
    );
    assert_eq!(config.name_servers(), ["10.0.0.53:53".parse().unwrap()]);
    assert_eq!(
        config.trusted_proxies.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["10.0.0.0/8", "fd00::/8"]
    );
    assert!(matches!(config.policies.unwrap().get("size_limit"), Some(PolicySetting::On(_))));
}

#[test]
fn services() {
    let config = fine(FILE);
    let users = config.services.get("users").unwrap();
    let urls: Vec<String> = users.endpoints().iter().map(|endpoint| endpoint.url.to_string()).collect();
    assert_eq!(urls, ["http://users.internal:80", "http://[fd00::1]:81"]);
    assert_eq!((&users.balance.value, users.connections.max), (&Balance::By(Algorithm::RoundRobin), 1000));
    let retries = users.retries.on().unwrap();
    let on: Vec<RetryCondition> = retries.on.iter().map(|on| on.value).collect();
    assert_eq!(on, [RetryCondition::ConnectFailure, RetryCondition::Reset, RetryCondition::Stall]);
    let eject = users.eject.on().unwrap();
    assert_eq!((eject.after, eject.lasts.get().as_secs(), eject.max.hundredths()), (5, 30, 5000));
    assert_eq!((users.timeouts.tunnel.to_string(), users.timeouts.request), ("1h".to_owned(), None));

    let orders = config.services.get("orders").unwrap();
    let weights: Vec<(u16, u32)> = orders.endpoints().iter().map(|one| (one.url.port, one.weight)).collect();
    assert_eq!(weights, [(8080, 1), (80, 2)]);
    assert_eq!(orders.balance.value, Balance::By(Algorithm::LeastRequests));
    assert_eq!((orders.connections.max, orders.connections.idle), (5, 0));
    assert_eq!(orders.timeouts.request.unwrap().get().as_secs(), 60);
    assert!(matches!(orders.policies.as_ref().unwrap().get("size_limit"), Some(PolicySetting::Off)));
    let retries = orders.retries.on().unwrap();
    let on: Vec<RetryCondition> = retries.on.iter().map(|on| on.value).collect();
    assert_eq!(on, [RetryCondition::Timeout, RetryCondition::Status(503), RetryCondition::Status(504)]);
    let methods: Vec<&str> = retries.methods.iter().flatten().map(|method| method.as_str()).collect();
    assert_eq!((retries.attempts, methods, retries.budget.hundredths()), (2, vec!["GET"], 1250));
}

#[test]
fn routes() {
    let config = fine(FILE);
    let [users, order, old, ping] = &config.routes[..] else { panic!("four routes") };
    assert_eq!(
        (users.path.as_deref().unwrap().as_str(), users.service.as_deref().unwrap().as_str()),
        ("/users/*", "users")
    );
    assert!(
        users.hosts.is_none() && users.methods.is_none() && users.headers.is_none() && users.priority == 0
    );
    let headers: Vec<(&str, bool)> = order
        .headers
        .iter()
        .flatten()
        .map(|(name, condition)| (name.as_str(), *condition == Condition::Present))
        .collect();
    assert_eq!(headers, [("x-api-version", false), ("x-any", true), ("x-text", false)]);
    let split: Vec<(&str, u32)> =
        order.split.as_ref().unwrap().iter().map(|(name, share)| (name.as_str(), share.get())).collect();
    assert_eq!((split, order.priority), (vec![("orders", 95), ("users", 0)], -3));
    assert_eq!((order.hosts.iter().flatten().count(), order.methods.iter().flatten().count()), (2, 2));
    let redirect = old.redirect.as_ref().unwrap();
    assert_eq!((redirect.to.as_str(), redirect.status.value), ("/new/{rest}", 301));
    let respond = ping.respond.as_ref().unwrap();
    assert_eq!((respond.status.value, respond.body.as_str()), (200, "pong"));
}

#[test]
fn the_smallest_useful_file() {
    let config = fine(
        "listen: 0.0.0.0:8080\nservices:\n  orders:\n    endpoints: [http://10.0.0.1:8080, http://10.0.0.2:8080]\n\
         routes:\n  - { path: /orders/*, service: orders }\n",
    );
    assert_eq!((config.services.len(), config.routes.len(), config.workers.count()), (1, 1, None));
}

#[test]
fn where_the_gateway_answers_those_who_run_it() {
    for (text, address, token) in [
        ("admin: 127.0.0.2:1", "127.0.0.2:1", None),
        ("admin: {}", "127.0.0.1:9901", None),
        ("admin: '[::1]:0'", "[::1]:0", None),
        ("admin: '[::ffff:127.0.0.1]:1'", "[::ffff:127.0.0.1]:1", None),
        ("admin: { token: 0123456789abcdef }", "127.0.0.1:9901", Some("0123456789abcdef")),
        ("admin: { address: 0.0.0.0:1, token: 'abcdefghijklmnop=' }", "0.0.0.0:1", Some("abcdefghijklmnop=")),
    ] {
        let Some(AdminSetting::On(admin)) = fine(text).admin else { panic!("{text}") };
        assert_eq!(admin.address.to_string(), address, "{text}");
        assert_eq!(admin.token.as_ref().map(|token| token.expose()), token, "{text}");
    }
    for text in ["admin: off", "admin: 'off'", "{ \"admin\": \"off\" }"] {
        assert!(matches!(fine(text).admin, Some(AdminSetting::Off)), "{text}");
    }
    assert!(fine("workers: 1").admin.is_none());
    let Some(AdminSetting::On(admin)) = fine("admin: {}").admin else { panic!("a section") };
    assert_eq!(admin.address.0, Admin::DEFAULT_ADDRESS);
}

#[test]
fn the_access_log() {
    let file = |path: &str| Some(LogTarget::File(Path::new(path).to_path_buf()));
    for (text, target) in [
        ("workers: 1", None),
        ("telemetry: {}", None),
        ("telemetry: { access_log: off }", None),
        ("telemetry: { access_log: stdout }", Some(LogTarget::Stdout)),
        ("telemetry: { access_log: {} }", Some(LogTarget::Stdout)),
        ("telemetry: { access_log: { format: json } }", Some(LogTarget::Stdout)),
        ("telemetry: { access_log: logs/access.log }", file("logs/access.log")),
        ("telemetry: { access_log: { to: /var/log/a, format: json } }", file("/var/log/a")),
        ("telemetry: { access_log: ./off }", file("./off")),
    ] {
        let config = fine(text);
        assert_eq!(config.access_log().map(|log| log.to.clone()), target, "{text}");
        assert!(config.access_log().is_none_or(|log| log.format == LogFormat::Json), "{text}");
    }
}

/// In JSON every word stands in quotes.
#[test]
fn off_is_off_in_quotes_too() {
    let config = fine("{ \"policies\": { \"a\": \"off\", \"b\": {} } }");
    let policies = config.policies.unwrap();
    assert!(matches!(policies.get("a"), Some(PolicySetting::Off)));
    assert!(matches!(policies.get("b"), Some(PolicySetting::On(_))));
}

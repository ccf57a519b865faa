//! Probes: what is read, and what is said about mistakes.

use std::time::Duration;

use diagnostics::render_text;
use document::MemoryEnvironment;

use super::{fine, said};
use crate::{Loaded, load_text};

fn health(text: &str) -> crate::Health {
    let config = fine(&format!(
        "listen: 127.0.0.1:0\nservices: {{ a: {{ endpoints: [http://a], health: {text} }} }}\nroutes: [{{ service: a }}]\n"
    ));
    config.services.get("a").unwrap().health.clone().unwrap()
}

#[test]
fn the_forms_of_a_probe() {
    let plain = health("{}");
    assert!(plain.path.is_none() && plain.grpc.is_none() && plain.tcp.is_none() && plain.expect.is_none());
    assert_eq!(
        (plain.every.value.get(), plain.timeout.get(), plain.healthy_after.0, plain.unhealthy_after.0),
        (Duration::from_secs(5), Duration::from_secs(1), 2, 3)
    );
    let path = health("{ path: /healthz?deep=1, expect: [200-299, 401] }");
    let ranges: Vec<String> = path.expect.unwrap().value.iter().map(ToString::to_string).collect();
    assert_eq!(
        (path.path.unwrap().value.as_str(), ranges.join(" ").as_str()),
        ("/healthz?deep=1", "200-299 401")
    );
    assert_eq!(health("{ grpc: true }").grpc.unwrap().value.0, "");
    assert_eq!(health("{ grpc: shop.v1.Orders }").grpc.unwrap().value.0, "shop.v1.Orders");
    assert!(health("{ tcp: true, every: 100ms, healthy_after: 1 }").tcp.unwrap().value);
}

#[test]
fn mistakes() {
    for (health, wanted) in [
        ("true", &["GW0103 true"][..]),
        ("{ unhealthy_after: 0 }", &["GW0201 0"]),
        ("{ healthy_after: 1001 }", &["GW0201 1001"]),
        ("{ path: healthz }", &["GW0201 healthz"]),
        ("{ path: /a b }", &["GW0201 /a b"]),
        ("{ path: /a, grpc: true }", &["GW0105 true"]),
        ("{ grpc: true, tcp: true }", &["GW0105 true"]),
        ("{ tcp: false }", &["GW0201 false"]),
        ("{ grpc: false }", &["GW0201 false"]),
        ("{ grpc: ' ' }", &["GW0201 ' '"]),
        ("{ tcp: true, expect: 200 }", &["GW0105 200"]),
        ("{ every: 99ms, timeout: 0s }", &["GW0201 99ms", "GW0201 0s"]),
        ("{ expect: [199, 300-200, 2xx, 200-299] }", &["GW0201 199", "GW0201 300-200", "GW0201 2xx"]),
        ("{ method: HEAD }", &["GW0101 method"]),
    ] {
        let text = format!("services: {{ a: {{ endpoints: [http://a], health: {health} }} }}");
        let Loaded { sources, diagnostics, .. } =
            load_text("gateward.yaml", &text, &MemoryEnvironment::new());
        let rendered = render_text(&diagnostics, &sources, false);
        assert_eq!(said(&diagnostics, &sources), wanted, "{text}: {rendered}");
    }
}

#[test]
fn a_threshold_of_zero_says_what_to_do() {
    let text = "services: { a: { endpoints: [http://a], health: { unhealthy_after: 0 } } }";
    let Loaded { sources, diagnostics, .. } = load_text("gateward.yaml", text, &MemoryEnvironment::new());
    let rendered = render_text(&diagnostics, &sources, false);
    assert!(rendered.contains("must be at least 1") && rendered.contains("write `1`"), "{rendered}");
}

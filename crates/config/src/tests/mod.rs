//! The language as a whole: what is read, what is refused, and what is said then.

mod effective;
mod files;
mod health;
mod mistakes;
mod model;
mod tls;

use std::collections::BTreeSet;

use diagnostics::{Diagnostics, Sources, render_text};
use document::{MemoryEnvironment, Shape};

use crate::{Config, Loaded, load_text};

/// What was loaded, from a text that must be right.
fn fine(text: &str) -> Config {
    let Loaded { sources, config, diagnostics, .. } =
        load_text("gateward.yaml", text, &MemoryEnvironment::new());
    assert!(diagnostics.is_empty(), "{}", render_text(&diagnostics, &sources, false));
    config.unwrap()
}

/// Codes and places of all diagnostics, as a reader meets them: `GW0101 servces`.
fn said(diagnostics: &Diagnostics, sources: &Sources) -> Vec<String> {
    let sorted = diagnostics.sorted();
    sorted
        .iter()
        .map(|one| format!("{} {}", one.code, one.span.map_or("", |span| sources.slice(span))))
        .collect()
}

/// The design's tour of the whole language: nothing in it is unknown or mistyped, only not built yet.
#[test]
fn every_key_of_the_tour_is_read_or_not_built_yet() {
    let environment = MemoryEnvironment::new()
        .with_var("OIDC_SECRET", "x")
        .with_var("MOBILE_KEY", "x")
        .with_file("secrets/acme.hmac", "x")
        .with_var("GATEWARD_ADMIN_TOKEN", "0123456789abcdef")
        .with_file("certs/site.pem", "a certificate")
        .with_file("certs/site.key", "a key")
        .with_file("certs/clients.pem", "a certificate")
        .with_file("certs/internal-ca.pem", "a certificate")
        .with_file("certs/gw.pem", "a certificate")
        .with_file("certs/gw.key", "a key")
        .with_file("conf.d/more.yaml", "services: { more: { endpoints: [http://more] } }");
    let text = include_str!("tour.yaml");
    let Loaded { sources, diagnostics, .. } = load_text("gateward.yaml", text, &environment);
    let codes: BTreeSet<&str> = diagnostics.iter().map(|one| one.code.id()).collect();
    assert_eq!(codes, BTreeSet::from(["GW0104"]), "{}", render_text(&diagnostics, &sources, false));
    let info = Config::info();
    for (key, _) in info.not_built {
        assert!(said(&diagnostics, &sources).contains(&format!("GW0104 {key}")), "{key}");
    }
}

/// Every default is text that its own decoder takes: a file that says nothing else has them all.
#[test]
fn defaults_can_be_decoded() {
    let config = fine(
        "listen: 127.0.0.1:0\nservices: { a: { endpoints: [http://a], retries: {} } }\n\
         routes: [{ redirect: { to: /x } }, { respond: {} }]\n",
    );
    assert_eq!(config.services.len(), 1);
}

/// What the reference and the schema are made of says something about every key.
#[test]
fn every_key_is_described() {
    let mut waiting = vec![Config::info()];
    let mut seen = BTreeSet::new();
    while let Some(info) = waiting.pop() {
        if !seen.insert(info.name) {
            continue;
        }
        assert!(info.doc.trim().ends_with('.') || info.doc.contains('`'), "{}", info.name);
        for key in &info.keys {
            assert!(key.doc.trim().len() > 5, "{}.{}", info.name, key.name);
            below(&key.shape, &mut waiting);
        }
    }
    assert!(seen.len() >= 13, "{seen:?}");
    assert!(document::reference(&Config::info()).contains("| `drain` | duration, such as `5s` | `30s` |"));
    let schema = document::json_schema(&Shape::Section(Config::info));
    assert_eq!(schema["$defs"]["Endpoint"]["required"].to_string(), "[\"url\"]");
}

fn below(shape: &Shape, into: &mut Vec<document::SectionInfo>) {
    match shape {
        Shape::List(inner) | Shape::Map(inner) => below(inner, into),
        Shape::OneOf(shapes) => shapes.iter().for_each(|shape| below(shape, into)),
        Shape::Section(info) => into.push(info()),
        _ => {}
    }
}

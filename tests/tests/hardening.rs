//! Hostile HTTP/1.1 and URIs: the cases of `tests/hardening` against a gateway that keeps their contract.
//!
//! The script is its own judge and brings its own origin. Cases mostly wait, so they are dealt out to several
//! runs at once, each with a gateway of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a failed unwrap is a failed test"
)]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use end_to_end::{Folder, Gateway};
use serde_json::Value;

const RUNS: usize = 8;
/// The most `should` cases that may go another way; `must` cases may not.
const MOST_SHOULD_FAILURES: usize = 4;

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("hardening")
}

/// Runs some cases, and returns the verdict on each.
fn run(ids: &[String]) -> Vec<Value> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let gateway = Gateway::start(format!(
        "listen: 127.0.0.1:0\n\
         services: {{ origin: {{ endpoints: [\"http://127.0.0.1:{port}\"] }} }}\n\
         routes:\n\
         - {{ path: /admin/*, respond: {{ status: 403, body: closed }} }}\n\
         - {{ path: /*, service: origin }}\n"
    ));
    let folder = Folder::new();
    let results = folder.path().join("results.json");
    let output = Command::new("python3")
        .arg(scripts().join("h1_cases.py"))
        .args(["--proxy", &gateway.address().to_string(), "--origin-port", &port.to_string()])
        .args(["--only", &ids.join(","), "--fails-only", "--json"])
        .arg(&results)
        .output()
        .expect("this test needs python3");
    let printed =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{printed}\n{}", gateway.log());
    gateway.stop();
    serde_json::from_str(&std::fs::read_to_string(results).unwrap()).unwrap()
}

#[test]
fn every_must_and_nearly_every_should_has_its_safe_outcome() {
    let text = std::fs::read_to_string(scripts().join("h1_cases.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    let ids: Vec<String> = cases.iter().map(|case| case["id"].as_str().unwrap().to_owned()).collect();
    let dealt: Vec<Vec<String>> =
        (0..RUNS).map(|run| ids.iter().skip(run).step_by(RUNS).cloned().collect()).collect();
    let results: Vec<Value> = std::thread::scope(|scope| {
        let runs: Vec<_> = dealt.iter().map(|ids| scope.spawn(|| run(ids))).collect();
        runs.into_iter().flat_map(|run| run.join().unwrap()).collect()
    });
    assert_eq!(results.len(), ids.len(), "every case has a verdict");
    let failed = |tier: &str| -> Vec<String> {
        let of_tier = results.iter().filter(|result| result["tier"] == tier && result["ok"] == false);
        of_tier.map(|result| format!("  {} {}: {}", result["id"], result["status"], result["why"])).collect()
    };
    let (must, should) = (failed("must"), failed("should"));
    println!("{} cases; failed: {} must, {} should", results.len(), must.len(), should.len());
    println!("{}", should.join("\n"));
    assert!(must.is_empty(), "these must not fail:\n{}", must.join("\n"));
    assert!(should.len() <= MOST_SHOULD_FAILURES, "too many of these fail:\n{}", should.join("\n"));
}

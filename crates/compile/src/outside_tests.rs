//! Values from outside: what is said where they are missing or wrong, and that they are never shown.

use config::load_text;
use document::MemoryEnvironment;

use crate::tests::{finds, outside, with_routes};

/// A condition may have many lines, and the mark is at the part that is wrong.
#[test]
fn a_mistake_in_a_block_is_found_in_its_line() {
    let rule = |block: &str| {
        with_routes(&format!("- path: /*\n  service: s\n  policies:\n    authorize:\n      rule: {block}\n"))
    };
    for (block, wanted) in [
        ("|\n        request.method == 'GET' &&\n          nothing == 1", "error invalid-expression 10:11"),
        (">-\n        request.method == 'GET' &&\n        nothing == 1\n\n", "error invalid-expression 10:9"),
        ("request.method == 'GET' &&\n        nothing == 1", "error invalid-expression 9:9"),
        ("\"request.method == \\\"GET\\\" &&\n        nothing == 1\"", "error invalid-expression 9:9"),
    ] {
        finds(&rule(block), &[wanted]);
    }
}

/// What is wrong is said, with what to do, although the value is not.
#[test]
fn what_is_wrong_with_a_value_from_outside_is_said() {
    let environment = MemoryEnvironment::new().with_var("SECRET", "S3CRET-value").with_var("NAME", "nothing");
    let consumer = |inner: &str| {
        with_routes("- { path: /*, service: s }\n") + &format!("consumers: [{{ name: a, {inner} }}]\n")
    };
    let route = |inner: &str| with_routes(&format!("- {{ path: /*, service: s, {inner} }}\n"));
    let ruled = |rule: &str| route(&format!("policies: {{ authorize: {{ rule: \"{rule}\" }} }}"));
    for (text, wanted) in [
        (
            consumer("api_keys: [{ sha256: \"${env:SECRET}\" }]"),
            &["this is no SHA-256", "64 hexadecimal digits"][..],
        ),
        (
            consumer("basic: { username: a, password: \"${env:SECRET}\" }"),
            &["this is no hash of a password", "`gateward hash-password` makes one"],
        ),
        (
            consumer("api_keys: [{ key: k0123456789abcdef, expires: \"${env:SECRET}\" }]"),
            &["`[hidden]` is no point in time", "write `2027-01-31`"],
        ),
        (route("timeout: \"${env:SECRET}\""), &["the hidden value is not a duration", "`5s`"]),
        (ruled("'${env:SECRET}' == nothing"), &["`nothing`"]),
        (ruled("${env:NAME} == 1"), &["`[hidden]`"]),
    ] {
        let mut loaded = load_text("gateward.yaml", &text, &environment);
        let _ = loaded.config.and_then(|config| crate::compile(&config, &outside(), &mut loaded.diagnostics));
        loaded.unsaid.take_from(&mut loaded.diagnostics);
        let shown = diagnostics::render_text(&loaded.diagnostics, &loaded.sources, false);
        for wanted in wanted {
            assert!(shown.contains(wanted), "{text}, {wanted}: {shown}");
        }
        assert!(
            !shown.contains("S3CRET") && (text.contains("nothing") || !shown.contains("nothing")),
            "{shown}"
        );
    }
}

/// A variable that is not set is one mistake, and nothing that follows from it is another.
#[test]
fn a_variable_that_is_not_set_is_the_only_mistake() {
    for consumer in [
        "api_keys: [\"${env:NOPE}\"]",
        "api_keys: [{ sha256: \"a${env:NOPE}\" }]",
        "basic: { username: u, password: \"${env:NOPE}\" }",
    ] {
        let text = format!(
            "{}consumers: [{{ name: a, {consumer} }}]\npolicies: {{ api_key: {{}} }}\n",
            with_routes("- { path: /*, service: s }\n")
        );
        let mut loaded = load_text("gateward.yaml", &text, &MemoryEnvironment::new());
        let _ = loaded.config.and_then(|config| crate::compile(&config, &outside(), &mut loaded.diagnostics));
        loaded.unsaid.take_from(&mut loaded.diagnostics);
        let said: Vec<&str> = loaded.diagnostics.iter().map(|one| one.message.as_str()).collect();
        assert_eq!(said, ["the environment variable `NOPE` is not set"], "{text}");
    }
}

#[test]
fn values_from_outside_are_never_shown_and_never_change_their_meaning() {
    let environment = MemoryEnvironment::new().with_var("SECRET", "S3CRET").with_var("KEY", "~.*");
    for place in [
        "{ path: /, service: \"${env:SECRET}\" }",
        "{ path: \"${env:SECRET}\", service: s }",
        "{ path: /, methods: [\"${env:SECRET}x\"], service: s }",
        "{ path: /, rewrite: \"${env:SECRET}\", service: s }",
        "{ path: /, redirect: { to: \"${env:SECRET}\" } }",
        "{ path: /, service: s, timeout: \"${env:SECRET}\" }",
        "{ path: /, service: s, policies: { headers: { request: { remove: [\"${env:SECRET} x\"] } } } }",
    ] {
        let mut loaded = load_text("gateward.yaml", &with_routes(&format!("  - {place}")), &environment);
        let _ = loaded.config.and_then(|config| crate::compile(&config, &outside(), &mut loaded.diagnostics));
        loaded.unsaid.take_from(&mut loaded.diagnostics);
        let text = diagnostics::render_text(&loaded.diagnostics, &loaded.sources, false);
        assert!(loaded.diagnostics.has_errors() && !text.contains("S3CRET"), "{text}");
    }
    let text = with_routes("  - { path: /, headers: { x-key: \"${env:KEY}\" }, service: s }");
    let mut loaded = load_text("gateward.yaml", &text, &environment);
    let snapshot = loaded
        .config
        .and_then(|config| crate::compile(&config, &outside(), &mut loaded.diagnostics))
        .unwrap();
    assert!(
        format!("{:?}", snapshot.router).contains("Exact"),
        "a key that begins with ~ is no regular expression"
    );
}

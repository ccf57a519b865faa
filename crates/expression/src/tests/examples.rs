//! Rules as they are written, and how little is asked of the caller for them.

use super::*;

#[test]
fn rules_that_are_written() {
    for (source, expected) in [
        (r#"identity.claims.region in ["eu", "us"]"#, Ok(true)),
        (r#"request.headers["x-tier"] == "gold" && size(request.path) < 200"#, Ok(true)),
        (r#"request.path.startsWith("/a/") || request.method in ["GET","HEAD"]"#, Ok(true)),
        (r#"request.headers["x-tier"].matches("^g+old$")"#, Ok(true)),
        (r#"request.headers["x-tier"].matches("^a+$")"#, Ok(false)),
        (r#""admin" in identity.groups"#, Ok(true)),
        (r#""root" in identity.groups"#, Ok(false)),
        (r#"has(identity.claims.email) && identity.claims.email.endsWith("@example.com")"#, Ok(true)),
        (r#"has(identity.claims.phone) && identity.claims.phone.startsWith("+")"#, Ok(false)),
        (r#"identity.claims.roles.exists(r, r == "x")"#, Ok(true)),
        (r#"identity.claims.roles.all(r, r in ["reader", "writer"])"#, Ok(false)),
        (r#"identity.groups.exists(g, identity.claims.roles.exists(r, r == g))"#, Ok(false)),
        (r#"ip_in(client.ip, "10.0.0.0/8")"#, Ok(true)),
        (r#"ip_in(client.ip, ["192.168.0.0/16", "2001:db8::/32"])"#, Ok(false)),
        (r#"request.headers.host == "example.com""#, Ok(true)),
        (r#"request.headers["via"] == "1.1 a, 1.1 b""#, Ok(true)),
        (r#""x-none" in request.headers"#, Ok(false)),
        (r#"request.headers["x-none"] == "a""#, Err(Reason::NoSuchKey)),
        (r#"has(request.headers.via) && !has(request.headers.x)"#, Ok(true)),
        (r#"int(request.query["page"]) > 2"#, Ok(true)),
        (r#"identity.consumer == """#, Ok(true)),
        (r#"identity.claims.level >= 7 && identity.claims.level + 1 == 8"#, Ok(true)),
        (r#"timestamp(identity.claims.exp) - now > duration("1h")"#, Ok(true)),
        (r#"now < timestamp("2030-01-01T00:00:00Z") && now.getHours() == 22"#, Ok(true)),
        (r#"identity.claims.address.lines[1] == "b""#, Ok(true)),
        (r#"identity.claims.address.lines.map(l, l + "!") == ["a!", "b!"]"#, Ok(true)),
        (r#"sample(0.01) || identity.claims.verified"#, Ok(true)),
        ("sample(0.9)", Ok(true)),
        ("has(identity.subject)", Ok(false)),
        (r#"identity.subject == "ann""#, Err(Reason::Absent)),
        ("identity.claims.verified", Ok(true)),
        ("identity.claims.region", Err(Reason::WrongType)),
        (r#"request.headers.exists(name, name.startsWith("x-"))"#, Ok(true)),
        ("size(request.headers) == 3", Ok(true)),
        (
            "// Two lines,\nrequest.method == 'GET' // and remarks\n  && request.path == '/a/orders/7'",
            Ok(true),
        ),
    ] {
        assert_eq!(holds(source), expected, "{source}");
    }
}

#[test]
fn a_rule_about_responses_has_a_schema_of_its_own() {
    struct Response(i64);
    impl Variables for Response {
        fn variable(&self, _: u16) -> Option<Value<'_>> {
            Some(Value::Int(self.0))
        }

        fn call<'a>(&'a self, _: u16, _: &[Value<'a>]) -> Option<Value<'a>> {
            Some(Value::Bool(false))
        }
    }
    let schema = Schema::new(Limits::default()).variable("response.status", Type::Int, 0).function(
        "sample",
        &[Type::Double],
        Type::Bool,
        0,
        1,
    );
    let program = Program::compile("response.status >= 400 || sample(0.01)", &schema, &Type::Bool).unwrap();
    assert_eq!(program.evaluate(&Response(503)), Ok(true));
    assert_eq!(program.evaluate(&Response(200)), Ok(false));
}

#[test]
fn nothing_is_asked_for_that_does_not_matter() {
    let request = Request::default();
    let program = compiled(r#"request.method == "GET" || identity.claims.region == "eu""#);
    assert_eq!(program.evaluate(&request), Ok(true));
    assert_eq!(request.asked.get(), 1 << METHOD, "the claims were not needed");

    let program = compiled(r#"request.headers["x-tier"] == "gold""#);
    assert_eq!(program.evaluate(&request), Ok(true));
    assert_eq!(request.headers.asked.get(), 1, "one header was read, not all");

    let program = compiled(r#""via" in request.headers && has(request.headers.host)"#);
    assert_eq!(program.evaluate(&request), Ok(true));
    assert_eq!(request.headers.asked.get(), 1, "nothing was joined to see whether it is there");
}

#[test]
fn values_borrow_from_the_caller() {
    let request = Request::default();
    let program = Program::compile("request.path", &schema(), &Type::String).unwrap();
    let Ok(Value::Text(crate::Text::Borrowed(path))) = program.value(&request) else {
        panic!("not borrowed")
    };
    assert!(std::ptr::eq(path, request.path.as_str()));
}

#[test]
fn it_is_known_which_variables_are_used() {
    let program = compiled("identity.claims.a == 1 && [1].all(now, now > 0) || has(request.path)");
    for (path, used) in [
        ("identity", true),
        ("identity.claims", true),
        ("identity.claim", false),
        ("ident", false),
        ("request", true),
        ("request.headers", false),
        ("now", false),
        ("client", false),
    ] {
        assert_eq!(program.uses(path), used, "{path}");
    }
}

#[test]
fn a_program_serves_several_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&compiled("request.path.matches('a')"));
}

#[test]
fn a_failure_says_where() {
    let source = r#"request.method == "GET" && request.headers["x"] == "1""#;
    let failure: Failure = compiled(source).evaluate(&Request::default()).unwrap_err();
    assert_eq!(source.get(failure.start..failure.end), Some(r#"request.headers["x"]"#));
    assert_eq!(failure.to_string(), "there is no such key or element (bytes 27 to 47)");
}

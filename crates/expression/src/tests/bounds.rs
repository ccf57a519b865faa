//! What is too large, too deep or too expensive.

use super::*;

fn only_message(source: &str) -> String {
    let mut found = mistakes(source);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0).message
}

#[test]
fn sources_and_trees_are_bounded() {
    let long = format!("'{}' == ''", "a".repeat(crate::MAX_SOURCE));
    assert!(only_message(&long).contains("4096"));
    for (name, source) in [
        ("brackets", format!("{}true{}", "(".repeat(2000), ")".repeat(2000))),
        ("open brackets", "(".repeat(4000)),
        ("lists", "[".repeat(4000)),
        ("maps", "{1:".repeat(1300)),
        ("not", format!("{}true", "!".repeat(4000))),
        ("minus", format!("{}a", "- ".repeat(2000))),
        ("choices", format!("{}true", "true?true:".repeat(400))),
        ("indices", format!("now{}", "[now".repeat(1000))),
        ("fields", format!("identity.claims{}", ".a".repeat(2000))),
        ("sums", format!("1{} == 1", "+1".repeat(2000))),
        ("calls", format!("request.path{}", ".size()".repeat(500))),
        ("comparisons", format!("1{}", "<1".repeat(2000))),
    ] {
        assert!(only_message(&source).contains("deep"), "{name}");
    }
    let wide = format!("[{}] == []", "1,".repeat(1990));
    assert!(only_message(&wide).contains("more than 1000 parts"));
}

#[test]
fn patterns_are_bounded_in_number() {
    let patterns = |number| vec!["request.path.matches('a')"; number].join(" || ");
    assert_eq!(holds(&patterns(16)), Ok(true));
    assert!(only_message(&patterns(17)).contains("more than 16 patterns"));
}

/// A chain is as wide as it likes: it is not nested.
#[test]
fn long_chains_are_no_deep_trees() {
    assert_eq!(holds(&format!("false{}", "||false".repeat(400) + "||true")), Ok(true));
    assert_eq!(holds(&format!("true{}", "&&true".repeat(400))), Ok(true));
}

#[test]
fn a_condition_that_may_cost_too_much_is_refused() {
    let source = "identity.groups.all(a, identity.scopes.all(b, request.path + a == request.path + b))";
    let found = mistakes(source);
    assert!(found[0].message.contains("at most 100000 are allowed"), "{found:#?}");
    let help = found[0].help.clone().unwrap();
    assert!(help.contains("up to 64 elements") && help.contains("strings of 8192 bytes"), "{help}");

    let few = schema_within(Limits { elements: 8, ..Limits::default() });
    assert!(Program::compile(source, &few, &Type::Bool).is_ok(), "with fewer elements it is allowed");
    compiled("identity.groups.all(a, a in identity.scopes)");
    compiled("identity.claims.a.exists(x, identity.claims.b.exists(y, x == 'a' && y == 'b'))");
}

/// The estimate assumes sizes; data that exceed them are stopped while it runs.
#[test]
fn data_larger_than_assumed_stop_the_evaluation() {
    let many: Vec<_> = (0..100_000).map(|number| json!(number)).collect();
    let claims = object(json!({ "many": many, "long": "a".repeat(10_000_000), "flag": true }));
    let request = Request { claims, ..Request::default() };
    for source in [
        "identity.claims.many.all(x, x >= 0)",
        "identity.claims.many.exists(x, x == -1) || true",
        "true && !(identity.claims.many.exists(x, x == -1))",
        "-1 in identity.claims.many",
        "identity.claims.many == identity.claims.many",
        "identity.claims.many + identity.claims.many == []",
        "identity.claims.long.contains('b')",
        "identity.claims.long.matches('b')",
        "identity.claims.long == identity.claims.long",
        "size(identity.claims.long + 'a') == 1",
    ] {
        let failure = compiled(source).evaluate(&request).unwrap_err();
        assert_eq!(failure.reason, Reason::TooManySteps, "{source}");
    }
    assert_eq!(compiled("identity.claims.flag || identity.claims.many[0] == 1").evaluate(&request), Ok(true));
}

/// What is accepted never runs out of steps as long as the data keep to what was assumed.
#[test]
fn the_estimate_covers_what_happens() {
    let limits = Limits { text: 640, elements: 20, steps: u32::MAX };
    let texts: Vec<_> = (0..20).map(|_| json!("a".repeat(32))).collect();
    let claims = object(json!({ "list": texts, "text": "a".repeat(640), "other": "b".repeat(640) }));
    let groups = vec!["a".repeat(32); 20];
    let request = Request { claims, groups, path: "a".repeat(640), ..Request::default() };
    for source in [
        "identity.claims.list.all(x, x == 'b' || identity.claims.list.exists(y, y == x))",
        "identity.groups.map(x, x + x).filter(y, y in identity.groups) == []",
        "identity.claims.list == identity.claims.list && identity.claims.text == identity.claims.text",
        "identity.groups.exists(x, request.path.contains(x) && request.path.matches('b$'))",
        "{'a': 1, 'b': 2, 'c': 3}.exists(k, {'x': 1, 'y': 2}.exists(l, k == l)) || size(request.path) == 0",
        "(identity.groups + identity.groups).exists_one(x, x.lowerAscii().endsWith(request.path))",
        "'b' in identity.claims.list || request.path < request.path + identity.claims.other",
        "[request.path, request.path + 'a'].all(x, string(bytes(x)) == x)",
        "ip_in(client.ip, ['192.168.0.0/16', '::/0']) || identity.claims.list[3] == identity.claims.list[4]",
    ] {
        let schema = schema_within(limits);
        let within =
            |steps| Program::compile(source, &schema_within(Limits { steps, ..limits }), &Type::Bool).is_ok();
        assert!(Program::compile(source, &schema, &Type::Bool).is_ok(), "{source}");
        // The smallest limit under which it is accepted is what was estimated.
        let (mut refused, mut accepted) = (0, 10_000_000);
        assert!(within(accepted));
        while accepted - refused > 1 {
            let middle = (accepted + refused) / 2;
            if within(middle) { accepted = middle } else { refused = middle }
        }
        let tight =
            Program::compile(source, &schema_within(Limits { steps: accepted, ..limits }), &Type::Bool);
        let result = tight.unwrap().evaluate(&request);
        assert!(result.is_ok(), "{source} within {accepted}: {result:?}");
    }
}

#[test]
fn values_that_are_nested_without_end_are_not_compared() {
    let mut deep = json!(1);
    for _ in 0..10_000 {
        deep = serde_json::Value::Array(vec![deep]);
    }
    let mut claims = serde_json::Map::new();
    claims.insert("a".to_owned(), deep);
    let request = Request { claims, ..Request::default() };
    let failure = compiled("identity.claims.a == identity.claims.a").evaluate(&request).unwrap_err();
    assert_eq!(failure.reason, Reason::TooManySteps);
    // Taking it apart recurses in its own destructor, which is not what is tested here.
    let mut claims = request.claims;
    for value in claims.values_mut() {
        while let serde_json::Value::Array(inner) = value {
            *value = inner.pop().unwrap_or_default();
        }
    }
}

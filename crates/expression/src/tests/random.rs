//! Arbitrary sources and arbitrary claims: nothing panics, places are borders of characters, and what is accepted
//! ends.

use proptest::prelude::*;

use super::*;

/// Pieces that make sources which get far.
const PIECES: &[&str] = &[
    "request",
    ".",
    "method",
    "path",
    "headers",
    "identity",
    "claims",
    "groups",
    "now",
    "x",
    "y",
    "a",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    ",",
    ":",
    "?",
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "in",
    "&&",
    "||",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    "1",
    "-1",
    "2u",
    "1.5",
    "0x1f",
    "'a'",
    "\"b\"",
    "b'c'",
    "r'\\d'",
    "'\\x41'",
    "true",
    "false",
    "null",
    "has(",
    "size(",
    ".size()",
    ".all(x, ",
    ".exists(y, ",
    ".map(x, ",
    ".filter(x, ",
    ".matches('a+')",
    ".startsWith(",
    "int(",
    "string(",
    "timestamp(",
    "duration('1h')",
    "ip_in(client.ip, '::/0')",
    "sample(0.5)",
    "identity.claims.a",
    "request.headers['x']",
    "request.path",
    " ",
    "\n",
    "// x\n",
    "ä",
    "'ß😀'",
    "\"",
    "'",
    "\\",
    "`",
    "=",
    "&",
    "9223372036854775807",
    "'''",
];

fn sources() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        prop::collection::vec(prop::sample::select(PIECES), 0..40).prop_map(|pieces| pieces.concat()),
        prop::collection::vec(prop::sample::select(PIECES), 0..12).prop_map(|pieces| pieces.join(" ")),
    ]
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<u64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        (-3_i64..3).prop_map(serde_json::Value::from),
        "[a-c]{0,3}".prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[a-c]{1,2}", inner, 0..6)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Conditions that look at claims in every way.
const CONDITIONS: &[&str] = &[
    "identity.claims.a == identity.claims.b",
    "identity.claims.a < identity.claims.b || identity.claims.a >= identity.claims.b",
    "identity.claims.a in identity.claims.b",
    "identity.claims.a[identity.claims.b] == identity.claims.c",
    "identity.claims.a + identity.claims.b == identity.claims.c",
    "identity.claims.a - identity.claims.b == identity.claims.a * identity.claims.b",
    "identity.claims.a / identity.claims.b == identity.claims.a % identity.claims.b",
    "-identity.claims.a == identity.claims.b",
    "identity.claims.a.exists(x, identity.claims.b.exists(y, x == y))",
    "identity.claims.a.map(x, [x]).filter(x, x[0] != null) == identity.claims.b",
    "identity.claims.a.all(x, x.a == 1) || identity.claims.a.exists_one(x, has(x.b))",
    "int(identity.claims.a) == 1 || uint(identity.claims.a) == 1u || double(identity.claims.a) == 1.0",
    "string(identity.claims.a) == '' || bool(identity.claims.a)",
    "timestamp(identity.claims.a) < now || duration(identity.claims.b) > duration('1s')",
    "timestamp(identity.claims.a) + duration(identity.claims.b) == now",
    "timestamp(identity.claims.a).getDayOfYear() == 3",
    "size(identity.claims.a) == 2 || identity.claims.a.contains(identity.claims.b)",
    "identity.claims.a.matches('[ab]+$') || identity.claims.a.lowerAscii() == identity.claims.b",
    "ip_in(identity.claims.a, '10.0.0.0/8')",
    "identity.claims.a ? identity.claims.b : identity.claims.c",
    "{identity.claims.a: 1}[identity.claims.b] == 1",
    "identity.claims.a && identity.claims.b || !identity.claims.c",
    "has(identity.claims.a.b.c) && identity.claims.a.b.c",
];

/// Whether a value may be repeated: errors may not depend on the run, either.
fn twice(source: &str, request: &Request) -> Result<bool, Failure> {
    let program = compiled(source);
    let first = program.evaluate(request);
    assert_eq!(first, program.evaluate(request), "{source}");
    first
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn any_source(source in sources()) {
        match Program::compile(&source, &schema(), &Type::Dyn) {
            Ok(program) => drop(program.value(&Request::default())),
            Err(mistakes) => {
                prop_assert!(!mistakes.is_empty());
                for mistake in mistakes {
                    prop_assert!(source.get(mistake.start..mistake.end).is_some(), "{:?}", mistake);
                }
            }
        }
    }

    #[test]
    fn any_claims(a in json(), b in json(), c in json()) {
        let claims = object(json!({ "a": a, "b": b, "c": c }));
        let request = Request { claims, ..Request::default() };
        for condition in CONDITIONS {
            let _ = twice(condition, &request);
        }
    }

    /// Whatever claims hold, `a == b` and `b == a` agree, and nothing is less than and greater than another.
    #[test]
    fn comparisons_are_consistent(a in json(), b in json()) {
        let claims = object(json!({ "a": a, "b": b }));
        let request = Request { claims, ..Request::default() };
        let holds = |source| twice(source, &request).map_err(|failure| failure.reason);
        prop_assert_eq!(holds("identity.claims.a == identity.claims.b"), holds("identity.claims.b == identity.claims.a"));
        prop_assert_eq!(holds("identity.claims.a < identity.claims.b"), holds("identity.claims.b > identity.claims.a"));
        prop_assert_eq!(holds("identity.claims.a == identity.claims.a"), Ok(true));
    }
}

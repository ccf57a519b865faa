//! The same expressions in the interpreter of the `cel` crate: both must come to the same value, or both to an error.

use cel::common::ast::{Expr, LiteralValue};
use cel::parser::PrattParser;
use proptest::prelude::*;

use super::*;

/// An `int`, with `x` for the variable of a macro around it.
fn ints() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (-3_i64..4).prop_map(|number| number.to_string()),
        Just("9223372036854775807".to_owned()),
        Just("-9223372036854775808".to_owned()),
        Just("m.n".to_owned()),
        Just("m.none".to_owned()),
        Just("size('aß😀')".to_owned()),
        Just("int('12')".to_owned()),
        Just("int('ab')".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone(), "[-+*/%]")
                .prop_map(|(one, two, op)| format!("({one} {op} {two})")),
            inner.clone().prop_map(|one| format!("-({one})")),
            (inner.clone(), inner).prop_map(|(one, two)| format!("[{one}, {two}][1]")),
        ]
    })
}

fn texts() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "'[a-cß]{0,3}'",
        Just("m.s".to_owned()),
        Just("'\\u00e9\\x41'".to_owned()),
        Just("string(m.n)".to_owned()),
    ];
    leaf.prop_recursive(2, 6, 2, |inner| {
        (inner.clone(), inner).prop_map(|(one, two)| format!("({one} + {two})"))
    })
}

fn lists() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::collection::vec(ints(), 0..4).prop_map(|parts| format!("[{}]", parts.join(", "))),
        Just("m.l".to_owned()),
        Just("m.l.map(x, x * x)".to_owned()),
        Just("m.l.filter(x, x % 2 == 0)".to_owned()),
        Just("(m.l + [7])".to_owned()),
    ]
}

fn bools() -> impl Strategy<Value = String> {
    let compare = prop::sample::select(&["==", "!=", "<", "<=", ">", ">="][..]);
    let method = prop::sample::select(&["contains", "startsWith", "endsWith"][..]);
    let walk = prop::sample::select(&["all", "exists", "exists_one"][..]);
    let leaf = prop_oneof![
        Just("true".to_owned()),
        Just("false".to_owned()),
        (ints(), ints(), compare.clone()).prop_map(|(one, two, op)| format!("{one} {op} {two}")),
        (ints(), compare.clone()).prop_map(|(one, op)| format!("{one} {op} 1.5")),
        (texts(), texts(), compare).prop_map(|(one, two, op)| format!("{one} {op} {two}")),
        (texts(), texts(), method).prop_map(|(one, two, name)| format!("{one}.{name}({two})")),
        (ints(), lists()).prop_map(|(one, list)| format!("{one} in {list}")),
        (lists(), lists()).prop_map(|(one, two)| format!("{one} == {two}")),
        (lists(), walk, ints()).prop_map(|(list, name, than)| format!("{list}.{name}(x, 6 / x > {than})")),
        Just("has(m.n) && !has(m.none)".to_owned()),
        Just("'k' in {'k': m.n}".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(one, two)| format!("({one} && {two})")),
            (inner.clone(), inner.clone()).prop_map(|(one, two)| format!("({one} || {two})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(one, two, three)| format!("({one} ? {two} : {three})")),
            inner.prop_map(|one| format!("!({one})")),
        ]
    })
}

struct M(serde_json::Map<String, serde_json::Value>);

impl Variables for M {
    fn variable(&self, _: u16) -> Option<Value<'_>> {
        Some(Value::json_map(&self.0))
    }
}

fn theirs(source: &str) -> Result<bool, String> {
    let expression = PrattParser::default().parse(source).map_err(|error| error.to_string())?;
    let mut context = cel::Context::default();
    let map: std::collections::HashMap<String, cel::Value> = [
        ("n".to_owned(), cel::Value::from(5_i64)),
        ("s".to_owned(), cel::Value::from("aß")),
        ("l".to_owned(), cel::Value::from(vec![3_i64, 0, 2])),
    ]
    .into();
    context.add_variable_from_value("m", map);
    match cel::Value::resolve(&expression, &context) {
        Ok(cel::Value::Bool(value)) => Ok(value),
        Ok(other) => Err(format!("{other:?}")),
        Err(error) => Err(error.to_string()),
    }
}

/// A literal of a string, or something close to one.
fn literals() -> impl Strategy<Value = String> {
    let pieces = [
        "a",
        "ß",
        "😀",
        "'",
        "\"",
        "\\",
        "n",
        "x41",
        "xff",
        "u00e9",
        "U0001f600",
        "ud800",
        "101",
        "400",
        "?",
        "`",
    ];
    let quotes = prop::sample::select(&["'", "\"", "\'\'\'", "\"\"\""][..]);
    let prefix = prop::sample::select(&["", "r", "R", "b", "B", "br", "bR"][..]);
    (prefix, quotes, prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..6))
        .prop_map(|(prefix, quote, pieces)| format!("{prefix}{quote}{}{quote}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn both_come_to_the_same(source in bools()) {
        let schema = Schema::new(Limits { steps: u32::MAX, ..Limits::default() });
        let schema = schema.variable("m", Type::map(Type::Dyn), 0);
        let program = Program::compile(&source, &schema, &Type::Bool);
        prop_assume!(program.as_ref().err().is_none_or(|mistakes| !mistakes[0].message.contains("deep")));
        let program = program.map_err(|mistakes| TestCaseError::fail(format!("{source}: {mistakes:#?}")))?;
        let m = M(object(json!({ "n": 5, "s": "aß", "l": [3, 0, 2] })));
        let (ours, theirs) = (program.evaluate(&m), theirs(&source));
        match (&ours, &theirs) {
            (Ok(one), Ok(other)) => prop_assert_eq!(one, other, "{}", source),
            (Err(_), Err(_)) => {}
            _ => prop_assert!(false, "{source}: {ours:?}, but {theirs:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3000) })]

    #[test]
    fn literals_mean_the_same(source in literals()) {
        let program = Program::compile(&source, &schema(), &Type::Dyn);
        let request = Request::default();
        let ours = program.as_ref().ok().and_then(|program| match program.value(&request).ok()? {
            Value::Text(text) => Some(text.as_bytes().to_vec()),
            Value::Bytes(bytes) => Some(bytes.to_vec()),
            _ => None,
        });
        let parsed = PrattParser::default().parse(&source).ok();
        let theirs = parsed.and_then(|parsed| match parsed.expr {
            Expr::Literal(LiteralValue::String(text)) => Some(text.inner().as_bytes().to_vec()),
            Expr::Literal(LiteralValue::Bytes(bytes)) => Some(bytes.inner().to_vec()),
            _ => None,
        });
        prop_assert_eq!(ours, theirs, "{}", source);
    }
}

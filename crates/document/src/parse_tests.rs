//! What a text becomes, and what is refused.

use diagnostics::{Diagnostics, SourceId, Sources};

use super::{MAX_DEPTH, parse};
use crate::node::{Node, Value};

fn read(text: &str) -> (Option<Node>, Diagnostics) {
    let mut diagnostics = Diagnostics::new();
    let node = parse(SourceId(0), text, &mut diagnostics);
    (node, diagnostics)
}

/// The tree on one line: `{a: [b, ~]}`.
fn compact(node: &Node) -> String {
    match &node.value {
        Value::Null => "~".to_owned(),
        Value::Scalar(scalar) if scalar.plain => scalar.text.clone(),
        Value::Scalar(scalar) => format!("{:?}", scalar.text),
        Value::List(nodes) => format!("[{}]", nodes.iter().map(compact).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let entry = |entry: &crate::Entry| format!("{}: {}", entry.key.value, compact(&entry.node));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

#[test]
fn texts_become_trees() {
    for (text, wanted) in [
        ("", "~"),
        ("# only a comment\n", "~"),
        ("---\na: 1\n...\n", "{a: 1}"),
        ("\u{feff}a: 1\n", "{a: 1}"),
        ("listen: 0.0.0.0:8080", "{listen: 0.0.0.0:8080}"),
        ("a: [http://10.0.0.1:8080, x]\r\nb: { c: d }\r\n", "{a: [http://10.0.0.1:8080, x], b: {c: d}}"),
        ("{\"a\": [1, true, null, \"x\\ny\"]}", "{a: [1, true, ~, \"x\\ny\"]}"),
        ("a:\nb: ~\nc: ''\nd: \"null\"\n", "{a: ~, b: ~, c: \"\", d: \"null\"}"),
        ("a: |\n  one\n  two\n", "{a: \"one\\ntwo\\n\"}"),
        ("- off\n- yes\n- 0x10\n", "[off, yes, 0x10]"),
    ] {
        let (node, diagnostics) = read(text);
        assert!(diagnostics.is_empty(), "{text}: {diagnostics:?}");
        assert_eq!(compact(&node.unwrap()), wanted, "{text}");
    }
}

#[test]
fn spans_cover_what_was_written() {
    let text = "\u{feff}ü: plain text  # note\nlist: [a, 'b c' ]\nsub:\n  k: \"v\"\n  l:\n    - x\n    - y z\nend: {m: n}\n";
    let mut sources = Sources::new();
    let id = sources.add("a", text);
    let (node, _) = read(text);
    let node = node.unwrap();
    let entries = node.map().unwrap();
    let shown: Vec<(&str, &str)> =
        entries.iter().map(|entry| (sources.slice(entry.key.span), sources.slice(entry.node.span))).collect();
    assert_eq!(
        shown,
        [
            ("ü", "plain text"),
            ("list", "[a, 'b c' ]"),
            ("sub", "k: \"v\"\n  l:\n    - x\n    - y z"),
            ("end", "{m: n}")
        ]
    );
    assert_eq!(sources.slice(node.get("list").unwrap().list().unwrap()[1].span), "'b c'");
    assert_eq!(sources.slice(node.get("sub").unwrap().get("l").unwrap().span), "- x\n    - y z");
    assert_eq!(sources.position(id, entries[0].node.span.start).line, 1);
}

#[test]
fn what_is_refused_says_where() {
    for (text, code, place, kept) in [
        ("a: [1, 2", "GW0001", "", None),
        ("a: 'x\n", "GW0001", "", None),
        ("a: 1\n\tb: 2\n", "GW0001", "", None),
        ("a: b: c\n", "GW0001", "", None),
        ("a: &x 1\n", "GW0002", "1", Some("{a: 1}")),
        ("a: *x\n", "GW0002", "*x", Some("{a: ~}")),
        ("a: !secret 1\n", "GW0002", "!secret", Some("{a: 1}")),
        ("<<: {b: 1}\nc: 2\n", "GW0002", "<<", Some("{c: 2}")),
        ("? [a]\n: 1\n", "GW0002", "[a]", Some("{}")),
        ("a: 1\n---\nb: 2\n", "GW0002", "---", None),
        ("a: 1\nb: 2\na: 3\n", "GW0003", "a", Some("{a: 1, b: 2}")),
    ] {
        let (node, diagnostics) = read(text);
        let mut sources = Sources::new();
        sources.add("a", text);
        let found: Vec<_> = diagnostics.iter().map(|one| one.code.id()).collect();
        assert_eq!(found, [code], "{text}: {diagnostics:?}");
        let span = diagnostics.iter().next().unwrap().span.unwrap();
        assert!(sources.slice(span).starts_with(place), "{text}: {:?}", sources.slice(span));
        assert_eq!(node.as_ref().map(compact).as_deref(), kept, "{text}");
    }
}

#[test]
fn repeated_keys_are_found_in_large_sections_too() {
    let text: String = (0..20).chain([3, 3, 7]).map(|n| format!("k{n}: {n}\n")).collect();
    let (node, diagnostics) = read(&text);
    let lines: Vec<u32> = diagnostics.iter().map(|one| one.related[0].0.start).collect();
    assert_eq!(lines, [18, 18, 42]);
    assert_eq!(node.unwrap().map().unwrap().len(), 20);
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(&nested(MAX_DEPTH)).0.is_some());
    for text in [nested(MAX_DEPTH + 1), nested(200), "[".repeat(100_000), "- ".repeat(100_000)] {
        let (node, diagnostics) = read(&text);
        assert!(node.is_none());
        assert_eq!(diagnostics.errors(), 1);
    }
}

#[test]
fn a_large_file_is_read_in_linear_time() {
    let text: String = (0..10_000)
        .map(|n| format!("  - {{ path: /service-{n}/*, methods: [GET, POST], service: service-{n} }}\n"))
        .collect();
    let (node, diagnostics) = read(&format!("routes:\n{text}"));
    assert!(diagnostics.is_empty());
    assert_eq!(node.unwrap().get("routes").unwrap().list().unwrap().len(), 10_000);
}

#[test]
fn no_text_makes_it_panic() {
    let pieces = [
        "a", ":", " ", "\n", "- ", "[", "]", "{", "}", "'", "\"", "&", "*", "!", "|", ">", "%", "#", "?",
        "ü", "\t", ",",
    ];
    let mut state = 0x9e37_79b9_u32;
    for _ in 0..3000 {
        let mut text = String::new();
        for _ in 0..24 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.push_str(pieces[(state >> 16) as usize % pieces.len()]);
        }
        let (node, diagnostics) = read(&text);
        assert!(node.is_some() || diagnostics.has_errors(), "{text:?}");
    }
}

//! Configuration texts: every place lies in the text, JSON says the same as YAML, and no secret is shown.
//!
//! The bytes are a file of a configuration. Knows nothing of the language, only of its trees.

#![no_main]

use std::path::Path;

use diagnostics::{Diagnostics, SourceId, Sources, render_json, render_text};
use document::{MAX_DEPTH, MemoryEnvironment, Node, Value, interpolate, parse};
use libfuzzer_sys::fuzz_target;

/// What the variable and the file hold.
const SECRET: &str = "\u{1}kept secret\n";
/// The longest key that YAML takes without `?` in front, in characters.
const LONGEST_KEY: usize = 1000;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut sources = Sources::new();
    let source = sources.add("fuzz.yaml", text);
    let mut diagnostics = Diagnostics::new();
    let node = parse(source, text, &mut diagnostics);
    assert!(node.is_some() || diagnostics.has_errors(), "given up without a reason");
    if let Some(mut node) = node {
        check_node(&node, text, 1);
        check_json(&node);
        let before = node.clone();
        let environment =
            MemoryEnvironment::new().with_var("A", SECRET).with_var("B", "").with_file("conf/a", SECRET);
        interpolate(&mut node, &environment, Path::new("conf"), &mut diagnostics);
        check_filled(&before, &node);
        let shown = format!("{node:?}");
        assert!(!shown.contains("kept secret") || text.contains("kept") || text.contains("\\"), "{shown}");
    }
    check_rendering(&diagnostics, &sources, text);
});

/// What holds for every tree.
fn check_node(node: &Node, text: &str, depth: usize) {
    let (start, end) = (node.span.start as usize, node.span.end as usize);
    assert!(text.get(start..end).is_some(), "{start}..{end} is no part of the text");
    match &node.value {
        Value::Null => {}
        Value::Scalar(scalar) => assert!(!scalar.secret),
        Value::List(nodes) => {
            assert!(depth <= MAX_DEPTH);
            nodes.iter().for_each(|node| check_node(node, text, depth + 1));
        }
        Value::Map(entries) => {
            assert!(depth <= MAX_DEPTH);
            let mut keys: Vec<&str> = entries.iter().map(|entry| entry.key.value.as_str()).collect();
            keys.sort_unstable();
            assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "a key is there twice");
            for entry in entries {
                let (start, end) = (entry.key.span.start as usize, entry.key.span.end as usize);
                assert!(text.get(start..end).is_some(), "{start}..{end} is no part of the text");
                check_node(&entry.node, text, depth + 1);
            }
        }
    }
}

/// JSON is a part of YAML: a tree written as JSON is read as the same tree.
fn check_json(node: &Node) {
    let mut json = String::new();
    if write_json(node, &mut json).is_none() {
        return;
    }
    let mut diagnostics = Diagnostics::new();
    let again = parse(SourceId(0), &json, &mut diagnostics);
    assert!(diagnostics.is_empty(), "not read: {json}\n{diagnostics:?}");
    assert!(again.is_some_and(|again| same(node, &again)), "another tree: {json}");
}

/// Whether two trees say the same; places and quotes do not count.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Null, Value::Null) => true,
        (Value::Scalar(a), Value::Scalar(b)) => a.text == b.text,
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.key == b.key && same(&a.node, &b.node))
        }
        _ => false,
    }
}

/// Writes a tree as JSON; `None` for a key that is too long to be one.
fn write_json(node: &Node, out: &mut String) -> Option<()> {
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Scalar(scalar) => write_string(&scalar.text, out),
        Value::List(nodes) => {
            out.push('[');
            for (at, node) in nodes.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write_json(node, out)?;
            }
            out.push(']');
        }
        Value::Map(entries) => {
            out.push('{');
            for (at, entry) in entries.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                let start = out.len();
                write_string(&entry.key.value, out);
                if out.len() - start > LONGEST_KEY {
                    return None;
                }
                out.push_str(": ");
                write_json(&entry.node, out)?;
            }
            out.push('}');
        }
    }
    Some(())
}

/// Writes a string with everything escaped that is not plain ASCII, as many programs do.
fn write_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ if (c as u32) < 0x1_0000 => out.push_str(&format!("\\u{:04x}", c as u32)),
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// Filling in changes nothing but the text of scalars with a reference in them.
fn check_filled(before: &Node, after: &Node) {
    assert_eq!(before.span, after.span);
    match (&before.value, &after.value) {
        (Value::Null, Value::Null) => {}
        (Value::Scalar(a), Value::Scalar(b)) => {
            assert!(a.text.contains("${") || (a.text == b.text && !b.secret));
            assert_eq!(a.plain, b.plain);
            assert!(b.secret || b.text.len() <= a.text.len(), "longer, and nothing was filled in");
        }
        (Value::List(a), Value::List(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(a, b)| check_filled(a, b));
        }
        (Value::Map(a), Value::Map(b)) => {
            assert_eq!(a.len(), b.len());
            for (a, b) in a.iter().zip(b) {
                assert_eq!(a.key, b.key);
                check_filled(&a.node, &b.node);
            }
        }
        _ => panic!("another kind of node"),
    }
}

/// Whatever a file says, what is shown of it is harmless.
fn check_rendering(diagnostics: &Diagnostics, sources: &Sources, text: &str) {
    let shown = render_text(diagnostics, sources, false);
    assert!(
        shown.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\t')),
        "a control character: {shown:?}"
    );
    assert!(!shown.contains("kept secret") || text.contains("kept") || text.contains('\\'), "{shown}");
    let _ = render_json(diagnostics, sources);
    let _ = render_text(diagnostics, sources, true);
}

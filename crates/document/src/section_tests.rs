//! Sections: defaults, names of keys, and every mistake at once.

use diagnostics::{Code, Diagnostic, Diagnostics, Sources, Spanned, render_text};

use crate::{Decode, DurationValue, Int, Map, parse};

crate::section! {
    /// A server.
    pub(crate) struct Server {
        /// Where it is.
        address: Spanned<String>,
        /// How long to wait.
        wait: DurationValue = "1s",
        /// What to match.
        matching as "match": Option<String>,
        /// What to retry.
        on: Vec<String> = "[reset, \"503\"]",
        /// Servers below it.
        children: Option<Map<Child>>,
    }
    not_built { "tls" => "encryption" }
    check both_names
}

crate::section! {
    /// A child.
    pub(crate) struct Child {
        /// Its share.
        weight: u32 [1..=1000] = "1",
    }
    not_built { "tls" => "encryption" }
}

crate::section! {
    /// A door.
    pub(crate) struct Door {
        /// Its number.
        number: Int<1, 9>,
        /// How long it stays open.
        open: DurationValue = "1s",
    }
    not_built { "lock" => "locking it" }
    short number
}

#[test]
fn a_single_value_may_stand_for_a_section() {
    for (text, wanted, errors) in [
        ("3", Some(3), vec![]),
        ("{ number: 4 }", Some(4), vec![]),
        ("x", None, vec!["GW0103"]),
        ("{ lock: 1 }", None, vec!["GW0104"]),
    ] {
        let mut diagnostics = Diagnostics::new();
        let node = parse(crate::SourceId(0), text, &mut diagnostics).unwrap();
        let door = Door::decode(&node, &mut diagnostics);
        assert_eq!(
            door.map(|door| (door.number.get(), door.open.to_string())),
            wanted.map(|n| (n, "1s".to_owned()))
        );
        assert_eq!(diagnostics.iter().map(|one| one.code.id()).collect::<Vec<_>>(), errors, "{text}");
    }
    assert_eq!(Door::shape().in_words(), "number, 1 to 9, or section Door");
}

fn both_names(server: &Server, diagnostics: &mut Diagnostics) {
    if server.matching.as_deref() == Some(server.address.as_str()) {
        diagnostics.push(Diagnostic::error(Code::ConflictingKeys, server.span, "both are the same"));
    }
}

fn read(text: &str) -> (Option<Server>, String) {
    let mut sources = Sources::new();
    let id = sources.add("gateward.yaml", text);
    let mut diagnostics = Diagnostics::new();
    let node = parse(id, text, &mut diagnostics).unwrap();
    let server = Server::decode(&node, &mut diagnostics);
    (server, render_text(&diagnostics, &sources, false))
}

#[test]
fn defaults_and_names() {
    let (server, text) = read("address: a\nmatch: b\nchildren:\n  x: {}\n  y: { weight: 3 }\n");
    assert_eq!(text, "");
    let server = server.unwrap();
    assert_eq!(server.address.value, "a");
    assert_eq!(server.wait.to_string(), "1s");
    assert_eq!(server.matching.as_deref(), Some("b"));
    assert_eq!(server.on, ["reset", "503"]);
    let weights: Vec<u32> = server.children.unwrap().iter().map(|(_, child)| child.weight).collect();
    assert_eq!(weights, [1, 3]);
    assert_eq!((server.span.start, server.span.end), (0, 56));
}

#[test]
fn the_section_as_a_whole_is_checked() {
    assert!(read("address: a\nmatch: a\n").1.contains("both are the same"));
}

#[test]
fn every_mistake_is_reported_at_once() {
    let (server, text) = read(
        "mtch: x\nwait: 5\nchildren:\n  z: { tls: 1 }\n  a: { weight: 0 }\n  b: { wieght: 1 }\n  c: 3\n",
    );
    assert!(server.is_none());
    let wanted = "\
error[GW0101]: unknown key `mtch`
 --> gateward.yaml:1:1
  |
1 | mtch: x
  | ^^^^ not part of the language here
  |
  = help: did you mean `match`?

error[GW0102]: the key `address` is missing
 --> gateward.yaml:1:1
  |
1 | mtch: x
  | ^^^^^^^ this section needs `address`
  |
  = help: add `address`: Where it is.

error[GW0202]: `5` is not a duration
 --> gateward.yaml:2:7
  |
2 | wait: 5
  |       ^ expected a duration
  |
  = help: add a unit: `5s` or `5ms`

error[GW0104]: `tls` is not built yet
 --> gateward.yaml:4:8
  |
4 |   z: { tls: 1 }
  |        ^^^ encryption: part of the language, but this version does not have it yet
  |
  = help: remove it to use this version

error[GW0201]: `0` is out of range
 --> gateward.yaml:5:16
  |
5 |   a: { weight: 0 }
  |                ^ must be 1 to 1000

error[GW0101]: unknown key `wieght`
 --> gateward.yaml:6:8
  |
6 |   b: { wieght: 1 }
  |        ^^^^^^ not part of the language here
  |
  = help: did you mean `weight`?

error[GW0103]: expected a section with keys such as `weight`, found `3`
 --> gateward.yaml:7:6
  |
7 |   c: 3
  |      ^ expected a section with keys such as `weight`

";
    assert_eq!(text, wanted);
}

#[test]
fn a_section_describes_itself() {
    let info = Server::info();
    let keys: Vec<(&str, bool, Option<&str>)> =
        info.keys.iter().map(|key| (key.name, key.required, key.default)).collect();
    assert_eq!(
        keys,
        [
            ("address", true, None),
            ("wait", false, Some("1s")),
            ("match", false, None),
            ("on", false, Some("[reset, \"503\"]")),
            ("children", false, None),
        ]
    );
    assert_eq!(
        (info.name, info.doc.trim(), info.not_built),
        ("Server", "A server.", &[("tls", "encryption")][..])
    );
}

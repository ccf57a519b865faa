//! What is shown of a text, and what is not.

use std::path::Path;

use diagnostics::{Diagnostics, SourceId, Sources, render_json, render_text};

use super::Concealer;
use crate::{Decode, Int, Map, MemoryEnvironment, Node, OneOrMany, Secret, Shape, draft, interpolate};

crate::section! {
    /// Everything.
    struct Root {
        /// Where it listens.
        listen: Option<String>,
        /// Its doors.
        doors: Vec<Door>,
        /// Who comes.
        callers: Vec<Caller>,
        /// What others know.
        policies: Option<Map<Node>>,
    }
}

crate::section! {
    /// A door, which only has a secret further in.
    struct Door {
        /// Its name.
        name: Option<String>,
        /// Where it leads.
        targets: Vec<String>,
        /// Who gets through again.
        sticky: Option<Sticky>,
        /// How it closes.
        lock: Option<OneOrMany<Lock>>,
    }
}

crate::section! {
    /// Who gets through again.
    struct Sticky {
        /// What is known.
        secret: Option<Secret>,
        /// How often.
        turns: Option<Int<1, 9>>,
    }
}

crate::section! {
    /// How it closes.
    struct Lock {
        /// How often.
        turns: Option<u32>,
    }
}

crate::section! {
    /// Somebody.
    struct Caller {
        /// The name.
        name: String,
        /// What is shown.
        keys: Vec<Key>,
        /// Users.
        basic: Option<OneOrMany<User>>,
    }
}

crate::section! {
    /// A key.
    struct Key {
        /// The key itself.
        key: Option<Secret>,
        /// What people call it.
        label: Option<String>,
    }
    short key
}

crate::section! {
    /// A user.
    struct User {
        /// The name.
        username: String,
        /// The hash of the password.
        password: Secret,
    }
}

/// The text that may be shown, and what is said of it.
fn seen(text: &str) -> (String, String) {
    let mut sources = Sources::new();
    let id = sources.add("a.yaml", text);
    let mut diagnostics = Diagnostics::new();
    let environment = MemoryEnvironment::new().with_var("KEY", "filled-s3cret");
    let mut draft = draft(SourceId(0), text, &mut diagnostics);
    interpolate(&mut draft.node, &environment, Path::new(""), &mut diagnostics);
    let named = |name: &str| match name {
        "known" => Some(Sticky::shape()),
        "open" => Some(Shape::TEXT),
        _ => None,
    };
    let concealed = Concealer::new(&named).conceal(&mut draft, &Root::shape(), text);
    concealed.veils.iter().for_each(|veil| sources.hide(veil));
    if let Some(node) = draft.finish(&mut diagnostics) {
        let _ = Root::decode(&node, &mut diagnostics);
    }
    diagnostics.hide(&concealed.hidden);
    let said = render_text(&diagnostics, &sources, false) + &render_json(&diagnostics, &sources).to_string();
    (sources.text(id).to_owned(), said)
}

#[test]
fn only_what_is_at_its_place_is_shown() {
    for (text, wanted) in [
        ("lisen: 80\nlisten: [81]", "lisen: 80\nlisten: [81]"),
        ("far: 80\ndors: [{ name: a }]", "far: **\ndors: [{ name: a }]"),
        (
            "doors: [{ target: [http://a], nam: x, far: y }]",
            "doors: [{ target: [http://a], nam: x, far: * }]",
        ),
        ("doors: { name: a, far: b }", "doors: { name: a, far: * }"),
        (
            "doors: [{ lock: { far: 1, name: { secret: a } } }, { lock: b }]",
            "doors: [{ lock: { far: 1, name: { ******: * } } }, { lock: b }]",
        ),
        ("doors: a\ncallers: b", "doors: a\ncallers: *"),
        ("doors: [{ stick: { secret: a, turns: 2 } }]", "doors: [{ stick: { secret: *, turns: 2 } }]"),
        ("doors: [{ sticky: { turns: ten, turn: 1 } }]", "doors: [{ sticky: { turns: ***, turn: * } }]"),
        ("callers: [{ name: a, keys: b }] # c", "callers: [{ name: a, keys: * }] * *"),
        (
            "callers: [{ name: a, keys: [b, \"c\", { key: d, label: e }] }]",
            "callers: [{ name: a, keys: [*, \"*\", { key: *, label: e }] }]",
        ),
        (
            "callers: [{ name: a, key: [b-c], keyz: { d: e } }]",
            "callers: [{ name: a, key: [***], keyz: { *: * } }]",
        ),
        (
            "callers: [{ name: [a], keys: [{ kye: b, k9: c }] }]",
            "callers: [{ name: [*], keys: [{ kye: *, **: * }] }]",
        ),
        ("callers: [{ name: a, keys: [b], keys: [c] }]", "callers: [{ name: a, keys: [*], keys: [*] }]"),
        (
            "callers: [{ basic: { username: a, password: b,c } }]",
            "callers: [{ basic: { username: a, password: *,* } }]",
        ),
        (
            "caller:\n- name: a # b\n  keys:\n  - >\n    c: d\n    e\n",
            "caller:\n- name: a * *\n  keys:\n  - *\n    ****\n*****\n",
        ),
        ("callers: [&a {[b]: c, !d e: f, *g : h}]", "callers: [** {[*]: *, ** e: *, ** : *}]"),
        (
            "callers: [{ keys: [\"a${env:KEY}b\", \"${env:NONE:-c}\", \"${KEY}\"] }]",
            "callers: [{ keys: [\"*${env:KEY}*\", \"${env:NONE:-*}\", \"******\"] }]",
        ),
        ("callers: [{ name: \"${env:KEY}\" }]", "callers: [{ name: \"${env:KEY}\" }]"),
        (
            "policies: { known: { turns: 1, secrt: a }, open: b, odd: { c: d } }",
            "policies: { known: { turns: 1, secrt: * }, open: b, odd: { *: * } }",
        ),
        ("polices: { known: a }", "polices: { known: * }"),
        ("callers: [{ name: a, keys: [b }\n  c: d", "callers: [{ name: *, keys: [* }\n  c: *"),
        ("listen: a\n? [b]\n: c\n", "listen: a\n? [*]\n: *\n"),
    ] {
        assert_eq!(seen(text).0, wanted, "{text}");
    }
}

/// Secrets at every wrong place, in every form.
#[test]
fn no_secret_is_said_wherever_it_is_written() {
    const PLANTED: &str = "pl4nted";
    for text in [
        "callers: [{ name: a, keys: pl4nted }]",
        "callers: [{ name: a, keys: { key: pl4nted } }]",
        "callers: [{ name: a, keys: { pl4nted: a } }]",
        "callers: [{ name: a, keys: [{ kye: pl4nted }] }]",
        "callers: [{ name: a, keys: [{ key: [pl4nted] }] }]",
        "callers: [{ name: a, keys: [[pl4nted]] }]",
        "callers: [{ name: a, key: pl4nted }]",
        "callers: [{ name: a, pl4nted: x }]",
        "callers: [{ name: a, pl4nted: x, pl4nted: y }]",
        "callers: [{ name: a, keys: [x], keys: [pl4nted] }]",
        "callers: [{ name: [pl4nted] }]",
        "callers: { name: pl4nted }",
        "callers: pl4nted",
        "caller: [{ keys: [pl4nted] }]",
        "calers: [{ name: a, keys: [pl4nted-, b] }]",
        "callers: [{ basic: pl4nted }]",
        "callers: [{ basic: { username: u, pasword: pl4nted } }]",
        "callers: [{ basic: { username: u, password: { a: pl4nted } } }]",
        "callers: [{ basic: { username: u, password: x,pl4nted } }]",
        "callers: [{ basic: { username: u, password: $argon2id$v=19$m=1,t=2,p=1$pl4nted$pl4nted } }]",
        "callers: [{ basic: { username: u, password: a: pl4nted } }]",
        "callers: [{ name: a, keys: [pl4nted }] }]",
        "callers: [{ name: a, keys: [\"pl4nted]",
        "callers: [&pl4nted { name: a }]",
        "callers: [{ name: a, keys: [*pl4nted] }]",
        "callers: [{ name: a, keys: [!pl4nted x] }]",
        "callers: [{ name: a, keys: [\"${pl4nted}\"] }]",
        "callers: [{ name: a, keys: [\"${env:pl4nted x}\"] }]",
        "callers: [{ name: a, keys: [\"${env:A:-pl4nted}\"], x: y }]",
        "callers: [{ name: a, keys: [\"${env:pl4nted\"] }]",
        "callers:\n- name: a\n  basic: { username: u }\n  keys: #pl4nted",
        "callers: [{ basic: { username: u, password: #pl4nted\n } }]",
        "doors: [{ sticky: pl4nted }]",
        "doors: [{ sticky: { turns: pl4nted } }]",
        "doors: [{ stikcy: { secret: pl4nted } }]",
        "doors: [{ far: { secret: pl4nted } }]",
        "doors: [{ far: pl4nted }]",
        "doors: [{ secret: pl4nted }]",
        "doors: [{ name: { secret: pl4nted } }]",
        "doors: { secret: pl4nted }",
        "doors: [{ sticky: { secret: x, x: &pl4nted y } }]",
        "policies: [{ known: { secret: pl4nted } }]",
        "unheard: { secret: pl4nted }",
    ] {
        let (shown, said) = seen(text);
        assert!(said.contains("error"), "{text}: {said}");
        // The name of a variable is no secret.
        assert!(!shown.replace("${env:pl4nted", "").contains(PLANTED), "{text}: {shown}");
        assert!(!said.contains(PLANTED), "{text}: {said}");
    }
}

#[test]
fn a_mistake_is_still_explained() {
    for (text, wanted) in [
        ("callers: [{ name: a, key: x }]", &["unknown key `key`", "did you mean `keys`?", "key: *"][..]),
        (
            "callers: [{ name: a, keys: x }]",
            &["expected a list, found the hidden value", "put it in brackets"],
        ),
        (
            "callers: [{ name: a, k9: x }]",
            &["unknown key `[hidden]`", "the keys here are `name`, `keys`, `basic`"],
        ),
        ("doors: [{ sticky: { turns: ten } }]", &["expected a whole number, found the hidden value"]),
        ("doors: [{ name: a, name: b }]", &["the key `name` is given twice", "name: b"]),
        (
            "callers: [{ basic: { username: u, password: x,y } }]",
            &["unknown key `[hidden]`", "put that in quotes: in `{…}` a value ends at a comma"],
        ),
        ("lisen: 8080", &["unknown key `lisen`", "did you mean `listen`?", "lisen: 8080"]),
    ] {
        let said = seen(text).1;
        wanted.iter().for_each(|wanted| assert!(said.contains(wanted), "{text}, {wanted}: {said}"));
    }
}

#[test]
fn a_hash_that_is_cut_at_a_comma_is_one_mistake() {
    let text =
        "callers: [{ name: a, keys: [], basic: { username: u, password: $argon2id$v=19$m=1,t=2,p=1$a$b } }]";
    let said = seen(&format!("{text}\ndoors: []\n")).1;
    assert!(
        said.contains("this hash of a password is cut at its first comma")
            && said.contains("put it in quotes"),
        "{said}"
    );
    assert_eq!(said.matches("error[").count(), 1, "{said}");
}

/// Texts that are put together at random, below a section with secrets: what is written there is never said.
#[test]
fn no_text_below_a_section_with_secrets_is_said() {
    let pieces = [
        "keys",
        "basic",
        "password",
        ":",
        ": ",
        " ",
        "\n",
        "\n ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "'",
        "\"",
        "&",
        "*",
        "!",
        "|\n",
        ">\n",
        "#",
        "?",
        ",",
        "ü",
        "${",
        "${env:KEY}",
        "}",
        "pl4nted",
        "$argon2",
        "\\",
        "key",
    ];
    let mut state = 0x9e37_79b9_u32;
    for _ in 0..3000 {
        let mut text = "callers:\n - name: ok\n   keys: ".to_owned();
        for _ in 0..16 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.push_str(pieces[(state >> 16) as usize % pieces.len()].replace('\n', "\n   ").as_str());
        }
        let (shown, said) = seen(&text);
        assert_eq!(shown.len(), text.len());
        assert!(!said.contains("pl4nted"), "{text}\n{shown}\n{said}");
    }
}

#[test]
fn urls_with_passwords_are_hidden_wherever_they_stand() {
    for url in [
        "redis://u:hunter2@a:6379/0",
        "rediss://:hunter2@a",
        "https://hunter2@a/b",
        "redis://:hun/hunter2@a",
        "redis+sentinel://a/m?sentinel_password=hunter2",
        "x http://u:hunter2@a y",
    ] {
        for text in [
            format!("listen: \"{url}\""),
            format!("lisen: \"{url}\""),
            format!("doors: [{{ name: \"{url}\", targets: [ok, \"{url}\"] }}]"),
            format!("doors: [{{ targets: \"{url}\", lock: \"{url}\" }}]"),
            format!("policies: {{ open: {{ a: [\"{url}\"] }}, known: {{ turns: \"{url}\" }} }}"),
        ] {
            let (shown, said) = seen(&text);
            assert!(!shown.contains("hunter2") && !said.contains("hunter2"), "{shown}\n{said}");
        }
    }
    for harmless in ["http://a:80/b?c=d", "https://a.test/@me", "a@b.test", "redis://a:6379/0"] {
        let text = format!("doors: [{{ name: \"{harmless}\" }}]");
        assert_eq!(seen(&text).0, text);
    }
}

//! What files say, and what is refused.

use super::{LARGEST_WEIGHT, MOST_ENDPOINTS, parse};

/// The endpoints on one line: `10.0.0.1:80 x2 @a`.
fn read(text: &str) -> Result<String, String> {
    let words = parse(text.as_bytes())?.iter().fold(String::new(), |mut words, one| {
        words += &format!("{} ", one.address);
        words += &one.weight.map(|weight| format!("x{weight} ")).unwrap_or_default();
        words + &one.zone.as_ref().map(|zone| format!("@{zone} ")).unwrap_or_default()
    });
    Ok(words.trim_end().to_owned())
}

#[test]
fn every_form_is_understood() {
    for (text, wanted) in [
        ("- 10.0.0.2:80\n- 10.0.0.1:80\n", "10.0.0.1:80 10.0.0.2:80"),
        ("# none at all\n[]", ""),
        ("endpoints: []", ""),
        ("endpoints:\n- http://10.0.0.1:8080\n- HTTP://10.0.0.2/\n", "10.0.0.1:8080 10.0.0.2:80"),
        (
            "- 'http://[fd00::1]:81'\n- \"[fd00::2]:81\"\n- \"http://[fd00::3]\"",
            "[fd00::1]:81 [fd00::2]:81 [fd00::3]:80",
        ),
        ("- { url: http://10.0.0.1:80, weight: 2, zone: eu-1a }", "10.0.0.1:80 x2 @eu-1a"),
        ("- address: 10.0.0.1:80\n  weight: \"1000\"\n  zone: \"\"\n", "10.0.0.1:80 x1000"),
        ("--- # begins\n- 10.0.0.1:80\n...\n", "10.0.0.1:80"),
        ("\u{feff}- 10.0.0.1:80", "10.0.0.1:80"),
        ("- 10.0.0.1:80\r\n- 10.0.0.2:80\r\n", "10.0.0.1:80 10.0.0.2:80"),
        // JSON as programs write it.
        (r#"["10.0.0.1:80","http:\/\/10.0.0.2:80"]"#, "10.0.0.1:80 10.0.0.2:80"),
        ("{\n\t\"endpoints\": [\n\t\t{\"address\":\"10.0.0.1:80\",\"weight\":2}\n\t]\n}\n", "10.0.0.1:80 x2"),
        // The form of Prometheus, in JSON and in YAML.
        (
            r#"[{ "targets": ["10.0.0.2:80", "10.0.0.1:80"], "labels": { "weight": "2", "zone": "a", "job": "b" } },
                { "targets": ["10.0.0.3:80"], "labels": { "__meta_it": "\ud83d\ude00", "zone": "", "a": "null" } },
                { "labels": null, "targets": ["10.0.0.4:80"] }, { "targets": null }, {"targets":[]}]"#,
            "10.0.0.1:80 x2 @a 10.0.0.2:80 x2 @a 10.0.0.3:80 10.0.0.4:80",
        ),
        (
            "- targets:\n  - 10.0.0.1:80\n  labels:\n    zone: a\n- 10.0.0.2:80\n",
            "10.0.0.1:80 @a 10.0.0.2:80",
        ),
        // The same twice is once.
        ("- 10.0.0.1:80\n- http://10.0.0.1:80\n- 10.0.0.1:81\n", "10.0.0.1:80 10.0.0.1:81"),
    ] {
        assert_eq!(read(text).as_deref(), Ok(wanted), "{text}");
    }
}

#[test]
fn mistakes_are_told_with_place_and_remedy() {
    let mut wrong = Vec::new();
    for (text, place, what, help) in [
        ("", (1, 1), "empty", "`[]`"),
        ("# nothing yet\n", (2, 1), "empty", "`[]`"),
        ("null", (1, 1), "empty", "`[]`"),
        ("endpoints:\n", (1, 10), "not a list", "`[]`"),
        ("{}", (1, 1), "`endpoints` is missing", "`[]`"),
        ("- 10.0.0.1:80\n-", (2, 2), "`~` is not an address", "an IP address and a port"),
        ("10.0.0.1:80", (1, 1), "not a list", "write a list of"),
        ("servers: []", (1, 1), "`servers` is not known", "`endpoints`"),
        ("endpoints: []\nendpoints: []", (2, 1), "second `endpoints`", "remove one"),
        ("- [10.0.0.1:80]", (1, 3), "not an endpoint", "write a list of"),
        ("[\"10.0.0.1:80\", \"10.0", (1, 17), "neither YAML nor JSON", "in part"),
        ("- 10.0.0.1:80\n- { address: 10.0.0.1:80]\n", (2, 3), "neither YAML nor JSON", "brackets"),
        ("- a: &x b", (1, 3), "`a` is not known", "address"),
        ("- &x 10.0.0.1:80\n- *x", (1, 6), "anchors", "the value itself"),
        ("- *x", (1, 3), "aliases", "the value itself"),
        ("- !secret 10.0.0.1:80", (1, 11), "tags", "the value itself"),
        ("- 10.0.0.1:80\n---\n- 10.0.0.2:80", (2, 1), "second document", "one list"),
        ("- 10.0.0.1:80\n- http://app-1.internal:80", (2, 3), "is a name", "`discover: { dns }`"),
        ("- localhost:80", (1, 3), "is a name", "IP address"),
        ("- 10.0.0.1", (1, 3), "has no port", "`10.0.0.1:8080`"),
        ("- 'http://fd00::1'", (1, 3), "has no port", "[fd00::1]:8080"),
        ("- 10.0.0.1:0", (1, 3), "has port 0", "port"),
        ("- 10.0.0.1:70000", (1, 3), "not an address", "port"),
        ("- 10.0.0.300:80", (1, 3), "not an address", "port"),
        ("- https://10.0.0.1:443", (1, 3), "does not begin with `http://`", "in the service"),
        ("- http://10.0.0.1:80/path", (1, 3), "more than an address", "only"),
        ("- { weight: 1 }", (1, 3), "no address", "address"),
        ("- { address:, weight: 1 }", (1, 12), "no value", "in part"),
        ("- { address: [] }", (1, 14), "not a single value", "address"),
        ("- { address: 10.0.0.1:80, url: http://10.0.0.2:80 }", (1, 27), "second `address`", "remove one"),
        ("- { address: 10.0.0.1:80, wieght: 1 }", (1, 27), "`wieght` is not known", "weight"),
        ("- { address: 10.0.0.1:80, weight: 0 }", (1, 35), "`0` is not a weight", "from 1 to 1000"),
        ("- { address: 10.0.0.1:80, weight: +5 }", (1, 35), "`+5` is not a weight", "from 1 to 1000"),
        ("- { address: 10.0.0.1:80, weight: 1001 }", (1, 35), "not a weight", "from 1 to 1000"),
        ("- { address: 10.0.0.1:80, weight: 2, weight: 2 }", (1, 38), "second `weight`", "remove one"),
        ("- { address: 10.0.0.1:80, ? [a] : 1 }", (1, 29), "key must be text", "address"),
        ("- { address: 10.0.0.1:80, zone: \"a\\nb\" }", (1, 33), "name of a zone", "one line"),
        ("- targets:\n  labels: {}\n", (1, 10), "`targets` is not a list", "in part"),
        ("- { targets: [{}] }", (1, 15), "not an address", "IP address"),
        ("- { targets: [a:9090] }", (1, 15), "is a name", "IP address"),
        ("- { targets: [], labels: [] }", (1, 26), "`labels` is not a section", "value"),
        ("- { targets: [], labels: { a: [] } }", (1, 31), "value of a label", "quotes"),
        (
            "- { targets: ['10.0.0.1:80'], labels: { weight: high } }",
            (1, 49),
            "`high` is not a weight",
            "1000",
        ),
        ("- 10.0.0.1:80\n- { address: 10.0.0.1:80, weight: 2 }", (2, 14), "listed before", "remove one"),
    ] {
        let found = read(text).expect_err(text);
        let (line, column) = place;
        let told = found.strip_prefix(&format!("line {line}, column {column}: ")).unwrap_or("");
        if !(told.contains(what) && told.contains(help)) {
            wrong.push(format!("{text}\n  {found}\n"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

#[test]
fn what_is_not_text_has_a_place() {
    let found = parse(b"- 10.0.0.1:80\n# \xc3\xa4\xff").unwrap_err();
    assert_eq!(found, "line 2, column 4: this is not text: write the file in UTF-8");
}

#[test]
fn bounds_hold() {
    let list = |count: usize| -> String {
        (0..count).map(|at| format!("- {{ address: 10.0.{}.{}:80 }}\n", at / 250, at % 250)).collect()
    };
    assert_eq!(parse(list(MOST_ENDPOINTS).as_bytes()).unwrap().len(), MOST_ENDPOINTS);
    let found = read(&list(MOST_ENDPOINTS + 1)).unwrap_err();
    assert!(found.starts_with("line 1001, column 14: there are more than 1000 endpoints: "), "{found}");
    // Long words of a file are not repeated in full, nor are their control characters.
    let found = read(&format!("- \"\\e[2J{}\"", "ä".repeat(500))).unwrap_err();
    assert!(found.contains('…') && !found.contains('\u{1b}') && found.len() < 400, "{found}");
    assert!(read(&"[".repeat(1 << 20)).is_err());
    assert!(LARGEST_WEIGHT == 1000 && read("- {address: 1.1.1.1:1, weight: 99999999999999999999}").is_err());
}

#[test]
fn a_part_of_a_json_file_is_a_mistake() {
    let whole = r#"{ "endpoints": [ { "address": "10.0.0.1:80", "weight": 2 }, "10.0.0.2:80" ] }"#;
    for end in 0..whole.len() {
        assert!(read(&whole[..end]).is_err(), "{}", &whole[..end]);
    }
}

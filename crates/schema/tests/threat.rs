//! The scanner: strict syntax, in any pieces, and limits.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use schema::{Limits, Scanner, Threat};
use serde_json::Value;

const WIDE: Limits = Limits {
    depth: 127,
    members: u32::MAX,
    elements: u32::MAX,
    values: u64::MAX,
    name_bytes: usize::MAX,
    string_bytes: usize::MAX,
    number_bytes: usize::MAX,
};

fn scan(limits: Limits, pieces: &[&[u8]]) -> Result<(), Threat> {
    let mut scanner = Scanner::new(limits);
    for piece in pieces {
        scanner.feed(piece)?;
    }
    scanner.finish()
}

/// Whether a text is JSON, by the whole and by every byte, which must agree.
fn is_json(text: &[u8]) -> bool {
    let whole = scan(WIDE, &[text]);
    let bytes: Vec<&[u8]> = text.chunks(1).collect();
    assert_eq!(scan(WIDE, &bytes), whole, "{}", String::from_utf8_lossy(text));
    whole.is_ok()
}

/// What serde_json says; `None` where it has limits of its own.
fn reference(text: &[u8]) -> Option<bool> {
    match serde_json::from_slice::<Value>(text) {
        Ok(_) => Some(true),
        Err(error) if error.to_string().starts_with("number out of range") => None,
        Err(_) => Some(false),
    }
}

/// Cases after those of the JSON Parsing Test Suite by N. Seriot: what is JSON.
const GOOD: &[&[u8]] = &[
    b"[]",
    b"{}",
    b"0",
    b"-0",
    b" 1 ",
    b"\"\"",
    b"null",
    b"true",
    b"false",
    b"[1,2]",
    b"[[]   ]",
    b"[\"\"]",
    b"[\"a\"]",
    b"[0e+1]",
    b"[0e1]",
    b"[ 4]",
    b"[-1]",
    b"[-0]",
    b"[1E22]",
    b"[1E-2]",
    b"[1E+2]",
    b"[123e45]",
    b"[123.456e78]",
    b"[1e-2]",
    b"{\"a\":\"b\",\"a\":\"c\"}",
    b"{\"\":0}",
    b"{\"a\":[]}",
    b"{\n\"a\": \"b\"\n}",
    b"[\"\\u0060\\u012a\\u12AB\"]",
    b"[\"\\uD801\\udc37\"]",
    b"[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]",
    b"[\"\\u0000\"]",
    b"[\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"]",
    b"[\"\x7f\"]",
    b"[\"\xef\xbf\xbf\"]",
    b"[\"\xf4\x8f\xbf\xbf\"]",
    b"\t[1]\r\n",
    b"[1e400]",
    b"{\"a\":{\"b\":[{}]}}",
];

/// What is not.
const BAD: &[&[u8]] = &[
    b"",
    b" ",
    b"[",
    b"]",
    b"{",
    b"}",
    b"[1",
    b"[1,",
    b"[,1]",
    b"[1,,2]",
    b"[1,]",
    b"[\"\",]",
    b"[1:2]",
    b"[1 true]",
    b"[a",
    b"[\"a\" \"b\"]",
    b"[1]x",
    b"[1]]",
    b"{}{}",
    b"{\"a\"}",
    b"{\"a\":}",
    b"{\"a\":1,}",
    b"{,\"a\":1}",
    b"{\"a\" 1}",
    b"{a:1}",
    b"{1:1}",
    b"{'a':0}",
    b"{\"a\":1]",
    b"[1}",
    b"[++1]",
    b"[+1]",
    b"[-]",
    b"[-a]",
    b"[01]",
    b"[-01]",
    b"[1.]",
    b"[.5]",
    b"[-.5]",
    b"[1.e1]",
    b"[1e]",
    b"[1e+]",
    b"[1eE2]",
    b"[0x42]",
    b"[1_000]",
    b"[NaN]",
    b"[Infinity]",
    b"[-Infinity]",
    b"nul",
    b"tru",
    b"truE",
    b"nullx",
    b"[True]",
    b"\"",
    b"\"a",
    b"\"\\",
    b"\"\\\"",
    b"[\"\\a\"]",
    b"[\"\\x00\"]",
    b"[\"\\u12\"]",
    b"[\"\\u123g\"]",
    b"[\"\\U0041\"]",
    b"[\"\t\"]",
    b"[\"\n\"]",
    b"[\"\x00\"]",
    b"[\"\x1f\"]",
    b"[\"\\ud800\"]",
    b"[\"\\udc00\"]",
    b"[\"\\ud800\\ud800\"]",
    b"[\"\\ud800x\"]",
    b"[\"\\ud800\\n\"]",
    b"[\"\xff\"]",
    b"[\"\x80\"]",
    b"[\"\xc0\xaf\"]",
    b"[\"\xc3\"]",
    b"[\"\xe0\x80\xaf\"]",
    b"[\"\xed\xa0\x80\"]",
    b"[\"\xf4\x90\x80\x80\"]",
    b"[\"\xf8\x88\x80\x80\x80\"]",
    b"\xef\xbb\xbf{}",
    b"[\x0c]",
    b"[\xa0]",
    b"// c\n1",
    b"[1]/**/",
    b"-",
    b"[1\x00]",
];

#[test]
fn syntax_is_strict() {
    for (texts, want) in [(GOOD, true), (BAD, false)] {
        for text in texts {
            assert_eq!(is_json(text), want, "{}", String::from_utf8_lossy(text));
            assert!(reference(text).is_none_or(|it| it == want), "{}", String::from_utf8_lossy(text));
        }
    }
    assert_eq!(scan(WIDE, &[b"[1, ", b"x"]), Err(Threat::Syntax(4)));
    assert_eq!(scan(WIDE, &[b"[\"abc\x01"]), Err(Threat::Syntax(5)));
    assert_eq!(scan(WIDE, &[b"[\"abc"]), Err(Threat::Incomplete));
}

#[test]
fn limits_hold_exactly() {
    let narrow = Limits {
        depth: 2,
        members: 2,
        elements: 3,
        values: 6,
        name_bytes: 4,
        string_bytes: 40,
        number_bytes: 5,
    };
    let long = format!("\"{}\"", "x".repeat(40));
    let longer = format!("\"{}\"", "x".repeat(41));
    for (text, want) in [
        ("[[]]", Ok(())),
        ("[[[]]]", Err(Threat::Depth)),
        ("[{\"a\":[", Err(Threat::Depth)),
        ("{\"a\":1,\"b\":2}", Ok(())),
        ("{\"a\":1,\"b\":2,\"c", Err(Threat::Members)),
        ("[1,2,3]", Ok(())),
        ("[1,2,3,4", Err(Threat::Elements)),
        ("[[1,2],[3]]", Ok(())),
        ("[[1,2],[3,4]]", Err(Threat::Values)),
        ("{\"abcd\":1}", Ok(())),
        ("{\"abcde", Err(Threat::Name)),
        ("{\"\\u00e4", Err(Threat::Name)),
        ("{\"\u{e4}\u{e4}\":1}", Ok(())),
        ("{\"\u{e4}\u{e4}a", Err(Threat::Name)),
        (&long, Ok(())),
        (&longer, Err(Threat::String)),
        ("[\"\\n\\n\"]", Ok(())),
        ("12345", Ok(())),
        ("-1234", Ok(())),
        ("123456", Err(Threat::Number)),
        ("1e0000", Err(Threat::Number)),
    ] {
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        for pieces in [&[text.as_bytes()][..], &bytes] {
            assert_eq!(scan(narrow, pieces), want, "{text}");
        }
    }
    let mut scanner = Scanner::new(narrow);
    assert_eq!(scanner.feed(b"[[["), Err(Threat::Depth));
    assert_eq!(scanner.feed(b"]]]"), Err(Threat::Depth), "there is no way back");
    assert_eq!(scanner.finish(), Err(Threat::Depth));
    let unlimited = Limits { depth: usize::MAX, ..WIDE };
    assert_eq!(scan(unlimited, &["[".repeat(1_000_000).as_bytes()]), Err(Threat::Depth), "memory is bounded");
}

/// Changes some bytes of valid JSON: most of the results are wrong by little.
#[test]
fn it_agrees_with_serde_json_on_damaged_texts() {
    let seeds: [&[u8]; 3] = [
        br#"{"a":[1,-2.5e3,true,null,"x\n\u00e4\ud83d\ude00"],"b":{"c":""},"d":0.1}"#,
        "[\"äöü€😀 plain text that is longer than one chunk of bytes\", {\"k\": [[], {}]}]".as_bytes(),
        b" [0, -0, 10, 1e5, 1E+5, 1.25e-5, false] ",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    let mut valid = 0;
    for round in 0..60_000 {
        let mut text = seeds[round % seeds.len()].to_vec();
        for _ in 0..random.usize(0..3) {
            let at = random.usize(0..text.len());
            match random.u8(0..4) {
                0 => text[at] = random.u8(..),
                1 => drop(text.remove(at)),
                2 => text.insert(at, *random.choice(b"[]{},:\"\\eE+-.0159u \x80\xed\xa0").expect("bytes")),
                _ => text.truncate(at.max(1)),
            }
        }
        let found = is_json(&text);
        valid += usize::from(found);
        assert!(reference(&text).is_none_or(|it| it == found), "{:?}", String::from_utf8_lossy(&text));
    }
    assert!((20_000..50_000).contains(&valid), "{valid}");
}

proptest! {
    #[test]
    fn it_agrees_with_serde_json(text in r#"[\[\]{}:,"a0-9.eE\\u \-+tfnrulsx]{0,24}"#) {
        let found = is_json(text.as_bytes());
        prop_assert!(reference(text.as_bytes()).is_none_or(|it| it == found));
    }

    #[test]
    fn bytes_are_never_too_strange(text in prop::collection::vec(any::<u8>(), 0..40)) {
        let found = is_json(&text);
        prop_assert!(reference(&text).is_none_or(|it| it == found));
    }
}

/// Prints how fast it is.
#[test]
fn it_is_fast() {
    let strings = format!(
        "[{}\"\"]",
        "\"some plain text of a usual length, as in a description of goods\",".repeat(20_000)
    );
    let records = format!(
        "[{}0]",
        r#"{"id":12345,"name":"Ada","tags":["a","b"],"ok":true,"price":12.5},"#.repeat(20_000)
    );
    let limits = Limits { elements: u32::MAX, values: u64::MAX, ..Limits::default() };
    for (name, text) in [("strings", strings), ("records", records)] {
        let mut best = Duration::MAX;
        for _ in 0..if cfg!(debug_assertions) { 1 } else { 20 } {
            let mut scanner = Scanner::new(limits);
            let start = Instant::now();
            text.as_bytes().chunks(16 << 10).for_each(|piece| scanner.feed(piece).expect("JSON"));
            scanner.finish().expect("JSON");
            best = best.min(start.elapsed());
        }
        println!("{name}: {:.0} MB/s", text.len() as f64 / best.as_secs_f64() / 1e6);
    }
}

#[test]
fn what_is_wrong_has_a_place() {
    let tight = Limits {
        depth: 2,
        members: 2,
        elements: 2,
        name_bytes: 2,
        string_bytes: 3,
        number_bytes: 2,
        values: 9,
    };
    for (text, want) in [
        ("[[[", 2),
        ("[1,2,3]", 5),
        (r#"{"a":1,"b":2,"c":3}"#, 13),
        (r#"{"abc":1}"#, 2),
        ("[1, x]", 4),
        ("[1", 2),
        ("123", 2),
    ] {
        for split in 0..text.len() {
            let mut scanner = Scanner::new(tight);
            let (front, back) = text.split_at(split);
            let fed = scanner.feed(front.as_bytes()).and_then(|()| scanner.feed(back.as_bytes()));
            assert!(fed.and_then(|()| scanner.finish()).is_err(), "{text}");
            let at = scanner.wrong_at();
            assert!(at == want || (text.starts_with(r#"{"abc"#) && at <= 5), "{text} at {split}: {at}");
        }
    }
}

#[test]
fn names_that_are_there_twice_are_found_where_they_are() {
    use schema::{Twice, find_twice};
    let member = |pointer: &str| Err(Twice::Member(pointer.into()));
    let unreadable = |pointer: &str| Err(Twice::Unreadable(pointer.into()));
    for (text, want) in [
        (r#"{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}]}"#, Ok(())),
        (r#"{"a":1,"a":2}"#, member("/a")),
        (r#"{"a":1,"\u0061":2}"#, member("/a")),
        (r#"[0,{"x/y":{"b":1,"c":2,"b":3}}]"#, member("/1/x~1y/b")),
        (r#"{"n":[1,1e999],"a":1,"a":2}"#, unreadable("/n/1")),
        (r#"{"a":1} {"a":2}"#, unreadable("")),
        ("[", unreadable("/0")),
        ("3", Ok(())),
    ] {
        assert_eq!(find_twice(text.as_bytes()), want, "{text}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(matches!(find_twice(deep.as_bytes()), Err(Twice::Unreadable(_))));
}

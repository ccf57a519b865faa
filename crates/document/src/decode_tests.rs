//! The decoders of plain types.

use std::fmt::Debug;

use diagnostics::{Diagnostics, SourceId, Spanned};

use super::{Decode, Int, Map, OneOrMany};
use crate::parse;

fn decoded<T: Decode>(text: &str) -> (Option<T>, Vec<String>) {
    let mut diagnostics = Diagnostics::new();
    let node = parse(SourceId(0), text, &mut diagnostics).unwrap();
    let value = T::decode(&node, &mut diagnostics);
    // Nothing comes without an error; something may come with one.
    assert!(value.is_some() || diagnostics.has_errors(), "{text}");
    (value, diagnostics.iter().map(|one| one.message.clone()).collect())
}

fn fine<T: Decode + PartialEq + Debug>(text: &str, wanted: T) {
    assert_eq!(decoded::<T>(text), (Some(wanted), vec![]), "{text}");
}

fn wrong<T: Decode>(text: &str, messages: &[&str]) {
    assert_eq!(decoded::<T>(text).1, messages, "{text}");
}

#[test]
fn single_values() {
    fine("true", true);
    fine("false", false);
    wrong::<bool>("yes", &["expected `true` or `false`, found `yes`"]);
    wrong::<bool>("[true]", &["expected `true` or `false`, found a list"]);
    fine("a b", "a b".to_owned());
    fine("''", String::new());
    wrong::<String>("", &["expected text, found nothing"]);
    wrong::<String>("a: b", &["expected text, found a section"]);
    fine("80", Spanned::new(80_u16, diagnostics::Span::default()));
}

#[test]
fn numbers_stay_in_their_range() {
    fine("65535", u16::MAX);
    fine("18446744073709551615", u64::MAX);
    fine("-5", -5_i32);
    fine("9", Int::<1, 9>(9));
    wrong::<u16>("65536", &["`65536` is out of range"]);
    wrong::<u16>("-1", &["`-1` is out of range"]);
    wrong::<Int<1, 9>>("0", &["`0` is out of range"]);
    wrong::<u64>(
        "99999999999999999999999999999999999999999999",
        &["`99999999999999999999999999999999999999999999` is out of range"],
    );
    wrong::<u16>("1.5", &["expected a whole number, found `1.5`"]);
    wrong::<u16>("0x10", &["expected a whole number, found `0x10`"]);
    wrong::<u16>("010", &["`010` begins with a zero"]);
    wrong::<u16>("''", &["expected a whole number, found ``"]);
}

#[test]
fn lists_report_every_element() {
    fine("[1, 2]", vec![1_u16, 2]);
    fine("[]", Vec::<u16>::new());
    wrong::<Vec<u16>>(
        "[x, 1, y]",
        &["expected a whole number, found `x`", "expected a whole number, found `y`"],
    );
    assert_eq!(decoded::<Vec<u16>>("[x, 1, y]").0, Some(vec![1]), "what could be read");
    wrong::<Vec<u16>>("1", &["expected a list, found `1`"]);
    fine("1", OneOrMany(vec![1_u16]));
    fine("[1, 2]", OneOrMany(vec![1_u16, 2]));
    wrong::<OneOrMany<u16>>("[]", &["the list is empty"]);
}

#[test]
fn maps_keep_their_order_and_find_names() {
    let (map, _) = decoded::<Map<u16>>("z: 1\na: 2\nm: 3\n");
    let map = map.unwrap();
    assert_eq!(map.names().collect::<Vec<_>>(), ["z", "a", "m"]);
    assert_eq!((map.get("a"), map.get("b"), map.index_of("m")), (Some(&2), None, Some(2)));
    wrong::<Map<u16>>(
        "a: x\nb: 1\nc: y\n",
        &["expected a whole number, found `x`", "expected a whole number, found `y`"],
    );
    let partial = decoded::<Map<u16>>("a: x\nb: 1\n").0.unwrap();
    assert!(partial.is_broken("a") && !partial.is_broken("b") && partial.get("b") == Some(&1));
    wrong::<Map<u16>>("[a]", &["expected names with values, found a list"]);
}

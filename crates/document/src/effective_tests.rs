//! What holds: defaults, short forms, types, and what is not shown.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::effective;
use crate::{
    Decode, Diagnostics, DurationValue, Entry, Map, MemoryEnvironment, Node, OneOrMany, Secret, Shape,
    SourceId, Span, Spanned, Value, interpolate, parse,
};

crate::section! {
    /// A house.
    struct House {
        /// Its doors.
        doors: OneOrMany<Door>,
        /// What opens everything.
        key: Option<Secret>,
        /// Whether it is inhabited.
        inhabited: bool = "true",
        /// How many live in it.
        people: u32 = "2",
        /// What is said about it.
        words: Option<Map<String>>,
        /// What somebody else knows.
        elsewhere: Option<Map<Node>>,
        /// What to do: nothing, or how long.
        alarm: Alarm = "off",
        /// A house in it.
        inner: Option<OneOrMany<House>>,
    }
}

crate::section! {
    /// A door.
    struct Door {
        /// Its name.
        name: String,
        /// How long it stays open.
        open: DurationValue = "1s",
        /// Who may pass.
        guests: Vec<String> = "[\"1\", anna]",
        /// Its lock.
        lock: Lock = "{}",
    }
    short name
}

crate::section! {
    /// A lock.
    struct Lock {
        /// How many turns.
        turns: u32 [1..=9] = "2",
        /// Who made it.
        maker: Option<String>,
    }
}

crate::section! {
    /// An alarm.
    struct Bell {
        /// What it sounds like: a word or any text.
        sound: Sound = "ding",
        /// How loud.
        volume: u32 = "5",
    }
    short sound
}

#[derive(Clone, Debug)]
struct Alarm;

impl Decode for Alarm {
    fn decode(_: &Node, _: &mut Diagnostics) -> Option<Self> {
        Some(Self)
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Keyword(&["off"]), Bell::shape()])
    }
}

#[derive(Clone, Debug)]
struct Sound;

impl Decode for Sound {
    fn decode(_: &Node, _: &mut Diagnostics) -> Option<Self> {
        Some(Self)
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Keyword(&["ding", "true"]), Shape::TEXT])
    }
}

fn tree(text: &str) -> Node {
    let mut diagnostics = Diagnostics::new();
    let mut node = parse(SourceId(0), text, &mut diagnostics).unwrap();
    let environment = MemoryEnvironment::new().with_var("KEY", "s3cret").with_var("OFF", "off");
    interpolate(&mut node, &environment, Path::new(""), &mut diagnostics);
    assert!(diagnostics.is_empty(), "{text}");
    node
}

/// What holds by a text for a house; `bell` is known elsewhere.
fn house(text: &str) -> Json {
    let named = |name: &str| (name == "bell").then(Bell::shape);
    effective(&tree(text), &House::shape(), &named)
}

/// The same for one key.
fn key(name: &str, text: &str) -> Json {
    house(text)[name].take()
}

fn door(name: &str) -> Json {
    json!({ "name": name, "open": "1s", "guests": ["1", "anna"], "lock": { "turns": 2 } })
}

#[test]
fn defaults_are_filled_in_at_every_depth_and_short_forms_written_out() {
    assert_eq!(
        house("doors: front"),
        json!({ "doors": [door("front")], "inhabited": true, "people": 2, "alarm": "off" })
    );
    let mut back = door("back");
    back["lock"] = json!({ "turns": 3, "maker": "me" });
    assert_eq!(
        key("doors", "doors: [front, { name: back, lock: { maker: me, turns: 3 } }]"),
        json!([door("front"), back])
    );
    assert_eq!(key("inner", "inner: { doors: [] }")[0]["people"], json!(2));
}

#[test]
fn of_several_shapes_the_one_that_is_meant_is_taken() {
    for (alarm, wanted) in [
        ("off", json!("off")),
        ("'off'", json!("off")),
        ("ding", json!({ "sound": "ding", "volume": 5 })),
        ("bang", json!({ "sound": "bang", "volume": 5 })),
        ("true", json!({ "sound": true, "volume": 5 })),
        ("'true'", json!({ "sound": "true", "volume": 5 })),
        ("{}", json!({ "sound": "ding", "volume": 5 })),
        ("{ volume: 7 }", json!({ "sound": "ding", "volume": 7 })),
        // What cannot be meant.
        ("[off]", json!("[hidden]")),
        ("{ sound: [off] }", json!({ "sound": "[hidden]", "volume": 5 })),
    ] {
        assert_eq!(key("alarm", &format!("alarm: {alarm}")), wanted, "{alarm}");
    }
    let shape = Shape::OneOf(vec![Lock::shape(), Shape::Boolean, Shape::TEXT, Bell::shape()]);
    for (text, wanted) in [
        ("{ maker: me }", json!({ "turns": 2, "maker": "me" })),
        ("{ volume: 1 }", json!({ "sound": "ding", "volume": 1 })),
    ] {
        assert_eq!(effective(&tree(text), &shape, &|_| None), wanted, "{text}");
    }
}

#[test]
fn values_have_the_types_of_json_where_the_shape_says_so() {
    for (name, text, wanted) in [
        ("people", "7", json!(7)),
        ("people", "'7'", json!("7")),
        ("people", "-3", json!(-3)),
        ("people", "18446744073709551615", json!(u64::MAX)),
        ("people", "18446744073709551616", json!("18446744073709551616")),
        ("people", "007", json!("007")),
        ("people", "-0", json!("-0")),
        ("people", "1e3", json!("1e3")),
        ("people", "many", json!("many")),
        ("people", "", Json::Null),
        ("people", "[7]", json!("[hidden]")),
        ("inhabited", "false", json!(false)),
        ("inhabited", "'false'", json!("false")),
        ("inhabited", "no", json!("no")),
        ("words", "{ a: 1, b: true, c: '2', d: }", json!({ "a": "1", "b": "true", "c": "2", "d": null })),
        ("words", "none", json!("[hidden]")),
    ] {
        assert_eq!(key(name, &format!("{name}: {text}")), wanted, "{name}: {text}");
    }
}

#[test]
fn secrets_are_not_shown_wherever_they_are() {
    for (text, pointer) in [
        ("key: s3cret", "/key"),
        ("key: '${env:KEY}'", "/key"),
        ("key: [s3cret, { s3cret: s3cret }]", "/key"),
        ("key: { s3cret: }", "/key"),
        ("people: ${env:KEY}", "/people"),
        ("inhabited: ${env:KEY}", "/inhabited"),
        ("doors: 'x-${env:KEY}'", "/doors/0/name"),
        ("doors: [{ name: a, lock: { maker: '${env:KEY}' } }]", "/doors/0/lock/maker"),
        ("words: { a: '${env:KEY}' }", "/words/a"),
        ("alarm: ${env:KEY}", "/alarm/sound"),
        ("alarm: ${env:OFF}", "/alarm"),
        ("elsewhere: { bell: '${env:KEY}' }", "/elsewhere/bell/sound"),
        ("elsewhere: { bell: { sound: '${env:KEY}' } }", "/elsewhere/bell/sound"),
        ("elsewhere: { unknown: { s3cret: s3cret } }", "/elsewhere/unknown"),
        ("elsewhere: { unknown: s3cret }", "/elsewhere/unknown"),
        ("doors: [[s3cret]]", "/doors/0"),
        ("[s3cret]", ""),
        ("s3cret", ""),
    ] {
        let all = house(text);
        assert_eq!(all.pointer(pointer), Some(&json!("[hidden]")), "{text}: {all}");
        assert!(!all.to_string().contains("s3cret"), "{text}: {all}");
    }
    assert!(!house("kye: s3cret").to_string().contains("s3cret"));
}

#[test]
fn what_is_known_elsewhere_is_asked_for_by_its_key() {
    let all = key("elsewhere", "elsewhere: { bell: { volume: 3 }, other: 1 }");
    assert_eq!(all, json!({ "bell": { "sound": "ding", "volume": 3 }, "other": "[hidden]" }));
    // A shape that is nothing but a name again leads nowhere.
    assert_eq!(effective(&tree("{ a: 1 }"), &Shape::Any, &|_| Some(Shape::Any)), json!("[hidden]"));
}

#[test]
fn depth_is_bounded() {
    // A file cannot be as deep as this, and dropping a tree takes the stack as well.
    let mut node = Node::plain("end", Span::default());
    for _ in 0..500 {
        let key = Spanned::new("inner".to_owned(), node.span);
        node = Node { span: node.span, value: Value::Map(vec![Entry { key, node }]) };
    }
    let all = effective(&node, &House::shape(), &|_| None);
    assert!(all.pointer(&"/inner/0".repeat(50)).is_some());
    assert!(all.to_string().contains("[hidden]") && !all.to_string().contains("end"));
}

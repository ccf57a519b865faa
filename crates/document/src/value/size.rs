//! A number of bytes: `512B`, `32KiB`, `10MiB`, `1GiB`, or `KB`, `MB`, `GB`.

use std::fmt;

use diagnostics::{Code, Diagnostics, Words};

use crate::decode::Decode;
use crate::node::Node;
use crate::number;
use crate::shape::Shape;
use crate::value::{refuse, scalar_of};

const UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// The units that a size is shown in.
const SHOWN: &[(&str, u64)] =
    &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// A number of bytes. A number without a unit means bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// The number of bytes.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The number of bytes, for sizes of things in memory.
    pub fn size(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&number::with_unit(self.0, SHOWN))
    }
}

impl Decode for ByteSize {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let scalar = scalar_of(node, "a size such as `10MiB`", diagnostics)?;
        let split = number::split(&scalar.text);
        match split.and_then(|(number, unit)| number::scale(number, unit, UNITS)) {
            Some(bytes) => Some(Self(bytes)),
            None => refuse(
                Code::InvalidSize,
                node,
                "a size",
                Words::fixed(help(split, scalar.secret)),
                diagnostics,
            ),
        }
    }

    fn shape() -> Shape {
        Shape::Text { format: "size", example: "10MiB" }
    }
}

fn help(split: Option<(u64, &str)>, secret: bool) -> String {
    let unit = split.and_then(|(_, unit)| match unit.to_ascii_lowercase().as_str() {
        "b" => Some("B"),
        "k" | "ki" | "kib" | "kb" => Some("KiB"),
        "m" | "mi" | "mib" | "mb" => Some("MiB"),
        "g" | "gi" | "gib" | "gb" => Some("GiB"),
        _ => None,
    });
    match (split, unit) {
        (Some((number, _)), Some(unit)) if !secret => format!("did you mean `{number}{unit}`?"),
        _ => "write a whole number and a unit: `512B`, `32KiB`, `10MiB`, `1GiB`".to_owned(),
    }
}

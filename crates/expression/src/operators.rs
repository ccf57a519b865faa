//! The operators with two sides.
//!
//! It must not know values. Entry point: [`Operator::from_symbol`].

/// An operator between two operands, without `&&` and `||`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

const SYMBOLS: &[(&str, Operator, u8)] = &[
    ("==", Operator::Equal, 1),
    ("!=", Operator::NotEqual, 1),
    ("<", Operator::Less, 1),
    ("<=", Operator::LessEqual, 1),
    (">", Operator::Greater, 1),
    (">=", Operator::GreaterEqual, 1),
    ("in", Operator::In, 1),
    ("+", Operator::Add, 2),
    ("-", Operator::Subtract, 2),
    ("*", Operator::Multiply, 3),
    ("/", Operator::Divide, 3),
    ("%", Operator::Remainder, 3),
];

impl Operator {
    pub(crate) fn from_symbol(symbol: &str) -> Option<Self> {
        SYMBOLS.iter().find(|(known, ..)| *known == symbol).map(|(_, operator, _)| *operator)
    }

    /// How strongly it binds: 1 for comparisons, 2 for sums, 3 for products.
    pub(crate) fn level(self) -> u8 {
        SYMBOLS.iter().find(|(_, operator, _)| *operator == self).map_or(0, |(.., level)| *level)
    }

    pub(crate) fn symbol(self) -> &'static str {
        SYMBOLS.iter().find(|(_, operator, _)| *operator == self).map_or("", |(symbol, ..)| symbol)
    }
}

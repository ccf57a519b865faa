//! A share: `20%`, `0.5%`.

use std::fmt;

use diagnostics::{Code, Diagnostics, Words};

use crate::decode::Decode;
use crate::node::Node;
use crate::shape::Shape;
use crate::value::{refuse, scalar_of};

/// A share from 0 to 100 percent, in steps of a hundredth of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent {
    hundredths: u16,
}

impl Percent {
    /// The share as a number from 0 to 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.hundredths) / 10_000.0
    }

    /// The share in hundredths of a percent, 0 to 10000.
    pub fn hundredths(self) -> u16 {
        self.hundredths
    }

    fn parse(text: &str) -> Option<Self> {
        let number = text.strip_suffix('%')?;
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str, most: usize| {
            (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
        };
        if !digits(whole, 3) || !digits(part, 2) {
            return None;
        }
        let tenths = part.parse::<u16>().ok()? * if part.len() == 1 { 10 } else { 1 };
        let hundredths = whole.parse::<u16>().ok()?.checked_mul(100)?.checked_add(tenths)?;
        (hundredths <= 10_000).then_some(Self { hundredths })
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}%", f64::from(self.hundredths) / 100.0)
    }
}

impl Decode for Percent {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let scalar = scalar_of(node, "a share such as `20%`", diagnostics)?;
        match Self::parse(&scalar.text) {
            Some(share) => Some(share),
            None => {
                let help = match scalar.text.parse::<u16>() {
                    Ok(number) if !scalar.secret && number <= 100 => format!("write `{number}%`"),
                    _ => "write a number from 0 to 100 and a percent sign: `20%`, `0.5%`".to_owned(),
                };
                refuse(Code::InvalidPercent, node, "a share in percent", Words::fixed(help), diagnostics)
            }
        }
    }

    fn shape() -> Shape {
        Shape::Text { format: "share", example: "20%" }
    }
}

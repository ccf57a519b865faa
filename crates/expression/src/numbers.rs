//! Numbers: comparison across their types, and arithmetic that fails rather than wraps.
//!
//! It must not know other values. Entry points: [`compare`], [`calculate_int`], [`calculate_uint`],
//! [`calculate_double`].

use std::cmp::Ordering;

use crate::evaluate::Reason;
use crate::operators::Operator;

/// A number of one of the three types.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Int(i64),
    Uint(u64),
    Double(f64),
}

impl Number {
    /// The value without loss, unless it is a `double`.
    fn whole(self) -> Result<i128, f64> {
        match self {
            Self::Int(number) => Ok(i128::from(number)),
            Self::Uint(number) => Ok(i128::from(number)),
            Self::Double(number) => Err(number),
        }
    }
}

/// Compares as if both lay on one line of numbers, without rounding; none if one of them is NaN.
pub(crate) fn compare(one: Number, other: Number) -> Option<Ordering> {
    match (one.whole(), other.whole()) {
        (Ok(one), Ok(other)) => Some(one.cmp(&other)),
        (Err(one), Err(other)) => one.partial_cmp(&other),
        (Ok(one), Err(other)) => against(one, other),
        (Err(one), Ok(other)) => against(other, one).map(Ordering::reverse),
    }
}

/// The integer is one of 64 bits, so that whatever does not fit into 128 is beyond it.
fn against(whole: i128, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    // Saturates for infinities and everything else that is too large.
    let truncated = double.trunc() as i128;
    let fraction = double.fract();
    Some(whole.cmp(&truncated).then(if fraction > 0.0 {
        Ordering::Less
    } else if fraction < 0.0 {
        Ordering::Greater
    } else {
        Ordering::Equal
    }))
}

/// `int` with `int`.
pub(crate) fn calculate_int(operator: Operator, one: i64, other: i64) -> Result<i64, Reason> {
    let result = match operator {
        Operator::Add => one.checked_add(other),
        Operator::Subtract => one.checked_sub(other),
        Operator::Multiply => one.checked_mul(other),
        Operator::Divide | Operator::Remainder if other == 0 => return Err(Reason::DivisionByZero),
        Operator::Divide => one.checked_div(other),
        Operator::Remainder => one.checked_rem(other),
        _ => return Err(Reason::WrongType),
    };
    result.ok_or(Reason::OutOfRange)
}

/// `uint` with `uint`.
pub(crate) fn calculate_uint(operator: Operator, one: u64, other: u64) -> Result<u64, Reason> {
    let result = match operator {
        Operator::Add => one.checked_add(other),
        Operator::Subtract => one.checked_sub(other),
        Operator::Multiply => one.checked_mul(other),
        Operator::Divide | Operator::Remainder if other == 0 => return Err(Reason::DivisionByZero),
        Operator::Divide => one.checked_div(other),
        Operator::Remainder => one.checked_rem(other),
        _ => return Err(Reason::WrongType),
    };
    result.ok_or(Reason::OutOfRange)
}

/// `double` with `double`, by IEEE 754; there is no remainder.
pub(crate) fn calculate_double(operator: Operator, one: f64, other: f64) -> Result<f64, Reason> {
    match operator {
        Operator::Add => Ok(one + other),
        Operator::Subtract => Ok(one - other),
        Operator::Multiply => Ok(one * other),
        Operator::Divide => Ok(one / other),
        _ => Err(Reason::WrongType),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lie_on_one_line() {
        use Number::{Double, Int, Uint};
        use Ordering::{Equal, Greater, Less};
        for (one, other, order) in [
            (Int(1), Uint(1), Some(Equal)),
            (Int(-1), Uint(u64::MAX), Some(Less)),
            (Uint(u64::MAX), Double(18_446_744_073_709_551_616.0), Some(Less)),
            (Int(i64::MAX), Double(9_223_372_036_854_775_808.0), Some(Less)),
            (Int(i64::MIN), Double(-9_223_372_036_854_775_808.0), Some(Equal)),
            (Int(9_007_199_254_740_993), Double(9_007_199_254_740_992.0), Some(Greater)),
            (Int(1), Double(1.5), Some(Less)),
            (Int(-1), Double(-1.5), Some(Greater)),
            (Int(0), Double(-0.0), Some(Equal)),
            (Int(0), Double(f64::INFINITY), Some(Less)),
            (Uint(0), Double(f64::NEG_INFINITY), Some(Greater)),
            (Int(0), Double(f64::NAN), None),
            (Double(f64::NAN), Double(f64::NAN), None),
        ] {
            assert_eq!(compare(one, other), order, "{one:?} {other:?}");
            assert_eq!(compare(other, one), order.map(Ordering::reverse), "{other:?} {one:?}");
        }
    }
}

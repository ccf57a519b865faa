//! A number with a unit, the form that durations, sizes and shares have in common.
//!
//! Entry point: [`split`].

/// Digits and what follows them, such as `10` and `ms`. `None` when there are no digits at the beginning.
pub(crate) fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    Some((digits.parse().ok()?, unit))
}

/// Multiplies a number with the size of its unit; `None` for an unknown unit and beyond `u64`.
pub(crate) fn scale(number: u64, unit: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (_, size) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*size)
}

/// The number with the largest unit that divides it. `units` go from small to large, the first is 1.
pub(crate) fn with_unit(number: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, size): &&(&str, u64)| number.is_multiple_of(*size) && number > 0;
    match units.iter().rev().find(fits).or(units.first()) {
        Some((name, size)) => format!("{}{name}", number / size),
        None => number.to_string(),
    }
}

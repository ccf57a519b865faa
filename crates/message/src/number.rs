//! Numbers in heads: most have few digits.

/// Appends a number in decimal digits.
#[inline]
pub fn push_number(out: &mut Vec<u8>, number: u64) {
    let digit = |place: u64| b'0' + (number / place % 10) as u8;
    // Pieces whose lengths are known are copied without a call.
    match number {
        0..=9 => out.push(digit(1)),
        10..=99 => out.extend_from_slice(&[digit(10), digit(1)]),
        100..=999 => out.extend_from_slice(&[digit(100), digit(10), digit(1)]),
        1000..=9999 => out.extend_from_slice(&[digit(1000), digit(100), digit(10), digit(1)]),
        _ => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_lengths() {
        for number in (0..12_000).chain([u64::MAX / 7, u64::MAX]) {
            let mut out = b"=".to_vec();
            push_number(&mut out, number);
            assert_eq!(out, format!("={number}").into_bytes());
        }
    }
}

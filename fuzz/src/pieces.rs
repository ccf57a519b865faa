//! Cuts bytes into pieces, as a network does.
//!
//! Where the cuts are follows from the bytes alone, so that a finding can be repeated. Entry point: [`pieces`].

use std::ops::Range;

/// Neighbouring ranges that cover all of `bytes`, none of them empty. Most are short; a different `salt` cuts
/// in other places.
pub fn pieces(bytes: &[u8], salt: u64) -> impl Iterator<Item = Range<usize>> + use<> {
    let length = bytes.len();
    let mut state =
        bytes.iter().fold(salt ^ 0xcbf2_9ce4_8422_2325, |hash, &byte| step(hash ^ u64::from(byte)));
    let mut start = 0;
    std::iter::from_fn(move || {
        let left = length - start;
        if left == 0 {
            return None;
        }
        state = step(state);
        // One or two bytes as often as more: a cut between CR and LF matters more than one inside of data.
        let most = if state & (1 << 40) == 0 { 2 } else { 64 };
        let piece = start..start + (1 + (state >> 41) as usize % most).min(left);
        start = piece.end;
        Some(piece)
    })
}

/// Mixes a number, so that every bit of the outcome depends on many of it.
fn step(number: u64) -> u64 {
    let number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    number ^ (number >> 29)
}

#[cfg(test)]
mod tests {
    use super::pieces;

    #[test]
    fn pieces_cover_everything_and_depend_on_bytes_and_salt() {
        let bytes = vec![b'a'; 500];
        let mut cuts = Vec::new();
        for salt in 0..20 {
            let mut end = 0;
            for piece in pieces(&bytes, salt) {
                assert!(piece.start == end && !piece.is_empty());
                end = piece.end;
                cuts.push((salt, end));
            }
            assert_eq!(end, bytes.len());
        }
        assert!(
            (0..20).any(|salt| cuts.contains(&(salt, 1))) && (0..20).any(|salt| !cuts.contains(&(salt, 1)))
        );
        assert_eq!(pieces(&bytes, 1).collect::<Vec<_>>(), pieces(&bytes, 1).collect::<Vec<_>>());
        assert_ne!(pieces(&bytes, 1).collect::<Vec<_>>(), pieces(&bytes, 2).collect::<Vec<_>>());
        assert_eq!(pieces(b"", 0).count(), 0);
    }
}

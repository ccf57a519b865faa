//! Which bytes may stand where: tokens and field text (RFC 9110 §5.5, §5.6.2).
//!
//! Knows single bytes and runs of them, not lines or messages.

/// [`message::is_token_byte`] as a table.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = message::is_token_byte(b as u8);
        b += 1;
    }
    table
};

/// Whether a byte may stand in a token.
#[inline]
pub(crate) fn is_token(b: u8) -> bool {
    TOKEN[b as usize]
}

/// How many bytes at the beginning are token bytes.
#[inline]
pub(crate) fn token_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|&b| !is_token(b)).unwrap_or(bytes.len())
}

/// Whether a byte may stand in a field value: visible, space, tab, obs-text.
#[inline]
pub(crate) fn is_text_byte(b: u8) -> bool {
    (b >= 0x20 && b != 0x7f) || b == b'\t'
}

/// How many bytes at the beginning may stand in a field value.
#[inline]
pub(crate) fn text_len(bytes: &[u8]) -> usize {
    let mut len = plain_len(bytes);
    while bytes.get(len) == Some(&b'\t') {
        len += 1;
        len += plain_len(&bytes[len..]);
    }
    len
}

/// How many bytes at the beginning are no control characters (tab included) and no DEL.
///
/// Eight are judged at once, as far as there are that many.
#[inline]
fn plain_len(bytes: &[u8]) -> usize {
    let mut len = 0;
    while let Some(word) = bytes[len..].first_chunk::<8>() {
        let controls = controls(*word);
        if controls != 0 {
            return len + controls.trailing_zeros() as usize / 8;
        }
        len += 8;
    }
    while bytes.get(len).is_some_and(|&b| b >= 0x20 && b != 0x7f) {
        len += 1;
    }
    len
}

/// How many bytes at the beginning are visible or beyond ASCII: no control, no space.
#[inline]
pub(crate) fn graphic_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|&b| b <= 0x20 || b == 0x7f).unwrap_or(bytes.len())
}

/// Looks at eight bytes at once: the lowest bit set is the top bit of the first control character or DEL.
/// Bits above it mean nothing.
#[inline]
fn controls(word: [u8; 8]) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const TOPS: u64 = ONES << 7;
    let word = u64::from_le_bytes(word);
    let del = word ^ (ONES * 0x7f);
    // A byte below the subtrahend borrows into its top bit; bytes that had it set are masked out. The
    // borrow goes on to the bytes above, never to those below.
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    let is_del = del.wrapping_sub(ONES) & !del;
    (below_space | is_del) & TOPS
}

/// Without spaces and tabs at both ends (OWS, RFC 9110 §5.6.3): nothing else is white space here.
#[inline]
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    trim_end(trim_start(bytes))
}

/// Without spaces and tabs at the beginning.
#[inline]
pub(crate) fn trim_start(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

/// Without spaces and tabs at the end.
#[inline]
pub(crate) fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_is_judged_the_same() {
        for b in 0..=255u8 {
            let may_stand = matches!(b, b'\t' | 0x20..=0x7e | 0x80..=0xff);
            assert_eq!(is_text_byte(b), may_stand);
            for len in 1..=35 {
                for place in 0..len {
                    for filler in [b'a', 0x80, 0xff, b'\t', 0x20] {
                        let mut text = vec![filler; len];
                        text[place] = b;
                        let want = if may_stand { len } else { place };
                        assert_eq!(text_len(&text), want, "{b:#x} at {place} of {len}");
                    }
                }
            }
            assert_eq!(graphic_len(&[b'a', b]) == 2, b > 0x20 && b != 0x7f);
            assert_eq!(is_token(b), message::Headers::is_valid_name(&[b]), "{b:#x}");
        }
    }

    #[test]
    fn only_space_and_tab_are_trimmed() {
        assert_eq!(trim(b" \ta b\t "), b"a b");
        assert_eq!(trim(b" \t "), b"");
        assert_eq!(trim(b"\xa0a\x0b"), b"\xa0a\x0b");
    }
}

//! As much of DER (X.690) as public keys need: one element read, and an `RSAPublicKey` written.
//!
//! It must not know what the elements mean. Entry points: [`take`], [`rsa_public_key`].

/// The tag of an INTEGER.
pub(crate) const INTEGER: u8 = 0x02;
/// The tag of a BIT STRING.
pub(crate) const BIT_STRING: u8 = 0x03;
/// The tag of an OBJECT IDENTIFIER.
pub(crate) const OID: u8 = 0x06;
/// The tag of a SEQUENCE.
pub(crate) const SEQUENCE: u8 = 0x30;

/// The content of the element at the beginning, which must be of this tag, and what follows it. `None` if
/// there is another one, or if its length is not in the one form that DER allows.
pub(crate) fn take(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let rest = input.strip_prefix(&[tag])?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // Four bytes of length are far more than any key has.
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
            let shortest = length > 0x7f && bytes.first() != Some(&0);
            (shortest.then_some(length)?, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// The magnitude of the positive INTEGER at the beginning, without leading zeros, and what follows it.
pub(crate) fn take_positive(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, rest) = take(input, INTEGER)?;
    match content {
        [0, magnitude @ ..] if magnitude.first().is_some_and(|first| *first > 0x7f) => {
            Some((magnitude, rest))
        }
        [1..=0x7f, ..] => Some((content, rest)),
        _ => None,
    }
}

/// `RSAPublicKey` of RFC 8017 §A.1.1. The numbers are without leading zeros and not empty.
pub(crate) fn rsa_public_key(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let mut numbers = Vec::with_capacity(modulus.len() + exponent.len() + 16);
    for number in [modulus, exponent] {
        let sign: &[u8] = if number.first().is_some_and(|first| *first > 0x7f) { &[0] } else { &[] };
        put_header(&mut numbers, INTEGER, sign.len() + number.len());
        numbers.extend_from_slice(sign);
        numbers.extend_from_slice(number);
    }
    let mut out = Vec::with_capacity(numbers.len() + 4);
    put_header(&mut out, SEQUENCE, numbers.len());
    out.extend_from_slice(&numbers);
    out
}

fn put_header(out: &mut Vec<u8>, tag: u8, length: usize) {
    out.push(tag);
    if length > 0x7f {
        let bytes = length.to_be_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        out.push(0x80 | (bytes.len() - zeros) as u8);
        out.extend(bytes.iter().skip(zeros));
    } else {
        out.push(length as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_element_is_taken_only_in_its_one_form() {
        let long = [&[0x30, 0x81, 0x80][..], &[7; 128], &[9]].concat();
        let (content, rest) = take(&long, SEQUENCE).unwrap();
        assert_eq!((content, rest), (&[7; 128][..], &[9][..]));
        assert_eq!(take(&[2, 0, 5], INTEGER), Some((&[][..], &[5][..])));
        let padded = [&[0x30, 0x82, 0x00, 0x80][..], &[7; 128]].concat();
        for wrong in [
            &[][..],
            &[0x30],
            &[0x31, 0],
            &[0x30, 1],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x81, 0x05, 1, 2, 3, 4, 5],
            &padded,
            &[0x30, 0x85, 0, 0, 0, 0, 1, 1],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(take(wrong, SEQUENCE), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_number_is_positive_and_shortest() {
        assert_eq!(take_positive(&[2, 1, 1]), Some((&[1][..], &[][..])));
        assert_eq!(take_positive(&[2, 2, 0, 0x80]), Some((&[0x80][..], &[][..])));
        for wrong in [&[2, 0][..], &[2, 1, 0], &[2, 1, 0x80], &[2, 2, 0, 1], &[2, 1], &[3, 1, 1]] {
            assert_eq!(take_positive(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for bytes in [1, 127, 128, 256, 1024] {
            let modulus = vec![0xff; bytes];
            let der = rsa_public_key(&modulus, &[1, 0, 1]);
            let (numbers, rest) = take(&der, SEQUENCE).unwrap();
            assert!(rest.is_empty());
            let (read, numbers) = take_positive(numbers).unwrap();
            assert_eq!(read, modulus);
            assert_eq!(take_positive(numbers), Some((&[1, 0, 1][..], &[][..])));
        }
    }
}

//! What clients send: 256 random bits, in a form that people and programs which look for leaked secrets recognise.
//!
//! `gw_`, 43 digits of base 62, and 6 more with the CRC-32 of all before: whoever searches code or logs for
//! `gw_[0-9A-Za-z]{49}` can tell by the checksum that it is one. Entry point: [`Secret::of`].

use std::fmt;

use aws_lc_rs::digest;
use zeroize::Zeroizing;

use crate::Digest;
use crate::checksum::crc32;

/// What every secret begins with.
const PREFIX: &str = "gw_";
/// So many digits hold 256 bits.
const DIGITS: usize = 43;
/// So many hold the checksum.
const CHECK: usize = 6;
/// How many characters of it are kept, so that people recognise it.
const SHOWN: usize = PREFIX.len() + 4;

/// A secret, which is told once and kept nowhere.
pub struct Secret(Zeroizing<String>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret([hidden])")
    }
}

impl Secret {
    /// Of these random bits.
    pub fn of(random: &[u8; 32]) -> Secret {
        // With its final room from the beginning: what grows leaves copies behind.
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + DIGITS + CHECK));
        text.push_str(PREFIX);
        push_digits(&mut text, Zeroizing::new(*random).as_mut(), DIGITS);
        let check = crc32(text.as_bytes());
        push_digits(&mut text, &mut check.to_be_bytes(), CHECK);
        Secret(text)
    }

    /// The text of it, to be told.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// By what it is known.
    pub(crate) fn digest(&self) -> Digest {
        let mut out = [0; 32];
        out.copy_from_slice(digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref());
        out
    }

    /// Its beginning, which leaves 232 bits to guess.
    pub(crate) fn start(&self) -> &str {
        self.0.get(..SHOWN).unwrap_or_default()
    }
}

/// Appends so many digits of a number, which is written with its largest byte first and used up.
fn push_digits(text: &mut String, number: &mut [u8], count: usize) {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for _ in 0..count {
        let mut rest = 0_u16;
        for byte in number.iter_mut() {
            let part = rest * 256 + u16::from(*byte);
            // Less than 256, because the rest is less than 62.
            *byte = (part / 62) as u8;
            rest = part % 62;
        }
        text.push(ALPHABET.get(usize::from(rest)).map_or('0', |digit| char::from(*digit)));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_secret_has_a_form_that_can_be_recognised() {
        let secret = Secret::of(&[7; 32]);
        let text = secret.expose();
        let (body, check) = text.split_at(text.len() - CHECK);
        assert!(text.starts_with("gw_") && text.len() == 52, "{text}");
        assert!(text.bytes().skip(3).all(|byte| byte.is_ascii_alphanumeric()), "{text}");
        let mut again = String::new();
        push_digits(&mut again, &mut crc32(body.as_bytes()).to_be_bytes(), CHECK);
        assert_eq!(check, again);
        assert_eq!(secret.start(), &text[..7]);
        assert!(!format!("{secret:?}").contains(secret.start()));
    }

    #[test]
    fn no_bit_is_lost() {
        let mut all = HashSet::new();
        for bit in 0..256 {
            let mut random = [0; 32];
            random[bit / 8] = 1 << (bit % 8);
            all.insert(Secret::of(&random).expose().to_owned());
        }
        all.insert(Secret::of(&[0; 32]).expose().to_owned());
        all.insert(Secret::of(&[255; 32]).expose().to_owned());
        assert_eq!(all.len(), 258);
        // The largest number needs all digits, and no more.
        let mut number = [255; 32];
        push_digits(&mut String::new(), &mut number, DIGITS);
        assert_eq!(number, [0; 32]);
    }
}

//! Texts of parameters as they travel: escapes, pairs of a query, media types.
//!
//! Entry points: [`unescape`], [`pairs`], [`essence`].

use std::borrow::Cow;

/// The bytes that a text with escapes stands for; `plus` also stands for a space where a form was written.
/// `None`: a `%` without two hexadecimal digits.
pub(super) fn unescape(text: &[u8], plus: bool) -> Option<Cow<'_, [u8]>> {
    if memchr::memchr2(b'%', if plus { b'+' } else { b'%' }, text).is_none() {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        match rest {
            [] => return Some(Cow::Owned(bytes)),
            [b'%', high, low, tail @ ..] => {
                bytes.push(digit(*high)? << 4 | digit(*low)?);
                rest = tail;
            }
            [b'%', ..] => return None,
            [byte, tail @ ..] => {
                bytes.push(if plus && *byte == b'+' { b' ' } else { *byte });
                rest = tail;
            }
        }
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// A text with escapes as characters; `None`: broken escapes, or not UTF-8.
pub(super) fn characters(text: &[u8], plus: bool) -> Option<Cow<'_, str>> {
    match unescape(text, plus)? {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

/// One pair of a query or form: the name as it is meant, the value as it was sent.
pub(super) type Pair<'q> = (Cow<'q, str>, &'q [u8]);

/// The pairs of a query or form. `None`: a name is malformed, or there are more than `most`.
pub(super) fn pairs(text: &[u8], most: usize) -> Option<Vec<Pair<'_>>> {
    let mut found = Vec::new();
    for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        if found.len() >= most {
            return None;
        }
        let (name, value) = match memchr::memchr(b'=', pair) {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &pair[pair.len()..]),
        };
        found.push((characters(name, true)?, value));
    }
    Some(found)
}

/// The type and subtype of a media type, in lower case (RFC 9110 §8.3.1).
pub(super) fn essence(media_type: &[u8]) -> String {
    let end = memchr::memchr(b';', media_type).unwrap_or(media_type.len());
    String::from_utf8_lossy(media_type[..end].trim_ascii()).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_unescaped_once() {
        for (text, plus, want) in [
            ("a+b", false, Some("a+b")),
            ("a+b", true, Some("a b")),
            ("%25%32%35", false, Some("%25")),
            ("%c3%A4", true, Some("ä")),
            ("%", false, None),
            ("%2", false, None),
            ("%zz", false, None),
            ("%ff", false, None),
        ] {
            assert_eq!(characters(text.as_bytes(), plus).as_deref(), want, "{text}");
        }
    }

    #[test]
    fn pairs_are_split_before_they_are_unescaped() {
        let found = pairs(b"a=1&&b%26c=2%263&d&=e&a==", 9).expect("pairs");
        let found: Vec<(&str, &[u8])> = found.iter().map(|(name, value)| (name.as_ref(), *value)).collect();
        let want: [(&str, &[u8]); 5] = [("a", b"1"), ("b&c", b"2%263"), ("d", b""), ("", b"e"), ("a", b"=")];
        assert_eq!(found, want);
        assert!(pairs(b"a&b&c", 2).is_none());
        assert!(pairs(b"%f=1", 2).is_none());
        assert_eq!(essence(b" Application/JSON ; charset=utf-8"), "application/json");
    }
}

//! The canonical form of a literal segment in a path pattern.
//!
//! Requests are compared in canonical form (RFC 3986 §6.2.2), so literals must be in the same form or
//! they would never match. What a request may not hold is refused here. Entry point: [`canonical_literal`].

use crate::error::PatternError;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// The canonical form of one segment (no `/` in it): escapes of unreserved characters are decoded, other
/// escapes get upper-case digits, bytes that must be escaped are. Dot segments, broken escapes, controls
/// and pattern characters (`*`, `{`, `}`) are refused; the error says what to write instead.
pub fn canonical_literal(segment: &str) -> Result<Vec<u8>, PatternError> {
    let mut out = Vec::with_capacity(segment.len());
    let mut chars = segment.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' | '_' | '~' => out.push(c as u8),
            '!' | '$' | '&' | '\'' | '(' | ')' | '+' | ',' | ';' | '=' | ':' | '@' => out.push(c as u8),
            '"' | '<' | '>' | '[' | ']' | '^' | '`' | '|' => push_escape(&mut out, c as u8),
            '%' => {
                push_unescaped(&mut out, segment.as_bytes().get(at + 1..at + 3))?;
                chars.next();
                chars.next();
            }
            '*' => return Err(PatternError::PathInnerStar),
            '{' | '}' => return Err(PatternError::PathPartialSegment),
            '?' => return Err(PatternError::PathQuery),
            '/' => return Err(PatternError::PathEmptySegment),
            _ if c.is_ascii() => return Err(PatternError::PathCharacter(c)),
            _ => c.encode_utf8(&mut [0; 4]).bytes().for_each(|b| push_escape(&mut out, b)),
        }
    }
    match out.as_slice() {
        b"" => Err(PatternError::PathEmptySegment),
        b"." | b".." => Err(PatternError::PathDotSegment),
        _ => Ok(out),
    }
}

/// Settles one escape from its two digits.
fn push_unescaped(out: &mut Vec<u8>, digits: Option<&[u8]>) -> Result<(), PatternError> {
    let Some(&[high, low]) = digits else { return Err(PatternError::PathBrokenEscape) };
    let byte = crate::query::hex_pair(high, low).ok_or(PatternError::PathBrokenEscape)?;
    match byte {
        0..0x20 | 0x7f => return Err(PatternError::PathEscapedControl),
        b'-' | b'.' | b'_' | b'~' => out.push(byte),
        _ if byte.is_ascii_alphanumeric() => out.push(byte),
        _ => push_escape(out, byte),
    }
    Ok(())
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms() {
        for (segment, want) in [
            ("users", "users"),
            ("%75sers", "users"),
            ("a%2fb", "a%2Fb"),
            ("%252e", "%252e"),
            ("café", "caf%C3%A9"),
            ("caf%c3%a9", "caf%C3%A9"),
            ("a|b", "a%7Cb"),
            ("%7Bx%7d", "%7Bx%7D"),
            ("...", "..."),
            (".well-known", ".well-known"),
            ("a;b=1,c", "a;b=1,c"),
            ("%20", "%20"),
        ] {
            assert_eq!(
                canonical_literal(segment).map(|b| String::from_utf8(b).unwrap()),
                Ok(want.into()),
                "{segment}"
            );
        }
    }

    #[test]
    fn refused() {
        use PatternError as E;
        for (segment, want) in [
            ("", E::PathEmptySegment),
            (".", E::PathDotSegment),
            ("..", E::PathDotSegment),
            ("%2e", E::PathDotSegment),
            (".%2E", E::PathDotSegment),
            ("%", E::PathBrokenEscape),
            ("%4", E::PathBrokenEscape),
            ("%é", E::PathBrokenEscape),
            ("%4é", E::PathBrokenEscape),
            ("%u0041", E::PathBrokenEscape),
            ("%00", E::PathEscapedControl),
            ("%7f", E::PathEscapedControl),
            ("a b", E::PathCharacter(' ')),
            ("a\\b", E::PathCharacter('\\')),
            ("a#b", E::PathCharacter('#')),
            ("a\0b", E::PathCharacter('\0')),
            ("a?b", E::PathQuery),
            ("a*", E::PathInnerStar),
            ("{a", E::PathPartialSegment),
        ] {
            assert_eq!(canonical_literal(segment), Err(want), "{segment:?}");
        }
    }
}

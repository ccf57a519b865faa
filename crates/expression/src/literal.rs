//! The values of literals: numbers, strings and bytes with their escapes.
//!
//! It must not know where a literal may stand. Entry points: [`int`], [`uint`], [`double`], [`bytes`], [`text`].

use crate::mistake::{Mistake, Span};

/// An `int`, with its sign; hexadecimal if it begins with `0x`.
pub(crate) fn int(text: &str, negative: bool, span: Span) -> Result<i64, Mistake> {
    let (radix, digits) = radix(text);
    let sign = if negative { "-" } else { "" };
    i64::from_str_radix(&format!("{sign}{digits}"), radix).map_err(|_| {
        Mistake::new(span, "the number is too large for an int").with_help(format!(
            "an int lies between {} and {}",
            i64::MIN,
            i64::MAX
        ))
    })
}

/// A `uint`, written with a `u` at its end.
pub(crate) fn uint(text: &str, span: Span) -> Result<u64, Mistake> {
    let (radix, digits) = radix(text.trim_end_matches(['u', 'U']));
    u64::from_str_radix(digits, radix).map_err(|_| {
        Mistake::new(span, "the number is too large for a uint")
            .with_help(format!("a uint is at most {}", u64::MAX))
    })
}

/// A `double`.
pub(crate) fn double(text: &str, negative: bool, span: Span) -> Result<f64, Mistake> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(if negative { -number } else { number }),
        _ => Err(Mistake::new(span, "the number is too large for a double")),
    }
}

fn radix(text: &str) -> (u32, &str) {
    text.strip_prefix("0x").map_or((10, text), |digits| (16, digits))
}

/// The value of a string in quotes.
pub(crate) fn text(literal: &str, span: Span) -> Result<String, Mistake> {
    String::from_utf8(unescape(literal, span, false)?).map_err(|_| Mistake::new(span, "this is not UTF-8"))
}

/// The value of bytes in quotes, with the `b` before them.
pub(crate) fn bytes(literal: &str, span: Span) -> Result<Vec<u8>, Mistake> {
    unescape(literal, span, true)
}

/// Escapes mean code points in strings and single bytes in bytes. A line ends with `\n` whatever the file uses.
fn unescape(literal: &str, span: Span, bytes: bool) -> Result<Vec<u8>, Mistake> {
    let body = literal.trim_start_matches(['b', 'B']);
    let raw = body.starts_with(['r', 'R']);
    let quoted = body.trim_start_matches(['r', 'R']);
    let triple = quoted.len() >= 6 && (quoted.starts_with("\"\"\"") || quoted.starts_with("'''"));
    let quote = if triple { 3 } else { 1 };
    let inside = quoted.get(quote..quoted.len().saturating_sub(quote)).unwrap_or("");
    let first = span.start as usize + literal.len() - quoted.len() + quote;
    let mut value = Vec::with_capacity(inside.len());
    let mut chars = inside.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        match char {
            '\r' => {
                chars.next_if(|(_, next)| *next == '\n');
                value.push(b'\n');
            }
            '\\' if !raw => {
                let escape = inside.get(at + 1..).unwrap_or("");
                let Some((escaped, length)) = one_escape(escape, bytes) else {
                    let shown = escape.chars().next().map_or(0, char::len_utf8);
                    let place = Span::new(first + at, first + at + 1 + shown);
                    return Err(Mistake::new(place, "this escape is not known").with_help(
                        "a backslash itself is written `\\\\`; in a raw string such as `r\"^\\d+$\"` it needs no escape",
                    ));
                };
                for _ in 0..length {
                    chars.next();
                }
                push(&mut value, escaped, bytes);
            }
            _ => value.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Ok(value)
}

/// What an escape stands for.
#[derive(Clone, Copy)]
enum Escaped {
    Char(char),
    /// From a number of at most 8 bits.
    Byte(u8),
}

fn push(value: &mut Vec<u8>, escaped: Escaped, bytes: bool) {
    match escaped {
        Escaped::Byte(byte) if bytes => value.push(byte),
        Escaped::Byte(byte) => value.extend_from_slice(char::from(byte).encode_utf8(&mut [0; 4]).as_bytes()),
        Escaped::Char(char) => value.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// The escape at the beginning, after its backslash, and the number of its characters, all of them ASCII.
fn one_escape(escape: &str, bytes: bool) -> Option<(Escaped, usize)> {
    let number = |from: usize, digits: usize, radix: u32| {
        let text = escape.get(from..from + digits)?;
        text.bytes().all(|byte| char::from(byte).is_digit(radix)).then_some(())?;
        u32::from_str_radix(text, radix).ok()
    };
    let plain = |char| Some((Escaped::Char(char), 1));
    match escape.chars().next()? {
        'a' => plain('\u{7}'),
        'b' => plain('\u{8}'),
        'f' => plain('\u{c}'),
        'n' => plain('\n'),
        'r' => plain('\r'),
        't' => plain('\t'),
        'v' => plain('\u{b}'),
        same @ ('\\' | '\'' | '"' | '`' | '?') => plain(same),
        'x' | 'X' => Some((Escaped::Byte(u8::try_from(number(1, 2, 16)?).ok()?), 3)),
        'u' if !bytes => Some((Escaped::Char(char::from_u32(number(1, 4, 16)?)?), 5)),
        'U' if !bytes => Some((Escaped::Char(char::from_u32(number(1, 8, 16)?)?), 9)),
        '0'..='3' => Some((Escaped::Byte(u8::try_from(number(0, 3, 8)?).ok()?), 3)),
        _ => None,
    }
}

//! Parameters of a query, as forms write them, in the spelling of RFC 9421 §2.2.8.
//!
//! Names and values are decoded and encoded again byte by byte, so every spelling of a parameter has one form. Bytes
//! that are no UTF-8 stay what they are: a client that signs U+FFFD in their place is refused. Entry point:
//! [`parameter`].

use crate::Refusal;

/// The value of the one parameter with this name; both are in encoded form. The value is what remains to be
/// encoded, so that nothing is allocated for parameters that are not asked for.
///
/// Errors: [`Refusal::MissingComponent`] where there is none, [`Refusal::AmbiguousComponent`] where there are more.
pub(crate) fn parameter<'q>(query: &'q [u8], name: &str) -> Result<impl Iterator<Item = u8> + 'q, Refusal> {
    let mut found = None;
    for pair in query.split(|&b| b == b'&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair
            .iter()
            .position(|&b| b == b'=')
            .and_then(|at| pair.split_at_checked(at))
            .map_or((pair, &b""[..]), |(key, rest)| (key, rest.get(1..).unwrap_or_default()));
        if recode(key).eq(name.bytes()) && found.replace(value).is_some() {
            return Err(Refusal::AmbiguousComponent);
        }
    }
    found.map(recode).ok_or(Refusal::MissingComponent)
}

/// Decodes, and encodes with the percent-encode set of `application/x-www-form-urlencoded` (URL standard §1.3),
/// where a space is `%20`.
fn recode(text: &[u8]) -> impl Iterator<Item = u8> + '_ {
    decode(text).flat_map(|b| {
        let is_plain = b.is_ascii_alphanumeric() || matches!(b, b'*' | b'-' | b'.' | b'_');
        let (bytes, count) =
            if is_plain { ([b, 0, 0], 1) } else { ([b'%', digit(b >> 4), digit(b & 15)], 3) };
        bytes.into_iter().take(count)
    })
}

/// Decodes `+` and escapes; a percent sign that begins no escape is itself (URL standard §1.3).
fn decode(mut rest: &[u8]) -> impl Iterator<Item = u8> + '_ {
    std::iter::from_fn(move || {
        let (byte, tail) = match rest {
            [] => return None,
            [b'+', tail @ ..] => (b' ', tail),
            [b'%', high, low, tail @ ..] => match (value(*high), value(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, tail),
                _ => (b'%', rest.get(1..).unwrap_or_default()),
            },
            [byte, tail @ ..] => (*byte, tail),
        };
        rest = tail;
        Some(byte)
    })
}

fn value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// The digit of a value below 16.
fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'A' + (value & 15) - 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(query: &str, name: &str) -> Result<String, Refusal> {
        parameter(query.as_bytes(), name).map(|value| value.map(char::from).collect())
    }

    /// The examples of RFC 9421 §2.2.8, and what surrounds them.
    #[test]
    fn one_form_for_every_spelling() {
        let first = "param=value&foo=bar&baz=batman&qux=";
        let second = "var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something";
        for (query, name, want) in [
            (first, "baz", "batman"),
            (first, "qux", ""),
            (first, "param", "value"),
            (second, "var", "this%20is%20a%20big%0Amultiline%20value"),
            (second, "bar", "with%20plus%20whitespace"),
            (second, "fa%C3%A7ade%22%3A%20", "something"),
            ("a=%61%7e~*-._", "a", "a%7E%7E*-._"),
            ("%61=1", "a", "1"),
            ("a", "a", ""),
            ("&&a=b=c&", "a", "b%3Dc"),
            ("a=%zz%4", "a", "%25zz%254"),
            ("a=\u{e9}", "a", "%C3%A9"),
            ("a=%ff", "a", "%FF"),
            ("=x", "", "x"),
        ] {
            assert_eq!(text(query, name).as_deref(), Ok(want), "{query} {name}");
        }
    }

    #[test]
    fn what_is_not_there_once_has_no_value() {
        assert_eq!(text("a=1", "b"), Err(Refusal::MissingComponent));
        assert_eq!(text("", ""), Err(Refusal::MissingComponent));
        assert_eq!(text("a=1&a=1", "a"), Err(Refusal::AmbiguousComponent));
        assert_eq!(text("a=1&%61=2", "a"), Err(Refusal::AmbiguousComponent));
        assert_eq!(text("A=1", "a"), Err(Refusal::MissingComponent), "names are case-sensitive");
    }
}

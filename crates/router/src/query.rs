//! Reading a raw query lazily: pairs split at `&`, compared while they are decoded.
//!
//! It must not know conditions. Entry point: [`any_value`].
//!
//! The form is `application/x-www-form-urlencoded` (WHATWG URL §5.1): `+` is a space, `%41` is `A`. An
//! escape that is broken stands for itself. A name without `=` has an empty value. Only `&` separates.

use smallvec::SmallVec;

/// Values up to this many bytes are decoded without allocation.
const INLINE: usize = 256;

/// Whether any value of the parameter `name` passes `test`, which sees it decoded.
pub fn any_value(query: &[u8], name: &[u8], mut test: impl FnMut(&[u8]) -> bool) -> bool {
    let mut rest = Some(query);
    while let Some(left) = rest {
        let pair = match memchr::memchr(b'&', left) {
            Some(end) => {
                rest = Some(&left[end + 1..]);
                &left[..end]
            }
            None => {
                rest = None;
                left
            }
        };
        if pair.is_empty() {
            continue;
        }
        let (key, value) = match memchr::memchr(b'=', pair) {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &b""[..]),
        };
        if !decoded(key).eq(name.iter().copied()) {
            continue;
        }
        let passes = if memchr::memchr2(b'%', b'+', value).is_none() {
            test(value)
        } else {
            test(&decoded(value).collect::<SmallVec<[u8; INLINE]>>())
        };
        if passes {
            return true;
        }
    }
    false
}

/// The bytes that a name or value stands for.
pub fn decode(raw: &[u8]) -> Vec<u8> {
    decoded(raw).collect()
}

/// The bytes that `raw` stands for.
fn decoded(raw: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = raw;
    std::iter::from_fn(move || {
        let (&byte, tail) = rest.split_first()?;
        rest = tail;
        match (byte, tail) {
            (b'+', _) => Some(b' '),
            (b'%', &[high, low, ref behind @ ..]) => match hex_pair(high, low) {
                Some(byte) => {
                    rest = behind;
                    Some(byte)
                }
                None => Some(b'%'),
            },
            _ => Some(byte),
        }
    })
}

/// The byte that two hexadecimal digits stand for.
pub(crate) fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(query: &str, name: &str) -> Vec<String> {
        let mut all = Vec::new();
        any_value(query.as_bytes(), name.as_bytes(), |v| {
            all.push(String::from_utf8_lossy(v).into_owned());
            false
        });
        all
    }

    #[test]
    fn table() {
        for (query, name, want) in [
            ("a=1&b=2", "a", &["1"][..]),
            ("a=1&a=2&ab=3", "a", &["1", "2"]),
            ("a", "a", &[""]),
            ("a=", "a", &[""]),
            ("a==b", "a", &["=b"]),
            ("&&a=1&", "a", &["1"]),
            ("%61=1", "a", &["1"]),
            ("a+b=c+d", "a b", &["c d"]),
            ("a=%2B%26%3d", "a", &["+&="]),
            ("a=%zz%4&a=%", "a", &["%zz%4", "%"]),
            ("a=1;b=2", "b", &[]),
            ("", "", &[]),
            ("=x", "", &["x"]),
            ("A=1", "a", &[]),
            ("a=%2541", "a", &["%41"]),
        ] {
            assert_eq!(values(query, name), want, "{query} {name}");
        }
    }

    #[test]
    fn stops_at_the_first_value_that_passes() {
        let mut seen = 0;
        assert!(any_value(b"a=1&a=2&a=3", b"a", |v| {
            seen += 1;
            v == b"2"
        }));
        assert_eq!(seen, 2);
    }

    #[test]
    fn a_long_query_takes_linear_time() {
        let query = "%61&".repeat(500_000);
        let started = std::time::Instant::now();
        assert!(!any_value(query.as_bytes(), b"b", |_| true));
        assert!(started.elapsed().as_secs() < 3);
    }
}

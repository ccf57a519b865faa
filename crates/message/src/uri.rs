//! The canonical form of path and query (RFC 3986 §6.2.2).
//!
//! What is matched is what is authorised is what is forwarded: there is one form. Escapes of unreserved
//! characters are decoded, all others kept with upper-case digits; nothing is decoded twice. Dot
//! segments are resolved, empty segments merged. `%2F` stays as it is and never separates. Bytes that
//! no URI may hold are escaped where browsers do so, and refused where they are dangerous: controls
//! (also escaped ones), space, `\`, `#`, broken escapes.

/// Why a path or query was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriError {
    /// The path does not begin with a slash.
    NotAbsolute,
    /// A byte that must not stand here: control, space, `\` or `#`.
    BadByte,
    /// `%` without two hexadecimal digits.
    BadEscape,
    /// An escaped control character such as `%00`.
    EscapedControl,
}

/// What a byte of a path means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Stands for itself: unreserved, sub-delims, `:`, `@`.
    Plain,
    Slash,
    Dot,
    Percent,
    /// Must be escaped: not ASCII, or not a URI character.
    Escape,
    Refuse,
}

const CLASSES: [Class; 256] = {
    let mut table = [Class::Refuse; 256];
    let mut b = 0x21;
    while b < 256 {
        table[b] = match b as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => Class::Plain,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@' => {
                Class::Plain
            }
            b'.' => Class::Dot,
            b'/' => Class::Slash,
            b'%' => Class::Percent,
            b'"' | b'<' | b'>' | b'[' | b']' | b'^' | b'`' | b'{' | b'|' | b'}' => Class::Escape,
            0x80..=0xff => Class::Escape,
            _ => Class::Refuse,
        };
        b += 1;
    }
    table
};

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// The canonical form of a path: `None` if it already is canonical, which costs one pass and nothing else.
pub fn canonical_path(path: &[u8]) -> Result<Option<Vec<u8>>, UriError> {
    if path.first() != Some(&b'/') {
        return Err(UriError::NotAbsolute);
    }
    let mut after_slash = false;
    let mut rest = path;
    while let [b, tail @ ..] = rest {
        rest = tail;
        match CLASSES[*b as usize] {
            Class::Plain => after_slash = false,
            Class::Slash if !after_slash => after_slash = true,
            // A dot inside a segment is harmless; at its start it may be a dot segment.
            Class::Dot if !after_slash => {}
            Class::Percent if is_settled_escape(tail) => {
                after_slash = false;
                rest = &tail[2..];
            }
            Class::Refuse => return Err(UriError::BadByte),
            Class::Slash | Class::Dot | Class::Percent | Class::Escape => {
                return canonicalize_path(path).map(Some);
            }
        }
    }
    Ok(None)
}

/// Whether what follows a `%` is an escape that stays as it is.
fn is_settled_escape(digits: &[u8]) -> bool {
    let [high @ (b'0'..=b'9' | b'A'..=b'F'), low @ (b'0'..=b'9' | b'A'..=b'F'), ..] = digits else {
        return false;
    };
    let (Some(high), Some(low)) = (hex(*high), hex(*low)) else { return false };
    let b = high << 4 | low;
    !(b < 0x20 || b == 0x7f || is_unreserved(b))
}

/// Characters whose escapes mean the same as they do (RFC 3986 §2.3).
fn is_unreserved(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~')
}

/// [`canonical_path`] without the shortcut.
pub fn canonicalize_path(path: &[u8]) -> Result<Vec<u8>, UriError> {
    let unescaped = settle_escapes(path)?;
    let mut out: Vec<u8> = Vec::with_capacity(unescaped.len() + 1);
    let mut segments = unescaped.split(|&b| b == b'/').peekable();
    segments.next(); // what stands in front of the first slash: nothing
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"." if is_last => out.push(b'/'),
            b"." => {}
            b".." => {
                let parent = out.iter().rposition(|&b| b == b'/').unwrap_or(0);
                out.truncate(parent);
                if is_last {
                    out.push(b'/');
                }
            }
            b"" if is_last => out.push(b'/'),
            b"" => {}
            _ => {
                out.push(b'/');
                out.extend_from_slice(segment);
            }
        }
    }
    if out.is_empty() {
        out.push(b'/');
    }
    Ok(out)
}

/// Decodes escapes of unreserved characters, upper-cases the others, escapes what must be.
fn settle_escapes(path: &[u8]) -> Result<Vec<u8>, UriError> {
    if path.first() != Some(&b'/') {
        return Err(UriError::NotAbsolute);
    }
    let mut out = Vec::with_capacity(path.len() + 8);
    let mut rest = path;
    while let [b, tail @ ..] = rest {
        rest = tail;
        match CLASSES[*b as usize] {
            Class::Plain | Class::Slash | Class::Dot => out.push(*b),
            Class::Escape => push_escape(&mut out, *b),
            Class::Refuse => return Err(UriError::BadByte),
            Class::Percent => {
                let [high, low, tail @ ..] = rest else { return Err(UriError::BadEscape) };
                let (Some(high), Some(low)) = (hex(*high), hex(*low)) else {
                    return Err(UriError::BadEscape);
                };
                rest = tail;
                match high << 4 | low {
                    b if b < 0x20 || b == 0x7f => return Err(UriError::EscapedControl),
                    b if is_unreserved(b) => out.push(b),
                    b => push_escape(&mut out, b),
                }
            }
        }
    }
    Ok(out)
}

/// The canonical form of a query: as it came, with bytes beyond ASCII escaped. `None` if nothing changes.
///
/// Escapes are left alone, broken ones too: a query is data of the service, and `?discount=50%` is common.
pub(crate) fn canonical_query(query: &[u8]) -> Result<Option<Vec<u8>>, UriError> {
    if query.iter().any(|&b| b <= 0x20 || b == 0x7f || b == b'#') {
        return Err(UriError::BadByte);
    }
    if query.is_ascii() {
        return Ok(None);
    }
    let mut out = Vec::with_capacity(query.len() + 16);
    for &b in query {
        if b.is_ascii() { out.push(b) } else { push_escape(&mut out, b) }
    }
    Ok(Some(out))
}

pub(crate) fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

fn push_escape(out: &mut Vec<u8>, b: u8) {
    out.extend_from_slice(&[b'%', HEX[(b >> 4) as usize], HEX[(b & 15) as usize]]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn table_of_forms() {
        for (path, want) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("/a/b/", "/a/b/"),
            ("/a.b/c..d/...", "/a.b/c..d/..."),
            ("/.well-known/x", "/.well-known/x"),
            ("//", "/"),
            ("///admin///secret", "/admin/secret"),
            ("/a/./b/../c", "/a/c"),
            ("/..", "/"),
            ("/../..", "/"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/x//../admin", "/admin"),
            ("/.//admin", "/admin"),
            ("/%2e%2E/admin", "/admin"),
            ("/%61dm%69n", "/admin"),
            ("/a%2fb", "/a%2Fb"),
            ("/%252e%252e", "/%252e%252e"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/caf\u{e9}", "/caf%C3%A9"),
            ("/a|b{c}", "/a%7Cb%7Bc%7D"),
            ("/a;b=1/c", "/a;b=1/c"),
            ("/%c0%af", "/%C0%AF"),
        ] {
            let got = canonical_path(path.as_bytes()).unwrap().unwrap_or_else(|| path.as_bytes().to_vec());
            assert_eq!(String::from_utf8_lossy(&got), want, "{path}");
        }
    }

    #[test]
    fn refused_paths() {
        for path in [
            "",
            "a",
            "/a b",
            "/\0",
            "/a\\b",
            "/a#b",
            "/%",
            "/%2",
            "/%zz",
            "/%u0041",
            "/%00",
            "/a%0d%0ab",
            "/%7f",
            "/\x7f",
        ] {
            assert!(canonical_path(path.as_bytes()).is_err(), "{path:?}");
        }
    }

    #[test]
    fn canonical_paths_are_recognised_without_a_copy() {
        for path in ["/", "/a.b/c", "/a%2Fb", "/caf%C3%A9/%20x", "/%25zz"] {
            assert_eq!(canonical_path(path.as_bytes()), Ok(None), "{path}");
        }
        for path in ["/a%2fb", "/%41", "/a%"] {
            assert_ne!(canonical_path(path.as_bytes()), Ok(None), "{path}");
        }
    }

    #[test]
    fn queries_are_left_alone() {
        assert_eq!(canonical_query(b"x=%2e%2e%2fadmin&y=a;b\\{}%"), Ok(None));
        assert_eq!(canonical_query("é".as_bytes()), Ok(Some(b"%C3%A9".to_vec())));
        assert!(canonical_query(b"a b").is_err() && canonical_query(b"a#").is_err());
    }

    #[test]
    fn two_thousand_dot_segments_take_linear_time() {
        let path = format!("/{}admin", "%2e%2e/a/".repeat(200_000));
        let started = std::time::Instant::now();
        assert_eq!(canonicalize_path(path.as_bytes()).unwrap(), b"/a/admin");
        assert!(started.elapsed().as_secs() < 2);
    }

    proptest! {
        #[test]
        fn canonical_is_a_fixed_point(path in "/[a-c./%2eEfF;:\\\\é|]{0,24}") {
            if let Ok(changed) = canonical_path(path.as_bytes()) {
                let once = changed.unwrap_or_else(|| path.clone().into_bytes());
                prop_assert_eq!(canonical_path(&once).map(|c| c.unwrap_or_else(|| once.clone())), Ok(once.clone()));
                prop_assert_eq!(canonicalize_path(&once).unwrap(), once);
            }
        }

        #[test]
        fn shortcut_and_long_way_agree(path in "/[a-c./%2e]{0,16}") {
            let long = canonicalize_path(path.as_bytes());
            let short = canonical_path(path.as_bytes()).map(|c| c.unwrap_or_else(|| path.clone().into_bytes()));
            prop_assert_eq!(long, short);
        }
    }
}

//! The authority of a request: `host [":" port]` (RFC 3986 §3.2, without userinfo).

/// Why an authority was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// No host, or only a port.
    Empty,
    /// Two dots in a row, or one at the start.
    EmptyLabel,
    /// A byte that no registered name or address literal may hold.
    BadByte,
    /// A bracket without its partner, or no IPv6 address between them.
    BadLiteral,
    /// A port that is not a number of 1 to 65535.
    BadPort,
    /// Longer than a DNS name can be.
    TooLong,
}

/// What [`parse_authority`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Length of the host part, brackets of a literal included.
    pub host_len: usize,
    /// Whether the host already is in lower case and without trailing dot.
    pub is_canonical: bool,
}

/// What a byte means for a name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ByteClass {
    /// It may stand in a canonical name.
    Canonical,
    /// A capital.
    Upper,
    /// It may stand in no name.
    Bad,
}

const CLASSES: [ByteClass; 256] = {
    let mut table = [ByteClass::Bad; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = match b as u8 {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => ByteClass::Canonical,
            b'A'..=b'Z' => ByteClass::Upper,
            _ => ByteClass::Bad,
        };
        b += 1;
    }
    table
};

/// Checks an authority. Userinfo, lists, paths and escapes are refused: a Host that can be read in
/// two ways is the beginning of a bypass.
pub fn parse_authority(text: &[u8]) -> Result<Authority, HostError> {
    if text.first() == Some(&b'[') {
        return parse_literal(text);
    }
    // Hosts are short, and looked at in one go: the worst of all bytes, and a dot at the begin or behind another one.
    let (mut host_len, mut class, mut after_dot, mut has_empty_label) =
        (0, ByteClass::Canonical, true, false);
    while let Some(b) = text.get(host_len).filter(|b| **b != b':') {
        class = class.max(CLASSES[usize::from(*b)]);
        has_empty_label |= after_dot && *b == b'.';
        after_dot = *b == b'.';
        host_len += 1;
    }
    let (host, port) = text.split_at(host_len);
    check_port(port)?;
    if matches!(host, b"" | b".") {
        return Err(HostError::Empty);
    }
    // Without this `a..` would be `a.` here and `a` for the next reader.
    if has_empty_label {
        return Err(HostError::EmptyLabel);
    }
    if host.len() > 254 {
        return Err(HostError::TooLong);
    }
    if class == ByteClass::Bad {
        return Err(HostError::BadByte);
    }
    let is_canonical = class == ByteClass::Canonical && host.last() != Some(&b'.');
    Ok(Authority { host_len, is_canonical })
}

/// `[` IPv6 `]` [":" port]; IPvFuture and zones are refused.
fn parse_literal(text: &[u8]) -> Result<Authority, HostError> {
    let end = memchr::memchr(b']', text).ok_or(HostError::BadLiteral)?;
    let inner = std::str::from_utf8(&text[1..end]).map_err(|_| HostError::BadLiteral)?;
    inner.parse::<std::net::Ipv6Addr>().map_err(|_| HostError::BadLiteral)?;
    check_port(&text[end + 1..])?;
    let is_canonical = !inner.bytes().any(|b| b.is_ascii_uppercase());
    Ok(Authority { host_len: end + 1, is_canonical })
}

fn check_port(port: &[u8]) -> Result<(), HostError> {
    let Some(digits) = port.strip_prefix(b":") else {
        return if port.is_empty() { Ok(()) } else { Err(HostError::BadPort) };
    };
    if digits.is_empty() || digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(HostError::BadPort);
    }
    let number = digits.iter().fold(0u32, |n, d| n * 10 + u32::from(d - b'0'));
    if (1..=65535).contains(&number) { Ok(()) } else { Err(HostError::BadPort) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_and_bad_authorities() {
        for good in
            ["a", "a.b:80", "127.0.0.1:1", "[::1]", "[2001:db8::1]:443", "a_b.test", "xn--bcher-kva.example"]
        {
            assert!(parse_authority(good.as_bytes()).is_ok(), "{good}");
        }
        let long = "a".repeat(300);
        for bad in [
            "",
            ".",
            ":80",
            "a b",
            "a/b",
            "u@a",
            "a,b",
            "a:",
            "a:x",
            "a:99999",
            "a:0",
            "[::1",
            "[::1]x",
            "[a]",
            "::1",
            "a#b",
            "a?b",
            "a%41",
            "a\0",
            "a:80:80",
            "[fe80::1%25eth0]",
            long.as_str(),
        ] {
            assert!(parse_authority(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}

//! Host patterns: a name, or everything below a name.
//!
//! It must not know ports or schemes. Entry point: [`HostPattern::parse`].

use std::fmt;

use crate::error::PatternError;

/// Longest name in DNS, without trailing dot (RFC 1035 §2.3.4).
const MAX_NAME: usize = 253;
/// Longest label in DNS (RFC 1035 §2.3.4).
const MAX_LABEL: usize = 63;

/// Which hosts a route answers for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This name or address only; lower case, without port and trailing dot. IPv6 stands in brackets.
    Exact(Box<str>),
    /// `*.example.com`, stored as `example.com`: one or more labels in front of it.
    Wildcard(Box<str>),
}

impl HostPattern {
    /// Reads `api.example.com`, `*.example.com`, `192.0.2.1` or `[2001:db8::1]`. Upper case is lowered and
    /// one trailing dot dropped. Ports, schemes, paths and a `*` elsewhere are refused.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text == "*" {
            return Err(PatternError::HostBareWildcard);
        }
        if text.contains("://") {
            return Err(PatternError::HostScheme);
        }
        if text.contains('/') {
            return Err(PatternError::HostPath);
        }
        let lower = text.to_ascii_lowercase();
        if let Some(inner) = lower.strip_prefix('[') {
            return parse_literal(inner);
        }
        let (name, is_wildcard) = match lower.strip_prefix("*.") {
            Some(below) => (below, true),
            None => (lower.as_str(), false),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        check_name(name)?;
        Ok(if is_wildcard { Self::Wildcard(name.into()) } else { Self::Exact(name.into()) })
    }

    /// Whether the canonical `host` is one of these.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => **name == *host,
            Self::Wildcard(below) => {
                let front = host.strip_suffix(&**below).and_then(|front| front.strip_suffix('.'));
                front.is_some_and(|labels| !labels.is_empty())
            }
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(below) => write!(f, "*.{below}"),
        }
    }
}

/// What stands behind the opening bracket. The address is kept as written: RFC 5952 has one text for
/// each address, but clients send others, and the router compares text.
fn parse_literal(inner: &str) -> Result<HostPattern, PatternError> {
    let (address, port) = inner.split_once(']').ok_or(PatternError::HostLiteral)?;
    if address.parse::<std::net::Ipv6Addr>().is_err() {
        return Err(PatternError::HostLiteral);
    }
    match port {
        "" => Ok(HostPattern::Exact(format!("[{address}]").into())),
        _ if port.starts_with(':') => Err(PatternError::HostPort),
        _ => Err(PatternError::HostLiteral),
    }
}

fn check_name(name: &str) -> Result<(), PatternError> {
    for c in name.chars() {
        match c {
            'a'..='z' | '0'..='9' | '-' | '_' | '.' => {}
            '*' => return Err(PatternError::HostInnerWildcard),
            ':' => return Err(PatternError::HostPort),
            _ => return Err(PatternError::HostCharacter(c)),
        }
    }
    if name.len() > MAX_NAME || name.split('.').any(|label| label.is_empty() || label.len() > MAX_LABEL) {
        return Err(PatternError::HostLabel);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted() {
        for (text, want) in [
            ("API.Example.com", HostPattern::Exact("api.example.com".into())),
            ("api.example.com.", HostPattern::Exact("api.example.com".into())),
            ("*.Example.com.", HostPattern::Wildcard("example.com".into())),
            ("localhost", HostPattern::Exact("localhost".into())),
            ("192.0.2.1", HostPattern::Exact("192.0.2.1".into())),
            ("[2001:DB8::1]", HostPattern::Exact("[2001:db8::1]".into())),
            ("a_b.test", HostPattern::Exact("a_b.test".into())),
        ] {
            assert_eq!(HostPattern::parse(text), Ok(want), "{text}");
        }
    }

    #[test]
    fn refused() {
        use PatternError as E;
        let long = format!("{}.com", "a".repeat(64));
        let longer = "a.".repeat(127) + "b";
        for (text, want) in [
            ("", E::Empty),
            ("*", E::HostBareWildcard),
            ("https://a.com", E::HostScheme),
            ("a.com/x", E::HostPath),
            ("a.com:80", E::HostPort),
            ("[::1]:80", E::HostPort),
            ("::1", E::HostPort),
            ("[::1", E::HostLiteral),
            ("[a]", E::HostLiteral),
            ("[::1]x", E::HostLiteral),
            ("a.*.com", E::HostInnerWildcard),
            ("*a.com", E::HostInnerWildcard),
            ("*.*.com", E::HostInnerWildcard),
            ("*.", E::HostLabel),
            (".", E::HostLabel),
            ("a..b", E::HostLabel),
            (".a", E::HostLabel),
            ("a b", E::HostCharacter(' ')),
            ("u@a", E::HostCharacter('@')),
            ("bücher.example", E::HostCharacter('ü')),
            (&long, E::HostLabel),
            (&longer, E::HostLabel),
        ] {
            assert_eq!(HostPattern::parse(text), Err(want), "{text}");
        }
    }

    #[test]
    fn wildcard_needs_a_label_in_front() {
        let pattern = HostPattern::parse("*.example.com").unwrap();
        for (host, want) in [
            ("a.example.com", true),
            ("a.b.example.com", true),
            ("example.com", false),
            (".example.com", false),
            ("badexample.com", false),
            ("a.example.com.evil", false),
            ("", false),
        ] {
            assert_eq!(pattern.matches(host), want, "{host}");
        }
        assert_eq!(pattern.to_string(), "*.example.com");
    }
}

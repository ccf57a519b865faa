//! Conditions on the value of a header or a query parameter.
//!
//! It must not know where the value comes from. Entry point: [`ValuePattern::parse`].

use crate::error::PatternError;
use crate::regex::ByteRegex;

/// What a value must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ValuePattern {
    /// Anything, as long as it is there.
    Present,
    /// Exactly these bytes.
    Exact(Box<[u8]>),
    /// The regex matches somewhere in it (anchor it with `^` and `$` to mean all of it).
    Regex(ValueRegex),
}

impl ValuePattern {
    /// Reads `~regex` as a regex and anything else as the exact value. `true` (present) is the
    /// configuration's to tell from the text "true".
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        Ok(match text.strip_prefix('~') {
            Some(source) => Self::Regex(ValueRegex(ByteRegex::parse(source)?)),
            None => Self::Exact(text.as_bytes().into()),
        })
    }

    /// Whether `value` passes. It may be any bytes.
    #[must_use]
    pub fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Present => true,
            Self::Exact(want) => **want == *value,
            Self::Regex(regex) => regex.0.is_match(value),
        }
    }
}

/// A regex over the bytes of a value: linear time, ASCII classes, no UTF-8 needed.
#[derive(Clone, Debug)]
pub struct ValueRegex(ByteRegex);

impl ValueRegex {
    /// As the user wrote it, without the `~`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.source()
    }
}

impl PartialEq for ValueRegex {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for ValueRegex {}

impl std::hash::Hash for ValueRegex {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (pattern, value, want) in [
            ("2", &b"2"[..], true),
            ("2", b"20", false),
            ("", b"", true),
            ("~^v[0-9]+$", b"v12", true),
            ("~^v[0-9]+$", b"xv12", false),
            ("~v", b"\xff\xfev\x80", true),
            ("~^[^x]*$", b"\xff\xfe", true),
            ("~^a$", b"\xff", false),
        ] {
            assert_eq!(ValuePattern::parse(pattern).unwrap().matches(value), want, "{pattern} {value:?}");
        }
        assert!(ValuePattern::Present.matches(b"\xff"));
        assert!(ValuePattern::parse("~(").is_err() && ValuePattern::parse("~").is_err());
    }
}

//! Why a pattern was refused, and what to write instead.
//!
//! It must not know where the pattern stood: the caller adds file and line.

use std::fmt;

use crate::captures::MAX_CAPTURES;
use crate::limits::{MAX_PATTERN_BYTES, MAX_SEGMENTS};

/// Why a host, path or value pattern was refused. [`fmt::Display`] says what is wrong,
/// [`PatternError::help`] what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PatternError {
    /// Nothing is written.
    Empty,
    /// The pattern is longer than can be of use.
    TooLong,
    /// A host with `http://` or the like in front.
    HostScheme,
    /// A host with a port.
    HostPort,
    /// A host with a path behind it.
    HostPath,
    /// `*` alone as the host.
    HostBareWildcard,
    /// `*` elsewhere than as the whole first label.
    HostInnerWildcard,
    /// A host label that is empty or longer than 63 bytes (RFC 1035 §2.3.4).
    HostLabel,
    /// A character that no host may hold.
    HostCharacter(char),
    /// Brackets without an IPv6 address between them.
    HostLiteral,
    /// A path that does not begin with `/`.
    PathNotAbsolute,
    /// A character that no path may hold.
    PathCharacter(char),
    /// A path with a query behind it.
    PathQuery,
    /// Two slashes in a row: requests reach the router with them merged.
    PathEmptySegment,
    /// `.` or `..` as a segment (also escaped): requests reach the router with them resolved.
    PathDotSegment,
    /// `%` without two hexadecimal digits.
    PathBrokenEscape,
    /// An escaped control character such as `%00`: such requests are refused before routing.
    PathEscapedControl,
    /// `*` elsewhere than as the whole last segment.
    PathInnerStar,
    /// Braces that are not a whole segment, or have no partner.
    PathPartialSegment,
    /// `{rest...}` before the last segment.
    PathRestNotLast,
    /// More segments than allowed.
    PathTooManySegments,
    /// A capture without a usable name.
    CaptureName(Box<str>),
    /// Two captures of one name.
    CaptureTwice(Box<str>),
    /// More captures than can be remembered.
    TooManyCaptures,
    /// A regex that cannot be compiled, and the compiler's reason.
    Regex(Box<str>),
    /// A regex whose automaton would be too large.
    RegexTooLarge,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Empty => "the pattern is empty",
            Self::TooLong => return write!(f, "the pattern is longer than {MAX_PATTERN_BYTES} bytes"),
            Self::HostScheme => "a host has no scheme",
            Self::HostPort => "a host pattern has no port",
            Self::HostPath => "a host has no path",
            Self::HostBareWildcard => "`*` alone is not a host",
            Self::HostInnerWildcard => "`*` may only be the whole first label of a host",
            Self::HostLabel => "each label of a host has 1 to 63 characters, and all of it at most 253",
            Self::HostCharacter(c) => return write!(f, "{c:?} cannot be part of a host"),
            Self::HostLiteral => "there is no IPv6 address between the brackets",
            Self::PathNotAbsolute => "a path begins with `/`",
            Self::PathCharacter(c) => return write!(f, "{c:?} cannot be part of a path"),
            Self::PathQuery => "a path has no query",
            Self::PathEmptySegment => "`//` never matches: empty segments of a request are merged",
            Self::PathDotSegment => "`.` and `..` never match: dot segments of a request are resolved",
            Self::PathBrokenEscape => "`%` is not followed by two hexadecimal digits",
            Self::PathEscapedControl => {
                "an escaped control character never matches: such requests are refused"
            }
            Self::PathInnerStar => "`*` may only be the whole last segment of a path",
            Self::PathPartialSegment => "`{…}` must be a whole segment of a path",
            Self::PathRestNotLast => "`{name...}` takes all that is left, so it must come last",
            Self::PathTooManySegments => return write!(f, "the path has more than {MAX_SEGMENTS} segments"),
            Self::CaptureName(name) => return write!(f, "`{name}` is not a name for a capture"),
            Self::CaptureTwice(name) => return write!(f, "the capture `{name}` is there twice"),
            Self::TooManyCaptures => return write!(f, "there are more than {MAX_CAPTURES} captures"),
            Self::Regex(why) => return write!(f, "the regex is not valid: {why}"),
            Self::RegexTooLarge => "the regex needs too much memory",
        };
        f.write_str(text)
    }
}

impl std::error::Error for PatternError {}

impl PatternError {
    /// What to write instead, if there is one answer.
    #[must_use]
    pub fn help(&self) -> Option<&'static str> {
        Some(match self {
            Self::Empty | Self::HostLabel | Self::HostLiteral | Self::TooLong => return None,
            Self::HostScheme => "write only the name, such as `api.example.com`",
            Self::HostPort => "write only the name: the port belongs to `listen`",
            Self::HostPath => "write the path under `path`",
            Self::HostBareWildcard => "leave `hosts` out to match any host",
            Self::HostInnerWildcard => "write `*.example.com` for every name below example.com",
            Self::HostCharacter(c) if !c.is_ascii() => {
                "write an international name in its ASCII form (`xn--…`)"
            }
            Self::HostCharacter(_) => "a host has letters, digits, `-`, `_` and dots",
            Self::PathNotAbsolute => "put a `/` in front, or `~` for a regex",
            Self::PathCharacter('#') => "a fragment never reaches a server; write `%23` for the character",
            Self::PathCharacter('\\') => "write `/` to separate segments, or `%5C` for the character",
            Self::PathCharacter(' ') => "write `%20`",
            Self::PathCharacter(_) => "write it as `%` and two hexadecimal digits",
            Self::PathQuery => "write conditions on the query under `query`, or `%3F` for the character",
            Self::PathEmptySegment => "write a single `/`",
            Self::PathDotSegment => "write the path without them",
            Self::PathBrokenEscape => "write `%25` for a percent sign",
            Self::PathEscapedControl => "leave it out",
            Self::PathInnerStar => "write `{name}` for one segment, or a regex: `~^/a/[^/]*\\.png$`",
            Self::PathPartialSegment => {
                "write `/{name}/`, a regex such as `~^/(?<name>[^/]+)\\.json$`, or `%7B` and `%7D` for the characters"
            }
            Self::PathRestNotLast => "write `{name}` for one segment, or a regex",
            Self::PathTooManySegments => "write a shorter path that ends in `/*`",
            Self::TooManyCaptures => {
                "name fewer segments; in a regex, write `(?:…)` for groups that are not needed"
            }
            Self::CaptureName(_) => {
                "a name has letters, digits, `_` and `-`, and begins with a letter or `_`"
            }
            Self::CaptureTwice(_) => "give each its own name",
            Self::Regex(_) => "the syntax is RE2's: no look-around, no back-references, ASCII classes",
            Self::RegexTooLarge => "make counted repetitions such as `{1,1000}` smaller",
        })
    }
}

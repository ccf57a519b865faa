//! What a path, a header value and a query value can be at all, byte by byte.
//!
//! A pattern may match texts that no request holds: only those count that arrive here. It must not know
//! patterns. Entry point: [`Frame`].

/// Where a text stands in a request, and so which texts are possible: an automaton of a few states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Frame {
    /// A canonical path: see [`canonical_literal`](crate::canonical_literal) and `docs/routing.md`.
    Path,
    /// A header value: no controls but tabs, no white space at its ends (RFC 9110 §5.5).
    Header,
    /// The decoded value of a query parameter: any bytes.
    Query,
}

/// State of a [`Frame`].
pub(super) type FrameState = u8;

/// Before the first slash of a path, and before the first byte of a value.
pub(super) const START: FrameState = 0;
/// Behind a slash.
const EMPTY: FrameState = 1;
/// The segment is `.` so far, which must not be all.
const DOT: FrameState = 2;
/// The segment is `..` so far.
const DOTS: FrameState = 3;
/// Inside of a segment that is harmless already.
const INSIDE: FrameState = 4;
/// Behind a `%`.
const PERCENT: FrameState = 5;
/// Behind a `%` and a first digit from 2 to 7: this plus the digit, minus 2.
const HIGH: FrameState = 6;
/// Behind a `%` and a first digit from 8 to F.
const HIGHEST: FrameState = 12;

/// The last byte of a header value so far is visible, or is white space.
const VISIBLE: FrameState = 1;
const BLANK: FrameState = 2;

impl Frame {
    /// The state behind one more byte; `None` if no text goes on like this.
    pub(super) fn step(self, state: FrameState, byte: u8) -> Option<FrameState> {
        match self {
            Self::Path => path_step(state, byte),
            Self::Header => match byte {
                b' ' | b'\t' => (state != START).then_some(BLANK),
                0x21..=0x7e | 0x80..=0xff => Some(VISIBLE),
                _ => None,
            },
            Self::Query => Some(START),
        }
    }

    /// Whether a text may end in this state.
    pub(super) fn may_end(self, state: FrameState) -> bool {
        match self {
            Self::Path => matches!(state, EMPTY | INSIDE),
            Self::Header => state != BLANK,
            Self::Query => true,
        }
    }

    /// Whether a text can hold the byte somewhere.
    pub(super) fn holds(self, byte: u8) -> bool {
        match self {
            Self::Path => matches!(byte, b'/' | b'.' | b'%') || is_plain(byte),
            Self::Header => matches!(byte, b'\t' | b' '..=0x7e | 0x80..=0xff),
            Self::Query => true,
        }
    }

    /// Whether a text of these bytes is possible.
    pub(super) fn admits(self, text: &[u8]) -> bool {
        let end = text.iter().try_fold(START, |state, &byte| self.step(state, byte));
        end.is_some_and(|state| self.may_end(state))
    }

    /// Whether the next byte is a digit of an escape, so that every digit may mean something else.
    pub(super) fn wants_digit(self, state: FrameState) -> bool {
        self == Self::Path && state >= PERCENT
    }
}

fn path_step(state: FrameState, byte: u8) -> Option<FrameState> {
    if state == START {
        return (byte == b'/').then_some(EMPTY);
    }
    if state >= PERCENT {
        return escape_step(state, byte);
    }
    match byte {
        b'/' => (state == INSIDE).then_some(EMPTY),
        b'.' => Some(match state {
            EMPTY => DOT,
            DOT => DOTS,
            _ => INSIDE,
        }),
        b'%' => Some(PERCENT),
        _ => is_plain(byte).then_some(INSIDE),
    }
}

/// Escapes have digits in upper case, and stand neither for controls nor for what needs no escape.
fn escape_step(state: FrameState, byte: u8) -> Option<FrameState> {
    let digit = match byte {
        b'0'..=b'9' => byte - b'0',
        b'A'..=b'F' => byte - b'A' + 10,
        _ => return None,
    };
    match (state, digit) {
        (PERCENT, 0 | 1) => None,
        (PERCENT, 2..8) => Some(HIGH + digit - 2),
        (PERCENT, _) => Some(HIGHEST),
        (HIGHEST, _) => Some(INSIDE),
        _ => {
            let escaped = (state - HIGH + 2) << 4 | digit;
            let is_unreserved =
                escaped.is_ascii_alphanumeric() || matches!(escaped, b'-' | b'.' | b'_' | b'~');
            (!is_unreserved && escaped != 0x7f).then_some(INSIDE)
        }
    }
}

/// What stands for itself within a segment (RFC 3986 §3.3), the dot aside.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_~!$&'()*+,;=:@".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_header_can_hold() {
        for (value, want) in [
            ("", true),
            ("2", true),
            ("a b\tc", true),
            (" a", false),
            ("a ", false),
            ("a\nb", false),
            ("\u{e9}", true),
        ] {
            assert_eq!(Frame::Header.admits(value.as_bytes()), want, "{value:?}");
        }
    }

    fn is_canonical(path: &str) -> bool {
        message::canonicalize_path(path.as_bytes()).is_ok_and(|canonical| canonical == path.as_bytes())
    }

    #[test]
    fn every_escape() {
        for byte in 0..=255u8 {
            let path = format!("/a%{byte:02X}");
            assert_eq!(Frame::Path.admits(path.as_bytes()), is_canonical(&path), "{path}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_path_is_possible_exactly_if_it_is_canonical(path in "/?[a.%2FfE7/*;:é ~{]{0,8}") {
            prop_assert_eq!(Frame::Path.admits(path.as_bytes()), is_canonical(&path));
        }
    }
}

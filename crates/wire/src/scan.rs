//! Finds the end of a head while its bytes come in.
//!
//! Every byte is looked at once, however small the pieces are. Only lines matter here; what stands in
//! them is the business of [`crate::parse_request`] and [`crate::parse_response`].

use message::Fault;

use crate::bytes::{is_token, text_len};
use crate::limits::{HeadLimits, METHOD_BYTES};

/// Which kind of head is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request from a client; one empty line in front of it is skipped (RFC 9112 §2.2).
    Request,
    /// A response from a service.
    Response,
}

/// A byte that can stand in no line: a control character, among them CR without LF and LF without CR.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadByte;

/// Splits bytes that come in piece by piece into lines that end with CRLF.
#[derive(Debug, Default)]
pub(crate) struct LineScan {
    /// Where the current line begins.
    line: usize,
    /// Where to go on looking.
    at: usize,
}

impl LineScan {
    /// Where the current line begins: just behind the last line that [`LineScan::next_line`] returned.
    pub(crate) fn line_start(&self) -> usize {
        self.line
    }

    /// How much of the current line was looked at.
    fn line_len(&self) -> usize {
        self.at - self.line
    }

    /// The length of the next line, without its CRLF; `None` while its end has not come.
    /// `bytes` must begin with the bytes of the last call.
    #[inline]
    pub(crate) fn next_line(&mut self, bytes: &[u8]) -> Result<Option<usize>, BadByte> {
        let unseen = bytes.get(self.at..).unwrap_or_default();
        let len = text_len(unseen);
        self.at += len;
        match unseen.get(len..).unwrap_or_default() {
            [] | [b'\r'] => Ok(None),
            [b'\r', b'\n', ..] => {
                let len = self.line_len();
                self.at += 2;
                self.line = self.at;
                Ok(Some(len))
            }
            _ => Err(BadByte),
        }
    }
}

/// What was seen of a head so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing.
    #[default]
    Nothing,
    /// One empty line.
    EmptyLine,
    /// The beginning of the first line.
    FirstLine,
    /// The first line.
    Fields,
}

/// Incremental search for the end of a head, so that a head that drips in byte by byte costs linear time.
#[derive(Debug, Default)]
pub struct HeadScan {
    lines: LineScan,
    stage: Stage,
}

impl HeadScan {
    /// Forgets everything: the next call looks at the beginning of a new head.
    pub fn reset(&mut self) {
        *self = HeadScan::default();
    }

    /// Looks at the bytes that came since the last call. `bytes` is everything from the beginning of the
    /// head on. `Some(n)`: the head, with an empty line in front and the empty line at its end, is
    /// `bytes[..n]`.
    ///
    /// Errors come at once: a control character (also a CR or LF that stands alone), a first byte that
    /// cannot begin a message, a first line longer than its target may be, as many bytes as `limits`
    /// allows without an end. For responses every error is [`Fault::UpstreamMalformed`].
    pub fn find_end(
        &mut self,
        bytes: &[u8],
        limits: &HeadLimits,
        kind: Kind,
    ) -> Result<Option<usize>, Fault> {
        self.advance(bytes, limits, kind).map_err(|fault| match kind {
            Kind::Request => fault,
            Kind::Response => Fault::UpstreamMalformed,
        })
    }

    fn advance(&mut self, bytes: &[u8], limits: &HeadLimits, kind: Kind) -> Result<Option<usize>, Fault> {
        // Bytes past the limit are never looked at: the outcome must not depend on how they come in.
        let bytes = bytes.get(..limits.bytes).unwrap_or(bytes);
        if self.stage == Stage::Fields || self.pass_first_line(bytes, limits, kind)? {
            while let Some(len) = self.lines.next_line(bytes).map_err(|BadByte| Fault::BadHeader)? {
                if len == 0 {
                    return Ok(Some(self.lines.line_start()));
                }
            }
        }
        if bytes.len() >= limits.bytes { Err(Fault::HeadersTooLarge) } else { Ok(None) }
    }

    /// Whether the first line is there.
    fn pass_first_line(&mut self, bytes: &[u8], limits: &HeadLimits, kind: Kind) -> Result<bool, Fault> {
        if !self.has_begun(bytes, kind)? {
            return Ok(false);
        }
        let line = self.lines.next_line(bytes);
        if kind == Kind::Request {
            let len = if let Ok(Some(len)) = line { len } else { self.lines.line_len() };
            // The longest line that can hold an acceptable target.
            if len > limits.target.saturating_add(METHOD_BYTES + "  HTTP/1.1".len()) {
                return Err(Fault::UriTooLong);
            }
        }
        let found = line.map_err(|BadByte| Fault::BadRequestLine)?.is_some();
        if found {
            self.stage = Stage::Fields;
        }
        Ok(found)
    }

    /// Whether the first line has begun; looks at its first byte.
    #[inline]
    fn has_begun(&mut self, bytes: &[u8], kind: Kind) -> Result<bool, Fault> {
        while matches!(self.stage, Stage::Nothing | Stage::EmptyLine) {
            match bytes.get(self.lines.line_start()..).unwrap_or_default() {
                [] => return Ok(false),
                [b'\r', rest @ ..] if self.stage == Stage::Nothing && kind == Kind::Request => match rest {
                    [] => return Ok(false),
                    [b'\n', ..] => {
                        self.lines = LineScan { line: 2, at: 2 };
                        self.stage = Stage::EmptyLine;
                    }
                    _ => return Err(Fault::BadRequestLine),
                },
                [first, ..] => {
                    let may_begin = match kind {
                        Kind::Request => is_token(*first),
                        Kind::Response => *first == b'H',
                    };
                    if !may_begin {
                        return Err(Fault::BadRequestLine);
                    }
                    self.stage = Stage::FirstLine;
                }
            }
        }
        Ok(true)
    }
}

//! Decodes a body in the buffer it was read into.
//!
//! Knows how bodies are delimited, not where their bytes come from or go to. Entry point:
//! [`BodyDecoder`].

use std::ops::Range;

use message::{Fault, Headers};

use crate::bytes::is_text_byte;
use crate::framing::BodyLength;
use crate::trailers::Trailers;

/// The most digits of a chunk size, leading zeros included.
const MOST_DIGITS: u16 = 16;
/// The largest chunk.
const MOST_SIZE: u64 = 1 << 62;
/// The most bytes of the line in front of a chunk.
const MOST_LINE: u16 = 4 * 1024;
/// The most bytes of chunk extensions in one body: they are dropped, and nobody needs many.
const MOST_EXTENSION: u32 = 64 * 1024;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Bytes of a body of known length.
    Exact,
    /// Bytes until the connection closes.
    UntilClose,
    /// A digit of a chunk size, or what ends it.
    Size,
    /// An extension behind a chunk size.
    Extension,
    /// The LF of the size line.
    SizeLf,
    /// Bytes of a chunk.
    Data,
    /// The CR behind a chunk.
    DataCr,
    /// The LF behind a chunk.
    DataLf,
    /// What follows the last chunk: a trailer section, or the CR of the empty line.
    AfterLast,
    /// The LF of the empty line.
    EndLf,
    /// A trailer section.
    Trailers,
    /// Nothing: the body is complete.
    Done,
    /// Nothing: the body is broken.
    Broken,
}

/// What one call of [`BodyDecoder::decode`] found. All positions are those of the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Where the payload is now.
    pub payload: Range<usize>,
    /// How far the input was taken. It is all of it, except behind the end of the body: what stands there
    /// belongs to the next message.
    pub consumed: usize,
}

/// Decodes a body in place.
#[derive(Debug)]
pub struct BodyDecoder {
    length: BodyLength,
    /// Bytes that are missing of the body or of the chunk; while a size is read, the size so far.
    left: u64,
    /// Bytes of extensions so far, in the whole body.
    extension: u32,
    /// Bytes of the size line so far.
    line: u16,
    state: State,
    trailers: Option<Box<Trailers>>,
}

impl BodyDecoder {
    /// For a body that is delimited in this way.
    pub fn new(length: BodyLength) -> BodyDecoder {
        let (state, left) = match length {
            BodyLength::Empty | BodyLength::Exact(0) => (State::Done, 0),
            BodyLength::Exact(length) => (State::Exact, length),
            BodyLength::Chunked => (State::Size, 0),
            BodyLength::UntilClose => (State::UntilClose, 0),
        };
        BodyDecoder { length, left, extension: 0, line: 0, state, trailers: None }
    }

    /// Takes the bytes `buffer[range]` and moves their payload together, so that it is one range inside
    /// of `range`. Bytes of chunk framing between are overwritten; those behind `consumed` are not.
    ///
    /// Errors: [`Fault::BadChunk`], and [`Fault::HeadersTooLarge`] for trailers. After an error every
    /// further call fails.
    pub fn decode(&mut self, buffer: &mut [u8], range: Range<usize>) -> Result<Decoded, Fault> {
        debug_assert!(range.start <= range.end && range.end <= buffer.len());
        let end = range.end.min(buffer.len());
        let start = range.start.min(end);
        let consumed = match self.state {
            State::Broken => return Err(Fault::BadChunk),
            State::Done => start,
            State::UntilClose => end,
            State::Exact => {
                let taken = self.take_left(end - start);
                if self.left == 0 {
                    self.state = State::Done;
                }
                start + taken
            }
            _ => {
                let decoded = self.decode_chunks(buffer, start, end);
                if decoded.is_err() {
                    self.state = State::Broken;
                }
                return decoded;
            }
        };
        Ok(Decoded { payload: start..consumed, consumed })
    }

    /// Whether the body is complete.
    #[inline]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The peer has closed the connection. Fine where the body was complete, or runs until then; it is
    /// complete afterwards. Everything else is [`Fault::BodyCut`].
    pub fn end_of_input(&mut self) -> Result<(), Fault> {
        match self.state {
            State::Done => Ok(()),
            State::UntilClose => {
                self.state = State::Done;
                Ok(())
            }
            _ => Err(Fault::BodyCut),
        }
    }

    /// The trailers that may be passed on (RFC 9110 §6.5.1), when the body is complete and there are any.
    pub fn trailers(&self) -> Option<&Headers> {
        let fields = self.trailers.as_ref()?.fields();
        (self.is_done() && !fields.is_empty()).then_some(fields)
    }

    /// How the body is delimited.
    pub fn length(&self) -> BodyLength {
        self.length
    }

    /// Takes as many of the bytes that are missing as are there.
    #[inline]
    fn take_left(&mut self, available: usize) -> usize {
        let taken = usize::try_from(self.left).map_or(available, |left| left.min(available));
        self.left -= taken as u64;
        taken
    }

    fn decode_chunks(&mut self, buffer: &mut [u8], start: usize, end: usize) -> Result<Decoded, Fault> {
        let mut payload = start..start;
        let mut at = start;
        while at < end {
            match self.state {
                State::Data => {
                    let taken = self.take_left(end - at);
                    if payload.is_empty() {
                        payload = at..at;
                    } else {
                        buffer.copy_within(at..at + taken, payload.end);
                    }
                    payload.end += taken;
                    at += taken;
                    if self.left == 0 {
                        self.state = State::DataCr;
                    }
                }
                State::AfterLast if buffer[at] != b'\r' => self.state = State::Trailers,
                State::Trailers => {
                    let (taken, ended) = self.trailers.get_or_insert_default().take(&buffer[at..end])?;
                    at += taken;
                    if ended {
                        self.state = State::Done;
                    }
                }
                State::Done => break,
                _ => {
                    self.state = self.step(buffer[at])?;
                    at += 1;
                }
            }
        }
        Ok(Decoded { payload, consumed: at })
    }

    /// One byte of chunk framing (RFC 9112 §7.1).
    #[inline]
    fn step(&mut self, byte: u8) -> Result<State, Fault> {
        match (self.state, byte) {
            (State::Size, b'0'..=b'9') => self.add_digit(byte - b'0'),
            (State::Size, b'a'..=b'f') => self.add_digit(byte - b'a' + 10),
            (State::Size, b'A'..=b'F') => self.add_digit(byte - b'A' + 10),
            (State::Size, b'\r') if self.line > 0 => Ok(State::SizeLf),
            (State::Size, b';') if self.line > 0 => self.add_extension(),
            (State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Extension, byte) if is_text_byte(byte) => self.add_extension(),
            (State::SizeLf, b'\n') => {
                self.line = 0;
                Ok(if self.left == 0 { State::AfterLast } else { State::Data })
            }
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size),
            (State::AfterLast, b'\r') => Ok(State::EndLf),
            (State::EndLf, b'\n') => Ok(State::Done),
            _ => Err(Fault::BadChunk),
        }
    }

    #[inline]
    fn add_digit(&mut self, digit: u8) -> Result<State, Fault> {
        self.line += 1;
        // The first test keeps the shift from overflowing.
        if self.line > MOST_DIGITS || self.left > MOST_SIZE >> 4 {
            return Err(Fault::BadChunk);
        }
        self.left = self.left << 4 | u64::from(digit);
        if self.left > MOST_SIZE { Err(Fault::BadChunk) } else { Ok(State::Size) }
    }

    fn add_extension(&mut self) -> Result<State, Fault> {
        self.line += 1;
        self.extension += 1;
        let fits = self.line <= MOST_LINE - 2 && self.extension <= MOST_EXTENSION;
        if fits { Ok(State::Extension) } else { Err(Fault::BadChunk) }
    }
}

//! Reads the frames of an HTTP/3 stream before the library that knows what they mean (RFC 9114 §7).
//!
//! That library keeps whatever it has been given until it can use it, so it is given nothing else: whole frames of a
//! bounded length, a body piece by piece, and nothing of frames that mean nothing. Here is also decided what it does
//! not notice: a stream that ends in the middle of a frame, and traffic about nothing (RFC 9114 §10.5).

use bytes::{Buf, Bytes, BytesMut};

use super::pseudo;

/// Types of frames (RFC 9114 §7.2 and §11.2.1).
const DATA: u64 = 0;
const HEADERS: u64 = 1;
const CANCEL_PUSH: u64 = 3;
const SETTINGS: u64 = 4;
const PUSH_PROMISE: u64 = 5;
const GOAWAY: u64 = 7;
const MAX_PUSH_ID: u64 = 13;
/// Those of HTTP/2 that must not be used: PRIORITY, PING, WINDOW_UPDATE, CONTINUATION.
const OF_HTTP2: [u64; 4] = [2, 6, 8, 9];

/// The longest frame that is about the connection, in bytes.
const SHORT: u64 = 4096;
/// The longest head of a frame: its type and its length.
const LONGEST_HEAD: usize = 16;

/// What is wrong with the frames of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameError {
    /// The stream has ended in the middle of a frame.
    Truncated,
    /// A frame is longer than it may be.
    TooLong,
    /// A head or trailers with pseudo-header fields where none may be (RFC 9114 §4.3).
    Malformed,
}

/// The frames of one stream, on their way to the library.
#[derive(Debug)]
pub struct FrameReader {
    /// What has come and was not looked at.
    input: Bytes,
    head: [u8; LONGEST_HEAD],
    /// Bytes of a head that have come.
    have: usize,
    state: State,
    /// Whether the head of the message has come.
    begun: bool,
    longest_head: u64,
    idle: u32,
}

#[derive(Debug)]
enum State {
    /// In front of a frame, or in its head.
    Head,
    /// In a piece of a body, with so much to come.
    Data(u64),
    /// In a frame that is passed on when it is whole; where it is a head, that begins behind so many bytes.
    Whole { frame: BytesMut, left: u64, head: Option<usize> },
    /// In a frame that is passed over.
    Skip(u64),
}

impl FrameReader {
    /// For a stream whose heads may have so many bytes, compressed.
    pub fn new(longest_head: usize) -> FrameReader {
        FrameReader {
            input: Bytes::new(),
            head: [0; LONGEST_HEAD],
            have: 0,
            state: State::Head,
            begun: false,
            longest_head: longest_head as u64,
            idle: 0,
        }
    }

    /// Takes what has come, after everything before it was taken by [`FrameReader::next_piece`].
    pub fn push(&mut self, bytes: Bytes) {
        debug_assert!(self.input.is_empty());
        self.input = bytes;
    }

    /// The next piece for the library; `None` until more has come.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] and [`FrameError::Malformed`].
    pub fn next_piece(&mut self) -> Result<Option<Bytes>, FrameError> {
        while !self.input.is_empty() {
            match &mut self.state {
                State::Head => {
                    if let Some(piece) = self.read_head()? {
                        return Ok(Some(piece));
                    }
                }
                State::Data(left) => {
                    let count = take(left, self.input.len());
                    if *left == 0 {
                        self.state = State::Head;
                    }
                    return Ok(Some(self.input.split_to(count)));
                }
                State::Whole { frame, left, head } => {
                    let count = take(left, self.input.len());
                    // A copy: a few bytes would keep the whole datagram that they came in.
                    frame.extend_from_slice(&self.input[..count]);
                    self.input.advance(count);
                    if *left == 0 {
                        let (frame, head) = (std::mem::take(frame).freeze(), *head);
                        self.state = State::Head;
                        self.check(head.and_then(|begin| frame.get(begin..)))?;
                        return Ok(Some(frame));
                    }
                }
                State::Skip(left) => {
                    let count = take(left, self.input.len());
                    self.input.advance(count);
                    if *left == 0 {
                        self.state = State::Head;
                    }
                }
            }
        }
        Ok(None)
    }

    /// Checks a head, or what comes behind the body.
    fn check(&mut self, section: Option<&[u8]>) -> Result<(), FrameError> {
        let Some(section) = section else { return Ok(()) };
        let is_first = !std::mem::replace(&mut self.begun, true);
        let good = if is_first { pseudo::may_be_head(section) } else { pseudo::may_be_trailers(section) };
        if good { Ok(()) } else { Err(FrameError::Malformed) }
    }

    /// To be asked when the stream has ended.
    ///
    /// # Errors
    /// [`FrameError::Truncated`].
    pub fn end(&self) -> Result<(), FrameError> {
        let whole = matches!(self.state, State::Head) && self.have == 0 && self.input.is_empty();
        if whole { Ok(()) } else { Err(FrameError::Truncated) }
    }

    /// How many frames about nothing have come since this was asked last.
    pub fn take_idle(&mut self) -> u32 {
        std::mem::take(&mut self.idle)
    }

    /// One more byte of the head of a frame. A piece, where that is what is passed on next.
    fn read_head(&mut self) -> Result<Option<Bytes>, FrameError> {
        self.head[self.have] = self.input.get_u8();
        self.have += 1;
        let bytes = &self.head[..self.have];
        let Some((kind, kind_bytes)) = variable(bytes) else { return Ok(None) };
        let Some((length, _)) = variable(&bytes[kind_bytes..]) else { return Ok(None) };
        self.have = 0;
        match kind {
            // The library would take an empty piece for the end of the body.
            DATA if length == 0 => {
                self.idle += 1;
                Ok(None)
            }
            DATA => {
                let piece = Bytes::copy_from_slice(bytes);
                self.state = State::Data(length);
                Ok(Some(piece))
            }
            HEADERS if length > self.longest_head => Err(FrameError::TooLong),
            CANCEL_PUSH | SETTINGS | PUSH_PROMISE | GOAWAY | MAX_PUSH_ID if length > SHORT => {
                Err(FrameError::TooLong)
            }
            HEADERS | CANCEL_PUSH | SETTINGS | PUSH_PROMISE | GOAWAY | MAX_PUSH_ID => {
                self.idle += u32::from(kind != HEADERS);
                if length == 0 {
                    return Ok(Some(Bytes::copy_from_slice(bytes)));
                }
                let head = (kind == HEADERS).then_some(bytes.len());
                self.state = State::Whole { frame: BytesMut::from(bytes), left: length, head };
                Ok(None)
            }
            // What is in it does not matter any more.
            kind if OF_HTTP2.contains(&kind) => Ok(Some(Bytes::from(vec![kind as u8, 0]))),
            _ => {
                self.idle += 1;
                if length > 0 {
                    self.state = State::Skip(length);
                }
                Ok(None)
            }
        }
    }
}

/// Takes as much of what is left as there is.
fn take(left: &mut u64, available: usize) -> usize {
    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(available);
    *left -= count as u64;
    count
}

/// An integer of variable length at the begin, and its length (RFC 9000 §16). `None` until all of it is there.
fn variable(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = 1usize << (first >> 6);
    let rest = bytes.get(1..length)?;
    let value = rest.iter().fold(u64::from(first & 0x3f), |value, &b| value << 8 | u64::from(b));
    Some((value, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn integer(value: u64) -> Vec<u8> {
        match value {
            0..=0x3f => vec![value as u8],
            0x40..=0x3fff => (value as u16 | 0x4000).to_be_bytes().to_vec(),
            0x4000..=0x3fff_ffff => (value as u32 | 0x8000_0000).to_be_bytes().to_vec(),
            _ => (value | 0xc000_0000_0000_0000).to_be_bytes().to_vec(),
        }
    }

    fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
        [integer(kind), integer(payload.len() as u64), payload.to_vec()].concat()
    }

    /// What is passed on, and how many frames were about nothing.
    fn read(bytes: &[u8], cut: usize) -> Result<(Vec<Bytes>, u32), FrameError> {
        let mut reader = FrameReader::new(1000);
        let mut pieces = Vec::new();
        for part in bytes.chunks(cut) {
            reader.push(Bytes::copy_from_slice(part));
            while let Some(piece) = reader.next_piece()? {
                pieces.push(piece);
            }
        }
        reader.end()?;
        Ok((pieces, reader.take_idle()))
    }

    #[test]
    fn frames_are_passed_on_whole_and_bodies_in_pieces() {
        let head = frame(1, b"head");
        let bytes = [head.clone(), frame(0, b"body"), frame(0, b""), frame(0x21, b"grease")].concat();
        let (pieces, idle) = read(&bytes, 1000).unwrap();
        assert_eq!(pieces, [&head[..], &[0, 4], b"body"]);
        assert_eq!(idle, 2);
    }

    #[test]
    fn what_is_too_long_is_said_before_it_comes() {
        let long = [integer(1), integer(1001)].concat();
        assert_eq!(read(&long, 1), Err(FrameError::TooLong));
        for kind in [3, 4, 5, 7, 13] {
            assert_eq!(read(&[integer(kind), integer(4097)].concat(), 3), Err(FrameError::TooLong), "{kind}");
        }
        // Of what is passed over nothing is kept.
        let mut reader = FrameReader::new(10);
        reader.push([integer(0x40), integer(1 << 61)].concat().into());
        assert_eq!(reader.next_piece(), Ok(None));
        for _ in 0..100 {
            reader.push(Bytes::from_static(&[7; 10_000]));
            assert_eq!(reader.next_piece(), Ok(None));
        }
    }

    #[test]
    fn a_stream_that_ends_in_a_frame_is_noticed() {
        let bytes = [frame(1, b"head"), frame(0, b"body")].concat();
        for end in 0..bytes.len() {
            let expected = if end == 0 || end == 6 { Ok(()) } else { Err(FrameError::Truncated) };
            assert_eq!(read(&bytes[..end], 1000).map(drop), expected, "{end}");
        }
    }

    #[test]
    fn frames_of_http2_reach_the_library_without_what_is_in_them() {
        for kind in OF_HTTP2 {
            let (pieces, _) =
                read(&integer(kind).into_iter().chain(integer(0)).collect::<Vec<_>>(), 1).unwrap();
            assert_eq!(pieces, [&[kind as u8, 0][..]]);
        }
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_frames(
            frames in prop::collection::vec((prop::sample::select(vec![0, 1, 4, 7, 0x21, 0x40, 1 << 40]), 0usize..300), 0..20),
            cut in 1usize..40,
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|&(kind, length)| frame(kind, &vec![9; length])).collect();
            let whole = read(&bytes, usize::MAX).unwrap();
            let pieces = read(&bytes, cut).unwrap();
            prop_assert_eq!(whole.0.concat(), pieces.0.concat());
            prop_assert_eq!(whole.1, pieces.1);
            let want: Vec<u8> = frames
                .iter()
                .filter(|&&(kind, length)| [1, 4, 7].contains(&kind) || (kind == 0 && length > 0))
                .flat_map(|&(kind, length)| frame(kind, &vec![9; length]))
                .collect();
            prop_assert_eq!(whole.0.concat(), want);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 1usize..20) {
            let _ = read(&bytes, cut);
        }
    }
}

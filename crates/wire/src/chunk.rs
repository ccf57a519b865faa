//! Writes chunks (RFC 9112 §7.1): around a payload where it lies, and the last one.

use std::ops::Range;

use message::Headers;

use crate::encode::push_field;

/// Room that must be free in front of a payload so that it can become a chunk where it lies.
pub const CHUNK_HEAD: usize = size_of::<usize>() * 2 + CRLF.len();
/// Room that must be free behind a payload so that it can become the last but one chunk where it lies.
pub const CHUNK_TAIL: usize = CRLF.len() + LAST_CHUNK.len();

const CRLF: &[u8] = b"\r\n";
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Makes a payload a chunk: writes the size line in front of it and CRLF behind it, and if it is the
/// `last` payload the last chunk too. Returns the range of all that.
///
/// An empty payload becomes no chunk, since that would be the last one: the range is that of the last
/// chunk if `last`, which is written from `payload.start` on, and empty otherwise.
///
/// # Panics
/// If there are fewer than [`CHUNK_HEAD`] bytes in front of the payload or [`CHUNK_TAIL`] behind it: to go
/// on with a frame that is not whole would let two peers disagree about the end of a message.
pub fn frame_chunk(buffer: &mut [u8], payload: Range<usize>, last: bool) -> Range<usize> {
    let mut framed = payload.clone();
    if !payload.is_empty() {
        framed.start -= CRLF.len();
        buffer[framed.start..payload.start].copy_from_slice(CRLF);
        let mut size = payload.len();
        while size > 0 {
            framed.start -= 1;
            buffer[framed.start] = b"0123456789abcdef"[size & 15];
            size >>= 4;
        }
        framed.end = append(buffer, framed.end, CRLF);
    }
    if last {
        framed.end = append(buffer, framed.end, LAST_CHUNK);
    }
    framed
}

/// Puts bytes at a place, and returns where they end.
fn append(buffer: &mut [u8], at: usize, bytes: &[u8]) -> usize {
    buffer[at..at + bytes.len()].copy_from_slice(bytes);
    at + bytes.len()
}

/// Writes the last chunk with a trailer section. The caller vouches for the names of the trailers (see
/// `message::trailer_may_pass`).
pub fn write_last_chunk(out: &mut Vec<u8>, trailers: Option<&Headers>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flat_map(Headers::iter) {
        push_field(out, name, value);
    }
    out.extend_from_slice(CRLF);
}

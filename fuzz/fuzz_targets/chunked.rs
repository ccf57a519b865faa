//! Bodies: decoded the same however they come in, and what is framed is decoded to what it was.
//!
//! The bytes are first a body as it comes over the wire, then a payload to be framed.

#![no_main]

use std::ops::Range;

use fuzz::pieces;
use libfuzzer_sys::fuzz_target;
use message::{Fault, Headers, trailer_may_pass};
use wire::{BodyDecoder, BodyLength, CHUNK_HEAD, CHUNK_TAIL, frame_chunk, write_last_chunk};

fuzz_target!(|bytes: &[u8]| {
    let half = bytes.len() as u64 / 2;
    for length in [BodyLength::Chunked, BodyLength::Exact(half), BodyLength::UntilClose, BodyLength::Empty] {
        let whole = decode(length, bytes, std::iter::once(0..bytes.len()));
        let bytewise = decode(length, bytes, (0..bytes.len()).map(|at| at..at + 1));
        assert_eq!(whole, bytewise, "{length:?} depends on how the bytes come in");
        for salt in 0..2 {
            let split = decode(length, bytes, pieces(bytes, salt));
            assert_eq!(whole, split, "{length:?} depends on how the bytes come in");
        }
        match (length, &whole) {
            (BodyLength::Chunked, Ok(body)) if body.done => check_framing(bytes, Some(body)),
            (BodyLength::Chunked, _) => check_framing(bytes, None),
            (BodyLength::Exact(_), body) => {
                let want = &bytes[..half as usize];
                assert!(body.as_ref().is_ok_and(|body| body.done && body.payload == want));
            }
            (BodyLength::UntilClose, body) => {
                assert!(body.as_ref().is_ok_and(|body| !body.done && body.payload == bytes));
            }
            (BodyLength::Empty, body) => {
                assert!(body.as_ref().is_ok_and(|body| body.done && body.consumed == 0))
            }
        }
    }
});

/// What was found in some bytes.
#[derive(Debug, PartialEq, Eq)]
struct Body {
    payload: Vec<u8>,
    consumed: usize,
    done: bool,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Decodes bytes that come in one range after the other, each in the middle of a larger buffer.
fn decode(
    length: BodyLength,
    bytes: &[u8],
    ranges: impl Iterator<Item = Range<usize>>,
) -> Result<Body, Fault> {
    const FENCE: [u8; 3] = *b"\r\n0";
    let mut decoder = BodyDecoder::new(length);
    let mut body = Body { payload: Vec::new(), consumed: 0, done: decoder.is_done(), trailers: Vec::new() };
    for range in ranges {
        let fresh = &bytes[range];
        let mut buffer = [&FENCE, fresh, &FENCE].concat();
        let inner = FENCE.len()..FENCE.len() + fresh.len();
        let decoded = match decoder.decode(&mut buffer, inner.clone()) {
            Ok(decoded) => decoded,
            Err(fault) => {
                assert!(!decoder.is_done() && decoder.trailers().is_none());
                assert!(decoder.decode(&mut buffer, inner).is_err(), "it goes on after an error");
                assert_eq!(decoder.end_of_input(), Err(Fault::BodyCut));
                return Err(fault);
            }
        };
        assert!(decoded.consumed == inner.end || decoder.is_done(), "bytes of the body were left");
        assert!(inner.start <= decoded.payload.start && decoded.payload.end <= decoded.consumed);
        assert!(decoded.consumed <= inner.end);
        assert_eq!(buffer[..inner.start], FENCE);
        assert_eq!(buffer[inner.end..], FENCE);
        assert_eq!(buffer[decoded.consumed..inner.end], fresh[decoded.consumed - inner.start..]);
        body.payload.extend_from_slice(&buffer[decoded.payload]);
        body.consumed += decoded.consumed - inner.start;
    }
    body.done = decoder.is_done();
    for (name, value) in decoder.trailers().into_iter().flat_map(Headers::iter) {
        assert!(body.done && Headers::is_valid_value(value) && trailer_may_pass(name));
        body.trailers.push((name.to_vec(), value.to_vec()));
    }
    let ended = decoder.end_of_input();
    assert_eq!(ended.is_ok(), body.done || length == BodyLength::UntilClose);
    assert!(ended.is_err() || decoder.is_done());
    Ok(body)
}

/// Frames bytes in chunks, with the trailers of a decoded body or without any, and decodes that again.
fn check_framing(payload: &[u8], model: Option<&Body>) {
    let mut trailers = Headers::default();
    for (name, value) in model.into_iter().flat_map(|body| &body.trailers) {
        trailers.push(name, value);
    }
    let mut framed = Vec::new();
    for piece in pieces(payload, 2) {
        let last = trailers.is_empty() && piece.end == payload.len();
        framed.extend_from_slice(&framed_chunk(&payload[piece], last));
    }
    if !trailers.is_empty() {
        write_last_chunk(&mut framed, Some(&trailers));
    } else if payload.is_empty() {
        framed.extend_from_slice(&framed_chunk(b"", true));
    }
    let length = framed.len();
    // What comes behind belongs to the next message.
    framed.extend_from_slice(b"GET /");
    let want = Body {
        payload: payload.to_vec(),
        consumed: length,
        done: true,
        trailers: model.map(|body| body.trailers.clone()).unwrap_or_default(),
    };
    let got = decode(BodyLength::Chunked, &framed, std::iter::once(0..framed.len()));
    assert_eq!(got.as_ref(), Ok(&want), "framed and decoded");
    let got = decode(BodyLength::Chunked, &framed, pieces(&framed, 3));
    assert_eq!(got.as_ref(), Ok(&want), "framed, cut and decoded");
}

/// One chunk, made where its payload lies, with no more room than was promised to be enough.
fn framed_chunk(payload: &[u8], last: bool) -> Vec<u8> {
    let mut buffer = [&[b'#'; CHUNK_HEAD], payload, &[b'#'; CHUNK_TAIL]].concat();
    let range = frame_chunk(&mut buffer, CHUNK_HEAD..CHUNK_HEAD + payload.len(), last);
    assert!(buffer[..range.start].iter().chain(&buffer[range.end..]).all(|&b| b == b'#'));
    assert_eq!(range.is_empty(), payload.is_empty() && !last);
    buffer[range].to_vec()
}

//! Properties: how bytes are split must not matter, and no bytes may do harm.

use message::{Fault, ResponseHead};
use proptest::prelude::*;
use proptest::sample::Index;

use super::{LIMITS, read_request};
use crate::{
    BodyDecoder, BodyLength, CHUNK_HEAD, CHUNK_TAIL, HeadLimits, HeadScan, Kind, frame_chunk, parse_response,
    write_last_chunk,
};

const SMALL: HeadLimits = HeadLimits { bytes: 120, fields: 4, target: 12 };

/// Bytes that look like HTTP, with mistakes.
fn almost_http() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => Just(&b"\r\n"[..]),
        4 => Just(&b"GET / HTTP/1.1\r\n"[..]),
        2 => Just(&b"HTTP/1.1 200 OK\r\n"[..]),
        4 => Just(&b"A: b\r\n"[..]),
        2 => Just(&b"Content-Length: 3\r\n"[..]),
        2 => Just(&b"Transfer-Encoding: chunked\r\n"[..]),
        2 => Just(&b"5\r\nhello\r\n"[..]),
        2 => Just(&b"0\r\n"[..]),
        1 => Just(&b"2;x=y\r\nab\r\n"[..]),
        1 => Just(&b"\r"[..]),
        1 => Just(&b"\n"[..]),
        1 => Just(&b"\t"[..]),
        1 => Just(&b" "[..]),
        1 => Just(&b":"[..]),
        1 => Just(&b"\0"[..]),
        1 => Just(&b"aaaaaaaaaaaaaaaaaaaaaaaaa"[..]),
        1 => Just(&b"\xff\x7f"[..]),
    ];
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

/// Sorted places at which to cut `len` bytes, with the end.
pub(super) fn cuts(places: &[Index], len: usize) -> Vec<usize> {
    let mut cuts: Vec<usize> = places.iter().map(|place| place.index(len + 1)).collect();
    cuts.push(len);
    cuts.sort_unstable();
    cuts
}

/// What a decoder made of a body.
#[derive(Debug, PartialEq)]
struct Outcome {
    payload: Vec<u8>,
    /// Bytes of the body, where it has ended.
    end: Option<usize>,
    trailers: Vec<(String, String)>,
    fault: Option<Fault>,
}

/// Decodes a body that comes in pieces, each in a buffer with other bytes around.
fn decode_pieces(length: BodyLength, body: &[u8], cuts: &[usize]) -> Outcome {
    let mut decoder = BodyDecoder::new(length);
    let mut outcome = Outcome { payload: Vec::new(), end: None, trailers: Vec::new(), fault: None };
    let mut from = 0;
    for &to in cuts {
        let mut buffer = b"####".to_vec();
        buffer.extend_from_slice(&body[from..to]);
        buffer.extend_from_slice(b"####");
        let range = 4..4 + to - from;
        match decoder.decode(&mut buffer, range.clone()) {
            Err(fault) => {
                outcome.fault = Some(fault);
                return outcome;
            }
            Ok(decoded) => {
                assert!(decoded.payload.start >= range.start && decoded.payload.end <= decoded.consumed);
                assert!(decoded.consumed <= range.end);
                assert!(buffer.starts_with(b"####") && buffer.ends_with(b"####"));
                assert_eq!(&buffer[decoded.consumed..range.end], &body[from + decoded.consumed - 4..to]);
                outcome.payload.extend_from_slice(&buffer[decoded.payload]);
                if decoder.is_done() {
                    outcome.end = Some(from + decoded.consumed - 4);
                    outcome.trailers = decoder.trailers().map(super::fields).unwrap_or_default();
                    return outcome;
                }
                assert_eq!(decoded.consumed, range.end, "all is taken until the end");
            }
        }
        from = to;
    }
    outcome
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_head_ends_where_it_ends_however_it_is_split(
        bytes in almost_http(),
        places in prop::collection::vec(any::<Index>(), 0..8),
        small in any::<bool>(),
        response in any::<bool>(),
    ) {
        let limits = if small { &SMALL } else { &LIMITS };
        let kind = if response { Kind::Response } else { Kind::Request };
        let whole = HeadScan::default().find_end(&bytes, limits, kind);
        let mut scan = HeadScan::default();
        let mut got = Ok(None);
        for cut in cuts(&places, bytes.len()) {
            got = scan.find_end(&bytes[..cut], limits, kind);
            if got != Ok(None) {
                break;
            }
        }
        prop_assert_eq!(got, whole);
        if let Ok(Some(end)) = whole {
            prop_assert!(end <= bytes.len().min(limits.bytes) && bytes[..end].ends_with(b"\r\n\r\n"));
        }
    }

    #[test]
    fn a_body_is_the_same_however_it_is_split(
        bytes in almost_http(),
        places in prop::collection::vec(any::<Index>(), 0..8),
        exact in prop::option::of(0..40u64),
    ) {
        let length = exact.map_or(BodyLength::Chunked, BodyLength::Exact);
        let whole = decode_pieces(length, &bytes, &[bytes.len()]);
        let bytewise: Vec<usize> = (0..=bytes.len()).collect();
        for cuts in [cuts(&places, bytes.len()), bytewise] {
            let mut split = decode_pieces(length, &bytes, &cuts);
            if whole.fault.is_some() {
                // Payload in front of the mistake may have been delivered before it was seen.
                split.payload.clear();
            }
            prop_assert_eq!(&split, &whole);
        }
    }

    #[test]
    fn random_bytes_do_no_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        start in any::<Index>(),
        end in any::<Index>(),
    ) {
        let _ = read_request(&bytes, &LIMITS);
        let mut head = ResponseHead::default();
        let _ = parse_response(&bytes, &LIMITS, false, &mut head);
        let line = [b"GET / HTTP/1.1\r\n", &bytes[..], b"\r\n\r\n"].concat();
        let _ = read_request(&line, &LIMITS);
        let (start, end) = (start.index(bytes.len() + 1), end.index(bytes.len() + 1));
        let mut buffer = bytes.clone();
        let mut decoder = BodyDecoder::new(BodyLength::Chunked);
        let _ = decoder.decode(&mut buffer, start.min(end)..start.max(end));
    }

    #[test]
    fn what_is_framed_is_decoded_again(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6),
        places in prop::collection::vec(any::<Index>(), 0..8),
        trailer in prop::option::of("[!-~]{1,20}"),
    ) {
        let mut sent = Vec::new();
        for (i, payload) in payloads.iter().enumerate() {
            let last = i + 1 == payloads.len() && trailer.is_none();
            let mut buffer = vec![b'#'; CHUNK_HEAD + payload.len() + CHUNK_TAIL];
            buffer[CHUNK_HEAD..CHUNK_HEAD + payload.len()].copy_from_slice(payload);
            let framed = frame_chunk(&mut buffer, CHUNK_HEAD..CHUNK_HEAD + payload.len(), last);
            sent.extend_from_slice(&buffer[framed]);
        }
        let mut trailers = message::Headers::default();
        if let Some(value) = &trailer {
            trailers.push(b"x-sum", value.as_bytes());
        }
        if trailer.is_some() || payloads.is_empty() {
            write_last_chunk(&mut sent, Some(&trailers));
        }
        let len = sent.len();
        sent.extend_from_slice(b"GET / HTTP/1.1\r\n");
        let got = decode_pieces(BodyLength::Chunked, &sent, &cuts(&places, sent.len()));
        prop_assert_eq!(got.payload, payloads.concat());
        prop_assert_eq!(got.end, Some(len));
        prop_assert_eq!(got.trailers.first().map(|(_, value)| value.clone()), trailer);
    }
}

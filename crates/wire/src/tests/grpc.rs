//! Bodies of gRPC and gRPC-Web: tables, and that pieces do not matter.

use message::{Fault, Headers};
use proptest::prelude::*;
use proptest::sample::Index;

use super::split::cuts;
use crate::{GrpcMessageScan, GrpcTextDecoder, GrpcTextEncoder, write_grpc_web_trailers};

fn decode(text: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut decoder = GrpcTextDecoder::default();
    let mut out = Vec::new();
    decoder.decode(text, &mut out)?;
    decoder.finish()?;
    Ok(out)
}

fn encode(bytes: &[u8]) -> String {
    let mut encoder = GrpcTextEncoder::default();
    let mut out = Vec::new();
    encoder.encode(bytes, &mut out);
    encoder.flush(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn base64_of_rfc_4648() {
    for (plain, text) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ] {
        assert_eq!(encode(plain.as_bytes()), text);
        assert_eq!(decode(text.as_bytes()).as_deref(), Ok(plain.as_bytes()));
    }
    assert_eq!(encode(&[0xfb, 0xff, 0xbf]), "+/+/");
}

#[test]
fn padded_segments_follow_one_another() {
    for (text, want) in [("Zg==Zg==", "ff"), ("Zm8=Zm9vZg==Zm9v", "fofooffoo"), ("Zm9vZm8=", "foofo")] {
        assert_eq!(decode(text.as_bytes()).as_deref(), Ok(want.as_bytes()), "{text}");
    }
}

#[test]
fn bad_base64_is_refused() {
    for text in [
        "Z",
        "Zg",
        "Zm9",
        "Zg=",
        "Zg=v",
        "Z===",
        "A===",
        "====",
        "=",
        "=Zg=",
        "Zg===",
        "Zh==",
        "Zm9=",
        "Zm9v\n",
        " Zm9v",
        "Zm9-",
        "Zm9_",
        "Zm9v=",
        "Zm9v!aaa",
        "Zg==\r\n",
        "Zm\09",
        "\u{e9}aaa",
    ] {
        assert_eq!(decode(text.as_bytes()), Err(Fault::BadGrpc), "{text:?}");
    }
}

/// A message with its prefix.
fn message(flag: u8, length: u32) -> Vec<u8> {
    let prefix = [&[flag][..], &length.to_be_bytes()].concat();
    [prefix, vec![0x80; length as usize]].concat()
}

#[test]
fn messages_are_found_and_bounded() {
    let scan = |bytes: &[u8]| {
        let mut scan = GrpcMessageScan::new(100);
        scan.pass(bytes).map(|ended| (ended, scan.is_between_messages()))
    };
    assert_eq!(scan(b""), Ok((0, true)));
    assert_eq!(scan(&message(0, 0)), Ok((1, true)));
    assert_eq!(scan(&[message(0, 3), message(1, 100), message(0, 0)].concat()), Ok((3, true)));
    assert_eq!(scan(&[message(0, 3), message(0, 5)[..9].to_vec()].concat()), Ok((1, false)));
    assert_eq!(scan(&[0, 0]), Ok((0, false)));
    assert_eq!(scan(&message(0, 101)), Err(Fault::BodyTooLarge));
    assert_eq!(scan(&[0, 0xff, 0xff, 0xff, 0xff]), Err(Fault::BodyTooLarge));
    assert_eq!(scan(&[message(0, 1), vec![0x80]].concat()), Err(Fault::BadGrpc));
    assert_eq!(scan(&[2]), Err(Fault::BadGrpc));
}

#[test]
fn trailers_become_a_frame() {
    let mut trailers = Headers::default();
    trailers.push(b"Grpc-Status", b"0");
    trailers.push(b"grpc-message", b"a b");
    trailers.push(b"x-evil", b"a\r\ngrpc-status:0");
    trailers.push(b"x evil", b"a");
    let mut out = b"before".to_vec();
    write_grpc_web_trailers(&mut out, &trailers);
    assert_eq!(out, b"before\x80\0\0\0\x21grpc-status:0\r\ngrpc-message:a b\r\n");
    out.clear();
    write_grpc_web_trailers(&mut out, &Headers::default());
    assert_eq!(out, b"\x80\0\0\0\0");
}

proptest! {
    #[test]
    fn an_answer_reads_the_same_however_it_is_cut_and_flushed(
        bytes: Vec<u8>,
        places in prop::collection::vec((any::<Index>(), any::<bool>()), 0..8),
        text_places: Vec<Index>,
    ) {
        let (places, flushes): (Vec<_>, Vec<_>) = places.into_iter().unzip();
        let mut encoder = GrpcTextEncoder::default();
        let (mut text, mut start) = (Vec::new(), 0);
        for (nth, end) in cuts(&places, bytes.len()).into_iter().enumerate() {
            encoder.encode(&bytes[start..end], &mut text);
            start = end;
            if flushes.get(nth).is_none_or(|flush| *flush) {
                encoder.flush(&mut text);
                prop_assert_eq!(decode(&text).unwrap(), &bytes[..end], "not all is visible after a flush");
            }
        }
        let mut decoder = GrpcTextDecoder::default();
        let (mut out, mut start) = (Vec::new(), 0);
        for end in cuts(&text_places, text.len()) {
            decoder.decode(&text[start..end], &mut out).unwrap();
            start = end;
        }
        prop_assert_eq!(decoder.finish(), Ok(()));
        prop_assert_eq!(out, bytes);
    }

    #[test]
    fn text_is_judged_the_same_however_it_is_cut(text in "[AQgw=+/ ]{0,16}", places: Vec<Index>) {
        let whole = decode(text.as_bytes());
        let mut decoder = GrpcTextDecoder::default();
        let (mut out, mut start) = (Vec::new(), 0);
        let mut outcome = Ok(());
        for end in cuts(&places, text.len()) {
            outcome = outcome.and_then(|()| decoder.decode(&text.as_bytes()[start..end], &mut out));
            start = end;
        }
        prop_assert_eq!(outcome.and_then(|()| decoder.finish()).map(|()| out), whole.clone());
        // There is one spelling of each segment.
        if let Ok(bytes) = whole && !text.trim_end_matches('=').contains('=') {
            prop_assert_eq!(encode(&bytes), text);
        }
    }

    #[test]
    fn messages_end_at_the_same_places_however_they_are_cut(
        lengths in prop::collection::vec((0u8..3, 0u32..120), 0..6),
        places: Vec<Index>,
    ) {
        let bytes: Vec<u8> = lengths.iter().flat_map(|&(flag, length)| message(flag, length)).collect();
        let mut scan = GrpcMessageScan::new(100);
        let whole = scan.pass(&bytes);
        let valid = lengths.iter().all(|&(flag, length)| flag < 2 && length <= 100);
        prop_assert_eq!(whole.is_ok(), valid);
        let mut scan = GrpcMessageScan::new(100);
        let (mut sum, mut start) = (Ok(0), 0);
        for end in cuts(&places, bytes.len()) {
            sum = sum.and_then(|sum| Ok(sum + scan.pass(&bytes[start..end])?));
            start = end;
        }
        prop_assert_eq!(sum, whole);
        prop_assert!(!valid || (sum == Ok(lengths.len() as u64) && scan.is_between_messages()));
    }
}

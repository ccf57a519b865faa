//! Bodies of gRPC and gRPC-Web: base64 and messages are judged the same however they come in.

#![no_main]

use std::ops::Range;

use fuzz::pieces;
use libfuzzer_sys::fuzz_target;
use message::{Fault, GrpcContentType, GrpcForm, parse_grpc_timeout, write_grpc_timeout};
use wire::{GrpcMessageScan, GrpcTextDecoder, GrpcTextEncoder};

fuzz_target!(|bytes: &[u8]| {
    let whole = decode(bytes, std::iter::once(0..bytes.len()));
    assert_eq!(whole, decode(bytes, pieces(bytes, 0)), "the text depends on how the bytes come in");
    if let Ok(plain) = &whole {
        assert!(plain.len() <= bytes.len() / 4 * 3);
    }

    let mut text = Vec::new();
    let mut encoder = GrpcTextEncoder::default();
    for piece in pieces(bytes, 1) {
        encoder.encode(&bytes[piece.clone()], &mut text);
        if piece.len() % 2 == 0 {
            encoder.flush(&mut text);
        }
    }
    encoder.flush(&mut text);
    assert_eq!(decode(&text, pieces(&text, 2)).as_deref(), Ok(bytes));

    let mut scan = GrpcMessageScan::new(1000);
    let whole = scan.pass(bytes).map(|ended| (ended, scan.is_between_messages()));
    let mut scan = GrpcMessageScan::new(1000);
    let split = pieces(bytes, 3).try_fold(0, |sum, piece| Ok::<_, Fault>(sum + scan.pass(&bytes[piece])?));
    assert_eq!(whole, split.map(|ended| (ended, scan.is_between_messages())));

    if let Some(timeout) = parse_grpc_timeout(bytes) {
        let mut out = Vec::new();
        write_grpc_timeout(&mut out, timeout);
        assert!(parse_grpc_timeout(&out).is_some_and(|again| again <= timeout));
    }
    if let Some(found) = GrpcContentType::of(bytes) {
        let other = found.in_form(GrpcForm::WebText);
        assert!(GrpcContentType::of(&other).is_some_and(|other| other.suffix == found.suffix));
    }
});

/// Decodes text that comes in one range after the other.
fn decode(text: &[u8], ranges: impl Iterator<Item = Range<usize>>) -> Result<Vec<u8>, Fault> {
    let mut decoder = GrpcTextDecoder::default();
    let mut out = Vec::new();
    for range in ranges {
        decoder.decode(&text[range], &mut out)?;
    }
    decoder.finish()?;
    Ok(out)
}

//! Response heads: found the same however they come in, and what is written for a client reads the same.
//!
//! The bytes are what a service sends, once to HEAD and once to another request. Small limits make them easy
//! to reach.

#![no_main]

use fuzz::pieces;
use libfuzzer_sys::fuzz_target;
use message::{Fault, Headers, Name, ResponseHead, reason_phrase};
use wire::{
    BodyLength, ConnectionHeader, HeadLimits, HeadScan, Kind, ResponseBody, ResponseFraming, ResponseMeta,
    parse_response, write_response,
};

const LIMITS: HeadLimits = HeadLimits { bytes: 1024, fields: 16, target: 0 };
/// What is written may be a little longer than what was read.
const WRITTEN: HeadLimits = HeadLimits { bytes: 1 << 20, fields: 64, target: 0 };

fuzz_target!(|bytes: &[u8]| {
    let mut head = ResponseHead::default();
    // Callers only hand over whole heads, but nothing may break where they do not.
    let _ = parse_response(bytes, &LIMITS, false, &mut head);

    let whole = HeadScan::default().find_end(bytes, &LIMITS, Kind::Response);
    let mut scan = HeadScan::default();
    let mut seen = Ok(None);
    for piece in pieces(bytes, 0) {
        seen = scan.find_end(&bytes[..piece.end], &LIMITS, Kind::Response);
        if seen != Ok(None) {
            break;
        }
    }
    assert_eq!(whole, seen, "the end depends on how the bytes come in");
    assert!(!whole.is_err_and(|fault| fault != Fault::UpstreamMalformed), "a client's fault");

    let Ok(Some(end)) = whole else { return };
    assert!(end <= LIMITS.bytes && bytes[..end].ends_with(b"\r\n\r\n"));
    for to_head_request in [false, true] {
        check(&bytes[..end], to_head_request, &mut head);
    }
});

/// Reads a whole head, and writes it as a client gets it. `head` is an old one to be used again.
fn check(bytes: &[u8], to_head_request: bool, head: &mut ResponseHead) {
    let first = parse_response(bytes, &LIMITS, to_head_request, head);
    let fresh = parse_response(bytes, &LIMITS, to_head_request, &mut ResponseHead::default());
    assert_eq!(first, fresh, "an old head shows through");
    let meta = match first {
        Ok(meta) => meta,
        Err(fault) => return assert_eq!(fault, Fault::UpstreamMalformed),
    };
    assert!((100..1000).contains(&head.status) && head.headers.len() <= LIMITS.fields);
    let bodiless = to_head_request || matches!(head.status, 100..=199 | 204 | 304);
    assert!(!bodiless || meta.body == BodyLength::Empty, "a body where there can be none");
    assert!(!meta.keep_alive || meta.body != BodyLength::UntilClose);
    assert!(Headers::is_valid_value(head.headers.slice(head.reason)));
    for (name, value) in head.headers.iter() {
        assert!(Headers::is_valid_name(name) && Headers::is_valid_value(value));
        assert_eq!(value, value.trim_ascii(), "blanks around a value");
    }

    head.headers.strip_response(meta.connection);
    let (again, again_meta) = write_and_read(head, &meta, to_head_request);
    assert_eq!(again.status, head.status);
    let reason = match head.headers.slice(head.reason) {
        b"" => reason_phrase(head.status).as_bytes(),
        reason => reason,
    };
    assert_eq!(again.headers.slice(again.reason), reason);
    assert_eq!(passed(&again.headers), passed(&head.headers), "other fields");
    assert_eq!((again_meta.body, again_meta.upgrade), (meta.body, meta.upgrade));
    if meta.body == BodyLength::Empty && matches!(head.status, 200..=203 | 205..=999) {
        let length = |headers: &Headers| headers.first(Name::ContentLength).map(<[u8]>::to_vec);
        assert_eq!(length(&again.headers), length(&head.headers), "the length of what HEAD left out");
    }
}

/// Writes the head for a client, and reads that as a client does.
fn write_and_read(
    head: &ResponseHead,
    meta: &ResponseMeta,
    to_head_request: bool,
) -> (ResponseHead, ResponseMeta) {
    let body = match meta.body {
        BodyLength::Exact(length) => ResponseBody::Exact(length),
        BodyLength::Chunked => ResponseBody::Chunked,
        BodyLength::UntilClose => ResponseBody::UntilClose,
        BodyLength::Empty if matches!(head.status, 100..=199 | 204) => ResponseBody::None,
        BodyLength::Empty => ResponseBody::Omitted,
    };
    let connection = if meta.upgrade { ConnectionHeader::Upgrade } else { ConnectionHeader::None };
    let mut out = Vec::new();
    write_response(&mut out, head, &ResponseFraming { body, connection, date: None });
    let end = HeadScan::default().find_end(&out, &WRITTEN, Kind::Response);
    assert_eq!(end, Ok(Some(out.len())), "what was written is not one head: {}", out.escape_ascii());
    let mut again = ResponseHead::default();
    let meta = parse_response(&out, &WRITTEN, to_head_request, &mut again);
    let meta = meta.unwrap_or_else(|fault| panic!("{fault:?} in what was written: {}", out.escape_ascii()));
    (again, meta)
}

/// The fields that pass from service to client as they are.
fn passed(headers: &Headers) -> Vec<(&[u8], &[u8])> {
    let text = headers.text();
    let made_anew = |name| {
        matches!(
            name,
            Name::ContentLength | Name::TransferEncoding | Name::Connection | Name::Te | Name::Upgrade
        )
    };
    let fields = headers.fields().iter().filter(|field| !made_anew(field.known));
    fields.map(|field| (field.name.of(text), field.value.of(text))).collect()
}

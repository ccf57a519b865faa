//! Request heads: found the same however they come in, and what is written for a service reads the same.
//!
//! The bytes are what a client sends. Small limits make them easy to reach. Whether the reading is the right
//! one is for the target `differential` to say.

#![no_main]

use fuzz::pieces;
use libfuzzer_sys::fuzz_target;
use message::{Headers, Method, Name, RequestHead};
use wire::{
    BodyLength, HeadLimits, HeadScan, Kind, RequestFraming, RequestMeta, parse_request, write_request,
};

const LIMITS: HeadLimits = HeadLimits { bytes: 1024, fields: 16, target: 256 };
/// What is written may be a little longer than what was read.
const WRITTEN: HeadLimits = HeadLimits { bytes: 1 << 20, fields: 64, target: 1 << 16 };

fuzz_target!(|bytes: &[u8]| {
    let mut head = RequestHead::default();
    // Callers only hand over whole heads, but nothing may break where they do not.
    let _ = parse_request(bytes, &LIMITS, &mut head);

    let whole = HeadScan::default().find_end(bytes, &LIMITS, Kind::Request);
    let mut scan = HeadScan::default();
    let mut seen = Ok(None);
    for piece in pieces(bytes, 0) {
        seen = scan.find_end(&bytes[..piece.end], &LIMITS, Kind::Request);
        if seen != Ok(None) {
            break;
        }
    }
    assert_eq!(whole, seen, "the end depends on how the bytes come in");

    let Ok(Some(end)) = whole else { return };
    assert!(end <= LIMITS.bytes && bytes[..end].ends_with(b"\r\n\r\n"));
    let bytes = &bytes[..end];
    let first = parse_request(bytes, &LIMITS, &mut head);
    let mut fresh = RequestHead::default();
    assert_eq!(first, parse_request(bytes, &LIMITS, &mut fresh), "an old head shows through");
    let Ok(meta) = first else { return };
    check_reading(&head, &meta);

    // A CONNECT is never written to a service.
    if head.normalize().is_ok() && head.method != Method::Connect {
        let (path, query) = (head.path().to_vec(), head.query().map(<[u8]>::to_vec));
        let (host, authority) = (head.host().map(str::to_owned), head.authority().map(<[u8]>::to_vec));
        head.headers.strip_request(meta.connection, false);
        let (again, again_meta) = write_and_read(&head, &meta);
        assert_eq!(again.method_bytes(), head.method_bytes());
        assert_eq!(again.path(), path);
        assert_eq!(again.query().map(<[u8]>::to_vec), query);
        assert_eq!(again.host(), Some(host.as_deref().unwrap_or("default.test")));
        assert_eq!(again.authority(), Some(authority.as_deref().unwrap_or(b"default.test")));
        assert_eq!(passed(&again.headers), passed(&head.headers), "other fields");
        assert!(again_meta.body == meta.body || (again_meta.body.is_empty() && meta.body.is_empty()));
        assert_eq!(again_meta.expect_continue, meta.expect_continue);
        assert_eq!(again_meta.upgrade_websocket, meta.upgrade_websocket);
        assert_eq!(again_meta.te_trailers, meta.te_trailers);
        assert!(again_meta.keep_alive, "the service is asked to close");
    }
});

/// What holds for every head that was accepted.
fn check_reading(head: &RequestHead, meta: &RequestMeta) {
    assert!(Headers::is_valid_name(head.method_bytes()) && head.method_bytes().len() <= 64);
    let target = head.headers.slice(head.target);
    assert!(!target.is_empty() && target.len() <= LIMITS.target);
    assert!(target.iter().all(|&b| b > b' ' && b != 0x7f), "a target with a blank or a control character");
    assert!(head.headers.len() <= LIMITS.fields);
    for (name, value) in head.headers.iter() {
        assert!(Headers::is_valid_name(name) && Headers::is_valid_value(value));
        let blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
        assert!(!blank(value.first()) && !blank(value.last()), "blanks around a value");
    }
    assert_ne!(meta.body, BodyLength::UntilClose);
    assert!(!head.headers.has(Name::ContentLength) || matches!(meta.body, BodyLength::Exact(_)));
    assert_eq!(head.headers.has(Name::TransferEncoding), meta.body == BodyLength::Chunked);
}

/// Writes the head for a service, and reads that as a service does.
fn write_and_read(head: &RequestHead, meta: &RequestMeta) -> (RequestHead, RequestMeta) {
    let framing = RequestFraming {
        body: meta.body,
        expect_continue: meta.expect_continue,
        upgrade_websocket: meta.upgrade_websocket,
        te_trailers: meta.te_trailers,
    };
    let mut out = Vec::new();
    write_request(&mut out, head, b"default.test", &framing);
    let end = HeadScan::default().find_end(&out, &WRITTEN, Kind::Request);
    assert_eq!(end, Ok(Some(out.len())), "what was written is not one head: {}", out.escape_ascii());
    let mut again = RequestHead::default();
    let meta = parse_request(&out, &WRITTEN, &mut again);
    let meta = meta.unwrap_or_else(|fault| panic!("{fault:?} in what was written: {}", out.escape_ascii()));
    let normal = again.normalize();
    assert_eq!(normal, Ok(()), "what was written is not canonical: {}", out.escape_ascii());
    (again, meta)
}

/// The fields that pass from client to service as they are.
fn passed(headers: &Headers) -> Vec<(&[u8], &[u8])> {
    let text = headers.text();
    let made_anew = |name| {
        matches!(
            name,
            Name::Host
                | Name::ContentLength
                | Name::TransferEncoding
                | Name::Connection
                | Name::Expect
                | Name::Te
                | Name::Upgrade
        )
    };
    let fields = headers.fields().iter().filter(|field| !made_anew(field.known));
    fields.map(|field| (field.name.of(text), field.value.of(text))).collect()
}

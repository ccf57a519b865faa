//! Requests: what the codec accepts, hyper accepts too, with the same method, target, version, fields and body.
//!
//! The other way round nothing is asked: the codec is stricter on purpose. What hyper cannot say at all is
//! left out, and only here.

#![no_main]

use fuzz::{Reading, hyper_reads, sort_fields};
use libfuzzer_sys::fuzz_target;
use message::{Method, RequestHead, Version};
use wire::{BodyDecoder, HeadLimits, HeadScan, Kind, parse_request};

/// Below every limit of hyper.
const LIMITS: HeadLimits = HeadLimits { bytes: 4096, fields: 64, target: 2048 };

/// What the codec makes of some bytes.
enum Verdict {
    Whole(Reading),
    Unfinished,
}

fuzz_target!(|bytes: &[u8]| {
    if bytes.len() > 2 * LIMITS.bytes {
        return;
    }
    let mut ours = match wire_reads(bytes) {
        None => return,
        Some(Verdict::Unfinished) => {
            let theirs = hyper_reads(bytes);
            return assert!(theirs.is_none(), "unfinished, but hyper reads {theirs:?}");
        }
        Some(Verdict::Whole(reading)) => reading,
    };
    let mut theirs = hyper_reads(bytes);
    if !is_plain_target(&ours.target) {
        // Other forms are split when a request is normalised; http::Uri splits and refuses by its own rules.
        let Some(theirs) = &mut theirs else { return };
        theirs.target.clear();
        ours.target.clear();
    }
    assert_eq!(theirs.as_ref(), Some(&ours), "theirs on the left, ours on the right");
});

/// The first request as the codec reads it; `None` where it refuses it, or hyper could not say it.
fn wire_reads(bytes: &[u8]) -> Option<Verdict> {
    let Some(end) = HeadScan::default().find_end(bytes, &LIMITS, Kind::Request).ok()? else {
        return Some(Verdict::Unfinished);
    };
    let mut head = RequestHead::default();
    let meta = parse_request(&bytes[..end], &LIMITS, &mut head).ok()?;
    // A CONNECT asks for no message. A minor version above 1 hyper does not take.
    let line_end = head.target.start as usize + head.target.len as usize;
    let version = bytes[line_end..].get(..b" HTTP/1.1\r\n".len())?;
    if head.method == Method::Connect || !matches!(version, b" HTTP/1.1\r\n" | b" HTTP/1.0\r\n") {
        return None;
    }
    let mut buffer = bytes.to_vec();
    let mut decoder = BodyDecoder::new(meta.body);
    let decoded = decoder.decode(&mut buffer, end..bytes.len()).ok()?;
    if !decoder.is_done() {
        return Some(Verdict::Unfinished);
    }
    let mut fields: Vec<(Vec<u8>, Vec<u8>)> =
        head.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec())).collect();
    sort_fields(&mut fields);
    Some(Verdict::Whole(Reading {
        method: head.method_bytes().to_vec(),
        target: head.headers.slice(head.target).to_vec(),
        is_http_10: head.version == Version::Http10,
        fields,
        body: buffer[decoded.payload].to_vec(),
    }))
}

/// Whether a target is a path without bytes that http::Uri refuses (`"` only in a query, the backtick only in
/// front of one), and without a fragment, which it drops.
fn is_plain_target(target: &[u8]) -> bool {
    let refused = |b: &u8| !b.is_ascii() || matches!(b, b'<' | b'>' | b'`' | b'"' | b'#');
    target.first() == Some(&b'/') && !target.iter().any(refused)
}

//! Decisions of `ext_authz`: a request may go on only if the server clearly says so, in whatever way its message is
//! written.
//!
//! The bytes are the body of an answer, with its frame and without. What the message says is read here once more, by
//! hand and only as far as it decides.

#![no_main]

use authority::ext_authz::{Decision, decode_check};
use authority::{Answer, Trouble};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let framed = [&[0][..], &(bytes.len() as u32).to_be_bytes(), bytes].concat();
    let decided = decode_check(&answer(&framed, "0"));
    match (&decided, says(bytes)) {
        (Ok(Decision::Allowed(allowed)), Says::Allowed) => {
            let changes = allowed.headers.iter().chain(&allowed.response_headers);
            assert!(changes.clone().count() <= 512 && allowed.remove_headers.len() <= 256);
            assert!(!allowed.remove_headers.iter().any(|name| name == "host"));
        }
        (Ok(Decision::Denied(denied)), Says::Denied) => {
            assert!((200..600).contains(&denied.status) && denied.headers.len() <= 256);
        }
        // Whatever it says, a header or a text in it may be none.
        (Err(Trouble::Malformed(_) | Trouble::TooLarge), _) => {}
        (_, says) => panic!("{decided:?}, and it says {says:?}"),
    }
    assert!(decode_check(&answer(&framed, "7")).is_err() && decode_check(&answer(bytes, "")).is_err());
    let is_frame = |rest: &[u8]| bytes[0] == 0 && bytes[1..5] == (rest.len() as u32).to_be_bytes();
    assert!(bytes.get(5..).is_some_and(is_frame) || decode_check(&answer(bytes, "0")).is_err());
});

/// An answer of gRPC with this status.
fn answer(body: &[u8], status: &str) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    let mut trailers = HeaderMap::new();
    if let Ok(status) = HeaderValue::from_str(status) {
        trailers.insert("grpc-status", status);
    }
    Answer { status: 200, headers, body: Bytes::copy_from_slice(body), trailers: Some(trailers) }
}

/// What a message says about the request.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Says {
    Allowed,
    Denied,
    /// Nothing, or both, or it is no message.
    Unclear,
}

/// What a `CheckResponse` says: `status` is field 1, `denied_response` 2, and `ok_response` 3. Of the last two the
/// later one counts; of several statuses each says what those before it did not.
fn says(message: &[u8]) -> Says {
    let Some(fields) = fields(message) else { return Says::Unclear };
    let (mut code, mut kind) = (None, None);
    for (number, content) in fields {
        match (number, content) {
            (1, Content::Bytes(status)) => {
                let Some(inner) = self::fields(status) else { return Says::Unclear };
                code.get_or_insert(0);
                for (number, content) in inner {
                    if let (1, Content::Number(number)) = (number, content) {
                        // An `int32` is what the lowest 32 bits say.
                        code = Some(number as i32);
                    }
                }
            }
            (2 | 3, Content::Bytes(_)) => kind = Some(number),
            _ => {}
        }
    }
    match (code, kind) {
        (Some(0), None) | (Some(0) | None, Some(3)) => Says::Allowed,
        (None, None) | (Some(0), Some(_)) => Says::Unclear,
        _ => Says::Denied,
    }
}

enum Content<'b> {
    Number(u64),
    Bytes(&'b [u8]),
    Other,
}

/// The fields of a message of protocol buffers; `None` where it is cut or has groups that do not fit.
fn fields(mut message: &[u8]) -> Option<Vec<(u64, Content<'_>)>> {
    let mut fields = Vec::new();
    // The groups that are open: what is in them is nobody's.
    let mut open = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message)?;
        let content = match key & 7 {
            0 => Content::Number(varint(&mut message)?),
            1 => take(&mut message, 8).map(|_| Content::Other)?,
            2 => {
                let length = varint(&mut message)?;
                Content::Bytes(take(&mut message, usize::try_from(length).ok()?)?)
            }
            3 => {
                open.push(key >> 3);
                continue;
            }
            4 => {
                (open.pop()? == key >> 3).then_some(())?;
                continue;
            }
            5 => take(&mut message, 4).map(|_| Content::Other)?,
            _ => return None,
        };
        if open.is_empty() {
            fields.push((key >> 3, content));
        }
    }
    open.is_empty().then_some(fields)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..10 {
        let byte = take(message, 1)?[0];
        number |= u64::from(byte & 127) << (7 * place);
        if byte & 128 == 0 {
            return Some(number);
        }
    }
    None
}

fn take<'b>(message: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, rest) = message.split_at_checked(count)?;
    *message = rest;
    Some(taken)
}

//! The compact form of a JWS (RFC 7515 §7.1): three parts, strictly, and the JSON objects in two of them.
//!
//! It must not know keys or claims. Entry points: [`split`], [`decode`], [`object`].

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::object::{NotUnique, unique_members};
use crate::refusal::Refusal;

/// The parts of a token, as they were sent.
pub(crate) struct Parts<'t> {
    pub(crate) header: &'t [u8],
    pub(crate) payload: &'t [u8],
    pub(crate) signature: &'t [u8],
    /// What is signed: header and payload, with the dot between them.
    pub(crate) signed: &'t [u8],
}

/// Which object it is, for what is said of it.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    Header,
    Payload,
}

pub(crate) fn split(token: &[u8]) -> Result<Parts<'_>, Refusal> {
    let mut parts = token.split(|byte| *byte == b'.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::Malformed("it does not have three parts"));
    };
    if header.is_empty() || payload.is_empty() || signature.is_empty() {
        return Err(Refusal::Malformed("one of its three parts is empty"));
    }
    let signed = token.get(..header.len() + 1 + payload.len()).unwrap_or_default();
    Ok(Parts { header, payload, signature, signed })
}

/// Decodes base64url without padding, white space, and bits that do not count (RFC 7515 §2, RFC 4648 §3.5):
/// there is one way to write what is signed.
pub(crate) fn decode(text: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    out.clear();
    BASE64_URL_SAFE_NO_PAD.decode_vec(text, out).map_err(|_| NOT_BASE64)
}

/// The same for a signature, into the beginning of `out`; the longest that there are have its length.
pub(crate) fn decode_signature<'o>(text: &[u8], out: &'o mut [u8; 1024]) -> Result<&'o [u8], Refusal> {
    // Longer than what decodes to 1024 bytes.
    if text.len() > 1366 {
        return Err(Refusal::BadSignature);
    }
    let length = BASE64_URL_SAFE_NO_PAD.decode_slice(text, out).map_err(|_| NOT_BASE64)?;
    Ok(out.get(..length).unwrap_or_default())
}

const NOT_BASE64: Refusal = Refusal::Malformed("it is not base64url without padding");

/// The object in the text.
pub(crate) fn object(json: &[u8], part: Part) -> Result<Map<String, Value>, Refusal> {
    unique_members(json).map_err(|error| {
        Refusal::Malformed(match (part, error) {
            (Part::Header, NotUnique::NoObject) => "the header is not a JSON object",
            (Part::Header, NotUnique::Twice) => "the header has a member twice",
            (Part::Payload, NotUnique::NoObject) => "the payload is not a JSON object",
            (Part::Payload, NotUnique::Twice) => "the payload has a claim twice",
        })
    })
}

//! How long a body is: Content-Length and Transfer-Encoding (RFC 9112 §6).
//!
//! The one place where these two fields are read. In doubt the message is refused: two recipients that
//! disagree about the end of a body is what request smuggling is made of.

use message::{Fault, Headers, Name, Names, Version};

use crate::bytes::{token_len, trim};

/// How a body is delimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body.
    #[default]
    Empty,
    /// So many bytes.
    Exact(u64),
    /// Chunks (RFC 9112 §7.1).
    Chunked,
    /// Everything until the connection closes, in responses; on a stream everything until that ends.
    UntilClose,
}

impl BodyLength {
    /// Whether there is nothing to read.
    #[inline]
    pub fn is_empty(self) -> bool {
        matches!(self, BodyLength::Empty | BodyLength::Exact(0))
    }
}

/// What the framing fields of a message say; `None` where there are none.
///
/// Errors: [`Fault::BadFraming`], [`Fault::UnknownTransferCoding`].
pub(crate) fn declared_length(
    headers: &Headers,
    seen: Names,
    version: Version,
) -> Result<Option<BodyLength>, Fault> {
    match (seen.has(Name::ContentLength), seen.has(Name::TransferEncoding)) {
        (false, false) => Ok(None),
        (true, false) => content_length(headers).map(|length| Some(BodyLength::Exact(length))),
        (true, true) => Err(Fault::BadFraming),
        (false, true) if version == Version::Http10 => Err(Fault::BadFraming),
        (false, true) => transfer_coding(headers).map(|()| Some(BodyLength::Chunked)),
    }
}

/// The one Content-Length: digits only (RFC 9110 §8.6), below 2^63. Lists and repetitions are refused even if
/// all values are equal.
fn content_length(headers: &Headers) -> Result<u64, Fault> {
    let mut values = headers.all(Name::ContentLength);
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Fault::BadFraming) };
    if value.is_empty() {
        return Err(Fault::BadFraming);
    }
    let mut length: u64 = 0;
    for &b in value {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return Err(Fault::BadFraming);
        }
        length = length
            .checked_mul(10)
            .and_then(|length| length.checked_add(u64::from(digit)))
            .filter(|&length| length < 1 << 63)
            .ok_or(Fault::BadFraming)?;
    }
    Ok(length)
}

/// The one Transfer-Encoding that is understood: `chunked` and nothing else, once.
fn transfer_coding(headers: &Headers) -> Result<(), Fault> {
    let mut values = headers.all(Name::TransferEncoding);
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Fault::BadFraming) };
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    // A well-formed list of codings of which one is unknown is not a broken message, only not understood.
    let mut unknown = false;
    for coding in value.split(|&b| b == b',').map(trim) {
        if coding.is_empty() || token_len(coding) != coding.len() {
            return Err(Fault::BadFraming);
        }
        unknown |= !coding.eq_ignore_ascii_case(b"chunked");
    }
    Err(if unknown { Fault::UnknownTransferCoding } else { Fault::BadFraming })
}

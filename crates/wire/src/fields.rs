//! Reads field lines (RFC 9112 §5): of heads and of trailer sections alike.
//!
//! Checks their syntax and recognises their names; what they mean is read elsewhere.

use message::{Fault, Headers, Name, Names, Span};

use crate::bytes::{text_len, token_len, trim_end, trim_start};

/// Makes a span of offsets; the caller has checked that the text is shorter than 4 GiB.
#[inline]
pub(crate) fn span(start: usize, len: usize) -> Span {
    Span { start: start as u32, len: len as u32 }
}

/// The line at the beginning of `bytes`, without its CRLF; `None` where there is none, or where it holds
/// anything but text.
#[inline]
pub(crate) fn first_line(bytes: &[u8]) -> Option<&[u8]> {
    let (line, rest) = bytes.split_at(text_len(bytes));
    rest.starts_with(b"\r\n").then_some(line)
}

/// Reads the fields from `at` up to the empty line, which must be the end of `bytes`.
///
/// `bytes` must already be the text of `headers`: spans refer to it. At most `most` fields are taken.
/// Errors: [`Fault::BadHeader`], [`Fault::HeadersTooLarge`].
pub(crate) fn parse_fields(
    bytes: &[u8],
    mut at: usize,
    most: usize,
    headers: &mut Headers,
) -> Result<Names, Fault> {
    let mut seen = Names::default();
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        if let [b'\r', b'\n', after @ ..] = rest {
            return if after.is_empty() { Ok(seen) } else { Err(Fault::BadHeader) };
        }
        // A space before the colon (RFC 9112 §5.1) and a folded line (§5.2) both fail here: neither can be
        // part of a token.
        let name_len = token_len(rest);
        let (name, [b':', rest @ ..]) = rest.split_at(name_len) else { return Err(Fault::BadHeader) };
        let raw = first_line(rest).ok_or(Fault::BadHeader)?;
        if name.is_empty() {
            return Err(Fault::BadHeader);
        }
        if headers.len() >= most {
            return Err(Fault::HeadersTooLarge);
        }
        let known = Name::of(name);
        seen.add(known);
        let value = trim_start(raw);
        let value_start = at + name_len + 1 + (raw.len() - value.len());
        headers.push_spans(known, span(at, name_len), span(value_start, trim_end(value).len()));
        at += name_len + 1 + raw.len() + 2;
    }
}

//! Gathers the trailer section behind a chunked body (RFC 9112 §7.1.2).
//!
//! Trailers are rare and small, so they may be allocated for; they are bounded on their own.

use message::{Fault, Headers, trailer_may_pass};

use crate::fields::parse_fields;
use crate::scan::{BadByte, LineScan};

/// The most bytes of a trailer section, with the empty line at its end.
pub(crate) const MOST_BYTES: usize = 8 * 1024;
/// The most fields of a trailer section.
pub(crate) const MOST_FIELDS: usize = 32;

/// A trailer section that comes in, or came.
#[derive(Debug, Default)]
pub(crate) struct Trailers {
    text: Vec<u8>,
    lines: LineScan,
    count: usize,
    fields: Headers,
}

impl Trailers {
    /// The fields that may be passed on. Empty until the end was found.
    pub(crate) fn fields(&self) -> &Headers {
        &self.fields
    }

    /// Takes the next bytes. Returns how many of them belong to the section, and whether it has ended.
    ///
    /// Errors: [`Fault::BadChunk`], [`Fault::HeadersTooLarge`].
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(usize, bool), Fault> {
        let before = self.text.len();
        let taken = bytes.get(..MOST_BYTES - before).unwrap_or(bytes);
        self.text.extend_from_slice(taken);
        while let Some(len) = self.lines.next_line(&self.text).map_err(|BadByte| Fault::BadChunk)? {
            if len == 0 {
                let end = self.lines.line_start();
                self.finish(end)?;
                return Ok((end - before, true));
            }
            self.count += 1;
            if self.count > MOST_FIELDS {
                return Err(Fault::HeadersTooLarge);
            }
        }
        if self.text.len() >= MOST_BYTES { Err(Fault::HeadersTooLarge) } else { Ok((taken.len(), false)) }
    }

    /// Reads the fields of the whole section, `text[..end]`.
    fn finish(&mut self, end: usize) -> Result<(), Fault> {
        self.text.truncate(end);
        self.fields.append_text(&self.text);
        parse_fields(&self.text, 0, MOST_FIELDS, &mut self.fields).map_err(|fault| match fault {
            Fault::HeadersTooLarge => fault,
            _ => Fault::BadChunk,
        })?;
        self.fields.retain(|field, text| trailer_may_pass(field.name.of(text)));
        self.text = Vec::new();
        Ok(())
    }
}

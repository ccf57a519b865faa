//! The bytes over which a signature is made, as they are put together.
//!
//! It owns the limit and the check of what may stand in them; what they mean is decided elsewhere. Entry point:
//! [`Base`].

use crate::{MAX_BASE, Refusal};

/// The bytes so far.
#[derive(Default)]
pub(crate) struct Base(Vec<u8>);

impl Base {
    /// Adds bytes of our own, or such as were checked.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if self.0.len() + bytes.len() > MAX_BASE {
            return Err(Refusal::TooLarge);
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    /// Adds what came from the request. An end of line in it would make it say something else, and RFC 9421 §2.5
    /// has nothing outside of ASCII.
    pub(crate) fn push_text(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if !bytes.iter().all(|&b| matches!(b, b'\t' | b' '..=b'~')) {
            return Err(Refusal::AmbiguousComponent);
        }
        self.push(bytes)
    }

    /// Adds the lines of a field as one value, in their order (RFC 9110 §5.3). What each becomes is up to `write`.
    ///
    /// Errors: [`Refusal::MissingComponent`] where there is none, and those of `write`.
    pub(crate) fn push_lines<'v>(
        &mut self,
        lines: impl Iterator<Item = &'v [u8]>,
        write: impl Fn(&mut Base, &[u8]) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let mut is_first = true;
        for line in lines {
            if !std::mem::take(&mut is_first) {
                self.push(b", ")?;
            }
            write(self, line.trim_ascii())?;
        }
        if is_first { Err(Refusal::MissingComponent) } else { Ok(()) }
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

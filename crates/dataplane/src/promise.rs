//! A body that has to have a digest.
//!
//! It is checked while it passes. It knows when the body is complete: at its end, or where the length was announced as
//! soon as so much has come, because a service that was told the length waits for no other end. Entry point:
//! [`Promise::take`].

use message::Fault;
use signatures::{DigestCheck, ExpectedDigest};

/// What was promised of a body.
pub(crate) struct Promise {
    state: State,
    /// Payload that is missing, where the length was announced.
    left: Option<u64>,
}

enum State {
    /// The body is not complete.
    Open(DigestCheck),
    /// It is, and is what was promised.
    Kept,
    /// It is another one.
    Broken,
}

impl Promise {
    /// For a body with this digest, and this length where it was announced.
    pub(crate) fn new(digest: ExpectedDigest, length: Option<u64>) -> Promise {
        Promise { state: State::Open(digest.check()), left: length }
    }

    /// Takes the next piece, before it is passed on; `ends` if the body has ended with it.
    ///
    /// Errors: [`Fault::DigestMismatch`], when the body is complete and another one, and ever after. Then neither the
    /// piece nor the end may be passed on.
    pub(crate) fn take(&mut self, piece: &[u8], ends: bool) -> Result<(), Fault> {
        self.state = match std::mem::replace(&mut self.state, State::Broken) {
            State::Open(mut check) => {
                check.update(piece);
                self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
                if !ends && self.left != Some(0) {
                    State::Open(check)
                } else if check.finish() {
                    State::Kept
                } else {
                    State::Broken
                }
            }
            State::Kept if piece.is_empty() => State::Kept,
            State::Kept | State::Broken => State::Broken,
        };
        if matches!(self.state, State::Broken) { Err(Fault::DigestMismatch) } else { Ok(()) }
    }
}

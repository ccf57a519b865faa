//! What the user writes.

use document::{ByteSize, section};

section! {
    /// Refuses requests whose body is too large.
    pub struct Raw {
        /// The most bytes that a body may have. An announced length is checked before anything is read;
        /// a body in chunks is cut off when it passes the limit. The answer is 413.
        body: ByteSize,
    }
}

//! What the user writes: nothing but `off`.

use document::section;

section! {
    /// Holds by itself wherever consumers have plans; it has no settings, and `plan: off` switches it off.
    pub struct Raw {}
}

//! What the user writes.

use document::{ByteSize, Spanned, keywords, section};

use crate::trial::Mode;

keywords! {
    /// Which bodies are looked into.
    pub enum Bodies {
        /// Those that say that they are JSON, and those that do not say what they are.
        Json = "json",
        /// All: whatever is not JSON is refused.
        All = "all",
    }
}

keywords! {
    /// What becomes of objects that have a name twice.
    pub enum Duplicates {
        /// They are refused.
        Refuse = "refuse",
        /// They pass.
        Allow = "allow",
    }
}

section! {
    /// Refuses JSON that would hurt whoever reads it. Lengths are bytes as they are sent: an escape counts as it is
    /// written.
    pub struct Raw {
        /// How deep objects and arrays may be inside of each other.
        depth: u32 [1..=100] = "32",
        /// How many members an object may have.
        keys: u32 [1..=10000000] = "1000",
        /// How many elements an array may have.
        items: u32 [1..=10000000] = "10000",
        /// How many values there may be in all, objects and arrays among them.
        values: u32 [1..=10000000] = "100000",
        /// How long the name of a member may be.
        key_length: ByteSize = "256B",
        /// How long a string may be.
        string_length: ByteSize = "256KiB",
        /// How long a number may be.
        number_length: u32 [1..=1000] = "64",
        /// What becomes of objects that have a name twice: which of the two counts differs from reader to reader.
        duplicate_keys: Duplicates = "refuse",
        /// How large a body may be, 16 MiB at most. One that is compressed is counted as it is without.
        max_body: Spanned<ByteSize> = "1MiB",
        /// Which bodies are looked into.
        bodies: Bodies = "json",
        /// Whether requests are refused.
        mode: Mode = "enforce",
    }
}

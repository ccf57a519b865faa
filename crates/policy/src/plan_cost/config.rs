//! What the user writes.

use document::section;

section! {
    /// Says how many units of a plan a request costs.
    pub struct Raw {
        /// How many.
        cost: u32 [1..=1000000],
    }
    short cost
}

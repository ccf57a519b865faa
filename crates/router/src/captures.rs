//! The parts of a path that a pattern captured: ranges into the path, by position.
//!
//! It must not know patterns. Entry point: [`Captures::get`].

use std::ops::Range;

/// Most captures that one pattern may have.
pub const MAX_CAPTURES: usize = 16;

/// Ranges into the canonical path, in the order of [`PathPattern::captures`](crate::PathPattern::captures).
///
/// Made once and reused for every request; it never allocates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captures {
    len: u8,
    /// Begin and end. [`NO_PART`]: an optional group of a regex that took no part.
    ranges: [(u32, u32); MAX_CAPTURES],
}

/// No range of a path: those of 4 GiB are refused long before they are routed.
const NO_PART: (u32, u32) = (u32::MAX, 0);

impl Captures {
    /// Without any capture.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The range of capture `position`, in bytes of the path. `None` if the pattern has no such capture,
    /// or if it is an optional group of a regex that took no part in the match.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<Range<usize>> {
        let range = *self.ranges.get(..self.len())?.get(position)?;
        (range != NO_PART).then_some(range.0 as usize..range.1 as usize)
    }

    /// How many captures the pattern has, whether or not each took part.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// Whether the pattern has no captures.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    pub(crate) fn push(&mut self, range: Option<(usize, usize)>) {
        debug_assert!(self.len() < MAX_CAPTURES, "patterns are refused at parse time when they capture more");
        let short = |at: usize| u32::try_from(at).ok();
        let range = range.and_then(|(start, end)| Some((short(start)?, short(end)?)));
        if let Some(slot) = self.ranges.get_mut(usize::from(self.len)) {
            *slot = range.unwrap_or(NO_PART);
            self.len += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleared_captures_do_not_show_through() {
        let mut captures = Captures::new();
        captures.push(Some((1, 3)));
        captures.push(None);
        assert_eq!(
            (captures.get(0), captures.get(1), captures.get(2), captures.len()),
            (Some(1..3), None, None, 2)
        );
        captures.clear();
        assert!(captures.is_empty() && captures.get(0).is_none() && captures.get(99).is_none());
    }
}

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
    len: usize,
    /// `None`: an optional group of a regex that took no part.
    ranges: [Option<(usize, usize)>; MAX_CAPTURES],
}

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
        if position >= self.len {
            return None;
        }
        self.ranges.get(position).copied().flatten().map(|(start, end)| start..end)
    }

    /// How many captures the pattern has, whether or not each took part.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
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
        debug_assert!(self.len < MAX_CAPTURES, "patterns are refused at parse time when they capture more");
        if let Some(slot) = self.ranges.get_mut(self.len) {
            *slot = range;
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

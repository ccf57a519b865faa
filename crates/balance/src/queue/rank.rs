//! The lanes of one importance: which key has which, and whose turn it is.
//!
//! It must not know the entries: it is told which lanes hold some. Entry points: [`Rank::lane`], [`Rank::take_turn`].

/// Lanes of each importance. They fit into the bits of a `u64`.
pub(super) const LANES: u16 = 64;
/// A key may have one of so many lanes. With a single one it would often share it with a key that pushes a lot; the idea
/// is from the queueing discipline CAKE, "set-associative hash".
const WAYS: u16 = 8;
/// Entries go before others that are more important after so many of those have.
pub(super) const PATIENCE: u32 = 15;

/// What is known of the lanes.
#[derive(Clone, Debug, Default)]
pub(super) struct Rank {
    /// A bit for each lane that holds something.
    active: u64,
    /// The lane after the one that had its turn last.
    turn: u16,
    /// More important entries that went while something waited here.
    passed: u32,
    /// Whose lane it is, as long as it holds something. Allocated with the first entry.
    keys: Vec<u64>,
}

impl Rank {
    /// Whether nothing waits.
    pub(super) const fn is_empty(&self) -> bool {
        self.active == 0
    }

    /// The lanes that hold something.
    pub(super) fn lanes(&self) -> impl Iterator<Item = u16> + use<> {
        let mut left = self.active;
        std::iter::from_fn(move || {
            let lane = u16::try_from(left.trailing_zeros()).ok().filter(|_| left != 0)?;
            left &= left - 1;
            Some(lane)
        })
    }

    /// The lane of a key: the one it has, or a free one, or one that it shares if none of those that it may have is free.
    pub(super) fn lane(&self, key: u64) -> u16 {
        // The high bits of the product depend on all bits of the key (Knuth, TAOCP 6.4, multiplicative hashing).
        let hash = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
        let ways = (0..WAYS).map(|way| (hash as u16 + way) % LANES);
        let is_free = |lane: &u16| self.active & bit(*lane) == 0;
        let own = |lane: &u16| !is_free(lane) && self.keys.get(usize::from(*lane)) == Some(&key);
        ways.clone().find(own).or_else(|| ways.clone().find(is_free)).unwrap_or(hash as u16)
    }

    /// Something has come into a lane. It is the key's, if it was free.
    pub(super) fn enter(&mut self, lane: u16, key: u64) {
        if self.keys.is_empty() {
            self.keys = vec![0; usize::from(LANES)];
        }
        if self.is_empty() {
            self.passed = 0;
        }
        if self.active & bit(lane) == 0
            && let Some(owner) = self.keys.get_mut(usize::from(lane))
        {
            *owner = key;
        }
        self.active |= bit(lane);
    }

    /// A lane holds nothing any more.
    pub(super) const fn clear(&mut self, lane: u16) {
        self.active &= !bit(lane);
    }

    /// The next lane in turn that holds something.
    pub(super) fn take_turn(&mut self) -> Option<u16> {
        if self.is_empty() {
            return None;
        }
        let steps = self.active.rotate_right(u32::from(self.turn)).trailing_zeros();
        let lane = (self.turn + steps as u16) % LANES;
        self.turn = (lane + 1) % LANES;
        self.passed = 0;
        Some(lane)
    }

    /// Whether so many have gone before those that wait here that it is their turn now.
    pub(super) const fn has_waited(&self) -> bool {
        !self.is_empty() && self.passed >= PATIENCE
    }

    /// A more important entry goes first.
    pub(super) const fn pass(&mut self) {
        self.passed = self.passed.saturating_add(1);
    }
}

const fn bit(lane: u16) -> u64 {
    1 << lane
}

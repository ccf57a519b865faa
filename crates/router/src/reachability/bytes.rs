//! Sets of bytes, and the order in which people like to read them.
//!
//! Entry points: [`ByteSet`], [`ORDER`], [`PLACE`].

/// A set of bytes, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ByteSet([u64; 4]);

impl ByteSet {
    pub(super) const ALL: Self = Self([u64::MAX; 4]);

    pub(super) fn of(bytes: impl IntoIterator<Item = u8>) -> Self {
        let mut set = Self::default();
        for byte in bytes {
            set.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
        }
        set
    }

    pub(super) fn holds(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    pub(super) fn and(self, other: Self) -> Self {
        let [a, b, c, d] = self.0;
        let [e, f, g, h] = other.0;
        Self([a & e, b & f, c & g, d & h])
    }

    /// Its bytes, in no order that matters.
    pub(super) fn iter(self) -> impl Iterator<Item = u8> {
        (0..4u8).zip(self.0).flat_map(|(quarter, mut bits)| {
            std::iter::from_fn(move || {
                let lowest = bits.trailing_zeros() as u8;
                bits &= bits.checked_sub(1)?;
                Some(quarter << 6 | lowest)
            })
        })
    }

    pub(super) fn len(&self) -> u32 {
        self.0.iter().map(|bits| bits.count_ones()).sum()
    }
}

/// All bytes: first those that people like to read.
pub(super) const ORDER: [u8; 256] = {
    let preferred = b"abcdefghijklmnopqrstuvwxyz1234567890ABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    let (mut order, mut is_there, mut len) = ([0; 256], [false; 256], 0);
    let mut at = 0;
    while at < preferred.len() + 256 {
        let byte = if at < preferred.len() { preferred[at] } else { (at - preferred.len()) as u8 };
        if !is_there[byte as usize] {
            is_there[byte as usize] = true;
            order[len] = byte;
            len += 1;
        }
        at += 1;
    }
    order
};

/// The place of each byte in [`ORDER`].
pub(super) const PLACE: [u8; 256] = {
    let (mut place, mut at) = ([0; 256], 0);
    while at < 256 {
        place[ORDER[at] as usize] = at as u8;
        at += 1;
    }
    place
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets() {
        let set = ByteSet::of([0, 63, 64, 200, 255]);
        assert!(set.holds(0) && set.holds(63) && set.holds(64) && set.holds(255) && !set.holds(1));
        assert_eq!((set.len(), ByteSet::ALL.len(), ByteSet::default().len()), (5, 256, 0));
        assert_eq!(set.and(ByteSet::of([63, 65])), ByteSet::of([63]));
        assert_eq!(ByteSet::of(ORDER), ByteSet::ALL);
        assert!(ORDER.starts_with(b"abc") && PLACE[usize::from(b'c')] == 2);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 200, 255]);
        assert_eq!(ByteSet::ALL.iter().count(), 256);
    }
}

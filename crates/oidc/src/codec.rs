//! The binary form of what is sealed: numbers and texts, one after the other.
//!
//! JSON would escape tokens and leave copies of them behind when its buffer grows. It must not know what is
//! written. Entry points: [`Writer`] and [`Reader`].

use zeroize::Zeroizing;

/// Writes fields. The buffer is wiped when dropped.
pub(crate) struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    /// `room` is what all fields need; with less, copies stay behind in memory.
    pub(crate) fn with_room(room: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(room)))
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    /// Text of any length that was let in: far below 4 GiB. A longer one would not be read back.
    pub(crate) fn text(&mut self, text: &str) {
        self.0.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn finish(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

/// Reads fields; `None` when they are not there.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let len = self.take(4)?.try_into().ok().map(u32::from_be_bytes)?;
        std::str::from_utf8(self.take(usize::try_from(len).ok()?)?).ok()
    }

    /// Whether everything was read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_nothing_else() {
        let mut writer = Writer::with_room(64);
        writer.text("é");
        writer.number(u64::MAX);
        writer.text("");
        let bytes = writer.finish();
        for len in 0..=bytes.len() {
            let mut reader = Reader::new(&bytes[..len]);
            let all = (reader.text(), reader.number(), reader.text());
            let whole = len == bytes.len();
            assert_eq!(all == (Some("é"), Some(u64::MAX), Some("")), whole, "{len}");
            assert!(!whole || reader.is_at_end());
        }
        assert_eq!(Reader::new(&[255; 4]).text(), None, "a length beyond the end");
        assert_eq!(Reader::new(&[0, 0, 0, 1, 255]).text(), None, "not UTF-8");
    }
}

//! Counts the frames of an HTTP/2 connection that are about nothing.
//!
//! PING, SETTINGS, PRIORITY, RST_STREAM and their like cost their sender next to nothing and are each harmless. A peer
//! that sends nothing else keeps the gateway busy for nobody's good (RFC 9113 §10.5, CVE-2019-9512 to -9518). It has
//! a credit of such frames, which it earns by requests, by what it is sent, and by time.

use std::cell::Cell;

/// Bytes of the head of a frame (RFC 9113 §4.1).
const HEAD: usize = 9;
/// Bytes of the preface of a client (RFC 9113 §3.4).
const PREFACE: usize = 24;
/// The most frames about nothing that may come at once.
const MOST: i64 = 1000;
/// What a request earns.
const PER_REQUEST: i64 = 4;
/// How much has to be sent to the peer for one frame more: it says that it has taken it.
const BYTES_PER_FRAME: u64 = 2048;

/// The meter of one connection.
#[derive(Debug)]
pub struct FrameMeter {
    credit: Cell<i64>,
    head: Cell<[u8; HEAD]>,
    /// Bytes of a head that have come.
    have: Cell<usize>,
    /// Bytes until the next head.
    skip: Cell<usize>,
    /// The head of a message has begun and not ended.
    in_head: Cell<bool>,
    sent: Cell<u64>,
}

impl Default for FrameMeter {
    fn default() -> FrameMeter {
        FrameMeter {
            credit: Cell::new(MOST),
            head: Cell::new([0; HEAD]),
            have: Cell::new(0),
            skip: Cell::new(PREFACE),
            in_head: Cell::new(false),
            sent: Cell::new(0),
        }
    }
}

impl FrameMeter {
    /// Takes note of bytes that came from the peer, in any pieces.
    pub fn received(&self, mut bytes: &[u8]) {
        let mut head = self.head.get();
        while !bytes.is_empty() {
            let skipped = self.skip.get().min(bytes.len());
            self.skip.set(self.skip.get() - skipped);
            bytes = &bytes[skipped..];
            let have = self.have.get();
            let taken = (HEAD - have).min(bytes.len());
            head[have..have + taken].copy_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            self.have.set(have + taken);
            if have + taken == HEAD {
                self.have.set(0);
                self.skip.set(usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]));
                self.earn(worth(head[3], head[4], self.skip.get()));
                if matches!(head[3], HEADERS | CONTINUATION) {
                    self.in_head.set(head[4] & END_HEADERS == 0);
                }
            }
        }
        self.head.set(head);
    }

    /// Takes note of bytes that were sent to the peer.
    pub fn sent(&self, count: usize) {
        let sent = self.sent.get() + count as u64;
        self.sent.set(sent % BYTES_PER_FRAME);
        self.earn((sent / BYTES_PER_FRAME).min(MOST as u64) as i64);
    }

    /// Gives credit, for time that has passed.
    pub fn earn(&self, frames: i64) {
        self.credit.set((self.credit.get() + frames).min(MOST));
    }

    /// Whether the head of a message is waited for: its first frame has come, and not its last. All of a connection
    /// waits for that (RFC 9113 §4.3).
    pub fn is_inside_head(&self) -> bool {
        self.in_head.get()
    }

    /// Whether the peer has sent more than it may.
    #[inline]
    pub fn is_exhausted(&self) -> bool {
        self.credit.get() < 0
    }
}

// Types and flags of frames (RFC 9113 §6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What a frame adds to the credit.
fn worth(kind: u8, flags: u8, length: usize) -> i64 {
    match kind {
        DATA if length > 0 || flags & END_STREAM != 0 => 0,
        HEADERS => PER_REQUEST,
        _ => -1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let mut bytes = vec![0, (payload >> 8) as u8, payload as u8, kind, flags, 0, 0, 0, 1];
        bytes.extend(std::iter::repeat_n(7, payload));
        bytes
    }

    fn started() -> FrameMeter {
        let meter = FrameMeter::default();
        meter.received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        meter
    }

    #[test]
    fn a_flood_of_each_kind_is_noticed_and_ordinary_traffic_is_not() {
        for (name, kind, payload) in [
            ("ping", 6, 8),
            ("settings", 4, 0),
            ("priority", 2, 5),
            ("reset", 3, 4),
            ("empty data", 0, 0),
            ("empty continuation", 9, 0),
            ("window update", 8, 4),
            ("unknown", 200, 3),
        ] {
            let meter = started();
            (0..MOST).for_each(|_| meter.received(&frame(kind, 0, payload)));
            assert!(!meter.is_exhausted(), "{name}");
            meter.received(&frame(kind, 0, payload));
            assert!(meter.is_exhausted(), "{name}");
        }
        let meter = started();
        for _ in 0..100_000 {
            meter.received(&frame(1, 4, 30));
            meter.received(&frame(0, 0, 1000));
            meter.received(&frame(0, 1, 0));
            meter.received(&frame(8, 0, 4));
            meter.received(&frame(8, 0, 4));
        }
        assert!(!meter.is_exhausted());
    }

    #[test]
    fn half_a_head_is_known_as_such() {
        let meter = started();
        meter.received(&frame(1, 0, 10));
        assert!(meter.is_inside_head());
        meter.received(&frame(9, 0, 10));
        assert!(meter.is_inside_head());
        meter.received(&frame(9, 4, 10));
        assert!(!meter.is_inside_head());
    }

    #[test]
    fn who_is_sent_much_may_say_so() {
        let meter = started();
        for _ in 0..10_000 {
            meter.sent(16 * 1024);
            (0..4).for_each(|_| meter.received(&frame(8, 0, 4)));
        }
        assert!(!meter.is_exhausted());
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(kinds in prop::collection::vec((0u8..12, 0u8..2, 0usize..300), 0..60), cut in 1usize..40) {
            let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
            kinds.iter().for_each(|&(kind, flags, payload)| bytes.extend(frame(kind, flags, payload)));
            let (whole, pieces) = (FrameMeter::default(), FrameMeter::default());
            whole.received(&bytes);
            bytes.chunks(cut).for_each(|piece| pieces.received(piece));
            prop_assert_eq!(whole.credit.get(), pieces.credit.get());
            let want = kinds.iter().fold(MOST, |credit, &(kind, flags, payload)| (credit + worth(kind, flags, payload)).min(MOST));
            prop_assert_eq!(whole.credit.get(), want);
        }
    }
}

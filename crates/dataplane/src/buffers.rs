//! Read buffers, borrowed only while they hold bytes.
//!
//! A worker owns a few hot buffers. A connection takes one at the moment when its socket has something to
//! read and gives it back as soon as the bytes are consumed, so an idle connection owns none and the
//! memory in use follows the bytes in flight. Large buffers make long bodies cheap; their number is
//! bounded, so that clients who do not read cannot pile them up.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Room in front of the bytes, so that a payload can become a chunk where it lies.
const HEAD_ROOM: usize = 32;
/// Room behind the bytes, for the end of a chunk.
const TAIL_ROOM: usize = 16;
/// Bytes of an ordinary buffer: a request head and a body of 10 KiB fit in one read.
const SMALL: usize = 16 * 1024;
/// Bytes of a buffer for long bodies.
const LARGE: usize = 512 * 1024;
/// Large buffers in use at a time, per worker.
const MOST_LARGE: usize = 16;
/// Unused buffers kept, per worker.
const KEEP_SMALL: usize = 64;
const KEEP_LARGE: usize = 8;
const KEEP_TEXTS: usize = 256;
/// The longest text that is worth keeping.
const LONGEST_TEXT: usize = 16 * 1024;

/// The buffers of a worker.
#[derive(Default)]
pub(crate) struct Buffers {
    small: RefCell<Vec<Box<[u8]>>>,
    large: RefCell<Vec<Box<[u8]>>>,
    large_in_use: Cell<usize>,
    texts: RefCell<Vec<Vec<u8>>>,
}

impl Buffers {
    /// An empty text, for a head that is about to be sent.
    pub(crate) fn take_text(&self) -> Vec<u8> {
        self.texts.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a text back after it was sent.
    pub(crate) fn give_text(&self, mut text: Vec<u8>) {
        text.clear();
        let mut texts = self.texts.borrow_mut();
        if (1..=LONGEST_TEXT).contains(&text.capacity()) && texts.len() < KEEP_TEXTS {
            texts.push(text);
        }
    }

    /// A buffer that holds these bytes.
    pub(crate) fn hold(self: &Rc<Self>, bytes: &[u8]) -> Buffer {
        let mut buffer = self.take(false);
        if buffer.room().len() < bytes.len() {
            buffer.grow(bytes.len());
        }
        let count = bytes.len().min(buffer.room().len());
        buffer.room()[..count].copy_from_slice(&bytes[..count]);
        buffer.add(count);
        buffer
    }

    /// An empty buffer. `large` is a wish that is granted while there are large buffers left.
    pub(crate) fn take(self: &Rc<Self>, large: bool) -> Buffer {
        let bytes = if large && self.large_in_use.get() < MOST_LARGE {
            self.large_in_use.set(self.large_in_use.get() + 1);
            self.large.borrow_mut().pop().unwrap_or_else(|| vec![0; LARGE].into())
        } else {
            self.small.borrow_mut().pop().unwrap_or_else(|| vec![0; SMALL].into())
        };
        Buffer { bytes, start: HEAD_ROOM, end: HEAD_ROOM, home: Rc::clone(self) }
    }
}

/// A buffer with the bytes that were read and not yet consumed.
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
    home: Rc<Buffers>,
}

impl Buffer {
    /// The bytes that were not consumed.
    #[inline]
    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// The same, for what is decrypted where it lies.
    #[inline]
    pub(crate) fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.end]
    }

    /// Where [`Buffer::filled`] lies in [`Buffer::raw`].
    pub(crate) fn range(&self) -> std::ops::Range<usize> {
        self.start..self.end
    }

    /// All bytes, with the room around them.
    pub(crate) fn raw(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Room to read into; empty when the buffer is full.
    #[inline]
    pub(crate) fn room(&mut self) -> &mut [u8] {
        let limit = self.bytes.len() - TAIL_ROOM;
        self.bytes.get_mut(self.end..limit).unwrap_or_default()
    }

    /// Takes note of bytes that were read into the room.
    #[inline]
    pub(crate) fn add(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len() - TAIL_ROOM);
    }

    /// Takes note of consumed bytes.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
    }

    /// Sets what is filled, for payloads that were decoded or framed in place.
    pub(crate) fn set_range(&mut self, range: std::ops::Range<usize>) {
        debug_assert!(range.start <= range.end && range.end <= self.bytes.len());
        (self.start, self.end) = (range.start, range.end.min(self.bytes.len()));
    }

    /// Whether everything was consumed.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether the last read filled the buffer to its end.
    pub(crate) fn is_full(&self) -> bool {
        self.end + TAIL_ROOM >= self.bytes.len()
    }

    /// A head that does not fit is still coming in: makes room for `most` bytes of it, in this buffer or in a
    /// larger one. Returns false when there is that much room already.
    pub(crate) fn grow(&mut self, most: usize) -> bool {
        // Never the size of a large buffer, which would be counted as one.
        let wanted = (HEAD_ROOM + most + TAIL_ROOM).max(SMALL + 1) | 1;
        if self.bytes.len() >= wanted {
            // Large enough, but other messages stood in front of what is coming in now.
            if self.start == HEAD_ROOM {
                return false;
            }
            self.bytes.copy_within(self.start..self.end, HEAD_ROOM);
            (self.start, self.end) = (HEAD_ROOM, HEAD_ROOM + self.end - self.start);
            return true;
        }
        let mut larger = vec![0; wanted].into_boxed_slice();
        let len = self.end - self.start;
        larger[HEAD_ROOM..HEAD_ROOM + len].copy_from_slice(self.filled());
        self.release(larger);
        (self.start, self.end) = (HEAD_ROOM, HEAD_ROOM + len);
        true
    }

    /// A copy of the bytes from `from` on in a fresh buffer: what belongs to the next message.
    pub(crate) fn split_off(&self, from: usize) -> Buffer {
        let rest = self.bytes.get(from..self.end).unwrap_or_default();
        let mut buffer = self.home.take(rest.len() > SMALL - HEAD_ROOM - TAIL_ROOM);
        if buffer.room().len() < rest.len() {
            buffer.grow(rest.len());
        }
        buffer.room()[..rest.len()].copy_from_slice(rest);
        buffer.add(rest.len());
        buffer
    }

    /// Puts other bytes in the place of the buffer's, which go back to the worker.
    fn release(&mut self, other: Box<[u8]>) {
        let bytes = std::mem::replace(&mut self.bytes, other);
        match bytes.len() {
            SMALL => {
                let mut small = self.home.small.borrow_mut();
                if small.len() < KEEP_SMALL {
                    small.push(bytes);
                }
            }
            LARGE => {
                self.home.large_in_use.set(self.home.large_in_use.get().saturating_sub(1));
                let mut large = self.home.large.borrow_mut();
                if large.len() < KEEP_LARGE {
                    large.push(bytes);
                }
            }
            _ => {}
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.release(Box::default());
    }
}

/// Bytes that were read from a socket and not yet consumed. Owns a buffer only while it has some.
#[derive(Default)]
pub(crate) struct Inbox {
    pub(crate) buffer: Option<Buffer>,
}

impl Inbox {
    /// The bytes.
    #[inline]
    pub(crate) fn filled(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], Buffer::filled)
    }

    /// Whether there are none.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.as_ref().is_none_or(Buffer::is_empty)
    }

    /// Drops consumed bytes, and the buffer with the last of them.
    pub(crate) fn consume(&mut self, count: usize) {
        if let Some(buffer) = &mut self.buffer {
            buffer.consume(count);
            if buffer.is_empty() {
                self.buffer = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(buffers: &Rc<Buffers>, bytes: &[u8]) -> Buffer {
        let mut buffer = buffers.take(false);
        buffer.room()[..bytes.len()].copy_from_slice(bytes);
        buffer.add(bytes.len());
        buffer
    }

    #[test]
    fn buffers_come_back_and_large_ones_are_bounded() {
        let buffers = Rc::new(Buffers::default());
        let held: Vec<Buffer> = (0..MOST_LARGE + 3).map(|_| buffers.take(true)).collect();
        assert_eq!(held.iter().filter(|b| b.bytes.len() == LARGE).count(), MOST_LARGE);
        drop(held);
        assert_eq!(buffers.large_in_use.get(), 0);
        assert_eq!(buffers.large.borrow().len(), KEEP_LARGE);
        assert_eq!(buffers.small.borrow().len(), 3);
    }

    #[test]
    fn bytes_survive_growth_and_splitting() {
        let buffers = Rc::new(Buffers::default());
        let mut buffer = filled(&buffers, b"headtail");
        assert!(buffer.grow(64 * 1024) && !buffer.grow(64 * 1024));
        assert_eq!(buffer.filled(), b"headtail");
        let from = buffer.range().start + 4;
        assert_eq!(buffer.split_off(from).filled(), b"tail");
        buffer.consume(4);
        assert!(buffer.grow(64 * 1024), "what was consumed makes room");
        assert_eq!((buffer.filled(), buffer.range().start), (&b"tail"[..], HEAD_ROOM));
        buffer.consume(100);
        assert!(buffer.is_empty());
    }

    #[test]
    fn an_inbox_without_bytes_owns_nothing() {
        let buffers = Rc::new(Buffers::default());
        let mut inbox = Inbox { buffer: Some(filled(&buffers, b"abc")) };
        inbox.consume(2);
        assert_eq!(inbox.filled(), b"c");
        inbox.consume(1);
        assert!(inbox.buffer.is_none() && inbox.is_empty());
    }
}

//! Moves one body from one connection to another, piece by piece, with back-pressure.
//!
//! Nothing is read while the last piece was not taken, so a slow reader slows its sender. A piece is
//! decoded and framed anew in the buffer it was read into, and leaves together with the head that waits
//! in front of it. The same pump serves both directions.

use std::borrow::Cow;
use std::rc::Rc;
use std::task::{Context, Poll};

use message::{Fault, Headers};
use signatures::ExpectedDigest;
use wire::{BodyDecoder, BodyLength};

use crate::connection::Connection;
use crate::promise::Promise;
use crate::route::LiveRoute;
use crate::translation::Translation;

/// The longest part of a body that is kept to be sent once more, in bytes.
const MOST_KEPT: usize = 64 * 1024;

/// A body on its way.
pub(crate) struct Pump {
    decoder: BodyDecoder,
    /// Whether the receiver gets chunks, unless it is a stream.
    chunked: bool,
    unframed: bool,
    /// What was sent so far, as long as it is short; `None` if it was not kept.
    kept: Option<Vec<u8>>,
    /// What is sent once more, before anything else.
    again: Option<Vec<u8>>,
    /// What becomes of the payload on its way.
    translation: Option<Box<Translation>>,
    /// The last byte was handed to the socket.
    pub(crate) done: bool,
    /// The end was framed and waits to be sent.
    ended: bool,
    /// The most payload that may pass.
    limit: Option<u64>,
    /// What the payload has to be.
    promise: Option<Box<Promise>>,
    /// The route of the request whose body it is, which has fields that clients cannot send.
    guarded: Option<Rc<LiveRoute>>,
    /// Bytes taken from the sender, framing included.
    pub(crate) taken: u64,
    /// Payload bytes that came in.
    pub(crate) passed: u64,
    /// Bytes that the receiver's socket took, heads and framing included.
    pub(crate) sent: u64,
    /// What it waits for since the last poll.
    pub(crate) waits_for: Waits,
}

/// What a pump waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Waits {
    /// Nothing: it has not been polled, or it is done.
    Nothing,
    /// The sender.
    Read,
    /// The receiver.
    Write,
}

/// Why a body did not get through.
#[derive(Debug)]
pub(crate) enum PumpError {
    /// The sender sent something wrong, or stopped before the end.
    Sender(Fault),
    /// The receiver does not take it.
    Receiver,
}

impl Default for Pump {
    /// For no body.
    fn default() -> Pump {
        Pump::new(BodyLength::Empty, false, None)
    }
}

impl Pump {
    /// For a body of the given length; the receiver gets chunks if `chunked`.
    pub(crate) fn new(length: BodyLength, chunked: bool, limit: Option<u64>) -> Pump {
        Pump {
            decoder: BodyDecoder::new(length),
            chunked,
            unframed: false,
            kept: None,
            again: None,
            translation: None,
            done: false,
            ended: false,
            limit,
            promise: None,
            guarded: None,
            taken: 0,
            passed: 0,
            sent: 0,
            waits_for: Waits::Nothing,
        }
    }

    /// Translates the payload.
    pub(crate) fn translate(&mut self, translation: Option<Box<Translation>>) {
        self.translation = translation;
    }

    /// The payload, as it comes in, has to have this digest. Otherwise the receiver does not get its end: of a body whose
    /// length is known the last byte, of any other what says that it was the last. `length` is the one that was announced.
    pub(crate) fn promise(&mut self, digest: Option<ExpectedDigest>, length: Option<u64>) {
        self.promise = digest.map(|digest| Box::new(Promise::new(digest, length)));
    }

    /// The body is that of a client: its trailers pass only as far as the fields of its head would.
    pub(crate) fn guard(&mut self, route: Option<&Rc<LiveRoute>>) {
        self.guarded = route.filter(|live| live.route.reserved.has_more_fields()).cloned();
    }

    /// The trailers that are passed on.
    fn trailers<'t>(&'t self, from: &'t Connection) -> Option<Cow<'t, Headers>> {
        let trailers = self.decoder.trailers().or(from.trailers())?;
        let Some(live) = &self.guarded else { return Some(Cow::Borrowed(trailers)) };
        let mut passed = trailers.clone();
        live.route.reserved.strip_fields(&mut passed);
        Some(Cow::Owned(passed))
    }

    /// Whether the receiver is a stream, which needs no chunks.
    pub(crate) fn set_stream(&mut self, stream: bool) {
        self.unframed = stream;
    }

    /// Whether pieces become chunks.
    fn makes_chunks(&self) -> bool {
        self.chunked && !self.unframed
    }

    /// From now on keeps what is sent, as long as it is short, so that it can be sent once more.
    pub(crate) fn keep(&mut self) {
        if self.taken == 0 {
            self.kept = Some(Vec::new());
        }
    }

    /// Whether everything that was sent can be sent once more.
    pub(crate) fn can_repeat(&self) -> bool {
        self.taken == 0 || self.kept.is_some()
    }

    /// The whole body, if all of it has come and it was kept.
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        self.kept.as_deref().filter(|_| self.is_received())
    }

    /// Begins from the front with another receiver; what was kept goes first.
    pub(crate) fn repeat(&mut self) {
        self.again = self.kept.clone().filter(|kept| !kept.is_empty());
        (self.done, self.ended, self.sent) = (false, false, 0);
        self.waits_for = Waits::Nothing;
    }

    /// Whether the sender has sent everything.
    pub(crate) fn is_received(&self) -> bool {
        self.decoder.is_done()
    }

    /// Moves what can be moved. Ready when the last byte was handed to the receiver's socket.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Connection,
        to: &mut Connection,
    ) -> Poll<Result<(), PumpError>> {
        loop {
            if !self.ended && to.outgoing.body.is_none() {
                self.stage_piece(from, to)?;
            }
            if to.has_unsent() {
                let before = to.sent;
                let flushed = to.poll_flush(cx);
                self.sent += to.sent - before;
                match flushed {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(PumpError::Receiver)),
                    Poll::Pending => {
                        // The receiver is slower than the sender: no use in reading more at a time.
                        from.flooding = false;
                        self.waits_for = Waits::Write;
                        return Poll::Pending;
                    }
                }
            }
            if self.ended {
                self.done = true;
                self.waits_for = Waits::Nothing;
                return Poll::Ready(Ok(()));
            }
            if !from.inbox.is_empty() || self.decoder.is_done() {
                continue;
            }
            match from.poll_fill(cx) {
                Poll::Ready(Ok(0)) => self.decoder.end_of_input().map_err(PumpError::Sender)?,
                Poll::Ready(Ok(_)) => {}
                // Unlike the end of the connection, an error never is the proper end of a body.
                Poll::Ready(Err(_)) => return Poll::Ready(Err(PumpError::Sender(Fault::BodyCut))),
                Poll::Pending => {
                    self.waits_for = Waits::Read;
                    return Poll::Pending;
                }
            }
        }
    }

    /// Takes what is in the sender's inbox, decodes it in place, frames it, and hands it to the receiver.
    fn stage_piece(&mut self, from: &mut Connection, to: &mut Connection) -> Result<(), PumpError> {
        if let Some(again) = self.again.take() {
            let mut buffer = from.buffers.hold(&again);
            if self.makes_chunks() {
                let range = buffer.range();
                let framed = wire::frame_chunk(buffer.raw(), range, false);
                buffer.set_range(framed);
            }
            to.outgoing.body = Some(buffer);
            return Ok(());
        }
        if !self.decoder.is_done()
            && let Some(mut buffer) = from.inbox.buffer.take()
        {
            let range = buffer.range();
            let decoded = self.decoder.decode(buffer.raw(), range.clone()).map_err(PumpError::Sender)?;
            if decoded.consumed < range.end {
                // What follows belongs to the next message. It is rare, and short.
                from.inbox.buffer = Some(buffer.split_off(decoded.consumed)).filter(|rest| !rest.is_empty());
            }
            self.taken += (decoded.consumed - range.start) as u64;
            self.passed += decoded.payload.len() as u64;
            if self.limit.is_some_and(|limit| self.passed > limit) {
                // As for a body that is not what was promised: what was kept is only its begin.
                self.kept = None;
                return Err(PumpError::Sender(Fault::BodyTooLarge));
            }
            if from.ended && from.is_stream() && from.inbox.is_empty() {
                self.decoder.end_of_input().map_err(PumpError::Sender)?;
            }
            self.check_promise(buffer.raw().get(decoded.payload.clone()).unwrap_or_default())?;
            let makes_chunks = self.makes_chunks();
            let mut payload = decoded.payload;
            if let Some(translation) = &mut self.translation {
                let mut out = Vec::new();
                let piece = buffer.raw().get(payload).unwrap_or_default();
                translation.pass(piece, &mut out).map_err(PumpError::Sender)?;
                buffer = from.buffers.hold(&out);
                payload = buffer.range();
            }
            if let Some(kept) = &mut self.kept {
                if kept.len() + payload.len() <= MOST_KEPT {
                    kept.extend_from_slice(buffer.raw().get(payload.clone()).unwrap_or_default());
                } else {
                    self.kept = None;
                }
            }
            let is_last = self.decoder.is_done()
                && self.translation.is_none()
                && self.decoder.trailers().is_none()
                && from.trailers().is_none();
            let framed = if makes_chunks && (is_last || !payload.is_empty()) {
                wire::frame_chunk(buffer.raw(), payload, is_last)
            } else {
                payload
            };
            self.ended |= is_last;
            if is_last {
                to.finish(None);
            }
            buffer.set_range(framed);
            if !buffer.is_empty() {
                to.outgoing.body = Some(buffer);
            }
        }
        if self.decoder.is_done() && !self.ended && to.outgoing.body.is_none() {
            self.check_promise(&[])?;
            if let Some(mut translation) = self.translation.take() {
                return self.stage_end(&mut translation, from, to);
            }
            let trailers = self.trailers(from);
            if self.makes_chunks() {
                wire::write_last_chunk(to.head_mut(), trailers.as_deref());
            }
            to.finish(trailers.as_deref());
            self.ended = true;
        }
        Ok(())
    }

    /// Looks at a piece of the payload before it is passed on; an empty one at the end.
    fn check_promise(&mut self, piece: &[u8]) -> Result<(), PumpError> {
        let Some(promise) = &mut self.promise else { return Ok(()) };
        promise.take(piece, self.decoder.is_done()).map_err(|fault| {
            // Nobody is to take for the whole what is only its begin.
            self.kept = None;
            PumpError::Sender(fault)
        })
    }

    /// Hands over what a translation puts behind the last piece. Its trailers are in there.
    fn stage_end(
        &mut self,
        translation: &mut Translation,
        from: &Connection,
        to: &mut Connection,
    ) -> Result<(), PumpError> {
        let mut out = Vec::new();
        translation.end(self.trailers(from).as_deref(), &mut out).map_err(PumpError::Sender)?;
        let mut buffer = from.buffers.hold(&out);
        if self.makes_chunks() {
            let range = buffer.range();
            let framed = wire::frame_chunk(buffer.raw(), range, true);
            buffer.set_range(framed);
        }
        to.finish(None);
        self.ended = true;
        to.outgoing.body = Some(buffer).filter(|buffer| !buffer.is_empty());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffers::Buffers;
    use crate::transport::Transport;

    /// What `sha256sum` says of `hello world`.
    const HELLO_WORLD: ExpectedDigest = ExpectedDigest::Sha256([
        0xb9, 0x4d, 0x27, 0xb9, 0x93, 0x4d, 0x3e, 0x08, 0xa5, 0x2e, 0x52, 0xd7, 0xda, 0x7d, 0xab, 0xfa, 0xc4,
        0x84, 0xef, 0xe3, 0x7a, 0x53, 0x80, 0xee, 0x90, 0x88, 0xf7, 0xac, 0xe2, 0xef, 0xcd, 0xe9,
    ]);

    /// What the receiver gets of a body that comes in these pieces and then ends, and how that ended.
    fn pass(pump: &mut Pump, pieces: &[&str]) -> (String, Result<(), Fault>) {
        let buffers = Rc::new(Buffers::default());
        let mut from = Connection::new(Transport::Nowhere, &buffers);
        let mut to = Connection::new(Transport::Nowhere, &buffers);
        let mut got = String::new();
        let mut step = |pump: &mut Pump, from: &mut Connection| {
            let staged = pump.stage_piece(from, &mut to);
            if let Some(body) = to.outgoing.body.take() {
                got.push_str(std::str::from_utf8(body.filled()).unwrap());
            }
            got.push_str(std::str::from_utf8(&std::mem::take(to.head_mut())).unwrap());
            staged.map_err(|error| match error {
                PumpError::Sender(fault) => fault,
                PumpError::Receiver => panic!("the receiver takes everything"),
            })
        };
        let mut pass = || {
            for piece in pieces {
                from.inbox.buffer = Some(buffers.hold(piece.as_bytes()));
                step(pump, &mut from)?;
            }
            pump.decoder.end_of_input()?;
            while !pump.ended {
                step(pump, &mut from)?;
            }
            Ok(())
        };
        let outcome = pass();
        (got, outcome)
    }

    /// A body, how it is framed for the receiver, and the length that was announced.
    type Way = (BodyLength, bool, Option<u64>);
    const EXACT: Way = (BodyLength::Exact(11), false, Some(11));
    const CHUNKED: Way = (BodyLength::Chunked, true, None);
    /// From a stream that has announced the length, to a receiver that is told it.
    const STREAM: Way = (BodyLength::UntilClose, false, Some(11));
    /// From a stream that has not.
    const LONG_STREAM: Way = (BodyLength::UntilClose, true, None);

    fn promised((length, chunked, announced): Way) -> Pump {
        let mut pump = Pump::new(length, chunked, None);
        pump.keep();
        pump.promise(Some(HELLO_WORLD), announced);
        pump
    }

    #[test]
    fn a_body_that_is_what_was_promised_passes() {
        for (way, pieces, want) in [
            (EXACT, &["hello world"][..], "hello world"),
            (EXACT, &["hello", " ", "world"], "hello world"),
            (CHUNKED, &["b\r\nhello world\r\n0\r\n\r\n"], "b\r\nhello world\r\n0\r\n\r\n"),
            (CHUNKED, &["5\r\nhello\r\n6\r\n world\r\n", "0\r\n\r\n"], "b\r\nhello world\r\n0\r\n\r\n"),
            (
                CHUNKED,
                &["b\r\nhello world\r\n0\r\n", "x: y\r\n\r\n"],
                "b\r\nhello world\r\n0\r\nx: y\r\n\r\n",
            ),
            (STREAM, &["hello", " world"], "hello world"),
            (LONG_STREAM, &["hello", " world"], "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"),
        ] {
            let mut pump = promised(way);
            assert_eq!(pass(&mut pump, pieces), (want.to_owned(), Ok(())), "{pieces:?}");
            assert_eq!(pump.whole(), Some(&b"hello world"[..]));
        }
    }

    #[test]
    fn of_another_body_the_receiver_never_gets_the_end() {
        for (way, pieces, want) in [
            (EXACT, &["hello_world"][..], ""),
            (EXACT, &["hello_", "world"], "hello_"),
            (EXACT, &["hello worl", "D"], "hello worl"),
            (CHUNKED, &["b\r\nhello_world\r\n0\r\n\r\n"], ""),
            (CHUNKED, &["b\r\nhello_world\r\n", "0\r\n\r\n"], "b\r\nhello_world\r\n"),
            (CHUNKED, &["b\r\nhello_world\r\n0\r\n", "x: y\r\n\r\n"], "b\r\nhello_world\r\n"),
            (CHUNKED, &["5\r\nhello\r\n0\r\n\r\n"], ""),
            (CHUNKED, &["0\r\n\r\n"], ""),
            (STREAM, &["hello_", "world"], "hello_"),
            (STREAM, &["hello world", "!"], "hello world"),
            (LONG_STREAM, &["hello", "_world"], "5\r\nhello\r\n6\r\n_world\r\n"),
            (LONG_STREAM, &[], ""),
        ] {
            let mut pump = promised(way);
            let wrong = Err(Fault::DigestMismatch);
            assert_eq!(pass(&mut pump, pieces), (want.to_owned(), wrong), "{pieces:?}");
            assert_eq!((pump.whole(), pump.ended), (None, false), "{pieces:?}");
            assert!(pass(&mut pump, &[]).1.is_err(), "and it stays so");
        }
    }

    #[test]
    fn of_a_body_that_is_too_large_nothing_passes_for_the_whole() {
        let mut pump = Pump::new(BodyLength::Exact(11), false, Some(10));
        pump.keep();
        assert_eq!(pass(&mut pump, &["hello ", "world"]), ("hello ".to_owned(), Err(Fault::BodyTooLarge)));
        assert_eq!((pump.is_received(), pump.whole()), (true, None), "a mirrored copy would be cut");
    }

    #[test]
    fn what_is_sent_once_more_was_checked() {
        let mut pump = promised(EXACT);
        let first = pass(&mut pump, &["hello ", "worl"]);
        assert_eq!(first, ("hello worl".to_owned(), Err(Fault::BodyCut)), "the receiver breaks off here");
        pump.repeat();
        assert_eq!(pass(&mut pump, &["", "d"]), ("hello world".to_owned(), Ok(())));
        pump.repeat();
        assert_eq!(pass(&mut pump, &[]), ("hello world".to_owned(), Ok(())));
    }
}

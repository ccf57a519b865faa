//! Moves one body from one connection to another, piece by piece, with back-pressure.
//!
//! Nothing is read while the last piece was not taken, so a slow reader slows its sender. A piece is
//! decoded and framed anew in the buffer it was read into, and leaves together with the head that waits
//! in front of it. The same pump serves both directions.

use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;
use std::task::{Context, Poll};

use message::{Fault, Headers};
use policy::HeldBody;
use signatures::ExpectedDigest;
use wire::{BodyDecoder, BodyLength};

use crate::buffers::Buffer;
use crate::connection::Connection;
use crate::hold::Held;
use crate::promise::Promise;
use crate::route::LiveRoute;
use crate::translation::Translation;

/// The longest part of a body that is kept to be sent once more, in bytes.
const MOST_KEPT: usize = 64 * 1024;
/// From here on what was read before leaves in large buffers, in bytes.
const LONG: usize = 16 * 1024;

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
    /// What was read into memory before, and is sent first.
    held: Option<Box<Held>>,
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
            held: None,
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

    /// What was read of the body is sent first; what follows it on the connection, behind it.
    pub(crate) fn hold(&mut self, held: Held) {
        self.held = Some(Box::new(held));
    }

    /// What was read of the body, if it was: it is not needed any more, or not enough.
    pub(crate) fn release(&mut self) -> Option<Held> {
        self.held.take().map(|held| *held)
    }

    /// What was read of the body, if it was.
    pub(crate) fn held(&self) -> Option<&HeldBody> {
        self.held.as_ref().map(|held| &*held.body)
    }

    /// Whether a part of the body was read into memory.
    pub(crate) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Passes a body on that was read into memory, from its begin: to a receiver that gets chunks if `chunked`.
    pub(crate) fn begin_held(&mut self, chunked: bool, limit: Option<u64>) {
        let decoder = std::mem::replace(&mut self.decoder, BodyDecoder::new(BodyLength::Empty));
        let mut held = self.held.take();
        held.iter_mut().for_each(|held| held.sent = 0);
        *self = Pump { decoder, held, chunked, limit, ..Pump::default() };
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
        if self.taken == 0 && self.held.is_none() {
            self.kept = Some(Vec::new());
        }
    }

    /// Whether everything that was sent can be sent once more.
    pub(crate) fn can_repeat(&self) -> bool {
        self.taken == 0 || self.kept.is_some()
    }

    /// The whole body, if all of it has come and it was kept.
    pub(crate) fn whole(&self) -> Option<&[u8]> {
        let held = self.held.as_ref().filter(|held| held.body.is_whole && self.ended);
        held.map(|held| held.body.bytes.as_slice()).or(self.kept.as_deref().filter(|_| self.is_received()))
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

    /// Whether everything that has come is staged.
    #[inline]
    fn is_drained(&self) -> bool {
        self.decoder.is_done() && self.held.as_ref().is_none_or(|held| held.rest().is_empty())
    }

    /// The sender sends nothing more.
    pub(crate) fn end_of_input(&mut self) -> Result<(), Fault> {
        self.decoder.end_of_input()
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
            if !from.inbox.is_empty() || self.decoder.is_done() || self.has_rest() {
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
        let piece = match self.held_piece(from) {
            Some(piece) => Some(piece),
            None => self.take_piece(from).map_err(PumpError::Sender)?,
        };
        if let Some((buffer, payload)) = piece {
            self.stage(buffer, payload, from, to)?;
        }
        if self.is_drained() && !self.ended && to.outgoing.body.is_none() {
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

    /// Whether something that was read before waits to be sent.
    #[inline]
    fn has_rest(&self) -> bool {
        self.held.as_ref().is_some_and(|held| !held.rest().is_empty())
    }

    /// The next piece of what was read before, in a buffer.
    fn held_piece(&mut self, from: &Connection) -> Option<(Buffer, Range<usize>)> {
        let held = self.held.as_mut().filter(|held| !held.rest().is_empty())?;
        let mut buffer = from.buffers.take(held.rest().len() > LONG);
        let room = buffer.room();
        let count = room.len().min(held.rest().len());
        room[..count].copy_from_slice(&held.rest()[..count]);
        buffer.add(count);
        held.sent += count;
        let range = buffer.range();
        Some((buffer, range))
    }

    /// Takes what is in the sender's inbox, and decodes it in place.
    pub(crate) fn take_piece(
        &mut self,
        from: &mut Connection,
    ) -> Result<Option<(Buffer, Range<usize>)>, Fault> {
        if self.decoder.is_done() {
            return Ok(None);
        }
        let Some(mut buffer) = from.inbox.buffer.take() else { return Ok(None) };
        let range = buffer.range();
        let decoded = self.decoder.decode(buffer.raw(), range.clone())?;
        if decoded.consumed < range.end {
            // What follows belongs to the next message. It is rare, and short.
            from.inbox.buffer = Some(buffer.split_off(decoded.consumed)).filter(|rest| !rest.is_empty());
        }
        self.taken += (decoded.consumed - range.start) as u64;
        if from.ended && from.is_stream() && from.inbox.is_empty() {
            self.decoder.end_of_input()?;
        }
        Ok(Some((buffer, decoded.payload)))
    }

    /// Frames a piece of the payload, and hands it to the receiver.
    fn stage(
        &mut self,
        mut buffer: Buffer,
        mut payload: Range<usize>,
        from: &Connection,
        to: &mut Connection,
    ) -> Result<(), PumpError> {
        self.passed += payload.len() as u64;
        if self.limit.is_some_and(|limit| self.passed > limit) {
            // As for a body that is not what was promised: what was kept is only its begin.
            self.kept = None;
            return Err(PumpError::Sender(Fault::BodyTooLarge));
        }
        self.check_promise(buffer.raw().get(payload.clone()).unwrap_or_default())?;
        let makes_chunks = self.makes_chunks();
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
        let is_last = self.is_drained()
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
        Ok(())
    }

    /// Looks at a piece of the payload before it is passed on; an empty one at the end.
    fn check_promise(&mut self, piece: &[u8]) -> Result<(), PumpError> {
        let is_last = self.is_drained();
        let Some(promise) = &mut self.promise else { return Ok(()) };
        promise.take(piece, is_last).map_err(|fault| {
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
mod tests;

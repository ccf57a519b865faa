//! Moves one body from one connection to another, piece by piece, with back-pressure.
//!
//! Nothing is read while the last piece was not taken, so a slow reader slows its sender. A piece is
//! decoded and framed anew in the buffer it was read into, and leaves together with the head that waits
//! in front of it. The same pump serves both directions.

use std::task::{Context, Poll};

use message::Fault;
use wire::{BodyDecoder, BodyLength};

use crate::transport::Connection;

/// A body on its way.
pub(crate) struct Pump {
    decoder: BodyDecoder,
    /// Whether the receiver gets chunks.
    chunked: bool,
    /// The last byte was handed to the socket.
    pub(crate) done: bool,
    /// The end was framed and waits to be sent.
    ended: bool,
    /// The most payload that may pass.
    limit: Option<u64>,
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
            done: false,
            ended: false,
            limit,
            taken: 0,
            passed: 0,
            sent: 0,
            waits_for: Waits::Nothing,
        }
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
            if !to.outgoing.is_empty() {
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
                return Err(PumpError::Sender(Fault::BodyTooLarge));
            }
            let is_last = self.decoder.is_done() && self.decoder.trailers().is_none();
            let framed = if self.chunked {
                wire::frame_chunk(buffer.raw(), decoded.payload, is_last)
            } else {
                decoded.payload
            };
            self.ended |= is_last;
            buffer.set_range(framed);
            if !buffer.is_empty() {
                to.outgoing.body = Some(buffer);
            }
        }
        if self.decoder.is_done() && !self.ended && to.outgoing.body.is_none() {
            if self.chunked {
                wire::write_last_chunk(to.head_mut(), self.decoder.trailers());
            }
            self.ended = true;
        }
        Ok(())
    }
}

//! The stream of a request over HTTP/3: what the `h3` crate makes of it and has of it, and what QUIC has taken.
//!
//! Entry points: [`Pipe`] for whoever sends and reads, [`RequestIo`] for the library. What is different from what the
//! library is used to says `quic.rs`.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h3::error::Code;
use h3::quic::{self, StreamErrorIncoming, StreamId, WriteBuf};
use quinn::VarInt;
use wire::FrameReader;

use crate::quic::{Watch, poll_piece, stream_id, variable};
use crate::stream::Payload;

/// Both directions of the stream of a request.
pub(crate) struct Pipe {
    send: quinn::SendStream,
    receive: quinn::RecvStream,
    frames: FrameReader,
    /// What the library has made and QUIC has not taken.
    waiting: VecDeque<WriteBuf<Payload>>,
    /// What waits is all there is.
    finishing: bool,
    /// The end was handed over, or the stream was reset.
    closed: bool,
    /// The client has sent its last byte.
    received: bool,
    /// A frame was longer than it may be.
    too_long: bool,
    watch: Rc<Watch>,
}

impl Pipe {
    pub(crate) fn new(send: quinn::SendStream, receive: quinn::RecvStream, watch: &Rc<Watch>) -> Pipe {
        Pipe {
            send,
            receive,
            frames: watch.frames(),
            waiting: VecDeque::new(),
            finishing: false,
            closed: false,
            received: false,
            too_long: false,
            watch: Rc::clone(watch),
        }
    }

    /// The number of the stream.
    pub(crate) fn id(&self) -> u64 {
        VarInt::from(self.send.id()).into_inner()
    }

    /// Whether something was not handed over.
    pub(crate) fn has_unsent(&self) -> bool {
        !self.closed && (self.finishing || !self.waiting.is_empty())
    }

    /// Bytes that were not handed over.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.iter().map(Buf::remaining).sum()
    }

    /// Whether a frame was longer than it may be.
    pub(crate) fn is_too_long(&self) -> bool {
        self.too_long
    }

    /// Hands over what waits, as far as the windows of the client allow, and the end behind it.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(first) = self.waiting.front_mut() {
            if first.has_remaining() {
                match ready!(Pin::new(&mut self.send).poll_write(cx, first.chunk())) {
                    Ok(count) => first.advance(count),
                    Err(_) => {
                        self.waiting.clear();
                        self.closed = true;
                        return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
                    }
                }
            } else {
                self.waiting.pop_front();
            }
        }
        if self.finishing && !self.closed {
            self.closed = true;
            if self.send.finish().is_err() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether all of it was handed over, and the end behind it.
    pub(crate) fn is_finished(&self) -> bool {
        self.closed && self.finishing
    }

    /// What is to be sent has come to its end.
    pub(crate) fn finish(&mut self) {
        self.finishing = true;
    }

    /// Ready when the client has taken everything, does not want more, or has gone.
    pub(crate) fn stopped(&self) -> impl Future<Output = bool> + use<> {
        let stopped = self.send.stopped();
        async move { !matches!(stopped.await, Ok(None)) }
    }

    /// Ready when the client has broken its request off.
    pub(crate) fn poll_broken_off(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.received {
            return Poll::Pending;
        }
        match ready!(pin!(self.receive.received_reset()).poll(cx)) {
            Ok(None) => Poll::Pending,
            Ok(Some(_)) | Err(_) => Poll::Ready(()),
        }
    }

    /// Breaks off both directions, as far as they have not come to their end.
    pub(crate) fn reset(&mut self, code: Code) {
        if !self.closed {
            (self.closed, self.finishing) = (true, false);
            self.waiting.clear();
            let _ = self.send.reset(variable(code));
        }
        self.stop(code);
    }

    /// Wants no more from the client.
    fn stop(&mut self, code: Code) {
        if !self.received {
            self.received = true;
            let _ = self.receive.stop(variable(code));
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // QUIC itself would end a message that was cut as if it were whole.
        if !self.closed {
            self.reset(Code::H3_INTERNAL_ERROR);
        }
        // RFC 9114 §4.1: the answer is complete, and the rest of the request not needed.
        self.stop(Code::H3_NO_ERROR);
    }
}

/// The stream of a request, as the library has it.
pub(crate) struct RequestIo(pub(crate) Rc<RefCell<Pipe>>);

impl quic::RecvStream for RequestIo {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        let pipe = &mut *self.0.borrow_mut();
        if pipe.received {
            return Poll::Ready(Ok(None));
        }
        let polled = ready!(poll_piece(&mut pipe.receive, &mut pipe.frames, &pipe.watch, cx));
        match &polled {
            Ok(None) => pipe.received = true,
            Ok(Some(_)) => {}
            Err(StreamErrorIncoming::StreamTerminated { error_code }) => {
                pipe.too_long = Code::H3_EXCESSIVE_LOAD == *error_code;
            }
            Err(_) => {}
        }
        Poll::Ready(polled)
    }

    fn stop_sending(&mut self, code: u64) {
        let mut pipe = self.0.borrow_mut();
        if !std::mem::replace(&mut pipe.received, true) {
            let _ = pipe.receive.stop(VarInt::from_u64(code).unwrap_or(VarInt::MAX));
        }
    }

    fn recv_id(&self) -> StreamId {
        stream_id(self.0.borrow().receive.id())
    }
}

impl quic::SendStream<Payload> for RequestIo {
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<Payload>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        let mut pipe = self.0.borrow_mut();
        if !pipe.closed && !pipe.finishing {
            pipe.waiting.push_back(data.into());
        }
        Ok(())
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.0.borrow_mut().finish();
        Poll::Ready(Ok(()))
    }

    fn reset(&mut self, code: u64) {
        let mut pipe = self.0.borrow_mut();
        if !std::mem::replace(&mut pipe.closed, true) {
            pipe.waiting.clear();
            let _ = pipe.send.reset(VarInt::from_u64(code).unwrap_or(VarInt::MAX));
        }
    }

    fn send_id(&self) -> StreamId {
        stream_id(self.0.borrow().send.id())
    }
}

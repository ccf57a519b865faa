//! One request of a client over HTTP/3, as the engine sees a stream.
//!
//! The `h3` crate encodes and decodes; how much is sent and read is decided here. It does not compare the length of a
//! body with what its head announces: that is done here too (RFC 9114 §4.1.2).

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use h3::error::{Code, StreamError};
use h3::server::RequestStream;
use message::Headers;

use crate::connection::Outgoing;
use crate::pipe::{Pipe, RequestIo};
use crate::stream::Payload;

/// How much of heads may wait before interim responses are left out, in bytes.
const MOST_WAITING: usize = 64 * 1024;

/// A stream that a client has opened.
pub(crate) struct Http3Stream {
    messages: RequestStream<RequestIo, Payload>,
    pipe: Rc<RefCell<Pipe>>,
    /// What was received and did not fit into the buffer of whoever read.
    left: Bytes,
    /// What came behind the body.
    trailers: Option<Box<Headers>>,
    progress: Progress,
    /// How much of the body must still come, where its head has told.
    promised: Option<u64>,
    finish: Finish,
    /// What is to be sent behind the body.
    last: Option<Box<Headers>>,
    stopped: Option<Pin<Box<dyn Future<Output = bool>>>>,
    /// The client has given it up.
    gone: bool,
    broken: bool,
}

/// How far reading has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Body,
    Trailers,
    Done,
}

/// How far the end of what is sent has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finish {
    /// More may follow.
    Open,
    /// What waits is all there is.
    Wanted,
    /// The end waits with what is in front of it.
    Encoded,
    /// The end was handed over.
    Done,
}

/// The outcome of what does not wait: everything that the library sends is only queued.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => Some(outcome),
        Poll::Pending => None,
    }
}

fn broken() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

impl Http3Stream {
    /// A request whose head has come, and what it says of the length of its body.
    pub(crate) fn accepted(
        messages: RequestStream<RequestIo, Payload>,
        pipe: Rc<RefCell<Pipe>>,
        promised: Option<u64>,
    ) -> Http3Stream {
        Http3Stream {
            messages,
            pipe,
            left: Bytes::new(),
            trailers: None,
            progress: Progress::Body,
            promised,
            finish: Finish::Open,
            last: None,
            stopped: None,
            gone: false,
            broken: false,
        }
    }

    /// Reads what has come already: a request without a body ends with its head. Whether anything has.
    pub(crate) fn look_ahead(&mut self, cx: &mut Context<'_>) -> bool {
        // What is wrong is remembered, and found by whoever reads.
        self.poll_piece(cx).is_ready()
    }

    /// Whether the client has broken the rules of its own message.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    pub(crate) fn send_interim(&mut self, response: http::Response<()>) {
        if self.finish == Finish::Open && self.pipe.borrow().waiting() < MOST_WAITING {
            // A client that has gone is noticed elsewhere.
            let _ = at_once(self.messages.send_response(response));
        }
    }

    pub(crate) fn send_response(&mut self, response: http::Response<()>, ends: bool) {
        if !matches!(at_once(self.messages.send_response(response)), Some(Ok(()))) {
            return self.break_off(Code::H3_INTERNAL_ERROR);
        }
        if ends {
            self.finish(None);
        }
    }

    pub(crate) fn finish(&mut self, trailers: Option<&Headers>) {
        if self.finish == Finish::Open {
            self.finish = Finish::Wanted;
            self.last = trailers.filter(|fields| !fields.is_empty()).cloned().map(Box::new);
        }
    }

    pub(crate) fn has_unsent(&self) -> bool {
        matches!(self.finish, Finish::Wanted | Finish::Encoded) || self.pipe.borrow().has_unsent()
    }

    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut Outgoing,
        sent: &mut u64,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.broken {
                return Poll::Ready(Err(broken()));
            }
            let flushed = ready!(self.pipe.borrow_mut().poll_flush(cx));
            if let Err(error) = flushed {
                self.broken = true;
                return Poll::Ready(Err(error));
            }
            let failed = match (outgoing.len_of_first(), self.finish) {
                (Some(_), Finish::Encoded | Finish::Done) => true,
                (Some(_), Finish::Open | Finish::Wanted) => {
                    let payload = outgoing.take_first(usize::MAX);
                    *sent += payload.remaining() as u64;
                    !matches!(at_once(self.messages.send_data(payload)), Some(Ok(())))
                }
                (None, Finish::Open | Finish::Done) => return Poll::Ready(Ok(())),
                (None, Finish::Encoded) => {
                    self.finish = Finish::Done;
                    return Poll::Ready(Ok(()));
                }
                (None, Finish::Wanted) => {
                    self.finish = Finish::Encoded;
                    !self.encode_end()
                }
            };
            if failed {
                self.break_off(Code::H3_INTERNAL_ERROR);
            }
        }
    }

    /// Encodes the end of the message.
    fn encode_end(&mut self) -> bool {
        if let Some(trailers) = self.last.take() {
            // The client may take less of them than there is; the body is complete all the same.
            let _ = at_once(self.messages.send_trailers(wire::trailers_message(&trailers)));
        }
        matches!(at_once(self.messages.finish()), Some(Ok(())))
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.left.is_empty() && !ready!(self.poll_piece(cx))? {
            return Poll::Ready(Ok(0));
        }
        let count = self.left.len().min(room.len());
        room[..count].copy_from_slice(&self.left[..count]);
        self.left.advance(count);
        if self.left.is_empty() {
            // The end often comes with the last piece, and is then said with it.
            let _ = self.poll_piece(cx);
        }
        Poll::Ready(Ok(count))
    }

    /// Fetches a piece of the body; `false` when it has ended.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        while self.left.is_empty() {
            match self.progress {
                Progress::Done => return Poll::Ready(Ok(false)),
                Progress::Body => match ready!(self.messages.poll_recv_data(cx)) {
                    Ok(Some(mut piece)) => self.left = piece.copy_to_bytes(piece.remaining()),
                    Ok(None) => self.progress = Progress::Trailers,
                    Err(error) => return Poll::Ready(Err(self.unreadable(&error))),
                },
                Progress::Trailers => {
                    match ready!(self.messages.poll_recv_trailers(cx)) {
                        Ok(map) => self.trailers = map.map(|map| Box::new(wire::read_trailers(&map))),
                        Err(error) => return Poll::Ready(Err(self.unreadable(&error))),
                    }
                    self.progress = Progress::Done;
                }
            }
            if !self.keeps_promise() {
                // Of a message that is not what it says nothing may look whole, on either side.
                self.break_off(Code::H3_MESSAGE_ERROR);
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
        }
        Poll::Ready(Ok(true))
    }

    /// Whether the body is as long as its head says, as far as it has come.
    fn keeps_promise(&mut self) -> bool {
        let Some(promised) = &mut self.promised else { return true };
        let came = if self.progress == Progress::Body { self.left.len() as u64 } else { 0 };
        match promised.checked_sub(came) {
            Some(0) => {
                *promised = 0;
                true
            }
            Some(left) => {
                *promised = left;
                self.progress == Progress::Body
            }
            None => false,
        }
    }

    fn unreadable(&mut self, error: &StreamError) -> io::Error {
        let too_long = matches!(error, StreamError::HeaderTooBig { .. }) || self.pipe.borrow().is_too_long();
        self.break_off(if too_long { Code::H3_EXCESSIVE_LOAD } else { Code::H3_MESSAGE_ERROR });
        io::ErrorKind::ConnectionReset.into()
    }

    pub(crate) fn is_read(&self) -> bool {
        self.left.is_empty() && self.progress == Progress::Done
    }

    pub(crate) fn trailers(&self) -> Option<&Headers> {
        self.trailers.as_deref()
    }

    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.finish == Finish::Done {
            return Poll::Pending;
        }
        if self.broken || self.gone {
            return Poll::Ready(());
        }
        let pipe = &self.pipe;
        if self.progress == Progress::Done || pipe.borrow_mut().poll_broken_off(cx).is_pending() {
            let stopped = self.stopped.get_or_insert_with(|| Box::pin(pipe.borrow().stopped()));
            ready!(stopped.as_mut().poll(cx));
        }
        self.gone = true;
        Poll::Ready(())
    }

    pub(crate) fn reset(&mut self) {
        self.break_off(if self.gone { Code::H3_REQUEST_CANCELLED } else { Code::H3_INTERNAL_ERROR });
    }

    fn break_off(&mut self, code: Code) {
        self.broken = true;
        self.pipe.borrow_mut().reset(code);
    }
}

impl Drop for Http3Stream {
    fn drop(&mut self) {
        // Whoever gives an exchange up half way need not say so.
        if self.finish != Finish::Done {
            self.reset();
        }
    }
}

//! One side of an exchange: what was read and not consumed, what waits to be sent.
//!
//! Below it is a connection that carries HTTP/1.1, or one stream of a connection that carries many; the rest of the
//! engine need not know which.

use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use message::{Headers, ResponseHead};
use wire::ResponseFraming;

use crate::buffers::{Buffer, Buffers, Inbox};
use crate::stream::{Payload, Stream};
use crate::transport::Transport;

/// The longest piece of a body that is copied behind a head, in bytes.
const JOIN: usize = 1024;

/// One connection or stream, to a client or to a service.
pub(crate) struct Connection {
    /// What carries the bytes.
    pub(crate) transport: Transport,
    /// Bytes read and not yet consumed.
    pub(crate) inbox: Inbox,
    /// Bytes not yet accepted by the socket.
    pub(crate) outgoing: Outgoing,
    /// The peer has said that it will send nothing more.
    pub(crate) ended: bool,
    /// The last read filled its buffer: a larger one will pay.
    pub(crate) flooding: bool,
    /// A message was begun and not finished: whoever closes now must not make it look whole.
    pub(crate) unfinished: bool,
    /// Bytes that the socket took, or the outbox of the worker.
    pub(crate) sent: u64,
    pub(crate) buffers: Rc<Buffers>,
}

/// A head and a piece of a body that wait to be sent, together if possible.
#[derive(Default)]
pub(crate) struct Outgoing {
    /// Text of heads and last chunks; see [`Connection::head_mut`].
    head: Vec<u8>,
    head_sent: usize,
    /// A piece of a body, framed.
    pub(crate) body: Option<Buffer>,
}

impl Outgoing {
    /// Whether everything was sent.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_empty() && self.body.is_none()
    }

    /// Copies a short piece of a body behind the head, as far as nothing of it was sent: sending from one place is
    /// cheaper for the system than gathering from two.
    #[inline]
    fn join(&mut self) {
        if !self.head.is_empty()
            && let Some(body) = &self.body
            && body.filled().len() <= JOIN
        {
            self.head.extend_from_slice(body.filled());
            self.body = None;
        }
    }

    /// The length of what is sent next: the text, or the piece of a body.
    pub(crate) fn len_of_first(&self) -> Option<usize> {
        match (self.head.len() - self.head_sent, &self.body) {
            (0, Some(body)) => Some(body.filled().len()),
            (0, None) => None,
            (length, _) => Some(length),
        }
    }

    /// Takes at most so much of what is sent next, for a stream.
    pub(crate) fn take_first(&mut self, most: usize) -> Payload {
        if !self.head.is_empty() {
            let rest = self.head.get(self.head_sent..).unwrap_or_default();
            let piece = Bytes::copy_from_slice(rest.get(..most).unwrap_or(rest));
            self.head_sent += piece.len();
            if self.head_sent >= self.head.len() {
                self.head.clear();
                self.head_sent = 0;
            }
            return Payload::Text(piece);
        }
        match self.body.take() {
            Some(body) if body.filled().len() <= most => Payload::Buffer(body),
            Some(mut body) => {
                let piece = Bytes::copy_from_slice(body.filled().get(..most).unwrap_or_default());
                body.consume(piece.len());
                self.body = Some(body);
                Payload::Text(piece)
            }
            None => Payload::Text(Bytes::new()),
        }
    }

    /// Bytes of text that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.head.len()
    }
}

impl Connection {
    /// A fresh connection.
    pub(crate) fn new(transport: Transport, buffers: &Rc<Buffers>) -> Connection {
        Connection {
            transport,
            inbox: Inbox::default(),
            outgoing: Outgoing::default(),
            ended: false,
            flooding: false,
            unfinished: false,
            sent: 0,
            buffers: Rc::clone(buffers),
        }
    }

    /// The text that is sent next, to append to.
    pub(crate) fn head_mut(&mut self) -> &mut Vec<u8> {
        if self.outgoing.head.capacity() == 0 {
            self.outgoing.head = self.buffers.take_text();
        }
        &mut self.outgoing.head
    }

    /// Reads once into the inbox. `Ok(0)` when the peer has ended or there is no room; a caller that
    /// must tell them apart looks at `ended`.
    #[inline]
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Ok(0));
        }
        let mut buffer = match self.inbox.buffer.take() {
            Some(buffer) => buffer,
            None => self.buffers.take(self.flooding),
        };
        if buffer.room().is_empty() {
            self.inbox.buffer = Some(buffer);
            return Poll::Ready(Ok(0));
        }
        let outcome = self.transport.poll_read(cx, buffer.room());
        if let Poll::Ready(Ok(count)) = outcome {
            buffer.add(count);
            self.ended = count == 0;
            self.flooding = buffer.is_full();
            if let Transport::Stream(stream) = &self.transport {
                // A stream can say so with the last piece, and takes pieces of a window at most.
                self.ended |= stream.is_read();
                self.flooding = false;
            }
        }
        if !buffer.is_empty() {
            self.inbox.buffer = Some(buffer);
        }
        outcome
    }

    /// Whether something waits to be sent.
    #[inline]
    pub(crate) fn has_unsent(&self) -> bool {
        !self.outgoing.is_empty() || self.transport.has_unsent()
    }

    /// Whether what is sent from now on goes to the socket at once, and not by way of the outbox.
    #[inline]
    pub(crate) fn send_at_once(&mut self, at_once: bool) {
        self.transport.set_urgent(at_once);
    }

    /// Sends what is waiting. Ready when all of it was accepted, by the socket or the outbox of the worker; `sent`
    /// counts how much was.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Transport::Stream(stream) = &mut self.transport {
            return stream.poll_send(cx, &mut self.outgoing, &mut self.sent);
        }
        while !self.outgoing.is_empty() {
            let outgoing = &mut self.outgoing;
            outgoing.join();
            if let (Transport::Tcp(socket), 0, None) =
                (&mut self.transport, outgoing.head_sent, &outgoing.body)
            {
                let length = outgoing.head.len();
                if socket.post(cx, &mut outgoing.head) {
                    self.sent += length as u64;
                    return Poll::Ready(Ok(()));
                }
            }
            let head = outgoing.head.get(outgoing.head_sent..).unwrap_or_default();
            let body = outgoing.body.as_ref().map_or(&[][..], Buffer::filled);
            let count = match (head.is_empty(), body.is_empty()) {
                (true, true) => 0,
                (false, true) => ready!(self.transport.poll_write(cx, &[IoSlice::new(head)]))?,
                (true, false) => ready!(self.transport.poll_write(cx, &[IoSlice::new(body)]))?,
                (false, false) => {
                    ready!(self.transport.poll_write(cx, &[IoSlice::new(head), IoSlice::new(body)]))?
                }
            };
            if count == 0 && !(head.is_empty() && body.is_empty()) {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += count as u64;
            let of_head = count.min(head.len());
            outgoing.head_sent += of_head;
            if outgoing.head_sent >= outgoing.head.len() {
                self.buffers.give_text(std::mem::take(&mut outgoing.head));
                outgoing.head_sent = 0;
            }
            if let Some(body) = &mut outgoing.body {
                body.consume(count - of_head);
                if body.is_empty() {
                    outgoing.body = None;
                }
            }
        }
        self.transport.poll_flush(cx)
    }

    /// The stream, where this is not a connection of its own.
    #[inline]
    pub(crate) fn stream(&mut self) -> Option<&mut Stream> {
        match &mut self.transport {
            Transport::Stream(stream) => Some(stream),
            Transport::Tcp(_) | Transport::Tls(_) | Transport::Nowhere => None,
        }
    }

    /// Whether this is a stream, and not a connection of its own.
    #[inline]
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.transport, Transport::Stream(_))
    }

    /// Sends the head of a response, as the version of this connection writes it. `ends` says that nothing follows it.
    pub(crate) fn send_response(&mut self, head: &ResponseHead, framing: &ResponseFraming<'_>, ends: bool) {
        match &mut self.transport {
            Transport::Stream(stream) => match wire::response_message(head, framing) {
                Some(response) => stream.send_response(response, ends),
                None => stream.reset(),
            },
            Transport::Tcp(_) | Transport::Tls(_) | Transport::Nowhere => {
                wire::write_response(self.head_mut(), head, framing);
            }
        }
    }

    /// Sends a whole response that the gateway makes itself: a head that was begun with its status line, and maybe a body,
    /// which `push_body` appends to it.
    pub(crate) fn send_reply(
        &mut self,
        head: &mut ResponseHead,
        framing: &ResponseFraming<'_>,
        push_body: Option<impl FnOnce(&mut Vec<u8>)>,
    ) {
        if !self.is_stream()
            && self.outgoing.is_empty()
            && let Some(text) = wire::end_response(head, framing)
        {
            // It is sent from where it was put together.
            if let Some(push) = push_body {
                push(text);
            }
            std::mem::swap(text, self.head_mut());
            return;
        }
        self.send_response(head, framing, push_body.is_none());
        if let Some(push) = push_body {
            push(self.head_mut());
            self.finish(None);
        }
    }

    /// Sends the head of an interim response.
    pub(crate) fn send_interim(&mut self, head: &ResponseHead, framing: &ResponseFraming<'_>) {
        match &mut self.transport {
            Transport::Stream(stream) => {
                if let Some(response) = wire::response_message(head, framing) {
                    stream.send_interim(response);
                }
            }
            Transport::Tcp(_) | Transport::Tls(_) | Transport::Nowhere => {
                wire::write_response(self.head_mut(), head, framing);
            }
        }
    }

    /// What waits to be sent is the end of the body, and with these trailers of the message. Says so where a
    /// stream does; elsewhere the framing of the body has.
    #[inline]
    pub(crate) fn finish(&mut self, trailers: Option<&Headers>) {
        if let Transport::Stream(stream) = &mut self.transport {
            stream.finish(trailers);
        }
    }

    /// What came behind the body, of a stream.
    pub(crate) fn trailers(&self) -> Option<&Headers> {
        match &self.transport {
            Transport::Stream(stream) => stream.trailers(),
            Transport::Tcp(_) | Transport::Tls(_) | Transport::Nowhere => None,
        }
    }

    /// Whether nothing is left over from the last exchange, so that the next can begin.
    pub(crate) fn is_clean(&self) -> bool {
        self.inbox.is_empty() && self.outgoing.is_empty() && self.transport.is_empty() && !self.ended
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.unfinished {
            self.transport.reset_on_close();
        }
    }
}

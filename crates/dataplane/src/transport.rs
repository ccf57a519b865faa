//! The seam between the engine and sockets: fill an inbox, push bytes, close.
//!
//! Codecs and policies never see a socket. TLS and other backends become further variants of
//! [`Transport`].

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::buffers::{Buffer, Buffers, Inbox};

/// The longest piece of a body that is copied behind a head, in bytes.
const JOIN: usize = 1024;

/// `EINPROGRESS` on Linux (errno(3)): the connection is being opened.
const IN_PROGRESS: i32 = 115;

/// The byte stream below HTTP.
pub(crate) enum Transport {
    /// Plain TCP.
    Tcp(TcpStream),
}

impl Transport {
    /// Begins to open a connection; see [`Transport::poll_connected`].
    pub(crate) fn begin_connect(address: SocketAddr) -> io::Result<Transport> {
        // By hand, because the runtime's own connect waits in a future of its own, for which every client's task
        // would have to have room.
        let socket =
            Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        // Every message leaves in one write; waiting for more would only add latency. Failing to say so is no
        // reason to fail the request.
        let _ = socket.set_tcp_nodelay(true);
        match socket.connect(&address.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(IN_PROGRESS) => {}
            Err(error) => return Err(error),
        }
        Ok(Transport::Tcp(TcpStream::from_std(socket.into())?))
    }

    /// Ready when a connection is open, or could not be opened.
    pub(crate) fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Tcp(stream) => {
                ready!(stream.poll_write_ready(cx))?;
                Poll::Ready(stream.take_error()?.map_or(Ok(()), Err))
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(room);
        match self {
            Transport::Tcp(stream) => ready!(Pin::new(stream).poll_read(cx, &mut buffer))?,
        }
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Sends from several slices at once.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Transport::Tcp(stream) => match slices {
                [one] => Pin::new(stream).poll_write(cx, one),
                many => Pin::new(stream).poll_write_vectored(cx, many),
            },
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    /// Makes closing a reset, so that the peer can tell a cut message from a whole one.
    pub(crate) fn reset_on_close(&self) {
        match self {
            Transport::Tcp(stream) => {
                // Nothing to do about an error: the connection is closed either way.
                let _ = socket2::SockRef::from(stream).set_linger(Some(std::time::Duration::ZERO));
            }
        }
    }

    /// Whether the connection is known to be broken; a peer that only stopped sending is not.
    pub(crate) fn is_broken(&self) -> bool {
        match self {
            Transport::Tcp(stream) => stream.take_error().map_or(true, |error| error.is_some()),
        }
    }

    /// Whether an unused connection can be used: nothing arrived on it, not even its end. Costs no
    /// system call while nothing happened, and does not depend on a task or its budget.
    pub(crate) fn is_quiet(&self) -> bool {
        match self {
            Transport::Tcp(stream) => {
                let read = stream.try_read(&mut [0]);
                read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
        }
    }
}

/// One HTTP/1.1 connection, to a client or to a service.
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
    /// Bytes that the socket took.
    pub(crate) sent: u64,
    buffers: Rc<Buffers>,
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
        }
        if !buffer.is_empty() {
            self.inbox.buffer = Some(buffer);
        }
        outcome
    }

    /// Sends what is waiting. Ready when all of it was accepted; `sent` counts how much was.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.is_empty() {
            let outgoing = &mut self.outgoing;
            outgoing.join();
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
        Poll::Ready(Ok(()))
    }

    /// Whether nothing is left over from the last exchange, so that the next can begin.
    pub(crate) fn is_clean(&self) -> bool {
        self.inbox.is_empty() && self.outgoing.is_empty() && !self.ended
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.unfinished {
            self.transport.reset_on_close();
        }
    }
}

//! The seam between the engine and sockets: fill an inbox, push bytes, close.
//!
//! Codecs and policies never see a socket. Other backends become further variants of [`Transport`].

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use socket2::{Domain, Protocol, Type};
use tokio::net::TcpStream;

use crate::outbox::{Outbox, Socket};
use crate::stream::Stream;
use crate::tls_stream::TlsStream;

/// `EINPROGRESS` on Linux (errno(3)): the connection is being opened.
const IN_PROGRESS: i32 = 115;

/// The byte stream below HTTP.
pub(crate) enum Transport {
    /// Plain TCP.
    Tcp(Socket),
    /// TLS over TCP.
    Tls(Box<TlsStream>),
    /// One of many streams of a connection; it delimits messages by itself.
    Stream(Box<Stream>),
    /// Nobody: nothing comes, and what is sent is gone.
    Nowhere,
}

impl Transport {
    /// Begins to open a connection; see [`Transport::poll_connected`].
    pub(crate) fn begin_connect(address: SocketAddr, outbox: &Rc<Outbox>) -> io::Result<Transport> {
        // By hand, because the runtime's own connect waits in a future of its own, for which every handler
        // would have to have room.
        let socket = socket2::Socket::new(
            Domain::for_address(address),
            Type::STREAM.nonblocking(),
            Some(Protocol::TCP),
        )?;
        // Every message leaves in one write; waiting for more would only add latency. Failing to say so is no
        // reason to fail the request.
        let _ = socket.set_tcp_nodelay(true);
        match socket.connect(&address.into()) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == Some(IN_PROGRESS) => {}
            Err(error) => return Err(error),
        }
        Ok(Transport::Tcp(Socket::new(TcpStream::from_std(socket.into())?, outbox)))
    }

    /// Ready when a connection is open, or could not be opened.
    pub(crate) fn poll_connected(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Tcp(socket) => {
                let tcp = socket.tcp();
                ready!(tcp.poll_write_ready(cx))?;
                Poll::Ready(tcp.take_error()?.map_or(Ok(()), Err))
            }
            Transport::Tls(_) | Transport::Stream(_) | Transport::Nowhere => Poll::Ready(Ok(())),
        }
    }

    /// Reads once. `Ok(0)` is the end.
    #[inline]
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Transport::Tcp(socket) => socket.poll_read(cx, room),
            Transport::Tls(stream) => stream.poll_read(cx, room),
            Transport::Stream(stream) => stream.poll_read(cx, room),
            Transport::Nowhere => Poll::Pending,
        }
    }

    /// Sends from several slices at once.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Transport::Tcp(socket) => socket.poll_write(cx, slices),
            Transport::Tls(stream) => stream.poll_write(cx, slices),
            // What a stream sends is handed over in whole pieces, see `Stream::poll_send`.
            Transport::Stream(_) => Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
            Transport::Nowhere => Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum())),
        }
    }

    /// Whether it holds back bytes that [`Transport::poll_flush`] would send.
    #[inline]
    pub(crate) fn has_unsent(&self) -> bool {
        match self {
            Transport::Tcp(socket) => socket.is_stuck(),
            Transport::Tls(stream) => stream.has_unsent(),
            Transport::Stream(stream) => stream.has_unsent(),
            Transport::Nowhere => false,
        }
    }

    /// Whether all that was written was sent, also what waits for its turn.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Transport::Tcp(socket) => socket.is_empty(),
            Transport::Tls(stream) => stream.is_empty(),
            Transport::Stream(stream) => !stream.has_unsent(),
            Transport::Nowhere => true,
        }
    }

    /// Whether what is written does not wait for its turn. Streams share a connection, and nothing is urgent on them.
    #[inline]
    pub(crate) fn set_urgent(&mut self, urgent: bool) {
        match self {
            Transport::Tcp(socket) => socket.set_urgent(urgent),
            Transport::Tls(stream) => stream.set_urgent(urgent),
            Transport::Stream(_) | Transport::Nowhere => {}
        }
    }

    /// Sends what was written and is still held back.
    #[inline]
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Tcp(socket) => socket.poll_flush(cx),
            Transport::Tls(stream) => stream.poll_flush(cx),
            Transport::Stream(_) | Transport::Nowhere => Poll::Ready(Ok(())),
        }
    }

    /// Sends everything that was written, also what waits for its turn.
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Tcp(socket) => socket.poll_drain(cx),
            Transport::Tls(stream) => stream.poll_drain(cx),
            Transport::Stream(_) | Transport::Nowhere => Poll::Ready(Ok(())),
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Tcp(socket) => socket.poll_shutdown(cx),
            Transport::Tls(stream) => stream.poll_shutdown(cx),
            Transport::Stream(stream) => {
                stream.finish(None);
                Poll::Ready(Ok(()))
            }
            Transport::Nowhere => Poll::Ready(Ok(())),
        }
    }

    /// Makes closing a reset, so that the peer can tell a cut message from a whole one.
    pub(crate) fn reset_on_close(&mut self) {
        match self {
            Transport::Tcp(socket) => socket.reset_on_close(),
            Transport::Tls(stream) => stream.reset_on_close(),
            Transport::Stream(stream) => stream.reset(),
            Transport::Nowhere => {}
        }
    }

    /// Whether what came so far may have been sent before by somebody else (RFC 8470).
    #[inline]
    pub(crate) fn is_early(&self) -> bool {
        match self {
            Transport::Tls(stream) => stream.is_early(),
            Transport::Tcp(_) | Transport::Stream(_) | Transport::Nowhere => false,
        }
    }

    /// The address that a connection was made to; `None` where only the connection below knows.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Transport::Tcp(socket) => socket.tcp().local_addr().ok(),
            Transport::Tls(stream) => stream.tcp().local_addr().ok(),
            Transport::Stream(_) | Transport::Nowhere => None,
        }
    }

    /// Whether the connection is known to be broken; a peer that only stopped sending is not.
    pub(crate) fn is_broken(&self) -> bool {
        let tcp = match self {
            Transport::Tcp(socket) => socket.tcp(),
            Transport::Tls(stream) => stream.tcp(),
            Transport::Stream(_) | Transport::Nowhere => return false,
        };
        tcp.take_error().map_or(true, |error| error.is_some())
    }

    /// Whether an unused connection can be used: nothing arrived on it, not even its end. Costs no
    /// system call while nothing happened, and does not depend on a task or its budget.
    pub(crate) fn is_quiet(&mut self) -> bool {
        match self {
            Transport::Tcp(socket) => {
                let read = socket.tcp().try_read(&mut [0]);
                read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
            Transport::Tls(stream) => stream.is_quiet(),
            Transport::Stream(_) | Transport::Nowhere => false,
        }
    }
}

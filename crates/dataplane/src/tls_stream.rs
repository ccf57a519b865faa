//! TLS over one TCP connection, on buffers that are borrowed only while they hold bytes.
//!
//! The library reads from and writes to buffers that are passed in, so an idle connection costs its keys and
//! nothing else. What is presented and demanded in a handshake is settled in the `tls` crate; here are only bytes.

use std::cell::Ref;
use std::io::{self, IoSlice};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::{HandshakeKind, ProtocolVersion};
use tokio::net::TcpStream;

use crate::buffers::{Buffer, Buffers};
use crate::outbox::Socket;
use crate::tls_session::{Bytes, HANDSHAKE, Plain, Put, Session, Step, broken, step};

/// The most payload of a record (RFC 8446 §5.1).
const RECORD: usize = 16 * 1024;
/// What a record may add to its payload, with room to spare (RFC 8446 §5.2: 256, and five for its head).
const RECORD_FRAME: usize = 261 + 64;
/// An encrypted connection.
pub(crate) struct TlsStream {
    tcp: Socket,
    session: Session,
    /// Bytes from the peer that make no whole record yet.
    arrived: Option<Buffer>,
    /// What was decrypted and found no room, from `taken` on.
    plain: Vec<u8>,
    taken: usize,
    /// Records that wait to be sent.
    sealed: Option<Buffer>,
    /// The last read filled its buffer: a larger one will pay.
    flooding: bool,
    end: End,
    /// The notice of closing was made.
    closing: bool,
    buffers: Rc<Buffers>,
}

/// How the peer has ended, if it has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// It said so.
    Closed,
    /// It did not say so, or said something wrong: what came may not be whole.
    Broken,
}

impl TlsStream {
    /// The side of a listener. Some of what the client has sent may have `arrived` already.
    pub(crate) fn server(
        tcp: Socket,
        tls: &tls::Server,
        arrived: Option<Buffer>,
        buffers: &Rc<Buffers>,
    ) -> io::Result<TlsStream> {
        let session = UnbufferedServerConnection::new(Arc::clone(tls.config())).map_err(broken)?;
        let mut stream = TlsStream::new(tcp, Session::Server(Box::new(session)), buffers);
        stream.arrived = arrived;
        Ok(stream)
    }

    /// The side that calls a service of this name.
    pub(crate) fn client(
        tcp: Socket,
        tls: &tls::Client,
        name: ServerName<'static>,
        buffers: &Rc<Buffers>,
    ) -> io::Result<TlsStream> {
        let session = UnbufferedClientConnection::new(Arc::clone(tls.config()), name).map_err(broken)?;
        Ok(TlsStream::new(tcp, Session::Client(Box::new(session)), buffers))
    }

    fn new(tcp: Socket, session: Session, buffers: &Rc<Buffers>) -> TlsStream {
        TlsStream {
            tcp,
            session,
            arrived: None,
            plain: Vec::new(),
            taken: 0,
            sealed: None,
            flooding: false,
            end: End::Open,
            closing: false,
            buffers: Rc::clone(buffers),
        }
    }

    /// The TCP connection below.
    pub(crate) fn tcp(&self) -> Ref<'_, TcpStream> {
        self.tcp.tcp()
    }

    /// Whether what is written is sent at once.
    #[inline]
    pub(crate) fn set_urgent(&mut self, urgent: bool) {
        self.tcp.set_urgent(urgent);
    }

    fn common(&self) -> &rustls::CommonState {
        match &self.session {
            Session::Server(session) => session,
            Session::Client(session) => session,
        }
    }

    /// The protocol that was agreed on (ALPN), after the handshake.
    pub(crate) fn protocol(&self) -> Option<&[u8]> {
        self.common().alpn_protocol()
    }

    /// The version that was agreed on, as it is written in a configuration.
    pub(crate) fn version(&self) -> Option<&'static str> {
        match self.common().protocol_version()? {
            ProtocolVersion::TLSv1_2 => Some("1.2"),
            ProtocolVersion::TLSv1_3 => Some("1.3"),
            _ => None,
        }
    }

    /// Whether the handshake has resumed a session.
    pub(crate) fn is_resumed(&self) -> bool {
        self.common().handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// Whether HTTP/2 was agreed on (RFC 9113 §3.2).
    pub(crate) fn speaks_http2(&self) -> bool {
        self.protocol() == Some(b"h2")
    }

    /// The certificate of the peer, after the handshake.
    pub(crate) fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.common().peer_certificates().and_then(<[_]>::first)
    }

    /// Whether the peer has not finished its side of the handshake: what it has sent so far may be sent again by
    /// somebody else (RFC 8446 §8).
    pub(crate) fn is_early(&self) -> bool {
        self.common().is_handshaking()
    }

    /// Shakes hands. Ready when data can be sent. Of a listener's side also the server name that the client asked
    /// for is told, as soon as it is known.
    pub(crate) fn poll_handshake(
        &mut self,
        cx: &mut Context<'_>,
        server_name: &mut Option<Box<str>>,
    ) -> Poll<io::Result<()>> {
        loop {
            tls::take_server_name();
            let step = self.step(&mut []);
            if let Some(name) = tls::take_server_name() {
                *server_name = Some(name);
            }
            let step = match step {
                Ok((step, _)) => step,
                Err(error) => {
                    // The alert says what is wrong. Whether the peer gets it is its own trouble.
                    let _ = self.poll_flush(cx);
                    return Poll::Ready(Err(error));
                }
            };
            match step {
                Step::Progress => {}
                Step::Idle { ready: true } => return self.poll_flush(cx),
                Step::Idle { ready: false } => {
                    let _ = self.poll_flush(cx)?;
                    ready!(self.poll_receive(cx))?;
                    if self.end != End::Open {
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                }
                Step::Closed => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            }
        }
    }

    /// Ready when the peer has finished its side of the handshake too.
    pub(crate) fn poll_confirmed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.is_early() {
            match self.step(&mut [])?.0 {
                Step::Progress => {}
                Step::Idle { .. } => {
                    let _ = self.poll_flush(cx)?;
                    ready!(self.poll_receive(cx))?;
                    if self.end != End::Open {
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                }
                Step::Closed => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Does the next thing with what has arrived. Returns also how much of `room` was filled.
    fn step(&mut self, room: &mut [u8]) -> io::Result<(Step, usize)> {
        self.step_and_put(room, Put::Nothing)
    }

    fn step_and_put(&mut self, room: &mut [u8], put: Put<'_>) -> io::Result<(Step, usize)> {
        let TlsStream { session, arrived, plain, sealed, buffers, .. } = self;
        let mut plain = Plain { room, filled: 0, rest: plain };
        let bytes = Bytes { arrived, sealed, buffers };
        let step = match session {
            Session::Server(session) => step(&mut **session, bytes, &mut plain, put),
            Session::Client(session) => step(&mut **session, bytes, &mut plain, put),
        };
        match &step {
            Ok(Step::Closed) => self.end = End::Closed,
            Ok(_) => {}
            Err(_) => self.end = End::Broken,
        }
        step.map(|step| (step, plain.filled))
    }

    /// Reads what the peer has sent, as it was encrypted.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut buffer = match self.arrived.take() {
            Some(buffer) => buffer,
            None => self.buffers.take(self.flooding),
        };
        if buffer.is_full() && !buffer.grow(RECORD + RECORD_FRAME) && !buffer.grow(HANDSHAKE) {
            self.end = End::Broken;
            return Poll::Ready(Err(broken("a record is too long")));
        }
        let polled = self.tcp.poll_read(cx, buffer.room());
        if let Poll::Ready(Ok(count)) = &polled {
            buffer.add(*count);
            self.flooding = buffer.is_full();
            if *count == 0 {
                self.end = End::Broken;
            }
        }
        if !buffer.is_empty() {
            self.arrived = Some(buffer);
        }
        polled.map_ok(|_| ())
    }

    /// Reads decrypted bytes; none when the peer has said that it sends nothing more. A connection that ends
    /// without that is an error, because what came may have been cut (RFC 8446 §6.1).
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        if let Some(rest) = self.plain.get(self.taken..).filter(|rest| !rest.is_empty()) {
            let count = rest.len().min(room.len());
            room[..count].copy_from_slice(&rest[..count]);
            self.taken += count;
            if self.taken == self.plain.len() {
                (self.plain, self.taken) = (Vec::new(), 0);
            }
            return Poll::Ready(Ok(count));
        }
        let mut filled = 0;
        loop {
            while filled < room.len() && self.end == End::Open {
                match self.step(&mut room[filled..]) {
                    Ok((Step::Progress, count)) => filled += count,
                    Ok((Step::Idle { .. }, _)) => break,
                    Ok((Step::Closed, _)) => {}
                    Err(error) => {
                        let _ = self.poll_flush(cx);
                        return Poll::Ready(Err(error));
                    }
                }
            }
            if filled > 0 {
                return Poll::Ready(Ok(filled));
            }
            match self.end {
                End::Open => {}
                End::Closed => return Poll::Ready(Ok(0)),
                End::Broken => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            }
            // Answers that the protocol itself demands, such as new keys.
            let _ = self.poll_flush(cx)?;
            ready!(self.poll_receive(cx))?;
        }
    }

    /// Encrypts from several slices at once, and sends. What was encrypted and not sent waits for
    /// [`TlsStream::poll_flush`], and nothing more is taken until then.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(cx))?;
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut out = self.buffers.take(total > RECORD);
        let count = self.seal_all(slices, &mut out)?;
        self.sealed = Some(out).filter(|out| !out.is_empty());
        let _ = self.poll_flush(cx)?;
        Poll::Ready(Ok(count))
    }

    /// Makes records of slices, in their order, as far as `out` has room. Returns how much that was.
    fn seal_all(&mut self, slices: &[IoSlice<'_>], out: &mut Buffer) -> io::Result<usize> {
        let mut gathered = self.buffers.take_text();
        let mut rest = Rest { slices, offset: 0 };
        let mut count = 0;
        while !rest.is_empty() {
            let most = RECORD.min(out.room().len().saturating_sub(RECORD_FRAME));
            if most == 0 {
                break;
            }
            // A head and the begin of its body make one record; what fills one by itself is not copied.
            let piece = rest.take(most, &mut gathered);
            count += piece.len();
            self.seal(piece, out)?;
        }
        self.buffers.give_text(gathered);
        Ok(count)
    }

    /// Makes one record of a piece, for which `out` has room.
    fn seal(&mut self, piece: &[u8], out: &mut Buffer) -> io::Result<()> {
        loop {
            let was = self.end;
            match self.step_and_put(&mut [], Put::Record(piece, &mut *out))?.0 {
                Step::Idle { ready: true } => return Ok(()),
                Step::Progress => {}
                // A peer that sends nothing more can still read, and it says so once.
                Step::Closed if was == End::Open => {}
                Step::Closed | Step::Idle { ready: false } => return Err(io::ErrorKind::NotConnected.into()),
            }
        }
    }

    /// Whether there is something that [`TlsStream::poll_flush`] would send.
    #[inline]
    pub(crate) fn has_unsent(&self) -> bool {
        self.sealed.is_some() || self.tcp.is_stuck()
    }

    /// Whether all was sent, also what waits for its turn.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.sealed.is_none() && self.tcp.is_empty()
    }

    /// Sends what was encrypted.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(sealed) = &mut self.sealed {
            let count = ready!(self.tcp.poll_write(cx, &[IoSlice::new(sealed.filled())]))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            sealed.consume(count);
            if sealed.is_empty() {
                self.sealed = None;
            }
        }
        self.tcp.poll_flush(cx)
    }

    /// Sends what was encrypted, also what waits for its turn.
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        self.tcp.poll_drain(cx)
    }

    /// Tells the peer that nothing more will be sent.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.queue_close();
        ready!(self.poll_flush(cx))?;
        self.tcp.poll_shutdown(cx)
    }

    /// Puts the notice of closing behind what waits. It is made once.
    fn queue_close(&mut self) {
        if self.end == End::Broken || std::mem::replace(&mut self.closing, true) {
            return;
        }
        let mut out = self.sealed.take().unwrap_or_else(|| self.buffers.take(false));
        loop {
            let was = self.end;
            match self.step_and_put(&mut [], Put::Close(&mut out)) {
                Ok((Step::Progress, _)) => {}
                Ok((Step::Closed, _)) if was == End::Open => {}
                Ok(_) | Err(_) => break,
            }
        }
        self.sealed = Some(out).filter(|out| !out.is_empty());
    }

    /// Whether nothing arrived that a user of this connection would have to know: no data, not its end. What only
    /// the protocol needs, such as tickets, is taken in.
    pub(crate) fn is_quiet(&mut self) -> bool {
        loop {
            if self.end != End::Open || !self.plain.is_empty() {
                return false;
            }
            let mut buffer = self.arrived.take().unwrap_or_else(|| self.buffers.take(false));
            let read = if buffer.room().is_empty() { Ok(0) } else { self.tcp.tcp().try_read(buffer.room()) };
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.arrived = Some(buffer).filter(|buffer| !buffer.is_empty());
                    return self.arrived.is_none();
                }
                Ok(count @ 1..) => buffer.add(count),
                Ok(0) | Err(_) => return false,
            }
            self.arrived = Some(buffer);
            while let Ok((Step::Progress, _)) = self.step(&mut []) {}
        }
    }

    /// Makes closing a reset. From now on nothing more is said to the peer, so that it can tell a cut message from a
    /// whole one.
    pub(crate) fn reset_on_close(&mut self) {
        self.end = End::Broken;
        self.tcp.reset_on_close();
    }
}

/// What is left of several slices.
struct Rest<'a> {
    slices: &'a [IoSlice<'a>],
    /// How much of the first one is gone.
    offset: usize,
}

impl<'a> Rest<'a> {
    fn is_empty(&self) -> bool {
        self.slices.iter().map(|slice| slice.len()).sum::<usize>() <= self.offset
    }

    /// At most so many bytes in one piece: a part of the first slice if that has as many or is the last one, and
    /// otherwise a copy of the next ones.
    fn take<'b>(&mut self, most: usize, gathered: &'b mut Vec<u8>) -> &'b [u8]
    where
        'a: 'b,
    {
        gathered.clear();
        while let Some((first, others)) = self.slices.split_first() {
            let rest = first.get(self.offset..).unwrap_or_default();
            let wanted = most - gathered.len();
            let piece = rest.get(..wanted).unwrap_or(rest);
            self.offset += piece.len();
            if self.offset >= first.len() {
                (self.slices, self.offset) = (others, 0);
            }
            if gathered.is_empty() && (piece.len() == most || others.is_empty()) {
                return piece;
            }
            gathered.extend_from_slice(piece);
            if gathered.len() == most {
                break;
            }
        }
        gathered
    }
}

impl Drop for TlsStream {
    fn drop(&mut self) {
        // A peer that is told of the end knows that nothing was cut. If it cannot be told at once, it is not.
        if self.end == End::Broken || self.sealed.is_some() || self.is_early() {
            return;
        }
        self.queue_close();
        if let Some(sealed) = &self.sealed {
            self.tcp.try_write(sealed.filled());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_keep_the_order_of_the_slices_whatever_their_size() {
        let texts: [&[u8]; 6] = [b"head", b"", b"a longer body", b"x", b"another one", b"end"];
        let whole = texts.concat();
        for most in 1..whole.len() + 2 {
            let slices = texts.map(IoSlice::new);
            let mut rest = Rest { slices: &slices, offset: 0 };
            let mut gathered = Vec::new();
            let mut came = Vec::new();
            while !rest.is_empty() {
                let piece = rest.take(most, &mut gathered);
                assert!((1..=most).contains(&piece.len()), "{most}");
                came.extend_from_slice(piece);
            }
            assert_eq!(came, whole, "{most}");
        }
    }
}

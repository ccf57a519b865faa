//! One step of the TLS protocol, on buffers that are passed in.
//!
//! The library says what it wants next: take this, send that, give me more. Both sides of a connection say the same
//! things, as different types.

use std::io;
use std::rc::Rc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, ReadEarlyData, UnbufferedStatus, WriteTraffic,
};

use crate::buffers::{Buffer, Buffers};

/// The most that may wait to be sent, and the longest message of a handshake that is put together from records.
pub(crate) const HANDSHAKE: usize = 64 * 1024;

/// One side of a session.
pub(crate) enum Session {
    Server(Box<UnbufferedServerConnection>),
    Client(Box<UnbufferedClientConnection>),
}

/// What a step of the protocol led to.
#[derive(PartialEq, Eq)]
pub(crate) enum Step {
    /// There may be more to do with what is there.
    Progress,
    /// More bytes are needed. `ready` says whether data can be sent.
    Idle { ready: bool },
    /// The peer sends nothing more.
    Closed,
}

/// The two sides of a session, as far as they differ in type only.
pub(crate) trait Records {
    type Data;
    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
    fn early(state: ReadEarlyData<'_, '_, Self::Data>, plain: &mut Plain<'_>);
}

impl Records for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }

    fn early(mut state: ReadEarlyData<'_, '_, Self::Data>, plain: &mut Plain<'_>) {
        while let Some(Ok(record)) = state.next_record() {
            plain.put(record.payload);
        }
    }
}

impl Records for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }

    fn early(_: ReadEarlyData<'_, '_, Self::Data>, _: &mut Plain<'_>) {}
}

/// Where decrypted bytes go: into the room of whoever reads, and what does not fit behind it.
pub(crate) struct Plain<'a> {
    pub(crate) room: &'a mut [u8],
    pub(crate) filled: usize,
    pub(crate) rest: &'a mut Vec<u8>,
}

impl Plain<'_> {
    fn put(&mut self, payload: &[u8]) {
        let fits = if self.rest.is_empty() { payload.len().min(self.room.len() - self.filled) } else { 0 };
        self.room[self.filled..self.filled + fits].copy_from_slice(&payload[..fits]);
        self.filled += fits;
        self.rest.extend_from_slice(&payload[fits..]);
    }
}

pub(crate) fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The buffers of a connection.
pub(crate) struct Bytes<'a> {
    pub(crate) arrived: &'a mut Option<Buffer>,
    pub(crate) sealed: &'a mut Option<Buffer>,
    pub(crate) buffers: &'a Rc<Buffers>,
}

/// What is to be encrypted as soon as the protocol has nothing more urgent, and where it goes.
pub(crate) enum Put<'a> {
    Nothing,
    Record(&'a [u8], &'a mut Buffer),
    /// The notice of closing.
    Close(&'a mut Buffer),
}

/// Does the next thing that the protocol demands; if that is nothing, what `put` says. The session gets what has
/// arrived in any case, because it may be in the middle of it.
pub(crate) fn step<S: Records>(
    session: &mut S,
    bytes: Bytes<'_>,
    plain: &mut Plain<'_>,
    put: Put<'_>,
) -> io::Result<Step> {
    let Bytes { arrived, sealed, buffers } = bytes;
    let filled = arrived.as_mut().map_or(&mut [][..], Buffer::filled_mut);
    let UnbufferedStatus { mut discard, state } = session.process(filled);
    let outcome = match state {
        Ok(ConnectionState::ReadTraffic(mut state)) => {
            while let Some(record) = state.next_record() {
                let record = record.map_err(broken)?;
                discard += record.discard;
                plain.put(record.payload);
            }
            Ok(Step::Progress)
        }
        Ok(ConnectionState::ReadEarlyData(state)) => {
            S::early(state, plain);
            Ok(Step::Progress)
        }
        Ok(ConnectionState::EncodeTlsData(mut state)) => {
            encode(&mut state, sealed, buffers).map(|()| Step::Progress)
        }
        Ok(ConnectionState::TransmitTlsData(state)) => {
            // It waits in `sealed`, and whoever waits for the peer sends it before.
            state.done();
            Ok(Step::Progress)
        }
        Ok(ConnectionState::BlockedHandshake) => Ok(Step::Idle { ready: false }),
        Ok(ConnectionState::WriteTraffic(state)) => write(state, sealed, put),
        Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => Ok(Step::Closed),
        Ok(_) => Err(broken("the session is in no known state")),
        Err(error) => Err(broken(error)),
    };
    if outcome.is_err() {
        // The session has an alert for the peer.
        let filled = arrived.as_mut().map_or(&mut [][..], Buffer::filled_mut);
        if let Ok(ConnectionState::EncodeTlsData(mut state)) = session.process(filled).state {
            let _ = encode(&mut state, sealed, buffers);
        }
    }
    if let Some(buffer) = arrived {
        buffer.consume(discard);
        if buffer.is_empty() {
            *arrived = None;
        }
    }
    outcome
}

/// Appends what the protocol says by itself to what waits to be sent.
fn encode<D>(
    state: &mut EncodeTlsData<'_, D>,
    sealed: &mut Option<Buffer>,
    buffers: &Rc<Buffers>,
) -> io::Result<()> {
    let out = sealed.get_or_insert_with(|| buffers.take(false));
    loop {
        match state.encode(out.room()) {
            Ok(count) => {
                out.add(count);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(wanted)) => {
                let most = out.filled().len() + wanted.required_size;
                if most > HANDSHAKE || !out.grow(most) {
                    return Err(broken("too much waits to be sent"));
                }
            }
            Err(EncodeError::AlreadyEncoded) => return Ok(()),
        }
    }
}

/// Encrypts what is to be sent, behind what the protocol has said by itself.
fn write<D>(mut state: WriteTraffic<'_, D>, sealed: &mut Option<Buffer>, put: Put<'_>) -> io::Result<Step> {
    let (piece, out) = match put {
        Put::Nothing => return Ok(Step::Idle { ready: true }),
        Put::Record(piece, out) => (Some(piece), out),
        Put::Close(out) => (None, out),
    };
    if let Some(waiting) = sealed.take() {
        let count = waiting.filled().len();
        let Some(room) = out.room().get_mut(..count) else { return Err(broken("too much waits to be sent")) };
        room.copy_from_slice(waiting.filled());
        out.add(count);
    }
    let written = match piece {
        Some(piece) => state.encrypt(piece, out.room()),
        None => state.queue_close_notify(out.room()),
    };
    out.add(written.map_err(|error| match error {
        EncryptError::InsufficientSize(_) => broken("a record does not fit"),
        EncryptError::EncryptExhausted => broken("the session is exhausted"),
    })?);
    Ok(Step::Idle { ready: true })
}

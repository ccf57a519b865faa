//! What the `h3` crate sees of a QUIC connection: its traits, implemented over `quinn`.
//!
//! Two things are different from what the crate is used to. What it sends on the stream of a request is only queued
//! here, so that its async functions come to their end at once and whoever sends polls `Pipe::poll_flush`. And what
//! it receives has gone through a [`FrameReader`], so that it never holds more than one frame, and is told of every
//! stream that ends too early.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h3::error::Code;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf};
use quinn::{ConnectionError, ReadError, VarInt, WriteError};
use wire::{FrameError, FrameReader};

use crate::pipe::{Pipe, RequestIo};
use crate::stream::Payload;

/// How much is taken from a stream at a time, in bytes.
const CHUNK: usize = 16 * 1024;
/// How many streams of one direction a client may open: there is use for three, and some to be ignored.
const MOST_ONE_WAY: u32 = 32;
/// The type of the stream that the frames about the connection come on (RFC 9114 §6.2.1).
const CONTROL: u8 = 0;
/// How many frames about nothing a client may be ahead.
const MOST_IDLE: i64 = 1000;

/// What all streams of a connection share.
pub(crate) struct Watch {
    connection: quinn::Connection,
    /// Most bytes of a compressed head.
    longest_head: usize,
    /// How many more frames about nothing may come.
    credit: Cell<i64>,
    one_way: Cell<u32>,
}

impl Watch {
    pub(crate) fn new(connection: quinn::Connection, longest_head: usize) -> Rc<Watch> {
        let (credit, one_way) = (Cell::new(MOST_IDLE), Cell::new(0));
        Rc::new(Watch { connection, longest_head, credit, one_way })
    }

    /// Closes the connection, if it is open.
    pub(crate) fn close(&self, code: Code, why: &str) {
        self.connection.close(variable(code), why.as_bytes());
    }

    /// Gives credit for frames about nothing: for time that has passed, and for requests.
    pub(crate) fn earn(&self, frames: i64) {
        self.credit.set(self.credit.get().saturating_add(frames).min(MOST_IDLE));
    }

    /// A reader for one more stream.
    pub(crate) fn frames(&self) -> FrameReader {
        FrameReader::new(self.longest_head)
    }

    /// Whether more of them have come than may.
    pub(crate) fn is_flooded(&self) -> bool {
        self.credit.get() < 0 || self.one_way.get() > MOST_ONE_WAY
    }

    fn spend(&self, frames: u32) {
        let left = self.credit.get() - i64::from(frames);
        self.credit.set(left);
        if left < 0 {
            self.close(Code::H3_EXCESSIVE_LOAD, "too many frames about nothing");
        }
    }

    /// What is wrong with the frames of a stream, as an error of the library.
    fn wrong(&self, error: FrameError) -> StreamErrorIncoming {
        match error {
            FrameError::Truncated => {
                self.close(Code::H3_FRAME_ERROR, "a stream ended in the middle of a frame");
                let error = ConnectionErrorIncoming::Undefined(Arc::new(ConnectionError::LocallyClosed));
                StreamErrorIncoming::ConnectionErrorIncoming { connection_error: error }
            }
            FrameError::TooLong => {
                StreamErrorIncoming::StreamTerminated { error_code: Code::H3_EXCESSIVE_LOAD.value() }
            }
            FrameError::Malformed => {
                StreamErrorIncoming::StreamTerminated { error_code: Code::H3_MESSAGE_ERROR.value() }
            }
        }
    }
}

pub(crate) fn variable(code: Code) -> VarInt {
    VarInt::from_u64(code.value()).unwrap_or(VarInt::MAX)
}

type Accepting<T> = Pin<Box<dyn Future<Output = Result<T, ConnectionError>>>>;

/// A connection.
pub(crate) struct Quic {
    watch: Rc<Watch>,
    two_way: Option<Accepting<(quinn::SendStream, quinn::RecvStream)>>,
    one_way: Option<Accepting<quinn::RecvStream>>,
    opening: Option<Accepting<quinn::SendStream>>,
}

impl Quic {
    pub(crate) fn new(watch: Rc<Watch>) -> Quic {
        Quic { watch, two_way: None, one_way: None, opening: None }
    }
}

impl quic::Connection<Payload> for Quic {
    type RecvStream = OneWay;
    type OpenStreams = Quic;

    fn poll_accept_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<OneWay, ConnectionErrorIncoming>> {
        let connection = &self.watch.connection;
        let accepting = self.one_way.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.accept_uni().await })
        });
        let accepted = ready!(accepting.as_mut().poll(cx));
        self.one_way = None;
        let stream = accepted.map_err(of_connection)?;
        self.watch.one_way.set(self.watch.one_way.get() + 1);
        if self.watch.one_way.get() > MOST_ONE_WAY {
            self.watch.close(Code::H3_EXCESSIVE_LOAD, "too many streams of one direction");
        }
        Poll::Ready(Ok(OneWay { receive: stream, frames: None, begun: false, watch: Rc::clone(&self.watch) }))
    }

    fn poll_accept_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<RequestIo, ConnectionErrorIncoming>> {
        let connection = &self.watch.connection;
        let accepting = self.two_way.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.accept_bi().await })
        });
        let accepted = ready!(accepting.as_mut().poll(cx));
        self.two_way = None;
        let (send, receive) = accepted.map_err(of_connection)?;
        Poll::Ready(Ok(RequestIo(Rc::new(RefCell::new(Pipe::new(send, receive, &self.watch))))))
    }

    fn opener(&self) -> Quic {
        Quic::new(Rc::clone(&self.watch))
    }
}

impl quic::OpenStreams<Payload> for Quic {
    type BidiStream = RequestIo;
    type SendStream = OwnWay;

    fn poll_open_bidi(&mut self, _: &mut Context<'_>) -> Poll<Result<RequestIo, StreamErrorIncoming>> {
        // Servers open none.
        Poll::Ready(Err(StreamErrorIncoming::Unknown(io::Error::from(io::ErrorKind::Unsupported).into())))
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<OwnWay, StreamErrorIncoming>> {
        let connection = &self.watch.connection;
        let opening = self.opening.get_or_insert_with(|| {
            let connection = connection.clone();
            Box::pin(async move { connection.open_uni().await })
        });
        let opened = ready!(opening.as_mut().poll(cx));
        self.opening = None;
        Poll::Ready(match opened {
            Ok(send) => Ok(OwnWay { send, waiting: None }),
            Err(error) => {
                Err(StreamErrorIncoming::ConnectionErrorIncoming { connection_error: of_connection(error) })
            }
        })
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.watch.connection.close(variable(code), reason);
    }
}

fn of_connection(error: ConnectionError) -> ConnectionErrorIncoming {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            ConnectionErrorIncoming::ApplicationClose { error_code: close.error_code.into() }
        }
        ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        other => ConnectionErrorIncoming::Undefined(Arc::new(other)),
    }
}

fn of_read(error: ReadError) -> StreamErrorIncoming {
    match error {
        ReadError::Reset(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        ReadError::ConnectionLost(error) => {
            StreamErrorIncoming::ConnectionErrorIncoming { connection_error: of_connection(error) }
        }
        other => StreamErrorIncoming::Unknown(Box::new(other)),
    }
}

fn of_write(error: WriteError) -> StreamErrorIncoming {
    match error {
        WriteError::Stopped(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into_inner() },
        WriteError::ConnectionLost(error) => {
            StreamErrorIncoming::ConnectionErrorIncoming { connection_error: of_connection(error) }
        }
        other => StreamErrorIncoming::Unknown(Box::new(other)),
    }
}

pub(crate) fn stream_id(id: quinn::StreamId) -> StreamId {
    // Every identifier of a stream is small enough; the first one stands for what cannot be.
    StreamId::try_from(u64::from(VarInt::from(id)))
        .unwrap_or_else(|_| h3::proto::varint::VarInt::from_u32(0).into())
}

fn poll_chunk(
    stream: &mut quinn::RecvStream,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Bytes>, ReadError>> {
    // It keeps nothing between two calls, so that it can be made anew for each.
    let chunk = ready!(pin!(stream.read_chunk(CHUNK, true)).poll(cx));
    Poll::Ready(chunk.map(|chunk| chunk.map(|chunk| chunk.bytes)))
}

/// Reads the next piece that is for the library.
pub(crate) fn poll_piece(
    stream: &mut quinn::RecvStream,
    frames: &mut FrameReader,
    watch: &Watch,
    cx: &mut Context<'_>,
) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
    loop {
        let piece = frames.next_piece();
        watch.spend(frames.take_idle());
        if let Some(piece) = piece.map_err(|error| watch.wrong(error))? {
            return Poll::Ready(Ok(Some(piece)));
        }
        match ready!(poll_chunk(stream, cx)).map_err(of_read)? {
            Some(bytes) => frames.push(bytes),
            None => {
                frames.end().map_err(|error| watch.wrong(error))?;
                return Poll::Ready(Ok(None));
            }
        }
    }
}

/// A stream that a client sends on: the frames about the connection, or what is ignored.
pub(crate) struct OneWay {
    receive: quinn::RecvStream,
    /// On the stream with the frames about the connection.
    frames: Option<FrameReader>,
    /// Whether its type has come.
    begun: bool,
    watch: Rc<Watch>,
}

impl quic::RecvStream for OneWay {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        if let Some(frames) = &mut self.frames {
            return poll_piece(&mut self.receive, frames, &self.watch, cx);
        }
        let chunk = ready!(poll_chunk(&mut self.receive, cx)).map_err(of_read)?;
        let Some(mut bytes) = chunk else { return Poll::Ready(Ok(None)) };
        if !std::mem::replace(&mut self.begun, true) && bytes.first() == Some(&CONTROL) {
            let kind = bytes.split_to(1);
            let mut frames = self.watch.frames();
            frames.push(bytes);
            self.frames = Some(frames);
            return Poll::Ready(Ok(Some(kind)));
        }
        Poll::Ready(Ok(Some(bytes)))
    }

    fn stop_sending(&mut self, code: u64) {
        let _ = self.receive.stop(VarInt::from_u64(code).unwrap_or(VarInt::MAX));
    }

    fn recv_id(&self) -> StreamId {
        stream_id(self.receive.id())
    }
}

/// A stream that the gateway sends on, about the connection.
pub(crate) struct OwnWay {
    send: quinn::SendStream,
    waiting: Option<WriteBuf<Payload>>,
}

impl quic::SendStream<Payload> for OwnWay {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        if let Some(waiting) = &mut self.waiting {
            while waiting.has_remaining() {
                let sent = ready!(Pin::new(&mut self.send).poll_write(cx, waiting.chunk()));
                waiting.advance(sent.map_err(of_write)?);
            }
        }
        self.waiting = None;
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<Payload>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.waiting = Some(data.into());
        Ok(())
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        Poll::Ready(self.send.finish().map_err(|error| StreamErrorIncoming::Unknown(Box::new(error))))
    }

    fn reset(&mut self, code: u64) {
        let _ = self.send.reset(VarInt::from_u64(code).unwrap_or(VarInt::MAX));
    }

    fn send_id(&self) -> StreamId {
        stream_id(self.send.id())
    }
}

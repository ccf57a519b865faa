//! One exchange on a connection that carries many.
//!
//! A stream takes the place of the bytes of a connection: it brings a body in pieces, takes one in pieces, and is
//! told where it ends. Frames, windows and compressed heads are the business of the library below, and of the task
//! that drives the connection.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::response::Parts;
use message::Headers;

use crate::buffers::Buffer;
use crate::connection::Outgoing;
use crate::http3_stream::Http3Stream;

/// A piece of a body on its way out.
pub(crate) enum Payload {
    /// From a connection, as it was read.
    Buffer(Buffer),
    /// Made here.
    Text(Bytes),
}

impl Buf for Payload {
    fn remaining(&self) -> usize {
        match self {
            Payload::Buffer(buffer) => buffer.filled().len(),
            Payload::Text(text) => text.len(),
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Payload::Buffer(buffer) => buffer.filled(),
            Payload::Text(text) => text,
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Payload::Buffer(buffer) => buffer.consume(count),
            Payload::Text(text) => text.advance(count),
        }
    }
}

/// A stream, seen from one of its ends.
pub(crate) enum Stream {
    /// Of HTTP/2.
    Http2(Http2Stream),
    /// Of HTTP/3, from a client.
    Http3(Http3Stream),
}

impl Stream {
    /// A request that has come from a client over HTTP/2.
    pub(crate) fn accepted(receive: RecvStream, respond: SendResponse<Payload>) -> Stream {
        Stream::Http2(Http2Stream::new(Head::Respond(respond), Some(receive)))
    }

    /// A request that will be sent to a service.
    pub(crate) fn opening(connection: SendRequest<Payload>) -> Stream {
        Stream::Http2(Http2Stream::new(Head::Request(connection), None))
    }

    /// Whether the service has said that it takes WebSockets on streams (RFC 8441 §3).
    pub(crate) fn takes_websockets(&self) -> bool {
        match self {
            Stream::Http2(stream) => stream.takes_websockets(),
            Stream::Http3(_) => false,
        }
    }

    /// Sends the head of a request; `ends` if it has no body.
    pub(crate) fn send_request(&mut self, request: http::Request<()>, ends: bool) -> Result<(), Lost> {
        match self {
            Stream::Http2(stream) => stream.send_request(request, ends),
            Stream::Http3(_) => Err(Lost::Broken),
        }
    }

    /// What the service sends in front of the body of its response.
    pub(crate) fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<Arrived, Lost>> {
        match self {
            Stream::Http2(stream) => stream.poll_response(cx),
            Stream::Http3(_) => Poll::Ready(Err(Lost::Broken)),
        }
    }

    /// Sends an interim response.
    pub(crate) fn send_interim(&mut self, response: http::Response<()>) {
        match self {
            Stream::Http2(stream) => stream.send_interim(response),
            Stream::Http3(stream) => stream.send_interim(response),
        }
    }

    /// Sends the head of the response; `ends` if it has no body.
    pub(crate) fn send_response(&mut self, response: http::Response<()>, ends: bool) {
        match self {
            Stream::Http2(stream) => stream.send_response(response, ends),
            Stream::Http3(stream) => stream.send_response(response, ends),
        }
    }

    /// What waits, and then these trailers, is all that will be sent.
    pub(crate) fn finish(&mut self, trailers: Option<&Headers>) {
        match self {
            Stream::Http2(stream) => stream.finish(trailers),
            Stream::Http3(stream) => stream.finish(trailers),
        }
    }

    /// Whether something is still to be sent that does not stand in the [`Outgoing`] of the connection.
    #[inline]
    pub(crate) fn has_unsent(&self) -> bool {
        match self {
            Stream::Http2(stream) => stream.has_unsent(),
            Stream::Http3(stream) => stream.has_unsent(),
        }
    }

    /// Sends what waits, as far as the windows of the peer allow, and the end behind the last of it.
    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut Outgoing,
        sent: &mut u64,
    ) -> Poll<io::Result<()>> {
        match self {
            Stream::Http2(stream) => stream.poll_send(cx, outgoing, sent),
            Stream::Http3(stream) => stream.poll_send(cx, outgoing, sent),
        }
    }

    /// Reads the next piece of a body; none when it has ended. The peer may send as much more.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Http2(stream) => stream.poll_read(cx, room),
            Stream::Http3(stream) => stream.poll_read(cx, room),
        }
    }

    /// Whether the body has ended and everything of it was read.
    #[inline]
    pub(crate) fn is_read(&self) -> bool {
        match self {
            Stream::Http2(stream) => stream.is_read(),
            Stream::Http3(stream) => stream.is_read(),
        }
    }

    /// What came behind the body.
    pub(crate) fn trailers(&self) -> Option<&Headers> {
        match self {
            Stream::Http2(stream) => stream.trailers(),
            Stream::Http3(stream) => stream.trailers(),
        }
    }

    /// Ready when the peer does not want the exchange any more.
    pub(crate) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Stream::Http2(stream) => stream.poll_gone(cx),
            Stream::Http3(stream) => stream.poll_gone(cx),
        }
    }

    /// Breaks the exchange off, so that the peer can tell a cut message from a whole one.
    pub(crate) fn reset(&mut self) {
        match self {
            Stream::Http2(stream) => stream.reset(),
            Stream::Http3(stream) => stream.reset(),
        }
    }
}

/// A stream of HTTP/2.
pub(crate) struct Http2Stream {
    head: Head,
    receive: Option<RecvStream>,
    /// What was received and did not fit into the buffer of whoever read.
    left: Bytes,
    /// What came behind the body.
    trailers: Option<Box<Headers>>,
    send: Option<SendStream<Payload>>,
    finish: Finish,
    /// What is to be sent behind the body.
    last: Option<Box<Headers>>,
    broken: bool,
}

/// What is to happen with the heads of an exchange.
enum Head {
    /// The response was not sent.
    Respond(SendResponse<Payload>),
    /// The request was not sent.
    Request(SendRequest<Payload>),
    /// The response has not come.
    Await(ResponseFuture),
    /// Both have passed.
    Passed,
}

/// How far the end of what is sent has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finish {
    /// More may follow.
    Open,
    /// What waits is all there is.
    Wanted,
    /// The end was sent.
    Done,
}

/// What a service sent in front of a body.
pub(crate) enum Arrived {
    /// An interim response.
    Interim(Parts),
    /// The head of the response, and whether nothing follows it.
    Head(Parts, bool),
}

/// Why a stream came to no response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lost {
    /// The service has not looked at the request (RFC 9113 §8.7).
    Refused,
    /// The same, because it is about to close the connection (RFC 9113 §6.8).
    Leaving,
    /// The service has broken it off.
    Broken,
    /// The connection has ended under it.
    Closed,
}

impl Lost {
    fn of(error: &h2::Error) -> Lost {
        match error.is_remote() {
            true if error.is_go_away() => Lost::Leaving,
            true if error.reason() == Some(Reason::REFUSED_STREAM) => Lost::Refused,
            true => Lost::Broken,
            false => Lost::Closed,
        }
    }
}

fn broken() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

impl Http2Stream {
    fn new(head: Head, receive: Option<RecvStream>) -> Http2Stream {
        Http2Stream {
            head,
            receive,
            left: Bytes::new(),
            trailers: None,
            send: None,
            finish: Finish::Open,
            last: None,
            broken: false,
        }
    }

    /// Whether the service has said that it takes WebSockets on streams (RFC 8441 §3).
    fn takes_websockets(&self) -> bool {
        matches!(&self.head, Head::Request(connection) if connection.is_extended_connect_protocol_enabled())
    }

    /// Sends the head of a request; `ends` if it has no body.
    fn send_request(&mut self, request: http::Request<()>, ends: bool) -> Result<(), Lost> {
        let Head::Request(mut connection) = std::mem::replace(&mut self.head, Head::Passed) else {
            return Err(Lost::Broken);
        };
        let (response, send) = connection.send_request(request, ends).map_err(|error| {
            // Nothing was sent, so nothing was seen.
            if error.is_go_away() || error.is_io() { Lost::Leaving } else { Lost::of(&error) }
        })?;
        self.head = Head::Await(response);
        self.send = Some(send);
        self.finish = if ends { Finish::Done } else { Finish::Open };
        Ok(())
    }

    /// What the service sends in front of the body of its response.
    fn poll_response(&mut self, cx: &mut Context<'_>) -> Poll<Result<Arrived, Lost>> {
        let Head::Await(response) = &mut self.head else { return Poll::Ready(Err(Lost::Broken)) };
        if let Poll::Ready(Some(Ok(interim))) = response.poll_informational(cx) {
            return Poll::Ready(Ok(Arrived::Interim(interim.into_parts().0)));
        }
        let polled = ready!(std::pin::Pin::new(response).poll(cx));
        self.head = Head::Passed;
        let (parts, receive) = polled.map_err(|error| Lost::of(&error))?.into_parts();
        let ends = receive.is_end_stream();
        self.receive = Some(receive);
        Poll::Ready(Ok(Arrived::Head(parts, ends)))
    }

    /// Sends an interim response.
    fn send_interim(&mut self, response: http::Response<()>) {
        if let Head::Respond(respond) = &mut self.head {
            // A client that has gone is noticed elsewhere.
            let _ = respond.send_informational(response);
        }
    }

    /// Sends the head of the response; `ends` if it has no body.
    fn send_response(&mut self, response: http::Response<()>, ends: bool) {
        let Head::Respond(mut respond) = std::mem::replace(&mut self.head, Head::Passed) else { return };
        match respond.send_response(response, ends) {
            Ok(send) => {
                self.send = Some(send);
                self.finish = if ends { Finish::Done } else { Finish::Open };
            }
            Err(_) => self.broken = true,
        }
    }

    /// What waits, and then these trailers, is all that will be sent.
    fn finish(&mut self, trailers: Option<&Headers>) {
        if self.finish == Finish::Open {
            self.finish = Finish::Wanted;
            self.last = trailers.filter(|fields| !fields.is_empty()).cloned().map(Box::new);
        }
    }

    /// Whether the end is still to be sent.
    #[inline]
    fn has_unsent(&self) -> bool {
        self.finish == Finish::Wanted
    }

    /// Sends what waits, as far as the windows of the peer allow, and the end behind the last of it.
    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        outgoing: &mut Outgoing,
        sent: &mut u64,
    ) -> Poll<io::Result<()>> {
        while !self.broken {
            let Some(waiting) = outgoing.len_of_first() else { return Poll::Ready(self.send_end()) };
            let Some(send) = &mut self.send else { break };
            send.reserve_capacity(waiting);
            let mut capacity = send.capacity();
            while capacity == 0 {
                match ready!(send.poll_capacity(cx)) {
                    Some(Ok(more)) => capacity = more,
                    Some(Err(_)) | None => {
                        self.broken = true;
                        return Poll::Ready(Err(broken()));
                    }
                }
            }
            let payload = outgoing.take_first(capacity);
            *sent += payload.remaining() as u64;
            let ends = self.finish == Finish::Wanted && self.last.is_none() && outgoing.is_empty();
            if send.send_data(payload, ends).is_err() {
                self.broken = true;
            } else if ends {
                self.finish = Finish::Done;
            }
        }
        Poll::Ready(Err(broken()))
    }

    /// Sends the end, if it is time.
    fn send_end(&mut self) -> io::Result<()> {
        if self.finish != Finish::Wanted {
            return Ok(());
        }
        self.finish = Finish::Done;
        let Some(send) = &mut self.send else { return Err(broken()) };
        let outcome = match self.last.take() {
            Some(trailers) => send.send_trailers(wire::trailers_message(&trailers)),
            None => send.send_data(Payload::Text(Bytes::new()), true),
        };
        outcome.map_err(|_| {
            self.broken = true;
            broken()
        })
    }

    /// Reads the next piece of a body; none when it has ended. The peer may send as much more.
    fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(receive) = &mut self.receive else { return Poll::Ready(Ok(0)) };
        while self.left.is_empty() {
            match ready!(receive.poll_data(cx)) {
                Some(Ok(piece)) => self.left = piece,
                Some(Err(_)) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                None => {
                    let trailers = ready!(receive.poll_trailers(cx));
                    match trailers {
                        Ok(map) => self.trailers = map.map(|map| Box::new(wire::read_trailers(&map))),
                        Err(_) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                    }
                    return Poll::Ready(Ok(0));
                }
            }
        }
        let count = self.left.len().min(room.len());
        room[..count].copy_from_slice(&self.left[..count]);
        self.left.advance(count);
        // Cannot fail: no more is given back than came in.
        let _ = receive.flow_control().release_capacity(count);
        Poll::Ready(Ok(count))
    }

    /// Whether the body has ended and everything of it was read.
    #[inline]
    fn is_read(&self) -> bool {
        self.left.is_empty() && self.receive.as_ref().is_none_or(RecvStream::is_end_stream)
    }

    /// What came behind the body.
    fn trailers(&self) -> Option<&Headers> {
        self.trailers.as_deref()
    }

    /// Ready when the peer does not want the exchange any more.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.finish == Finish::Done {
            return Poll::Pending;
        }
        match (&mut self.head, &mut self.send) {
            (Head::Respond(respond), _) => respond.poll_reset(cx).map(drop),
            (_, Some(send)) => send.poll_reset(cx).map(drop),
            (_, None) => Poll::Pending,
        }
    }

    /// Breaks the exchange off, so that the peer can tell a cut message from a whole one.
    fn reset(&mut self) {
        match (&mut self.head, &mut self.send) {
            (Head::Respond(respond), _) => respond.send_reset(Reason::INTERNAL_ERROR),
            (_, Some(send)) => send.send_reset(Reason::INTERNAL_ERROR),
            (_, None) => {}
        }
    }
}

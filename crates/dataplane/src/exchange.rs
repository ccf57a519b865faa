//! One attempt at one request: the request goes out, the response comes back, at the same time.
//!
//! One task drives both legs. Every wake polls what can move, then looks at the client (is it still
//! there?) and at the clock. The order of events is: the request's head and the first bytes of its body
//! leave together; interim responses pass; the head of the response is handed to `forward`, which decides
//! what to do with it; then the body passes.

mod inspect;
mod presence;

use std::task::{Context, Poll};

use message::{Fault, GrpcStatus, Version};
use snapshot::ServiceTimeouts;
use wire::{BodyLength, HeadLimits, Kind, ResponseMeta};

use crate::connection::Connection;
use crate::listener::LiveListener;
use crate::patience::Patience;
use crate::progress::Progress;
use crate::pump::{Pump, PumpError, Waits};
use crate::request::Request;
use crate::serving::Serving;
use crate::stream::{Arrived, Lost};
use crate::timer::{Tick, Timer};
use crate::worker::Worker;

/// What a response head may be, whatever the service.
pub(crate) const RESPONSE_LIMITS: HeadLimits = HeadLimits { bytes: 64 * 1024, fields: 256, target: 0 };
/// Interim responses that are passed on; a service that sends more is broken.
const MOST_INTERIM: u32 = 64;

/// Why an attempt ended without a response head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The service broke the connection before it answered a byte.
    Reset,
    /// The same on a stream: its connection goes on, so this was meant for the request.
    StreamReset,
    /// The service broke the connection in the middle of its head: nothing was passed on.
    CutHead,
    /// The service has said that it did not look at the request.
    Refused,
    /// The same, because it is about to close the connection.
    Leaving,
    /// The service did not answer in time for this attempt.
    TryTimeout,
    /// Anything that another attempt would not help.
    Final(Fault),
}

/// How the body of a response came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All of it was sent.
    Complete,
    /// The service cut it, or time ran out: the client must see that it is not whole.
    Cut(Fault),
    /// The client does not want it any more.
    ClientGone(Fault),
}

/// One attempt under way: everything that meets in it, and how far it has come.
pub(crate) struct Exchange<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) live: &'a LiveListener,
    pub(crate) timeouts: &'a ServiceTimeouts,
    pub(crate) timer: &'a Timer,
    pub(crate) down: &'a mut Connection,
    pub(crate) up: &'a mut Connection,
    pub(crate) request: &'a mut Request,
    pub(crate) progress: Progress,
}

impl<'a> Exchange<'a> {
    /// Begins an attempt that must have a response head by `per_try` and be done by `total`.
    pub(crate) fn begin(
        s: &'a mut Serving<'_>,
        timeouts: &'a ServiceTimeouts,
        up: &'a mut Connection,
        total: Tick,
        per_try: Tick,
    ) -> Exchange<'a> {
        let (limits, waits) = (&s.listener.limits, &s.listener.timeouts);
        s.timer.want_tick(); // to look at the client, if the request takes that long
        let progress = Progress {
            total,
            per_try,
            watch_client: Tick(s.timer.now().0 + 1),
            body_patience: Patience::new(waits.body, limits.min_rate),
            send_patience: Patience::new(waits.send, limits.min_rate),
            // Something may have come already, where it was waited for.
            answered: !up.inbox.is_empty(),
            ..Progress::default()
        };
        Exchange {
            worker: s.worker,
            live: s.live,
            timeouts,
            timer: s.timer,
            down: s.down,
            up,
            request: s.request,
            progress,
        }
    }

    /// Whether the connection to the client is to end with this request.
    pub(crate) fn is_closing(&self) -> bool {
        self.worker.is_draining() || self.live.is_closing()
    }

    /// Sends the request and waits for the final response head.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseMeta, Failure>> {
        self.poll_upload(cx).map_err(Failure::Final)?;
        loop {
            let head = if self.up.is_stream() { self.take_head(cx)? } else { self.parse_head()? };
            if let Some(meta) = head {
                if self.status() >= 200 || self.status() == 101 {
                    return Poll::Ready(Ok(meta));
                }
                self.relay_interim(&meta)?;
                continue;
            }
            if self.up.is_stream() {
                break;
            }
            match self.up.poll_fill(cx) {
                Poll::Ready(Ok(0)) if !self.up.ended => return Poll::Ready(Err(self.head_too_large())),
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => return Poll::Ready(Err(self.closed_early())),
                Poll::Ready(Ok(_)) => self.progress.answered = true,
                Poll::Pending => break,
            }
        }
        if let Poll::Ready(Err(_)) = self.down.poll_flush(cx) {
            return Poll::Ready(Err(Failure::Final(Fault::ClientGone)));
        }
        self.poll_client(cx, false, 0).map_err(Failure::Final)?;
        self.check_client_end(None).map_err(Failure::Final)?;
        self.poll_clock(cx).map(Err)
    }

    /// Looks for a whole head in what the service has sent.
    fn parse_head(&mut self) -> Result<Option<ResponseMeta>, Failure> {
        let malformed = Failure::Final(Fault::UpstreamMalformed);
        let bytes = self.up.inbox.filled();
        if bytes.is_empty() {
            return Ok(None);
        }
        let found = self.progress.scan.find_end(bytes, &RESPONSE_LIMITS, Kind::Response);
        let Some(end) = found.map_err(|_| malformed)? else {
            if let Some(buffer) = &mut self.up.inbox.buffer
                && buffer.is_full()
            {
                buffer.grow(RESPONSE_LIMITS.bytes);
            }
            return Ok(None);
        };
        let head_request = self.request.head.method == message::Method::Head;
        // Heads live for as long as one poll, so all connections of a worker use the same few, which stay in
        // its processor's cache.
        let mut response = self.progress.response.take().unwrap_or_else(|| self.worker.pools.take_response());
        let bytes = bytes.get(..end).unwrap_or_default();
        let parsed = wire::parse_response(bytes, &RESPONSE_LIMITS, head_request, &mut response);
        self.progress.response = Some(response);
        self.up.inbox.consume(end);
        self.progress.scan.reset();
        parsed.map(Some).map_err(|_| malformed)
    }

    /// The head that a stream has brought, if any.
    fn take_head(&mut self, cx: &mut Context<'_>) -> Result<Option<ResponseMeta>, Failure> {
        let Some(stream) = self.up.stream() else { return Ok(None) };
        let arrived = match stream.poll_response(cx) {
            Poll::Pending => return Ok(None),
            Poll::Ready(Ok(arrived)) => arrived,
            Poll::Ready(Err(Lost::Refused)) => return Err(Failure::Refused),
            Poll::Ready(Err(Lost::Leaving)) => return Err(Failure::Leaving),
            Poll::Ready(Err(Lost::Broken)) => {
                return Err(match self.closed_early() {
                    Failure::Reset => Failure::StreamReset,
                    failure => failure,
                });
            }
            Poll::Ready(Err(Lost::Closed)) => return Err(self.closed_early()),
        };
        self.progress.answered = true;
        let (parts, ends) = match arrived {
            Arrived::Interim(parts) => (parts, false),
            Arrived::Head(parts, ends) => (parts, ends),
        };
        let head_request = self.request.head.method == message::Method::Head;
        let mut response = self.progress.response.take().unwrap_or_else(|| self.worker.pools.take_response());
        let read =
            wire::read_response(&parts, ends, head_request, Version::Http2, &RESPONSE_LIMITS, &mut response);
        self.progress.response = Some(response);
        read.map(Some).map_err(|_| Failure::Final(Fault::UpstreamMalformed))
    }

    /// The status of the response whose head was read last.
    pub(crate) fn status(&self) -> u16 {
        self.progress.response.as_ref().map_or(0, |response| response.status)
    }

    /// How a gRPC call ended, if the head that was read last says so.
    pub(crate) fn grpc_status(&self) -> Option<GrpcStatus> {
        let response = self.progress.response.as_ref()?;
        GrpcStatus::parse(response.headers.values(b"grpc-status").next()?)
    }

    /// Whether the service asks to be left alone for a while.
    pub(crate) fn asks_for_a_pause(&self) -> bool {
        let response = self.progress.response.as_ref();
        response.is_some_and(|response| response.headers.values(b"retry-after").next().is_some())
    }

    fn head_too_large(&self) -> Failure {
        Failure::Final(Fault::UpstreamMalformed)
    }

    /// The service closed the connection without a head: before any byte, or in the middle of one.
    fn closed_early(&self) -> Failure {
        match (self.progress.answered, self.progress.interim) {
            (_, 1..) => Failure::Final(Fault::UpstreamMalformed),
            (true, _) => Failure::CutHead,
            (false, _) => Failure::Reset,
        }
    }

    /// Passes a 1xx on to a client that can understand it (RFC 9110 §15.2).
    fn relay_interim(&mut self, meta: &ResponseMeta) -> Result<(), Failure> {
        self.progress.interim += 1;
        self.progress.reusable &= meta.keep_alive;
        if self.progress.interim > MOST_INTERIM {
            return Err(Failure::Final(Fault::UpstreamMalformed));
        }
        self.progress.service_deadline = self.timer.now().after(self.timeouts.response);
        let Some(mut response) = self.progress.response.take() else { return Ok(()) };
        let wanted = (response.status != 100 || self.request.meta.expect_continue)
            // A client that does not read gets no more of them.
            && self.down.outgoing.waiting() < RESPONSE_LIMITS.bytes;
        if wanted && self.request.head.version != Version::Http10 {
            let options = message::ConnectionOptions::of(&response.headers);
            response.headers.strip_response(options);
            let framing = wire::ResponseFraming {
                body: wire::ResponseBody::None,
                connection: wire::ConnectionHeader::None,
                date: None,
            };
            self.down.send_interim(&response, &framing);
        }
        self.worker.pools.give_response(response);
        Ok(())
    }

    /// Passes the body of the response on, after its head was put into `down.outgoing`.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        let uploaded = self.poll_upload(cx);
        match self.progress.download.poll(cx, self.up, self.down) {
            Poll::Ready(Ok(())) => return Poll::Ready(Ending::Complete),
            Poll::Ready(Err(PumpError::Sender(_))) => return Poll::Ready(Ending::Cut(Fault::UpstreamCut)),
            Poll::Ready(Err(PumpError::Receiver)) => {
                return Poll::Ready(Ending::ClientGone(Fault::ClientGone));
            }
            Poll::Pending => {}
        }
        if let Err(fault) = uploaded {
            let gone = self.down.ended;
            return Poll::Ready(if gone {
                Ending::ClientGone(Fault::ClientGone)
            } else {
                Ending::Cut(fault)
            });
        }
        self.note_download();
        let (passed, waits) = (self.progress.download.passed, self.progress.download.waits_for);
        if let Err(fault) =
            self.poll_client(cx, true, passed).and_then(|()| self.check_client_end(Some((passed, waits))))
        {
            return Poll::Ready(Ending::ClientGone(fault));
        }
        self.poll_clock(cx).map(|failure| match failure {
            Failure::Final(Fault::SendTimeout) => Ending::ClientGone(Fault::SendTimeout),
            Failure::Final(fault) => Ending::Cut(fault),
            Failure::Reset
            | Failure::StreamReset
            | Failure::CutHead
            | Failure::Refused
            | Failure::Leaving
            | Failure::TryTimeout => Ending::Cut(Fault::ResponseTimeout),
        })
    }

    /// Whom the body of the response waits for, and since when.
    fn note_download(&mut self) {
        let now = self.timer.now();
        let progress = &mut self.progress;
        let download = &progress.download;
        progress.send_patience.progress(now, download.sent);
        if download.waits_for == Waits::Write {
            progress.send_patience.wait(now);
            progress.service_deadline = Tick::NEVER;
        } else {
            progress.send_patience.rest(now);
            if progress.service_deadline == Tick::NEVER || progress.seen != download.passed {
                progress.service_deadline = now.after(self.timeouts.stream);
            }
        }
        progress.seen = download.passed;
    }

    /// The body of the response is about to be passed on, in chunks if `chunked`; and if nobody needs that of the request
    /// any more, it is not held any longer.
    pub(crate) fn begin_download(&mut self, length: BodyLength, chunked: bool) {
        if self.progress.download.is_held() {
            self.progress.download.begin_held(chunked, None);
        } else {
            self.progress.download = Pump::new(length, chunked, None);
        }
        self.request.end_upload();
    }

    /// The response head is there: from now on the service has to keep the body coming.
    pub(crate) fn begin_body(&mut self) {
        self.progress.per_try = Tick::NEVER;
        self.progress.service_deadline = Tick::NEVER;
        self.progress.body_began = true;
    }

    /// Moves the body of the request. Errors are the client's.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        if self.request.upload.done || self.progress.upload_failed {
            return Ok(());
        }
        let (before, sent) = (self.request.upload.passed, self.request.upload.sent);
        let polled = self.request.upload.poll(cx, self.down, self.up);
        let now = self.timer.now();
        if self.request.upload.passed != before {
            self.progress.body_patience.progress(now, self.request.upload.passed);
        }
        if self.request.upload.sent != sent {
            self.expect_from_service(Tick::NEVER);
        }
        match polled {
            Poll::Ready(Ok(())) => {
                self.progress.body_patience.rest(now);
                self.expect_from_service(now.after(self.timeouts.response));
            }
            Poll::Ready(Err(PumpError::Receiver)) => {
                self.progress.upload_failed = true;
                self.progress.body_patience.rest(now);
                self.expect_from_service(now.after(self.timeouts.response));
            }
            Poll::Ready(Err(PumpError::Sender(fault))) => return Err(fault),
            Poll::Pending if self.awaits_permission() => {
                self.progress.body_patience.rest(now);
                if self.progress.service_deadline == Tick::NEVER {
                    self.expect_from_service(now.after(self.timeouts.response));
                }
            }
            Poll::Pending if self.request.upload.waits_for == Waits::Read => {
                self.progress.body_patience.wait(now);
                self.expect_from_service(Tick::NEVER);
            }
            Poll::Pending => {
                self.progress.body_patience.rest(now);
                if self.progress.service_deadline == Tick::NEVER {
                    self.expect_from_service(now.after(self.timeouts.response));
                }
            }
        }
        Ok(())
    }

    /// The client waits for the service to say that it takes the body (RFC 9110 §10.1.1), and so does everybody.
    fn awaits_permission(&self) -> bool {
        let progress = &self.progress;
        self.request.meta.expect_continue
            && self.request.upload.taken == 0
            && !progress.answered
            && progress.interim == 0
    }

    /// Sets when the service must have answered, as long as it has not.
    fn expect_from_service(&mut self, deadline: Tick) {
        if !self.progress.body_began {
            self.progress.service_deadline = deadline;
        }
    }

    /// Arms the timer for the nearest deadline, and says which one has passed.
    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        let now = self.timer.now();
        let deadlines = [
            (self.progress.total, Failure::Final(Fault::RequestTimeout)),
            (self.progress.per_try, Failure::TryTimeout),
            (self.progress.service_deadline, Failure::TryTimeout),
            (self.progress.body_patience.deadline(), Failure::Final(Fault::BodyTimeout)),
            (self.progress.send_patience.deadline(), Failure::Final(Fault::SendTimeout)),
        ];
        let mut nearest = self.next_look(now);
        for (deadline, failure) in deadlines {
            if deadline <= now {
                return Poll::Ready(failure);
            }
            nearest = nearest.min(deadline);
        }
        self.timer.arm(nearest);
        // Leaves the waker. It cannot be ready: a deadline that has come was found above.
        let expired = self.timer.poll_expired(cx);
        debug_assert!(expired.is_pending());
        Poll::Pending
    }

    /// Whether the request was passed on as a whole.
    pub(crate) fn is_request_done(&self) -> bool {
        self.request.upload.done && !self.progress.upload_failed
    }
}

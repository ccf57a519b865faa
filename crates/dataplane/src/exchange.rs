//! One attempt at one request: the request goes out, the response comes back, at the same time.
//!
//! One task drives both legs. Every wake polls what can move, then looks at the client (is it still
//! there?) and at the clock. The order of events is: the request's head and the first bytes of its body
//! leave together; interim responses pass; the head of the response is handed to `forward`, which decides
//! what to do with it; then the body passes.

use std::task::{Context, Poll};
use std::time::Duration;

use message::{Fault, Version};
use snapshot::{Listener, ServiceTimeouts};
use wire::{BodyLength, HeadLimits, HeadScan, Kind, ResponseMeta};

use crate::patience::Patience;
use crate::pump::{Pump, PumpError, Waits};
use crate::request::Request;
use crate::timer::{Tick, Timer};
use crate::transport::Connection;
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

/// One attempt under way.
pub(crate) struct Exchange<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) timeouts: &'a ServiceTimeouts,
    pub(crate) timer: &'a Timer,
    pub(crate) down: &'a mut Connection,
    pub(crate) up: &'a mut Connection,
    pub(crate) request: &'a mut Request,
    /// The body of the request.
    pub(crate) upload: &'a mut Pump,
    /// Nothing that the service sent speaks against using its connection again.
    pub(crate) reusable: bool,
    /// The service takes no more of the body; it may still answer.
    pub(crate) upload_failed: bool,
    /// When the whole request must be done.
    pub(crate) total: Tick,
    /// When this attempt must have a response head.
    pub(crate) per_try: Tick,
    /// When the service must have done the next thing.
    service_deadline: Tick,
    body_patience: Patience,
    send_patience: Patience,
    scan: HeadScan,
    interim: u32,
    answered: bool,
    /// Bytes of the response that had passed at the last look.
    seen: u64,
    /// The head of the response was passed on; from now on its body sets the service's deadline.
    body_began: bool,
    client_end: ClientEnd,
}

/// What is known of a client that has said it will send nothing more. It may have gone, or it may be
/// waiting for its response with one direction closed: a FIN looks the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ClientEnd {
    /// It has not.
    Open,
    /// It has, before it had an answer; seen at this tick. Next it is asked.
    Closed(Tick),
    /// It closed one direction, and waits. Should it have gone after all, its system says so with a reset
    /// as soon as anything is sent; at this tick it is looked for, and then after twice the time.
    HalfClosed { look: Tick, pause: u64 },
    /// It did so in the middle of the response, which is how clients leave. It is given up when nothing has
    /// come from the service since this tick, when so many bytes had passed.
    Leaving { since: Tick, passed: u64 },
}

/// How long a client that has closed one direction is left alone: most have their answer by then.
const ASK_AFTER: Duration = Duration::from_millis(150);
/// How long a response may stand still before a client that closed in the middle of it counts as gone.
const LEAVING: Duration = Duration::from_secs(1);
/// The longest pause between two looks at a client that has closed one direction, in ticks.
const LONGEST_PAUSE: u64 = 20;

impl<'a> Exchange<'a> {
    #[allow(clippy::too_many_arguments, reason = "an exchange is where everything meets")]
    pub(crate) fn new(
        worker: &'a Worker,
        listener: &'a Listener,
        timeouts: &'a ServiceTimeouts,
        timer: &'a Timer,
        down: &'a mut Connection,
        up: &'a mut Connection,
        request: &'a mut Request,
        upload: &'a mut Pump,
    ) -> Exchange<'a> {
        Exchange {
            worker,
            timeouts,
            timer,
            down,
            up,
            request,
            upload,
            reusable: true,
            upload_failed: false,
            total: Tick::NEVER,
            per_try: Tick::NEVER,
            service_deadline: Tick::NEVER,
            body_patience: Patience::new(listener.timeouts.body, listener.limits.min_rate),
            send_patience: Patience::new(listener.timeouts.send, listener.limits.min_rate),
            scan: HeadScan::default(),
            interim: 0,
            answered: false,
            seen: 0,
            body_began: false,
            client_end: ClientEnd::Open,
        }
    }

    /// Sends the request and waits for the final response head.
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseMeta, Failure>> {
        self.poll_upload(cx).map_err(Failure::Final)?;
        loop {
            if let Some(meta) = self.parse_head()? {
                if self.request.response.status >= 200 || self.request.response.status == 101 {
                    return Poll::Ready(Ok(meta));
                }
                self.relay_interim(&meta)?;
                continue;
            }
            match self.up.poll_fill(cx) {
                Poll::Ready(Ok(0)) if !self.up.ended => return Poll::Ready(Err(self.head_too_large())),
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => return Poll::Ready(Err(self.closed_early())),
                Poll::Ready(Ok(_)) => self.answered = true,
                Poll::Pending => break,
            }
        }
        if let Poll::Ready(Err(_)) = self.down.poll_flush(cx, &mut 0) {
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
        let Some(end) = self.scan.find_end(bytes, &RESPONSE_LIMITS, Kind::Response).map_err(|_| malformed)?
        else {
            if let Some(buffer) = &mut self.up.inbox.buffer
                && buffer.is_full()
            {
                buffer.grow(RESPONSE_LIMITS.bytes);
            }
            return Ok(None);
        };
        let head_request = self.request.head.method == message::Method::Head;
        let parsed = wire::parse_response(
            bytes.get(..end).unwrap_or_default(),
            &RESPONSE_LIMITS,
            head_request,
            &mut self.request.response,
        );
        self.up.inbox.consume(end);
        self.scan.reset();
        parsed.map(Some).map_err(|_| malformed)
    }

    fn head_too_large(&self) -> Failure {
        Failure::Final(Fault::UpstreamMalformed)
    }

    /// The service closed the connection without a head: before any byte, or in the middle of one.
    fn closed_early(&self) -> Failure {
        if self.answered || self.interim > 0 {
            Failure::Final(Fault::UpstreamMalformed)
        } else {
            Failure::Reset
        }
    }

    /// Passes a 1xx on to a client that can understand it (RFC 9110 §15.2).
    fn relay_interim(&mut self, meta: &ResponseMeta) -> Result<(), Failure> {
        self.interim += 1;
        self.reusable &= meta.keep_alive;
        if self.interim > MOST_INTERIM {
            return Err(Failure::Final(Fault::UpstreamMalformed));
        }
        self.service_deadline = self.timer.now().after(self.timeouts.response);
        let wanted = (self.request.response.status != 100 || self.request.meta.expect_continue)
            // A client that does not read gets no more of them.
            && self.down.outgoing.waiting() < RESPONSE_LIMITS.bytes;
        if wanted && self.request.head.version == Version::Http11 {
            let options = message::ConnectionOptions::of(&self.request.response.headers);
            self.request.response.headers.strip_response(options);
            let framing = wire::ResponseFraming {
                body: wire::ResponseBody::None,
                connection: wire::ConnectionHeader::None,
                date: &[],
            };
            wire::write_response(self.down.head_mut(), &self.request.response, &framing);
        }
        Ok(())
    }

    /// Passes the body of the response on, after its head was put into `down.outgoing`.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>, download: &mut Pump) -> Poll<Ending> {
        let uploaded = self.poll_upload(cx);
        match download.poll(cx, self.up, self.down) {
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
        self.note_download(download);
        let waits = download.waits_for;
        if let Err(fault) = self
            .poll_client(cx, true, download.passed)
            .and_then(|()| self.check_client_end(Some((download.passed, waits))))
        {
            return Poll::Ready(Ending::ClientGone(fault));
        }
        self.poll_clock(cx).map(|failure| match failure {
            Failure::Final(Fault::SendTimeout) => Ending::ClientGone(Fault::SendTimeout),
            Failure::Final(fault) => Ending::Cut(fault),
            Failure::Reset | Failure::TryTimeout => Ending::Cut(Fault::ResponseTimeout),
        })
    }

    /// Whom the body of the response waits for, and since when.
    fn note_download(&mut self, download: &Pump) {
        let now = self.timer.now();
        self.send_patience.progress(now, download.sent);
        if download.waits_for == Waits::Write {
            self.send_patience.wait(now);
            self.service_deadline = Tick::NEVER;
        } else {
            self.send_patience.rest(now);
            if self.service_deadline == Tick::NEVER || self.seen != download.passed {
                self.service_deadline = now.after(self.timeouts.stream);
            }
        }
        self.seen = download.passed;
    }

    /// The response head is there: from now on the service has to keep the body coming.
    pub(crate) fn begin_body(&mut self) {
        self.per_try = Tick::NEVER;
        self.service_deadline = Tick::NEVER;
        self.body_began = true;
    }

    /// Moves the body of the request. Errors are the client's.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<(), Fault> {
        if self.upload.done || self.upload_failed {
            return Ok(());
        }
        let (before, sent) = (self.upload.passed, self.upload.sent);
        let polled = self.upload.poll(cx, self.down, self.up);
        let now = self.timer.now();
        if self.upload.passed != before {
            self.body_patience.progress(now, self.upload.passed);
        }
        if self.upload.sent != sent {
            self.expect_from_service(Tick::NEVER);
        }
        match polled {
            Poll::Ready(Ok(())) => {
                self.body_patience.rest(now);
                self.expect_from_service(now.after(self.timeouts.response));
            }
            Poll::Ready(Err(PumpError::Receiver)) => {
                self.upload_failed = true;
                self.body_patience.rest(now);
                self.expect_from_service(now.after(self.timeouts.response));
            }
            Poll::Ready(Err(PumpError::Sender(fault))) => return Err(fault),
            Poll::Pending if self.upload.waits_for == Waits::Read => {
                self.body_patience.wait(now);
                self.expect_from_service(Tick::NEVER);
            }
            Poll::Pending => {
                self.body_patience.rest(now);
                if self.service_deadline == Tick::NEVER {
                    self.expect_from_service(now.after(self.timeouts.response));
                }
            }
        }
        Ok(())
    }

    /// Sets when the service must have answered, as long as it has not.
    fn expect_from_service(&mut self, deadline: Tick) {
        if !self.body_began {
            self.service_deadline = deadline;
        }
    }

    /// Looks whether the client is still there. Bytes that it sends ahead (pipelining) are kept, up to
    /// one buffer; when that is full, nobody looks any more until the response is done.
    fn poll_client(&mut self, cx: &mut Context<'_>, begun: bool, passed: u64) -> Result<(), Fault> {
        if !self.upload.is_received() && !self.upload_failed {
            return Ok(()); // what comes now is the body, and the upload reads it
        }
        while !self.down.ended {
            match self.down.poll_fill(cx) {
                Poll::Ready(Ok(0)) | Poll::Pending => break,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Err(Fault::ClientGone),
            }
        }
        if self.down.ended && self.client_end == ClientEnd::Open {
            let now = self.timer.now();
            self.client_end =
                if begun { ClientEnd::Leaving { since: now, passed } } else { ClientEnd::Closed(now) };
        }
        Ok(())
    }

    /// Finds out whether a client that will send nothing more has gone, or only closed one direction.
    /// `body` is how far the body of the response has come, and what it waits for; `None` before its head.
    fn check_client_end(&mut self, body: Option<(u64, Waits)>) -> Result<(), Fault> {
        let now = self.timer.now();
        match (self.client_end, body) {
            (ClientEnd::Open, _) => {}
            (ClientEnd::Closed(since), None) if now < since.after(ASK_AFTER) => {}
            (ClientEnd::Closed(_), asked) => {
                self.client_end = ClientEnd::HalfClosed { look: Tick(now.0 + 1), pause: 1 };
                if asked.is_none() && self.request.head.version == Version::Http11 {
                    // RFC 9110 §15.2: a client must be able to take an interim response it did not ask for.
                    self.down.head_mut().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
            }
            (ClientEnd::HalfClosed { look, .. }, _) if now < look => {}
            (ClientEnd::HalfClosed { pause, .. }, _) => {
                if self.down.transport.is_broken() {
                    return Err(Fault::ClientGone);
                }
                let pause = (pause * 2).min(LONGEST_PAUSE);
                self.client_end = ClientEnd::HalfClosed { look: Tick(now.0 + pause), pause };
            }
            (ClientEnd::Leaving { since, passed: before }, body) => {
                let (passed, waits) = body.unwrap_or((before, Waits::Nothing));
                if passed != before || waits == Waits::Write {
                    self.client_end = ClientEnd::Leaving { since: now, passed };
                } else if now >= since.after(LEAVING) {
                    return Err(Fault::ClientGone);
                }
            }
        }
        Ok(())
    }

    /// When to look at the client again.
    fn next_look(&self, now: Tick) -> Tick {
        match self.client_end {
            ClientEnd::Open => Tick::NEVER,
            ClientEnd::Closed(since) => since.after(ASK_AFTER).max(Tick(now.0 + 1)),
            ClientEnd::HalfClosed { look, .. } => look,
            ClientEnd::Leaving { since, .. } => since.after(LEAVING).max(Tick(now.0 + 1)),
        }
    }

    /// Arms the timer for the nearest deadline, and says which one has passed.
    fn poll_clock(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        let now = self.timer.now();
        let deadlines = [
            (self.total, Failure::Final(Fault::RequestTimeout)),
            (self.per_try, Failure::TryTimeout),
            (self.service_deadline, Failure::TryTimeout),
            (self.body_patience.deadline(), Failure::Final(Fault::BodyTimeout)),
            (self.send_patience.deadline(), Failure::Final(Fault::SendTimeout)),
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
        self.upload.done && !self.upload_failed
    }
}

/// The pump for the body of a request.
pub(crate) fn upload(request: &Request) -> Pump {
    let chunked = matches!(request.meta.body, BodyLength::Chunked);
    Pump::new(request.meta.body, chunked, request.state.body_limit)
}

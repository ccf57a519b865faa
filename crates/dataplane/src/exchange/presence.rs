//! Whether the client is still there, while its request is served.
//!
//! A client may have gone, or have closed one direction and wait for its answer; only what it does next tells them
//! apart. It must not know what the answer is. Entry points: [`Exchange::poll_client`], [`Exchange::check_client_end`].

use std::task::{Context, Poll};
use std::time::Duration;

use message::{Fault, Version};

use super::Exchange;
use crate::progress::ClientEnd;
use crate::pump::Waits;
use crate::timer::Tick;

/// How long a client that has closed one direction is left alone: most have their answer by then.
const ASK_AFTER: Duration = Duration::from_millis(150);
/// How long a response may stand still before a client that closed in the middle of it counts as gone.
const LEAVING: Duration = Duration::from_secs(1);
/// The longest pause between two looks at a client that has closed one direction, in ticks.
const LONGEST_PAUSE: u64 = 20;

impl Exchange<'_> {
    /// Looks whether the client is still there. Bytes that it sends ahead (pipelining) are kept, up to
    /// one buffer; when that is full, nobody looks any more until the response is done.
    pub(super) fn poll_client(
        &mut self,
        cx: &mut Context<'_>,
        begun: bool,
        passed: u64,
    ) -> Result<(), Fault> {
        if let Some(stream) = self.down.stream() {
            // It costs nothing to look, and what is sent on a stream is the body and nothing else.
            return if stream.poll_gone(cx).is_ready() { Err(Fault::ClientGone) } else { Ok(()) };
        }
        if !self.request.upload.is_received() && !self.progress.upload_failed {
            return Ok(()); // what comes now is the body, and the upload reads it
        }
        if self.timer.now() < self.progress.watch_client {
            return Ok(());
        }
        while !self.down.ended {
            match self.down.poll_fill(cx) {
                Poll::Ready(Ok(0)) | Poll::Pending => break,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Err(Fault::ClientGone),
            }
        }
        if self.down.ended && self.progress.client_end == ClientEnd::Open {
            let now = self.timer.now();
            self.progress.client_end =
                if begun { ClientEnd::Leaving { since: now, passed } } else { ClientEnd::Closed(now) };
        }
        Ok(())
    }

    /// Finds out whether a client that will send nothing more has gone, or only closed one direction.
    /// `body` is how far the body of the response has come, and what it waits for; `None` before its head.
    pub(super) fn check_client_end(&mut self, body: Option<(u64, Waits)>) -> Result<(), Fault> {
        let now = self.timer.now();
        match (self.progress.client_end, body) {
            (ClientEnd::Open, _) => {}
            (ClientEnd::Closed(since), None) if now < since.after(ASK_AFTER) => {}
            (ClientEnd::Closed(_), asked) => {
                self.progress.client_end = ClientEnd::HalfClosed { look: Tick(now.0 + 1), pause: 1 };
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
                self.progress.client_end = ClientEnd::HalfClosed { look: Tick(now.0 + pause), pause };
            }
            (ClientEnd::Leaving { since, passed: before }, body) => {
                let (passed, waits) = body.unwrap_or((before, Waits::Nothing));
                if passed != before || waits == Waits::Write {
                    self.progress.client_end = ClientEnd::Leaving { since: now, passed };
                } else if now >= since.after(LEAVING) {
                    return Err(Fault::ClientGone);
                }
            }
        }
        Ok(())
    }

    /// When to look at the client again.
    pub(super) fn next_look(&self, now: Tick) -> Tick {
        match self.progress.client_end {
            ClientEnd::Open => Tick::NEVER,
            ClientEnd::Closed(since) => since.after(ASK_AFTER).max(Tick(now.0 + 1)),
            ClientEnd::HalfClosed { look, .. } => look,
            ClientEnd::Leaving { since, .. } => since.after(LEAVING).max(Tick(now.0 + 1)),
        }
    }
}

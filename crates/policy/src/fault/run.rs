//! Delays and aborts a share of requests. It never waits itself: the delay is left in the state, for whoever
//! forwards the request or sends the reply.

use std::time::Duration;

use document::Percent;
use message::Reply;

use crate::{Flow, RequestCx, ResponseCx, Stage};

/// The stable name of an injected answer, in its problem document.
const CODE: &str = "injected";
/// What a reader of the answer is told.
const DETAIL: &str = "This answer was injected by the policy `fault`. The service was not asked.";
/// The same as a header field (RFC 9209 §2.3), for answers without a body that could tell it: those to HEAD
/// and to gRPC.
const PROXY_STATUS: &str =
    "gateward; error=proxy_internal_response; details=\"injected by the policy `fault`\"";

/// Requests that wait.
#[derive(Debug)]
pub(crate) struct Delay {
    pub(crate) length: Duration,
    pub(crate) share: Percent,
}

/// Requests that are answered with an error.
#[derive(Debug)]
pub(crate) struct Abort {
    pub(crate) status: u16,
    pub(crate) share: Percent,
}

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    /// Only requests with this field are hit.
    pub(crate) header: Option<Box<[u8]>>,
    pub(crate) delay: Option<Delay>,
    pub(crate) abort: Option<Abort>,
}

impl Ready {
    /// Where the service would be asked. After all that refuses: whoever is not let in learns nothing from how
    /// long the refusal takes, and keeps no request waiting.
    pub const STAGE: Stage = Stage::Transform;
    /// It answers in the place of the service.
    pub const CAN_REFUSE: bool = true;

    /// Draws for the delay, then for the abort. An abort with a delay is a reply that waits.
    pub fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        let is_meant = self.header.as_ref().is_none_or(|name| cx.head.headers.values(name).next().is_some());
        if !is_meant {
            return Flow::Continue;
        }
        if let Some(delay) = &self.delay
            && draw(delay.share, cx.rng)
        {
            cx.state.delay = Some(delay.length);
        }
        match &self.abort {
            Some(abort) if draw(abort.share, cx.rng) => Flow::Reply(answer(abort.status, cx.request_id())),
            _ => Flow::Continue,
        }
    }

    /// Nothing to do on the way back.
    pub fn on_response(&self, _: &mut ResponseCx<'_>) {}
}

/// Whether one of the share is drawn: never of 0 %, always of 100 %.
fn draw(share: Percent, rng: &mut fastrand::Rng) -> bool {
    rng.u16(..10_000) < share.hundredths()
}

/// Looks to a client like a fault of the gateway with this status, so that it does what it would do then, and says
/// to people that it is none. No cache may keep it: some statuses are kept unless they say so (RFC 9110 §15.1).
fn answer(status: u16, request_id: &str) -> Reply {
    // What passes, as in the table of faults and by RFC 6585 §4.
    let is_retryable = matches!(status, 408 | 421 | 425 | 429 | 502 | 503 | 504);
    let reply = Reply::problem(status, CODE, DETAIL, "gateway", is_retryable, request_id)
        .header("cache-control", "no-store")
        .header("proxy-status", PROXY_STATUS);
    if status == 503 { reply.retry_after(1) } else { reply }
}

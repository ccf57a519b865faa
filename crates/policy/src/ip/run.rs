//! Lets requests in or keeps them out by the address of the client, seen through trusted proxies.

use message::Reply;

use super::ranges::Ranges;
use crate::{Flow, RequestCx, ResponseCx, Stage};

/// The kind, as logs have it.
const KIND: &str = "ip";
/// The stable name of a refusal, in its problem document.
const CODE: &str = "ip-refused";
/// What a reader of the refusal is told: nothing of the rule, by which others could find a way around it.
const DETAIL: &str = "Requests from this address are not served here.";

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    /// `None` where all may come that are not denied.
    pub(crate) allow: Option<Ranges>,
    pub(crate) deny: Ranges,
    pub(crate) status: u16,
}

impl Ready {
    /// At the edge, first of all that refuses: nothing is spent on whoever may not come.
    pub const STAGE: Stage = Stage::Edge;
    /// It refuses requests.
    pub const CAN_REFUSE: bool = true;

    /// What is denied is refused, and with `allow` all that it does not name.
    pub fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        let reason = if self.deny.contains(cx.client) {
            "denied"
        } else if self.allow.as_ref().is_some_and(|allow| !allow.contains(cx.client)) {
            "not_allowed"
        } else {
            return Flow::Continue;
        };
        cx.state.stopped_by = Some((KIND, reason));
        let client = cx.client.to_canonical();
        cx.state.remark(KIND, || match self.deny.place_of(client) {
            Some(range) => format!("{client} is in {range} of deny"),
            None => format!("{client} is not in allow"),
        });
        Flow::Reply(
            Reply::problem(self.status, CODE, DETAIL, "client", false, cx.request_id())
                .header("cache-control", "no-store"),
        )
    }

    /// Nothing to do on the way back.
    pub fn on_response(&self, _: &mut ResponseCx<'_>) {}
}

//! Refuses bodies that are too large: announced ones before they are read, streamed ones when they
//! pass the limit.

use message::Fault;

use crate::{Flow, RequestCx, ResponseCx, Stage};

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(crate) body: u64,
}

impl Ready {
    /// At the edge: a body that is too large is refused before anybody looks into it.
    pub const STAGE: Stage = Stage::Edge;
    /// It refuses requests.
    pub const CAN_REFUSE: bool = true;

    /// Checks the announced length, and leaves the limit for bodies that announce none.
    pub fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        if cx.body_length.is_some_and(|length| length > self.body) {
            return Flow::Fault(Fault::BodyTooLarge);
        }
        cx.state.body_limit = Some(self.body);
        Flow::Continue
    }

    /// Nothing to do on the way back.
    pub fn on_response(&self, _: &mut ResponseCx<'_>) {}
}

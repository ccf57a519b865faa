//! Gives each request an id, and hands it to the service and back to the client.

use message::Headers;

use crate::{Flow, RequestCx, ResponseCx, Stage};

/// Whose ids are taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accept {
    /// Those of trusted proxies.
    Trusted,
    /// Anybody's.
    Any,
    /// Nobody's.
    Never,
}

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(crate) header: Box<[u8]>,
    pub(crate) accept: Accept,
}

impl Ready {
    /// First of all, so that every refusal and every log line has an id.
    pub const STAGE: Stage = Stage::Edge;
    /// It never refuses.
    pub const CAN_REFUSE: bool = false;

    /// Settles the id.
    pub fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        let believed = match self.accept {
            Accept::Trusted => cx.trusted_peer,
            Accept::Any => true,
            Accept::Never => false,
        };
        let adopted = believed
            && cx.head.headers.values(&self.header).next().is_some_and(|value| cx.state.id.adopt(value));
        if !adopted {
            cx.state.id.generate(cx.rng);
        }
        cx.head.headers.set(&self.header, cx.state.id.as_str().as_bytes());
        Flow::Continue
    }

    /// Tells the client the id.
    pub fn on_response(&self, cx: &mut ResponseCx<'_>) {
        let headers: &mut Headers = cx.headers;
        if !cx.state.id.is_empty() {
            headers.set(&self.header, cx.state.id.as_str().as_bytes());
        }
    }
}

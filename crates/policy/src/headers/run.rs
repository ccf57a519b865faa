//! Sets, adds and removes header fields on the way there and back.

use message::{Headers, Name};

use crate::{Flow, RequestCx, ResponseCx, Stage};

/// A name and a value, checked.
pub(crate) type Pair = (Box<[u8]>, Box<[u8]>);

/// What to do with the fields of one direction: first `remove`, then `set`, then `add`.
#[derive(Debug, Default)]
pub(crate) struct Edits {
    pub(crate) remove: Box<[Box<[u8]>]>,
    pub(crate) set: Box<[Pair]>,
    pub(crate) add: Box<[Pair]>,
}

impl Edits {
    fn apply(&self, headers: &mut Headers) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.set(name, value);
        }
        for (name, value) in &self.add {
            headers.push(name, value);
        }
    }
}

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(crate) request: Edits,
    pub(crate) response: Edits,
}

impl Ready {
    /// Last on the way there, first on the way back.
    pub const STAGE: Stage = Stage::Transform;
    /// It never refuses.
    pub const CAN_REFUSE: bool = false;

    /// Edits the request. Host is not a field like the others: it is what the upstream request is sent to.
    pub fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        self.request.apply(&mut cx.head.headers);
        if let Some((_, host)) = self.request.set.iter().find(|(name, _)| Name::of(name) == Name::Host) {
            cx.head.set_authority(host);
        }
        Flow::Continue
    }

    /// Edits the response, or the reply of the gateway.
    pub fn on_response(&self, cx: &mut ResponseCx<'_>) {
        self.response.apply(cx.headers);
    }
}

//! It only says how others count: the chain asks it when it is put together.

use crate::{Flow, RequestCx, ResponseCx, Stage};

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    /// The kinds that all have to recognise the caller; empty where any is enough.
    pub(crate) demanded: Box<[&'static str]>,
    /// A request that shows nothing may go on.
    pub(crate) anonymous: bool,
}

impl Ready {
    /// With those that it speaks about.
    pub const STAGE: Stage = Stage::Authenticate;
    /// It lets through less, or more, than others would.
    pub const CAN_REFUSE: bool = true;

    /// The kinds of policies that all have to recognise the caller; empty where any is enough.
    pub fn demanded(&self) -> &[&'static str] {
        &self.demanded
    }

    /// Whether a request that shows nothing may go on.
    pub fn allows_anonymous(&self) -> bool {
        self.anonymous
    }

    /// Nothing to do.
    pub fn on_request(&self, _: &mut RequestCx<'_>) -> Flow {
        Flow::Continue
    }

    /// Nothing to do on the way back.
    pub fn on_response(&self, _: &mut ResponseCx<'_>) {}
}

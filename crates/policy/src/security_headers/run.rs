//! Tells browsers how to protect those who use the service.

use message::Headers;

use crate::{Flow, RequestCx, ResponseCx, Stage};

/// The field that RFC 6797 section 6.1 defines.
const TRANSPORT_SECURITY: &str = "strict-transport-security";

/// A field that is said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) value: Box<[u8]>,
}

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    /// What is said over https alone.
    pub(crate) hsts: Option<Box<[u8]>>,
    pub(crate) lines: Box<[Line]>,
    /// What the service says does not stay.
    pub(crate) overrides: bool,
}

impl Ready {
    /// First on the way back, so that what `headers` says of the same fields has the last word.
    pub const STAGE: Stage = Stage::Transform;
    /// It never refuses.
    pub const CAN_REFUSE: bool = false;

    /// Nothing to do on the way there.
    pub fn on_request(&self, _: &mut RequestCx<'_>) -> Flow {
        Flow::Continue
    }

    /// Adds what is not there. `strict-transport-security` must not be said over plain connections (RFC 6797
    /// section 7.2).
    pub fn on_response(&self, cx: &mut ResponseCx<'_>) {
        for line in &self.lines {
            self.say(cx.headers, line.name, &line.value);
        }
        match &self.hsts {
            Some(value) if cx.state.https => self.say(cx.headers, TRANSPORT_SECURITY, value),
            Some(_) if self.overrides => cx.headers.remove(TRANSPORT_SECURITY.as_bytes()),
            Some(_) | None => {}
        }
    }

    fn say(&self, headers: &mut Headers, name: &str, value: &[u8]) {
        let name = name.as_bytes();
        if self.overrides {
            headers.set(name, value);
        } else if headers.values(name).next().is_none() {
            headers.push(name, value);
        }
    }
}

//! What serving one request needs, and what comes of it.

use std::rc::Rc;

use message::ForwardingInfo;
use snapshot::Listener;

use crate::request::Request;
use crate::timer::Timer;
use crate::transport::Connection;
use crate::worker::Worker;

/// Everything that serving one request needs.
pub(crate) struct Serving<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) listener: &'a Listener,
    pub(crate) info: &'a ForwardingInfo,
    pub(crate) timer: &'a Timer,
    pub(crate) down: &'a mut Connection,
    pub(crate) request: &'a mut Request,
    /// How much of the request's body was taken from the connection.
    pub(crate) body: BodyState,
}

/// How much of the request's body was taken from the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BodyState {
    /// Nothing yet.
    Untouched,
    /// Some of it; what follows on the connection cannot be told from it.
    Partial,
    /// All of it.
    Whole,
}

/// What becomes of the connection after a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// The next request may come.
    KeepAlive,
    /// Everything was sent, nothing is expected: close.
    Close,
    /// Everything was sent, but the client may still be sending: close so that it can read the answer.
    Linger,
    /// Both sides of a tunnel broke off: reset.
    Reset,
    /// Nobody is there, or the response was cut (then the connection knows, and resets).
    Gone,
}

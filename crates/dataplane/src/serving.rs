//! What serving one request needs, and what comes of it.

use std::net::SocketAddr;
use std::rc::Rc;

use message::{Fault, ForwardingInfo};
use snapshot::Listener;

use crate::connection::Connection;
use crate::listener::LiveListener;
use crate::request::Request;
use crate::timer::Timer;
use crate::tunnel::Upgraded;
use crate::worker::Worker;

/// Everything that serving one request needs.
pub(crate) struct Serving<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) live: &'a Rc<LiveListener>,
    /// What the listener was told when the request came.
    pub(crate) listener: Rc<Listener>,
    pub(crate) info: &'a ForwardingInfo,
    pub(crate) timer: &'a Timer,
    pub(crate) down: &'a mut Connection,
    pub(crate) request: &'a mut Request,
    /// How much of the request's body was taken from the connection.
    pub(crate) body: BodyState,
    /// What the connection has become, if the service switched protocols.
    pub(crate) upgraded: Option<Box<Upgraded>>,
}

impl Serving<'_> {
    /// Whether the connection is to end with this request, because the worker or the listener is about to.
    pub(crate) fn is_closing(&self) -> bool {
        self.worker.is_draining() || self.live.is_closing()
    }

    /// Whether the client came by HTTPS, to the gateway or to a proxy that is believed.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.info.encryption.is_some() || self.request.state.https
    }

    /// The id of the request; made now if nobody has needed one before.
    pub(crate) fn request_id(&mut self) -> &str {
        self.request.state.id.or_generate(&mut self.worker.rng.borrow_mut()).as_str()
    }

    /// Tells the operator that a service failed.
    pub(crate) fn tell(&mut self, service: &str, address: Option<SocketAddr>, fault: Fault) {
        let now = self.timer.now();
        let worker = self.worker;
        let detail = self.request.trouble.take();
        worker.troubles.say(now, service, address, fault, detail, self.request_id());
    }
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
    /// From now on bytes pass both ways.
    Upgraded,
    /// From now on the connection carries many requests at a time.
    Streams,
    /// Everything was sent, nothing is expected: close.
    Close,
    /// Everything was sent, but the client may still be sending: close so that it can read the answer.
    Linger,
    /// Both sides of a tunnel broke off: reset.
    Reset,
    /// Nobody is there, or the response was cut (then the connection knows, and resets).
    Gone,
}

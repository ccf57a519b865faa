//! What a worker keeps for the requests to come, so that none of them allocates: bounded, and the one that was used
//! last is used first, because it is still in the near caches.
//!
//! It must not know what they are used for. Entry point: [`Pools`].

use std::cell::RefCell;

use message::ResponseHead;

use crate::handler::Handler;
use crate::request::Request;

/// Requests and handlers kept for reuse.
const KEEP_REQUESTS: usize = 1024;
/// Response heads kept for reuse; more than one is in use at a time only inside one poll.
const KEEP_RESPONSES: usize = 4;
/// The largest response head that is kept, in bytes.
const KEEP_RESPONSE_BYTES: usize = 32 * 1024;

/// The pools of one worker.
#[derive(Default)]
pub(crate) struct Pools {
    #[allow(clippy::vec_box, reason = "the boxes go to and fro; a request is too large to be moved")]
    requests: RefCell<Vec<Box<Request>>>,
    handlers: RefCell<Vec<Handler>>,
    #[allow(clippy::vec_box, reason = "as above")]
    responses: RefCell<Vec<Box<ResponseHead>>>,
}

impl Pools {
    /// An empty request.
    pub(crate) fn take_request(&self) -> Box<Request> {
        self.requests.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a request back after it was served.
    pub(crate) fn give_request(&self, mut request: Box<Request>) {
        let keep = request.reset();
        let mut requests = self.requests.borrow_mut();
        if keep && requests.len() < KEEP_REQUESTS {
            requests.push(request);
        }
    }

    /// Something that serves a request.
    pub(crate) fn take_handler(&self) -> Handler {
        self.handlers.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes back what has served one.
    pub(crate) fn give_handler(&self, handler: Handler) {
        let mut handlers = self.handlers.borrow_mut();
        if handlers.len() < KEEP_REQUESTS {
            handlers.push(handler);
        }
    }

    /// An empty response head.
    pub(crate) fn take_response(&self) -> Box<ResponseHead> {
        self.responses.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a response head back after it was written.
    pub(crate) fn give_response(&self, mut response: Box<ResponseHead>) {
        response.clear();
        let mut responses = self.responses.borrow_mut();
        if responses.len() < KEEP_RESPONSES && response.headers.capacity() <= KEEP_RESPONSE_BYTES {
            responses.push(response);
        }
    }
}

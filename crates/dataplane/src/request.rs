//! What one request owns while it is served: heads, captures, what policies remember.
//!
//! These are large and needed only while a request is under way, so they live in a box that goes back to
//! the worker: an idle connection does not own one, and a busy worker allocates none.

use std::net::{IpAddr, Ipv4Addr};

use message::{RequestHead, ResponseHead};
use policy::RequestState;
use router::Captures;
use wire::{BodyLength, RequestMeta};

/// The parts of one request.
pub(crate) struct Request {
    /// The head of the request; canonical after `normalize`.
    pub(crate) head: RequestHead,
    /// What the codec found out about it.
    pub(crate) meta: RequestMeta,
    /// The head of the response, or of the reply.
    pub(crate) response: ResponseHead,
    /// What the path pattern captured.
    pub(crate) captures: Captures,
    /// What policies remember.
    pub(crate) state: RequestState,
    /// The client, seen through trusted proxies.
    pub(crate) client: IpAddr,
    /// Room for texts that are made on the way (rewrites).
    pub(crate) scratch: Vec<u8>,
}

/// The most bytes that a pooled request may hold on to.
const KEEP_BYTES: usize = 32 * 1024;

impl Default for Request {
    fn default() -> Self {
        Request {
            head: RequestHead::default(),
            meta: RequestMeta::default(),
            response: ResponseHead::default(),
            captures: Captures::default(),
            state: RequestState::default(),
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            scratch: Vec::new(),
        }
    }
}

impl Request {
    /// Ready for the next request. Returns false if it has grown too large to be kept.
    pub(crate) fn reset(&mut self) -> bool {
        self.head.clear();
        self.response.clear();
        self.state.clear();
        self.scratch.clear();
        self.meta = RequestMeta::default();
        self.head.headers.capacity() + self.response.headers.capacity() + self.scratch.capacity()
            <= KEEP_BYTES
    }

    /// The length of the body where it is known.
    pub(crate) fn body_length(&self) -> Option<u64> {
        match self.meta.body {
            BodyLength::Empty => Some(0),
            BodyLength::Exact(length) => Some(length),
            BodyLength::Chunked | BodyLength::UntilClose => None,
        }
    }

    /// Whether there is a body.
    pub(crate) fn has_body(&self) -> bool {
        !matches!(self.meta.body, BodyLength::Empty | BodyLength::Exact(0))
    }
}

/// How the router sees a request.
pub(crate) struct Subject<'a> {
    pub(crate) head: &'a RequestHead,
    /// The path to look for, which for lax readings is not the head's.
    pub(crate) path: &'a [u8],
}

impl router::Subject for Subject<'_> {
    fn host(&self) -> Option<&str> {
        self.head.host()
    }

    fn path(&self) -> &[u8] {
        self.path
    }

    fn method(&self) -> &[u8] {
        self.head.method_bytes()
    }

    fn header(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.head.headers.values(name.as_bytes()).any(test)
    }

    fn query(&self) -> Option<&[u8]> {
        self.head.query()
    }
}

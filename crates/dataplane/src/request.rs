//! What one request owns while it is served: its head, captures, what policies remember, its record.
//!
//! These are large and needed only while a request is under way, so they live in a box that goes back to
//! the worker: an idle connection does not own one, and a busy worker allocates none.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use message::{GrpcForm, Headers, RequestHead};
use policy::RequestState;
use router::Captures;
use snapshot::Retries;
use telemetry::Record;
use wire::{BodyLength, RequestMeta};

use crate::affinity;
use crate::member::Member;
use crate::pump::Pump;
use crate::route::LiveRoute;
use crate::translation::{Translation, length_for_service};

/// The parts of one request.
pub(crate) struct Request {
    /// The head of the request; canonical after `normalize`.
    pub(crate) head: RequestHead,
    /// What the codec found out about it.
    pub(crate) meta: RequestMeta,
    /// What the path pattern captured.
    pub(crate) captures: Captures,
    /// What policies remember.
    pub(crate) state: RequestState,
    /// The client, seen through trusted proxies.
    pub(crate) client: IpAddr,
    /// Room for texts that are made on the way (rewrites).
    pub(crate) scratch: Vec<u8>,
    /// The route it has taken, and which of its ways.
    pub(crate) route: Option<(Rc<LiveRoute>, usize)>,
    /// The address that was asked last.
    pub(crate) member: Option<Rc<Member>>,
    /// It may have been sent before, by somebody else (RFC 8470).
    pub(crate) early: bool,
    /// It came in gRPC-Web, and is translated.
    pub(crate) grpc_web: Option<GrpcForm>,
    /// Cookies that its client gets with the answer.
    pub(crate) cookies: Vec<Vec<u8>>,
    /// What is known of why its service failed, for the operator.
    pub(crate) trouble: Option<Box<str>>,
    /// What will be known of it when it is over.
    pub(crate) record: Record,
    /// When its head was complete.
    pub(crate) ready: Instant,
    /// The whole answer came with its head, and was passed on: no time has passed since.
    pub(crate) came_whole: bool,
    /// The begin of its body is kept, whatever retries need.
    pub(crate) keeps_body: bool,
    /// Its body, on the way to the service; in a tunnel, whatever the client sends.
    pub(crate) upload: Pump,
}

/// The most bytes that a pooled request may hold on to.
const KEEP_BYTES: usize = 32 * 1024;

impl Default for Request {
    fn default() -> Self {
        let now = Instant::now();
        Request {
            head: RequestHead::default(),
            meta: RequestMeta::default(),
            captures: Captures::default(),
            state: RequestState::default(),
            client: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            scratch: Vec::new(),
            route: None,
            member: None,
            early: false,
            grpc_web: None,
            cookies: Vec::new(),
            trouble: None,
            record: Record::begin(now),
            ready: now,
            came_whole: false,
            keeps_body: false,
            upload: Pump::default(),
        }
    }
}

impl Request {
    /// Ready for the next request. Returns false if it has grown too large to be kept.
    pub(crate) fn reset(&mut self) -> bool {
        self.head.clear();
        self.state.clear();
        self.scratch.clear();
        self.meta = RequestMeta::default();
        self.route = None;
        self.member = None;
        self.early = false;
        self.grpc_web = None;
        self.cookies.clear();
        self.came_whole = false;
        self.keeps_body = false;
        self.trouble = None;
        self.upload = Pump::default();
        self.head.headers.capacity() + self.scratch.capacity() <= KEEP_BYTES
    }

    /// It goes on for long, and only what will be said of it at its end is needed.
    pub(crate) fn shrink(&mut self) {
        self.upload = Pump::default();
        self.scratch = Vec::new();
        self.head.headers.forget_fields();
    }

    /// It takes this way of a route.
    pub(crate) fn begin(&mut self, route: &Rc<LiveRoute>, way: usize) {
        if let Some(series) = route.series(way) {
            series.begin();
        }
        self.route = Some((Rc::clone(route), way));
    }

    /// It takes another way of its route than it began with.
    pub(crate) fn change_way(&mut self, route: &Rc<LiveRoute>, way: usize) {
        if let Some(series) = self.route.as_ref().and_then(|(route, way)| route.series(*way)) {
            series.leave();
        }
        self.begin(route, way);
    }

    /// Its client gets a cookie with the answer.
    pub(crate) fn give_cookie(
        &mut self,
        name: &str,
        value: &str,
        max_age: Option<Duration>,
        encrypted: bool,
    ) {
        self.cookies.push(affinity::set_cookie(name, value, max_age, encrypted));
    }

    /// Its answer brings the cookies that its client gets.
    pub(crate) fn put_cookies(&mut self, headers: &mut Headers) {
        if self.cookies.is_empty() && self.state.cookies.is_empty() {
            return;
        }
        self.cookies.drain(..).for_each(|cookie| headers.push(b"set-cookie", &cookie));
        if !self.state.cookies.is_empty() {
            keep_private(headers);
        }
        self.state.cookies.drain(..).for_each(|cookie| headers.push(b"set-cookie", cookie.as_bytes()));
    }

    /// Its body is about to be sent, from its begin.
    pub(crate) fn begin_upload(&mut self) {
        let framed = length_for_service(self.meta.body, self.grpc_web);
        let chunked = matches!(framed, BodyLength::Chunked | BodyLength::UntilClose);
        let length = as_it_comes(self.meta.body, self.head.version.has_streams());
        if self.upload.is_held() {
            self.upload.begin_held(chunked, self.state.body_limit);
        } else {
            self.upload = Pump::new(length, chunked, self.state.body_limit);
        }
        self.upload.promise(self.state.digest.as_deref().copied(), self.body_length());
        self.upload
            .guard(self.route.as_ref().map(|(route, _)| route).filter(|_| length != BodyLength::Empty));
        self.upload.translate(self.grpc_web.and_then(Translation::of_request));
    }

    /// Its body is about to be sent once more.
    pub(crate) fn begin_upload_again(&mut self) {
        if self.upload.taken == 0 {
            self.begin_upload();
        } else {
            self.upload.repeat();
        }
    }

    /// If all of its body has passed and nobody needs it any more, it is not held any longer.
    pub(crate) fn end_upload(&mut self) {
        if self.upload.done && !self.keeps_body {
            self.upload.release();
            self.state.body = None;
        }
    }

    /// The length of the body where it is known.
    pub(crate) fn body_length(&self) -> Option<u64> {
        match self.meta.body {
            BodyLength::Empty => Some(0),
            BodyLength::Exact(length) => Some(length),
            BodyLength::Chunked | BodyLength::UntilClose => None,
        }
    }

    /// Whether it can be sent again, and a service that sees it twice does the same as for once.
    pub(crate) fn may_be_repeated(&self, retries: &Retries) -> bool {
        self.upload.can_repeat() && retries.allows(self.head.method, self.head.method_bytes())
    }

    /// Whether it would be sent again after it was answered, or not answered.
    pub(crate) fn would_be_repeated(&self, retries: &Retries) -> bool {
        retries.repeats_answers() && retries.allows(self.head.method, self.head.method_bytes())
    }

    /// Whether there is a body.
    pub(crate) fn has_body(&self) -> bool {
        !matches!(self.meta.body, BodyLength::Empty | BodyLength::Exact(0))
    }
}

/// What brings a cookie to one client is not for others: no shared cache may keep it (RFC 9111 §7.3).
fn keep_private(headers: &mut Headers) {
    let is_private = |value: &[u8]| {
        let value = value.to_ascii_lowercase();
        [&b"private"[..], b"no-store"].iter().any(|word| value.windows(word.len()).any(|part| part == *word))
    };
    if !headers.values(b"cache-control").any(is_private) {
        headers.set(b"cache-control", b"private");
    }
}

/// How a body is taken from its sender: on a stream to its end, whatever length was announced. The stream has
/// checked that, and trailers may follow.
pub(crate) fn as_it_comes(body: BodyLength, on_stream: bool) -> BodyLength {
    match body {
        BodyLength::Exact(1..) if on_stream => BodyLength::UntilClose,
        body => body,
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

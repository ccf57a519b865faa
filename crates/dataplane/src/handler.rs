//! What serves a request that has to wait for something, lent to a connection for as long as that takes. One that is
//! answered without waiting needs none: see [`Meeting::begin`].
//!
//! A request can wait for many things, and whatever serves it has room for all that has to be remembered meanwhile. Most
//! connections wait for their next request and for nothing else, so this room is no part of their tasks: a worker keeps
//! some of it, and who needs one gets the one that was used last, which is still in the near caches. It must not know
//! what a connection does between two requests. Entry point: [`Handler`].

use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use message::{Fault, ForwardingInfo};

use crate::answer::send_now;
use crate::client::Client;
use crate::connection::Connection;
use crate::finish::finish;
use crate::listener::LiveListener;
use crate::request::Request;
use crate::serve::{Begun, begin, go_on};
use crate::serving::{BodyState, Outcome, Serving};
use crate::timer::Timer;
use crate::tunnel::{self, Upgraded};
use crate::worker::Worker;

/// Serves one request at a time, each for another connection maybe.
pub(crate) struct Handler {
    desk: Rc<Desk>,
    /// Serves what is laid on the desk, one after another, for ever: so its memory is used again and again.
    serving: Pin<Box<dyn Future<Output = Infallible>>>,
}

/// A request with the connection that it came on.
pub(crate) struct Job {
    pub(crate) client: Box<Client>,
    pub(crate) request: Box<Request>,
    /// How far it has come.
    pub(crate) begun: Begun,
}

/// The same when it was served.
pub(crate) struct Served {
    pub(crate) client: Box<Client>,
    pub(crate) request: Box<Request>,
    pub(crate) outcome: Outcome,
    /// What the connection has become, if the service switched protocols.
    pub(crate) upgraded: Option<Box<Upgraded>>,
}

#[derive(Default)]
struct Desk {
    job: Cell<Option<Job>>,
    served: Cell<Option<Served>>,
}

impl Default for Handler {
    fn default() -> Handler {
        let desk = Rc::<Desk>::default();
        Handler { desk: Rc::clone(&desk), serving: Box::pin(serve_all(desk)) }
    }
}

impl Handler {
    /// Takes a request; [`Handler::poll`] serves it.
    pub(crate) fn begin(&mut self, job: Job) {
        self.desk.job.set(Some(job));
    }

    /// Ready when the request was served. From then on it can take another one.
    #[inline]
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Served> {
        // It never ends.
        let _ = self.serving.as_mut().poll(cx);
        self.desk.served.take().map_or(Poll::Pending, Poll::Ready)
    }
}

async fn serve_all(desk: Rc<Desk>) -> Infallible {
    loop {
        let job = poll_fn(|_| desk.job.take().map_or(Poll::Pending, Poll::Ready));
        let Job { mut client, mut request, begun } = job.await;
        let (meets, info, down) = client.meeting();
        let mut serving = meets.serving(info, down, &mut request, BodyState::Untouched);
        let outcome = go_on(&mut serving, begun).await;
        let upgraded = serving.upgraded.take();
        desk.served.set(Some(Served { client, request, outcome, upgraded }));
    }
}

/// What a request meets, whatever it came over.
#[derive(Clone, Copy)]
pub(crate) struct Meeting<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) live: &'a Rc<LiveListener>,
    pub(crate) timer: &'a Timer,
}

impl<'a> Meeting<'a> {
    /// Begins to serve a request, as things are now, or to answer it, if reading it led to a fault; to its end, if nothing
    /// has to be waited for.
    #[inline]
    pub(crate) fn begin(
        self,
        cx: &mut Context<'_>,
        info: &mut ForwardingInfo,
        down: &mut Connection,
        request: &mut Request,
        fault: Option<Fault>,
    ) -> Result<Outcome, Begun> {
        // What is configured may have changed since the last request.
        info.trusted = self.worker.current().snapshot.trusted_proxies.contains(info.peer);
        info.forwards_certificate = self.live.settings().forwards_certificates;
        // Until the head says otherwise, should it come to that.
        request.client = info.peer;
        request.state.https = info.scheme == "https";
        down.sent = 0;
        let body = if fault.is_some() { BodyState::Partial } else { BodyState::Untouched };
        let begun = begin(&mut self.serving(info, down, request, body), fault);
        match begun {
            Begun::Answered(staged) => send_now(down, cx, staged).map_err(Begun::Answered),
            Begun::Over(outcome) => Ok(outcome),
            begun => Err(begun),
        }
    }

    /// What serving a request needs, of whose body as much was taken.
    fn serving(
        self,
        info: &'a ForwardingInfo,
        down: &'a mut Connection,
        request: &'a mut Request,
        body: BodyState,
    ) -> Serving<'a> {
        let Meeting { worker, live, timer } = self;
        Serving { worker, live, listener: live.settings(), info, timer, down, request, body, upgraded: None }
    }

    /// Lets pass what goes both ways on a connection that has become another one, until that ends.
    pub(crate) async fn tunnel(
        self,
        down: &mut Connection,
        request: &mut Request,
        upgraded: Box<Upgraded>,
    ) -> Outcome {
        request.shrink();
        // In a box like all that is rare: every client's task would have to have room for it.
        Box::pin(tunnel::run(self.timer, down, request, upgraded)).await
    }

    /// Ends what was begun, and counts it.
    pub(crate) fn end(self, info: &ForwardingInfo, down: &Connection, request: &mut Request) {
        self.timer.skip_tick();
        request.record.sent = down.sent;
        finish(self.worker, info, request);
    }

    /// Serves one request and counts it, where there is a task for it; or answers it at once, if reading it led to a
    /// fault.
    pub(crate) async fn serve(
        self,
        info: &mut ForwardingInfo,
        down: &mut Connection,
        request: &mut Request,
        fault: Option<Fault>,
    ) {
        let begun = poll_fn(|cx| Poll::Ready(self.begin(cx, info, down, request, fault))).await;
        if let Err(begun) = begun {
            let upgraded = {
                let mut serving = self.serving(info, down, request, BodyState::Untouched);
                go_on(&mut serving, begun).await;
                serving.upgraded.take()
            };
            if let Some(upgraded) = upgraded {
                self.tunnel(down, request, upgraded).await;
            }
        }
        self.end(info, down, request);
    }
}

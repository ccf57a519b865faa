//! Copies of requests for another service: sent and forgotten.
//!
//! A copy is a request of its own, with a client that reads nothing, so it goes the way of all requests: balancing,
//! connections, encryption, versions. It begins when its body is known as a whole, in a task of its own, and nobody
//! waits for it or hears of it.

use std::rc::Rc;
use std::time::Duration;

use message::{ForwardingInfo, Method};
use policy::{Chain, Permitted};
use snapshot::Mirror;
use wire::BodyLength;

use crate::connection::Connection;
use crate::forward;
use crate::listener::LiveListener;
use crate::live::LiveService;
use crate::request::Request;
use crate::serving::{BodyState, Serving};
use crate::transport::Transport;
use crate::worker::Worker;

/// Copies of one worker that may be under way at a time; more are not made.
const AT_A_TIME: usize = 128;
/// How long a copy may take.
const LIMIT: Duration = Duration::from_secs(10);

/// A copy that waits for its body.
pub(crate) struct Replica {
    request: Box<Request>,
    info: ForwardingInfo,
    permitted: Permitted,
    service: Rc<LiveService>,
}

/// Makes a copy of a request that was let pass, if there is to be one. What becomes of the request itself is not
/// changed by it, but for its body, of which the begin is kept.
pub(crate) fn copy(
    s: &mut Serving<'_>,
    mirror: Option<(&Mirror, &Rc<LiveService>)>,
    permitted: &Permitted,
) -> Option<Box<Replica>> {
    let (mirror, service) = mirror?;
    let is_plain = !s.request.meta.upgrade_websocket
        && s.request.head.method != Method::Connect
        && s.request.grpc_web.is_none();
    if !is_plain || !mirror.hits(&mut s.worker.rng.borrow_mut()) {
        return None;
    }
    if s.worker.copies.get() >= AT_A_TIME {
        service.count_copy(false);
        return None;
    }
    let mut request = s.worker.pools.take_request();
    request.head.clone_from(&s.request.head);
    // Its body is in hand, and no stream.
    request.head.version = message::Version::Http11;
    request.meta = s.request.meta;
    request.meta.expect_continue = false;
    request.client = s.request.client;
    request.state.id = s.request.state.id.clone();
    s.request.keeps_body = s.request.has_body();
    Some(Box::new(Replica {
        request,
        info: s.info.clone(),
        permitted: permitted.of_copy(),
        service: Rc::clone(service),
    }))
}

/// Sends a copy, if its body is known as a whole: bodies that are long are not kept.
pub(crate) fn send(s: &Serving<'_>, copy: Replica) {
    let body = if s.request.has_body() { s.request.upload.whole() } else { Some(&[][..]) };
    let Some(body) = body else {
        copy.service.count_copy(false);
        s.worker.pools.give_request(copy.request);
        return;
    };
    copy.service.count_copy(true);
    s.worker.copies.set(s.worker.copies.get() + 1);
    let (worker, live, body) = (Rc::clone(s.worker), Rc::clone(s.live), body.to_vec());
    tokio::task::spawn_local(async move {
        let open = Open(Rc::clone(&worker));
        Box::pin(run(&worker, &live, copy, &body)).await;
        drop(open);
    });
}

/// Counts a copy for as long as it is under way.
struct Open(Rc<Worker>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.copies.set(self.0.copies.get().saturating_sub(1));
    }
}

async fn run(worker: &Rc<Worker>, live: &Rc<LiveListener>, copy: Replica, body: &[u8]) {
    let Replica { mut request, info, permitted, service } = copy;
    let mut down = Connection::new(Transport::Nowhere, &worker.buffers);
    request.meta.body = match body.len() {
        0 => BodyLength::Empty,
        length => {
            down.inbox.buffer = Some(worker.buffers.hold(body));
            BodyLength::Exact(length as u64)
        }
    };
    let timer = worker.wheel.timer();
    let mut serving = Serving {
        worker,
        live,
        listener: live.settings(),
        info: &info,
        timer: &timer,
        down: &mut down,
        request: &mut request,
        body: BodyState::Untouched,
        upgraded: None,
    };
    // Whatever becomes of it: the service's own numbers say so.
    let _ = forward::forward(&mut serving, permitted, &service, &Chain::default(), Some(LIMIT)).await;
    worker.pools.give_request(request);
}

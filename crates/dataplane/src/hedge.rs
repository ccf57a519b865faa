//! A second request for a slow answer: whoever begins to answer first has won.
//!
//! It is for requests that are safe and have no body, to services that speak HTTP/1.1, and is paid for like a retry. It
//! lasts until one of two addresses begins to answer; from then on the exchange is like any other. Entry point: [`race`].

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use message::{Fault, Method};
use snapshot::Protocol;
use tokio::time::Sleep;

use crate::attempt::{Failed, write_request};
use crate::connection::Connection;
use crate::live::Wish;
use crate::member::{InFlight, Member, OpenSlot};
use crate::plan::Plan;
use crate::request::Request;
use crate::serving::Serving;
use crate::transport::Transport;

/// Another address that was asked the same.
pub(crate) struct Rival {
    pub(crate) member: Rc<Member>,
    pub(crate) in_flight: InFlight,
    pub(crate) up: Box<Connection>,
    pub(crate) slot: OpenSlot,
    /// Its connection was a kept one.
    pub(crate) reused: bool,
    /// Its connection is not open yet, so nothing was sent.
    connecting: bool,
}

/// How long to wait for an answer before another address is asked; `None` for never.
pub(crate) fn patience(plan: &Plan<'_>, request: &Request) -> Option<Duration> {
    let settings = &plan.service.settings;
    let is_safe = matches!(request.head.method, Method::Get | Method::Head | Method::Options);
    let fits = is_safe
        && !request.has_body()
        && !request.meta.upgrade_websocket
        && plan.failures == 0
        && settings.protocol == Protocol::Http1
        && settings.proxy_protocol.is_none();
    plan.service.hedge_after().filter(|_| fits)
}

/// Waits until the address that was asked begins to answer, or another one that is asked after a while. `None` means the
/// first, or that it is up to the exchange to find out what became of it.
pub(crate) async fn race(
    s: &mut Serving<'_>,
    plan: &mut Plan<'_>,
    member: &Rc<Member>,
    up: &mut Connection,
    patience: Duration,
) -> Result<Option<Rival>, Failed> {
    let mut alarm = Box::pin(tokio::time::sleep(patience));
    let mut rival: Option<Rival> = None;
    let mut asked = false;
    let limit = s.timer.now().after(plan.service.settings.timeouts.response).min(plan.total);
    s.timer.arm(limit);
    let won = poll_fn(|cx| {
        if plan.may_leave(member, s.request, s.worker) {
            return Poll::Ready(Err(Failed::Stalled));
        }
        if begins(up, cx).is_some() {
            return Poll::Ready(Ok(false));
        }
        if !asked && is_due(alarm.as_mut(), cx) {
            asked = true;
            rival = begin(s, plan, member);
        }
        match rival.as_mut().map(|rival| rival.poll(cx, s.request, plan)) {
            Some(Poll::Ready(true)) => return Poll::Ready(Ok(true)),
            Some(Poll::Ready(false)) => rival = None,
            Some(Poll::Pending) | None => {}
        }
        // What the client sends ahead is kept for later.
        if matches!(s.down.poll_fill(cx), Poll::Ready(Err(_))) {
            return Poll::Ready(Err(Failed::Final(Fault::ClientGone)));
        }
        s.timer.poll_expired(cx).map(|()| Err(Failed::TryTimeout))
    });
    let won = won.await?;
    Ok(rival.filter(|_| won).inspect(|rival| rival.member.series.hedges_won.add(1)))
}

fn is_due(alarm: Pin<&mut Sleep>, cx: &mut Context<'_>) -> bool {
    alarm.poll(cx).is_ready()
}

/// Whether something has come on a connection, or has come to an end: `true` for bytes. `None` while nothing has.
fn begins(up: &mut Connection, cx: &mut Context<'_>) -> Option<bool> {
    if let Poll::Ready(Err(_)) = up.poll_flush(cx) {
        return Some(false);
    }
    match up.poll_fill(cx) {
        Poll::Ready(Ok(count)) => Some(count > 0),
        Poll::Ready(Err(_)) => Some(false),
        Poll::Pending => None,
    }
}

/// Asks another address, if there is one and it is paid for.
fn begin(s: &Serving<'_>, plan: &mut Plan<'_>, member: &Member) -> Option<Rival> {
    let tried = [member.address];
    let wish = Wish { tried: &tried, key: None, now: s.worker.now_millis() };
    let other = plan.service.pick(&mut s.worker.rng.borrow_mut(), &wish)?;
    let settings = &plan.service.settings;
    let kept = other.checkout();
    if kept.is_none() && settings.tls.is_some() {
        return None; // by the time of a handshake the first one has answered
    }
    if !plan.charge(s.worker) {
        return None;
    }
    let in_flight = other.begin();
    other.series.hedges.add(1);
    let (mut up, slot, connecting) = match kept {
        Some((up, slot)) => (up, slot, false),
        None => {
            let slot = other.reserve(settings.max_connections)?;
            let transport = Transport::begin_connect(other.address, &s.worker.outbox).ok()?;
            (Box::new(Connection::new(transport, &s.worker.buffers)), slot, true)
        }
    };
    if !connecting {
        write_request(up.head_mut(), s.request, settings, false);
    }
    Some(Rival { member: other, in_flight, up, slot, reused: !connecting, connecting })
}

impl Rival {
    /// Ready with `true` when it begins to answer, with `false` when it never will.
    fn poll(&mut self, cx: &mut Context<'_>, request: &Request, plan: &Plan<'_>) -> Poll<bool> {
        if self.connecting {
            match self.up.transport.poll_connected(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(false),
                Poll::Ready(Ok(())) => {
                    self.connecting = false;
                    write_request(self.up.head_mut(), request, &plan.service.settings, false);
                }
            }
        }
        begins(&mut self.up, cx).map_or(Poll::Pending, Poll::Ready)
    }
}

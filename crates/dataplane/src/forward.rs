//! Forwards one request: pick an endpoint, try, look at the outcome, maybe try again.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use message::{Blame, Fault, is_grpc, parse_grpc_timeout, write_grpc_timeout};
use policy::{Chain, Permitted};
use snapshot::RequestKey;

use crate::affinity;
use crate::attempt::{Failed, attempt};
use crate::gate::{Asker, Entry, Gate, Slot, Waiting};
use crate::key;
use crate::live::{LiveService, Wish};
use crate::member::Member;
use crate::plan::{MOST_TRIED, Plan};
use crate::pump::Pump;
use crate::request::Request;
use crate::serving::{BodyState, Outcome, Serving};
use crate::timer::Tick;

/// Forwards a request to a service. Takes the proof that every policy let it pass. What it could not be served
/// for is left to the caller to answer.
pub(crate) async fn forward(
    s: &mut Serving<'_>,
    _permitted: Permitted,
    service: &LiveService,
    chain: &Chain,
    route_timeout: Option<Duration>,
) -> Result<Outcome, Fault> {
    let limit = route_timeout.or(service.settings.timeouts.request);
    let limit = match grpc_deadline(s.request)? {
        Some(deadline) => Some(limit.map_or(deadline, |limit| limit.min(deadline))),
        None => limit,
    };
    let total = limit.map_or(Tick::NEVER, |limit| s.timer.now().after(limit));
    let probe = service.admit();
    let slot = match (&probe, service.gate()) {
        (Ok(_), Some(gate)) => enter(s, gate, limit).await.map(Some),
        _ => Ok(None),
    };
    let (probe, slot) = match (probe, slot) {
        (Ok(probe), Ok(slot)) => (probe, slot),
        (_, Err(Fault::ClientGone)) => return Ok(gone(s)),
        (Err(fault), _) | (_, Err(fault)) => {
            service.count_refusal(fault);
            return Err(fault);
        }
    };
    let mut plan = Plan::new(service, chain, total, s.request.ready);
    if slot.is_some() {
        // It may have waited, and that is not the service's time.
        plan.began = Instant::now();
    }
    let outcome = attempts(s, &mut plan).await;
    slot.into_iter().for_each(|slot| slot.finish(s.worker.now_millis()));
    let fault = s.request.record.fault.or(outcome.as_ref().err().copied());
    // What ended because of the client says nothing of the service.
    if let Some(probe) = probe.filter(|_| fault.is_none_or(|fault| fault.blame() != Blame::Client)) {
        probe.settle(fault.is_none() && s.request.record.status < 500);
    }
    outcome
}

/// Nobody is there any more.
pub(crate) fn gone(s: &mut Serving<'_>) -> Outcome {
    s.request.record.fault = Some(Fault::ClientGone);
    s.request.record.status = Fault::ClientGone.status();
    Outcome::Gone
}

/// Waits for room, if the service has as many requests as it may have.
async fn enter(s: &mut Serving<'_>, gate: &Gate, limit: Option<Duration>) -> Result<Slot, Fault> {
    let now = s.worker.now_millis();
    let left = limit.map_or(u64::MAX, |limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
    let importance = s.request.route.as_ref().map(|(route, _)| route.route.importance).unwrap_or_default();
    let key = key::of(&RequestKey::ClientIp, s.request).unwrap_or_default();
    let key = (key ^ s.worker.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let asker = Asker { importance, key, deadline: now.saturating_add(left), now };
    let waiting = match gate.enter(&asker) {
        Entry::Slot(slot) => return Ok(slot),
        Entry::Refused(fault) => return Err(fault),
        Entry::Waits(waiting) => waiting,
    };
    Box::pin(wait_for_turn(s, &waiting)).await
}

/// Boxed like all that is rare: every handler would have to have room for it.
async fn wait_for_turn(s: &mut Serving<'_>, waiting: &Waiting) -> Result<Slot, Fault> {
    let watches_client = !s.request.has_body();
    poll_fn(|cx| {
        if let Poll::Ready(given) = waiting.poll(cx) {
            return Poll::Ready(given);
        }
        // Nobody keeps a place for a client that has gone.
        let is_gone = match s.down.stream() {
            Some(stream) => stream.poll_gone(cx).is_ready(),
            None => watches_client && matches!(s.down.poll_fill(cx), Poll::Ready(Err(_))),
        };
        if is_gone { Poll::Ready(Err(Fault::ClientGone)) } else { Poll::Pending }
    })
    .await
}

/// Tries until there is an answer, or there is no sense in trying again.
async fn attempts(s: &mut Serving<'_>, plan: &mut Plan<'_>) -> Result<Outcome, Fault> {
    let service = plan.service;
    s.request.begin_upload();
    service.on_request(s.worker.now_millis());
    let key = service.settings.hash_by.as_ref().and_then(|key| key::of(key, s.request));
    let mut last = Fault::NoEndpoint;
    loop {
        let Some(member) = pick(s, plan, key) else { break };
        s.request.member = Some(Rc::clone(&member));
        if plan.failures > s.request.record.retries {
            s.request.record.retries = plan.failures;
            member.series.retries.add(1);
            plan.began = Instant::now();
        }
        let failed = match attempt(s, plan, &member).await {
            Ok(outcome) => {
                s.request.record.received += s.request.upload.taken;
                return Ok(outcome);
            }
            Err(failed) => failed,
        };
        // It may have been another one that was asked in its place.
        let member = s.request.member.clone().unwrap_or(member);
        plan.failures += u32::from(!matches!(failed, Failed::Full));
        if matches!(failed, Failed::Full) && !plan.waited && !plan.has_another(&member) {
            // A connection that another worker has just done with comes free at any moment.
            plan.waited = true;
            plan.tried.clear();
            wait(s, Tick(s.timer.now().0 + 1)).await;
            continue;
        }
        match next_step(s, plan, &member, failed) {
            Ok(fault) => last = fault,
            Err(fault) => {
                last = fault;
                break;
            }
        }
        if let Some(pause) = plan.pause.take() {
            wait(s, s.timer.now().after(pause)).await;
        }
        s.request.begin_upload_again();
    }
    s.request.record.received += s.request.upload.taken;
    s.body = body_state(&s.request.upload);
    if last == Fault::ClientGone {
        return Ok(gone(s));
    }
    if last.blame() == Blame::Service || last == Fault::Overloaded {
        let address = s.request.member.as_ref().map(|member| member.address);
        s.tell(&service.settings.name, address, last);
    }
    Err(last)
}

/// The address to try next: the one that this client had before, or another one that was not tried yet.
fn pick(s: &Serving<'_>, plan: &Plan<'_>, key: Option<u64>) -> Option<Rc<Member>> {
    let wish = Wish { tried: &plan.tried, key, now: s.worker.now_millis() };
    let former = affinity::former(plan.service, s.request, &plan.tried);
    former.or_else(|| plan.service.pick(&mut s.worker.rng.borrow_mut(), &wish))
}

/// How long a gRPC call may take, as its client has said; what is left of that is passed on. Only on streams, because
/// gRPC needs their trailers.
fn grpc_deadline(request: &mut Request) -> Result<Option<Duration>, Fault> {
    if !request.head.version.has_streams() && request.grpc_web.is_none() {
        return Ok(None);
    }
    let headers = &mut request.head.headers;
    let Some(timeout) = headers.values(b"grpc-timeout").next() else { return Ok(None) };
    if !headers.values(b"content-type").next().is_some_and(is_grpc) {
        return Ok(None);
    }
    // A deadline that nobody understands is none that could be kept.
    let timeout = parse_grpc_timeout(timeout).ok_or(Fault::BadHeader)?;
    let left = timeout.saturating_sub(request.record.started.elapsed());
    let mut text = Vec::new();
    write_grpc_timeout(&mut text, left);
    headers.set(b"grpc-timeout", &text);
    Ok(Some(left))
}

/// Lets time pass.
pub(crate) async fn wait(s: &Serving<'_>, until: Tick) {
    s.timer.arm(until);
    poll_fn(|cx| s.timer.poll_expired(cx)).await;
}

/// How much of the body an upload has taken from the connection.
fn body_state(upload: &Pump) -> BodyState {
    match (upload.is_received(), upload.taken) {
        (true, _) => BodyState::Whole,
        (false, 0) if !upload.is_held() => BodyState::Untouched,
        (false, _) => BodyState::Partial,
    }
}

/// Whether there is another attempt. `Ok` goes on; both say what to answer if it was the last.
///
/// Another attempt is safe when the service cannot have seen the request, or when seeing it twice is as good
/// as once; and possible when nothing of the body is gone.
fn next_step(s: &Serving<'_>, plan: &mut Plan<'_>, member: &Member, failed: Failed) -> Result<Fault, Fault> {
    let retries = &plan.service.settings.retries;
    let untouched = s.request.upload.can_repeat();
    let harmless = untouched && s.request.may_be_repeated(retries);
    let somewhere = retries.again || plan.has_another(member);
    let (fault, goes_on) = match failed {
        Failed::Full if plan.tried.len() < MOST_TRIED => (Fault::Overloaded, true),
        Failed::Full => (Fault::Overloaded, false),
        Failed::Leaving if untouched && !plan.fresh => {
            // By a new connection: nobody is to blame for this race, and nothing was seen.
            plan.fresh = true;
            return Ok(Fault::UpstreamReset);
        }
        Failed::Stale if untouched && s.request.head.method.is_idempotent() && !plan.fresh => {
            // The same address again, by a new connection: nobody is to blame for this race.
            plan.fresh = true;
            return Ok(Fault::UpstreamReset);
        }
        // The service has not seen it, so it may be sent again whatever it is (RFC 9113 §8.7).
        Failed::Refused | Failed::Leaving => (Fault::UpstreamReset, untouched && plan.charge(s.worker)),
        Failed::Connect(fault) => (fault, retries.on.connect_failure && untouched && plan.charge(s.worker)),
        Failed::Stale | Failed::Reset => {
            (Fault::UpstreamReset, retries.on.reset && harmless && somewhere && plan.charge(s.worker))
        }
        Failed::TryTimeout => {
            (Fault::ResponseTimeout, retries.on.timeout && harmless && somewhere && plan.charge(s.worker))
        }
        // Paid for already.
        Failed::Status => (Fault::UpstreamReset, true),
        Failed::Stalled => (Fault::ResponseTimeout, true),
        Failed::Final(fault) => (fault, false),
    };
    match failed {
        Failed::Connect(_) => member.refuse(s.worker.now_millis()),
        // A connection that carries many may stand still as a whole: the next ones get another.
        Failed::TryTimeout | Failed::Stalled => {
            member.carriers.retire();
            plan.note_drop(s.worker);
        }
        _ => {}
    }
    if fault.blame() == Blame::Service {
        member.series.failed(fault);
        // A status was counted when it came, and what is not as described comes from an address that works.
        if !matches!(failed, Failed::Status | Failed::Final(Fault::InvalidResponse)) {
            member.fail();
        }
    }
    if !goes_on {
        return Err(fault);
    }
    plan.tried.push(member.address);
    let may_return = !matches!(failed, Failed::Full | Failed::Connect(_));
    if may_return && !plan.service.has_other_than(&plan.tried) {
        // Better the same one again than none, but not at once.
        plan.tried.clear();
        plan.pause = Some(balance::backoff(retries.backoff, plan.failures, &mut s.worker.rng.borrow_mut()));
    }
    Ok(fault)
}

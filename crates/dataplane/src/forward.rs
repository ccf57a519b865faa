//! Forwards one request: pick an endpoint, try, look at the outcome, maybe try again.

use std::future::poll_fn;
use std::time::Duration;

use message::{Blame, Fault, write_forwarding_headers};
use policy::{Chain, Permitted};

use crate::answer;
use crate::attempt::{Failed, attempt};
use crate::exchange;
use crate::live::{LiveService, Member};
use crate::plan::{MOST_TRIED, Plan};
use crate::pump::Pump;
use crate::serving::{BodyState, Outcome, Serving};
use crate::timer::Tick;

/// A request that passed this gateway this often already goes in a circle.
const MOST_LOOPS: usize = 8;
/// Forwards a request to a service. Takes the proof that every policy let it pass.
pub(crate) async fn forward(
    s: &mut Serving<'_>,
    _permitted: Permitted,
    service: &LiveService,
    chain: &Chain,
    route_timeout: Option<Duration>,
) -> Outcome {
    if let Err(fault) = prepare(s) {
        return answer::fault(s, Some(chain), fault).await;
    }
    let limit = route_timeout.or(service.settings.timeouts.request);
    let mut plan = Plan {
        service,
        chain,
        total: limit.map_or(Tick::NEVER, |limit| s.timer.now().after(limit)),
        fresh: false,
        waited: false,
        attempts_left: service.settings.retries.attempts,
        tried: Vec::new(),
    };
    let mut upload = exchange::upload(s.request);
    service.on_request(s.worker.now_millis());
    let mut last = Fault::NoEndpoint;
    let mut address = None;
    loop {
        let picked = service.pick(&mut s.worker.rng.borrow_mut(), &plan.tried);
        let Some(member) = picked else { break };
        address = Some(member.address);
        let failed = match attempt(s, &mut plan, &mut upload, &member).await {
            Ok(outcome) => return outcome,
            Err(failed) => failed,
        };
        if matches!(failed, Failed::Full) && !plan.waited && !has_another(&plan, &member) {
            // A connection that another worker has just done with comes free at any moment.
            plan.waited = true;
            plan.tried.clear();
            s.timer.arm(Tick(s.timer.now().0 + 1));
            poll_fn(|cx| s.timer.poll_expired(cx)).await;
            continue;
        }
        match next_step(s, &mut plan, &upload, &member, failed) {
            Ok(fault) => last = fault,
            Err(fault) => {
                last = fault;
                break;
            }
        }
        upload = exchange::upload(s.request);
    }
    s.body = body_state(&upload);
    if last == Fault::ClientGone {
        return Outcome::Gone;
    }
    if last.blame() == Blame::Service || last == Fault::Overloaded {
        s.tell(&service.settings.name, address, last);
    }
    answer::fault(s, Some(chain), last).await
}

/// Whether there is an address that was not tried, besides this one.
fn has_another(plan: &Plan<'_>, member: &Member) -> bool {
    let mut tried = plan.tried.clone();
    tried.push(member.address);
    plan.service.has_other_than(&tried)
}

/// How much of the body an upload has taken from the connection.
fn body_state(upload: &Pump) -> BodyState {
    match (upload.is_received(), upload.taken) {
        (true, _) => BodyState::Whole,
        (false, 0) => BodyState::Untouched,
        (false, _) => BodyState::Partial,
    }
}

/// Adds what the gateway says about the client and about itself.
fn prepare(s: &mut Serving<'_>) -> Result<(), Fault> {
    let head = &mut s.request.head;
    if head.headers.add_via(head.version) > MOST_LOOPS {
        return Err(Fault::LoopDetected);
    }
    // The authority may be part of the same text that the fields are added to.
    s.request.scratch.clear();
    s.request.scratch.extend_from_slice(head.client_authority().unwrap_or_default());
    write_forwarding_headers(&mut head.headers, s.info, &s.request.scratch);
    Ok(())
}

/// Whether there is another attempt. `Ok` goes on; both say what to answer if it was the last.
///
/// Another attempt is safe when the service cannot have seen the request, or when seeing it twice is as good
/// as once; and possible when nothing of the body is gone.
fn next_step(
    s: &Serving<'_>,
    plan: &mut Plan<'_>,
    upload: &Pump,
    member: &Member,
    failed: Failed,
) -> Result<Fault, Fault> {
    let retries = &plan.service.settings.retries;
    let untouched = upload.taken == 0;
    let repeatable = untouched && !s.request.has_body();
    let harmless = repeatable && retries.allows(s.request.head.method, s.request.head.method_bytes());
    let (fault, goes_on) = match failed {
        Failed::Full if plan.tried.len() < MOST_TRIED => (Fault::Overloaded, true),
        Failed::Full => (Fault::Overloaded, false),
        Failed::Stale if repeatable && s.request.head.method.is_idempotent() && !plan.fresh => {
            // The same address again, by a new connection: nobody is to blame for this race.
            plan.fresh = true;
            return Ok(Fault::UpstreamReset);
        }
        Failed::Connect(fault) => (fault, retries.on.connect_failure && untouched && plan.charge(s.worker)),
        Failed::Stale | Failed::Reset => {
            (Fault::UpstreamReset, retries.on.reset && harmless && plan.charge(s.worker))
        }
        Failed::TryTimeout => {
            (Fault::ResponseTimeout, retries.on.timeout && harmless && plan.charge(s.worker))
        }
        Failed::Status => (Fault::UpstreamReset, true), // paid for already
        Failed::Final(fault) => (fault, false),
    };
    if !goes_on {
        return Err(fault);
    }
    plan.tried.push(member.address);
    let may_return = !matches!(failed, Failed::Full | Failed::Connect(_));
    if may_return && !plan.service.has_other_than(&plan.tried) {
        plan.tried.clear(); // better the same one again than none
    }
    Ok(fault)
}

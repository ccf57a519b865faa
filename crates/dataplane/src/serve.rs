//! One request, from its head to its outcome: the straight line.
//!
//! [`serve`] is the function to read first. It exists once; what the codecs below deliver is the same
//! whatever came over the wire. The decisions it takes are in `decide.rs`.

use std::rc::Rc;

use message::Fault;
use policy::{Answer, Chain, Halt, Question, Refusal};
use snapshot::Route;

use crate::affinity;
use crate::answer::{self, Staged};
use crate::ask;
use crate::decide::{self, Local, Onward};
use crate::forward;
use crate::hold;
use crate::mirror;
use crate::route::LiveRoute;
use crate::serving::{Outcome, Serving};

/// Serves one request whose head was parsed; or answers it at once, if reading it led to a fault.
pub(crate) async fn serve(s: &mut Serving<'_>, fault: Option<Fault>) -> Outcome {
    let found = match fault {
        Some(fault) => Err(Refusal::Fault(fault)),
        None => find_route(s),
    };
    let staged = match found {
        Ok(route) => match follow(s, &route).await {
            Ok(outcome) => return outcome,
            Err(staged) => staged,
        },
        Err(refusal) => refuse(s, None, refusal),
    };
    answer::send(s, staged).await
}

/// Takes a request the way of its route: through the policies, and to the service. Fails with the answer where it is
/// the gateway that answers.
async fn follow(s: &mut Serving<'_>, route: &Rc<LiveRoute>) -> Result<Outcome, Staged> {
    // A request stays with the route it began with, whatever is reloaded meanwhile.
    let encrypted = s.is_encrypted();
    let way = affinity::choose_way(route, s.request, encrypted, &mut s.worker.rng.borrow_mut());
    s.request.begin(route, way);
    let Some(chain) = route.route.action.chain(way) else { return Ok(Outcome::Gone) };
    if s.worker.sheds(route.route.importance) {
        return Err(refuse(s, Some(chain), Refusal::Fault(Fault::Shed)));
    }
    let next = permit(s, &route.route, chain).await;
    if let Some(note) = s.request.state.note.take() {
        say(s, note.0, note.1);
    }
    let way = affinity::settle_way(route, s.request, way, &mut s.worker.rng.borrow_mut());
    if let Some(delay) = s.request.state.delay.take() {
        forward::wait(s, s.timer.now().after(delay)).await;
    }
    let permitted = match next {
        Ok(Onward::Forward(permitted)) => permitted,
        Ok(Onward::Reply(reply)) => return Err(answer::stage(s, Some(chain), &reply, false)),
        Err(Refusal::Fault(Fault::ClientGone)) => return Ok(forward::gone(s)),
        Err(refusal) => return Err(refuse(s, Some(chain), refusal)),
    };
    let Some(service) = route.service(way) else {
        return Err(refuse(s, Some(chain), Refusal::Fault(Fault::Internal)));
    };
    let copy = mirror::copy(s, route.mirror(), &permitted);
    let outcome = forward::forward(s, permitted, service, chain, route.route.timeout).await;
    copy.into_iter().for_each(|copy| mirror::send(s, *copy));
    outcome.map_err(|fault| refuse(s, Some(chain), Refusal::Fault(fault)))
}

/// Runs the policies; waits where one of them has to ask somebody.
async fn permit<'r>(s: &mut Serving<'_>, route: &'r Route, chain: &Chain) -> Result<Onward<'r>, Refusal> {
    let mut answer = None;
    let mut answered: Option<(&'static str, u16)> = None;
    loop {
        let halt = {
            let local = Local {
                rng: &mut s.worker.rng.borrow_mut(),
                verified: &mut s.worker.verified.borrow_mut(),
                now: s.worker.clock.seconds_of(s.request.record.started),
                answer: answer.take(),
            };
            let permitted = decide::permit(s.request, s.info, route, chain, local, |_, _, _| {});
            s.worker.run_errands(&s.request.state.errands);
            match permitted {
                Ok(onward) => return Ok(onward),
                Err(halt) => halt,
            }
        };
        match halt {
            Halt::Refused(refusal) => {
                let unavailable = match &refusal {
                    Refusal::Fault(fault) => *fault == Fault::AuthorityUnavailable,
                    Refusal::Reply(reply) => reply.status == 503,
                };
                if let (Some((kind, status)), true) = (answered, unavailable) {
                    say(s, kind, format!("an answer with the status {status} says nothing"));
                }
                return Err(refusal);
            }
            // Boxed like all that is rare: every handler would have to have room for it.
            Halt::Ask(kind, question) => {
                if let Question::Body { most, needed } = &*question {
                    Box::pin(hold::request(s, *most, *needed)).await.map_err(Refusal::Fault)?;
                    answer = Some(Answer::Body);
                    continue;
                }
                let got = Box::pin(ask::answer(s, *question)).await;
                match &got {
                    Answer::Nothing(why) => say(s, kind, why.clone()),
                    Answer::Http(answer) => answered = Some((kind, answer.status)),
                    _ => {}
                }
                answer = Some(got);
            }
        }
    }
}

/// Tells operators that whoever a policy has asked is of no help.
fn say(s: &mut Serving<'_>, kind: &'static str, why: String) {
    let id = s.request_id().to_owned();
    s.worker.troubles.say_unanswered(s.timer.now(), kind, why, id);
}

fn find_route(s: &mut Serving<'_>) -> Result<Rc<LiveRoute>, Refusal> {
    let current = s.worker.current();
    let index = decide::find(s.request, s.info, &s.listener, &current.snapshot)?;
    current.route(index).ok_or(Refusal::Fault(Fault::Internal))
}

/// Answers a request that does not reach a service.
fn refuse(s: &mut Serving<'_>, chain: Option<&Chain>, refusal: Refusal) -> Staged {
    match refusal {
        Refusal::Reply(reply) => answer::stage(s, chain, &reply, false),
        Refusal::Fault(fault) => {
            let (reply, close) = answer::fault(s, fault);
            answer::stage(s, chain, &reply, close)
        }
    }
}

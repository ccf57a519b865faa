//! One request, from its head to its outcome: the straight line.
//!
//! [`begin`] is the function to read first: it goes as far as nothing has to be waited for, so that a request that gets
//! no further needs nothing that remembers where it was. [`go_on`] takes it from there. What the codecs below deliver is
//! the same whatever came over the wire. The decisions that are taken are in `decide.rs`.

use std::rc::Rc;
use std::time::Duration;

use message::Fault;
use policy::{Answer, Chain, Halt, Permitted, Question, Refusal};

use crate::affinity;
use crate::answer::{self, Staged};
use crate::ask;
use crate::decide::{self, Local, Onward};
use crate::forward;
use crate::hold;
use crate::mirror;
use crate::route::LiveRoute;
use crate::serving::{Outcome, Serving};

/// How far a request has come.
#[must_use]
pub(crate) enum Begun {
    /// To an answer of the gateway, which is to be sent.
    Answered(Staged),
    /// To its end: nobody waits for an answer.
    Over(Outcome),
    /// Past its policies: it may go to its service.
    Permitted(Course, Permitted),
    /// To a policy, of this kind, that has to ask somebody.
    Asks(Course, &'static str, Box<Question>),
    /// To what was decided of it, which has to wait for so long.
    Delayed(Course, Box<(Duration, Result<Onward, Refusal>)>),
}

/// The route of a request. It stays with the one it began with, whatever is reloaded meanwhile.
pub(crate) struct Course {
    route: Rc<LiveRoute>,
    /// The way whose policies hold.
    began: usize,
    /// The way to its service: another one, where that goes by who is calling.
    way: usize,
}

impl Course {
    fn chain(&self) -> Option<&Chain> {
        self.route.route.action.chain(self.began)
    }
}

/// Takes a request whose head was parsed as far as nothing has to be waited for; or answers it, if reading it led to a
/// fault.
pub(crate) fn begin(s: &mut Serving<'_>, fault: Option<Fault>) -> Begun {
    let found = match fault {
        Some(fault) => Err(Refusal::Fault(fault)),
        None => find_route(s),
    };
    let route = match found {
        Ok(route) => route,
        Err(refusal) => return Begun::Answered(refuse(s, None, refusal)),
    };
    let encrypted = s.is_encrypted();
    let way = affinity::choose_way(&route, s.request, encrypted, &mut s.worker.rng.borrow_mut());
    s.request.begin(&route, way);
    let course = Course { route, began: way, way };
    let Some(chain) = course.chain() else { return Begun::Over(Outcome::Gone) };
    if s.worker.sheds(course.route.route.importance) {
        return Begun::Answered(refuse(s, Some(chain), Refusal::Fault(Fault::Shed)));
    }
    match permit(s, &course, chain, None) {
        Ok(onward) => decided(s, course, Ok(onward)),
        Err(Halt::Refused(refusal)) => decided(s, course, Err(refusal)),
        Err(Halt::Ask(kind, question)) => Begun::Asks(course, kind, question),
    }
}

/// Takes a request from where it has come to its end.
pub(crate) async fn go_on(s: &mut Serving<'_>, mut begun: Begun) -> Outcome {
    let staged = loop {
        match begun {
            Begun::Answered(staged) => break staged,
            Begun::Over(outcome) => return outcome,
            Begun::Permitted(course, permitted) => {
                let Course { route, way, .. } = &course;
                let chain = course.chain();
                let Some((chain, service)) = chain.zip(route.service(*way)) else {
                    break refuse(s, chain, Refusal::Fault(Fault::Internal));
                };
                let copy = mirror::copy(s, route.mirror(), &permitted);
                let outcome = forward::forward(s, permitted, service, chain, route.route.timeout).await;
                copy.into_iter().for_each(|copy| mirror::send(s, *copy));
                match outcome {
                    Ok(outcome) => return outcome,
                    Err(fault) => break refuse(s, Some(chain), Refusal::Fault(fault)),
                }
            }
            // Boxed like all that is rare: every handler would have to have room for it.
            Begun::Asks(course, kind, question) => begun = Box::pin(ask_on(s, course, kind, question)).await,
            Begun::Delayed(course, delayed) => {
                let (delay, next) = *delayed;
                forward::wait(s, s.timer.now().after(delay)).await;
                begun = conclude(s, course, next);
            }
        }
    };
    answer::send(s, staged).await
}

/// Runs the policies, from the one on that has got an answer.
fn permit(
    s: &mut Serving<'_>,
    course: &Course,
    chain: &Chain,
    answer: Option<Answer>,
) -> Result<Onward, Halt> {
    let local = Local {
        rng: &mut s.worker.rng.borrow_mut(),
        verified: &mut s.worker.verified.borrow_mut(),
        now: s.worker.clock.seconds_of(s.request.record.started),
        answer,
    };
    let permitted = decide::permit(s.request, s.info, &course.route.route, chain, local, |_, _, _| {});
    s.worker.run_errands(&s.request.state.errands);
    permitted
}

/// Asks what a policy has to know, and whatever is asked then.
async fn ask_on(
    s: &mut Serving<'_>,
    course: Course,
    mut kind: &'static str,
    mut question: Box<Question>,
) -> Begun {
    let mut answered: Option<(&'static str, u16)> = None;
    let next = loop {
        let answer = match &*question {
            Question::Body { most, needed } => match hold::request(s, *most, *needed).await {
                Ok(()) => Answer::Body,
                Err(fault) => break Err(Refusal::Fault(fault)),
            },
            _ => ask::answer(s, *question).await,
        };
        match &answer {
            Answer::Nothing(why) => say(s, kind, why.clone()),
            Answer::Http(answer) => answered = Some((kind, answer.status)),
            _ => {}
        }
        let Some(chain) = course.chain() else { break Err(Refusal::Fault(Fault::Internal)) };
        match permit(s, &course, chain, Some(answer)) {
            Ok(onward) => break Ok(onward),
            Err(Halt::Ask(next, asked)) => (kind, question) = (next, asked),
            Err(Halt::Refused(refusal)) => break Err(refusal),
        }
    };
    let unavailable = match &next {
        Err(Refusal::Fault(fault)) => *fault == Fault::AuthorityUnavailable,
        Err(Refusal::Reply(reply)) => reply.status == 503,
        Ok(_) => false,
    };
    if let (Some((kind, status)), true) = (answered, unavailable) {
        say(s, kind, format!("an answer with the status {status} says nothing"));
    }
    decided(s, course, next)
}

/// All policies were asked.
fn decided(s: &mut Serving<'_>, mut course: Course, next: Result<Onward, Refusal>) -> Begun {
    if let Some(note) = s.request.state.note.take() {
        say(s, note.0, note.1);
    }
    course.way = affinity::settle_way(&course.route, s.request, course.way, &mut s.worker.rng.borrow_mut());
    match s.request.state.delay.take() {
        Some(delay) => Begun::Delayed(course, Box::new((delay, next))),
        None => conclude(s, course, next),
    }
}

fn conclude(s: &mut Serving<'_>, course: Course, next: Result<Onward, Refusal>) -> Begun {
    let chain = course.chain();
    let staged = match next {
        Ok(Onward::Forward(permitted)) => return Begun::Permitted(course, permitted),
        Err(Refusal::Fault(Fault::ClientGone)) => return Begun::Over(forward::gone(s)),
        Err(refusal) => refuse(s, chain, refusal),
        Ok(onward) => match onward.reply(&course.route.route.action) {
            Some(reply) => answer::stage(s, chain, reply, false),
            None => refuse(s, chain, Refusal::Fault(Fault::Internal)),
        },
    };
    Begun::Answered(staged)
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

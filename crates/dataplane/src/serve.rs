//! One request, from its head to its outcome: the straight line.
//!
//! [`serve`] is the function to read first. It exists once; what the codecs below deliver is the same
//! whatever came over the wire. The decisions it takes are in `decide.rs`.

use std::borrow::Cow;

use message::{Fault, Reply};
use policy::Refusal;

use crate::affinity;
use crate::answer;
use crate::decide::{self, Onward};
use crate::forward;
use crate::mirror;
use crate::serving::{Outcome, Serving};

/// Serves one request whose head was parsed; or answers it at once, if reading it led to a fault.
pub(crate) async fn serve(s: &mut Serving<'_>, fault: Option<Fault>) -> Outcome {
    let route = match fault {
        Some(fault) => Err(Refusal::Fault(fault)),
        None => find_route(s),
    };
    let route = match route {
        Ok(route) => route,
        Err(refusal) => {
            let (reply, close) = compose(s, refusal);
            return answer::send(s, None, &reply, close).await;
        }
    };
    // A request stays with the route it began with, whatever is reloaded meanwhile.
    let encrypted = s.is_encrypted();
    let way = affinity::choose_way(&route, s.request, encrypted, &mut s.worker.rng.borrow_mut());
    s.request.begin(&route, way);
    if s.worker.sheds(route.route.importance) {
        let (reply, close) = compose(s, Refusal::Fault(Fault::Shed));
        return answer::send(s, route.route.action.chain(way), &reply, close).await;
    }
    let Some(chain) = route.route.action.chain(way) else { return Outcome::Gone };
    let rng = &s.worker.rng;
    let next = decide::permit(s.request, s.info, &route.route, chain, &mut rng.borrow_mut(), |_, _| {});
    if let Some(delay) = s.request.state.delay.take() {
        forward::wait(s, s.timer.now().after(delay)).await;
    }
    let (reply, close) = match next {
        Ok(Onward::Reply(reply)) => (reply, false),
        Ok(Onward::Forward(permitted)) => match route.service(way) {
            Some(service) => {
                let copy = mirror::copy(s, route.mirror(), &permitted);
                let outcome = forward::forward(s, permitted, service, chain, route.route.timeout).await;
                copy.into_iter().for_each(|copy| mirror::send(s, copy));
                match outcome {
                    Ok(outcome) => return outcome,
                    Err(fault) => compose(s, Refusal::Fault(fault)),
                }
            }
            None => compose(s, Refusal::Fault(Fault::Internal)),
        },
        Err(refusal) => compose(s, refusal),
    };
    answer::send(s, Some(chain), &reply, close).await
}

fn find_route(s: &mut Serving<'_>) -> Result<std::rc::Rc<crate::worker::LiveRoute>, Refusal> {
    let current = s.worker.current();
    let index = decide::find(s.request, s.info, s.listener, &current.snapshot)?;
    current.route(index).ok_or(Refusal::Fault(Fault::Internal))
}

/// What is answered, and whether the connection must end with it.
fn compose(s: &mut Serving<'_>, refusal: Refusal) -> (Cow<'static, Reply>, bool) {
    match refusal {
        Refusal::Reply(reply) => (Cow::Owned(reply), false),
        Refusal::Fault(fault) => answer::fault(s, fault),
    }
}

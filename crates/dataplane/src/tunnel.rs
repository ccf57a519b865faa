//! An upgraded connection: bytes both ways until both sides have ended.
//!
//! What either side sent behind its head is still in its inbox and goes first.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use wire::BodyLength;

use crate::connection::Connection;
use crate::member::InFlight;
use crate::open::Lease;
use crate::pump::{Pump, PumpError};
use crate::request::Request;
use crate::serving::Outcome;
use crate::timer::Timer;

/// How long one direction may stay silent after the other has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What a connection to a service has become; counted for as long as it lives.
pub(crate) struct Upgraded {
    up: Box<Connection>,
    /// How long nothing may pass.
    idle: Duration,
    _lease: Lease,
    in_flight: InFlight,
}

impl Upgraded {
    /// From now on what passes is no HTTP.
    pub(crate) fn new(
        up: Box<Connection>,
        idle: Duration,
        lease: Lease,
        in_flight: InFlight,
    ) -> Box<Upgraded> {
        in_flight.series().tunnels.add(1);
        Box::new(Upgraded { up, idle, _lease: lease, in_flight })
    }
}

impl Drop for Upgraded {
    fn drop(&mut self) {
        self.in_flight.series().tunnels.add(-1);
    }
}

/// Passes bytes until both sides have ended, one of them breaks, or nothing passes for as long as may be. When one
/// side has ended, the other has a moment for what is still on its way.
pub(crate) async fn run(
    timer: &Timer,
    down: &mut Connection,
    request: &mut Request,
    mut upgraded: Box<Upgraded>,
) -> Outcome {
    let Upgraded { up, idle, .. } = &mut *upgraded;
    let body = || Pump::new(BodyLength::UntilClose, false, None);
    request.upload = body();
    let (there, mut back) = (&mut request.upload, body());
    let mut ended = (false, false);
    let mut deadline = timer.now().after(*idle);
    let (mut passed, mut ending) = (0, false);
    let outcome = poll_fn(|cx| {
        let first = pass(cx, there, &mut ended.0, down, up);
        let second = pass(cx, &mut back, &mut ended.1, up, down);
        match (first, second) {
            (Err(()), _) | (_, Err(())) => return Poll::Ready(Outcome::Reset),
            (Ok(true), Ok(true)) => return Poll::Ready(Outcome::Gone),
            (Ok(_), Ok(_)) => {}
        }
        let one_ended = first == Ok(true) || second == Ok(true);
        if there.passed + back.passed != passed || one_ended != ending {
            (passed, ending) = (there.passed + back.passed, one_ended);
            deadline = timer.now().after(if ending { LAST_WORDS.min(*idle) } else { *idle });
        }
        timer.arm(deadline);
        timer.poll_expired(cx).map(|()| Outcome::Gone)
    })
    .await;
    request.record.received += request.upload.taken;
    outcome
}

/// Passes on what has come from one side. `Ok(true)` when everything, and the end, has passed.
fn pass(
    cx: &mut Context<'_>,
    pump: &mut Pump,
    ended: &mut bool,
    from: &mut Connection,
    to: &mut Connection,
) -> Result<bool, ()> {
    if !pump.done {
        match pump.poll(cx, from, to) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(PumpError::Sender(_) | PumpError::Receiver)) => return Err(()),
        }
    }
    if !*ended {
        // Half-close: the other direction may go on.
        *ended = to.transport.poll_shutdown(cx).is_ready();
    }
    Ok(*ended)
}

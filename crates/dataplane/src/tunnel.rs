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
use crate::serving::{Outcome, Serving};

/// How long one direction may stay silent after the other has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// One direction, and whether its end was passed on.
struct Direction {
    pump: Pump,
    ended: bool,
}

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
pub(crate) async fn run(s: &mut Serving<'_>, mut upgraded: Box<Upgraded>) -> Outcome {
    let Upgraded { up, idle, .. } = &mut *upgraded;
    let idle = *idle;
    let direction = || Direction { pump: Pump::new(BodyLength::UntilClose, false, None), ended: false };
    let (mut there, mut back) = (direction(), direction());
    let (mut deadline, mut passed, mut ending) = (s.timer.now().after(idle), 0, false);
    let outcome = poll_fn(|cx| {
        let first = there.poll(cx, s, up, true);
        let second = back.poll(cx, s, up, false);
        match (first, second) {
            (Err(()), _) | (_, Err(())) => return Poll::Ready(Outcome::Reset),
            (Ok(true), Ok(true)) => return Poll::Ready(Outcome::Gone),
            (Ok(_), Ok(_)) => {}
        }
        let one_ended = first == Ok(true) || second == Ok(true);
        if there.pump.passed + back.pump.passed != passed || one_ended != ending {
            (passed, ending) = (there.pump.passed + back.pump.passed, one_ended);
            deadline = s.timer.now().after(if ending { LAST_WORDS.min(idle) } else { idle });
        }
        s.timer.arm(deadline);
        s.timer.poll_expired(cx).map(|()| Outcome::Gone)
    })
    .await;
    s.request.record.received += there.pump.taken;
    outcome
}

impl Direction {
    /// `Ok(true)` when everything, and the end, has passed.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        s: &mut Serving<'_>,
        up: &mut Connection,
        there: bool,
    ) -> Result<bool, ()> {
        let (from, to) = if there { (&mut *s.down, up) } else { (up, &mut *s.down) };
        if !self.pump.done {
            match self.pump.poll(cx, from, to) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(PumpError::Sender(_) | PumpError::Receiver)) => return Err(()),
            }
        }
        if !self.ended {
            // Half-close: the other direction may go on.
            self.ended = to.transport.poll_shutdown(cx).is_ready();
        }
        Ok(self.ended)
    }
}

//! What holds for all attempts at one request.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use policy::Chain;
use telemetry::Record;

use crate::live::LiveService;
use crate::member::{InFlight, Member};
use crate::request::Request;
use crate::timer::Tick;
use crate::worker::Worker;

/// Addresses that one request may try.
pub(crate) const MOST_TRIED: usize = 16;

/// What holds for all attempts at one request.
pub(crate) struct Plan<'a> {
    pub(crate) service: &'a LiveService,
    pub(crate) chain: &'a Chain,
    /// When the whole exchange must be done.
    pub(crate) total: Tick,
    /// Kept connections are not to be trusted any more.
    pub(crate) fresh: bool,
    /// The attempt under way uses a kept connection.
    pub(crate) reused: bool,
    /// When the attempt under way began.
    pub(crate) began: Instant,
    /// Attempts that failed after something was sent, or tried to be.
    pub(crate) failures: u32,
    /// How long to wait before the next attempt.
    pub(crate) pause: Option<Duration>,
    /// It has waited for a connection to come free.
    pub(crate) waited: bool,
    pub(crate) attempts_left: u32,
    /// Addresses that were tried.
    pub(crate) tried: Vec<SocketAddr>,
}

impl<'a> Plan<'a> {
    /// For a request that is done by `total` and begins now.
    pub(crate) fn new(service: &'a LiveService, chain: &'a Chain, total: Tick, began: Instant) -> Plan<'a> {
        Plan {
            service,
            chain,
            total,
            fresh: false,
            reused: false,
            began,
            failures: 0,
            pause: None,
            waited: false,
            attempts_left: service.settings.retries.attempts,
            tried: Vec::new(),
        }
    }

    /// The head of a response has come, and speaks for the address or against it.
    pub(crate) fn note_response(
        &self,
        worker: &Worker,
        in_flight: &mut InFlight,
        record: &mut Record,
        is_good: bool,
    ) {
        let now = Instant::now();
        record.first_byte = Some(now.saturating_duration_since(record.started));
        let took = now.saturating_duration_since(self.began);
        in_flight.series().response.observe(took);
        in_flight.hear(micros(took), is_good);
        self.service.learn(micros(took));
        if self.service.settings.algorithm == balance::Algorithm::Ewma {
            in_flight.learn(micros(took), worker.now_millis());
        }
        if let Some(gate) = self.service.gate() {
            // What a service refuses because it has too much to do says that, however soon it says it.
            gate.observe(micros(took), matches!(record.status, 429 | 503), worker.now_millis());
        }
        if self.reused {
            in_flight.series().reused.add(1);
        }
    }

    /// No answer came in time.
    pub(crate) fn note_drop(&self, worker: &Worker) {
        if let Some(gate) = self.service.gate() {
            gate.observe(micros(self.began.elapsed()), true, worker.now_millis());
        }
    }

    /// Pays for asking another address instead of one that hangs, if that is possible.
    pub(crate) fn may_leave(&mut self, member: &Member, request: &Request, worker: &Worker) -> bool {
        let retries = &self.service.settings.retries;
        member.hangs.get()
            && retries.on.stall
            && request.may_be_repeated(retries)
            && self.service.has_other_than(&self.tried)
            && self.charge(worker)
    }

    /// Whether there is an address that was not tried, besides this one.
    pub(crate) fn has_another(&self, member: &Member) -> bool {
        self.service.find(|other| other.address != member.address && other.may_take(&self.tried)).is_some()
    }

    /// Pays for one more attempt, if there may be one: attempts, time and the service's budget allow it.
    pub(crate) fn charge(&mut self, worker: &Worker) -> bool {
        let allowed = self.attempts_left > 0
            && self.tried.len() < MOST_TRIED
            && worker.wheel.now() < self.total
            && self.service.try_retry(worker.now_millis());
        if allowed {
            self.attempts_left -= 1;
        }
        allowed
    }
}

/// The time in microseconds, as far as that can be said.
fn micros(took: Duration) -> u32 {
    u32::try_from(took.as_micros()).unwrap_or(u32::MAX)
}

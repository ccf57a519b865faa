//! What holds for all attempts at one request.

use std::net::SocketAddr;
use std::time::Instant;

use policy::Chain;
use telemetry::Record;

use crate::live::{LiveService, Member};
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
            waited: false,
            attempts_left: service.settings.retries.attempts,
            tried: Vec::new(),
        }
    }

    /// The head of a response has come.
    pub(crate) fn note_response(&self, member: &Member, record: &mut Record) {
        let now = Instant::now();
        record.first_byte = Some(now.saturating_duration_since(record.started));
        member.series.response.observe(now.saturating_duration_since(self.began));
        if self.reused {
            member.series.reused.add(1);
        }
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

//! What holds for all attempts at one request.

use std::net::SocketAddr;

use policy::Chain;

use crate::live::LiveService;
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
    /// It has waited for a connection to come free.
    pub(crate) waited: bool,
    pub(crate) attempts_left: u32,
    /// Addresses that were tried.
    pub(crate) tried: Vec<SocketAddr>,
}

impl Plan<'_> {
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

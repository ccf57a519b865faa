//! Ejection: addresses that fail, answer slowly or not at all while others do well get no requests for a while.
//!
//! It is fed a few times per second with what all workers have counted, and says who is ejected and who is back. It must
//! not know sockets, clocks or who counts. Entry point: [`Outliers::observe`].

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;

/// Buckets of latencies: two for each power of two, from 64 µs to 67 s.
pub const LATENCY_BUCKETS: usize = 40;
/// The first bucket begins at two to the power of this, in microseconds.
const FIRST_POWER: u32 = 6;

/// The bucket of a latency, less than [`LATENCY_BUCKETS`].
#[inline]
pub const fn latency_bucket(micros: u32) -> usize {
    if micros < 1 << FIRST_POWER {
        return 0;
    }
    let power = micros.ilog2();
    let half = (micros >> (power - 1)) & 1;
    let bucket = ((power - FIRST_POWER) * 2 + half) as usize;
    if bucket < LATENCY_BUCKETS { bucket } else { LATENCY_BUCKETS - 1 }
}

/// What no latency in a bucket exceeds, in microseconds.
pub(crate) const fn upper_bound(bucket: usize) -> u64 {
    let power = FIRST_POWER + (bucket / 2) as u32;
    if bucket.is_multiple_of(2) { 3 << (power - 1) } else { 2 << power }
}

/// What one address has done for as long as it is known, all workers together. Every number only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Attempts that have begun.
    pub begun: u64,
    /// Those of them that wait for an answer no longer, whatever became of them.
    pub ended: u64,
    /// Answers that have come, of any status.
    pub heard: u64,
    /// Answers that speak for it.
    pub good: u64,
    /// Answers that speak against it, and attempts without an answer that are its fault.
    pub failed: u64,
    /// How long answers took to come, by [`latency_bucket`].
    pub latency: [u64; LATENCY_BUCKETS],
}

impl Default for Tally {
    fn default() -> Self {
        Tally { begun: 0, ended: 0, heard: 0, good: 0, failed: 0, latency: [0; LATENCY_BUCKETS] }
    }
}

impl Tally {
    /// What has come since an earlier look. If it counts less than before, its counting has begun anew.
    fn since(&self, before: &Tally) -> Tally {
        let began_anew = self.begun < before.begun || self.heard < before.heard || self.ended < before.ended;
        if began_anew {
            return *self;
        }
        self.without(before)
    }

    fn add(&mut self, other: &Tally) {
        self.begun += other.begun;
        self.ended += other.ended;
        self.heard += other.heard;
        self.good += other.good;
        self.failed += other.failed;
        for (own, more) in self.latency.iter_mut().zip(&other.latency) {
            *own += more;
        }
    }

    /// What is left without a part of it.
    fn without(&self, part: &Tally) -> Tally {
        let mut left = Tally {
            begun: self.begun.saturating_sub(part.begun),
            ended: self.ended.saturating_sub(part.ended),
            heard: self.heard.saturating_sub(part.heard),
            good: self.good.saturating_sub(part.good),
            failed: self.failed.saturating_sub(part.failed),
            latency: [0; LATENCY_BUCKETS],
        };
        for (left, (all, part)) in left.latency.iter_mut().zip(self.latency.iter().zip(&part.latency)) {
            *left = all.saturating_sub(*part);
        }
        left
    }

    /// Requests whose outcome is known.
    const fn outcomes(&self) -> u64 {
        self.good + self.failed
    }

    /// The share of failures, in percent.
    const fn failure_percent(&self) -> u64 {
        match (self.failed * 100).checked_div(self.outcomes()) {
            Some(percent) => percent,
            None => 0,
        }
    }

    /// The latency that half of all answers did not exceed, in microseconds.
    fn median(&self) -> Option<u64> {
        let all: u64 = self.latency.iter().sum();
        let mut seen = 0;
        let bucket = self.latency.iter().position(|count| {
            seen += count;
            seen * 2 > all
        })?;
        Some(upper_bound(bucket))
    }

    /// The slowest answer, in microseconds.
    fn slowest(&self) -> u64 {
        self.latency.iter().rposition(|count| *count > 0).map_or(0, upper_bound)
    }
}

/// When an address is ejected, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ejection {
    /// After so many failures without a good answer between them; 0 for never.
    pub in_a_row: u32,
    /// Failures and latencies are counted over the last half to whole of this many milliseconds.
    pub window_ms: u64,
    /// When so many requests of the window have failed, in percent, and at most half as large a share elsewhere; twice
    /// as many within a second are enough too. 0 for never.
    pub failure_percent: u32,
    /// When half of its answers took so many times as long as those of the others; 0 for never.
    pub slower_than_others: u32,
    /// Neither of these is judged by fewer requests.
    pub min_requests: u32,
    /// The first time for so many milliseconds; each further time for twice as long, at most [`LONGEST`] times.
    pub for_ms: u64,
    /// So many addresses of a service are out at most, in percent, with those that probes have taken out.
    pub max_percent: u32,
}

/// An ejection lasts at most so many times the first one, and is forgotten when an address has done well for as long.
pub const LONGEST: u64 = 10;
/// Twice the share of failures ejects already in this window, in milliseconds.
const RECENT_MS: u64 = 1_000;
/// Slowness below this is not worth an ejection, in microseconds.
const SLOW_FLOOR: u64 = 100_000;
/// Others must not fail more than this either, in percent: what all have in common no ejection helps.
const OTHERS_FAIL: u64 = 50;
/// Nothing is believed to hang sooner than after this, in milliseconds.
const STALL_FLOOR_MS: u64 = 1_000;
/// Nor sooner than after so many times its slowest answer of the last minute.
const STALL_FACTOR: u64 = 10;
/// With fewer requests waiting than these, it takes [`STALL_PATIENCE`] times as long.
const STALL_CROWD: u64 = 3;
/// See [`STALL_CROWD`].
const STALL_PATIENCE: u64 = 5;
/// What was never heard of so many times is not known well enough to be believed to hang.
const STALL_HEARD: u64 = 20;

/// Why an address was ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// So many requests have failed, and none has succeeded between them.
    InARow(u64),
    /// Too large a share has failed: so many of so many.
    FailureRate(u64, u64),
    /// Half of its answers took longer than the first, in microseconds; those of the others took the second.
    Slow(u64, u64),
    /// So many requests wait, and nothing has come for so many milliseconds.
    Stalled(u64, u64),
}

impl std::fmt::Display for Cause {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Cause::InARow(failures) => write!(out, "{failures} failures in a row"),
            Cause::FailureRate(failed, of) => write!(out, "{failed} of {of} requests failed"),
            Cause::Slow(own, others) => write!(
                out,
                "half of its answers take more than {} ms, those of the others {} ms",
                own / 1000,
                others.div_ceil(1000)
            ),
            Cause::Stalled(waiting, silent) => write!(
                out,
                "{waiting} requests wait for it, and nothing has come for {}.{} s",
                silent / 1000,
                silent % 1000 / 100
            ),
        }
    }
}

/// Something that has happened to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It gets no requests from now on, for so many milliseconds.
    Ejected(SocketAddr, Cause, u64),
    /// It gets requests again.
    Returned(SocketAddr),
    /// It was out, and does not belong to the service any more.
    Gone(SocketAddr),
}

/// An ejection under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Out {
    /// Why.
    pub cause: Cause,
    /// Until when.
    pub until_ms: u64,
}

/// What is remembered of one address.
#[derive(Clone, Debug, Default)]
struct Member {
    seen: Tally,
    window: Window,
    /// The last second or half of it, in which what is bad enough is seen sooner.
    recent: Window,
    failures_in_a_row: u64,
    /// Since when requests wait and nothing comes.
    silent_since: Option<u64>,
    last_heard: Option<u64>,
    /// The slowest answer, in microseconds, which is slowly forgotten.
    slowest: u64,
    out: Option<Out>,
    ejections: u32,
    back_since: u64,
}

/// What was counted lately: in the half of a window that fills, and in the one before.
#[derive(Clone, Debug, Default)]
struct Window {
    current: Tally,
    before: Tally,
    /// Number of the current half.
    half: u64,
}

impl Window {
    fn add(&mut self, new: &Tally, window_ms: u64, now: u64) {
        let half = now / (window_ms / 2).max(1);
        if half > self.half {
            let current = std::mem::take(&mut self.current);
            self.before = if half == self.half + 1 { current } else { Tally::default() };
            self.half = half;
        }
        self.current.add(new);
    }

    fn sum(&self) -> Tally {
        let mut sum = self.before;
        sum.add(&self.current);
        sum
    }
}

/// What the addresses of a service have done together.
#[derive(Default)]
struct Totals {
    window: Tally,
    recent: Tally,
    /// Who was heard of last, and when anybody else was.
    heard_last: Option<(Option<u64>, SocketAddr)>,
    heard_before: Option<u64>,
}

/// The addresses of one service.
#[derive(Clone, Debug, Default)]
pub struct Outliers {
    members: BTreeMap<SocketAddr, Member>,
}

impl Outliers {
    /// Who is out now.
    pub fn out(&self) -> impl Iterator<Item = (SocketAddr, Out)> {
        self.members.iter().filter_map(|(address, member)| Some((*address, member.out?)))
    }

    /// How often an address was ejected lately; the next time lasts the longer.
    pub fn ejections(&self, address: SocketAddr) -> u32 {
        self.members.get(&address).map_or(0, |member| member.ejections)
    }

    /// Takes note of what the addresses of a service have done, which are these and no others; `is_down` says which are
    /// out for other reasons. Addresses that are not among them any more are forgotten. `now` is in milliseconds.
    pub fn observe(
        &mut self,
        tallies: &[(SocketAddr, Tally)],
        is_down: impl Fn(SocketAddr) -> bool,
        ejection: &Ejection,
        now: u64,
    ) -> Vec<Change> {
        let known: HashSet<SocketAddr> = tallies.iter().map(|(address, _)| *address).collect();
        let mut changes = Vec::new();
        self.members.retain(|address, member| {
            let stays = known.contains(address);
            if !stays && member.out.is_some() {
                changes.push(Change::Gone(*address));
            }
            stays
        });
        for (address, tally) in tallies {
            // What was counted before anybody looked says nothing of now.
            let fresh = || Member { seen: *tally, ..Member::default() };
            self.members.entry(*address).or_insert_with(fresh).note(tally, ejection.window_ms, now);
        }
        for (address, member) in &mut self.members {
            if member.out.is_some_and(|out| out.until_ms <= now) {
                member.come_back(now);
                changes.push(Change::Returned(*address));
            } else if member.out.is_none()
                && now.saturating_sub(member.back_since) > ejection.for_ms.saturating_mul(LONGEST)
            {
                member.ejections = 0;
            }
        }
        let down = self.members.iter().filter(|(address, member)| member.out.is_some() || is_down(**address));
        let mut down = down.count();
        let most = self.members.len() * ejection.max_percent as usize;
        let mut all = self.totals();
        let suspects: Vec<SocketAddr> = self.members.keys().copied().collect();
        for address in suspects {
            if (down + 1) * 100 > most {
                break;
            }
            if is_down(address) {
                continue;
            }
            let Some(cause) = self.judge(address, &all, ejection, now) else { continue };
            let Some(member) = self.members.get_mut(&address) else { continue };
            // What it did says nothing of the others any more.
            all.window = all.window.without(&member.window.sum());
            all.recent = all.recent.without(&member.recent.sum());
            let times = (1 << member.ejections.min(8)).min(LONGEST);
            let for_ms = ejection.for_ms.saturating_mul(times);
            member.ejections += 1;
            member.out = Some(Out { cause, until_ms: now.saturating_add(for_ms) });
            down += 1;
            changes.push(Change::Ejected(address, cause, for_ms));
        }
        changes
    }

    /// What all addresses have done together, so that what the others of one have done need not be added up for each.
    fn totals(&self) -> Totals {
        let mut all = Totals::default();
        for (address, member) in &self.members {
            if member.out.is_none() {
                all.window.add(&member.window.sum());
                all.recent.add(&member.recent.sum());
            }
            let heard = (member.last_heard, *address);
            match all.heard_last {
                Some(last) if heard.0 <= last.0 => all.heard_before = all.heard_before.max(heard.0),
                last => {
                    all.heard_before = all.heard_before.max(last.and_then(|last| last.0));
                    all.heard_last = Some(heard);
                }
            }
        }
        all
    }

    /// Why an address that is in should be ejected, if it should.
    fn judge(&self, address: SocketAddr, all: &Totals, ejection: &Ejection, now: u64) -> Option<Cause> {
        let member = self.members.get(&address).filter(|member| member.out.is_none())?;
        let own = member.window.sum();
        let others = all.window.without(&own);
        let failures = member.failures_in_a_row;
        let is_apart = others.failure_percent() <= OTHERS_FAIL;
        if ejection.in_a_row > 0 && failures >= u64::from(ejection.in_a_row) && is_apart {
            return Some(Cause::InARow(failures));
        }
        let least = u64::from(ejection.min_requests);
        let percent = u64::from(ejection.failure_percent);
        let fails = |own: &Tally, others: &Tally, percent: u64| {
            let share = own.failure_percent();
            percent > 0
                && own.outcomes() >= least
                && share >= percent
                && share >= others.failure_percent() * 2
        };
        if fails(&own, &others, percent) {
            return Some(Cause::FailureRate(own.failed, own.outcomes()));
        }
        let recent = member.recent.sum();
        let others_lately = all.recent.without(&recent);
        if fails(&recent, &others_lately, percent * 2) {
            return Some(Cause::FailureRate(recent.failed, recent.outcomes()));
        }
        if ejection.slower_than_others > 0
            && own.heard >= least
            && others.heard >= least
            && let (Some(own), Some(others)) = (own.median(), others.median())
            && own > others.saturating_mul(u64::from(ejection.slower_than_others))
            && own > SLOW_FLOOR
        {
            return Some(Cause::Slow(own, others));
        }
        let since = member.silent_since?;
        let heard =
            all.heard_last.filter(|(_, last)| *last != address).map_or(all.heard_before, |last| last.0);
        let others_live = heard.is_some_and(|heard| heard > since);
        let (waiting, silent) = (member.waiting(), now.saturating_sub(since));
        (others_live && member.seen.heard >= STALL_HEARD && silent >= member.stall_after())
            .then_some(Cause::Stalled(waiting, silent))
    }
}

impl Member {
    fn note(&mut self, tally: &Tally, window_ms: u64, now: u64) {
        let new = tally.since(&self.seen);
        self.seen = *tally;
        self.window.add(&new, window_ms, now);
        self.recent.add(&new, RECENT_MS, now);
        if new.good > 0 {
            self.failures_in_a_row = 0;
        } else {
            self.failures_in_a_row = self.failures_in_a_row.saturating_add(new.failed);
        }
        if new.heard > 0 {
            self.last_heard = Some(now);
        }
        if self.waiting() == 0 {
            self.silent_since = None;
        } else if new.heard > 0 || self.silent_since.is_none() {
            self.silent_since = Some(now);
        }
        self.slowest = new.slowest().max(self.slowest - self.slowest / 512);
    }

    /// Requests that wait for an answer.
    fn waiting(&self) -> u64 {
        self.seen.begun.saturating_sub(self.seen.ended)
    }

    /// How long nothing may come before it is believed to hang, in milliseconds.
    fn stall_after(&self) -> u64 {
        let patience = if self.waiting() < STALL_CROWD { STALL_PATIENCE } else { 1 };
        (self.slowest * STALL_FACTOR / 1000).max(STALL_FLOOR_MS) * patience
    }

    /// What was before its ejection is not held against it.
    fn come_back(&mut self, now: u64) {
        self.out = None;
        self.back_since = now;
        self.failures_in_a_row = 0;
        self.silent_since = None;
        (self.window, self.recent) = Default::default();
    }
}

#[cfg(test)]
mod tests;

//! Who waits for a slot at a service, and who gets the next one.
//!
//! It must not know why there are slots, nor what waits: it holds entries and gives them out. Entry points:
//! [`FairQueue::push`], [`FairQueue::pop`], [`FairQueue::expired`], [`expected_wait_ms`].

mod lists;
mod rank;
#[cfg(test)]
mod tests;

use lists::Lists;
pub use lists::Ticket;
use rank::{LANES, PATIENCE, Rank};

/// The list of those whose deadline has passed. Those below it are the lanes of one importance after the other.
const LATE: u16 = LANES * 3;

/// How much it matters that a request is served, if not all can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Importance {
    /// Before all others.
    High,
    /// As most are.
    #[default]
    Normal,
    /// What can wait, and be done later.
    Low,
}

impl Importance {
    const ALL: [Importance; 3] = [Importance::High, Importance::Normal, Importance::Low];

    /// The list of one of its lanes.
    const fn list(self, lane: u16) -> u16 {
        self as u16 * LANES + lane
    }
}

/// Why an entry does not wait, or does no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Its deadline has passed.
    Late,
    /// The queue is full of entries that are as important, and of keys that have no more of them.
    Full,
    /// It has made room for a more important one.
    Outranked,
    /// It has made room for one of a key that has fewer.
    Crowded,
}

/// An entry that is given back, because it does not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused<T> {
    /// Why.
    pub why: Refusal,
    /// The entry.
    pub item: T,
}

/// What has become of an entry that was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting<T> {
    /// For [`FairQueue::remove`].
    pub ticket: Ticket,
    /// The entry that had to go for it, if there was no room.
    pub instead_of: Option<Refused<T>>,
}

#[derive(Clone, Debug)]
struct Entry<T> {
    item: T,
    deadline_ms: u64,
}

/// A bounded queue in which nobody waits for the crowd of another.
///
/// The more important go first, except that a lower importance has its turn after fifteen of higher ones, so it does not
/// starve. Of the same importance, keys take turns: a key says who asks, a client or a consumer. What has the same key
/// goes in the order in which it came. So who sends a hundred times as much as others waits for what it sent itself, and
/// the others do not.
///
/// If the queue is full, something that is less important makes room for a new entry, or else the last one of a key that
/// has more than the new one's.
///
/// Keys that wait have one of 64 lanes each. Only if many wait at once, some share a lane and a turn. Lanes follow from
/// keys, so if clients choose what keys are made from, use a hash whose seed they do not know.
///
/// Everything takes constant time, except that those whose deadline has come are looked for among all, at most once for
/// each millisecond that passes. Nothing is allocated before the first entry, and no more than the most that ever waited.
#[derive(Clone, Debug)]
pub struct FairQueue<T> {
    entries: Lists<Entry<T>>,
    ranks: [Rank; 3],
    /// No deadline is earlier.
    earliest_ms: u64,
}

impl<T> FairQueue<T> {
    /// Holds up to `capacity` entries. Allocates nothing before the first.
    #[must_use]
    pub fn new(capacity: u32) -> Self {
        let entries = Lists::new(LATE + 1, capacity.min(u32::MAX - 1));
        Self { entries, ranks: Default::default(), earliest_ms: u64::MAX }
    }

    /// How many wait, without those whose deadlines were found to have passed.
    #[must_use]
    pub fn len(&self) -> usize {
        (self.entries.len() - self.entries.len_of(LATE)) as usize
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets an entry wait until [`FairQueue::pop`] gives it or its deadline comes. Gives it back if that is now, or if
    /// there is no room and no entry that has less right to wait.
    pub fn push(
        &mut self,
        importance: Importance,
        key: u64,
        deadline_ms: u64,
        now_ms: u64,
        item: T,
    ) -> Result<Waiting<T>, Refused<T>> {
        if deadline_ms <= now_ms {
            return Err(Refused { why: Refusal::Late, item });
        }
        let mut instead_of = None;
        if self.entries.is_full() {
            self.sort_out(now_ms);
            instead_of = self.make_room(importance, key);
        }
        let lane = self.rank(importance).lane(key);
        match self.entries.append(importance.list(lane), Entry { item, deadline_ms }) {
            Ok(ticket) => {
                self.rank(importance).enter(lane, key);
                self.earliest_ms = self.earliest_ms.min(deadline_ms);
                Ok(Waiting { ticket, instead_of })
            }
            Err(Entry { item, .. }) => Err(Refused { why: Refusal::Full, item }),
        }
    }

    /// The entry whose turn it is. Never one whose deadline has passed.
    pub fn pop(&mut self, now_ms: u64) -> Option<T> {
        self.sort_out(now_ms);
        let importance = self.next_importance()?;
        let lane = self.rank(importance).take_turn()?;
        let entry = self.entries.pop_front(importance.list(lane))?;
        self.left(importance.list(lane));
        Some(entry.item)
    }

    /// An entry whose deadline has passed. Ask until there is none.
    pub fn expired(&mut self, now_ms: u64) -> Option<T> {
        self.sort_out(now_ms);
        Some(self.entries.pop_front(LATE)?.item)
    }

    /// Takes out an entry that does not want to wait any longer. `None` if it does not wait any more.
    pub fn remove(&mut self, ticket: Ticket) -> Option<T> {
        let (list, entry) = self.entries.remove(ticket)?;
        self.left(list);
        Some(entry.item)
    }

    /// How many of those that wait go before a new entry would, about: later ones may still overtake it, if they are
    /// more important or of keys that have fewer entries.
    #[must_use]
    pub fn ahead(&self, importance: Importance, key: u64) -> usize {
        let mut higher = 0;
        for (rank, of) in self.ranks.iter().zip(Importance::ALL) {
            let lens = rank.lanes().map(|lane| self.entries.len_of(of.list(lane)));
            if of == importance {
                // In each round every key has its turn, and the new entry has its own after those of its key.
                let rounds = self.entries.len_of(of.list(rank.lane(key))) + 1;
                let equal: usize = lens.map(|len| len.min(rounds) as usize).sum();
                return equal + higher.min((equal + 1) * PATIENCE as usize);
            }
            higher += lens.map(|len| len as usize).sum::<usize>();
        }
        higher
    }

    fn rank(&mut self, importance: Importance) -> &mut Rank {
        let [high, normal, low] = &mut self.ranks;
        match importance {
            Importance::High => high,
            Importance::Normal => normal,
            Importance::Low => low,
        }
    }

    /// The most important that has entries, unless those of a lower one have waited for so long that it is their turn.
    fn next_importance(&mut self) -> Option<Importance> {
        let has_waited = self.ranks.iter().rposition(Rank::has_waited);
        let next = has_waited.or_else(|| self.ranks.iter().position(|rank| !rank.is_empty()))?;
        self.ranks.iter_mut().skip(next + 1).for_each(Rank::pass);
        Importance::ALL.get(next).copied()
    }

    /// An entry has left this list.
    fn left(&mut self, list: u16) {
        if self.entries.len_of(list) == 0
            && let Some(rank) = self.ranks.get_mut(usize::from(list / LANES))
        {
            rank.clear(list % LANES);
        }
    }

    /// Puts those whose deadline has passed aside.
    fn sort_out(&mut self, now_ms: u64) {
        if now_ms < self.earliest_ms {
            return;
        }
        let mut earliest_ms = u64::MAX;
        self.entries.sort_out(LATE, |entry| {
            let is_late = entry.deadline_ms <= now_ms;
            if !is_late {
                earliest_ms = earliest_ms.min(entry.deadline_ms);
            }
            is_late
        });
        self.earliest_ms = earliest_ms;
        for list in 0..LATE {
            self.left(list);
        }
    }

    /// Takes out the entry that has least right to wait, if it has less than a new one.
    fn make_room(&mut self, importance: Importance, key: u64) -> Option<Refused<T>> {
        if let Some(entry) = self.entries.pop_front(LATE) {
            return Some(Refused { why: Refusal::Late, item: entry.item });
        }
        let lower = Importance::ALL.into_iter().rev().take_while(|of| *of as u16 >= importance as u16);
        let (of, list) = lower.filter_map(|of| Some((of, self.longest(of)?))).next()?;
        let mut why = Refusal::Outranked;
        if of == importance {
            why = Refusal::Crowded;
            let own = of.list(self.rank(of).lane(key));
            // With one more, the new one's key would have as many as the other would have left, or more.
            if self.entries.len_of(list) <= self.entries.len_of(own) + 1 {
                return None;
            }
        }
        let entry = self.entries.pop_back(list)?;
        self.left(list);
        Some(Refused { why, item: entry.item })
    }

    /// The lane with the most entries of this importance, if there are any.
    fn longest(&mut self, of: Importance) -> Option<u16> {
        let lists = self.rank(of).lanes().map(|lane| of.list(lane));
        lists.max_by_key(|&list| self.entries.len_of(list))
    }
}

/// How long a new entry would wait, in milliseconds, with so many before it, if up to `limit` requests are in flight and
/// each takes `service_micros` on average. Rounded down: refuse an entry whose deadline is earlier, it cannot be met.
#[must_use]
pub fn expected_wait_ms(ahead: usize, limit: u32, service_micros: u32) -> u64 {
    let slots = (ahead as u64).saturating_add(1);
    slots.saturating_mul(u64::from(service_micros)) / u64::from(limit.max(1)) / 1_000
}

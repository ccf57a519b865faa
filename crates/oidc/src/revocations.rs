//! Which sessions have ended although their cookies are still good.
//!
//! Sealed cookies cannot be called back, so this is remembered for as long as a session could last. It is the
//! memory of one gateway: others have to be told, too. It must not know how logouts come in. Entry points:
//! [`Revocations::record`] and [`Revocations::is_ended`].

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Ended, Session};

/// A bounded table of sessions and persons that have been logged out.
///
/// A name takes some 200 bytes, at most 500.
#[derive(Clone, Debug)]
pub struct Revocations {
    sids: Table,
    subs: Table,
    lifetime: u64,
}

/// Whether there was room for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "if the oldest had to go, a session that was logged out is good again: the operator should be told"]
pub enum Room {
    /// There was.
    Enough,
    /// The oldest was dropped before its time. Its sessions are good again until they end by themselves: the
    /// table is too small.
    DroppedOldest,
}

impl Revocations {
    /// A table for `capacity` sessions and as many persons (at least one), which keeps each for `lifetime` seconds:
    /// the longest absolute lifetime of the sessions that it is asked about.
    pub fn new(capacity: usize, lifetime: u64) -> Self {
        Self { sids: Table::new(capacity), subs: Table::new(capacity), lifetime }
    }

    /// Remembers what has ended: a session if it is named, otherwise all that the person has by now.
    pub fn record(&mut self, ended: &Ended, now: u64) -> Room {
        let until = now.saturating_add(self.lifetime);
        match (&ended.sid, &ended.sub) {
            (Some(sid), _) => self.sids.insert(sid, ended.at, until, now),
            (None, Some(sub)) => self.subs.insert(sub, ended.at, until, now),
            (None, None) => Room::Enough,
        }
    }

    /// Whether a session has been ended: it, or all of its person's, by a logout that is not older than the login.
    /// A login after that goes on, even if the provider gives it the same name.
    pub fn is_ended(&self, session: &Session) -> bool {
        let covers = |at: Option<u64>| at.is_some_and(|at| session.authenticated <= at);
        let sid = session.sid.as_deref();
        covers(sid.and_then(|sid| self.sids.ended_at(sid))) || covers(self.subs.ended_at(&session.subject))
    }

    /// Number of sessions and persons that are remembered.
    pub fn len(&self) -> usize {
        self.sids.entries.len() + self.subs.entries.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Names, and in which order they came. All stay equally long, so the first that came is the first that goes.
#[derive(Clone, Debug)]
struct Table {
    entries: BTreeMap<Arc<str>, Entry>,
    order: BTreeMap<u64, Arc<str>>,
    next: u64,
    capacity: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    at: u64,
    until: u64,
    order: u64,
}

impl Table {
    fn new(capacity: usize) -> Self {
        Self { entries: BTreeMap::new(), order: BTreeMap::new(), next: 0, capacity: capacity.max(1) }
    }

    fn ended_at(&self, name: &str) -> Option<u64> {
        self.entries.get(name).map(|entry| entry.at)
    }

    fn insert(&mut self, name: &str, at: u64, until: u64, now: u64) -> Room {
        let before = self.entries.remove(name);
        if let Some(before) = before {
            self.order.remove(&before.order);
        }
        while self.oldest_until().is_some_and(|until| until <= now) {
            self.drop_oldest();
        }
        let mut room = Room::Enough;
        while self.entries.len() >= self.capacity {
            self.drop_oldest();
            room = Room::DroppedOldest;
        }
        let name: Arc<str> = name.into();
        let at = before.map_or(at, |before| before.at.max(at));
        self.order.insert(self.next, Arc::clone(&name));
        self.entries.insert(name, Entry { at, until, order: self.next });
        self.next = self.next.wrapping_add(1);
        room
    }

    fn oldest_until(&self) -> Option<u64> {
        let (_, name) = self.order.first_key_value()?;
        self.entries.get(name).map(|entry| entry.until)
    }

    fn drop_oldest(&mut self) {
        if let Some((_, name)) = self.order.pop_first() {
            self.entries.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::session;

    fn of_sid(sid: &str, at: u64) -> Ended {
        Ended { sid: Some(sid.to_owned()), sub: Some("ada".to_owned()), at }
    }

    fn of_sub(sub: &str, at: u64) -> Ended {
        Ended { sid: None, sub: Some(sub.to_owned()), at }
    }

    #[test]
    fn a_session_ends_by_its_name_and_by_its_person_if_it_began_before() {
        let first = session();
        let second = Session { sid: Some("sid-2".to_owned()), ..session() };
        let nameless = Session { sid: None, ..session() };
        let later = Session { authenticated: 1500, ..session() };
        let other = Session { subject: "bob".to_owned(), sid: Some("sid-3".to_owned()), ..session() };
        for (ended, want) in [
            (of_sid("sid-1", 1400), [true, false, false, false, false]),
            (of_sub("ada", 1400), [true, true, true, false, false]),
            (of_sub("ada", 1500), [true, true, true, true, false]),
            (of_sub("ada", 998), [false; 5]),
            (of_sid("ada", 1400), [false; 5]),
            (Ended { sid: None, sub: None, at: 1400 }, [false; 5]),
        ] {
            let mut table = Revocations::new(10, 100);
            assert_eq!(table.record(&ended, 1400), Room::Enough);
            let found = [&first, &second, &nameless, &later, &other].map(|some| table.is_ended(some));
            assert_eq!(found, want, "{ended:?}");
        }
    }

    #[test]
    fn an_older_report_does_not_take_a_newer_one_back() {
        let mut table = Revocations::new(10, 100);
        for at in [1400, 500] {
            assert_eq!(table.record(&of_sub("ada", at), 1400), Room::Enough);
        }
        assert!(table.is_ended(&session()) && table.len() == 1);
    }

    #[test]
    fn what_could_not_last_any_longer_is_forgotten_and_nothing_else() {
        let mut table = Revocations::new(10, 100);
        for now in 0..1000 {
            assert_eq!(table.record(&of_sid(&now.to_string(), now), now * 10), Room::Enough, "at {now}");
            assert!(table.len() <= 10, "each stays for 100 seconds");
        }
        assert_eq!((table.len(), table.sids.order.len()), (10, 10));
        assert!(!table.is_empty());
    }

    #[test]
    fn a_full_table_drops_the_oldest_and_says_so() {
        let mut table = Revocations::new(2, 100);
        assert_eq!(table.record(&of_sid("sid-1", 1400), 0), Room::Enough);
        assert_eq!(table.record(&of_sid("b", 1400), 1), Room::Enough);
        assert_eq!(
            table.record(&of_sid("sid-1", 1400), 2),
            Room::Enough,
            "it is there, and now the youngest"
        );
        assert_eq!(table.record(&of_sid("c", 1400), 3), Room::DroppedOldest);
        assert!(table.is_ended(&session()), "b was dropped");
        assert_eq!(table.record(&of_sid("d", 1400), 4), Room::DroppedOldest);
        assert!(!table.is_ended(&session()));
        assert_eq!(table.record(&of_sub("ada", 1400), 5), Room::Enough, "persons have a table of their own");
        assert!(table.is_ended(&session()));
    }
}

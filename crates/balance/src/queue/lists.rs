//! Many lists, first in first out, over one bounded block of entries.
//!
//! It must not know what its entries are nor what the lists stand for. Every operation but [`Lists::sort_out`] takes
//! constant time, and memory grows with the most entries there ever were at once. Entry points: [`Lists::append`],
//! [`Lists::pop_front`], [`Lists::remove`].

/// Says that there is no slot.
const NONE: u32 = u32::MAX;

/// Finds an entry for as long as it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    slot: u32,
    /// Tells the entry from those that had its slot before.
    turn: u32,
}

#[derive(Clone, Debug)]
struct Slot<T> {
    turn: u32,
    list: u16,
    /// The neighbours in the list. In a free slot, `next` is the next free one.
    before: u32,
    next: u32,
    entry: Option<T>,
}

/// Where a list begins and ends.
#[derive(Clone, Copy, Debug)]
struct List {
    first: u32,
    last: u32,
    len: u32,
}

/// The entries, and the lists they stand in.
#[derive(Clone, Debug)]
pub(super) struct Lists<T> {
    count: u16,
    lists: Vec<List>,
    slots: Vec<Slot<T>>,
    /// The first free slot.
    free: u32,
    len: u32,
    capacity: u32,
}

impl<T> Lists<T> {
    /// So many empty lists that hold up to `capacity` entries together. Allocates nothing yet.
    pub(super) const fn new(count: u16, capacity: u32) -> Self {
        Self { count, lists: Vec::new(), slots: Vec::new(), free: NONE, len: 0, capacity }
    }

    /// Entries in all lists.
    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    /// Whether there is no room for one more.
    pub(super) const fn is_full(&self) -> bool {
        self.len >= self.capacity
    }

    /// Entries in one list.
    pub(super) fn len_of(&self, list: u16) -> u32 {
        self.lists.get(usize::from(list)).map_or(0, |list| list.len)
    }

    /// Puts an entry at the end of a list. Gives it back if there is no room or no such list.
    pub(super) fn append(&mut self, list: u16, entry: T) -> Result<Ticket, T> {
        if self.is_full() || list >= self.count {
            return Err(entry);
        }
        if self.lists.is_empty() {
            self.lists = vec![List { first: NONE, last: NONE, len: 0 }; usize::from(self.count)];
        }
        let ticket = self.occupy(entry);
        self.len += 1;
        self.link(ticket.slot, list);
        Ok(ticket)
    }

    /// Takes out the first entry of a list.
    pub(super) fn pop_front(&mut self, list: u16) -> Option<T> {
        self.vacate(self.lists.get(usize::from(list))?.first)
    }

    /// Takes out the last entry of a list.
    pub(super) fn pop_back(&mut self, list: u16) -> Option<T> {
        self.vacate(self.lists.get(usize::from(list))?.last)
    }

    /// Takes out an entry that is still there. Says in which list it stood.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<(u16, T)> {
        let slot = self.slot(ticket.slot)?;
        if slot.turn != ticket.turn {
            return None;
        }
        let list = slot.list;
        self.vacate(ticket.slot).map(|entry| (list, entry))
    }

    /// Moves entries to the end of another list: those for which `belongs` says so. Looks at every entry.
    pub(super) fn sort_out(&mut self, to: u16, mut belongs: impl FnMut(&T) -> bool) {
        for at in 0..self.slots.len() {
            let Ok(at) = u32::try_from(at) else { return };
            let moves = self
                .slot(at)
                .is_some_and(|slot| slot.list != to && slot.entry.as_ref().is_some_and(&mut belongs));
            if moves {
                self.unlink(at);
                self.link(at, to);
            }
        }
    }

    /// Slots that memory was taken for.
    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    fn slot(&mut self, at: u32) -> Option<&mut Slot<T>> {
        self.slots.get_mut(usize::try_from(at).ok()?)
    }

    fn list(&mut self, list: u16) -> Option<&mut List> {
        self.lists.get_mut(usize::from(list))
    }

    /// Puts an entry into a free slot, in no list.
    fn occupy(&mut self, entry: T) -> Ticket {
        let at = self.free;
        if let Some(slot) = self.slot(at) {
            slot.entry = Some(entry);
            let (turn, next) = (slot.turn, slot.next);
            self.free = next;
            return Ticket { slot: at, turn };
        }
        // There are as many slots as entries, and fewer than the capacity, which is below `NONE`.
        let ticket = Ticket { slot: self.len, turn: 0 };
        self.slots.push(Slot { turn: 0, list: 0, before: NONE, next: NONE, entry: Some(entry) });
        ticket
    }

    /// Takes an entry out of its list and its slot.
    fn vacate(&mut self, at: u32) -> Option<T> {
        let entry = self.slot(at)?.entry.take()?;
        self.unlink(at);
        let free = self.free;
        if let Some(slot) = self.slot(at) {
            slot.turn = slot.turn.wrapping_add(1);
            slot.next = free;
        }
        self.free = at;
        self.len -= 1;
        Some(entry)
    }

    fn link(&mut self, at: u32, list: u16) {
        let Some(ends) = self.list(list) else { return };
        let before = ends.last;
        ends.last = at;
        ends.len += 1;
        if before == NONE {
            ends.first = at;
        }
        if let Some(slot) = self.slot(before) {
            slot.next = at;
        }
        if let Some(slot) = self.slot(at) {
            (slot.list, slot.before, slot.next) = (list, before, NONE);
        }
    }

    fn unlink(&mut self, at: u32) {
        let Some(&mut Slot { list, before, next, .. }) = self.slot(at) else { return };
        if let Some(slot) = self.slot(before) {
            slot.next = next;
        }
        if let Some(slot) = self.slot(next) {
            slot.before = before;
        }
        if let Some(ends) = self.list(list) {
            ends.len -= 1;
            if ends.first == at {
                ends.first = next;
            }
            if ends.last == at {
                ends.last = before;
            }
        }
    }
}

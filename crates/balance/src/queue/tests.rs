//! Turns, room and deadlines of the queue, and that nothing is lost in it.

use std::collections::{BTreeMap, HashSet};

use super::*;

const FAR: u64 = u64::MAX;

/// Pushes what has no deadline.
fn push<T>(
    queue: &mut FairQueue<T>,
    importance: Importance,
    key: u64,
    item: T,
) -> Result<Waiting<T>, Refused<T>> {
    queue.push(importance, key, FAR, 0, item)
}

#[test]
fn keys_take_turns() {
    for (entries, rounds) in [
        ("aaa", &["a", "a", "a"][..]),
        ("aaabbb", &["ab", "ab", "ab"]),
        ("aaaaab", &["ab", "a", "a", "a", "a"]),
        ("cbaccbc", &["abc", "bc", "c", "c"]),
    ] {
        let mut queue = FairQueue::new(100);
        for (number, name) in entries.bytes().enumerate() {
            push(&mut queue, Importance::Normal, u64::from(name), (char::from(name), number)).unwrap();
        }
        let mut last = BTreeMap::new();
        for round in rounds {
            // Who begins follows from the keys.
            let mut gone: Vec<_> = round.chars().map(|_| queue.pop(0).unwrap()).collect();
            gone.sort_unstable();
            assert_eq!(gone.iter().map(|entry| entry.0).collect::<String>(), *round, "{entries}");
            for (name, number) in gone {
                assert!(last.insert(name, number).is_none_or(|before| before < number), "{entries}");
            }
        }
        assert_eq!(queue.pop(0), None);
    }
}

#[test]
fn who_sends_a_hundred_times_as_much_waits_alone() {
    // Each millisecond one client sends 100 requests and ten others one each; 30 get a slot.
    let mut queue = FairQueue::new(200);
    let mut longest: BTreeMap<u64, u64> = BTreeMap::new();
    let mut served: BTreeMap<u64, u32> = BTreeMap::new();
    let mut refused_others = 0;
    for now in 0..1_000 {
        for key in std::iter::repeat_n(0, 50).chain(1..=10).chain(std::iter::repeat_n(0, 50)) {
            match queue.push(Importance::Normal, key, now + 1_000, now, (key, now)) {
                Ok(Waiting { instead_of: Some(Refused { item: (key, _), why }), .. }) => {
                    assert_eq!(why, Refusal::Crowded);
                    refused_others += u32::from(key != 0);
                }
                Ok(_) => {}
                Err(Refused { why, .. }) => {
                    assert_eq!(why, Refusal::Full);
                    refused_others += u32::from(key != 0);
                }
            }
        }
        for _ in 0..30 {
            let (key, came) = queue.pop(now).unwrap();
            *served.entry(key).or_default() += 1;
            let wait = longest.entry(key).or_default();
            *wait = (*wait).max(now - came);
        }
    }
    assert_eq!(refused_others, 0);
    assert!((1..=10).all(|key| served[&key] == 1_000 && longest[&key] == 0), "{served:?} {longest:?}");
    assert!(served[&0] == 20_000 && longest[&0] >= 5, "{served:?} {longest:?}");
}

#[test]
fn importance_goes_first_but_nothing_starves() {
    // For each that goes, another like it comes.
    let mut queue = FairQueue::new(3);
    for importance in Importance::ALL {
        push(&mut queue, importance, 1, importance).unwrap();
    }
    let mut served = [0; 3];
    for _ in 0..1_700 {
        let importance = queue.pop(0).unwrap();
        served[importance as usize] += 1;
        push(&mut queue, importance, 1, importance).unwrap();
    }
    // One of each fifteen or sixteen.
    assert!(served[1..].iter().all(|served| (94..=107).contains(served)), "{served:?}");
    // With nothing more important, the lower ones have all the slots.
    let mut queue = FairQueue::new(10);
    for importance in [Importance::Low, Importance::Normal, Importance::Low, Importance::High] {
        push(&mut queue, importance, 1, importance).unwrap();
    }
    let gone: Vec<_> = std::iter::from_fn(|| queue.pop(0)).collect();
    assert_eq!(gone, [Importance::High, Importance::Normal, Importance::Low, Importance::Low]);
}

/// A queue for three that is full of these: importance by letter (`h`, `n`, `l`), and key.
fn full(entries: [(char, u64); 3]) -> FairQueue<usize> {
    let mut queue = FairQueue::new(3);
    for (number, (letter, key)) in entries.into_iter().enumerate() {
        push(&mut queue, importance(letter), key, number).unwrap();
    }
    queue
}

fn importance(letter: char) -> Importance {
    match letter {
        'h' => Importance::High,
        'n' => Importance::Normal,
        _ => Importance::Low,
    }
}

#[test]
fn who_makes_room() {
    use Refusal::{Crowded, Full, Outranked};
    for (entries, new, wanted) in [
        // The least important, of the key that has most, the last.
        ([('n', 1), ('l', 1), ('n', 2)], ('n', 3), Ok((Outranked, 1))),
        ([('n', 1), ('l', 1), ('n', 2)], ('h', 3), Ok((Outranked, 1))),
        ([('l', 1), ('l', 2), ('l', 2)], ('h', 3), Ok((Outranked, 2))),
        ([('h', 1), ('n', 1), ('n', 1)], ('h', 1), Ok((Outranked, 2))),
        // As important: only who has more makes room.
        ([('n', 1), ('n', 1), ('n', 1)], ('n', 2), Ok((Crowded, 2))),
        ([('n', 1), ('n', 1), ('n', 2)], ('n', 3), Ok((Crowded, 1))),
        ([('n', 1), ('n', 1), ('n', 2)], ('n', 2), Err(Full)),
        ([('n', 1), ('n', 1), ('n', 1)], ('n', 1), Err(Full)),
        ([('n', 1), ('n', 2), ('n', 3)], ('n', 4), Err(Full)),
        // Never for something less important.
        ([('n', 1), ('n', 1), ('n', 1)], ('l', 2), Err(Full)),
        ([('h', 1), ('h', 1), ('n', 1)], ('l', 2), Err(Full)),
        ([('h', 1), ('h', 1), ('h', 1)], ('n', 2), Err(Full)),
    ] {
        let mut queue = full(entries);
        let got = match push(&mut queue, importance(new.0), new.1, 9) {
            Ok(waiting) => Ok(waiting.instead_of.map(|refused| (refused.why, refused.item)).unwrap()),
            Err(refused) => {
                assert_eq!(refused.item, 9);
                Err(refused.why)
            }
        };
        assert_eq!(got, wanted, "{entries:?} {new:?}");
        assert_eq!(queue.len(), 3);
    }
}

#[test]
fn nothing_is_given_out_after_its_deadline() {
    let mut queue = FairQueue::new(4);
    assert_eq!(
        queue.push(Importance::High, 1, 5, 5, 'x'),
        Err(Refused { why: Refusal::Late, item: 'x' }),
        "now is too late"
    );
    for (item, key, deadline) in [('a', 1, 10), ('b', 1, 30), ('c', 2, 20), ('d', 2, 10)] {
        queue.push(Importance::Normal, key, deadline, 0, item).unwrap();
    }
    assert_eq!(queue.expired(9), None);
    assert_eq!(queue.len(), 4);
    // Two are late, of which one does not even stand first.
    let late: HashSet<_> = [queue.expired(10), queue.expired(10)].into_iter().flatten().collect();
    assert_eq!((late, queue.expired(10)), (HashSet::from(['a', 'd']), None));
    assert_eq!(queue.pop(25), Some('b'));
    assert_eq!((queue.pop(25), queue.len()), (None, 0));
    assert_eq!((queue.expired(25), queue.expired(25)), (Some('c'), None));
}

#[test]
fn late_entries_make_room_first() {
    let mut queue = FairQueue::new(2);
    queue.push(Importance::High, 1, 10, 0, 'a').unwrap();
    queue.push(Importance::Low, 1, 99, 0, 'b').unwrap();
    let waiting = queue.push(Importance::Low, 1, 99, 10, 'c').unwrap();
    assert_eq!(waiting.instead_of, Some(Refused { why: Refusal::Late, item: 'a' }));
    assert_eq!((queue.expired(10), queue.pop(10), queue.pop(10)), (None, Some('b'), Some('c')));
}

#[test]
fn a_ticket_is_good_for_one_entry() {
    let mut queue = FairQueue::new(3);
    let [first, second, third] =
        ['a', 'b', 'c'].map(|item| queue.push(Importance::Normal, 1, 10, 0, item).unwrap().ticket);
    assert_eq!((queue.remove(second), queue.remove(second)), (Some('b'), None));
    assert_eq!(queue.pop(0), Some('a'));
    let again = push(&mut queue, Importance::Normal, 1, 'd').unwrap().ticket;
    assert_eq!((queue.remove(first), queue.remove(second)), (None, None), "their slots have others now");
    // Also one whose deadline has come may leave.
    assert_eq!(queue.pop(10), Some('d'));
    assert_eq!((queue.remove(again), queue.remove(third), queue.expired(10)), (None, Some('c'), None));
}

#[test]
fn ahead_is_what_goes_first() {
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..200 {
        let mut queue = FairQueue::new(1_000);
        for _ in 0..rng.usize(..400) {
            let importance = importance(rng.choice(['h', 'n', 'l']).unwrap());
            push(&mut queue, importance, rng.u64(..6), false).unwrap();
        }
        let (importance, key) = (importance(rng.choice(['h', 'n', 'l']).unwrap()), rng.u64(..6));
        let ahead = queue.ahead(importance, key);
        push(&mut queue, importance, key, true).unwrap();
        let before = std::iter::from_fn(|| queue.pop(0)).position(|is_new| is_new).unwrap();
        // But for the round that has begun: each of the five other keys may go before or after, and where something
        // more important waits, fifteen of that with each. And but for turns of what is less important.
        let round = if importance == Importance::High { 5 } else { 5 * 16 };
        assert!(ahead.abs_diff(before) <= round + before / 8, "{ahead} but {before} went first");
    }
}

#[test]
fn expected_waits() {
    // (ahead, limit, microseconds of service, milliseconds)
    for (ahead, limit, service, wanted) in [
        (0, 1, 20_000, 20),
        (0, 40, 20_000, 0),
        (99, 40, 20_000, 50),
        (99, 10, 20_000, 200),
        (7, 0, 1_000, 8),
        (100, 40, 0, 0),
        (usize::MAX, 1, u32::MAX, u64::MAX / 1_000),
    ] {
        assert_eq!(expected_wait_ms(ahead, limit, service), wanted, "{ahead} {limit} {service}");
    }
}

#[test]
fn few_keys_share_a_lane() {
    let mut rng = fastrand::Rng::with_seed(2);
    let (mut keys, mut lanes) = (0, 0);
    for _ in 0..100 {
        let mut queue = FairQueue::new(100);
        for _ in 0..32 {
            push(&mut queue, Importance::Normal, rng.u64(..), ()).unwrap();
        }
        keys += 32;
        lanes += queue.ranks[1].lanes().count();
    }
    assert!(keys - lanes <= keys / 100, "{lanes} lanes for {keys} keys");
}

#[test]
fn memory_grows_with_what_waits() {
    let mut queue = FairQueue::new(u32::MAX);
    assert_eq!((queue.entries.slots(), queue.is_empty()), (0, true));
    assert_eq!((queue.pop(0), queue.expired(FAR), queue.ahead(Importance::Low, 0)), (None, None, 0));
    for round in 0..1_000 {
        for key in 0..10 {
            push(&mut queue, Importance::Normal, key, round).unwrap();
        }
        assert!((0..10).all(|_| queue.pop(0) == Some(round)));
    }
    assert_eq!(queue.entries.slots(), 10);
    assert!(push(&mut FairQueue::new(0), Importance::High, 1, ()).is_err());
}

#[test]
fn whatever_happens_each_entry_leaves_once() {
    let mut rng = fastrand::Rng::with_seed(3);
    let mut queue = FairQueue::new(20);
    // What waits, with its deadline and its ticket.
    let mut waiting: BTreeMap<u32, (u64, Ticket)> = BTreeMap::new();
    let mut now = 0;
    for number in 0..200_000 {
        now += u64::from(rng.u8(..10) == 0);
        match rng.u8(..10) {
            0..5 => {
                let importance = importance(rng.choice(['h', 'n', 'l']).unwrap());
                let deadline = now + rng.u64(..30);
                match queue.push(importance, rng.u64(..5), deadline, now, number) {
                    Ok(entry) => {
                        if let Some(Refused { item, why }) = entry.instead_of {
                            let (deadline, _) = waiting.remove(&item).unwrap();
                            assert_eq!(deadline <= now, why == Refusal::Late);
                        }
                        waiting.insert(number, (deadline, entry.ticket));
                    }
                    Err(refused) => assert_eq!(refused.item, number),
                }
            }
            5..8 => match queue.pop(now) {
                Some(item) => assert!(waiting.remove(&item).unwrap().0 > now),
                None => assert!(waiting.values().all(|entry| entry.0 <= now)),
            },
            8 => match queue.expired(now) {
                Some(item) => assert!(waiting.remove(&item).unwrap().0 <= now),
                None => assert!(waiting.values().all(|entry| entry.0 > now)),
            },
            _ => {
                if let Some((item, (_, ticket))) = rng.choice(waiting.clone()) {
                    waiting.remove(&item);
                    assert_eq!(queue.remove(ticket), Some(item));
                    assert_eq!(queue.remove(ticket), None);
                }
            }
        }
        assert!(queue.entries.len() as usize == waiting.len() && waiting.len() <= 20);
        assert!(queue.entries.slots() <= 20);
    }
}

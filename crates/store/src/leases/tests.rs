//! Flights, keys that give way, and what goes back to the store.

use std::time::Duration;

use super::*;

const LIMIT: Limit = Limit::Gcra { period_ns: 1_000_000_000, limit: 6400, burst: 6400 };

struct World {
    leases: Arc<Leases>,
    begin: Instant,
}

impl World {
    fn new(keys: usize) -> World {
        let begin = Instant::now();
        let plan = Plan::new(6400, 1000);
        World { leases: Arc::new(Leases::new("limit".into(), LIMIT, plan, keys, begin)), begin }
    }

    fn at(&self, millis: u64) -> Instant {
        self.begin + Duration::from_millis(millis)
    }

    fn key(&self, number: u32) -> LeaseKey {
        self.leases.key(|hasher| hasher.write_u32(number))
    }

    fn take(&self, number: u32, cost: u32, millis: u64) -> Drawn {
        let mut identity = [0; 16];
        identity[..4].copy_from_slice(&number.to_le_bytes());
        self.leases.take(self.key(number), cost, self.at(millis), || identity)
    }

    fn flight(&self, number: u32, cost: u32, millis: u64) -> Flight {
        match self.take(number, cost, millis) {
            Drawn::Ask(Some(flight)) => flight,
            other => panic!("{other:?}"),
        }
    }

    /// What goes back: to whom, and how much.
    fn overdue(&self, millis: u64) -> Vec<(u8, u64)> {
        self.leases.overdue(self.at(millis)).iter().map(|ask| (ask.identity[0], ask.cost)).collect()
    }
}

fn granted() -> Standing {
    Standing { fits: true, ahead: true, left: 100, reset_after_us: 900_000, retry_after_us: None }
}

#[test]
fn a_flight_brings_units_and_those_that_are_not_used_go_back() {
    let world = World::new(10);
    let flight = world.flight(1, 1, 0);
    assert_eq!((flight.ask().cost, flight.ask().ahead, flight.ask().name), (1, 0, "limit"));
    for _ in 0..9 {
        assert!(matches!(world.take(1, 1, 0), Drawn::Ask(None)), "one flight at a time");
    }
    assert_eq!(flight.land(true, &granted(), world.at(0), world.at(1)), Landed::Lease);
    let flight = world.flight(1, 1, 2);
    assert_eq!((flight.ask().cost, flight.ask().ahead), (1, 9));
    assert_eq!(flight.land(true, &granted(), world.at(2), world.at(3)), Landed::Lease);
    let Drawn::Admitted(known, None) = world.take(1, 4, 4) else { panic!() };
    assert_eq!((known.left, known.full_after_s), (105, 1));
    world.leases.undo(world.key(1), 1, world.at(5));
    assert_eq!(world.overdue(251), []);
    assert_eq!(world.overdue(253), [(1, 6)], "a quarter of the period, from when it was asked for");
    assert_eq!(world.overdue(10_000), []);
}

#[test]
fn a_flight_that_is_dropped_leaves_it_to_the_next_one() {
    let world = World::new(10);
    drop(world.flight(1, 1, 0));
    let flight = world.flight(1, 1, 0);
    let refused = Standing { retry_after_us: Some(70_000), ..Standing::default() };
    assert_eq!(flight.land(false, &refused, world.at(0), world.at(1)), Landed::Nowhere);
    assert!(matches!(world.take(1, 1, 1), Drawn::Refused { retry_after_ms: 70, .. }));
    // Another limit of the same decision has refused: nothing is known of this one.
    let fits = Standing { fits: true, ..Standing::default() };
    let _ = world.flight(1, 1, 80).land(false, &fits, world.at(80), world.at(81));
    drop(world.flight(1, 1, 81));
    world.flight(1, 1, 82).land_alone(None, world.at(82), world.at(83));
    drop(world.flight(1, 1, 83));
}

#[test]
fn units_of_keys_that_give_way_go_back() {
    let world = World::new(1);
    let late = world.flight(7, 1, 0);
    // Another key takes its place, and then the first one again.
    let flight = world.flight(2, 5, 0).unattended();
    assert_eq!((flight.ask().cost, flight.ask().ahead), (5, 0));
    let _ = flight.land(true, &granted(), world.at(0), world.at(1));
    let again = world.flight(7, 3, 2);
    assert_eq!(world.overdue(2), [(2, 5)]);
    // What was asked for before does not land in what is asked for now.
    assert_eq!(late.land(true, &granted(), world.at(0), world.at(3)), Landed::Store);
    assert!(matches!(world.take(7, 1, 3), Drawn::Ask(None)));
    assert_eq!(again.land(true, &granted(), world.at(2), world.at(3)), Landed::Lease);
    assert!(world.leases.forget(world.key(7)) && !world.leases.forget(world.key(7)));
    assert_eq!(world.leases.everything(), []);
}

#[test]
fn what_costs_more_than_was_known_is_drawn_or_charged() {
    let world = World::new(10);
    let flight = world.flight(1, 5, 0).unattended();
    let _ = flight.land(true, &granted(), world.at(0), world.at(1));
    assert_eq!(world.leases.spend(world.key(1), 3, world.at(2)), None);
    let rest = world.leases.spend(world.key(1), 7, world.at(2)).unwrap();
    assert_eq!((rest.identity[0], rest.cost), (1, 5));
}

#[test]
fn a_million_keys_take_what_is_promised() {
    let world = World::new(1_000_000);
    for number in 0..1_000_000 {
        let flight = world.flight(number, 2, 0).unattended();
        let _ = flight.land(true, &granted(), world.at(0), world.at(1));
    }
    let keys = world.leases.keys();
    assert!(keys > 990_000, "{keys}");
    assert!(world.leases.bytes() / keys <= 128, "{} bytes for each key", world.leases.bytes() / keys);
}

#[test]
fn workers_together_admit_what_was_charged() {
    let world = World::new(10);
    let flight = world.flight(1, 90, 0).unattended();
    let _ = flight.land(true, &granted(), world.at(0), world.at(1));
    let passed: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| (0..90).filter(|_| matches!(world.take(1, 1, 2), Drawn::Admitted(..))).count())
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(passed, 90);
}

#[test]
fn units_of_one_period_are_never_those_of_another() {
    let begin = Instant::now();
    let limit = Limit::Quota { limit: 6400, period_end_unix_ms: 0, period_id: 0 };
    let leases = Arc::new(Leases::new("quota".into(), limit, Plan::new(6400, 86_400_000), 10, begin));
    let key = |period| leases.key_in(period, |hasher| hasher.write_u32(1));
    let flight = |period| match leases.take(key(period), 5, begin, || [1; 16]) {
        Drawn::Ask(Some(flight)) => flight,
        other => panic!("{other:?}"),
    };
    let of = |period_end_unix_ms, period_id| Limit::Quota { limit: 6400, period_end_unix_ms, period_id };
    for period in [1000, 2000] {
        let flight = flight(period).unattended();
        assert_eq!(flight.own_ask().limit, of(u64::from(period) * 1000, period.into()));
        let _ = flight.land(true, &granted(), begin, begin);
    }
    assert!(matches!(leases.take(key(1000), 2, begin, || [1; 16]), Drawn::Admitted(..)));
    assert_eq!(leases.spend(key(2000), 9, begin).unwrap().limit, of(2_000_000, 2000));
    let back: Vec<_> = leases.everything().into_iter().map(|ask| (ask.limit, ask.cost)).collect();
    assert_eq!(back, [(of(1_000_000, 1000), 3)]);
}

//! The states of a rollout in tables, without chance.

use super::*;

pub(super) fn sample(counts: &Counts) -> Sample<'_> {
    Sample { requests: counts.requests, failed: counts.failed, latency: &counts.latency }
}

/// A plan with conditions as `error_rate > 2%`.
pub(super) fn plan(steps: &[u16], every_ms: u64, abort_if: &[&str]) -> Plan {
    let condition = |text: &&str| {
        let (name, above) = text.split_once(' ').unwrap();
        let measure = Measure::ALL.into_iter().find(|measure| measure.as_str() == name).unwrap();
        Condition::new(measure, Threshold::parse(above).unwrap()).unwrap()
    };
    let steps = steps.iter().filter_map(|&share| Share::new(share)).collect();
    Plan::new(steps, every_ms, abort_if.iter().map(condition).collect(), Plan::MIN_REQUESTS).unwrap()
}

/// A rollout, and what was counted so far; seconds pass one by one.
struct Driver {
    rollout: Rollout,
    stable: Counts,
    canary: Counts,
    now_ms: u64,
}

impl Driver {
    fn new(plan: Plan) -> Driver {
        let none = || Counts::none(BUCKETS);
        let mut driver =
            Driver { rollout: Rollout::new(plan, &BOUNDS), stable: none(), canary: none(), now_ms: 5_000 };
        assert_eq!(driver.look(), None);
        driver
    }

    fn look(&mut self) -> Option<Event> {
        self.rollout.observe(&sample(&self.stable), &sample(&self.canary), self.now_ms)
    }

    /// A second in which the canary had so many requests, and the stable version as many good ones.
    fn second(&mut self, requests: u64, failed: u64) -> Option<Event> {
        self.now_ms += 1000;
        self.stable.requests += requests;
        self.canary.requests += requests;
        self.canary.failed += failed;
        self.look()
    }

    /// All that happens in so many seconds with 10 good requests each.
    fn seconds(&mut self, seconds: u64) -> Vec<Event> {
        (0..seconds).filter_map(|_| self.second(10, 0)).collect()
    }

    fn progress(&self) -> Progress<'_> {
        match self.rollout.state() {
            State::Stepping(progress) | State::Paused(progress) => progress,
            other => panic!("{other:?}"),
        }
    }

    fn shown(&self) -> String {
        match self.rollout.state() {
            State::Stepping(progress) => format!("{} after {} s", progress.share, progress.lasted_ms / 1000),
            State::Paused(progress) => {
                format!("paused at {} after {} s", progress.share, progress.lasted_ms / 1000)
            }
            State::Promoted => "promoted".to_owned(),
            State::RolledBack { why } => format!("back: {why}"),
        }
    }
}

const STEPS: [u16; 4] = [100, 500, 2500, 10_000];

fn at_step(step: u64) -> Driver {
    let mut driver = Driver::new(plan(&STEPS, 60_000, &["error_rate > 2%"]));
    driver.seconds(60 * step + 30);
    driver
}

#[test]
fn steps_follow_each_other_to_the_second() {
    let mut driver = Driver::new(plan(&STEPS, 60_000, &["error_rate > 2%"]));
    let mut happened = Vec::new();
    assert_eq!(driver.shown(), "1% after 0 s");
    for second in 1..=300 {
        happened.extend(driver.second(10, 0).map(|event| (second, event)));
    }
    let stepped = |step, share| Event::Stepped { step, share: Share::new(share).unwrap() };
    let expected =
        [(60, stepped(1, 500)), (120, stepped(2, 2500)), (180, stepped(3, 10_000)), (240, Event::Promoted)];
    assert_eq!(happened, expected);
    assert_eq!((driver.rollout.share(), driver.shown().as_str()), (Share::ALL, "promoted"));
}

#[test]
fn too_little_traffic_waits_and_says_so() {
    let mut driver = Driver::new(plan(&STEPS, 60_000, &["error_rate > 2%"]));
    // One request every two seconds: 30 in the minute.
    let mut happened = Vec::new();
    for second in 1..=120 {
        happened.extend(driver.second(second % 2, 0).map(|event| (second, event)));
        if second == 10 {
            assert_eq!(*driver.progress().wait, Wait::Time { left_ms: 50_000 });
        }
        if second == 90 {
            let progress = driver.progress();
            assert_eq!((progress.requests, progress.lasted_ms), (45, 90_000));
            assert_eq!(*progress.wait, Wait::Traffic { requests: 45, needed: 50 });
        }
    }
    let waits = Event::Waits(Wait::Traffic { requests: 30, needed: 50 });
    let stepped = Event::Stepped { step: 1, share: Share::new(500).unwrap() };
    assert_eq!(happened, [(60, waits), (99, stepped)]);
    // The requests of one step do not count for the next.
    assert_eq!(driver.progress().requests, 10);
}

#[test]
fn evidence_is_needed_to_go_back() {
    for (limit, requests, failed, back) in [
        ("error_rate > 2%", 3, 1, None),
        ("error_rate > 2%", 4, 4, None),
        ("error_rate > 2%", 5, 5, Some("error rate 100 % (5 of 5 in 1 s) is above 2 %")),
        ("error_rate > 2%", 30, 10, Some("error rate 33.3 % (10 of 30 in 1 s) is above 2 %")),
        ("error_rate > 2%", 30, 3, None),
        ("error_rate > 2%", 1000, 30, None),
        ("error_rate > 2%", 1000, 50, Some("error rate 5 % (50 of 1000 in 1 s) is above 2 %")),
        ("error_rate > 50%", 20, 15, None),
        ("error_rate > 50%", 20, 20, Some("error rate 100 % (20 of 20 in 1 s) is above 50 %")),
        ("error_rate > 0%", 1000, 4, None),
        ("error_rate > 0%", 1000, 5, Some("error rate 0.5 % (5 of 1000 in 1 s) is above 0 %")),
        ("error_rate > 1.5x", 10, 3, None),
        (
            "error_rate > 1.5x",
            100,
            50,
            Some("error rate 50 % (50 of 100 in 1 s) is above 1.5 times the stable version's 0 % (0 of 100)"),
        ),
    ] {
        let mut driver = Driver::new(plan(&STEPS, 60_000, &[limit]));
        let event = driver.second(requests, failed);
        let expected = back.map(|why| Event::RolledBack { why: why.to_owned() });
        assert_eq!(event, expected, "{limit}: {failed} of {requests}");
        let share = if back.is_some() { Share::NONE } else { Share::new(100).unwrap() };
        assert_eq!(driver.rollout.share(), share);
    }
}

#[test]
fn in_doubt_it_does_not_go_on() {
    let mut driver = Driver::new(plan(&STEPS, 60_000, &["error_rate > 2%"]));
    let happened: Vec<Event> = (1..=60).filter_map(|second| driver.second(10, second % 2)).collect();
    let [Event::Waits(Wait::Doubt { why })] = &happened[..] else { panic!("{happened:?}") };
    assert!(why.ends_with("is above 2 %"), "{why}");
    // Good requests take the doubt away.
    let [Event::Stepped { step: 1, .. }] = driver.seconds(70)[..] else { panic!("{}", driver.shown()) };
}

#[test]
fn without_a_last_step_of_all_it_waits_for_someone() {
    let mut driver = Driver::new(plan(&[100, 2500], 10_000, &["error_rate > 2%"]));
    let happened = driver.seconds(100);
    let [Event::Stepped { step: 1, .. }, Event::Waits(Wait::Operator)] = happened[..] else {
        panic!("{happened:?}")
    };
    assert_eq!(driver.shown(), "25% after 90 s");
    // It is still watched.
    assert!(matches!(driver.second(100, 90), Some(Event::RolledBack { .. })));
}

#[test]
fn people_can_pause_resume_promote_abort_and_restart() {
    let mut driver = at_step(1);
    assert_eq!(driver.shown(), "5% after 30 s");
    assert!(!driver.rollout.resume() && driver.rollout.pause() && !driver.rollout.pause());
    assert_eq!(driver.seconds(1_000), []);
    assert_eq!(driver.shown(), "paused at 5% after 30 s");
    assert_eq!(*driver.progress().wait, Wait::Operator);
    assert!(driver.rollout.resume());
    assert_eq!(*driver.progress().wait, Wait::Time { left_ms: 30_000 });
    assert_eq!(driver.seconds(29), []);
    assert_eq!(driver.seconds(1).len(), 1);
    assert_eq!(driver.shown(), "25% after 0 s");

    assert!(driver.rollout.pause());
    assert!(matches!(driver.second(100, 90), Some(Event::RolledBack { .. })), "limits hold in a pause");
    assert!(!driver.rollout.pause() && !driver.rollout.resume() && !driver.rollout.abort("again"));
    assert_eq!(driver.second(10, 10), None);
    driver.rollout.restart();
    assert_eq!(driver.shown(), "1% after 0 s");
    assert_eq!(driver.second(10, 0), None);
    assert_eq!((driver.progress().requests, driver.progress().failed), (10, 0), "nothing of before counts");

    assert!(driver.rollout.promote() && !driver.rollout.promote());
    assert_eq!(driver.rollout.share(), Share::ALL);
    assert_eq!(driver.second(1000, 1000), None, "what is promoted is not watched");
    assert!(driver.rollout.abort("the invoices were wrong"));
    assert_eq!(
        (driver.rollout.share(), driver.shown().as_str()),
        (Share::NONE, "back: the invoices were wrong")
    );
}

#[test]
fn reasons_are_not_longer_than_can_be_read() {
    let mut driver = at_step(0);
    driver.rollout.abort(&"é".repeat(1000).replacen('é', "e", 1));
    let State::RolledBack { why } = driver.rollout.state() else { panic!("{}", driver.shown()) };
    assert_eq!(why.len(), 499, "not cut within a character");
}

#[test]
fn clocks_and_counters_that_jump_harm_nothing() {
    let mut driver = at_step(0);
    driver.now_ms = 0;
    assert_eq!(driver.look(), None);
    assert_eq!(driver.shown(), "1% after 30 s");
    assert_eq!(driver.seconds(10), []);
    assert_eq!(driver.shown(), "1% after 40 s");
    // The counters begin anew.
    driver.canary = Counts { requests: 7, failed: 0, ..Counts::none(BUCKETS) };
    driver.stable = Counts::none(0);
    assert_eq!(driver.second(0, 0), None);
    assert_eq!(driver.progress().requests, 407);
    let all = Counts { requests: u64::MAX, failed: u64::MAX, latency: vec![u64::MAX / 200; BUCKETS] };
    driver.canary = all.clone();
    driver.stable = all;
    driver.now_ms = u64::MAX;
    assert!(matches!(driver.look(), Some(Event::RolledBack { .. })));
}

fn restored(driver: &Driver, plan: Plan) -> Driver {
    let saved = driver.rollout.save();
    let rollout = Rollout::restore(plan, &BOUNDS, &saved);
    // Another process: its counters and its clock begin anew.
    let none = || Counts::none(BUCKETS);
    let mut driver = Driver { rollout, stable: none(), canary: none(), now_ms: 77 };
    assert_eq!(driver.look(), None);
    driver
}

#[test]
fn after_a_restart_it_goes_on_where_it_was() {
    let usual = || plan(&STEPS, 60_000, &["error_rate > 2%"]);
    let mut driver = restored(&at_step(2), usual());
    assert_eq!((driver.shown().as_str(), driver.progress().requests), ("25% after 30 s", 300));
    assert_eq!(*driver.progress().wait, Wait::Time { left_ms: 30_000 });
    assert_eq!(driver.seconds(29), []);
    assert_eq!(driver.seconds(1).len(), 1);
    assert_eq!(driver.shown(), "100% after 0 s");

    // Failures of before and after are added up.
    let mut driver = Driver::new(usual());
    assert_eq!(driver.second(60, 8), None);
    let mut driver = restored(&driver, usual());
    assert_eq!((driver.progress().requests, driver.progress().failed), (60, 8));
    let Some(Event::RolledBack { why }) = driver.second(60, 8) else { panic!("{}", driver.shown()) };
    assert_eq!(why, "error rate 13.3 % (16 of 120 in 2 s) is above 2 %");

    let mut driver = at_step(1);
    driver.rollout.pause();
    assert_eq!(restored(&driver, usual()).shown(), "paused at 5% after 30 s");
    let mut driver = at_step(1);
    driver.rollout.abort("a reason");
    let mut driver = restored(&driver, usual());
    assert_eq!((driver.seconds(100), driver.shown().as_str()), (vec![], "back: a reason"));
    assert_eq!(restored(&at_step(5), usual()).shown(), "promoted");
}

#[test]
fn at_full_share_the_stable_version_of_before_is_remembered() {
    let compared = || plan(&[5_000, 10_000], 60_000, &["error_rate > 1.5x"]);
    for with_restart in [false, true] {
        let mut driver = Driver::new(compared());
        driver.seconds(70);
        assert_eq!(driver.shown(), "100% after 10 s");
        if with_restart {
            driver = restored(&driver, compared());
        }
        // What still ends at the stable version says nothing.
        driver.stable.requests += 1000;
        driver.stable.failed += 1000;
        let Some(Event::RolledBack { why }) = driver.second(100, 50) else { panic!("{}", driver.shown()) };
        assert!(why.ends_with("is above 1.5 times the stable version's 0 % (0 of 600)"), "{why}");
    }
}

#[test]
fn what_cannot_have_been_saved_begins_anew() {
    let usual = || plan(&STEPS, 60_000, &["error_rate > 2%", "p99 > 1.5x"]);
    let saved = Driver::new(usual()).rollout.save();
    let huge = || Counts { requests: u64::MAX, failed: u64::MAX, latency: vec![u64::MAX; 1000] };
    for saved in [
        Saved { step: 4, ..saved.clone() },
        Saved { step: usize::MAX, ..saved.clone() },
        Saved { steps: Vec::new(), ..saved.clone() },
        Saved { lasted_ms: 0, stable: huge(), canary: Counts::default(), ..saved },
    ] {
        let mut rollout = Rollout::restore(usual(), &BOUNDS, &saved);
        assert_eq!((rollout.share(), &rollout.stand), (Share::new(100).unwrap(), &Stand::Stepping));
        let counts = Counts::none(BUCKETS);
        assert_eq!(rollout.observe(&sample(&counts), &sample(&counts), 1), None);
        assert_eq!(rollout.observe(&sample(&counts), &sample(&counts), 2), None);
    }
}

/// What becomes of a rollout under another plan, by a reload and by a restart.
#[test]
fn changed_plans() {
    let by_hand: fn(&mut Rollout) = |rollout| assert!(rollout.promote());
    let back: fn(&mut Rollout) = |rollout| assert!(rollout.abort("bad"));
    let pause: fn(&mut Rollout) = |rollout| assert!(rollout.pause());
    let nothing: fn(&mut Rollout) = |_| {};
    let (usual, minute) = (&["error_rate > 2%"][..], 60_000);
    for (step, act, steps, every_ms, abort_if, expected) in [
        (1, nothing, &STEPS[..], minute, usual, "5% after 30 s"),
        // The steps up to here are as before.
        (1, nothing, &[100, 500, 1000, 5000], minute, usual, "5% after 30 s"),
        (1, nothing, &[100, 500], minute, usual, "5% after 30 s"),
        (1, nothing, &STEPS, 600_000, usual, "5% after 30 s"),
        (1, nothing, &STEPS, minute, &["error_rate > 1%"], "5% after 30 s"),
        // They are not: never more than it has now, if there is such a step.
        (1, nothing, &[200, 500, 10_000], minute, usual, "5% after 0 s"),
        (1, nothing, &[200, 300, 1000, 10_000], minute, usual, "3% after 0 s"),
        (2, nothing, &[100], minute, usual, "1% after 0 s"),
        (1, nothing, &[1000, 10_000], minute, usual, "10% after 0 s"),
        (3, nothing, &[1000, 10_000], minute, usual, "100% after 0 s"),
        (1, pause, &STEPS, 600_000, usual, "paused at 5% after 30 s"),
        (1, pause, &[200, 300, 1000], minute, usual, "paused at 3% after 0 s"),
        (1, back, &STEPS, minute, usual, "back: bad"),
        (1, back, &STEPS, 600_000, usual, "1% after 0 s"),
        (1, back, &STEPS, minute, &["error_rate > 3%"], "1% after 0 s"),
        (1, back, &[200, 500], minute, usual, "2% after 0 s"),
        (5, nothing, &STEPS, 600_000, usual, "promoted"),
        (5, nothing, &[5000, 10_000], minute, usual, "promoted"),
        (5, nothing, &[100, 5000], minute, usual, "50% after 0 s"),
        (1, by_hand, &STEPS, 600_000, usual, "promoted"),
        (1, by_hand, &[100, 500], minute, usual, "5% after 0 s"),
    ] {
        let new = || plan(steps, every_ms, abort_if);
        let start = || {
            let mut driver = at_step(step);
            act(&mut driver.rollout);
            driver
        };
        let mut reloaded = start();
        reloaded.rollout.change_plan(new());
        let mut restarted = restored(&start(), new());
        for driver in [&mut reloaded, &mut restarted] {
            assert_eq!(driver.shown(), expected, "{step} {steps:?}");
            assert_eq!(*driver.rollout.plan(), new());
            let before = driver.rollout.share();
            assert_eq!(driver.seconds(1), [], "{step} {steps:?}");
            assert_eq!(driver.rollout.share(), before);
        }
    }
}

//! A process that counts, flushes and is killed, again and again.
//!
//! The test starts itself as that process, which says before it counts how far it will, and after a flush what is safe. What
//! is read when it is dead lies between. Entry point: the one test.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use quota::{Bounds, Counters, Ledger, Opened, QuotaId};

const QUOTA: QuotaId = QuotaId(1);
const KEYS: u64 = 300;
const THREADS: u64 = 2;
const DAY: Bounds = Bounds { start: 0, end: 86_400_000 };
const FOLDER: &str = "QUOTA_KILL_FOLDER";
const NAME: &str = "what_was_flushed_survives_a_kill_and_nothing_is_counted_twice";

#[test]
fn what_was_flushed_survives_a_kill_and_nothing_is_counted_twice() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        count(Path::new(&folder));
        return;
    }
    let folder = std::env::temp_dir().join(format!("quota-kill-{}", std::process::id()));
    let mut rng = fastrand::Rng::with_seed(3);
    let end = Instant::now() + Duration::from_secs(3);
    let (mut lives, mut lost, mut flushes) = (0, 0, 0);
    let (mut will, mut safe) = (0, 0);
    while Instant::now() < end || lives < 10 {
        let lines = watch_and_kill(&folder, rng.u32(3..20), rng.u32(0..1_000), &mut will, &mut safe);
        let Opened { counters, .. } = Ledger::open(&folder, 10_000, 0).unwrap();
        for key in 0..KEYS {
            let used = used(&counters, key);
            assert!((safe..=will).contains(&used), "life {lives}, key {key}: {used} of {safe} to {will}");
            lost += u64::from(used < will);
        }
        (lives, flushes) = (lives + 1, flushes + lines);
    }
    std::fs::remove_dir_all(&folder).unwrap();
    println!("{lives} lives, {flushes} flushes, {lost} counts that were not flushed");
    assert!(lost > 0, "it was never killed while it had something to lose");
}

/// Waits for so many lines and a moment, and kills. Notes how far it will have counted each key, and what is safe. Says how
/// many lines there were.
fn watch_and_kill(folder: &Path, lines: u32, turns: u32, will: &mut u64, safe: &mut u64) -> u32 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = 0;
    let mut note = |line: &str| {
        // The test runner says something, too, in front of the first line.
        let number = |word: &str| Some(line.split_once(word)?.1.trim().parse::<u64>().unwrap());
        *will = number("will ").unwrap_or(*will);
        *safe = number("safe ").unwrap_or(*safe);
        seen += 1;
    };
    output.by_ref().take(lines as usize).for_each(|line| note(&line.unwrap()));
    // Somewhere in the next lines, not just behind one.
    (0..turns).for_each(|_| std::thread::yield_now());
    child.kill().unwrap();
    output.for_each(|line| note(&line.unwrap()));
    child.wait().unwrap();
    seen
}

/// Counts and flushes until it is killed. All keys have the same count whenever nobody counts.
fn count(folder: &Path) {
    let Opened { mut ledger, counters, .. } = Ledger::open(folder, 10_000, 0).unwrap();
    let mut goal = (0..KEYS).map(|key| used(&counters, key)).max().unwrap();
    let say = |word: &str, number: u64| {
        let mut out = std::io::stdout();
        writeln!(out, "{word} {number}").and_then(|()| out.flush()).unwrap();
    };
    loop {
        goal += 1;
        say("will", goal);
        // Each thread has keys of its own, and some of it is flushed while they count.
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let counters = &counters;
                scope.spawn(move || {
                    for key in (thread..KEYS).step_by(THREADS as usize) {
                        let counter = counters.counter(QUOTA, &key.to_string()).unwrap();
                        while counter.usage().used < goal {
                            assert!(counters.take(&counter, 1, u64::MAX, DAY).allowed);
                        }
                    }
                });
            }
            ledger.flush(0).unwrap();
        });
        ledger.flush(0).unwrap();
        say("safe", goal);
    }
}

fn used(counters: &Counters, key: u64) -> u64 {
    counters.usage(QUOTA, &key.to_string()).map_or(0, |usage| usage.used)
}

//! Folders that are opened again: after crashes, damage, and disks that fail.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU64, Ordering};

use durable::Step;

use super::*;
use crate::{Bounds, LATE_MS, QuotaId};

const DAY: Bounds = Bounds { start: 1_000 * 86_400_000, end: 1_001 * 86_400_000 };
const NOW: i64 = DAY.start + 1_000;
const QUOTA: QuotaId = QuotaId(0xfeed);

/// A folder that goes when its test does.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("quota-{}-{number}", std::process::id()));
        Folder(path)
    }

    fn open(&self) -> Opened {
        Ledger::open(&self.0, 1_000, NOW).unwrap()
    }

    fn journal(&self) -> PathBuf {
        self.0.join(JOURNAL)
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn take(counters: &Counters, key: &str, cost: u64) -> u64 {
    let counter = counters.counter(QUOTA, key).unwrap();
    counters.take(&counter, cost, u64::MAX, DAY).used
}

fn used(counters: &Counters, key: &str) -> u64 {
    counters.usage(QUOTA, key).map_or(0, |usage| usage.used)
}

#[test]
fn what_was_flushed_is_there_again() {
    let folder = Folder::new();
    let Opened { mut ledger, counters, finding } = folder.open();
    assert_eq!(finding, None);
    for (key, cost) in [("alice", 3), ("bob", 5), ("carol", 7)] {
        take(&counters, key, cost);
    }
    assert_eq!(ledger.flush(NOW).unwrap(), Flushed { counters: 3, anew: false });
    assert_eq!(ledger.flush(NOW).unwrap(), Flushed::default(), "only what has changed");
    take(&counters, "alice", 1);
    counters.give_back(&counters.find(QUOTA, "bob").unwrap(), 2, DAY);
    counters.reset(QUOTA, "carol");
    assert_eq!(ledger.flush(NOW).unwrap().counters, 3);
    take(&counters, "alice", 100);
    drop((ledger, counters));

    for _ in 0..3 {
        let Opened { counters, finding, .. } = folder.open();
        assert_eq!(finding, None);
        let all = ["alice", "bob", "carol"].map(|key| used(&counters, key));
        assert_eq!(all, [4, 3, 0], "reading again counts nothing twice");
        assert_eq!(counters.usage(QUOTA, "alice").unwrap().period, DAY);
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder.0), mode(&folder.journal())), (0o700, 0o600));
}

#[test]
fn a_folder_is_used_by_one_at_a_time() {
    let folder = Folder::new();
    let first = folder.open();
    let refused = Ledger::open(&folder.0, 10, NOW).unwrap_err();
    assert!(matches!(refused, Error::InUse { .. }), "{refused}");
    drop(first);
    folder.open();
}

#[test]
fn periods_that_ended_are_not_read_and_counts_beyond_the_room_are() {
    let folder = Folder::new();
    let Opened { mut ledger, counters, .. } = folder.open();
    take(&counters, "alice", 3);
    take(&counters, "bob", 3);
    ledger.flush(NOW).unwrap();
    drop((ledger, counters));
    assert_eq!(Ledger::open(&folder.0, 1, DAY.end + LATE_MS - 1).unwrap().counters.len(), 2);
    assert_eq!(Ledger::open(&folder.0, 1, DAY.end + LATE_MS).unwrap().counters.len(), 0);
}

#[test]
fn a_torn_end_is_cut_off_and_damage_is_set_aside() {
    let folder = Folder::new();
    let Opened { mut ledger, counters, .. } = folder.open();
    for cost in [1, 10, 100] {
        take(&counters, "alice", cost);
        ledger.flush(NOW).unwrap();
    }
    drop((ledger, counters));
    let whole = fs::read(folder.journal()).unwrap();

    fs::write(folder.journal(), &whole[..whole.len() - 1]).unwrap();
    let Opened { mut ledger, counters, finding } = folder.open();
    assert!(matches!(finding, Some(Finding::Torn { bytes: 61, .. })), "{finding:?}");
    assert_eq!(used(&counters, "alice"), 11);
    take(&counters, "alice", 1);
    ledger.flush(NOW).unwrap();
    drop((ledger, counters));
    let Opened { counters, finding, .. } = folder.open();
    assert_eq!((used(&counters, "alice"), finding), (12, None), "what is added behind the cut is read");

    let mut damaged = whole.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    for number in 0..2 {
        fs::write(folder.journal(), &damaged).unwrap();
        let Opened { counters, finding, .. } = folder.open();
        let Some(Finding::Damaged { file, aside, kept, .. }) = &finding else { panic!("{finding:?}") };
        assert_eq!((file, *kept, used(&counters, "alice")), (&folder.journal(), 2, 11));
        assert_eq!(aside, &folder.0.join(format!("journal.corrupt-{}", NOW + number)));
        assert_eq!(fs::read(aside).unwrap(), damaged);
        drop(counters);
        let Opened { counters, finding, .. } = folder.open();
        assert_eq!((used(&counters, "alice"), finding), (11, None), "what was kept is on the disk again");
    }
    for junk in [&b""[..], b"GWQUOTA\x02 and so on, with more than a head", &[0; 5_000]] {
        fs::write(folder.journal(), junk).unwrap();
        let finding = folder.open().finding;
        assert!(matches!(finding, Some(Finding::Damaged { kept: 0, .. })), "{finding:?}");
    }
}

#[test]
fn a_file_that_has_grown_is_made_anew_with_all_that_counts() {
    let folder = Folder::new();
    let Opened { mut ledger, counters, .. } = folder.open();
    ledger.slack = 4_000;
    fs::write(folder.0.join("journal.new"), "left behind by a crash").unwrap();
    let mut anew = 0;
    for round in 0..60 {
        for key in 0..50 {
            take(&counters, &format!("key-{key}"), (key + round) % 3 + 1);
        }
        anew += u32::from(ledger.flush(NOW).unwrap().anew);
        assert!(fs::metadata(folder.journal()).unwrap().len() < 16_000, "{round}");
    }
    assert!(anew > 15, "{anew}");
    assert_eq!(folder.names(), ["journal", "lock"]);
    let totals: Vec<u64> = (0..50).map(|key| used(&counters, &format!("key-{key}"))).collect();
    drop((ledger, counters));
    let Opened { counters, finding, .. } = folder.open();
    assert_eq!(finding, None);
    let read: Vec<u64> = (0..50).map(|key| used(&counters, &format!("key-{key}"))).collect();
    assert_eq!(read, totals);
}

/// A disk of which each step fails with a chance; a write that fails has done a part.
fn failing(seed: u64, chance: f64) -> Disk {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut real = durable::disk();
    Box::new(move |file, step| {
        if rng.f64() >= chance {
            // The machine goes on, so there is nothing to wait for.
            return if matches!(step, Step::Sync) { Ok(()) } else { real(file, step) };
        }
        if let Step::Write(bytes) = step {
            file.write_all(&bytes[..rng.usize(0..=bytes.len())])?;
        }
        Err(io::ErrorKind::StorageFull.into())
    })
}

/// Whatever fails, and whenever the process dies: nothing that a flush said was written is forgotten, and nothing is there
/// that was not counted.
#[test]
fn a_disk_that_fails_loses_nothing_that_was_flushed() {
    let (mut failed, mut anew) = (0, 0);
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let folder = Folder::new();
        let mut flushed: BTreeMap<String, u64> = BTreeMap::new();
        for life in 0..4 {
            // To begin on a broken disk may be refused; it loses nothing either.
            let disk = failing(seed * 10 + life, [0.0, 0.05, 0.3][rng.usize(0..3)]);
            let Ok(Opened { mut ledger, counters, finding }) = Ledger::open_on(disk, &folder.0, 1_000, NOW)
            else {
                continue;
            };
            assert!(!matches!(finding, Some(Finding::Damaged { .. })), "{seed}: {finding:?}");
            ledger.slack = 2_000;
            for (key, used_then) in &flushed {
                assert!(used(&counters, key) >= *used_then, "{seed} {life}: {key}");
            }
            let mut taken = BTreeMap::new();
            counters.each(|counter| {
                taken.insert(counter.key().to_owned(), counter.usage().used);
            });
            for _ in 0..rng.usize(0..30) {
                for _ in 0..rng.usize(0..20) {
                    let (key, cost) = (format!("key-{}", rng.u8(0..40)), rng.u64(1..5));
                    let total = taken.entry(key.clone()).or_default();
                    *total += cost;
                    assert_eq!(take(&counters, &key, cost), *total, "{seed} {life}: {key}");
                }
                match ledger.flush(NOW) {
                    Ok(done) => {
                        anew += u32::from(done.anew);
                        flushed = taken.clone();
                    }
                    Err(_) => failed += 1,
                }
            }
        }
        let Opened { mut ledger, counters, .. } = folder.open();
        take(&counters, "key-0", 1);
        ledger.flush(NOW).unwrap();
    }
    assert!(failed > 150 && anew > 50, "{failed} {anew}");
}

#[test]
fn a_disk_that_is_full_for_a_while_gets_everything_afterwards() {
    let folder = Folder::new();
    let full = Arc::new(AtomicU64::new(0));
    let mut real = durable::disk();
    let switch = Arc::clone(&full);
    let disk: Disk = Box::new(move |file, step| match step {
        Step::Write(_) if switch.load(Ordering::Relaxed) == 1 => Err(io::ErrorKind::StorageFull.into()),
        step => real(file, step),
    });
    let Opened { mut ledger, counters, .. } = Ledger::open_on(disk, &folder.0, 1_000, NOW).unwrap();
    full.store(1, Ordering::Relaxed);
    for key in ["alice", "bob", "carol"] {
        take(&counters, key, 2);
        let error = ledger.flush(NOW).unwrap_err().to_string();
        assert!(error.contains("cannot write") && error.contains("journal"), "{error}");
    }
    full.store(0, Ordering::Relaxed);
    assert_eq!(ledger.flush(NOW).unwrap(), Flushed { counters: 3, anew: false });
    drop((ledger, counters));
    let counters = folder.open().counters;
    assert_eq!(["alice", "bob", "carol"].map(|key| used(&counters, key)), [2; 3]);
}

//! Folders that are opened again: after crashes, damage, and disks that fail.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use durable::Step;

use super::*;
use crate::{Standing, State};

const NOW: u64 = 1_000_000;

/// A folder that goes when its test does.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Folder(std::env::temp_dir().join(format!("keys-{}-{number}", std::process::id())))
    }

    fn open(&self) -> (Store, Option<Finding>, Arc<Table>) {
        let table = Arc::new(Table::default());
        let Opened { store, finding } = Store::open_on(quick(), &self.0, Arc::clone(&table), NOW).unwrap();
        (store, finding, table)
    }

    fn journal(&self) -> PathBuf {
        self.0.join("journal")
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

/// The disk, without waiting for it: that the system keeps what it was told to cannot be tested here.
fn quick() -> Disk {
    let mut real = durable::disk();
    Box::new(move |file, step| if matches!(step, Step::Sync) { Ok(()) } else { real(file, step) })
}

fn new(consumer: &str) -> New<'_> {
    New { consumer, name: "", expires: None }
}

fn standing(table: &Table, secret: &Secret, now: u64) -> Option<Standing> {
    table.find(&secret.digest(), |slot| slot.standing(now))
}

#[test]
fn the_life_of_a_key_survives_every_restart() {
    let folder = Folder::new();
    assert!(!Store::exists(&folder.0));
    fs::write(folder.0.with_extension("file"), "").unwrap();
    assert!(Store::exists(&folder.0.with_extension("file")), "what cannot be looked into is not empty");
    fs::remove_file(folder.0.with_extension("file")).unwrap();
    let (mut store, finding, _) = folder.open();
    assert_eq!((finding, Store::exists(&folder.0)), (None, true));
    let (key, first) =
        store.create(New { name: "ci", expires: Some(NOW + 100), ..new("mobile") }, NOW).unwrap();
    let (other, kept) = store.create(new("other"), NOW).unwrap();
    let id = key.id;
    let again = |store: Store| {
        let before = store.keys.clone();
        drop(store);
        let (store, finding, table) = folder.open();
        assert_eq!((finding, &store.keys), (None, &before));
        assert_eq!(standing(&table, &kept, u64::MAX), Some(Standing::Holds));
        (store, table)
    };
    let (mut store, table) = again(store);
    assert_eq!(standing(&table, &first, NOW + 99), Some(Standing::Holds));
    assert_eq!(standing(&table, &first, NOW + 100), Some(Standing::Expired));
    let (_, second) = store.rotate(id, 10, NOW).unwrap();
    let (mut store, table) = again(store);
    assert_eq!(standing(&table, &first, NOW + 9), Some(Standing::Holds));
    assert_eq!(standing(&table, &first, NOW + 10), Some(Standing::Replaced));
    assert_eq!(standing(&table, &second, NOW + 10), Some(Standing::Holds));
    store.disable(id).unwrap();
    assert_eq!(standing(&table, &second, NOW), Some(Standing::Disabled), "at once");
    let (mut store, table) = again(store);
    assert_eq!(standing(&table, &second, NOW), Some(Standing::Disabled));
    store.enable(id).unwrap();
    assert_eq!(store.expire(id, None).unwrap().state(u64::MAX), State::Active);
    let (mut store, table) = again(store);
    assert_eq!(standing(&table, &second, u64::MAX), Some(Standing::Holds));
    assert_eq!(store.delete(id).unwrap().id, id);
    assert!(matches!(store.delete(id), Err(Error::NoKey(_))));
    let (store, table) = again(store);
    assert_eq!(standing(&table, &second, NOW), None);
    assert_eq!(store.list(None, None, 10), [other]);
}

#[test]
fn nothing_secret_is_kept_and_nobody_else_can_read_it() {
    let folder = Folder::new();
    let (mut store, ..) = folder.open();
    let (key, first) = store.create(new("mobile"), NOW).unwrap();
    let (_, second) = store.rotate(key.id, 10, NOW).unwrap();
    let text = fs::read_to_string(folder.journal()).unwrap();
    for secret in [first, second] {
        assert!(!text.contains(secret.expose()) && text.contains(&secret.expose()[..7]), "{text}");
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&folder.0), mode(&folder.journal()), mode(&folder.0.join("lock"))),
        (0o700, 0o600, 0o600)
    );
    assert!(!format!("{store:?}").contains("sha256"), "{store:?}");
}

#[test]
fn only_one_has_a_folder() {
    let folder = Folder::new();
    let (store, ..) = folder.open();
    let second = Store::open(&folder.0, Arc::default(), NOW).unwrap_err();
    assert!(
        matches!(&second, file::Error::File(durable::Error::InUse { lock, .. }) if *lock == folder.0.join("lock")),
        "{second}"
    );
    drop(store);
    folder.open();
}

#[test]
fn what_a_later_version_wrote_is_left_alone() {
    let folder = Folder::new();
    drop(folder.open());
    let text = r#"{"gateward_keys":2}"#;
    let later = format!("{:08x} {text}\n", crate::checksum::crc32(text.as_bytes()));
    fs::write(folder.journal(), &later).unwrap();
    let error = Store::open(&folder.0, Arc::default(), NOW).unwrap_err();
    assert!(matches!(error, file::Error::Newer(_)), "{error}");
    assert_eq!(fs::read_to_string(folder.journal()).unwrap(), later);
}

#[test]
fn what_was_written_by_halves_is_cut_off() {
    let folder = Folder::new();
    let (mut store, ..) = folder.open();
    let (key, secret) = store.create(new("mobile"), NOW).unwrap();
    let whole = fs::read(folder.journal()).unwrap();
    store.disable(key.id).unwrap();
    drop(store);
    let longer = fs::read(folder.journal()).unwrap();
    // A crash while the change was written, wherever it was.
    for cut in whole.len() + 1..longer.len() {
        fs::write(folder.journal(), &longer[..cut]).unwrap();
        let (mut store, finding, table) = folder.open();
        assert_eq!(finding, Some(Finding::Torn { file: folder.journal() }), "{cut}");
        assert_eq!(standing(&table, &secret, NOW), Some(Standing::Holds));
        assert_eq!(fs::read(folder.journal()).unwrap(), whole);
        store.disable(key.id).unwrap();
        drop(store);
        assert_eq!(folder.open().1, None);
    }
    // And while a new file was made: it has another name.
    fs::write(folder.0.join("journal.new"), "half").unwrap();
    assert_eq!(folder.open().1, None);
}

#[test]
fn a_damaged_file_is_set_aside_and_lets_nobody_in_who_is_in_doubt() {
    let folder = Folder::new();
    let (mut store, ..) = folder.open();
    let (one, first) = store.create(new("one"), NOW).unwrap();
    let (_, lost) = store.create(new("two"), NOW).unwrap();
    let (_, third) = store.create(new("three"), NOW).unwrap();
    drop(store);
    let text = fs::read_to_string(folder.journal()).unwrap();
    let damaged = text.replacen("\"two\"", "\"tow\"", 1);
    fs::write(folder.journal(), &damaged).unwrap();
    let (mut store, finding, table) = folder.open();
    let aside = folder.0.join(format!("journal.corrupt-{NOW}"));
    let Some(Finding::Damaged { kept: 2, doubted: 1, aside: place, .. }) = &finding else {
        panic!("{finding:?}")
    };
    assert_eq!((place, fs::read_to_string(&aside).unwrap()), (&aside, damaged));
    assert_eq!(standing(&table, &first, NOW), Some(Standing::Disabled));
    assert_eq!(standing(&table, &lost, NOW), None);
    assert_eq!(standing(&table, &third, NOW), Some(Standing::Holds));
    store.enable(one.id).unwrap();
    drop(store);
    let (store, finding, table) = folder.open();
    assert_eq!((finding, store.keys.len()), (None, 2));
    assert_eq!(standing(&table, &first, NOW), Some(Standing::Holds));
    drop(store);
    // One that is no file of keys at all, twice in the same second.
    for text in ["", "nonsense\n", "[1, 2, 3]"] {
        fs::write(folder.journal(), text).unwrap();
        let (store, finding, _) = folder.open();
        assert!(matches!(finding, Some(Finding::Damaged { kept: 0, .. })), "{text:?} {finding:?}");
        assert!(store.keys.is_empty());
    }
    let set_aside = folder.names().iter().filter(|name| name.starts_with("journal.corrupt-")).count();
    assert_eq!(set_aside, 4);
}

#[test]
fn what_cannot_be_written_did_not_happen() {
    for (what, broken) in [("write", 0), ("sync", 1), ("cut", 2)] {
        let folder = Folder::new();
        let fails = Arc::new(AtomicUsize::new(usize::MAX));
        let (asked, mut real) = (Arc::clone(&fails), quick());
        let disk: Disk = Box::new(move |file, step| {
            let kind = match &step {
                Step::Write(_) => 0,
                Step::Sync => 1,
                Step::Cut(_) => 2,
            };
            let level = asked.load(Ordering::Relaxed);
            if level == kind || (level == 2 && kind == 0) {
                if let Step::Write(bytes) = step {
                    // Half of it gets there.
                    real(file, Step::Write(&bytes[..bytes.len() / 2]))?;
                }
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            real(file, step)
        });
        let table = Arc::new(Table::default());
        let mut store = Store::open_on(disk, &folder.0, Arc::clone(&table), NOW).unwrap().store;
        let (key, secret) = store.create(new("mobile"), NOW).unwrap();
        fails.store(broken, Ordering::Relaxed);
        let before = store.keys.clone();
        for _ in 0..3 {
            assert!(matches!(store.disable(key.id), Err(Error::File(_))), "{what}");
            assert!(matches!(store.delete(key.id), Err(Error::File(_))), "{what}");
            assert!(
                store.create(new("other"), NOW).is_err() && store.rotate(key.id, 0, NOW).is_err(),
                "{what}"
            );
        }
        assert_eq!((&store.keys, standing(&table, &secret, NOW)), (&before, Some(Standing::Holds)), "{what}");
        // When there is room again, it goes on, and nothing of what failed comes back.
        fails.store(usize::MAX, Ordering::Relaxed);
        let (other, _) = store.create(new("late"), NOW).unwrap();
        drop(store);
        let (store, finding, table) = folder.open();
        assert_eq!(finding, None, "{what}");
        let ids: Vec<Id> = store.keys.keys().copied().collect();
        assert!(ids.len() == 2 && ids.contains(&other.id), "{what}");
        assert_eq!(standing(&table, &secret, NOW), Some(Standing::Holds), "{what}");
    }
}

#[test]
fn the_file_grows_with_the_keys_and_not_with_the_changes() {
    let folder = Folder::new();
    let (mut store, ..) = folder.open();
    let (key, _) = store.create(new("mobile"), NOW).unwrap();
    for _ in 0..4_000 {
        store.disable(key.id).unwrap();
        store.enable(key.id).unwrap();
    }
    let length = fs::metadata(folder.journal()).unwrap().len();
    assert!(length < 1_200_000, "{length}");
    drop(store);
    assert_eq!(folder.open().0.keys.len(), 1);
    // What changes nothing is not written.
    let (mut store, ..) = folder.open();
    let length = fs::metadata(folder.journal()).unwrap().len();
    assert_eq!(store.enable(key.id).unwrap(), key);
    assert_eq!(fs::metadata(folder.journal()).unwrap().len(), length);
}

#[test]
fn there_are_so_many_keys_and_no_more() {
    let folder = Folder::new();
    let (mut store, ..) = folder.open();
    store.most = 3;
    let keys: Vec<Id> = ["a", "b", "a"].map(|name| store.create(new(name), NOW).unwrap().0.id).into();
    assert!(matches!(store.create(new("a"), NOW), Err(Error::Full)));
    store.delete(keys[0]).unwrap();
    store.create(new("a"), NOW).unwrap();
    let all = store.list(None, None, 10);
    assert!(all.len() == 3 && all.is_sorted_by_key(|key| key.id));
    assert_eq!(store.list(None, Some(all[0].id), 1), [Arc::clone(&all[1])]);
    let of_a = store.list(Some("a"), None, 10);
    assert!(of_a.len() == 2 && of_a.iter().all(|key| &*key.consumer == "a"));
    assert!(store.list(None, Some(all[2].id), 10).is_empty() && store.list(Some("c"), None, 10).is_empty());
}

/// Prints what many keys cost: `cargo test -p keys --release -- --nocapture many_keys`.
#[test]
fn many_keys_cost_what_few_cost() {
    let count: u32 = if cfg!(debug_assertions) { 5_000 } else { 100_000 };
    let folder = Folder::new();
    let (mut store, ..) = folder.open();
    let written = Arc::new(AtomicU64::new(0));
    let (counted, mut real) = (Arc::clone(&written), quick());
    drop(store);
    let disk: Disk = Box::new(move |file, step| {
        if let Step::Write(bytes) = &step {
            counted.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        real(file, step)
    });
    store = Store::open_on(disk, &folder.0, Arc::default(), NOW).unwrap().store;
    let begin = std::time::Instant::now();
    for _ in 0..count {
        store.create(new("mobile"), NOW).unwrap();
    }
    let made = begin.elapsed();
    let length = fs::metadata(folder.journal()).unwrap().len();
    let times = written.load(Ordering::Relaxed) as f64 / length as f64;
    drop(store);
    let begin = std::time::Instant::now();
    assert_eq!(folder.open().0.keys.len(), count as usize);
    println!(
        "{count} keys: {:?} each without the disk, {} bytes each, written {times:.1} times, read in {:?}",
        made / count,
        length / u64::from(count),
        begin.elapsed()
    );
    assert!(times < 4.0, "{times}");
}

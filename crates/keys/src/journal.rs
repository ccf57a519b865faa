//! The form in which keys are kept: lines of JSON, each with a checksum in front of it.
//!
//! The first line says of which form it is and how long the beginning is, in which each key has one line; behind it
//! stands a line for each change since, with all that is known of a key afterwards. What cannot be read there may be of
//! any key: all those whose last line stands before it are in doubt, and are switched off. It must not know files. Entry points: [`head`], [`line()`], [`read`].

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::checksum::crc32;
use crate::{Digest, Id, Key, Old};

/// The form that is written here.
const VERSION: u64 = 1;
/// No line is longer, in bytes: texts have at most 256, and the escapes of JSON make no byte longer than six.
const LONGEST: u64 = 8 * 1024;

/// A change.
#[derive(Debug)]
pub(crate) enum Entry {
    /// What is known of a key from now on.
    Put(Arc<Key>),
    /// There is no such key any more.
    Delete(Id),
}

/// What was read.
#[derive(Debug)]
pub(crate) struct Contents {
    /// The keys, those in doubt switched off.
    pub(crate) keys: BTreeMap<Id, Arc<Key>>,
    /// Where the beginning ends, in bytes.
    pub(crate) first_end: u64,
    /// Where the last whole line ends, in bytes.
    pub(crate) end: u64,
    /// How it is.
    pub(crate) state: Condition,
}

/// How what was read is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// All can be read.
    Whole,
    /// The last line was written by halves, as by a crash: nobody was told that it was written.
    Torn,
    /// Some of it cannot be read.
    Damaged {
        /// The first that cannot be read, in words.
        what: String,
        /// How many keys are in doubt.
        doubted: usize,
    },
    /// It has a form that a later version writes.
    Newer,
}

/// The first line, of a beginning that has so many bytes behind it. Its length is always the same.
pub(crate) fn head(bytes: u64) -> String {
    sealed(&json!({ "gateward_keys": VERSION, "bytes": format!("{bytes:020}") }))
}

/// The line of a change.
pub(crate) fn line(entry: &Entry) -> String {
    let text = match entry {
        Entry::Delete(id) => json!({ "id": id.as_str(), "deleted": true }),
        Entry::Put(key) => {
            let old = |old: &Old| json!({ "sha256": hex(&old.digest), "until": old.until });
            json!({
                "id": key.id.as_str(),
                "consumer": &*key.consumer,
                "name": &*key.name,
                "start": &*key.start,
                "sha256": hex(&key.digest),
                "created": key.created,
                "rotated": key.rotated,
                "expires": key.expires,
                "disabled": key.disabled,
                "old": key.old.iter().map(old).collect::<Vec<_>>(),
            })
        }
    };
    sealed(&text)
}

fn sealed(text: &Value) -> String {
    let text = text.to_string();
    format!("{:08x} {text}\n", crc32(text.as_bytes()))
}

/// Reads all lines.
///
/// # Errors
/// The bytes cannot be had.
pub(crate) fn read(from: &mut impl BufRead) -> io::Result<Contents> {
    let mut reader = Lines { from, end: 0, number: 0, bytes: Vec::new(), damage: None, torn: false };
    let mut keys: BTreeMap<Id, (Arc<Key>, u64)> = BTreeMap::new();
    let mut first_end = 0;
    // A key whose last line is before this one is in doubt.
    let mut doubt = 0;
    while let Some(text) = reader.next()? {
        let number = reader.number;
        if number == 1 {
            let version = text.as_ref().and_then(|head| head.get("gateward_keys")?.as_u64());
            if version.is_some_and(|version| version > VERSION) {
                let (keys, state) = (BTreeMap::new(), Condition::Newer);
                return Ok(Contents { keys, first_end: 0, end: 0, state });
            }
            let length = text.as_ref().and_then(|head| head.get("bytes")?.as_str()?.parse::<u64>().ok());
            match length.filter(|_| version.is_some()) {
                Some(length) => first_end = reader.end.saturating_add(length),
                None => reader.damaged("its first line cannot be read"),
            }
            continue;
        }
        match text.as_ref().and_then(entry) {
            Some(Entry::Put(key)) => drop(keys.insert(key.id, (key, number))),
            Some(Entry::Delete(id)) => drop(keys.remove(&id)),
            None => {
                reader.damaged(&format!("its line {number} cannot be read"));
                // Each key has one line in the beginning: there it is lost, and no other one is concerned.
                doubt = if reader.end <= first_end { doubt } else { number };
            }
        }
    }
    if reader.end == 0 && !reader.torn {
        reader.damaged("it is empty");
    } else if reader.end < first_end.max(1) {
        reader.damaged("its end is missing");
    }
    let doubted = keys.values().filter(|(_, number)| *number < doubt).count();
    let state = match (reader.damage, reader.torn) {
        (Some(what), _) => Condition::Damaged { what, doubted },
        (None, true) => Condition::Torn,
        (None, false) => Condition::Whole,
    };
    let settle = |(id, (key, number)): (Id, (Arc<Key>, u64))| match number < doubt {
        true => (id, Arc::new(Key { disabled: true, ..Key::clone(&key) })),
        false => (id, key),
    };
    let end = reader.end;
    Ok(Contents { keys: keys.into_iter().map(settle).collect(), first_end, end, state })
}

/// Goes through lines, whatever is in them.
struct Lines<'r, R> {
    from: &'r mut R,
    end: u64,
    number: u64,
    bytes: Vec<u8>,
    damage: Option<String>,
    torn: bool,
}

impl<R: BufRead> Lines<'_, R> {
    /// The next line: `Some(None)` for one that cannot be read, `None` at the end.
    fn next(&mut self) -> io::Result<Option<Option<Map<String, Value>>>> {
        self.bytes.clear();
        let length = self.from.by_ref().take(LONGEST).read_until(b'\n', &mut self.bytes)? as u64;
        if length == 0 {
            return Ok(None);
        }
        if self.bytes.last() != Some(&b'\n') && length < LONGEST {
            self.torn = true;
            return Ok(None);
        }
        self.end += length;
        self.number += 1;
        Ok(Some(unsealed(&self.bytes)))
    }

    fn damaged(&mut self, what: &str) {
        self.damage.get_or_insert_with(|| what.to_owned());
    }
}

fn unsealed(line: &[u8]) -> Option<Map<String, Value>> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (check, text) = line.split_once(' ')?;
    let check = u32::from_str_radix(check, 16).ok()?;
    (crc32(text.as_bytes()) == check).then(|| serde_json::from_str(text).ok())?
}

fn entry(text: &Map<String, Value>) -> Option<Entry> {
    let id = Id::parse(text.get("id")?.as_str()?)?;
    if text.get("deleted").is_some() {
        return Some(Entry::Delete(id));
    }
    let word = |name: &str| text.get(name)?.as_str();
    let number = |name: &str| text.get(name)?.as_u64();
    let old = |old: &Value| {
        Some(Old { digest: from_hex(old.get("sha256")?.as_str()?)?, until: old.get("until")?.as_u64()? })
    };
    let expires = match text.get("expires")? {
        Value::Null => None,
        end => Some(end.as_u64()?),
    };
    Some(Entry::Put(Arc::new(Key {
        id,
        consumer: word("consumer")?.into(),
        name: word("name")?.into(),
        start: word("start")?.into(),
        created: number("created")?,
        rotated: number("rotated")?,
        expires,
        disabled: text.get("disabled")?.as_bool()?,
        digest: from_hex(word("sha256")?)?,
        old: text.get("old")?.as_array()?.iter().map(old).collect::<Option<_>>()?,
    })))
}

fn hex(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<Digest> {
    let mut out = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    fn key(number: u8) -> Arc<Key> {
        let secret = Secret::of(&[number; 32]);
        let key = Key::new(Id::of([number; 8]), "mobile", "é \"\\", &secret, 1_000, Some(5_000)).unwrap();
        Arc::new(key.rotated(&Secret::of(&[number + 100; 32]), 2_000, 60).unwrap())
    }

    fn off(number: u8) -> Arc<Key> {
        Arc::new(Key { disabled: true, ..Key::clone(&key(number)) })
    }

    fn put(number: u8) -> String {
        line(&Entry::Put(key(number)))
    }

    fn delete(number: u8) -> String {
        line(&Entry::Delete(Id::of([number; 8])))
    }

    fn beginning(lines: &[String]) -> String {
        let lines = lines.concat();
        head(lines.len() as u64) + &lines
    }

    fn read_text(text: &str) -> Contents {
        read(&mut text.as_bytes()).unwrap()
    }

    /// The keys that are there, by number, those in doubt negative.
    fn shown(contents: &Contents) -> Vec<i16> {
        let shown = |key: &Arc<Key>| {
            let number = i16::from_str_radix(&key.id.as_str()[2..4], 16).unwrap();
            if key.disabled { -number } else { number }
        };
        contents.keys.values().map(shown).collect()
    }

    #[test]
    fn what_was_written_is_read_back() {
        let begin = beginning(&[put(1), put(2)]);
        let text = [begin.clone(), put(3), delete(1)].concat();
        let contents = read_text(&text);
        assert_eq!(contents.state, Condition::Whole);
        assert_eq!((contents.end, contents.first_end), (text.len() as u64, begin.len() as u64));
        assert_eq!(head(0).len(), head(u64::MAX).len());
        assert_eq!(contents.keys.values().cloned().collect::<Vec<_>>(), [key(2), key(3)]);
        assert!(text.lines().all(|line| line.len() < 700), "{text}");
    }

    #[test]
    fn the_longest_line_is_shorter_than_what_is_read() {
        let mut longest = Key::clone(&key(1));
        longest.consumer = "\u{1}".repeat(128).into();
        longest.name = "\u{1}".repeat(crate::NAME_MOST).into();
        longest.old = vec![Old { digest: [255; 32], until: u64::MAX }; crate::MOST_OLD];
        assert!((line(&Entry::Put(Arc::new(longest))).len() as u64) < LONGEST);
    }

    #[test]
    fn a_line_that_was_written_by_halves_is_left_out_wherever_it_ends() {
        let (whole, last) = (beginning(&[put(1)]), put(2));
        for cut in 1..last.len() {
            let contents =
                read(&mut [whole.as_bytes(), &last.as_bytes()[..cut]].concat().as_slice()).unwrap();
            assert_eq!((contents.end as usize, shown(&contents)), (whole.len(), vec![1]), "{cut}");
            assert_eq!(contents.state, Condition::Torn);
        }
        // The beginning is written at once, and has its name when it is whole.
        let contents = read_text(&whole[..whole.len() - 1]);
        assert!(matches!(contents.state, Condition::Damaged { .. }), "{contents:?}");
    }

    #[test]
    fn keys_that_a_lost_line_could_be_about_are_switched_off() {
        let bad = "00000000 {}\n".to_owned();
        let first =
            |lines: &[&String]| beginning(&lines.iter().map(|line| (*line).clone()).collect::<Vec<_>>());
        let swallowed = {
            let begin = beginning(&[put(1), put(2)]);
            begin[..begin.len() - 1].to_owned() + "x" + &line(&Entry::Put(off(1)))
        };
        for (lines, keys, doubted) in [
            // Of the beginning: this key is lost, and no other one.
            (vec![first(&[&put(1), &bad, &put(3)])], vec![1, 3], 0),
            (vec![first(&[&put(1), &bad, &put(3)]), put(4)], vec![1, 3, 4], 0),
            // A change since: nobody knows of which.
            (vec![first(&[&put(1)]), put(2), bad.clone(), put(3)], vec![-1, -2, 3], 2),
            (vec![first(&[&put(1)]), put(2), bad.clone(), put(1)], vec![1, -2], 1),
            (vec![first(&[&put(1)]), put(2), bad.clone(), delete(2)], vec![-1], 1),
            (vec![first(&[&put(1)]), put(2), bad.clone()], vec![-1, -2], 2),
            // The end of the last line of the beginning, and with it the first change.
            (vec![swallowed], vec![-1], 1),
            // Without a first line nobody knows which lines are of the beginning.
            (vec![bad.clone(), put(1), put(2)], vec![1, 2], 0),
            (vec![put(9), put(1), bad.clone()], vec![-1], 1),
            (vec![head(5_000), put(1)], vec![1], 0),
            (vec![], vec![], 0),
        ] {
            let contents = read_text(&lines.concat());
            assert_eq!(shown(&contents), keys, "{lines:?}");
            let Condition::Damaged { doubted: count, .. } = contents.state else { panic!("{lines:?}") };
            assert_eq!(count, doubted, "{lines:?}");
        }
    }

    #[test]
    fn no_changed_byte_lets_anybody_in() {
        let text = [beginning(&[put(1)]), put(2), put(1), delete(2)].concat();
        // Without its last byte, the last line is one that was never whole.
        for at in 0..text.len() - 1 {
            for flip in [1, 0x10, 0x80] {
                let mut bytes = text.clone().into_bytes();
                bytes[at] ^= flip;
                let contents = read(&mut bytes.as_slice()).unwrap();
                let fine = contents.keys.values().all(|key| {
                    let number = key.id.as_str().as_bytes()[3] - b'0';
                    Key { disabled: false, ..Key::clone(key) } == *self::key(number)
                });
                assert!(fine, "{at}");
                assert!(!shown(&contents).contains(&2), "it was deleted: {at} {flip}");
                assert_ne!(contents.state, Condition::Whole, "{at}");
            }
        }
    }

    #[test]
    fn a_later_form_is_not_guessed() {
        let later = sealed(&json!({ "gateward_keys": 2, "keys": "many" }));
        let contents = read_text(&(later + &put(1)));
        assert_eq!((contents.state, contents.keys.len()), (Condition::Newer, 0));
    }

    #[test]
    fn whatever_is_in_the_file_it_ends() {
        let mut rng = fastrand::Rng::with_seed(3);
        for length in [0, 1, 100, 9_000, 100_000] {
            let noise: Vec<u8> = std::iter::repeat_with(|| rng.u8(..)).take(length).collect();
            assert!(read(&mut noise.as_slice()).unwrap().keys.is_empty());
            assert!(read(&mut vec![b'x'; length].as_slice()).unwrap().keys.is_empty());
            assert!(read(&mut vec![b'\n'; length].as_slice()).unwrap().keys.is_empty());
        }
    }
}

//! What stands in the file of the ledger: its bytes, and what is believed of them.
//!
//! It must not know files, nor counters. All numbers are little-endian. A **sum** is the beginning of a SHA-256 over the
//! place in the file and the bytes: it finds what has changed, was swapped or was left out.
//!
//! ```text
//! head    "GWQUOTA" and the version, 8 bytes │ end of the first frames, u64 │ sum of these, 8 bytes
//! frame   length of the records, u32 │ sum of the records, 8 bytes │ sum of these, 4 bytes │ records
//! record  quota, u128 │ start of the period, i64 │ its end, i64 │ count, u64 │ length of the key, u8 │ key
//! ```
//!
//! A record says what a count is, not by how much it has grown, so reading one twice changes nothing, and the last one
//! holds. The first frames were written with the head and made durable before the file got its name. Each frame after them
//! was added later; a crash leaves a part of the last ones. Entry points: [`Frame`], [`read`].

#[cfg(test)]
mod tests;

use std::io::{self, Read};

use aws_lc_rs::digest::{Context, SHA256};

use crate::{Bounds, KEY_MAX, MAX_COUNT, QuotaId, Usage};

/// What a file begins with. The last byte is the version.
const MAGIC: [u8; 8] = *b"GWQUOTA\x01";
/// The length of the head of a file, in bytes.
pub(crate) const HEAD: usize = 24;
const FRAME_HEAD: usize = 16;
/// The most bytes of records in a frame. It is what has to be in memory when a file is read or written.
const FRAME_MAX: usize = 64 * 1024;
const RECORD_MAX: usize = 16 + 3 * 8 + 1 + KEY_MAX;

fn sum<const N: usize>(place: u64, bytes: &[u8]) -> [u8; N] {
    let mut context = Context::new(&SHA256);
    context.update(&place.to_le_bytes());
    context.update(bytes);
    let mut sum = [0; N];
    sum.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    sum
}

/// The head of a file whose first frames end at a place.
pub(crate) fn head(first_end: u64) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    let facts = first_end.to_le_bytes();
    let own = sum::<8>(0, &[MAGIC, facts].concat());
    head.iter_mut().zip(MAGIC.into_iter().chain(facts).chain(own)).for_each(|(to, from)| *to = from);
    head
}

fn frame_head(place: u64, size: u32, records: [u8; 8]) -> [u8; FRAME_HEAD] {
    let mut head = [0; FRAME_HEAD];
    let facts = size.to_le_bytes().into_iter().chain(records);
    head.iter_mut().zip(facts.clone()).for_each(|(to, from)| *to = from);
    let own = sum::<4>(place, head.split_last_chunk::<4>().map_or(&[], |(facts, _)| facts));
    head.iter_mut().zip(facts.chain(own)).for_each(|(to, from)| *to = from);
    head
}

/// A frame that is being filled.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    bytes: Vec<u8>,
}

impl Frame {
    /// Whether it is to be written before another record is added.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() + RECORD_MAX > FRAME_HEAD + FRAME_MAX
    }

    /// Adds a record. The key is not longer than [`KEY_MAX`].
    pub(crate) fn add(&mut self, quota: QuotaId, key: &str, usage: Usage) {
        let Ok(length) = u8::try_from(key.len()) else { return };
        if self.bytes.is_empty() {
            self.bytes.resize(FRAME_HEAD, 0);
        }
        self.bytes.extend_from_slice(&quota.0.to_le_bytes());
        self.bytes.extend_from_slice(&usage.period.start.to_le_bytes());
        self.bytes.extend_from_slice(&usage.period.end.to_le_bytes());
        self.bytes.extend_from_slice(&usage.used.to_le_bytes());
        self.bytes.push(length);
        self.bytes.extend_from_slice(key.as_bytes());
    }

    /// The bytes of the frame for a place in the file; empty if it has no records.
    pub(crate) fn close(&mut self, place: u64) -> &[u8] {
        if let Some((head, records)) = self.bytes.split_first_chunk_mut::<FRAME_HEAD>() {
            *head = frame_head(place, records.len() as u32, sum(place, records));
        }
        &self.bytes
    }

    /// Makes it empty.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }
}

/// What a file turned out to be.
#[derive(Debug)]
pub(crate) struct Contents {
    /// Where the first frames end.
    pub(crate) first_end: u64,
    /// Where the frames end that are whole.
    pub(crate) end: u64,
    /// How many records were read.
    pub(crate) records: usize,
    pub(crate) state: State,
}

/// In which state a file is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum State {
    Whole,
    /// The end of what was added last is missing, as after a crash.
    Torn,
    /// Something else is wrong, for this reason.
    Damaged(String),
}

/// Reads a file of `length` bytes and hands over its records, in order.
///
/// Where the records of a frame are damaged, those of the others still count: the last one of a key holds, whichever
/// were left out. Where the head of a frame is damaged, nothing behind it can be found.
pub(crate) fn read(
    file: &mut impl Read,
    length: u64,
    mut record: impl FnMut(QuotaId, &str, Usage),
) -> Contents {
    let mut contents = Contents { first_end: 0, end: 0, records: 0, state: State::Whole };
    match read_frames(file, length, &mut contents, &mut record) {
        Ok(State::Whole) => {}
        // What was found first says more.
        Ok(_) | Err(_) if contents.state != State::Whole => {}
        Ok(state) => contents.state = state,
        Err(error) => contents.state = State::Damaged(format!("it cannot be read: {error}")),
    }
    contents
}

fn read_frames(
    file: &mut impl Read,
    length: u64,
    contents: &mut Contents,
    record: &mut impl FnMut(QuotaId, &str, Usage),
) -> io::Result<State> {
    let damaged = |what: &str| Ok(State::Damaged(what.to_owned()));
    if length < HEAD as u64 {
        return damaged("it is shorter than its head");
    }
    let mut found = [0; HEAD];
    file.read_exact(&mut found)?;
    let mut rest = &found[..];
    let magic = take::<8>(&mut rest).unwrap_or_default();
    let first_end = u64::from_le_bytes(take(&mut rest).unwrap_or_default());
    if found != head(first_end) {
        let other = magic != MAGIC
            && magic.split_last().map(|(_, name)| name) == MAGIC.split_last().map(|(_, name)| name);
        return damaged(if other { "it is of another version" } else { "its head is damaged" });
    }
    contents.first_end = first_end;
    contents.end = HEAD as u64;
    let cut = |end: u64| {
        if end < first_end {
            return State::Damaged(format!(
                "it is cut off at byte {length}, and had {first_end} when it was made"
            ));
        }
        State::Torn
    };
    let mut records = Vec::new();
    let mut place = HEAD as u64;
    while place < length {
        let mut frame = [0; FRAME_HEAD];
        if length - place < FRAME_HEAD as u64 {
            return Ok(cut(place));
        }
        file.read_exact(&mut frame)?;
        let mut rest = &frame[..];
        let size = u32::from_le_bytes(take(&mut rest).unwrap_or_default());
        let own = take::<8>(&mut rest).unwrap_or_default();
        let whole = frame == frame_head(place, size, own);
        let size = size as usize;
        if !whole || size > FRAME_MAX {
            return Ok(State::Damaged(format!(
                "it is damaged at byte {place}, and what follows cannot be found"
            )));
        }
        if length - place - (FRAME_HEAD as u64) < size as u64 {
            return Ok(cut(place));
        }
        records.resize(size, 0);
        file.read_exact(&mut records)?;
        let good = sum(place, &records) == own && read_records(&records, contents, record);
        if !good && contents.state == State::Whole {
            contents.state = State::Damaged(format!("{size} bytes are damaged behind byte {place}"));
        }
        place += (FRAME_HEAD + size) as u64;
        contents.end = place;
    }
    Ok(if place < first_end { cut(place) } else { State::Whole })
}

/// Hands over the records of a frame, and says whether all of them make sense.
fn read_records(
    mut bytes: &[u8],
    contents: &mut Contents,
    record: &mut impl FnMut(QuotaId, &str, Usage),
) -> bool {
    while !bytes.is_empty() {
        let Some((quota, key, usage)) = take_record(&mut bytes) else { return false };
        contents.records += 1;
        record(quota, key, usage);
    }
    true
}

fn take_record<'a>(bytes: &mut &'a [u8]) -> Option<(QuotaId, &'a str, Usage)> {
    let quota = u128::from_le_bytes(take(bytes)?);
    let (start, end) = (i64::from_le_bytes(take(bytes)?), i64::from_le_bytes(take(bytes)?));
    let used = u64::from_le_bytes(take(bytes)?);
    let [length] = take::<1>(bytes)?;
    let (key, rest) = bytes.split_at_checked(usize::from(length))?;
    *bytes = rest;
    let key = std::str::from_utf8(key).ok()?;
    (start <= end && used <= MAX_COUNT).then_some((
        QuotaId(quota),
        key,
        Usage { used, period: Bounds { start, end } },
    ))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}

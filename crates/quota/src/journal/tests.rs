//! Files that are cut off anywhere, or have one byte changed.

use std::collections::BTreeMap;

use super::*;

type Counts = BTreeMap<(u128, String), Usage>;

fn usage(used: u64) -> Usage {
    Usage { used, period: Bounds { start: 1_000, end: 2_000 } }
}

/// A file of frames, the first two of which it was made with. Each says what some counts are, larger ones from frame to
/// frame. Also says where each frame ends, and what holds then.
fn file(frames: u64) -> (Vec<u8>, Vec<(usize, Counts)>) {
    let mut bytes = vec![0; HEAD];
    let mut counts = Counts::new();
    let mut ends = vec![(HEAD, counts.clone())];
    let mut frame = Frame::default();
    for number in 1..=frames {
        for key in number..number + 3 {
            let (quota, name) = (u128::from(key % 2), format!("key-{}", key % 5));
            frame.add(QuotaId(quota), &name, usage(number));
            counts.insert((quota, name), usage(number));
        }
        bytes.extend_from_slice(frame.close(bytes.len() as u64));
        frame.clear();
        ends.push((bytes.len(), counts.clone()));
    }
    bytes[..HEAD].copy_from_slice(&head(ends[2].0 as u64));
    (bytes, ends)
}

fn counts_of(bytes: &[u8]) -> (Counts, Contents) {
    let mut counts = Counts::new();
    let contents = read(&mut &bytes[..], bytes.len() as u64, |quota, key, usage| {
        counts.insert((quota.0, key.to_owned()), usage);
    });
    (counts, contents)
}

#[test]
fn what_was_written_is_read() {
    let (bytes, ends) = file(9);
    let (counts, contents) = counts_of(&bytes);
    assert_eq!((&contents.state, contents.records), (&State::Whole, 27));
    assert_eq!((contents.first_end, contents.end), (ends[2].0 as u64, bytes.len() as u64));
    assert_eq!(counts, ends[9].1);
}

#[test]
fn a_file_that_is_cut_off_anywhere_keeps_the_frames_before() {
    let (bytes, ends) = file(9);
    for length in 0..bytes.len() {
        let (counts, contents) = counts_of(&bytes[..length]);
        let whole = ends.iter().rev().find(|(end, _)| *end <= length);
        assert_eq!(counts, whole.map(|(_, counts)| counts.clone()).unwrap_or_default(), "{length}");
        match contents.state {
            // What a file was made with was durable before it had its name: no crash takes a part of it.
            State::Damaged(_) => assert!(length < ends[2].0, "{length}"),
            State::Torn => assert_eq!(contents.end, whole.unwrap().0 as u64),
            State::Whole => assert!(length >= ends[2].0 && whole.unwrap().0 == length, "{length}"),
        }
    }
}

#[test]
fn a_byte_that_has_changed_is_never_believed() {
    let (bytes, ends) = file(9);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            let (counts, contents) = counts_of(&bytes);
            assert!(matches!(contents.state, State::Damaged(_)), "{at} {bit}: {contents:?}");
            let before = ends.iter().rev().find(|(end, _)| *end <= at).map(|(_, counts)| counts);
            for (key, kept) in before.into_iter().flatten() {
                assert!(counts[key].used >= kept.used, "{at} {bit}: {key:?}");
            }
            for (key, count) in &counts {
                assert!(ends.iter().any(|(_, then)| then.get(key) == Some(count)), "{at} {bit}: {key:?}");
            }
            let one_frame = ends.iter().any(|(end, _)| (*end + FRAME_HEAD..).contains(&at)) && at >= HEAD;
            if one_frame && !ends.iter().any(|(end, _)| (*end..*end + FRAME_HEAD).contains(&at)) {
                assert_eq!(contents.records, 24, "{at} {bit}: only its own frame is lost");
            }
        }
    }
}

#[test]
fn frames_in_another_order_or_left_out_are_found() {
    let (bytes, ends) = file(5);
    let frame = |number: usize| &bytes[ends[number - 1].0..ends[number].0];
    for order in [&[1, 2, 4, 3, 5][..], &[1, 2, 4, 5], &[1, 2, 3, 3, 4, 5], &[2, 1, 3, 4, 5]] {
        let mut other = bytes[..HEAD].to_vec();
        order.iter().for_each(|number| other.extend_from_slice(frame(*number)));
        assert!(matches!(counts_of(&other).1.state, State::Damaged(_)), "{order:?}");
    }
}

#[test]
fn another_version_is_named() {
    let mut bytes = file(3).0;
    bytes[7] = 2;
    assert_eq!(counts_of(&bytes).1.state, State::Damaged("it is of another version".to_owned()));
}

/// Frames of random bytes with sums that are right, and bytes without any.
#[test]
fn no_bytes_make_a_panic() {
    let mut rng = fastrand::Rng::with_seed(11);
    for _ in 0..20_000 {
        let junk: Vec<u8> = (0..rng.usize(0..200)).map(|_| if rng.bool() { rng.u8(..) } else { 0 }).collect();
        let mut bytes = head(HEAD as u64).to_vec();
        if rng.bool() {
            bytes.extend(frame_head(HEAD as u64, junk.len() as u32, sum(HEAD as u64, &junk)));
        }
        bytes.extend(junk);
        let (counts, _) = counts_of(&bytes);
        assert!(counts.values().all(|usage| usage.used <= MAX_COUNT));
    }
}

#[test]
fn a_frame_is_never_larger_than_what_is_read() {
    let mut frame = Frame::default();
    let mut added = 0;
    while !frame.is_full() {
        frame.add(QuotaId(u128::MAX), &"k".repeat(KEY_MAX), usage(added as u64));
        added += 1;
    }
    let mut bytes = head(HEAD as u64).to_vec();
    bytes.extend_from_slice(frame.close(HEAD as u64));
    assert!(added > 200 && bytes.len() <= HEAD + FRAME_HEAD + FRAME_MAX);
    assert_eq!(counts_of(&bytes).1.records, added);
}

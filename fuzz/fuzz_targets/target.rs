//! Paths: the canonical form never panics, is a fixed point, and no lax reading leaves the root.
//!
//! Knows nothing of codecs: the bytes are the path itself. What a path is, `message` decides.

#![no_main]

use libfuzzer_sys::fuzz_target;
use message::{canonical_path, canonicalize_path, lax_readings, parse_authority};

fuzz_target!(|bytes: &[u8]| {
    // A host has at most one reading: what was accepted once is accepted again.
    if parse_authority(bytes).is_ok() {
        assert!(parse_authority(&bytes.to_ascii_lowercase()).is_ok());
    }

    let short = canonical_path(bytes).map(|changed| changed.unwrap_or_else(|| bytes.to_vec()));
    assert_eq!(short, canonicalize_path(bytes), "the shortcut and the long way differ");
    let Ok(path) = short else { return };
    assert_eq!(canonicalize_path(&path).as_ref(), Ok(&path), "the canonical form is not a fixed point");
    assert_eq!(path.first(), Some(&b'/'));
    assert!(path.iter().all(|b| b.is_ascii_graphic() && *b != b'\\'), "a byte that no path may hold");
    for segment in path.split(|&b| b == b'/') {
        assert!(!matches!(segment, b"." | b".."), "a dot segment was left");
    }
    for reading in lax_readings(&path).unwrap_or_default() {
        assert_eq!(reading.first(), Some(&b'/'));
        assert_ne!(reading, path);
    }
});

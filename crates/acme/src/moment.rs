//! Moments as text (RFC 3339) and back, for any moment: those of certificates come from outside.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The last second of the year 9999: what follows has no form in RFC 3339.
const LAST: u64 = 253_402_300_799;

/// Seconds since 1970 as a moment; what is outside of 1970 to 9999 is moved to the nearest end.
pub(crate) fn from_unix(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(LAST))
}

/// Seconds since 1970, with the same bounds.
pub(crate) fn to_unix(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()).min(LAST)
}

/// A moment in the form of RFC 3339, to the second; what is outside of 1970 to 9999 is moved to the nearest end.
pub fn written(at: SystemTime) -> String {
    let at = UNIX_EPOCH + Duration::from_secs(to_unix(at));
    humantime::format_rfc3339_seconds(at).to_string()
}

/// A moment from the form of RFC 3339.
pub(crate) fn read(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok()
}

/// A later moment, or the last one there is.
pub(crate) fn later(at: SystemTime, by: Duration) -> SystemTime {
    at.checked_add(by).unwrap_or_else(|| UNIX_EPOCH + Duration::from_secs(LAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_moment_can_be_written_and_read() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1970-01-01T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            let at = from_unix(seconds);
            assert_eq!(written(at), text);
            assert_eq!(read(text), Some(at));
        }
        assert_eq!(written(UNIX_EPOCH - Duration::from_secs(99)), "1970-01-01T00:00:00Z");
        assert_eq!(read("soon"), None);
    }
}

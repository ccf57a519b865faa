//! Periods at the edges that zones have had.

use super::*;

const HOUR: i64 = 3_600_000;

fn ms(text: &str) -> i64 {
    text.parse::<Timestamp>().unwrap().as_millisecond()
}

/// Zone, period, time, and when the period begins and ends.
const EDGES: &str = "
# An ordinary day, and its last and first millisecond.
UTC               Day    2026-05-06T12:00:00Z      2026-05-06T00:00:00Z  2026-05-07T00:00:00Z
UTC               Day    2026-05-06T23:59:59.999Z  2026-05-06T00:00:00Z  2026-05-07T00:00:00Z
UTC               Day    2026-05-07T00:00:00Z      2026-05-07T00:00:00Z  2026-05-08T00:00:00Z
+02:00            Day    2026-05-06T22:30:00Z      2026-05-06T22:00:00Z  2026-05-07T22:00:00Z
-09:30            Day    2026-05-06T22:30:00Z      2026-05-06T09:30:00Z  2026-05-07T09:30:00Z
+02:00            Day    1970-01-01T00:00:00Z      1969-12-31T22:00:00Z  1970-01-01T22:00:00Z
# 23 and 25 hours.
Europe/Berlin     Day    2026-03-29T10:00:00Z      2026-03-28T23:00:00Z  2026-03-29T22:00:00Z
Europe/Berlin     Day    2026-10-25T10:00:00Z      2026-10-24T22:00:00Z  2026-10-25T23:00:00Z
America/New_York  Day    2026-03-08T12:00:00Z      2026-03-08T05:00:00Z  2026-03-09T04:00:00Z
america/new_york  Day    2026-11-01T12:00:00Z      2026-11-01T04:00:00Z  2026-11-02T05:00:00Z
# Long after the last year that the database lists.
Europe/Berlin     Day    2090-03-26T10:00:00Z      2090-03-25T23:00:00Z  2090-03-26T22:00:00Z
# The day that Samoa skipped: the 29th is followed by the 31st.
Pacific/Apia      Day    2011-12-30T09:59:59Z      2011-12-29T10:00:00Z  2011-12-30T10:00:00Z
Pacific/Apia      Day    2011-12-30T10:00:00Z      2011-12-30T10:00:00Z  2011-12-31T10:00:00Z
Pacific/Apia      Month  2011-12-30T10:00:00Z      2011-12-01T10:00:00Z  2011-12-31T10:00:00Z
# No midnight: clocks went from 24:00 to 01:00.
America/Sao_Paulo Day    2018-11-04T02:59:59Z      2018-11-03T03:00:00Z  2018-11-04T03:00:00Z
America/Sao_Paulo Day    2018-11-04T03:00:00Z      2018-11-04T03:00:00Z  2018-11-05T02:00:00Z
# Clocks went from 23:30 to 00:30.
America/Toronto   Day    1919-03-31T04:45:00Z      1919-03-31T04:30:00Z  1919-04-01T04:00:00Z
# Two midnights: clocks went from 01:00 to 00:00, of the same day.
America/Havana    Day    2020-11-01T05:30:00Z      2020-11-01T04:00:00Z  2020-11-02T05:00:00Z
# Clocks went from 00:01 to 23:01 of the day before, which does not begin again.
America/St_Johns  Day    2010-11-07T02:30:30Z      2010-11-07T02:30:00Z  2010-11-08T03:30:00Z
America/St_Johns  Day    2010-11-07T03:00:00Z      2010-11-07T02:30:00Z  2010-11-08T03:30:00Z
# Weeks begin on Monday, also over a year's end; the 1st of January 2027 is a Friday.
UTC               Week   2026-12-28T00:00:00Z      2026-12-28T00:00:00Z  2027-01-04T00:00:00Z
UTC               Week   2027-01-03T23:59:59Z      2026-12-28T00:00:00Z  2027-01-04T00:00:00Z
Europe/Berlin     Week   2026-03-29T21:00:00Z      2026-03-22T23:00:00Z  2026-03-29T22:00:00Z
# Months.
UTC               Month  2028-02-29T23:00:00Z      2028-02-01T00:00:00Z  2028-03-01T00:00:00Z
UTC               Month  2026-12-31T23:59:59Z      2026-12-01T00:00:00Z  2027-01-01T00:00:00Z
Europe/Berlin     Month  2026-03-31T21:59:59Z      2026-02-28T23:00:00Z  2026-03-31T22:00:00Z
";

#[test]
fn periods_begin_and_end_when_the_calendar_of_the_zone_says() {
    for line in EDGES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let &[zone, period, now, start, end] = &line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let period = match period {
            "Day" => Period::Day,
            "Week" => Period::Week,
            _ => Period::Month,
        };
        let found = period.bounds(&Zone::parse(zone).unwrap(), ms(now));
        assert_eq!(found, Bounds { start: ms(start), end: ms(end) }, "{line}");
    }
}

/// For every zone there is and a hundred years of days: no time is in two periods or in none, and none is so short that
/// a counter would take two for the same.
#[test]
fn periods_lie_next_to_each_other() {
    let mut rng = fastrand::Rng::with_seed(7);
    for name in TimeZoneDatabase::bundled().available() {
        let Ok(zone) = Zone::parse(name.as_str()) else { continue };
        for _ in 0..40 {
            let now = rng.i64(0..ms("2070-01-01T00:00:00Z"));
            for period in [Period::Day, Period::Week, Period::Month] {
                let bounds = period.bounds(&zone, now);
                assert!(bounds.contain(now), "{name} {period:?} {now}: {bounds:?}");
                assert_eq!(period.bounds(&zone, bounds.start), bounds, "{name} {period:?}");
                assert_eq!(period.bounds(&zone, bounds.end - 1), bounds, "{name} {period:?}");
                let next = period.bounds(&zone, bounds.end);
                assert_eq!(next.start, bounds.end, "{name} {period:?}");
                assert!(bounds.end - bounds.start >= 20 * HOUR, "{name} {period:?}: {bounds:?}");
            }
        }
    }
}

#[test]
fn a_zone_is_a_name_or_an_offset() {
    for text in ["UTC", "Europe/Berlin", "europe/berlin", "Etc/GMT+5", "+00:00", "-00:00", "+14:00", "-12:45"]
    {
        assert!(Zone::parse(text).is_ok(), "{text}");
    }
    let wrong = [
        "", "+", "Berlin", "+2:00", "+02", "+0200", "+02:60", "+15:00", "02:00", "+02:00 ", "+0a:00",
        "±02:00",
    ];
    for text in
        wrong.into_iter().chain(["EST5EDT,M3.2.0,M11.1.0", "Etc/Unknown", "../etc/passwd", "Europe/Berlin\0"])
    {
        assert_eq!(Zone::parse(text), Err(UnknownZone), "{text}");
    }
}

#[test]
fn a_clock_that_shows_nonsense_makes_no_panic() {
    let zone = Zone::parse("Pacific/Apia").unwrap();
    for now in [i64::MIN, -1, 0, 1, i64::MAX] {
        for period in [Period::Day, Period::Week, Period::Month] {
            let bounds = period.bounds(&zone, now);
            assert!(bounds.start > i64::MIN && bounds.start < bounds.end, "{now} {period:?}: {bounds:?}");
        }
    }
}

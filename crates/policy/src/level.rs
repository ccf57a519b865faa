//! What clients are told of their limits, in the fields of draft-ietf-httpapi-ratelimit-headers-10.
//!
//! Entry point: [`Level`].

use message::{DIGITS, Headers, is_same_name};

/// How a limit stands after a request: of several the one that is closest to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    /// How many requests there are in a period.
    pub(crate) limit: u64,
    /// The period in seconds.
    pub(crate) period: u64,
    /// How many are left.
    pub(crate) left: u64,
    /// How many of them a request like this one takes.
    pub(crate) cost: u32,
    /// After how many seconds all of them are there again.
    pub(crate) full_after: u64,
}

impl Level {
    /// The one that clients should go by: the one that lets fewer requests through.
    pub(crate) fn tighter(self, other: Level) -> Level {
        let room = |level: Level| (level.left / u64::from(level.cost.max(1)), u64::MAX - level.full_after);
        if room(other) < room(self) { other } else { self }
    }

    /// Writes the fields. Those that a service has set are replaced: it knows less.
    pub(crate) fn tell(&self, headers: &mut Headers) {
        if headers.fields().iter().any(|field| is_ours(field.name.of(headers.text()))) {
            headers.retain(|field, text| !is_ours(field.name.of(text)));
        }
        headers.push_drawn::<_, ROOM>(POLICY, |pen| {
            pen.push(b"\"default\";q=");
            pen.push_number(self.limit);
            pen.push(b";w=");
            pen.push_number(self.period);
        });
        headers.push_drawn::<_, ROOM>(LEVEL, |pen| {
            pen.push(b"\"default\";r=");
            pen.push_number(self.left);
            pen.push(b";t=");
            pen.push_number(self.full_after);
        });
    }
}

const POLICY: &[u8; 16] = b"ratelimit-policy";
const LEVEL: &[u8; 9] = b"ratelimit";
/// For a line: its words, and two numbers.
const ROOM: usize = 16 + 2 + 15 + 2 * DIGITS + 2;

fn is_ours(name: &[u8]) -> bool {
    match name.len() {
        9 => is_same_name(name, LEVEL),
        16 => is_same_name(name, POLICY),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_fields_fit_and_what_others_say_is_replaced() {
        let mut headers = Headers::default();
        for (name, value) in [("RateLimit", "forged"), ("x", "y"), ("ratelimit-policy", "forged")] {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        let most = u64::MAX;
        let level = Level { limit: most, period: most, left: most, cost: 1, full_after: most };
        level.tell(&mut headers);
        let told: Vec<String> = headers
            .iter()
            .map(|(name, value)| [name, b": ", value].concat())
            .map(|line| String::from_utf8(line).unwrap())
            .collect();
        let want = [
            "x: y".to_owned(),
            format!("ratelimit-policy: \"default\";q={most};w={most}"),
            format!("ratelimit: \"default\";r={most};t={most}"),
        ];
        assert_eq!(told, want);
    }
}

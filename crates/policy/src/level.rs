//! What clients are told of their limits, in the fields of draft-ietf-httpapi-ratelimit-headers-10.
//!
//! Entry point: [`Level`].

use message::{Headers, Span, is_same_name};

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
        // Both in one text, as they will stand in the head.
        let mut text = Text::default();
        let policy = text.field(POLICY, |text| {
            text.push("\"default\";q=");
            text.push_number(self.limit);
            text.push(";w=");
            text.push_number(self.period);
        });
        let level = text.field(LEVEL, |text| {
            text.push("\"default\";r=");
            text.push_number(self.left);
            text.push(";t=");
            text.push_number(self.full_after);
        });
        headers.push_written(text.bytes(), &[policy, level]);
    }
}

const POLICY: &str = "ratelimit-policy";
const LEVEL: &str = "ratelimit";

fn is_ours(name: &[u8]) -> bool {
    is_same_name(name, LEVEL.as_bytes()) || is_same_name(name, POLICY.as_bytes())
}

/// A short text on the stack: each response has two of them. There is room for names, words and numbers of twenty
/// digits.
struct Text {
    bytes: [u8; 192],
    len: u8,
}

impl Default for Text {
    fn default() -> Self {
        Text { bytes: [0; 192], len: 0 }
    }
}

impl Text {
    #[inline]
    fn push(&mut self, text: &str) {
        let end = usize::from(self.len) + text.len();
        if let (Some(room), Ok(len)) = (self.bytes.get_mut(usize::from(self.len)..end), u8::try_from(end)) {
            room.copy_from_slice(text.as_bytes());
            self.len = len;
        }
    }

    fn push_number(&mut self, number: u64) {
        self.push(itoa::Buffer::new().format(number));
    }

    /// A field as it stands in a head, and where its name and its value do.
    fn field(&mut self, name: &str, value: impl FnOnce(&mut Text)) -> (Span, Span) {
        let begin = self.len;
        self.push(name);
        let name = Span { start: begin.into(), len: u32::from(self.len - begin) };
        self.push(": ");
        let begin = self.len;
        value(self);
        let value = Span { start: begin.into(), len: u32::from(self.len - begin) };
        self.push("\r\n");
        (name, value)
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
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

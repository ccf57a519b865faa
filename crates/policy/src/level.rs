//! What clients are told of their limits, in the fields of draft-ietf-httpapi-ratelimit-headers-10.
//!
//! Entry point: [`Level`].

use message::Headers;

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
        let mut text = Text::default();
        text.push("\"default\";q=");
        text.push_number(self.limit);
        text.push(";w=");
        text.push_number(self.period);
        headers.set(b"ratelimit-policy", text.bytes());
        text.len = 0;
        text.push("\"default\";r=");
        text.push_number(self.left);
        text.push(";t=");
        text.push_number(self.full_after);
        headers.set(b"ratelimit", text.bytes());
    }
}

/// A short text on the stack: each response has two of them.
struct Text {
    bytes: [u8; 80],
    len: usize,
}

impl Default for Text {
    fn default() -> Self {
        Text { bytes: [0; 80], len: 0 }
    }
}

impl Text {
    fn push(&mut self, text: &str) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + text.len()) {
            room.copy_from_slice(text.as_bytes());
            self.len += text.len();
        }
    }

    fn push_number(&mut self, number: u64) {
        self.push(itoa::Buffer::new().format(number));
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

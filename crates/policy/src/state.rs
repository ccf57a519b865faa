//! What policies remember about one request between its way there and its way back.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use authority::ext_authz::HeaderChange;
use message::Headers;

use crate::authenticate::Authenticated;
use crate::chain::Progress;
use crate::concurrency::Held;
use crate::cors::CorsMemory;
use crate::level::Level;
use crate::quota;
use crate::rate_limit::{Owed, Waiting};
use crate::validate::ResponseCheck;
use crate::{Answer, Caller, Errands, HeldBody, KeyLabel};

/// The longest request id that is taken over from outside, in bytes.
const MAX_REQUEST_ID: usize = 128;

/// The id of a request. The room for it is kept for the next one.
#[derive(Clone, Default)]
pub struct RequestId(Vec<u8>);

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestId").field(&self.as_str()).finish()
    }
}

impl RequestId {
    /// The id as text; empty if there is none yet.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or("")
    }

    /// The same as bytes, of which none has to be escaped anywhere.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether there is none yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets the id.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes over an id from outside, if it is 1 to 128 characters of letters, digits and `-_.:+/=@`:
    /// enough for every format in use, and nothing that could break a log line or a header.
    pub fn adopt(&mut self, text: &[u8]) -> bool {
        let fits = (1..=MAX_REQUEST_ID).contains(&text.len());
        let is_plain = |b: &u8| {
            b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'+' | b'/' | b'=' | b'@')
        };
        if !fits || !text.iter().all(is_plain) {
            return false;
        }
        self.0.clear();
        self.0.extend_from_slice(text);
        true
    }

    /// The id; made now if nobody has needed one before.
    #[inline]
    pub fn or_generate(&mut self, rng: &mut fastrand::Rng) -> &RequestId {
        if self.is_empty() {
            self.generate(rng);
        }
        self
    }

    /// Makes a new id: 128 random bits as 32 hexadecimal digits.
    pub fn generate(&mut self, rng: &mut fastrand::Rng) {
        self.0.clear();
        let bytes = [rng.u64(..).to_be_bytes(), rng.u64(..).to_be_bytes()];
        let digits: [[[u8; 2]; 8]; 2] = bytes.map(|half| half.map(|byte| HEX[usize::from(byte)]));
        self.0.extend_from_slice(digits.as_flattened().as_flattened());
    }
}

/// The two hexadecimal digits of each byte.
const HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};

/// What policies remember about one request.
#[derive(Default, Clone)]
pub struct RequestState {
    /// The id of the request; empty until somebody needs one.
    pub id: RequestId,
    /// It came over https: to this gateway, or to a trusted proxy in front of it.
    pub https: bool,
    /// The most bytes that the body may have.
    pub body_limit: Option<u64>,
    /// The digest that the body must have. Whoever passes the body on checks it, and does not pass on the end of one that
    /// has another.
    pub digest: Option<Box<signatures::ExpectedDigest>>,
    /// How long it is to wait before it is forwarded, or before a policy's reply to it is sent. A policy asks for
    /// it and never waits itself.
    pub delay: Option<Duration>,
    /// What a server that was asked has for the client, and `forward_auth` puts into the answer.
    pub reply_headers: Option<Rc<[HeaderChange]>>,
    /// Which page may read the answer.
    pub cors: CorsMemory,
    /// How far the chain has come, when a policy waits for an answer.
    pub(crate) progress: Progress,
    /// The policy that has answered in the place of the service, and why in a word.
    pub stopped_by: Option<(&'static str, &'static str)>,
    /// The policy that would have answered if it were not tried only, and why in a word.
    pub tried: Option<(&'static str, &'static str)>,
    /// How the limit stands that the client is told of.
    limit: Cell<Option<Level>>,
    /// How many units of a plan it costs, if that was said.
    pub(crate) plan_cost: u32,
    /// How many times what was written what is being charged costs, if it is not once.
    cost_factor: u32,
    /// What the answer of the service says the cost of.
    pub(crate) owed: Vec<Owed>,
    /// What was charged before the store was asked about the rest.
    pub(crate) pending: Waiting,
    /// The same of quotas.
    pub(crate) pending_quotas: quota::Waiting,
    /// What the store is to be told.
    pub errands: Errands,
    /// Its places among those that may be under way at once.
    pub(crate) held: Held,
    /// What it is of quotas.
    pub(crate) owed_quotas: Vec<quota::Owed>,
    /// The API key that was shown, whether it holds or not: see [`crate::Consumers::label`].
    pub key: Option<KeyLabel>,
    /// Cookies that the client gets with the answer.
    pub cookies: Vec<String>,
    /// What was read of the body because a policy has asked for it. It goes on to the service.
    pub body: Option<Rc<HeldBody>>,
    /// How the response is to be judged.
    pub response_check: Option<Box<ResponseCheck>>,
    /// What a policy of a kind has to tell operators: what it would have refused.
    pub note: Option<Box<(&'static str, String)>>,
    /// What the policy that asked was told before, where it had to ask once more: it is told one thing at a time.
    pub(crate) kept_answer: Option<Box<Answer>>,
    /// How often the policy that asked has waited for what another request does.
    pub(crate) waits: u8,
    caller: Caller,
    /// What policies say to whoever asks what would become of the request; `None` where it is served.
    remarks: Option<Vec<(&'static str, String)>>,
    /// Somebody was taken for who a token says without a look at its signature. Never so where requests are served.
    pub is_unverified: bool,
}

/// Cookies hold sessions, which are secrets.
impl fmt::Debug for RequestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestState")
            .field("id", &self.id)
            .field("caller", &self.caller)
            .field("stopped_by", &self.stopped_by)
            .field("cookies", &self.cookies.len())
            .finish_non_exhaustive()
    }
}

impl RequestState {
    /// Who is calling, as far as that is known.
    #[inline]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Supposes that this consumer is calling and shows all its credentials, whatever the request shows: to explain what
    /// would become of it. Requests that are served never suppose anything.
    pub fn suppose(&mut self, consumer: u32) {
        self.progress.supposed = Some(consumer);
    }

    /// Says that only what would become of the request is asked: a token whose keys are not at hand is taken for genuine
    /// then. Requests that are served never say so.
    pub fn explain(&mut self) {
        self.remarks.get_or_insert_default();
    }

    /// Whether only what would become of the request is asked.
    pub(crate) fn is_explained(&self) -> bool {
        self.remarks.is_some()
    }

    /// Says in words why a policy of this kind says what it says. Nobody listens where requests are served, and then
    /// no words are made.
    #[inline]
    pub(crate) fn remark(&mut self, kind: &'static str, words: impl FnOnce() -> String) {
        if let Some(remarks) = &mut self.remarks {
            remarks.push((kind, words()));
        }
    }

    /// What a policy of this kind has said last of why. It may hold what the configuration has from outside.
    pub fn remark_of(&self, kind: &str) -> Option<&str> {
        let mut said = self.remarks.iter().flatten().rev();
        said.find(|(by, _)| *by == kind).map(|(_, words)| words.as_str())
    }

    /// Whether something was charged whose cost the answer of the service says.
    #[inline]
    pub(crate) fn owes(&self) -> bool {
        !self.owed.is_empty() || !self.owed_quotas.is_empty()
    }

    /// How many times what was written what is being charged costs.
    #[inline]
    pub(crate) fn cost_factor(&self) -> u32 {
        self.cost_factor.max(1)
    }

    /// Says for what follows how many times what was written it costs.
    pub(crate) fn set_cost_factor(&mut self, factor: u32) {
        self.cost_factor = factor;
    }

    /// A limit of which the client is to be told stands like this. Of several it is told of the tightest.
    #[inline]
    pub(crate) fn note_limit(&self, level: Level) {
        let tightest = self.limit.get().map_or(level, |other| other.tighter(level));
        self.limit.set(Some(tightest));
    }

    /// This limit is why the request is refused: the client is told of it, or of none.
    pub(crate) fn refuse_by_limit(&self, level: Option<Level>) {
        self.limit.set(level);
    }

    /// Tells the client how its limit stands. Several policies may have had one, and the first of them tells it.
    #[inline]
    pub(crate) fn tell_limit(&self, headers: &mut Headers) {
        if let Some(level) = self.limit.take() {
            level.tell(headers);
        }
    }

    /// It is known who is calling. What it takes can be had only from those who verify it.
    pub(crate) fn identify(&mut self, proof: Authenticated) {
        self.caller = proof.into_caller();
    }

    /// Back to the state before the first policy.
    pub fn clear(&mut self) {
        self.id.clear();
        self.https = false;
        self.body_limit = None;
        self.digest = None;
        self.delay = None;
        self.reply_headers = None;
        self.cors.clear();
        self.progress = Progress::default();
        self.stopped_by = None;
        self.tried = None;
        self.key = None;
        self.limit.set(None);
        self.plan_cost = 0;
        self.cost_factor = 0;
        self.owed.clear();
        self.pending.clear();
        self.pending_quotas.clear();
        self.errands.take();
        self.held.clear();
        self.owed_quotas.clear();
        self.cookies.clear();
        self.body = None;
        self.response_check = None;
        self.note = None;
        self.kept_answer = None;
        self.waits = 0;
        self.caller = Caller::Unknown;
        self.remarks = None;
        self.is_unverified = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_from_outside_are_taken_only_if_plain() {
        let mut id = RequestId::default();
        assert!(id.adopt(b"01JD-abc_7:x") && id.as_str() == "01JD-abc_7:x");
        for bad in [&b""[..], b"a b", b"a\"b", b"a\r\nb", "é".as_bytes(), &[b'a'; 129]] {
            assert!(!id.adopt(bad));
        }
    }

    #[test]
    fn all_digits_are_written() {
        let written = |byte: u8| format!("{byte:02x}").into_bytes();
        assert!((0..=255).all(|byte: u8| HEX[usize::from(byte)][..] == written(byte)));
    }

    #[test]
    fn generated_ids_are_hex_and_differ() {
        let mut rng = fastrand::Rng::with_seed(1);
        let (mut a, mut b) = (RequestId::default(), RequestId::default());
        a.generate(&mut rng);
        b.generate(&mut rng);
        assert_ne!(a.as_str(), b.as_str());
        assert!(a.as_str().len() == 32 && a.as_str().bytes().all(|b| b.is_ascii_hexdigit()));
    }
}

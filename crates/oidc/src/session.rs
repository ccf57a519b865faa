//! The session of one person, and the cookies that it is kept in.
//!
//! A session is sealed as a whole and cut into pieces that browsers take: the cookies `NAME`, `NAME.1` and so on.
//! The first piece begins with the number of pieces, so a piece that a longer session left behind is not read. It
//! must not know how the session came about. Entry points: [`Session::open`], [`Session::seal`] and
//! [`Session::clear`].

use std::fmt;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::codec::{Reader, Writer};
use crate::cookies::Jar;
use crate::seal::{Binding, Purpose};
use crate::{Client, NoRandomness, Random, RequestFacts, Secret};

/// The longest cookie, in bytes, name and equals sign included. Browsers take 4096 with the attributes.
const PIECE: usize = 3800;
/// No more cookies than this: together they stay below 20 KiB of a request's head.
const MOST_PIECES: usize = 5;

/// Somebody who has logged in.
#[derive(Clone, PartialEq)]
pub struct Session {
    /// Who, at the provider (`sub`).
    pub subject: String,
    /// The provider's name of its session (`sid`), by which it reports its end.
    pub sid: Option<String>,
    /// The claims that are kept.
    pub claims: Map<String, Value>,
    /// For services that ask for one.
    pub access_token: Secret,
    /// To get the next access token with.
    pub refresh_token: Option<Secret>,
    /// A hint for the logout, if it fits into the cookies.
    pub id_token: Option<Secret>,
    /// When the access token ends, if the provider said so; seconds since 1970, like all times here.
    pub access_expires: Option<u64>,
    /// When the session began.
    pub issued: u64,
    /// When it was last sealed.
    pub renewed: u64,
    /// When the provider issued the first `id_token`, by the provider's clock: a logout is compared with that.
    pub authenticated: u64,
    /// The nonce of the login, which renewed tokens repeat.
    pub(crate) nonce: Secret,
}

impl fmt::Debug for Session {
    /// Neither tokens nor what the claims say of a person.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Session")
            .field("issued", &self.issued)
            .field("renewed", &self.renewed)
            .field("access_expires", &self.access_expires)
            .finish_non_exhaustive()
    }
}

/// What the cookies of a request say.
#[derive(Debug)]
pub enum Opened {
    /// There are none.
    None,
    /// They are damaged, forged, incomplete, or sealed with a key that is gone.
    Invalid,
    /// A session that has ended: idle for too long, or too old.
    Expired,
    /// A session.
    Valid(Box<Session>),
}

/// Why a session could not be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// It does not fit into five cookies, even without its `id_token`: so many bytes have to be kept.
    TooLarge(usize),
    /// There is nothing to seal it with.
    NoRandomness,
}

impl fmt::Display for SessionError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SessionError::TooLarge(bytes) => {
                write!(out, "the session has {bytes} bytes, which do not fit into {MOST_PIECES} cookies")
            }
            SessionError::NoRandomness => NoRandomness.fmt(out),
        }
    }
}

impl std::error::Error for SessionError {}

impl From<NoRandomness> for SessionError {
    fn from(_: NoRandomness) -> Self {
        SessionError::NoRandomness
    }
}

impl Session {
    /// Reads the session of a request.
    pub fn open(client: &Client, facts: &RequestFacts<'_>, now: u64) -> Opened {
        let jar = Jar::new(client, facts);
        let Some(first) = message::cookie(facts.headers, jar.session_name(0).as_bytes()) else {
            return Opened::None;
        };
        let opened = gather(&jar, facts, first)
            .and_then(|text| client.keys().open(binding(client), &text))
            .and_then(|plain| Self::decode(&plain));
        match opened {
            None => Opened::Invalid,
            Some(session) if now >= session.ends(client) => Opened::Expired,
            Some(session) => Opened::Valid(Box::new(session)),
        }
    }

    /// When the session ends if nothing more comes of it.
    fn ends(&self, client: &Client) -> u64 {
        let settings = client.settings();
        let idle = self.renewed.saturating_add(settings.idle_lifetime);
        idle.min(self.issued.saturating_add(settings.absolute_lifetime))
    }

    /// Whether the cookies should be written again, so that a session in use does not end as idle: when an eighth
    /// of that time has passed. Not with every response, because cookies are long.
    pub fn is_renewal_due(&self, client: &Client, now: u64) -> bool {
        now.saturating_sub(self.renewed) >= (client.settings().idle_lifetime / 8).max(1)
    }

    /// The complete `Set-Cookie` values that keep the session, those included that delete pieces of a longer one.
    /// The session counts as renewed at `now`. The `id_token` is left out if it does not fit; what is too large
    /// even so is an error, and nothing is kept.
    pub fn seal(
        &mut self,
        client: &Client,
        facts: &RequestFacts<'_>,
        now: u64,
        random: &mut Random<'_>,
    ) -> Result<Vec<String>, SessionError> {
        self.renewed = now;
        let jar = Jar::new(client, facts);
        let capacity: usize = (0..MOST_PIECES).map(|piece| room(&jar, piece)).sum();
        let mut plain = self.encode();
        if sealed_length(plain.len()) > capacity {
            self.id_token = None;
            plain = self.encode();
        }
        if sealed_length(plain.len()) > capacity {
            return Err(SessionError::TooLarge(plain.len()));
        }
        let text = client.keys().seal(binding(client), &plain, random)?;
        let max_age = self.ends(client).saturating_sub(now);
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        while !rest.is_empty() && pieces.len() < MOST_PIECES {
            // The text is ASCII, so every place is one to cut at.
            let (piece, next) = rest.split_at_checked(room(&jar, pieces.len())).unwrap_or((rest, ""));
            pieces.push(piece);
            rest = next;
        }
        let count = pieces.len();
        let mut cookies: Vec<_> = pieces
            .iter()
            .enumerate()
            .map(|(index, piece)| match index {
                0 => jar.set_session(0, &format!("{count}{piece}"), max_age),
                _ => jar.set_session(index, piece, max_age),
            })
            .collect();
        cookies.extend(delete_from(&jar, facts, count));
        Ok(cookies)
    }

    /// The complete `Set-Cookie` values that delete whatever the request carries of a session.
    pub fn clear(client: &Client, facts: &RequestFacts<'_>) -> Vec<String> {
        delete_from(&Jar::new(client, facts), facts, 0)
    }

    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let claims = Value::Object(self.claims.clone()).to_string();
        let secret = |token: &Option<Secret>| token.as_ref().map_or(String::new(), |t| t.expose().to_owned());
        let (refresh, id) =
            (Zeroizing::new(secret(&self.refresh_token)), Zeroizing::new(secret(&self.id_token)));
        let sid = self.sid.as_deref().unwrap_or("");
        let texts = [
            self.subject.as_str(),
            sid,
            &claims,
            self.access_token.expose(),
            &refresh,
            &id,
            self.nonce.expose(),
        ];
        let room = 4 * 8 + texts.iter().map(|text| 4 + text.len()).sum::<usize>();
        let mut writer = Writer::with_room(room);
        let expires = self.access_expires.unwrap_or(u64::MAX);
        [self.issued, self.renewed, self.authenticated, expires].into_iter().for_each(|at| writer.number(at));
        texts.into_iter().for_each(|text| writer.text(text));
        writer.finish()
    }

    /// Empty text stands for what is not there: no token and no name is empty.
    fn decode(plain: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(plain);
        let (issued, renewed, authenticated) = (reader.number()?, reader.number()?, reader.number()?);
        let expires = reader.number()?;
        let (subject, sid, claims) = (reader.text()?, reader.text()?, reader.text()?);
        let (access, refresh, id) = (reader.text()?, reader.text()?, reader.text()?);
        let nonce = reader.text()?;
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let session = Self {
            subject: subject.to_owned(),
            sid: some(sid),
            claims: serde_json::from_str(claims).ok()?,
            access_token: Secret::new(access.to_owned()),
            refresh_token: some(refresh).map(Secret::new),
            id_token: some(id).map(Secret::new),
            access_expires: (expires != u64::MAX).then_some(expires),
            issued,
            renewed,
            authenticated,
            nonce: Secret::new(nonce.to_owned()),
        };
        reader.is_at_end().then_some(session)
    }
}

fn binding(client: &Client) -> Binding<'_> {
    let settings = client.settings();
    Binding {
        purpose: Purpose::Session,
        issuer: &settings.issuer,
        client_id: &settings.client_id,
        // The browser keeps the cookies of hosts apart, and there is nothing in a session that depends on them.
        host: "",
    }
}

/// Bytes of the text that a piece has room for.
fn room(jar: &Jar, piece: usize) -> usize {
    let count = usize::from(piece == 0);
    PIECE.saturating_sub(jar.session_name(piece).len() + 1 + count)
}

/// Length of sealed text: version, salt, nonce and tag are 41 bytes, and base64 makes 4 of 3.
fn sealed_length(plain: usize) -> usize {
    ((plain + 41) * 4).div_ceil(3)
}

/// All pieces, put together again.
fn gather(jar: &Jar, facts: &RequestFacts<'_>, first: &[u8]) -> Option<Vec<u8>> {
    let (count, first) = first.split_first()?;
    let count = usize::from(count.checked_sub(b'0')?);
    if !(1..=MOST_PIECES).contains(&count) || first.len() > PIECE {
        return None;
    }
    let mut text = first.to_vec();
    for piece in 1..count {
        let next = message::cookie(facts.headers, jar.session_name(piece).as_bytes())?;
        if next.len() > PIECE {
            return None;
        }
        text.extend_from_slice(next);
    }
    Some(text)
}

fn delete_from(jar: &Jar, facts: &RequestFacts<'_>, first: usize) -> Vec<String> {
    let present =
        |piece: &usize| message::cookie(facts.headers, jar.session_name(*piece).as_bytes()).is_some();
    (first..MOST_PIECES).filter(present).map(|piece| jar.delete_session(piece)).collect()
}

#[cfg(test)]
mod tests;

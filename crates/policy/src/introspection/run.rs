//! Recognises callers by asking an authorization server what their tokens are worth.
//!
//! What it has answered is remembered by the digest of the token, a yes until the token ends and a no for a few seconds.
//! Each worker asks for itself, and requests that come with the same new token at the same time each ask: no request has
//! to wait for what another one is told. Without an answer nobody gets in, but what is remembered goes on to hold.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use authority::introspection::{self, Introspected};
use authority::{Ask, Trust};
use document::Secret;
use http::Uri;
use message::{Fault, RequestHead};
use serde_json::{Map, Value};

use crate::authenticate::{Refused, token_challenge};
use crate::claims::Mapping;
use crate::places::Places;
use crate::{Answer, Digest, Finding, Question, RequestCx, Shown, Verdict, digest_of};

/// The kind, as logs have it.
pub(super) const KIND: &str = "introspection";
/// No token is longer, in bytes: what clients send is sent on.
const LONGEST: usize = 8192;
/// How long a no is believed at most, in seconds: a client that repeats a dead token does not keep the server busy, and
/// one whose token begins to hold does not wait for long.
const LONGEST_NO: u64 = 10;

/// Whom to ask, and by which name.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) url: Uri,
    pub(crate) client_id: Box<str>,
    pub(crate) client_secret: Secret,
    pub(crate) timeout: Duration,
    pub(crate) trust: Trust,
}

impl Server {
    fn ask(&self, token: &str) -> Ask {
        let ask =
            introspection::request(self.url.clone(), &self.client_id, self.client_secret.expose(), token);
        Ask { timeout: self.timeout, trust: self.trust.clone(), ..ask }
    }
}

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    /// Apart, because it is looked at only to ask.
    pub(crate) server: Box<Server>,
    pub(crate) places: Places,
    pub(crate) mapping: Mapping,
    /// Who may have issued a token; anybody whom the server vouches for if empty.
    pub(crate) issuers: Box<[Box<str>]>,
    /// Whom a token may be meant for; anybody if empty.
    pub(crate) audiences: Box<[Box<str>]>,
    /// How long an answer is believed, in seconds.
    pub(crate) cache: u64,
    pub(crate) forward: bool,
    pub(crate) scope: Digest,
}

/// Why a token is of no use here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    Inactive,
    Expired,
    Kind,
    Bound,
    Issuer,
    Audience,
    Unknown,
}

impl Why {
    const ALL: [Why; 7] =
        [Why::Inactive, Why::Expired, Why::Kind, Why::Bound, Why::Issuer, Why::Audience, Why::Unknown];

    fn refused(self) -> Refused {
        match self {
            Why::Inactive => Refused::new("inactive", "The token is not valid, or not any more."),
            Why::Expired => Refused::new("expired", "The token has expired."),
            Why::Kind => Refused::new("wrong_kind", "The token is not an access token."),
            Why::Bound => Refused::new("bound", "The token belongs to a key that the request does not show."),
            Why::Issuer => {
                Refused::new("wrong_issuer", "The token is from an issuer that is not believed here.")
            }
            Why::Audience => Refused::new("wrong_audience", "The token is meant for somebody else."),
            Why::Unknown => Refused::new("unknown", "The token belongs to no consumer."),
        }
    }

    /// As a finding has it: one without an identity is a no, and the number of its generation says which.
    fn finding(self, until: u64) -> Finding {
        Finding { identity: None, until, key: None, generation: self as u64 }
    }

    fn of(finding: &Finding) -> Why {
        let found = Why::ALL.into_iter().find(|why| *why as u64 == finding.generation);
        found.unwrap_or(Why::Inactive)
    }
}

impl Ready {
    /// Who shows a token, and what the server says of it.
    #[inline]
    pub fn authenticate(&self, cx: &mut RequestCx<'_>) -> Verdict {
        let digest = |token: &[u8]| is_token(token).then(|| digest_of(token));
        let Some(digest) = self.places.show(cx.head, digest) else { return Verdict::Missing };
        let Some(digest) = digest else {
            return Verdict::Refused(Refused::new("malformed", "The token cannot be read."));
        };
        let shown = Shown { scope: self.scope, digest };
        let answer = cx.answer.take();
        if let Some(Answer::Http(answer)) = &answer
            && let Ok(said) = introspection::read(answer)
        {
            return self.take_note(said, shown, cx);
        }
        // Without an answer that counts, another request may have had one meanwhile.
        match (cx.verified.get(&shown, cx.now), answer) {
            (Some(Finding { identity: Some(identity), .. }), _) => {
                Verdict::Known(self.mapping.caller(identity))
            }
            (Some(no), _) => Verdict::Refused(Why::of(no).refused()),
            (None, Some(_)) => Verdict::Fault(Fault::AuthorityUnavailable),
            (None, None) => self.ask(cx.head),
        }
    }

    fn ask(&self, head: &RequestHead) -> Verdict {
        let ask = |token: &[u8]| std::str::from_utf8(token).ok().map(|token| self.server.ask(token));
        match self.places.show(head, ask).flatten() {
            Some(ask) => Verdict::Ask(Box::new(Question::Http(Box::new(ask)))),
            None => Verdict::Missing,
        }
    }

    /// What follows from an answer, for this request and for those to come.
    fn take_note(&self, said: Introspected, shown: Shown, cx: &mut RequestCx<'_>) -> Verdict {
        let end = said.exp.unwrap_or(u64::MAX);
        let judged = self.judge(said, cx.now).and_then(|claims| {
            self.mapping.identity(claims, cx.consumers).map(Rc::new).map_err(|_| Why::Unknown)
        });
        match judged {
            Ok(identity) => {
                let caller = self.mapping.caller(&identity);
                let until = cx.now.saturating_add(self.cache).min(end);
                remember(shown, Finding { identity: Some(identity), until, key: None, generation: 0 }, cx);
                Verdict::Known(caller)
            }
            Err(why) => {
                let until = cx.now.saturating_add(self.cache.min(LONGEST_NO));
                remember(shown, why.finding(until), cx);
                Verdict::Refused(why.refused())
            }
        }
    }

    /// What the server says of a token that may be used here.
    fn judge(&self, said: Introspected, now: u64) -> Result<Map<String, Value>, Why> {
        let claims = said.claims;
        if !said.active {
            return Err(Why::Inactive);
        }
        if said.exp.is_some_and(|end| end <= now) {
            return Err(Why::Expired);
        }
        if is_of_other_kind(&claims) {
            return Err(Why::Kind);
        }
        // Whoever shows it has to show a key or certificate besides (RFC 8705 §3, RFC 9449 §7.1), which nobody looks at
        // here: as a bearer token it would be worth as much to a thief.
        if claims.get("cnf").is_some_and(|bound| !bound.is_null()) {
            return Err(Why::Bound);
        }
        if !self.issuers.is_empty() && !names_one(claims.get("iss"), &self.issuers) {
            return Err(Why::Issuer);
        }
        if !self.audiences.is_empty() && !names_audience(claims.get("aud"), &self.audiences) {
            return Err(Why::Audience);
        }
        Ok(claims)
    }

    /// What could be shown (RFC 6750 §3).
    pub fn challenge(&self, refused: Option<&Refused>) -> Option<Cow<'static, str>> {
        Some(token_challenge(&String::from_utf8_lossy(&self.places.scheme), refused))
    }

    /// Nobody is sent anywhere for a token; `oidc` does that.
    pub fn invite(&self, _: &mut RequestCx<'_>) -> Option<message::Reply> {
        None
    }

    /// Fields that hold claims.
    pub fn told_fields(&self) -> Vec<&[u8]> {
        self.mapping.told_fields()
    }

    /// Removes the token, unless services are to see it.
    #[inline]
    pub fn hide(&self, head: &mut RequestHead, recognised: bool) {
        self.places.hide(head, self.forward && recognised);
    }
}

/// What ends at once makes no room for itself.
fn remember(shown: Shown, finding: Finding, cx: &mut RequestCx<'_>) {
    if cx.now < finding.until {
        cx.verified.put(shown, finding);
    }
}

/// Whether it can be a token at all: visible characters of ASCII (RFC 6749 §A.12, without the space).
fn is_token(token: &[u8]) -> bool {
    token.len() <= LONGEST && token.iter().all(u8::is_ascii_graphic)
}

/// Whether a server says that a token is one by which others are got, or that tells who has logged in. Servers vouch
/// for these too if they are asked, and each has its own word for it (`token_use` of several, `typ` of Keycloak).
fn is_of_other_kind(claims: &Map<String, Value>) -> bool {
    let others = ["refresh", "refresh_token", "id", "id_token"];
    ["token_type", "token_use", "typ"]
        .iter()
        .filter_map(|name| claims.get(*name)?.as_str())
        .any(|kind| others.iter().any(|other| kind.eq_ignore_ascii_case(other)))
}

/// Whether a claim is one of these texts.
fn names_one(claim: Option<&Value>, wanted: &[Box<str>]) -> bool {
    claim.and_then(Value::as_str).is_some_and(|text| wanted.iter().any(|wanted| **wanted == *text))
}

/// Whether an audience, a text or a list of them (RFC 7662 §2.2), holds one of these.
fn names_audience(claim: Option<&Value>, wanted: &[Box<str>]) -> bool {
    match claim {
        Some(Value::Array(all)) => all.iter().any(|one| names_one(Some(one), wanted)),
        one => names_one(one, wanted),
    }
}

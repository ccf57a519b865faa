//! Sessions that requests show: whether they go on, and their renewal.
//!
//! A session that was opened is remembered by the digest of its cookies for a minute at most: then a request costs one
//! digest and one look into a table. Whether somebody has logged out shows with the next request all the same. Tokens
//! that end are renewed by one request, and the others that come with the same cookies get what it got: a provider may
//! take a refresh token only once.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ::oidc::{Opened, Refresh, RefreshError, Session, Verified};
use aws_lc_rs::digest;
use jose::Refusal;
use message::{Fault, Headers};
use serde_json::{Map, Value};

use super::logins::{Renewal, Renewed};
use super::run::{Heard, Ready, facts};
use crate::{Answer, Caller, Digest, Finding, Identity, Question, RequestCx, Shown, Verdict};

/// How long it is believed that a session goes on, in seconds: nothing but time ends it unseen.
const BELIEVED: u64 = 60;
/// Tokens are renewed so many seconds before they end: what [`Session::needs_refresh`] says.
const AHEAD: u64 = 30;
/// How long a request waits until it looks again at what another one does.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it does that: for a little longer than the provider may take.
const MOST_WAITS: u8 = 60;

/// How the cookies of sessions are found.
#[derive(Debug)]
pub(super) struct Cookies {
    plain: Box<[u8]>,
    encrypted: Box<[u8]>,
}

impl Cookies {
    /// By the name that the user writes.
    pub(super) fn new(name: &str) -> Cookies {
        let encrypted = format!("__Host-{name}");
        Cookies { plain: name.as_bytes().into(), encrypted: encrypted.as_bytes().into() }
    }

    /// The digest of all cookies that a session could be read from; `None` where there is none. Nothing is allocated.
    #[inline]
    fn digest(&self, headers: &Headers, https: bool) -> Option<Digest> {
        let wanted = if https { &self.encrypted } else { &self.plain };
        let pairs = headers.values(b"cookie").flat_map(|field| field.split(|byte| *byte == b';'));
        let mut context: Option<digest::Context> = None;
        for pair in pairs.map(<[u8]>::trim_ascii) {
            let rest = pair.strip_prefix(&**wanted).and_then(|rest| rest.trim_ascii_start().first());
            // The first piece has no number, the others have one behind a dot.
            if matches!(rest, Some(b'=' | b'.')) {
                let context = context.get_or_insert_with(|| {
                    let mut context = digest::Context::new(&digest::SHA256);
                    // No token begins so: what is remembered of sessions and of tokens has one table.
                    context.update(&[0, u8::from(https)]);
                    context
                });
                context.update(&(pair.len() as u64).to_le_bytes());
                context.update(pair);
            }
        }
        let mut out = [0; 32];
        out.copy_from_slice(context?.finish().as_ref());
        Some(out)
    }
}

/// What is taken note of, when it is known who has a session.
struct Note {
    shown: Shown,
    generation: u64,
}

impl Ready {
    /// Who has a session.
    #[inline]
    pub(super) fn session(&self, cx: &mut RequestCx<'_>, heard: Heard) -> Verdict {
        let https = cx.is_encrypted();
        let Some(digest) = self.cookies.digest(&cx.head.headers, https) else {
            return self.nobody(cx, &heard, false);
        };
        let shown = Shown { scope: self.scope, digest };
        if heard.is_first()
            && let Some(caller) = self.remembered_session(&shown, cx)
        {
            return Verdict::Known(caller);
        }
        self.open(cx, heard, shown)
    }

    #[inline]
    fn remembered_session(&self, shown: &Shown, cx: &mut RequestCx<'_>) -> Option<Caller> {
        let finding = cx.verified.get(shown, cx.now)?;
        // Somebody has logged out since: it has to be looked who.
        let is_current = finding.generation == self.logins.generation();
        is_current.then_some(self.mapping.caller(finding.identity.as_ref()?))
    }

    fn open(&self, cx: &mut RequestCx<'_>, heard: Heard, shown: Shown) -> Verdict {
        let now = cx.now;
        // Read before what has ended: what is remembered is then never older than its number says.
        let generation = self.logins.generation();
        let session = match Session::open(&self.client, &facts(cx.head, cx.is_encrypted()), now) {
            Opened::Valid(session) if !self.logins.is_ended(&session) => session,
            Opened::None => return self.nobody(cx, &heard, false),
            Opened::Valid(_) | Opened::Invalid | Opened::Expired => return self.nobody(cx, &heard, true),
        };
        if session.needs_refresh(now) {
            return self.renew(cx, heard, &shown.digest, &session);
        }
        if self.forward_access_token && !session.survives_trouble(now) {
            // What the service would get is worth nothing any more, and cannot be renewed.
            return self.nobody(cx, &heard, true);
        }
        self.admit(cx, &session, Some(&Note { shown, generation }))
    }

    /// There is no session, or none any more.
    fn nobody(&self, cx: &mut RequestCx<'_>, heard: &Heard, clear: bool) -> Verdict {
        // Where to log in has to be known before anybody can be sent there.
        if heard.is_first() && self.issuer.provider().is_none() {
            return self.ask_keys(cx, None);
        }
        if clear {
            let facts = facts(cx.head, cx.is_encrypted());
            cx.state.cookies.extend(Session::clear(&self.client, &facts));
        }
        Verdict::Missing
    }

    /// Says who has a session, and writes its cookies anew where it would end as idle otherwise.
    fn admit(&self, cx: &mut RequestCx<'_>, session: &Session, note: Option<&Note>) -> Verdict {
        let identity = match self.mapping.identity(self.claims(session), cx.consumers) {
            Ok(identity) => Rc::new(self.with_token(identity, session)),
            Err(refused) => return Verdict::Refused(refused),
        };
        let caller = self.mapping.caller(&identity);
        if let Some(Note { shown, generation }) = note {
            if session.is_renewal_due(&self.client, cx.now) {
                let mut sealed = session.clone();
                let facts = facts(cx.head, cx.is_encrypted());
                // If it fails, the session goes on for as long as it would have without.
                if let Ok(cookies) = sealed.seal(&self.client, &facts, cx.now, &mut aws_lc_rs::rand::fill) {
                    cx.state.cookies.extend(cookies);
                }
            }
            let until = self.holds_until(session, cx.now);
            let finding = Finding { identity: Some(identity), until, key: None, generation: *generation };
            cx.verified.put(*shown, finding);
        }
        Verdict::Known(caller)
    }

    /// Until when nothing has to be looked at again.
    fn holds_until(&self, session: &Session, now: u64) -> u64 {
        let settings = self.client.settings();
        let renewal = session.renewed.saturating_add((settings.idle_lifetime / 8).max(1));
        let end = session.issued.saturating_add(settings.absolute_lifetime);
        let token = match session.access_expires {
            Some(at) if session.refresh_token.is_some() => at.saturating_sub(AHEAD),
            Some(at) if self.forward_access_token => at,
            _ => u64::MAX,
        };
        now.saturating_add(BELIEVED).min(renewal).min(end).min(token)
    }

    fn claims(&self, session: &Session) -> Map<String, Value> {
        let mut claims = session.claims.clone();
        let own = [
            ("iss", Some(&self.client.settings().issuer)),
            ("sub", Some(&session.subject)),
            ("sid", session.sid.as_ref()),
        ];
        for (name, text) in own {
            if let Some(text) = text {
                claims.insert(name.to_owned(), Value::from(text.as_str()));
            }
        }
        claims
    }

    /// The identity, with the access token among what the service is told, where it is to have it.
    fn with_token(&self, identity: Identity, session: &Session) -> Identity {
        if !self.forward_access_token {
            return identity;
        }
        let value = format!("Bearer {}", session.access_token.expose());
        let token = (b"authorization".as_slice().into(), value.into_bytes().into());
        Identity { fields: identity.fields.into_iter().chain([token]).collect(), ..identity }
    }
}

impl Ready {
    /// Renews the tokens of a session, unless another request does so or has just done so.
    fn renew(&self, cx: &mut RequestCx<'_>, heard: Heard, cookies: &Digest, session: &Session) -> Verdict {
        let now = cx.now;
        let Some(provider) = self.issuer.provider() else {
            return if heard.keys_tried { self.in_trouble(cx, session) } else { self.ask_keys(cx, None) };
        };
        let answer = match heard.told {
            Some(Answer::Http(answer)) => answer,
            None | Some(Answer::Later) => {
                return match self.logins.renew(cookies, now) {
                    None => match session.refresh_request(&self.client, &provider) {
                        Some(post) => self.ask_tokens(&post),
                        None => Verdict::Fault(Fault::Internal),
                    },
                    Some(Renewal::UnderWay) => self.wait(cx, session),
                    Some(Renewal::Done(renewed)) => {
                        cx.state.cookies.extend(renewed.cookies.iter().cloned());
                        self.admit(cx, &renewed.session, None)
                    }
                    Some(Renewal::Ended) => self.nobody(cx, &heard, true),
                    Some(Renewal::Failed) => self.in_trouble(cx, session),
                };
            }
            Some(_) => {
                self.logins.settle(cookies, Renewal::Failed, now);
                return self.in_trouble(cx, session);
            }
        };
        let refresh = match Refresh::parse(answer.status, &answer.body, now) {
            Ok(refresh) => refresh,
            Err(error) => return self.not_renewed(cx, cookies, session, &error),
        };
        let token = match refresh.id_token().map(|token| self.verify(token, &self.rules.id, &provider, now)) {
            None => None,
            Some(Ok(token)) => Some(token),
            Some(Err(Refusal::UnknownKey)) if !heard.keys_tried => {
                return self.ask_keys(cx, Some(Answer::Http(answer)));
            }
            Some(Err(_)) => return self.not_renewed(cx, cookies, session, &RefreshError::Unverified),
        };
        let verified = token.as_ref();
        let verified =
            verified.map(|token| Verified { claims: &token.claims, algorithm: token.algorithm.as_str() });
        match refresh.apply(session, &self.client, verified, now) {
            Ok(next) => self.renewed(cx, cookies, next),
            Err(error) => self.not_renewed(cx, cookies, session, &error),
        }
    }

    fn renewed(&self, cx: &mut RequestCx<'_>, cookies: &Digest, mut session: Session) -> Verdict {
        let facts = facts(cx.head, cx.is_encrypted());
        match session.seal(&self.client, &facts, cx.now, &mut aws_lc_rs::rand::fill) {
            Ok(sealed) => {
                cx.state.cookies.extend(sealed.iter().cloned());
                let verdict = self.admit(cx, &session, None);
                let renewed = Arc::new(Renewed { session, cookies: sealed });
                self.logins.settle(cookies, Renewal::Done(renewed), cx.now);
                verdict
            }
            // The tokens of before are used up, and the new ones cannot be kept.
            Err(_) => self.over(cx, cookies),
        }
    }

    fn not_renewed(
        &self,
        cx: &mut RequestCx<'_>,
        cookies: &Digest,
        session: &Session,
        error: &RefreshError,
    ) -> Verdict {
        if error.ends_session() {
            return self.over(cx, cookies);
        }
        self.logins.settle(cookies, Renewal::Failed, cx.now);
        self.in_trouble(cx, session)
    }

    fn over(&self, cx: &mut RequestCx<'_>, cookies: &Digest) -> Verdict {
        self.logins.settle(cookies, Renewal::Ended, cx.now);
        let facts = facts(cx.head, cx.is_encrypted());
        cx.state.cookies.extend(Session::clear(&self.client, &facts));
        Verdict::Missing
    }

    /// Another request renews the session. Its tokens may be good for a moment yet.
    fn wait(&self, cx: &mut RequestCx<'_>, session: &Session) -> Verdict {
        if session.survives_trouble(cx.now) {
            return self.admit(cx, session, None);
        }
        if cx.state.waits >= MOST_WAITS {
            return Verdict::Fault(Fault::AuthorityUnavailable);
        }
        cx.state.waits += 1;
        Verdict::Ask(Box::new(Question::Later(PAUSE)))
    }

    /// The provider cannot renew the session now.
    fn in_trouble(&self, cx: &mut RequestCx<'_>, session: &Session) -> Verdict {
        if session.survives_trouble(cx.now) {
            return self.admit(cx, session, None);
        }
        Verdict::Fault(Fault::AuthorityUnavailable)
    }
}

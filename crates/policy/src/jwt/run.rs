//! Recognises callers by JSON Web Tokens.
//!
//! A token that was verified is remembered by its digest until it ends, or until its key is withdrawn: then a request
//! costs one digest and one look into a table. One that names a key which is not known makes the keys be fetched anew,
//! and waits for that, but only as often as the issuer can bear.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use jose::{KeySet, Refusal, Rules, Token};
use message::{Fault, RequestHead};

use crate::authenticate::{Refused, token_challenge};
use crate::claims::Mapping;
use crate::places::Places;
use crate::{Answer, Digest, Finding, Issuer, Question, RequestCx, Shown, Verdict, digest_of};

/// The kind, as logs have it.
pub(super) const KIND: &str = "jwt";
/// How long a token without an end is remembered, in seconds.
const ENDLESS: u64 = 300;

/// Where keys come from.
#[derive(Debug)]
pub(crate) enum Keys {
    /// They are part of the configuration.
    Written(KeySet),
    /// The issuer publishes them.
    Fetched(Arc<Issuer>),
}

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(crate) keys: Keys,
    pub(crate) rules: Rules,
    pub(crate) places: Places,
    pub(crate) mapping: Mapping,
    pub(crate) forward: bool,
    pub(crate) scope: Digest,
}

impl Ready {
    /// Who shows a token, and whether it is genuine and holds.
    #[inline]
    pub fn authenticate(&self, cx: &mut RequestCx<'_>) -> Verdict {
        let Some(digest) = self.places.show(cx.head, digest_of) else { return Verdict::Missing };
        let shown = Shown { scope: self.scope, digest };
        let keys = match &self.keys {
            Keys::Written(_) => None,
            Keys::Fetched(issuer) => Some(issuer.keys()),
        };
        match cx.verified.identity(&shown, keys, cx.now) {
            Some(identity) => Verdict::Known(self.mapping.caller(&identity)),
            None => self.verify(shown, cx),
        }
    }

    /// Verifies a token that is not remembered.
    fn verify(&self, shown: Shown, cx: &mut RequestCx<'_>) -> Verdict {
        let now = cx.now;
        // Read before the keys: what is remembered is then never older than its number says.
        let (generation, verified) = match &self.keys {
            Keys::Written(keys) => (0, self.look(cx.head, keys, now)),
            Keys::Fetched(issuer) => {
                let generation = issuer.keys().generation();
                match issuer.keys().load().as_ref() {
                    Some(keys) => (generation, self.look(cx.head, keys, now)),
                    None if cx.state.is_explained() => return self.suppose(cx),
                    None if cx.answer.take().is_some() => return Verdict::Fault(Fault::AuthorityUnavailable),
                    None => return Verdict::Ask(Box::new(Question::Keys(Arc::clone(issuer)))),
                }
            }
        };
        let answered = matches!(cx.answer.take(), Some(Answer::Keys | Answer::Nothing(_)));
        let token = match (verified, &self.keys) {
            (None, _) => return Verdict::Missing,
            (Some(Ok(token)), _) => token,
            (Some(Err(Refusal::UnknownKey)), Keys::Fetched(issuer)) if !answered => {
                return Verdict::Ask(Box::new(Question::Keys(Arc::clone(issuer))));
            }
            (Some(Err(refusal)), _) => {
                return Verdict::Refused(Refused::of_token(&refusal));
            }
        };
        let Token { claims, expires, thumbprint, .. } = token;
        let until = self.end(&claims, expires, now);
        match self.mapping.bearer(claims, cx.consumers) {
            Ok(identity) => {
                let identity = Rc::new(identity);
                let finding = Finding {
                    identity: Some(Rc::clone(&identity)),
                    until,
                    key: Some(thumbprint),
                    generation,
                };
                cx.verified.put(shown, finding);
                Verdict::Known(self.mapping.caller(&identity))
            }
            Err(refused) => Verdict::Refused(refused),
        }
    }

    /// Whom a token would name if its signature is right: the keys are fetched when the gateway runs, and not to explain.
    fn suppose(&self, cx: &mut RequestCx<'_>) -> Verdict {
        let read = self.places.show(cx.head, |token| jose::read_unverified(token, &self.rules, cx.now));
        read.map_or(Verdict::Missing, |read| self.mapping.supposed(read, cx))
    }

    fn look(&self, head: &RequestHead, keys: &KeySet, now: u64) -> Option<Result<Token, Refusal>> {
        self.places.show(head, |token| jose::verify(token, keys, &self.rules, now))
    }

    /// Until when a token holds, in seconds since 1970.
    fn end(
        &self,
        claims: &serde_json::Map<String, serde_json::Value>,
        expires: Option<u64>,
        now: u64,
    ) -> u64 {
        let issued = claims.get("iat").and_then(serde_json::Value::as_f64).map(|at| at as u64);
        let aged = self.rules.max_age.zip(issued).map(|(age, issued)| issued.saturating_add(age));
        let end = expires.into_iter().chain(aged).min();
        end.map_or(now.saturating_add(ENDLESS), |end| end.saturating_add(self.rules.leeway))
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

//! Tokens of the provider in `Authorization`, for programs on the routes of people.

use std::rc::Rc;

use jose::{Refusal, Rules};
use message::{Fault, RequestHead};

use super::run::{Heard, Ready};
use crate::authenticate::Refused;
use crate::places::behind_scheme;
use crate::{Caller, Finding, RequestCx, Shown, Verdict, digest_of};

/// The token that a request shows, if it shows one.
pub(super) fn shown(head: &RequestHead) -> Option<&[u8]> {
    let mut tokens =
        head.headers.values(b"authorization").filter_map(|value| behind_scheme(value, b"Bearer"));
    tokens.find(|token| !token.is_empty())
}

impl Ready {
    /// Who shows a token (RFC 6750 §2.1), and whether it is genuine and holds; `None` where none is shown.
    #[inline]
    pub(super) fn token(&self, cx: &mut RequestCx<'_>, heard: &Heard, rules: &Rules) -> Option<Verdict> {
        let shown = Shown { scope: self.scope, digest: digest_of(shown(cx.head)?) };
        if let Some(caller) = self.remembered_token(&shown, cx) {
            return Some(Verdict::Known(caller));
        }
        Some(self.verify_token(cx, heard, rules, shown))
    }

    /// What is remembered of a token, if it and its key hold still.
    #[inline]
    fn remembered_token(&self, shown: &Shown, cx: &mut RequestCx<'_>) -> Option<Caller> {
        let generation = self.issuer.keys().generation();
        let finding = cx.verified.get(shown, cx.now)?;
        let caller = self.mapping.caller(finding.identity.as_ref()?);
        if finding.generation != generation {
            // The keys were fetched anew: is this one still among them?
            let key = finding.key?;
            if !self.issuer.keys().load().as_ref().is_some_and(|keys| keys.contains(&key)) {
                cx.verified.forget(shown);
                return None;
            }
            if let Some(mut finding) = cx.verified.get_mut(shown) {
                finding.generation = generation;
            }
        }
        Some(caller)
    }

    fn verify_token(&self, cx: &mut RequestCx<'_>, heard: &Heard, rules: &Rules, place: Shown) -> Verdict {
        // Read before the keys: what is remembered is then never older than its number says.
        let generation = self.issuer.keys().generation();
        if generation == 0 && heard.keys_tried {
            return Verdict::Fault(Fault::AuthorityUnavailable);
        }
        let verified = match (self.issuer.keys().load().as_ref(), shown(cx.head)) {
            (Some(keys), Some(token)) => jose::verify(token, keys, rules, cx.now),
            (None, _) | (_, None) => Err(Refusal::UnknownKey),
        };
        let token = match verified {
            Ok(token) => token,
            Err(Refusal::UnknownKey) if !heard.keys_tried => return self.ask_keys(cx, None),
            Err(refusal) => {
                let detail = format!("The token is refused: {refusal}.");
                return Verdict::Refused(Refused::new(refusal.as_str(), detail));
            }
        };
        // It comes from the provider too, for this client, and says that somebody is not there any more.
        if token.claims.contains_key("events") {
            return Verdict::Refused(Refused::new("wrong_token_type", "The token reports an event."));
        }
        // It tells the gateway who has logged in, and travels in addresses at a logout (OpenID Connect Core §2).
        if token.claims.contains_key("nonce") {
            return Verdict::Refused(Refused::new("wrong_token_type", "The token is an ID token."));
        }
        if token.claims.contains_key("cnf") {
            // Who has stolen it lacks the key (RFC 7800), and that is what it was bound for.
            return Verdict::Refused(Refused::new(
                "bound",
                "The token is bound to a key that was not shown.",
            ));
        }
        let until = token.expires.unwrap_or(cx.now).saturating_add(rules.leeway);
        match self.mapping.identity(token.claims, cx.consumers) {
            Ok(identity) => {
                let identity = Rc::new(identity);
                let caller = self.mapping.caller(&identity);
                let key = Some(token.thumbprint);
                cx.verified.put(place, Finding { identity: Some(identity), until, key, generation });
                Verdict::Known(caller)
            }
            Err(refused) => Verdict::Refused(refused),
        }
    }
}

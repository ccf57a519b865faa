//! Tokens of the provider in `Authorization`, for programs on the routes of people.

use std::rc::Rc;

use jose::{Refusal, Rules};
use message::{Fault, RequestHead};
use serde_json::{Map, Value};

use super::run::{Heard, Ready};
use crate::authenticate::Refused;
use crate::places::behind_scheme;
use crate::{Finding, RequestCx, Shown, Verdict, digest_of};

/// The token that a request shows, if it shows one.
pub(super) fn shown(head: &RequestHead) -> Option<&[u8]> {
    let mut tokens =
        head.headers.values(b"authorization").filter_map(|value| behind_scheme(value, b"Bearer"));
    tokens.find(|token| !token.is_empty())
}

/// Why a token that the provider has signed is none to be shown by programs.
pub(super) fn of_other_kind(claims: &Map<String, Value>) -> Option<Refused> {
    // It comes from the provider too, for this client, and says that somebody is not there any more.
    if claims.contains_key("events") {
        return Some(Refused::new("wrong_token_type", "The token reports an event."));
    }
    // It tells the gateway who has logged in, and travels in addresses at a logout (OpenID Connect Core §2).
    let is_id_token = claims.contains_key("nonce");
    is_id_token.then(|| Refused::new("wrong_token_type", "The token is an ID token."))
}

impl Ready {
    /// Who shows a token (RFC 6750 §2.1), and whether it is genuine and holds; `None` where none is shown.
    #[inline]
    pub(super) fn token(&self, cx: &mut RequestCx<'_>, heard: &Heard, rules: &Rules) -> Option<Verdict> {
        let shown = Shown { scope: self.scope, digest: digest_of(shown(cx.head)?) };
        if let Some(identity) = cx.verified.identity(&shown, Some(self.issuer.keys()), cx.now) {
            return Some(Verdict::Known(self.mapping.caller(&identity)));
        }
        Some(self.verify_token(cx, heard, rules, shown))
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
                return Verdict::Refused(Refused::of_token(&refusal));
            }
        };
        if let Some(refused) = of_other_kind(&token.claims) {
            return Verdict::Refused(refused);
        }
        let until = token.expires.unwrap_or(cx.now).saturating_add(rules.leeway);
        match self.mapping.bearer(token.claims, cx.consumers) {
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

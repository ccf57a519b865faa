//! Recognises consumers by signed requests.
//!
//! What was found out is not remembered, as each signature is another one; that it was used is, for all workers together.
//! A digest of the body that a signature covers is handed on: the body has not come yet.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use message::{Fault, RequestHead};
use signatures::{Accepted, Admit, Refusal, Request, Rules, parse};

use super::keys::Signer;
use crate::authenticate::Refused;
use crate::places::behind_scheme;
use crate::replay::Replays;
use crate::{Caller, RequestCx, Verdict};

/// The kind, as logs have it.
const KIND: &str = "hmac";

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(crate) rules: Rules,
    /// Who signs, by the ids of the keys.
    pub(crate) signers: HashMap<Box<str>, Signer>,
    /// Signatures that were used; `None` where they may be used again.
    pub(crate) replays: Option<Arc<Replays>>,
    pub(crate) challenge: &'static str,
    /// What clients are told whose signature is refused.
    pub(crate) advice: Box<str>,
    pub(crate) forward: bool,
}

impl Ready {
    /// Who has signed the request.
    pub fn authenticate(&self, cx: &mut RequestCx<'_>) -> Verdict {
        let Some(presented) = parse(cx.head, &self.rules) else { return Verdict::Missing };
        let judged = presented.and_then(|presented| {
            let (claim, signer) = presented.choose(|id| self.signers.get(id))?;
            let https = cx.is_encrypted();
            let request = Request { head: &*cx.head, https, body_length: cx.body_length };
            Ok((signer.consumer, signer.verify(claim, &request, &self.rules, cx.now)?))
        });
        let (consumer, accepted) = match judged {
            Ok(judged) => judged,
            Err(refusal) => return self.refused(word(refusal)),
        };
        // Where no body comes, nobody would look at it.
        let is_empty = cx.body_length == Some(0);
        if is_empty && accepted.digest.is_some_and(|digest| !digest.check().finish()) {
            return self.refused("digest_mismatch");
        }
        match self.admit(&accepted, cx.now) {
            Admit::Fresh => {}
            Admit::Replayed => return self.refused("replayed"),
            // That it is new cannot be told. It is nobody's mistake, and will be over soon.
            Admit::Full => return Verdict::Fault(Fault::AuthorityUnavailable),
        }
        cx.state.digest = accepted.digest.filter(|_| !is_empty).map(Box::new);
        Verdict::Known(Caller::Consumer(consumer, KIND))
    }

    fn admit(&self, accepted: &Accepted, now: u64) -> Admit {
        let Some(replays) = &self.replays else { return Admit::Fresh };
        replays.admit(accepted.replay_key, accepted.until, now)
    }

    fn refused(&self, reason: &'static str) -> Verdict {
        Verdict::Refused(Refused::new(reason, self.advice.to_string()))
    }

    /// What could be shown. RFC 9421 has no scheme of its own; `Signature` is what draft-cavage-http-signatures had.
    pub fn challenge(&self, _: Option<&Refused>) -> Option<Cow<'static, str>> {
        Some(self.challenge.into())
    }

    /// Nobody signs by hand.
    pub fn invite(&self, _: &mut RequestCx<'_>) -> Option<message::Reply> {
        None
    }

    /// Services are told the name of the consumer and nothing else.
    pub fn told_fields(&self) -> Vec<&[u8]> {
        Vec::new()
    }

    /// Removes the signature, unless services are to see it. Digests of the body stay: they are of use there.
    pub fn hide(&self, head: &mut RequestHead, recognised: bool) {
        if self.forward && recognised {
            return;
        }
        if self.rules.message_form {
            head.headers.remove(b"signature-input");
            head.headers.remove(b"signature");
        }
        if self.rules.header_form && head.headers.values(b"authorization").any(is_in_header_form) {
            head.headers.remove(b"authorization");
        }
    }
}

/// Whether credentials are of the form `header`, however they are written.
fn is_in_header_form(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"hmac") || behind_scheme(value, b"hmac").is_some()
}

/// A word for logs.
fn word(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::MalformedFields | Refusal::MalformedCredentials | Refusal::NoSignature => "malformed",
        Refusal::TooLarge => "too_large",
        Refusal::NoKeyId => "no_key_id",
        Refusal::UnknownKey => "unknown_key",
        Refusal::AlgorithmNotAllowed => "algorithm_not_allowed",
        Refusal::AlgorithmMismatch => "algorithm_mismatch",
        Refusal::RepeatedComponent | Refusal::UnsupportedComponent | Refusal::AmbiguousComponent => {
            "bad_component"
        }
        Refusal::MissingComponent => "missing_component",
        Refusal::NotCovered => "not_covered",
        Refusal::DateNotCovered => "date_not_covered",
        Refusal::DigestNotCovered => "digest_not_covered",
        Refusal::BadDigest => "bad_digest",
        Refusal::NoTime | Refusal::BadTime => "no_time",
        Refusal::NotYetValid => "not_yet_valid",
        Refusal::TooOld => "too_old",
        Refusal::Expired | Refusal::EndsTooLate => "expired",
        Refusal::NoNonce => "no_nonce",
        Refusal::WrongSignature => "wrong",
    }
}

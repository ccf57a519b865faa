//! The way of a signature from the request to the verdict, the same for both forms.
//!
//! Three steps, because keys are the caller's: [`parse`] finds the signatures of a request, [`Presented::choose`]
//! takes the first whose key the caller knows, and [`Claim::verify`] judges it.

use aws_lc_rs::digest::{Context, SHA256};
use message::RequestHead;

use crate::base::Base;
use crate::coverage::Coverage;
use crate::header_form::{self, HeaderForm};
use crate::message_form::{self, MessageForm};
use crate::sent::Sent;
use crate::{Algorithm, ExpectedDigest, Key, Refusal, Rules};

/// A request whose signature is judged.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The head, after [`RequestHead::normalize`].
    pub head: &'a RequestHead,
    /// Whether the client uses `https`: what `@scheme` and `@target-uri` say, and which port is the default.
    pub https: bool,
    /// The length of the body; `Some(0)` for no body, `None` where it is not known before its end.
    pub body_length: Option<u64>,
}

/// In which form a signature came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `Signature-Input` and `Signature` (RFC 9421).
    Message,
    /// `Authorization: hmac …`
    Header,
}

/// The signatures of a request; there is at least one.
#[derive(Debug)]
pub struct Presented(Vec<Claim>);

/// A signature that was not verified yet. Its `Debug` shows whose it claims to be, and nothing else.
pub struct Claim {
    key_id: String,
    form: Signed,
}

enum Signed {
    Message(MessageForm),
    Header(HeaderForm),
}

/// What a form has found out about a signature before its key decides.
pub(crate) struct Examined<'c> {
    pub(crate) algorithm: Algorithm,
    pub(crate) base: Base,
    pub(crate) created: Option<u64>,
    pub(crate) expires: Option<u64>,
    pub(crate) until: u64,
    pub(crate) nonce: Option<&'c str>,
    pub(crate) coverage: Coverage<'c>,
}

/// A signature that is genuine and meets the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The algorithm it was verified by.
    pub algorithm: Algorithm,
    /// When it was made, in seconds since 1970; in the header form, what the date says.
    pub created: Option<u64>,
    /// When it ends, if it says so, in seconds since 1970.
    pub expires: Option<u64>,
    /// The first second at which it is not good any more: it has expired, or is too old.
    pub until: u64,
    /// Its nonce.
    pub nonce: Option<String>,
    /// What a [`ReplayGuard`](crate::ReplayGuard) remembers it by: SHA-256 over the id of the key and the nonce, or,
    /// without nonce, over the id and what was signed. The signature itself would not do: others can be made from
    /// it that are as good (ECDSA).
    pub replay_key: [u8; 32],
    /// The digest that the body must have, if the signature covers one. The caller must check the body against it.
    pub digest: Option<ExpectedDigest>,
}

impl Accepted {
    /// Whether the signature covers a digest of the body.
    #[must_use]
    pub fn covers_digest(&self) -> bool {
        self.digest.is_some()
    }
}

/// Finds the signatures of a request that the rules ask for. `None` where there are none: the request shows nothing
/// that could be judged here.
///
/// Those of RFC 9421 come first, in their order, at most [`MAX_SIGNATURES`](crate::MAX_SIGNATURES); then that of the
/// header form.
#[must_use]
pub fn parse(head: &RequestHead, rules: &Rules) -> Option<Result<Presented, Refusal>> {
    read_all(head, rules).map(|claims| (!claims.is_empty()).then_some(Presented(claims))).transpose()
}

fn read_all(head: &RequestHead, rules: &Rules) -> Result<Vec<Claim>, Refusal> {
    let mut claims = Vec::new();
    if rules.message_form {
        let found = message_form::read(head, rules)?.into_iter();
        claims.extend(found.map(|(key_id, form)| Claim { key_id, form: Signed::Message(form) }));
    }
    if rules.header_form {
        let found = header_form::read(head)?;
        claims.extend(found.map(|(key_id, form)| Claim { key_id, form: Signed::Header(form) }));
    }
    Ok(claims)
}

impl Presented {
    /// The first signature whose key is known. `lookup` gets the id of a key as the client wrote it.
    ///
    /// If that signature is not accepted, the request is to be refused: others are no second chance.
    pub fn choose<K>(&self, mut lookup: impl FnMut(&str) -> Option<K>) -> Result<(&Claim, K), Refusal> {
        self.0.iter().find_map(|claim| Some((claim, lookup(&claim.key_id)?))).ok_or(Refusal::UnknownKey)
    }

    /// All signatures, in the order in which they are looked at.
    #[must_use]
    pub fn claims(&self) -> &[Claim] {
        &self.0
    }
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl Claim {
    /// The id of the key as the client wrote it: `keyid`, or `username`.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// In which form it came.
    #[must_use]
    pub fn form(&self) -> Form {
        match self.form {
            Signed::Message(_) => Form::Message,
            Signed::Header(_) => Form::Header,
        }
    }

    /// Judges the signature with the key that its id stands for. `now` is in seconds since 1970. Whether it was
    /// used before is for a [`ReplayGuard`](crate::ReplayGuard) to say, and whether the body has the digest for
    /// who reads it.
    pub fn verify(
        &self,
        key: &Key,
        request: &Request<'_>,
        rules: &Rules,
        now: u64,
    ) -> Result<Accepted, Refusal> {
        let sent = Sent::of(request.head, request.https);
        let (examined, signature) = match &self.form {
            Signed::Message(form) => (form.examine(key, &sent, rules, now)?, &form.signature),
            Signed::Header(form) => (form.examine(key, &sent, rules, now)?, &form.signature),
        };
        let digest = ExpectedDigest::covered(&request.head.headers, &examined.coverage)?;
        if rules.require_digest && digest.is_none() && request.body_length != Some(0) {
            return Err(Refusal::DigestNotCovered);
        }
        if !key.verifies(examined.algorithm, examined.base.bytes(), signature) {
            return Err(Refusal::WrongSignature);
        }
        Ok(Accepted {
            algorithm: examined.algorithm,
            created: examined.created,
            expires: examined.expires,
            until: examined.until,
            replay_key: self.replay_key(&examined),
            nonce: examined.nonce.map(str::to_owned),
            digest,
        })
    }

    fn replay_key(&self, examined: &Examined<'_>) -> [u8; 32] {
        let (kind, what) = match examined.nonce {
            Some(nonce) => (b'n', nonce.as_bytes()),
            None => (b'b', examined.base.bytes()),
        };
        let mut context = Context::new(&SHA256);
        // The length in front keeps ids and what follows them apart.
        context.update(&(self.key_id.len() as u64).to_be_bytes());
        context.update(self.key_id.as_bytes());
        context.update(&[kind]);
        context.update(what);
        let mut key = [0; 32];
        context.finish().as_ref().iter().zip(&mut key).for_each(|(byte, place)| *place = *byte);
        key
    }
}

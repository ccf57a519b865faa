//! Recognises consumers by their certificates. The handshake has verified them: their chain, their time, and whether
//! they were revoked.

use std::borrow::Cow;
use std::rc::Rc;

use message::{ClientCertificate, RequestHead};

use crate::authenticate::Refused;
use crate::{Caller, Consumers, Digest, Finding, Identity, RequestCx, Shown, Verdict, digest_of};

/// The kind, as logs have it.
const KIND: &str = "mtls";
/// How long what a certificate says is remembered, in seconds. It was verified when the connection was opened.
const REMEMBERED: u64 = 3600;

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    /// Whoever is genuine is let through.
    pub(crate) optional: bool,
    pub(crate) scope: Digest,
}

impl Ready {
    /// Whose certificate the connection has shown.
    pub fn authenticate(&self, cx: &mut RequestCx<'_>) -> Verdict {
        let Some(certificate) = cx.encryption.and_then(|encryption| encryption.certificate.as_ref()) else {
            return Verdict::Missing;
        };
        if cx.trusted_peer {
            // It is that of a proxy, which speaks for others.
            return Verdict::Missing;
        }
        if cx.now >= certificate.not_after {
            // A connection can outlive it, and so can what a handshake is resumed with.
            return Verdict::Refused(Refused::new("expired", "The certificate has expired."));
        }
        if let Some(index) = owner(certificate, cx.consumers) {
            return Verdict::Known(Caller::Consumer(index, KIND));
        }
        if !self.optional {
            return Verdict::Refused(Refused::new("unknown", "The certificate belongs to no consumer."));
        }
        let shown = Shown { scope: self.scope, digest: digest_of(certificate.fingerprint.as_bytes()) };
        if let Some(Finding { identity: Some(identity), .. }) = cx.verified.get(&shown, cx.now) {
            return Verdict::Known(Caller::Verified(Rc::clone(identity), KIND));
        }
        let identity = Rc::new(Identity { subject: certificate.subject.clone(), ..Identity::default() });
        let until = cx.now.saturating_add(REMEMBERED).min(certificate.not_after);
        let finding = Finding { identity: Some(Rc::clone(&identity)), until, key: None, generation: 0 };
        cx.verified.put(shown, finding);
        Verdict::Known(Caller::Verified(identity, KIND))
    }

    /// A certificate cannot be asked for by a response.
    pub fn challenge(&self, _: Option<&Refused>) -> Option<Cow<'static, str>> {
        None
    }

    /// Nor is there a place to get one.
    pub fn invite(&self, _: &mut RequestCx<'_>) -> Option<message::Reply> {
        None
    }

    /// What the gateway tells of certificates is up to the listener.
    pub fn told_fields(&self) -> Vec<&[u8]> {
        Vec::new()
    }

    /// The certificate is no part of the request.
    pub fn hide(&self, _: &mut RequestHead, _: bool) {}
}

/// The consumer of a certificate: by its subject, otherwise by the first alternative name that belongs to one.
fn owner(certificate: &ClientCertificate, consumers: &Consumers) -> Option<u32> {
    let mut names = std::iter::once(&certificate.subject).chain(&certificate.names);
    names.find_map(|name| consumers.by_certificate(name))
}

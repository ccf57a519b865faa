//! Recognises consumers by API keys: one digest, one probe of a table.
//!
//! The table holds digests only, so there is nothing in it that could be compared byte by byte with what is shown; that
//! the digests are equal is checked in constant time all the same.

use std::borrow::Cow;

use message::RequestHead;

use crate::authenticate::{REALM, Refused};
use crate::places::Places;
use crate::{Caller, RequestCx, Verdict, digest_of};

/// The kind, as logs have it.
const KIND: &str = "api_key";
/// No key is longer: hashing what clients send is bounded.
const LONGEST: usize = 4096;

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(crate) places: Places,
    pub(crate) forward: bool,
}

impl Ready {
    /// Who shows a key, and whether it holds.
    #[inline]
    pub fn authenticate(&self, cx: &mut RequestCx<'_>) -> Verdict {
        let digest = |key: &[u8]| (key.len() <= LONGEST).then(|| digest_of(key));
        let Some(digest) = self.places.show(cx.head, digest) else { return Verdict::Missing };
        let Some(digest) = digest else {
            return Verdict::Refused(Refused::new("malformed", "The API key is too long."));
        };
        let owner = cx.consumers.by_api_key(&digest);
        cx.state.key = owner.and_then(|owner| owner.label);
        match owner {
            Some(owner) if cx.now < owner.expires => Verdict::Known(Caller::Consumer(owner.consumer, KIND)),
            Some(_) => Verdict::Refused(Refused::new("expired", "The API key has expired.")),
            None => Verdict::Refused(Refused::new("unknown", "The API key is not known.")),
        }
    }

    /// What could be shown.
    pub fn challenge(&self, _: Option<&Refused>) -> Option<Cow<'static, str>> {
        let scheme = String::from_utf8_lossy(&self.places.scheme);
        Some(format!("{scheme} realm=\"{REALM}\"").into())
    }

    /// Nobody is sent anywhere for a key.
    pub fn invite(&self, _: &mut RequestCx<'_>) -> Option<message::Reply> {
        None
    }

    /// Services are told the name of the consumer and nothing else.
    pub fn told_fields(&self) -> Vec<&[u8]> {
        Vec::new()
    }

    /// Removes keys from where they may stand, unless services are to see them.
    #[inline]
    pub fn hide(&self, head: &mut RequestHead, recognised: bool) {
        self.places.hide(head, self.forward && recognised);
    }
}

//! Recognises consumers by API keys: one digest, one probe of a table, and of another one where that does not know it.
//!
//! The first table has the keys of the configuration, the second those that are made while the gateway runs; what changes
//! there holds for the next request. Nothing is remembered of a key that held before. The tables hold digests only, so there is nothing in it that could be compared byte by byte with what is shown; that
//! the digests are equal is checked in constant time all the same.

use std::borrow::Cow;
use std::sync::Arc;

use keys::{Slot, Standing, Table};
use message::{Fault, RequestHead};

use crate::authenticate::{REALM, Refused};
use crate::places::Places;
use crate::{Caller, Consumers, Digest, KeyLabel, RequestCx, Verdict, digest_of};

/// The kind, as logs have it.
const KIND: &str = "api_key";
/// No key is longer: hashing what clients send is bounded.
const LONGEST: usize = 4096;

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(crate) places: Places,
    pub(crate) forward: bool,
    pub(crate) stored: Arc<Table>,
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
            None => self.authenticate_stored(&digest, cx),
        }
    }

    /// Whose key with this digest was made while the gateway ran, and whether it holds.
    fn authenticate_stored(&self, digest: &Digest, cx: &mut RequestCx<'_>) -> Verdict {
        let (consumers, now) = (cx.consumers, cx.now);
        // Before the look and behind it: keys may come in between.
        let lacked_keys = self.stored.lacks_keys();
        let found = self.stored.find(digest, |slot| {
            slot.see(now);
            (slot.id(), slot.standing(now), owner(slot, consumers))
        });
        let Some((id, standing, owner)) = found else {
            if consumers.have_stored_keys() {
                cx.state.remark(KIND, || {
                    "the running gateway alone knows the keys that `gateward keys` has made".to_owned()
                });
            }
            // It may be one of those that cannot be read now.
            if (lacked_keys || self.stored.lacks_keys()) && consumers.have_stored_keys() {
                return Verdict::Fault(Fault::AuthorityUnavailable);
            }
            return Verdict::Refused(Refused::new("unknown", "The API key is not known."));
        };
        cx.state.key = Some(KeyLabel::Stored(id));
        let refused = match (standing, owner) {
            (Standing::Holds, Some(consumer)) => return Verdict::Known(Caller::Consumer(consumer, KIND)),
            (Standing::Holds, None) => {
                Refused::new("no_consumer", "The API key belongs to nobody who may call.")
            }
            (Standing::Disabled, _) => Refused::new("disabled", "The API key is switched off."),
            (Standing::Expired, _) => Refused::new("expired", "The API key has expired."),
            (Standing::Replaced, _) => Refused::new("replaced", "The API key was replaced by another one."),
        };
        Verdict::Refused(refused)
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

/// The place of the consumer of a key. It is where it was the last time, unless another configuration is in use.
#[inline]
fn owner(slot: &Slot, consumers: &Consumers) -> Option<u32> {
    let is_there =
        |place: u32| consumers.identity(place).is_some_and(|other| other.name() == slot.consumer());
    let place = slot.place();
    if is_there(place) {
        return Some(place);
    }
    let place = consumers.find(slot.consumer())?;
    slot.set_place(place);
    Some(place)
}

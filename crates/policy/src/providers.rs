//! What policies have that outlives a configuration: issuers whose keys are fetched and kept fresh, what is known of
//! logins, what was seen of signatures, what was used of limits, and API keys that are made while the gateway runs.
//!
//! Preparing a policy is pure: it only says what it needs. What the configuration before needed too is the same one: an
//! issuer with its keys, a table with what is in it. Fetching is for somebody else, who takes the keepers from here. Entry
//! points: [`Providers::issuer`], [`Providers::take_keepers`], [`Issuer`], [`Providers::replays`],
//! [`Providers::limiter`].

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use authority::{Keeper, Kept, Pace, Plan, Source, Trust};
use http::Uri;
use limits::{Limit, Limiter, Slots};
use oidc::{Plaintext, Provider};
use store::Leases;

use crate::oidc::Logins;
use crate::quota::Quotas;
use crate::replay::Replays;
use crate::{Digest, digest_of};

/// How often keys are fetched at most because tokens name others.
pub const BETWEEN_ASKED: Duration = Duration::from_secs(30);

/// Where the keys of an issuer are, and whose word is taken for who its servers are.
#[derive(Debug, Clone)]
pub struct IssuerSource {
    /// The name of the issuer, as `iss` has it. Where `jwks` is not given it is where its discovery document is.
    pub issuer: String,
    /// Where its keys are; found by discovery without it.
    pub jwks: Option<Uri>,
    /// Whose word is taken; with what tells it from others, such as the text of the file.
    pub trust: Trust,
    /// What tells `trust` from others.
    pub trust_id: Digest,
    /// Whether its servers may be asked without encryption.
    pub plaintext: Plaintext,
    /// Whether people are to log in there, and not only tokens to be verified.
    pub login: bool,
}

/// An issuer whose keys are kept fresh.
pub struct Issuer {
    name: String,
    keys: Kept<jose::KeySet>,
    provider: Arc<ArcSwapOption<Provider>>,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Issuer {
    /// Its name; the URL of its keys where it has none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its keys, as far as they were fetched.
    pub fn keys(&self) -> &Kept<jose::KeySet> {
        &self.keys
    }

    /// What its discovery document says, if that was looked for and fetched.
    pub fn provider(&self) -> Option<Arc<Provider>> {
        self.provider.load_full()
    }

    /// As if this had been fetched.
    #[cfg(test)]
    pub(crate) fn set_provider(&self, provider: Option<Provider>) {
        self.provider.store(provider.map(Arc::new));
    }
}

/// What keeps the keys of an issuer fresh while it runs.
pub struct IssuerKeeper {
    /// The name of the issuer.
    pub name: String,
    /// Says which issuer it is, the same in every process: for what is kept of it between two starts.
    pub id: Digest,
    /// The keeper. It ends when nobody needs the issuer any more.
    pub keeper: Keeper<jose::KeySet>,
}

/// What some configuration needs, and the one after it may need again.
pub struct Providers {
    epoch: Instant,
    quotas: Arc<Quotas>,
    stored_keys: Arc<keys::Table>,
    inner: Mutex<Inner>,
}

impl Default for Providers {
    fn default() -> Self {
        Providers {
            epoch: Instant::now(),
            quotas: Arc::default(),
            stored_keys: Arc::default(),
            inner: Mutex::default(),
        }
    }
}

#[derive(Default)]
struct Inner {
    known: HashMap<Digest, Weak<Issuer>>,
    waiting: Vec<IssuerKeeper>,
    logins: HashMap<Digest, Weak<Logins>>,
    limiters: HashMap<Digest, Weak<Limiter>>,
    leases: HashMap<Digest, Weak<Leases>>,
    slots: HashMap<Digest, Weak<Slots>>,
    /// By how many they remember, and for how long.
    replays: HashMap<(usize, u64), Weak<Replays>>,
}

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Providers").finish_non_exhaustive()
    }
}

impl Providers {
    /// The issuer of a source: the one that there is, or a new one whose keys nobody fetches yet.
    pub fn issuer(&self, source: &IssuerSource) -> Arc<Issuer> {
        let id = id_of(source);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.known.retain(|_, issuer| issuer.strong_count() > 0);
        if let Some(issuer) = inner.known.get(&id).and_then(Weak::upgrade) {
            return issuer;
        }
        let provider = Arc::new(ArcSwapOption::empty());
        let (keeper, keys) = Keeper::new(plan(source, Arc::clone(&provider)));
        let name = match (&*source.issuer, &source.jwks) {
            ("", Some(jwks)) => jwks.to_string(),
            (name, _) => name.to_owned(),
        };
        let issuer = Arc::new(Issuer { name: name.clone(), keys, provider });
        inner.known.insert(id, Arc::downgrade(&issuer));
        inner.waiting.push(IssuerKeeper { name, id, keeper });
        issuer
    }

    /// The signatures that were used, so many at most and for so many seconds: those that are remembered already, or none.
    ///
    /// They do not depend on who the consumers are or on other settings, so that a configuration that changes those does
    /// not forget them; and a signature that was used on one route is not good on another.
    pub(crate) fn replays(&self, capacity: usize, horizon: u64) -> Arc<Replays> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.replays.retain(|_, replays| replays.strong_count() > 0);
        if let Some(replays) = inner.replays.get(&(capacity, horizon)).and_then(Weak::upgrade) {
            return replays;
        }
        let replays = Arc::new(Replays::new(capacity, horizon));
        inner.replays.insert((capacity, horizon), Arc::downgrade(&replays));
        replays
    }

    /// What is used up of all quotas.
    pub fn quotas(&self) -> &Arc<Quotas> {
        &self.quotas
    }

    /// From when on limits count time: the same for all workers and all configurations.
    pub(crate) fn epoch(&self) -> Instant {
        self.epoch
    }

    /// API keys that are made while the gateway runs: the same for all configurations.
    pub fn stored_keys(&self) -> &Arc<keys::Table> {
        &self.stored_keys
    }

    /// What was used of the limit with this id: the same as in the configuration before. It is for so many keys.
    pub(crate) fn limiter(&self, id: Digest, limit: &Limit, keys: usize) -> Arc<Limiter> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.limiters.retain(|_, limiter| limiter.strong_count() > 0);
        if let Some(limiter) =
            inner.limiters.get(&id).and_then(Weak::upgrade).filter(|known| known.fits(limit))
        {
            return limiter;
        }
        let limiter = Arc::new(limit.table(keys));
        inner.limiters.insert(id, Arc::downgrade(&limiter));
        limiter
    }

    /// The leases of the limit with this id: those of the configuration before, or new ones.
    pub(crate) fn leases_of(&self, id: Digest, new: impl FnOnce(Instant) -> Leases) -> Arc<Leases> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.leases.retain(|_, leases| leases.strong_count() > 0);
        if let Some(leases) = inner.leases.get(&id).and_then(Weak::upgrade) {
            return leases;
        }
        let leases = Arc::new(new(self.epoch));
        inner.leases.insert(id, Arc::downgrade(&leases));
        leases
    }

    /// All leases, so that somebody gives back what nobody uses.
    pub fn leases(&self) -> Vec<Arc<Leases>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.leases.values().filter_map(Weak::upgrade).collect()
    }

    /// What is under way of the limit with this id: the same as in the configuration before.
    pub(crate) fn slots(&self, id: Digest) -> Arc<Slots> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.slots.retain(|_, slots| slots.strong_count() > 0);
        if let Some(slots) = inner.slots.get(&id).and_then(Weak::upgrade) {
            return slots;
        }
        let slots = Arc::<Slots>::default();
        inner.slots.insert(id, Arc::downgrade(&slots));
        slots
    }

    /// What is known of the logins of a client at an issuer: the same as in the configuration before. `None` if the
    /// system gives no randomness.
    pub(crate) fn logins(&self, issuer: &str, client_id: &str) -> Option<Arc<Logins>> {
        let id = digest_of(&[issuer.as_bytes(), client_id.as_bytes()].join(&0));
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.logins.retain(|_, logins| logins.strong_count() > 0);
        if let Some(logins) = inner.logins.get(&id).and_then(Weak::upgrade) {
            return Some(logins);
        }
        let logins = Arc::new(Logins::new()?);
        inner.logins.insert(id, Arc::downgrade(&logins));
        Some(logins)
    }

    /// Keepers that nobody runs yet. Those of issuers that are not needed after all end at once.
    pub fn take_keepers(&self) -> Vec<IssuerKeeper> {
        std::mem::take(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner).waiting)
    }

    /// Every issuer that is needed now, by name.
    pub fn issuers(&self) -> Vec<Arc<Issuer>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut issuers: Vec<Arc<Issuer>> = inner.known.values().filter_map(Weak::upgrade).collect();
        issuers.sort_by(|one, other| one.name.cmp(&other.name));
        issuers
    }
}

fn id_of(source: &IssuerSource) -> Digest {
    let jwks = source.jwks.as_ref().map(Uri::to_string).unwrap_or_default();
    let plaintext = format!("{:?} {}", source.plaintext, source.login);
    let texts = [source.issuer.as_bytes(), jwks.as_bytes(), plaintext.as_bytes(), &source.trust_id];
    digest_of(&texts.join(&0))
}

fn plan(source: &IssuerSource, provider: Arc<ArcSwapOption<Provider>>) -> Plan<jose::KeySet> {
    let found = match &source.jwks {
        Some(jwks) => Source::At(jwks.clone()),
        None => {
            let (issuer, plaintext, login) = (source.issuer.clone(), source.plaintext, source.login);
            Source::FoundBy {
                // It was checked when the policy was prepared.
                discovery: oidc::well_known_url(&issuer).parse().unwrap_or_default(),
                find: Box::new(move |document| {
                    let keys = oidc::keys_url(document, &issuer, plaintext);
                    let keys = keys.map_err(|mistake| mistake.to_string())?;
                    let keys = keys.parse().map_err(|_| "its `jwks_uri` is no URL".to_owned())?;
                    if login {
                        let found = Provider::parse(document, &issuer, plaintext);
                        provider.store(Some(Arc::new(found.map_err(|mistake| mistake.to_string())?)));
                    }
                    Ok(keys)
                }),
            }
        }
    };
    let keys = |document: &[u8]| {
        jose::KeySet::from_jwks(document).map(|loaded| loaded.keys).map_err(|error| error.to_string())
    };
    let pace = Pace { between_asked: BETWEEN_ASKED, ..Pace::default() };
    Plan { trust: source.trust.clone(), pace, ..Plan::new(found, keys) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(issuer: &str) -> IssuerSource {
        IssuerSource {
            issuer: issuer.to_owned(),
            jwks: None,
            trust: Trust::System,
            trust_id: [0; 32],
            plaintext: Plaintext::LoopbackOnly,
            login: false,
        }
    }

    #[test]
    fn an_issuer_is_the_same_for_as_long_as_somebody_needs_it() {
        let providers = Providers::default();
        let one = providers.issuer(&source("https://a.test"));
        assert!(Arc::ptr_eq(&one, &providers.issuer(&source("https://a.test"))));
        assert!(!Arc::ptr_eq(&one, &providers.issuer(&source("https://b.test"))));
        assert_eq!(providers.take_keepers().len(), 2);
        assert_eq!(providers.issuers().len(), 1, "nobody holds the other one");
        drop(one);
        providers.issuer(&source("https://a.test"));
        assert_eq!(providers.take_keepers().len(), 1, "it was gone, and is a new one");
    }

    #[test]
    fn logins_are_of_one_client_at_one_issuer() {
        let providers = Providers::default();
        let one = providers.logins("https://a.test", "web").unwrap();
        assert!(Arc::ptr_eq(&one, &providers.logins("https://a.test", "web").unwrap()));
        for (issuer, client_id) in [("https://a.test", "app"), ("https://b.test", "web")] {
            assert!(
                !Arc::ptr_eq(&one, &providers.logins(issuer, client_id).unwrap()),
                "{issuer} {client_id}"
            );
        }
    }
}

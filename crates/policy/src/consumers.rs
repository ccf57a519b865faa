//! Consumers: callers that the configuration names, and how each of them is recognised.
//!
//! One table for all policies. It is made when a configuration is compiled and never changes. Looking somebody up costs
//! the same however many there are, and allocates nothing. It verifies nothing: it says who would be meant.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use aws_lc_rs::digest;

use message::CONSUMER_FIELD;

use crate::Identity;

/// A SHA-256.
pub type Digest = [u8; 32];

/// The SHA-256 of a text.
pub fn digest_of(text: &[u8]) -> Digest {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, text).as_ref());
    out
}

/// A consumer, as it is put into the table.
#[derive(Debug, Default, Clone)]
pub struct NewConsumer {
    /// Its name.
    pub name: Box<str>,
    /// Its groups.
    pub groups: Vec<Box<str>>,
    /// Its API keys.
    pub api_keys: Vec<NewKey>,
    /// The names and hashed passwords of its users.
    pub users: Vec<(Box<str>, Box<str>)>,
    /// The issuer and the subject of its tokens.
    pub tokens: Vec<(Box<str>, Box<str>)>,
    /// The ids and secrets with which it signs.
    pub signers: Vec<(Box<str>, SignerKey)>,
    /// The subjects and alternative names of its certificates.
    pub certificates: Vec<Box<str>>,
}

/// An API key, as it is put into the table.
#[derive(Clone)]
pub struct NewKey {
    /// The SHA-256 of the key.
    pub digest: Digest,
    /// When it ends, in seconds since 1970.
    pub expires: Option<u64>,
    /// What people call it.
    pub name: Option<Box<str>>,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// What signatures of a consumer are checked with.
#[derive(Clone)]
pub enum SignerKey {
    /// A secret that both sides know.
    Secret(Box<[u8]>),
    /// A public key, PEM.
    Public(Box<str>),
}

impl fmt::Debug for SignerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SignerKey::Secret(_) => "Secret([hidden])",
            SignerKey::Public(_) => "Public",
        })
    }
}

/// How logs tell an API key from others: see [`Consumers::label`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyLabel {
    /// One of the configuration, by the place of its label.
    Written(u32),
    /// One that was made while the gateway ran, by its id.
    Stored(keys::Id),
}

/// Who an API key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyOwner {
    /// The consumer.
    pub consumer: u32,
    /// When the key ends, in seconds since 1970; `u64::MAX` for never.
    pub expires: u64,
    /// How logs tell it from others, if they do.
    pub label: Option<KeyLabel>,
}

/// A user who has a password.
#[derive(Clone)]
pub struct User {
    /// The consumer.
    pub consumer: u32,
    /// The hash of the password, in the form of its function: `$argon2id$…` or `$2b$…`.
    pub hash: Box<str>,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("consumer", &self.consumer).finish_non_exhaustive()
    }
}

/// All consumers, and how they are found.
#[derive(Debug, Default)]
pub struct Consumers {
    identities: Box<[Identity]>,
    api_keys: HashMap<Digest, KeyOwner, BuildHasherDefault<Prefix>>,
    labels: Vec<Box<str>>,
    users: HashMap<Box<str>, User>,
    /// The names of all users, one of whom stands in for somebody who does not exist.
    user_names: Vec<Box<str>>,
    decoys: RandomState,
    tokens: HashMap<(Box<str>, Box<str>), u32>,
    subjects: HashMap<Box<str>, u32>,
    signers: HashMap<Box<str>, (u32, SignerKey)>,
    certificates: HashMap<Box<str>, u32>,
    names: HashMap<Box<str>, u32>,
    have_stored_keys: bool,
    fingerprint: Digest,
}

impl Consumers {
    /// The table of these. Where two have the same credential the later one has it: whoever calls has said so before.
    pub fn new(list: &[NewConsumer]) -> Consumers {
        let mut table = Consumers::default();
        let mut context = digest::Context::new(&digest::SHA256);
        let mut identities = Vec::with_capacity(list.len());
        for (index, new) in list.iter().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let NewConsumer { name, groups, api_keys, users, tokens, signers, certificates } = new;
            for text in std::iter::once(name).chain(groups).chain(tokens.iter().flat_map(|(a, b)| [a, b])) {
                context.update(&(text.len() as u64).to_le_bytes());
                context.update(text.as_bytes());
            }
            context.update(&u64::MAX.to_le_bytes());
            identities.push(Identity {
                index: Some(index),
                consumer: Some(name.clone()),
                subject: name.clone(),
                groups: groups.clone().into(),
                fields: [(CONSUMER_FIELD.into(), name.as_bytes().into())].into(),
                ..Identity::default()
            });
            table.names.insert(name.clone(), index);
            for key in api_keys {
                let label = table.add_label(name, key);
                let expires = key.expires.unwrap_or(u64::MAX);
                table.api_keys.insert(key.digest, KeyOwner { consumer: index, expires, label });
            }
            for (name, hash) in users {
                table.user_names.push(name.clone());
                table.users.insert(name.clone(), User { consumer: index, hash: hash.clone() });
            }
            for (issuer, subject) in tokens {
                if issuer.is_empty() {
                    table.subjects.insert(subject.clone(), index);
                } else {
                    table.tokens.insert((issuer.clone(), subject.clone()), index);
                }
            }
            for (id, key) in signers {
                table.signers.insert(id.clone(), (index, key.clone()));
            }
            for name in certificates {
                table.certificates.insert(name.clone(), index);
            }
        }
        table.identities = identities.into();
        table.fingerprint.copy_from_slice(context.finish().as_ref());
        table
    }

    /// The same, where each of them may have API keys besides that are made while the gateway runs.
    #[must_use]
    pub fn with_stored_keys(self) -> Consumers {
        Consumers { have_stored_keys: true, ..self }
    }

    /// Whether they may have API keys that are made while the gateway runs: which, only a running one knows.
    pub fn have_stored_keys(&self) -> bool {
        self.have_stored_keys
    }

    /// What is known of a consumer.
    #[inline]
    pub fn identity(&self, index: u32) -> Option<&Identity> {
        self.identities.get(index as usize)
    }

    /// The place of a consumer by its name.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// All of them, in the order of the configuration.
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// The names of all, in the order of the configuration.
    pub fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.identities.iter().map(|identity| identity.name())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.identities.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.identities.is_empty()
    }

    /// Who an API key with this SHA-256 belongs to. One probe: the table has no more to tell by its timing than the
    /// first bits of a digest, which say nothing of the key.
    #[inline]
    pub fn by_api_key(&self, digest: &Digest) -> Option<KeyOwner> {
        self.api_keys.get(digest).copied()
    }

    /// How logs tell a key from others: by the consumer and its own name. One that has neither name nor end needs none:
    /// whoever shows it is known.
    fn add_label(&mut self, consumer: &str, key: &NewKey) -> Option<KeyLabel> {
        let label = match (&key.name, key.expires) {
            (Some(name), _) => format!("{consumer}/{name}"),
            (None, Some(_)) => consumer.to_owned(),
            (None, None) => return None,
        };
        self.labels.push(label.into());
        u32::try_from(self.labels.len() - 1).ok().map(KeyLabel::Written)
    }

    /// A key, as logs have it: `mobile/2026-11`, or its id.
    pub fn label<'a>(&'a self, label: &'a KeyLabel) -> Option<&'a str> {
        match label {
            KeyLabel::Written(place) => self.labels.get(*place as usize).map(|label| &**label),
            KeyLabel::Stored(id) => Some(id.as_str()),
        }
    }

    /// When the last of the API keys of a consumer ends, in seconds since 1970; `None` for one without a key. All are
    /// looked at: this is to explain and to check, and not for requests.
    pub fn last_api_key(&self, consumer: u32) -> Option<u64> {
        self.api_keys.values().filter(|owner| owner.consumer == consumer).map(|owner| owner.expires).max()
    }

    /// Whether a consumer has a password. All are looked at, likewise.
    pub fn has_user(&self, consumer: u32) -> bool {
        self.users.values().any(|user| user.consumer == consumer)
    }

    /// Whether a consumer has tokens of an issuer of which this holds. All are looked at, likewise.
    pub fn has_token(&self, consumer: u32, is_issuer: impl Fn(&str) -> bool) -> bool {
        self.subjects.values().any(|owner| *owner == consumer)
            || self.tokens.iter().any(|((issuer, _), owner)| *owner == consumer && is_issuer(issuer))
    }

    /// Whether a consumer signs. All are looked at, likewise.
    pub fn has_signer(&self, consumer: u32) -> bool {
        self.signers.values().any(|(owner, _)| *owner == consumer)
    }

    /// Whether a consumer has certificates. All are looked at, likewise.
    pub fn has_certificate(&self, consumer: u32) -> bool {
        self.certificates.values().any(|owner| *owner == consumer)
    }

    /// How many API keys there are.
    pub fn api_keys(&self) -> usize {
        self.api_keys.len()
    }

    /// The user of a name.
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// What the password of somebody who does not exist is compared with: the hash of a user, always the same for a name,
    /// so that no user can be told from nobody by the time that it takes. `None` where nobody has a password.
    pub fn decoy(&self, name: &str) -> Option<&str> {
        let count = self.user_names.len().max(1) as u64;
        let at = usize::try_from(self.decoys.hash_one(name) % count).unwrap_or_default();
        self.user(self.user_names.get(at)?).map(|user| &*user.hash)
    }

    /// How many users have a password.
    pub fn users(&self) -> usize {
        self.users.len()
    }

    /// Who the tokens of a subject of an issuer belong to. One that is named without an issuer is found whoever has
    /// issued the token.
    pub fn by_token(&self, issuer: &str, subject: &str) -> Option<u32> {
        // Asked once for each token that is verified, so a key may be made.
        let key = (issuer.into(), subject.into());
        self.tokens.get(&key).or_else(|| self.subjects.get(subject)).copied()
    }

    /// Who signs with an id, and with what.
    pub fn signer(&self, id: &str) -> Option<&(u32, SignerKey)> {
        self.signers.get(id)
    }

    /// All that sign: their ids and what they sign with.
    pub fn signers(&self) -> impl Iterator<Item = (&str, &(u32, SignerKey))> {
        self.signers.iter().map(|(id, signer)| (&**id, signer))
    }

    /// Who a certificate belongs to, by its subject, or by an alternative name with its kind in front.
    pub fn by_certificate(&self, name: &str) -> Option<u32> {
        self.certificates.get(name).copied()
    }

    /// How many subjects and names of certificates are known.
    pub fn certificates(&self) -> usize {
        self.certificates.len()
    }

    /// How many have something that a policy of this kind could recognise them by. Of tokens it is not known here who
    /// has to have issued them, of a directory not whom it knows, and of keys not who gets some while the gateway runs.
    pub fn recognised_by(&self, kind: &str) -> usize {
        let owners: HashSet<u32> = match kind {
            "api_key" if self.have_stored_keys => return self.len(),
            "api_key" => self.api_keys.values().map(|owner| owner.consumer).collect(),
            "basic" => self.users.values().map(|user| user.consumer).collect(),
            "hmac" => self.signers.values().map(|(consumer, _)| *consumer).collect(),
            "mtls" => self.certificates.values().copied().collect(),
            "jwt" | "introspection" | "oidc" => {
                self.tokens.values().chain(self.subjects.values()).copied().collect()
            }
            "ldap" => return self.len(),
            _ => return 0,
        };
        owners.len()
    }

    /// Another one for tables in which a verified token would mean somebody else.
    pub fn fingerprint(&self) -> &Digest {
        &self.fingerprint
    }
}

/// Hashes a digest by its first bytes: it is as good as random, and nobody who probes can choose what is in the table.
#[derive(Default)]
struct Prefix(u64);

impl Hasher for Prefix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    /// The length, which is always the same.
    fn write_usize(&mut self, _: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Consumers {
        let one = |name: &str, key: &str| NewConsumer {
            name: name.into(),
            groups: vec!["g".into()],
            api_keys: vec![NewKey { digest: digest_of(key.as_bytes()), expires: Some(7), name: None }],
            tokens: vec![("iss".into(), name.into())],
            ..NewConsumer::default()
        };
        Consumers::new(&[one("a", "key-a"), one("b", "key-b")])
    }

    #[test]
    fn each_is_found_by_what_is_its_own() {
        let table = table();
        let owner = table.by_api_key(&digest_of(b"key-b")).unwrap();
        assert_eq!((owner.consumer, owner.expires), (1, 7));
        let label = owner.label.as_ref().and_then(|label| table.label(label));
        assert_eq!(label, Some("b"), "it has an end and no name");
        assert_eq!(table.by_api_key(&digest_of(b"key-c")), None);
        assert_eq!((table.by_token("iss", "a"), table.by_token("other", "a")), (Some(0), None));
        assert_eq!(table.find("b").and_then(|index| table.identity(index)).map(Identity::name), Some("b"));
    }

    #[test]
    fn who_is_meant_changes_the_fingerprint_and_keys_do_not() {
        let mut changed = NewConsumer { name: "a".into(), ..NewConsumer::default() };
        let before = *Consumers::new(std::slice::from_ref(&changed)).fingerprint();
        changed.api_keys.push(NewKey { digest: [1; 32], expires: None, name: None });
        assert_eq!(*Consumers::new(std::slice::from_ref(&changed)).fingerprint(), before);
        changed.groups.push("x".into());
        assert_ne!(*Consumers::new(&[changed]).fingerprint(), before);
    }

    #[test]
    fn nothing_secret_is_printed() {
        let secret = NewConsumer {
            users: vec![("u".into(), "$argon2id$SECRET".into())],
            signers: vec![("i".into(), SignerKey::Secret(b"SECRET".as_slice().into()))],
            ..NewConsumer::default()
        };
        let table = format!("{:?}", Consumers::new(&[secret]));
        assert!(!table.contains("SECRET") && !table.contains("83, 69, 67"), "{table}");
    }
}

//! A key, and what can become of it: pure.
//!
//! It must not know where keys are kept. A key never changes: what changes it makes another one, which takes its place
//! when it is on the disk. Entry points: [`Key::new`], [`Key::rotated`], [`Key::state`].

use std::fmt;

use crate::Secret;

/// A SHA-256.
pub type Digest = [u8; 32];

/// How many secrets before the last one a key remembers; so many can hold at a time besides it.
pub const MOST_OLD: usize = 4;
/// The longest name, in bytes.
pub const NAME_MOST: usize = 256;

/// What keys are called in public: `k_` and 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u8; Id::LENGTH]);

impl Id {
    const LENGTH: usize = 18;

    /// Of these random bits.
    pub fn of(random: [u8; 8]) -> Id {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = *b"k_0000000000000000";
        for (pair, byte) in text[2..].chunks_exact_mut(2).zip(random) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        Id(text)
    }

    /// The id that a text is, if it is one.
    pub fn parse(text: &str) -> Option<Id> {
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let digits = text.strip_prefix("k_")?;
        digits.as_bytes().iter().all(is_hex).then(|| text.as_bytes().try_into().ok().map(Id))?
    }

    /// The text of it.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A secret that was replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Old {
    /// Its SHA-256.
    pub(crate) digest: Digest,
    /// Until when it holds, in seconds since 1970.
    pub until: u64,
}

impl fmt::Debug for Old {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Old").field("until", &self.until).finish_non_exhaustive()
    }
}

/// What is known of a key. Times are seconds since 1970.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    /// What it is called in public.
    pub id: Id,
    /// Whose it is: the name of a consumer.
    pub consumer: Box<str>,
    /// What people call it; empty for nothing.
    pub name: Box<str>,
    /// How its secret begins: `gw_Ab3d`.
    pub start: Box<str>,
    /// When it was made.
    pub created: u64,
    /// When its secret was made.
    pub rotated: u64,
    /// From when on it does not hold any more; `None` for never.
    pub expires: Option<u64>,
    /// Whether it is switched off.
    pub disabled: bool,
    /// The SHA-256 of its secret.
    pub(crate) digest: Digest,
    /// Secrets before that one, the oldest first.
    pub old: Vec<Old>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("consumer", &self.consumer)
            .field("expires", &self.expires)
            .field("disabled", &self.disabled)
            .field("old", &self.old)
            .finish_non_exhaustive()
    }
}

/// How a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It holds.
    Active,
    /// It is switched off.
    Disabled,
    /// Its time is over.
    Expired,
}

/// Why a key cannot be made or changed like this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The name is too long, or has characters that cannot be seen.
    Name,
    /// As many old secrets as there may be still hold, the first of them until then.
    OldSecrets(u64),
}

impl Key {
    /// A key that was never changed. `name` may be empty.
    ///
    /// # Errors
    /// The name is none that can be shown.
    pub fn new(
        id: Id,
        consumer: &str,
        name: &str,
        secret: &Secret,
        now: u64,
        expires: Option<u64>,
    ) -> Result<Key, Refused> {
        if name.len() > NAME_MOST || !name.chars().all(is_plain) || name.trim() != name {
            return Err(Refused::Name);
        }
        Ok(Key {
            id,
            consumer: consumer.into(),
            name: name.into(),
            start: secret.start().into(),
            created: now,
            rotated: now,
            expires,
            disabled: false,
            digest: secret.digest(),
            old: Vec::new(),
        })
    }

    /// The same with another secret. The one before holds for so many seconds more, and those before it as long as was
    /// said then; without `grace` all of them end now.
    ///
    /// # Errors
    /// Too many of them hold still.
    pub fn rotated(&self, secret: &Secret, now: u64, grace: u64) -> Result<Key, Refused> {
        let mut old = self.old.clone();
        old.push(Old { digest: self.digest, until: now.saturating_add(grace) });
        if grace == 0 {
            old.iter_mut().for_each(|old| old.until = old.until.min(now));
        }
        // What has ended is remembered only as long as there is room, to tell why it is refused.
        while old.len() > MOST_OLD {
            match old.iter().position(|old| old.until <= now) {
                Some(ended) => drop(old.remove(ended)),
                None => {
                    return Err(Refused::OldSecrets(old.iter().map(|old| old.until).min().unwrap_or(now)));
                }
            }
        }
        let (digest, start) = (secret.digest(), secret.start().into());
        Ok(Key { digest, start, rotated: now, old, ..self.clone() })
    }

    /// How it stands.
    pub fn state(&self, now: u64) -> State {
        if self.disabled {
            State::Disabled
        } else if self.expires.is_some_and(|end| now >= end) {
            State::Expired
        } else {
            State::Active
        }
    }

    /// What every secret of it is known by, and until when each of them holds if the key does. Those that were replaced
    /// come first.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = (Digest, Option<u64>)> {
        let old = self.old.iter().map(|old| (old.digest, Some(old.until)));
        old.chain(std::iter::once((self.digest, None)))
    }
}

/// Whether a character can stand in a name without harm: it neither breaks a line nor turns its direction.
fn is_plain(c: char) -> bool {
    let hidden = matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    !c.is_control() && !hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(expires: Option<u64>) -> Key {
        Key::new(Id::of([1; 8]), "mobile", "ci", &Secret::of(&[1; 32]), 1_000, expires).unwrap()
    }

    fn secret(number: u8) -> Secret {
        Secret::of(&[number; 32])
    }

    /// Until when each of its secrets before the last one holds.
    fn ends(key: &Key) -> Vec<u64> {
        key.old.iter().map(|old| old.until).collect()
    }

    #[test]
    fn ids_are_read_back_and_nothing_else_is_one() {
        let id = Id::of([0x7f, 0x3a, 0, 1, 2, 3, 4, 0xff]);
        assert_eq!(id.as_str(), "k_7f3a0001020304ff");
        assert_eq!(Id::parse(id.as_str()), Some(id));
        for wrong in ["", "k_", "k_7f3a0001020304f", "k_7f3a0001020304fff", "k_7F3A0001020304FF"] {
            assert_eq!(Id::parse(wrong), None, "{wrong}");
        }
        for wrong in ["x_7f3a0001020304ff", "k_7f3a0001020304f%", "k_7f3a%2f01020304", "k_7f3a000102030éf"] {
            assert_eq!(Id::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_key_holds_until_its_end_unless_it_is_switched_off() {
        let ends = key(Some(2_000));
        assert_eq!(
            [0, 1_999, 2_000].map(|now| ends.state(now)),
            [State::Active, State::Active, State::Expired]
        );
        assert_eq!(key(None).state(u64::MAX), State::Active);
        let off = Key { disabled: true, ..ends };
        assert_eq!([0, 2_000].map(|now| off.state(now)), [State::Disabled; 2]);
    }

    #[test]
    fn secrets_before_the_last_one_hold_as_long_as_was_said() {
        let first = key(None);
        let second = first.rotated(&secret(2), 2_000, 500).unwrap();
        assert_eq!((second.id, second.created, second.rotated), (first.id, 1_000, 2_000));
        assert_eq!((ends(&second), second.old[0].digest), (vec![2_500], first.digest));
        assert_eq!(second.digest, secret(2).digest());
        assert_ne!(second.start, first.start);
        // Twice within the time of grace: both go on.
        let third = second.rotated(&secret(3), 2_100, 100).unwrap();
        assert_eq!(ends(&third), [2_500, 2_200]);
        // Without one, all end.
        let fourth = third.rotated(&secret(4), 2_150, 0).unwrap();
        assert_eq!(ends(&fourth), [2_150, 2_150, 2_150]);
        assert_eq!(ends(&fourth.rotated(&secret(5), 3_000, u64::MAX).unwrap()).last(), Some(&u64::MAX));
    }

    #[test]
    fn so_many_old_secrets_hold_and_no_more() {
        let rotate = |key: &Key, now| key.rotated(&secret(now as u8), now, 100);
        let full = (1..=4).fold(key(None), |key, now| rotate(&key, 1_000 + now).unwrap());
        assert_eq!(ends(&full), [1_101, 1_102, 1_103, 1_104]);
        assert_eq!(rotate(&full, 1_005), Err(Refused::OldSecrets(1_101)));
        // One has ended, and gives way.
        assert_eq!(ends(&rotate(&full, 1_101).unwrap()), [1_102, 1_103, 1_104, 1_201]);
        assert_eq!(ends(&full.rotated(&secret(9), 1_005, 0).unwrap()), [1_005; 4]);
    }

    #[test]
    fn names_can_be_shown() {
        let named = |name: &str| Key::new(Id::of([1; 8]), "mobile", name, &secret(1), 0, None).map(|_| ());
        for fine in ["", "ci", "Grüße, 世界 🔑", "a \"b\" \\ {c}", &"x".repeat(NAME_MOST)] {
            assert_eq!(named(fine), Ok(()), "{fine}");
        }
        for wrong in ["a\nb", "\u{1b}[31m", "a\u{202e}b", "\u{200b}", " a", "a ", "\u{9b}", &"x".repeat(257)]
        {
            assert_eq!(named(wrong), Err(Refused::Name), "{wrong:?}");
        }
    }
}

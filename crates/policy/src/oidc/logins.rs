//! What is known of the logins of one client, whichever worker they come to: which sessions have ended, which are being
//! renewed, and the keys of cookies where the user names none.
//!
//! It outlives configurations: whoever has logged out does not get in again by a reload. It is the memory of one
//! process. Everything in it is bounded. Entry points: [`Logins::new`], [`Logins::is_ended`], [`Logins::renew`].

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::oidc::{Ended, Revocations, Room, Session};
use zeroize::Zeroizing;

use crate::Digest;

/// The most sessions that are remembered as ended, and the most persons: at most some 16 MiB each.
const MOST_ENDED: usize = 32 * 1024;
/// For how long, in seconds: longer than any session may last, because a reload can make them last longer. What is not
/// needed any more makes room when there is none.
const ENDED_FOR: u64 = 400 * 24 * 60 * 60;
/// The most renewals that are remembered. Each may hold cookies of 20 KiB.
const MOST_RENEWALS: usize = 1024;
/// How long a renewal may take: asking for tokens and for keys, each with its own limit, and some time. In seconds.
const PATIENCE: u64 = 12;
/// For how long requests with the cookies of before get the new ones, in seconds.
const OVERLAP: u64 = 30;
/// How soon a provider that is in trouble is asked again for the same session, in seconds.
const PAUSE: u64 = 5;

/// What is known of the logins of one client.
pub(crate) struct Logins {
    master: Zeroizing<[u8; 32]>,
    ended: Mutex<Revocations>,
    generation: AtomicU64,
    renewals: Mutex<HashMap<Digest, (u64, Renewal)>>,
}

impl fmt::Debug for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logins").finish_non_exhaustive()
    }
}

/// How far the renewal of a session has come.
#[derive(Debug, Clone)]
pub(super) enum Renewal {
    /// The provider is being asked.
    UnderWay,
    /// It is done.
    Done(Arc<Renewed>),
    /// The provider does not renew it any more.
    Ended,
    /// The provider could not be asked, or was in trouble.
    Failed,
}

/// A session that was renewed.
#[derive(Debug)]
pub(super) struct Renewed {
    /// The session.
    pub(super) session: Session,
    /// The complete `Set-Cookie` values that keep it.
    pub(super) cookies: Vec<String>,
}

impl Logins {
    /// Nothing is known yet. `None` if the system gives no randomness to make keys of.
    pub(crate) fn new() -> Option<Logins> {
        let mut master = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(&mut *master).ok()?;
        // What a worker remembers of an earlier one must not count for this one.
        let mut generation = [0; 8];
        aws_lc_rs::rand::fill(&mut generation).ok()?;
        Some(Logins {
            master,
            ended: Mutex::new(Revocations::new(MOST_ENDED, ENDED_FOR)),
            generation: AtomicU64::new(u64::from_le_bytes(generation)),
            renewals: Mutex::default(),
        })
    }

    /// What cookies are sealed with where the user names nothing: nobody knows it, and it ends with the process.
    pub(super) fn master(&self) -> &[u8; 32] {
        &self.master
    }

    /// Remembers what has ended.
    pub(super) fn end(&self, ended: &Ended, now: u64) {
        // What is dropped for lack of room is older than anything that could still be shown, unless tens of thousands
        // log out within the lifetime of a session.
        let (Room::Enough | Room::DroppedOldest) = lock(&self.ended).record(ended, now);
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Whether a session has ended.
    pub(super) fn is_ended(&self, session: &Session) -> bool {
        lock(&self.ended).is_ended(session)
    }

    /// Another number whenever something has ended. Who remembers that a session goes on reads this first: what is
    /// remembered is then never older than its number says.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// How the renewal of the session in these cookies goes; `None` if nobody is at it: then it is up to the caller, who
    /// says with [`Logins::settle`] what came of it.
    pub(super) fn renew(&self, cookies: &Digest, now: u64) -> Option<Renewal> {
        let mut renewals = lock(&self.renewals);
        renewals.retain(|_, (at, renewal)| now < at.saturating_add(renewal.holds_for()));
        if let Some((_, renewal)) = renewals.get(cookies) {
            return Some(renewal.clone());
        }
        if renewals.len() >= MOST_RENEWALS
            && let Some(oldest) = renewals.iter().min_by_key(|(_, (at, _))| *at).map(|(digest, _)| *digest)
        {
            renewals.remove(&oldest);
        }
        renewals.insert(*cookies, (now, Renewal::UnderWay));
        None
    }

    /// Says what came of a renewal.
    pub(super) fn settle(&self, cookies: &Digest, renewal: Renewal, now: u64) {
        // Its place is there unless that many others have begun since.
        if let Some(place) = lock(&self.renewals).get_mut(cookies) {
            *place = (now, renewal);
        }
    }
}

impl Renewal {
    fn holds_for(&self) -> u64 {
        match self {
            Renewal::UnderWay => PATIENCE,
            Renewal::Done(_) | Renewal::Ended => OVERLAP,
            Renewal::Failed => PAUSE,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(number: u32) -> Digest {
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&number.to_le_bytes());
        digest
    }

    #[test]
    fn one_renews_and_the_others_get_to_know() {
        let logins = Logins::new().unwrap();
        assert!(logins.renew(&cookies(1), 100).is_none());
        assert!(matches!(logins.renew(&cookies(1), 111), Some(Renewal::UnderWay)));
        assert!(logins.renew(&cookies(2), 111).is_none(), "another session");
        logins.settle(&cookies(1), Renewal::Ended, 111);
        assert!(matches!(logins.renew(&cookies(1), 140), Some(Renewal::Ended)));
        assert!(logins.renew(&cookies(1), 141).is_none(), "it is over");
        logins.settle(&cookies(1), Renewal::Failed, 141);
        assert!(matches!(logins.renew(&cookies(1), 145), Some(Renewal::Failed)));
        assert!(logins.renew(&cookies(1), 146).is_none(), "another attempt");
        assert!(logins.renew(&cookies(1), 158).is_none(), "whoever was at it is gone");
    }

    #[test]
    fn it_does_not_grow() {
        let logins = Logins::new().unwrap();
        for number in 0..3000 {
            assert!(logins.renew(&cookies(number), 100 + u64::from(number) / 1000).is_none());
        }
        assert_eq!(lock(&logins.renewals).len(), MOST_RENEWALS);
        assert!(logins.renew(&cookies(2999), 103).is_some() && logins.renew(&cookies(0), 103).is_none());
        logins.settle(&cookies(1), Renewal::Failed, 103);
        assert_eq!(lock(&logins.renewals).len(), MOST_RENEWALS, "it was dropped, and stays so");
    }
}

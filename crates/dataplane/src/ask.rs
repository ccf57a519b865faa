//! Asks what a policy has to know before it can judge.
//!
//! A request that waits for an answer costs what any waiting request does; the worker goes on with others meanwhile.
//! What takes a processor for long is done on threads of their own, a bounded number of them, and who would have to wait
//! for too long is told so. Entry point: [`answer`].

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use authority::Client;
use policy::{Answer, Issuer, Question};
use tokio::sync::Semaphore;

use crate::serving::Serving;

/// Passwords that a worker looks at, at a time.
const AT_A_TIME: usize = 1;
/// Requests of a worker that may wait for that.
const MOST_WAITING: usize = 64;
/// Of these, those of one client: others are to get in while somebody guesses.
const MOST_OF_ONE: usize = 8;
/// How long one of them may wait.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a request waits for keys that are fetched because of it.
const KEYS: Duration = Duration::from_secs(3);

/// What a worker has for it.
pub(crate) struct Asking {
    turns: Semaphore,
    /// Whose requests wait.
    waiting: RefCell<Vec<IpAddr>>,
    /// Connections to servers that vouch for callers or decide about them.
    client: Client,
    /// Directories that verify passwords.
    #[cfg(feature = "ldap")]
    directories: crate::directory::Directories,
}

impl Default for Asking {
    fn default() -> Asking {
        Asking {
            turns: Semaphore::new(AT_A_TIME),
            waiting: RefCell::default(),
            client: Client::new(),
            #[cfg(feature = "ldap")]
            directories: crate::directory::Directories::default(),
        }
    }
}

/// Counts a request for as long as it waits.
pub(crate) struct Waiting<'a>(&'a RefCell<Vec<IpAddr>>, IpAddr);

impl<'a> Waiting<'a> {
    /// `None` if there is no room.
    pub(crate) fn new(all: &'a RefCell<Vec<IpAddr>>, client: IpAddr) -> Option<Waiting<'a>> {
        let client = message::client_network(client);
        let mut waiting = all.borrow_mut();
        let own = waiting.iter().filter(|other| **other == client).count();
        if waiting.len() >= MOST_WAITING || own >= MOST_OF_ONE {
            return None;
        }
        waiting.push(client);
        drop(waiting);
        Some(Waiting(all, client))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.borrow_mut();
        if let Some(at) = waiting.iter().position(|client| *client == self.1) {
            waiting.swap_remove(at);
        }
    }
}

/// The answer to what a policy has asked.
pub(crate) async fn answer(s: &mut Serving<'_>, question: Question) -> Answer {
    let worker = Rc::clone(s.worker);
    let asking = &worker.asking;
    match question {
        // It was read before: see `hold.rs`.
        Question::Body { .. } => Answer::Body,
        Question::Password { password, hash } => {
            let Some(_waiting) = Waiting::new(&asking.waiting, s.request.client) else {
                return Answer::Nothing("too many passwords wait to be looked at".to_owned());
            };
            let look = async {
                let _turn = asking.turns.acquire().await.ok()?;
                tokio::task::spawn_blocking(move || policy::verify_password(&password, &hash)).await.ok()
            };
            match tokio::time::timeout(PATIENCE, look).await {
                Ok(Some(right)) => Answer::Password(right),
                Ok(None) | Err(_) => Answer::Nothing("a password could not be looked at in time".to_owned()),
            }
        }
        Question::Http(ask) => match asking.client.ask(*ask).await {
            Ok(answer) => Answer::Http(Box::new(answer)),
            Err(trouble) => Answer::Nothing(trouble.to_string()),
        },
        Question::Later(time) => {
            tokio::time::sleep(time).await;
            Answer::Later
        }
        Question::Keys(issuer) => fetch(&issuer, worker.clock.seconds(Instant::now())).await,
        Question::Store(asks) => Answer::Store(Box::new(worker.counting.decide(&asks).await)),
        #[cfg(feature = "ldap")]
        Question::Ldap(ask) => asking.directories.ask(*ask, s.request.client).await,
        // Configurations with this question are refused by a build that cannot put it.
        #[cfg(not(feature = "ldap"))]
        Question::Ldap(_) => Answer::Nothing("this build cannot ask directories".to_owned()),
    }
}

/// Waits for the keys of an issuer to be fetched anew; not if that was done so lately that it is not done again.
async fn fetch(issuer: &Issuer, now: u64) -> Answer {
    let keys = issuer.keys();
    let failed = || {
        let status = keys.status();
        // Whoever waited would hold a place for somebody who has shown nothing that is genuine.
        let why = status.last_error.filter(|_| status.failures > 0)?;
        Some(Answer::Nothing(format!("the keys of {} cannot be fetched: {why}", issuer.name())))
    };
    let last = keys.status().last_success;
    if last.is_some_and(|at| now < at.saturating_add(policy::BETWEEN_ASKED.as_secs())) {
        return Answer::Keys;
    }
    if let Some(failed) = failed() {
        keys.ask_for_refresh();
        return failed;
    }
    match tokio::time::timeout(KEYS, keys.refreshed()).await {
        Ok(()) => failed().unwrap_or(Answer::Keys),
        Err(_) => Answer::Nothing(format!("the keys of {} could not be fetched in time", issuer.name())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_places_of_those_who_wait() {
        let all = RefCell::default();
        let of = |text: &str| text.parse().unwrap();
        let mut held: Vec<_> =
            (0..20_u8).filter_map(|at| Waiting::new(&all, of(&format!("2001:db8::{at}")))).collect();
        assert_eq!(held.len(), MOST_OF_ONE);
        held.extend((0..200_u8).filter_map(|at| Waiting::new(&all, of(&format!("192.0.2.{at}")))));
        assert_eq!((held.len(), Waiting::new(&all, of("192.0.2.201")).is_none()), (MOST_WAITING, true));
        drop(held);
        assert!(all.borrow().is_empty() && Waiting::new(&all, of("::ffff:192.0.2.1")).is_some());
    }
}

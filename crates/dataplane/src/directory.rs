//! Asks directories whether passwords are right (LDAP, RFC 4511).
//!
//! Each question has a connection of its own, and a task of its own, which ends with the question. How many there are at a
//! time is bounded, and so is how many wait, for how long, and what a directory may say. It must not know policies beyond
//! what a question holds. Entry point: [`Directories::ask`].

mod connect;
mod dialogue;
mod guard;

use std::cell::RefCell;
use std::net::IpAddr;

use authority::Trust;
use policy::Answer;
use policy::ldap::{AskDirectory, Directory, Entry, Security};
use tls::ClientSettings;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::ask::Waiting;

/// Questions of a worker that are under way, at a time.
const AT_A_TIME: usize = 16;
/// Sets of authorities that are kept ready, for each worker; what is used least makes room.
const MOST_WAYS: usize = 8;

/// What a worker has for it.
pub(crate) struct Directories {
    turns: Semaphore,
    waiting: RefCell<Vec<IpAddr>>,
    /// The one used last is the first. They remember sessions, so that another handshake costs less.
    ways: RefCell<Vec<(Trust, tls::Client)>>,
}

impl Default for Directories {
    fn default() -> Directories {
        Directories {
            turns: Semaphore::new(AT_A_TIME),
            waiting: RefCell::default(),
            ways: RefCell::default(),
        }
    }
}

impl Directories {
    /// Asks for a client, and waits for a turn before that.
    pub(crate) async fn ask(&self, ask: AskDirectory, client: IpAddr) -> Answer {
        let limit = ask.directory.timeout;
        let name = ask.directory.to_string();
        match tokio::time::timeout(limit, self.take_turn(ask, client)).await {
            Ok(Ok(entry)) => Answer::Ldap(entry.map(Box::new)),
            Ok(Err(why)) => Answer::Nothing(format!("{name}: {why}")),
            Err(_) => Answer::Nothing(format!("{name}: no answer within {} ms", limit.as_millis())),
        }
    }

    async fn take_turn(&self, ask: AskDirectory, client: IpAddr) -> Result<Option<Entry>, String> {
        let waiting = Waiting::new(&self.waiting, client);
        let waiting = waiting.ok_or_else(|| "too many requests wait for directories".to_owned())?;
        let _turn = self.turns.acquire().await.map_err(|error| error.to_string())?;
        drop(waiting);
        let tls = self.tls(&ask.directory)?;
        // The library trusts what it reads. A task of its own holds what comes of that, and is ended when nobody waits.
        let mut task = JoinSet::new();
        task.spawn_local(dialogue::ask(ask, tls));
        match task.join_next().await {
            Some(Ok(outcome)) => outcome,
            _ => Err("what it answers cannot be read".to_owned()),
        }
    }

    /// How it is verified who a directory is; `None` where that is not.
    fn tls(&self, directory: &Directory) -> Result<Option<tls::Client>, String> {
        if directory.security == Security::Plain {
            return Ok(None);
        }
        let mut ways = self.ways.borrow_mut();
        let at = ways.iter().position(|(trust, _)| *trust == directory.trust);
        let (trust, client) = match at {
            Some(at) => ways.remove(at),
            None => (directory.trust.clone(), client(&directory.trust).map_err(|error| error.to_string())?),
        };
        ways.truncate(MOST_WAYS - 1);
        ways.insert(0, (trust, client.clone()));
        Ok(Some(client))
    }
}

fn client(trust: &Trust) -> Result<tls::Client, tls::Error> {
    let authorities = match trust {
        Trust::System => tls::Authorities::of_system()?,
        Trust::These(authorities) => authorities.clone(),
    };
    tls::Client::new(ClientSettings { authorities, ..ClientSettings::default() })
}

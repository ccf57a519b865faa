//! What an operator should know at once: a service that fails, clients with which no handshake succeeds.
//!
//! One line for each kind of failure of a service or listener, and no more than one in a while, however many there
//! are. Lines leave through a bounded queue; when nobody takes them they are counted with the next one.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use message::Fault;
use snapshot::{Listener, Service};
use telemetry::Handshake;
use tokio::sync::mpsc;

use crate::timer::Tick;

/// Between two lines about the same failure of the same service.
const PAUSE: Duration = Duration::from_secs(10);
/// Between two lines about handshakes that fail in the same way: a port that the world can reach sees that all day.
const HANDSHAKE_PAUSE: Duration = Duration::from_secs(60);
/// Lines that may wait to be written.
const QUEUE: usize = 256;

/// Something that an operator should know.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// A service has failed.
    Service(ServiceTrouble),
    /// A handshake with a client has failed.
    Handshake(HandshakeTrouble),
    /// Somebody whom a policy has asked has not answered, or a policy that only reports has found something.
    Unanswered(UnansweredTrouble),
    /// How the store that gateways share is now.
    Store(String),
}

/// Somebody whom a policy has asked has not answered, and a request could not be served because of that; or a policy that
/// only reports has found something.
#[derive(Debug, Clone)]
pub struct UnansweredTrouble {
    /// The kind of the policy.
    pub policy: &'static str,
    /// Why, in words.
    pub why: String,
    /// The id of the request, which its client was told.
    pub request_id: String,
    /// How often the same happened since the last line about it.
    pub more: u64,
}

/// A failure of a service.
#[derive(Debug, Clone)]
pub struct ServiceTrouble {
    /// The name of the service.
    pub service: Box<str>,
    /// The address that failed, if it came to that.
    pub address: Option<SocketAddr>,
    /// What happened.
    pub fault: Fault,
    /// What more is known of it.
    pub detail: Option<Box<str>>,
    /// The id of the request, which its client was told.
    pub request_id: String,
    /// How often the same happened since the last line about it.
    pub more: u64,
}

/// A handshake with a client that failed.
#[derive(Debug, Clone)]
pub struct HandshakeTrouble {
    /// Where the client came in.
    pub listener: SocketAddr,
    /// The client.
    pub peer: SocketAddr,
    /// How it ended.
    pub outcome: Handshake,
    /// Why, in words.
    pub why: String,
    /// How often the same happened since the last line about it.
    pub more: u64,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Service(trouble) => trouble.fmt(f),
            Trouble::Handshake(trouble) => trouble.fmt(f),
            Trouble::Store(line) => f.write_str(line),
            Trouble::Unanswered(UnansweredTrouble { policy, why, request_id, more }) => {
                write!(f, "policy {policy}: {why} (request {request_id}{})", More(*more))
            }
        }
    }
}

impl fmt::Display for ServiceTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service {}: {}", self.service, self.fault.code())?;
        if let Some(address) = self.address {
            write!(f, " at {address}")?;
        }
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        write!(f, " (request {}{})", self.request_id, More(self.more))
    }
}

impl fmt::Display for HandshakeTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HandshakeTrouble { listener, peer, outcome, why, more } = self;
        write!(f, "listener {listener}: no TLS handshake with {peer}: {why} ({outcome}{})", More(*more))
    }
}

/// How often the same happened since the last line, where it did.
struct More(u64);

impl fmt::Display for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 0 { write!(f, "; {} more since the last line", self.0) } else { Ok(()) }
    }
}

/// The queue of failures.
pub fn troubles() -> (mpsc::Sender<Trouble>, mpsc::Receiver<Trouble>) {
    mpsc::channel(QUEUE)
}

/// What one worker has said, and when. As large as there are services, listeners and kinds of failures.
pub(crate) struct Troubles {
    queue: mpsc::Sender<Trouble>,
    services: RefCell<HashMap<(Box<str>, Fault), Said>>,
    handshakes: RefCell<HashMap<(SocketAddr, Handshake), Said>>,
    /// By kinds of policies, of which there are few.
    unanswered: RefCell<HashMap<&'static str, Said>>,
}

#[derive(Default)]
struct Said {
    again: u64,
    held_back: u64,
}

impl Said {
    /// Says it, unless the same was said a moment ago. `line` is made from how often it was held back.
    fn say(
        &mut self,
        now: Tick,
        pause: Duration,
        queue: &mpsc::Sender<Trouble>,
        line: impl FnOnce(u64) -> Trouble,
    ) {
        if now.0 < self.again {
            self.held_back += 1;
            return;
        }
        match queue.try_send(line(self.held_back)) {
            Ok(()) => *self = Said { again: now.after(pause).0, held_back: 0 },
            Err(_) => self.held_back += 1,
        }
    }
}

impl Troubles {
    pub(crate) fn new(queue: mpsc::Sender<Trouble>) -> Troubles {
        Troubles {
            queue,
            services: RefCell::default(),
            handshakes: RefCell::default(),
            unanswered: RefCell::default(),
        }
    }

    /// For another one who says something, and has said nothing yet.
    pub(crate) fn another(&self) -> Troubles {
        Troubles::new(self.queue.clone())
    }

    /// How the store is now. Whoever says it does so seldom; a line for which there is no room is lost.
    pub(crate) fn say_store(&self, line: String) {
        _ = self.queue.try_send(Trouble::Store(line));
    }

    /// Somebody whom a policy has asked has not answered, or a policy that only reports has found something.
    pub(crate) fn say_unanswered(&self, now: Tick, policy: &'static str, why: String, request_id: String) {
        let mut unanswered = self.unanswered.borrow_mut();
        unanswered.entry(policy).or_default().say(now, PAUSE, &self.queue, |more| {
            Trouble::Unanswered(UnansweredTrouble { policy, why, request_id, more })
        });
    }

    /// Forgets services and listeners that have left the configuration.
    pub(crate) fn keep(&self, services: &[Service], listeners: &[Listener]) {
        let names: HashSet<&str> = services.iter().map(|service| &*service.name).collect();
        self.services.borrow_mut().retain(|(service, _), _| names.contains(&**service));
        let addresses: HashSet<SocketAddr> = listeners.iter().map(|listener| listener.address).collect();
        self.handshakes.borrow_mut().retain(|(listener, _), _| addresses.contains(listener));
    }

    /// Says that a service failed, unless the same was said a moment ago.
    pub(crate) fn say(
        &self,
        now: Tick,
        service: &str,
        address: Option<SocketAddr>,
        fault: Fault,
        detail: Option<Box<str>>,
        request_id: &str,
    ) {
        let mut said = self.services.borrow_mut();
        said.entry((service.into(), fault)).or_default().say(now, PAUSE, &self.queue, |more| {
            let request_id = request_id.to_owned();
            Trouble::Service(ServiceTrouble {
                service: service.into(),
                address,
                fault,
                detail,
                request_id,
                more,
            })
        });
    }

    /// Says that a handshake failed, unless the same was said not long ago.
    pub(crate) fn say_handshake(
        &self,
        now: Tick,
        listener: SocketAddr,
        peer: SocketAddr,
        outcome: Handshake,
        why: String,
    ) {
        let mut said = self.handshakes.borrow_mut();
        said.entry((listener, outcome)).or_default().say(now, HANDSHAKE_PAUSE, &self.queue, |more| {
            Trouble::Handshake(HandshakeTrouble { listener, peer, outcome, why, more })
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_in_a_while_and_counted() {
        let (queue, mut lines) = troubles();
        let troubles = Troubles::new(queue);
        let say = |tick, service, fault| troubles.say(Tick(tick), service, None, fault, None, "id");
        say(0, "a", Fault::ConnectFailed);
        say(1, "a", Fault::ConnectFailed);
        say(2, "a", Fault::ConnectFailed);
        say(3, "a", Fault::ResponseTimeout);
        say(4, "b", Fault::ConnectFailed);
        say(1000, "a", Fault::ConnectFailed);
        let mut all = Vec::new();
        while let Ok(line) = lines.try_recv() {
            all.push(line.to_string());
        }
        assert_eq!(
            all,
            [
                "service a: connect-failed (request id)",
                "service a: response-timeout (request id)",
                "service b: connect-failed (request id)",
                "service a: connect-failed (request id; 2 more since the last line)",
            ]
        );
    }

    #[test]
    fn handshakes_are_spoken_of_less_often() {
        let (queue, mut lines) = troubles();
        let troubles = Troubles::new(queue);
        let (listener, peer) = ("0.0.0.0:443".parse().unwrap(), "192.0.2.1:5000".parse().unwrap());
        let why = "it shows no certificate, and one is required";
        let say = |tick: u64| {
            troubles.say_handshake(Tick(tick), listener, peer, Handshake::NoCertificate, why.to_owned());
        };
        say(0);
        say(1);
        say(Tick(0).after(PAUSE).0);
        say(Tick(0).after(HANDSHAKE_PAUSE).0);
        let mut all = Vec::new();
        while let Ok(line) = lines.try_recv() {
            all.push(line.to_string());
        }
        let line = "listener 0.0.0.0:443: no TLS handshake with 192.0.2.1:5000: it shows no certificate, and one is \
                    required (no_certificate";
        assert_eq!(all, [format!("{line})"), format!("{line}; 2 more since the last line)")]);
    }
}

//! What an operator should know at once: a service that fails.
//!
//! One line for each kind of failure of a service, and no more than one in [`PAUSE`], however many requests
//! fail. Lines leave through a bounded queue; when nobody takes them they are counted with the next one.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use message::Fault;
use snapshot::Service;
use tokio::sync::mpsc;

use crate::timer::Tick;

/// Between two lines about the same failure of the same service.
const PAUSE: Duration = Duration::from_secs(10);
/// Lines that may wait to be written.
const QUEUE: usize = 256;

/// A failure of a service.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// The name of the service.
    pub service: Box<str>,
    /// The address that failed, if it came to that.
    pub address: Option<SocketAddr>,
    /// What happened.
    pub fault: Fault,
    /// The id of the request, which its client was told.
    pub request_id: String,
    /// How often the same happened since the last line about it.
    pub more: u64,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "service {}: {}", self.service, self.fault.code())?;
        if let Some(address) = self.address {
            write!(f, " at {address}")?;
        }
        write!(f, " (request {}", self.request_id)?;
        if self.more > 0 {
            write!(f, "; {} more since the last line", self.more)?;
        }
        write!(f, ")")
    }
}

/// The queue of failures.
pub fn troubles() -> (mpsc::Sender<Trouble>, mpsc::Receiver<Trouble>) {
    mpsc::channel(QUEUE)
}

/// What one worker has said, and when. As large as there are services and kinds of failures.
pub(crate) struct Troubles {
    queue: mpsc::Sender<Trouble>,
    said: RefCell<HashMap<(Box<str>, Fault), Said>>,
}

#[derive(Default)]
struct Said {
    again: u64,
    held_back: u64,
}

impl Troubles {
    pub(crate) fn new(queue: mpsc::Sender<Trouble>) -> Troubles {
        Troubles { queue, said: RefCell::default() }
    }

    /// Forgets services that have left the configuration.
    pub(crate) fn keep(&self, services: &[Service]) {
        let names: HashSet<&str> = services.iter().map(|service| &*service.name).collect();
        self.said.borrow_mut().retain(|(service, _), _| names.contains(&**service));
    }

    /// Says that a service failed, unless the same was said a moment ago.
    pub(crate) fn say(
        &self,
        now: Tick,
        service: &str,
        address: Option<SocketAddr>,
        fault: Fault,
        request_id: &str,
    ) {
        let mut said = self.said.borrow_mut();
        let said = said.entry((service.into(), fault)).or_default();
        if now.0 < said.again {
            said.held_back += 1;
            return;
        }
        let trouble = Trouble {
            service: service.into(),
            address,
            fault,
            request_id: request_id.to_owned(),
            more: said.held_back,
        };
        match self.queue.try_send(trouble) {
            Ok(()) => *said = Said { again: now.after(PAUSE).0, held_back: 0 },
            Err(_) => said.held_back += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_in_a_while_and_counted() {
        let (queue, mut lines) = troubles();
        let troubles = Troubles::new(queue);
        let say = |tick, service, fault| troubles.say(Tick(tick), service, None, fault, "id");
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
}

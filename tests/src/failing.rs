//! A service whose behaviour can be changed while it runs, and a process that can be stopped and killed.
//!
//! Every answer says who gave it, in `x-served-by`, and to which request: the body is the target. Entry points:
//! [`Failing`], [`Process`].

mod process;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use process::Process;

use crate::message::Kind;
use crate::{Bell, Link, Message, Origin};

/// Longer than any test.
const FOREVER: Duration = Duration::from_secs(3600);

/// How a service behaves. By default it answers all requests at once with 200.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Behaviour {
    /// How many of a hundred requests fail, spread evenly.
    pub share: u64,
    /// How they fail.
    pub failure: Failure,
    /// How long every answer takes, and every failure.
    pub delay: Duration,
    /// What goes into `retry-after` of failures with a status, in seconds.
    pub retry_after: Option<u32>,
}

/// How a request fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// It is answered with this status.
    Status(u16),
    /// The connection is reset before the answer.
    Reset,
    /// The connection is closed before the answer.
    Close,
    /// It is never answered, and neither is what follows on its connection.
    Silence,
}

impl Default for Failure {
    fn default() -> Failure {
        Failure::Status(503)
    }
}

impl Behaviour {
    /// Every request fails in this way.
    pub fn failing(failure: Failure) -> Behaviour {
        Behaviour { share: 100, failure, ..Behaviour::default() }
    }

    /// Every request is answered, after this time.
    pub fn slow(delay: Duration) -> Behaviour {
        Behaviour { delay, ..Behaviour::default() }
    }
}

/// A service of HTTP/1.1.
pub struct Failing {
    origin: Origin,
    shared: Arc<Shared>,
}

struct Shared {
    name: String,
    state: Mutex<State>,
    links: Mutex<Vec<(Arc<Link>, Bell)>>,
}

#[derive(Default)]
struct State {
    usual: Behaviour,
    /// For some targets another one.
    special: BTreeMap<String, Behaviour>,
    paused: bool,
    /// Requests for each target, and those of them that failed.
    counts: BTreeMap<String, (u64, u64)>,
    /// Requests that have no answer yet, and the most there ever were at a time.
    waiting: usize,
    most: usize,
}

impl Failing {
    /// One with a name.
    pub fn named(name: &str) -> Failing {
        let shared =
            Arc::new(Shared { name: name.to_owned(), state: Mutex::default(), links: Mutex::default() });
        let serving = Arc::clone(&shared);
        Failing { origin: Origin::raw(move |stream| serving.serve(stream)), shared }
    }

    /// Several at a time.
    pub fn several<const COUNT: usize>(names: [&str; COUNT]) -> [Failing; COUNT] {
        names.map(Failing::named)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.origin.address()
    }

    /// What it says in `x-served-by`.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// How it behaves from the next request on.
    pub fn set(&self, behaviour: Behaviour) {
        self.shared.state.lock().unwrap().usual = behaviour;
    }

    /// How it behaves towards requests for one target, whatever holds for others.
    pub fn set_for(&self, target: &str, behaviour: Behaviour) {
        self.shared.state.lock().unwrap().special.insert(target.to_owned(), behaviour);
    }

    /// Accepts connections and requests, and answers none, until [`Failing::resume`].
    pub fn pause(&self) {
        self.shared.state.lock().unwrap().paused = true;
    }

    /// Answers all that came meanwhile, and goes on.
    pub fn resume(&self) {
        self.shared.state.lock().unwrap().paused = false;
        let links = self.shared.links.lock().unwrap().clone();
        links.iter().for_each(|(_, bell)| bell.ring());
    }

    /// How many requests came in all.
    pub fn count(&self) -> u64 {
        self.shared.state.lock().unwrap().counts.values().map(|(came, _)| came).sum()
    }

    /// How many of them it let fail.
    pub fn failed(&self) -> u64 {
        self.shared.state.lock().unwrap().counts.values().map(|(_, failed)| failed).sum()
    }

    /// How many requests came for one target.
    pub fn count_of(&self, target: &str) -> u64 {
        self.shared.state.lock().unwrap().counts.get(target).map_or(0, |(came, _)| *came)
    }

    /// How many requests wait for their answer now.
    pub fn waiting(&self) -> usize {
        self.shared.state.lock().unwrap().waiting
    }

    /// How many waited at a time at most.
    pub fn most_waiting(&self) -> usize {
        self.shared.state.lock().unwrap().most
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.shared.links.lock().unwrap().len()
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        for (link, bell) in self.shared.links.lock().unwrap().drain(..) {
            link.close();
            bell.ring();
        }
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) {
        let bell = Bell::default();
        let link = Arc::new(Link::new(stream, &bell));
        self.links.lock().unwrap().push((Arc::clone(&link), bell.clone()));
        while let Ok(request) = link.read(Kind::Request, FOREVER) {
            let (behaviour, fails) = self.begin(request.target());
            let answered = self.wait(&link, &bell, &behaviour)
                && match behaviour.failure {
                    _ if !fails => link.send(self.answer(&request, 200, None)),
                    Failure::Status(status) => {
                        link.send(self.answer(&request, status, behaviour.retry_after))
                    }
                    Failure::Reset => {
                        link.reset();
                        false
                    }
                    Failure::Close => false,
                    Failure::Silence => bell.wait(FOREVER, || link.end()).is_none(),
                };
            self.state.lock().unwrap().waiting -= 1;
            if !answered {
                break;
            }
        }
        link.close();
    }

    /// Counts a request, and says how it is treated, and whether it is to fail.
    fn begin(&self, target: &str) -> (Behaviour, bool) {
        let mut state = self.state.lock().unwrap();
        let behaviour = state.special.get(target).unwrap_or(&state.usual).clone();
        state.waiting += 1;
        state.most = state.most.max(state.waiting);
        let (came, failed) = state.counts.entry(target.to_owned()).or_default();
        *came += 1;
        // Evenly: whenever the share of all so far reaches the next whole number.
        let fails = *came * behaviour.share / 100 > (*came - 1) * behaviour.share / 100;
        *failed += u64::from(fails);
        (behaviour, fails)
    }

    /// Waits as long as an answer has to. `false` if the connection ends meanwhile.
    fn wait(&self, link: &Link, bell: &Bell, behaviour: &Behaviour) -> bool {
        let ended = || link.end().is_some();
        if !behaviour.delay.is_zero() && bell.wait(behaviour.delay, || ended().then_some(())).is_some() {
            return false;
        }
        let held = || self.state.lock().unwrap().paused;
        bell.wait(FOREVER, || (ended() || !held()).then_some(())).is_some() && !ended()
    }

    fn answer(&self, request: &Message, status: u16, retry_after: Option<u32>) -> String {
        let retry = retry_after.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
        let body = request.target();
        let shown = if request.method() == "HEAD" { "" } else { body };
        format!(
            "HTTP/1.1 {status} As Told\r\nX-Served-By: {}\r\n{retry}Content-Length: {}\r\n\r\n{shown}",
            self.name,
            body.len()
        )
    }
}

#[cfg(test)]
mod tests;

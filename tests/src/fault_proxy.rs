//! A TCP proxy between the gateway and a service, which fails in the ways in which services and networks do.
//!
//! It knows nothing of what passes, and changes no byte of it: it delays, slices, stops and ends. [`Faults`] say what it
//! does with a connection: with those to come ([`FaultProxy::set`], [`FaultProxy::once`]), or with one that is open
//! ([`Passage::set`]). Entry points: [`FaultProxy::to`], and [`Stand`] for a gateway with one in front of its service.

mod faults;
mod passage;
mod stand;

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use socket2::{Domain, Socket, Type};

pub use faults::{Faults, Then, Way};
pub use passage::Passage;
pub use stand::{Outcome, Stand, outcome, yaml};

use crate::{Bell, free_address};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// A TCP proxy in front of one service.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    /// One socket for all its life, so that nobody else gets the port while connections are refused.
    listener: Arc<Socket>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    service: SocketAddr,
    door: Mutex<Door>,
    passages: Mutex<Vec<Arc<Passage>>>,
    bell: Bell,
}

/// What happens to connections to come.
#[derive(Default, Debug)]
struct Door {
    faults: Faults,
    next: VecDeque<Faults>,
    refuses: bool,
    stopped: bool,
}

impl FaultProxy {
    /// Begins to pass connections to a service, at first without any fault.
    pub fn to(service: SocketAddr) -> FaultProxy {
        let (address, listener) = (0..100).find_map(|_| bind(free_address())).expect("no port is free");
        let shared =
            Shared { service, door: Mutex::default(), passages: Mutex::default(), bell: Bell::default() };
        let proxy = FaultProxy { address, listener: Arc::new(listener), shared: Arc::new(shared) };
        let (listener, shared) = (Arc::clone(&proxy.listener), Arc::clone(&proxy.shared));
        std::thread::spawn(move || accept(&listener, &shared));
        proxy
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happens to connections from now on. Those that are open stay as they are.
    pub fn set(&self, faults: Faults) {
        self.shared.door.lock().unwrap().faults = faults;
    }

    /// What happens to the next connection, and to no other. Several wait for their turn.
    pub fn once(&self, faults: Faults) {
        self.shared.door.lock().unwrap().next.push_back(faults);
    }

    /// What happens to all connections from now on, to those that are open too.
    pub fn set_all(&self, faults: Faults) {
        self.set(faults);
        self.open().iter().for_each(|passage| passage.set(faults));
    }

    /// Connections are refused from now on, as where nobody listens. Those that are open stay as they are.
    pub fn refuse(&self) {
        self.shared.door.lock().unwrap().refuses = true;
        self.unlisten();
    }

    /// Connections are accepted again.
    pub fn accept_again(&self) {
        self.listener.listen(BACKLOG).unwrap();
        self.shared.door.lock().unwrap().refuses = false;
        self.shared.bell.ring();
    }

    /// Linux: the socket stops listening and keeps its port; who waits in its queue is reset, and the accepting thread
    /// wakes.
    fn unlisten(&self) {
        let _ = self.listener.shutdown(std::net::Shutdown::Read);
    }

    /// All connections so far, in the order in which they came.
    pub fn passages(&self) -> Vec<Arc<Passage>> {
        self.shared.passages.lock().unwrap().clone()
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        self.shared.passages.lock().unwrap().len()
    }

    /// The connections that are open now.
    pub fn open(&self) -> Vec<Arc<Passage>> {
        self.passages().into_iter().filter(|passage| !passage.is_over()).collect()
    }

    /// Ends all connections that are open, as when the service dies.
    pub fn end_all(&self, how: Then) {
        self.open().iter().for_each(|passage| passage.end(how));
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.door.lock().unwrap().stopped = true;
        self.unlisten();
        self.shared.bell.ring();
        self.end_all(Then::Close);
    }
}

/// A listening socket; `None` if somebody else has taken the port meanwhile.
fn bind(address: SocketAddr) -> Option<(SocketAddr, Socket)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    // Connections that are open have the same port, and must not keep it from listening again.
    socket.set_reuse_address(true).unwrap();
    socket.bind(&address.into()).and_then(|()| socket.listen(BACKLOG)).ok()?;
    Some((address, socket))
}

fn accept(listener: &Socket, shared: &Arc<Shared>) {
    loop {
        if let Ok((socket, _)) = listener.accept() {
            begin(socket.into(), shared);
            continue;
        }
        let goes_on = shared.bell.wait(passage::FOREVER, || {
            let door = shared.door.lock().unwrap();
            (door.stopped || !door.refuses).then_some(!door.stopped)
        });
        if goes_on != Some(true) {
            return;
        }
    }
}

fn begin(gateway: TcpStream, shared: &Arc<Shared>) {
    let faults = {
        let mut door = shared.door.lock().unwrap();
        let next = door.next.pop_front();
        next.unwrap_or(door.faults)
    };
    let passage = Arc::new(Passage::new(gateway, faults));
    shared.passages.lock().unwrap().push(Arc::clone(&passage));
    passage::run(passage, shared.service);
}

#[cfg(test)]
mod tests;

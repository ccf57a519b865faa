//! The addresses that are listened on, across snapshots.
//!
//! A listener is the same one for as long as its address stands in the configuration. What is new is bound before
//! anything else happens, so that an address that is taken stops a reload and not a gateway.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use dataplane::{ListenerId, StagedListener};
use snapshot::Listener;
use telemetry::ListenerSeries;

use crate::BindError;
use crate::sockets::bind;

/// One listener.
#[derive(Clone, Debug)]
struct Bound {
    id: ListenerId,
    /// As it stands in the configuration.
    written: SocketAddr,
    /// As it is, with a real port.
    address: SocketAddr,
    series: Arc<ListenerSeries>,
}

/// The listeners of the snapshot in use.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    bound: Vec<Bound>,
    next: u64,
}

/// The listeners of a snapshot that is about to be used, and the sockets of those that are new.
pub(crate) struct Planned {
    listeners: Listeners,
    /// For each listener the sockets that workers have not taken yet.
    sockets: Vec<Vec<TcpListener>>,
}

impl Listeners {
    /// Finds out what stays, and binds what is new. Sockets are closed again if the plan is dropped.
    pub(crate) fn plan(&self, wanted: &[Listener], workers: usize) -> Result<Planned, BindError> {
        let mut left = self.bound.clone();
        let mut listeners = Listeners { bound: Vec::new(), next: self.next };
        let mut sockets = Vec::new();
        for listener in wanted {
            // With port 0 several may be written alike; they are told apart by their order.
            if let Some(same) = left.iter().position(|bound| bound.written == listener.address) {
                listeners.bound.push(left.remove(same));
                sockets.push(Vec::new());
                continue;
            }
            let ours = self.bound.iter().any(|bound| bound.address.port() == listener.address.port());
            let (own, address) = bind(listener.address, workers, ours)?;
            listeners.bound.push(Bound {
                id: ListenerId(listeners.next),
                written: listener.address,
                address,
                series: Arc::default(),
            });
            listeners.next += 1;
            sockets.push(own);
        }
        Ok(Planned { listeners, sockets })
    }

    /// The addresses, with real ports.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.bound.iter().map(|bound| bound.address).collect()
    }

    /// What is counted of each, by its address.
    pub(crate) fn series(&self) -> Vec<(Box<str>, Arc<ListenerSeries>)> {
        let named = |bound: &Bound| (bound.address.to_string().into(), Arc::clone(&bound.series));
        self.bound.iter().map(named).collect()
    }
}

impl Planned {
    /// What one more worker gets.
    pub(crate) fn stage(&mut self) -> Vec<StagedListener> {
        let bound = self.listeners.bound.iter().zip(&mut self.sockets);
        let staged = bound.map(|(bound, sockets)| StagedListener {
            id: bound.id,
            series: Arc::clone(&bound.series),
            socket: sockets.pop(),
        });
        staged.collect()
    }

    /// Once every worker has its part.
    pub(crate) fn into_listeners(self) -> Listeners {
        self.listeners
    }

    /// What is counted of each, by its address.
    pub(crate) fn series(&self) -> Vec<(Box<str>, Arc<ListenerSeries>)> {
        self.listeners.series()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use snapshot::{ListenerLimits, ListenerTimeouts};
    use std::time::Duration;

    fn listener(address: &str) -> Listener {
        let second = Duration::from_secs(1);
        Listener {
            address: address.parse().unwrap(),
            limits: ListenerLimits { connections: 1, header_bytes: 1, headers: 1, uri: 1, min_rate: 0 },
            timeouts: ListenerTimeouts { header: second, idle: second, body: second, send: second },
        }
    }

    #[test]
    fn what_stays_keeps_its_socket_and_what_is_new_is_bound() {
        let any = listener("127.0.0.1:0");
        let mut first = Listeners::default().plan(&[any.clone(), any.clone()], 2).unwrap();
        let (one, other) = (first.stage(), first.stage());
        assert!(one.iter().chain(&other).all(|staged| staged.socket.is_some()));
        let first = first.into_listeners();
        let mut second = first.plan(&[any.clone(), any.clone(), any], 2).unwrap();
        let staged = second.stage();
        let has_socket: Vec<bool> = staged.iter().map(|staged| staged.socket.is_some()).collect();
        assert_eq!(has_socket, [false, false, true]);
        let second = second.into_listeners();
        assert_eq!(second.addresses()[..2], first.addresses());
        assert!(!first.addresses().contains(&second.addresses()[2]));
    }

    #[test]
    fn an_address_that_is_taken_by_another_process_is_an_error_and_our_own_is_not() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        assert!(Listeners::default().plan(&[listener(&address.to_string())], 1).is_err());
        drop(taken);
        let mut narrow = Listeners::default().plan(&[listener(&address.to_string())], 1).unwrap();
        let _held = narrow.stage();
        let wide = listener(&format!("0.0.0.0:{}", address.port()));
        assert!(narrow.into_listeners().plan(&[wide], 1).is_ok(), "from one address to all of them");
    }
}

//! The addresses that are listened on, across snapshots.
//!
//! A listener is the same one for as long as its address stands in the configuration. What is new is bound before
//! anything else happens, so that an address that is taken stops a reload and not a gateway.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use dataplane::{ListenerId, StagedListener, StagedUdp};
use snapshot::Listener;
use telemetry::ListenerSeries;

use crate::BindError;
use crate::sockets::{bind, bind_both, bind_udp};

/// One listener.
#[derive(Clone, Debug)]
struct Bound {
    id: ListenerId,
    /// As it stands in the configuration.
    written: SocketAddr,
    /// As it is, with a real port.
    address: SocketAddr,
    /// Whether it has UDP sockets. It keeps them once it has: connections depend on who shares the port.
    udp: bool,
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
    sockets: Vec<Sockets>,
}

/// Sockets of one listener, one for each worker.
#[derive(Debug, Default)]
struct Sockets {
    tcp: Vec<TcpListener>,
    udp: Vec<StagedUdp>,
}

impl Listeners {
    /// Finds out what stays, and binds what is new. Sockets are closed again if the plan is dropped.
    pub(crate) fn plan(&self, wanted: &[Listener], workers: usize) -> Result<Planned, BindError> {
        let mut left = self.bound.clone();
        let mut listeners = Listeners { bound: Vec::new(), next: self.next };
        let mut sockets = Vec::new();
        for listener in wanted {
            // With port 0 several may be written alike; they are told apart by their order.
            let http3 = listener.protocols.http3;
            if let Some(same) = left.iter().position(|bound| bound.written == listener.address) {
                let mut bound = left.remove(same);
                let mut own = Sockets::default();
                if http3 && !bound.udp {
                    let ours = self.has_udp(bound.address.port());
                    own.udp = dataplane::udp_group(bind_udp(bound.address, workers, ours)?);
                    bound.udp = true;
                }
                listeners.bound.push(bound);
                sockets.push(own);
                continue;
            }
            let port = listener.address.port();
            let ours = self.bound.iter().any(|bound| bound.address.port() == port);
            let (tcp, udp, address) = if http3 {
                bind_both(listener.address, workers, ours)?
            } else {
                let (tcp, address) = bind(listener.address, workers, ours)?;
                (tcp, Vec::new(), address)
            };
            listeners.bound.push(Bound {
                id: ListenerId(listeners.next),
                written: listener.address,
                address,
                udp: http3,
                series: Arc::default(),
            });
            listeners.next += 1;
            sockets.push(Sockets { tcp, udp: dataplane::udp_group(udp) });
        }
        Ok(Planned { listeners, sockets })
    }

    /// Whether a UDP port is one of ours.
    fn has_udp(&self, port: u16) -> bool {
        self.bound.iter().any(|bound| bound.udp && bound.address.port() == port)
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
            socket: sockets.tcp.pop(),
            udp: sockets.udp.pop(),
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
            protocols: snapshot::Protocols { http1: true, http2: true, http3: false },
            tls: None,
            acme: None,
            proxy_protocol: false,
            client_certificates: snapshot::ClientCertificates::Unasked,
            forwards_certificates: false,
            redirect_https: None,
            limits: ListenerLimits {
                connections: 1,
                header_bytes: 1,
                headers: 1,
                streams: 100,
                uri: 1,
                min_rate: 0,
            },
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
    fn http3_gets_its_sockets_when_it_is_switched_on_and_keeps_them() {
        let plain = listener("127.0.0.1:0");
        let mut with_http3 = plain.clone();
        with_http3.protocols.http3 = true;
        let mut first = Listeners::default().plan(std::slice::from_ref(&plain), 1).unwrap();
        assert!(first.stage().iter().all(|staged| staged.udp.is_none()));
        let first = first.into_listeners();
        let mut on = first.plan(&[with_http3.clone()], 1).unwrap();
        let staged = on.stage();
        assert!(staged[0].socket.is_none() && staged[0].udp.is_some());
        let on = on.into_listeners();
        let off = on.plan(&[plain], 1).unwrap().into_listeners();
        let mut again = off.plan(&[with_http3], 1).unwrap();
        assert!(again.stage()[0].udp.is_none());
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

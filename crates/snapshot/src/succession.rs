//! What a snapshot takes over from the one before it.

use crate::Snapshot;

impl Snapshot {
    /// Takes over what lives longer than a configuration: sessions of listeners and services that did not change in
    /// a way that matters to them, so that clients and services need no full handshake because of a reload.
    ///
    /// It is called before the snapshot comes into use. What was compiled with the same
    /// [`AcmeShared`](crate::AcmeShared) shares that already.
    pub fn succeed(&mut self, old: &Snapshot) {
        for listener in &mut self.listeners {
            let before = old.listeners.iter().find(|before| before.address == listener.address);
            if let (Some(tls), Some(old)) = (&mut listener.tls, before.and_then(|before| before.tls.as_ref()))
            {
                *tls = tls.successor(old);
            }
        }
        for service in &mut self.services {
            let before = old.services.iter().find(|before| before.name == service.name);
            // Equal ones are made of the same, but only the old one knows sessions.
            if let Some(old) = before.filter(|before| before.tls == service.tls) {
                service.tls.clone_from(&old.tls);
            }
        }
    }
}

//! `listen`

use std::net::SocketAddr;

use config::{Config, Listen};
use diagnostics::{Code, Diagnostic, Diagnostics, Span};
use snapshot::{Listener, ListenerLimits, ListenerTimeouts};

/// All listeners; conflicts between their addresses are reported.
pub(crate) fn compile(config: &Config, diagnostics: &mut Diagnostics) -> Vec<Listener> {
    if config.listen.is_empty() && !diagnostics.has_errors() {
        diagnostics.push(
            Diagnostic::error(Code::NoListeners, None, "there is no address to listen on")
                .help("add `listen: 0.0.0.0:8080`"),
        );
    }
    let mut seen: Vec<(SocketAddr, Span)> = Vec::new();
    for listen in config.listen.iter() {
        let (address, span) = (listen.address.value.0, listen.address.span);
        if let Some((other, place)) = seen.iter().find(|(other, _)| overlap(address, *other)) {
            diagnostics.push(
                Diagnostic::error(
                    Code::AddressConflict,
                    span,
                    format!("{address} is taken by the listener on {other}"),
                )
                .related(*place, "the other listener")
                .help("give one of them another port"),
            );
        }
        seen.push((address, span));
    }
    config.listen.iter().map(listener).collect()
}

/// Whether two addresses cannot both be listened on. `[::]` takes IPv4 too.
pub(crate) fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    if one.port() != other.port() || one.port() == 0 {
        return false;
    }
    let covers = |wide: SocketAddr, narrow: SocketAddr| {
        wide.ip().is_unspecified() && (wide.is_ipv6() || narrow.is_ipv4())
    };
    one.ip() == other.ip() || covers(one, other) || covers(other, one)
}

fn listener(listen: &Listen) -> Listener {
    let (limits, timeouts) = (&listen.limits, &listen.timeouts);
    Listener {
        address: listen.address.value.0,
        limits: ListenerLimits {
            connections: limits.connections as usize,
            header_bytes: usize::try_from(limits.header_bytes.get()).unwrap_or(usize::MAX),
            headers: limits.headers as usize,
            uri: usize::try_from(limits.uri.get()).unwrap_or(usize::MAX),
            min_rate: limits.min_rate.get(),
        },
        timeouts: ListenerTimeouts {
            header: timeouts.header.get(),
            idle: timeouts.idle.get(),
            body: timeouts.body.get(),
            send: timeouts.send.get(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_overlap_where_the_system_says_so() {
        let overlaps = |one: &str, other: &str| overlap(one.parse().unwrap(), other.parse().unwrap());
        assert!(overlaps("127.0.0.1:80", "127.0.0.1:80"));
        assert!(overlaps("0.0.0.0:80", "127.0.0.1:80"));
        assert!(overlaps("127.0.0.1:80", "[::]:80"));
        assert!(overlaps("[::1]:80", "[::]:80"));
        assert!(!overlaps("0.0.0.0:80", "[::1]:80"));
        assert!(!overlaps("127.0.0.1:80", "127.0.0.2:80"));
        assert!(!overlaps("127.0.0.1:0", "127.0.0.1:0"));
        assert!(!overlaps("127.0.0.1:80", "127.0.0.1:81"));
    }
}

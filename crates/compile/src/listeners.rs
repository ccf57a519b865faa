//! `listen`

use std::net::SocketAddr;

use config::{ClientAuthMode, Config, HttpVersion, Listen, RedirectHttps};
use diagnostics::{Code, Diagnostic, Diagnostics, Span};
use snapshot::{ClientCertificates, Listener, ListenerLimits, ListenerTimeouts, Protocols};

use crate::outside::Outside;

/// All listeners; conflicts between their addresses are reported.
pub(crate) fn compile(config: &Config, outside: &Outside, diagnostics: &mut Diagnostics) -> Vec<Listener> {
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
        check_proxy_protocol(listen, config, diagnostics);
        check_http3(listen, diagnostics);
    }
    let compiled: Vec<Listener> =
        config.listen.iter().map(|listen| listener(listen, config, outside, diagnostics)).collect();
    crate::acme::check_each_other(config, &compiled, diagnostics);
    compiled
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

/// With nobody to be believed, nobody could connect.
fn check_proxy_protocol(listen: &Listen, config: &Config, diagnostics: &mut Diagnostics) {
    if listen.proxy_protocol.value && config.trusted_proxies.is_empty() && !diagnostics.has_errors() {
        diagnostics.push(
            Diagnostic::error(
                Code::MissingKey,
                listen.proxy_protocol.span,
                "`proxy_protocol` needs `trusted_proxies`: from others nothing is accepted",
            )
            .help("add the networks of the load balancers: trusted_proxies: [10.0.0.0/8]"),
        );
    }
}

/// The PROXY protocol is about connections of TCP: over UDP nobody would say who a client is.
fn check_http3(listen: &Listen, diagnostics: &mut Diagnostics) {
    let http3 = listen.protocols.iter().find(|version| version.value == HttpVersion::Http3);
    if let Some(http3) = http3
        && listen.proxy_protocol.value
    {
        diagnostics.push(
            Diagnostic::error(
                Code::ConflictingKeys,
                listen.proxy_protocol.span,
                "`proxy_protocol` does not work with `http3`: it is for TCP, and HTTP/3 comes over UDP",
            )
            .related(http3.span, "`http3` is asked for here")
            .help("remove `http3` here, or give it a listener on an address that clients reach directly"),
        );
    }
}

/// The port of the one listener with encryption, or that of https.
fn https_port(config: &Config) -> u16 {
    let mut ports = config
        .listen
        .iter()
        .filter(|listen| listen.tls.is_some())
        .map(|listen| listen.address.value.0.port());
    match (ports.next(), ports.next()) {
        (Some(port), None) if port != 0 => port,
        _ => 443,
    }
}

fn listener(listen: &Listen, config: &Config, outside: &Outside, diagnostics: &mut Diagnostics) -> Listener {
    let speaks = |wanted: HttpVersion| listen.protocols.iter().any(|version| version.value == wanted);
    let protocols = Protocols {
        http1: speaks(HttpVersion::Http1),
        http2: speaks(HttpVersion::Http2),
        http3: speaks(HttpVersion::Http3),
    };
    let (tls, acme) = crate::tls::listener(listen, protocols, config, outside, diagnostics);
    let client_auth = listen.tls.as_ref().and_then(|tls| tls.client_auth.as_ref());
    let (limits, timeouts) = (&listen.limits, &listen.timeouts);
    Listener {
        address: listen.address.value.0,
        protocols,
        tls,
        client_certificates: match client_auth.map(|client_auth| client_auth.mode.value) {
            None => ClientCertificates::Unasked,
            Some(ClientAuthMode::Optional) => ClientCertificates::Optional,
            Some(ClientAuthMode::Required) => ClientCertificates::Required,
        },
        forwards_certificates: client_auth.is_some_and(|client_auth| client_auth.forward.value),
        acme,
        proxy_protocol: listen.proxy_protocol.value,
        redirect_https: match listen.redirect_https.value {
            RedirectHttps::Off => None,
            RedirectHttps::On => Some(https_port(config)),
            RedirectHttps::Port(port) => Some(port),
        },
        limits: ListenerLimits {
            connections: limits.connections as usize,
            header_bytes: usize::try_from(limits.header_bytes.get()).unwrap_or(usize::MAX),
            headers: limits.headers as usize,
            streams: limits.streams,
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

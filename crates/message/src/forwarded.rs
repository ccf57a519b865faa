//! Who is calling, seen through proxies: `X-Forwarded-*`, `Forwarded` (RFC 7239) and `Via`.
//!
//! Also what is said to services about a certificate that the client has shown.
//!
//! Only peers listed in `trusted_proxies` are believed. Everybody else's claims were removed before
//! (see `Headers::strip_request`), so what stands in the fields here came from a trusted peer.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::certificate::ClientCertificate;
use crate::headers::list_elements;
use crate::{Headers, Name};

/// What is known of a connection when its requests are passed on.
#[derive(Debug, Clone)]
pub struct ForwardingInfo {
    /// The address at the other end of the connection.
    pub peer: IpAddr,
    /// Its port there; 0 where nobody knows.
    pub port: u16,
    /// Where the client wanted to go, as far as somebody in between has said so.
    pub asked: Option<SocketAddr>,
    /// The address as text, made once per connection; cheap to clone, as every stream has one.
    pub peer_text: Arc<str>,
    /// Whether the peer is a trusted proxy.
    pub trusted: bool,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// What an encrypted connection has told about the client. Shared by its streams.
    pub encryption: Option<Arc<Encryption>>,
    /// Whether services are told of the certificate that the client has shown.
    pub forwards_certificate: bool,
}

/// What an encrypted connection has told about the client.
#[derive(Debug, Clone, Default)]
pub struct Encryption {
    /// The version of TLS, as it is written in a configuration: `1.3`.
    pub version: Option<&'static str>,
    /// The server that it asked for (SNI, RFC 6066 §3).
    pub server_name: Option<Box<str>>,
    /// The certificate that it has shown, and that was verified.
    pub certificate: Option<ClientCertificate>,
}

impl ForwardingInfo {
    /// The certificate that services are told of.
    pub fn forwarded_certificate(&self) -> Option<&ClientCertificate> {
        let encryption = self.encryption.as_ref().filter(|_| self.forwards_certificate)?;
        encryption.certificate.as_ref()
    }

    /// Whether a request for this host has come on a connection that was opened for another one (RFC 9110 §7.4): which
    /// certificates were shown and demanded was settled for that.
    pub fn is_misdirected(&self, host: Option<&str>) -> bool {
        let name = self.encryption.as_ref().and_then(|encryption| encryption.server_name.as_deref());
        match (name, host) {
            (Some(name), Some(host)) => !name.trim_end_matches('.').eq_ignore_ascii_case(host),
            (Some(_), None) | (None, _) => false,
        }
    }
}

/// What tells clients apart: an address, or of IPv6 the network of 64 bits that one client has (RFC 4291 §2.5.4).
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

/// The address of the client: the peer, or, behind trusted proxies, the nearest address of
/// `X-Forwarded-For` that is not itself a trusted proxy. An entry that is no address ends the search.
pub fn client_address(
    headers: &Headers,
    info: &ForwardingInfo,
    is_trusted: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let mut client = info.peer;
    if !info.trusted {
        return client;
    }
    let lines: Vec<&[u8]> = headers.all(Name::XForwardedFor).collect();
    for line in lines.into_iter().rev() {
        for element in line.rsplit(|&b| b == b',').map(<[u8]>::trim_ascii) {
            let Some(address) = parse_node(element) else { return client };
            client = address;
            if !is_trusted(address) {
                return client;
            }
        }
    }
    client
}

/// An address with or without port, IPv6 with or without brackets.
fn parse_node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    text.parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6))
}

/// Adds or extends `X-Forwarded-For`, `-Proto` and `-Host`; extends `Forwarded` where a trusted proxy
/// uses it.
pub fn write_forwarding_headers(headers: &mut Headers, info: &ForwardingInfo, host: &[u8]) {
    let peer = info.peer_text.as_bytes();
    if info.trusted {
        append_to_list(headers, Name::XForwardedFor, peer);
        if headers.has(Name::Forwarded) {
            let element = match info.peer {
                IpAddr::V4(address) => format!("for={address};proto={}", info.scheme),
                IpAddr::V6(address) => format!("for=\"[{address}]\";proto={}", info.scheme),
            };
            append_to_list(headers, Name::Forwarded, element.as_bytes());
        }
    } else {
        headers.push_known(Name::XForwardedFor, peer);
    }
    if !info.trusted || !headers.has(Name::XForwardedProto) {
        headers.push_known(Name::XForwardedProto, info.scheme.as_bytes());
    }
    if !host.is_empty() && (!info.trusted || !headers.has(Name::XForwardedHost)) {
        headers.push_known(Name::XForwardedHost, host);
    }
}

/// Joins all lines of a list field and adds an element at its end.
fn append_to_list(headers: &mut Headers, name: Name, element: &[u8]) {
    let mut joined: Vec<u8> = Vec::new();
    for value in headers.all(name) {
        if !value.is_empty() {
            joined.extend_from_slice(value);
            joined.extend_from_slice(b", ");
        }
    }
    joined.extend_from_slice(element);
    headers.set(name.as_str().as_bytes(), &joined);
}

impl Headers {
    /// Adds this gateway to Via (RFC 9110 §7.6.3), and says how often it stood there already:
    /// a request that comes around again and again is caught in a loop.
    pub fn add_via(&mut self, version: crate::Version) -> usize {
        let seen = self
            .all(Name::Via)
            .flat_map(list_elements)
            .filter(|element| element.rsplit(|&b| b == b' ').next() == Some(b"gateward"))
            .count();
        let element: &[u8] = match version {
            crate::Version::Http10 => b"1.0 gateward",
            crate::Version::Http11 => b"1.1 gateward",
            crate::Version::Http2 => b"2.0 gateward",
            crate::Version::Http3 => b"3.0 gateward",
        };
        if self.has(Name::Via) {
            append_to_list(self, Name::Via, element);
        } else {
            self.push_known(Name::Via, element);
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(peer: &str, trusted: bool) -> ForwardingInfo {
        ForwardingInfo {
            asked: None,
            peer: peer.parse().unwrap(),
            port: 0,
            peer_text: peer.into(),
            trusted,
            scheme: "http",
            encryption: None,
            forwards_certificate: false,
        }
    }

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        for (name, value) in fields {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        headers
    }

    #[test]
    fn the_client_is_the_first_untrusted_address_from_the_right() {
        let trusted = |address: IpAddr| address.to_string().starts_with("10.");
        let h = headers(&[("x-forwarded-for", "6.6.6.6, 1.2.3.4"), ("X-Forwarded-For", "10.0.0.2")]);
        assert_eq!(client_address(&h, &info("10.0.0.1", true), trusted).to_string(), "1.2.3.4");
        assert_eq!(client_address(&h, &info("9.9.9.9", false), trusted).to_string(), "9.9.9.9");
        let h = headers(&[("x-forwarded-for", "unknown, 10.0.0.2")]);
        assert_eq!(client_address(&h, &info("10.0.0.1", true), trusted).to_string(), "10.0.0.2");
        let h = headers(&[("x-forwarded-for", "[2001:db8::1]:99")]);
        assert_eq!(client_address(&h, &info("10.0.0.1", true), trusted).to_string(), "2001:db8::1");
    }

    #[test]
    fn lists_are_extended_and_joined() {
        let mut h = headers(&[
            ("X-Forwarded-For", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("Forwarded", "for=1.1.1.1"),
            ("x-forwarded-proto", "https"),
        ]);
        write_forwarding_headers(&mut h, &info("10.0.0.1", true), b"a.test");
        assert_eq!(h.values(b"x-forwarded-for").collect::<Vec<_>>(), [b"1.1.1.1, 2.2.2.2, 10.0.0.1"]);
        assert_eq!(h.values(b"forwarded").collect::<Vec<_>>(), [b"for=1.1.1.1, for=10.0.0.1;proto=http"]);
        assert_eq!(h.values(b"x-forwarded-proto").collect::<Vec<_>>(), [b"https"]);
        assert_eq!(h.values(b"x-forwarded-host").collect::<Vec<_>>(), [b"a.test"]);
    }

    #[test]
    fn via_counts_loops() {
        let mut h = headers(&[]);
        assert_eq!(h.add_via(crate::Version::Http11), 0);
        assert_eq!(h.add_via(crate::Version::Http10), 1);
        assert_eq!(h.values(b"via").collect::<Vec<_>>(), [b"1.1 gateward, 1.0 gateward"]);
    }
}

//! The PROXY protocol, versions 1 and 2: who is behind a load balancer that passes connections on.
//!
//! After "The PROXY protocol, versions 1 & 2" of HAProxy (`doc/proxy-protocol.txt`), §2.1 and §2.2. The header
//! comes before anything else of a connection, TLS included. Whether its sender is to be trusted is not known
//! here. Entry points: [`parse_proxy_header`], [`write_proxy_v1`], [`write_proxy_v2`].

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::bytes::is_text_byte;

/// What begins a header of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// What begins a header of version 1.
const V1_PREFIX: &[u8] = b"PROXY ";
/// The longest header of version 1, with its line end (§2.1).
const MOST_V1: usize = 107;
/// The most bytes that may stand behind the addresses of version 2. Certificates of clients may be among them.
const MOST_TLV: usize = 4096;
/// Signature, command, family and length.
const V2_HEAD: usize = 16;

/// A header of version 1 that names nobody: the sender speaks for itself, for example to check health.
pub const PROXY_V1_LOCAL: &[u8] = b"PROXY UNKNOWN\r\n";
/// A header of version 2 that names nobody.
pub const PROXY_V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// Who is at the other end, as the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxySource {
    /// Whoever opened the connection: the sender speaks for itself, or knows no addresses.
    Local,
    /// A connection that was passed on. IPv4 addresses are given as such, also where they came as IPv6.
    Addresses {
        /// Who opened it.
        client: SocketAddr,
        /// Where to.
        server: SocketAddr,
    },
}

/// Why a header was refused. The connection must be closed without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeaderError {
    /// The connection does not begin with a header.
    Missing,
    /// It begins like one, but is none.
    Malformed,
    /// It is longer than it may be.
    TooLong,
}

impl ProxyHeaderError {
    /// What to tell the operator.
    pub const fn as_str(self) -> &'static str {
        match self {
            ProxyHeaderError::Missing => "the connection does not begin with a PROXY protocol header",
            ProxyHeaderError::Malformed => "the PROXY protocol header is not valid",
            ProxyHeaderError::TooLong => "the PROXY protocol header is too long",
        }
    }
}

/// Reads a header of either version. `bytes` is everything from the beginning of the connection on; the
/// number returned is how much of it the header is. `None`: the end has not come yet.
///
/// Never needs more than 4.3 KiB, and says so as soon as a header cannot be one any more.
pub fn parse_proxy_header(bytes: &[u8]) -> Result<Option<(usize, ProxySource)>, ProxyHeaderError> {
    let begins = |prefix: &[u8]| prefix.iter().zip(bytes).all(|(a, b)| a == b);
    if begins(SIGNATURE) {
        parse_v2(bytes)
    } else if begins(V1_PREFIX) {
        parse_v1(bytes)
    } else {
        Err(ProxyHeaderError::Missing)
    }
}

/// A line of text (§2.1).
fn parse_v1(bytes: &[u8]) -> Result<Option<(usize, ProxySource)>, ProxyHeaderError> {
    let bytes = bytes.get(..MOST_V1).unwrap_or(bytes);
    let Some(end) = bytes.iter().position(|&b| !is_text_byte(b)) else {
        return if bytes.len() == MOST_V1 { Err(ProxyHeaderError::TooLong) } else { Ok(None) };
    };
    let (line, rest) = bytes.split_at(end);
    match rest {
        [b'\r', b'\n', ..] => {}
        [b'\r'] if bytes.len() < MOST_V1 => return Ok(None),
        [b'\r'] => return Err(ProxyHeaderError::TooLong),
        _ => return Err(ProxyHeaderError::Malformed),
    }
    let source = line.strip_prefix(V1_PREFIX).and_then(v1_source).ok_or(ProxyHeaderError::Malformed)?;
    Ok(Some((end + 2, source)))
}

/// What stands behind the prefix: a protocol, two addresses and two ports, with single spaces.
fn v1_source(text: &[u8]) -> Option<ProxySource> {
    // §2.1: what stands behind UNKNOWN must be ignored.
    if text == b"UNKNOWN" || text.starts_with(b"UNKNOWN ") {
        return Some(ProxySource::Local);
    }
    let mut words = std::str::from_utf8(text).ok()?.split(' ');
    let mut next = || words.next();
    let (protocol, client, server) = (next()?, next()?, next()?);
    let (client, server): (IpAddr, IpAddr) = match protocol {
        "TCP4" => (client.parse::<Ipv4Addr>().ok()?.into(), server.parse::<Ipv4Addr>().ok()?.into()),
        "TCP6" => (client.parse::<Ipv6Addr>().ok()?.into(), server.parse::<Ipv6Addr>().ok()?.into()),
        _ => return None,
    };
    let (client_port, server_port) = (v1_port(next()?)?, v1_port(next()?)?);
    if next().is_some() {
        return None;
    }
    Some(addresses(client, client_port, server, server_port))
}

/// Digits only, without leading zeros.
fn v1_port(text: &str) -> Option<u16> {
    let is_canonical =
        text.bytes().all(|b| b.is_ascii_digit()) && (text.len() == 1 || !text.starts_with('0'));
    if is_canonical { text.parse().ok() } else { None }
}

/// A binary header (§2.2).
fn parse_v2(bytes: &[u8]) -> Result<Option<(usize, ProxySource)>, ProxyHeaderError> {
    // Each byte is judged as soon as it is there.
    let is_local = match bytes.get(12) {
        None => return Ok(None),
        Some(0x20) => true,
        Some(0x21) => false,
        Some(_) => return Err(ProxyHeaderError::Malformed),
    };
    let Some(&family) = bytes.get(13) else { return Ok(None) };
    let address_len = match family {
        // §2.2: what comes with LOCAL is discarded, the family too.
        _ if is_local => 0,
        0x00 => 0,
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        _ => return Err(ProxyHeaderError::Malformed),
    };
    let Some(length) = bytes.get(14..V2_HEAD).and_then(|bytes| bytes.first_chunk()) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*length));
    if length < address_len {
        return Err(ProxyHeaderError::Malformed);
    }
    if length > address_len + MOST_TLV {
        return Err(ProxyHeaderError::TooLong);
    }
    let Some(block) = bytes.get(V2_HEAD..V2_HEAD + length) else { return Ok(None) };
    let (text, tlvs) = block.split_at(address_len);
    if !is_local && family != 0x00 && !are_tlvs(tlvs) {
        return Err(ProxyHeaderError::Malformed);
    }
    let source = match address_len {
        12 => v2_source::<4>(text),
        36 => v2_source::<16>(text),
        // Unix sockets, and connections of which nothing is known.
        _ => Some(ProxySource::Local),
    };
    Ok(Some((V2_HEAD + length, source.ok_or(ProxyHeaderError::Malformed)?)))
}

/// Two addresses of `N` bytes, and two ports.
fn v2_source<const N: usize>(text: &[u8]) -> Option<ProxySource>
where
    IpAddr: From<[u8; N]>,
{
    let (client, rest) = text.split_first_chunk::<N>()?;
    let (server, rest) = rest.split_first_chunk::<N>()?;
    let (client_port, server_port) = rest.split_first_chunk::<2>()?;
    Some(addresses(
        IpAddr::from(*client),
        u16::from_be_bytes(*client_port),
        IpAddr::from(*server),
        u16::from_be_bytes(*server_port.first_chunk()?),
    ))
}

/// Whether the bytes behind the addresses are values with a type and a length. What they say is not used.
fn are_tlvs(mut bytes: &[u8]) -> bool {
    while let [_, high, low, rest @ ..] = bytes {
        let Some(rest) = rest.get(usize::from(u16::from_be_bytes([*high, *low]))..) else { return false };
        bytes = rest;
    }
    bytes.is_empty()
}

/// An IPv4 address inside an IPv6 one is the IPv4 address: a rule about it must not be dodged by the spelling.
fn addresses(client: IpAddr, client_port: u16, server: IpAddr, server_port: u16) -> ProxySource {
    ProxySource::Addresses {
        client: SocketAddr::new(client.to_canonical(), client_port),
        server: SocketAddr::new(server.to_canonical(), server_port),
    }
}

/// Writes a header of version 1. Where only one address is IPv4, both are written as IPv6.
pub fn write_proxy_v1(out: &mut Vec<u8>, client: SocketAddr, server: SocketAddr) {
    let (client_port, server_port) = (client.port(), server.port());
    // Writing to a vector cannot fail.
    let _ = match pair(client, server) {
        Pair::V4(client, server) => {
            write!(out, "PROXY TCP4 {client} {server} {client_port} {server_port}\r\n")
        }
        Pair::V6(client, server) => {
            write!(out, "PROXY TCP6 {client} {server} {client_port} {server_port}\r\n")
        }
    };
}

/// Writes a header of version 2, without additional values. Where only one address is IPv4, both are written as
/// IPv6.
pub fn write_proxy_v2(out: &mut Vec<u8>, client: SocketAddr, server: SocketAddr) {
    out.extend_from_slice(SIGNATURE);
    match pair(client, server) {
        Pair::V4(client, server) => {
            out.extend_from_slice(&[0x21, 0x11, 0, 12]);
            out.extend_from_slice(&client.octets());
            out.extend_from_slice(&server.octets());
        }
        Pair::V6(client, server) => {
            out.extend_from_slice(&[0x21, 0x21, 0, 36]);
            out.extend_from_slice(&client.octets());
            out.extend_from_slice(&server.octets());
        }
    }
    out.extend_from_slice(&client.port().to_be_bytes());
    out.extend_from_slice(&server.port().to_be_bytes());
}

/// Two addresses of one family, which a header needs.
enum Pair {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

fn pair(client: SocketAddr, server: SocketAddr) -> Pair {
    let v6 = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    match (client.ip().to_canonical(), server.ip().to_canonical()) {
        (IpAddr::V4(client), IpAddr::V4(server)) => Pair::V4(client, server),
        (client, server) => Pair::V6(v6(client), v6(server)),
    }
}

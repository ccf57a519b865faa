//! Addresses: a network, and an IP address with a port.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use diagnostics::{Code, Diagnostics, Words};
use ipnet::IpNet;

use crate::decode::Decode;
use crate::node::{Node, Value};
use crate::shape::Shape;
use crate::value::{refuse, scalar_of};

/// A network: `10.0.0.0/8`, `fd00::/8`. A bare address is the network of that one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr(pub IpNet);

impl fmt::Display for Cidr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl Decode for Cidr {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let scalar = scalar_of(node, "a network such as `10.0.0.0/8`", diagnostics)?;
        let net =
            scalar.text.parse::<IpNet>().ok().or_else(|| scalar.text.parse::<IpAddr>().ok().map(IpNet::from));
        match net {
            // Bits behind the prefix are a slip: which of the two was meant cannot be known.
            Some(net) if net.trunc() == net => Some(Self(net)),
            Some(net) if !scalar.secret => {
                let help = format!(
                    "write `{}` for the network, or `{}` for the one address",
                    net.trunc(),
                    net.addr()
                );
                refuse(Code::InvalidAddress, node, "the first address of its network", help, diagnostics)
            }
            _ => {
                let help = "write an address and a prefix length: `10.0.0.0/8`, or \"fd00::/8\" in quotes";
                refuse(Code::InvalidAddress, node, "a network", help, diagnostics)
            }
        }
    }

    fn shape() -> Shape {
        Shape::Text { format: "network", example: "10.0.0.0/8" }
    }
}

/// An IP address and a port: `0.0.0.0:8080`, `[::]:8080`. Port 0 lets the system choose.
///
/// Names, and forms that leave the address out, are refused: what is opened to the network is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketAddress(pub SocketAddr);

impl fmt::Display for SocketAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl Decode for SocketAddress {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        const WHAT: &str = "an address with a port";
        if let Value::List(_) = node.value {
            diagnostics.push(
                node.wrong_type("an address such as `0.0.0.0:8080`")
                    .help("brackets make a list: put an IPv6 address in quotes, \"[::]:8080\""),
            );
            return None;
        }
        let scalar = scalar_of(node, "an address such as `0.0.0.0:8080`", diagnostics)?;
        match scalar.text.parse() {
            Ok(address) => Some(Self(address)),
            Err(_) if scalar.secret => {
                refuse(Code::InvalidAddress, node, WHAT, Words::fixed(help("")), diagnostics)
            }
            Err(_) => refuse(Code::InvalidAddress, node, WHAT, help(&scalar.text), diagnostics),
        }
    }

    fn shape() -> Shape {
        Shape::Text { format: "address", example: "0.0.0.0:8080" }
    }
}

fn help(text: &str) -> String {
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    if digits && port.parse::<u16>().is_err() {
        return format!("the port {port} is out of range: a port is a number from 0 to 65535");
    }
    match host {
        _ if text.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) => format!("add a port: \"[{text}]:8080\""),
        _ if text.parse::<IpAddr>().is_ok() => format!("add a port: `{text}:8080`"),
        "" | "*" if digits => format!(
            "write `0.0.0.0:{port}` for every IPv4 address, or \"[::]:{port}\" for every IPv6 address"
        ),
        "localhost" if digits => format!("write `127.0.0.1:{port}`, or \"[::1]:{port}\""),
        _ if literal && host.contains(':') && digits => {
            format!("put an IPv6 address in brackets: \"[{host}]:{port}\"")
        }
        _ if digits => "write an IP address: names are not looked up here".to_owned(),
        _ => "write an IP address and a port: `0.0.0.0:8080`, or \"[::]:8080\"".to_owned(),
    }
}

//! The endpoints of a service: where it can be reached.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned, Words};
use document::{Decode, Node, Shape, section};

section! {
    /// One address of a service. The URL alone may stand for the section: `http://10.0.0.1:8080`.
    pub struct Endpoint {
        /// `http://host` or `https://host`, with a port if it is not 80 or 443, nothing more. A name is looked up, and looked up again when its
        /// record expires; each of its addresses takes part.
        url: Spanned<EndpointUrl>,
        /// Its share among the endpoints of the service.
        weight: u32 [1..=1000] = "1",
        /// Where it is. If it is the `zone` of the gateway, it is preferred to those that are not, as long as most of
        /// those that are near take requests.
        zone: Option<String>,
    }
    short url
}

/// Scheme, host and port of a URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EndpointUrl {
    /// Whether connections are encrypted.
    pub https: bool,
    /// A name in lower case without a dot at its end, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    /// The port, 80 or 443 if the URL has none.
    pub port: u16,
}

impl fmt::Display for EndpointUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(out, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl Decode for EndpointUrl {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Some(text) = node.text() else {
            diagnostics.push(node.wrong_type("a URL such as `http://10.0.0.1:8080`"));
            return None;
        };
        parse(node, text).map_err(|wrong| diagnostics.push(*wrong)).ok()
    }

    fn shape() -> Shape {
        Shape::Text { format: "URL", example: "http://10.0.0.1:8080" }
    }
}

/// The longest name that the domain name system has, in bytes (RFC 1035 section 2.3.4).
const LONGEST_NAME: usize = 253;

/// The longest part of a name between two dots, in bytes (RFC 1035 section 2.3.4).
const LONGEST_LABEL: usize = 63;

fn parse(node: &Node, text: &str) -> Result<EndpointUrl, Box<Diagnostic>> {
    let (scheme, rest) = text.split_once("://").ok_or_else(|| {
        let scalar_is_shown = node.scalar().is_some_and(|scalar| !scalar.secret);
        let help = if scalar_is_shown && !text.is_empty() && !text.contains([' ', '/']) {
            Words::from(format!("write `http://{text}`"))
        } else {
            Words::from("write `http://host:port`")
        };
        wrong(node, 0, text.len(), "the URL has no scheme", help)
    })?;
    let after = scheme.len() + 3;
    let https = match scheme.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        _ => {
            let help = "write `http://host:port`, or `https://host:port` for encrypted connections";
            return Err(wrong(node, 0, scheme.len(), "the scheme is not `http` or `https`", help));
        }
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    if !tail.is_empty() && tail != "/" {
        let help =
            "write only `http://host:port`; to change the path of requests, use `rewrite` in the route";
        return Err(wrong(node, after + end, text.len(), "an endpoint has no path, query or fragment", help));
    }
    if let Some(at) = authority.rfind('@') {
        let help = "remove it; to send credentials, set the `authorization` header with the `headers` policy";
        return Err(wrong(node, after, after + at + 1, "an endpoint has no user name or password", help));
    }
    let host_end = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None if authority.starts_with('[') => authority.len(),
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, port) = authority.split_at(host_end);
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => {
            if https {
                443
            } else {
                80
            }
        }
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port > 0).ok_or_else(|| {
                let place = (after + host_end + 1, after + authority.len());
                wrong(
                    node,
                    place.0,
                    place.1,
                    "the port is out of range",
                    "a port is a number from 1 to 65535",
                )
            })?
        }
        _ => {
            let help = "write `http://host:port`, an IPv6 address in brackets: \"http://[fd00::1]:8080\"";
            return Err(wrong(
                node,
                after + host_end,
                after + authority.len(),
                "the port is not a number",
                help,
            ));
        }
    };
    let host = host_name(host).map_err(|(what, help)| wrong(node, after, after + host_end, what, help))?;
    Ok(EndpointUrl { https, host, port })
}

fn wrong(
    node: &Node,
    from: usize,
    to: usize,
    message: impl Into<Words>,
    help: impl Into<Words>,
) -> Box<Diagnostic> {
    Box::new(Diagnostic::error(Code::InvalidUrl, node.part(from, to), message).help(help))
}

/// The one form of a host, or what is wrong with it and what to do.
fn host_name(host: &str) -> Result<String, (&'static str, &'static str)> {
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|inner| inner.parse::<Ipv6Addr>().ok());
        let help = "write an address such as \"http://[fd00::1]:8080\", without a zone";
        return address
            .map(|address| format!("[{address}]"))
            .ok_or(("the IPv6 address is not well formed", help));
    }
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.is_empty() {
        return Err(("the URL has no host", "write `http://host:port`"));
    }
    let label_is_fine = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            // The underscore is not for hosts, and container networks use it all the same.
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > LONGEST_NAME || !name.split('.').all(label_is_fine) {
        return Err((
            "the host is not well formed",
            "a host is an IP address, or a name of letters, digits and `-` with dots between",
        ));
    }
    // A name whose last label is a number is read as an IPv4 address by everybody else (WHATWG URL, hosts).
    let last = name.rsplit('.').next().unwrap_or("");
    if last.bytes().all(|b| b.is_ascii_digit()) && name.parse::<Ipv4Addr>().is_err() {
        return Err((
            "the IPv4 address is not well formed",
            "write four numbers from 0 to 255: `http://10.0.0.1:8080`",
        ));
    }
    Ok(name.to_ascii_lowercase())
}

//! What is asked: a request as a client would send it.
//!
//! What no client can type is refused as wrong usage. What a client can send and should not is written as it is, so
//! that the gateway says what is wrong with it. Entry point: [`Ask::new`].

use std::net::IpAddr;
use std::str::FromStr;

use document::{ByteSize, Decode, Diagnostics, Node, Span};

use crate::arguments::ExplainOptions;

/// The host of a request for which none is named.
const DEFAULT_HOST: &str = "localhost";

/// A request, ready to be sent.
pub(crate) struct Ask {
    /// The method.
    pub(crate) method: String,
    /// The URL or path, as it was typed.
    pub(crate) url: String,
    /// The target of the request line.
    target: String,
    /// The port that the URL names.
    pub(crate) port: Option<u16>,
    /// Whether it is to come over https; `None` if only a path was typed.
    pub(crate) https: Option<bool>,
    /// The name that a client asks for in a handshake: the host of the URL, or of the request, unless it is an address
    /// (RFC 6066 section 3).
    pub(crate) server_name: Option<String>,
    /// Nobody has named a host.
    pub(crate) is_default_host: bool,
    /// What was done to the request that its author may not expect.
    pub(crate) notes: Vec<String>,
    /// The head.
    pub(crate) head: Vec<u8>,
    /// Who sends it.
    pub(crate) peer: IpAddr,
}

impl Ask {
    /// From what was typed.
    pub(crate) fn new(options: &ExplainOptions) -> Ask {
        let url = &options.url;
        let method = options.method.as_deref().unwrap_or("GET").to_owned();
        let mut notes = Vec::new();
        let names_host = options.headers.iter().any(HeaderLine::is_host);
        let is_default_host = !names_host && url.authority.is_none();
        let host = (!names_host).then(|| url.authority.as_deref().unwrap_or(DEFAULT_HOST).to_owned());
        if is_default_host {
            notes.push(format!(
                "No host was named, so it asks for {DEFAULT_HOST}: a URL or -H 'host: …' names one."
            ));
        }
        let named = options.headers.iter().find_map(HeaderLine::host);
        let called = url.authority.as_deref().or(named).unwrap_or(DEFAULT_HOST);
        if let Some(fragment) = &url.fragment {
            notes.push(format!("Clients keep #{fragment} to themselves, so it was left out."));
        }
        // A CONNECT asks for a host and a port, and nothing else (RFC 9110 section 9.3.6).
        let target = match &url.authority {
            Some(authority) if method == "CONNECT" => authority,
            _ => &url.target,
        };
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if let Some(host) = &host {
            head.push_str(&format!("Host: {host}\r\n"));
        }
        for header in &options.headers {
            head.push_str(&header.0);
            head.push_str("\r\n");
        }
        if let Some(token) = &options.bearer {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        if let Some(length) = options.body {
            head.push_str(&format!("Content-Length: {length}\r\n"));
        }
        head.push_str("\r\n");
        Ask {
            method,
            url: url.typed.clone(),
            target: target.clone(),
            port: url.port(),
            https: url.authority.is_some().then_some(url.is_https),
            server_name: server_name(called),
            is_default_host,
            notes,
            head: head.into_bytes(),
            peer: options.client,
        }
    }
}

impl Ask {
    /// The path as the client sends it.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or("")
    }

    /// The target as the client sends it.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// What it takes of the limits of a listener.
    pub(crate) fn used(&self) -> Used {
        // The request line and the empty line are no fields.
        let lines = self.head.windows(2).filter(|pair| *pair == b"\r\n").count();
        Used { bytes: self.head.len(), fields: lines.saturating_sub(2), target: self.target.len() }
    }
}

/// What a request takes of the limits of a listener.
pub(crate) struct Used {
    /// Bytes of its head.
    pub(crate) bytes: usize,
    /// Its fields.
    pub(crate) fields: usize,
    /// Bytes of its target.
    pub(crate) target: usize,
}

/// A URL, or the target of a request line.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// As it was typed.
    pub(crate) typed: String,
    authority: Option<String>,
    is_https: bool,
    fragment: Option<String>,
    /// As it stands in the request line.
    target: String,
}

impl Target {
    /// The port that is named.
    fn port(&self) -> Option<u16> {
        let (_, port) = self.authority.as_ref()?.rsplit_once(':')?;
        port.parse().ok()
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        one_line(text)?;
        let typed = text.to_owned();
        let scheme = ["http://", "https://"]
            .into_iter()
            .find(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
        let Some(scheme) = scheme else {
            if text.starts_with('/') || text == "*" {
                let (authority, fragment) = (None, None);
                return Ok(Target { target: typed.clone(), typed, authority, is_https: false, fragment });
            }
            return Err(
                "write a URL such as http://api.example.com/orders, or a path that begins with /".into()
            );
        };
        let rest = &text[scheme.len()..];
        let (rest, fragment) = match rest.split_once('#') {
            Some((rest, fragment)) => (rest, Some(fragment.to_owned())),
            None => (rest, None),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if authority.is_empty() {
            return Err("the URL names no host".into());
        }
        if authority.contains('@') {
            return Err(
                "clients turn user:password@ into a header: leave it out, and write -H 'authorization: …'"
                    .into(),
            );
        }
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Target {
            typed,
            authority: Some(authority.to_owned()),
            is_https: scheme == "https://",
            fragment,
            target,
        })
    }
}

/// A header line, without its end.
#[derive(Clone, Debug)]
pub(crate) struct HeaderLine(String);

impl HeaderLine {
    fn is_host(&self) -> bool {
        self.host().is_some()
    }

    /// The value, if this is the host.
    fn host(&self) -> Option<&str> {
        let (name, value) = self.0.split_once(':')?;
        name.trim().eq_ignore_ascii_case("host").then(|| value.trim())
    }
}

impl FromStr for HeaderLine {
    type Err = String;

    fn from_str(text: &str) -> Result<HeaderLine, String> {
        one_line(text)?;
        match text.find(':') {
            Some(1..) => Ok(HeaderLine(text.to_owned())),
            _ => Err("write a name, a colon and a value: -H 'accept: text/html'".into()),
        }
    }
}

/// The name of a server in an authority; `None` for an address.
fn server_name(authority: &str) -> Option<String> {
    let name = authority.rsplit_once(':').map_or(authority, |(name, _)| name).trim_end_matches('.');
    let is_name = !name.is_empty() && !name.starts_with('[') && name.parse::<IpAddr>().is_err();
    is_name.then(|| name.to_ascii_lowercase())
}

/// Reads a method.
pub(crate) fn method(text: &str) -> Result<String, String> {
    one_line(text)?;
    if text.contains('/') {
        return Err("the method comes first: gateward explain GET http://api.example.com/orders".into());
    }
    Ok(text.to_owned())
}

/// Reads a length, as the configuration does.
pub(crate) fn length(text: &str) -> Result<u64, String> {
    let size = ByteSize::decode(&Node::plain(text, Span::default()), &mut Diagnostics::new());
    size.map(ByteSize::get).ok_or_else(|| "write a number of bytes: 2000, 16KiB, 2MiB".into())
}

/// What a line break would begin is another line of the head: nobody means that.
fn one_line(text: &str) -> Result<(), String> {
    if text.contains(['\r', '\n']) { Err("it must not hold a line break".into()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_taken_apart_as_clients_do() {
        for (typed, authority, target, port) in [
            ("http://a.test/x?y#z", Some("a.test"), "/x?y", None),
            ("HTTPS://a.test:444", Some("a.test:444"), "/", Some(444)),
            ("http://[::1]:80?q", Some("[::1]:80"), "/?q", Some(80)),
            ("/x#y", None, "/x#y", None),
            ("*", None, "*", None),
        ] {
            let parsed: Target = typed.parse().unwrap();
            assert_eq!((parsed.authority.as_deref(), &*parsed.target), (authority, target), "{typed}");
            assert_eq!(parsed.port(), port, "{typed}");
        }
        for (authority, name) in [
            ("A.test:444", Some("a.test")),
            ("a.test.", Some("a.test")),
            ("127.0.0.1:80", None),
            ("[::1]:80", None),
            ("", None),
        ] {
            assert_eq!(server_name(authority).as_deref(), name, "{authority}");
        }
        for wrong in ["api.example.com/x", "http:///x", "http://u@a/", "/a\r\nx: y", "ftp://a/", ""] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn wrong_usage_is_not_sent() {
        assert!("a: b".parse::<HeaderLine>().is_ok() && " a: b".parse::<HeaderLine>().is_ok());
        for wrong in ["a", ":b", "a: b\r\nc: d", "a: b\n"] {
            assert!(wrong.parse::<HeaderLine>().is_err(), "{wrong:?}");
        }
        assert!(method("/x").is_err() && method("A\nB").is_err() && method("G T").is_ok());
        assert_eq!((length("2KiB"), length("7").ok()), (Ok(2048), Some(7)));
        assert!(length("-1").is_err() && length("x").is_err());
    }
}

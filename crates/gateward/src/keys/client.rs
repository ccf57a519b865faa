//! Asks the admin listener of a running gateway, one request per connection.
//!
//! It must not know what is asked for. Entry points: [`Client::find`], [`Client::ask`].

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::arguments::{AdminAddress, KeysOptions};

/// Where the admin listener is, if nobody says something else.
const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);
/// How long the gateway may take to accept, and to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// No answer is longer, in bytes.
const LONGEST: u64 = 64 * 1024 * 1024;

/// An admin listener, and what has to be shown there.
pub(super) struct Client {
    address: SocketAddr,
    token: Option<String>,
}

impl Client {
    /// The one that is named, or that of the configuration, or the one at the default address.
    pub(super) fn find(options: &KeysOptions) -> Result<Client, String> {
        let configured = configured(&options.path);
        let shown = std::env::var("GATEWARD_ADMIN_TOKEN").ok().filter(|token| !token.is_empty());
        let (address, written) = match (options.admin, configured) {
            (Some(AdminAddress::Off), _) => {
                return Err("`off` is no address: name one with --admin".to_owned());
            }
            (Some(AdminAddress::At(address)), Some(Ok(admin))) if admin.address == Some(address) => {
                (address, admin.token)
            }
            (Some(AdminAddress::At(address)), _) => (address, None),
            (None, Some(Ok(admin))) => match admin.address {
                Some(address) if address.port() != 0 => (address, admin.token),
                _ => {
                    return Err(format!(
                        "{} names no admin listener that can be asked: name the one of the running gateway with --admin",
                        options.path.display()
                    ));
                }
            },
            (None, Some(Err(why))) => return Err(why),
            (None, None) => (DEFAULT, None),
        };
        Ok(Client {
            address: reachable(address),
            token: shown.or(written.map(|token| token.expose().to_owned())),
        })
    }

    /// Asks for something, and gives what is answered; or why it is refused, in words.
    pub(super) fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let answer = self.exchange(method, path, body).map_err(|error| {
            format!(
                "the admin listener at {} does not answer: {error}\n  API keys belong to a running gateway: start it \
                 (`gateward run`), or name its admin listener with --admin or its configuration with -c.",
                self.address
            )
        })?;
        let (status, text) =
            parse(&answer).ok_or_else(|| format!("what {} answers is no HTTP", self.address))?;
        if (200..300).contains(&status) {
            let text = if text.is_empty() { b"null" } else { text };
            return serde_json::from_slice(text)
                .map_err(|_| format!("what {} answers is no JSON: is it a Gateward?", self.address));
        }
        let problem: Option<Value> = serde_json::from_slice(text).ok();
        let detail = problem.as_ref().and_then(|problem| problem.get("detail")?.as_str());
        Err(match (status, detail) {
            (401, _) if self.token.is_some() => format!(
                "the admin listener at {} does not take the token that it was shown: it is `admin.token` of its configuration, \
                 and GATEWARD_ADMIN_TOKEN here goes before that",
                self.address
            ),
            (401, _) => format!(
                "the admin listener at {} wants its token: set GATEWARD_ADMIN_TOKEN, or name the configuration that has it with -c",
                self.address
            ),
            (_, Some(detail)) => detail.to_owned(),
            (status, None) => {
                let text = String::from_utf8_lossy(text);
                format!("{} answers {status}: {}", self.address, diagnostics::visible(text.trim()))
            }
        })
    }

    fn exchange(&self, method: &str, path: &str, body: &Value) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.address);
        if let Some(token) = &self.token {
            request.push_str(&format!("authorization: Bearer {token}\r\n"));
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        request.push_str(&format!(
            "content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(LONGEST).read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// What a configuration says of the admin listener; `None` where there is none.
fn configured(path: &Path) -> Option<Result<snapshot::Admin, String>> {
    if !path.exists() {
        return None;
    }
    let snapshot = control::load(path).snapshot;
    Some(snapshot.map(|snapshot| snapshot.admin.clone()).ok_or_else(|| {
        format!(
            "{} cannot be read to find the admin listener: see `gateward check`, or name the listener with --admin",
            path.display()
        )
    }))
}

/// Where a listener on all addresses is reached from here.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The status and the body of an answer.
fn parse(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(answer.get(..end)?).ok()?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    Some((status.parse().ok()?, answer.get(end + 4..)?))
}

/// A text, as it can stand in a query.
pub(super) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_taken_apart() {
        let fine = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(parse(fine), Some((201, &b"{}"[..])));
        assert_eq!(parse(b"HTTP/1.1 204 No Content\r\n\r\n"), Some((204, &b""[..])));
        for wrong in [&b""[..], b"SSH-2.0\r\n\r\n", b"HTTP/1.1 x\r\n\r\n", b"HTTP/1.1 200 OK\r\n"] {
            assert_eq!(parse(wrong), None);
        }
        assert_eq!(encoded("a b&c=é%"), "a%20b%26c%3D%C3%A9%25");
    }
}

//! What the client has sent, before anything was brought into a canonical form.
//!
//! Signatures are over that. It takes the target apart as the client wrote it; that it is a valid target was found out
//! when the head was normalised. Entry point: [`Sent::of`].

use message::{Method, RequestHead, Version};

use crate::Refusal;
use crate::base::Base;

/// The parts of a request as they were written.
#[derive(Clone, Copy)]
pub(crate) struct Sent<'a> {
    /// The head.
    pub(crate) head: &'a RequestHead,
    https: bool,
    /// The request target.
    pub(crate) target: &'a [u8],
    /// The path; `None` where the target has none (`*`, and that of a CONNECT).
    pub(crate) path: Option<&'a [u8]>,
    /// The query without its question mark.
    pub(crate) query: Option<&'a [u8]>,
}

impl<'a> Sent<'a> {
    /// Takes a normalised head apart. `https` says whether the client speaks TLS.
    pub(crate) fn of(head: &'a RequestHead, https: bool) -> Sent<'a> {
        let target = head.headers.slice(head.target);
        let whole = match target {
            b"*" => None,
            _ if head.method == Method::Connect => None,
            [b'/', ..] => Some(target),
            _ => after_authority(target),
        };
        let Some(whole) = whole else { return Sent { head, https, target, path: None, query: None } };
        let at = whole.iter().position(|&b| b == b'?').unwrap_or(whole.len());
        let (path, rest) = whole.split_at_checked(at).unwrap_or((whole, &[]));
        // RFC 9421 §2.2.6: an empty path is a slash.
        let path = if path.is_empty() { &b"/"[..] } else { path };
        Sent { head, https, target, path: Some(path), query: rest.get(1..) }
    }

    /// Whether the target names the authority itself, so that the field Host means nothing (RFC 9112 §3.2.2).
    pub(crate) fn target_names_authority(&self) -> bool {
        !matches!(self.target, [b'/', ..] | b"*")
    }

    /// `http` or `https`.
    pub(crate) fn scheme(&self) -> &'static [u8] {
        if self.https { b"https" } else { b"http" }
    }

    /// The authority in lower case, without default port (RFC 9421 §2.2.3).
    pub(crate) fn authority(&self) -> Result<&'a [u8], Refusal> {
        let authority = self.head.client_authority().ok_or(Refusal::MissingComponent)?;
        let default: &[u8] = if self.https { b":443" } else { b":80" };
        Ok(authority.strip_suffix(default).unwrap_or(authority))
    }

    /// The path, where there is one.
    pub(crate) fn path(&self) -> Result<&'a [u8], Refusal> {
        self.path.ok_or(Refusal::MissingComponent)
    }

    /// Adds path and query, as a target in origin form has them.
    pub(crate) fn push_origin_form(&self, base: &mut Base) -> Result<(), Refusal> {
        let Some(path) = self.path else { return base.push_text(self.target) };
        base.push_text(path)?;
        let Some(query) = self.query else { return Ok(()) };
        base.push(b"?")?;
        base.push_text(query)
    }

    /// The version as Kong writes it in a request line: with one decimal for each.
    pub(crate) fn version(&self) -> &'static [u8] {
        match self.head.version {
            Version::Http10 => b"HTTP/1.0",
            Version::Http11 => b"HTTP/1.1",
            Version::Http2 => b"HTTP/2.0",
            Version::Http3 => b"HTTP/3.0",
        }
    }
}

/// Path and query of an absolute form.
fn after_authority(target: &[u8]) -> Option<&[u8]> {
    let scheme = target.windows(3).position(|three| three == b"://")?;
    let rest = target.get(scheme + 3..)?;
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
    rest.get(end..)
}

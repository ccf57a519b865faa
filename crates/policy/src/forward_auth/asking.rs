//! What the server is asked.
//!
//! Nothing is sent here, and nothing is decided. Entry point: [`Ready::ask`].

use std::borrow::Cow;
use std::net::SocketAddr;

use authority::Ask;
use authority::ext_authz::{CheckFacts, Peer, check};
use http::header::{HeaderName, VIA};
use http::{HeaderMap, HeaderValue, Uri};
use message::{Encryption, Fault, Headers, Name, RequestHead};

use super::fields::is_shown;
use super::run::{Ready, Server};
use crate::RequestCx;

/// A request that has passed this gateway this often goes in a circle, for instance because the server is asked through
/// a route on which it is asked.
const MOST_LOOPS: usize = 8;

/// How a request is told: nothing here is what a client has said of itself.
struct Told<'a> {
    method: Cow<'a, str>,
    scheme: &'static str,
    host: Cow<'a, str>,
    /// The path with the query, in the form that routes see.
    target: String,
}

impl<'a> Told<'a> {
    fn of(head: &'a RequestHead, encrypted: bool) -> Told<'a> {
        let mut target = String::from_utf8_lossy(head.path()).into_owned();
        if let Some(query) = head.query() {
            target.push('?');
            target.push_str(&String::from_utf8_lossy(query));
        }
        Told {
            method: String::from_utf8_lossy(head.method_bytes()),
            scheme: if encrypted { "https" } else { "http" },
            host: String::from_utf8_lossy(head.client_authority().unwrap_or_default()),
            target,
        }
    }
}

impl Ready {
    /// The question about a request.
    ///
    /// # Errors
    /// The request goes in a circle, or something of it cannot be told.
    pub(super) fn ask(&self, cx: &mut RequestCx<'_>) -> Result<Ask, Fault> {
        cx.request_id();
        let (seen, via) = via(cx.head);
        if seen > MOST_LOOPS {
            return Err(Fault::LoopDetected);
        }
        let mut ask = match &self.server {
            Server::Http(uri) => self.over_http(uri, cx)?,
            Server::Grpc(uri) => self.over_grpc(uri, cx)?,
        };
        if let Some(via) = via.first(Name::Via) {
            ask.headers.insert(VIA, value(via)?);
        }
        ask.timeout = self.timeout;
        ask.trust = self.trust.clone();
        Ok(ask)
    }

    fn shown<'h>(&'h self, headers: &'h Headers) -> impl Iterator<Item = (&'h [u8], &'h [u8])> {
        let text = headers.text();
        let fields =
            headers.fields().iter().filter(move |field| is_shown(field, text, self.shown.as_deref()));
        fields.map(move |field| (field.name.of(text), field.value.of(text)))
    }

    /// What is told besides the fields stands in those of Traefik, and in those that guides for nginx use.
    fn over_http(&self, uri: &Uri, cx: &RequestCx<'_>) -> Result<Ask, Fault> {
        let mut ask = Ask::get(uri.clone());
        for (name, text) in self.shown(&cx.head.headers) {
            let name = HeaderName::from_bytes(name).map_err(|_| Fault::AuthorityUnavailable)?;
            ask.headers.try_append(name, value(text)?).map_err(|_| Fault::AuthorityUnavailable)?;
        }
        let told = Told::of(cx.head, cx.is_encrypted());
        let whole = format!("{}://{}{}", told.scheme, told.host, told.target);
        let mut set = |name, text: &str| set(&mut ask.headers, name, text);
        set("x-forwarded-method", &told.method)?;
        set("x-forwarded-proto", told.scheme)?;
        set("x-forwarded-host", &told.host)?;
        set("x-forwarded-uri", &told.target)?;
        set("x-forwarded-for", &cx.client.to_string())?;
        set("x-original-method", &told.method)?;
        set("x-original-uri", &told.target)?;
        set("x-original-url", &whole)?;
        set("x-request-id", cx.state.id.as_str())?;
        Ok(ask)
    }

    fn over_grpc(&self, uri: &Uri, cx: &RequestCx<'_>) -> Result<Ask, Fault> {
        let shown: Vec<(String, &[u8])> = self
            .shown(&cx.head.headers)
            .map(|(name, value)| (String::from_utf8_lossy(name).to_ascii_lowercase(), value))
            .collect();
        let shown: Vec<(&str, &[u8])> = shown.iter().map(|(name, value)| (&**name, *value)).collect();
        let told = Told::of(cx.head, cx.is_encrypted());
        // Behind a proxy the certificate is that of the proxy, and does not belong to this address.
        let encryption = cx.encryption.filter(|_| !cx.trusted_peer);
        let facts = CheckFacts {
            source: Peer {
                address: Some(SocketAddr::new(cx.client, 0)),
                principal: principal(encryption).unwrap_or_default(),
            },
            id: cx.state.id.as_str(),
            method: &told.method,
            path: &told.target,
            host: &told.host,
            scheme: told.scheme,
            protocol: cx.head.version.as_str(),
            size: cx.body_length,
            headers: &shown,
            ..CheckFacts::default()
        };
        check(uri, &facts, self.timeout).map_err(|_| Fault::AuthorityUnavailable)
    }
}

/// How often the request has passed this gateway, and what `Via` says with this time.
fn via(head: &RequestHead) -> (usize, Headers) {
    let mut via = Headers::default();
    head.headers.all(Name::Via).for_each(|value| via.push_known(Name::Via, value));
    (via.add_via(head.version), via)
}

fn value(text: &[u8]) -> Result<HeaderValue, Fault> {
    HeaderValue::from_bytes(text).map_err(|_| Fault::AuthorityUnavailable)
}

fn set(headers: &mut HeaderMap, name: &'static str, text: &str) -> Result<(), Fault> {
    headers.insert(HeaderName::from_static(name), value(text.as_bytes())?);
    Ok(())
}

/// Who the client has proved to be: as Envoy has it, a URI of its certificate, a host, or the subject.
fn principal(encryption: Option<&Encryption>) -> Option<&str> {
    let certificate = encryption?.certificate.as_ref()?;
    let named = |kind: &str| certificate.names.iter().find_map(|name| name.strip_prefix(kind));
    named("URI:").or_else(|| named("DNS:")).or(Some(&certificate.subject))
}

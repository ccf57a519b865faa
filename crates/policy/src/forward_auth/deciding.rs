//! What an answer means.
//!
//! What does not clearly say yes is never a permission. What the server may not decide is left out here, so that what
//! remains can be carried out as it stands. Entry point: [`Ready::decide`].

use std::rc::Rc;

use authority::Answer;
use authority::ext_authz::{self, Action, Allowed, HeaderChange, decode_check};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use message::{ConnectionOptions, Headers, Reply};

use super::fields::{reaches_client, reaches_service};
use super::grants::Granted;
use super::run::{Ready, Server};

/// What a server has decided.
#[derive(Debug)]
pub(super) enum Decision {
    /// The request passes.
    Granted {
        /// What becomes of it.
        granted: Granted,
        /// Whether the same holds for the next one like it.
        keep: bool,
    },
    /// The client gets this.
    Denied(Reply),
    /// It has decided nothing.
    Nothing,
}

impl Ready {
    /// Reads an answer.
    pub(super) fn decide(&self, answer: &Answer) -> Decision {
        match &self.server {
            Server::Http(_) => self.of_http(answer),
            Server::Grpc(_) => of_grpc(answer),
        }
    }

    fn of_http(&self, answer: &Answer) -> Decision {
        match answer.status {
            200..=299 => {
                let mut request = Allowed::default();
                for name in &self.told {
                    request.headers.extend(values(&answer.headers, name, Action::Append));
                }
                let mut client = Vec::new();
                for name in &self.client {
                    // Cookies go together with those of the service; of anything else there is one voice.
                    let several = **name == *b"set-cookie";
                    let first = if several { Action::Append } else { Action::Overwrite };
                    client.extend(values(&answer.headers, name, first));
                }
                let stored = |value: &HeaderValue| !holds(value.as_bytes(), b"no-store");
                granted(request, client, answer.headers.get_all(CACHE_CONTROL).iter().all(stored))
            }
            // Nobody has asked it under a condition.
            304 => Decision::Nothing,
            300..=499 => Decision::Denied(reply(answer.status, answer.headers.iter(), &answer.body)),
            _ => Decision::Nothing,
        }
    }
}

fn of_grpc(answer: &Answer) -> Decision {
    match decode_check(answer) {
        Ok(ext_authz::Decision::Allowed(mut allowed)) => {
            allowed.remove_headers.retain(|name| reaches_service(name.as_str().as_bytes()));
            allowed.headers.retain(|change| reaches_service(change.name.as_str().as_bytes()));
            let mut client = std::mem::take(&mut allowed.response_headers);
            client.retain(|change| reaches_client(change.name.as_str().as_bytes()));
            granted(allowed, client, true)
        }
        Ok(ext_authz::Decision::Denied(denied)) => {
            let fields = denied.headers.iter().map(|(name, value)| (name, value));
            let mut reply = reply(denied.status, fields, &denied.body);
            let typed = denied.headers.iter().any(|(name, _)| *name == CONTENT_TYPE);
            if !typed && !reply.body.is_empty() {
                reply = reply.header("content-type", "text/plain");
            }
            Decision::Denied(reply)
        }
        Err(_) => Decision::Nothing,
    }
}

/// A cookie is given once: a copy of it could take the place of a newer one.
fn granted(request: Allowed, client: Vec<HeaderChange>, keep: bool) -> Decision {
    let keep = keep && client.iter().all(|change| change.name != SET_COOKIE);
    let client = (!client.is_empty()).then(|| Rc::from(client));
    Decision::Granted { granted: Granted { request, client }, keep }
}

/// All values of a name: the first as it is said, the others besides.
fn values(headers: &HeaderMap, name: &[u8], first: Action) -> impl Iterator<Item = HeaderChange> {
    let name = HeaderName::from_bytes(name).ok();
    let values: Vec<HeaderValue> = name.iter().flat_map(|name| headers.get_all(name)).cloned().collect();
    let actions = std::iter::once(first).chain(std::iter::repeat(Action::Append));
    let pairs = values.into_iter().zip(actions);
    pairs.filter_map(move |(value, action)| Some(HeaderChange { name: name.clone()?, value, action }))
}

fn holds(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word))
}

/// What the client gets in the place of the service's answer: all but what belongs to the connection with the server,
/// and what the gateway writes itself. No cache keeps it, unless the server says how.
fn reply<'a>(
    status: u16,
    fields: impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)>,
    body: &[u8],
) -> Reply {
    let mut headers = Headers::default();
    fields.for_each(|(name, value)| headers.push(name.as_str().as_bytes(), value.as_bytes()));
    headers.strip_response(ConnectionOptions::of(&headers));
    let mut reply = Reply { body: body.to_vec().into(), ..Reply::status(status) };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for (name, value) in headers.iter().filter(|(name, _)| reaches_client(name)) {
        reply = reply.header(text(name), text(value));
    }
    if headers.values(b"cache-control").next().is_none() {
        reply = reply.header("cache-control", "no-store");
    }
    reply
}

//! Asks a server whether a request may pass, and does what it says. What it has allowed can be remembered.

use std::rc::Rc;
use std::time::Duration;

use authority::Trust;
use authority::ext_authz::Action;
use authority::form;
use aws_lc_rs::digest;
use http::Uri;
use message::{Fault, Headers, RequestHead, reads_like};

use super::deciding::Decision;
use super::fields::apply;
use super::grants::Granted;
use crate::{Answer, Digest, Flow, Question, RequestCx, ResponseCx, Shown, Stage};

/// The kind, as logs have it.
const KIND: &str = "forward_auth";

/// Who is asked.
#[derive(Debug)]
pub(super) enum Server {
    /// With a GET of this URL.
    Http(Uri),
    /// With a call of Envoy's protocol.
    Grpc(Uri),
}

/// How positive answers are remembered.
#[derive(Debug)]
pub(super) struct Memory {
    /// One of these has to be there.
    pub(super) by: Box<[Box<[u8]>]>,
    /// All whose values have to be the same.
    pub(super) all: Box<[Box<[u8]>]>,
    /// How long, in seconds.
    pub(super) ttl: u64,
    /// Path and query do not matter.
    pub(super) ignore_path: bool,
}

/// Ready to run. All names are in lower case.
#[derive(Debug)]
pub struct Ready {
    pub(super) server: Server,
    pub(super) timeout: Duration,
    pub(super) trust: Trust,
    /// Fields of the request that the server sees; all that can be shown without it.
    pub(super) shown: Option<Box<[Box<[u8]>]>>,
    /// Fields that the service gets from the server.
    pub(super) told: Box<[Box<[u8]>]>,
    /// Those of them that clients have no use for.
    pub(super) own: Box<[Box<[u8]>]>,
    /// Fields that the client gets from the server.
    pub(super) client: Box<[Box<[u8]>]>,
    pub(super) memory: Option<Memory>,
    pub(super) scope: Digest,
}

impl Ready {
    /// When it is known who is calling: the server is told, and may do what is not allowed to everybody.
    pub const STAGE: Stage = Stage::Authorize;
    /// That is what it is for.
    pub const CAN_REFUSE: bool = true;

    /// Lets the request pass, or answers what the server says; asks before that.
    pub fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        // Before anybody sees it: a server may take these for its own words.
        remove(cx.head, &self.own);
        let key = self.memory.as_ref().and_then(|memory| memory.key(self.scope, cx));
        let decision = match cx.answer.take() {
            Some(Answer::Http(answer)) => self.decide(&answer),
            Some(_) => Decision::Nothing,
            None => {
                if let Some(granted) = key.as_ref().and_then(|key| cx.verified.grants.find(key, cx.now)) {
                    return self.let_pass(&granted, cx);
                }
                return match self.ask(cx) {
                    Ok(ask) => Flow::Ask(Box::new(Question::Http(Box::new(ask)))),
                    Err(fault) => Flow::Fault(fault),
                };
            }
        };
        match decision {
            Decision::Granted { granted, keep } => {
                let granted = Rc::new(granted);
                let flow = self.let_pass(&granted, cx);
                if let (Some(key), Some(memory), true) = (key, &self.memory, keep) {
                    cx.verified.grants.put(key, granted, cx.now.saturating_add(memory.ttl));
                }
                flow
            }
            Decision::Denied(reply) => {
                cx.state.stopped_by = Some((KIND, "denied"));
                Flow::Reply(reply)
            }
            Decision::Nothing => Flow::Fault(Fault::AuthorityUnavailable),
        }
    }

    /// Gives the client what the server has for it.
    pub fn on_response(&self, cx: &mut ResponseCx<'_>) {
        for change in cx.state.reply_headers.iter().flat_map(|changes| changes.iter()) {
            apply(cx.headers, change);
        }
    }

    /// Names of fields by which it tells services of callers.
    pub fn told_fields(&self) -> Vec<&[u8]> {
        self.own.iter().map(|name| &**name).collect()
    }

    fn let_pass(&self, granted: &Granted, cx: &mut RequestCx<'_>) -> Flow {
        remove(cx.head, &self.told);
        for name in &granted.request.remove_headers {
            cx.head.headers.remove(name.as_str().as_bytes());
        }
        for change in &granted.request.headers {
            if change.action == Action::Overwrite {
                forget(&mut cx.head.headers, |name| reads_like(name, change.name.as_str().as_bytes()));
            }
            apply(&mut cx.head.headers, change);
        }
        if let Err(fault) = change_query(cx.head, granted) {
            return Flow::Fault(fault);
        }
        cx.state.reply_headers.clone_from(&granted.client);
        Flow::Continue
    }
}

/// Removes fields, and what a service could take for them.
fn remove(head: &mut RequestHead, names: &[Box<[u8]>]) {
    if !names.is_empty() {
        forget(&mut head.headers, |name| names.iter().any(|meant| reads_like(name, meant)));
    }
}

/// Most requests have nothing of the kind, and are only looked at.
fn forget(headers: &mut Headers, is_meant: impl Fn(&[u8]) -> bool) {
    if headers.iter().any(|(name, _)| is_meant(name)) {
        headers.retain(|field, text| !is_meant(field.name.of(text)));
    }
}

/// As in Envoy parameters are set first, and removed then.
fn change_query(head: &mut RequestHead, granted: &Granted) -> Result<(), Fault> {
    let set = &granted.request.set_query;
    if !set.is_empty() {
        set.iter().for_each(|(name, _)| head.remove_query(name.as_bytes()));
        let pairs: Vec<(&str, &str)> = set.iter().map(|(name, value)| (&**name, &**value)).collect();
        let mut query = head.query().unwrap_or_default().to_vec();
        if !query.is_empty() {
            query.push(b'&');
        }
        query.extend_from_slice(form::encode(&pairs).as_bytes());
        let path = head.path().to_vec();
        head.rewrite(&path, Some(&query))?;
    }
    for name in &granted.request.remove_query {
        head.remove_query(name.as_bytes());
    }
    Ok(())
}

impl Memory {
    /// What a request is known by; `None` for one that shows nothing to be known by.
    fn key(&self, scope: Digest, cx: &RequestCx<'_>) -> Option<Shown> {
        let headers = &cx.head.headers;
        self.by.iter().find(|name| headers.values(name).next().is_some())?;
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(cx.verified.secret());
        for name in &self.all {
            headers.values(name).for_each(|value| add(&mut context, b'v', value));
            context.update(b"n");
        }
        add(&mut context, b'm', cx.head.method_bytes());
        add(&mut context, b'h', cx.head.client_authority().unwrap_or_default());
        context.update(if cx.is_encrypted() { b"s" } else { b"p" });
        match cx.client.to_canonical() {
            std::net::IpAddr::V4(address) => add(&mut context, b'4', &address.octets()),
            std::net::IpAddr::V6(address) => add(&mut context, b'6', &address.octets()),
        }
        if let Some(certificate) = cx.encryption.and_then(|encryption| encryption.certificate.as_ref()) {
            add(&mut context, b't', certificate.fingerprint.as_bytes());
        }
        if let Some(identity) = cx.identity() {
            add(&mut context, b'c', identity.consumer.as_deref().unwrap_or_default().as_bytes());
            add(&mut context, b'i', identity.subject.as_bytes());
            for (name, value) in &identity.fields {
                add(&mut context, b'f', name);
                add(&mut context, b'=', value);
            }
        }
        if !self.ignore_path {
            add(&mut context, b'u', cx.head.path());
            if let Some(query) = cx.head.query() {
                add(&mut context, b'?', query);
            }
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Some(Shown { scope, digest })
    }
}

/// With its length, so that no two requests look the same.
fn add(context: &mut digest::Context, kind: u8, text: &[u8]) {
    context.update(&[kind]);
    context.update(&(text.len() as u64).to_le_bytes());
    context.update(text);
}

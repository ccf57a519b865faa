//! Recognises callers by user names and passwords that a directory verifies.
//!
//! A password that was right is remembered for a while, by a digest that is mixed with a secret of the worker: neither
//! the password nor anything that it could be guessed from is kept. One that was wrong is not remembered. Without an
//! answer nobody gets in, but what is remembered goes on to hold.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use message::{Fault, RequestHead};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::directory::{AskDirectory, Directory, Entry};
use crate::authenticate::Refused;
use crate::claims::Mapping;
use crate::userpass::{self, UserPass};
use crate::{Answer, Digest, Finding, Question, RequestCx, Shown, Verdict};

/// The kind, as logs have it.
pub(super) const KIND: &str = "ldap";

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(crate) directory: Arc<Directory>,
    pub(crate) mapping: Mapping,
    pub(crate) challenge: Box<str>,
    /// How long a password that was right is believed, in seconds.
    pub(crate) cache: u64,
    pub(crate) forward: bool,
    pub(crate) scope: Digest,
}

impl Ready {
    /// Who shows a name and a password, and whether the directory says that they belong together.
    pub fn authenticate(&self, cx: &mut RequestCx<'_>) -> Verdict {
        let mut room = userpass::Room::default();
        let Some(read) = userpass::read(cx.head, &mut room) else { return Verdict::Missing };
        let malformed =
            || Verdict::Refused(Refused::new("malformed", "The user name and password cannot be read."));
        let Ok(own) = read else { return malformed() };
        let Some(password) = text(&own) else { return malformed() };
        // A directory takes a name without a password for a visitor, and says yes (RFC 4513 §5.1.2).
        if own.name.is_empty() || password.is_empty() {
            return wrong();
        }
        let shown = Shown { scope: self.scope, digest: own.digest(cx.verified.secret()) };
        match cx.answer.take() {
            Some(Answer::Ldap(Some(entry))) => self.take_note(*entry, shown, cx),
            Some(Answer::Ldap(None)) => wrong(),
            // Without an answer that counts, another request may have had one meanwhile.
            other => match (cx.verified.get(&shown, cx.now), other) {
                (Some(Finding { identity: Some(identity), .. }), _) => {
                    Verdict::Known(self.mapping.caller(identity))
                }
                (_, Some(_)) => Verdict::Fault(Fault::AuthorityUnavailable),
                (_, None) => Verdict::Ask(Box::new(Question::Ldap(Box::new(AskDirectory {
                    directory: Arc::clone(&self.directory),
                    username: own.name.into(),
                    password: Zeroizing::new(password.to_owned()),
                })))),
            },
        }
    }

    /// What follows from an answer, for this request and for those to come.
    fn take_note(&self, entry: Entry, shown: Shown, cx: &mut RequestCx<'_>) -> Verdict {
        let consumer = entry.consumer.as_deref().and_then(|name| cx.consumers.find(name));
        let consumer = consumer.and_then(|index| cx.consumers.identity(index));
        if consumer.is_none() && self.mapping.consumer_required {
            return Verdict::Refused(Refused::new("unknown", "The user belongs to no consumer."));
        }
        let identity = Rc::new(self.mapping.identity_of(claims(entry), consumer));
        let caller = self.mapping.caller(&identity);
        // What ends at once makes no room for itself.
        if self.cache > 0 {
            let until = cx.now.saturating_add(self.cache);
            cx.verified.put(shown, Finding { identity: Some(identity), until, key: None, generation: 0 });
        }
        Verdict::Known(caller)
    }

    /// What could be shown.
    pub fn challenge(&self, _: Option<&Refused>) -> Option<Cow<'static, str>> {
        Some(self.challenge.to_string().into())
    }

    /// The browser asks by itself.
    pub fn invite(&self, _: &mut RequestCx<'_>) -> Option<message::Reply> {
        None
    }

    /// Fields that tell of the user.
    pub fn told_fields(&self) -> Vec<&[u8]> {
        self.mapping.told_fields()
    }

    /// Removes the password, unless services are to see it.
    pub fn hide(&self, head: &mut RequestHead, recognised: bool) {
        if !(self.forward && recognised) {
            userpass::hide(head);
        }
    }
}

fn wrong() -> Verdict {
    Verdict::Refused(Refused::new("wrong", "The user name or the password is wrong."))
}

/// The password as text, which it is for a directory (RFC 4511 §4.2). Neither it nor the name has control characters
/// (RFC 7617 §2): to a directory that stops reading at one of them, it would be a shorter one, or none.
fn text<'r>(own: &UserPass<'r>) -> Option<&'r str> {
    let password = std::str::from_utf8(own.password).ok()?;
    (!own.name.chars().chain(password.chars()).any(char::is_control)).then_some(password)
}

/// What is known of a user, as tokens say such things.
fn claims(entry: Entry) -> Map<String, Value> {
    let groups: Vec<Value> = entry.groups.into_iter().map(Value::String).collect();
    let mut claims = Map::new();
    claims.insert("sub".to_owned(), Value::String(entry.name));
    claims.insert("dn".to_owned(), Value::String(entry.dn));
    claims.insert("groups".to_owned(), Value::Array(groups));
    claims
}

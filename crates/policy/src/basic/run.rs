//! Recognises consumers by user names and passwords (RFC 7617).
//!
//! A password that was right is remembered for a while, by a digest that is mixed with a secret of the worker: neither
//! the password nor anything that it could be guessed from is kept. Somebody who is not known costs as long as somebody
//! who is, so that the time tells no names.

use std::borrow::Cow;

use message::RequestHead;
use zeroize::Zeroizing;

use crate::authenticate::Refused;
use crate::userpass::{self, mixed};
use crate::{Answer, Caller, Finding, Question, RequestCx, Shown, Verdict};

/// The kind, as logs have it.
const KIND: &str = "basic";
/// What nobody's password is compared with: `gateward hash-password` made it of random bytes.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$4bRd3PJY1QCLNJ8vDhVVsQ$k6iVvXAdZUt4z4YVvMa7qQt7zJ5CDqXr0p4hYkTcM5k";

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(crate) challenge: Box<str>,
    /// How long a password that was right is believed, in seconds.
    pub(crate) cache: u64,
    pub(crate) forward: bool,
}

impl Ready {
    /// Who shows a name and a password, and whether they belong together.
    pub fn authenticate(&self, cx: &mut RequestCx<'_>) -> Verdict {
        let mut room = userpass::Room::default();
        let Some(read) = userpass::read(cx.head, &mut room) else { return Verdict::Missing };
        let Ok(own) = read else {
            return Verdict::Refused(Refused::new("malformed", "The user name and password cannot be read."));
        };
        let user = cx.consumers.user(own.name);
        // One that nobody has is compared with that of somebody.
        let hash = user.map_or_else(|| cx.consumers.decoy(own.name).unwrap_or(NOBODY), |user| &user.hash);
        let shown = Shown {
            scope: mixed(cx.verified.secret(), hash.as_bytes()),
            digest: own.digest(cx.verified.secret()),
        };
        let wrong = || Verdict::Refused(Refused::new("wrong", "The user name or the password is wrong."));
        let known = |consumer| Verdict::Known(Caller::Consumer(consumer, KIND));
        if let Some(user) = user
            && cx.verified.get(&shown, cx.now).is_some()
        {
            return known(user.consumer);
        }
        match (cx.answer.take(), user) {
            (Some(Answer::Password(true)), Some(user)) => {
                let until = cx.now.saturating_add(self.cache);
                cx.verified.put(shown, Finding { identity: None, until, key: None, generation: 0 });
                known(user.consumer)
            }
            (Some(Answer::Password(_)), _) => wrong(),
            (Some(_), _) => Verdict::Fault(message::Fault::AuthorityUnavailable),
            (None, _) => {
                let password = Zeroizing::new(own.password.to_vec());
                Verdict::Ask(Box::new(Question::Password { password, hash: hash.into() }))
            }
        }
    }

    /// What could be shown.
    pub fn challenge(&self, _: Option<&Refused>) -> Option<Cow<'static, str>> {
        Some(self.challenge.to_string().into())
    }

    /// The browser asks by itself.
    pub fn invite(&self, _: &mut RequestCx<'_>) -> Option<message::Reply> {
        None
    }

    /// Services are told the name of the consumer and nothing else.
    pub fn told_fields(&self) -> Vec<&[u8]> {
        Vec::new()
    }

    /// Removes the password, unless services are to see it.
    pub fn hide(&self, head: &mut RequestHead, recognised: bool) {
        if !(self.forward && recognised) {
            userpass::hide(head);
        }
    }
}

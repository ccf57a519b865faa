//! What a policy has to know from somebody else before it can judge, and what it is told.
//!
//! A policy never waits and opens no socket: it says what to ask. Whoever runs the chain asks, and runs the policy
//! again with the answer. Entry points: [`Question`], [`Answer`], [`HeldBody`].

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use authority::Ask;
use store::{Decision, OwnAsk, Trouble};
use zeroize::Zeroizing;

use crate::Issuer;
use crate::ldap::{AskDirectory, Entry};

/// What has to be known before a policy can judge.
pub enum Question {
    /// A server is to be asked.
    Http(Box<Ask>),
    /// Whether a password is the one of a hash. It takes long on purpose, so it has threads of its own.
    Password {
        /// What was shown.
        password: Zeroizing<Vec<u8>>,
        /// The hash, in the form of its function.
        hash: Box<str>,
    },
    /// Another request has asked already what this one would: it looks again after this time.
    Later(Duration),
    /// The body of the request is to be read. It stands in [`RequestState::body`](crate::RequestState) then, and is
    /// forwarded from there. A request whose body does not come as it should is answered without the policy.
    Body {
        /// Of a body with more bytes than this, only its begin is read.
        most: usize,
        /// Whether the request is refused if there is no room to hold it; otherwise less of it is read.
        needed: bool,
    },
    /// The keys of an issuer are to be fetched anew, because a token names one that is not among them, or because there
    /// are none yet.
    Keys(Arc<Issuer>),
    /// Whether a directory knows a user with this password, and what it says of that user.
    Ldap(Box<AskDirectory>),
    /// Whether the store that gateways share allows this: one decision about all of it.
    Store(Vec<OwnAsk>),
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Question::Http(_) => "Http",
            Question::Password { .. } => "Password",
            Question::Later(_) => "Later",
            Question::Body { .. } => "Body",
            Question::Keys(_) => "Keys",
            Question::Ldap(_) => "Ldap",
            Question::Store(_) => "Store",
        })
    }
}

/// What was read of the body of a request.
#[derive(Default, PartialEq, Eq)]
pub struct HeldBody {
    /// Its bytes, from the first one on.
    pub bytes: Vec<u8>,
    /// Whether these are all.
    pub is_whole: bool,
}

/// Bodies hold secrets.
impl fmt::Debug for HeldBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeldBody({} bytes)", self.bytes.len())
    }
}

/// What a policy is told.
#[derive(Clone)]
pub enum Answer {
    /// A server has answered.
    Http(Box<authority::Answer>),
    /// Whether the password is the right one.
    Password(bool),
    /// The body of the request was read.
    Body,
    /// The time has passed.
    Later,
    /// Keys were fetched, or may not be fetched again so soon.
    Keys,
    /// What the directory says of the user; `None` if there is no such user, or the password is another one.
    Ldap(Option<Box<Entry>>),
    /// What the store has decided.
    Store(Box<Decided>),
    /// Nobody could be asked, or nobody has answered in time. The text is for operators.
    Nothing(String),
}

/// What the store has decided, if it has.
#[derive(Debug, Clone)]
pub struct Decided {
    /// The decision, or why there is none.
    pub outcome: Result<Decision, Trouble>,
    /// When it was asked.
    pub asked: Instant,
    /// When the answer was there.
    pub at: Instant,
}

/// Answers hold secrets: tokens, and what forms say.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Http(answer) => write!(f, "Http({answer:?})"),
            Answer::Password(right) => write!(f, "Password({right})"),
            Answer::Body => f.write_str("Body"),
            Answer::Keys => f.write_str("Keys"),
            Answer::Later => f.write_str("Later"),
            Answer::Store(decided) => write!(f, "Store({:?})", decided.outcome),
            Answer::Ldap(entry) => write!(f, "Ldap({})", entry.is_some()),
            Answer::Nothing(why) => write!(f, "Nothing({why})"),
        }
    }
}

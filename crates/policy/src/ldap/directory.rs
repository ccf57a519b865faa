//! Which directory is asked, for whom, and what it answers: values, without a socket.
//!
//! The policy makes the question, and whoever runs the chain puts it. Entry points: [`AskDirectory`], [`Entry`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use authority::Trust;
use document::Secret;
use zeroize::Zeroizing;

use super::template::Template;

/// How what is said to a directory is kept from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Not at all.
    Plain,
    /// By TLS that is asked for on a plain connection, before anything else is said (RFC 4511 §4.14).
    StartTls,
    /// By TLS from the first byte on.
    Tls,
}

/// A directory, and how users are found in it.
#[derive(Debug)]
pub struct Directory {
    /// Its host: a name, or an address without brackets.
    pub host: Box<str>,
    /// Its port.
    pub port: u16,
    /// How what is said is kept from others.
    pub security: Security,
    /// Whose word is taken for who it is.
    pub trust: Trust,
    /// How long a whole question may take, waiting for its turn included.
    pub timeout: Duration,
    /// How a user is found by a name.
    pub who: Who,
    /// The attribute that holds what a user is called: the directory takes several spellings for the same name, and has
    /// one itself.
    pub name_attribute: Box<str>,
    /// The attribute that names a consumer of the configuration.
    pub consumer_attribute: Option<Box<str>>,
    /// How the groups of a user are found.
    pub groups: Option<GroupSearch>,
}

/// As what users are taken for who they say that they are.
#[derive(Debug)]
pub enum Who {
    /// As the entry that is called so.
    Named(Template),
    /// As the one entry that a search finds.
    Found(UserSearch),
}

/// How the entry of a user is found.
#[derive(Debug)]
pub struct UserSearch {
    /// Below which entry.
    pub base: Box<str>,
    /// What holds for it.
    pub filter: Template,
    /// Who searches; anybody may without it.
    pub account: Option<Account>,
}

/// By whose name the gateway itself asks.
#[derive(Debug)]
pub struct Account {
    /// Its entry.
    pub dn: Box<str>,
    /// Its password.
    pub password: Secret,
}

/// How the groups of a user are found.
#[derive(Debug)]
pub struct GroupSearch {
    /// Below which entry.
    pub base: Box<str>,
    /// What holds for them.
    pub filter: Template,
    /// The attribute that holds what they are called.
    pub attribute: Box<str>,
}

/// Whether a password is the one of a user of a directory.
pub struct AskDirectory {
    /// Which directory.
    pub directory: Arc<Directory>,
    /// The name of the user, as it was shown.
    pub username: Box<str>,
    /// The password: never empty, which a directory would take for a visitor who does not say who it is and welcome
    /// (RFC 4513 §5.1.2).
    pub password: Zeroizing<String>,
}

impl fmt::Debug for AskDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.directory)
    }
}

impl fmt::Display for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.security == Security::Tls { "ldaps" } else { "ldap" };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{open}{}{close}:{}", self.host, self.port)
    }
}

/// What a directory says of a user whose password was right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// What the entry is called.
    pub dn: String,
    /// What the user is called, in the spelling of the directory.
    pub name: String,
    /// What the attribute that names a consumer holds, if it holds one value.
    pub consumer: Option<String>,
    /// The names of the groups.
    pub groups: Vec<String>,
}

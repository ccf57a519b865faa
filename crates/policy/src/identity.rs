//! Who is calling.
//!
//! An [`Identity`] is what is known of a caller, [`Caller`] how a request holds on to one: without counting references
//! where it is a consumer of the configuration, so that workers do not meet at the counter of a busy one. Nothing here
//! decides who is genuine: that is [`crate::authenticate`].

use std::rc::Rc;

use serde_json::{Map, Value};

use crate::Consumers;

/// A field that tells a service about a caller: the name in lower case, and the value.
pub type Told = (Box<[u8]>, Box<[u8]>);

/// What is known of a caller.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// The place of the consumer in the table; `None` for somebody who is not there.
    pub index: Option<u32>,
    /// The consumer of the configuration; `None` for somebody who is genuine but not named there.
    pub consumer: Option<Box<str>>,
    /// What the credential says about who it is: the subject of a token or certificate, the name of a user.
    pub subject: Box<str>,
    /// The groups it belongs to: those of the consumer, and those that the credential says.
    pub groups: Box<[Box<str>]>,
    /// What it was allowed to do by whoever has issued the credential.
    pub scopes: Box<[Box<str>]>,
    /// The claims of a token.
    pub claims: Map<String, Value>,
    /// Fields that tell the service about it: names in lower case, and values that are valid in a field.
    pub fields: Box<[Told]>,
}

impl Identity {
    /// The name by which it is known: that of the consumer, otherwise what the credential says.
    pub fn name(&self) -> &str {
        self.consumer.as_deref().unwrap_or(&self.subject)
    }

    /// Whether it belongs to a group.
    pub fn has_group(&self, name: &str) -> bool {
        self.groups.iter().any(|group| **group == *name)
    }

    /// Whether it was given a scope.
    pub fn has_scope(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| **scope == *name)
    }
}

/// How a request holds on to who is calling.
#[derive(Debug, Clone, Default)]
pub enum Caller {
    /// Nobody has asked yet, or nobody has to.
    #[default]
    Unknown,
    /// It has shown nothing, and does not have to.
    Anonymous,
    /// A consumer, by its place among [`Consumers`], and the kind of policy that has recognised it.
    Consumer(u32, &'static str),
    /// Somebody who has shown a credential that says more, and the kind of policy that has recognised it.
    Verified(Rc<Identity>, &'static str),
}

impl Caller {
    /// What is known of it.
    #[inline]
    pub fn identity<'a>(&'a self, consumers: &'a Consumers) -> Option<&'a Identity> {
        match self {
            Caller::Unknown | Caller::Anonymous => None,
            Caller::Consumer(index, _) => consumers.identity(*index),
            Caller::Verified(identity, _) => Some(identity),
        }
    }

    /// The place of the consumer in the table.
    #[inline]
    pub fn consumer(&self) -> Option<u32> {
        match self {
            Caller::Unknown | Caller::Anonymous => None,
            Caller::Consumer(index, _) => Some(*index),
            Caller::Verified(identity, _) => identity.index,
        }
    }

    /// The kind of policy that has recognised it; `anonymous` where none had to, empty where nobody has asked.
    pub fn method(&self) -> &'static str {
        match self {
            Caller::Unknown => "",
            Caller::Anonymous => "anonymous",
            Caller::Consumer(_, method) | Caller::Verified(_, method) => method,
        }
    }
}

/// The field that names the consumer to services.
pub const CONSUMER_FIELD: &[u8] = b"x-consumer";

/// Whether a name is one that tells services about consumers, or what a service could take for one: many write `_`
/// for all that is neither letter nor digit. Clients cannot send such fields.
#[inline]
pub fn is_identity_field(name: &[u8]) -> bool {
    name.len() >= CONSUMER_FIELD.len() && reads_like(&name[..CONSUMER_FIELD.len()], CONSUMER_FIELD)
}

/// Whether a service could take a name for another one, which is in lower case.
pub fn reads_like(name: &[u8], wanted: &[u8]) -> bool {
    let same = |(&own, &wanted): (&u8, &u8)| match wanted {
        b'a'..=b'z' | b'0'..=b'9' => own.eq_ignore_ascii_case(&wanted),
        _ => !own.is_ascii_alphanumeric(),
    };
    name.len() == wanted.len() && name.iter().zip(wanted).all(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_read_like_ours_are_known() {
        for name in ["x-consumer", "X-Consumer", "X_CONSUMER", "x.consumer-groups", "x-consumer-id"] {
            assert!(is_identity_field(name.as_bytes()), "{name}");
        }
        for name in ["x-consume", "y-consumer", "xx-consumer", ""] {
            assert!(!is_identity_field(name.as_bytes()), "{name}");
        }
        assert!(reads_like(b"X.User", b"x-user") && !reads_like(b"x-users", b"x-user"));
    }
}

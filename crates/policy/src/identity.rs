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

    /// About what it takes in memory, in bytes.
    pub(crate) fn size(&self) -> usize {
        let lists = self.groups.iter().chain(&self.scopes).map(|text| text.len() + 16);
        let fields = self.fields.iter().map(|(name, value)| name.len() + value.len() + 32);
        let claims = self.claims.iter().map(|(name, value)| name.len() + size_of_value(value));
        size_of::<Identity>() + self.subject.len() + lists.chain(fields).chain(claims).sum::<usize>()
    }

    /// What the credential says about who it is; empty where that is the name of the consumer.
    pub fn other_name(&self) -> &str {
        if self.consumer.as_ref() == Some(&self.subject) { "" } else { &self.subject }
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

/// What a value takes with its place in a list or an object. How deep it goes is bounded by what can be parsed.
fn size_of_value(value: &Value) -> usize {
    let around = size_of::<Value>() + size_of::<String>() + 16;
    around
        + match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => text.len(),
            Value::Array(values) => values.iter().map(size_of_value).sum(),
            Value::Object(members) => {
                members.iter().map(|(name, value)| name.len() + size_of_value(value)).sum()
            }
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

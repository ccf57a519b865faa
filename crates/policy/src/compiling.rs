//! What a policy is prepared with, besides its own settings.

use std::sync::Arc;

use aws_lc_rs::digest;
use diagnostics::Diagnostics;
use document::{Node, Value};

use crate::{Consumers, Digest, Providers};

/// What a policy is prepared with.
#[derive(Debug)]
pub struct Compiling<'a> {
    /// Where mistakes are reported.
    pub diagnostics: &'a mut Diagnostics,
    /// The consumers of the configuration.
    pub consumers: &'a Arc<Consumers>,
    /// Whose keys are fetched.
    pub providers: &'a Providers,
    /// Where the policies are written: empty for the gateway, `service NAME`, `route NAME`. What they have counted stays
    /// with the place.
    pub place: String,
    /// Whether it is of a plan: each consumer has all of it for itself.
    pub of_plan: bool,
    /// Whether gateways share their state, so that limits can be counted for all of them together.
    pub shares_state: bool,
    /// The SHA-256 of the settings that are being prepared, and of who the consumers are: what was verified by other
    /// settings does not count for these.
    pub fingerprint: Digest,
}

impl<'a> Compiling<'a> {
    /// For the policies of a gateway with these consumers.
    pub fn new(
        diagnostics: &'a mut Diagnostics,
        consumers: &'a Arc<Consumers>,
        providers: &'a Providers,
    ) -> Compiling<'a> {
        Compiling {
            diagnostics,
            consumers,
            providers,
            place: String::new(),
            of_plan: false,
            shares_state: false,
            fingerprint: [0; 32],
        }
    }
}

impl Compiling<'_> {
    /// For a gateway that shares its state with others, or does not.
    #[must_use]
    pub fn sharing(mut self, shares_state: bool) -> Self {
        self.shares_state = shares_state;
        self
    }

    /// For the policies of a service or a route: `service NAME`, `route NAME`.
    #[must_use]
    pub fn at(mut self, place: String) -> Self {
        self.place = place;
        self
    }
}

/// The SHA-256 of the settings of a policy, what they hold of files and secrets included.
pub(crate) fn fingerprint(kind: &str, node: &Node, consumers: &Consumers) -> Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    add(&mut context, b'k', kind.as_bytes());
    context.update(consumers.fingerprint());
    walk(&mut context, node);
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

fn add(context: &mut digest::Context, kind: u8, text: &[u8]) {
    context.update(&[kind]);
    context.update(&(text.len() as u64).to_le_bytes());
    context.update(text);
}

/// How deep it goes is bounded by what can be parsed.
fn walk(context: &mut digest::Context, node: &Node) {
    match &node.value {
        Value::Null => add(context, b'n', b""),
        Value::Scalar(scalar) => {
            add(context, b's', scalar.text.as_bytes());
            // What a file holds is part of what was written.
            for file in scalar.files.iter().flat_map(|files| &files.texts) {
                add(context, b'f', file.text.as_ref().map_or("", |text| text.expose()).as_bytes());
            }
        }
        Value::List(items) => {
            add(context, b'l', &(items.len() as u64).to_le_bytes());
            items.iter().for_each(|item| walk(context, item));
        }
        Value::Map(entries) => {
            add(context, b'm', &(entries.len() as u64).to_le_bytes());
            for entry in entries {
                add(context, b'e', entry.key.value.as_bytes());
                walk(context, &entry.node);
            }
        }
    }
}

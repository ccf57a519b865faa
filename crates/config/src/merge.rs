//! Joins what several files say into one tree.
//!
//! Sections of names are joined name by name, lists are appended, everything else may be given once. It knows
//! the top level of the language and nothing below it. Entry point: [`Merged::add`].

use std::collections::HashMap;
use std::mem;

use diagnostics::{Code, Diagnostic, Diagnostics, Span};
use document::{Entry, Node, Value};

/// Keys whose names come from several files.
const JOINED: &[&str] = &["services", "policies"];

/// Keys whose values come from several files.
const APPENDED: &[&str] = &["listen", "routes", "trusted_proxies"];

/// The top level, from the files added so far.
#[derive(Default)]
pub(crate) struct Merged {
    entries: Vec<Entry>,
    /// Names of the joined sections, with their places.
    names: HashMap<(&'static str, String), Span>,
}

impl Merged {
    /// Adds a key of the top level of one more file.
    pub(crate) fn add(&mut self, mut entry: Entry, diagnostics: &mut Diagnostics) {
        let joined = JOINED.iter().find(|key| **key == entry.key.value);
        if let (Some(section), Value::Map(entries)) = (joined, &mut entry.node.value) {
            entries.retain(|inner| self.first_of_its_name(section, inner, diagnostics));
        }
        let Some(known) = self.entries.iter_mut().find(|known| known.key == entry.key) else {
            self.entries.push(entry);
            return;
        };
        let appended = APPENDED.contains(&entry.key.value.as_str());
        match (&mut known.node.value, entry.node.value) {
            (Value::Map(all), Value::Map(more)) if joined.is_some() => all.extend(more),
            // A single listener is a list of one.
            (all, more)
                if appended && is_listed(&entry.key.value, all) && is_listed(&entry.key.value, &more) =>
            {
                let mut list = into_list(mem::replace(all, Value::Null), known.node.span);
                list.extend(into_list(more, entry.node.span));
                *all = Value::List(list);
            }
            _ => {
                let message = format!("`{}` is given in two files", entry.key.value);
                let one = Diagnostic::error(Code::DuplicateKey, entry.key.span, message)
                    .label("here again")
                    .related(known.key.span, "first here");
                diagnostics.push(match (joined, appended) {
                    (Some(_), _) => one.help("it can be joined only if it is a section with names in both"),
                    (_, true) => one.help("it can be joined only if it is a list in both"),
                    _ => one.help("keep one of them"),
                });
            }
        }
    }

    /// The tree, at the place of the first file.
    pub(crate) fn into_node(self, span: Span) -> Node {
        Node { span, value: Value::Map(self.entries) }
    }

    fn first_of_its_name(
        &mut self,
        section: &'static str,
        inner: &Entry,
        diagnostics: &mut Diagnostics,
    ) -> bool {
        let name = &inner.key;
        let Some(first) = self.names.get(&(section, name.value.clone())) else {
            self.names.insert((section, name.value.clone()), name.span);
            return true;
        };
        let message = format!("`{}` is given twice in `{section}`", name.value);
        diagnostics.push(
            Diagnostic::error(Code::DuplicateKey, name.span, message)
                .label("here again")
                .related(*first, "first here")
                .help("remove one, or give it another name"),
        );
        false
    }
}

/// Whether a value of this key can be appended to another one.
fn is_listed(key: &str, value: &Value) -> bool {
    match value {
        Value::List(_) => true,
        Value::Scalar(_) | Value::Map(_) => key == "listen",
        Value::Null => false,
    }
}

fn into_list(value: Value, span: Span) -> Vec<Node> {
    match value {
        Value::List(nodes) => nodes,
        value => vec![Node { span, value }],
    }
}

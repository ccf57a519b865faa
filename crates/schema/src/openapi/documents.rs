//! The documents that an OpenAPI description consists of, and references between them.
//!
//! It must not know what the objects in them mean. Entry points: [`Documents::new`], [`Documents::get`],
//! [`Documents::follow`], [`Documents::settle`].

use std::sync::Arc;

use serde_json::Value;

use crate::pointer::join;
use crate::{MAX_DOCUMENTS, Resolve};

/// How many references may lead to each other before one leads to something else.
const LONGEST_CHAIN: usize = 32;

/// A place in a document.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct At {
    document: usize,
    pub(super) pointer: String,
}

impl At {
    pub(super) fn root() -> At {
        At { document: 0, pointer: String::new() }
    }

    pub(super) fn member(&self, name: &str) -> At {
        At { document: self.document, pointer: join(&self.pointer, name) }
    }

    pub(super) fn element(&self, index: usize) -> At {
        At { document: self.document, pointer: format!("{}/{index}", self.pointer) }
    }
}

pub(super) struct Documents {
    resolve: Resolve,
    /// Name and value. The first is the description itself.
    loaded: Vec<(String, Arc<Value>)>,
}

impl Documents {
    pub(super) fn new(name: &str, root: Value, resolve: &Resolve) -> Documents {
        Documents { resolve: Arc::clone(resolve), loaded: vec![(name.to_owned(), Arc::new(root))] }
    }

    /// What is there.
    pub(super) fn get(&self, at: &At) -> Option<&Value> {
        self.loaded.get(at.document)?.1.pointer(&at.pointer)
    }

    /// The place as a message names it.
    pub(super) fn describe(&self, at: &At) -> String {
        match self.loaded.get(at.document) {
            Some((name, _)) if at.document > 0 => format!("{name}#{}", at.pointer),
            _ => at.pointer.clone(),
        }
    }

    /// Where a reference leads that stands in the document of `from`.
    pub(super) fn follow(&mut self, from: &At, reference: &str) -> Result<At, String> {
        let (file, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        if !(fragment.is_empty() || fragment.starts_with('/')) {
            return Err(format!("refers to {reference} by a name: only pointers are supported"));
        }
        let pointer =
            decoded(fragment).ok_or_else(|| format!("refers to {reference}, which is malformed"))?;
        let document = if file.is_empty() { from.document } else { self.load(from.document, file)? };
        let at = At { document, pointer };
        if self.get(&at).is_none() {
            return Err(format!("refers to {reference}, which does not exist"));
        }
        Ok(at)
    }

    /// The place of an object that may be a reference to another: where it really is.
    pub(super) fn settle(&mut self, at: &At) -> Result<At, String> {
        let mut at = at.clone();
        for _ in 0..LONGEST_CHAIN {
            let Some(reference) = self.get(&at).and_then(|value| value.get("$ref")).and_then(Value::as_str)
            else {
                return Ok(at);
            };
            let reference = reference.to_owned();
            at = self.follow(&at, &reference)?;
        }
        Err("refers to itself".into())
    }

    fn load(&mut self, from: usize, file: &str) -> Result<usize, String> {
        let base = self.loaded.get(from).map_or("", |(name, _)| name.as_str());
        let name = relative(base, file);
        if let Some(index) = self.loaded.iter().position(|(loaded, _)| *loaded == name) {
            return Ok(index);
        }
        if self.loaded.len() >= MAX_DOCUMENTS {
            return Err(format!("is one of more than {MAX_DOCUMENTS} documents"));
        }
        let value = (self.resolve)(&name).map_err(|why| format!("cannot have {name}: {why}"))?;
        self.loaded.push((name, Arc::new(value)));
        Ok(self.loaded.len() - 1)
    }
}

/// A name in relation to the document that says it. `..` does not lead out of where the documents are.
fn relative(base: &str, file: &str) -> String {
    if file.contains("://") {
        return file.to_owned();
    }
    let (scheme, base) = match base.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), base),
    };
    let mut parts: Vec<&str> = if file.starts_with('/') { Vec::new() } else { base.split('/').collect() };
    parts.pop();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    scheme + &parts.join("/")
}

/// The text behind escapes of a fragment (RFC 6901 §6).
fn decoded(fragment: &str) -> Option<String> {
    if !fragment.contains('%') {
        return Some(fragment.to_owned());
    }
    String::from_utf8(super::text::unescape(fragment.as_bytes(), false)?.into_owned()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_relative_to_the_document_and_stay_inside() {
        for (base, file, want) in [
            ("", "a.yaml", "a.yaml"),
            ("api.yaml", "./a.yaml", "a.yaml"),
            ("x/y/api.yaml", "../a.yaml", "x/a.yaml"),
            ("x/api.yaml", "../../../a.yaml", "a.yaml"),
            ("x/api.yaml", "/etc/a.yaml", "etc/a.yaml"),
            ("x/api.yaml", "https://example.com/a", "https://example.com/a"),
            ("https://example.com/v/a", "b", "https://example.com/v/b"),
        ] {
            assert_eq!(relative(base, file), want, "{base} {file}");
        }
    }
}

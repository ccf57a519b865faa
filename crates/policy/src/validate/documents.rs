//! From a text to the value that it is, and from what is wrong with that to a place in the text.
//!
//! Files in JSON and YAML are read by the parser of the configuration, which knows places, and become values by the core
//! schema of YAML 1.2 (§10.3), of which JSON is a part. It must not know what schemas mean. Entry points: [`value_of`],
//! [`Library`].

use std::collections::HashMap;
use std::path::{Component, Path};
use std::sync::Arc;

use diagnostics::{Code, Diagnostic, Diagnostics, SourceId, Span};
use document::{LinkedFiles, Node};
use schema::{Mistake, Resolve};
use serde_json::{Map, Number, Value};

/// How far the path of a file may lead out of the folder of the gateway: references are resolved without leaving the
/// top, so the top is put higher.
const UP: usize = 16;
/// The most mistakes that are told of a document.
const MOST_TOLD: usize = 20;

/// The value that a tree is.
pub(crate) fn value_of(node: &Node) -> Value {
    match &node.value {
        document::Value::Null => Value::Null,
        document::Value::Scalar(scalar) if scalar.plain => plain(&scalar.text),
        document::Value::Scalar(scalar) => Value::String(scalar.text.clone()),
        document::Value::List(nodes) => Value::Array(nodes.iter().map(value_of).collect()),
        document::Value::Map(entries) => {
            let members = entries.iter().map(|entry| (entry.key.value.clone(), value_of(&entry.node)));
            Value::Object(members.collect::<Map<_, _>>())
        }
    }
}

/// What a text without quotes means.
fn plain(text: &str) -> Value {
    match text {
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number)
}

fn number(text: &str) -> Option<Number> {
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let is_number = digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
            return u64::from_str_radix(digits, radix).ok().filter(|_| is_number).map(Number::from);
        }
    }
    let is_written_as_one = text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if !is_written_as_one {
        return None;
    }
    let integer = || text.parse::<i64>().map(Number::from).or_else(|_| text.parse::<u64>().map(Number::from));
    integer().ok().or_else(|| text.parse::<f64>().ok().and_then(Number::from_f64))
}

/// The documents that a description consists of.
pub(crate) struct Library {
    /// Name, what the user calls it, text, and its tree.
    documents: Vec<Document>,
}

struct Document {
    name: String,
    shown: String,
    text: String,
    node: Option<Node>,
    /// Why there is no tree.
    why: String,
}

impl Library {
    /// Reads all files. What is wrong with the first one is reported; what is wrong with others, where they are referred
    /// to.
    pub(crate) fn read(files: &LinkedFiles, diagnostics: &mut Diagnostics) -> Option<Library> {
        let mut documents = Vec::new();
        for (path, text) in files.files() {
            let shown = path.display().to_string();
            let mut document =
                Document { name: name_of(path), shown, text: String::new(), node: None, why: String::new() };
            match text {
                Ok(text) => {
                    let mut found = Diagnostics::new();
                    document.node =
                        document::parse(SourceId(0), text, &mut found).filter(|_| !found.has_errors());
                    text.clone_into(&mut document.text);
                    document.why = found.iter().next().map_or_else(String::new, |first| {
                        let place = first.span.map_or_else(String::new, |span| document.place(span));
                        format!("{place}{}", first.message)
                    });
                }
                Err(why) => why.clone_into(&mut document.why),
            }
            documents.push(document);
        }
        let first = documents.first()?;
        if first.node.is_none() {
            let message = format!("`{}` cannot be read: {}", first.shown, first.why);
            let help = "it must be JSON or YAML, without anchors, merge keys and tags";
            diagnostics.push(Diagnostic::error(Code::InvalidValue, files.span, message).help(help));
            return None;
        }
        Some(Library { documents })
    }

    /// The name of the first document, which references are relative to.
    pub(crate) fn name(&self) -> &str {
        self.documents.first().map_or("", |document| &document.name)
    }

    /// The value of the first document.
    pub(crate) fn value(&self) -> Value {
        self.documents.first().and_then(|document| document.node.as_ref()).map_or(Value::Null, value_of)
    }

    /// Gives the others by their names.
    pub(crate) fn resolve(&self) -> Resolve {
        let of = |document: &Document| match &document.node {
            Some(node) => Ok(value_of(node)),
            None => Err(document.why.clone()),
        };
        let values: HashMap<String, Result<Value, String>> =
            self.documents.iter().map(|document| (document.name.clone(), of(document))).collect();
        Arc::new(move |name| match values.get(name) {
            Some(value) => value.clone(),
            None if name.contains("://") => Err("only files are read, nothing is fetched".to_owned()),
            None => Err("it is not one of the files that were read".to_owned()),
        })
    }

    /// Reports what is wrong with the description that `span` names.
    pub(crate) fn report(&self, mistakes: &[Mistake], span: Span, diagnostics: &mut Diagnostics) {
        for mistake in mistakes.iter().take(MOST_TOLD) {
            let (name, pointer) = mistake.pointer.split_once('#').unwrap_or(("", &mistake.pointer));
            let own = |document: &&Document| !name.is_empty() && document.name == name;
            let Some(document) = self.documents.iter().find(own).or_else(|| self.documents.first()) else {
                continue;
            };
            let place = document.node.as_ref().and_then(|node| place_in(node, pointer));
            let place = place.map_or_else(String::new, |span| document.place(span));
            let pointer = if pointer.is_empty() { "/" } else { pointer };
            let mut message = format!("`{}`: {place}{pointer}: {}", document.shown, mistake.message);
            for other in &self.documents {
                message = message.replace(&other.name, &other.shown);
            }
            let help = "correct the file; it is taken over when it changes";
            diagnostics.push(Diagnostic::error(Code::InvalidValue, span, message).help(help));
        }
    }
}

impl Document {
    /// `line 3, column 5: `
    fn place(&self, span: Span) -> String {
        let before = self.text.get(..span.start as usize).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("line {line}, column {column}: ")
    }
}

/// Reports what is wrong with a schema that stands in the configuration, where it is wrong.
pub(crate) fn report_inline(node: &Node, mistakes: &[Mistake], diagnostics: &mut Diagnostics) {
    for mistake in mistakes.iter().take(MOST_TOLD) {
        let span = place_in(node, &mistake.pointer).unwrap_or(node.span);
        let message = format!("the schema cannot be used: {mistake}");
        let help = "correct the schema; the text in front names the place in it";
        diagnostics.push(Diagnostic::error(Code::InvalidValue, span, message).help(help));
    }
}

/// Where the value is that a pointer leads to, or what surrounds it.
fn place_in(node: &Node, pointer: &str) -> Option<Span> {
    let (mut node, mut span) = (node, None);
    for token in pointer.split('/').skip(1) {
        let name = token.replace("~1", "/").replace("~0", "~");
        let next = match &node.value {
            document::Value::Map(entries) => {
                let entry = entries.iter().find(|entry| entry.key.value == name);
                entry.map(|entry| (&entry.node, entry.key.span))
            }
            document::Value::List(nodes) => {
                name.parse::<usize>().ok().and_then(|index| nodes.get(index)).map(|node| (node, node.span))
            }
            document::Value::Null | document::Value::Scalar(_) => None,
        };
        let Some((inner, place)) = next else { break };
        (node, span) = (inner, Some(place));
    }
    span
}

/// The name by which documents refer to a file.
fn name_of(path: &Path) -> String {
    let mut parts: Vec<String> = vec!["up".to_owned(); UP];
    for part in path.components() {
        match part {
            Component::ParentDir => drop(parts.pop()),
            Component::Normal(name) => parts.push(name.to_string_lossy().into_owned()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn trees_become_values_as_yaml_has_it() {
        let mut diagnostics = Diagnostics::new();
        let text = "{a: 1, b: -2.5e3, c: 0x1F, d: 0o17, e: 'x', f: '1', g: true, h: null, i: 1.2.3, j: [1, ~],\n\
                    k: a-1, l: 18446744073709551615, m: 3.1, n: e1, o: 0xzz, p: +7, q: .5}";
        let node = document::parse(SourceId(0), text, &mut diagnostics).unwrap();
        let want = json!({"a": 1, "b": -2500.0, "c": 31, "d": 15, "e": "x", "f": "1", "g": true, "h": null,
            "i": "1.2.3", "j": [1, null], "k": "a-1", "l": 18_446_744_073_709_551_615_u64, "m": 3.1, "n": "e1",
            "o": "0xzz", "p": 7, "q": 0.5});
        assert_eq!(value_of(&node), want);
    }

    #[test]
    fn names_keep_what_is_above_apart() {
        let up = |count: usize| "up/".repeat(UP - count);
        assert_eq!(name_of(Path::new("a/b.yaml")), up(0) + "a/b.yaml");
        assert_eq!(name_of(Path::new("../../b.yaml")), up(2) + "b.yaml");
        assert_eq!(name_of(Path::new("/etc/b.yaml")), up(0) + "etc/b.yaml");
    }
}

//! A file that may refer to other files, all of which are a part of the configuration: a schema, an OpenAPI document.
//!
//! A reference is what JSON Schema has: a member `$ref` with the path of a file, relative to the file that holds it, and
//! maybe a fragment. Like any file they are read before anything is decoded, and hung on the value that names the first
//! one. What they mean is not known here. Entry points: [`LinkedFiles`], [`read_linked`].

use std::path::{Path, PathBuf};

use diagnostics::{Code, Diagnostic, Diagnostics, SourceId, Span};

use crate::decode::Decode;
use crate::environment::{Environment, reason};
use crate::node::{Node, Value};
use crate::parse::parse;
use crate::shape::Shape;
use crate::value::{FileText, Secret};

/// The largest of them, in bytes.
pub const MAX_LINKED: u64 = 16 << 20;
/// The most of them that refer to each other.
const MOST: usize = 256;

/// A file, and those that it refers to.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkedFiles {
    /// Where the first one is named.
    pub span: Span,
    /// Its path.
    pub path: PathBuf,
    files: Vec<FileText>,
}

impl LinkedFiles {
    /// The paths and texts of all of them, the first one first; of one that cannot be read the reason, in words.
    pub fn files(&self) -> impl Iterator<Item = (&Path, Result<&str, &str>)> {
        self.files.iter().map(|file| {
            (file.path.as_path(), file.text.as_ref().map(|text| text.expose()).map_err(String::as_str))
        })
    }

    /// The text of the first one.
    pub fn text(&self) -> &str {
        self.files.first().and_then(|file| file.text.as_ref().ok()).map_or("", |text| text.expose())
    }
}

impl Decode for LinkedFiles {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Some(scalar) = node.scalar().filter(|scalar| !scalar.text.is_empty()) else {
            diagnostics.push(node.wrong_type("the path of a file"));
            return None;
        };
        let files = scalar.files.as_ref();
        let path = files.map_or_else(|| PathBuf::from(&scalar.text), |files| files.path.clone());
        let texts = files.map_or(&[][..], |files| &files.texts);
        let why = match texts.first().map(|file| &file.text) {
            Some(Ok(_)) => return Some(Self { span: node.span, path, files: texts.to_vec() }),
            Some(Err(why)) => why.as_str(),
            None => "it does not exist",
        };
        let message = format!("the file `{}` cannot be read: {why}", path.display());
        let help = format!(
            "the path is relative to the file that names it; at most {} MiB of JSON or YAML",
            MAX_LINKED >> 20
        );
        diagnostics.push(Diagnostic::error(Code::MissingFile, node.span, message).help(help));
        None
    }

    fn shape() -> Shape {
        Shape::Text { format: Shape::LINKED, example: "" }
    }
}

/// Reads a file and all that it refers to, as far as they can be read. `tidy` makes of a path the only one of its file.
pub fn read_linked(
    path: PathBuf,
    environment: &dyn Environment,
    tidy: impl Fn(&Path) -> PathBuf,
) -> Vec<FileText> {
    let mut files: Vec<FileText> = Vec::new();
    let mut wanted = vec![path];
    while let Some(path) = wanted.pop() {
        if files.len() >= MOST || files.iter().any(|file| file.path == path) {
            continue;
        }
        let text = match environment.read(&path, MAX_LINKED) {
            Ok(text) => Ok(text),
            Err(error) => Err(reason(&error)),
        };
        if let Ok(text) = &text {
            let folder = path.parent().unwrap_or(Path::new(""));
            let mut found: Vec<PathBuf> =
                references(text).iter().map(|name| tidy(&folder.join(name))).collect();
            found.reverse();
            wanted.extend(found);
        }
        files.push(FileText { path, text: text.map(Secret::new) });
    }
    files
}

/// The files that a text refers to. What is no tree refers to none, and whoever wants one of it says why.
fn references(text: &str) -> Vec<String> {
    // To read a large file only to find that it has none would cost as much as all the rest.
    if !text.contains("$ref") {
        return Vec::new();
    }
    let mut names = Vec::new();
    let node = parse(SourceId(0), text, &mut Diagnostics::new());
    node.iter().for_each(|node| collect(node, &mut names));
    names
}

fn collect(node: &Node, names: &mut Vec<String>) {
    match &node.value {
        Value::Null | Value::Scalar(_) => {}
        Value::List(nodes) => nodes.iter().for_each(|node| collect(node, names)),
        Value::Map(entries) => {
            for entry in entries {
                match entry.node.text() {
                    Some(text) if entry.key.value == "$ref" => {
                        let file = text.split('#').next().unwrap_or_default();
                        // What has a scheme is somewhere else, and never fetched.
                        if !file.is_empty() && !file.contains("://") && !names.iter().any(|name| name == file)
                        {
                            names.push(file.to_owned());
                        }
                    }
                    _ => collect(&entry.node, names),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryEnvironment;

    #[test]
    fn what_files_refer_to_is_read_once() {
        let environment = MemoryEnvironment::new()
            .with_file("api.yaml", "{a: {$ref: 'x/b.json#/c'}, d: {$ref: '#/a'}, e: {$ref: gone.yaml}}")
            .with_file("x/b.json", r#"{"c": {"$ref": "../api.yaml"}, "f": [{"$ref": "https://a.test/x"}]}"#);
        let tidy = |path: &Path| PathBuf::from(path.to_str().unwrap().replace("x/../", ""));
        let files = read_linked("api.yaml".into(), &environment, tidy);
        let told: Vec<_> =
            files.iter().map(|file| (file.path.to_str().unwrap(), file.text.is_ok())).collect();
        assert_eq!(told, [("api.yaml", true), ("x/b.json", true), ("gone.yaml", false)]);
        assert!(read_linked("none".into(), &environment, tidy).first().is_some_and(|one| one.text.is_err()));
        let broken = environment.with_file("broken", "{$ref: x, [");
        assert_eq!(read_linked("broken".into(), &broken, tidy).len(), 1);
    }
}

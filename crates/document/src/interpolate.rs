//! Fills in what a file takes from outside: `${env:NAME}`, `${env:NAME:-default}` and `${file:path}`.
//!
//! Only values are filled in, never keys, and what was filled in is not looked at again. It knows nothing of
//! what the values mean. Entry point: [`interpolate()`].

use std::path::Path;

use diagnostics::{Code, Diagnostic, Diagnostics, Span, Words};

use crate::environment::{Environment, MAX_SECRET, reason};
use crate::node::{Node, Scalar, Value};
use crate::origin::Origin;

/// How much text one call fills in at most, in bytes.
const BUDGET: usize = 64 << 20;

/// Fills in every `${…}` of a tree. `folder` is where the paths of `${file:…}` begin.
///
/// `$${` stands for a literal `${`. One trailing line break of a file is dropped. A scalar that something was
/// filled into is marked as [`Scalar::secret`]. Returns the places of the scalars where that failed, so that
/// what follows from it need not be said too.
pub fn interpolate(
    node: &mut Node,
    environment: &dyn Environment,
    folder: &Path,
    diagnostics: &mut Diagnostics,
) -> Vec<Span> {
    let mut interpolator =
        Interpolator { environment, folder, left: BUDGET, diagnostics, failed: Vec::new() };
    interpolator.node(node);
    interpolator.failed
}

struct Interpolator<'a> {
    environment: &'a dyn Environment,
    folder: &'a Path,
    left: usize,
    diagnostics: &'a mut Diagnostics,
    failed: Vec<Span>,
}

impl Interpolator<'_> {
    fn node(&mut self, node: &mut Node) {
        let span = node.span;
        match &mut node.value {
            Value::Null => {}
            Value::Scalar(scalar) if scalar.text.contains("${") => {
                let before = self.diagnostics.errors();
                self.scalar(scalar, span);
                if self.diagnostics.errors() > before {
                    self.failed.push(span);
                }
            }
            Value::Scalar(_) => {}
            Value::List(nodes) => nodes.iter_mut().for_each(|node| self.node(node)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| self.node(&mut entry.node)),
        }
    }

    fn scalar(&mut self, scalar: &mut Scalar, span: Span) {
        let written = scalar.origin(span).into_owned();
        let text = std::mem::take(&mut scalar.text);
        let mut origin = Origin::default();
        let copy = |origin: &mut Origin, scalar: &mut Scalar, from: usize, to: usize| {
            origin.copy(&written, from, to, scalar.text.len());
            scalar.text.push_str(&text[from..to]);
        };
        let mut from = 0;
        while let Some(at) = text[from..].find("${").map(|at| from + at) {
            if let Some(before) = text[from..at].strip_suffix('$') {
                let to = from + before.len();
                copy(&mut origin, scalar, from, to);
                origin.add(scalar.text.len(), 2, written.place(to, at + 2, span), false);
                scalar.text.push_str("${");
                from = at + 2;
                continue;
            }
            copy(&mut origin, scalar, from, at);
            let Some(length) = text[at..].find('}') else {
                let place = written.place(at, text.len(), span);
                let help = "write `$${` for a literal `${`";
                self.wrong(Code::InvalidReference, place, "`${` has no `}`", help);
                from = text.len();
                break;
            };
            let place = written.place(at, at + length + 1, span);
            let value = self.reference(&text[at + 2..at + length], place).unwrap_or_default();
            scalar.secret = true;
            from = at + length + 1;
            if value.len() > self.left {
                let message = format!("more than {} MiB are filled in", BUDGET >> 20);
                self.diagnostics.push(Diagnostic::error(Code::TooLarge, place, message));
                continue;
            }
            self.left -= value.len();
            origin.add(scalar.text.len(), value.len(), place, true);
            scalar.text.push_str(&value);
        }
        copy(&mut origin, scalar, from, text.len());
        scalar.origin = Some(Box::new(origin));
    }

    /// The value of what stands between `${` and `}`.
    fn reference(&mut self, inner: &str, place: Span) -> Option<String> {
        match inner.split_once(':') {
            Some(("env", name)) => self.variable(name, place),
            Some(("file", path)) => self.file(path, place),
            _ => {
                let scheme = inner.split(':').next().unwrap_or("");
                let message = format!("`${{{scheme}…}}` is not known");
                let help =
                    "write `${env:NAME}`, `${env:NAME:-default}` or `${file:path}`; `$${` is a literal `${`";
                self.wrong(Code::InvalidReference, place, message, help);
                None
            }
        }
    }

    fn variable(&mut self, inner: &str, place: Span) -> Option<String> {
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        let first_is_fine = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !first_is_fine || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            let message = format!("`{name}` cannot be the name of an environment variable");
            self.wrong(
                Code::InvalidReference,
                place,
                message,
                "a name has letters, digits and `_`: `${env:API_KEY}`",
            );
            return None;
        }
        match (self.environment.var(name), default) {
            (Some(value), None) => Some(value),
            (Some(value), Some(_)) if !value.is_empty() => Some(value),
            (_, Some(default)) => Some(default.to_owned()),
            (None, None) => {
                // The name is not secret, and the next step begins with it.
                let message = Words::fixed(format!("the environment variable `{name}` is not set"));
                let help = format!("set it, or give a value to use in its place: `${{env:{name}:-value}}`");
                self.wrong(Code::MissingVariable, place, message, Words::fixed(help));
                None
            }
        }
    }

    fn file(&mut self, path: &str, place: Span) -> Option<String> {
        if path.is_empty() {
            self.wrong(
                Code::InvalidReference,
                place,
                "`${file:}` names no file",
                "write `${file:secrets/key}`",
            );
            return None;
        }
        let path = self.folder.join(path);
        match self.environment.read(&path, MAX_SECRET) {
            Ok(mut text) => {
                if text.ends_with('\n') {
                    text.pop();
                    if text.ends_with('\r') {
                        text.pop();
                    }
                }
                Some(text)
            }
            Err(error) => {
                let message = format!("the file `{}` cannot be read: {}", path.display(), reason(&error));
                let help = "the path is relative to the file that names it; at most 1 MiB of UTF-8 text";
                self.wrong(Code::MissingFile, place, Words::fixed(message), help);
                None
            }
        }
    }

    fn wrong(&mut self, code: Code, place: Span, message: impl Into<Words>, help: impl Into<Words>) {
        self.diagnostics.push(Diagnostic::error(code, place, message).help(help));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use diagnostics::{Diagnostics, SourceId, Sources, render_text};

    use super::interpolate;
    use crate::environment::MemoryEnvironment;
    use crate::parse;

    fn filled(text: &str) -> (crate::Node, Diagnostics) {
        let environment = MemoryEnvironment::new()
            .with_var("KEY", "s3cret")
            .with_var("EMPTY", "")
            .with_var("NESTED", "${env:KEY}")
            .with_file("conf/secrets/key", "abc\r\n")
            .with_file("conf/two", "x\n\n");
        let mut diagnostics = Diagnostics::new();
        let mut node = parse(SourceId(0), text, &mut diagnostics).unwrap();
        interpolate(&mut node, &environment, Path::new("conf"), &mut diagnostics);
        (node, diagnostics)
    }

    #[test]
    fn values_are_filled_in() {
        for (text, wanted, secret) in [
            ("plain", "plain", false),
            ("${env:KEY}", "s3cret", true),
            ("a-${env:KEY}-${env:KEY}", "a-s3cret-s3cret", true),
            ("${env:NONE:-x:y}", "x:y", true),
            ("${env:EMPTY:-d}", "d", true),
            ("'[${env:EMPTY}]'", "[]", true),
            ("${env:NONE:-}", "", true),
            ("${env:NESTED}", "${env:KEY}", true),
            ("${file:secrets/key}", "abc", true),
            ("${file:two}", "x\n", true),
            ("$${env:KEY}", "${env:KEY}", false),
            ("$x ^a$", "$x ^a$", false),
        ] {
            let (node, diagnostics) = filled(text);
            assert!(diagnostics.is_empty(), "{text}");
            let scalar = node.scalar().unwrap();
            assert_eq!((scalar.text.as_str(), scalar.secret), (wanted, secret), "{text}");
        }
    }

    #[test]
    fn mistakes_point_at_the_reference_itself() {
        for (text, code, part) in [
            ("k: x${env:NONE}y", "GW0305", "${env:NONE}"),
            ("k: \"x${env:NONE}\"", "GW0305", "${env:NONE}"),
            ("k: \"\\tx${env:NONE}\"", "GW0305", "${env:NONE}"),
            ("k: |\n  x\n   y ${env:NONE}\n", "GW0305", "${env:NONE}"),
            ("k: ${file:nope}", "GW0306", "${file:nope}"),
            ("k: ${vault:x}", "GW0307", "${vault:x}"),
            ("k: ${KEY}", "GW0307", "${KEY}"),
            ("k: ${env:A B}", "GW0307", "${env:A B}"),
            ("k: ${file:}", "GW0307", "${file:}"),
            ("k: a${env:KEY", "GW0307", "${env:KEY"),
        ] {
            let (_, diagnostics) = filled(text);
            let found: Vec<_> = diagnostics.iter().collect();
            assert_eq!(found.len(), 1, "{text}");
            let mut sources = Sources::new();
            sources.add("a", text);
            let place = sources.slice(found[0].span.unwrap());
            assert_eq!(
                (found[0].code.id(), place),
                (code, part),
                "{}",
                render_text(&diagnostics, &sources, false)
            );
        }
    }

    #[test]
    fn a_filled_in_value_is_not_shown() {
        let (node, _) = filled("k: ${env:KEY}");
        assert!(!format!("{node:?}").contains("s3cret"));
        assert_eq!(node.get("k").unwrap().kind(), "the hidden value");
    }
}

//! `rewrite` and `redirect`: texts with `{captures}` of the path pattern.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use router::PathPattern;
use snapshot::{Piece, Template};

/// Splits a text into literals and captures. `{name}` and `{name...}` take what the pattern's `{name}` has
/// matched; a `*` at the end takes what the pattern's `*` has.
pub(crate) fn compile(
    text: &Spanned<String>,
    pattern: Option<&PathPattern>,
    diagnostics: &mut Diagnostics,
) -> Option<Template> {
    let names = pattern.map_or(&[][..], PathPattern::captures);
    let mut pieces = Vec::new();
    let mut rest = text.value.as_str();
    let mut complete = true;
    while let Some(open) = rest.find(['{', '*']) {
        push_literal(&mut pieces, &rest[..open]);
        let (name, after) = if rest[open..].starts_with('*') {
            ("*", &rest[open + 1..])
        } else {
            let Some(len) = rest[open..].find('}') else {
                diagnostics.push(
                    Diagnostic::error(Code::InvalidValue, text.span, "a `{` has no `}`")
                        .help("write {name} for a capture, and %7B for the character itself"),
                );
                return None;
            };
            (rest[open + 1..open + len].trim_end_matches("..."), &rest[open + len + 1..])
        };
        match names.iter().position(|own| **own == *name) {
            Some(index) => pieces.push(Piece::Capture(index)),
            None => {
                diagnostics.push(unknown_capture(text, name, names));
                complete = false;
            }
        }
        rest = after;
    }
    push_literal(&mut pieces, rest);
    complete.then(|| Template { pieces: pieces.into() })
}

fn push_literal(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Literal(text.as_bytes().into()));
    }
}

fn unknown_capture(text: &Spanned<String>, name: &str, names: &[Box<str>]) -> Diagnostic {
    // What the user has to write, not what it is called.
    let shown = if name == "*" { "*".to_owned() } else { format!("{{{name}}}") };
    let diagnostic = Diagnostic::error(
        Code::UnknownCapture,
        text.span,
        format!("the path of this route has no `{shown}`"),
    );
    if names.is_empty() {
        return diagnostic.help(
            "name a part of the path: `path: /orders/{id}`, `path: /old/{rest...}` or `path: /users/*`",
        );
    }
    let known: Vec<String> = names
        .iter()
        .map(|name| if **name == *"*" { "*".to_owned() } else { format!("{{{name}}}") })
        .collect();
    if names.iter().any(|name| **name == *"*") {
        return diagnostic.help(format!(
            "it has {}: what is below stands for `*`, as in `rewrite: /new/*`",
            known.join(", ")
        ));
    }
    diagnostic.help(format!("it has {}", known.join(", ")))
}

/// Whether a text can be a Location or a path: no controls, no spaces, nothing beyond ASCII.
pub(crate) fn is_uri_text(text: &str) -> bool {
    text.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'\\')
}

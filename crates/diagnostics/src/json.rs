//! Diagnostics as JSON, for editors and continuous integration.
//!
//! The shape is an interface: keys are added, never renamed. Entry point: [`render_json`].

use serde_json::{Map, Value, json};

use crate::clean::visible;
use crate::{Diagnostic, Diagnostics, Sources, Span};

/// An array with one object per diagnostic, sorted by place.
///
/// Keys: `code`, `name`, `severity`, `message`, `file`, `line`, `column`, `end_line`, `end_column`, `label`,
/// `help`, `related` (objects with the same five keys of place and `message`). Lines and columns count from 1,
/// columns in characters; `end_column` is the column behind the last character. What is not there is `null`.
pub fn render_json(diagnostics: &Diagnostics, sources: &Sources) -> Value {
    Value::Array(diagnostics.sorted().into_iter().map(|one| object(one, sources)).collect())
}

fn object(one: &Diagnostic, sources: &Sources) -> Value {
    let shown = |text: &Option<String>| text.as_deref().map(|text| visible(text).into_owned());
    let related = one.related.iter().map(|(span, message)| {
        let mut map = place(Some(*span), sources);
        map.insert("message".to_owned(), json!(visible(message)));
        Value::Object(map)
    });
    let mut map = place(one.span, sources);
    map.insert("code".to_owned(), json!(one.code.id()));
    map.insert("name".to_owned(), json!(one.code.name()));
    map.insert("severity".to_owned(), json!(one.severity.as_str()));
    map.insert("message".to_owned(), json!(visible(&one.message)));
    map.insert("label".to_owned(), json!(shown(&one.label)));
    map.insert("help".to_owned(), json!(shown(&one.help)));
    map.insert("related".to_owned(), Value::Array(related.collect()));
    Value::Object(map)
}

fn place(span: Option<Span>, sources: &Sources) -> Map<String, Value> {
    let start = span.map(|span| sources.position(span.source, span.start));
    let end = span.map(|span| sources.position(span.source, span.end));
    let mut map = Map::new();
    map.insert("file".to_owned(), json!(span.map(|span| visible(sources.name(span.source)).into_owned())));
    map.insert("line".to_owned(), json!(start.map(|at| at.line)));
    map.insert("column".to_owned(), json!(start.map(|at| at.column)));
    map.insert("end_line".to_owned(), json!(end.map(|at| at.line)));
    map.insert("end_column".to_owned(), json!(end.map(|at| at.column)));
    map
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{Code, Diagnostic, Diagnostics, Sources, Span, render_json};

    #[test]
    fn every_key_is_there() {
        let mut sources = Sources::new();
        let id = sources.add("gateward.yaml", "a: 1\nü: 2\na: 3\n");
        let mut all = Diagnostics::new();
        all.push(
            Diagnostic::error(Code::DuplicateKey, Span::new(id, 11, 12), "twice\u{1b}")
                .related(Span::new(id, 0, 1), "first")
                .label("again"),
        );
        all.push(Diagnostic::error(Code::NoListeners, None, "none").help("add one"));
        assert_eq!(
            render_json(&all, &sources),
            json!([
                {
                    "code": Code::NoListeners.id(), "name": "no-listeners", "severity": "error", "message": "none",
                    "file": null, "line": null, "column": null, "end_line": null, "end_column": null,
                    "label": null, "help": "add one", "related": []
                },
                {
                    "code": Code::DuplicateKey.id(), "name": "duplicate-key", "severity": "error",
                    "message": "twice␛", "file": "gateward.yaml", "line": 3, "column": 1, "end_line": 3,
                    "end_column": 2, "label": "again", "help": null,
                    "related": [{
                        "file": "gateward.yaml", "line": 1, "column": 1, "end_line": 1, "end_column": 2,
                        "message": "first"
                    }]
                }
            ])
        );
    }
}

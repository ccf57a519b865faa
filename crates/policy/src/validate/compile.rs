//! Checks and prepares the policy, its description above all.

use std::sync::Arc;

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::ByteSize;
use schema::{Api, ApiOptions, MAX_BODY, Options, Schema, nothing_else};

use super::config::{Draft, Formats, Other, Raw, Source};
use super::documents::{Library, report_inline, value_of};
use super::run::{By, Ready};
use crate::Compiling;
use crate::bodies::in_bytes;

/// What bodies are without `content_types`.
const JSON: [&str; 2] = ["application/json", "application/*+json"];

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let diagnostics = &mut *cx.diagnostics;
    let most = most_of(&raw.max_body, diagnostics);
    let by = match (&raw.openapi, &raw.schema) {
        (Some(_), _) => api(raw, diagnostics),
        (None, Some(source)) => by_schema(raw, source, diagnostics),
        (None, None) => None,
    };
    Some(Ready {
        by: by?,
        most: most?,
        unknown_types_pass: raw.unknown_content_types == Other::Pass,
        mode: raw.mode,
        responses: raw.responses.value,
    })
}

/// The most bytes of a body that is looked into.
pub(crate) fn most_of(written: &Spanned<ByteSize>, diagnostics: &mut Diagnostics) -> Option<usize> {
    let most = written.value.size();
    if (1..=MAX_BODY).contains(&most) {
        return Some(most);
    }
    let message =
        format!("`{}` is not possible: bodies that are looked into are held in memory", written.value);
    let help = format!("write a size up to {}", in_bytes(MAX_BODY));
    diagnostics.push(Diagnostic::error(Code::InvalidValue, written.span, message).help(help));
    None
}

fn api(raw: &Raw, diagnostics: &mut Diagnostics) -> Option<By> {
    let files = raw.openapi.as_ref()?;
    let base = raw.base.as_ref().map(|base| base_path(base, diagnostics));
    let library = Library::read(files, diagnostics)?;
    let is = |other: &Option<Spanned<Other>>, what: Other| other.as_ref().is_some_and(|it| it.value == what);
    let options = ApiOptions {
        name: library.name().to_owned(),
        ignore_formats: raw.formats == Formats::Ignore,
        refuse_unknown_query: is(&raw.unknown_query, Other::Refuse),
        ignore_servers: raw.base.is_some(),
    };
    match Api::compile(&library.value(), &options, &library.resolve()) {
        Ok(api) => Some(By::Api {
            api: Arc::new(api),
            base: base.unwrap_or(Some(Vec::new()))?,
            others_pass: is(&raw.undescribed, Other::Pass),
        }),
        Err(mistakes) => {
            library.report(&mistakes, files.span, diagnostics);
            None
        }
    }
}

/// The path without `/` at its end.
fn base_path(base: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<Vec<u8>> {
    let is_path = base.starts_with('/') && !base.contains(['?', '#', '{', '*', ' ']);
    if !is_path {
        let message = format!("`{}` is no path", base.value);
        let help = "write the path in front of those of the document, such as `/shop`; `/` for none";
        diagnostics.push(Diagnostic::error(Code::InvalidPath, base.span, message).help(help));
        return None;
    }
    Some(base.trim_end_matches('/').as_bytes().to_vec())
}

fn by_schema(raw: &Raw, source: &Source, diagnostics: &mut Diagnostics) -> Option<By> {
    let draft = raw.draft.as_ref().map(|draft| match draft.value {
        Draft::Draft4 => schema::Draft::Draft4,
        Draft::Draft7 => schema::Draft::Draft7,
        Draft::Draft202012 => schema::Draft::Draft202012,
    });
    let formats = match raw.formats {
        Formats::Usual => None,
        Formats::Assert => Some(true),
        Formats::Ignore => Some(false),
    };
    let schema = match source {
        Source::File(files) => {
            let library = Library::read(files, diagnostics)?;
            let options = Options { name: library.name().to_owned(), draft, formats };
            let compiled = Schema::compile(&library.value(), &options, &library.resolve());
            compiled.map_err(|mistakes| library.report(&mistakes, files.span, diagnostics))
        }
        Source::Inline(node) => {
            let options = Options { name: String::new(), draft, formats };
            let compiled = Schema::compile(&value_of(node), &options, &nothing_else());
            compiled.map_err(|mistakes| report_inline(node, &mistakes, diagnostics))
        }
    };
    let types = match &raw.content_types {
        Some(types) => {
            types.into_iter().map(|written| media_range(written, diagnostics)).collect::<Option<Vec<_>>>()?
        }
        None => JSON.iter().map(|name| (*name).to_owned()).collect(),
    };
    let required = raw.required.as_ref().is_none_or(|required| required.value);
    Some(By::Schema { schema: Box::new(schema.ok()?), types: types.into(), required })
}

fn media_range(written: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<String> {
    let range = written.to_ascii_lowercase();
    let parts: Vec<&str> = range.split('/').collect();
    let is_range = matches!(parts.as_slice(), [one, other] if !one.is_empty() && !other.is_empty())
        && range.matches('*').count() <= 2
        && (range == "*/*" || range.matches('*').count() <= 1)
        && range.bytes().all(|byte| byte.is_ascii_graphic() && !b";,\"()<>@".contains(&byte));
    if !is_range {
        let message = format!("`{}` is no media type", written.value);
        let help = "write one without parameters, such as `application/json` or `application/*+json`";
        diagnostics.push(Diagnostic::error(Code::InvalidValue, written.span, message).help(help));
        return None;
    }
    Some(range)
}

//! What the library found, in our words: short, plain, and without what was sent.
//!
//! Limits, patterns and choices come from the schema, which belongs to whoever runs the gateway. Of the instance
//! only names of members are told. Entry points: [`tell`], [`target`].

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{ReferencingError, ValidationError};
use serde_json::Value;

use crate::MAX_VIOLATIONS;
use crate::pointer::{bounded, join};

/// The longest text of the schema or name of a member that is repeated, in bytes.
const LONGEST_QUOTE: usize = 100;

/// Tells what an error says: pointer, keyword and message, for each place that it concerns.
pub(super) fn tell(error: &ValidationError<'_>, mut sink: impl FnMut(String, &'static str, String)) {
    tell_at(error, 0, &mut sink);
}

fn tell_at(error: &ValidationError<'_>, depth: usize, sink: &mut dyn FnMut(String, &'static str, String)) {
    let place = error.instance_path().as_str();
    let mut say = |keyword, message: String| sink(bounded(place).to_owned(), keyword, message);
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => surplus(place, "additionalProperties", unexpected, sink),
        Kind::UnevaluatedProperties { unexpected } => {
            surplus(place, "unevaluatedProperties", unexpected, sink);
        }
        Kind::AnyOf { context } => match closest(context, place, depth) {
            Some(branch) => branch.iter().for_each(|error| tell_at(error, depth + 1, sink)),
            None => say("anyOf", "must fit one of the choices".into()),
        },
        Kind::OneOfNotValid { context } => match closest(context, place, depth) {
            Some(branch) => branch.iter().for_each(|error| tell_at(error, depth + 1, sink)),
            None => say("oneOf", "must fit one of the choices".into()),
        },
        Kind::PropertyNames { error } => {
            tell_at(error, depth + 1, &mut |_, _, message| {
                say("propertyNames", format!("has a member whose name {message}"));
            });
        }
        kind => {
            let (keyword, message) = plain(kind);
            say(keyword, message);
        }
    }
}

/// One message for each member that should not be there.
fn surplus(
    place: &str,
    keyword: &'static str,
    names: &[String],
    sink: &mut dyn FnMut(String, &'static str, String),
) {
    for name in names.iter().take(MAX_VIOLATIONS) {
        sink(bounded(&join(place, name)).to_owned(), keyword, "is not allowed here".into());
    }
}

/// The branch that was meant, if all others want a different type or value at once: `null` beside a schema, or
/// objects that name their kind.
fn closest<'c, 'e>(
    context: &'c [Vec<ValidationError<'e>>],
    place: &str,
    depth: usize,
) -> Option<&'c [ValidationError<'e>]> {
    if depth > 8 {
        return None;
    }
    let is_other = |error: &ValidationError<'_>| {
        let inner = error.instance_path().as_str().strip_prefix(place).unwrap_or_default();
        match error.kind() {
            Kind::Type { .. } => inner.is_empty(),
            Kind::Constant { .. } => inner.matches('/').count() <= 1,
            _ => false,
        }
    };
    let mut meant = context.iter().filter(|branch| !branch.iter().any(is_other));
    match (meant.next(), meant.next()) {
        (Some(branch), None) => Some(branch.as_slice()),
        _ => None,
    }
}

/// Keyword and message of an error that concerns one place.
fn plain(kind: &Kind) -> (&'static str, String) {
    match kind {
        Kind::AdditionalItems { limit } => ("items", format!("must have at most {limit} elements")),
        Kind::Constant { expected_value } => ("const", format!("must be {}", quoted(expected_value))),
        Kind::Contains => ("contains", "lacks an element that must be there".into()),
        Kind::ContentEncoding { content_encoding } => {
            ("contentEncoding", format!("must be encoded as {}", cut(content_encoding)))
        }
        Kind::ContentMediaType { content_media_type } => {
            ("contentMediaType", format!("must be of the type {}", cut(content_media_type)))
        }
        Kind::Custom { message, .. } => ("schema", cut(message)),
        Kind::Enum { options } => ("enum", format!("must be one of {}", quoted(options))),
        Kind::ExclusiveMaximum { limit } => {
            ("exclusiveMaximum", format!("must be less than {}", quoted(limit)))
        }
        Kind::ExclusiveMinimum { limit } => {
            ("exclusiveMinimum", format!("must be more than {}", quoted(limit)))
        }
        Kind::FalseSchema => ("false", "is not allowed here".into()),
        Kind::Format { format } if format == "regex" => (
            "format",
            "must be a regular expression, without look-around and references back, and of bounded size"
                .to_owned(),
        ),
        Kind::Format { format } => ("format", format!("must have the format {}", cut(format))),
        Kind::FromUtf8 { .. } => ("contentEncoding", "must be text when it is decoded".into()),
        Kind::MaxItems { limit } => ("maxItems", format!("must have at most {limit} elements")),
        Kind::Maximum { limit } => ("maximum", format!("must be at most {}", quoted(limit))),
        Kind::MaxLength { limit } => ("maxLength", format!("must have at most {limit} characters")),
        Kind::MaxProperties { limit } => ("maxProperties", format!("must have at most {limit} members")),
        Kind::MinItems { limit } => ("minItems", format!("must have at least {limit} elements")),
        Kind::Minimum { limit } => ("minimum", format!("must be at least {}", quoted(limit))),
        Kind::MinLength { limit } => ("minLength", format!("must have at least {limit} characters")),
        Kind::MinProperties { limit } => ("minProperties", format!("must have at least {limit} members")),
        Kind::MultipleOf { multiple_of } => ("multipleOf", format!("must be a multiple of {multiple_of}")),
        Kind::Not { .. } => ("not", "must not fit what is excluded".into()),
        Kind::OneOfMultipleValid { .. } => ("oneOf", "must fit only one of the choices".into()),
        Kind::Pattern { pattern } => ("pattern", format!("must match the pattern {}", cut(pattern))),
        Kind::Required { property } => ("required", format!("lacks the member {}", quoted(property))),
        Kind::Type { kind } => ("type", wanted(kind)),
        Kind::UnevaluatedItems { .. } => ("unevaluatedItems", "has elements that are not allowed".into()),
        Kind::UniqueItems => ("uniqueItems", "must not have the same element twice".into()),
        Kind::BacktrackLimitExceeded { .. } | Kind::RegexEngineFailure { .. } => {
            ("pattern", "cannot be matched against its pattern".into())
        }
        Kind::Referencing(error) => ("$ref", cut(&reference(error))),
        _ => ("schema", "does not fit its schema".into()),
    }
}

fn wanted(kind: &TypeKind) -> String {
    let list = match kind {
        TypeKind::Single(one) => one.as_str().to_owned(),
        TypeKind::Multiple(set) => {
            let names: Vec<&str> = set.iter().map(jsonschema::JsonType::as_str).collect();
            names.join(" or ")
        }
    };
    format!("must be of the type {list}")
}

fn reference(error: &ReferencingError) -> String {
    match error {
        ReferencingError::Unretrievable { uri, source } => format!("cannot have {uri}: {source}"),
        ReferencingError::PointerToNowhere { pointer } => {
            format!("refers to {pointer}, which does not exist")
        }
        other => other.to_string(),
    }
}

/// What a reference aims at that leads nowhere.
pub(super) fn target(error: &ValidationError<'_>) -> Option<String> {
    match error.kind() {
        Kind::Referencing(ReferencingError::Unretrievable { uri, .. }) => Some(uri.clone()),
        Kind::Referencing(ReferencingError::PointerToNowhere { pointer }) => Some(pointer.clone()),
        _ => None,
    }
}

fn quoted(value: &Value) -> String {
    cut(&value.to_string())
}

pub(super) fn cut(text: &str) -> String {
    if text.len() <= LONGEST_QUOTE {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(LONGEST_QUOTE);
    format!("{} …", &text[..end])
}

//! What the user writes.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{ByteSize, Decode, LinkedFiles, Node, OneOrMany, Shape, keywords, section};

use crate::trial::Mode;

keywords! {
    /// What becomes of what is not described.
    pub enum Other {
        /// It is refused.
        Refuse = "refuse",
        /// It passes, and is not looked at.
        Pass = "pass",
    }
}

keywords! {
    /// What becomes of responses.
    pub enum Responses {
        /// They pass, and are not looked at.
        Off = "off",
        /// They pass; what is not as described is counted and logged.
        Report = "report",
        /// What is not as described does not reach the client, which is answered with 502.
        Enforce = "enforce",
    }
}

keywords! {
    /// A version of JSON Schema.
    pub enum Draft {
        /// Draft 4.
        Draft4 = "draft-04",
        /// Draft 7.
        Draft7 = "draft-07",
        /// 2020-12.
        Draft202012 = "2020-12",
    }
}

keywords! {
    /// Whether `format` of a schema is asserted.
    pub enum Formats {
        /// As the version of JSON Schema says: up to draft 7 it is, later it is a remark. OpenAPI asserts it.
        Usual = "usual",
        /// It is.
        Assert = "assert",
        /// It is a remark.
        Ignore = "ignore",
    }
}

/// A schema: a file, or what stands in the configuration itself.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// A file, and those that it refers to.
    File(LinkedFiles),
    /// The schema itself.
    Inline(Node),
}

impl Decode for Source {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        if node.map().is_some() {
            return Some(Source::Inline(node.clone()));
        }
        LinkedFiles::decode(node, diagnostics).map(Source::File)
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![LinkedFiles::shape(), Shape::Map(Box::new(Shape::Any))])
    }
}

section! {
    /// Lets requests pass only as an OpenAPI document or a JSON Schema describes them. It needs `openapi` or `schema`.
    pub struct Raw {
        /// An OpenAPI document of version 3.0 or 3.1, in JSON or YAML, with the files that it refers to. A new file in
        /// their place is taken over.
        openapi: Option<LinkedFiles>,
        /// A JSON Schema of bodies: a file, or the schema itself.
        schema: Option<Source>,
        /// The version of JSON Schema that `schema` is written in; as its `$schema` says without this, and `2020-12` if it
        /// says nothing.
        draft: Option<Spanned<Draft>>,
        /// Whether `format` is asserted.
        formats: Formats = "usual",
        /// The path in front of those of `openapi`, in the place of what its `servers` say: with `/shop` a request for
        /// `/shop/orders` is one for `/orders` of the document.
        base: Option<Spanned<String>>,
        /// What becomes of requests for a path or with a method that `openapi` does not have: they are refused with 404 and
        /// 405.
        undescribed: Option<Spanned<Other>>,
        /// What becomes of parameters in the query that `openapi` does not have.
        unknown_query: Option<Spanned<Other>>,
        /// Media types of the bodies that `schema` describes; `*` stands for any text. With `openapi` they stand there.
        content_types: Option<OneOrMany<Spanned<String>>>,
        /// What becomes of bodies of other media types, or without one: they are refused with 415.
        unknown_content_types: Other = "refuse",
        /// Whether POST, PUT and PATCH must have a body with `schema`. With `openapi` it stands there.
        required: Option<Spanned<bool>>,
        /// How large a body may be that is looked into, 16 MiB at most. One that is compressed is counted as it is without.
        max_body: Spanned<ByteSize> = "1MiB",
        /// Whether requests are refused.
        mode: Mode = "enforce",
        /// What becomes of responses that are not as `openapi` describes them.
        responses: Spanned<Responses> = "off",
    }
    check check_source
}

/// There is one description, and what is written goes with it.
fn check_source(raw: &Raw, diagnostics: &mut Diagnostics) {
    if diagnostics.has_error_in(raw.span) {
        return;
    }
    let with_openapi = [
        ("base", raw.base.as_ref().map(|it| it.span)),
        ("undescribed", raw.undescribed.as_ref().map(|it| it.span)),
        ("unknown_query", raw.unknown_query.as_ref().map(|it| it.span)),
        ("responses", (raw.responses.value != Responses::Off).then_some(raw.responses.span)),
    ];
    let with_schema = [
        ("draft", raw.draft.as_ref().map(|it| it.span)),
        ("content_types", raw.content_types.as_ref().and_then(|it| it.0.first()).map(|it| it.span)),
        ("required", raw.required.as_ref().map(|it| it.span)),
    ];
    let (needs, strays): (&str, &[_]) = match (&raw.openapi, &raw.schema) {
        (Some(_), None) => ("schema", &with_schema),
        (None, Some(_)) => ("openapi", &with_openapi),
        (None, None) => {
            diagnostics.push(
                Diagnostic::error(Code::MissingKey, raw.span, "the policy `validate` knows nothing to go by")
                    .label("this section needs `openapi` or `schema`")
                    .help("write `openapi: api.yaml` or `schema: order.json`"),
            );
            return;
        }
        (Some(openapi), Some(_)) => {
            diagnostics.push(
                Diagnostic::error(
                    Code::ConflictingKeys,
                    openapi.span,
                    "`openapi` and `schema` both say what bodies are like",
                )
                .help("keep one of them; bodies stand in the OpenAPI document"),
            );
            return;
        }
    };
    for (key, span) in strays {
        if let Some(span) = *span {
            diagnostics.push(
                Diagnostic::error(Code::ConflictingKeys, span, format!("`{key}` goes with `{needs}`"))
                    .help("remove it"),
            );
        }
    }
}

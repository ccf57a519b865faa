//! What the user writes.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{Decode, DurationValue, Node, Shape, section};

use super::origin::WrittenOrigin;

section! {
    /// Lets pages of other origins use the service, in the way that browsers ask for it (CORS).
    pub struct Raw {
        /// The origins whose pages may: `https://app.example.com`, `https://*.example.com` for those below it, or
        /// `"*"` for all. `"null"`, in quotes, means pages that have no origin.
        origins: Vec<Spanned<WrittenOrigin>>,
        /// The methods that they may use.
        methods: Vec<Spanned<String>> = "[GET, HEAD, POST, PUT, PATCH, DELETE]",
        /// The header fields that they may send besides those that need no permission, or `"*"` for all.
        headers: Names = "[authorization, content-type]",
        /// The header fields of responses that they may read besides those that need no permission, or `"*"` for all.
        expose: Names = "[]",
        /// Whether browsers send along what they have of the user for the service, such as cookies.
        credentials: Spanned<bool> = "false",
        /// How long browsers remember the answer to a preflight. They have limits of their own: two hours or a day.
        max_age: Spanned<DurationValue> = "10m",
        /// Whether public pages may use a service in a private network, where browsers ask for that.
        private_network: bool = "false",
    }
    check check_origins
}

/// Names of header fields, or all of them.
#[derive(Clone, Debug)]
pub enum Names {
    /// `"*"`
    All(diagnostics::Span),
    /// These.
    Listed(Vec<Spanned<String>>),
}

impl Decode for Names {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        if node.text() == Some("*") {
            return Some(Self::All(node.span));
        }
        Vec::decode(node, diagnostics).map(Self::Listed)
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Keyword(&["*"]), Vec::<String>::shape()])
    }
}

/// What the origins and `credentials` say together.
fn check_origins(raw: &Raw, diagnostics: &mut Diagnostics) {
    let Some(first) = raw.origins.first() else {
        // A mistyped one was reported.
        if !diagnostics.has_error_in(raw.span) {
            diagnostics.push(
                Diagnostic::error(Code::InvalidValue, raw.span, "the policy `cors` names no origin")
                    .help("add one: `origins: [https://app.example.com]`, or remove the policy"),
            );
        }
        return;
    };
    if raw.max_age.value.get().subsec_nanos() > 0 {
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, raw.max_age.span, "browsers are told whole seconds")
                .help("write `1s` or longer, or `0s` for not at all"),
        );
    }
    let of = |wanted: &WrittenOrigin| raw.origins.iter().find(|origin| origin.value == *wanted);
    let credentials = raw.credentials.value;
    if let Some(any) = of(&WrittenOrigin::Any) {
        if credentials {
            diagnostics.push(
                Diagnostic::error(
                    Code::ConflictingKeys,
                    any.span,
                    "`*` with `credentials` would let every page on the web act as its visitors",
                )
                .related(raw.credentials.span, "they are sent along by this")
                .help("list the origins whose pages you trust, or remove `credentials`"),
            );
        } else if raw.origins.len() > 1 {
            let other = raw.origins.iter().find(|origin| origin.value != WrittenOrigin::Any).unwrap_or(first);
            diagnostics.push(
                Diagnostic::warning(
                    Code::UnusedSetting,
                    other.span,
                    "`*` is every origin, so this one adds nothing",
                )
                .related(any.span, "this one means all")
                .help("remove it, or remove `*`"),
            );
        }
    }
    if let (Some(null), true) = (of(&WrittenOrigin::Null), credentials) {
        diagnostics.push(
            Diagnostic::error(
                Code::ConflictingKeys,
                null.span,
                "`null` with `credentials` would let every page on the web act as its visitors",
            )
            .label("any page can put itself into a sandbox, and has this origin then")
            .related(raw.credentials.span, "they are sent along by this")
            .help("remove `\"null\"`, or remove `credentials`"),
        );
    }
    if let (Names::All(span), true) = (&raw.expose, credentials) {
        diagnostics.push(
            Diagnostic::error(
                Code::ConflictingKeys,
                *span,
                "`*` does not mean all fields where `credentials` are sent along",
            )
            .related(raw.credentials.span, "they are sent along by this")
            .help("list the fields: `expose: [etag, x-total-count]`"),
        );
    }
}

//! Names of fields that tell services what the gateway knows of a request: of its caller, of its country.
//!
//! Clients cannot send such fields, so they must be none that has a meaning of its own. It must not know where the values
//! come from. Entry points: [`headers`], [`told_name`].

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use message::{CONSUMER_FIELD, is_identity_field, reads_like};

use crate::claims::{Field, claim_name};
use crate::field::header_name;
use crate::places::Places;

/// Fields of requests that have a meaning of their own. What tells of callers is taken from all requests of clients, so
/// these could not be used for it without harm.
pub(crate) const TAKEN: &[&str] = &[
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "content-encoding",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "early-data",
    "forwarded",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "max-forwards",
    "origin",
    "proxy",
    "proxy-authorization",
    "range",
    "referer",
    "set-cookie",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-original-url",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
];

/// Checks which fields services get, and of which claims. `places` is where the token may stand. Every mistake is
/// reported.
pub(crate) fn headers(
    written: Option<&document::Map<Spanned<String>>>,
    places: &Places,
    diagnostics: &mut Diagnostics,
) -> Option<Box<[Field]>> {
    let mut whole = true;
    let mut fields: Vec<Field> = Vec::new();
    for (written, path) in written.into_iter().flat_map(document::Map::iter) {
        let name = told_name(written, &places.headers, diagnostics);
        let path = claim_name(path, diagnostics);
        let (Some(name), Some(path)) = (name, path) else {
            whole = false;
            continue;
        };
        if fields.iter().any(|(other, _)| reads_like(&name, other)) {
            let what = "is given twice, or could be taken for another one that is given";
            refuse_told(written, what, "write each field once", diagnostics);
            whole = false;
        }
        fields.push((name, path));
    }
    whole.then(|| fields.into())
}

/// Checks the name of a field that tells services what the gateway knows, and that clients therefore cannot send. It
/// must be none that has a meaning of its own; `places` are headers in which a credential stands.
pub(crate) fn told_name(
    written: &Spanned<String>,
    places: &[Box<[u8]>],
    diagnostics: &mut Diagnostics,
) -> Option<Box<[u8]>> {
    let name = header_name(written, diagnostics)?.to_ascii_lowercase();
    let is = |other: &[u8]| reads_like(&name, other);
    let (what, help) = if TAKEN.iter().any(|taken| is(taken.as_bytes())) {
        (
            "has a meaning of its own, so it cannot tell services what the gateway knows",
            "take a name of your own, such as `x-user`",
        )
    } else if is(CONSUMER_FIELD) {
        ("tells services the name of the consumer already", "take another name, such as `x-consumer-id`")
    } else if is_identity_field(&name) && !name.starts_with(CONSUMER_FIELD) {
        ("could be taken for another field", "write `-` in it")
    } else if places.iter().any(|place| is(place)) {
        ("is where the token stands, so clients could not send it", "take another name, such as `x-user`")
    } else {
        return Some(name.into());
    };
    refuse_told(written, what, help, diagnostics);
    None
}

fn refuse_told(written: &Spanned<String>, what: &str, help: &'static str, diagnostics: &mut Diagnostics) {
    let message = format!("`{}` {what}", written.value);
    diagnostics.push(Diagnostic::error(Code::InvalidHeader, written.span, message).help(help));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_with_a_meaning_of_their_own_are_refused() {
        for (written, want) in [
            ("{ x-user: sub, X-Email: email, x-consumer-id: sub, x_team: team }", None),
            ("{ authorization: sub }", Some("a meaning of its own")),
            ("{ Cookie: sub }", Some("a meaning of its own")),
            ("{ x_forwarded_for: ip }", Some("a meaning of its own")),
            ("{ host: sub }", Some("belongs to the connection")),
            ("{ 'x y': sub }", Some("is not a header name")),
            ("{ x-consumer: sub }", Some("the name of the consumer already")),
            ("{ x_consumer_id: sub }", Some("taken for another field")),
            ("{ x-user: sub, X-User: email }", Some("given twice")),
            ("{ x-user: sub, x_user: email }", Some("given twice")),
            ("{ x-token: sub }", Some("where the token stands")),
            ("{ x-user: '' }", Some("a claim needs a name")),
        ] {
            let mut diagnostics = Diagnostics::new();
            let node = document::parse(diagnostics::SourceId(0), written, &mut diagnostics).unwrap();
            let map = <document::Map<Spanned<String>> as document::Decode>::decode(&node, &mut diagnostics);
            let places = Places {
                headers: [b"x-token".as_slice().into()].into(),
                query: [].into(),
                cookies: [].into(),
                scheme: [].into(),
            };
            let fields = headers(map.as_ref(), &places, &mut diagnostics);
            let messages: Vec<_> = diagnostics.iter().map(|one| one.message.clone()).collect();
            assert_eq!(fields.is_none(), want.is_some(), "{written}: {messages:?}");
            if let Some(want) = want {
                assert!(messages.len() == 1 && messages[0].contains(want), "{written}: {messages:?}");
            }
            let lower = fields.iter().flatten().all(|(name, _)| !name.iter().any(u8::is_ascii_uppercase));
            assert!(lower, "{written}");
        }
    }
}

//! Prepares the policy: whom to ask, and what an answer has to say.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::OneOrMany;
use http::Uri;

use super::config::Raw;
use super::run::{KIND, Ready, Server};
use crate::Compiling;
use crate::claims::{Mapping, Needed, claim_name};
use crate::issuer_source::{plaintext, trust, url};
use crate::places::{Places, Written};
use crate::told::headers;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let server = server(raw, cx.diagnostics);
    let written = Written {
        header: raw.header.as_ref(),
        query: raw.query.as_ref(),
        cookie: raw.cookie.as_ref(),
        scheme: Some(&raw.scheme),
    };
    let places = written.compile("authorization", cx.diagnostics);
    // Where the token stands matters to what may be told; mistakes of both are reported.
    let mapping = mapping(raw, places.as_ref(), cx.diagnostics);
    if raw.consumer == Needed::Required && cx.consumers.is_empty() {
        cx.diagnostics.push(
            Diagnostic::warning(Code::NoCredentials, raw.span, "there is no consumer, so no token gets anybody in")
                .help("add some: consumers: [{ name: mobile, jwt: { subject: mobile-app } }], or write `consumer: optional`"),
        );
    }
    let texts = |texts: &Option<OneOrMany<Spanned<String>>>| -> Box<[Box<str>]> {
        texts.iter().flatten().map(|text| text.as_str().into()).collect()
    };
    Some(Ready {
        server: Box::new(server?),
        places: places?,
        mapping: mapping?,
        issuers: texts(&raw.issuer),
        audiences: texts(&raw.audience),
        cache: raw.cache.get().as_secs(),
        forward: raw.forward,
        scope: cx.fingerprint,
    })
}

/// Whom to ask, and by which name.
fn server(raw: &Raw, diagnostics: &mut Diagnostics) -> Option<Server> {
    let before = diagnostics.errors();
    let trust = trust(raw.ca.as_ref(), diagnostics);
    let url = url(&raw.url, raw.url.span, plaintext(raw.allow_http), diagnostics);
    if let Some(url) = &url {
        look_at_encryption(url, raw, diagnostics);
    }
    for (what, place, empty) in [
        ("client_id", raw.client_id.span, raw.client_id.is_empty()),
        ("client_secret", raw.client_secret.span, raw.client_secret.expose().is_empty()),
    ] {
        if empty {
            diagnostics.push(
                Diagnostic::error(Code::InvalidValue, place, format!("`{what}` is empty"))
                    .help("write what the authorization server has given to the gateway"),
            );
        }
    }
    if raw.timeout.get().is_zero() {
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, raw.timeout.span, "nobody can answer in no time")
                .help("write how long the server may take: `2s`"),
        );
    }
    if diagnostics.errors() != before {
        return None;
    }
    Some(Server {
        url: url?,
        client_id: raw.client_id.as_str().into(),
        client_secret: raw.client_secret.value.clone(),
        timeout: raw.timeout.get(),
        trust: trust?.0,
    })
}

/// Settings that weaken encryption, or have nothing to do with it.
fn look_at_encryption(url: &Uri, raw: &Raw, diagnostics: &mut Diagnostics) {
    let encrypted = url.scheme_str() == Some("https");
    if raw.allow_http && !encrypted {
        diagnostics.push(
            Diagnostic::warning(
                Code::VerificationOff,
                raw.url.span,
                "tokens and the secret are sent without encryption, and anybody could answer",
            )
            .help("use https; on this machine `allow_http` is not needed"),
        );
    }
    if raw.allow_http && encrypted {
        diagnostics.push(
            Diagnostic::warning(Code::UnusedSetting, raw.url.span, "`allow_http` has no effect with https")
                .help("remove it"),
        );
    }
    if let (Some(ca), false) = (&raw.ca, encrypted) {
        diagnostics.push(
            Diagnostic::warning(Code::UnusedSetting, ca.span, "`ca` has no effect without https")
                .help("use https, or remove it"),
        );
    }
}

fn mapping(raw: &Raw, places: Option<&Places>, diagnostics: &mut Diagnostics) -> Option<Mapping> {
    let [scope, groups] = [&raw.scope_claim, &raw.groups_claim].map(|name| claim_name(name, diagnostics));
    let consumer_claims: Option<Box<[Box<str>]>> = match &raw.consumer_claim {
        Some(name) => claim_name(name, diagnostics).map(|name| [name].into()),
        None => Some(["client_id".into(), "sub".into()].into()),
    };
    let headers = headers(raw.claims_to_headers.as_ref(), places?, diagnostics);
    Some(Mapping {
        method: KIND,
        consumer_claims: consumer_claims?,
        consumer_required: raw.consumer == Needed::Required,
        scope_claim: scope?,
        groups_claim: groups?,
        headers: headers?,
    })
}

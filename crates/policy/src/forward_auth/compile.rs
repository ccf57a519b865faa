//! Checks and prepares the policy.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::OneOrMany;
use http::Uri;
use message::{ConnectionOptions, Headers};
use oidc::Plaintext;

use super::config::{CacheRaw, Raw};
use super::fields::{reaches_client, reaches_service};
use super::run::{Memory, Ready, Server};
use crate::Compiling;
use crate::field::header_name;
use crate::issuer_source::{trust, url};
use crate::told::TAKEN;

type Names = Box<[Box<[u8]>]>;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let diagnostics = &mut *cx.diagnostics;
    let before = diagnostics.errors();
    let server = server(raw, diagnostics);
    let trusted = trust(raw.ca.as_ref().map(|ca| &ca.value), diagnostics);
    let shown = raw.request_headers.as_ref().map(|names| names_of(names, check_shown, diagnostics));
    let told = raw.response_headers.as_ref().map(|names| names_of(names, check_told, diagnostics));
    let told = told.unwrap_or_default();
    let client = raw.client_headers.as_ref().map(|names| names_of(names, check_client, diagnostics));
    let is_shown = |name: &[u8]| shown.iter().flatten().any(|shown| **shown == *name);
    // What clients send for purposes of their own is needed on other routes, and often by the server itself.
    let has_meaning = |name: &[u8]| TAKEN.iter().any(|taken| taken.as_bytes() == name);
    let own: Names = told.iter().filter(|name| !is_shown(name) && !has_meaning(name)).cloned().collect();
    let memory = raw.cache.as_ref().map(|cache| memory(cache, shown.as_ref(), &own, diagnostics));
    if diagnostics.errors() != before {
        return None;
    }
    Some(Ready {
        server: server?,
        timeout: raw.timeout.value.get(),
        trust: trusted?.0,
        shown,
        told,
        own,
        client: client.unwrap_or_default(),
        memory,
        scope: cx.fingerprint,
    })
}

/// Who is asked. Inside of a cluster that is most often not encrypted, and nothing is said against it.
fn server(raw: &Raw, diagnostics: &mut Diagnostics) -> Option<Server> {
    let written = raw.url.as_ref().or(raw.grpc.as_ref())?;
    let uri: Uri = url(written, written.span, Plaintext::Everywhere, diagnostics)?;
    if let (Some(ca), Some("http")) = (&raw.ca, uri.scheme_str()) {
        diagnostics.push(
            Diagnostic::warning(
                Code::UnusedSetting,
                ca.span,
                "`ca` has no effect: the server is asked without encryption",
            )
            .help("write `https://` in the URL, or remove `ca`"),
        );
    }
    if raw.url.is_some() {
        return Some(Server::Http(uri));
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        diagnostics.push(
            Diagnostic::error(Code::InvalidUrl, written.span, "a gRPC server is named without a path")
                .help("write `http://HOST:PORT`; a server that is asked over HTTP is a `url`"),
        );
    }
    if let Some(client) = raw.client_headers.as_ref().and_then(|names| names.iter().next()) {
        diagnostics.push(
            Diagnostic::error(
                Code::ConflictingKeys,
                client.span,
                "over gRPC the server itself says which headers the client gets",
            )
            .help("remove `client_headers`"),
        );
    }
    Some(Server::Grpc(uri))
}

/// Names in lower case; every mistake in them is reported.
fn names_of(
    names: &OneOrMany<Spanned<String>>,
    check: fn(&[u8]) -> Option<&'static str>,
    diagnostics: &mut Diagnostics,
) -> Names {
    let checked = names.iter().filter_map(|name| {
        let lower: Box<[u8]> = header_name(name, diagnostics)?.to_ascii_lowercase().into();
        let Some(why) = check(&lower) else { return Some(lower) };
        diagnostics.push(
            Diagnostic::error(
                Code::InvalidHeader,
                name.span,
                format!("`{}` cannot be named here", name.value),
            )
            .help(why),
        );
        None
    });
    let mut all: Vec<Box<[u8]>> = checked.collect();
    // A name that is written twice would bring its values twice.
    all.sort();
    all.dedup();
    all.into()
}

/// Whether a header can still be there when policies run.
fn check_shown(name: &[u8]) -> Option<&'static str> {
    let mut fields = Headers::default();
    fields.push(name, b"");
    fields.strip_request(ConnectionOptions::default(), true);
    fields
        .is_empty()
        .then_some("fields of the connection, and those with `_`, are removed before policies run")
}

fn check_told(name: &[u8]) -> Option<&'static str> {
    (!reaches_service(name))
        .then_some("only Gateward says where a request comes from and who the consumer is: use another name, without `_`")
}

fn check_client(name: &[u8]) -> Option<&'static str> {
    (!reaches_client(name)).then_some("Gateward writes this field itself")
}

/// By what positive answers are remembered.
fn memory(cache: &CacheRaw, shown: Option<&Names>, own: &Names, diagnostics: &mut Diagnostics) -> Memory {
    let by = names_of(&cache.by, check_shown, diagnostics);
    for name in cache.by.iter() {
        let is_in = |names: &Names| names.iter().any(|known| known.eq_ignore_ascii_case(name.as_bytes()));
        if is_in(own) || shown.is_some_and(|shown| !is_in(shown)) {
            diagnostics.push(
                Diagnostic::error(
                    Code::InvalidValue,
                    name.span,
                    format!("the server does not see `{}`, so nothing can be remembered by it", name.value),
                )
                .help("add it to `request_headers`, or take it out of `by`"),
            );
        }
    }
    // A credential that the server sees and nobody has thought of must not let another caller pass.
    let credentials: &[&[u8]] = &[b"authorization", b"cookie"];
    let more: Names = match shown {
        Some(shown) => shown.clone(),
        None => credentials.iter().map(|name| Box::from(*name)).collect(),
    };
    let mut all: Vec<Box<[u8]>> = by.iter().chain(&more).cloned().collect();
    all.sort();
    all.dedup();
    Memory { by, all: all.into(), ttl: cache.ttl.value.get().as_secs(), ignore_path: cache.ignore_path }
}

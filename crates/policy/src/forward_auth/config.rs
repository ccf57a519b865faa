//! What the user writes.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{DurationValue, File, OneOrMany, section};

section! {
    /// Asks a server whether a request may pass, as `auth_request` of nginx, `forwardAuth` of Traefik and `ext_authz` of
    /// Envoy do. It needs `url` or `grpc`. Where the server cannot be asked, nobody passes (503).
    pub struct Raw {
        /// A server that is asked over HTTP, such as `http://auth:9000/verify`. It gets a GET with the headers of the
        /// request and without its body. With a status of 2xx the request passes, one of 3xx or 4xx is what the client
        /// gets, and any other is as if it had not answered.
        url: Option<Spanned<String>>,
        /// A server that is asked over gRPC, as Envoy asks (`envoy.service.auth.v3`), such as `http://auth:9001`.
        grpc: Option<Spanned<String>>,
        /// How long the server may take for its whole answer.
        timeout: Spanned<DurationValue> = "2s",
        /// Authorities that vouch for the server, PEM, if it is asked over https; those of the system without it.
        ca: Option<Spanned<File>>,
        /// Headers of the request that the server sees, such as `[authorization, cookie]`. Without it it sees all but
        /// those of the connection, those that describe the body, and conditions such as `if-none-match`. It is told the
        /// method, the URL and the client in any case.
        request_headers: Option<OneOrMany<Spanned<String>>>,
        /// Headers of its positive answer that the service gets, such as `[x-user, x-groups]`. What clients send under
        /// these names is taken away, also where the server says nothing, and on all other routes too. A name that is also in
        /// `request_headers`, and one with a meaning of its own such as `authorization`, is only replaced here.
        response_headers: Option<OneOrMany<Spanned<String>>>,
        /// Headers of its positive answer that the client gets with the response, such as `[set-cookie]`. Over gRPC the
        /// server itself says which these are.
        client_headers: Option<OneOrMany<Spanned<String>>>,
        /// Remembers positive answers for a while; nothing is remembered without it.
        cache: Option<CacheRaw>,
    }
    check check_server
}

section! {
    /// Which positive answers are remembered by each worker, and for how long. An answer with
    /// `cache-control: no-store`, and one that gives the client a cookie, is not.
    pub struct CacheRaw {
        /// The headers that the server decides by, such as `[authorization, cookie]`. Only requests with one of them are
        /// remembered. An answer holds for the same values of all of them, of `request_headers` (without that, of
        /// `authorization` and `cookie`), the same client address, caller, method, host and URL.
        by: OneOrMany<Spanned<String>>,
        /// How long, in whole seconds. For so long nobody notices that a permission was taken back.
        ttl: Spanned<DurationValue>,
        /// Whether an answer for one path holds for all paths and queries of the host. Say so only if the server does not look at them.
        ignore_path: bool = "false",
    }
    check check_ttl
}

fn check_server(raw: &Raw, diagnostics: &mut Diagnostics) {
    if diagnostics.has_error_in(raw.span) {
        return;
    }
    match (&raw.url, &raw.grpc) {
        (None, None) => diagnostics.push(
            Diagnostic::error(Code::MissingKey, raw.span, "the policy `forward_auth` has nobody to ask")
                .label("this section needs `url` or `grpc`")
                .help("write `url: http://HOST:PORT/PATH`, or `grpc: http://HOST:PORT` for a server of Envoy's protocol"),
        ),
        (Some(_), Some(grpc)) => diagnostics.push(
            Diagnostic::error(Code::ConflictingKeys, grpc.span, "a server is asked over HTTP or over gRPC")
                .help("keep `url` or `grpc`"),
        ),
        (None, Some(_)) | (Some(_), None) => {}
    }
    if raw.timeout.value.get().is_zero() {
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, raw.timeout.span, "nobody answers in no time")
                .help("write how long the server may take, such as `2s`"),
        );
    }
}

fn check_ttl(cache: &CacheRaw, diagnostics: &mut Diagnostics) {
    let ttl = cache.ttl.value.get();
    if (ttl.as_secs() == 0 || ttl.subsec_millis() > 0) && !diagnostics.has_error_in(cache.span) {
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, cache.ttl.span, "answers are remembered for whole seconds")
                .help("write `1s` or more, or remove `cache`"),
        );
    }
}

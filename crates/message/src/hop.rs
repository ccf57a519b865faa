//! Hop-by-hop rules, written once (RFC 9110 §7.6.1): which fields of a message may travel on.

use crate::certificate::is_certificate_field;
use crate::headers::list_elements;
use crate::identity_field::is_identity_field;
use crate::{Field, Headers, Name};

/// What the Connection fields of a message say.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct ConnectionOptions {
    /// `close`
    pub close: bool,
    /// `keep-alive`
    pub keep_alive: bool,
    /// `upgrade`
    pub upgrade: bool,
    /// Some other option: the name of a field that must not travel on.
    pub nominates: bool,
}

impl ConnectionOptions {
    /// Reads all Connection fields.
    pub fn of(headers: &Headers) -> ConnectionOptions {
        let mut options = ConnectionOptions::default();
        for element in headers.all(Name::Connection).flat_map(list_elements) {
            if element.eq_ignore_ascii_case(b"close") {
                options.close = true;
            } else if element.eq_ignore_ascii_case(b"keep-alive") {
                options.keep_alive = true;
            } else if element.eq_ignore_ascii_case(b"upgrade") {
                options.upgrade = true;
            } else {
                options.nominates = true;
            }
        }
        options
    }
}

/// Whether a field of a request may reach policies and the service.
///
/// Besides hop-by-hop fields this stops what a client could use to pass for somebody else: fields that
/// only a trusted proxy may set, `Proxy` (httpoxy), names with `_`, which many services take for `-`, and what
/// services are told of certificates: that is for the gateway alone to say.
/// Framing (Content-Length) stays: the codec has checked it, and it cannot be nominated away.
pub fn forward_request_field(field: &Field, text: &[u8], trusted: bool) -> bool {
    match field.known {
        Name::Connection
        | Name::TransferEncoding
        | Name::Te
        | Name::Upgrade
        | Name::KeepAlive
        | Name::ProxyConnection
        | Name::ProxyAuthenticate
        | Name::ProxyAuthorization
        | Name::ProxyAuthenticationInfo
        | Name::Http2Settings
        | Name::Proxy => false,
        Name::Forwarded
        | Name::XForwardedFor
        | Name::XForwardedProto
        | Name::XForwardedHost
        | Name::XRealIp
        | Name::XOriginalUrl
        | Name::XRewriteUrl => trusted,
        Name::Other => {
            let name = field.name.of(text);
            memchr::memchr(b'_', name).is_none()
                && !is_certificate_field(name)
                && (trusted || name.len() < 12 || !name[..12].eq_ignore_ascii_case(b"x-forwarded-"))
        }
        Name::Host
        | Name::ContentLength
        | Name::Trailer
        | Name::Expect
        | Name::Via
        | Name::MaxForwards
        | Name::Date
        | Name::Server => true,
    }
}

/// Whether a field of a response may reach policies and the client.
pub fn forward_response_field(field: &Field) -> bool {
    !field.known.is_per_connection()
        && !matches!(field.known, Name::ProxyAuthenticate | Name::ProxyAuthenticationInfo)
}

impl Headers {
    /// Removes what must not travel from the client to a service. Call once, before any policy.
    pub fn strip_request(&mut self, options: ConnectionOptions, trusted: bool) {
        self.strip_nominated(options);
        self.retain(|field, text| forward_request_field(field, text, trusted));
    }

    /// Removes what must not travel from a service to the client. Call once, before any policy.
    pub fn strip_response(&mut self, options: ConnectionOptions) {
        self.strip_nominated(options);
        self.retain(|field, _| forward_response_field(field));
    }

    /// Removes the fields that Connection names. Fields that frame or route a message cannot be named
    /// away (CVE-2022-45059); nor what the gateway sets, since that is added later.
    fn strip_nominated(&mut self, options: ConnectionOptions) {
        if !options.nominates {
            return;
        }
        let nominated: Vec<Vec<u8>> =
            self.all(Name::Connection).flat_map(list_elements).map(<[u8]>::to_vec).collect();
        self.retain(|field, text| {
            matches!(
                field.known,
                Name::Host
                    | Name::ContentLength
                    | Name::Connection
                    | Name::Via
                    | Name::Date
                    | Name::MaxForwards
                    | Name::Forwarded
                    | Name::XForwardedFor
                    | Name::XForwardedProto
                    | Name::XForwardedHost
            ) || !nominated.iter().any(|name| name.eq_ignore_ascii_case(field.name.of(text)))
        });
    }
}

/// Whether a trailer field may be passed on (RFC 9110 §6.5.1): nothing that frames, routes,
/// authenticates or describes the content, because some recipients merge trailers into the head.
pub fn trailer_may_pass(name: &[u8]) -> bool {
    const FORBIDDEN: &[&str] = &[
        "authorization",
        "age",
        "cache-control",
        "content-encoding",
        "content-length",
        "content-location",
        "content-range",
        "content-type",
        "cookie",
        "date",
        "expect",
        "expires",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "location",
        "max-forwards",
        "pragma",
        "range",
        "retry-after",
        "server",
        "set-cookie",
        "vary",
        "www-authenticate",
    ];
    let known = Name::of(name);
    known == Name::Other
        && !name.get(..12).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"x-forwarded-"))
        && memchr::memchr(b'_', name).is_none()
        && !is_certificate_field(name)
        && !is_identity_field(name)
        && !FORBIDDEN.iter().any(|forbidden| name.eq_ignore_ascii_case(forbidden.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stripped(fields: &[(&str, &str)], trusted: bool) -> Vec<String> {
        let mut headers = Headers::default();
        for (name, value) in fields {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        let options = ConnectionOptions::of(&headers);
        headers.strip_request(options, trusted);
        headers.iter().map(|(name, _)| String::from_utf8_lossy(name).into_owned()).collect()
    }

    #[test]
    fn hop_by_hop_and_nominated_fields_stay_behind() {
        let left = stripped(
            &[
                ("Connection", "close, X-Hop, HOST, content-length"),
                ("Host", "a"),
                ("Content-Length", "1"),
                ("x-hop", "1"),
                ("TE", "gzip"),
                ("Keep-Alive", "1"),
                ("Proxy-Authorization", "x"),
                ("Accept", "x"),
            ],
            false,
        );
        assert_eq!(left, ["Host", "Content-Length", "Accept"]);
    }

    #[test]
    fn only_trusted_peers_may_claim_origins() {
        let claims = [
            ("X-Forwarded-For", "1.1.1.1"),
            ("x-forwarded-port", "1"),
            ("Forwarded", "for=x"),
            ("X-Real-IP", "x"),
            ("x_user", "a"),
            ("Proxy", "p"),
        ];
        assert!(stripped(&claims, false).is_empty());
        assert_eq!(
            stripped(&claims, true),
            ["X-Forwarded-For", "x-forwarded-port", "Forwarded", "X-Real-IP"]
        );
    }

    #[test]
    fn nobody_else_speaks_of_certificates() {
        let claims = [
            ("X-Client-Cert-Subject", "CN=admin"),
            ("x-client-cert-san", "DNS:admin"),
            ("X-CLIENT-CERT-FINGERPRINT", "00"),
            ("x-client-cert-anything", "1"),
            ("x.client.cert.subject", "CN=admin"),
            ("x-client~cert-subject", "CN=admin"),
        ];
        assert!(stripped(&claims, false).is_empty() && stripped(&claims, true).is_empty());
        let others = [
            ("x-client", "a"),
            ("x-client-cert", "a"),
            ("x-client-certain", "a"),
            ("y-client-cert-san", "a"),
        ];
        assert_eq!(stripped(&others, false).len(), others.len());
    }

    #[test]
    fn trailers_never_frame_or_authenticate() {
        for name in [
            "Content-Length",
            "transfer-encoding",
            "Authorization",
            "host",
            "Set-Cookie",
            "x_y",
            "X-Forwarded-Port",
            "X-Client-Cert-Subject",
            "X-Consumer",
            "x.consumer.groups",
        ] {
            assert!(!trailer_may_pass(name.as_bytes()), "{name}");
        }
        assert!(trailer_may_pass(b"grpc-status") && trailer_may_pass(b"X-Checksum"));
    }
}

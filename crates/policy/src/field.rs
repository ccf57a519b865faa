//! Header names and values that the user writes, checked for every policy in the same way.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use message::{Headers, Name};

/// A name that a policy may set or remove: a token, and none that frames a message or belongs to a
/// connection, because those are the codec's.
pub fn header_name(name: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<Box<[u8]>> {
    let text = name.as_bytes();
    if !Headers::is_valid_name(text) {
        diagnostics.push(
            Diagnostic::error(
                Code::InvalidHeader,
                name.span,
                format!("`{}` is not a header name", name.value),
            )
            .help("a name consists of letters, digits and -"),
        );
        return None;
    }
    let is_reserved = match Name::of(text) {
        Name::Host
        | Name::Connection
        | Name::ContentLength
        | Name::TransferEncoding
        | Name::Te
        | Name::Trailer
        | Name::Upgrade
        | Name::KeepAlive
        | Name::ProxyConnection
        | Name::Expect
        | Name::Via
        | Name::Http2Settings => true,
        Name::ProxyAuthenticate
        | Name::ProxyAuthorization
        | Name::ProxyAuthenticationInfo
        | Name::Forwarded
        | Name::XForwardedFor
        | Name::XForwardedProto
        | Name::XForwardedHost
        | Name::XRealIp
        | Name::XOriginalUrl
        | Name::XRewriteUrl
        | Name::Proxy
        | Name::MaxForwards
        | Name::Date
        | Name::Server
        | Name::Other => false,
    };
    if is_reserved {
        diagnostics.push(
            Diagnostic::error(
                Code::InvalidHeader,
                name.span,
                format!("`{}` belongs to the connection or frames the message, and cannot be edited here", name.value),
            )
            .help("Gateward writes this field itself; `host` can be set on requests with `headers: { request: { set: … } }`"),
        );
        return None;
    }
    Some(text.into())
}

/// A value: no control characters.
pub fn header_value(value: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<Box<[u8]>> {
    let text = value.as_bytes().trim_ascii();
    if Headers::is_valid_value(text) {
        return Some(text.into());
    }
    diagnostics.push(
        Diagnostic::error(
            Code::InvalidHeader,
            value.span,
            "a header value must not hold line breaks or other control characters",
        )
        .help("write it in one line"),
    );
    None
}

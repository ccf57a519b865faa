//! `listen`: the addresses that connections are accepted on.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{ByteSize, Decode, Node, OneOrMany, Shape, SocketAddress, keywords, section};

use crate::timeout::Timeout;
use crate::tls::ListenTls;

section! {
    /// An address that connections are accepted on. The address alone may stand for the section:
    /// `listen: 0.0.0.0:8080`.
    pub struct Listen {
        /// An IP address and a port; `0.0.0.0` is every IPv4 address of the machine, `[::]` every IPv6 address.
        /// With port 0 the system chooses a free one.
        address: Spanned<SocketAddress>,
        /// The versions of HTTP that are spoken. HTTP/2 is agreed on in the handshake (ALPN) with `tls`, and is spoken
        /// by prior knowledge without it.
        protocols: OneOrMany<Spanned<HttpVersion>> = "[http1, http2]",
        /// Encryption of connections; none without it.
        tls: Option<ListenTls>,
        /// Sends clients to the same URL with `https`. `true` takes the port of the listener with `tls` if there is
        /// exactly one, and 443 otherwise; a number is the port.
        redirect_https: Spanned<RedirectHttps> = "false",
        /// Connections begin with the address of the client (PROXY protocol, version 1 or 2). Peers in
        /// `trusted_proxies` have to say it; others cannot, and are taken for who they are.
        proxy_protocol: Spanned<bool> = "false",
        /// How much one client may use.
        limits: ListenLimits = "{}",
        /// How long one client may take.
        timeouts: ListenTimeouts = "{}",
    }
    short address
    check check_listen
}

keywords! {
    /// A version of HTTP.
    pub enum HttpVersion {
        /// HTTP/1.1 and 1.0
        Http1 = "http1",
        /// HTTP/2
        Http2 = "http2",
        /// HTTP/3, on UDP at the same port
        Http3 = "http3",
    }
}

/// Whether clients are sent to `https`, and to which port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectHttps {
    /// They are served.
    Off,
    /// They are sent to where `https` is served.
    On,
    /// They are sent to this port.
    Port(u16),
}

impl Decode for RedirectHttps {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        match node.text() {
            Some("true") => return Some(Self::On),
            Some("false") => return Some(Self::Off),
            _ => {}
        }
        let port = node.text().and_then(|text| text.parse().ok()).filter(|port| *port > 0);
        if port.is_none() {
            diagnostics.push(
                node.wrong_type("`true`, `false` or a port").help("a port is a number from 1 to 65535"),
            );
        }
        port.map(Self::Port)
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Boolean, Shape::Integer { min: 1, max: 65535 }])
    }
}

/// What one key alone cannot show.
fn check_listen(listen: &Listen, diagnostics: &mut Diagnostics) {
    for (position, version) in listen.protocols.iter().enumerate() {
        if listen.protocols.iter().take(position).any(|earlier| earlier.value == version.value) {
            let message = format!("`{}` is given twice", version.value);
            diagnostics.push(
                Diagnostic::error(Code::InvalidValue, version.span, message).help("remove one of them"),
            );
        }
        if version.value == HttpVersion::Http3
            && listen.tls.is_none()
            && !diagnostics.has_error_in(listen.span)
        {
            diagnostics.push(
                Diagnostic::error(Code::MissingKey, version.span, "HTTP/3 is always encrypted")
                    .help("add `tls` to this listener, or remove `http3`"),
            );
        }
    }
    let only_http3 = listen.protocols.iter().all(|version| version.value == HttpVersion::Http3);
    if only_http3 && !diagnostics.has_error_in(listen.span) {
        let message = "`http3` cannot stand alone: clients learn of it by HTTP/1.1 or HTTP/2";
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, listen.span, message)
                .help("add `http1` or `http2` to `protocols`"),
        );
    }
    if listen.tls.is_some() && listen.redirect_https.value != RedirectHttps::Off {
        diagnostics.push(
            Diagnostic::error(
                Code::ConflictingKeys,
                listen.redirect_https.span,
                "`redirect_https` is for listeners without `tls`: who comes here has https already",
            )
            .help("move it to the plain listener: { address: 0.0.0.0:80, redirect_https: true }"),
        );
    }
}

section! {
    /// How much clients may use.
    pub struct ListenLimits {
        /// Open connections, over all workers. One too many takes the place of one that has been idle for the longest time;
        /// where none is idle, it gets a 503.
        connections: u32 [1..=10000000] = "50000",
        /// Bytes of the head of a request, the request line and all headers together. Beyond it the answer is 431.
        header_bytes: ByteSize = "32KiB",
        /// Headers of a request. Beyond it the answer is 431.
        headers: u32 [1..=10000] = "100",
        /// Requests at a time on one connection of HTTP/2 or HTTP/3.
        streams: u32 [1..=10000] = "128",
        /// Bytes of the target in the request line. Beyond it the answer is 414.
        uri: ByteSize = "8KiB",
        /// Bytes per second that a client must send or take while a body is under way; `0` for no such limit.
        min_rate: ByteSize = "512B",
    }
    check check_limits
}

/// A head has to fit, and many clients can hold one at a time.
fn check_limits(limits: &ListenLimits, diagnostics: &mut Diagnostics) {
    for (name, size) in [("header_bytes", limits.header_bytes), ("uri", limits.uri)] {
        if !(16..=1 << 20).contains(&size.get()) {
            let message = format!("`{name}` is out of range");
            diagnostics.push(
                Diagnostic::error(Code::InvalidValue, limits.span, message)
                    .label(format!("`{name}` must be 16B to 1MiB"))
                    .help("the defaults, 32KiB for heads and 8KiB for targets, suit nearly everybody"),
            );
        }
    }
}

section! {
    /// How long clients may take.
    pub struct ListenTimeouts {
        /// For the whole head of a request, from its first byte.
        header: Timeout = "10s",
        /// Between two requests of a connection.
        idle: Timeout = "75s",
        /// For the next bytes of a request body.
        body: Timeout = "30s",
        /// To take the next bytes of a response.
        send: Timeout = "30s",
    }
}

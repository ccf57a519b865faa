//! `listen`: the addresses that connections are accepted on.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{ByteSize, SocketAddress, section};

use crate::timeout::Timeout;

section! {
    /// An address that connections are accepted on, with plain HTTP/1.1. The address alone may stand for the
    /// section: `listen: 0.0.0.0:8080`.
    pub struct Listen {
        /// An IP address and a port; `0.0.0.0` is every IPv4 address of the machine, `[::]` every IPv6 address.
        /// With port 0 the system chooses a free one.
        address: Spanned<SocketAddress>,
        /// How much one client may use.
        limits: ListenLimits = "{}",
        /// How long one client may take.
        timeouts: ListenTimeouts = "{}",
    }
    not_built {
        "protocols" => "HTTP/2 and HTTP/3",
        "tls" => "encryption of connections",
        "proxy_protocol" => "client addresses from a load balancer in front",
        "redirect_https" => "sending clients to HTTPS",
    }
    short address
}

section! {
    /// How much clients may use.
    pub struct ListenLimits {
        /// Open connections, over all workers.
        connections: u32 [1..=10000000] = "50000",
        /// Bytes of the head of a request, the request line and all headers together. Beyond it the answer is 431.
        header_bytes: ByteSize = "32KiB",
        /// Headers of a request. Beyond it the answer is 431.
        headers: u32 [1..=10000] = "100",
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

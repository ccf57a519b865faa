//! What Connection and Upgrade say about the connection after a message (RFC 9112 §9, RFC 9110 §7.8).

use message::{ConnectionOptions, Headers, Name, Names, Version};

/// The options of Connection; none where the field is not there.
#[inline]
pub(crate) fn connection_options(headers: &Headers, seen: Names) -> ConnectionOptions {
    if seen.has(Name::Connection) { ConnectionOptions::of(headers) } else { ConnectionOptions::default() }
}

/// Whether the connection stays open after the message (RFC 9112 §9.3).
#[inline]
pub(crate) fn persists(version: Version, options: ConnectionOptions) -> bool {
    !options.close && (version == Version::Http11 || options.keep_alive)
}

/// Whether the message asks for or confirms a change to WebSocket (RFC 6455 §4), and to nothing else.
pub(crate) fn names_websocket(headers: &Headers, version: Version, options: ConnectionOptions) -> bool {
    let mut values = headers.all(Name::Upgrade);
    version == Version::Http11
        && options.upgrade
        && values.next().is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"))
        && values.next().is_none()
}

//! Requests that are written as lines, so that what is mutated stays close to a request.
//!
//! The codec reads them, as it does from a client: what it refuses is no request here either. It must not know what
//! is tried with them. Entry points: [`lines`], [`request`].

use message::RequestHead;
use wire::{HeadLimits, parse_request};

/// The host of every request here.
pub const HOST: &str = "a.test:8443";

const LIMITS: HeadLimits = HeadLimits { bytes: 1 << 20, fields: 64, target: 1 << 16 };

/// The first byte, which chooses among ways to test, and the lines behind it.
pub fn lines(bytes: &[u8]) -> Option<(u8, impl Iterator<Item = &[u8]> + Clone)> {
    let (&flags, rest) = bytes.split_first()?;
    Some((flags, rest.split(|&byte| byte == b'\n')))
}

/// The request of a line `METHOD TARGET` and of fields as `name: value`, to [`HOST`], as policies see it: normalised
/// and without hop-by-hop fields. `None` for what no client gets that far with.
pub fn request<'l>(first: &[u8], fields: impl IntoIterator<Item = &'l [u8]>) -> Option<RequestHead> {
    let mut text = [first, b" HTTP/1.1\r\nhost: ", HOST.as_bytes(), b"\r\n"].concat();
    for field in fields {
        // An empty line would end the head early.
        if !field.is_empty() {
            text.extend_from_slice(field);
            text.extend_from_slice(b"\r\n");
        }
    }
    text.extend_from_slice(b"\r\n");
    let mut head = RequestHead::default();
    let meta = parse_request(&text, &LIMITS, &mut head).ok()?;
    head.normalize().ok()?;
    head.headers.strip_request(meta.connection, false);
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_a_request() {
        let (flags, mut lines) = lines(b"7GET /a?b=c\nX-A:  1 \nconnection: x-b\n\nx-b: 2").unwrap();
        let head = request(lines.next().unwrap(), lines).unwrap();
        assert_eq!(
            (flags, head.method_bytes(), head.path(), head.query()),
            (b'7', &b"GET"[..], &b"/a"[..], Some(&b"b=c"[..]))
        );
        assert_eq!(head.host(), Some("a.test"));
        assert_eq!(head.headers.values(b"x-a").collect::<Vec<_>>(), [b"1"]);
        assert_eq!(head.headers.values(b"x-b").count(), 0);
    }

    #[test]
    fn what_is_no_request_is_nothing() {
        assert!(super::lines(b"").is_none());
        for (first, field) in
            [("", "a: b"), ("GET", "a: b"), ("GET x", "a: b"), ("GET /", "a b"), ("GET /", "host: b")]
        {
            assert!(request(first.as_bytes(), [field.as_bytes()]).is_none(), "{first} {field}");
        }
    }
}

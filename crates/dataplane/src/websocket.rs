//! The proof that both sides of an HTTP/1.1 upgrade mean a WebSocket (RFC 6455 §1.3).
//!
//! On a stream there is none (RFC 8441 §5), so the gateway makes it where only one side speaks HTTP/1.1.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// The name of the protocol.
pub(crate) const PROTOCOL: &str = "websocket";
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A key: 16 bytes at random, in Base64.
pub(crate) fn new_key(rng: &mut fastrand::Rng) -> Vec<u8> {
    base64(&rng.u128(..).to_be_bytes())
}

/// What answers a key.
pub(crate) fn accept_of(key: &[u8]) -> Vec<u8> {
    base64(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat()).as_ref())
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - group.len()));
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            out.push(if place > group.len() { b'=' } else { digit });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(accept_of(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let key = new_key(&mut fastrand::Rng::with_seed(1));
        assert!(key.len() == 24 && key.ends_with(b"==") && key != new_key(&mut fastrand::Rng::with_seed(2)));
    }

    #[test]
    fn base64_as_in_rfc_4648() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text.as_bytes());
        }
    }
}

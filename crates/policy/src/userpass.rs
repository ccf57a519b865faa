//! A user name and a password, as requests show them (HTTP Basic, RFC 7617).
//!
//! For every policy that goes by them. It says what is shown and verifies nothing. What is decoded lies in a room that
//! whoever asks lends, is not moved, and is wiped with that room. Entry points: [`read`], [`hide`], [`challenge`].

use aws_lc_rs::digest;
use base64::Engine;
use diagnostics::{Code, Diagnostic, Diagnostics, Span};
use message::RequestHead;
use zeroize::Zeroizing;

use crate::Digest;
use crate::places::behind_scheme;

/// No name and password together are longer, in bytes of their encoded form.
const LONGEST: usize = 2048;
/// The most bytes that this many characters of base64 stand for.
const DECODED: usize = LONGEST / 4 * 3;

/// Where a name and a password lie while somebody looks at them.
pub(crate) struct Room(Zeroizing<[u8; DECODED]>);

impl Default for Room {
    fn default() -> Room {
        Room(Zeroizing::new([0; DECODED]))
    }
}

/// What a request shows.
pub(crate) struct UserPass<'r> {
    whole: &'r [u8],
    /// The name of the user: all in front of the first colon.
    pub(crate) name: &'r str,
    /// The password: all behind it.
    pub(crate) password: &'r [u8],
}

impl UserPass<'_> {
    /// Name and password together, mixed with a secret: a digest from which nobody can find out what they are.
    pub(crate) fn digest(&self, secret: &Digest) -> Digest {
        mixed(secret, self.whole)
    }
}

/// It is there, and cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The name and the password of a request; `None` where it shows none. Nothing is allocated.
#[inline]
pub(crate) fn read<'r>(head: &RequestHead, room: &'r mut Room) -> Option<Result<UserPass<'r>, Malformed>> {
    let encoded = head.headers.values(b"authorization").find_map(encoded)?;
    Some(decode(encoded, room).ok_or(Malformed))
}

fn decode<'r>(encoded: &[u8], room: &'r mut Room) -> Option<UserPass<'r>> {
    if encoded.len() > LONGEST {
        return None;
    }
    let standard = base64::engine::general_purpose::STANDARD;
    let length = standard.decode_slice(encoded, &mut *room.0).ok()?;
    let whole = room.0.get(..length)?;
    let colon = whole.iter().position(|byte| *byte == b':')?;
    let (name, rest) = whole.split_at_checked(colon)?;
    Some(UserPass { whole, name: std::str::from_utf8(name).ok()?, password: rest.get(1..)? })
}

/// What stands behind the scheme; `None` for another scheme.
fn encoded(value: &[u8]) -> Option<&[u8]> {
    behind_scheme(value, b"Basic")
}

/// Removes them from a request.
pub(crate) fn hide(head: &mut RequestHead) {
    if head.headers.values(b"authorization").any(|value| encoded(value).is_some()) {
        head.headers.remove(b"authorization");
    }
}

/// What asks for them; `None`, and a diagnostic, where the realm cannot stand in it.
pub(crate) fn challenge(realm: &str, place: Span, diagnostics: &mut Diagnostics) -> Option<Box<str>> {
    if realm.bytes().any(|byte| !(b' '..=b'~').contains(&byte) || byte == b'"' || byte == b'\\') {
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, place, "the realm cannot stand in a header")
                .help("use visible characters of ASCII, without quotes and backslashes"),
        );
        return None;
    }
    Some(format!("Basic realm=\"{realm}\", charset=\"UTF-8\"").into())
}

/// A digest of something that could be guessed.
pub(crate) fn mixed(secret: &Digest, text: &[u8]) -> Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(secret);
    context.update(text);
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::Scene;

    /// What is read of a value of Authorization: nothing, nothing that can be read, or a name and a password.
    fn shown(value: &str) -> Option<Result<(String, Vec<u8>), Malformed>> {
        let scene = Scene::get("/", &[("authorization", value)]);
        let mut room = Room::default();
        let read = read(&scene.head, &mut room)?;
        Some(read.map(|shown| (shown.name.to_owned(), shown.password.to_vec())))
    }

    #[test]
    fn a_name_ends_at_the_first_colon() {
        let standard = base64::engine::general_purpose::STANDARD;
        for (text, name, password) in [
            (&b"ann:pw"[..], "ann", &b"pw"[..]),
            (b"ann:p:w", "ann", b"p:w"),
            (b":", "", b""),
            (b"ann:", "ann", b""),
            (b"ann:\xff", "ann", b"\xff"),
            ("zoë:pässword".as_bytes(), "zoë", "pässword".as_bytes()),
        ] {
            let value = format!("bASIC  {}", standard.encode(text));
            assert_eq!(shown(&value), Some(Ok((name.to_owned(), password.to_vec()))), "{value}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_from_what_is_not_there() {
        let standard = base64::engine::general_purpose::STANDARD;
        for value in ["Basic", "Basicx YW5uOnB3", "Bearer YW5uOnB3"] {
            assert_eq!(shown(value), None, "{value}");
        }
        let no_name = format!("Basic {}", standard.encode(b"\xff:pw"));
        let whole = format!("Basic {}", standard.encode([b":", &[b'a'; DECODED - 1][..]].concat()));
        let long = format!("Basic {}", standard.encode([b":", &[b'a'; DECODED][..]].concat()));
        for value in ["Basic !!!!", "Basic YW5u", "Basic YW5uOnB3=", no_name.as_str(), long.as_str()] {
            assert_eq!(shown(value), Some(Err(Malformed)), "{value}");
        }
        assert!(matches!(shown(&whole), Some(Ok((_, password))) if password.len() == DECODED - 1));
    }

    #[test]
    fn a_digest_is_of_the_name_the_password_and_the_secret() {
        let digest = |value: &str, secret: &Digest| {
            let scene = Scene::get("/", &[("authorization", value)]);
            let mut room = Room::default();
            read(&scene.head, &mut room).unwrap().unwrap().digest(secret)
        };
        let one = digest("Basic YW5uOnB3", &[1; 32]);
        assert_eq!(one, digest("basic YW5uOnB3", &[1; 32]));
        assert_ne!(one, digest("Basic YW5uOnB4", &[1; 32]));
        assert_ne!(one, digest("Basic YW5uOnB3", &[2; 32]));
    }
}

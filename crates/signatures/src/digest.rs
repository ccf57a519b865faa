//! Digests of bodies: `Content-Digest` (RFC 9530 §2) and the older `Digest` (RFC 3230), which Kong's form uses.
//!
//! It reads what was promised and checks a body against it piece by piece. It does not know whether the promise was
//! signed: it is read only where it was. Entry points: [`ExpectedDigest::check`], [`DigestCheck`].

use aws_lc_rs::digest::{self, Context};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use message::Headers;
use sfv::{BareItem, Dictionary, ListEntry};

use crate::component::parse_dictionary;
use crate::coverage::Coverage;
use crate::{MAX_FIELD, Refusal};

/// The digest that a body must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedDigest {
    /// SHA-256.
    Sha256([u8; 32]),
    /// SHA-512.
    Sha512([u8; 64]),
}

/// A body that is being checked, piece by piece.
#[derive(Clone)]
pub struct DigestCheck {
    context: Context,
    expected: ExpectedDigest,
}

impl std::fmt::Debug for DigestCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DigestCheck").field("expected", &self.expected).finish_non_exhaustive()
    }
}

impl ExpectedDigest {
    /// Begins to check a body.
    #[must_use]
    pub fn check(self) -> DigestCheck {
        let algorithm = match self {
            ExpectedDigest::Sha256(_) => &digest::SHA256,
            ExpectedDigest::Sha512(_) => &digest::SHA512,
        };
        DigestCheck { context: Context::new(algorithm), expected: self }
    }

    /// The name of the algorithm (RFC 9530 §7.2).
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        match self {
            ExpectedDigest::Sha256(_) => "sha-256",
            ExpectedDigest::Sha512(_) => "sha-512",
        }
    }

    /// The digest.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            ExpectedDigest::Sha256(bytes) => bytes,
            ExpectedDigest::Sha512(bytes) => bytes,
        }
    }

    /// Reads `Content-Digest`: the strongest digest that we know. `None` where there is none.
    ///
    /// Errors: [`Refusal::BadDigest`] where the field is malformed, or a digest has not the length of its algorithm.
    pub fn from_content_digest(headers: &Headers) -> Result<Option<ExpectedDigest>, Refusal> {
        let lines = headers.values(b"content-digest");
        let Some(members) = parse_dictionary(lines, Refusal::BadDigest)? else { return Ok(None) };
        if let Some(bytes) = member(&members, "sha-512")? {
            return sha512(bytes).map(Some);
        }
        member(&members, "sha-256")?.map(sha256).transpose()
    }

    /// Reads `Digest: SHA-256=…`, whose names are of any case: the strongest digest that we know.
    ///
    /// Errors: as for [`ExpectedDigest::from_content_digest`].
    pub fn from_digest(headers: &Headers) -> Result<Option<ExpectedDigest>, Refusal> {
        let (mut best, mut second) = (None, None);
        for line in headers.values(b"digest") {
            if line.len() > MAX_FIELD {
                return Err(Refusal::TooLarge);
            }
            for element in line.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
                let at = element.iter().position(|&b| b == b'=').ok_or(Refusal::BadDigest)?;
                let (name, rest) = element.split_at_checked(at).ok_or(Refusal::BadDigest)?;
                let value = rest.get(1..).unwrap_or_default();
                let decoded = || STANDARD.decode(value).map_err(|_| Refusal::BadDigest);
                let twice = if name.eq_ignore_ascii_case(b"sha-512") {
                    best.replace(sha512(&decoded()?)?).is_some()
                } else if name.eq_ignore_ascii_case(b"sha-256") {
                    second.replace(sha256(&decoded()?)?).is_some()
                } else {
                    false
                };
                if twice {
                    return Err(Refusal::BadDigest);
                }
            }
        }
        Ok(best.or(second))
    }

    /// The digest that a signature covers, if it covers one that we know.
    pub(crate) fn covered(
        headers: &Headers,
        coverage: &Coverage<'_>,
    ) -> Result<Option<ExpectedDigest>, Refusal> {
        if coverage.has_field("content-digest")
            && let Some(expected) = ExpectedDigest::from_content_digest(headers)?
        {
            return Ok(Some(expected));
        }
        if coverage.has_field("digest") { ExpectedDigest::from_digest(headers) } else { Ok(None) }
    }
}

impl DigestCheck {
    /// Takes the next piece of the body.
    pub fn update(&mut self, piece: &[u8]) {
        self.context.update(piece);
    }

    /// Whether the body was the promised one, now that it has ended.
    #[must_use]
    pub fn finish(self) -> bool {
        self.context.finish().as_ref() == self.expected.bytes()
    }
}

fn sha256(bytes: &[u8]) -> Result<ExpectedDigest, Refusal> {
    bytes.try_into().map(ExpectedDigest::Sha256).map_err(|_| Refusal::BadDigest)
}

fn sha512(bytes: &[u8]) -> Result<ExpectedDigest, Refusal> {
    bytes.try_into().map(ExpectedDigest::Sha512).map_err(|_| Refusal::BadDigest)
}

/// A member of the dictionary, which must be a byte sequence.
fn member<'d>(members: &'d Dictionary, name: &str) -> Result<Option<&'d [u8]>, Refusal> {
    match members.get(name) {
        None => Ok(None),
        Some(ListEntry::Item(item)) => match &item.bare_item {
            BareItem::ByteSequence(bytes) => Ok(Some(bytes)),
            _ => Err(Refusal::BadDigest),
        },
        Some(ListEntry::InnerList(_)) => Err(Refusal::BadDigest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA512: &str =
        "YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==";

    fn read(name: &str, lines: &[&str]) -> Result<Option<ExpectedDigest>, Refusal> {
        let mut headers = Headers::default();
        lines.iter().for_each(|line| headers.push(name.as_bytes(), line.as_bytes()));
        if name == "Digest" {
            ExpectedDigest::from_digest(&headers)
        } else {
            ExpectedDigest::from_content_digest(&headers)
        }
    }

    fn holds(expected: ExpectedDigest, pieces: &[&str]) -> bool {
        let mut check = expected.check();
        pieces.iter().for_each(|piece| check.update(piece.as_bytes()));
        check.finish()
    }

    /// RFC 9530 §2 (its body is `{"hello": "world"}` with an LF), B.1, B.2 and B.3; and `Digest` as Kong's clients
    /// send it.
    #[test]
    fn the_examples_hold() {
        let both = format!("sha-256=:d435Qo+nKZ+gLcUHn7GQtQ72hiBVAgqoLsZnZPiTGPk=:, sha-512=:{SHA512}:");
        let alone = format!("sha-512=:{SHA512}:");
        let kong = "SHA-256=RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=";
        for (name, line, pieces, algorithm) in [
            ("Content-Digest", alone.as_str(), &["{\"hello\": ", "\"world\"}\n"][..], "sha-512"),
            ("Content-Digest", both.as_str(), &["{\"hello\": \"world\"}\n"], "sha-512"),
            (
                "Content-Digest",
                "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
                &["{\"hello\": \"world\"}", "", "\n"],
                "sha-256",
            ),
            ("Content-Digest", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:", &[], "sha-256"),
            (
                "Content-Digest",
                "md5=:AA==:, sha-256=:jjcgBDWNAtbYUXI37CVG3gRuGOAjaaDRGpIUFsdyepQ=:;x=1",
                &["\"world\"}\n"],
                "sha-256",
            ),
            ("Digest", kong, &["{\"hello\": \"world\"}\n"], "sha-256"),
            ("Digest", "unixsum=1, sha-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", &[], "sha-256"),
        ] {
            let expected = read(name, &[line]).unwrap().unwrap();
            assert_eq!(expected.algorithm(), algorithm, "{line}");
            assert!(holds(expected, pieces), "{line}");
            assert!(!holds(expected, &["{\"hello\": \"World\"}\n"]), "{line}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_promise() {
        for (name, lines, want) in [
            ("Content-Digest", &[][..], Ok(None)),
            ("Content-Digest", &["md5=:AA==:"], Ok(None)),
            ("Content-Digest", &["sha-256=:AA==:"], Err(Refusal::BadDigest)),
            ("Content-Digest", &["sha-256=abc"], Err(Refusal::BadDigest)),
            ("Content-Digest", &["sha-256=(:AA==:)"], Err(Refusal::BadDigest)),
            ("Content-Digest", &["sha-256"], Err(Refusal::BadDigest)),
            ("Content-Digest", &["="], Err(Refusal::BadDigest)),
            ("Digest", &[], Ok(None)),
            ("Digest", &["md5=AA=="], Ok(None)),
            ("Digest", &["SHA-256"], Err(Refusal::BadDigest)),
            ("Digest", &["SHA-256=AA=="], Err(Refusal::BadDigest)),
            (
                "Digest",
                &["SHA-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuF\u{e9}="],
                Err(Refusal::BadDigest),
            ),
        ] {
            assert_eq!(read(name, lines), want, "{name}: {lines:?}");
        }
        let twice = ["SHA-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="; 2];
        assert_eq!(read("Digest", &twice), Err(Refusal::BadDigest));
    }
}

//! What policies see of a body: its bytes, without the coding that it was sent in.
//!
//! A body that is compressed never passes unseen where one is looked into: it is inflated up to the same limit, and what
//! cannot be inflated is told apart, so that it can be refused. It must not know what is looked for. Entry points:
//! [`look`], [`uncoded`], [`media_type`].

use std::borrow::Cow;
use std::io::Read;

use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use message::Headers;

use crate::HeldBody;

/// What can be seen of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen<'b> {
    /// There is none.
    Nothing,
    /// All of it.
    Whole(Cow<'b, [u8]>),
    /// It has to be read first.
    Unread,
    /// Nothing that could be told.
    Hidden(Hidden),
}

/// Why a body cannot be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hidden {
    /// It has more bytes than are looked at, as it came or inflated.
    TooLarge,
    /// It has a coding that is not known, or several.
    Coded,
    /// It is not what its coding says.
    Broken,
}

/// How a body was compressed (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Plain,
    Gzip,
    Deflate,
}

/// The codings that [`uncoded`] knows, as a field says it.
pub(crate) const KNOWN_CODINGS: &str = "gzip, deflate, identity";

/// Looks at a body of this announced length. `held` is what was read of it; `was_read` says that it was read for whoever
/// looks, so that there is no more to come.
pub(crate) fn look<'b>(
    length: Option<u64>,
    headers: &Headers,
    held: Option<&'b HeldBody>,
    most: usize,
    was_read: bool,
) -> Seen<'b> {
    if length == Some(0) {
        return Seen::Nothing;
    }
    if length.is_some_and(|length| length > most as u64) {
        return Seen::Hidden(Hidden::TooLarge);
    }
    match held {
        Some(held) if held.bytes.len() > most => Seen::Hidden(Hidden::TooLarge),
        Some(held) if held.is_whole && held.bytes.is_empty() => Seen::Nothing,
        Some(held) if held.is_whole => match uncoded(headers, &held.bytes, most) {
            Ok(bytes) => Seen::Whole(bytes),
            Err(why) => Seen::Hidden(why),
        },
        _ if was_read => Seen::Hidden(Hidden::TooLarge),
        // Nobody waits for a body that could not be looked into.
        _ if coding(headers).is_none() => Seen::Hidden(Hidden::Coded),
        _ => Seen::Unread,
    }
}

/// The bytes of a whole body as its sender had them, if they are at most so many.
pub(crate) fn uncoded<'b>(headers: &Headers, bytes: &'b [u8], most: usize) -> Result<Cow<'b, [u8]>, Hidden> {
    let coding = coding(headers).ok_or(Hidden::Coded)?;
    let mut out = Vec::new();
    let is_whole = match coding {
        Coding::Plain if bytes.len() > most => return Err(Hidden::TooLarge),
        Coding::Plain => return Ok(Cow::Borrowed(bytes)),
        Coding::Gzip => read(MultiGzDecoder::new(bytes), most, &mut out)?.into_inner().is_empty(),
        Coding::Deflate => read(ZlibDecoder::new(bytes), most, &mut out)?.into_inner().is_empty(),
    };
    // What is behind the end one reader drops and another one does not.
    if is_whole { Ok(Cow::Owned(out)) } else { Err(Hidden::Broken) }
}

/// Reads to the end. A bomb ends at the limit: no more than that is ever made of it.
fn read<R: Read>(mut from: R, most: usize, out: &mut Vec<u8>) -> Result<R, Hidden> {
    let mut taken = from.by_ref().take(most as u64 + 1);
    taken.read_to_end(out).map_err(|_| Hidden::Broken)?;
    if out.len() > most { Err(Hidden::TooLarge) } else { Ok(from) }
}

/// `None` where there are several, or one that is not known.
fn coding(headers: &Headers) -> Option<Coding> {
    let mut found = Coding::Plain;
    let fields = headers.values(b"content-encoding");
    for name in fields.flat_map(|value| value.split(|byte| *byte == b',')).map(<[u8]>::trim_ascii) {
        let coding = match name.to_ascii_lowercase().as_slice() {
            b"" | b"identity" => continue,
            b"gzip" | b"x-gzip" => Coding::Gzip,
            b"deflate" => Coding::Deflate,
            _ => return None,
        };
        if found != Coding::Plain {
            return None;
        }
        found = coding;
    }
    Some(found)
}

/// The media type that a message has, without parameters and in lower case. `Err` if it says several: a service could
/// take another one.
pub(crate) fn media_type(headers: &Headers) -> Result<Option<String>, ()> {
    let mut fields = headers.values(b"content-type");
    let Some(first) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(());
    }
    let essence = first.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    Ok(Some(String::from_utf8_lossy(&essence.to_ascii_lowercase()).into_owned()))
}

/// Whether a media type is JSON (RFC 8259 §11, RFC 6839 §3.1).
pub(crate) fn is_json(essence: &str) -> bool {
    matches!(essence, "application/json" | "text/json") || essence.ends_with("+json")
}

/// A number of bytes in words.
pub(crate) fn in_bytes(count: usize) -> String {
    document::ByteSize(count as u64).to_string()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn coded(coding: &str) -> Headers {
        let mut headers = Headers::default();
        headers.push(b"content-encoding", coding.as_bytes());
        headers
    }

    #[test]
    fn what_was_compressed_is_seen_as_it_was() {
        let raw = {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(b"hello").unwrap();
            encoder.finish().unwrap()
        };
        let (zipped, twice) = (gzip(b"hello"), [gzip(b"hel"), gzip(b"lo")].concat());
        let behind = |bytes: &[u8]| [bytes, b"{}"].concat();
        for (coding, bytes, want) in [
            ("identity", b"hello".to_vec(), Ok(())),
            ("", b"hello".to_vec(), Ok(())),
            ("gzip", zipped.clone(), Ok(())),
            ("X-GZip, identity", zipped.clone(), Ok(())),
            ("gzip", twice, Ok(())),
            ("deflate", zlib(b"hello"), Ok(())),
            ("deflate", raw, Err(Hidden::Broken)),
            ("gzip", b"hello".to_vec(), Err(Hidden::Broken)),
            ("gzip", zipped[..zipped.len() - 1].to_vec(), Err(Hidden::Broken)),
            ("gzip", behind(&zipped), Err(Hidden::Broken)),
            ("deflate", behind(&zlib(b"hello")), Err(Hidden::Broken)),
            ("gzip, gzip", zipped.clone(), Err(Hidden::Coded)),
            ("br", zipped.clone(), Err(Hidden::Coded)),
            ("gzip", gzip(b"hello!"), Err(Hidden::TooLarge)),
            ("identity", b"hello!".to_vec(), Err(Hidden::TooLarge)),
        ] {
            let got = uncoded(&coded(coding), &bytes, 5);
            assert_eq!(got.map(|bytes| assert_eq!(&*bytes, b"hello")), want, "{coding}");
        }
    }

    #[test]
    fn a_bomb_ends_at_the_limit() {
        let bomb = gzip(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000);
        let begin = std::time::Instant::now();
        assert_eq!(uncoded(&coded("gzip"), &bomb, 1 << 20), Err(Hidden::TooLarge));
        assert!(begin.elapsed() < std::time::Duration::from_secs(1));
    }

    #[test]
    fn bodies_are_read_only_if_they_could_be_seen() {
        let plain = Headers::default();
        let held = |bytes: &[u8], is_whole| HeldBody { bytes: bytes.to_vec(), is_whole };
        assert_eq!(look(Some(0), &plain, None, 5, false), Seen::Nothing);
        assert_eq!(look(Some(6), &plain, None, 5, false), Seen::Hidden(Hidden::TooLarge));
        assert_eq!(look(None, &plain, None, 5, false), Seen::Unread);
        assert_eq!(look(None, &coded("br"), None, 5, false), Seen::Hidden(Hidden::Coded));
        assert_eq!(
            look(None, &plain, Some(&held(b"123456", false)), 5, false),
            Seen::Hidden(Hidden::TooLarge)
        );
        assert_eq!(
            look(None, &plain, Some(&held(b"123", false)), 5, false),
            Seen::Unread,
            "it was read up to less"
        );
        assert_eq!(look(None, &plain, Some(&held(b"123", false)), 5, true), Seen::Hidden(Hidden::TooLarge));
        assert_eq!(look(None, &plain, Some(&held(b"", true)), 5, false), Seen::Nothing);
        assert_eq!(look(None, &plain, Some(&held(b"123", true)), 5, false), Seen::Whole(b"123"[..].into()));
    }
}

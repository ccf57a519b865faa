//! Reads the fields of a message on a stream, as the `http` crate holds them.
//!
//! The rules of RFC 9113 §8.2 for names and values, and the limits; what the fields mean is read elsewhere.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use message::{Fault, Headers, Name, Names};

use crate::bytes::{text_len, trim};
use crate::limits::HeadLimits;

/// What a field costs besides its name and value, of all limits of a field section (RFC 9113 §6.5.2).
const FIELD_COST: usize = 32;

/// What is left of the limits of a head. Every byte that was decoded is charged, also of what is dropped or
/// joined (CVE-2026-47774, CVE-2026-73550).
#[derive(Debug)]
pub(super) struct Budget {
    bytes: usize,
    fields: usize,
}

impl Budget {
    /// All of it.
    pub(super) fn new(limits: &HeadLimits) -> Budget {
        Budget { bytes: limits.bytes.min(u32::MAX as usize), fields: limits.fields }
    }

    /// Charges a pseudo-header field, which counts as bytes but not as a field.
    pub(super) fn charge_pseudo(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        let cost = FIELD_COST.saturating_add(name.len()).saturating_add(value.len());
        self.bytes = self.bytes.checked_sub(cost).ok_or(Fault::HeadersTooLarge)?;
        Ok(())
    }

    /// Charges a field.
    fn charge(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<(), Fault> {
        self.fields = self.fields.checked_sub(1).ok_or(Fault::HeadersTooLarge)?;
        let cost = FIELD_COST.saturating_add(name.as_str().len()).saturating_add(value.len());
        self.bytes = self.bytes.checked_sub(cost).ok_or(Fault::HeadersTooLarge)?;
        Ok(())
    }
}

/// Copies all fields but those whose name `skip` refuses. Says which names are there.
///
/// Crumbs of Cookie become one field again (RFC 9113 §8.2.3). Errors: [`Fault::BadHeader`] where a field is
/// malformed or is about a connection, [`Fault::HeadersTooLarge`].
pub(super) fn read_fields(
    map: &HeaderMap,
    budget: &mut Budget,
    skip: impl Fn(Name, &HeaderName) -> bool,
    headers: &mut Headers,
) -> Result<Names, Fault> {
    // What a fragment of the head would cost is known before any of it is copied.
    for (name, value) in map {
        budget.charge(name, value)?;
    }
    let mut seen = Names::default();
    let mut has_cookie = false;
    for (name, value) in map {
        let text = name.as_str().as_bytes();
        let known = Name::of(text);
        check(known, value.as_bytes())?;
        seen.add(known);
        if skip(known, name) {
            continue;
        }
        if name == header::COOKIE {
            if !std::mem::replace(&mut has_cookie, true) {
                join_crumbs(map, headers);
            }
            continue;
        }
        match known {
            Name::Other => headers.push(text, value.as_bytes()),
            known => headers.push_known(known, value.as_bytes()),
        }
    }
    Ok(seen)
}

/// Whether a field may stand in a message on a stream. The type of the name vouches for a lower-case token.
fn check(known: Name, value: &[u8]) -> Result<(), Fault> {
    let is_malformed = match known {
        // RFC 9113 §8.2.2: these are about a connection, and smuggle where they become HTTP/1.1.
        Name::Connection
        | Name::KeepAlive
        | Name::ProxyConnection
        | Name::TransferEncoding
        | Name::Upgrade => true,
        Name::Te => !value.eq_ignore_ascii_case(b"trailers"),
        _ => false,
    };
    if is_malformed || !is_clean(value) { Err(Fault::BadHeader) } else { Ok(()) }
}

/// Whether a value holds nothing but text, and no white space at its ends (RFC 9113 §8.2.1).
pub(super) fn is_clean(value: &[u8]) -> bool {
    text_len(value) == value.len() && trim(value).len() == value.len()
}

/// Writes all crumbs of Cookie as one field, which stands in the text as other fields do. Crumbs are checked
/// with all other fields.
fn join_crumbs(map: &HeaderMap, headers: &mut Headers) {
    let name = headers.append_text(header::COOKIE.as_str().as_bytes());
    let mut value = headers.append_text(b": ");
    value.start += value.len;
    value.len = 0;
    for crumb in map.get_all(header::COOKIE).iter().filter(|crumb| !crumb.is_empty()) {
        if value.len > 0 {
            value.len += headers.append_text(b"; ").len;
        }
        value.len += headers.append_text(crumb.as_bytes()).len;
    }
    headers.append_text(b"\r\n");
    headers.push_spans(Name::Other, name, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::{is_text_byte, is_token};

    #[test]
    fn the_types_of_the_http_crate_vouch_for_what_is_not_checked_here() {
        for b in 0..=255u8 {
            if let Ok(name) = HeaderName::from_bytes(&[b]) {
                let text = name.as_str().as_bytes();
                assert!(text.iter().all(|&b| is_token(b) && !b.is_ascii_uppercase()), "{b:#x}");
            }
            assert_eq!(HeaderValue::from_bytes(&[b]).is_ok(), is_text_byte(b), "{b:#x}");
            assert_eq!(http::Method::from_bytes(&[b]).is_ok(), is_token(b), "{b:#x}");
        }
    }
}

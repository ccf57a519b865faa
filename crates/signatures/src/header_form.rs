//! The header form, as Kong's `hmac-auth` has it: `hmac username="…", algorithm="…", headers="…", signature="…"`.
//!
//! It goes back to draft-cavage-http-signatures. The signature is over the listed fields as lines `name: value`, in
//! their order and with the names as they are listed, joined by a line feed. `request-line` stands for the request line
//! itself, `@request-target` for a line with the method in lower case and the target. Where Kong is lax, this is not:
//!
//! - the time, `X-Date` or else `Date`, must be covered; otherwise a signature would be good for ever,
//! - a field that is not there cannot be covered, and one of several lines is covered with all of them, joined by
//!   `, `, where Kong takes the first,
//! - a digest counts only where it is covered,
//! - `request-line` is never a field of that name.
//!
//! Entry points: [`read`], [`HeaderForm::examine`].

use std::time::UNIX_EPOCH;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use message::{RequestHead, is_token_byte};

use crate::base::Base;
use crate::claim::Examined;
use crate::coverage::{Coverage, Parts};
use crate::sent::Sent;
use crate::{Algorithm, Key, MAX_COMPONENTS, MAX_FIELD, Refusal, Rules};

const SCHEME: &[u8] = b"hmac";
const REQUEST_LINE: &str = "request-line";
const REQUEST_TARGET: &str = "@request-target";

/// The credentials of a request, and what they say of themselves.
pub(crate) struct HeaderForm {
    algorithm: Algorithm,
    /// The covered names, separated by one space each.
    names: String,
    /// The MAC.
    pub(crate) signature: Vec<u8>,
}

/// Reads the credentials and the name of whom they are. `Proxy-Authorization` goes first, as in Kong.
pub(crate) fn read(head: &RequestHead) -> Result<Option<(String, HeaderForm)>, Refusal> {
    for name in [&b"proxy-authorization"[..], b"authorization"] {
        let mut lines = head.headers.values(name);
        let Some(credentials) = lines.find_map(after_scheme) else { continue };
        if head.headers.values(name).nth(1).is_some() {
            return Err(Refusal::MalformedCredentials);
        }
        return parse(credentials).map(Some);
    }
    Ok(None)
}

/// What follows the scheme, if it is ours. Schemes are of any case (RFC 9110 §11.1).
fn after_scheme(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    let ends = rest.first().is_none_or(|&b| b == b' ' || b == b'\t');
    (scheme.eq_ignore_ascii_case(SCHEME) && ends).then_some(rest)
}

/// Reads the parameters, in any order. Each must be there once, and no other may be.
fn parse(credentials: &[u8]) -> Result<(String, HeaderForm), Refusal> {
    if credentials.len() > MAX_FIELD {
        return Err(Refusal::TooLarge);
    }
    let malformed = Refusal::MalformedCredentials;
    let text = std::str::from_utf8(credentials).map_err(|_| malformed)?;
    let [mut username, mut algorithm, mut headers, mut signature] = [None; 4];
    let mut rest = text.trim_ascii_start();
    loop {
        let (name, tail) = rest.split_once("=\"").ok_or(malformed)?;
        let (value, tail) = tail.split_once('"').ok_or(malformed)?;
        let place = match name {
            "username" => &mut username,
            "algorithm" => &mut algorithm,
            "headers" => &mut headers,
            "signature" => &mut signature,
            _ => return Err(malformed),
        };
        // A backslash would be an escape for some (RFC 9110 §5.6.4) and itself for others, such as Kong.
        if value.contains('\\') || place.replace(value).is_some() {
            return Err(malformed);
        }
        rest = match tail.trim_ascii_start().strip_prefix(',') {
            Some(tail) => tail.trim_ascii_start(),
            None if tail.trim_ascii().is_empty() => break,
            None => return Err(malformed),
        };
    }
    let (Some(username), Some(algorithm), Some(headers), Some(signature)) =
        (username, algorithm, headers, signature)
    else {
        return Err(malformed);
    };
    let algorithm =
        Algorithm::of(algorithm).filter(|own| own.is_hmac()).ok_or(Refusal::AlgorithmNotAllowed)?;
    let signature = STANDARD.decode(signature).map_err(|_| malformed)?;
    if username.is_empty() {
        return Err(Refusal::NoKeyId);
    }
    Ok((username.to_owned(), HeaderForm { algorithm, names: headers.to_owned(), signature }))
}

impl HeaderForm {
    /// Checks what the credentials say of themselves, and builds the bytes that they are over.
    pub(crate) fn examine(
        &self,
        key: &Key,
        sent: &Sent<'_>,
        rules: &Rules,
        now: u64,
    ) -> Result<Examined<'_>, Refusal> {
        if !rules.algorithms.has(self.algorithm) {
            return Err(Refusal::AlgorithmNotAllowed);
        }
        if !key.has(self.algorithm) {
            return Err(Refusal::AlgorithmMismatch);
        }
        if rules.require_nonce {
            return Err(Refusal::NoNonce);
        }
        let coverage = self.coverage(sent)?;
        let created = date(sent.head, &coverage)?;
        let until = rules.check_times(Some(created), None, now)?;
        coverage.meets(&rules.required_in_header)?;
        let base = self.base(sent)?;
        Ok(Examined {
            algorithm: self.algorithm,
            base,
            created: Some(created),
            expires: None,
            until,
            nonce: None,
            coverage,
        })
    }

    /// The covered names, in order.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.names.split(' ')
    }

    fn coverage(&self, sent: &Sent<'_>) -> Result<Coverage<'_>, Refusal> {
        if self.names().count() > MAX_COMPONENTS {
            return Err(Refusal::TooLarge);
        }
        let mut coverage = Coverage::default();
        for (at, name) in self.names().enumerate() {
            if self.names().take(at).any(|other| other.eq_ignore_ascii_case(name)) {
                return Err(Refusal::RepeatedComponent);
            }
            match name {
                REQUEST_LINE | REQUEST_TARGET => coverage.add(Parts::LINE),
                _ if name.is_empty() || !name.bytes().all(is_token_byte) => {
                    return Err(Refusal::UnsupportedComponent);
                }
                _ => coverage.add_field(name),
            }
        }
        // Where the target names another host, the field does not say whom the request is for.
        if coverage.has_field("host") && !sent.target_names_authority() {
            coverage.add(Parts::AUTHORITY);
        }
        Ok(coverage)
    }

    fn base(&self, sent: &Sent<'_>) -> Result<Base, Refusal> {
        let mut base = Base::default();
        for (at, name) in self.names().enumerate() {
            if at > 0 {
                base.push(b"\n")?;
            }
            match name {
                REQUEST_LINE => push_request_line(sent, &mut base)?,
                REQUEST_TARGET => push_request_target(sent, &mut base)?,
                _ => {
                    base.push(name.as_bytes())?;
                    base.push(b": ")?;
                    base.push_lines(sent.head.headers.values(name.as_bytes()), Base::push_text)?;
                }
            }
        }
        Ok(base)
    }
}

/// `GET /path?query HTTP/1.1`
fn push_request_line(sent: &Sent<'_>, base: &mut Base) -> Result<(), Refusal> {
    base.push_text(sent.head.method_bytes())?;
    base.push(b" ")?;
    sent.push_origin_form(base)?;
    base.push(b" ")?;
    base.push(sent.version())
}

/// `@request-target: get /path?query`
fn push_request_target(sent: &Sent<'_>, base: &mut Base) -> Result<(), Refusal> {
    let method = sent.head.method_bytes();
    // `get` is not GET (RFC 9110 §9.1), but would have the same signature.
    if method.iter().any(u8::is_ascii_lowercase) {
        return Err(Refusal::AmbiguousComponent);
    }
    base.push(REQUEST_TARGET.as_bytes())?;
    base.push(b": ")?;
    base.push_text(&method.to_ascii_lowercase())?;
    base.push(b" ")?;
    sent.push_origin_form(base)
}

/// When the request was made, in seconds since 1970: by `X-Date`, which browsers can set, or else by `Date`.
fn date(head: &RequestHead, coverage: &Coverage<'_>) -> Result<u64, Refusal> {
    let name = ["x-date", "date"]
        .into_iter()
        .find(|name| coverage.has_field(name))
        .ok_or(Refusal::DateNotCovered)?;
    let mut lines = head.headers.values(name.as_bytes());
    let line = lines.next().ok_or(Refusal::MissingComponent)?;
    if lines.next().is_some() {
        return Err(Refusal::BadTime);
    }
    let text = std::str::from_utf8(line.trim_ascii()).map_err(|_| Refusal::BadTime)?;
    let time = httpdate::parse_http_date(text).map_err(|_| Refusal::BadTime)?;
    time.duration_since(UNIX_EPOCH).map(|since| since.as_secs()).map_err(|_| Refusal::BadTime)
}

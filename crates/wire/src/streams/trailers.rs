//! Trailers of a message on a stream (RFC 9113 §8.1).

use http::{HeaderMap, HeaderName, HeaderValue};
use message::{Headers, trailer_may_pass};

use super::fields::is_clean;
use crate::bytes::trim;
use crate::trailers::{MOST_BYTES, MOST_FIELDS};

/// The trailers that may be passed on.
///
/// The same bounds hold as for HTTP/1.1. Where the trailers are over them, what does not fit is left out and
/// the rest is kept, as is what is malformed: the body is complete by then, and a status that comes last
/// (gRPC) must not be lost to a long text beside it.
pub fn read_trailers(map: &HeaderMap) -> Headers {
    let mut fields = Headers::default();
    for (name, value) in map {
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
        if fields.len() >= MOST_FIELDS {
            break;
        }
        let fits = fields.text().len() + name.len() + value.len() + ": \r\n".len() <= MOST_BYTES;
        if fits && trailer_may_pass(name) && is_clean(value) {
            fields.push(name, value);
        }
    }
    fields
}

/// Trailers for a stream. The caller vouches for the names (see [`message::trailer_may_pass`]); what cannot
/// be written is left out.
pub fn trailers_message(fields: &Headers) -> HeaderMap {
    let mut map = HeaderMap::try_with_capacity(fields.len()).unwrap_or_default();
    for field in fields.fields().iter().filter(|field| !field.known.is_per_connection()) {
        let name = HeaderName::from_bytes(fields.slice(field.name));
        let value = HeaderValue::from_bytes(trim(fields.slice(field.value)));
        if let (Ok(name), Ok(value)) = (name, value)
            && map.try_append(name, value).is_err()
        {
            break;
        }
    }
    map
}

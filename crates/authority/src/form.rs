//! `application/x-www-form-urlencoded`, and the two ways by which OAuth 2.0 tells who a client is.
//!
//! Pure. Entry points: [`encode`], [`basic`].

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

/// The media type of a body that [`encode`] has made.
pub const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// Names and values as a body, or as a query.
#[must_use]
pub fn encode(pairs: &[(&str, &str)]) -> String {
    let mut form = String::new();
    for (at, (name, value)) in pairs.iter().enumerate() {
        if at > 0 {
            form.push('&');
        }
        push(&mut form, name);
        form.push('=');
        push(&mut form, value);
    }
    form
}

/// The value of `Authorization` by which a client tells who it is. Its name and secret are encoded before they are
/// joined (RFC 6749, section 2.3.1), so that a colon in the name is no separator.
#[must_use]
pub fn basic(client_id: &str, client_secret: &str) -> HeaderValue {
    let mut plain = String::new();
    push(&mut plain, client_id);
    plain.push(':');
    push(&mut plain, client_secret);
    let text = format!("Basic {}", STANDARD.encode(plain));
    // Base64 is always a value; if it were not, nobody would be let in.
    let mut value = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("Basic"));
    value.set_sensitive(true);
    value
}

/// The bytes that stay are those of the URL standard, section 1.3 (the set for forms).
fn push(form: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => {
                form.push(char::from(byte));
            }
            b' ' => form.push('+'),
            // Writing to a string does not fail.
            other => _ = write!(form, "%{other:02X}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded() {
        for (pairs, expected) in [
            (&[][..], ""),
            (&[("token", "a.b-c_d*")], "token=a.b-c_d*"),
            (&[("a", "1"), ("b", "")], "a=1&b="),
            (&[("a b", "x&y=z+%")], "a+b=x%26y%3Dz%2B%25"),
            (&[("u", "ü~\u{0}\n")], "u=%C3%BC%7E%00%0A"),
        ] {
            assert_eq!(encode(pairs), expected);
        }
    }

    #[test]
    fn a_client_is_told_by_encoded_parts() {
        // The pair of RFC 6749, section 2.3.1.
        assert_eq!(
            basic("s6BhdRkqt3", "7Fjfp0ZBr1KtDRbnfVdmIw"),
            "Basic czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3"
        );
        let value = basic("a:b", "p q/ü");
        assert!(value.is_sensitive());
        assert_eq!(value, format!("Basic {}", STANDARD.encode("a%3Ab:p+q%2F%C3%BC")));
    }
}

//! What services are told of the certificate that a client has shown.
//!
//! The names of these fields belong to the gateway: what others send under them never travels on (see
//! [`crate::forward_request_field`]). The texts come out of a certificate that was verified; they are written so that
//! no part of one can pass for another, whoever reads them. Entry point: [`Headers::set_certificate`].

use crate::{Headers, reads_like};

/// What the names of these fields begin with.
const PREFIX: &[u8] = b"x-client-cert-";
const SUBJECT: &[u8] = b"x-client-cert-subject";
const NAMES: &[u8] = b"x-client-cert-san";
const FINGERPRINT: &[u8] = b"x-client-cert-fingerprint";

/// The longest list of names that is passed on, in bytes: more would not fit into what services take as a head.
const LONGEST: usize = 8 * 1024;

/// What the certificate of a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The subject (RFC 4514).
    pub subject: Box<str>,
    /// The alternative names, with their kind in front: `DNS:a.test`.
    pub names: Vec<Box<str>>,
    /// The SHA-256 of the certificate, in hexadecimal digits.
    pub fingerprint: Box<str>,
    /// When it ends to be valid, in seconds since 1970.
    pub not_after: u64,
}

/// Whether a name is one of these fields, or what a service could take for one: many write `_` for all that is
/// neither letter nor digit.
#[inline]
pub fn is_certificate_field(name: &[u8]) -> bool {
    name.get(..PREFIX.len()).is_some_and(|begin| reads_like(begin, PREFIX))
}

impl Headers {
    /// Says who has shown which certificate, in place of everything that was said of that. `scratch` is room for
    /// texts. What a certificate does not have gets no field, and nor does a list of names that is too long: half a
    /// list would be another one.
    pub fn set_certificate(&mut self, certificate: &ClientCertificate, scratch: &mut Vec<u8>) {
        scratch.clear();
        write_subject(&certificate.subject, scratch);
        self.replace(SUBJECT, scratch);
        scratch.clear();
        for name in &certificate.names {
            if !scratch.is_empty() {
                scratch.extend_from_slice(b", ");
            }
            write_name(name, scratch);
        }
        if scratch.len() > LONGEST {
            scratch.clear();
        }
        self.replace(NAMES, scratch);
        self.replace(FINGERPRINT, certificate.fingerprint.as_bytes());
    }

    fn replace(&mut self, name: &[u8], value: &[u8]) {
        self.remove(name);
        if !value.is_empty() {
            self.push(name, value);
        }
    }
}

/// The subject in ASCII: what is not is written as RFC 4514 section 2.4 allows, as `\` and two digits for each byte.
/// So is a space at the end, which would be lost in a field.
fn write_subject(subject: &str, out: &mut Vec<u8>) {
    let last = subject.len().saturating_sub(1);
    for (at, byte) in subject.bytes().enumerate() {
        match byte {
            // It stands behind a backslash already.
            b' ' if at == last => out.extend_from_slice(b"20"),
            b' '..=b'~' => out.push(byte),
            other => write_hex(b'\\', other, out),
        }
    }
}

/// A name for a list: what could end it or begin another one is written as in URIs (RFC 3986 section 2.1), and so is
/// `%` itself, so that every reader can undo it.
fn write_name(name: &str, out: &mut Vec<u8>) {
    for byte in name.bytes() {
        match byte {
            b',' | b';' | b'"' | b'\\' | b'%' => write_hex(b'%', byte, out),
            b'!'..=b'~' => out.push(byte),
            other => write_hex(b'%', other, out),
        }
    }
}

fn write_hex(mark: u8, byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    out.extend([mark, digit(byte >> 4), digit(byte & 15)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(subject: &str, names: &[&str]) -> Vec<(String, String)> {
        let certificate = ClientCertificate {
            subject: subject.into(),
            names: names.iter().map(|&name| name.into()).collect(),
            fingerprint: "0a".into(),
            not_after: u64::MAX,
        };
        let mut headers = Headers::default();
        for name in ["X-Client-Cert-Subject", "x-client-cert-san", "x-client-cert-fingerprint", "x-other"] {
            headers.push(name.as_bytes(), b"old");
        }
        headers.set_certificate(&certificate, &mut b"left over".to_vec());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        assert!(headers.iter().all(|(_, value)| Headers::is_valid_value(value) && value.is_ascii()));
        headers.iter().skip(1).map(|(name, value)| (text(name), text(value))).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (format!("x-client-cert-{name}"), value.to_owned())
    }

    #[test]
    fn what_a_certificate_says_takes_the_place_of_what_was_said() {
        assert_eq!(
            told("CN=billing,O=Example", &["DNS:billing.test", "IP:10.0.0.1"]),
            [
                pair("subject", "CN=billing,O=Example"),
                pair("san", "DNS:billing.test, IP:10.0.0.1"),
                pair("fingerprint", "0a"),
            ]
        );
        assert_eq!(told("", &[]), [pair("fingerprint", "0a")], "what is not there gets no field");
    }

    #[test]
    fn no_part_of_a_text_passes_for_another() {
        let told = |subject, names: &[&str]| {
            let told = told(subject, names);
            (told[0].1.clone(), told[1].1.clone())
        };
        assert_eq!(
            told("CN=Jörg\\ ", &["URI:spiffe://a,DNS:admin", "email:\"a b\"@c.test", "URI:x%2Cy;z"]),
            (
                "CN=J\\C3\\B6rg\\20".to_owned(),
                "URI:spiffe://a%2CDNS:admin, email:%22a%20b%22@c.test, URI:x%252Cy%3Bz".to_owned()
            )
        );
    }

    #[test]
    fn a_list_that_is_too_long_is_left_out_and_not_cut() {
        let long = format!("URI:{}", "x".repeat(1000));
        let names: Vec<&str> = std::iter::repeat_n(long.as_str(), 9).collect();
        assert_eq!(told("CN=a", &names), [pair("subject", "CN=a"), pair("fingerprint", "0a")]);
    }
}

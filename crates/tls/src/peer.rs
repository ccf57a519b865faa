//! Who has shown a certificate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::SystemTime;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use crate::Error;
use crate::certificate::system_time;
use crate::fingerprint;

/// The longest text that is taken out of a certificate, in bytes.
const LONGEST: usize = 1024;

/// The most names of one kind.
const MOST: usize = 64;

/// What a verified certificate says about who has shown it. Its texts are bounded and hold no control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The subject (RFC 4514), the most specific part first: `CN=billing,O=Example`.
    pub subject: Box<str>,
    /// Names of hosts, in lower case.
    pub dns: Vec<Box<str>>,
    /// Mail addresses.
    pub emails: Vec<Box<str>>,
    /// URIs, such as those of SPIFFE.
    pub uris: Vec<Box<str>>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
    /// The serial number, in lower-case hexadecimal digits.
    pub serial: Box<str>,
    /// The SHA-256 digest of the certificate, in lower-case hexadecimal digits.
    pub fingerprint: Box<str>,
    /// When it ends to be valid.
    pub not_after: SystemTime,
}

impl PeerCertificate {
    /// From the certificate that a handshake has verified.
    ///
    /// # Errors
    /// It cannot be read, or a name in it is not what it seems: too long, too many, or with control characters in
    /// it. Who relies on a name must not see a part of it.
    pub fn from_der(certificate: &[u8]) -> Result<PeerCertificate, Error> {
        let unreadable = || Error::new("the certificate is not well formed");
        let (rest, parsed) = X509Certificate::from_der(certificate).map_err(|_| unreadable())?;
        if !rest.is_empty() {
            return Err(unreadable());
        }
        let mut peer = PeerCertificate {
            subject: subject(parsed.subject())?,
            dns: Vec::new(),
            emails: Vec::new(),
            uris: Vec::new(),
            addresses: Vec::new(),
            serial: hex(serial(parsed.raw_serial())),
            fingerprint: hex(&fingerprint::of(certificate)),
            not_after: system_time(parsed.validity().not_after),
        };
        if let Some(alternative) = parsed.subject_alternative_name().map_err(|_| unreadable())? {
            for name in &alternative.value.general_names {
                peer.add(name)?;
            }
        }
        Ok(peer)
    }

    fn add(&mut self, name: &GeneralName<'_>) -> Result<(), Error> {
        let (list, text) = match name {
            GeneralName::DNSName(name) => (&mut self.dns, checked(name)?.to_ascii_lowercase()),
            GeneralName::RFC822Name(name) => (&mut self.emails, checked(name)?.to_owned()),
            GeneralName::URI(name) => (&mut self.uris, checked(name)?.to_owned()),
            GeneralName::IPAddress(bytes) => {
                let address = address(bytes)
                    .ok_or_else(|| Error::new("an address in the certificate is not well formed"))?;
                if self.addresses.len() >= MOST {
                    return Err(too_many());
                }
                self.addresses.push(address);
                return Ok(());
            }
            _ => return Ok(()),
        };
        if list.len() >= MOST {
            return Err(too_many());
        }
        list.push(text.into());
        Ok(())
    }
}

fn too_many() -> Error {
    Error::new("there are too many names in the certificate")
}

/// Names in certificates are of one line and of ASCII (RFC 5280 section 4.2.1.6). A NUL in them has fooled many.
fn checked(text: &str) -> Result<&str, Error> {
    if text.len() > LONGEST || !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Err(Error::new(
            "a name in the certificate is too long, or has characters in it that no name has",
        ));
    }
    Ok(text)
}

/// The address of a SAN (RFC 5280 section 4.2.1.6).
pub(crate) fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::V4(Ipv4Addr::from(bytes)));
    }
    <[u8; 16]>::try_from(bytes).ok().map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)))
}

/// Without the zero that keeps a number from being negative.
fn serial(bytes: &[u8]) -> &[u8] {
    match bytes {
        [0, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    }
}

fn hex(bytes: &[u8]) -> Box<str> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0'));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect::<String>().into()
}

/// The subject as RFC 4514 writes it: the last part first, parts of several values joined by `+`.
fn subject(name: &X509Name<'_>) -> Result<Box<str>, Error> {
    let mut out = String::new();
    let parts: Vec<_> = name.iter_rdn().collect();
    for part in parts.iter().rev() {
        if !out.is_empty() {
            out.push(',');
        }
        for (at, attribute) in part.iter().enumerate() {
            if at > 0 {
                out.push('+');
            }
            let oid = attribute.attr_type().to_id_string();
            match short_name(&oid) {
                Some(short) => out.push_str(short),
                None => out.push_str(&oid),
            }
            out.push('=');
            match attribute.as_str() {
                Ok(value) if short_name(&oid).is_some() => escape(value, &mut out)?,
                _ => {
                    out.push('#');
                    out.push_str(&hex(attribute.as_slice()));
                }
            }
            if out.len() > LONGEST {
                return Err(Error::new("the subject of the certificate is too long"));
            }
        }
    }
    Ok(out.into())
}

/// The attributes that have a name in RFC 4514 section 3, and the mail address, which is in wide use.
fn short_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.6" => "C",
        "2.5.4.9" => "STREET",
        "0.9.2342.19200300.100.1.25" => "DC",
        "0.9.2342.19200300.100.1.1" => "UID",
        "1.2.840.113549.1.9.1" => "emailAddress",
        _ => return None,
    })
}

/// RFC 4514 section 2.4. Control characters are refused: they have no place in a log or a header.
fn escape(value: &str, out: &mut String) -> Result<(), Error> {
    let last = value.chars().count().saturating_sub(1);
    for (at, character) in value.chars().enumerate() {
        if character.is_control() {
            return Err(Error::new("the subject of the certificate has control characters in it"));
        }
        let at_edge = (character == ' ' && (at == 0 || at == last)) || (character == '#' && at == 0);
        if at_edge || matches!(character, '"' | '+' | ',' | ';' | '<' | '>' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    Ok(())
}

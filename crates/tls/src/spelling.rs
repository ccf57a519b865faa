//! Names of certificates as people write them, in the one spelling in which a certificate shows them.
//!
//! It must not know certificates. Entry points: [`subject_as_shown`], [`name_as_shown`].

use std::net::IpAddr;

/// Attributes that have a name, as a subject shows them.
const ATTRIBUTES: &[&str] = &["CN", "L", "ST", "O", "OU", "C", "STREET", "DC", "UID", "emailAddress"];

/// A subject (RFC 4514) as a certificate shows it: blanks around `,`, `+` and `=` do not count, and neither does the
/// case of the names of attributes.
pub fn subject_as_shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (separator, part) in parts(text) {
        out.extend(separator);
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name = name.trim();
        let known = ATTRIBUTES.iter().find(|known| known.eq_ignore_ascii_case(name));
        out.push_str(known.unwrap_or(&name));
        out.push('=');
        let value = value.trim_start();
        let end = value.trim_end();
        out.push_str(end);
        // A blank at the end counts where it is escaped.
        if end.ends_with('\\') && end.len() < value.len() {
            out.push(' ');
        }
    }
    out
}

/// The parts between separators that are not escaped, with the separator in front.
fn parts(text: &str) -> Vec<(Option<char>, &str)> {
    let (mut parts, mut begin, mut separator, mut escaped) = (Vec::new(), 0, None, false);
    for (at, character) in text.char_indices() {
        if !escaped && matches!(character, ',' | '+') {
            parts.push((separator, text.get(begin..at).unwrap_or_default()));
            (separator, begin) = (Some(character), at + 1);
        }
        escaped = !escaped && character == '\\';
    }
    parts.push((separator, text.get(begin..).unwrap_or_default()));
    parts
}

/// An alternative name with its kind in front, as a certificate shows it: the case of names in DNS does not count
/// (RFC 4343), nor how an address is abbreviated (RFC 5952).
pub fn name_as_shown(text: &str) -> String {
    let address = text.strip_prefix("IP:").and_then(|address| address.parse::<IpAddr>().ok());
    match (text.strip_prefix("DNS:"), address) {
        (Some(name), _) => format!("DNS:{}", name.to_ascii_lowercase()),
        (None, Some(address)) => format!("IP:{address}"),
        (None, None) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_and_case_of_names_do_not_count() {
        for (written, shown) in [
            ("CN=acme,O=Acme Inc", "CN=acme,O=Acme Inc"),
            ("CN=acme, O=Acme Inc", "CN=acme,O=Acme Inc"),
            ("cn = acme , o=Acme  Inc ", "CN=acme,O=Acme  Inc"),
            ("CN=a + uid=7,DC=x", "CN=a+UID=7,DC=x"),
            ("CN=a\\, b,O=c", "CN=a\\, b,O=c"),
            ("CN=a\\\\,O=c", "CN=a\\\\,O=c"),
            ("CN=a\\ , O=c", "CN=a\\ ,O=c"),
            ("EMAILADDRESS=a@b.test,1.2.3=#04", "emailAddress=a@b.test,1.2.3=#04"),
        ] {
            assert_eq!(subject_as_shown(written), shown);
            assert_eq!(subject_as_shown(shown), shown, "what is shown stays");
        }
        assert_eq!(name_as_shown("DNS:ACME.example.com"), "DNS:acme.example.com");
        assert_eq!(name_as_shown("IP:2001:DB8:0::1"), "IP:2001:db8::1");
        assert_eq!(name_as_shown("URI:spiffe://A/b"), "URI:spiffe://A/b");
    }
}

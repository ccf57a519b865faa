//! The name of a host that may have a certificate.

use std::fmt;

use crate::Error;

/// The longest host name of DNS (RFC 1035, section 3.1), as text.
const LONGEST: usize = 253;
/// The longest name of a file on Linux.
const LONGEST_FOLDER: usize = 255;
const WILDCARD_FOLDER: &str = "_wildcard.";

/// The name of a host that may have a certificate: letters of ASCII in lower case, digits, hyphens and dots, with
/// `*.` in front for a wildcard. No such name can leave a folder, or hide in it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(Box<str>);

impl Host {
    /// From text (RFC 1123, section 2.1, and RFC 6125 for wildcards).
    ///
    /// # Errors
    /// It is no name that a certificate authority would certify.
    pub fn parse(text: &str) -> Result<Host, Error> {
        let refuse =
            |why: &str| Err(Error::new(format!("`{}` can have no certificate: {why}", Error::new(text))));
        if text.len() > LONGEST {
            return refuse("a host name has at most 253 characters");
        }
        if !text.is_ascii() {
            return refuse("write the name in its ASCII form (xn--…)");
        }
        let text = text.to_ascii_lowercase();
        let name = text.strip_prefix("*.").unwrap_or(&text);
        for label in name.split('.') {
            if label.is_empty() {
                return refuse("there is nothing between two dots, or at an end");
            }
            if label.len() > 63 {
                return refuse("there are at most 63 characters between two dots");
            }
            if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
                return refuse(
                    "a host name holds letters, digits, hyphens and dots, and `*.` only at its start",
                );
            }
            if label.starts_with('-') || label.ends_with('-') {
                return refuse("there is no hyphen beside a dot, or at an end");
            }
        }
        // RFC 3696, section 2: the last label is never all digits, so this is an address.
        if name.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit())) {
            return refuse("it is an address, not a name");
        }
        let host = Host(text.into());
        if host.folder().len() > LONGEST_FOLDER {
            return refuse("it is too long for a wildcard");
        }
        Ok(host)
    }

    /// The name, with `*.` in front for a wildcard.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for all names one label below.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// The name without `*.`.
    pub(crate) fn base(&self) -> &str {
        self.0.strip_prefix("*.").unwrap_or(&self.0)
    }

    /// The name of its folder. No two hosts share one: a host name holds no `_`.
    pub(crate) fn folder(&self) -> String {
        if self.is_wildcard() { format!("{WILDCARD_FOLDER}{}", self.base()) } else { self.0.to_string() }
    }

    /// The host that has this folder.
    pub(crate) fn of_folder(folder: &str) -> Option<Host> {
        let name = match folder.strip_prefix(WILDCARD_FOLDER) {
            Some(base) => format!("*.{base}"),
            None => folder.to_owned(),
        };
        Host::parse(&name).ok().filter(|host| host.folder() == folder)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_folders_and_back() {
        for (text, folder) in [
            ("example.com", "example.com"),
            ("API.Example.COM", "api.example.com"),
            ("*.example.com", "_wildcard.example.com"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("localhost", "localhost"),
            ("1.2.3.4.example", "1.2.3.4.example"),
        ] {
            let host = Host::parse(text).unwrap();
            assert_eq!(host.folder(), folder);
            assert_eq!(host.as_str(), text.to_ascii_lowercase());
            assert_eq!(Host::of_folder(folder), Some(host));
        }
    }

    #[test]
    fn hostile_names_are_refused() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long = format!("{}com", "a.".repeat(126));
        let long_wildcard = format!("*.{}com", "a.".repeat(124));
        for text in [
            "",
            ".",
            "..",
            "*",
            "*.",
            "a..b",
            ".example.com",
            "example.com.",
            "../etc",
            "a/b",
            "a\\b",
            "/etc/passwd",
            "..%2f",
            "a\0b",
            "a b",
            "a\nb",
            "-a.example",
            "a-.example",
            "a.*.example",
            "*a.example",
            "*.*.example",
            "_wildcard.example.com",
            "_acme-challenge.example.com",
            "bücher.example",
            "127.0.0.1",
            "example.123",
            "[::1]",
            "::1",
            "example.com:443",
            "user@example.com",
            "https://example.com",
            "\u{1b}[31m",
            &long_label,
            &long,
            &long_wildcard,
        ] {
            let refused = Host::parse(text);
            assert!(refused.is_err(), "{text:?} was taken as {refused:?}");
            assert_eq!(diagnostics::visible(&refused.unwrap_err().0).matches('\u{1b}').count(), 0);
        }
    }

    #[test]
    fn folders_of_others_are_no_hosts() {
        for folder in [
            "lost+found",
            "_wildcard.",
            "_wildcard._wildcard.a.example",
            "Example.com",
            ".tmp",
            "*.a.example",
        ] {
            assert_eq!(Host::of_folder(folder), None, "{folder}");
        }
    }
}

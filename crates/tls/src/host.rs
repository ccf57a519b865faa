//! Names of hosts, as certificates are for them.

/// The longest name that the domain name system has, in bytes (RFC 1035 section 2.3.4).
const LONGEST_NAME: usize = 253;

/// The longest part of a name between two dots, in bytes (RFC 1035 section 2.3.4).
const LONGEST_LABEL: usize = 63;

/// Whether a certificate can be for this name: letters, digits and `-` with dots between (RFC 5890 section 2.3.1),
/// and `*` for the leftmost label. The underscore is taken too. No address is one.
pub fn is_host(name: &str) -> bool {
    let rest = name.strip_prefix("*.").unwrap_or(name);
    let is_label = |label: &str| {
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_number =
        rest.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name.len() <= LONGEST_NAME && !last_is_number && rest.split('.').all(is_label)
}

/// The name of the folder that the certificate of a host is kept in: the host in lower case, `_wildcard` in the
/// place of `*`. `None` for what is no host, so that no name leads elsewhere.
pub fn folder_of(host: &str) -> Option<String> {
    let host = host.to_ascii_lowercase();
    // What begins with an underscore could be taken for a wildcard.
    if !is_host(&host) || host.starts_with('_') {
        return None;
    }
    Some(match host.strip_prefix("*.") {
        Some(rest) => format!("_wildcard.{rest}"),
        None => host,
    })
}

#[cfg(test)]
mod tests {
    use super::{folder_of, is_host};

    #[test]
    fn hosts_and_their_folders() {
        for (host, folder) in [
            ("example.com", Some("example.com")),
            ("API.example.com", Some("api.example.com")),
            ("*.example.com", Some("_wildcard.example.com")),
            ("localhost", Some("localhost")),
            ("_wildcard.example.com", None),
            ("", None),
            ("..", None),
            ("../etc", None),
            ("a/b", None),
            (".a", None),
            ("a.*.b", None),
            ("*", None),
            ("10.0.0.1", None),
            ("a..b", None),
            ("-a.b", None),
        ] {
            assert_eq!(folder_of(host).as_deref(), folder, "{host}");
        }
        assert!(!is_host(&"a".repeat(64)) && is_host(&"a".repeat(63)));
    }
}

//! What a keeper is to do, and whether that can be done.

use std::path::PathBuf;
use std::time::Duration;

use crate::{Error, Host};

/// The directory of Let's Encrypt.
pub const LETSENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// The directory of Let's Encrypt for tests: generous limits, and certificates that no browser trusts.
pub const LETSENCRYPT_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// What a keeper is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The URL of the directory (RFC 8555, section 7.1.1); see [`directory_url`].
    pub directory: String,
    /// Where the authority may write to about the account.
    pub email: Option<String>,
    /// The hosts that always have a certificate, each one of its own.
    pub hosts: Vec<String>,
    /// How the authority is shown that a host is ours.
    pub challenge: Challenge,
    /// The authorities that the directory is verified with.
    pub authorities: tls::Authorities,
    /// How long before its end a certificate is renewed; `None` for a third of its lifetime.
    pub renew_before: Option<Duration>,
    /// The state folder. Everything is in its folder `acme`.
    pub state: PathBuf,
}

/// How the authority is shown that a host is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// It asks the host on port 80 (RFC 8555, section 8.3).
    Http01,
    /// It makes a handshake with the host on port 443 (RFC 8737).
    TlsAlpn01,
    /// It looks for a TXT record (RFC 8555, section 8.4).
    Dns01 {
        /// The program that sets and removes the record, with its first arguments.
        hook: Vec<String>,
    },
}

impl Challenge {
    /// The name that RFC 8555 and RFC 8737 give it.
    pub fn name(&self) -> &'static str {
        match self {
            Challenge::Http01 => "http-01",
            Challenge::TlsAlpn01 => "tls-alpn-01",
            Challenge::Dns01 { .. } => "dns-01",
        }
    }
}

/// The URL that is meant by what the user wrote as a directory: a well-known name, or a URL.
///
/// # Errors
/// It is neither.
pub fn directory_url(written: &str) -> Result<String, Error> {
    match written {
        "letsencrypt" => Ok(LETSENCRYPT.to_owned()),
        "letsencrypt_staging" => Ok(LETSENCRYPT_STAGING.to_owned()),
        url => check_directory(url).map(|()| url.to_owned()),
    }
}

/// RFC 8555, section 6.1: a directory is reached by HTTPS, and no other way.
fn check_directory(url: &str) -> Result<(), Error> {
    let parsed = url.parse::<http::Uri>().ok();
    match parsed {
        Some(uri) if uri.scheme_str() == Some("https") && uri.host().is_some_and(|host| !host.is_empty()) => {
            Ok(())
        }
        _ => Err(Error::new(format!(
            "`{}` is no directory: write `letsencrypt`, `letsencrypt_staging` or a URL that begins with https://",
            Error::new(url)
        ))),
    }
}

impl Settings {
    /// The hosts, checked, without repetitions.
    ///
    /// # Errors
    /// The first thing that cannot be done.
    pub fn check(&self) -> Result<Vec<Host>, Error> {
        check_directory(&self.directory)?;
        if let Challenge::Dns01 { hook } = &self.challenge
            && hook.first().is_none_or(String::is_empty)
        {
            return Err(Error::new("dns-01 needs a hook: the program that sets and removes the record"));
        }
        if let Some(email) = &self.email
            && !(email.is_ascii() && email.contains('@') && email.bytes().all(|b| b.is_ascii_graphic()))
        {
            return Err(Error::new(format!("`{}` is no email address", Error::new(email))));
        }
        let mut hosts = Vec::with_capacity(self.hosts.len());
        for text in &self.hosts {
            let host = Host::parse(text)?;
            self.check_host(&host)?;
            hosts.push(host);
        }
        hosts.sort_unstable();
        hosts.dedup();
        Ok(hosts)
    }

    /// Whether this host can have a certificate by the challenge that was chosen.
    pub(crate) fn check_host(&self, host: &Host) -> Result<(), Error> {
        if host.is_wildcard() && !matches!(self.challenge, Challenge::Dns01 { .. }) {
            return Err(Error::new(format!(
                "`{host}` is a wildcard, which only dns-01 can prove, not {}: set `challenge: dns-01` and a `hook`, \
                 or name the hosts one by one",
                self.challenge.name()
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(hosts: &[&str], challenge: Challenge) -> Settings {
        Settings {
            directory: LETSENCRYPT.to_owned(),
            email: None,
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            challenge,
            authorities: tls::Authorities::default(),
            renew_before: None,
            state: PathBuf::from("/nonexistent"),
        }
    }

    #[test]
    fn a_wildcard_needs_dns() {
        for challenge in [Challenge::Http01, Challenge::TlsAlpn01] {
            let why = settings(&["a.example", "*.a.example"], challenge).check().unwrap_err();
            assert!(why.0.contains("only dns-01"), "{why}");
        }
        let hook = vec!["/bin/true".to_owned()];
        let hosts =
            settings(&["*.a.example", "A.example", "a.example"], Challenge::Dns01 { hook }).check().unwrap();
        assert_eq!(hosts.iter().map(Host::as_str).collect::<Vec<_>>(), ["*.a.example", "a.example"]);
    }

    #[test]
    fn what_cannot_be_done_is_refused() {
        let good = settings(&["a.example"], Challenge::Http01);
        assert!(good.check().is_ok());
        for (bad, word) in [
            (Settings { challenge: Challenge::Dns01 { hook: vec![] }, ..good.clone() }, "hook"),
            (Settings { challenge: Challenge::Dns01 { hook: vec![String::new()] }, ..good.clone() }, "hook"),
            (Settings { hosts: vec!["../a".to_owned()], ..good.clone() }, "certificate"),
            (Settings { email: Some("nobody".to_owned()), ..good.clone() }, "email"),
            (Settings { email: Some("a@b\r\n".to_owned()), ..good.clone() }, "email"),
            (Settings { directory: "http://a.example/".to_owned(), ..good.clone() }, "https"),
        ] {
            let why = bad.check().unwrap_err();
            assert!(why.0.contains(word), "{why}");
        }
    }

    #[test]
    fn directories_have_names() {
        assert_eq!(directory_url("letsencrypt").as_deref(), Ok(LETSENCRYPT));
        assert_eq!(directory_url("letsencrypt_staging").as_deref(), Ok(LETSENCRYPT_STAGING));
        assert!(directory_url("https://127.0.0.1:14000/dir").is_ok());
        for bad in ["", "letsencrypt_prod", "http://127.0.0.1/dir", "ftp://a", "https:", "/dir", "https://"] {
            assert!(directory_url(bad).is_err(), "{bad}");
        }
    }
}

//! Answers to challenges: how they get to whoever serves them, and that they go away again.

use std::rc::Rc;
use std::time::Duration;

use instant_acme::KeyAuthorization;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};

use crate::hook::{self, Hook};
use crate::{Challenge, Error, Host};

/// Whoever serves the answers to challenges. What is set must be served to connections that come after the call
/// returned: the authority may ask at once, and asks from several places.
pub trait Challenges {
    /// `GET /.well-known/acme-challenge/<token>` on port 80 of any host is answered with `key_authorization`
    /// (RFC 8555, section 8.3). The token holds letters, digits, `-` and `_` only.
    fn set_http(&self, token: &str, key_authorization: &str);
    /// It is no longer.
    fn remove_http(&self, token: &str);
    /// A handshake that names `host` and offers only the protocol `acme-tls/1` is done with this certificate and
    /// key (PKCS #8), and closed after it (RFC 8737, section 3). The certificate has a critical extension that
    /// rustls does not know, so `CertifiedKey::from_der` refuses it; `CertifiedKey::new` does not look.
    fn set_alpn(&self, host: &str, certificate_der: &[u8], key_der: &[u8]);
    /// It is no longer.
    fn remove_alpn(&self, host: &str);
}

/// How long the removal of a record may take when nobody waits for it any more.
const LONGEST_REMOVAL: Duration = Duration::from_secs(60);

/// An answer that can be asked for. It is withdrawn when it is dropped, too: an order may be given up at any time.
pub(crate) struct Answer {
    challenges: Rc<dyn Challenges>,
    place: Place,
}

enum Place {
    Http { token: String },
    Alpn { host: String },
    Dns(Hook),
    Nowhere,
}

impl Answer {
    /// Makes the answer to a challenge, and has it served.
    ///
    /// # Errors
    /// The token is malformed, the certificate cannot be made, or the hook failed.
    pub(crate) async fn give(
        challenges: &Rc<dyn Challenges>,
        challenge: &Challenge,
        host: &Host,
        token: &str,
        authorization: &KeyAuthorization,
    ) -> Result<Answer, Error> {
        check_token(token)?;
        let mut answer = Answer { challenges: Rc::clone(challenges), place: Place::Nowhere };
        match challenge {
            Challenge::Http01 => {
                challenges.set_http(token, authorization.as_str());
                answer.place = Place::Http { token: token.to_owned() };
            }
            Challenge::TlsAlpn01 => {
                let (certificate, key) = alpn_certificate(host, authorization.digest().as_ref())?;
                challenges.set_alpn(host.as_str(), &certificate, &key);
                answer.place = Place::Alpn { host: host.as_str().to_owned() };
            }
            Challenge::Dns01 { hook } => {
                let name = format!("_acme-challenge.{}", host.base());
                let hook = Hook { command: hook.clone(), name, value: authorization.dns_value() };
                // From here on there may be a record, even if the hook fails.
                answer.place = Place::Dns(hook.clone());
                if let Err(why) = hook.run("set", hook::LONGEST).await {
                    // Why it failed is more interesting than whether there was anything to remove.
                    let _ = answer.withdraw().await;
                    return Err(why);
                }
            }
        }
        Ok(answer)
    }

    /// It is not needed any more.
    ///
    /// # Errors
    /// The hook failed: the record may still be there.
    pub(crate) async fn withdraw(mut self) -> Result<(), Error> {
        match std::mem::replace(&mut self.place, Place::Nowhere) {
            Place::Dns(hook) => hook.run("remove", hook::LONGEST).await,
            other => {
                self.place = other;
                Ok(())
            }
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.place, Place::Nowhere) {
            Place::Nowhere => {}
            Place::Http { token } => self.challenges.remove_http(&token),
            Place::Alpn { host } => self.challenges.remove_alpn(&host),
            Place::Dns(hook) => {
                // Nobody can wait here. A record that stays is untidy, not dangerous: its value was for one order.
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(async move { hook.run("remove", LONGEST_REMOVAL).await });
                }
            }
        }
    }
}

/// RFC 8555, section 8.3: a token holds characters of base64url only. It becomes part of a path.
fn check_token(token: &str) -> Result<(), Error> {
    let good = !token.is_empty()
        && token.len() <= 256
        && token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if good { Ok(()) } else { Err(Error::new("the authority sent a malformed token")) }
}

/// The certificate for tls-alpn-01 (RFC 8737, section 3), and its key, both as DER: it signs itself, is for this host
/// alone, and holds the digest of the key authorization in a critical extension.
fn alpn_certificate(host: &Host, digest: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Error> {
    if digest.len() != 32 {
        return Err(Error::new("the digest of the key authorization has a wrong size"));
    }
    let failed = |error: rcgen::Error| {
        Error::new(format!("the certificate for the challenge cannot be made: {error}"))
    };
    let mut params = CertificateParams::new(vec![host.as_str().to_owned()]).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok((certificate.der().to_vec(), key.serialize_der()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use x509_parser::prelude::{FromDer, X509Certificate};

    #[test]
    fn only_tokens_that_can_be_part_of_a_path_are_served() {
        assert!(check_token("evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr_oA").is_ok());
        for token in ["", "a/b", "..", "a%2fb", "a b", "a\r\nb", "ü", &"a".repeat(257)] {
            assert!(check_token(token).is_err(), "{token}");
        }
    }

    #[test]
    fn the_certificate_of_the_challenge_is_as_the_rfc_says() {
        let host = Host::parse("a.example").unwrap();
        let (certificate, _) = alpn_certificate(&host, &[7; 32]).unwrap();
        let (_, parsed) = X509Certificate::from_der(&certificate).unwrap();
        let extension =
            parsed.extensions().iter().find(|e| e.oid.to_id_string() == "1.3.6.1.5.5.7.1.31").unwrap();
        assert!(extension.critical);
        let mut expected = vec![4, 32];
        expected.extend([7; 32]);
        assert_eq!(extension.value, expected);
        let names = parsed.subject_alternative_name().unwrap().unwrap();
        assert_eq!(format!("{:?}", names.value.general_names), "[DNSName(\"a.example\")]");
        assert!(alpn_certificate(&host, &[7; 31]).is_err());
    }
}

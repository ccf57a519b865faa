//! What a provider says of itself (OpenID Connect Discovery 1.0).
//!
//! It must not know how the document was fetched. Entry points: [`well_known_url`],
//! [`Provider::parse`] and [`keys_url`].

use std::fmt;

use serde_json::{Map, Value};

use crate::AuthMethod;

/// A longer document is refused, in bytes.
const LONGEST_DOCUMENT: usize = 256 * 1024;
const LONGEST_URL: usize = 2048;
const MOST_NAMES: usize = 64;

/// Whether the provider may be reached without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plaintext {
    /// Only on this machine.
    LoopbackOnly,
    /// Anywhere: for networks that encrypt by other means. Who reads along there can log in as anybody.
    Everywhere,
}

/// A provider, as its discovery document describes it (OpenID Connect Discovery 1.0 §3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// What `iss` has to be, exactly.
    pub issuer: String,
    /// Where browsers are sent to log in.
    pub authorization_endpoint: String,
    /// Where codes and refresh tokens are exchanged.
    pub token_endpoint: String,
    /// Where the keys are that tokens are signed with.
    pub jwks_uri: String,
    /// Where browsers are sent to log out (RP-Initiated Logout 1.0).
    pub end_session_endpoint: Option<String>,
    /// How a client may prove itself at the token endpoint.
    pub auth_methods: Vec<AuthMethod>,
    /// Names of the algorithms that `id_token`s are signed with; empty if nothing is said.
    pub id_token_algorithms: Vec<String>,
    /// Whether each response carries `iss` (RFC 9207 §3), so that one without it is refused.
    pub always_names_itself: bool,
}

/// Why a discovery document is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// Longer than 256 KiB.
    TooLong,
    /// Not a JSON object.
    NotJson,
    /// It speaks of another issuer: this one. A slash at the end counts.
    OtherIssuer(String),
    /// This member is missing or has the wrong type.
    Missing(&'static str),
    /// This member is not a URL that can be used.
    BadUrl(&'static str),
    /// This member is a URL without TLS.
    NotEncrypted(&'static str),
    /// There is a list of code challenge methods, and `S256` is not among them.
    NoPkce,
    /// None of the ways in which the client may prove itself is known here.
    NoAuthMethod,
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mistake::TooLong => out.write_str("the discovery document is longer than 256 KiB"),
            Mistake::NotJson => out.write_str("the discovery document is not a JSON object"),
            Mistake::OtherIssuer(issuer) => {
                write!(out, "the discovery document is of the issuer {issuer:?}, which must be equal exactly")
            }
            Mistake::Missing(name) => write!(out, "`{name}` is missing or has the wrong type"),
            Mistake::BadUrl(name) => write!(out, "`{name}` is not a URL of a host"),
            Mistake::NotEncrypted(name) => write!(out, "`{name}` does not begin with https://"),
            Mistake::NoPkce => out.write_str("the provider does not offer PKCE with S256"),
            Mistake::NoAuthMethod => {
                out.write_str("the provider takes neither client_secret_basic, client_secret_post nor none")
            }
        }
    }
}

impl std::error::Error for Mistake {}

/// Where the discovery document of an issuer is (OpenID Connect Discovery 1.0 §4).
pub fn well_known_url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer))
}

/// Where the keys of an issuer are, by a discovery document that was fetched from [`well_known_url`] of the issuer. An
/// issuer of tokens for programs has no place to log in, and need not say that it has one.
///
/// # Errors
///
/// It is not believed.
pub fn keys_url(document: &[u8], expected_issuer: &str, plaintext: Plaintext) -> Result<String, Mistake> {
    let members = members(document, expected_issuer, plaintext)?;
    url(&members, "jwks_uri", plaintext)?.ok_or(Mistake::Missing("jwks_uri"))
}

/// The members of a document that speaks of this issuer.
fn members(
    document: &[u8],
    expected_issuer: &str,
    plaintext: Plaintext,
) -> Result<Map<String, Value>, Mistake> {
    if document.len() > LONGEST_DOCUMENT {
        return Err(Mistake::TooLong);
    }
    let Ok(Value::Object(members)) = serde_json::from_slice(document) else {
        return Err(Mistake::NotJson);
    };
    let issuer = text(&members, "issuer")?.ok_or(Mistake::Missing("issuer"))?;
    if issuer != expected_issuer {
        return Err(Mistake::OtherIssuer(issuer.chars().take(200).collect()));
    }
    check_url("issuer", issuer, plaintext)?;
    Ok(members)
}

/// A member that is a URL, if it is there.
fn url(
    members: &Map<String, Value>,
    name: &'static str,
    plaintext: Plaintext,
) -> Result<Option<String>, Mistake> {
    match text(members, name)? {
        None => Ok(None),
        Some(url) => check_url(name, url, plaintext).map(|()| Some(url.to_owned())),
    }
}

impl Provider {
    /// Reads a discovery document that was fetched from [`well_known_url`] of the issuer.
    pub fn parse(document: &[u8], expected_issuer: &str, plaintext: Plaintext) -> Result<Self, Mistake> {
        let members = members(document, expected_issuer, plaintext)?;
        let optional = |name| url(&members, name, plaintext);
        let required = |name| optional(name)?.ok_or(Mistake::Missing(name));
        let challenges = names(&members, "code_challenge_methods_supported")?;
        if challenges.is_some_and(|all| !all.iter().any(|name| name == "S256")) {
            return Err(Mistake::NoPkce);
        }
        Ok(Self {
            issuer: expected_issuer.to_owned(),
            authorization_endpoint: required("authorization_endpoint")?,
            token_endpoint: required("token_endpoint")?,
            jwks_uri: required("jwks_uri")?,
            end_session_endpoint: optional("end_session_endpoint")?,
            auth_methods: auth_methods(names(&members, "token_endpoint_auth_methods_supported")?)?,
            id_token_algorithms: names(&members, "id_token_signing_alg_values_supported")?
                .unwrap_or_default(),
            always_names_itself: members.get("authorization_response_iss_parameter_supported")
                == Some(&Value::Bool(true)),
        })
    }
}

/// Without a list it is Basic alone (Discovery §3).
fn auth_methods(names: Option<Vec<String>>) -> Result<Vec<AuthMethod>, Mistake> {
    let Some(names) = names else { return Ok(vec![AuthMethod::Basic]) };
    let known: Vec<_> = names.iter().filter_map(|name| AuthMethod::of(name)).collect();
    if known.is_empty() { Err(Mistake::NoAuthMethod) } else { Ok(known) }
}

fn text<'a>(members: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, Mistake> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Mistake::Missing(name)),
    }
}

fn names(members: &Map<String, Value>, name: &'static str) -> Result<Option<Vec<String>>, Mistake> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(all)) => {
            let texts = all.iter().filter_map(Value::as_str).filter(|text| text.len() <= 64);
            Ok(Some(texts.take(MOST_NAMES).map(str::to_owned).collect()))
        }
        Some(_) => Err(Mistake::Missing(name)),
    }
}

/// The URL must be one that every reader understands alike: plain ASCII, a host, no user, no fragment.
fn check_url(name: &'static str, url: &str, plaintext: Plaintext) -> Result<(), Mistake> {
    let bad = Mistake::BadUrl(name);
    let (encrypted, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Err(bad),
    };
    let odd = |byte: u8| !byte.is_ascii_graphic() || b"\"<>\\^`{|}#".contains(&byte);
    if url.len() > LONGEST_URL || url.bytes().any(odd) {
        return Err(bad);
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let parsed = message::parse_authority(authority.as_bytes()).map_err(|_| bad.clone())?;
    if name == "issuer" && rest.contains('?') {
        return Err(bad);
    }
    let host = authority.get(..parsed.host_len).ok_or(bad)?;
    if encrypted || plaintext == Plaintext::Everywhere || is_loopback(host) {
        return Ok(());
    }
    Err(Mistake::NotEncrypted(name))
}

fn is_loopback(host: &str) -> bool {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || literal.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(changes: &[(&str, Value)]) -> Vec<u8> {
        let mut all = json!({
            "issuer": "https://idp.test/realm",
            "authorization_endpoint": "https://idp.test/auth?tenant=1",
            "token_endpoint": "https://idp.test/token",
            "jwks_uri": "https://keys.idp.test/jwks",
        });
        for (name, value) in changes {
            all[*name] = value.clone();
        }
        all.to_string().into_bytes()
    }

    fn parse(changes: &[(&str, Value)]) -> Result<Provider, Mistake> {
        Provider::parse(&document(changes), "https://idp.test/realm", Plaintext::LoopbackOnly)
    }

    #[test]
    fn what_is_not_said_has_the_defaults_of_the_standard() {
        let provider = parse(&[]).unwrap();
        assert_eq!(provider.authorization_endpoint, "https://idp.test/auth?tenant=1");
        assert_eq!(provider.auth_methods, [AuthMethod::Basic]);
        assert_eq!(provider.end_session_endpoint, None);
        assert!(!provider.always_names_itself && provider.id_token_algorithms.is_empty());
    }

    #[test]
    fn an_issuer_of_tokens_alone_says_where_its_keys_are_and_no_more() {
        let keys =
            |document: &str| keys_url(document.as_bytes(), "https://tokens.test", Plaintext::LoopbackOnly);
        let alone =
            r#"{"issuer":"https://tokens.test","jwks_uri":"https://tokens.test/jwks","token_endpoint":7}"#;
        assert_eq!(keys(alone).as_deref(), Ok("https://tokens.test/jwks"));
        let document = alone.as_bytes();
        assert!(Provider::parse(document, "https://tokens.test", Plaintext::LoopbackOnly).is_err());
        assert_eq!(keys(r#"{"issuer":"https://tokens.test"}"#), Err(Mistake::Missing("jwks_uri")));
        assert_eq!(
            keys(r#"{"issuer":"https://tokens.test","jwks_uri":"http://tokens.test/jwks"}"#),
            Err(Mistake::NotEncrypted("jwks_uri"))
        );
        assert!(matches!(
            keys(r#"{"issuer":"https://tokens.test/","jwks_uri":"https://tokens.test/jwks"}"#),
            Err(Mistake::OtherIssuer(_))
        ));
    }

    #[test]
    fn what_is_said_counts() {
        let provider = parse(&[
            ("end_session_endpoint", json!("https://idp.test/out")),
            // What is not used cannot be wrong.
            ("userinfo_endpoint", json!("http://idp.test/me")),
            (
                "token_endpoint_auth_methods_supported",
                json!(["private_key_jwt", "client_secret_post", "none"]),
            ),
            ("code_challenge_methods_supported", json!(["plain", "S256"])),
            ("id_token_signing_alg_values_supported", json!(["RS256", 5])),
            ("authorization_response_iss_parameter_supported", json!(true)),
        ]);
        let provider = provider.unwrap();
        assert_eq!(provider.end_session_endpoint.as_deref(), Some("https://idp.test/out"));
        assert_eq!(provider.auth_methods, [AuthMethod::Post, AuthMethod::None]);
        assert_eq!(provider.id_token_algorithms, ["RS256"]);
        assert!(provider.always_names_itself);
    }

    #[test]
    fn what_cannot_be_believed_is_refused() {
        use Mistake::{BadUrl, Missing, NoAuthMethod, NoPkce, NotEncrypted, OtherIssuer};
        for (name, value, want) in [
            ("issuer", json!("https://idp.test/realm/"), OtherIssuer("https://idp.test/realm/".to_owned())),
            ("issuer", json!(1), Missing("issuer")),
            ("token_endpoint", json!(null), Missing("token_endpoint")),
            ("jwks_uri", json!(["https://a"]), Missing("jwks_uri")),
            ("token_endpoint", json!("http://idp.test/token"), NotEncrypted("token_endpoint")),
            ("token_endpoint", json!("http://localhost.evil.test/"), NotEncrypted("token_endpoint")),
            ("jwks_uri", json!("file:///etc/passwd"), BadUrl("jwks_uri")),
            ("jwks_uri", json!("https://user@idp.test/"), BadUrl("jwks_uri")),
            ("jwks_uri", json!("https:///x"), BadUrl("jwks_uri")),
            (
                "authorization_endpoint",
                json!("https://a/\r\nset-cookie: x"),
                BadUrl("authorization_endpoint"),
            ),
            ("authorization_endpoint", json!("https://a/#x"), BadUrl("authorization_endpoint")),
            ("authorization_endpoint", json!("javascript:alert(1)"), BadUrl("authorization_endpoint")),
            ("end_session_endpoint", json!("https://é.test/"), BadUrl("end_session_endpoint")),
            (
                "end_session_endpoint",
                json!(format!("https://a/{}", "a".repeat(2048))),
                BadUrl("end_session_endpoint"),
            ),
            ("code_challenge_methods_supported", json!(["plain"]), NoPkce),
            ("token_endpoint_auth_methods_supported", json!(["tls_client_auth"]), NoAuthMethod),
        ] {
            assert_eq!(parse(&[(name, value.clone())]), Err(want), "{name}: {value}");
        }
        for bad in [&b""[..], b"[]", b"{", &vec![b' '; LONGEST_DOCUMENT + 1], &[b'['; 10_000]] {
            assert!(Provider::parse(bad, "https://a", Plaintext::LoopbackOnly).is_err());
        }
    }

    #[test]
    fn networks_that_encrypt_by_other_means_may_be_allowed() {
        let plain = document(&[("token_endpoint", json!("http://idp.test/token"))]);
        assert!(Provider::parse(&plain, "https://idp.test/realm", Plaintext::Everywhere).is_ok());
    }

    #[test]
    fn the_document_is_below_the_issuer() {
        for (issuer, want) in [
            ("https://a", "https://a/.well-known/openid-configuration"),
            ("https://a/b/", "https://a/b/.well-known/openid-configuration"),
        ] {
            assert_eq!(well_known_url(issuer), want);
        }
    }
}

//! What the token endpoint answers (RFC 6749 §5, OpenID Connect Core 1.0 §3.1.3.3), and how it is asked.
//!
//! It must not know what the tokens are used for. Entry points: [`Tokens::parse`] and [`request`].

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::form::{Form, encode};
use crate::{AuthMethod, Client, FormPost, Provider, Secret};

/// A longer answer is refused, in bytes. Callers need read no more than one byte beyond it.
pub(crate) const LONGEST_ANSWER: usize = 64 * 1024;
/// A longer token is refused: it could not be kept in a session anyway.
const LONGEST_TOKEN: usize = 16 * 1024;

/// Why an answer of the token endpoint gave no tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// The provider refused, with this error code: lower case letters and underscores only (RFC 6749 §5.2).
    Refused(String),
    /// Another status, without a reason that can be read: the provider is in trouble.
    Status(u16),
    /// Longer than 64 KiB.
    TooLong,
    /// Not the JSON that it has to be; this is the member at fault.
    Malformed(&'static str),
}

impl TokenError {
    /// Whether the provider said that the code or the refresh token is of no use any more.
    pub fn is_final(&self) -> bool {
        matches!(self, TokenError::Refused(code) if code == "invalid_grant")
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenError::Refused(code) => write!(out, "the provider refused: {code}"),
            TokenError::Status(status) => write!(out, "the token endpoint answered with status {status}"),
            TokenError::TooLong => out.write_str("the answer of the token endpoint is longer than 64 KiB"),
            TokenError::Malformed(name) => {
                write!(out, "in the answer of the token endpoint, `{name}` is missing or wrong")
            }
        }
    }
}

impl std::error::Error for TokenError {}

/// Tokens as the provider gave them.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) access: Secret,
    pub(crate) refresh: Option<Secret>,
    pub(crate) id: Option<Secret>,
    /// When the access token ends, if the provider says so.
    pub(crate) expires: Option<u64>,
}

impl Tokens {
    /// Reads an answer of the token endpoint.
    pub(crate) fn parse(status: u16, body: &[u8], now: u64) -> Result<Self, TokenError> {
        if body.len() > LONGEST_ANSWER {
            return Err(TokenError::TooLong);
        }
        let members = match serde_json::from_slice(body) {
            Ok(Value::Object(members)) => Some(members),
            _ => None,
        };
        if status != 200 {
            let code = members.as_ref().and_then(|all| all.get("error")).and_then(Value::as_str);
            // Codes of refusals come with 400 or 401; what a broken provider says decides nothing.
            let refused = code.filter(|_| (400..500).contains(&status)).map(error_code);
            return Err(refused.map_or(TokenError::Status(status), TokenError::Refused));
        }
        let mut members = members.ok_or(TokenError::Malformed("json"))?;
        let bearer = members.get("token_type").and_then(Value::as_str);
        if !bearer.is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
            return Err(TokenError::Malformed("token_type"));
        }
        let lifetime = match members.get("expires_in") {
            None | Some(Value::Null) => None,
            // Some providers write the number as text.
            Some(Value::String(digits)) => {
                Some(digits.parse().map_err(|_| TokenError::Malformed("expires_in"))?)
            }
            Some(number) => Some(number.as_u64().ok_or(TokenError::Malformed("expires_in"))?),
        };
        Ok(Self {
            access: take(&mut members, "access_token")?.ok_or(TokenError::Malformed("access_token"))?,
            refresh: take(&mut members, "refresh_token")?,
            id: take(&mut members, "id_token")?,
            expires: lifetime.map(|seconds: u64| now.saturating_add(seconds)),
        })
    }
}

/// Tokens are visible ASCII (RFC 6749 appendix A): they end up in header fields.
fn take(members: &mut Map<String, Value>, name: &'static str) -> Result<Option<Secret>, TokenError> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            let token = Secret::new(text);
            let text = token.expose();
            let fits = !text.is_empty() && text.len() <= LONGEST_TOKEN;
            let visible = text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
            if fits && visible { Ok(Some(token)) } else { Err(TokenError::Malformed(name)) }
        }
        Some(_) => Err(TokenError::Malformed(name)),
    }
}

/// An error code that can be shown and logged: anything else becomes `unrecognized`.
pub(crate) fn error_code(code: &str) -> String {
    let known = (1..=64).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if known { code.to_owned() } else { "unrecognized".to_owned() }
}

/// A request to the token endpoint, with the proof of the client (RFC 6749 §2.3.1).
pub(crate) fn request(client: &Client, provider: &Provider, parameters: &[(&str, &str)]) -> FormPost {
    let settings = client.settings();
    let mut form = Form::new();
    parameters.iter().for_each(|(name, value)| form.push(name, value));
    let mut headers = vec![
        ("content-type", Secret::new("application/x-www-form-urlencoded".to_owned())),
        ("accept", Secret::new("application/json".to_owned())),
    ];
    let secret = settings.client_secret.as_ref().map_or("", Secret::expose);
    match auth_method(client, provider) {
        AuthMethod::Basic => {
            let mut pair = String::with_capacity(3 * (settings.client_id.len() + secret.len()) + 1);
            encode(&settings.client_id, &mut pair);
            pair.push(':');
            encode(secret, &mut pair);
            let pair = Secret::new(pair);
            headers.push(("authorization", Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())))));
        }
        AuthMethod::Post => {
            form.push("client_id", &settings.client_id);
            form.push("client_secret", secret);
        }
        AuthMethod::None => form.push("client_id", &settings.client_id),
    }
    FormPost { url: provider.token_endpoint.clone(), headers, body: form.into_body() }
}

/// What the operator chose, or Basic, which every provider has to know (RFC 6749 §2.3.1), unless it says that it
/// takes only the form.
fn auth_method(client: &Client, provider: &Provider) -> AuthMethod {
    let offers = |method| provider.auth_methods.contains(&method);
    match client.settings().auth_method {
        Some(method) => method,
        None if offers(AuthMethod::Post) && !offers(AuthMethod::Basic) => AuthMethod::Post,
        None => AuthMethod::Basic,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::World;

    #[test]
    fn the_client_proves_itself_as_chosen_or_offered() {
        use AuthMethod::{Basic, None as Public, Post};
        for (chosen, offered, want_header, want_body) in [
            (None, &[Basic, Post][..], Some("Basic YSUzQWI6cCUyNitx"), "a=1+2"),
            (None, &[Post], None, "a=1+2&client_id=a%3Ab&client_secret=p%26+q"),
            (None, &[Public], Some("Basic YSUzQWI6cCUyNitx"), "a=1+2"),
            (Some(Post), &[Basic], None, "a=1+2&client_id=a%3Ab&client_secret=p%26+q"),
            (Some(Public), &[Basic], None, "a=1+2&client_id=a%3Ab"),
        ] {
            let mut world = World::with(|settings| {
                settings.client_id = "a:b".to_owned();
                settings.auth_method = chosen;
                settings.client_secret = (chosen != Some(Public)).then(|| Secret::new("p& q".to_owned()));
            });
            world.provider.auth_methods = offered.to_vec();
            let post = request(&world.client, &world.provider, &[("a", "1 2")]);
            let header = post.headers.iter().find(|(name, _)| *name == "authorization");
            assert_eq!(header.map(|(_, value)| value.expose()), want_header, "{chosen:?} {offered:?}");
            assert_eq!(post.body.expose(), want_body);
            assert_eq!(post.url, "https://idp.test/token");
        }
    }

    fn parse(body: &Value) -> Result<Tokens, TokenError> {
        Tokens::parse(200, body.to_string().as_bytes(), 1000)
    }

    #[test]
    fn tokens_are_read() {
        let tokens = parse(&json!({
            "access_token": "at", "token_type": "bearer", "expires_in": 60, "refresh_token": "rt", "id_token": "it"
        }));
        let tokens = tokens.unwrap();
        assert_eq!((tokens.access.expose(), tokens.expires), ("at", Some(1060)));
        assert_eq!(tokens.refresh.as_ref().unwrap().expose(), "rt");
        assert_eq!(tokens.id.as_ref().unwrap().expose(), "it");
        let shown = format!("{tokens:?}");
        assert!(!["\"at", "\"rt", "\"it"].iter().any(|token| shown.contains(token)), "{shown}");
        for (lifetime, want) in
            [(json!("60"), Some(1060)), (json!(null), None), (json!(u64::MAX), Some(u64::MAX))]
        {
            let tokens =
                parse(&json!({ "access_token": "at", "token_type": "Bearer", "expires_in": lifetime }));
            assert_eq!(tokens.unwrap().expires, want);
        }
    }

    #[test]
    fn what_is_malformed_names_its_member() {
        let good = json!({ "access_token": "at", "token_type": "Bearer" });
        for (name, value) in [
            ("access_token", json!(null)),
            ("access_token", json!("")),
            ("access_token", json!("a\r\nb")),
            ("access_token", json!("é")),
            ("access_token", json!("a".repeat(LONGEST_TOKEN + 1))),
            ("token_type", json!("DPoP")),
            ("token_type", json!(null)),
            ("expires_in", json!(-1)),
            ("expires_in", json!(1.5)),
            ("expires_in", json!("soon")),
            ("refresh_token", json!([])),
            ("id_token", json!({})),
        ] {
            let mut bad = good.clone();
            bad[name] = value.clone();
            assert_eq!(parse(&bad).err(), Some(TokenError::Malformed(name)), "{value}");
        }
        assert_eq!(parse(&json!([])).err(), Some(TokenError::Malformed("json")));
        assert_eq!(Tokens::parse(200, &[b' '; LONGEST_ANSWER + 1], 0).err(), Some(TokenError::TooLong));
    }

    #[test]
    fn refusals_are_told_apart_from_trouble() {
        let refused = |code: &str| TokenError::Refused(code.to_owned());
        for (status, body, want, is_final) in [
            (400, "{\"error\":\"invalid_grant\"}", refused("invalid_grant"), true),
            (401, "{\"error\":\"invalid_client\"}", refused("invalid_client"), false),
            (400, "{\"error\":\"<script>\"}", refused("unrecognized"), false),
            (400, "{\"error\":5}", TokenError::Status(400), false),
            (502, "{\"error\":\"invalid_grant\"}", TokenError::Status(502), false),
            (302, "", TokenError::Status(302), false),
            (503, "<html>", TokenError::Status(503), false),
        ] {
            let error = Tokens::parse(status, body.as_bytes(), 0).unwrap_err();
            assert_eq!((&error, error.is_final()), (&want, is_final), "{status} {body}");
        }
    }
}

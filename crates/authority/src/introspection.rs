//! Introspection of tokens (RFC 7662): the question, and what an answer says.
//!
//! Pure. It must not know what becomes of a caller. Entry points: [`request`], [`parse`].

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Uri};
use jose::{NotUnique, unique_members};
use serde_json::{Map, Value};

use crate::{Answer, Ask, Trouble, form};

/// What a server says of a token.
#[derive(Clone, Debug, PartialEq)]
pub struct Introspected {
    /// Whether the token is valid at the moment. If not, nothing else counts.
    pub active: bool,
    /// Everything it says, `active` included; empty if the token is not active.
    pub claims: Map<String, Value>,
    /// Until when the token is valid, in seconds since 1970, if it says so.
    pub exp: Option<u64>,
}

/// Asks `url` what `token` is worth (RFC 7662, section 2.1). The client tells who it is by HTTP Basic.
#[must_use]
pub fn request(url: Uri, client_id: &str, client_secret: &str, token: &str) -> Ask {
    let body = Bytes::from(form::encode(&[("token", token)]));
    let mut ask = Ask { repeatable: true, ..Ask::post(url, body) };
    ask.headers.insert(AUTHORIZATION, form::basic(client_id, client_secret));
    ask.headers.insert(CONTENT_TYPE, form::MEDIA_TYPE);
    ask.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    ask
}

/// Reads an answer (RFC 7662, section 2.2).
///
/// # Errors
/// Its status is not 200, or [`parse`] fails.
pub fn read(answer: &Answer) -> Result<Introspected, Trouble> {
    if answer.status != 200 {
        return Err(Trouble::Status(answer.status));
    }
    parse(&answer.body)
}

/// Reads the body of an answer. A token is active only if `active` is the JSON value `true`: nothing is taken to
/// mean it.
///
/// # Errors
/// It is no JSON object, has a member twice, or one that counts has the wrong type.
pub fn parse(body: &[u8]) -> Result<Introspected, Trouble> {
    let claims = unique_members(body).map_err(|error| {
        Trouble::Malformed(match error {
            NotUnique::NoObject => "it is no JSON object",
            NotUnique::Twice => "it has a member twice",
        })
    })?;
    let active = match claims.get("active") {
        Some(Value::Bool(active)) => *active,
        Some(_) => return Err(Trouble::Malformed("`active` is neither true nor false")),
        None => return Err(Trouble::Malformed("it does not say whether the token is `active`")),
    };
    if !active {
        return Ok(Introspected { active: false, claims: Map::new(), exp: None });
    }
    let exp = claims.get("exp").map(seconds).transpose()?;
    Ok(Introspected { active: true, claims, exp })
}

/// RFC 7519, section 2: a number of seconds, which may have a fraction.
fn seconds(value: &Value) -> Result<u64, Trouble> {
    let number = value.as_f64().ok_or(Trouble::Malformed("`exp` is no number"))?;
    // A cast keeps within the bounds: what lies before 1970 has ended then.
    Ok(value.as_u64().unwrap_or(number as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_true_is_active() {
        for body in [
            "",
            "null",
            "true",
            "[true]",
            "{}",
            r#"{"active":"true"}"#,
            r#"{"active":1}"#,
            r#"{"active":null}"#,
            r#"{"Active":true}"#,
            r#"{"active":true,"exp":"1700000000"}"#,
            r#"{"active":true"#,
            r#"{"active":true} x"#,
            r#"{"active":false,"active":true}"#,
            r#"{"active":true,"\u0061ctive":false}"#,
            r#"{"active":true,"sub":"me","sub":"you"}"#,
        ] {
            assert!(matches!(parse(body.as_bytes()), Err(Trouble::Malformed(_))), "{body}");
        }
        assert!(parse(&[b'['; 100_000]).is_err(), "deep ones are refused, not followed");
        let inactive = parse(br#"{"active":false,"sub":"me","exp":5}"#).unwrap();
        assert_eq!(inactive, Introspected { active: false, claims: Map::new(), exp: None });
    }

    #[test]
    fn an_active_token_has_claims_and_an_end() {
        for (exp, expected) in [
            ("", None),
            (r#","exp":1700000000"#, Some(1_700_000_000)),
            (r#","exp":1700000000.9"#, Some(1_700_000_000)),
            (r#","exp":-5"#, Some(0)),
            (r#","exp":18446744073709551615"#, Some(u64::MAX)),
            (r#","exp":1e300"#, Some(u64::MAX)),
        ] {
            let found = parse(format!(r#"{{"active":true,"sub":"me"{exp}}}"#).as_bytes()).unwrap();
            assert!(found.active);
            assert_eq!(found.exp, expected, "{exp}");
            assert_eq!(found.claims["sub"], "me");
        }
    }

    #[test]
    fn a_failing_server_vouches_for_nobody() {
        let answer =
            |status| Answer { status, body: Bytes::from_static(br#"{"active":true}"#), ..Answer::default() };
        assert!(read(&answer(200)).unwrap().active);
        for status in [201, 204, 302, 401, 500] {
            assert_eq!(read(&answer(status)), Err(Trouble::Status(status)));
        }
    }

    #[test]
    fn the_question_is_a_form() {
        let ask = request(Uri::from_static("https://id.test/introspect"), "me", "se:cret", "a+b");
        assert_eq!(ask.method, "POST");
        assert_eq!(ask.body, "token=a%2Bb");
        assert_eq!(ask.headers[CONTENT_TYPE], "application/x-www-form-urlencoded");
        assert_eq!(ask.headers[AUTHORIZATION], form::basic("me", "se:cret"));
        assert!(!format!("{ask:?} {:?}", ask.headers).contains("Basic"), "secrets are not shown");
    }
}

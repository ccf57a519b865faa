//! Logout that begins here (OpenID Connect RP-Initiated Logout 1.0).
//!
//! It must not know of logouts that the provider reports. Entry point: [`logout`].

use std::fmt;

use crate::form::Form;
use crate::{Client, Provider, RequestFacts, Secret, Session};

/// With a longer URL the hint is left out, and the provider asks its user: servers refuse heads that are too long.
const LONGEST_LOCATION: usize = 8 * 1024;

/// A logout.
#[derive(Debug)]
pub struct Logout {
    /// Where to send the browser, with status 303 and `cache-control: no-store`: to the provider, whose session
    /// ends too, or to the path after logout where the provider has no such endpoint.
    pub location: String,
    /// Complete `Set-Cookie` values that end the session in this browser. Copies of its cookies remain good until
    /// [`crate::Revocations`] are told of [`crate::Ended::of`] the session.
    pub set_cookies: Vec<String>,
}

/// Why nobody is logged out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogoutError {
    /// Another site made the browser ask, or nothing shows that it did not: answer 403.
    Forged,
    /// The authority of the request is malformed: answer 400.
    BadHost,
}

impl fmt::Display for LogoutError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            LogoutError::Forged => "a logout is taken only from pages of this site and from its user",
            LogoutError::BadHost => "the authority of the request is malformed",
        })
    }
}

impl std::error::Error for LogoutError {}

/// Logs out. Other sites must not be able to, so it has to be a POST or a navigation by GET for which
/// `Sec-Fetch-Site`, or `Origin` or `Referer` where browsers do not send that, names no other site.
///
/// No `state` is sent: the standard lets the provider repeat it to the page after the logout, where nothing
/// happens that could be forged.
pub fn logout(
    client: &Client,
    provider: &Provider,
    session: Option<&Session>,
    facts: &RequestFacts<'_>,
) -> Result<Logout, LogoutError> {
    let origin = facts.origin().ok_or(LogoutError::BadHost)?;
    if !facts.is_own_initiative() {
        return Err(LogoutError::Forged);
    }
    let settings = client.settings();
    let set_cookies = Session::clear(client, facts);
    let Some(endpoint) = &provider.end_session_endpoint else {
        return Ok(Logout { location: settings.after_logout.clone(), set_cookies });
    };
    let url = |hint: Option<&Secret>| {
        let mut form = Form::new();
        if let Some(hint) = hint {
            form.push("id_token_hint", hint.expose());
        }
        form.push("client_id", &settings.client_id);
        form.push("post_logout_redirect_uri", &format!("{origin}{}", settings.after_logout));
        form.behind(endpoint)
    };
    let hint = session.and_then(|session| session.id_token.as_ref());
    let whole = url(hint);
    let location = if whole.len() <= LONGEST_LOCATION { whole } else { url(None) };
    Ok(Logout { location, set_cookies })
}

#[cfg(test)]
mod tests {
    use message::Method;

    use super::*;
    use crate::testing::{World, session};

    fn world(endpoint: Option<&str>) -> World {
        let mut world = World::with(|settings| settings.after_logout = "/bye?x=1".to_owned());
        world.provider.end_session_endpoint = endpoint.map(str::to_owned);
        let mut some = session();
        let cookies = some.seal(&world.client, &world.facts("/"), 1000, &mut world.random()).unwrap();
        world.absorb(&cookies);
        world
    }

    #[test]
    fn the_provider_is_told_who_logs_out_and_where_to_go_on() {
        let mut world = world(Some("https://idp.test/out?a=b"));
        let facts = RequestFacts { method: Method::Post, ..world.facts("/.gateward/logout") };
        let back = "client_id=web&post_logout_redirect_uri=https%3A%2F%2Fapp.test%2Fbye%3Fx%3D1";
        let small = session();
        let huge = Session { id_token: Some(Secret::new("i".repeat(9000))), ..session() };
        let hint = "id_token_hint=id.token.hint&";
        for (who, hint) in [(Some(&small), hint), (Some(&huge), ""), (None, "")] {
            let out = logout(&world.client, &world.provider, who, &facts).unwrap();
            assert_eq!(out.location, format!("https://idp.test/out?a=b&{hint}{back}"));
        }
        let out = logout(&world.client, &world.provider, None, &facts).unwrap();
        assert_eq!(
            out.set_cookies,
            ["__Host-gateward=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax"],
            "what is there is deleted"
        );
        world.absorb(&out.set_cookies);
        assert!(world.cookies.is_empty());
    }

    #[test]
    fn without_an_endpoint_only_the_own_session_ends() {
        let world = world(None);
        let facts = RequestFacts { method: Method::Post, ..world.facts("/.gateward/logout") };
        let out = logout(&world.client, &world.provider, Some(&session()), &facts).unwrap();
        assert_eq!((out.location.as_str(), out.set_cookies.len()), ("/bye?x=1", 1));
    }

    #[test]
    fn other_sites_cannot_log_people_out() {
        let world = world(None);
        let page = world.facts("/.gateward/logout");
        let post = RequestFacts { method: Method::Post, ..page };
        for (facts, want) in [
            (page, LogoutError::Forged),
            (RequestFacts { method: Method::Delete, ..page }, LogoutError::Forged),
            (RequestFacts { authority: b"a/b", ..post }, LogoutError::BadHost),
        ] {
            let out = logout(&world.client, &world.provider, Some(&session()), &facts);
            assert_eq!(out.map(|out| out.location), Err(want));
        }
    }
}

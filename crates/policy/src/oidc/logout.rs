//! The two ways out: a browser that asks for it, and the provider that reports it.

use ::oidc::{Ended, LogoutError, Opened, Session, Verified, ended, logout_token_of};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jose::Refusal;
use message::{Method, Reply};
use serde_json::{Map, Value};

use super::run::{Heard, Ready, facts, problem, redirect};
use crate::{Answer, Question, RequestCx, Verdict};

/// The most bytes of a report of the provider.
const LONGEST_REPORT: usize = 32 * 1024;
/// The code of answers to what is no logout.
const REFUSED: &str = "logout-refused";

impl Ready {
    /// Ends the session of a browser here, and sends it to the provider to end it there.
    pub(super) fn logout(&self, cx: &mut RequestCx<'_>, heard: &Heard) -> Verdict {
        let provider = match self.provider(cx, heard) {
            Ok(provider) => provider,
            Err(verdict) => return verdict,
        };
        let facts = facts(cx.head, cx.is_encrypted());
        let session = match Session::open(&self.client, &facts, cx.now) {
            Opened::Valid(session) => Some(session),
            Opened::None | Opened::Invalid | Opened::Expired => None,
        };
        match ::oidc::logout(&self.client, &provider, session.as_deref(), &facts) {
            Ok(logout) => {
                // Copies of the cookies are worth nothing from now on.
                if let Some(ended) = session.as_deref().and_then(Ended::of) {
                    self.logins.end(&ended, cx.now);
                }
                // Also a browser that has sent a form gets the next page.
                Verdict::Reply(redirect(303, logout.location, logout.set_cookies))
            }
            Err(error) => {
                let status = if error == LogoutError::Forged { 403 } else { 400 };
                problem(cx, status, REFUSED, &format!("Nobody was logged out: {error}."))
            }
        }
    }

    /// Takes a report of the provider (OpenID Connect Back-Channel Logout 1.0 §2.5 to §2.8).
    pub(super) fn backchannel(&self, cx: &mut RequestCx<'_>, heard: Heard) -> Verdict {
        if cx.head.method != Method::Post {
            let reply = Reply::problem(
                405,
                REFUSED,
                "The provider reports logouts here, by POST.",
                "client",
                false,
                cx.request_id(),
            );
            return Verdict::Reply(reply.header("allow", "POST").header("cache-control", "no-store"));
        }
        let provider = match self.provider(cx, &heard) {
            Ok(provider) => provider,
            Err(verdict) => return verdict,
        };
        let told = heard.told.is_some();
        let body = cx.state.body.clone();
        let body = match body {
            None if !told => {
                return Verdict::Ask(Box::new(Question::Body { most: LONGEST_REPORT, needed: true }));
            }
            Some(body) if body.is_whole && body.bytes.len() <= LONGEST_REPORT => body,
            _ => return problem(cx, 400, REFUSED, "The report is too long, or did not come in whole."),
        };
        let Some(text) = logout_token_of(&body.bytes) else {
            return problem(cx, 400, REFUSED, "The report is no form with one `logout_token`.");
        };
        let token = match self.verify(text.expose(), &self.rules.logout, &provider, cx.now) {
            Ok(token) if is_logout_type(text.expose()) => token,
            Ok(_) => return problem(cx, 400, REFUSED, "The token is of another type."),
            Err(Refusal::UnknownKey) if !heard.keys_tried => {
                return self.ask_keys(cx, Some(Answer::Body));
            }
            Err(refusal) => {
                return problem(cx, 400, REFUSED, &format!("The logout token is refused: {refusal}."));
            }
        };
        let verified = Verified { claims: &token.claims, algorithm: token.algorithm.as_str() };
        match ended(&self.client, verified, cx.now) {
            Ok(ended) => {
                self.logins.end(&ended, cx.now);
                Verdict::Reply(Reply::status(200).header("cache-control", "no-store"))
            }
            Err(error) => problem(cx, 400, REFUSED, &format!("Nobody was logged out: {error}.")),
        }
    }
}

/// Whether the `typ` in the header of a token, which was verified, is that of a logout token, or says nothing: providers
/// from before the final standard write `JWT` (Back-Channel Logout 1.0 §2.4).
fn is_logout_type(token: &str) -> bool {
    let header = token.split('.').next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
    let members = header.and_then(|header| serde_json::from_slice::<Map<String, Value>>(&header).ok());
    let Some(members) = members else { return false };
    match members.get("typ") {
        None => true,
        Some(Value::String(typ)) => ["logout+jwt", "application/logout+jwt", "JWT"]
            .iter()
            .any(|known| typ.eq_ignore_ascii_case(known)),
        Some(_) => false,
    }
}

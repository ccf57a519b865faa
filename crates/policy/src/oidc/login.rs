//! The begin of a login and its end: to the provider, and back with a session.

use ::oidc::{CallbackError, CompleteError, LoginError, SessionError, TokenError, Verified};
use jose::Refusal;
use message::{Fault, Reply};

use super::run::{Heard, Ready, facts, failed, problem, redirect, unavailable};
use crate::{Answer, RequestCx, Verdict};

/// The code of all answers that say that a login did not succeed.
const FAILED: &str = "login-failed";

impl Ready {
    /// Sends whoever waits for a page to the provider. `None` where nobody does.
    pub(super) fn begin(&self, cx: &mut RequestCx<'_>) -> Option<Reply> {
        let Some(provider) = self.issuer.provider() else {
            return Some(Reply::fault(Fault::AuthorityUnavailable, cx.request_id()));
        };
        let facts = facts(cx.head, cx.is_encrypted());
        match ::oidc::begin(&self.client, &provider, &facts, cx.now, &mut aws_lc_rs::rand::fill) {
            Ok(login) => Some(redirect(302, login.location, login.set_cookies)),
            Err(LoginError::NotANavigation) => None,
            Err(LoginError::BadHost) => Some(Reply::fault(Fault::BadHost, cx.request_id())),
            Err(LoginError::NoRandomness) => Some(Reply::fault(Fault::Internal, cx.request_id())),
        }
    }

    /// Takes what the provider has sent a browser back with. The code is exchanged, and what comes for it is verified.
    pub(super) fn callback(&self, cx: &mut RequestCx<'_>, heard: Heard) -> Verdict {
        // Before the code is exchanged, because the answer to that comes once.
        let provider = match self.provider(cx, &heard) {
            Ok(provider) => provider,
            Err(verdict) => return verdict,
        };
        let (now, https) = (cx.now, cx.is_encrypted());
        let pending = match ::oidc::callback(&self.client, &provider, &facts(cx.head, https), now) {
            Ok(pending) => pending,
            Err(error) => return not_taken(cx, &error),
        };
        let answer = match heard.told {
            None => return self.ask_tokens(&pending.token_request),
            Some(Answer::Http(answer)) => answer,
            Some(_) => return unavailable(cx),
        };
        let needs = match pending.finish(answer.status, &answer.body, now) {
            Ok(needs) => needs,
            Err(error) => return no_tokens(cx, &error),
        };
        let token = match self.verify(needs.id_token(), &self.rules.id, &provider, now) {
            Ok(token) => token,
            Err(Refusal::UnknownKey) if !heard.keys_tried => {
                return self.ask_keys(cx, Some(Answer::Http(answer)));
            }
            Err(refusal) => return not_believed(cx, &refusal.to_string()),
        };
        let verified = Verified { claims: &token.claims, algorithm: token.algorithm.as_str() };
        let facts = facts(cx.head, https);
        match needs.complete(&self.client, &facts, verified, now, &mut aws_lc_rs::rand::fill) {
            Ok(login) => match login.left_out.first() {
                // A rule could be about what is not there, and a group that is lost has no say.
                Some(claim) => problem(
                    cx,
                    502,
                    FAILED,
                    &format!(
                        "The login cannot be kept: with the claim `{claim}` it is too large. The provider has to say less in it, or `claims` has to name fewer."
                    ),
                ),
                None => Verdict::Reply(redirect(302, login.return_to, login.set_cookies)),
            },
            Err(CompleteError::Claim(error)) => not_believed(cx, &error.to_string()),
            Err(CompleteError::Session(SessionError::NoRandomness)) => failed(cx, Fault::Internal),
            Err(CompleteError::Session(error @ SessionError::TooLarge(_))) => {
                problem(cx, 500, FAILED, &format!("The login cannot be kept: {error}."))
            }
        }
    }
}

fn not_taken(cx: &mut RequestCx<'_>, error: &CallbackError) -> Verdict {
    let status = match error {
        CallbackError::Refused { .. } => 403,
        CallbackError::Malformed | CallbackError::UnknownState | CallbackError::OtherIssuer => 400,
    };
    problem(cx, status, FAILED, &format!("The login did not succeed: {error}. Open the page again."))
}

fn no_tokens(cx: &mut RequestCx<'_>, error: &TokenError) -> Verdict {
    match error {
        TokenError::Status(_) => unavailable(cx),
        // The code was used before, or is too old.
        error if error.is_final() => {
            problem(cx, 400, FAILED, &format!("The login did not succeed: {error}. Open the page again."))
        }
        error => problem(cx, 502, FAILED, &format!("The login did not succeed: {error}.")),
    }
}

fn not_believed(cx: &mut RequestCx<'_>, why: &str) -> Verdict {
    problem(
        cx,
        502,
        FAILED,
        &format!("The login did not succeed: the provider's id_token is refused: {why}."),
    )
}

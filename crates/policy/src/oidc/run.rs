//! Login with OpenID Connect: which of its parts a request is for, and what they have in common.
//!
//! The steps of a login are stateless: a request that has waited for an answer is looked at from its begin again, and
//! goes on with the answer. Entry points: those of an authenticator.

use std::borrow::Cow;
use std::sync::Arc;

use ::oidc::{Client, FormPost, Provider, RequestFacts, hide_cookies};
use authority::{Ask, Trust};
use http::{HeaderName, HeaderValue};
use jose::{Algorithm, Refusal, Rules, Token};
use message::{Fault, Reply, RequestHead};

use super::bearer;
use super::logins::Logins;
use super::session::Cookies;
use crate::authenticate::{Refused, token_challenge};
use crate::claims::Mapping;
use crate::{Answer, Digest, Issuer, Question, RequestCx, Verdict};

/// The kind, as logs have it.
pub(super) const KIND: &str = "oidc";

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(super) client: Box<Client>,
    pub(super) issuer: Arc<Issuer>,
    pub(super) logins: Arc<Logins>,
    /// Whose word is taken for who the token endpoint is.
    pub(super) trust: Trust,
    pub(super) mapping: Mapping,
    pub(super) rules: Box<Signed>,
    pub(super) cookies: Cookies,
    pub(super) forward_access_token: bool,
    pub(super) scope: Digest,
}

/// What the tokens have to be that the provider signs.
#[derive(Debug)]
pub(super) struct Signed {
    /// An `id_token`.
    pub(super) id: Rules,
    /// A logout token, before its other claims are looked at.
    pub(super) logout: Rules,
    /// A token in `Authorization`, if one counts.
    pub(super) bearer: Option<Rules>,
}

/// What a policy was told since a request came.
#[derive(Debug)]
pub(super) struct Heard {
    /// The answer to what was asked, other than for keys.
    pub(super) told: Option<Answer>,
    /// Keys were just asked for: asking again would bring no others.
    pub(super) keys_tried: bool,
}

impl Ready {
    /// Whether somebody who is no consumer is let through too.
    pub(crate) fn lets_strangers(&self) -> bool {
        !self.mapping.consumer_required
    }
}

impl Heard {
    fn take(cx: &mut RequestCx<'_>) -> Heard {
        let answer = cx.answer.take();
        match cx.state.kept_answer.take().map(|kept| *kept) {
            None => Heard { told: answer, keys_tried: false },
            // The answer is about keys, and whether there are new ones shows by itself.
            Some(Answer::Keys) => Heard { told: None, keys_tried: true },
            kept => Heard { told: kept, keys_tried: true },
        }
    }

    /// Whether nothing was asked yet.
    pub(super) fn is_first(&self) -> bool {
        self.told.is_none() && !self.keys_tried
    }
}

impl Ready {
    /// Who shows a session or a token; and the steps of login and logout, on their paths.
    #[inline]
    pub fn authenticate(&self, cx: &mut RequestCx<'_>) -> Verdict {
        if cx.state.is_explained() {
            return self.explain(cx);
        }
        let heard = Heard::take(cx);
        let [callback, logout, backchannel] = self.own_paths();
        let path = cx.head.asked_path();
        if path == callback.as_bytes() {
            return self.callback(cx, heard);
        }
        if path == logout.as_bytes() {
            return self.logout(cx, &heard);
        }
        if path == backchannel.as_bytes() {
            return self.backchannel(cx, &heard);
        }
        if let Some(rules) = &self.rules.bearer
            && let Some(verdict) = self.token(cx, &heard, rules)
        {
            return verdict;
        }
        self.session(cx, heard)
    }

    /// What can be told without changing anything: sessions and logins are left alone.
    fn explain(&self, cx: &mut RequestCx<'_>) -> Verdict {
        let path = cx.head.asked_path();
        if self.own_paths().iter().any(|own| path == own.as_bytes()) {
            return Verdict::Ask(Box::new(Question::Keys(Arc::clone(&self.issuer))));
        }
        let (Some(rules), Some(token)) = (&self.rules.bearer, bearer::shown(cx.head)) else {
            return Verdict::Missing;
        };
        let read = jose::read_unverified(token, rules, cx.now);
        match read.as_ref().ok().and_then(bearer::of_other_kind) {
            Some(refused) => Verdict::Refused(refused),
            None => self.mapping.supposed(read, cx),
        }
    }

    /// The paths that are answered here and never by a service: of the callback, the logout, and the back-channel logout.
    /// Routes with this policy have to match them.
    pub fn own_paths(&self) -> [&str; 3] {
        let settings = self.client.settings();
        [&settings.callback_path, &settings.logout_path, &settings.backchannel_path]
    }

    /// What could be shown (RFC 6750 §3).
    pub fn challenge(&self, refused: Option<&Refused>) -> Option<Cow<'static, str>> {
        // An answer with 401 has to name something (RFC 9110 §15.5.2), and there is no scheme for sessions.
        let scheme = if self.rules.bearer.is_some() { "Bearer" } else { "Session" };
        Some(token_challenge(scheme, refused))
    }

    /// To the provider, where a person waits for a page.
    pub fn invite(&self, cx: &mut RequestCx<'_>) -> Option<Reply> {
        if cx.state.is_explained() {
            // Where the login is said by the provider when the gateway runs.
            let accepts = cx
                .head
                .headers
                .values(b"accept")
                .any(|value| value.windows(9).any(|part| part == b"text/html"));
            return accepts.then(|| Reply::status(302).header("location", self.issuer.name().to_owned()));
        }
        self.begin(cx)
    }

    /// The provider, as it writes itself.
    pub(crate) fn issuer_name(&self) -> &str {
        &self.client.settings().issuer
    }

    /// The name of the cookies of sessions, without prefix and number.
    pub(crate) fn cookie(&self) -> &str {
        &self.client.settings().cookie
    }

    /// Fields that hold claims. The access token is not among them: clients may send one themselves.
    pub fn told_fields(&self) -> Vec<&[u8]> {
        self.mapping.told_fields()
    }

    /// Removes the session, and the token unless services are to see it.
    #[inline]
    pub fn hide(&self, head: &mut RequestHead, recognised: bool) {
        hide_cookies(&[self.cookie()], &mut head.headers);
        let keeps = self.forward_access_token && recognised;
        if self.rules.bearer.is_some() && !keeps && bearer::shown(head).is_some() {
            head.headers.remove(b"authorization");
        }
    }

    /// Asks for the keys of the provider and for what it says of itself. What was told already is kept meanwhile.
    pub(super) fn ask_keys(&self, cx: &mut RequestCx<'_>, told: Option<Answer>) -> Verdict {
        cx.state.kept_answer = Some(Box::new(told.unwrap_or(Answer::Keys)));
        Verdict::Ask(Box::new(Question::Keys(Arc::clone(&self.issuer))))
    }

    /// The provider, if it and its keys are known. Otherwise what to say: ask for them, and when that was in vain give up.
    pub(super) fn provider(&self, cx: &mut RequestCx<'_>, heard: &Heard) -> Result<Arc<Provider>, Verdict> {
        match self.issuer.provider().filter(|_| self.issuer.keys().generation() > 0) {
            Some(provider) => Ok(provider),
            None if heard.keys_tried => Err(unavailable(cx)),
            None => Err(self.ask_keys(cx, None)),
        }
    }

    /// Asks the token endpoint. It is not asked twice: a code, and often a refresh token, can be used once.
    pub(super) fn ask_tokens(&self, post: &FormPost) -> Verdict {
        match ask_of(post, &self.trust) {
            Some(ask) => Verdict::Ask(Box::new(Question::Http(Box::new(ask)))),
            None => Verdict::Fault(Fault::Internal),
        }
    }

    /// Checks what the provider has signed about a person, as far as the signature and the usual claims go.
    pub(super) fn verify(
        &self,
        token: &str,
        rules: &Rules,
        provider: &Provider,
        now: u64,
    ) -> Result<Token, Refusal> {
        let keys = self.issuer.keys().load();
        let token = jose::verify(token.as_bytes(), keys.as_ref().ok_or(Refusal::UnknownKey)?, rules, now)?;
        let named = &provider.id_token_algorithms;
        let is_named = |name: &String| Algorithm::parse(name) == Some(token.algorithm);
        if named.is_empty() || named.iter().any(is_named) { Ok(token) } else { Err(Refusal::Algorithm) }
    }
}

/// What a login or logout depends on.
pub(super) fn facts(head: &RequestHead, https: bool) -> RequestFacts<'_> {
    RequestFacts {
        https,
        authority: head.client_authority().unwrap_or_default(),
        path_and_query: head.headers.slice(head.target),
        method: head.method,
        headers: &head.headers,
    }
}

fn ask_of(post: &FormPost, trust: &Trust) -> Option<Ask> {
    let body = post.body.expose().as_bytes().to_vec();
    let mut ask = Ask { trust: trust.clone(), ..Ask::post(post.url.parse().ok()?, body.into()) };
    for (name, value) in &post.headers {
        let mut value = HeaderValue::from_str(value.expose()).ok()?;
        value.set_sensitive(true);
        ask.headers.insert(HeaderName::from_bytes(name.as_bytes()).ok()?, value);
    }
    Some(ask)
}

/// An answer of a login or a logout that went wrong. `code` is stable, `detail` holds nothing secret.
pub(super) fn problem(cx: &mut RequestCx<'_>, status: u16, code: &'static str, detail: &str) -> Verdict {
    let layer = match status {
        400..500 => "client",
        502..505 => "service",
        _ => "gateway",
    };
    let reply = Reply::problem(status, code, detail, layer, false, cx.request_id());
    Verdict::Reply(reply.header("cache-control", "no-store"))
}

/// A fault as an answer: nothing on the paths of a login goes on to a service, whatever else a request shows.
pub(super) fn failed(cx: &mut RequestCx<'_>, fault: Fault) -> Verdict {
    Verdict::Reply(Reply::fault(fault, cx.request_id()).header("cache-control", "no-store"))
}

/// The provider cannot be asked.
pub(super) fn unavailable(cx: &mut RequestCx<'_>) -> Verdict {
    failed(cx, Fault::AuthorityUnavailable)
}

/// Sends a browser elsewhere, with cookies.
pub(super) fn redirect(status: u16, location: String, cookies: Vec<String>) -> Reply {
    let reply = Reply::status(status).header("location", location).header("cache-control", "no-store");
    cookies.into_iter().fold(reply, |reply, cookie| reply.header("set-cookie", cookie))
}

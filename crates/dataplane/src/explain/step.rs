//! What each policy says to a request that is explained.
//!
//! Entry point: [`Step::see`].

use policy::{Flow, Link, RequestCx, Saw, Verdict};

use super::Change;

/// One policy on a way.
#[derive(Debug)]
pub struct Step<'s> {
    /// The policy, and where it was set.
    pub link: &'s Link,
    /// What it said; `None` if it was not asked any more.
    pub said: Option<Said>,
    /// The fields of the request that it changed.
    pub changes: Vec<Change>,
    /// The limit for the body, if it has set one.
    pub body_limit: Option<u64>,
    /// Who it has found to be calling, if it is one that knows callers.
    pub caller: Option<Known>,
}

/// Somebody who is calling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The name: of the consumer, or what the credential says.
    pub name: String,
    /// Whether it is a consumer of the configuration.
    pub is_consumer: bool,
    /// Its groups.
    pub groups: Vec<String>,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// The claims of its token.
    pub claims: String,
}

impl<'s> Step<'s> {
    pub(super) fn new(link: &'s Link) -> Step<'s> {
        Step { link, said: None, changes: Vec::new(), body_limit: None, caller: None }
    }

    /// Why it has stopped the request.
    fn reason(&self, cx: &RequestCx<'_>) -> &'static str {
        let by = cx.state.stopped_by.filter(|(kind, _)| *kind == self.link.policy.kind().name);
        by.map_or("", |(_, reason)| reason)
    }

    /// Takes down what the policy said.
    pub(super) fn see(&mut self, saw: Saw<'_>, cx: &RequestCx<'_>) {
        self.said = Some(match saw {
            Saw::Flow(Flow::Continue) => Said::Continue,
            Saw::Flow(Flow::Ask(_)) | Saw::Verdict(Verdict::Ask(_)) => Said::Asks,
            Saw::Flow(Flow::Reply(_) | Flow::Unauthenticated | Flow::Fault(_))
            | Saw::Verdict(Verdict::Reply(_) | Verdict::Fault(_)) => Said::Stop(self.reason(cx)),
            Saw::Verdict(Verdict::Known(_)) => Said::Known,
            Saw::Verdict(Verdict::Missing) => Said::Missing,
            Saw::Verdict(Verdict::Refused(refused)) => Said::Refused(refused.reason),
            Saw::Settled => self.said.unwrap_or(Said::Known),
        });
        if !matches!(saw, Saw::Flow(_)) {
            self.caller = cx.identity().map(|identity| Known {
                name: identity.name().to_owned(),
                is_consumer: identity.consumer.is_some(),
                groups: identity.groups.iter().map(|group| group.to_string()).collect(),
                scopes: identity.scopes.iter().map(|scope| scope.to_string()).collect(),
                claims: serde_json::Value::Object(identity.claims.clone()).to_string(),
            });
        }
    }
}

/// What a policy said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// The request may go on.
    Continue,
    /// It may not: the reason in a word, or nothing where there is only one.
    Stop(&'static str),
    /// It knows who is calling.
    Known,
    /// The request shows nothing that it could judge.
    Missing,
    /// What the request shows is not genuine, or does not hold: the reason in a word.
    Refused(&'static str),
    /// It would have to ask somebody.
    Asks,
}

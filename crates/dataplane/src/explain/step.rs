//! What each policy says to a request that is explained.
//!
//! Entry point: [`Step::see`].

use policy::{Flow, Identity, Link, RequestCx, RequestState, Saw, Verdict};

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
    /// Why it said that, in words. What the configuration has from outside may be among them.
    pub detail: Option<String>,
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
        Step { link, said: None, changes: Vec::new(), body_limit: None, caller: None, detail: None }
    }

    /// Takes down what the policy said.
    pub(super) fn see(&mut self, saw: Saw<'_>, cx: &RequestCx<'_>) {
        self.said = Some(match saw {
            Saw::Flow(Flow::Continue) => Said::Continue,
            Saw::Flow(Flow::Ask(_)) | Saw::Verdict(Verdict::Ask(_)) => Said::Asks,
            Saw::Flow(Flow::Reply(reply)) | Saw::Verdict(Verdict::Reply(reply))
                if (200..300).contains(&reply.status) =>
            {
                Said::Answer("")
            }
            Saw::Flow(Flow::Reply(_) | Flow::Unauthenticated | Flow::Fault(_))
            | Saw::Verdict(Verdict::Reply(_) | Verdict::Fault(_)) => Said::Stop(""),
            Saw::Verdict(Verdict::Known(caller)) => {
                self.caller = caller.identity(cx.consumers).map(Known::of);
                Said::Known
            }
            Saw::Verdict(Verdict::Missing) => Said::Missing,
            Saw::Verdict(Verdict::Refused(refused)) => Said::Refused(refused.reason),
            // What each has said is taken down already.
            Saw::Settled => return,
        });
        self.detail = cx.state.remark_of(self.link.policy.kind().name).map(str::to_owned);
    }

    /// Takes down why it has stopped the request, as logs have it.
    pub(super) fn give_reason(&mut self, state: &RequestState) {
        let by = state.stopped_by.filter(|(kind, _)| *kind == self.link.policy.kind().name);
        if let (Some(Said::Stop(own) | Said::Answer(own)), Some((_, reason))) = (&mut self.said, by) {
            *own = reason;
        }
    }
}

impl Known {
    fn of(identity: &Identity) -> Known {
        Known {
            name: identity.name().to_owned(),
            is_consumer: identity.consumer.is_some(),
            groups: identity.groups.iter().map(|group| group.to_string()).collect(),
            scopes: identity.scopes.iter().map(|scope| scope.to_string()).collect(),
            claims: serde_json::Value::Object(identity.claims.clone()).to_string(),
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
    /// It gets from the policy what it wants: what that is in a word, or nothing where there is only one.
    Answer(&'static str),
    /// It knows who is calling.
    Known,
    /// The request shows nothing that it could judge.
    Missing,
    /// What the request shows is not genuine, or does not hold: the reason in a word.
    Refused(&'static str),
    /// It would have to ask somebody.
    Asks,
}

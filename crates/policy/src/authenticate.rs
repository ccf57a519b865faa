//! Who is calling: how the policies that know callers count together.
//!
//! By default any of them is enough. With `auth: { all: […] }` all that are named have to agree. A credential that is
//! shown and not genuine is refused even where none is asked for. [`Authenticated`] is the proof that this was gone
//! through; only this module makes it. Entry point: [`Gate::pass`].

use std::borrow::Cow;
use std::rc::Rc;

use message::{Fault, Reply};

use crate::chain::{Halt, Link, Refusal, Saw};
use crate::supposed::suppose;
use crate::{Caller, Consumers, Identity, Policy, RequestCx, Verdict};

/// The realm that challenges name.
pub(crate) const REALM: &str = "gateward";

/// Why a credential is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// A word for logs: `expired`.
    pub reason: &'static str,
    /// A sentence for the client. It holds nothing of what the client has shown.
    pub detail: Cow<'static, str>,
}

impl Refused {
    /// With a word and a sentence.
    pub fn new(reason: &'static str, detail: impl Into<Cow<'static, str>>) -> Refused {
        Refused { reason, detail: detail.into() }
    }

    /// Of a token that is not genuine, or does not hold.
    pub(crate) fn of_token(refusal: &jose::Refusal) -> Refused {
        Refused::new(refusal.as_str(), format!("The token is refused: {refusal}."))
    }
}

/// What could be shown in Authorization with a token, and what is wrong with the one that was (RFC 6750 §3).
pub(crate) fn token_challenge(scheme: &str, refused: Option<&Refused>) -> Cow<'static, str> {
    let why = refused.map_or_else(String::new, |refused| {
        let detail = refused.detail.replace(['"', '\\'], "'");
        format!(", error=\"invalid_token\", error_description=\"{detail}\"")
    });
    format!("{scheme} realm=\"{REALM}\"{why}").into()
}

/// Proof that it was settled who is calling.
#[derive(Debug)]
pub struct Authenticated(Caller);

impl Authenticated {
    pub(crate) fn into_caller(self) -> Caller {
        self.0
    }
}

/// What was found out before a policy had to ask somebody.
#[derive(Debug, Default, Clone)]
pub(crate) struct Found {
    /// Who was recognised, by which policy.
    callers: Vec<(usize, Caller)>,
    /// The first credential that was not genuine.
    refused: Option<(&'static str, Refused)>,
    /// The policy that could not tell, and why.
    fault: Option<(&'static str, Fault)>,
}

/// Where in a chain it is settled who is calling, and how.
#[derive(Debug, Default, Clone)]
pub(crate) struct Gate {
    /// The first of the policies that know callers.
    pub(crate) from: usize,
    /// The one behind the last.
    pub(crate) to: usize,
    /// All have to recognise the caller, not any.
    pub(crate) all: bool,
    /// A request that shows nothing may go on.
    pub(crate) anonymous: bool,
}

impl Gate {
    /// Whether any policy asks who is calling.
    pub(crate) fn is_open(&self) -> bool {
        self.from >= self.to
    }

    /// Asks the policies who is calling, from the one at `at` on. When this is settled, what was shown is removed from
    /// the request, and the services are told who it is.
    pub(crate) fn pass(
        &self,
        links: &[Link],
        mut at: usize,
        cx: &mut RequestCx<'_>,
        watch: &mut impl FnMut(usize, Saw<'_>, &RequestCx<'_>),
    ) -> Result<(), Halt> {
        let supposed = cx.state.progress.supposed;
        if supposed.is_none() && at == self.from && cx.head.headers.values(b"authorization").nth(1).is_some()
        {
            // Services could go by another one of them (RFC 9110 §11.6.2: there is one).
            let refused = Refused::new("malformed", "The request has several Authorization fields.");
            return Err(self.refuse(links, at, refused, cx, watch));
        }
        while let Some(link) = links.get(at).filter(|_| at < self.to) {
            let verdict = match supposed {
                None => link.policy.authenticate(cx),
                Some(consumer) => suppose(&link.policy, consumer, cx),
            };
            // What it did not need is nobody else's.
            cx.answer = None;
            if let (Verdict::Known(caller), false) = (&verdict, self.all) {
                self.settle(links, &[at], caller.clone(), cx);
                watch(at, Saw::Verdict(&verdict), cx);
                return Ok(());
            }
            watch(at, Saw::Verdict(&verdict), cx);
            match verdict {
                Verdict::Known(caller) => cx.state.progress.found.callers.push((at, caller)),
                // Who supposes something is told all that is missing.
                Verdict::Missing if self.all && !self.anonymous && supposed.is_none() => break,
                Verdict::Missing => {}
                Verdict::Refused(refused) => {
                    cx.state.progress.found.refused.get_or_insert((link.policy.kind().name, refused));
                    if self.all {
                        break;
                    }
                }
                Verdict::Fault(fault) => {
                    cx.state.progress.found.fault.get_or_insert((link.policy.kind().name, fault));
                    if self.all {
                        break;
                    }
                }
                Verdict::Reply(reply) => {
                    cx.state.stopped_by = Some((link.policy.kind().name, "login"));
                    return Err(Halt::Refused(Refusal::Reply(reply)));
                }
                Verdict::Ask(question) => {
                    cx.state.progress.link = at;
                    return Err(Halt::Ask(link.policy.kind().name, question));
                }
            }
            at += 1;
        }
        let found = std::mem::take(&mut cx.state.progress.found);
        self.conclude(links, found, cx, watch)?;
        watch(self.to.saturating_sub(1), Saw::Settled, cx);
        Ok(())
    }

    /// What follows when all were asked.
    fn conclude(
        &self,
        links: &[Link],
        found: Found,
        cx: &mut RequestCx<'_>,
        watch: &mut impl FnMut(usize, Saw<'_>, &RequestCx<'_>),
    ) -> Result<(), Halt> {
        if let Some((kind, refused)) = found.refused {
            cx.state.stopped_by = Some((kind, refused.reason));
            let reply = refusal(self.asked(links), Some((kind, &refused)), cx);
            return Err(Halt::Refused(Refusal::Reply(reply)));
        }
        if let Some((kind, fault)) = found.fault {
            cx.state.stopped_by = Some((kind, "unavailable"));
            return Err(Halt::Refused(Refusal::Fault(fault)));
        }
        if self.all && found.callers.len() == self.to - self.from {
            return match merge(&found.callers, cx.consumers) {
                Some(caller) => {
                    let by: Vec<usize> = found.callers.iter().map(|(at, _)| *at).collect();
                    self.settle(links, &by, caller, cx);
                    Ok(())
                }
                None => {
                    let refused =
                        Refused::new("different_callers", "The credentials belong to different callers.");
                    let auth = links.iter().position(|link| matches!(&*link.policy, Policy::Auth(_)));
                    Err(self.refuse(links, auth.unwrap_or(self.from), refused, cx, watch))
                }
            };
        }
        if self.anonymous && found.callers.is_empty() {
            self.settle(links, &[], Caller::Anonymous, cx);
            return Ok(());
        }
        // Where all are needed, it is the one that was shown nothing who has to say what is missing: a login would not
        // bring an API key.
        let has_said = |at: &usize| found.callers.iter().any(|(by, _)| by == at);
        let lacking = (self.from..self.to).find(|at| !has_said(at)).unwrap_or(self.from);
        let kind = links.get(lacking).map_or("auth", |link| link.policy.kind().name);
        cx.state.stopped_by = Some((kind, "missing"));
        Err(Halt::Refused(Refusal::Reply(self.demand(links, self.all.then_some(lacking), cx))))
    }

    /// The answer to a request of which it has to be known who is calling: where to say so, or what could be shown.
    /// `lacking` is the policy that needs something besides.
    pub(crate) fn demand(&self, links: &[Link], lacking: Option<usize>, cx: &mut RequestCx<'_>) -> Reply {
        let inviting = match lacking {
            // A login is for whoever has shown nothing, and of whom nothing is supposed.
            _ if cx.state.progress.supposed.is_some() => &[],
            Some(at) => links.get(at..=at).unwrap_or_default(),
            None => self.asked(links),
        };
        for link in inviting {
            if let Some(reply) = link.policy.invite(cx) {
                cx.state.stopped_by = Some((link.policy.kind().name, "login"));
                return reply;
            }
        }
        refusal(self.asked(links), None, cx)
    }

    /// What the policy at a place refuses for all of those that know callers.
    fn refuse(
        &self,
        links: &[Link],
        at: usize,
        refused: Refused,
        cx: &mut RequestCx<'_>,
        watch: &mut impl FnMut(usize, Saw<'_>, &RequestCx<'_>),
    ) -> Halt {
        let kind = links.get(at).map_or("auth", |link| link.policy.kind().name);
        cx.state.stopped_by = Some((kind, refused.reason));
        let reply = refusal(self.asked(links), Some((kind, &refused)), cx);
        watch(at, Saw::Verdict(&Verdict::Refused(refused)), cx);
        Halt::Refused(Refusal::Reply(reply))
    }

    fn asked<'l>(&self, links: &'l [Link]) -> &'l [Link] {
        links.get(self.from..self.to).unwrap_or_default()
    }

    /// Takes note of who it is, whom the policies at these places have recognised.
    fn settle(&self, links: &[Link], by: &[usize], caller: Caller, cx: &mut RequestCx<'_>) {
        // What is shown was not looked at where it is supposed who is calling.
        let by = if cx.state.progress.supposed.is_none() { by } else { &[] };
        for (link, at) in self.asked(links).iter().zip(self.from..) {
            link.policy.hide(cx.head, by.contains(&at));
        }
        if let Some(identity) = caller.identity(cx.consumers) {
            for (name, value) in &identity.fields {
                cx.head.headers.set(name, value);
            }
        }
        cx.state.progress.found = Found::default();
        cx.state.identify(Authenticated(caller));
    }
}

/// One identity of several, which must not be of different consumers.
fn merge(callers: &[(usize, Caller)], consumers: &Consumers) -> Option<Caller> {
    let (_, first) = callers.first()?;
    let mut whole = Identity::default();
    for (_, caller) in callers {
        let Some(identity) = caller.identity(consumers) else { continue };
        match (&whole.consumer, &identity.consumer) {
            (Some(one), Some(other)) if one != other => return None,
            (None, Some(_)) => {
                whole.consumer.clone_from(&identity.consumer);
                whole.index = identity.index;
                whole.subject.clone_from(&identity.subject);
            }
            _ => {}
        }
        if whole.subject.is_empty() {
            whole.subject.clone_from(&identity.subject);
        }
        whole.groups = join(&whole.groups, &identity.groups);
        whole.scopes = join(&whole.scopes, &identity.scopes);
        identity.claims.iter().for_each(|(name, value)| {
            whole.claims.entry(name.clone()).or_insert_with(|| value.clone());
        });
        whole.fields = whole.fields.iter().chain(&identity.fields).cloned().collect();
    }
    Some(Caller::Verified(Rc::new(whole), first.method()))
}

fn join(one: &[Box<str>], other: &[Box<str>]) -> Box<[Box<str>]> {
    let more = other.iter().filter(|text| !one.contains(text));
    one.iter().chain(more).cloned().collect()
}

/// The answer to a request whose caller is not known: 401 with what could be shown instead (RFC 9110 §11.6.1).
fn refusal(links: &[Link], refused: Option<(&'static str, &Refused)>, cx: &mut RequestCx<'_>) -> Reply {
    let (code, detail): (_, Cow<'_, str>) = match refused {
        Some((_, refused)) => ("invalid-credentials", refused.detail.as_ref().into()),
        None => ("unauthenticated", "The request does not say who is calling. Send credentials.".into()),
    };
    let reply = Reply::problem(401, code, &detail, "client", false, cx.request_id());
    let mut reply = reply.header("cache-control", "no-store");
    let mut told: Vec<Cow<'static, str>> = Vec::new();
    for link in links {
        let kind = link.policy.kind().name;
        let own = refused.filter(|(by, _)| *by == kind).map(|(_, refused)| refused);
        if let Some(challenge) = link.policy.challenge(own)
            && !told.contains(&challenge)
        {
            told.push(challenge);
        }
    }
    for challenge in told {
        reply = reply.header("www-authenticate", challenge);
    }
    reply
}

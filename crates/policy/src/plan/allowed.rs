//! What a plan allows everywhere, or of one service: to be charged whole, or not at all.
//!
//! Entry point: [`Allowed::charge`].

use crate::{Flow, Policy, RequestCx, concurrency, quota, rate_limit};

/// How often, how much, and how much at once.
#[derive(Debug, Default)]
pub struct Allowed {
    rate_limit: Option<rate_limit::Ready>,
    quota: Option<quota::Ready>,
    concurrency: Option<concurrency::Ready>,
}

impl Allowed {
    /// Of these policies, at most one of each kind.
    pub(super) fn new(policies: Vec<Policy>) -> Allowed {
        let mut allowed = Allowed::default();
        for policy in policies {
            match policy {
                Policy::RateLimit(ready) => allowed.rate_limit = Some(ready),
                Policy::Quota(ready) => allowed.quota = Some(ready),
                Policy::Concurrency(ready) => allowed.concurrency = Some(ready),
                // The language has no others here.
                _ => {}
            }
        }
        allowed
    }

    /// How often.
    pub fn rate_limit(&self) -> Option<&rate_limit::Ready> {
        self.rate_limit.as_ref()
    }

    /// How much.
    pub fn quota(&self) -> Option<&quota::Ready> {
        self.quota.as_ref()
    }

    /// How much at once.
    pub fn concurrency(&self) -> Option<&concurrency::Ready> {
        self.concurrency.as_ref()
    }

    /// Charges a request to all of these, at most two, or to none: then with what a policy of this kind says. It may be
    /// a question about limits that gateways share; asked again with the answer, it goes on from there.
    pub(super) fn charge(all: &[&Allowed], kind: &'static str, cx: &mut RequestCx<'_>) -> Result<(), Flow> {
        let kept = cx.state.pending_quotas.kept();
        // Whoever comes back with an answer has its places.
        if !cx.state.pending.is_some() && kept.is_none() {
            for concurrency in all.iter().filter_map(|allowed| allowed.concurrency()) {
                // Its place is free again when the request is over, refused or not.
                concurrency.enter(kind, cx).map_err(Flow::Reply)?;
            }
        }
        let limits = |then: &mut dyn FnMut(&[&rate_limit::Ready])| {
            at_most_two(all.iter().filter_map(|allowed| allowed.rate_limit()), then);
        };
        let charged = match kept {
            // An answer about quotas: the limits were charged before.
            Some(charged) => charged,
            None => {
                let mut charged = Ok(rate_limit::Charged::default());
                limits(&mut |limits| charged = rate_limit::charge(kind, limits, cx));
                charged?
            }
        };
        let mut outcome = Ok(());
        at_most_two(all.iter().filter_map(|allowed| allowed.quota()), &mut |quotas| {
            outcome = quota::charge(kind, quotas, cx);
        });
        match &outcome {
            Ok(()) => {}
            Err(Flow::Ask(_)) => cx.state.pending_quotas.keep(charged),
            Err(_) => limits(&mut |limits| rate_limit::give_back(limits, charged, cx)),
        }
        outcome
    }

    /// The first limit, in words, that is less than what a request costs which counts as so many.
    pub(super) fn never_bears(&self, cost: u32) -> Option<String> {
        let rate =
            self.rate_limit.as_ref().and_then(|limits| Some((limits.place(), limits.never_bears(cost)?)));
        let quota = || self.quota.as_ref().and_then(|quota| Some((quota.place(), quota.never_bears(cost)?)));
        rate.or_else(quota).map(|(place, limit)| format!("{place}: {limit}"))
    }

    /// What a request would be charged to.
    pub(super) fn in_words(&self, cx: &RequestCx<'_>) -> Vec<String> {
        let limits = self.rate_limit.iter().map(|limits| (limits.place(), limits.in_words(cx)));
        let quota = self.quota.iter().map(|quota| (quota.place(), quota.in_words(cx)));
        let at_once = self.concurrency.iter().map(|limit| (limit.place(), limit.in_words(cx)));
        limits.chain(quota).chain(at_once).map(|(place, words)| format!("{place}: {words}")).collect()
    }
}

/// Calls `then` with those that there are, without a list of them for each request.
fn at_most_two<'a, T>(mut all: impl Iterator<Item = &'a T>, then: &mut dyn FnMut(&[&'a T])) {
    match (all.next(), all.next()) {
        (Some(one), Some(other)) => then(&[one, other]),
        (Some(one), None) => then(&[one]),
        (None, _) => {}
    }
}

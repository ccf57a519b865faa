//! What a plan allows everywhere, or of one service: to be charged whole, or not at all.
//!
//! Entry points: [`Allowed::charge`], [`Allowed::give_back`].

use message::Reply;

use crate::{Policy, RequestCx, concurrency, quota, rate_limit};

/// How often, how much, and how much at once.
#[derive(Debug, Default)]
pub struct Allowed {
    rate_limit: Option<rate_limit::Ready>,
    quota: Option<quota::Ready>,
    concurrency: Option<concurrency::Ready>,
}

/// What a request was charged to.
#[derive(Default)]
#[must_use]
pub(crate) struct Charged {
    rate_limit: Option<rate_limit::Charged>,
    quota: Option<quota::Charged>,
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

    /// Charges a request to all, or to none: then with the answer of a policy of this kind.
    pub(super) fn charge(&self, kind: &'static str, cx: &mut RequestCx<'_>) -> Result<Charged, Reply> {
        let mut charged = Charged::default();
        if let Some(concurrency) = &self.concurrency {
            // Its place is free again when the request is over, refused or not.
            concurrency.enter(kind, cx)?;
        }
        if let Some(limits) = &self.rate_limit {
            charged.rate_limit = Some(limits.charge(kind, cx)?);
        }
        if let Some(quota) = &self.quota {
            match quota.charge(kind, cx) {
                Ok(what) => charged.quota = Some(what),
                Err(reply) => {
                    self.give_back(charged, cx);
                    return Err(reply);
                }
            }
        }
        Ok(charged)
    }

    /// Takes back what was charged before something else has refused.
    pub(super) fn give_back(&self, charged: Charged, cx: &mut RequestCx<'_>) {
        if let (Some(limits), Some(what)) = (&self.rate_limit, charged.rate_limit) {
            limits.give_back(what, cx);
        }
        if let (Some(quota), Some(what)) = (&self.quota, charged.quota) {
            quota.give_back(what, cx);
        }
    }

    /// What a request would be charged to.
    pub(super) fn in_words(&self, cx: &RequestCx<'_>) -> Vec<String> {
        let limits = self.rate_limit.iter().map(|limits| (limits.place(), limits.in_words(cx)));
        let quota = self.quota.iter().map(|quota| (quota.place(), quota.in_words(cx)));
        let at_once = self.concurrency.iter().map(|limit| (limit.place(), limit.in_words(cx)));
        limits.chain(quota).chain(at_once).map(|(place, words)| format!("{place}: {words}")).collect()
    }
}

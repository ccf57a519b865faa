//! The plans of a configuration, and who has which.
//!
//! Entry points: [`Plans::new`], [`Plans::policy`].

use std::collections::HashMap;
use std::sync::Arc;

use super::run::Ready;
use crate::Policy;
use crate::rate_limit;

/// A plan, as it is put among the others.
#[derive(Debug)]
pub struct NewPlan {
    /// How often over all services; a policy `rate_limit`.
    pub everywhere: Option<Policy>,
    /// How often for each of some services; policies `rate_limit`.
    pub services: Vec<(Box<str>, Policy)>,
}

/// What a plan allows.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) everywhere: Option<rate_limit::Ready>,
    services: HashMap<Box<str>, rate_limit::Ready>,
}

/// All plans, and who has which.
#[derive(Debug)]
pub struct Plans {
    list: Box<[Plan]>,
    /// By the place of a consumer among the others.
    of: Box<[Option<u32>]>,
}

impl Plans {
    /// Of these, where `of` has the position of the plan of each consumer.
    pub fn new(list: Vec<NewPlan>, of: Vec<Option<u32>>) -> Arc<Plans> {
        let limits = |policy: Policy| match policy {
            Policy::RateLimit(ready) => Some(ready),
            _ => None,
        };
        let plan = |new: NewPlan| Plan {
            everywhere: new.everywhere.and_then(limits),
            services: new
                .services
                .into_iter()
                .filter_map(|(name, policy)| Some((name, limits(policy)?)))
                .collect(),
        };
        Arc::new(Plans { list: list.into_iter().map(plan).collect(), of: of.into() })
    }

    /// The policy that holds for what goes to a service, or to any that no plan names.
    pub fn policy(self: &Arc<Self>, service: Option<&str>) -> Policy {
        Policy::Plan(Ready { plans: Arc::clone(self), service: service.map(Into::into) })
    }

    /// All limits of all plans.
    pub fn limits(&self) -> impl Iterator<Item = &rate_limit::Ready> {
        self.list.iter().flat_map(|plan| plan.everywhere.iter().chain(plan.services.values()))
    }

    /// Names of services that some plan limits by themselves.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.list.iter().flat_map(|plan| plan.services.keys()).map(|name| &**name)
    }

    /// The plan of a consumer.
    #[inline]
    pub(crate) fn of(&self, consumer: u32) -> Option<&Plan> {
        self.list.get((*self.of.get(consumer as usize)?)? as usize)
    }
}

impl Plan {
    /// What holds for a service besides.
    #[inline]
    pub(crate) fn of_service(&self, service: Option<&str>) -> Option<&rate_limit::Ready> {
        if self.services.is_empty() {
            return None;
        }
        self.services.get(service?)
    }
}

//! The plans of a configuration, and who has which.
//!
//! Entry points: [`Plans::new`], [`Plans::policy`].

use std::collections::HashMap;
use std::sync::Arc;

use super::allowed::Allowed;
use super::run::Ready;
use crate::Policy;

/// A plan, as it is put among the others. What it allows are policies: `rate_limit`, `quota`, `concurrency`.
#[derive(Debug)]
pub struct NewPlan {
    /// Over all services.
    pub everywhere: Vec<Policy>,
    /// For each of some services, besides.
    pub services: Vec<(Box<str>, Vec<Policy>)>,
}

/// What a plan allows.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) everywhere: Allowed,
    services: HashMap<Box<str>, Allowed>,
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
        let plan = |new: NewPlan| Plan {
            everywhere: Allowed::new(new.everywhere),
            services: new.services.into_iter().map(|(name, all)| (name, Allowed::new(all))).collect(),
        };
        Arc::new(Plans { list: list.into_iter().map(plan).collect(), of: of.into() })
    }

    /// The policy that holds for what goes to a service, or to any that no plan names.
    pub fn policy(self: &Arc<Self>, service: Option<&str>) -> Policy {
        Policy::Plan(Ready { plans: Arc::clone(self), service: service.map(Into::into) })
    }

    /// What all plans allow.
    pub fn allowed(&self) -> impl Iterator<Item = &Allowed> {
        self.list.iter().flat_map(|plan| std::iter::once(&plan.everywhere).chain(plan.services.values()))
    }

    /// Names of services that some plan says something about.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.list.iter().flat_map(|plan| plan.services.keys()).map(|name| &**name)
    }

    /// What the plan of a consumer allows, everywhere and of services; nothing if it has none.
    pub fn allowed_to(&self, consumer: u32) -> impl Iterator<Item = &Allowed> {
        self.of(consumer)
            .into_iter()
            .flat_map(|plan| std::iter::once(&plan.everywhere).chain(plan.services.values()))
    }

    /// All plans.
    pub(super) fn list(&self) -> &[Plan] {
        &self.list
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
    pub(crate) fn of_service(&self, service: Option<&str>) -> Option<&Allowed> {
        if self.services.is_empty() {
            return None;
        }
        self.services.get(service?)
    }
}

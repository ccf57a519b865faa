//! `plans`: what a consumer may use.
//!
//! How limits are written is known where they are prepared.

use document::{Map, Node, section};

section! {
    /// A usage plan: what each consumer who has it may use.
    pub struct Plan {
        /// How often, over all services together: written as the policy `rate_limit` is.
        rate_limit: Option<Node>,
        /// How much in a day, a week or a month: written as the policy `quota` is.
        quota: Option<Node>,
        /// How many requests at once: written as the policy `concurrency` is.
        concurrency: Option<Node>,
        /// How much of a service, besides: `services: { reports: { rate_limit: 5/min } }`.
        services: Map<PlanOfService> = "{}",
    }
}

section! {
    /// What each consumer may use of a service.
    pub struct PlanOfService {
        /// How often: written as the policy `rate_limit` is.
        rate_limit: Option<Node>,
        /// How much in a day, a week or a month: written as the policy `quota` is.
        quota: Option<Node>,
        /// How many requests at once: written as the policy `concurrency` is.
        concurrency: Option<Node>,
    }
}

impl Plan {
    /// What holds over all services: the kind of policy, and its settings.
    pub fn allowed(&self) -> impl Iterator<Item = (&'static str, &Node)> {
        allowed(&self.rate_limit, &self.quota, &self.concurrency)
    }
}

impl PlanOfService {
    /// What holds: the kind of policy, and its settings.
    pub fn allowed(&self) -> impl Iterator<Item = (&'static str, &Node)> {
        allowed(&self.rate_limit, &self.quota, &self.concurrency)
    }
}

fn allowed<'n>(
    rate_limit: &'n Option<Node>,
    quota: &'n Option<Node>,
    concurrency: &'n Option<Node>,
) -> impl Iterator<Item = (&'static str, &'n Node)> {
    let kinds = [("rate_limit", rate_limit), ("quota", quota), ("concurrency", concurrency)];
    kinds.into_iter().filter_map(|(kind, node)| Some((kind, node.as_ref()?)))
}

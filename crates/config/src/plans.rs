//! `plans`: what a consumer may use.
//!
//! How limits are written is known where they are prepared.

use document::{Map, Node, section};

section! {
    /// A usage plan: what each consumer who has it may use.
    pub struct Plan {
        /// How often, over all services together: written as the policy `rate_limit` is.
        rate_limit: Option<Node>,
        /// How much of a service, besides: `services: { reports: { rate_limit: 5/min } }`.
        services: Map<PlanOfService> = "{}",
    }
    not_built {
        "quota" => "limits by day and month",
    }
}

section! {
    /// What each consumer may use of a service.
    pub struct PlanOfService {
        /// How often: written as the policy `rate_limit` is.
        rate_limit: Option<Node>,
    }
    not_built {
        "quota" => "limits by day and month",
    }
}

//! Lets a consumer use what its plan allows.

use std::sync::Arc;

use super::allowed::Allowed;
use super::plans::{Plan, Plans};
use crate::{Flow, RequestCx, ResponseCx, Stage};

const KIND: &str = "plan";

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(crate) plans: Arc<Plans>,
    /// The service that requests go to, where a plan says something about it.
    pub(crate) service: Option<Box<str>>,
}

impl Ready {
    /// When it is known who is calling and that they may.
    pub const STAGE: Stage = Stage::Limit;
    /// That is what it is for.
    pub const CAN_REFUSE: bool = true;

    /// The limits of all plans, which it shares with the others of its kind.
    pub fn plans(&self) -> &Arc<Plans> {
        &self.plans
    }

    /// Of each plan the first limit, in words, that could never bear a request which counts as so many.
    pub fn never_bear(&self, cost: u32) -> Vec<String> {
        let of = |plan: &Plan| {
            let of_service = plan.of_service(self.service.as_deref());
            std::iter::once(&plan.everywhere).chain(of_service).find_map(|allowed| allowed.never_bears(cost))
        };
        self.plans.list().iter().filter_map(of).collect()
    }

    /// Charges the plan of the consumer who is calling. Whoever is none, or has no plan, is not concerned.
    pub fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        let Some(plan) = cx.state.caller().consumer().and_then(|consumer| self.plans.of(consumer)) else {
            return Flow::Continue;
        };
        let of_service = plan.of_service(self.service.as_deref());
        if cx.state.is_explained() {
            let all = std::iter::once(&plan.everywhere).chain(of_service);
            let words: Vec<String> = all.flat_map(|allowed| allowed.in_words(cx)).collect();
            let times = match cx.state.plan_cost {
                0 | 1 => String::new(),
                cost => format!("; this counts as {cost} requests"),
            };
            cx.state.remark(KIND, || format!("{}{times}", words.join("; ")));
            return Flow::Continue;
        }
        let cost = cx.state.plan_cost;
        cx.state.set_cost_factor(cost);
        let charged = match of_service {
            Some(of_service) => Allowed::charge(&[&plan.everywhere, of_service], KIND, cx),
            None => Allowed::charge(&[&plan.everywhere], KIND, cx),
        };
        cx.state.set_cost_factor(1);
        match charged {
            Ok(()) => Flow::Continue,
            Err(flow) => flow,
        }
    }

    /// Tells the client how its limit stands.
    pub fn on_response(&self, cx: &mut ResponseCx<'_>) {
        cx.state.tell_limit(cx.headers);
    }
}

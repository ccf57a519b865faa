//! Lets a consumer use what its plan allows.

use std::sync::Arc;

use super::plans::Plans;
use crate::rate_limit::charge;
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

    /// Charges the plan of the consumer who is calling. Whoever is none, or has no plan, is not concerned.
    pub fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        let Some(plan) = cx.state.caller().consumer().and_then(|consumer| self.plans.of(consumer)) else {
            return Flow::Continue;
        };
        let of_service = plan.of_service(self.service.as_deref());
        if cx.state.is_explained() {
            let all = plan.everywhere.iter().chain(of_service);
            let words = all.map(|limits| format!("{}: {}", limits.place(), limits.in_words(cx)));
            let words = words.collect::<Vec<_>>().join("; ");
            cx.state.remark(KIND, || words);
            return Flow::Continue;
        }
        let charged = match (&plan.everywhere, of_service) {
            (Some(everywhere), Some(of_service)) => charge(KIND, &[everywhere, of_service], cx),
            (Some(one), None) | (None, Some(one)) => charge(KIND, &[one], cx),
            (None, None) => return Flow::Continue,
        };
        match charged {
            Ok(_) => Flow::Continue,
            Err(flow) => flow,
        }
    }

    /// Tells the client how its limit stands.
    pub fn on_response(&self, cx: &mut ResponseCx<'_>) {
        if let Some(level) = &cx.state.limit {
            level.tell(cx.headers);
        }
    }
}

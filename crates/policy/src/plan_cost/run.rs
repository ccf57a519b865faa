//! Says what a request costs of the plan of whoever asks, before the plan is charged.

use crate::{Flow, RequestCx, ResponseCx, Stage};

const KIND: &str = "plan_cost";

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(crate) cost: u32,
}

impl Ready {
    /// In front of the plan, which is charged in the same stage.
    pub const STAGE: Stage = Stage::Limit;
    /// The plan refuses, not this.
    pub const CAN_REFUSE: bool = false;

    /// How many units of a plan a request costs.
    pub fn cost(&self) -> u32 {
        self.cost
    }

    /// Leaves the cost for the plan.
    pub fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        cx.state.remark(KIND, || format!("of a plan it takes {}", self.cost));
        cx.state.plan_cost = self.cost;
        Flow::Continue
    }

    /// Nothing to do on the way back.
    pub fn on_response(&self, _: &mut ResponseCx<'_>) {}
}

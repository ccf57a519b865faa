//! `routes[].canary`

use balance::rollout::{Condition, Plan, PlanError, Share};
use config::{Canary, Route};
use diagnostics::{Code, Diagnostic, Diagnostics};

/// How a canary is to go.
pub(crate) fn compile(route: &Route, raw: &Canary, diagnostics: &mut Diagnostics) -> Option<Plan> {
    check_route(route, raw, diagnostics);
    let share = |hundredths: u16| Share::new(hundredths);
    let steps = raw.steps.value.iter().filter_map(|step| share(step.value.hundredths())).collect();
    let every = u64::try_from(raw.every.get().as_millis()).unwrap_or(u64::MAX);
    // What cannot be a condition was reported when it was read.
    let conditions = raw.abort_if.conditions();
    let conditions = conditions.filter_map(|(measure, above)| Condition::new(measure, above.value.0).ok());
    Plan::new(steps, every, conditions.collect(), raw.min_requests.into())
        .map_err(|error| {
            let place = match error {
                PlanError::NotRising { step } => raw.steps.value.get(step).map(|step| step.span),
                PlanError::NothingToCompare { condition } => {
                    raw.abort_if.conditions().nth(condition).map(|(_, above)| above.span)
                }
                _ => None,
            };
            let place = place.unwrap_or(raw.steps.span);
            diagnostics.push(Diagnostic::error(Code::InvalidValue, place, error.to_string()));
        })
        .ok()
}

fn check_route(route: &Route, raw: &Canary, diagnostics: &mut Diagnostics) {
    let Some(service) = &route.service else {
        diagnostics.push(
            Diagnostic::error(
                Code::ConflictingKeys,
                raw.span,
                "a canary is a new version of a `service`, and this route has none",
            )
            .help("name the stable version: `service: v1`; a `split` with fixed shares needs no canary"),
        );
        return;
    };
    if service.value == raw.service.value {
        diagnostics.push(
            Diagnostic::error(
                Code::InvalidValue,
                raw.service.span,
                "the canary is the stable service itself",
            )
            .related(service.span, "the stable one")
            .help("name another service"),
        );
    }
    if route.name.is_none() {
        diagnostics.push(
            Diagnostic::error(Code::MissingKey, raw.span, "a route with a canary needs a `name`")
                .label("how far it has come is kept by the name of its route")
                .help("add one: `name: checkout`"),
        );
    }
}

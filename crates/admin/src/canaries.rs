//! `/canaries`: new versions on their way; and `POST /canaries/ROUTE/pause`, `resume`, `promote`, `abort`, `restart`.

use control::{CanaryOrder, CanaryView, View};
use serde_json::{Value, json};

/// What is asked for: the route, and what to do.
pub(crate) fn parse(path: &str) -> Option<(&str, CanaryOrder)> {
    let (route, what) = path.strip_prefix("/canaries/")?.rsplit_once('/')?;
    let order = match what {
        "pause" => CanaryOrder::Pause,
        "resume" => CanaryOrder::Resume,
        "promote" => CanaryOrder::Promote,
        "abort" => CanaryOrder::Abort,
        "restart" => CanaryOrder::Restart,
        _ => return None,
    };
    Some((route, order))
}

/// Does it, and says how the canary stands then; or why not, in words.
pub(crate) fn run(view: &View, route: &str, order: CanaryOrder) -> Result<Value, String> {
    let changed = view.order_canary(route, order);
    let canary = view.canaries().into_iter().find(|canary| &*canary.route == route);
    match (changed, canary) {
        (Some(true), Some(canary)) => Ok(shown(&canary)),
        (Some(false), Some(canary)) => {
            Err(format!("The canary of route `{route}` is {}: that cannot be done to it now.", canary.state))
        }
        _ => Err(format!("Route `{route}` has no canary: /canaries lists those that have.")),
    }
}

/// All of them.
pub(crate) fn page(view: &View) -> Value {
    json!({ "canaries": view.canaries().iter().map(shown).collect::<Vec<_>>() })
}

fn shown(canary: &CanaryView) -> Value {
    json!({
        "route": &*canary.route,
        "stable": canary.stable,
        "canary": canary.new,
        "state": canary.state,
        "percent": canary.percent,
        "step": canary.step.map(|(step, _)| step),
        "steps": canary.step.map(|(_, steps)| steps),
        "requests": canary.requests.map(|(requests, _)| requests),
        "failed": canary.requests.map(|(_, failed)| failed),
        "why": canary.why,
    })
}

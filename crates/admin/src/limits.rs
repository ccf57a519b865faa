//! `/limits`: the limits in use, and how they stand for somebody; and `POST /limits/reset`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use control::View;
use policy::{Link, Policy, rate_limit};
use serde_json::{Value, json};
use snapshot::Snapshot;

/// What is asked about somebody: the values of `key`, and of `at` if only limits of a place are meant.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    values: Vec<String>,
    place: Option<String>,
}

impl Asked {
    /// From a query such as `key=mobile&at=plan%20gold`.
    pub(crate) fn parse(query: &str) -> Asked {
        let mut asked = Asked::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = String::from_utf8_lossy(&router::decoded_query(value.as_bytes())).into_owned();
            match name {
                "key" => asked.values.push(value),
                "at" => asked.place = Some(value),
                _ => {}
            }
        }
        asked
    }

    fn is_about(&self, limits: &rate_limit::Ready) -> bool {
        self.place.as_deref().is_none_or(|place| place == limits.place())
    }
}

/// All limits; for somebody, if `key` says for whom.
pub(crate) fn page(view: &View, asked: &Asked) -> Value {
    let values: Vec<&str> = asked.values.iter().map(String::as_str).collect();
    let now = Instant::now();
    let mut all = Vec::new();
    each(&view.active().snapshot, |kind, limits| {
        if !asked.is_about(limits) {
            return;
        }
        for limit in limits.views(&values, now) {
            all.push(json!({
                "at": limit.place,
                "policy": kind,
                "limit": limit.limit,
                "burst": limit.burst,
                "by": limit.by,
                "mode": if limit.dry_run { "dry_run" } else { "enforce" },
                "keys": limit.keys,
                "left": limit.left.map(|(left, _)| left),
                "full_after_s": limit.left.map(|(_, after)| after),
            }));
        }
    });
    json!({ "limits": all })
}

/// Forgets what somebody has used; or says in words why there is nothing to forget.
pub(crate) fn reset(view: &View, asked: &Asked) -> Result<Value, String> {
    if asked.values.is_empty() {
        return Err("Say whose: POST /limits/reset?key=CONSUMER, with one `key` for each of `by`.".to_owned());
    }
    let values: Vec<&str> = asked.values.iter().map(String::as_str).collect();
    let mut count = 0;
    each(&view.active().snapshot, |_, limits| {
        if asked.is_about(limits) {
            count += limits.reset(&values);
        }
    });
    match count {
        0 => Err("Nobody with this key has used anything of a limit: /limits lists them.".to_owned()),
        count => Ok(json!({ "reset": count })),
    }
}

/// Looks at each policy once, however many routes have it.
fn each(snapshot: &Snapshot, mut look: impl FnMut(&'static str, &rate_limit::Ready)) {
    let mut seen = HashSet::new();
    let routes = snapshot.routes.iter().flat_map(|route| {
        (0..route.action.ways()).filter_map(|way| route.action.chain(way)).flat_map(|chain| chain.links())
    });
    for Link { policy, .. } in snapshot.gateway.links().iter().chain(routes) {
        match &**policy {
            Policy::RateLimit(limits) => {
                if seen.insert(Arc::as_ptr(policy).cast::<()>()) {
                    look("rate_limit", limits);
                }
            }
            // All of this kind share the plans.
            Policy::Plan(plan) => {
                if seen.insert(Arc::as_ptr(plan.plans()).cast::<()>()) {
                    plan.plans().limits().for_each(|limits| look("plan", limits));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_in_the_query() {
        let asked = Asked::parse("key=a%20b&at=plan+gold&key=c&x=y&");
        assert_eq!(asked, Asked { values: vec!["a b".into(), "c".into()], place: Some("plan gold".into()) });
        assert_eq!(Asked::parse(""), Asked::default());
    }
}

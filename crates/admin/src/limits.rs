//! `/limits`: the limits in use, and how they stand for somebody; and `POST /limits/reset`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use control::{StoreView, View};
use policy::{Link, Policy, rate_limit};
use serde_json::{Value, json};
use snapshot::Snapshot;
use store::Status;

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
pub(crate) async fn page(view: &View, asked: &Asked) -> Value {
    let values: Vec<&str> = asked.values.iter().map(String::as_str).collect();
    let now = Instant::now();
    let mut views = Vec::new();
    each(&view.active().snapshot, |kind, limits| {
        if asked.is_about(limits) {
            views.extend(limits.views(&values, now).into_iter().map(|limit| (kind, limit)));
        }
    });
    let store = view.store();
    let mut all = Vec::new();
    // One that does not answer is asked no further: the rest would only take its time too.
    let mut trouble = None;
    for (kind, limit) in views {
        let (left, full_after) = limit.left.unzip();
        let (mut left, mut full_after, mut counted) = (left.map(u64::from), full_after, "here");
        if let (Some(ask), None) = (&limit.ask, &trouble) {
            match store.look(ask).await {
                Ok(decision) => {
                    let standing = decision.each.first().copied().unwrap_or_default();
                    left = Some(standing.left);
                    full_after = Some(standing.reset_after_us.div_ceil(1_000_000));
                    counted = "at the store";
                }
                Err(why) => trouble = Some(why),
            }
        }
        all.push(json!({
            "at": limit.place,
            "policy": kind,
            "limit": limit.limit,
            "burst": limit.burst,
            "by": limit.by,
            "mode": if limit.dry_run { "dry_run" } else { "enforce" },
            "shared": limit.shared,
            "keys": limit.keys,
            "left": left,
            "full_after_s": full_after,
            "counted": left.map(|_: u64| counted),
        }));
    }
    json!({ "limits": all, "store": store_state(&store) })
}

/// How the store that gateways share is; nothing if there is none.
fn store_state(store: &StoreView) -> Value {
    let Some((address, status)) = store.status() else { return Value::Null };
    let (state, error) = match status {
        Status::Connecting => ("connecting", None),
        Status::Up => ("up", None),
        Status::Down(why) => ("down", Some(why.to_string())),
    };
    json!({ "address": address, "state": state, "error": error })
}

/// Forgets what somebody has used; or says in words why there is nothing to forget.
pub(crate) async fn reset(view: &View, asked: &Asked) -> Result<Value, String> {
    if asked.values.is_empty() {
        return Err("Say whose: POST /limits/reset?key=CONSUMER, with one `key` for each of `by`.".to_owned());
    }
    let values: Vec<&str> = asked.values.iter().map(String::as_str).collect();
    let (mut here, mut shared) = (0, Vec::new());
    each(&view.active().snapshot, |_, limits| {
        if asked.is_about(limits) {
            here += limits.reset(&values);
            shared.extend(limits.forget_at_store(&values));
        }
    });
    let store = view.store();
    let mut forgotten = 0;
    for ask in &shared {
        let why =
            |why| format!("{here} limits of this gateway were reset, and {forgotten} at the store: {why}");
        store.give_back(ask).await.map_err(why)?;
        forgotten += 1;
    }
    // What the store has forgotten may be the same that was known here.
    match here.max(forgotten) {
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

//! What a request costs of a plan, and of nothing else.

use std::sync::Arc;

use crate::plan::{NewPlan, Plans};
use crate::scene::{Scene, policy};
use crate::{Answer, Chain, Consumers, Link, NewConsumer, NewKey, digest_of};

fn consumers() -> Arc<Consumers> {
    let key = NewKey { digest: digest_of(b"gold"), expires: None, name: None };
    Arc::new(Consumers::new(&[NewConsumer {
        name: "gold".into(),
        api_keys: vec![key],
        ..NewConsumer::default()
    }]))
}

/// How many of twenty requests pass, where a plan and these policies hold.
fn passes(plan: &[(&str, &str)], policies: &[(&str, &str)]) -> usize {
    let consumers = consumers();
    let ready = |kind: &str, written: &str| policy(kind, written, &consumers).unwrap();
    let everywhere = plan.iter().map(|(kind, written)| ready(kind, written)).collect();
    let plans = Plans::new(vec![NewPlan { everywhere, services: Vec::new() }], vec![Some(0)]);
    let mut all = vec![ready("api_key", "{}"), plans.policy(None)];
    all.extend(policies.iter().map(|(kind, written)| ready(kind, written)));
    all.sort_by_key(crate::Policy::kind_index);
    all.sort_by_key(crate::Policy::stage);
    let link = |policy| Link { policy: Arc::new(policy), source: diagnostics::Span::default() };
    let chain = Chain::new(all.into_iter().map(link).collect());
    let at = std::time::Instant::now();
    (0..20)
        .filter(|_| {
            let consumers = Arc::clone(&consumers);
            let mut scene = Scene { consumers, at, ..Scene::get("/", &[("x-api-key", "gold")]) };
            scene.run(&chain, || -> Answer { panic!("nobody is asked") }).is_none()
        })
        .count()
}

#[test]
fn a_request_costs_what_was_said() {
    let rate: &[_] = &[("rate_limit", "12/min")];
    let quota: &[_] = &[("quota", "12/day")];
    for plan in [rate, quota] {
        assert_eq!(passes(plan, &[]), 12);
        assert_eq!(passes(plan, &[("plan_cost", "4")]), 3);
        assert_eq!(passes(plan, &[("plan_cost", "13")]), 0);
    }
    let own: &[_] = &[("rate_limit", "{ limit: 12/min, cost: 2 }")];
    assert_eq!(passes(own, &[("plan_cost", "3")]), 2, "so many times as much as the plan has said");
}

#[test]
fn what_a_quota_refuses_is_given_back_whole() {
    // Each request that passes costs three of both; the third is refused by the quota, and the rate keeps its units.
    let plan: &[_] = &[("rate_limit", "12/min"), ("quota", "6/day")];
    assert_eq!(passes(plan, &[("plan_cost", "3")]), 2);
}

#[test]
fn other_limits_have_costs_of_their_own() {
    let plan: &[_] = &[("rate_limit", "1000/min")];
    assert_eq!(passes(plan, &[("plan_cost", "10"), ("rate_limit", "5/min"), ("quota", "9/day")]), 5);
}

//! Whose plan holds for what, and what is charged to whom.

use std::sync::Arc;

use super::{NewPlan, Plans};
use crate::scene::{Scene, policy};
use crate::{Answer, Chain, Consumers, Link, NewConsumer, NewKey, Policy, digest_of};

fn consumers() -> Arc<Consumers> {
    let one = |name: &str| NewConsumer {
        name: name.into(),
        api_keys: vec![NewKey { digest: digest_of(name.as_bytes()), expires: None, name: None }],
        ..NewConsumer::default()
    };
    Arc::new(Consumers::new(&[one("gold"), one("bronze"), one("none"), one("other")]))
}

fn limit(written: &str) -> Policy {
    policy("rate_limit", written, &consumers()).unwrap()
}

fn plans() -> Arc<Plans> {
    let gold = NewPlan {
        everywhere: vec![limit("6/min")],
        services: vec![("reports".into(), vec![limit("2/min")])],
    };
    let bronze = NewPlan { everywhere: vec![limit("1/min")], services: Vec::new() };
    Plans::new(vec![gold, bronze], vec![Some(0), Some(1), None, Some(0)])
}

/// How many of ten requests pass.
fn passes(plans: &Arc<Plans>, service: Option<&str>, key: &str) -> usize {
    passes_for(plans, service, key, &["limited"])
}

/// The same, where others are refused for these reasons.
fn passes_for(plans: &Arc<Plans>, service: Option<&str>, key: &str, reasons: &[&str]) -> usize {
    let consumers = consumers();
    let link = |policy| Link { policy: Arc::new(policy), source: diagnostics::Span::default() };
    let known = policy("api_key", "{}", &consumers).unwrap();
    let open = policy("auth", "{ anonymous: allow }", &consumers).unwrap();
    let chain = Chain::new(vec![link(known), link(open), link(plans.policy(service))]);
    let begin = std::time::Instant::now();
    let ask = |_: &usize| {
        let fields = if key.is_empty() { &[][..] } else { &[("x-api-key", key)][..] };
        let mut scene = Scene { consumers: Arc::clone(&consumers), at: begin, ..Scene::get("/", fields) };
        match scene.run(&chain, || -> Answer { panic!("nobody is asked") }) {
            None => true,
            Some(reply) => {
                let (kind, reason) = scene.state.stopped_by.unwrap();
                assert!((reply.status, kind) == (429, "plan") && reasons.contains(&reason), "{reason}");
                false
            }
        }
    };
    (0..10).filter(ask).count()
}

#[test]
fn a_consumer_uses_what_its_plan_allows() {
    let plans = plans();
    assert_eq!(passes(&plans, None, "bronze"), 1);
    assert_eq!(
        passes(&plans, Some("reports"), "gold"),
        2,
        "what is refused for a service is charged nowhere"
    );
    assert_eq!(passes(&plans, None, "gold"), 4);
    assert_eq!(passes(&plans, None, "other"), 6, "each has limits of its own");
    assert_eq!((passes(&plans, None, "none"), passes(&plans, None, "")), (10, 10), "not concerned");
    assert_eq!(plans.services().collect::<Vec<_>>(), ["reports"]);
}

#[test]
fn a_plan_has_quotas_and_what_one_refuses_is_charged_to_none() {
    let quota = |written: &str| policy("quota", written, &consumers()).unwrap();
    let everywhere = vec![limit("6/min"), quota("5/day")];
    let services = vec![("reports".into(), vec![quota("2/day")])];
    let plans = Plans::new(vec![NewPlan { everywhere, services }], vec![Some(0), None, None, None]);
    assert_eq!(passes_for(&plans, Some("reports"), "gold", &["used_up"]), 2);
    assert_eq!(
        passes_for(&plans, None, "gold", &["used_up"]),
        3,
        "and the rate would have let one more through"
    );
}

#[test]
fn there_is_nothing_to_write() {
    let mistakes = policy("plan", "{}", &consumers()).unwrap_err();
    assert!(mistakes[0].1.contains("by themselves"), "{mistakes:?}");
}

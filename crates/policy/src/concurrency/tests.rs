//! Who may have how much under way.

use std::sync::Arc;

use crate::scene::{Scene, policy};
use crate::{Flow, Policy, Providers};

fn written(written: &str) -> Policy {
    policy("concurrency", written, &Arc::default()).unwrap()
}

/// A request that begins: its status, and what holds its places.
fn begin(policy: &Policy, tenant: &str) -> (u16, Scene) {
    let mut scene = Scene::get("/", &[("x-tenant", tenant)]);
    let status = match policy.on_request(&mut scene.cx()) {
        Flow::Continue => 200,
        Flow::Reply(reply) => reply.status,
        other => panic!("{other:?}"),
    };
    (status, scene)
}

#[test]
fn places_are_held_until_requests_are_over() {
    let policy = written("{ limit: 2, by: \"header:x-tenant\" }");
    let (one, mut first) = begin(&policy, "a");
    let (two, second) = begin(&policy, "a");
    let (three, refused) = begin(&policy, "a");
    assert_eq!((one, two, three, begin(&policy, "b").0), (200, 200, 429, 200));
    assert_eq!(refused.state.stopped_by, Some(("concurrency", "too_many_at_once")));
    let copy = second.state.clone();
    first.state.clear();
    assert_eq!(begin(&policy, "a").0, 200, "that one is over again too");
    drop(second);
    let Policy::Concurrency(ready) = &policy else { panic!() };
    assert_eq!((ready.views(&["a"])[0].under_way, ready.views(&[])[0].keys), (Some(0), 0));
    drop(copy);
    assert_eq!(begin(&policy, "a").0, 200);
}

#[test]
fn a_request_has_a_place_in_all_limits_or_in_none() {
    let policy = written("[{ limit: 2, by: \"header:x-tenant\" }, { limit: 1, by: route }]");
    let (one, held) = begin(&policy, "a");
    assert_eq!((one, begin(&policy, "a").0, begin(&policy, "a").0), (200, 503, 503));
    let Policy::Concurrency(ready) = &policy else { panic!() };
    assert_eq!(ready.views(&["a"])[0].under_way, Some(1));
    drop(held);
    let tried = written("{ limit: 1, by: route, mode: dry_run }");
    let (_, _held) = begin(&tried, "a");
    let (status, scene) = begin(&tried, "a");
    assert_eq!((status, scene.state.tried), (200, Some(("concurrency", "dry_run"))));
}

#[test]
fn what_is_under_way_counts_across_a_reload() {
    let providers = Providers::default();
    let (one, same, other) = (providers.slots([1; 32]), providers.slots([1; 32]), providers.slots([2; 32]));
    assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &other));
}

#[test]
fn mistakes_are_said() {
    for mistake in ["0", "{ by: route }", "{ limit: 5, by: nobody }", "1000001"] {
        assert!(!policy("concurrency", mistake, &Arc::default()).unwrap_err().is_empty(), "{mistake}");
    }
}

#[test]
fn a_request_is_explained_and_holds_nothing() {
    let policy = written("[5, { limit: 1, by: route }]");
    let mut scene = Scene::get("/", &[]);
    scene.state.explain();
    assert!(matches!(policy.on_request(&mut scene.cx()), Flow::Continue));
    let words = scene.state.remark_of("concurrency");
    assert_eq!(words, Some("5 at once of client_ip 127.0.0.1; 1 at once of route r"));
    assert_eq!(begin(&policy, "a").0, 200);
}

//! Announced lengths are checked at once, others leave a limit behind.

use message::Fault;

use super::run::Ready;
use crate::Flow;
use crate::scene::Scene;

fn outcome(length: Option<u64>) -> (Flow, Option<u64>) {
    let mut scene = Scene { body_length: length, ..Scene::get("/", &[]) };
    let flow = Ready { body: 10 }.on_request(&mut scene.cx());
    (flow, scene.state.body_limit)
}

#[test]
fn the_limit_itself_is_allowed() {
    assert!(matches!(outcome(Some(10)), (Flow::Continue, Some(10))));
    assert!(matches!(outcome(Some(11)), (Flow::Fault(Fault::BodyTooLarge), None)));
    assert!(matches!(outcome(None), (Flow::Continue, Some(10))));
}

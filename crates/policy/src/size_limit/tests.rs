//! Announced lengths are checked at once, others leave a limit behind.

use std::net::{IpAddr, Ipv4Addr};

use message::{Fault, RequestHead};

use super::run::Ready;
use crate::{Flow, RequestCx, RequestState};

fn outcome(length: Option<u64>) -> (Flow, Option<u64>) {
    let (mut head, mut state, mut rng) =
        (RequestHead::default(), RequestState::default(), fastrand::Rng::with_seed(1));
    let flow = Ready { body: 10 }.on_request(&mut RequestCx {
        head: &mut head,
        body_length: length,
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        encryption: None,
        trusted_peer: false,
        state: &mut state,
        rng: &mut rng,
    });
    (flow, state.body_limit)
}

#[test]
fn the_limit_itself_is_allowed() {
    assert!(matches!(outcome(Some(10)), (Flow::Continue, Some(10))));
    assert!(matches!(outcome(Some(11)), (Flow::Fault(Fault::BodyTooLarge), None)));
    assert!(matches!(outcome(None), (Flow::Continue, Some(10))));
}

//! Ids are made, taken over only from whom they may be, and returned.

use std::net::{IpAddr, Ipv4Addr};

use message::{Headers, RequestHead};

use super::run::{Accept, Ready};
use crate::{Flow, RequestCx, RequestState, ResponseCx};

fn id_for(accept: Accept, trusted_peer: bool, sent: Option<&str>) -> String {
    let ready = Ready { header: Box::from(&b"x-request-id"[..]), accept };
    let (mut head, mut state, mut rng) =
        (RequestHead::default(), RequestState::default(), fastrand::Rng::with_seed(1));
    if let Some(sent) = sent {
        head.headers.push(b"X-Request-Id", sent.as_bytes());
    }
    let flow = ready.on_request(&mut RequestCx {
        head: &mut head,
        body_length: Some(0),
        client: IpAddr::V4(Ipv4Addr::LOCALHOST),
        encryption: None,
        trusted_peer,
        state: &mut state,
        rng: &mut rng,
    });
    assert!(matches!(flow, Flow::Continue));
    let mut response = Headers::default();
    ready.on_response(&mut ResponseCx { status: 200, headers: &mut response, state: &state });
    let sent_on: Vec<_> = head.headers.values(b"x-request-id").collect();
    assert_eq!(sent_on, response.values(b"x-request-id").collect::<Vec<_>>());
    assert_eq!(sent_on.len(), 1);
    String::from_utf8(sent_on[0].to_vec()).unwrap()
}

#[test]
fn ids_are_taken_over_only_from_whom_they_may_be() {
    assert_eq!(id_for(Accept::Trusted, true, Some("abc")), "abc");
    assert_ne!(id_for(Accept::Trusted, false, Some("abc")), "abc");
    assert_eq!(id_for(Accept::Any, false, Some("abc")), "abc");
    assert_ne!(id_for(Accept::Never, true, Some("abc")), "abc");
    assert_eq!(id_for(Accept::Any, true, None).len(), 32);
    assert_eq!(id_for(Accept::Any, true, Some("a b")).len(), 32);
}

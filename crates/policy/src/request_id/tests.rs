//! Ids are made, taken over only from whom they may be, and returned.

use message::Headers;

use super::run::{Accept, Ready};
use crate::scene::Scene;
use crate::{Flow, ResponseCx};

fn id_for(accept: Accept, trusted_peer: bool, sent: Option<&str>) -> String {
    let ready = Ready { header: Box::from(&b"x-request-id"[..]), accept };
    let fields: Vec<(&str, &str)> = sent.iter().map(|sent| ("X-Request-Id", *sent)).collect();
    let mut scene = Scene { trusted_peer, ..Scene::get("/", &fields) };
    let flow = ready.on_request(&mut scene.cx());
    assert!(matches!(flow, Flow::Continue));
    let mut response = Headers::default();
    ready.on_response(&mut ResponseCx { status: 200, headers: &mut response, state: &scene.state });
    let sent_on: Vec<_> = scene.head.headers.values(b"x-request-id").collect();
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

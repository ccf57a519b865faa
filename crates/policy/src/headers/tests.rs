//! The order of edits, and Host.

use message::Headers;

use super::run::{Edits, Ready};
use crate::scene::Scene;
use crate::{RequestState, ResponseCx};

fn pair(name: &str, value: &str) -> (Box<[u8]>, Box<[u8]>) {
    (name.as_bytes().into(), value.as_bytes().into())
}

fn ready() -> Ready {
    let edits = |prefix: &str| Edits {
        remove: Box::new([b"X-Powered-By".as_slice().into()]),
        set: Box::new([pair("X-Set", prefix), pair("host", "inner.test:1")]),
        add: Box::new([pair("X-Set", "more")]),
    };
    Ready { request: edits("there"), response: edits("back") }
}

#[test]
fn requests_are_edited_and_host_is_what_the_service_sees() {
    let mut scene = Scene::get("/", &[("x-set", "old")]);
    ready().on_request(&mut scene.cx());
    let head = &scene.head;
    assert_eq!(head.headers.values(b"x-set").collect::<Vec<_>>(), [&b"there"[..], b"more"]);
    assert_eq!(head.authority(), Some(&b"inner.test:1"[..]));
}

#[test]
fn responses_lose_what_is_removed_in_any_case() {
    let mut headers = Headers::default();
    headers.push(b"x-powered-by", b"php");
    ready().on_response(&mut ResponseCx {
        status: 200,
        headers: &mut headers,
        state: &RequestState::default(),
    });
    assert!(headers.values(b"x-powered-by").next().is_none());
    assert_eq!(headers.values(b"x-set").count(), 2);
}

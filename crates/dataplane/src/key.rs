//! What requests that belong together have in common, as a number.

use balance::hash_key;
use message::cookie;
use snapshot::RequestKey;

use crate::request::Request;

/// The key of a request; `None` if it does not have what makes it.
pub(crate) fn of(key: &RequestKey, request: &Request) -> Option<u64> {
    let head = &request.head;
    match key {
        RequestKey::Header(name) => head.headers.values(name.as_bytes()).next().map(hash_key),
        RequestKey::Cookie(name) => cookie(&head.headers, name.as_bytes()).map(hash_key),
        RequestKey::Query(name) => {
            let mut found = None;
            router::any_query_value(head.query()?, name.as_bytes(), |value| {
                found = Some(hash_key(value));
                true
            });
            found
        }
        RequestKey::Consumer => {
            let (route, _) = request.route.as_ref()?;
            let identity = request.state.caller().identity(&route.route.consumers)?;
            Some(hash_key(identity.name().as_bytes()))
        }
        RequestKey::Path => Some(hash_key(head.path())),
        RequestKey::ClientIp => Some(match request.client {
            std::net::IpAddr::V4(address) => hash_key(&address.octets()),
            std::net::IpAddr::V6(address) => hash_key(&address.octets()),
        }),
    }
}

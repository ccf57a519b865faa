//! `POST /services/NAME/endpoints/ADDRESS/drain` and `/undrain`: an address gets no new requests any more, or again.
//!
//! It holds until it is taken back, over reloads too, and ends with the process. Requests under way go on.

use std::net::SocketAddr;

use control::{DrainError, View};
use serde_json::{Value, json};

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Drain<'p> {
    service: &'p str,
    address: &'p str,
    drains: bool,
}

/// The request that a path stands for; `None` if it is for something else.
pub(crate) fn parse(path: &str) -> Option<Drain<'_>> {
    let mut parts = path.strip_prefix("/services/")?.split('/');
    let (service, "endpoints", address, what, None) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next())
    else {
        return None;
    };
    let drains = match what {
        "drain" => true,
        "undrain" => false,
        _ => return None,
    };
    Some(Drain { service, address, drains })
}

/// Does it, and says how the address stands then; or why not, in words.
pub(crate) fn run(view: &View, drain: &Drain<'_>) -> Result<Value, String> {
    let Drain { service, address, drains } = *drain;
    let Ok(address) = address.parse::<SocketAddr>() else {
        return Err(format!(
            "`{address}` is no address: write an IP address and a port, such as 10.0.0.1:8080 or [fd00::1]:8080."
        ));
    };
    match view.drain(service, address, drains) {
        Ok(()) => Ok(json!({ "service": service, "address": address.to_string(), "drained": drains })),
        Err(DrainError::Service) => Err(format!("There is no service `{service}`: /services lists them.")),
        Err(DrainError::Address) => {
            Err(format!("Service `{service}` has no address {address}: /services lists what it has."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_drain() {
        let of = |service, address, drains| Some(Drain { service, address, drains });
        for (path, want) in [
            ("/services/a/endpoints/10.0.0.1:80/drain", of("a", "10.0.0.1:80", true)),
            ("/services/a.b/endpoints/[::1]:80/undrain", of("a.b", "[::1]:80", false)),
            ("/services/a/endpoints/10.0.0.1:80", None),
            ("/services/a/endpoints/10.0.0.1:80/drain/", None),
            ("/services/a/endpoints/10.0.0.1:80/stop", None),
            ("/services", None),
        ] {
            assert_eq!(parse(path), want, "{path}");
        }
    }
}

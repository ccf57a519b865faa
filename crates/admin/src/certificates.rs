//! `/certificates`: what clients are shown, until when, and how orders of certificates go.

use std::time::SystemTime;

use acme::{Action, written};
use control::View;
use serde_json::{Value, json};
use snapshot::{Acme, AcmeChallenge};

/// Every listener that encrypts, in the order of the configuration.
pub(crate) fn page(view: &View, now: SystemTime) -> Value {
    let active = view.active();
    let listeners = active.snapshot.listeners.iter().zip(view.addresses());
    let listeners = listeners.filter_map(|(listener, address)| {
        let tls = listener.tls.as_ref()?;
        let acme = listener.acme.as_ref();
        let named = tls.certificates().count().saturating_sub(acme.map_or(0, |acme| acme.kept));
        let certificates = tls.certificates().enumerate().map(|(position, (names, end))| {
            json!({
                "names": names,
                "from": if position < named { "file" } else { "acme" },
                "not_after": written(end),
                "days_left": end.duration_since(now).map_or(0, |left| left.as_secs() / 86_400),
            })
        });
        Some(json!({
            "address": address.to_string(),
            "certificates": certificates.collect::<Vec<_>>(),
            "acme": acme.map(|acme| orders(view, acme)),
        }))
    });
    json!({ "listeners": listeners.collect::<Vec<_>>() })
}

fn orders(view: &View, acme: &Acme) -> Value {
    json!({
        "directory": acme.directory,
        "challenge": match acme.challenge {
            AcmeChallenge::Http => "http-01",
            AcmeChallenge::TlsAlpn => "tls-alpn-01",
            AcmeChallenge::Dns => "dns-01",
        },
        "on_demand": !acme.on_demand.is_empty(),
        "hosts": view.orders_of(acme).iter().map(host).collect::<Vec<_>>(),
    })
}

fn host(one: &acme::View) -> Value {
    let failure = one.status.failure.as_ref();
    let (state, next_try) = match one.next {
        Action::Obtain if one.busy => ("ordering", None),
        Action::Obtain => ("queued", None),
        Action::Wait(at) => ("waiting", Some(written(at))),
    };
    json!({
        "host": one.host.as_str(),
        "state": state,
        "not_after": one.facts.map(|facts| written(facts.not_after)),
        "last_success": one.status.obtained.map(written),
        "last_failure": failure.map(|failure| json!({
            "at": written(failure.at),
            "why": failure.why.0,
            "in_a_row": failure.count,
        })),
        "next_try": next_try,
    })
}

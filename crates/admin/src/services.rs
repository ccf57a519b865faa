//! `/services`: what stands behind the gateway, and how it does.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use balance::Outage;
use balance::breaker::State;
use control::{AddressHealth, ServiceHealth, View};
use serde_json::{Value, json};
use snapshot::{Endpoint, EndpointHost, Service};
use telemetry::ServiceTotals;

/// Every service in the order of the configuration.
pub(crate) fn page(view: &View) -> Value {
    let active = view.active();
    let totals: HashMap<Box<str>, ServiceTotals> = view.metrics.services().into_iter().collect();
    let services =
        active.snapshot.services.iter().map(|service| one(view, service, totals.get(&service.name)));
    json!({ "services": services.collect::<Vec<_>>() })
}

fn one(view: &View, service: &Service, totals: Option<&ServiceTotals>) -> Value {
    let totals = totals.cloned().unwrap_or_default();
    let endpoints: Vec<Value> = service.endpoints.iter().map(|one| endpoint(view, one)).collect();
    json!({
        "name": service.name,
        "balance": service.algorithm.as_str(),
        "endpoints": endpoints,
        "in_flight": totals.in_flight,
        "connections": {
            "active": (totals.open - totals.idle).max(0),
            "idle": totals.idle,
            "opened": totals.opened,
            "reused": totals.reused,
            "max_per_address": service.max_connections,
        },
        "health": view.health_of(&service.name).map(|health| probed(&health)),
        "out": out(view, service),
        "circuit": view.circuit_of(&service.name).map(|state| match state {
            State::Closed => "closed",
            State::Open { .. } => "open",
            State::HalfOpen { .. } => "half_open",
        }),
        "waiting": totals.waiting,
        "concurrency_limit": service.concurrency.map(|_| totals.limit),
        "retries": totals.retries,
        "failures": totals.failures(),
    })
}

/// What probes say; `null` for a service that is not probed.
fn probed(health: &ServiceHealth) -> Value {
    let healthy = health.addresses.iter().filter(|one| one.standing.is_healthy()).count();
    let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let address = |one: &AddressHealth| {
        json!({
            "address": one.address.to_string(),
            "healthy": one.standing.is_healthy(),
            "takes_requests": balance::takes_requests(one.standing.outage(), health.panic),
            "since": seconds(one.since),
            "last_probe": one.last.as_ref().map(|last| json!({ "at": seconds(last.at), "result": last.result })),
        })
    };
    json!({
        "healthy": healthy,
        "unhealthy": health.addresses.len() - healthy,
        "panic": health.panic,
        "addresses": health.addresses.iter().map(address).collect::<Vec<_>>(),
    })
}

/// The addresses that are to get no requests, and why.
fn out(view: &View, service: &Service) -> Value {
    let ejected = view.ejected_of(&service.name);
    let shown = |(address, outage): (SocketAddr, Outage)| {
        let ejected = ejected.iter().find(|one| one.address == address);
        json!({
            "address": address.to_string(),
            "reason": outage.as_str(),
            "why": ejected.map(|one| one.cause.to_string()),
            "back_in_seconds": ejected.map(|one| one.back_in.as_millis().div_ceil(1000) as u64),
        })
    };
    view.outages_of(&service.name).into_iter().map(shown).collect()
}

fn endpoint(view: &View, endpoint: &Endpoint) -> Value {
    let addresses: Vec<String> = view.addresses_of(endpoint).iter().map(ToString::to_string).collect();
    let source = match &endpoint.host {
        EndpointHost::Source(source) => Some(&source.key),
        EndpointHost::Address(_) | EndpointHost::Name(_) => None,
    };
    json!({
        "url": source.is_none().then(|| format!("http://{}", endpoint.authority)),
        "source": source,
        "weight": endpoint.weight,
        "addresses": addresses,
    })
}

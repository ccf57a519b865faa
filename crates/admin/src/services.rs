//! `/services`: what stands behind the gateway, and how it does.

use std::collections::HashMap;

use control::View;
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
        "retries": totals.retries,
        "failures": totals.failures(),
    })
}

fn endpoint(view: &View, endpoint: &Endpoint) -> Value {
    let addresses = match &endpoint.host {
        EndpointHost::Address(address) => vec![*address],
        EndpointHost::Name(name) => view.addresses_of(name),
    };
    let addresses: Vec<String> =
        addresses.into_iter().map(|ip| std::net::SocketAddr::new(ip, endpoint.port).to_string()).collect();
    json!({
        "url": format!("http://{}", endpoint.authority),
        "weight": endpoint.weight,
        "addresses": addresses,
    })
}

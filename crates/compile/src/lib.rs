//! Model to snapshot, with every diagnostic at once: pure, without network or clock.
//!
//! Files, the time and the authorities of the system are passed in: see [`Outside`]. One file per section of the language. `check`, `run` and the tests run this same code. Entry point:
//! [`compile`].

mod acme;
mod admin;
mod bypass;
#[cfg(test)]
mod bypass_tests;
mod canary;
mod certificates;
mod consumers;
mod forward;
mod guards;
mod health;
mod identity;
mod listeners;
mod logins;
mod outside;
#[cfg(test)]
mod outside_tests;
mod plans;
#[cfg(test)]
mod plans_tests;
mod policies;
mod quotas;
mod reachability;
mod routes;
mod services;
mod state;
mod telemetry;
mod templates;
#[cfg(test)]
mod tests;
mod tls;

use std::sync::Arc;

use config::Config;
use diagnostics::{Code, Diagnostic, Diagnostics};
use policy::Compiling;
use snapshot::{Route, Snapshot, TrustedProxies};

pub use outside::Outside;

/// Turns what the user wrote into what requests use. `None` if anything stands against it; then
/// `diagnostics` has at least one error. Everything is looked at, also after the first mistake.
pub fn compile(config: &Config, outside: &Outside, diagnostics: &mut Diagnostics) -> Option<Snapshot> {
    // What is missing may only be what could not be read, and that was reported already.
    let complete = !diagnostics.has_errors();
    let listeners = listeners::compile(config, outside, diagnostics);
    let admin = admin::compile(config, diagnostics);
    let state = state::compile(config, outside, diagnostics);
    let consumers = Arc::new(consumers::compile(config, outside.now, diagnostics));
    let mut services = services::compile(config, outside, &consumers, diagnostics);
    let compiling = Compiling::new(diagnostics, &consumers, &outside.providers);
    let mut compiling = compiling.sharing(state::is_shared(config));
    let mut gateway = policies::Layer::compile(config.policies.as_ref(), &mut compiling);
    if let Some((plans, source)) = plans::compile(config, &mut compiling) {
        // What is switched off for all is not switched on by what a plan says about a service.
        if gateway.add(plans.policy(None), source) {
            services.add_plans(&plans, source);
        }
    }
    let compiled =
        routes::compile(config, &services, &gateway, (&consumers, &outside.providers), diagnostics);
    identity::check(config, &compiled.routes, diagnostics);
    quotas::check(config, &compiled.routes, diagnostics);
    plans::check(config, &compiled.routes, diagnostics);
    if complete {
        services::warn_of_unused(config, &compiled.used, diagnostics);
    }
    if complete && config.routes.is_empty() {
        diagnostics.push(
            Diagnostic::error(
                Code::NoRoutes,
                None,
                "there is no route, so every request would be answered with 404",
            )
            .help("add one: routes: [{ path: /*, service: NAME }]"),
        );
    }
    if diagnostics.has_errors() {
        return None;
    }
    let reserved = Arc::new(identity::reserved(&compiled.routes));
    let with_reserved = |route| Route { reserved: Arc::clone(&reserved), ..route };
    Some(Snapshot {
        listeners,
        router: compiled.router,
        routes: compiled.routes.into_iter().map(with_reserved).map(Arc::new).collect(),
        gateway: policies::Layer::chain(&[&gateway]),
        consumers,
        providers: Arc::clone(&outside.providers),
        reserved,
        services: services.into_compiled(),
        trusted_proxies: TrustedProxies::new(config.trusted_proxies.iter().map(|cidr| cidr.0).collect()),
        workers: config.workers.count(),
        overload: overload(config),
        state_dir: config.state_dir.as_ref().map(|folder| folder.path.clone()),
        delay: config.shutdown_delay(),
        drain: config.drain(),
        admin,
        state,
        access_log: telemetry::access_log(config),
        name_servers: config.name_servers(),
        acme: outside.acme.clone(),
    })
}

fn overload(config: &Config) -> snapshot::Overload {
    let Some(overload) = config.overload.on() else { return snapshot::Overload::default() };
    snapshot::Overload {
        lag: overload.lag.on().map(|lag| lag.get()),
        memory_percent: overload.memory.on().map(|share| u32::from(share.hundredths() / 100)),
    }
}

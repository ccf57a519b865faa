//! `services`

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use balance::Ejection;
use config::{Config, RetryCondition, Service as Raw};
use diagnostics::{Code, Diagnostic, Diagnostics, Span};
use message::Method;
use policy::{Compiling, Consumers, Plans};
use snapshot::{
    Concurrency, Endpoint, EndpointHost, Hedge, Limit, Protocol, ProxyProtocol, RequestKey, Retries, RetryOn,
    Service, ServiceIndex, ServiceTimeouts, Source, SourceKind, Sticky,
};

use crate::outside::Outside;
use crate::policies::Layer;

/// All services, and what routes need to know of them.
pub(crate) struct Services {
    compiled: Vec<Service>,
    layers: Vec<Layer>,
    by_name: HashMap<String, ServiceIndex>,
}

impl Services {
    /// The service of a name.
    pub(crate) fn find(&self, name: &str) -> Option<ServiceIndex> {
        self.by_name.get(name).copied()
    }

    /// The policies that a service sets.
    pub(crate) fn layer(&self, index: ServiceIndex) -> Option<&Layer> {
        self.layers.get(index.0)
    }

    /// The version of HTTP that a service is spoken to in.
    pub(crate) fn protocol(&self, index: ServiceIndex) -> Option<Protocol> {
        self.compiled.get(index.0).map(|service| service.protocol)
    }

    /// All names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.compiled.iter().map(|service| &*service.name)
    }

    pub(crate) fn into_compiled(self) -> Vec<Service> {
        self.compiled
    }
}

impl Services {
    /// Where a plan says something about a service, it holds there in another way.
    pub(crate) fn add_plans(&mut self, plans: &Arc<Plans>, source: Span) {
        for name in plans.services() {
            let layer = self.by_name.get(name).and_then(|index| self.layers.get_mut(index.0));
            if let Some(layer) = layer {
                layer.add(plans.policy(Some(name)), source);
            }
        }
    }
}

/// Compiles every service.
pub(crate) fn compile(
    config: &Config,
    outside: &Outside,
    consumers: &Arc<Consumers>,
    diagnostics: &mut Diagnostics,
) -> Services {
    let mut services = Services { compiled: Vec::new(), layers: Vec::new(), by_name: HashMap::new() };
    for (name, raw) in config.services.iter() {
        let index = ServiceIndex(services.compiled.len());
        services.by_name.insert(name.value.clone(), index);
        let cx = Compiling::new(diagnostics, consumers, &outside.providers);
        let cx = cx.sharing(crate::state::is_shared(config));
        let cx = &mut cx.at(format!("service {}", name.value));
        services.layers.push(Layer::compile(raw.policies.as_ref(), cx));
        check_name(name, diagnostics);
        check_endpoints(name, raw, diagnostics);
        let protocol = protocol(raw, diagnostics);
        services.compiled.push(Service {
            name: name.as_str().into(),
            endpoints: match &raw.discover {
                Some(discover) => vec![discovered(name, discover)],
                None => raw.endpoints().iter().map(|raw| endpoint(raw, config.zone.as_deref())).collect(),
            },
            zone: config.zone.as_deref().map(Into::into),
            protocol,
            tls: crate::tls::service(name, raw, protocol, outside, diagnostics),
            proxy_protocol: raw.proxy_protocol.map(|version| match version {
                config::ProxyProtocol::V1 => ProxyProtocol::V1,
                config::ProxyProtocol::V2 => ProxyProtocol::V2,
            }),
            algorithm: algorithm(&raw.balance.value),
            hash_by: match &raw.balance.value {
                config::Balance::By(_) => None,
                config::Balance::Hash(key) => Some(request_key(key)),
            },
            sticky: raw.sticky.as_ref().map(|sticky| Sticky {
                cookie: sticky.cookie.as_str().into(),
                ttl: sticky.ttl.map(|ttl| ttl.get()),
                secret: sticky.secret.as_ref().map(|secret| secret.value.clone()),
            }),
            timeouts: timeouts(raw),
            max_connections: raw.connections.max as usize,
            idle_connections: raw.connections.idle as usize,
            retries: retries(raw, diagnostics),
            health: raw.health.as_ref().map(|health| crate::health::compile(health, raw, diagnostics)),
            ejection: raw.eject.on().map(ejection),
            hedge: hedge(raw, diagnostics),
            concurrency: raw.concurrency.as_ref().map(|concurrency| Concurrency {
                limit: match concurrency.limit {
                    config::ConcurrencyLimit::Adaptive => Limit::Adaptive,
                    config::ConcurrencyLimit::Number(number) => Limit::Fixed(number),
                },
                queue: concurrency.queue,
                max_wait: concurrency.max_wait.get(),
            }),
            breaker: raw.circuit_breaker.as_ref().map(breaker),
            slow_start: raw.slow_start.on().map_or(Duration::ZERO, |ramp| ramp.get()),
        });
    }
    services
}

/// Names stand in logs, metrics and paths of the admin API.
fn check_name(name: &diagnostics::Spanned<String>, diagnostics: &mut Diagnostics) {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > 64 || !name.bytes().all(is_plain) {
        diagnostics.push(
            Diagnostic::error(
                Code::InvalidValue,
                name.span,
                format!("`{}` is no name for a service", name.value),
            )
            .help("a name has 1 to 64 letters, digits, `-`, `_` and `.`"),
        );
    }
}

fn check_endpoints(name: &diagnostics::Spanned<String>, raw: &Raw, diagnostics: &mut Diagnostics) {
    if raw.endpoints().is_empty() && raw.discover.is_none() && !diagnostics.has_error_in(raw.span) {
        diagnostics.push(
            Diagnostic::error(
                Code::NoEndpoints,
                name.span,
                format!("service `{}` has no endpoint", name.value),
            )
            .help("add one: endpoints: [http://127.0.0.1:3000]"),
        );
    }
    for (position, endpoint) in raw.endpoints().iter().enumerate() {
        let earlier =
            raw.endpoints().iter().take(position).find(|other| other.url.value == endpoint.url.value);
        if let Some(earlier) = earlier {
            diagnostics.push(
                Diagnostic::error(
                    Code::DuplicateEndpoint,
                    endpoint.url.span,
                    format!("service `{}` has this endpoint already", name.value),
                )
                .related(earlier.url.span, "here")
                .help("to give it a larger share, set its `weight`"),
            );
        }
    }
}

fn protocol(raw: &Raw, diagnostics: &mut Diagnostics) -> Protocol {
    if raw.proxy_protocol.is_some() && raw.protocol.value != config::ServiceProtocol::Http1 {
        let message = "`proxy_protocol` names one client for each connection, and HTTP/2 carries many on one";
        diagnostics.push(Diagnostic::error(Code::ConflictingKeys, raw.protocol.span, message).help(
            "write `protocol: http1`, or leave `proxy_protocol` out: `x-forwarded-for` names clients too",
        ));
    }
    let plain = raw.endpoints().iter().any(|endpoint| !endpoint.url.value.https);
    match raw.protocol.value {
        config::ServiceProtocol::Http1 => Protocol::Http1,
        config::ServiceProtocol::Http2 => Protocol::Http2,
        config::ServiceProtocol::Auto => {
            if plain {
                diagnostics.push(
                    Diagnostic::warning(
                        Code::UnusedSetting,
                        raw.protocol.span,
                        "`auto` is HTTP/1.1 here: the version is agreed on by encrypted connections only",
                    )
                    .help("write `http1` or `http2`, or `https` endpoints"),
                );
            }
            Protocol::Auto
        }
    }
}

fn endpoint(raw: &config::Endpoint, zone: Option<&str>) -> Endpoint {
    let url = &raw.url.value;
    let host = match url.host.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(address) => EndpointHost::Address(address),
        Err(_) => EndpointHost::Name(url.host.as_str().into()),
    };
    let usual = if url.https { 443 } else { 80 };
    let authority = if url.port == usual { url.host.clone() } else { format!("{}:{}", url.host, url.port) };
    let is_local = raw.zone.is_some() && raw.zone.as_deref() == zone;
    Endpoint { host, port: url.port, weight: raw.weight, is_local, authority: authority.into() }
}

/// What stands for all addresses that a source finds.
fn discovered(name: &str, raw: &config::Discover) -> Endpoint {
    let every = raw.every.as_ref().map(|every| every.value.get());
    let (kind, port, authority) = match (&raw.dns, &raw.srv, &raw.file) {
        (Some(dns), _, _) => {
            let authority = dns.value.to_string();
            (SourceKind::Dns { name: dns.value.name.as_str().into(), every }, dns.value.port, authority)
        }
        (_, Some(srv), _) => {
            let srv = srv.trim_end_matches('.').to_ascii_lowercase();
            (SourceKind::Srv { name: srv.as_str().into(), every }, 0, name.to_owned())
        }
        (_, _, file) => {
            let path = file.as_ref().map(|file| file.value.to_string()).unwrap_or_default();
            (SourceKind::File { path: path.into() }, 0, name.to_owned())
        }
    };
    let host = EndpointHost::Source(Source::new(kind));
    Endpoint { host, port, weight: 1, is_local: false, authority: authority.into() }
}

fn timeouts(raw: &Raw) -> ServiceTimeouts {
    let timeouts = &raw.timeouts;
    ServiceTimeouts {
        connect: timeouts.connect.get(),
        response: timeouts.response.get(),
        stream: timeouts.stream.get(),
        idle: timeouts.idle.get(),
        request: timeouts.request.as_ref().map(|request| request.get()),
        tunnel: timeouts.tunnel.get(),
    }
}

fn algorithm(raw: &config::Balance) -> balance::Algorithm {
    use config::Algorithm::{Ewma, LeastRequests, Random, RoundRobin};
    match raw {
        config::Balance::By(RoundRobin) => balance::Algorithm::RoundRobin,
        config::Balance::By(Random) => balance::Algorithm::Random,
        config::Balance::By(LeastRequests) => balance::Algorithm::LeastRequests,
        config::Balance::By(Ewma) => balance::Algorithm::Ewma,
        config::Balance::Hash(_) => balance::Algorithm::Hash,
    }
}

/// What requests that belong together have in common.
pub(crate) fn request_key(raw: &config::RequestKey) -> RequestKey {
    match raw {
        config::RequestKey::Header(name) => RequestKey::Header(name.as_str().into()),
        config::RequestKey::Cookie(name) => RequestKey::Cookie(name.as_str().into()),
        config::RequestKey::Query(name) => RequestKey::Query(name.as_str().into()),
        config::RequestKey::Path => RequestKey::Path,
        config::RequestKey::ClientIp => RequestKey::ClientIp,
        config::RequestKey::Consumer => RequestKey::Consumer,
    }
}

fn hedge(raw: &Raw, diagnostics: &mut Diagnostics) -> Option<Hedge> {
    let hedge = raw.hedge.as_ref()?;
    let never = if raw.protocol.value != config::ServiceProtocol::Http1 {
        Some((raw.protocol.span, "this service does not speak HTTP/1.1", "set `protocol: http1`"))
    } else if raw.retries.on().is_none_or(|retries| retries.attempts == 0) {
        Some((hedge.span, "it would have to be paid for by `retries`", "allow at least one attempt"))
    } else {
        None
    };
    if let Some((place, why, help)) = never {
        diagnostics.push(
            Diagnostic::error(Code::ConflictingKeys, hedge.span, "`hedge` would never do anything here")
                .related(place, why)
                .help(format!("{help}, or remove `hedge`")),
        );
    }
    Some(match hedge.after {
        config::HedgeAfter::Percentile(percent) => Hedge::Quantile(percent * 10),
        config::HedgeAfter::Time(time) => Hedge::After(time.get()),
    })
}

fn percent(percent: &document::Percent) -> u32 {
    u32::from(percent.hundredths().div_ceil(100))
}

fn millis(time: config::Timeout) -> u64 {
    u64::try_from(time.get().as_millis()).unwrap_or(u64::MAX)
}

fn breaker(raw: &config::CircuitBreaker) -> balance::breaker::Settings {
    balance::breaker::Settings {
        failures_percent: percent(&raw.failure_rate),
        min_requests: raw.min_requests.into(),
        window_ms: millis(raw.window),
        open_ms: millis(raw.open),
        probes: raw.probes.into(),
    }
}

fn ejection(raw: &config::Eject) -> Ejection {
    Ejection {
        in_a_row: raw.after,
        window_ms: millis(raw.window),
        failure_percent: raw.failure_rate.on().map_or(0, percent),
        slower_than_others: raw.slower_than_others.on().map_or(0, |factor| factor.0),
        min_requests: raw.min_requests,
        for_ms: millis(raw.lasts),
        max_percent: percent(&raw.max),
    }
}

fn retries(raw: &Raw, diagnostics: &mut Diagnostics) -> Retries {
    let Some(section) = raw.retries.on() else {
        return Retries::none();
    };
    let mut on = RetryOn::default();
    for condition in &section.on {
        match condition.value {
            RetryCondition::ConnectFailure => on.connect_failure = true,
            RetryCondition::Reset => on.reset = true,
            RetryCondition::Stall => on.stall = true,
            RetryCondition::Timeout => on.timeout = true,
            RetryCondition::Status(status) => on.statuses.push(status),
            RetryCondition::Grpc(status) => on.grpc.push(status),
        }
    }
    for method in section.methods.iter().flatten() {
        if !crate::routes::check_method(method, diagnostics) {
            continue;
        }
        if !Method::of(method.as_bytes()).is_idempotent() {
            diagnostics.push(
                Diagnostic::warning(
                    Code::RetryNotIdempotent,
                    method.span,
                    format!("{} is not idempotent: a repeated request may take effect twice", method.value),
                )
                .help(
                    "keep it only if the service recognises repetitions, by an idempotency key for example",
                ),
            );
        }
    }
    Retries {
        attempts: u32::from(section.attempts),
        on,
        methods: section.methods.iter().flatten().map(|method| method.as_str().into()).collect(),
        per_try: section.per_try.as_ref().map(|per_try| per_try.get()),
        again: section.again,
        backoff: section.backoff.get(),
        budget: u32::from(section.budget.hundredths().div_ceil(100)),
    }
}

/// A service that no route leads to is most likely a mistake.
pub(crate) fn warn_of_unused(config: &Config, used: &BTreeSet<String>, diagnostics: &mut Diagnostics) {
    for (name, _) in config.services.iter() {
        if !used.contains(&name.value) {
            diagnostics.push(
                Diagnostic::warning(
                    Code::UnusedService,
                    name.span,
                    format!("no route leads to service `{}`", name.value),
                )
                .help(format!(
                    "add a route: {{ path: /{}/*, service: {} }}, or remove the service",
                    name.value, name.value
                )),
            );
        }
    }
}

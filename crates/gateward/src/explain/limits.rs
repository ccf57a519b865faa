//! The limits and timeouts that hold for a request, under the names that they have in the configuration.
//!
//! Entry point: [`section`].

use dataplane::explain::{Decider, End, Upstream, Way};
use snapshot::{Concurrency, Hedge, Limit, Service};

use super::page::{Page, row};
use super::report::{Report, list, retry_on, size, time};

/// What holds at the listener, then for each service. What was answered for another reason is not bothered with
/// limits, without `all`.
pub(crate) fn section(report: &Report<'_>, ways: &[&Way<'_>], all: bool, page: &mut Page) {
    let is_forwarded = ways.iter().any(|way| matches!(way.end, End::Forward(_)));
    let is_limited = report.answer().is_some_and(|answer| answer.by == Decider::Reading);
    if all || is_forwarded || is_limited {
        listener(report, page);
    }
    for way in ways {
        if let (End::Forward(upstream), Some(service)) = (&way.end, way.service) {
            page.title(&format!("Limits of service {}", service.name));
            of_service(report, way, service, upstream, page);
        }
    }
}

fn listener(report: &Report<'_>, page: &mut Page) {
    let (limits, timeouts) = (&report.listener.limits, &report.listener.timeouts);
    page.title(&format!("Limits of listener {}", report.listener.address));
    let used = report.ask.used();
    let rate = match limits.min_rate {
        0 => "none".to_owned(),
        rate => format!("{} a second, for bodies", size(rate)),
    };
    let times = format!(
        "header {}, idle {}, body {}, send {}",
        time(timeouts.header),
        time(timeouts.idle),
        time(timeouts.body),
        time(timeouts.send)
    );
    page.table(&[
        row!["header_bytes", size(limits.header_bytes as u64), format!("{} used", used.bytes)],
        row!["headers", limits.headers.to_string(), format!("{} used", used.fields)],
        row!["uri", size(limits.uri as u64), format!("{} used", used.target)],
        row!["connections", limits.connections.to_string()],
        row!["min_rate", rate],
        row!["timeouts", times],
    ]);
}

fn of_service(report: &Report<'_>, way: &Way<'_>, service: &Service, upstream: &Upstream, page: &mut Page) {
    // The last one to set a limit is the one that holds.
    let limit = way.steps.iter().rev().find_map(|step| Some((step, step.body_limit?)));
    let body = match limit {
        None => row!["body", "no limit"],
        Some((step, bytes)) => row!["body", size(bytes), report.policy(step)],
    };
    let timeouts = &service.timeouts;
    let route = report.explanation.route.and_then(|route| route.timeout);
    let whole = match (route, timeouts.request) {
        (Some(timeout), _) => row!["request", time(timeout), "timeout of the route, for the whole exchange"],
        (None, Some(timeout)) => row!["request", time(timeout), "for the whole exchange"],
        (None, None) => row!["request", "no limit", "for the whole exchange"],
    };
    let mut times = format!(
        "connect {}, response {}, stream {}, idle {}",
        time(timeouts.connect),
        time(timeouts.response),
        time(timeouts.stream),
        time(timeouts.idle)
    );
    if upstream.websocket {
        times.push_str(&format!(", tunnel {}", time(timeouts.tunnel)));
    }
    let connections = format!("max {}, idle {}", service.max_connections, service.idle_connections);
    let mut rows = vec![
        body,
        whole,
        row!["timeouts", times],
        row!["connections", connections, "to each address"],
        row!["retries", retries(service)],
    ];
    rows.extend(repeated(report, service, upstream).map(|text| row!["", text]));
    rows.extend(service.hedge.map(|hedge| row!["hedge", hedged(hedge), "asks a second endpoint"]));
    rows.extend(service.ejection.as_ref().map(|ejection| row!["eject", eject(ejection)]));
    rows.extend(service.concurrency.map(|concurrency| row!["concurrency", at_a_time(concurrency)]));
    rows.extend(service.breaker.map(|breaker| row!["circuit_breaker", breaks(breaker)]));
    page.table(&rows);
}

/// When a second address is asked.
fn hedged(hedge: Hedge) -> String {
    match hedge {
        Hedge::After(after) => format!("after {}", time(after)),
        Hedge::Quantile(permille) => format!("after p{}", permille / 10),
    }
}

/// How many requests the service gets at a time.
fn at_a_time(concurrency: Concurrency) -> String {
    let limit = match concurrency.limit {
        Limit::Adaptive => "adaptive".to_owned(),
        Limit::Fixed(limit) => limit.to_string(),
    };
    format!("{limit}, {} wait for at most {}", concurrency.queue, time(concurrency.max_wait))
}

/// When the service gets nothing for a while.
fn breaks(breaker: balance::breaker::Settings) -> String {
    let millis = |millis: u64| time(std::time::Duration::from_millis(millis));
    format!(
        "opens for {} when {}% of at least {} requests fail within {}",
        millis(breaker.open_ms),
        breaker.failures_percent,
        breaker.min_requests,
        millis(breaker.window_ms)
    )
}

/// When an address gets no requests for a while.
fn eject(ejection: &balance::Ejection) -> String {
    let mut after = vec![format!("{} failures in a row", ejection.in_a_row)];
    if ejection.failure_percent > 0 {
        after.push(format!("{}% failures", ejection.failure_percent));
    }
    if ejection.slower_than_others > 0 {
        after.push(format!("{}x the latency of others", ejection.slower_than_others));
    }
    let lasts = time(std::time::Duration::from_millis(ejection.for_ms));
    format!("after {}, for {lasts}, at most {}%", list(after, "or"), ejection.max_percent)
}

/// What may be tried again.
fn retries(service: &Service) -> String {
    let retries = &service.retries;
    if retries.attempts == 0 {
        return "none".to_owned();
    }
    let mut text = format!("{} after {}", retries.attempts, list(retry_on(service), "or"));
    if let Some(per_try) = retries.per_try {
        text.push_str(&format!(", per_try {}", time(per_try)));
    }
    text.push_str(&format!(", budget {}%", retries.budget));
    text
}

/// What of it holds for this request, if that is not plain.
fn repeated(report: &Report<'_>, service: &Service, upstream: &Upstream) -> Option<String> {
    let has_body =
        report.explanation.understood.as_ref().is_some_and(|understood| understood.body != Some(0));
    let on = &service.retries.on;
    let only_connects = on.connect_failure && !on.reset && !on.stall && !on.timeout && on.statuses.is_empty();
    if service.retries.attempts == 0 || only_connects {
        return None;
    }
    // Whether the service has seen it is in doubt after everything else.
    let after = if on.connect_failure { "is repeated only after connect_failure" } else { "is not repeated" };
    Some(match (upstream.may_be_repeated, has_body) {
        (true, _) => "this request may be repeated".to_owned(),
        (false, true) => format!("this request has a body: it {after}"),
        (false, false) => format!("{} {after}", upstream.method),
    })
}

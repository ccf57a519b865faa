//! The report for programs. Its keys are documented in `docs/explain.md`, and stay as they are.
//!
//! Sizes are in bytes, times in milliseconds. Entry point: [`render`].

use std::time::Duration;

use dataplane::explain::{
    Answer, Cause, Change, Decider, End, Next, Reading, Said, Step, Tried, Upstream, Way,
};
use diagnostics::Span;
use router::{ValuePattern, Verdict};
use serde_json::{Value, json};
use snapshot::{EndpointHost, Hedge, Limit, Protocol, Route, Service};

use super::report::{Report, algorithm, endpoints, kind, path, request_key, retry_on, scheme};

/// The whole report.
pub(crate) fn render(report: &Report<'_>, warnings: usize) -> Value {
    let ways = report.ways();
    let ends: Vec<&str> = ways.iter().map(|way| end(&way.end)).collect();
    let outcome = match (report.answer(), &ends[..]) {
        (Some(answer), _) => of_answer(answer),
        (None, [first, rest @ ..]) if rest.iter().all(|end| end == first) => first,
        (None, _) => "mixed",
    };
    let ambiguous = match &report.explanation.next {
        Next::Ambiguous(_, Reading::Traversal) => json!({ "reading": null, "route": null }),
        Next::Ambiguous(_, Reading::Path(path, other)) => {
            json!({ "reading": path, "route": route(report, other) })
        }
        Next::Ways(_) | Next::Answer(_) => Value::Null,
    };
    json!({
        "ok": report.is_fine(),
        "outcome": outcome,
        "warnings": warnings,
        "request": request(report),
        "route": report.explanation.route.map(|taken| route(report, taken)),
        "candidates": report.explanation.candidates.iter().map(|tried| candidate(report, tried)).collect::<Vec<_>>(),
        "ways": ways.iter().map(|one| way(report, one)).collect::<Vec<_>>(),
        "answer": report.answer().map(|answer| of_gateway(report, answer, &[])),
        "ambiguous": ambiguous,
        "listener": listener(report),
        "notes": report.notes().collect::<Vec<_>>(),
    })
}

fn end(end: &End) -> &'static str {
    match end {
        End::Forward(_) => "forward",
        End::Answer(answer) => of_answer(answer),
        End::Unknown => "unknown",
    }
}

fn of_answer(answer: &Answer) -> &'static str {
    if answer.is_meant() { "reply" } else { "refuse" }
}

fn place(report: &Report<'_>, span: Span) -> Value {
    json!({ "file": report.sources.name(span.source), "line": report.line(span) })
}

fn route(report: &Report<'_>, route: &Route) -> Value {
    json!({
        "name": route.name,
        "place": place(report, route.source),
        "timeout_ms": route.timeout.map(millis),
        "canary": route.canary.as_ref().map(ToString::to_string),
        "split_by": route.action.split_by().map(request_key),
        "mirror": route.action.mirror().map(|mirror| json!({
            "service": report.snapshot.services.get(mirror.service.0).map(|service| &service.name),
            "percent": f64::from(mirror.share) / 100.0,
        })),
    })
}

fn request(report: &Report<'_>) -> Value {
    let understood = report.explanation.understood.as_ref();
    json!({
        "method": report.ask.method,
        "url": report.ask.url,
        "target": report.ask.target(),
        "peer": report.ask.peer.to_canonical().to_string(),
        "server_name": report.server_name,
        "supposed": report.supposed,
        "understood": understood.map(|understood| json!({
            "host": understood.host,
            "path": understood.path,
            "query": understood.query,
            "client": understood.client.to_string(),
            "trusted_proxy": understood.trusted,
            "body_bytes": understood.body,
            "headers": fields(report, &understood.fields, None),
        })),
    })
}

fn candidate(report: &Report<'_>, tried: &Tried<'_>) -> Value {
    let candidate = &tried.candidate;
    let (verdict, name) = match candidate.verdict {
        Verdict::Matched => ("matched", None),
        Verdict::Host => ("host", None),
        Verdict::Path => ("path", None),
        Verdict::Method => ("method", None),
        Verdict::Header(name) => ("header", Some(name)),
        Verdict::Query(name) => ("query", Some(name)),
    };
    let wanted = |conditions: &[(Box<str>, ValuePattern)]| {
        let condition = |pattern: &ValuePattern| match pattern {
            ValuePattern::Present => json!(true),
            ValuePattern::Exact(value) => json!(report.mask.hide(&String::from_utf8_lossy(value))),
            ValuePattern::Regex(_) => json!(report.wanted(pattern)),
        };
        let pairs = conditions.iter().map(|(name, pattern)| (name.to_string(), condition(pattern)));
        Value::Object(pairs.collect())
    };
    json!({
        "route": report.route(candidate.route).map(|of| route(report, of)),
        "verdict": verdict,
        "failed_name": name,
        "had": tried.had.iter().map(|value| report.mask.hide(value)).collect::<Vec<_>>(),
        "reason": report.reason(tried),
        "wants": {
            "priority": candidate.priority,
            "host": candidate.host.map(ToString::to_string),
            "path": candidate.path.map(|_| path(tried)),
            "methods": candidate.of.methods,
            "headers": wanted(&candidate.of.headers),
            "query": wanted(&candidate.of.query),
        },
    })
}

fn way(report: &Report<'_>, way: &Way<'_>) -> Value {
    let (weight, total) = way.share;
    json!({
        "outcome": end(&way.end),
        "weight": weight,
        "share": f64::from(weight) / total as f64,
        "policies": way.steps.iter().map(|step| policy(report, way, step)).collect::<Vec<_>>(),
        "response_policies": way.steps.iter().rev().map(kind).collect::<Vec<_>>(),
        "signature_unverified": way.is_unverified,
        "body_limit_bytes": way.steps.iter().rev().find_map(|step| step.body_limit),
        "service": way.service.map(service),
        "upstream": match &way.end {
            End::Forward(of) => upstream(report, way, of),
            End::Answer(_) | End::Unknown => Value::Null,
        },
        "answer": match &way.end {
            End::Forward(_) | End::Unknown => Value::Null,
            End::Answer(answer) => of_gateway(report, answer, &way.steps),
        },
    })
}

fn policy(report: &Report<'_>, way: &Way<'_>, step: &Step<'_>) -> Value {
    let generated = match &way.end {
        End::Forward(upstream) => &upstream.generated,
        End::Answer(answer) => &answer.generated,
        End::Unknown => &None,
    };
    json!({
        "kind": kind(step),
        "stage": step.link.policy.stage().as_str(),
        "place": place(report, step.link.source),
        "verdict": match step.said {
            Some(Said::Continue) => "continue",
            Some(Said::Stop(_)) => "stop",
            Some(Said::Answer(_)) => "answer",
            Some(Said::Known) => "known",
            Some(Said::Missing) => "missing",
            Some(Said::Refused(_)) => "refused",
            Some(Said::Asks) => "asks",
            None => "not_asked",
        },
        "reason": match step.said {
            Some(Said::Refused(reason) | Said::Stop(reason) | Said::Answer(reason)) => Some(reason).filter(|reason| !reason.is_empty()),
            _ => None,
        },
        "detail": report.detail(step),
        "caller": step.caller.as_ref().map(|known| json!({
            "name": known.name,
            "consumer": known.is_consumer,
            "groups": known.groups,
            "scopes": known.scopes,
            "claims": serde_json::from_str::<Value>(&known.claims).unwrap_or_default(),
        })),
        "changes": changes(report, way, &step.changes, generated.as_deref()),
    })
}

fn changes(report: &Report<'_>, way: &Way<'_>, changes: &[Change], generated: Option<&str>) -> Value {
    let of_change = |change: &Change| {
        let policy = match change.cause {
            Cause::Policy(position) => way.steps.get(position).map(kind),
            _ => None,
        };
        let shown =
            |values: &[String]| values.iter().map(|value| report.mask.hide(value)).collect::<Vec<_>>();
        json!({
            "name": change.name,
            "before": shown(&change.before),
            "after": shown(&change.after),
            "by": name_of(change.cause),
            "dropped_by": change.dropped.map(name_of),
            "policy": policy,
            "generated": change.after.iter().any(|value| generated == Some(value.as_str())),
        })
    };
    Value::Array(changes.iter().map(of_change).collect())
}

fn name_of(cause: Cause) -> &'static str {
    match cause {
        Cause::Connection => "connection",
        Cause::Untrusted => "untrusted",
        Cause::Underscore => "underscore",
        Cause::Certificate => "certificate",
        Cause::Gateway => "gateway",
        Cause::Policy(_) => "policy",
    }
}

fn upstream(report: &Report<'_>, way: &Way<'_>, upstream: &Upstream) -> Value {
    let target = report.mask.hide(&upstream.target);
    let urls = way.service.map(|service| {
        let urls =
            endpoints(service).map(|(authority, _)| format!("{}://{authority}{target}", scheme(service)));
        urls.collect::<Vec<_>>()
    });
    json!({
        "method": upstream.method,
        "target": target,
        "host": report.mask.hide(&upstream.host),
        "urls": urls,
        "headers": fields(report, &upstream.fields, upstream.generated.as_deref()),
        "changes": changes(report, way, &upstream.changes, upstream.generated.as_deref()),
        "may_be_repeated": upstream.may_be_repeated,
        "websocket": upstream.websocket,
        "grpc_web": upstream.grpc_web,
    })
}

fn of_gateway(report: &Report<'_>, answer: &Answer, steps: &[Step<'_>]) -> Value {
    let (by, step) = match answer.by {
        Decider::Reading => ("reading", None),
        Decider::Normalizing => ("normalizing", None),
        Decider::Routing => ("routing", None),
        Decider::Gateway => ("gateway", None),
        Decider::Listener => ("listener", None),
        Decider::Preparing => ("preparing", None),
        Decider::Route => ("route", None),
        Decider::Policy(position) => ("policy", steps.get(position)),
    };
    let body = std::str::from_utf8(&answer.body).ok().filter(|_| answer.fault.is_none());
    json!({
        "status": answer.status,
        "by": by,
        "policy": step.map(kind),
        "place": step.map(|step| place(report, step.link.source)),
        "fault": answer.fault.map(|fault| json!({
            "code": fault.code(),
            "detail": fault.detail(),
            "layer": fault.blame().as_str(),
            "retryable": fault.is_retryable(),
        })),
        "headers": fields(report, &answer.fields, answer.generated.as_deref()),
        "body": body.map(|body| report.mask.hide(body)),
        "body_bytes": answer.body.len(),
    })
}

fn fields(report: &Report<'_>, fields: &[(String, String)], generated: Option<&str>) -> Value {
    let field = |(name, value): &(String, String)| {
        json!({
            "name": name,
            "value": report.mask.hide(value),
            "generated": generated == Some(value.as_str()),
        })
    };
    Value::Array(fields.iter().map(field).collect())
}

fn service(service: &Service) -> Value {
    let endpoint = |endpoint: &snapshot::Endpoint| {
        let host = match &endpoint.host {
            EndpointHost::Address(address) => address.to_string(),
            EndpointHost::Name(name) => name.to_string(),
            EndpointHost::Source(source) => source.key.to_string(),
        };
        json!({ "host": host, "port": endpoint.port, "weight": endpoint.weight })
    };
    let (timeouts, retries) = (&service.timeouts, &service.retries);
    json!({
        "name": service.name,
        "protocol": match service.protocol {
            Protocol::Http1 => "http1",
            Protocol::Http2 => "http2",
            Protocol::Auto => "auto",
        },
        "tls": service.tls.is_some(),
        "proxy_protocol": service.proxy_protocol.is_some(),
        "probed": service.health.is_some(),
        "balance": algorithm(service),
        "endpoints": service.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
        "timeouts_ms": {
            "connect": millis(timeouts.connect),
            "response": millis(timeouts.response),
            "stream": millis(timeouts.stream),
            "idle": millis(timeouts.idle),
            "request": timeouts.request.map(millis),
            "tunnel": millis(timeouts.tunnel),
        },
        "connections": { "max": service.max_connections, "idle": service.idle_connections },
        "retries": {
            "attempts": retries.attempts,
            "on": retry_on(service),
            "methods": retries.methods,
            "per_try_ms": retries.per_try.map(millis),
            "again": retries.again,
            "backoff_ms": millis(retries.backoff),
            "budget_percent": retries.budget,
        },
        "eject": service.ejection.map(|ejection| json!({
            "after": ejection.in_a_row,
            "failure_percent": ejection.failure_percent,
            "slower_than_others": ejection.slower_than_others,
            "min_requests": ejection.min_requests,
            "window_ms": ejection.window_ms,
            "for_ms": ejection.for_ms,
            "max_percent": ejection.max_percent,
        })),
        "slow_start_ms": millis(service.slow_start),
        "sticky": service.sticky.as_ref().map(|sticky| &sticky.cookie),
        "hedge": service.hedge.map(|hedge| match hedge {
            Hedge::After(after) => json!({ "after_ms": millis(after) }),
            Hedge::Quantile(permille) => json!({ "after_percentile": permille / 10 }),
        }),
        "concurrency": service.concurrency.map(|concurrency| json!({
            "limit": match concurrency.limit {
                Limit::Adaptive => json!("adaptive"),
                Limit::Fixed(limit) => json!(limit),
            },
            "queue": concurrency.queue,
            "max_wait_ms": millis(concurrency.max_wait),
        })),
        "circuit_breaker": service.breaker.map(|breaker| json!({
            "failure_percent": breaker.failures_percent,
            "min_requests": breaker.min_requests,
            "window_ms": breaker.window_ms,
            "open_ms": breaker.open_ms,
            "probes": breaker.probes,
        })),
    })
}

fn listener(report: &Report<'_>) -> Value {
    let (limits, timeouts) = (&report.listener.limits, &report.listener.timeouts);
    json!({
        "address": report.listener.address.to_string(),
        "tls": report.listener.tls.is_some(),
        "limits": {
            "connections": limits.connections,
            "header_bytes": limits.header_bytes,
            "headers": limits.headers,
            "uri_bytes": limits.uri,
            "min_rate_bytes": limits.min_rate,
        },
        "timeouts_ms": {
            "header": millis(timeouts.header),
            "idle": millis(timeouts.idle),
            "body": millis(timeouts.body),
            "send": millis(timeouts.send),
        },
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

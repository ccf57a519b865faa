//! Metrics as text, in the Prometheus text format 0.0.4.
//!
//! One table below says what there is: name, kind, help. `docs/reference/metrics.md` is made from it. Entry
//! point: [`Metrics::render`].

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use message::{Fault, Version};

use crate::histogram::{BOUNDS, HistogramSum};
use crate::metrics::RouteKey;
use crate::process::Process;
use crate::series::{CLASSES, METHODS};
use crate::{Abuse, Handshake, Metrics};

/// A family of metrics.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its labels, besides `le` of histograms.
    pub labels: &'static str,
    /// What it says.
    pub help: &'static str,
}

macro_rules! families {
    ($($constant:ident = $name:literal $kind:literal [$labels:literal] $help:literal;)*) => {
        $(pub(crate) const $constant: Family =
            Family { name: $name, kind: $kind, labels: $labels, help: $help };)*

        impl Metrics {
            /// Every family there is, in the order in which they are rendered.
            pub const FAMILIES: &'static [Family] = &[$($constant),*];
        }
    };
}

families! {
    BUILD = "gateward_build_info" "gauge" ["version"] "1, with the version of the gateway.";
    REQUESTS = "gateward_requests_total" "counter" ["route, service, method, status"] "Requests that are over, by class of status. `route` is empty where no route was found, `service` where the gateway answered itself.";
    SECONDS = "gateward_request_duration_seconds" "histogram" ["route, service"] "From the first byte of a request to the last byte of its response. Upgraded connections are not in it.";
    IN_FLIGHT = "gateward_requests_in_flight" "gauge" ["route, service"] "Requests under way.";
    RECEIVED = "gateward_request_bytes_total" "counter" ["route, service"] "Bytes that came from clients: heads and bodies.";
    SENT = "gateward_response_bytes_total" "counter" ["route, service"] "Bytes that went to clients: heads and bodies.";
    FAULTS = "gateward_faults_total" "counter" ["fault, layer"] "Requests that could not be served normally, by what happened and whose fault it was. See the list of faults.";
    PROTOCOLS = "gateward_requests_by_protocol_total" "counter" ["protocol"] "Requests that are over, by the version of HTTP in which they came.";
    BY_CONSUMER = "gateward_requests_by_consumer_total" "counter" ["consumer, status"] "Requests of consumers that are over, by class of status. After the first thousand consumers of the configuration all others are counted together as `(others)`.";
    CALLERS = "gateward_authenticated_requests_total" "counter" ["policy"] "Requests whose caller was recognised, by the kind of policy that did; `anonymous` where nobody has to be known.";
    ANSWERS = "gateward_policy_answers_total" "counter" ["policy"] "Requests that a policy answered in the place of the service: refusals, preflights, logins.";
    TRIED = "gateward_policy_dry_runs_total" "counter" ["policy"] "Requests that a policy would have answered if it were not tried only, and responses that it would have stopped.";
    UP_IN_FLIGHT = "gateward_upstream_requests_in_flight" "gauge" ["service"] "Requests that are with the service.";
    UP_TUNNELS = "gateward_upstream_tunnels" "gauge" ["service"] "Requests whose connection has become a tunnel: WebSockets, and what CONNECT has opened.";
    UP_CONNECTIONS = "gateward_upstream_connections" "gauge" ["service, state"] "Open connections to the service: `active` in use, `idle` kept for later.";
    UP_OPENED = "gateward_upstream_connections_opened_total" "counter" ["service"] "Connections to the service that were opened.";
    UP_REUSED = "gateward_upstream_connections_reused_total" "counter" ["service"] "Requests that went over a kept connection.";
    UP_CONNECT = "gateward_upstream_connect_duration_seconds" "histogram" ["service"] "How long opening a connection to the service took.";
    UP_RESPONSE = "gateward_upstream_response_duration_seconds" "histogram" ["service"] "From the begin of an attempt, connecting included, to the head of the service's response.";
    UP_FAILURES = "gateward_upstream_failures_total" "counter" ["service, fault"] "Attempts that failed, also where another one succeeded.";
    UP_RETRIES = "gateward_upstream_retries_total" "counter" ["service"] "Attempts after the first one of a request.";
    UP_HEDGES = "gateward_upstream_hedges_total" "counter" ["service"] "Second requests to another address, because an answer took long.";
    UP_HEDGES_WON = "gateward_upstream_hedges_won_total" "counter" ["service"] "Those of them that were answered first.";
    UP_WAITING = "gateward_upstream_requests_waiting" "gauge" ["service"] "Requests that wait for their turn, because the service has as many as it may have.";
    UP_LIMIT = "gateward_upstream_concurrency_limit" "gauge" ["service"] "How many requests the service may have at a time, of all workers; 0 where that is not limited.";
    UP_COPIES = "gateward_upstream_mirrored_requests_total" "counter" ["service, result"] "Copies of requests: `sent`, or `dropped` because too many were under way or their bodies were too long.";
    UP_ADDRESSES = "gateward_upstream_addresses" "gauge" ["service, state"] "Addresses of a service that is probed: `healthy`, and `unhealthy` ones, which get no requests as long as half of all are healthy.";
    UP_PROBES = "gateward_upstream_probes_total" "counter" ["service, result"] "Probes of a service: `passed`; or failed by `connect`, `tls`, `timeout`, an `answer` that is not the wanted one, or a connection that `broke`.";
    UP_OUT = "gateward_upstream_addresses_out" "gauge" ["service, reason"] "Addresses that get no requests besides those that probes have taken out: `ejected` because of what became of requests, `drained` by an operator.";
    UP_EJECTIONS = "gateward_upstream_ejections_total" "counter" ["service, cause"] "Addresses that were ejected: after failures `in_a_row`, for a `failure_rate`, because they were `slow`, or `stalled`.";
    CANARY_SHARE = "gateward_canary_share_ratio" "gauge" ["route"] "Which share of the requests of a route its canary gets.";
    CANARY_STATE = "gateward_canary_state" "gauge" ["route"] "How the canary of a route stands: 0 it goes forward, 1 paused, 2 promoted, 3 rolled back.";
    ISSUER_FETCHES = "gateward_issuer_key_fetches_total" "counter" ["issuer, result"] "Fetches of the keys of an issuer of tokens: `fetched`, or `failed`, where the last good keys stay in use.";
    ISSUER_SUCCESS = "gateward_issuer_keys_fetched_timestamp_seconds" "gauge" ["issuer"] "When the keys of an issuer were fetched the last time; 0 for never.";
    STORE_CONNECTIONS = "gateward_store_connections" "gauge" ["state"] "Workers by how the store of `state` is for them: `up`, or `down`. Both are 0 where nothing is shared.";
    STORE_ASKED = "gateward_store_calls_total" "counter" ["result"] "Calls of the store: `decided`, or `failed`, where `on_store_failure` says what becomes of the request.";
    STORE_SECONDS = "gateward_store_call_duration_seconds" "histogram" [""] "How long calls of the store took, those that failed too.";
    QUOTA_COUNTERS = "gateward_quota_counters" "gauge" [""] "Who has used something of quotas, counted for each quota. There may be a million; those who come then share one.";
    QUOTA_FLUSHES = "gateward_quota_flushes_total" "counter" ["result"] "Attempts to write down what is used up of quotas: `written`, or `failed`, where it is forgotten if the gateway ends.";
    QUOTA_DAMAGED = "gateward_quota_ledger_damaged" "gauge" [""] "1 if the ledger of quotas was found damaged at the start and set aside.";
    CONNECTIONS = "gateward_connections" "gauge" ["listener"] "Open connections of clients.";
    ACCEPTED = "gateward_connections_accepted_total" "counter" ["listener"] "Connections of clients that were accepted.";
    REFUSED = "gateward_connections_refused_total" "counter" ["listener"] "Connections that were refused because the listener had as many as it may have.";
    CERTIFICATE_ENDS = "gateward_certificate_expiry_timestamp_seconds" "gauge" ["listener, name"] "When a certificate in use ends, by its first name. Of two with the same name it is the one that ends first.";
    ORDERS = "gateward_acme_orders_total" "counter" ["host, result"] "Orders of certificates by ACME: `obtained`, or `failed`.";
    HTTP2 = "gateward_http2_connections_total" "counter" ["listener"] "Connections of clients that have carried HTTP/2.";
    HANDSHAKES = "gateward_tls_handshakes_total" "counter" ["listener, result"] "TLS handshakes with clients that have ended: `ok`, `resumed`, or why they failed.";
    ENDED = "gateward_connections_ended_for_abuse_total" "counter" ["listener, reason"] "Connections that were ended because their client asked too much for too little.";
    WORKERS = "gateward_workers" "gauge" [""] "Threads that serve requests.";
    LAG = "gateward_worker_lag_seconds" "gauge" ["worker"] "How much later than it should a worker came back to its work the last time.";
    SHED = "gateward_worker_shed_ratio" "gauge" ["worker"] "Which share of the requests of normal importance a worker refuses, because it has more to do than it can.";
    UP_CIRCUIT = "gateward_upstream_circuit_state" "gauge" ["service"] "The circuit breaker of a service: 0 closed, or there is none; 1 half-open; 2 open.";
    UP_OPENED_CIRCUIT = "gateward_upstream_circuit_opened_total" "counter" ["service"] "How often the circuit breaker of a service has opened.";
    RELOADS = "gateward_reloads_total" "counter" ["result"] "Configurations that were read again: `applied`, or `rejected` because of an error.";
    LAST_RELOAD = "gateward_last_reload_successful" "gauge" [""] "0 if the last configuration that was read was rejected, and an older one is in use.";
    LOADED = "gateward_config_loaded_timestamp_seconds" "gauge" [""] "When the configuration in use was loaded.";
    LOG_LINES = "gateward_access_log_lines_total" "counter" ["result"] "Lines of the access log: `written`, or `dropped` because the sink was slow or failed.";
    CPU = "process_cpu_seconds_total" "counter" [""] "Processor time used, user and system.";
    RESIDENT = "process_resident_memory_bytes" "gauge" [""] "Resident memory.";
    DESCRIPTORS = "process_open_fds" "gauge" [""] "Open file descriptors.";
    MOST_DESCRIPTORS = "process_max_fds" "gauge" [""] "Most file descriptors that may be open.";
    STARTED = "process_start_time_seconds" "gauge" [""] "When the process was started.";
}

/// The text, family by family.
pub(crate) struct Text(String);

impl Text {
    pub(crate) fn family(&mut self, family: &Family) {
        let Family { name, kind, help, .. } = family;
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One series. `labels` are pairs of a name and a value.
    pub(crate) fn series(
        &mut self,
        name: &str,
        suffix: &str,
        labels: &[(&str, &str)],
        value: impl std::fmt::Display,
    ) {
        self.0.push_str(name);
        self.0.push_str(suffix);
        for (position, (label, text)) in labels.iter().enumerate() {
            self.0.push(if position == 0 { '{' } else { ',' });
            self.0.push_str(label);
            self.0.push_str("=\"");
            push_escaped(&mut self.0, text);
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    fn single(&mut self, family: &Family, value: impl std::fmt::Display) {
        self.family(family);
        self.series(family.name, "", &[], value);
    }

    pub(crate) fn histogram(&mut self, family: &Family, labels: &[(&str, &str)], sum: &HistogramSum) {
        let mut below = 0;
        let mut bound = String::new();
        for (position, count) in sum.buckets.iter().enumerate() {
            below += count;
            bound.clear();
            match BOUNDS.get(position) {
                Some(micros) => push_seconds(&mut bound, *micros),
                None => bound.push_str("+Inf"),
            }
            let mut all = labels.to_vec();
            all.push(("le", &bound));
            self.series(family.name, "_bucket", &all, below);
        }
        bound.clear();
        push_seconds(&mut bound, sum.micros);
        self.series(family.name, "_sum", labels, &bound);
        self.series(family.name, "_count", labels, below);
    }
}

/// Escapes of the text format: backslash, quote and line feed.
fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

/// Seconds, without zeros at the end.
fn push_seconds(out: &mut String, micros: u64) {
    let _ = write!(out, "{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    while out.ends_with('0') {
        out.pop();
    }
    if out.ends_with('.') {
        out.pop();
    }
}

impl Metrics {
    /// The type of the text that [`Metrics::render`] makes.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Everything, as text. Series that have counted nothing yet are left out where there is one for each method
    /// and status; all others are there from the start, so that rates can be computed.
    pub fn render(&self) -> String {
        let mut text = Text(String::with_capacity(16 * 1024));
        text.family(&BUILD);
        text.series(BUILD.name, "", &[("version", self.version)], 1);
        self.render_routes(&mut text);
        self.render_faults(&mut text);
        self.render_callers(&mut text);
        self.render_services(&mut text);
        self.health.render(&mut text);
        self.ejections.render(&mut text);
        self.canaries.render(&mut text);
        self.issuers.render(&mut text);
        self.render_store(&mut text);
        self.quotas.render(&mut text);
        self.render_listeners(&mut text);
        self.certificates.render(&mut text);
        self.render_gateway(&mut text);
        render_process(self, &mut text);
        text.0
    }

    fn render_routes(&self, text: &mut Text) {
        let mut routes = self.routes();
        routes.retain(|(_, totals)| !totals.is_empty());
        let labels = |key: &RouteKey| [("route", key.route.clone()), ("service", key.service.clone())];
        text.family(&REQUESTS);
        for (key, totals) in &routes {
            for (method, classes) in METHODS.iter().zip(&totals.requests) {
                for (class, count) in CLASSES.iter().zip(classes).filter(|(_, count)| **count > 0) {
                    let [route, service] = &labels(key);
                    let labels = [
                        (route.0, &*route.1),
                        (service.0, &*service.1),
                        ("method", method),
                        ("status", class),
                    ];
                    text.series(REQUESTS.name, "", &labels, count);
                }
            }
        }
        for family in [&SECONDS, &IN_FLIGHT, &RECEIVED, &SENT] {
            text.family(family);
            for (key, totals) in &routes {
                let [route, service] = &labels(key);
                let labels = [(route.0, &*route.1), (service.0, &*service.1)];
                match family.name {
                    name if name == SECONDS.name => text.histogram(family, &labels, &totals.seconds),
                    name if name == IN_FLIGHT.name => text.series(name, "", &labels, totals.in_flight),
                    name if name == RECEIVED.name => text.series(name, "", &labels, totals.received),
                    name => text.series(name, "", &labels, totals.sent),
                }
            }
        }
    }

    fn render_faults(&self, text: &mut Text) {
        let mut totals = [0; Fault::ALL.len()];
        self.workers.iter().for_each(|worker| worker.add_faults_to(&mut totals));
        text.family(&FAULTS);
        for (fault, count) in Fault::ALL.iter().zip(totals) {
            let labels = [("fault", fault.code()), ("layer", fault.blame().as_str())];
            text.series(FAULTS.name, "", &labels, count);
        }
        let mut totals = [0; Version::ALL.len()];
        self.workers.iter().for_each(|worker| worker.add_protocols_to(&mut totals));
        text.family(&PROTOCOLS);
        for (version, count) in Version::ALL.iter().zip(totals) {
            text.series(PROTOCOLS.name, "", &[("protocol", version.as_str())], count);
        }
    }

    fn render_services(&self, text: &mut Text) {
        let services = self.services();
        let mut each = |family: &Family, write: &dyn Fn(&mut Text, &str, &crate::ServiceTotals)| {
            text.family(family);
            for (name, totals) in &services {
                write(text, name, totals);
            }
        };
        each(&UP_IN_FLIGHT, &|text, name, t| {
            text.series(UP_IN_FLIGHT.name, "", &[("service", name)], t.in_flight);
        });
        each(&UP_TUNNELS, &|text, name, t| text.series(UP_TUNNELS.name, "", &[("service", name)], t.tunnels));
        each(&UP_CONNECTIONS, &|text, name, t| {
            let idle = t.idle.clamp(0, t.open.max(0));
            for (state, count) in [("active", t.open - idle), ("idle", idle)] {
                text.series(UP_CONNECTIONS.name, "", &[("service", name), ("state", state)], count);
            }
        });
        each(&UP_OPENED, &|text, name, t| text.series(UP_OPENED.name, "", &[("service", name)], t.opened));
        each(&UP_REUSED, &|text, name, t| text.series(UP_REUSED.name, "", &[("service", name)], t.reused));
        each(&UP_CONNECT, &|text, name, t| text.histogram(&UP_CONNECT, &[("service", name)], &t.connect));
        each(&UP_RESPONSE, &|text, name, t| text.histogram(&UP_RESPONSE, &[("service", name)], &t.response));
        each(&UP_FAILURES, &|text, name, t| {
            for (fault, count) in Fault::ALL.iter().zip(t.failures).filter(|(_, count)| *count > 0) {
                text.series(UP_FAILURES.name, "", &[("service", name), ("fault", fault.code())], count);
            }
        });
        each(&UP_RETRIES, &|text, name, t| text.series(UP_RETRIES.name, "", &[("service", name)], t.retries));
        each(&UP_HEDGES, &|text, name, t| text.series(UP_HEDGES.name, "", &[("service", name)], t.hedges));
        each(&UP_HEDGES_WON, &|text, name, t| {
            text.series(UP_HEDGES_WON.name, "", &[("service", name)], t.hedges_won);
        });
        each(&UP_WAITING, &|text, name, t| text.series(UP_WAITING.name, "", &[("service", name)], t.waiting));
        each(&UP_LIMIT, &|text, name, t| text.series(UP_LIMIT.name, "", &[("service", name)], t.limit));
        each(&UP_COPIES, &|text, name, t| {
            for (result, count) in [("sent", t.copies_sent), ("dropped", t.copies_dropped)] {
                text.series(UP_COPIES.name, "", &[("service", name), ("result", result)], count);
            }
        });
    }

    fn render_listeners(&self, text: &mut Text) {
        let listeners = self.tables().listeners.clone();
        text.family(&CONNECTIONS);
        for (name, series) in &listeners {
            text.series(CONNECTIONS.name, "", &[("listener", name)], series.counts().0);
        }
        text.family(&ACCEPTED);
        for (name, series) in &listeners {
            text.series(ACCEPTED.name, "", &[("listener", name)], series.counts().1);
        }
        text.family(&REFUSED);
        for (name, series) in &listeners {
            text.series(REFUSED.name, "", &[("listener", name)], series.counts().2);
        }
        text.family(&HTTP2);
        for (name, series) in &listeners {
            text.series(HTTP2.name, "", &[("listener", name)], series.connections.http2_connections());
        }
        text.family(&HANDSHAKES);
        for (name, series) in listeners.iter().filter(|(_, series)| series.connections.has_handshakes()) {
            for &outcome in Handshake::ALL {
                let labels = [("listener", &**name), ("result", outcome.as_str())];
                text.series(HANDSHAKES.name, "", &labels, series.connections.handshakes(outcome));
            }
        }
        text.family(&ENDED);
        for (name, series) in &listeners {
            for &reason in Abuse::ALL {
                let labels = [("listener", &**name), ("reason", reason.as_str())];
                text.series(ENDED.name, "", &labels, series.connections.abuses(reason));
            }
        }
    }

    fn render_gateway(&self, text: &mut Text) {
        text.single(&WORKERS, self.workers.len());
        text.family(&LAG);
        for (index, worker) in self.workers.iter().enumerate() {
            let seconds = worker.lag.get() as f64 / 1e6;
            text.series(LAG.name, "", &[("worker", &index.to_string())], seconds);
        }
        text.family(&SHED);
        for (index, worker) in self.workers.iter().enumerate() {
            let share = worker.shed.get() as f64 / 1e3;
            text.series(SHED.name, "", &[("worker", &index.to_string())], share);
        }
        text.family(&RELOADS);
        for (result, count) in [("applied", &self.applied), ("rejected", &self.rejected)] {
            text.series(RELOADS.name, "", &[("result", result)], count.load(Ordering::Relaxed));
        }
        text.single(&LAST_RELOAD, u8::from(!self.last_reload_failed()));
        text.single(&LOADED, self.loaded_at());
        text.family(&LOG_LINES);
        let (written, dropped) = self.log.counts();
        for (result, count) in [("written", written), ("dropped", dropped)] {
            text.series(LOG_LINES.name, "", &[("result", result)], count);
        }
    }
}

/// What the system says of the process; what it does not say is left out.
fn render_process(metrics: &Metrics, text: &mut Text) {
    let process = Process::read();
    if let Some(seconds) = process.cpu_seconds {
        text.single(&CPU, seconds);
    }
    for (family, value) in [
        (&RESIDENT, process.resident_bytes),
        (&DESCRIPTORS, process.open_descriptors),
        (&MOST_DESCRIPTORS, process.most_descriptors),
    ] {
        if let Some(value) = value {
            text.single(family, value);
        }
    }
    let started = metrics.started.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    text.single(&STARTED, started);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Record;
    use message::Method;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    #[test]
    fn names_of_the_configuration_cannot_break_the_text() {
        let metrics = Metrics::new("1.2.3", 1, []);
        let key = RouteKey::new("a\"b\\c\nd", "s");
        let attached = metrics.attach(&[key], &["s"], &[], &[]);
        attached[0].routes[0].begin();
        let record = Record { method: Some(Method::Post), status: 201, ..Record::begin(Instant::now()) };
        attached[0].routes[0].finish(&record, Duration::from_micros(1_500));
        let text = metrics.render();
        let line = r#"gateward_requests_total{route="a\"b\\c\nd",service="s",method="POST",status="2xx"} 1"#;
        assert!(text.lines().any(|found| found == line), "{text}");
        let bucket =
            r#"gateward_request_duration_seconds_bucket{route="a\"b\\c\nd",service="s",le="0.0025"} 1"#;
        assert!(text.lines().any(|found| found == bucket), "{text}");
        assert!(text.contains(
            "gateward_request_duration_seconds_sum{route=\"a\\\"b\\\\c\\nd\",service=\"s\"} 0.0015\n"
        ));
    }

    #[test]
    fn handshakes_are_shown_where_there_are_some() {
        let metrics = Metrics::new("1", 1, []);
        let series = || Arc::<crate::ListenerSeries>::default();
        let (plain, encrypted) = (series(), series());
        encrypted.connections.expect_handshakes();
        encrypted.connections.handshake(Handshake::NoCertificate);
        encrypted.connections.http2();
        plain.connections.abuse(Abuse::ResetFlood);
        metrics.attach(&[], &[], &[], &[("a:80".into(), plain), ("a:443".into(), encrypted)]);
        metrics.worker(0).unwrap().request(Version::Http2);
        let text = metrics.render();
        for line in [
            r#"gateward_tls_handshakes_total{listener="a:443",result="no_certificate"} 1"#,
            r#"gateward_tls_handshakes_total{listener="a:443",result="ok"} 0"#,
            r#"gateward_http2_connections_total{listener="a:443"} 1"#,
            r#"gateward_http2_connections_total{listener="a:80"} 0"#,
            r#"gateward_connections_ended_for_abuse_total{listener="a:80",reason="reset_flood"} 1"#,
            r#"gateward_requests_by_protocol_total{protocol="HTTP/2"} 1"#,
            r#"gateward_requests_by_protocol_total{protocol="HTTP/1.1"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        assert!(!text.contains(r#"gateward_tls_handshakes_total{listener="a:80""#), "it has none");
    }

    #[test]
    fn every_family_is_rendered_once_and_described() {
        let text = Metrics::new("1", 1, []).render();
        for family in Metrics::FAMILIES {
            let heading = format!("# TYPE {} {}\n", family.name, family.kind);
            assert_eq!(text.matches(&heading).count(), 1, "{}", family.name);
            assert!(family.help.ends_with('.') && !family.help.contains('\n'), "{}", family.name);
        }
    }

    #[test]
    fn seconds_are_exact_and_short() {
        let shown = |micros| {
            let mut out = String::new();
            push_seconds(&mut out, micros);
            out
        };
        assert_eq!(
            [shown(250), shown(1_000_000), shown(30_000_001), shown(0)],
            ["0.00025", "1", "30.000001", "0"]
        );
    }
}

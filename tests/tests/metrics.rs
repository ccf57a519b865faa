//! `/metrics`: every number against what was sent, read by PyPI's `prometheus_client` (`peers/metrics.py`), which
//! also holds the page to its format and histograms to their arithmetic.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use end_to_end::message::Kind;
use end_to_end::python::{Samples, python_with};
use end_to_end::{Client, Gateway, Origin, SOON, Setup, refused_address, wait_until};

fn python() -> Option<PathBuf> {
    let python = python_with("prometheus_client");
    if python.is_none() {
        eprintln!("metrics: NOT CHECKED: PyPI's prometheus_client (the package could not be installed)");
    }
    python
}

fn read(gateway: &Gateway, python: &Path) -> Samples {
    let (status, page) = gateway.ask_admin("/metrics");
    assert_eq!(status, 200, "{page}");
    Samples::read(python, &page)
}

/// What was sent and what came, by route and service.
#[derive(Default)]
struct Sent {
    requests: BTreeMap<(&'static str, &'static str, &'static str, &'static str), u64>,
    bytes: BTreeMap<(&'static str, &'static str), (u64, u64)>,
    clients: Vec<Client>,
}

impl Sent {
    /// Sends a request on a connection of its own. `class` is that of the answer.
    fn send(
        &mut self,
        gateway: &Gateway,
        request: &str,
        place: (&'static str, &'static str),
        class: &'static str,
    ) {
        let method = request.split(' ').next().unwrap();
        let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
        let label = known.into_iter().find(|name| *name == method).unwrap_or("other");
        let listener = self.clients.len() % gateway.addresses().len();
        let client = Client::connect(gateway.addresses()[listener]);
        client.send(request);
        let kind = if method == "HEAD" { Kind::Bodiless } else { Kind::Response };
        let answer = client.read(kind, SOON).unwrap();
        assert_eq!(answer.status().to_string()[..1], class[..1], "{request}: {answer}");
        *self.requests.entry((place.0, place.1, label, class)).or_default() += 1;
        let bytes = self.bytes.entry(place).or_default();
        *bytes = (bytes.0 + request.len() as u64, bytes.1 + client.total());
        self.clients.push(client);
    }

    fn of_place(&self, place: (&str, &str)) -> u64 {
        self.requests.iter().filter(|(key, _)| (key.0, key.1) == place).map(|(_, count)| count).sum()
    }

    fn check(&self, samples: &Samples) {
        for ((route, service, method, class), count) in &self.requests {
            let labels = [("route", *route), ("service", *service), ("method", *method), ("status", *class)];
            assert_eq!(samples.sum("gateward_requests_total", &labels), *count as f64, "{labels:?}");
        }
        let all = self.requests.values().sum::<u64>() as f64;
        assert_eq!(samples.sum("gateward_requests_total", &[]), all, "nothing else is counted");
        for (place, (received, sent)) in &self.bytes {
            let labels = [("route", place.0), ("service", place.1)];
            let count = samples.sum("gateward_request_duration_seconds_count", &labels);
            assert_eq!(count, self.of_place(*place) as f64, "{labels:?}");
            assert_eq!(samples.sum("gateward_request_bytes_total", &labels), *received as f64, "{labels:?}");
            assert_eq!(samples.sum("gateward_response_bytes_total", &labels), *sent as f64, "{labels:?}");
        }
        assert_eq!(samples.sum("gateward_requests_in_flight", &[]), 0.0);
        assert_eq!(samples.sum("gateward_upstream_requests_in_flight", &[]), 0.0);
    }
}

/// Answers the status that the path ends in.
fn by_status() -> Origin {
    Origin::serving(|request| {
        let status = request.target().rsplit('/').next().unwrap().to_owned();
        let body = if request.method() == "HEAD" { "" } else { "body" };
        let length = if status == "204" { "" } else { "Content-Length: 4\r\n" };
        let body = if status == "204" { "" } else { body };
        Some(format!("HTTP/1.1 {status} X\r\n{length}\r\n{body}").into_bytes())
    })
}

#[test]
fn every_number_is_that_of_what_was_sent() {
    let Some(python) = python() else { return };
    let (site, one, two, rest) = (by_status(), Origin::saying("1"), Origin::saying("2"), by_status());
    let (refused, _held) = refused_address();
    let yaml = format!(
        "listen: [127.0.0.1:0, 127.0.0.1:0]\nadmin: 127.0.0.1:0\n\
         services:\n  site: {{ endpoints: [\"http://{}\"] }}\n  one: {{ endpoints: [\"http://{}\"] }}\n  \
         two: {{ endpoints: [\"http://{}\"] }}\n  half: {{ endpoints: [\"http://{refused}\", \"http://{}\"] }}\n  \
         none: {{ endpoints: [\"http://{refused}\"] }}\n\
         routes:\n- {{ name: site, path: /site/*, service: site }}\n- {{ name: both, path: /both, split: {{ one: 1, two: 1 }} }}\n\
         - {{ name: half, path: /half/*, service: half }}\n- {{ name: none, path: /none, service: none }}\n\
         - {{ name: fixed, path: /fixed, respond: {{ status: 418 }} }}\n\
         - {{ name: moved, path: /moved, redirect: {{ to: /fixed }} }}\n",
        site.address(),
        one.address(),
        two.address(),
        rest.address()
    );
    let gateway = Setup { workers: Some(2), ..Setup::new(yaml.clone()) }.start();
    let mut sent = Sent::default();
    for (count, method, target, place, class) in [
        (14, "GET", "/site/200", ("site", "site"), "2xx"),
        (3, "HEAD", "/site/200", ("site", "site"), "2xx"),
        (5, "POST", "/site/201", ("site", "site"), "2xx"),
        (2, "PUT", "/site/204", ("site", "site"), "2xx"),
        (2, "DELETE", "/site/404", ("site", "site"), "4xx"),
        (1, "PATCH", "/site/500", ("site", "site"), "5xx"),
        (1, "OPTIONS", "/site/301", ("site", "site"), "3xx"),
        (2, "PROPFIND", "/site/207", ("site", "site"), "2xx"),
        (4, "GET", "/half/200", ("half", "half"), "2xx"),
        (2, "GET", "/none", ("none", "none"), "5xx"),
        (3, "GET", "/fixed", ("fixed", ""), "4xx"),
        (2, "POST", "/moved", ("moved", ""), "3xx"),
        (3, "GET", "/nowhere", ("", ""), "4xx"),
        (1, "BAD REQUEST", "/", ("", ""), "4xx"),
    ] {
        let body = if method == "POST" { "Content-Length: 5\r\n\r\nhello" } else { "\r\n" };
        let request = format!("{method} {target} HTTP/1.1\r\nHost: gw.test\r\n{body}");
        for _ in 0..count {
            sent.send(&gateway, &request, place, class);
        }
    }
    let samples = read(&gateway, &python);
    sent.check(&samples);
    check_connections(&gateway, &samples, &sent);
    check_services(&samples, &sent, &site);
    for (fault, layer, count) in [
        ("no-route", "gateway", 3.0),
        ("connect-failed", "service", 2.0),
        ("bad-request-line", "client", 1.0),
        ("client-gone", "client", 0.0),
    ] {
        assert_eq!(
            samples.sum("gateward_faults_total", &[("fault", fault), ("layer", layer)]),
            count,
            "{fault}"
        );
    }
    assert_eq!(samples.sum("gateward_faults_total", &[]), 6.0);
    assert_eq!(samples.sum("gateward_workers", &[]), 2.0);
    check_split(&gateway, &python, &one, &two);
    gateway.reload(&yaml.replace("path: /both", "path: /other"));
    let after = read(&gateway, &python);
    let of_site = |samples: &Samples| samples.sum("gateward_requests_total", &[("route", "site")]);
    assert_eq!(of_site(&after), of_site(&samples), "a reload forgets nothing");
    assert_eq!(after.sum("gateward_reloads_total", &[("result", "applied")]), 1.0);
    let loaded = |samples: &Samples| samples.sum("gateward_config_loaded_timestamp_seconds", &[]);
    assert!(loaded(&after) >= loaded(&samples) && loaded(&samples) > 1.7e9);
    gateway.stop();
}

/// Connections of clients, by listener: the test still holds all of them that the gateway has not ended.
fn check_connections(gateway: &Gateway, samples: &Samples, sent: &Sent) {
    for (number, address) in gateway.addresses().iter().enumerate() {
        let listener = address.to_string();
        let accepted = sent.clients.iter().skip(number).step_by(2).count();
        let labels = [("listener", listener.as_str())];
        assert_eq!(samples.sum("gateward_connections_accepted_total", &labels), accepted as f64);
        assert_eq!(samples.sum("gateward_connections_refused_total", &labels), 0.0);
    }
    // One that the gateway has ended is open until the client has closed it too.
    let (ended, open): (Vec<_>, Vec<_>) = sent.clients.iter().partition(|client| client.end().is_some());
    ended.iter().for_each(|client| client.close());
    let counted = || -> f64 {
        let of = |address| gateway.metric(&format!("gateward_connections{{listener=\"{address}\"}}"));
        gateway.addresses().iter().map(of).sum()
    };
    wait_until("only what is open is counted", SOON, || counted() == open.len() as f64);
    assert!(!ended.is_empty() && open.len() > 30);
}

fn check_services(samples: &Samples, sent: &Sent, site: &Origin) {
    let of = |name: &str, service| samples.sum(&format!("gateward_upstream_{name}"), &[("service", service)]);
    // One request at a time: each worker has opened one connection, and used it again for all others.
    let (requests, opened) = (sent.of_place(("site", "site")) as f64, site.links().len() as f64);
    assert_eq!(opened, 2.0, "both workers have served, and are counted together");
    assert_eq!(of("connections_opened_total", "site"), opened);
    assert_eq!(of("connections_reused_total", "site"), requests - opened);
    assert_eq!(of("connect_duration_seconds_count", "site"), opened);
    assert_eq!(of("response_duration_seconds_count", "site"), requests);
    let in_state =
        |state| samples.sum("gateward_upstream_connections", &[("service", "site"), ("state", state)]);
    assert_eq!((in_state("active"), in_state("idle")), (0.0, 2.0));
    let failed = |service| {
        let labels = [("service", service), ("fault", "connect-failed")];
        samples.sum("gateward_upstream_failures_total", &labels)
    };
    assert_eq!((failed("none"), of("retries_total", "none")), (2.0, 0.0), "there was nowhere else to try");
    assert_eq!((failed("site"), of("retries_total", "site")), (0.0, 0.0));
    assert!(failed("half") >= 1.0, "the refused address has its turn");
    assert_eq!(of("retries_total", "half"), failed("half"), "each failure was made good by a retry");
    assert_eq!(of("response_duration_seconds_count", "half"), 4.0);
}

fn check_split(gateway: &Gateway, python: &Path, one: &Origin, two: &Origin) {
    let client = gateway.connect();
    for _ in 0..20 {
        client.get("/both");
    }
    assert_eq!(one.count() + two.count(), 20);
    // A request is over a moment after its client has the answer.
    let counted = (one.count() as f64, two.count() as f64);
    wait_until("all of them are over", SOON, || {
        let samples = read(gateway, python);
        let of = |service| samples.sum("gateward_requests_total", &[("route", "both"), ("service", service)]);
        (of("one"), of("two")) == counted
    });
}

#[test]
fn what_is_under_way_is_counted_until_it_is_over() {
    let Some(python) = python() else { return };
    let origin = Origin::scripted();
    let gateway = Gateway::start(format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n\
         services: {{ site: {{ endpoints: [\"http://{}\"] }} }}\nroutes: [{{ name: all, path: /*, service: site }}]\n",
        origin.address()
    ));
    let in_flight = || {
        let samples = read(&gateway, &python);
        [
            samples.sum("gateward_requests_in_flight", &[("route", "all"), ("service", "site")]),
            samples.sum("gateward_upstream_requests_in_flight", &[("service", "site")]),
            samples.sum("gateward_upstream_connections", &[("state", "active")]),
            samples.sum("gateward_connections", &[]),
        ]
    };
    assert_eq!(in_flight(), [0.0; 4]);
    let clients = [gateway.connect(), gateway.connect()];
    clients.iter().for_each(|client| assert!(client.send("GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n")));
    let links = [origin.expect().0, origin.expect().0];
    assert_eq!(in_flight(), [2.0; 4]);
    links[0].send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    wait_until("the first one is over", SOON, || in_flight() == [1.0, 1.0, 1.0, 2.0]);
    clients.iter().for_each(|client| client.reset());
    wait_until("nobody waits any more", SOON, || in_flight() == [0.0; 4]);
    gateway.stop();
}

/// Sends any bytes, and waits for the end of what comes back.
fn fire(gateway: &Gateway, request: &[u8]) {
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.starts_with(b"HTTP/1.1 "), "{:?}", String::from_utf8_lossy(request));
}

#[test]
fn no_client_can_make_new_series() {
    let Some(python) = python() else { return };
    let origin = Origin::saying("ok");
    let gateway = Gateway::start(format!(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\n\
         services: {{ site: {{ endpoints: [\"http://{}\"] }} }}\n\
         routes:\n- {{ name: some, path: /s/*, service: site }}\n- {{ name: host, path: /h, hosts: [\"*.test\"], respond: {{ body: ok }} }}\n",
        origin.address()
    ));
    let mut state = 1u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    };
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_.~!$&'()*+,;=%\"\\{}\xe9\x01";
    // Of the first `tame` letters, or now and then of all.
    let text = |random: &mut dyn FnMut(usize) -> usize, tame: usize| -> Vec<u8> {
        let most = if random(3) == 0 { letters.len() } else { tame };
        (0..1 + random(20)).map(|_| letters[random(most)]).collect()
    };
    let mut send = |count| {
        for _ in 0..count {
            let method = if random(2) == 0 { b"GET".to_vec() } else { text(&mut random, 26) };
            let start: &[u8] = [b"/s/".as_slice(), b"/h", b"/"][random(3)];
            let (path, host) = (text(&mut random, 52), text(&mut random, 52));
            let (name, value) = (text(&mut random, 52), text(&mut random, 52));
            let request = [
                &method[..],
                b" ",
                start,
                &path,
                b"?",
                &value,
                b" HTTP/1.1\r\nHost: ",
                &host,
                b".test\r\nx-",
                &name,
                b": ",
                &value,
                b"\r\nConnection: close\r\n\r\n",
            ];
            fire(&gateway, &request.concat());
        }
        read(&gateway, &python)
    };
    let first = send(1000);
    let second = send(1000);
    assert_eq!(second.sum("gateward_requests_total", &[]), 2000.0);
    let names = |samples: &Samples| -> BTreeSet<String> {
        let series = samples.series().filter(|(name, _)| *name != "gateward_requests_total");
        series.map(|(name, labels)| format!("{name} {labels:?}")).collect()
    };
    assert_eq!(names(&second), names(&first));
    for (name, labels) in second.series().filter(|(name, _)| *name == "gateward_requests_total") {
        for (label, value) in labels {
            let known: &[&str] = match label.as_str() {
                "route" => &["", "some", "host"],
                "service" => &["", "site"],
                "method" => &["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "other"],
                _ => &["1xx", "2xx", "3xx", "4xx", "5xx"],
            };
            assert!(known.contains(&value.as_str()), "{name} {label}={value}");
        }
    }
    for class in ["2xx", "4xx"] {
        assert!(
            second.sum("gateward_requests_total", &[("method", "other"), ("status", class)]) > 10.0,
            "{class}"
        );
    }
    assert_eq!(second.count("gateward_upstream_retries_total", &[]), 1);
    gateway.stop();
}

#[test]
fn the_documentation_asks_only_for_what_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = std::fs::read_to_string(root.join("docs/operations.md")).unwrap();
    let gateway = Gateway::start(
        "listen: 127.0.0.1:0\nadmin: 127.0.0.1:0\nroutes: [{ path: /*, respond: { body: ok } }]\n",
    );
    let (_, text) = gateway.ask_admin("/metrics");
    let kinds: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    let named = page.split(word).filter(|name| name.starts_with("gateward_") || name.starts_with("process_"));
    let mut count = 0;
    for name in named {
        let base =
            ["_bucket", "_sum", "_count"].into_iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let kind = kinds.get(base).unwrap_or_else(|| panic!("{name} is no metric"));
        assert_eq!(*kind == "histogram", base != name, "{name} is a {kind}");
        count += 1;
    }
    assert!(count > 20, "only {count} were found");
    gateway.stop();
}

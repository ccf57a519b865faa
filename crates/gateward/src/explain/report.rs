//! What there is to report, and the words that both forms of it share.
//!
//! It knows how a reason is said, not how a page is laid out. Entry point: [`Report`].

use dataplane::explain::{Answer, Decider, End, Explanation, Next, Step, Tried, Way};
use diagnostics::{Sources, Span};
use document::{ByteSize, DurationValue};
use router::{RouteIndex, ValuePattern, Verdict};
use snapshot::{EndpointHost, Listener, RequestKey, Route, Service, Snapshot};

use super::ask::Ask;
use super::mask::Mask;

/// What is shown in place of an id that is another one for each request.
pub(crate) const GENERATED: &str = "(generated)";

/// Everything that a report is made of.
pub(crate) struct Report<'a> {
    /// What was asked.
    pub(crate) ask: &'a Ask,
    /// Where it was asked.
    pub(crate) listener: &'a Listener,
    /// What is served.
    pub(crate) snapshot: &'a Snapshot,
    /// Where it was written.
    pub(crate) sources: &'a Sources,
    /// What becomes of it.
    pub(crate) explanation: &'a Explanation<'a>,
    /// The server that is asked for in the handshake, if there is one.
    pub(crate) server_name: Option<&'a str>,
    /// What has to be said of how the listener was chosen.
    pub(crate) note: Option<&'a str>,
    /// What has to be said of who is supposed to be calling.
    pub(crate) whose: Option<String>,
    /// The consumer that is supposed to be calling.
    pub(crate) supposed: Option<&'a str>,
    /// What is not shown.
    pub(crate) mask: &'a Mask,
}

impl<'a> Report<'a> {
    /// What was done to the request that its author may not expect.
    pub(crate) fn notes(&self) -> impl Iterator<Item = &str> {
        self.ask.notes.iter().map(String::as_str).chain(self.note).chain(self.whose.as_deref())
    }

    /// File and line.
    pub(crate) fn place(&self, span: Span) -> String {
        format!("{}:{}", self.sources.name(span.source), self.line(span))
    }

    /// The line alone.
    pub(crate) fn line(&self, span: Span) -> usize {
        self.sources.position(span.source, span.start).line
    }

    /// The route of a candidate.
    pub(crate) fn route(&self, index: RouteIndex) -> Option<&'a Route> {
        self.snapshot.routes.get(index.0 as usize).map(|route| &**route)
    }

    /// The ways that requests go.
    pub(crate) fn ways(&self) -> Vec<&'a Way<'a>> {
        match &self.explanation.next {
            Next::Ways(ways) => ways.iter().filter(|way| way.share.0 > 0).collect(),
            Next::Answer(_) | Next::Ambiguous(..) => Vec::new(),
        }
    }

    /// The answer to a request that takes no route.
    pub(crate) fn answer(&self) -> Option<&'a Answer> {
        match &self.explanation.next {
            Next::Ways(_) => None,
            Next::Answer(answer) | Next::Ambiguous(answer, _) => Some(answer),
        }
    }

    /// Whether the request gets where it is meant to get, whatever way it goes.
    pub(crate) fn is_fine(&self) -> bool {
        let arrives = |way: &&Way<'_>| match &way.end {
            End::Forward(_) => true,
            End::Answer(answer) => answer.is_meant(),
            End::Unknown => false,
        };
        match self.answer() {
            Some(answer) => answer.is_meant(),
            None => !self.ways().is_empty() && self.ways().iter().all(arrives),
        }
    }

    /// Who decided an answer, with the place where there is one.
    pub(crate) fn decider(&self, answer: &Answer, steps: &[Step<'_>]) -> String {
        match answer.by {
            Decider::Reading => "reading the head of the request".to_owned(),
            Decider::Normalizing => "reading host and path".to_owned(),
            Decider::Routing => "looking for a route".to_owned(),
            Decider::Gateway => "the gateway: it is asked about itself".to_owned(),
            Decider::Listener if answer.fault.is_some() => {
                "comparing the host with the server name of the connection".to_owned()
            }
            Decider::Listener => format!("redirect_https of listener {}", self.listener.address),
            Decider::Preparing => "making the request for the service".to_owned(),
            Decider::Policy(position) => match steps.get(position) {
                Some(step) => self.policy(step),
                None => "a policy".to_owned(),
            },
            Decider::Route => match self.explanation.route {
                Some(route) => format!("route {} ({})", route.name, self.place(route.source)),
                None => "the route".to_owned(),
            },
        }
    }

    /// A policy with its place.
    pub(crate) fn policy(&self, step: &Step<'_>) -> String {
        format!("policy {} ({})", kind(step), self.place(step.link.source))
    }

    /// Why a policy said what it said, on one line.
    pub(crate) fn detail(&self, step: &Step<'_>) -> Option<String> {
        // Hidden first: what is hidden may have line breaks.
        let words = self.mask.hide(step.detail.as_deref()?);
        Some(words.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|words| !words.is_empty())
    }

    /// Why an alternative does not match; `None` if it does.
    pub(crate) fn reason(&self, tried: &Tried<'_>) -> Option<String> {
        let candidate = &tried.candidate;
        Some(match candidate.verdict {
            Verdict::Matched => return None,
            Verdict::Host => {
                format!("host is not {}", list(candidate.of.hosts.iter().map(ToString::to_string), "or"))
            }
            Verdict::Path => format!("path {} does not match", path(tried)),
            Verdict::Method => {
                let methods = candidate.of.methods.iter().map(ToString::to_string);
                format!("method is {}, not {}", self.ask.method, list(methods, "or"))
            }
            Verdict::Header(name) => self.unmet("header", name, &candidate.of.headers, &tried.had),
            Verdict::Query(name) => self.unmet("query parameter", name, &candidate.of.query, &tried.had),
        })
    }

    fn unmet(
        &self,
        what: &str,
        name: &str,
        conditions: &[(Box<str>, ValuePattern)],
        had: &[String],
    ) -> String {
        let condition = conditions.iter().find(|(own, pattern)| {
            **own == *name && !had.iter().any(|value| pattern.matches(value.as_bytes()))
        });
        let wanted = condition.map(|(_, pattern)| self.wanted(pattern));
        let values = had.iter().map(|value| format!("\"{}\"", self.mask.hide(value)));
        match (had.is_empty(), wanted) {
            (true, Some(wanted)) if wanted != ANY => format!("{what} {name} is missing, wanted {wanted}"),
            (true, _) => format!("{what} {name} is missing"),
            (false, Some(wanted)) => format!("{what} {name} is {}, not {wanted}", list(values, "and")),
            (false, None) => format!("{what} {name} is {}", list(values, "and")),
        }
    }

    /// What a condition wants.
    pub(crate) fn wanted(&self, pattern: &ValuePattern) -> String {
        match pattern {
            ValuePattern::Present => ANY.to_owned(),
            ValuePattern::Exact(value) => format!("\"{}\"", self.mask.hide(&String::from_utf8_lossy(value))),
            ValuePattern::Regex(regex) => format!("~{}", self.mask.hide(regex.as_str())),
        }
    }

    /// A value of a field as it is shown.
    pub(crate) fn value(&self, value: &str, generated: Option<&str>) -> String {
        if generated == Some(value) { GENERATED.to_owned() } else { self.mask.hide(value) }
    }
}

const ANY: &str = "any value";

/// The kind of a policy.
pub(crate) fn kind(step: &Step<'_>) -> &'static str {
    step.link.policy.kind().name
}

/// The path of an alternative as it was written.
pub(crate) fn path(tried: &Tried<'_>) -> String {
    tried.candidate.path.map_or_else(|| "any".to_owned(), |path| path.as_str().to_owned())
}

/// `a`, `a or b`, `a, b or c`
pub(crate) fn list(items: impl IntoIterator<Item = String>, word: &str) -> String {
    let mut items: Vec<String> = items.into_iter().collect();
    match items.pop() {
        None => String::new(),
        Some(last) if items.is_empty() => last,
        Some(last) => format!("{} {word} {last}", items.join(", ")),
    }
}

/// `a, b and c`
pub(crate) fn names<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    list(names.into_iter().map(str::to_owned), "and")
}

/// `5s`, as it is written in a configuration.
pub(crate) fn time(duration: std::time::Duration) -> String {
    DurationValue(duration).to_string()
}

/// `32KiB`, as it is written in a configuration.
pub(crate) fn size(bytes: u64) -> String {
    ByteSize(bytes).to_string()
}

/// The share of a way, as `95%`.
pub(crate) fn share(way: &Way<'_>) -> String {
    let (weight, total) = way.share;
    let percent = f64::from(weight) * 100.0 / total as f64;
    if percent.fract() == 0.0 { format!("{percent:.0}%") } else { format!("{percent:.1}%") }
}

/// How endpoints are reached.
pub(crate) fn scheme(service: &Service) -> &'static str {
    if service.tls.is_some() { "https" } else { "http" }
}

/// How an endpoint is chosen, as it is written in a configuration.
pub(crate) fn algorithm(service: &Service) -> String {
    let word = service.algorithm.as_str();
    let by = service.hash_by.as_ref().map(|key| format!("{word} of {}", request_key(key)));
    let by = by.unwrap_or_else(|| word.to_owned());
    match &service.sticky {
        Some(sticky) => format!("{by}; clients stay with theirs by cookie {}", sticky.cookie),
        None => by,
    }
}

/// What requests have in common.
pub(crate) fn request_key(key: &RequestKey) -> String {
    match key {
        RequestKey::Header(name) => format!("header {name}"),
        RequestKey::Cookie(name) => format!("cookie {name}"),
        RequestKey::Query(name) => format!("query {name}"),
        RequestKey::Path => "path".to_owned(),
        RequestKey::ClientIp => "client_ip".to_owned(),
        RequestKey::Consumer => "consumer".to_owned(),
    }
}

/// After what is tried again, as it is written in a configuration.
pub(crate) fn retry_on(service: &Service) -> Vec<String> {
    let on = &service.retries.on;
    let words = [
        (on.connect_failure, "connect_failure"),
        (on.reset, "reset"),
        (on.stall, "stall"),
        (on.timeout, "timeout"),
    ];
    let words = words.into_iter().filter(|(holds, _)| *holds).map(|(_, word)| word.to_owned());
    let words = words.chain(on.statuses.iter().map(ToString::to_string));
    words.chain(on.grpc.iter().map(|status| format!("grpc:{}", status.name()))).collect()
}

/// Where the endpoints are, as `host:port` with their weights.
pub(crate) fn endpoints(service: &Service) -> impl Iterator<Item = (String, u32)> {
    service.endpoints.iter().map(|endpoint| {
        let place = match &endpoint.host {
            EndpointHost::Source(source) => format!("({})", source.key),
            EndpointHost::Address(_) | EndpointHost::Name(_) => endpoint.authority.to_string(),
        };
        (place, endpoint.weight)
    })
}

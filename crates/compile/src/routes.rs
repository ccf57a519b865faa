//! `routes`

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use config::{Condition, Config, Route as Raw};
use diagnostics::{Code, Diagnostic, Diagnostics, Span, Spanned};
use message::{Headers, Reply};
use policy::{Chain, Compiling, Consumers, Providers};
use router::{Builder, HostPattern, Match, PathPattern, PatternError, RouteIndex, Router, ValuePattern};
use snapshot::{Action, Protocol, Redirect, Route};

use crate::bypass;
use crate::logins;
use crate::policies::Layer;
use crate::reachability;
use crate::services::Services;
use crate::templates;

/// The routes, and how they are found.
pub(crate) struct Routes {
    pub(crate) router: Router,
    pub(crate) routes: Vec<Route>,
    /// Services that some route leads to.
    pub(crate) used: BTreeSet<String>,
}

/// Compiles every route; goes on after mistakes.
pub(crate) fn compile(
    config: &Config,
    services: &Services,
    gateway: &Layer,
    (consumers, providers): (&Arc<Consumers>, &Providers),
    diagnostics: &mut Diagnostics,
) -> Routes {
    let complete = !diagnostics.has_errors();
    let mut builder = Builder::new();
    let (mut routes, mut raws) = (Vec::new(), Vec::new());
    let mut used = BTreeSet::new();
    let mut names: HashMap<&str, Span> = HashMap::new();
    let mut places = HashMap::new();
    for (position, raw) in config.routes.iter().enumerate() {
        if let Some(name) = &raw.name
            && let Some(earlier) = names.insert(&name.value, name.span)
        {
            diagnostics.push(
                Diagnostic::error(
                    Code::DuplicateName,
                    name.span,
                    format!("another route is named `{}`", name.value),
                )
                .related(earlier, "here")
                .help("names stand in logs and metrics: give each route its own"),
            );
        }
        let pattern = raw
            .path
            .as_ref()
            .and_then(|path| parsed(path, Code::InvalidPath, PathPattern::parse, diagnostics));
        if let Some(path) = &raw.path {
            check_regex_of_path(path, diagnostics);
        }
        let of = matcher(raw, pattern.clone(), diagnostics);
        let layer = {
            let cx = Compiling::new(diagnostics, consumers, providers);
            let cx = cx.sharing(crate::state::is_shared(config));
            Layer::compile(raw.policies.as_ref(), &mut cx.at(place(raw, &mut places)))
        };
        let context =
            Context { config, complete, services, gateway, layer: &layer, pattern: pattern.as_ref() };
        let connect = is_for_connect(raw, services, diagnostics);
        let action = context.action(raw, &mut used, diagnostics);
        if let (Some(of), Some(action)) = (of, action) {
            builder.add(RouteIndex(routes.len() as u32), of);
            raws.push(raw);
            routes.push(Route {
                name: route_name(raw, position),
                action,
                timeout: raw.timeout.as_ref().map(|timeout| timeout.get()),
                canary: raw
                    .canary
                    .as_ref()
                    .and_then(|canary| crate::canary::compile(raw, canary, diagnostics)),
                importance: match raw.importance {
                    config::Importance::High => balance::Importance::High,
                    config::Importance::Normal => balance::Importance::Normal,
                    config::Importance::Low => balance::Importance::Low,
                },
                grpc_web: raw.grpc_web,
                connect,
                consumers: Arc::clone(consumers),
                // It follows from all routes together.
                reserved: Arc::default(),
                source: raw.span,
            });
        }
    }
    let router = builder.build();
    if complete {
        reachability::warn(&router, &routes, &raws, diagnostics);
        bypass::warn(config, &router, &routes, &raws, diagnostics);
        logins::warn(&router, &routes, &raws, diagnostics);
    }
    Routes { router, routes, used }
}

/// Paths are matched in canonical form; what cannot stand there can never match, and a rule that can never
/// match protects nothing.
fn check_regex_of_path(path: &Spanned<String>, diagnostics: &mut Diagnostics) {
    let Some(regex) = path.strip_prefix('~') else { return };
    let is_lower_escape = |w: &[u8]| matches!(w, [b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() && (a.is_ascii_lowercase() || b.is_ascii_lowercase()));
    let help = if regex.bytes().any(|b| b == b' ') {
        "a canonical path holds no space: write `%20`, or remove the space"
    } else if !regex.is_ascii() {
        "a canonical path holds no bytes beyond ASCII: write their escapes, `%C3%A9` for é"
    } else if regex.as_bytes().windows(3).any(is_lower_escape) {
        "escapes in a canonical path have capitals: `%2F`"
    } else {
        return;
    };
    diagnostics.push(
        Diagnostic::error(
            Code::InvalidRegex,
            path.span,
            "this regular expression holds what no canonical path holds, and can never match",
        )
        .help(help),
    );
}

/// Whether a header is still there when routes are looked for.
fn check_header_condition(name: &Spanned<String>, diagnostics: &mut Diagnostics) {
    let mut headers = Headers::default();
    headers.push(name.as_bytes(), b"");
    headers.strip_request(message::ConnectionOptions::default(), true);
    let help = if !Headers::is_valid_name(name.as_bytes()) {
        "a name consists of letters, digits and -"
    } else if headers.is_empty() {
        "fields of the connection, and names with `_`, are removed from requests before routes are looked for"
    } else {
        return;
    };
    diagnostics.push(
        Diagnostic::error(
            Code::InvalidHeader,
            name.span,
            format!("no request has a header `{}` here", name.value),
        )
        .help(help),
    );
}

fn route_name(raw: &Raw, position: usize) -> Box<str> {
    match (&raw.name, &raw.path) {
        (Some(name), _) => name.as_str().into(),
        (None, Some(path)) => path.as_str().into(),
        (None, None) => format!("route {}", position + 1).into(),
    }
}

/// Parses a text of the user, and reports what is wrong with it.
fn parsed<T>(
    text: &Spanned<String>,
    code: Code,
    parse: impl Fn(&str) -> Result<T, PatternError>,
    diagnostics: &mut Diagnostics,
) -> Option<T> {
    match parse(&text.value) {
        Ok(value) => Some(value),
        Err(error) => {
            let code = if text.value.starts_with('~') { Code::InvalidRegex } else { code };
            let mut diagnostic = Diagnostic::error(code, text.span, error.to_string());
            if let Some(help) = error.help() {
                diagnostic = diagnostic.help(help);
            }
            diagnostics.push(diagnostic);
            None
        }
    }
}

/// What a request must be for a route. `None` if some part of it is wrong; every part is looked at.
fn matcher(raw: &Raw, pattern: Option<PathPattern>, diagnostics: &mut Diagnostics) -> Option<Match> {
    let before = diagnostics.errors();
    let hosts = raw.hosts.iter().flat_map(|hosts| hosts.iter());
    let hosts =
        hosts.filter_map(|host| parsed(host, Code::InvalidHost, HostPattern::parse, diagnostics)).collect();
    for method in raw.methods.iter().flat_map(|methods| methods.iter()) {
        check_method(method, diagnostics);
    }
    let headers = raw.headers.iter().flat_map(|headers| headers.iter()).filter_map(|(name, condition)| {
        check_header_condition(name, diagnostics);
        Some((name.to_ascii_lowercase().into(), value_pattern(condition, diagnostics)?))
    });
    let headers = headers.collect();
    let query = raw.query.iter().flat_map(|query| query.iter());
    let query = query
        .filter_map(|(name, condition)| Some((name.as_str().into(), value_pattern(condition, diagnostics)?)))
        .collect();
    let path_is_fine = raw.path.is_none() || pattern.is_some();
    (path_is_fine && diagnostics.errors() == before).then(|| Match {
        hosts,
        path: pattern,
        methods: raw.methods.iter().flatten().map(|method| method.as_str().into()).collect(),
        headers,
        query,
        priority: raw.priority,
    })
}

/// The method that asks for a connection of one's own.
const CONNECT: &str = "CONNECT";

/// Whether a route is for CONNECT; reports what has no meaning there. A request of this method has a host and a port,
/// and what follows it is no HTTP.
fn is_for_connect(raw: &Raw, services: &Services, diagnostics: &mut Diagnostics) -> bool {
    let mut methods = raw.methods.iter().flatten();
    let Some(method) = methods.clone().find(|method| method.value == CONNECT) else { return false };
    let mut wrong = |what: &'static str, help: &'static str| {
        diagnostics.push(Diagnostic::error(Code::InvalidMethod, method.span, what).help(help));
    };
    if methods.any(|other| other.value != CONNECT) {
        wrong("CONNECT cannot share a route with other methods", "give it a route of its own");
    }
    if raw.path.is_some() || raw.query.is_some() || raw.rewrite.is_some() || raw.grpc_web {
        wrong(
            "a CONNECT has a host and nothing else",
            "remove `path`, `query`, `rewrite` and `grpc_web`; choose by `hosts`",
        );
    }
    let named =
        raw.service.iter().chain(raw.split.iter().flat_map(|split| split.value.iter().map(|(name, _)| name)));
    let mut protocols = named.filter_map(|name| services.protocol(services.find(name)?));
    if protocols.any(|protocol| protocol != Protocol::Http1) {
        wrong(
            "a CONNECT leads to a service whose handshake would settle on HTTP",
            "name a service with `protocol: http1`: what passes on its connection is up to the client",
        );
    }
    if raw.redirect.is_some() || raw.respond.is_some() {
        wrong("a CONNECT leads to a service", "write `service`, and `policies` that say who may use it");
    }
    true
}

/// Whether a text is a method, in capitals; reports what it is not.
pub(crate) fn check_method(method: &Spanned<String>, diagnostics: &mut Diagnostics) -> bool {
    let diagnostic = if !Headers::is_valid_name(method.as_bytes()) {
        Diagnostic::error(Code::InvalidMethod, method.span, format!("`{}` is not a method", method.value))
            .help("write GET, POST, PUT …")
    } else if method.bytes().any(|b| b.is_ascii_lowercase()) {
        Diagnostic::error(Code::InvalidMethod, method.span, "methods are written in capitals")
            .help(format!("did you mean `{}`?", method.to_ascii_uppercase()))
    } else if method.as_str() == "TRACE" {
        Diagnostic::error(Code::InvalidMethod, method.span, format!("{} is never served", method.value))
            .help("every such request is answered with 501, before routes are looked for")
    } else {
        return true;
    };
    diagnostics.push(diagnostic);
    false
}

fn value_pattern(condition: &Condition, diagnostics: &mut Diagnostics) -> Option<ValuePattern> {
    match condition {
        Condition::Present => Some(ValuePattern::Present),
        Condition::Literal(text) => Some(ValuePattern::Exact(text.as_bytes().into())),
        Condition::Text(text) => parsed(text, Code::InvalidValue, ValuePattern::parse, diagnostics),
    }
}

/// What a route's action is compiled against.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a Config,
    /// Everything that was written could be read.
    pub(crate) complete: bool,
    pub(crate) services: &'a Services,
    pub(crate) gateway: &'a Layer,
    pub(crate) layer: &'a Layer,
    pub(crate) pattern: Option<&'a PathPattern>,
}

impl Context<'_> {
    /// Exactly one of `service`, `split`, `redirect` and `respond`.
    fn action(
        &self,
        raw: &Raw,
        used: &mut BTreeSet<String>,
        diagnostics: &mut Diagnostics,
    ) -> Option<Action> {
        let given: Vec<(&str, Span)> = [
            raw.service.as_ref().map(|service| ("service", service.span)),
            raw.split.as_ref().map(|split| ("split", split.span)),
            raw.redirect.as_ref().map(|redirect| ("redirect", redirect.span)),
            raw.respond.as_ref().map(|respond| ("respond", respond.span)),
        ]
        .into_iter()
        .flatten()
        .collect();
        if let [(first, place), (second, other), ..] = given[..] {
            diagnostics.push(
                Diagnostic::error(
                    Code::ConflictingKeys,
                    other,
                    format!("a route has either `{first}` or `{second}`"),
                )
                .related(place, "the other one")
                .help("keep one of them; two routes can tell requests apart by method or header"),
            );
            return None;
        }
        if given.is_empty() && diagnostics.has_error_in(raw.span) {
            return None; // what it does may be what could not be read
        }
        if given.is_empty() {
            diagnostics.push(
                Diagnostic::error(Code::NothingToDo, raw.span, "the route does not say what to do")
                    .help("add `service: NAME`, `split`, `redirect: { to: … }` or `respond: { status: … }`"),
            );
            return None;
        }
        if let Some(rewrite) = &raw.rewrite
            && raw.service.is_none()
            && raw.split.is_none()
        {
            diagnostics.push(
                Diagnostic::error(
                    Code::ConflictingKeys,
                    rewrite.span,
                    "`rewrite` changes the path for a service, and this route has none",
                )
                .help("remove it"),
            );
        }
        if raw.service.is_some() || raw.split.is_some() {
            return self.forward(raw, used, diagnostics);
        }
        if raw.timeout.is_some() {
            diagnostics.push(
                Diagnostic::warning(
                    Code::UnusedSetting,
                    raw.span,
                    "`timeout` has no effect: this route asks no service",
                )
                .help("remove it"),
            );
        }
        let chain = Layer::chain(&[self.layer, self.gateway]);
        match (&raw.redirect, &raw.respond) {
            (Some(redirect), _) => self.redirect(redirect, chain, diagnostics),
            (_, Some(respond)) => {
                reply(respond, diagnostics).map(|reply| Action::Respond { reply: Arc::new(reply), chain })
            }
            (None, None) => None,
        }
    }

    fn redirect(
        &self,
        raw: &config::Redirect,
        chain: Chain,
        diagnostics: &mut Diagnostics,
    ) -> Option<Action> {
        let text = &raw.to;
        let is_place = (text.starts_with('/') && !text.starts_with("//"))
            || text.starts_with("http://")
            || text.starts_with("https://");
        if !is_place || !templates::is_uri_text(text) {
            diagnostics.push(
                Diagnostic::error(
                    Code::InvalidPath,
                    text.span,
                    format!("`{}` is no place to redirect to", text.value),
                )
                .help("write a path (`/new/{rest}`) or a URL (`https://www.example.com/{rest}`)"),
            );
            return None;
        }
        let host_end = text.find("://").map(|start| {
            let host = &text[start + 3..];
            start + 3 + host.find('/').unwrap_or(host.len())
        });
        if host_end.is_some_and(|end| text[..end].contains(['{', '*'])) {
            diagnostics.push(
                Diagnostic::error(
                    Code::InvalidValue,
                    text.span,
                    "a capture must not choose the host of a redirect",
                )
                .help("clients could send each other anywhere; write one route for each host"),
            );
            return None;
        }
        if !matches!(raw.status.value, 301 | 302 | 303 | 307 | 308) {
            diagnostics.push(
                Diagnostic::error(
                    Code::InvalidValue,
                    raw.status.span,
                    format!("{} is not a redirect", raw.status.value),
                )
                .help("301, 302, 303, 307 and 308 are; 308 and 307 keep the method"),
            );
            return None;
        }
        let to = templates::compile(text, self.pattern, diagnostics)?;
        Some(Action::Redirect { redirect: Redirect { to, status: raw.status.value }, chain })
    }
}

/// A fixed response.
fn reply(raw: &config::Respond, diagnostics: &mut Diagnostics) -> Option<Reply> {
    let before = diagnostics.errors();
    if !(200..=599).contains(&raw.status.value) {
        diagnostics.push(
            Diagnostic::error(
                Code::InvalidValue,
                raw.status.span,
                format!("{} is not a status of a final response", raw.status.value),
            )
            .help("write a number from 200 to 599"),
        );
    }
    let mut reply = Reply::status(raw.status.value);
    for (name, value) in raw.headers.iter().flat_map(|headers| headers.iter()) {
        let name_fine = policy::header_name(name, diagnostics).is_some();
        if name_fine && policy::header_value(value, diagnostics).is_some() {
            reply.headers.push((Cow::Owned(name.value.clone()), Cow::Owned(value.trim().to_owned())));
        }
    }
    if matches!(raw.status.value, 204 | 304) && !raw.body.value.is_empty() {
        diagnostics.push(
            Diagnostic::error(
                Code::InvalidValue,
                raw.body.span,
                format!("a {} has no body", raw.status.value),
            )
            .help("remove the body, or answer 200"),
        );
    }
    if !raw.body.is_empty()
        && !reply.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
    {
        // Browsers would guess.
        reply = reply.header("content-type", "text/plain; charset=utf-8");
    }
    reply.body = Cow::Owned(raw.body.value.clone().into_bytes());
    (diagnostics.errors() == before).then_some(reply)
}

/// What tells the policies of a route from those of others, in this configuration and the next, wherever it stands among
/// them: its name, or else what it is for, and how many before it are for the same. Values of headers are left out,
/// because they may be secret.
fn place(raw: &config::Route, seen: &mut HashMap<String, usize>) -> String {
    fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
        let mut words: Vec<&str> = words.collect();
        words.sort_unstable();
        words.join(",")
    }
    if let Some(name) = &raw.name {
        return format!("route {}", name.value);
    }
    let mut place = format!("path {}", raw.path.as_ref().map_or("", |path| path.value.as_str()));
    let texts = [("of", &raw.methods), ("at", &raw.hosts)];
    let texts = texts.map(|(word, texts)| {
        (word, list(texts.iter().flat_map(|texts| texts.iter()).map(|text| text.as_str())))
    });
    let conditions = [("by header", &raw.headers), ("by parameter", &raw.query)];
    let conditions = conditions.map(|(word, all)| {
        (word, list(all.iter().flat_map(|all| all.iter()).map(|(name, _)| name.as_str())))
    });
    for (word, words) in texts.iter().chain(&conditions).filter(|(_, words)| !words.is_empty()) {
        place.extend([" ", word, " ", words]);
    }
    let before = seen.entry(place.clone()).or_insert(0);
    *before += 1;
    format!("{place} {before}")
}

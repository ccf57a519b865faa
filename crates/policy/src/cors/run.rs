//! Answers preflights, and says who may read what comes back (Fetch standard, §3.2 "CORS protocol").

use message::{Headers, Method, Reply};

use super::origin::{Origins, single};
use crate::{Flow, RequestCx, ResponseCx, Stage};

/// The kind, as logs have it.
const KIND: &str = "cors";
/// The stable name of a refused preflight, in its problem document.
const CODE: &str = "cors-origin";
/// What a developer who looks at it is told.
const DETAIL: &str = "Pages of this origin may not use this service.";
/// What all fields begin with that answer for CORS.
const PREFIX: &[u8] = b"access-control-";
/// The most bytes of field names that a preflight may ask for, where all are allowed.
const MAX_NAMES: usize = 4096;

/// What the answer to a preflight depends on.
const VARY: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
/// The same where private networks may be asked for.
const VARY_PRIVATE: &str = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers, \
                            Access-Control-Request-Private-Network";

/// Names of header fields.
#[derive(Debug)]
pub(crate) enum Permitted {
    /// All of them.
    All,
    /// These, as a list in a field; `None` for none.
    Listed(Option<Box<str>>),
}

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    /// `None` for all.
    pub(crate) origins: Option<Origins>,
    pub(crate) methods: Option<Box<str>>,
    pub(crate) headers: Permitted,
    pub(crate) expose: Option<Box<str>>,
    pub(crate) credentials: bool,
    /// In seconds.
    pub(crate) max_age: u64,
    pub(crate) private_network: bool,
}

impl Ready {
    /// At the edge, before anybody asks who is calling: browsers send preflights without any credentials, and can
    /// read the refusals that follow only if this policy has seen the request.
    pub const STAGE: Stage = Stage::Edge;
    /// It answers preflights in the place of the service. And a path that could be read as that of another route
    /// must not be answered under rules that let other pages read it.
    pub const CAN_REFUSE: bool = true;

    /// Answers a preflight. Any other request goes on, whoever has made it: it is the browser that keeps the answer
    /// from a page that may not see it.
    pub fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        // Nobody can say which of two is meant.
        let Ok(origin) = single(&cx.head.headers, b"origin") else { return Flow::Continue };
        let Some(origin) = origin else { return Flow::Continue };
        let is_allowed = self.origins.as_ref().is_none_or(|origins| origins.contains(origin));
        if is_allowed && self.origins.is_some() {
            cx.state.cors.grant(origin);
        }
        let is_preflight = cx.head.method == Method::Options
            && cx.head.headers.values(b"access-control-request-method").next().is_some();
        if !is_preflight {
            return Flow::Continue;
        }
        let allowed = match &self.origins {
            None => Some("*".to_owned()),
            Some(_) => cx.state.cors.origin().map(|origin| String::from_utf8_lossy(origin).into_owned()),
        };
        cx.state.cors.answer_preflight();
        cx.state.stopped_by = Some((KIND, if allowed.is_some() { "preflight" } else { "origin" }));
        if allowed.is_none() {
            let RequestCx { head, state, .. } = &mut *cx;
            state.remark(KIND, || {
                let origin = head.headers.values(b"origin").next().unwrap_or_default();
                format!("origin {} is not in origins", String::from_utf8_lossy(origin))
            });
        }
        Flow::Reply(match allowed {
            Some(origin) => self.preflight(origin, &cx.head.headers),
            None => Reply::problem(403, CODE, DETAIL, "client", false, cx.request_id())
                .header("vary", self.preflight_vary()),
        })
    }

    /// Says everything that is allowed, and leaves it to the browser to compare: it tells its developer what it
    /// misses.
    fn preflight(&self, origin: String, asked: &Headers) -> Reply {
        let mut reply = Reply::status(204).header("access-control-allow-origin", origin);
        if self.credentials {
            reply = reply.header("access-control-allow-credentials", "true");
        }
        if let Some(methods) = &self.methods {
            reply = reply.header("access-control-allow-methods", methods.to_string());
        }
        let headers = match &self.headers {
            Permitted::All => asked_names(asked),
            Permitted::Listed(names) => names.as_ref().map(|names| names.to_string()),
        };
        if let Some(headers) = headers {
            reply = reply.header("access-control-allow-headers", headers);
        }
        let wants_private = asked
            .values(b"access-control-request-private-network")
            .any(|value| value.eq_ignore_ascii_case(b"true"));
        if self.private_network && wants_private {
            reply = reply.header("access-control-allow-private-network", "true");
        }
        reply.header("access-control-max-age", self.max_age.to_string()).header("vary", self.preflight_vary())
    }

    fn preflight_vary(&self) -> &'static str {
        if self.private_network { VARY_PRIVATE } else { VARY }
    }

    /// Says who may read the response. What the service says of that does not count: two answers would be none.
    pub fn on_response(&self, cx: &mut ResponseCx<'_>) {
        if cx.state.cors.is_preflight() {
            return;
        }
        cx.headers.retain(|field, text| !is_cors(field.name.of(text)));
        let origin = match &self.origins {
            None => &b"*"[..],
            Some(_) => {
                // Without an Origin too: a cache may keep this response for a request that has one.
                vary_on_origin(cx.headers);
                let Some(origin) = cx.state.cors.origin() else { return };
                origin
            }
        };
        cx.headers.push(b"access-control-allow-origin", origin);
        if self.credentials {
            cx.headers.push(b"access-control-allow-credentials", b"true");
        }
        if let Some(expose) = &self.expose {
            cx.headers.push(b"access-control-expose-headers", expose.as_bytes());
        }
    }
}

fn is_cors(name: &[u8]) -> bool {
    name.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// Adds Origin to what the response depends on, in a field of its own (RFC 9110 §5.3), unless it is said already.
fn vary_on_origin(headers: &mut Headers) {
    let is_said = headers
        .values(b"vary")
        .flat_map(|value| value.split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        .any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin"));
    if !is_said {
        headers.push(b"vary", b"Origin");
    }
}

/// The names that a preflight asks for. `*` would not mean all of them where credentials are sent along, and never
/// means Authorization (Fetch §3.2.5).
fn asked_names(asked: &Headers) -> Option<String> {
    let mut all = String::new();
    let values = asked.values(b"access-control-request-headers");
    for name in values.flat_map(|value| value.split(|b| *b == b',')).map(<[u8]>::trim_ascii) {
        let name = std::str::from_utf8(name).ok().filter(|name| Headers::is_valid_name(name.as_bytes()))?;
        if !all.is_empty() {
            all.push_str(", ");
        }
        all.push_str(name);
        if all.len() > MAX_NAMES {
            return None;
        }
    }
    (!all.is_empty()).then_some(all)
}

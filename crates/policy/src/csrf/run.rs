//! Refuses requests that change something and come from a page of another origin. It asks what only the browser can
//! say: Sec-Fetch-Site (Fetch Metadata, W3C), then Origin (RFC 6454 §7), then Referer. A page can forge none of them.

use message::{Headers, Method, Reply, RequestHead};

use super::config::WithoutOrigin;
use crate::cors::origin::{Origins, single};
use crate::{Flow, RequestCx, ResponseCx, Stage};

/// The kind, as logs have it.
const KIND: &str = "csrf";
/// The stable name of a refusal, in its problem document.
const CODE: &str = "cross-origin";
/// What a reader of the refusal is told.
const DETAIL: &str =
    "This request comes from a page of another origin, or does not say which page it comes from.";

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(crate) origins: Origins,
    pub(crate) same_site: bool,
    pub(crate) without_origin: WithoutOrigin,
}

impl Ready {
    /// At the edge: who is calling does not matter, since it is the user's own browser that was misled.
    pub const STAGE: Stage = Stage::Edge;
    /// It refuses requests.
    pub const CAN_REFUSE: bool = true;

    /// Lets pass what only reads, and what a page of this origin has sent.
    pub fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        let is_safe = matches!(cx.head.method, Method::Get | Method::Head | Method::Options);
        if is_safe && !opens_websocket(&cx.head.headers) {
            return Flow::Continue;
        }
        let Some(objection) = self.objection(cx.head, cx.state.https) else { return Flow::Continue };
        cx.state.stopped_by = Some((KIND, objection.word()));
        let RequestCx { head, state, .. } = &mut *cx;
        state.remark(KIND, || objection.words(&head.headers));
        Flow::Reply(
            Reply::problem(403, CODE, DETAIL, "client", false, cx.request_id())
                .header("cache-control", "no-store"),
        )
    }

    /// Nothing to do on the way back.
    pub fn on_response(&self, _: &mut ResponseCx<'_>) {}

    /// What there is against a request that changes something; `None` if it may pass.
    fn objection(&self, head: &RequestHead, https: bool) -> Option<Objection> {
        let headers = &head.headers;
        let is_listed =
            || matches!(single(headers, b"origin"), Ok(Some(origin)) if self.origins.contains(origin));
        match single(headers, b"sec-fetch-site") {
            // `none`: the user has done it, and no page.
            Ok(Some(b"same-origin" | b"none")) => None,
            Ok(Some(b"same-site")) if self.same_site => None,
            Ok(None) => self.objection_by_origin(head, https),
            Ok(Some(_)) => (!is_listed()).then_some(Objection::FetchSite),
            // Of several nobody can say which counts.
            Err(()) => (!is_listed()).then_some(Objection::Repeated("sec-fetch-site")),
        }
    }

    /// For browsers that do not send Sec-Fetch-Site: older ones, and all over plain connections.
    fn objection_by_origin(&self, head: &RequestHead, https: bool) -> Option<Objection> {
        let headers = &head.headers;
        let is_foreign = |origin: &[u8]| !is_own(origin, head, https) && !self.origins.contains(origin);
        match (single(headers, b"origin"), single(headers, b"referer")) {
            (Ok(Some(origin)), _) => is_foreign(origin).then_some(Objection::Origin),
            (Ok(None), Ok(Some(page))) => is_foreign(origin_of(page)).then_some(Objection::Referer),
            (Ok(None), Ok(None)) => {
                let is_refused = match self.without_origin {
                    WithoutOrigin::Allow => false,
                    WithoutOrigin::Refuse => true,
                    WithoutOrigin::AllowWithoutCookies => headers.values(b"cookie").next().is_some(),
                };
                is_refused.then_some(Objection::NoOrigin)
            }
            (Err(()), _) => Some(Objection::Repeated("origin")),
            (_, Err(())) => Some(Objection::Repeated("referer")),
        }
    }
}

/// What there is against a request.
#[derive(Clone, Copy)]
enum Objection {
    /// The browser says that the page is of another site, and the origin is not listed.
    FetchSite,
    /// It is of another origin, which is not listed.
    Origin,
    /// Its page is of another origin, which is not listed.
    Referer,
    /// It says nothing of where it comes from.
    NoOrigin,
    /// This field comes twice.
    Repeated(&'static str),
}

impl Objection {
    /// In a word, for logs.
    fn word(self) -> &'static str {
        match self {
            Objection::FetchSite => "fetch_site",
            Objection::Origin => "origin",
            Objection::Referer => "referer",
            Objection::NoOrigin => "no_origin",
            Objection::Repeated(_) => "malformed",
        }
    }

    /// For people.
    fn words(self, headers: &Headers) -> String {
        let value = |name: &str| {
            let value = headers.values(name.as_bytes()).next().unwrap_or_default();
            String::from_utf8_lossy(value).into_owned()
        };
        match self {
            Objection::FetchSite => {
                format!("sec-fetch-site is {}, and no origin of origins is named", value("sec-fetch-site"))
            }
            Objection::Origin => format!("origin {} is another one, and not in origins", value("origin")),
            Objection::Referer => {
                format!("referer {} is of another origin, which is not in origins", value("referer"))
            }
            Objection::NoOrigin => "it does not say which page it comes from".to_owned(),
            Objection::Repeated(name) => format!("{name} comes twice"),
        }
    }
}

/// Whether a request opens a WebSocket. Any page can open one in the name of its visitor, and then reads what comes
/// too. Upgrade was taken away with the other fields of the connection, but the version is in each handshake of a
/// browser (RFC 6455 §4.1, RFC 8441 §5), and no page can leave it out.
fn opens_websocket(headers: &Headers) -> bool {
    let has = |name: &[u8]| headers.values(name).next().is_some();
    has(b"sec-websocket-version") || has(b"sec-websocket-key")
}

/// Whether an origin is the one that a request was sent to.
fn is_own(origin: &[u8], head: &RequestHead, https: bool) -> bool {
    let (scheme, usual) = if https { (&b"https://"[..], &b"443"[..]) } else { (&b"http://"[..], &b"80"[..]) };
    let Some((start, authority)) = origin.split_at_checked(scheme.len()) else { return false };
    let Some(own) = head.client_authority() else { return false };
    let ((host, port), (own_host, own_port)) = (split_port(authority), split_port(own));
    start.eq_ignore_ascii_case(scheme)
        && host.eq_ignore_ascii_case(own_host)
        && port.unwrap_or(usual) == own_port.unwrap_or(usual)
}

/// Host and port of an authority. The colons of an address in brackets are none of a port.
fn split_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    match authority.iter().rposition(|b| matches!(b, b':' | b']')) {
        Some(at) if authority.get(at) == Some(&b':') => {
            (authority.get(..at).unwrap_or_default(), authority.get(at + 1..))
        }
        _ => (authority, None),
    }
}

/// The origin of the page that Referer names: all of it up to its path.
fn origin_of(page: &[u8]) -> &[u8] {
    let Some(scheme) = page.windows(3).position(|three| three == b"://") else { return page };
    let begin = scheme + 3;
    let rest = page.get(begin..).unwrap_or_default();
    let len = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    page.get(..begin + len).unwrap_or(page)
}

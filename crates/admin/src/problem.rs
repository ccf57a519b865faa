//! Refusals of what somebody has asked for, as problem details (RFC 9457).
//!
//! Entry point: [`Problem`].

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Response, StatusCode};

use crate::pages;

/// Why something is refused, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
}

impl Problem {
    /// With a stable name, and a sentence that says what to do.
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, code, detail: detail.into() }
    }

    /// The answer.
    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let layer = if self.status.is_server_error() { "gateway" } else { "client" };
        let again = self.status == StatusCode::SERVICE_UNAVAILABLE;
        let reply = message::Reply::problem(self.status.as_u16(), self.code, &self.detail, layer, again, "");
        let body = String::from_utf8_lossy(&reply.body).into_owned();
        pages::reply(self.status, "application/problem+json", body)
    }
}

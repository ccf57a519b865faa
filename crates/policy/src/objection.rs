//! What is wrong with a request that a policy has looked into, and what becomes of it.
//!
//! Where the policy is only tried, the request passes, and it is said what would have been. It must not know what was
//! looked for. Entry points: [`Objection`], [`Objection::settle`].

use message::{Fault, Reply};
use serde_json::Value;

use crate::bodies::KNOWN_CODINGS;
use crate::trial::{DRY_RUN, Mode};
use crate::{Flow, RequestCx};

/// How many objections a line for operators has.
const IN_A_LINE: usize = 3;

/// Why a request is refused.
#[derive(Debug)]
pub(crate) struct Objection {
    pub(crate) status: u16,
    /// The code of the problem document.
    pub(crate) code: &'static str,
    /// The reason in a word, for logs.
    pub(crate) reason: &'static str,
    pub(crate) detail: String,
    /// Fields of the answer.
    pub(crate) fields: Vec<(&'static str, String)>,
    /// All that is wrong, as the member `errors`.
    pub(crate) errors: Vec<Value>,
}

impl Objection {
    pub(crate) fn new(
        status: u16,
        code: &'static str,
        reason: &'static str,
        detail: impl Into<String>,
    ) -> Objection {
        Objection { status, code, reason, detail: detail.into(), fields: Vec::new(), errors: Vec::new() }
    }

    /// The body is larger than is looked at: the fault that every other limit of bodies has.
    pub(crate) fn too_large() -> Objection {
        let fault = Fault::BodyTooLarge;
        Objection::new(fault.status(), fault.code(), "too_large", fault.detail())
    }

    /// The body has a coding that cannot be looked through (RFC 9110 §15.5.16).
    pub(crate) fn coded() -> Objection {
        let detail =
            format!("The body is compressed in a way that is not known here. Possible are {KNOWN_CODINGS}.");
        let mut objection = Objection::new(415, "unsupported-content-encoding", "coding", detail);
        objection.fields.push(("accept-encoding", KNOWN_CODINGS.to_owned()));
        objection
    }

    /// Refuses the request; or lets it pass, and says what would have been.
    pub(crate) fn settle(self, kind: &'static str, mode: Mode, cx: &mut RequestCx<'_>) -> Flow {
        if cx.state.is_explained() {
            let words = self.words();
            cx.state.remark(kind, || words);
        } else if mode == Mode::DryRun {
            cx.state.tried = Some((kind, DRY_RUN));
            cx.state.note = Some(Box::new((kind, format!("would refuse: {}", self.words()))));
        }
        if mode == Mode::DryRun {
            return Flow::Continue;
        }
        cx.state.stopped_by = Some((kind, self.reason));
        let reply = Reply::problem(self.status, self.code, &self.detail, "client", false, cx.request_id());
        let reply = if self.errors.is_empty() {
            reply
        } else {
            reply.with_member("errors", &Value::Array(self.errors).to_string())
        };
        let add = |reply: Reply, (name, value)| reply.header(name, value);
        Flow::Reply(self.fields.into_iter().fold(reply, add))
    }

    /// In a line. Nothing that was sent is repeated but names, which are bounded.
    pub(crate) fn words(&self) -> String {
        if self.errors.is_empty() {
            return self.detail.clone();
        }
        let text = |error: &Value| -> String {
            let member = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
            let place = [member("in"), member("parameter"), member("pointer")];
            let place: Vec<&str> = place.into_iter().filter(|part| !part.is_empty()).collect();
            format!("{} {}", place.join(" "), member("detail"))
        };
        let mut words: Vec<String> = self.errors.iter().take(IN_A_LINE).map(text).collect();
        if self.errors.len() > IN_A_LINE {
            words.push(format!("and {} more", self.errors.len() - IN_A_LINE));
        }
        diagnostics::visible(&words.join("; ")).into()
    }
}

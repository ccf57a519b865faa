//! Judges requests by their description, and says which responses are to be judged.

use std::sync::Arc;

use message::{Headers, Method};
use schema::{Api, Body, Findings, Found, Operation, Place, RequestView, Schema, Violation};
use serde_json::{Value, json};

use super::config::Responses;
use super::response::ResponseCheck;
use crate::bodies::{Hidden, Seen, in_bytes, look, media_type};
use crate::objection::Objection;
use crate::trial::Mode;
use crate::{Flow, Question, RequestCx, ResponseCx, Stage};

pub(super) const KIND: &str = "validate";

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(crate) by: By,
    /// The most bytes of a body that is looked into.
    pub(crate) most: usize,
    pub(crate) unknown_types_pass: bool,
    pub(crate) mode: Mode,
    pub(crate) responses: Responses,
}

/// What requests are judged by.
#[derive(Debug)]
pub(crate) enum By {
    /// An OpenAPI document.
    Api {
        api: Arc<Api>,
        /// The path in front of those of the document.
        base: Vec<u8>,
        /// What the document does not have passes.
        others_pass: bool,
    },
    /// A schema of bodies.
    Schema { schema: Box<Schema>, types: Box<[String]>, required: bool },
}

/// What is said of a request.
enum Said {
    /// It is as described; or it is not described, and passes.
    Fine,
    /// Its body has to be read first.
    Unread,
    Wrong(Objection),
}

impl Ready {
    /// When it is known that the caller may: it costs more than all before.
    pub const STAGE: Stage = Stage::Validate;
    /// That is what it is for.
    pub const CAN_REFUSE: bool = true;

    /// Lets requests pass that are as described.
    pub fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        let mut operation = None;
        let said = match &self.by {
            By::Schema { schema, types, required } => self.by_schema(schema, types, *required, cx),
            By::Api { api, base, others_pass } => match find(api, base, cx) {
                Ok(found) => {
                    operation = Some(Arc::clone(found.0));
                    self.by_operation(&found, cx)
                }
                Err(_) if *others_pass => Said::Fine,
                Err(objection) => Said::Wrong(objection),
            },
        };
        match said {
            Said::Unread => {
                return Flow::Ask(Box::new(Question::Body {
                    most: self.most,
                    needed: self.mode == Mode::Enforce,
                }));
            }
            Said::Wrong(objection) => {
                let flow = objection.settle(KIND, self.mode, cx);
                if !matches!(flow, Flow::Continue) {
                    return flow;
                }
            }
            Said::Fine => self.explain(operation.as_deref(), cx),
        }
        if let Some(operation) = operation.filter(|_| self.responses != Responses::Off) {
            let check = ResponseCheck::new(operation, self.most, self.responses == Responses::Enforce);
            check.prepare(cx.head);
            cx.state.response_check = Some(Box::new(check));
        }
        Flow::Continue
    }

    /// What is done to responses needs their bodies, and is done by [`ResponseCheck`].
    pub fn on_response(&self, _: &mut ResponseCx<'_>) {}

    /// Says what the request is judged by.
    fn explain(&self, operation: Option<&Operation>, cx: &mut RequestCx<'_>) {
        let words = || {
            let what = match (&self.by, operation) {
                (By::Schema { .. }, _) => "validates bodies by its schema".to_owned(),
                (By::Api { .. }, Some(operation)) => format!("validates it as {}", operation.name()),
                (By::Api { .. }, None) => return "lets it pass: the document does not have it".to_owned(),
            };
            let back = match self.responses {
                Responses::Off => "",
                Responses::Report => ", and reports responses that are not as described",
                Responses::Enforce => ", and stops responses that are not as described",
            };
            format!("{what}{back}; bodies of at most {}", in_bytes(self.most))
        };
        cx.state.remark(KIND, words);
    }

    /// What can be seen of the body, as the description takes it.
    fn body<'b>(&self, cx: &'b RequestCx<'_>) -> Result<Seen<'b>, Objection> {
        let was_read = cx.answer.is_some();
        match look(cx.body_length, &cx.head.headers, cx.state.body.as_deref(), self.most, was_read) {
            Seen::Hidden(Hidden::TooLarge) => Err(Objection::too_large()),
            Seen::Hidden(Hidden::Coded) => Err(Objection::coded()),
            Seen::Hidden(Hidden::Broken) => Err(refused("coding", "is not what Content-Encoding says")),
            seen => Ok(seen),
        }
    }

    fn by_schema(&self, schema: &Schema, types: &[String], required: bool, cx: &RequestCx<'_>) -> Said {
        let explained = cx.state.is_explained();
        if cx.body_length == Some(0) {
            // Whoever asks what would become of a request need not say that it has a body.
            let misses = required
                && !explained
                && matches!(cx.head.method, Method::Post | Method::Put | Method::Patch);
            return if misses { Said::Wrong(refused("invalid", "must be there")) } else { Said::Fine };
        }
        match media_type(&cx.head.headers) {
            Err(()) => {
                let mut objection = invalid(Vec::new());
                let detail = "must not be there more than once";
                objection.errors.push(json!({
                    "in": "header", "parameter": "content-type", "pointer": "", "detail": detail,
                }));
                return Said::Wrong(objection);
            }
            Ok(found) if !found.as_deref().is_some_and(|essence| is_one_of(essence, types)) => {
                return if self.unknown_types_pass {
                    Said::Fine
                } else {
                    Said::Wrong(unknown_type(&format!("Possible are {}.", types.join(", "))))
                };
            }
            Ok(_) if explained => return self.by_length(cx),
            Ok(_) => {}
        }
        match self.body(cx) {
            Err(objection) => Said::Wrong(objection),
            Ok(Seen::Whole(bytes)) => match schema.check(&bytes) {
                violations if violations.is_empty() => Said::Fine,
                violations => Said::Wrong(invalid(violations)),
            },
            Ok(Seen::Unread) => Said::Unread,
            Ok(Seen::Nothing | Seen::Hidden(_)) if required => {
                Said::Wrong(refused("invalid", "must be there"))
            }
            Ok(Seen::Nothing | Seen::Hidden(_)) => Said::Fine,
        }
    }

    /// By how long a body is that nobody has.
    fn by_length(&self, cx: &RequestCx<'_>) -> Said {
        match cx.body_length.is_some_and(|length| length > self.most as u64) {
            true => Said::Wrong(Objection::too_large()),
            false => Said::Fine,
        }
    }

    fn by_operation(&self, (operation, parameters): &Operated<'_, '_>, cx: &RequestCx<'_>) -> Said {
        let headers: &Headers = &cx.head.headers;
        let explained = cx.state.is_explained();
        let seen = if cx.body_length != Some(0) && !explained && operation.looks_into(headers) {
            match self.body(cx) {
                Err(objection) => return Said::Wrong(objection),
                Ok(Seen::Unread) => return Said::Unread,
                Ok(seen) => Some(seen),
            }
        } else {
            None
        };
        let body = match &seen {
            Some(Seen::Whole(bytes)) => Body::Bytes(bytes),
            Some(_) => Body::Absent,
            None if cx.body_length == Some(0) => Body::Absent,
            None => Body::Unseen,
        };
        let query = cx.head.query().unwrap_or_default();
        let view = RequestView { path_parameters: parameters, query, headers, body };
        let Findings { mut violations, unknown_content_type, .. } = operation.check_request(&view);
        if explained {
            // Whoever asks has no body at hand.
            violations.retain(|one| one.place != Place::Body);
        }
        if unknown_content_type && !self.unknown_types_pass {
            return Said::Wrong(unknown_type("The description of the operation says which are."));
        }
        if explained && violations.is_empty() && operation.looks_into(headers) {
            return self.by_length(cx);
        }
        if violations.is_empty() { Said::Fine } else { Said::Wrong(invalid(violations)) }
    }
}

/// An operation, and the parameters in the path.
type Operated<'a, 'p> = (&'a Arc<Operation>, Vec<(&'a str, &'p [u8])>);

fn find<'a, 'p>(api: &'a Api, base: &[u8], cx: &'p RequestCx<'_>) -> Result<Operated<'a, 'p>, Objection> {
    let nothing = || Objection::new(404, "unknown-operation", "unknown_path", "The API has no such path.");
    let path = cx.head.path();
    let path = path.strip_prefix(base).filter(|rest| rest.is_empty() || rest.starts_with(b"/"));
    let path = match path.ok_or_else(nothing)? {
        b"" => &b"/"[..],
        path => path,
    };
    match api.find(cx.head.method_bytes(), path) {
        Found::Operation(operation, parameters) => Ok((operation, parameters)),
        Found::NoPath => Err(nothing()),
        Found::NoMethod(allowed) => {
            let detail = "The API does not have this method here. Allow says which are possible.";
            let mut objection = Objection::new(405, "unknown-method", "unknown_method", detail);
            objection.fields.push(("allow", allowed.join(", ")));
            Err(objection)
        }
    }
}

/// What is wrong with the body as a whole.
fn refused(reason: &'static str, what: &str) -> Objection {
    let detail = format!("The body {what}.");
    let mut objection = Objection::new(400, "invalid-request", reason, detail);
    objection.errors.push(json!({ "in": "body", "pointer": "", "detail": what }));
    objection
}

fn invalid(violations: Vec<Violation>) -> Objection {
    let more = if violations.len() >= schema::MAX_VIOLATIONS { ", as far as it was looked at" } else { "" };
    let detail = format!("The request is not as the API describes it. `errors` says what is wrong{more}.");
    let mut objection = Objection::new(400, "invalid-request", "invalid", detail);
    objection.errors = violations.into_iter().map(error).collect();
    objection
}

fn unknown_type(possible: &str) -> Objection {
    let detail = format!("The body is of a media type that is not taken here. {possible}");
    Objection::new(415, "unsupported-media-type", "media_type", detail)
}

fn error(violation: Violation) -> Value {
    let mut members = json!({
        "in": violation.place.as_str(),
        "pointer": violation.pointer,
        "keyword": violation.keyword,
        "detail": violation.message,
    });
    if let (Value::Object(members), false) = (&mut members, violation.name.is_empty()) {
        members.insert("parameter".to_owned(), Value::String(violation.name));
    }
    members
}

/// Whether a media type is one of these, in which `*` stands for any text.
fn is_one_of(essence: &str, ranges: &[String]) -> bool {
    ranges.iter().any(|range| match range.split_once('*') {
        _ if range == "*/*" => true,
        Some((start, end)) => {
            essence.len() >= start.len() + end.len() && essence.starts_with(start) && essence.ends_with(end)
        }
        None => range == essence,
    })
}

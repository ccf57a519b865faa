//! Looks at the text of a body before anybody builds a tree of it.

use schema::{Limits, Scanner, Threat, Twice, find_twice};
use serde_json::json;

use crate::bodies::{Hidden, Seen, in_bytes, is_json, look, media_type};
use crate::objection::Objection;
use crate::trial::Mode;
use crate::{Flow, Question, RequestCx, ResponseCx, Stage};

const KIND: &str = "json_threat";
/// The code of its problem documents.
const CODE: &str = "json-threat";

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    pub(crate) limits: Limits,
    pub(crate) refuses_twice: bool,
    /// The most bytes of a body.
    pub(crate) most: usize,
    /// Bodies are looked into whatever they say that they are.
    pub(crate) all: bool,
    pub(crate) mode: Mode,
}

impl Ready {
    /// When it is known that the caller may: it costs more than all before.
    pub const STAGE: Stage = Stage::Validate;
    /// That is what it is for.
    pub const CAN_REFUSE: bool = true;

    /// Lets bodies pass that keep to the limits.
    pub fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        if !self.is_meant(cx) {
            return Flow::Continue;
        }
        if cx.state.is_explained() {
            let words = format!("looks into bodies of at most {}", in_bytes(self.most));
            cx.state.remark(KIND, || words);
            return Flow::Continue;
        }
        let was_read = cx.answer.take().is_some();
        let found =
            match look(cx.body_length, &cx.head.headers, cx.state.body.as_deref(), self.most, was_read) {
                Seen::Nothing => None,
                Seen::Unread => {
                    return Flow::Ask(Box::new(Question::Body {
                        most: self.most,
                        needed: self.mode == Mode::Enforce,
                    }));
                }
                Seen::Whole(bytes) => self.judge(&bytes).err(),
                Seen::Hidden(why) => Some(hidden(why)),
            };
        match found {
            None => Flow::Continue,
            Some(objection) => objection.settle(KIND, self.mode, cx),
        }
    }

    /// Nothing to do on the way back.
    pub fn on_response(&self, _: &mut ResponseCx<'_>) {}

    /// Whether the body could be taken for JSON: a service may well do so where it does not say what it is, or says it
    /// twice.
    fn is_meant(&self, cx: &RequestCx<'_>) -> bool {
        self.all
            || match media_type(&cx.head.headers) {
                Ok(Some(essence)) => is_json(&essence),
                Ok(None) | Err(()) => true,
            }
    }

    fn judge(&self, text: &[u8]) -> Result<(), Objection> {
        let mut scanner = Scanner::new(self.limits);
        if let Err(threat) = scanner.feed(text).and_then(|()| scanner.finish()) {
            return Err(refused(reason(threat), &threat.to_string(), &json!(scanner.wrong_at()), "offset"));
        }
        if !self.refuses_twice {
            return Ok(());
        }
        match find_twice(text) {
            Ok(()) => Ok(()),
            Err(Twice::Member(pointer)) => Err(refused(
                "duplicate_key",
                "has an object with the same name twice",
                &json!(pointer),
                "pointer",
            )),
            Err(Twice::Unreadable(pointer)) => {
                Err(refused("number", "has a number that is too large", &json!(pointer), "pointer"))
            }
        }
    }
}

fn refused(reason: &'static str, what: &str, place: &serde_json::Value, member: &str) -> Objection {
    let detail = format!("The body {what}.");
    let mut objection = Objection::new(400, CODE, reason, detail);
    objection.errors.push(json!({ "in": "body", member: place, "detail": what }));
    objection
}

fn hidden(why: Hidden) -> Objection {
    match why {
        Hidden::TooLarge => Objection::too_large(),
        Hidden::Coded => Objection::coded(),
        Hidden::Broken => refused("coding", "is not what Content-Encoding says", &json!(""), "pointer"),
    }
}

fn reason(threat: Threat) -> &'static str {
    match threat {
        Threat::Syntax(_) | Threat::Incomplete => "syntax",
        Threat::Depth => "depth",
        Threat::Members => "keys",
        Threat::Elements => "items",
        Threat::Values => "values",
        Threat::Name => "key_length",
        Threat::String => "string_length",
        Threat::Number => "number_length",
    }
}

//! Lets pass whoever may. It never says which condition did not hold: that is for operators.

use message::Reply;
use serde_json::Value;

use expression::Program;

use crate::claims::claim;
use crate::rule::holds;
use crate::{Flow, Identity, RequestCx, ResponseCx, Stage};

/// A condition about a caller.
#[derive(Debug)]
pub(crate) enum Test {
    /// It is this consumer.
    Consumer(Box<str>),
    /// It belongs to this group.
    Group(Box<str>),
    /// It was given this scope.
    Scope(Box<str>),
    /// Its token has this claim, with this value if one is given.
    Claim(Box<str>, Option<Box<str>>),
}

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    /// One of these has to hold.
    pub(crate) any: Option<Box<[Test]>>,
    /// All of these have to hold.
    pub(crate) all: Option<Box<[Test]>>,
    /// This has to hold.
    pub(crate) rule: Option<Program>,
}

impl Ready {
    /// When it is known who is calling.
    pub const STAGE: Stage = Stage::Authorize;
    /// That is what it is for.
    pub const CAN_REFUSE: bool = true;

    /// Whether anything that it asks is about the caller.
    pub fn needs_identity(&self) -> bool {
        self.any.is_some()
            || self.all.is_some()
            || self.rule.as_ref().is_some_and(|rule| rule.uses("identity"))
    }

    /// Lets the request pass, or answers 403; or 401 where nobody has said who is calling.
    pub fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        let reason = {
            let nobody = Identity::default();
            let identity = cx.identity().unwrap_or(&nobody);
            if self.any.as_ref().is_some_and(|tests| !tests.iter().any(|test| test.holds(identity))) {
                Some("any")
            } else if self.all.as_ref().is_some_and(|tests| !tests.iter().all(|test| test.holds(identity))) {
                Some("all")
            } else {
                match self.rule.as_ref().map(|rule| holds(rule, cx)) {
                    None | Some(Ok(true)) => None,
                    Some(Ok(false)) => Some("rule"),
                    Some(Err(_)) => Some("rule_failed"),
                }
            }
        };
        let Some(reason) = reason else { return Flow::Continue };
        cx.state.stopped_by = Some(("authorize", reason));
        if self.needs_identity() && cx.identity().is_none() {
            return Flow::Unauthenticated;
        }
        let detail = "The caller is known, and may not do this.";
        Flow::Reply(
            Reply::problem(403, "forbidden", detail, "client", false, cx.request_id())
                .header("cache-control", "no-store"),
        )
    }

    /// Nothing to do on the way back.
    pub fn on_response(&self, _: &mut ResponseCx<'_>) {}
}

impl Test {
    fn holds(&self, identity: &Identity) -> bool {
        match self {
            Test::Consumer(name) => identity.consumer.as_ref() == Some(name),
            Test::Group(name) => identity.has_group(name),
            Test::Scope(name) => identity.has_scope(name),
            Test::Claim(name, wanted) => match (claim(&identity.claims, name), wanted) {
                (None, _) => false,
                (Some(_), None) => true,
                (Some(Value::Array(values)), Some(wanted)) => values.iter().any(|value| is(value, wanted)),
                (Some(value), Some(wanted)) => is(value, wanted),
            },
        }
    }
}

/// Whether a claim has a value, as it is written.
fn is(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        Value::Bool(truth) => wanted == if *truth { "true" } else { "false" },
        Value::Number(number) => number.to_string() == wanted,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

//! Lets pass whoever may. It never says which condition did not hold: that is for operators.

use std::fmt;

use diagnostics::Span;
use expression::{Failure, Program};
use message::Reply;
use serde_json::Value;

use crate::claims::claim;
use crate::rule::holds;
use crate::{Chain, Consumers, Flow, Identity, RequestCx, ResponseCx, Stage};

/// The kind, as logs have it.
const KIND: &str = "authorize";

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

/// A condition, and where it was written.
#[derive(Debug)]
pub(crate) struct Demand {
    pub(crate) test: Test,
    pub(crate) place: Span,
}

/// A condition over the request and its caller, and its text.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) program: Program,
    pub(crate) text: Box<str>,
}

/// Whether somebody may pass, and by what.
enum Judgement {
    /// By this of `any`, if there is one.
    Passes(Option<usize>),
    /// None of `any` holds.
    Any,
    /// This of `all` does not hold.
    All(usize),
    /// The rule does not hold.
    Rule,
    /// The rule has no value.
    RuleFailed(Failure),
}

/// Ready to run.
#[derive(Debug)]
pub struct Ready {
    /// One of these has to hold.
    pub(crate) any: Option<Box<[Demand]>>,
    /// All of these have to hold.
    pub(crate) all: Option<Box<[Demand]>>,
    /// This has to hold.
    pub(crate) rule: Option<Written>,
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
            || self.rule.as_ref().is_some_and(|rule| rule.program.uses("identity"))
    }

    /// Lets the request pass, or answers 403; or 401 where nobody has said who is calling.
    pub fn on_request(&self, cx: &mut RequestCx<'_>) -> Flow {
        let judgement = self.judge(cx);
        cx.state.remark(KIND, || self.words(&judgement));
        let reason = match judgement {
            Judgement::Passes(_) => return Flow::Continue,
            Judgement::Any => "any",
            Judgement::All(_) => "all",
            Judgement::Rule => "rule",
            Judgement::RuleFailed(_) => "rule_failed",
        };
        cx.state.stopped_by = Some((KIND, reason));
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

    fn judge(&self, cx: &RequestCx<'_>) -> Judgement {
        let nobody = Identity::default();
        let identity = cx.identity().unwrap_or(&nobody);
        let by = match &self.any {
            None => None,
            Some(any) => match any.iter().position(|demand| demand.test.holds(identity)) {
                None => return Judgement::Any,
                by => by,
            },
        };
        if let Some(at) = self.all().iter().position(|demand| !demand.test.holds(identity)) {
            return Judgement::All(at);
        }
        match self.rule.as_ref().map(|rule| holds(&rule.program, cx)) {
            None | Some(Ok(true)) => Judgement::Passes(by),
            Some(Ok(false)) => Judgement::Rule,
            Some(Err(failure)) => Judgement::RuleFailed(failure),
        }
    }

    fn any(&self) -> &[Demand] {
        self.any.as_deref().unwrap_or_default()
    }

    fn all(&self) -> &[Demand] {
        self.all.as_deref().unwrap_or_default()
    }

    /// Which condition has decided, for operators.
    fn words(&self, judgement: &Judgement) -> String {
        let of = |name: &str, list: &[Demand], at: usize| {
            list.get(at).map(|demand| format!("{name}[{at}]: {}", demand.test))
        };
        let list = |list: &[Demand]| {
            list.iter().map(|demand| demand.test.to_string()).collect::<Vec<_>>().join(", ")
        };
        let rule = self.rule.as_ref().map(|rule| &*rule.text);
        match judgement {
            Judgement::Any => format!("any: none of {}", list(self.any())),
            Judgement::All(at) => of("all", self.all(), *at).unwrap_or_default(),
            Judgement::Rule => format!("rule: {}", rule.unwrap_or_default()),
            Judgement::RuleFailed(failure) => {
                let part = rule.and_then(|rule| rule.get(failure.start..failure.end)).unwrap_or_default();
                format!("rule has no value, as {} in {part}: {}", failure.reason, rule.unwrap_or_default())
            }
            Judgement::Passes(by) => {
                let by = by.and_then(|at| of("any", self.any(), at));
                let all = (!self.all().is_empty()).then(|| format!("all: {}", list(self.all())));
                let rule = rule.map(|rule| format!("rule: {rule}"));
                by.into_iter().chain(all).chain(rule).collect::<Vec<_>>().join("; ")
            }
        }
    }

    /// The conditions that hold for nobody whom a chain knows, and whether nobody at all may pass because of that.
    pub fn never(&self, chain: &Chain, consumers: &Consumers) -> (Vec<Never>, bool) {
        let never = |demand: &Demand| {
            let why = demand.test.never(chain, consumers)?;
            Some(Never { place: demand.place, condition: demand.test.to_string(), why })
        };
        let any: Vec<Never> = self.any().iter().filter_map(never).collect();
        let all: Vec<Never> = self.all().iter().filter_map(never).collect();
        let nobody = (self.any.is_some() && any.len() == self.any().len()) || !all.is_empty();
        (any.into_iter().chain(all).collect(), nobody)
    }
}

/// A condition that holds for nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Never {
    /// Where it was written.
    pub place: Span,
    /// The condition: `scope orders:read`.
    pub condition: String,
    /// Why.
    pub why: String,
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Test::Consumer(name) => write!(f, "consumer {name}"),
            Test::Group(name) => write!(f, "group {name}"),
            Test::Scope(name) => write!(f, "scope {name}"),
            Test::Claim(name, None) => write!(f, "claim {name}"),
            Test::Claim(name, Some(value)) => write!(f, "claim {name} {value}"),
        }
    }
}

impl Test {
    /// Why it holds for nobody whom a chain knows, if so.
    fn never(&self, chain: &Chain, consumers: &Consumers) -> Option<String> {
        let known = chain.authenticators();
        let tells_more = known.iter().any(|link| link.policy.kind().tells_more);
        let kinds: Vec<String> = known.iter().map(|link| format!("`{}`", link.policy.kind().name)).collect();
        let (tells, kinds) = (if kinds.len() == 1 { "tells" } else { "tell" }, kinds.join(" and "));
        let could =
            |consumer: &Identity| consumer.index.is_some_and(|index| chain.could_know(index, consumers));
        match self {
            Test::Scope(_) if !tells_more => Some(format!("{kinds} {tells} no scopes")),
            Test::Claim(..) if !tells_more => Some(format!("{kinds} {tells} no claims")),
            Test::Group(name) if !tells_more => {
                let mut members = consumers.identities().iter().filter(|one| one.has_group(name)).peekable();
                if members.peek().is_none() {
                    return Some("no consumer is in it".to_owned());
                }
                (!members.any(could)).then(|| format!("no consumer in it has a credential for {kinds}"))
            }
            Test::Consumer(name) => {
                let consumer = consumers.find(name).and_then(|index| consumers.identity(index))?;
                (!could(consumer)).then(|| format!("it has no credential for {kinds}"))
            }
            Test::Scope(_) | Test::Claim(..) | Test::Group(_) => None,
        }
    }

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

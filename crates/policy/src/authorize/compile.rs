//! Prepares the policy.

use diagnostics::{Code, Diagnostic};
use document::OneOrMany;

use super::config::{Condition, Raw};
use super::run::{Demand, Ready, Test, Written};
use crate::Compiling;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let before = cx.diagnostics.errors();
    let any = tests(raw.any.as_ref(), cx);
    let all = tests(raw.all.as_ref(), cx);
    let rule = match &raw.rule {
        Some(rule) => Some(Written { program: rule.compile(cx.diagnostics)?, text: rule.text().into() }),
        None => None,
    };
    (cx.diagnostics.errors() == before).then_some(Ready { any, all, rule })
}

fn tests(raw: Option<&OneOrMany<Condition>>, cx: &mut Compiling<'_>) -> Option<Box<[Demand]>> {
    let demand = |condition: &Condition| Some(Demand { test: test(condition, cx)?, place: condition.span });
    Some(raw?.iter().filter_map(demand).collect())
}

fn test(raw: &Condition, cx: &mut Compiling<'_>) -> Option<Test> {
    if let Some(name) = &raw.consumer {
        if cx.consumers.find(name).is_none() {
            cx.diagnostics.push(
                Diagnostic::error(
                    Code::UnknownConsumer,
                    name.span,
                    format!("there is no consumer `{}`", name.value),
                )
                .help("name one of `consumers`")
                .did_you_mean(&name.value, cx.consumers.names()),
            );
        }
        return Some(Test::Consumer(name.as_str().into()));
    }
    let text = |text: &diagnostics::Spanned<String>| -> Box<str> { text.as_str().into() };
    raw.group
        .as_ref()
        .map(|group| Test::Group(text(group)))
        .or_else(|| raw.scope.as_ref().map(|scope| Test::Scope(text(scope))))
        .or_else(|| {
            let claim = raw.claim.as_ref()?;
            Some(Test::Claim(text(claim), raw.value.as_ref().map(text)))
        })
}

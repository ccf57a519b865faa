//! Prepares the policy. Whether what it names holds on a route is looked at where routes are put together.

use diagnostics::{Code, Diagnostic, Words};

use super::config::{Anonymous, Raw};
use super::run::Ready;
use crate::Compiling;
use crate::list::KINDS;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let before = cx.diagnostics.errors();
    let known = || KINDS.iter().filter(|kind| kind.knows_callers).map(|kind| kind.name);
    let mut demanded: Vec<&'static str> = Vec::new();
    for name in &raw.all {
        let Some(kind) = known().find(|kind| *kind == name.value) else {
            let names: Vec<String> = known().map(|name| format!("`{name}`")).collect();
            cx.diagnostics.push(
                Diagnostic::error(
                    Code::InvalidValue,
                    name.span,
                    format!("`{}` is no policy that knows callers", name.value),
                )
                .help(Words::fixed(format!("possible are {}", names.join(", "))))
                .did_you_mean(&name.value, known()),
            );
            continue;
        };
        if demanded.contains(&kind) {
            cx.diagnostics.push(
                Diagnostic::error(Code::InvalidValue, name.span, format!("`{kind}` is named twice"))
                    .help("name each kind once"),
            );
        }
        demanded.push(kind);
    }
    if let ([only], true) = (&demanded[..], raw.all.len() == 1) {
        cx.diagnostics.push(
            Diagnostic::warning(
                Code::UnusedSetting,
                raw.all[0].span,
                format!("`all` names `{only}` and nothing else"),
            )
            .help("one policy is all of one: remove `all`, or name another kind besides"),
        );
    }
    (cx.diagnostics.errors() == before)
        .then(|| Ready { demanded: demanded.into(), anonymous: raw.anonymous == Anonymous::Allow })
}

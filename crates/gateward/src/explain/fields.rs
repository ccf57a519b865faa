//! The header fields of a request: which are added, changed and removed, and by whom.
//!
//! Entry points: [`section`], [`summary`].

use dataplane::explain::{Cause, Change, End, Way};

use super::page::{Page, row};
use super::report::{Report, kind, names};

/// What happens to the fields on one way. Returns whether there is anything to say.
pub(crate) fn section(report: &Report<'_>, way: &Way<'_>, page: &mut Page) -> bool {
    let End::Forward(upstream) = &way.end else { return false };
    let generated = upstream.generated.as_deref();
    let shown = |values: &[String]| {
        let values: Vec<String> = values.iter().map(|value| report.value(value, generated)).collect();
        values.join(" | ")
    };
    let mut rows = Vec::new();
    for verb in ["adds", "changes", "removes"] {
        for change in upstream.changes.iter().filter(|change| word(change) == verb) {
            let (did, values) = match verb {
                "adds" => ("added", &change.after),
                "changes" => ("changed", &change.after),
                _ => ("removed", &change.before),
            };
            let mut why = cause(report, way, change.cause);
            if verb == "changes" {
                why.push_str(&format!("; was {}", shown(&change.before)));
            }
            if let Some(dropped) = change.dropped.filter(|dropped| *dropped != change.cause) {
                why.push_str(&format!(", which {}", cause(report, way, dropped)));
            }
            rows.push(row![did, format!("{}: {}", change.name, shown(values)), why]);
        }
    }
    page.table(&rows);
    let kept: Vec<&str> = upstream
        .fields
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| !upstream.changes.iter().any(|change| change.name.eq_ignore_ascii_case(name)))
        .collect();
    if !kept.is_empty() {
        page.line(&format!("  Not touched: {}.", names(kept)));
    }
    true
}

/// Who did it, and why.
fn cause(report: &Report<'_>, way: &Way<'_>, cause: Cause) -> String {
    match cause {
        Cause::Policy(position) => way.steps.get(position).map_or_else(
            || "by a policy".to_owned(),
            |step| format!("by {} ({})", kind(step), report.place(step.link.source)),
        ),
        Cause::Gateway => "by the gateway".to_owned(),
        Cause::Connection => "is about the connection only".to_owned(),
        Cause::Untrusted => "is believed only from trusted_proxies".to_owned(),
        Cause::Underscore => "has a _, which many services take for -".to_owned(),
        Cause::Certificate => "is for the gateway alone to say".to_owned(),
    }
}

/// `adds x-a, changes x-b, removes x-c and x-d`
pub(crate) fn summary(changes: &[Change]) -> String {
    let parts = ["adds", "changes", "removes"].into_iter().filter_map(|verb| {
        let touched = changes.iter().filter(|change| word(change) == verb).map(|change| change.name.as_str());
        let touched: Vec<&str> = touched.collect();
        (!touched.is_empty()).then(|| format!("{verb} {}", names(touched)))
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// What was done, in a word.
pub(crate) fn word(change: &Change) -> &'static str {
    match (change.before.is_empty(), change.after.is_empty()) {
        (true, _) => "adds",
        (false, true) => "removes",
        (false, false) => "changes",
    }
}

//! Which route takes a request, which would, and which come close.
//!
//! The router has put them in order and judged them; here is only chosen what is worth a line. Entry point:
//! [`section`].

use dataplane::explain::{Next, Tried};
use diagnostics::closest;
use router::{RouteIndex, Verdict};

use super::page::{Page, row};
use super::report::{Report, path};

/// Without `--all` no more lines than this.
const MOST: usize = 10;

/// The routes that are worth a line, in order of precedence.
pub(crate) fn section(report: &Report<'_>, all: bool, page: &mut Page) {
    let candidates = &report.explanation.candidates;
    if candidates.is_empty() {
        return;
    }
    let routes = one_for_each_route(candidates);
    let winner = routes.iter().position(|tried| tried.candidate.verdict == Verdict::Matched);
    let taken = winner.and_then(|position| routes.get(position).copied());
    let is_near = nearness(report, &routes);
    let worth = |(position, tried): &(usize, &&Tried<'_>)| {
        all || Some(*position) == winner
            || match winner {
                Some(winner) if *position > winner => tried.candidate.verdict == Verdict::Matched,
                Some(_) | None => is_near(tried),
            }
    };
    let mut shown: Vec<_> = routes.iter().enumerate().filter(worth).collect();
    if !all && shown.len() > MOST {
        let first = winner.map_or(0, |winner| shown.iter().filter(|(at, _)| *at < winner).count());
        // The route that is taken is always among them.
        let skip = first.saturating_sub(MOST - 1);
        shown = shown.into_iter().skip(skip).take(MOST).collect();
    }
    page.title(match (winner, shown.is_empty()) {
        (Some(_), _) => "Routes, in order of precedence",
        (None, false) if all => "Routes, in order of precedence",
        (None, false) => "Routes that come close, in order of precedence",
        (None, true) => "Routes",
    });
    let is_ambiguous = matches!(report.explanation.next, Next::Ambiguous(..));
    let rows = shown.iter().map(|(position, tried)| {
        let Some(route) = report.route(tried.candidate.route) else { return row![] };
        let what = match (report.reason(tried), taken) {
            (Some(reason), _) => reason,
            (None, _) if Some(*position) == winner && is_ambiguous => {
                "would take it if its path had one reading".to_owned()
            }
            (None, _) if Some(*position) == winner => "takes it".to_owned(),
            (None, Some(taken)) => {
                format!(
                    "matches too; {} is first: {}",
                    name(report, taken),
                    taken.candidate.row_before(&tried.candidate)
                )
            }
            (None, None) => String::new(),
        };
        let mark = if Some(*position) == winner { ">" } else { " " };
        row![format!("{mark} {}", route.name), report.place(route.source), what]
    });
    page.table(&rows.collect::<Vec<_>>());
    let matching = |tried: &&&Tried<'_>| tried.candidate.verdict == Verdict::Matched;
    let hidden =
        routes.iter().filter(matching).count() - shown.iter().filter(|(_, tried)| matching(tried)).count();
    count_rest(routes.len() - shown.len(), hidden, winner.is_none() && shown.is_empty(), page);
    if winner.is_none() {
        suggest_host(report, &routes, page);
    }
}

fn name<'r>(report: &Report<'r>, tried: &Tried<'_>) -> &'r str {
    report.route(tried.candidate.route).map_or("", |route| &route.name)
}

/// Says what is not shown.
fn count_rest(rest: usize, matching: usize, none_is_near: bool, page: &mut Page) {
    match (rest, matching, none_is_near) {
        (0, ..) => {}
        (1, 0, true) => page.line("  There is one, and it does not come close (--all shows it)."),
        (_, 0, true) => page.line(&format!("  None of the {rest} comes close (--all shows them).")),
        (1, 0, false) => page.line("  One more does not match (--all shows it)."),
        (_, 0, false) => page.line(&format!("  {rest} more do not match (--all shows them).")),
        _ => page
            .line(&format!("  {rest} more are not shown, and {matching} of them match (--all shows them).")),
    }
}

/// Whoever names no host most often means one of the configuration.
fn suggest_host(report: &Report<'_>, routes: &[&Tried<'_>], page: &mut Page) {
    let by_host =
        |tried: &&&Tried<'_>| tried.candidate.verdict == Verdict::Host && could_be_its_path(report, tried);
    let host = routes.iter().find(by_host).and_then(|tried| tried.candidate.of.hosts.first());
    if let Some(host) = host.filter(|_| report.ask.is_default_host) {
        let (method, path) = (&report.ask.method, &report.ask.url);
        page.line(&format!("  Did you mean: gateward explain {method} http://{host}{path}"));
    }
}

/// The alternative of each route that comes furthest, in order of precedence.
fn one_for_each_route<'t, 's>(candidates: &'t [Tried<'s>]) -> Vec<&'t Tried<'s>> {
    let mut furthest: Vec<(RouteIndex, usize)> = Vec::new();
    for (position, tried) in candidates.iter().enumerate() {
        let distance = |at: usize| candidates.get(at).map_or(0, |tried| how_far(&tried.candidate.verdict));
        match furthest.iter_mut().find(|(route, _)| *route == tried.candidate.route) {
            Some((_, best)) if distance(*best) < distance(position) => *best = position,
            Some(_) => {}
            None => furthest.push((tried.candidate.route, position)),
        }
    }
    furthest.sort_by_key(|(_, position)| *position);
    furthest.into_iter().filter_map(|(_, position)| candidates.get(position)).collect()
}

/// Predicates are looked at in this order.
fn how_far(verdict: &Verdict<'_>) -> usize {
    match verdict {
        Verdict::Host => 0,
        Verdict::Path => 1,
        Verdict::Method => 2,
        Verdict::Header(_) => 3,
        Verdict::Query(_) => 4,
        Verdict::Matched => 5,
    }
}

/// Whether a route was missed by little: by something besides its path, or by a path that begins alike.
fn nearness<'r>(report: &'r Report<'_>, routes: &[&Tried<'_>]) -> impl Fn(&Tried<'_>) -> bool + use<'r> {
    let asked = report.explanation.understood.as_ref().map_or("", |understood| &understood.path);
    let asked = first_segment(asked).to_owned();
    let paths: Vec<String> = routes.iter().map(|tried| path(tried)).collect();
    let known = paths.iter().map(|path| first_segment(path)).filter(|segment| !segment.is_empty());
    // Where nothing begins alike, what was meant may be a slip of the hand away.
    let meant = closest(&asked, known).map_or_else(|| asked.clone(), str::to_owned);
    move |tried| match tried.candidate.verdict {
        Verdict::Matched | Verdict::Method | Verdict::Header(_) | Verdict::Query(_) => true,
        Verdict::Host => could_be_its_path(report, tried),
        Verdict::Path => {
            let own = path(tried);
            let own = first_segment(&own);
            !own.is_empty() && (own == asked || own == meant)
        }
    }
}

fn could_be_its_path(report: &Report<'_>, tried: &Tried<'_>) -> bool {
    let asked = report.explanation.understood.as_ref().map_or("", |understood| &understood.path);
    tried.candidate.path.is_none_or(|path| path.matches(asked.as_bytes()))
}

/// `orders` of `/orders/{id}` and of `~^/orders/`; nothing where it is not plain text.
fn first_segment(path: &str) -> &str {
    let path = path.trim_start_matches(['~', '^']);
    let segment = path.strip_prefix('/').and_then(|rest| rest.split('/').next()).unwrap_or("");
    let is_plain =
        segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~' | b'%'));
    if is_plain { segment } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_segments_are_plain_text() {
        for (path, want) in [
            ("/orders/{id}", "orders"),
            ("~^/orders/[0-9]+", "orders"),
            ("/{id}", ""),
            ("/*", ""),
            ("/", ""),
            ("any", ""),
            ("/ping", "ping"),
        ] {
            assert_eq!(first_segment(path), want, "{path}");
        }
    }
}

//! Routes that can never match or overlap: each kind of path, host and condition, as tables.

use crate::request::of;
use router::reachability::{Crossing, Kind, Part, examine};
use router::{Builder, RouteIndex};

/// What is found, one line for each route: `1 by 0: GET /a`, `1 overlaps 0 (row): GET /a`.
fn found_where(matches: &[&str], matters: impl Fn(&Crossing) -> bool) -> Vec<String> {
    let mut builder = Builder::new();
    for (text, index) in matches.iter().zip(0..) {
        // Words that begin with a number belong to the route of that number.
        let (index, text) = match text.split_once(' ') {
            Some((number, text)) if number.parse::<u32>().is_ok() => (number.parse().unwrap(), text),
            _ => (index, *text),
        };
        builder.add(RouteIndex(index), of(text));
    }
    let router = builder.build();
    let report = examine(&router, matters);
    assert!(report.is_complete, "{matches:?}");
    let numbers =
        |routes: &[RouteIndex]| routes.iter().map(|route| route.0.to_string()).collect::<Vec<_>>().join("+");
    let line = |route: RouteIndex, kind: &Kind<'_>| match kind {
        Kind::Impossible(Part::Path) => format!("{} has no path", route.0),
        Kind::Impossible(part) => format!("{} has no {part:?}", route.0),
        Kind::Unreachable(one) => {
            let hosts: String = one.hosts.iter().map(|host| format!(" under {host}")).collect();
            let what = if one.is_duplicate { "doubles" } else { "by" };
            format!("{}{hosts} {what} {}: {}", route.0, numbers(&one.by), one.example)
        }
        Kind::Overlaps(all) => {
            let with: Vec<RouteIndex> = all.iter().map(|one| one.with).collect();
            format!("{} overlaps {} ({}): {}", route.0, numbers(&with), all[0].decided_by, all[0].example)
        }
    };
    report.findings.iter().map(|finding| line(finding.route, &finding.kind)).collect()
}

fn finds(matches: &[&str], wanted: &[&str]) {
    assert_eq!(found_where(matches, |_| true), wanted, "{matches:#?}");
}

#[test]
fn healthy_routes_are_silent() {
    for matches in [
        &[][..],
        &["path=/*"],
        &["path=/users/*", "path=/users/{id}", "path=/users/{id}/items", "path=/users", "path=/*"],
        &["path=/a", "path=/b", "path=/a/", "path=/a/{x}/b", "path=/b/{x}/b", "path=/c/*"],
        &[
            "host=a.com path=/*",
            "host=b.com path=/*",
            "host=*.c.com path=/*",
            "host=d.c.com path=/*",
            "path=/*",
        ],
        &[
            "path=/a",
            "path=/a method=GET",
            "path=/a method=POST",
            "path=/b header=x-a",
            "path=/b query=q header=x-a",
        ],
        &["path=/a header=x-a=1", "path=/a header=x-a=2", "path=/b query=q=~^1", "path=/b query=q=~^2"],
        &["path=/a header=x-a=1", "path=/a header=x-a=1 header=x-b", "path=/a header=x-a"],
        &["path=~^/r/[0-9]+$", "path=~^/r/.*$", "path=/r/*", "path=/q/*", "path=~^/s/", "path=/"],
        &["path=/a/* priority=1", "path=/{x}/b", "path=/* priority=-1"],
        &["path=~^/v1/", "path=~^/v2/", "path=/v3/*", "path=/v3/{x}"],
    ] {
        finds(matches, &[]);
    }
}

#[test]
fn identical_matches() {
    finds(&["path=/a/{x} method=GET", "path=/a/{y} method=HEAD method=GET"], &["1 doubles 0: GET /a/42"]);
    finds(&["path=/%61", "path=/a"], &["1 doubles 0: GET /a"]);
    finds(
        &["header=x-a header=x-b", "header=x-b header=x-a"],
        &["1 doubles 0: GET /42 -H 'x-b: 1' -H 'x-a: 1'"],
    );
    finds(&["path=~^/a$", "path=~^/a$"], &["1 doubles 0: GET /a"]);
    finds(&["", "", ""], &["1 doubles 0: GET /42", "2 doubles 0: GET /42"]);
    finds(&["host=a.com host=b.com", "host=b.com host=a.com"], &["1 doubles 0: GET http://b.com/42"]);
    finds(&["path=/a", "path=/a priority=1"], &["0 by 1: GET /a"]);
}

#[test]
fn paths_that_others_take() {
    for (matches, wanted) in [
        (&["path=/*", ""][..], "1 by 0: GET /42"),
        (&["path=/a/*", "path=/a/{rest...}"], "0 by 1: GET /a/42"),
        (&["path=/a/b/*", "path=~^/a/b"], "0 by 1: GET /a/b/42"),
        (&["path=/a/b", "path=/a/* priority=1"], "0 by 1: GET /a/b"),
        (&["path=/a/{x}", "path=/a/* priority=1"], "0 by 1: GET /a/42"),
        (&["path=~^/r/[0-9]+$", "path=/{kind}/{id}"], "0 by 1: GET /r/1"),
        (&["path=~^/q/.*$", "path=~^/q/[0-9]+$"], "1 by 0: GET /q/1"),
        (&["path=~^/(a|b)$", "path=/a", "path=/b"], "0 by 1+2: GET /a"),
        (&["path=~^/a$", "path=/a"], "0 by 1: GET /a"),
        (&["path=/a/*", "path=/a", "path=/a/", "path=/a/{x}/{y...}"], "0 by 3+1+2: GET /a/42"),
        (&["path=~^/a/[^/]+$", "path=/a/{x}"], "0 by 1: GET /a/a"),
        (&["path=/%2A", "path=~^/%2A$ priority=1"], "0 by 1: GET /%2A"),
    ] {
        finds(matches, &[wanted]);
    }
}

#[test]
fn paths_that_no_request_has() {
    for source in ["^a", "^/a//b", "^/\\.\\.?/", "^/%41", "^/a[^/]*\n", "a^", "^/[?#]"] {
        let path = format!("path=~{}", source.replace('\n', "\\n"));
        finds(&[&path], &["0 has no path"]);
    }
    finds(&["header=x-a=~^$x"], &["0 has no Header(\"x-a\")"]);
    finds(&["header=x-a=\u{1}"], &["0 has no Header(\"x-a\")"]);
    finds(&["query=x=~^$x", "path=/b"], &["0 has no Query(\"x\")"]);
    finds(&["query=x=\u{1}"], &[]);
}

#[test]
fn hosts_that_others_take() {
    finds(&["host=a.com path=/a", "path=/* priority=1"], &["0 by 1: GET http://a.com/a"]);
    finds(&["host=*.a.com path=/a", "host=*.com path=/a priority=1"], &["0 by 1: GET http://www.a.com/a"]);
    // The route that takes them is the same one.
    finds(&["0 host=a.com path=/a", "0 host=a.com path=/a", "0 host=*.com path=/a"], &[]);
    finds(
        &["host=a.com host=b.com path=/a", "host=b.com path=/a host=c.com"],
        &["1 under b.com doubles 0: GET http://b.com/a"],
    );
    finds(&["host=*.a.com host=b.a.com path=/a", "host=a.com host=a.com path=/a"], &[]);
    finds(&["path=/a priority=-1", "path=/a"], &["0 by 1: GET /a"]);
    // Without a host it would be the one that is named.
    finds(
        &["host=localhost path=/b", "host=*.com path=/b", "path=/a", "path=/a"],
        &["3 doubles 2: GET http://example.org/a"],
    );
}

#[test]
fn methods_that_others_take() {
    finds(&["path=/a method=GET", "path=/a method=HEAD"], &["1 by 0: HEAD /a"]);
    finds(
        &["path=/a method=GET method=PUT", "path=/a method=GET", "path=/a method=PUT"],
        &["1 by 0: GET /a", "2 by 0: PUT /a"],
    );
    finds(
        &[
            "path=/a method=GET method=PUT priority=-1",
            "path=/a method=GET",
            "path=/a method=PUT header=x-a",
            "path=/a method=PUT",
        ],
        &["0 by 1+3: GET /a"],
    );
    // Other methods are there as well.
    finds(
        &[
            "path=/a",
            "path=/a method=GET method=POST method=PUT method=DELETE method=PATCH method=HEAD method=OPTIONS",
        ],
        &[],
    );
}

#[test]
fn conditions_that_others_take() {
    for (matches, wanted) in [
        (&["header=x-a=2", "header=x-a priority=1"][..], &["0 by 1: GET /42 -H 'x-a: 2'"][..]),
        (&["header=x-a=2", "header=x-a=~^[0-9]$ priority=1"], &["0 by 1: GET /42 -H 'x-a: 2'"]),
        (&["header=x-a=2", "header=x-a=~^[3-9]$ priority=1"], &[]),
        (&["header=x-a=~^v1", "header=x-a=~^v priority=1"], &["0 by 1: GET /42 -H 'x-a: v1'"]),
        (&["header=x-a=~^v", "header=x-a=~^v1 priority=1"], &[]),
        (&["header=x-a", "header=x-a=~^v1 priority=1"], &[]),
        (
            &[
                "header=x-a",
                "header=x-a=~^[^v] priority=1",
                "header=x-a=~^v priority=1",
                "header=x-a=~^$ priority=1",
            ],
            &["0 by 1+3+2: GET /42 -H 'x-a: 1'"],
        ),
        // Several values may be there: two conditions never exclude each other.
        (
            &["header=x-a=1 header=x-a=2", "header=x-a=1 priority=1"],
            &["0 by 1: GET /42 -H 'x-a: 1' -H 'x-a: 2'"],
        ),
        (&["query=q=1", "query=q priority=1"], &["0 by 1: GET /42?q=1"]),
        (&["query=q", "query=q=1 priority=1"], &[]),
        (&["query=q=&", "header=q=& priority=1"], &[]),
    ] {
        finds(matches, wanted);
    }
}

#[test]
fn overlaps_of_each_row() {
    for (matches, wanted) in [
        (
            &["path=/ping", "host=a.com path=/*"][..],
            "0 overlaps 1 (its host is more specific): GET http://a.com/ping",
        ),
        (
            &["path=/a/{x}", "host=*.a.com path=/{x}/b"],
            "0 overlaps 1 (its host is more specific): GET http://www.a.com/a/b",
        ),
        (
            &["path=/img/*", "path=~\\.png$"],
            "0 overlaps 1 (a regular expression comes before a prefix): GET /img/.png",
        ),
        (
            &["path=/a/{x}/c", "path=~^/a/[0-9]+/"],
            "1 overlaps 0 (a template comes before a regular expression): GET /a/1/c",
        ),
        (&["path=/a/{x}", "path=/a/b/*"], "1 overlaps 0 (a template comes before a prefix): GET /a/b"),
        (
            &["path=/{x}/b", "path=/long/{y}"],
            "0 overlaps 1 (its path has more literal characters): GET /long/b",
        ),
        (&["path=/a/{x...}", "path=/{y}/b"], "0 overlaps 1 (its path does not end in `{rest...}`): GET /a/b"),
        (
            &["path=~^/a", "path=~b$"],
            "1 overlaps 0 (its regular expression comes earlier in the file): GET /ab",
        ),
        (
            &["path=/a header=x-a", "path=/a method=GET"],
            "0 overlaps 1 (it names methods): GET /a -H 'x-a: 1'",
        ),
        (
            &["path=/a header=x-a", "path=/a header=x-b header=x-c"],
            "0 overlaps 1 (it has more conditions on headers): GET /a -H 'x-b: 1' -H 'x-c: 1' -H 'x-a: 1'",
        ),
        (
            &["path=/a query=p query=q", "path=/a query=r"],
            "1 overlaps 0 (it has more conditions on the query): GET '/a?p=1&q=1&r=1'",
        ),
        (&["path=/{x}/b", "path=/a/{y}"], "1 overlaps 0 (it comes earlier in the file): GET /a/b"),
        (&["path=/* header=x-a", "path=/a/*"], "0 overlaps 1 (its prefix is longer): GET /a/42 -H 'x-a: 1'"),
        (
            &["path=/a header=x-a=~^v", "path=/a header=x-a=~1$"],
            "1 overlaps 0 (it comes earlier in the file): GET /a -H 'x-a: v1'",
        ),
        (
            &["path=/a method=GET method=PUT", "path=/a method=POST method=PUT"],
            "1 overlaps 0 (it comes earlier in the file): PUT /a",
        ),
        (
            &["priority=5 path=/{x}/b", "path=/a/{y} priority=5"],
            "1 overlaps 0 (it comes earlier in the file): GET /a/b",
        ),
    ] {
        finds(matches, &[wanted]);
    }
}

#[test]
fn overlaps_that_nobody_meets() {
    // All that both match is taken by a third one.
    finds(&["path=/{x}/b", "path=/a/{y}", "path=/a/b"], &[]);
    finds(
        &["path=/{x}/b", "path=/a/{y}", "path=/a/b method=GET"],
        &["1 overlaps 0 (it comes earlier in the file): POST /a/b"],
    );
    finds(&["path=/{x}/b priority=1", "path=/a/{y}"], &[]);
    // Only one of the two can be reached.
    finds(
        &["path=/{x}/b", "path=/a/{y}", "path=/a/{z}"],
        &["1 overlaps 0 (it comes earlier in the file): GET /a/b", "2 doubles 1: GET /a/42"],
    );
    assert!(found_where(&["path=/{x}/b", "path=/a/{y}"], |_| false).is_empty());
}

#[test]
fn an_overlap_behind_several_others_is_found() {
    // Whoever looks for a request of 3 and 4 meets the exceptions before them one after the other.
    let routes = [
        "host=b.a.com path=/a/a header=x-a priority=-1",
        "query=p=~^2 priority=-1",
        "host=b.a.com method=POST query=p",
        "path=/* header=x-a query=p=~^2",
        "path=~^/(a|b)/ method=GET header=x-a=1 query=p",
    ];
    assert!(!found_where(&routes, |_| true).is_empty());
}

#[test]
fn a_narrower_place_for_all_methods_is_expected() {
    let surprising = |matches: &[&str]| found_where(matches, |crossing| !crossing.is_by_methods).len();
    assert_eq!(surprising(&["path=/* method=GET", "path=/api/*"]), 0);
    assert_eq!(surprising(&["path=/* method=GET", "host=a.com path=/*"]), 0);
    assert_eq!(surprising(&["path=/* method=GET header=x-a", "path=/api/*"]), 1);
    assert_eq!(surprising(&["path=/a method=GET method=PUT", "path=/a method=POST method=PUT"]), 1);
    assert_eq!(surprising(&["path=/ping method=GET", "host=a.com path=/*"]), 1);
    assert_eq!(found_where(&["path=/* method=GET", "path=/api/*"], |_| true).len(), 1);
}

#[test]
fn a_route_names_at_most_three_others() {
    let others = (0..9).map(|number| format!("path=/{{x}}/b{number}"));
    let all: Vec<String> = others.chain(["path=/a/*".to_owned()]).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    finds(&all, &["9 overlaps 8+7+6 (a template comes before a prefix): GET /a/b8"]);
}

#[test]
fn what_is_too_much_work_is_not_said() {
    let mut builder = Builder::new();
    builder.add(RouteIndex(0), of("path=~a.{20}$"));
    builder.add(RouteIndex(1), of("path=~b.{20}$"));
    builder.add(RouteIndex(2), of("path=/a"));
    builder.add(RouteIndex(3), of("path=/a"));
    let router = builder.build();
    let report = examine(&router, |_| true);
    assert!(!report.is_complete);
    assert_eq!(report.findings.iter().map(|finding| finding.route.0).collect::<Vec<_>>(), [3]);
}

#[test]
fn a_header_that_is_the_host_is_left_alone() {
    for other in ["path=/a/* priority=1", "path=/a host=*.com header=x-a"] {
        let mut builder = Builder::new();
        builder.add(RouteIndex(0), of("host=a.com header=host=b.com path=/a"));
        builder.add(RouteIndex(1), of(other));
        let router = builder.build();
        let report = examine(&router, |_| true);
        assert!(report.findings.is_empty() && !report.is_complete, "{report:?}");
    }
}

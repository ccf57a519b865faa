//! `find` with its tables equals a scan over all alternatives that asks one predicate after the other.
//!
//! Routes and requests are drawn from few words, so that they collide all the time.

use crate::request::{Request, of};
use proptest::prelude::*;
use router::reachability::{Example, Finding, Kind, Overlap, Unreachable, examine};
use router::{Builder, Captures, Match, RouteIndex, Router, Verdict};

/// One word of the notation of [`of`], or nothing.
fn word(key: &'static str, values: &'static [&'static str]) -> impl Strategy<Value = String> {
    let some = proptest::sample::select(values).prop_map(move |value| format!(" {key}={value}"));
    prop_oneof![1 => Just(String::new()), 1 => some]
}

fn segments(words: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(proptest::sample::select(words), 0..=most)
        .prop_map(|parts| parts.iter().map(|part| format!("/{part}")).collect())
}

/// Exact, template and prefix paths of up to four segments, and a few regexes.
fn path() -> impl Strategy<Value = String> {
    let ends = &["", "/", "/*", "/{rest...}", "/*"][..];
    let form =
        (segments(&["a", "b", "ab", "{}"], 4), proptest::sample::select(ends)).prop_map(|(body, end)| {
            let mut named = String::new();
            for (part, n) in body.split("{}").zip(0..) {
                if n > 0 {
                    named += &format!("{{n{n}}}");
                }
                named += part;
            }
            named + end
        });
    let regex = proptest::sample::select(&["~^/a", "~b$", "~^/(a|b)/", "~^/(?<x>[^/]*)/a", "~."][..]);
    let some = prop_oneof![5 => form, 1 => regex.prop_map(str::to_owned)];
    prop_oneof![1 => Just(String::new()), 6 => some.prop_filter("a path begins with a slash", |p| !p.is_empty())
        .prop_map(|path| format!(" path={path}"))]
}

pub(crate) fn route() -> impl Strategy<Value = String> {
    let hosts = &["a.com", "b.a.com", "*.a.com", "*.com", "*.b.a.com", "com"][..];
    let (host, more) = (word("host", hosts), word("host", hosts));
    let method = word("method", &["GET", "HEAD", "POST"]);
    let header = word("header", &["x-a", "x-a=1", "x-a=~2$", "x-b"]);
    let query = word("query", &["p", "p=1", "p=~^2", "q"]);
    let priority = prop_oneof![6 => Just(""), 1 => Just(" priority=1"), 1 => Just(" priority=-1")];
    (host, more, path(), method, header, query, priority)
        .prop_map(|(a, b, c, d, e, f, g)| [a.as_str(), &b, &c, &d, &e, &f, g].concat())
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    let host = proptest::option::weighted(
        0.9,
        proptest::sample::select(
            &["a.com", "b.a.com", "c.b.a.com", "x.com", "com", ".a.com", "xa.com", "", "a.com.x"][..],
        ),
    );
    let path = (segments(&["a", "b", "ab", "c"], 5), proptest::sample::select(&["", "/", "//", "/a//b"][..]));
    let method = proptest::sample::select(&["GET", "HEAD", "POST", "PUT"][..]);
    let headers =
        prop::collection::vec(proptest::sample::select(&[("x-a", "1"), ("x-a", "2"), ("x-b", "")][..]), 0..3);
    let query =
        proptest::option::of(proptest::sample::select(&["", "p", "p=1", "p=2&p=1", "%70=%31&q", "q=1"][..]));
    (method, host, path, headers, query).prop_map(|(method, host, (path, end), headers, query)| Request {
        method: method.into(),
        host: host.map(str::to_owned),
        path: path + end,
        headers: headers.into_iter().map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec())).collect(),
        query: query.map(str::to_owned),
    })
}

/// Other paths do not reach the router.
pub(crate) fn is_canonical(path: &str) -> bool {
    path.starts_with('/') && !path.contains("//")
}

/// All requests of few words that a route matches.
fn requests_of(of: &Match) -> impl Iterator<Item = Request> {
    let words = ["a", "b", "ab", "c"];
    let mut bodies = vec![String::new()];
    let mut paths = vec!["/".to_owned()];
    for _ in 0..3 {
        bodies = bodies.iter().flat_map(|body| words.map(|word| format!("{body}/{word}"))).collect();
        paths.extend(bodies.iter().flat_map(|body| [body.clone(), format!("{body}/")]));
    }
    paths.retain(|path| of.path.as_ref().is_none_or(|pattern| pattern.matches(path.as_bytes())));
    let all_headers: [&[(&str, &str)]; 6] = [
        &[],
        &[("x-a", "1")],
        &[("x-a", "2")],
        &[("x-a", "3")],
        &[("x-b", "")],
        &[("x-a", "1"), ("x-a", "2"), ("x-b", "")],
    ];
    let hosts = ["a.com", "b.a.com", "c.b.a.com", "c.a.com", "com", "x.com"].into_iter().map(Some);
    let mut requests = Vec::new();
    for host in hosts.chain([None]) {
        for method in ["GET", "HEAD", "POST", "PUT"] {
            for headers in all_headers {
                for query in [None, Some("p"), Some("p=1"), Some("p=2"), Some("q"), Some("p=1&p=2&q")] {
                    let mut request = Request::new(method, "", "/");
                    request.host = host.map(str::to_owned);
                    request.query = query.map(str::to_owned);
                    request.headers =
                        headers.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect();
                    requests.push(request);
                }
            }
        }
    }
    // Everything but the path, asked once.
    let (everywhere, mut captures) = (alone(Match { path: None, ..of.clone() }), Captures::new());
    requests.retain(|request| everywhere.find(request, &mut captures).is_some());
    paths.into_iter().flat_map(move |path| {
        requests.clone().into_iter().map(move |request| Request { path: path.clone(), ..request })
    })
}

fn alone(of: Match) -> Router {
    let mut builder = Builder::new();
    builder.add(RouteIndex(0), of);
    builder.build()
}

pub(crate) fn router(routes: &[String]) -> Router {
    let mut builder = Builder::new();
    for (route, index) in routes.iter().zip(0..) {
        builder.add(RouteIndex(index), of(route));
    }
    builder.build()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn find_is_the_first_that_a_scan_accepts(
        routes in prop::collection::vec(route(), 0..25),
        requests in prop::collection::vec(request(), 1..20),
    ) {
        let router = router(&routes);
        let mut captures = Captures::new();
        for request in &requests {
            let scan = router.explain(request).into_iter().find(|c| c.verdict == Verdict::Matched);
            let found = router.find(request, &mut captures);
            prop_assert_eq!(found, scan.as_ref().map(|c| c.route), "{:?}", request);
            let mut want = Captures::new();
            if let Some(path) = scan.and_then(|c| c.path) {
                prop_assert!(path.capture(request.path.as_bytes(), &mut want));
            }
            let ranges = |c: &Captures| (0..c.len()).map(|i| c.get(i)).collect::<Vec<_>>();
            prop_assert_eq!(ranges(&captures), ranges(&want));
        }
    }

    #[test]
    fn no_input_panics(path in ".{0,40}", host in ".{0,20}", query in ".{0,40}", pattern in "(~|/|)[a-z{}.*/%0-9~()\\[\\]é+?|-]{0,20}") {
        if let Ok(parsed) = router::PathPattern::parse(&pattern) {
            let mut captures = Captures::new();
            prop_assert_eq!(parsed.matches(path.as_bytes()), parsed.capture(path.as_bytes(), &mut captures));
        }
        let _ = router::HostPattern::parse(&pattern);
        let router = router(&["path=/{a}/* host=*.a query=p=~x".into(), "path=/a".into(), "query=q".into()]);
        let _ = router.find(&Request::new("GET", &host, &path).query(&query), &mut Captures::new());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_said_of_reachability_holds(
        routes in prop::collection::vec(route(), 0..25),
        requests in prop::collection::vec(request(), 1..20),
    ) {
        let router = router(&routes);
        let report = examine(&router, |_| true);
        prop_assert!(report.is_complete, "{:?}", routes);
        let mut captures = Captures::new();
        let matched = |route: RouteIndex, example: &Example| {
            let all = router.explain(example);
            all.iter().any(|one| one.route == route && one.verdict == Verdict::Matched)
        };
        for Finding { route, kind } in &report.findings {
            match kind {
                Kind::Impossible(_) => {}
                Kind::Unreachable(Unreachable { hosts, by, example, .. }) => {
                    prop_assert!(matched(*route, example), "{example}");
                    prop_assert_eq!(router.find(example, &mut captures), by.first().copied(), "{}", example);
                    prop_assert!(!by.contains(route));
                    for request in requests.iter().filter(|request| hosts.is_empty() && is_canonical(&request.path)) {
                        prop_assert_ne!(router.find(request, &mut captures), Some(*route), "{:?}", request);
                    }
                }
                Kind::Overlaps(overlaps) => {
                    for Overlap { with, example, .. } in overlaps {
                        prop_assert!(matched(*route, example) && matched(*with, example), "{example}");
                        prop_assert_eq!(router.find(example, &mut captures), Some(*with), "{}", example);
                    }
                }
            }
        }
    }

    #[test]
    fn each_of_two_that_overlap_matches_others_alone(one in route(), two in route()) {
        if [&one, &two].iter().any(|text| text.matches('/').count() > 3) {
            return Ok(()); // deeper than the requests that are tried
        }
        // It is said of one host of a route; another one may hold it.
        let [one, two] = [of(&one), of(&two)].map(|mut of| {
            of.hosts.truncate(1);
            of
        });
        let mut builder = Builder::new();
        builder.add(RouteIndex(0), one.clone());
        builder.add(RouteIndex(1), two.clone());
        let router = builder.build();
        let leaves = |one: &Match, other: &Match| {
            let (other, mut captures) = (alone(other.clone()), Captures::new());
            requests_of(one).any(|request| other.find(&request, &mut captures).is_none())
        };
        let overlaps = |kind: &Kind<'_>| matches!(kind, Kind::Overlaps(_));
        if examine(&router, |_| true).findings.iter().any(|finding| overlaps(&finding.kind)) {
            prop_assert!(leaves(&one, &two) && leaves(&two, &one));
        }
    }
}

proptest! {
    // Each case tries very many requests.
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_unreachable_route_is_not_found_by_any_request(routes in prop::collection::vec(route(), 0..25)) {
        let router = router(&routes);
        let mut captures = Captures::new();
        for Finding { route, kind } in examine(&router, |_| true).findings {
            let is_all = match &kind {
                Kind::Impossible(_) => true,
                Kind::Unreachable(unreachable) => unreachable.hosts.is_empty(),
                Kind::Overlaps(_) => false,
            };
            if is_all {
                let of = of(&routes[route.0 as usize]);
                let found = requests_of(&of).find(|request| router.find(request, &mut captures) == Some(route));
                prop_assert!(found.is_none(), "{:?} {:?} {:?}", found, kind, routes);
            }
        }
    }
}

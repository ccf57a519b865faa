//! The table of precedence in the crate's documentation, row by row, and what decides between equals.

use crate::request::{Request, of};
use router::{Builder, Captures, Match, RouteIndex, Router, ValuePattern, Verdict};

fn router(matches: impl IntoIterator<Item = Match>) -> Router {
    let mut builder = Builder::new();
    for (of, index) in matches.into_iter().zip(0..) {
        builder.add(RouteIndex(index), of);
    }
    builder.build()
}

fn find(router: &Router, request: &Request) -> Option<u32> {
    router.find(request, &mut Captures::new()).map(|route| route.0)
}

/// A request that all matches of [`ladder`] hold for.
fn request() -> Request {
    Request::new("GET", "a.b.example.com", "/one/two/three")
        .header("x-a", "1")
        .header("x-b", "2")
        .query("p=1&q=2")
}

/// Pairs of matches of which the first has precedence, whichever comes first in the file.
fn ladder() -> Vec<(&'static str, Match, Match)> {
    vec![
        (
            "priority before everything",
            of("priority=1"),
            of("host=a.b.example.com path=/one/two/three method=GET header=x-a"),
        ),
        (
            "no priority before a negative one",
            of("path=/*"),
            of("priority=-1 host=a.b.example.com path=/one/two/three"),
        ),
        (
            "exact host before wildcard",
            of("host=a.b.example.com"),
            of("host=*.b.example.com path=/one/two/three"),
        ),
        (
            "longer wildcard before shorter",
            of("host=*.b.example.com"),
            of("host=*.example.com path=/one/two/three"),
        ),
        (
            "wildcard before any host",
            of("host=*.com path=/*"),
            of("path=/one/two/three method=GET header=x-a"),
        ),
        (
            "exact path before template",
            of("path=/one/two/three"),
            of("path=/one/two/{x} method=GET header=x-a"),
        ),
        ("more literal bytes before fewer", of("path=/{x}/two/three"), of("path=/one/two/{x} method=GET")),
        (
            "template before one with a rest of equal length",
            of("path=/one/two/{x}"),
            of("path=/one/two/{x...} method=GET"),
        ),
        ("literal bytes before the rest", of("path=/one/two/{x...}"), of("path=/one/{x}/{y} method=GET")),
        ("template before regex", of("path=/{x...}"), of("path=~^/one/two/three$ method=GET header=x-a")),
        ("regex before prefix", of("path=~three"), of("path=/one/two/three/* method=GET header=x-a")),
        ("longer prefix before shorter", of("path=/one/two/*"), of("path=/one/* method=GET header=x-a")),
        ("prefix before no path", of("path=/*"), of("method=GET header=x-a header=x-b query=p")),
        ("method before none", of("method=GET"), of("header=x-a header=x-b query=p query=q")),
        ("more headers before fewer", of("header=x-a header=x-b"), of("header=x-a query=p query=q")),
        ("more query conditions before fewer", of("query=p query=q"), of("query=p")),
        ("some query condition before none", of("header=x-b query=p"), of("header=x-a")),
    ]
}

#[test]
fn each_row_decides_in_either_file_order() {
    for (row, higher, lower) in ladder() {
        assert_eq!(find(&router([higher.clone(), lower.clone()]), &request()), Some(0), "{row}");
        assert_eq!(find(&router([lower.clone(), higher]), &request()), Some(1), "{row}, reversed");
        assert_eq!(find(&router([lower]), &request()), Some(0), "{row}: the other matches too");
    }
}

#[test]
fn file_order_decides_between_equals() {
    for both in [
        "path=/one/two/{x}",
        "host=*.example.com path=/one/*",
        "method=GET",
        "header=x-a",
        "path=~one",
        "priority=3",
    ] {
        assert_eq!(find(&router([of(both), of(both)]), &request()), Some(0), "{both}");
    }
    let crossed = router([of("path=/{x}/two/{z}"), of("path=/one/{y}/{z}")]);
    assert_eq!(find(&crossed, &request()), Some(0), "equal literal length");
    let regexes = router([of("path=~three"), of("path=~one method=GET header=x-a")]);
    assert_eq!(find(&regexes, &request()), Some(0), "regexes go by file order before methods");
    let same_regex = router([of("path=~one"), of("path=~one method=GET")]);
    assert_eq!(find(&same_regex, &request()), Some(1), "one regex holds one place: the method decides");
    let other_place = router([of("path=~one"), of("path=~two method=GET"), of("path=~one method=GET")]);
    assert_eq!(find(&other_place, &request()), Some(2));
}

#[test]
fn a_better_class_that_fails_gives_way() {
    let routes = router([
        of("host=a.b.example.com path=/one/two/three method=POST"),
        of("host=a.b.example.com path=/one/{x}/three header=x-none"),
        of("host=*.b.example.com path=/other"),
        of("host=*.example.com path=~^/one/two$"),
        of("path=/one/* query=none"),
        of("path=/one/*"),
        of("host=*.example.net path=/one/*"),
    ]);
    assert_eq!(find(&routes, &request()), Some(5));
    let verdicts: Vec<_> = routes.explain(&request()).into_iter().map(|c| (c.route.0, c.verdict)).collect();
    let want = [
        (0, Verdict::Method),
        (1, Verdict::Header("x-none")),
        (2, Verdict::Path),
        (3, Verdict::Path),
        (6, Verdict::Host),
        (4, Verdict::Query("none")),
        (5, Verdict::Matched),
    ];
    assert_eq!(verdicts, want);
}

#[test]
fn hosts() {
    let routes =
        router([of("host=example.com"), of("host=*.example.com"), of("path=/any"), of("host=[::1]")]);
    for (host, want) in [
        (Some("example.com"), Some(0)),
        (Some("a.example.com"), Some(1)),
        (Some("a.b.example.com"), Some(1)),
        (Some(".example.com"), None),
        (Some("badexample.com"), None),
        (Some("[::1]"), Some(3)),
        (Some(""), None),
        (Some("."), None),
        (Some("..."), None),
        (None, None),
    ] {
        let mut request = Request::new("GET", "", "/");
        request.host = host.map(str::to_owned);
        assert_eq!(find(&routes, &request), want, "{host:?}");
        request.path = "/any".into();
        assert_eq!(find(&routes, &request), want.or(Some(2)), "{host:?} /any");
    }
}

#[test]
fn values_that_are_not_utf8_do_not_open_a_route() {
    let mut route = of("");
    route.headers.push(("x-role".into(), ValuePattern::parse("~^admin$").unwrap()));
    let routes = router([route]);
    let mut request = Request::new("GET", "a", "/");
    assert_eq!(find(&routes, &request), None);
    request.headers.push(("x-role".into(), b"admin\xff".to_vec()));
    assert_eq!(find(&routes, &request), None);
    request.headers.push(("x-role".into(), b"admin".to_vec()));
    assert_eq!(find(&routes, &request), Some(0), "any value may pass");
}

#[test]
fn captures_are_those_of_the_route_taken() {
    let routes = router([
        of("path=/o/{id}/x method=POST"),
        of("path=/o/{id}/{what}"),
        of("path=/o/*"),
        of("path=~^/r/([a-z]+)/(?<n>[0-9]+)?$"),
        of("path=/exact"),
    ]);
    let mut captures = Captures::new();
    for (path, route, want) in [
        ("/o/7/x", Some(1), &[Some("7"), Some("x")][..]),
        ("/o/7", Some(2), &[Some("7")]),
        ("/o", Some(2), &[Some("")]),
        ("/r/ab/", Some(3), &[Some("ab"), None]),
        ("/r/ab/9", Some(3), &[Some("ab"), Some("9")]),
        ("/exact", Some(4), &[]),
        ("/none", None, &[]),
    ] {
        let found = routes.find(&Request::new("GET", "a", path), &mut captures);
        assert_eq!(found.map(|r| r.0), route, "{path}");
        let texts: Vec<_> = (0..captures.len()).map(|i| captures.get(i).map(|range| &path[range])).collect();
        assert_eq!(texts, want, "{path}");
    }
}

#[test]
fn no_route_at_all() {
    let routes = Builder::new().build();
    assert!(
        routes.is_empty() && find(&routes, &request()).is_none() && routes.explain(&request()).is_empty()
    );
}

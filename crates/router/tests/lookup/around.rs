//! Ways around protected routes: which there are, that each is one, that none is missed, and that it takes no time.

use std::time::{Duration, Instant};

use crate::equivalence::{is_canonical, request, route, router};
use crate::request::of;
use proptest::prelude::*;
use router::reachability::{Around, How, Road, Weaker, Written, around};
use router::{Builder, Captures, PathPattern, RouteIndex, Router};

/// A route, in the words of [`of`], and before them where it leads: a letter for the service, a capital one if it is
/// protected, one with a `+` if something stands in front of it. `rewrite=/new/{0}` is what it hands on.
fn parsed(text: &str) -> (Road, String) {
    let (service, rest) = text.split_once(' ').unwrap_or((text, ""));
    let letter = service.as_bytes()[0];
    let mut road = Road { services: vec![u32::from(letter.to_ascii_lowercase())], ..Road::default() };
    road.protection = letter.is_ascii_uppercase().then_some(0);
    let mut words = Vec::new();
    for word in rest.split_whitespace() {
        let Some(rewrite) = word.strip_prefix("rewrite=") else {
            words.push(word);
            continue;
        };
        let pieces = rewrite.split_inclusive(['{', '}']).flat_map(|part| match part.strip_suffix('}') {
            Some(number) => vec![Written::Capture(number.parse().unwrap())],
            None => vec![Written::Literal(part.trim_end_matches('{').as_bytes().into())],
        });
        road.rewrite = Some(pieces.collect());
    }
    (road, words.join(" "))
}

struct Routes {
    router: Router,
    roads: Vec<Road>,
    /// Whether something stands in front of it, though less.
    guarded: Vec<bool>,
}

impl Routes {
    fn new<'t>(texts: impl Iterator<Item = &'t str>) -> Routes {
        let (mut builder, mut roads, mut guarded) = (Builder::new(), Vec::new(), Vec::new());
        for (text, index) in texts.zip(0..) {
            let (road, words) = parsed(text);
            builder.add(RouteIndex(index), of(&words));
            roads.push(road);
            guarded.push(text.starts_with("s+"));
        }
        Routes { router: builder.build(), roads, guarded }
    }

    fn around(&self) -> Around {
        let is_protected = |route: RouteIndex| self.roads[route.0 as usize].protection.is_some();
        let is_guarded = |route: RouteIndex| self.guarded[route.0 as usize];
        around(&self.router, &self.roads, 20, |protected, by, _| {
            (is_protected(protected) && !is_protected(by)).then_some(if is_guarded(by) {
                Weaker::Less
            } else {
                Weaker::Open
            })
        })
    }
}

/// `1 around 0: GET /admin/42`, and more words for what is special.
fn told(texts: &[&str]) -> Vec<String> {
    let found = Routes::new(texts.iter().copied()).around();
    assert!(found.is_complete, "{texts:?}");
    let ways = found
        .ways
        .iter()
        .map(|way| (way, ""))
        .chain(found.letters.as_ref().map(|way| (way, " by a wide one")));
    let lines = ways.map(|(way, more)| {
        let how = match way.how {
            How::SamePath(_) => "",
            How::OtherLetters(_) => ", other letters",
            How::InPlace => ", in place",
        };
        format!("{} around {}: {}{how}{more}", way.by.0, way.protected.0, way.example)
    });
    lines.collect()
}

#[test]
fn to_the_same_service() {
    for (other, want) in [
        ("s path=/admin/* header=x-debug", &["1 around 0: GET /admin/42 -H 'x-debug: 1'"][..]),
        ("s path=/admin/* method=OPTIONS", &["1 around 0: OPTIONS /admin/42"]),
        ("s path=/admin/* method=POST method=PUT", &["1 around 0: POST /admin/42"]),
        ("s path=/admin/* query=debug=true", &["1 around 0: GET /admin/42?debug=true"]),
        ("s path=/admin/* query=debug=true priority=5", &["1 around 0: GET /admin/42?debug=true"]),
        ("s path=/admin/* host=int.example.com", &["1 around 0: GET http://int.example.com/admin/42"]),
        ("s path=/* host=int.example.com", &["1 around 0: GET http://int.example.com/admin/42"]),
        ("s host=*.example.com", &["1 around 0: GET http://www.example.com/admin/42"]),
        ("s path=/admin", &["1 around 0: GET /admin"]),
        ("s path=/admin/", &["1 around 0: GET /admin/"]),
        ("s path=/admin/health", &["1 around 0: GET /admin/health"]),
        ("s path=/admin/{id}", &["1 around 0: GET /admin/42"]),
        ("s path=/{x}/secret", &["1 around 0: GET /admin/secret"]),
        ("s path=/pub/* rewrite=/admin/{0}", &["1 around 0: GET /pub/42"]),
        ("s path=/api/* rewrite=/{0}", &["1 around 0: GET /api/admin/42"]),
        ("s path=/t/{x}/list rewrite=/{0}/users", &["1 around 0: GET /t/admin/list"]),
        ("s path=~^/v1(/.*)$ rewrite=/admin{0}", &["1 around 0: GET /v1/"]),
        ("s path=~(?i)^/admin", &["1 around 0: GET /admin"]),
        ("s path=/Admin/*", &["1 around 0: GET /Admin/42, other letters"]),
        ("s path=/*", &["1 around 0: GET /ADMIN/42, other letters by a wide one"]),
        ("s path=/{x}/42", &["1 around 0: GET /admin/42"]),
        // What the protected one takes, or hands on to others.
        ("s path=/public/*", &[]),
        ("s path=/administrator/*", &[]),
        ("s path=/pub/* rewrite=/public/{0}", &[]),
        ("s path=/* priority=-1 method=GET", &["1 around 0: GET /ADMIN/42, other letters by a wide one"]),
        ("S path=/admin/* header=x-debug", &[]),
        ("t path=/*", &[]),
    ] {
        assert_eq!(told(&["S path=/admin/*", other]), want, "{other}");
    }
}

#[test]
fn what_is_not_protected_is_open() {
    for (protected, want) in [
        ("S path=/admin/* method=GET", &["1 around 0: POST /admin/42"][..]),
        ("S path=/admin/* header=x-a", &["1 around 0: GET /admin/42"]),
        ("S path=/admin/* host=a.com", &["1 around 0: GET /admin/42"]),
        ("S path=/v1/admin/* rewrite=/admin/{0}", &["1 around 0: GET /admin/42"]),
        ("S path=/v1/* rewrite=/{0}", &["1 around 0: GET /42"]),
        ("S path=~^/admin(/|$)", &[]),
        ("S path=/1/*", &[]),
    ] {
        assert_eq!(told(&[protected, "s path=/*"]), want, "{protected}");
    }
    // Who only reads, and who may do less.
    for (protected, other, want) in [
        ("S path=/a method=POST", "s path=/a method=GET", &[][..]),
        ("S path=/a method=POST", "s path=/a method=OPTIONS", &[]),
        ("S path=/a method=GET", "s path=/a method=POST", &["1 around 0: POST /a"]),
        ("S path=/a method=POST", "s path=/a", &["1 around 0: GET /a"]),
        ("S path=/a method=POST", "s+ path=/a", &[]),
        ("S path=/a method=POST", "s+ path=/a header=x priority=1", &["1 around 0: POST /a -H 'x: 1'"]),
        ("S path=/a", "s+ path=/a method=GET", &["1 around 0: GET /a"]),
    ] {
        assert_eq!(told(&[protected, other]), want, "{protected} {other}");
    }
    // The paths of a host are those of the service, whatever the host.
    assert_eq!(told(&["S host=a.com path=/*", "s host=b.com path=/*"]), ["1 around 0: GET http://b.com/42"]);
    // More than one, and one by each way.
    assert_eq!(
        told(&["S path=/a/*", "s path=/a/b", "s path=/a/c", "S path=/b", "s path=/b header=x"]),
        ["1 around 0: GET /a/b", "2 around 0: GET /a/c", "4 around 3: GET /b -H 'x: 1'"]
    );
}

#[test]
fn to_another_service() {
    for (protected, other, want) in [
        ("S path=/admin/*", "t path=~(?i)^/admin", &["1 around 0: GET /admin, in place"][..]),
        ("S path=/admin/*", "t path=/{x}/secret", &["1 around 0: GET /admin/secret, in place"]),
        (
            "S path=/admin/*",
            "t path=/admin/* header=x-new",
            &["1 around 0: GET /admin/42 -H 'x-new: 1', in place"],
        ),
        ("S path=/admin/*", "t path=/* priority=1", &["1 around 0: GET /admin/42, in place"]),
        ("S path=/admin/*", "t priority=1", &["1 around 0: GET /admin/42, in place"]),
        (
            "S host=a.com path=/admin/*",
            "t path=/admin/* priority=1",
            &["1 around 0: GET http://a.com/admin/42, in place"],
        ),
        // A narrower place, and what is told apart by a value.
        ("S path=/admin/*", "t path=/admin/static/*", &[]),
        ("S path=/admin/*", "t host=b.com path=/admin/*", &[]),
        ("S path=/*", "t path=/static/*", &[]),
        ("S", "t path=/static/*", &[]),
        ("S path=/a header=v=1", "t path=/a header=v=2", &[]),
        ("S path=/admin/*", "t path=/*", &[]),
    ] {
        assert_eq!(told(&[protected, other]), want, "{protected} {other}");
    }
}

#[test]
fn many_are_counted() {
    let texts = (0..30).flat_map(|i| [format!("S path=/a{i}/*"), format!("s path=/a{i}/b")]);
    let texts: Vec<String> = texts.chain(["s path=/*".to_owned()]).collect();
    let found = Routes::new(texts.iter().map(String::as_str)).around();
    assert_eq!((found.ways.len(), found.more, found.more_letters), (20, 10, 29));
    assert!(found.letters.is_some() && found.is_complete);
}

/// The names of captures say nothing of what is matched.
fn without_names(path: &str) -> String {
    let part = |part: &str| match part.strip_prefix('{') {
        Some(name) if name.ends_with("...}") => "*".to_owned(),
        Some(_) => "{}".to_owned(),
        None => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn none_is_missed_and_each_is_one(
        routes in prop::collection::vec(route(), 2..10),
        roads in prop::collection::vec((0..2_u32, prop::bool::ANY), 10),
        requests in prop::collection::vec(request(), 1..60),
    ) {
        let matches: Vec<_> = routes.iter().map(|text| of(text)).collect();
        let router = router(&routes);
        let roads: Vec<Road> = roads
            .iter()
            .take(routes.len())
            .map(|&(service, is_protected)| Road {
                services: vec![service],
                rewrite: None,
                protection: is_protected.then_some(0),
            })
            .collect();
        let is_protected = |route: RouteIndex| roads[route.0 as usize].protection.is_some();
        let found = around(&router, &roads, 1000, |protected, by, _| {
            (is_protected(protected) && !is_protected(by)).then_some(Weaker::Open)
        });
        let path_matches = |route: RouteIndex, path: &[u8]| {
            matches[route.0 as usize].path.as_ref().is_none_or(|pattern| pattern.matches(path))
        };
        for way in &found.ways {
            let taken = router.find(&way.example, &mut Captures::new());
            prop_assert_eq!(taken, Some(way.by), "{} in {:?}", way.example, routes);
            prop_assert!(is_protected(way.protected) && !is_protected(way.by));
            let is_same = roads[way.by.0 as usize].services == roads[way.protected.0 as usize].services;
            prop_assert_eq!(is_same, way.how != How::InPlace);
            // The words of these routes have no capitals, so that each way is one of the same path.
            prop_assert!(path_matches(way.protected, &way.example.path), "{} in {:?}", way.example, routes);
        }
        if !found.is_complete {
            return Ok(());
        }
        let paths = |route: RouteIndex| {
            let path = matches[route.0 as usize].path.as_ref().map_or("/*", PathPattern::as_str);
            if path.starts_with('~') { path.to_owned() } else { without_names(path) }
        };
        let methods = |route: RouteIndex| &matches[route.0 as usize].methods;
        for request in requests.iter().filter(|request| is_canonical(&request.path)) {
            let Some(by) = router.find(request, &mut Captures::new()).filter(|by| !is_protected(*by)) else { continue };
            let all = (0..routes.len() as u32).map(RouteIndex).filter(|route| is_protected(*route));
            for route in all.filter(|route| roads[route.0 as usize].services == roads[by.0 as usize].services) {
                // Of those with the same paths one stands for all.
                let is_known = found.ways.iter().any(|way| {
                    let is_same = || (paths(way.protected), methods(way.protected)) == (paths(route), methods(route));
                    way.by == by && (way.protected == route || is_same())
                });
                let [mine, theirs] = [by, route].map(&methods);
                let reads = !mine.is_empty() && !theirs.is_empty() && mine.iter().all(|method| **method != *"POST");
                let is_told_apart = reads && theirs.iter().all(|method| **method == *"POST");
                let is_way = !is_told_apart && path_matches(route, request.path.as_bytes());
                prop_assert!(!is_way || is_known, "{by:?} around {route:?} by {request:?} in {routes:?}");
            }
        }
    }
}

#[test]
fn ten_thousand_routes_take_no_time() {
    type Text = fn(u32) -> String;
    let kinds: [(&str, usize, Text); 8] = [
        ("protected beside open", 0, |i| format!("{} path=/svc{i}/*", ["S", "s"][i as usize % 2])),
        ("exceptions", 5000, |i| match i % 2 {
            0 => format!("S path=/svc{i}/*"),
            _ => format!("s path=/svc{}/health", i - 1),
        }),
        ("one open route", 0, |i| if i == 0 { "s path=/*".into() } else { format!("S path=/svc{i}/*") }),
        ("one that is open by a header", 9999, |i| match i {
            0 => "s header=x-debug path=/* priority=1".into(),
            _ => format!("S path=/svc{i}/*"),
        }),
        ("one that is protected", 9999, |i| {
            if i == 0 { "S path=/*".into() } else { format!("s path=/svc{i}/*") }
        }),
        ("tenants", 5000, |i| format!("{} host=t{i}.example.com path=/*", ["S", "s"][i as usize % 2])),
        ("rewritten", 4999, |i| match i % 2 {
            0 => format!("S path=/v1/svc{i}/* rewrite=/svc{i}/{{0}}"),
            _ if i < 3 => "s path=/none".into(),
            _ => format!("s path=/pub{i}/* rewrite=/svc{}/{{0}}", i - 1),
        }),
        ("services", 0, |i| match i % 4 {
            0 => format!("S path=/svc{i}/*"),
            1 => format!("t path=/svc{}/static/*", i - 1),
            2 => format!("t host=*.t{i}.example.com path=/a/{{x}}/b header=x-a"),
            _ => format!("T path=/svc{i}/items/{{id}} method=GET"),
        }),
    ];
    for (what, ways, text) in kinds {
        let texts: Vec<String> = (0..10_000).map(text).collect();
        let routes = Routes::new(texts.iter().map(String::as_str));
        let started = Instant::now();
        let found = routes.around();
        let took = started.elapsed();
        println!("{what}: {took:?}");
        assert_eq!((found.ways.len() + found.more, found.is_complete), (ways, true), "{what}");
        assert!(took < Duration::from_secs(10), "{what}: {took:?} in a build without optimisation");
    }
}

#[test]
fn work_is_bounded() {
    // Each protected route has a protection of its own, and each of the others leads around all of them.
    let mut routes = Routes::new((0..10_000).map(|i| ["S path=/*", "s path=/a method=GET"][i % 2]));
    routes
        .roads
        .iter_mut()
        .zip(0..)
        .for_each(|(road, number)| road.protection = road.protection.map(|_| number));
    let started = Instant::now();
    let found = routes.around();
    println!("{:?}, {} ways", started.elapsed(), found.more);
    assert!(!found.is_complete || found.more > 0);
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

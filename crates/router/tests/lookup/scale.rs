//! Ten thousand routes: built in a moment, looked up as fast as ten, whatever the path.

use std::time::{Duration, Instant};

use crate::request::{Request, of};
use router::reachability::examine;
use router::{Builder, Captures, RouteIndex, Router};

fn routes(count: u32, text: impl Fn(u32) -> String) -> Router {
    let mut builder = Builder::new();
    for index in 0..count {
        builder.add(RouteIndex(index), of(&text(index)));
    }
    builder.build()
}

/// The shortest of several rounds: what the machine does beside it only makes rounds longer.
fn time_per_find(router: &Router, request: &Request) -> Duration {
    let mut captures = Captures::new();
    let round = || {
        let started = Instant::now();
        for _ in 0..2000 {
            std::hint::black_box(router.find(std::hint::black_box(request), &mut captures));
        }
        started.elapsed() / 2000
    };
    std::iter::repeat_with(round).take(15).min().unwrap()
}

#[test]
fn ten_thousand_routes_build_within_a_second() {
    let started = Instant::now();
    let router = routes(10_000, |i| match i % 4 {
        0 => format!("path=/svc{i}/*"),
        1 => format!("path=/svc{i}/items/{{id}} method=GET"),
        2 => format!("host=h{i}.example.com path=/a"),
        _ => format!("host=*.t{i}.example.com path=/a/{{x}}/b header=x-a"),
    });
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(router.len(), 10_000);
}

#[test]
fn ten_thousand_prefixes_cost_what_ten_cost() {
    let text = |i: u32| format!("path=/svc{i}/api/*");
    let (few, many) = (routes(10, text), routes(10_000, text));
    for path in ["/svc7/api/users/42", "/svc7/other", "/none"] {
        let request = Request::new("GET", "a.example.com", path);
        assert_eq!(few.find(&request, &mut Captures::new()), many.find(&request, &mut Captures::new()));
        let (of_few, of_many) = (time_per_find(&few, &request), time_per_find(&many, &request));
        println!("{path}: {of_few:?} of 10, {of_many:?} of 10000");
        assert!(
            of_many < 3 * of_few + Duration::from_nanos(100),
            "{path}: {of_few:?} of 10, {of_many:?} of 10000"
        );
    }
}

#[test]
fn hosts_and_exact_paths_scale_alike() {
    let text = |i: u32| format!("host=*.h{i}.example.com path=/p{i}");
    let (few, many) = (routes(10, text), routes(10_000, text));
    let request = Request::new("GET", "x.h7.example.com", "/p7");
    assert_eq!(few.find(&request, &mut Captures::new()), Some(RouteIndex(7)));
    let (of_few, of_many) = (time_per_find(&few, &request), time_per_find(&many, &request));
    println!("hosts: {of_few:?} of 10, {of_many:?} of 10000");
    assert!(of_many < 3 * of_few + Duration::from_nanos(100), "{of_few:?} of 10, {of_many:?} of 10000");
}

#[test]
fn hostile_paths_and_hosts_stop_early() {
    let router = routes(1000, |i| match i % 3 {
        0 => format!("path=/{{a}}/{{b}}/{{c}}/x{i}"),
        1 => format!("path=/a/{{b}}/c{i}/*"),
        _ => format!("host=*.a{i}.b.c path=/{{x}}"),
    });
    let request = Request::new("GET", &"a.".repeat(100_000), &"/a".repeat(1_000_000));
    let started = Instant::now();
    assert_eq!(router.find(&request, &mut Captures::new()), None);
    assert!(started.elapsed() < Duration::from_millis(200), "{:?}", started.elapsed());
}

#[test]
fn templates_that_branch_everywhere_visit_each_node_once() {
    // Every combination of literal and name over ten segments: 1024 templates that all match.
    let template = |bits: u32| {
        let segment = |at: u32| if bits >> at & 1 == 0 { "/a".to_owned() } else { format!("/{{n{at}}}") };
        format!("path={} method=PUT", (0..10).map(segment).collect::<String>())
    };
    let router = routes(1024, |i| if i == 0 { "path=/*".into() } else { template(i) });
    let request = Request::new("GET", "a", &"/a".repeat(10));
    assert_eq!(router.find(&request, &mut Captures::new()), Some(RouteIndex(0)));
    let started = Instant::now();
    for _ in 0..100 {
        router.find(&request, &mut Captures::new());
    }
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
}

/// Routes as a large gateway has them: services by prefix, items below, tenants by host, some regexes.
fn mixed(i: u32) -> String {
    match i % 32 {
        0 => format!("path=~^/legacy/{i}/(?<id>[0-9]+)$"),
        1 => format!("host=h{i}.example.com path=~^/files/[a-z0-9-]+/v{i}/.*\\.(png|jpe?g|css)$"),
        k if k % 4 == 0 => format!("path=/svc{i}/*"),
        k if k % 4 == 1 => format!("path=/svc{}/items/{{id}} method=GET", i - 1),
        k if k % 4 == 2 => format!("host=h{i}.example.com path=/a"),
        _ => format!("host=*.t{i}.example.com path=/a/{{x}}/b header=x-a"),
    }
}

#[test]
fn ten_thousand_routes_are_examined_in_no_time() {
    type Text = fn(u32) -> String;
    let kinds: [(&str, u32, Text); 9] = [
        ("mixed", 0, mixed),
        ("one that all overlap", 1, |i| match i {
            0 => "path=/* header=x-a".into(),
            _ => format!("path=/svc{i}/*"),
        }),
        ("one that overlaps all", 9_999, |i| match i {
            0 => "host=a.com path=/*".into(),
            _ => format!("path=/svc{i}/*"),
        }),
        ("suffixes and templates", 0, |i| match i {
            0..20 => format!("path=~x\\.f{i}$"),
            _ => format!("path=/svc{i}/{{a}}/b"),
        }),
        ("hosts", 0, |i| {
            let (host, path) = (["*.", ""][i as usize % 2], ["*", "x"][i as usize / 2 % 2]);
            format!("host={host}h{}.com path=/{path}", i / 4)
        }),
        ("all the same", 9_999, |_| "path=/a".into()),
        ("regexes that begin alike", 0, |i| match i {
            0..100 => format!("path=~^/v[0-9]+/{i}/[a-z]+$"),
            _ => format!("path=/svc{i}"),
        }),
        ("methods", 0, |i| {
            format!("path=/svc{}/{{id}} method={}", i / 4, ["GET", "POST", "PUT", "DELETE"][i as usize % 4])
        }),
        ("conditions", 0, |i| format!("path=/{} header=x-tenant=t{i}", i / 500)),
    ];
    for (what, findings, text) in kinds {
        let router = routes(10_000, text);
        let started = Instant::now();
        let report = examine(&router, |_| true);
        let took = started.elapsed();
        println!("{what}: {took:?}");
        assert!(took < Duration::from_secs(10), "{what}: {took:?} in a build without optimisation");
        assert_eq!((report.findings.len(), report.is_complete), (findings as usize, true), "{what}");
    }
}

//! What is used up, in which periods, and what clients are told.

use std::sync::Arc;

use diagnostics::Code;
use quota::Counters;

use crate::scene::{Scene, policy};
use crate::{Consumers, Flow, Policy, ResponseCx};

const DAY: u64 = 86_400;
/// A Wednesday at noon in UTC.
const NOON: u64 = 20_418 * DAY + DAY / 2;

fn quota(written: &str) -> Policy {
    policy("quota", written, &Arc::<Consumers>::default()).unwrap()
}

/// The status of a request with these fields at a time, and the field `name` of the answer.
fn ask(
    policy: &Policy,
    now: u64,
    fields: &[(&str, &str)],
    answered: &[(&str, &str)],
) -> (u16, Scene, String) {
    let mut scene = Scene { now, ..Scene::get("/", fields) };
    let (status, mut headers) = match policy.on_request(&mut scene.cx()) {
        Flow::Continue => (200, message::Headers::default()),
        Flow::Reply(reply) => (reply.status, {
            let mut head = message::ResponseHead::default();
            reply.write_head(&mut head);
            head.headers
        }),
        other => panic!("{other:?}"),
    };
    answered.iter().for_each(|(name, value)| headers.push(name.as_bytes(), value.as_bytes()));
    let mut cx = ResponseCx { status, headers: &mut headers, state: &scene.state };
    policy.settle(&mut cx);
    policy.on_response(&mut cx);
    let text = |name: &str| {
        headers
            .values(name.as_bytes())
            .next()
            .map_or(String::new(), |value| String::from_utf8_lossy(value).into())
    };
    let told = format!("{} {}", text("retry-after"), text("ratelimit"));
    (status, scene, told)
}

#[test]
fn what_is_used_up_is_refused_until_the_next_day_begins() {
    let policy = quota("2/day");
    let statuses = |now| [0; 3].map(|_| ask(&policy, now, &[], &[]).0);
    assert_eq!(statuses(NOON), [200, 200, 429]);
    let (_, scene, told) = ask(&policy, NOON + DAY / 2 - 10, &[], &[]);
    assert_eq!((scene.state.stopped_by, &*told), (Some(("quota", "used_up")), "10 \"default\";r=0;t=10"));
    assert_eq!(statuses(NOON + DAY / 2), [200, 200, 429], "midnight");
    assert_eq!(statuses(NOON), [429; 3], "a clock that steps back begins nothing anew");
}

#[test]
fn days_begin_where_the_time_zone_says_and_weeks_on_monday() {
    for (written, until) in [
        ("{ limit: 1/day, time_zone: Europe/Berlin }", 11 * 3600),
        ("{ limit: 1/day, time_zone: \"-03:30\" }", 12 * 3600 + 3 * 3600 + 1800),
        ("1/week", 4 * DAY + DAY / 2),
        ("{ limit: 1/month }", 4 * DAY + DAY / 2),
    ] {
        let policy = quota(written);
        assert_eq!(ask(&policy, NOON, &[], &[]).0, 200);
        assert_eq!(ask(&policy, NOON + until - 1, &[], &[]).0, 429, "{written}");
        assert_eq!(ask(&policy, NOON + until, &[], &[]).0, 200, "{written}");
    }
}

#[test]
fn several_hold_at_once_and_a_request_is_charged_to_all_or_none() {
    let policy =
        quota("[{ limit: 10/day, by: \"header:x-tenant\" }, { limit: 1/day, by: [\"header:x-user\"] }]");
    let status =
        |tenant: &str, user: &str| ask(&policy, NOON, &[("x-tenant", tenant), ("x-user", user)], &[]).0;
    assert_eq!((status("a", "one"), status("a", "one"), status("a", "two")), (200, 429, 200));
    let Policy::Quota(ready) = &policy else { panic!() };
    assert_eq!(ready.views(&["a"], NOON)[0].used, Some((2, 8)));
    let mut used = Vec::new();
    ready.quotas.counters().each(|one| used.push((one.key().to_owned(), one.usage().used)));
    used.sort();
    let expected = [("header=a", 2), ("header=one", 1), ("header=two", 1)];
    assert_eq!(used, expected.map(|(key, used)| (key.to_owned(), used)));
    let running = ready.running(NOON);
    let is_today = |one: &crate::Running| one.period.contain(NOON as i64 * 1000);
    assert!(running.len() == 2 && running[0].id != running[1].id && running.iter().all(is_today));
    let tomorrow = ready.running(NOON + DAY);
    ready.quotas.counters().each(|one| {
        let quota = |all: &[crate::Running]| *all.iter().find(|of| of.id == one.quota()).unwrap();
        assert_eq!(one.usage().period, quota(&running).period);
        assert!(one.usage().period.start < quota(&tomorrow).period.start, "another day");
    });
    assert_eq!((ready.reset(&["one"], NOON), ready.reset(&["nobody"], NOON)), (1, 0));
    assert_eq!(status("a", "one"), 200);
    assert_eq!(ready.views(&["a"], NOON + DAY)[0].used, Some((0, 10)));
}

#[test]
fn the_service_says_what_a_request_has_cost() {
    let policy = quota("{ limit: 10/day, cost: { response_header: x-tokens } }");
    let Policy::Quota(ready) = &policy else { panic!() };
    let used = || ready.views(&["127.0.0.1"], NOON)[0].used;
    for (said, expected) in [("7", (7, 3)), ("0", (7, 3)), ("nonsense", (8, 2)), ("50", (58, 0))] {
        assert_eq!(ask(&policy, NOON, &[], &[("x-tokens", said)]).0, 200);
        assert_eq!(used(), Some(expected), "{said}");
    }
    assert_eq!(ask(&policy, NOON, &[], &[]).0, 429, "a debt");
    let fixed = quota("{ limit: 10/day, cost: 4 }");
    assert_eq!([0; 4].map(|_| ask(&fixed, NOON, &[], &[]).0), [200, 200, 429, 429]);
}

#[test]
fn what_is_tried_only_lets_everybody_through() {
    let policy = quota("{ limit: 1/day, mode: dry_run }");
    let tried = [0; 3].map(|_| ask(&policy, NOON, &[], &[])).map(|(status, scene, told)| {
        assert_eq!(told.trim(), "");
        (status, scene.state.tried.is_some())
    });
    assert_eq!(tried, [(200, false), (200, true), (200, true)]);
}

#[test]
fn nobody_is_without_a_quota_where_there_is_no_room() {
    let policy = quota("{ limit: 3/day, by: \"header:x-tenant\" }");
    let Policy::Quota(ready) = &policy else { panic!() };
    ready.quotas.keep_in(&Arc::new(Counters::in_memory(2)));
    let status = |tenant: &str| ask(&policy, NOON, &[("x-tenant", tenant)], &[]).0;
    assert_eq!((status("a"), status("b")), (200, 200));
    assert_eq!(["c", "d", "e", "f", "c"].map(status), [200, 200, 200, 429, 429], "they share one");
    assert_eq!(["a", "a", "a"].map(status), [200, 200, 429], "as before");
}

#[test]
fn mistakes_are_said() {
    for (written, code, says) in [
        ("100/min", Code::InvalidValue, "periods are"),
        ("{ limit: 1/day, time_zone: Mars/Olympus }", Code::InvalidValue, "Mars/Olympus"),
        ("{ limit: 5/day, cost: 6 }", Code::InvalidValue, "no request would pass"),
        ("[5/day, { limit: 9/day }]", Code::ConflictingKeys, "another quota"),
        ("{ limit: [1/day, 2/week, 3/month], by: \"cel:1\" }", Code::InvalidExpression, ""),
        ("{}", Code::MissingKey, "limit"),
    ] {
        let mistakes = policy("quota", written, &Arc::default()).unwrap_err();
        assert!(mistakes[0].0 == code && mistakes[0].1.contains(says), "{written}: {mistakes:?}");
    }
}

#[test]
fn a_request_is_explained_and_not_charged() {
    let policy = quota("{ limit: [1/day, 5/month], cost: 1 }");
    let mut scene = Scene { now: NOON, ..Scene::get("/", &[]) };
    scene.state.explain();
    assert!(matches!(policy.on_request(&mut scene.cx()), Flow::Continue));
    assert_eq!(scene.state.remark_of("quota"), Some("1/day and 5/month in UTC of client_ip 127.0.0.1"));
    assert_eq!(ask(&policy, NOON, &[], &[]).0, 200);
}

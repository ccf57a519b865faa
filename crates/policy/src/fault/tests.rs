//! Shares, whom they are drawn from, what an injected answer says, and mistakes in what is written.

use std::sync::Arc;
use std::time::Duration;

use diagnostics::Code;
use message::Reply;

use super::Ready;
use crate::scene::{self, Scene};
use crate::{Flow, Policy, RequestCx, RequestState, Stage};

/// The policy, or the codes and messages of what is wrong.
fn ready(written: &str) -> Result<Ready, Vec<(Code, String)>> {
    scene::policy("fault", written, &Arc::default()).map(|policy| match policy {
        Policy::Fault(ready) => ready,
        other => panic!("{other:?}"),
    })
}

/// Shows a request with these fields to `run`.
fn with_request<T>(
    fields: &[(&str, &str)],
    state: &mut RequestState,
    rng: &mut fastrand::Rng,
    run: impl FnOnce(&mut RequestCx<'_>) -> T,
) -> T {
    let mut scene = Scene { state: state.clone(), rng: rng.clone(), ..Scene::get("/", fields) };
    let out = run(&mut scene.cx());
    (*state, *rng) = (scene.state, scene.rng);
    out
}

/// The delay of one request, and the answer if it is aborted.
fn outcome(
    ready: &Ready,
    fields: &[(&str, &str)],
    rng: &mut fastrand::Rng,
) -> (Option<Duration>, Option<Reply>) {
    let mut state = RequestState::default();
    state.id.adopt(b"id-1");
    match with_request(fields, &mut state, rng, |cx| ready.on_request(cx)) {
        Flow::Continue => (state.delay, None),
        Flow::Reply(reply) => (state.delay, Some(reply)),
        other => panic!("{other:?}"),
    }
}

/// How many requests the shares are measured with.
const MEASURED: u16 = 20_000;

/// How many of them are only delayed, only aborted, and both.
fn counts(written: &str) -> [u16; 3] {
    let (ready, mut rng) = (ready(written).unwrap(), fastrand::Rng::with_seed(7));
    let mut counts = [0; 3];
    with_request(&[], &mut RequestState::default(), &mut rng, |cx| {
        for _ in 0..MEASURED {
            cx.state.clear();
            let is_aborted = matches!(ready.on_request(cx), Flow::Reply(_));
            match (cx.state.delay.is_some(), is_aborted) {
                (false, false) => {}
                (true, false) => counts[0] += 1,
                (false, true) => counts[1] += 1,
                (true, true) => counts[2] += 1,
            }
        }
    });
    counts
}

#[test]
fn shares_are_what_is_written_and_are_drawn_apart() {
    // The probabilities of: only delayed, only aborted, both.
    for (written, want) in [
        ("{ delay: { for: 1s } }", [1.0, 0.0, 0.0]),
        ("{ abort: { status: 500 } }", [0.0, 1.0, 0.0]),
        ("{ delay: { for: 1s }, abort: { status: 500 } }", [0.0, 0.0, 1.0]),
        ("{ delay: { for: 1s, percent: 0% }, abort: { status: 500, percent: 0% } }", [0.0; 3]),
        ("{ delay: { for: 1s, percent: 10% } }", [0.1, 0.0, 0.0]),
        ("{ abort: { status: 500, percent: 0.25% } }", [0.0, 0.0025, 0.0]),
        ("{ abort: { status: 500, percent: 99.75% } }", [0.0, 0.9975, 0.0]),
        ("{ delay: { for: 1s, percent: 20% }, abort: { status: 500, percent: 30% } }", [0.14, 0.24, 0.06]),
        ("{ delay: { for: 1s }, abort: { status: 500, percent: 5% } }", [0.95, 0.0, 0.05]),
    ] {
        for (count, p) in counts(written).into_iter().zip(want) {
            let (p, mean): (f64, f64) = (p, f64::from(MEASURED) * p);
            // Four standard deviations of the binomial distribution; none where all or nothing is hit.
            let most = 4.0 * (mean * (1.0 - p)).sqrt();
            assert!((f64::from(count) - mean).abs() <= most, "{written}: {count}, not {mean} ± {most}");
        }
    }
}

#[test]
fn the_same_seed_draws_the_same_requests() {
    let ready = ready("{ delay: { for: 1s, percent: 50% }, abort: { status: 500, percent: 50% } }").unwrap();
    let run = |seed| {
        let mut rng = fastrand::Rng::with_seed(seed);
        (0..64)
            .map(|_| outcome(&ready, &[], &mut rng))
            .map(|(delay, reply)| (delay.is_some(), reply.is_some()))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_field_keeps_everybody_else_out() {
    let ready = ready("{ header: X-Fault, delay: { for: 250ms }, abort: { status: 503 } }").unwrap();
    let mut rng = fastrand::Rng::with_seed(1);
    for (fields, is_hit) in [
        (&[][..], false),
        (&[("x-faults", "1"), ("x-other", "x-fault")], false),
        (&[("x-fault", "1")], true),
        (&[("X-FAULT", "off")], true),
        (&[("x-fault", "")], true),
        (&[("accept", "*/*"), ("x-fault", "a"), ("x-fault", "b")], true),
    ] {
        let (delay, reply) = outcome(&ready, fields, &mut rng);
        assert_eq!(delay, is_hit.then_some(Duration::from_millis(250)), "{fields:?}");
        assert_eq!(reply.map(|reply| reply.status), is_hit.then_some(503), "{fields:?}");
    }
}

#[test]
fn an_injected_answer_says_that_it_is_one() {
    let mut rng = fastrand::Rng::with_seed(1);
    for (status, retryable, retry_after) in [
        (400, false, None),
        (429, true, None),
        (500, false, None),
        (503, true, Some("1")),
        (599, false, None),
    ] {
        let ready = ready(&format!("abort: {{ status: {status} }}")).unwrap();
        let (delay, reply) = outcome(&ready, &[], &mut rng);
        let reply = reply.unwrap();
        assert_eq!((delay, reply.status), (None, status));
        let body = String::from_utf8(reply.body.to_vec()).unwrap();
        for part in [
            "\"type\":\"urn:gateward:problem:injected\"",
            &format!("\"status\":{status},"),
            "injected by the policy `fault`",
            "\"layer\":\"gateway\"",
            "\"request_id\":\"id-1\"",
            &format!("\"retryable\":{retryable}"),
        ] {
            assert!(body.contains(part), "{part}: {body}");
        }
        let mut told = message::ResponseHead::default();
        reply.write_head(&mut told);
        let field = |name: &'static str| {
            told.headers.values(name.as_bytes()).next().and_then(|value| str::from_utf8(value).ok())
        };
        assert_eq!(field("content-type"), Some("application/problem+json"));
        assert_eq!(
            field("proxy-status"),
            Some("gateward; error=proxy_internal_response; details=\"injected by the policy `fault`\"")
        );
        assert_eq!(field("retry-after"), retry_after);
        assert_eq!(field("cache-control"), Some("no-store"));
    }
}

/// What a chain of these policies, in whatever order they are written, makes of a request.
fn through_chain(policies: &[(&str, &str)], state: &mut RequestState) -> Option<u16> {
    let chain = scene::chain(policies, &Arc::default());
    let mut scene = Scene { state: state.clone(), ..Scene::get("/", &[("x-fault", "1")]) };
    let reply = scene.run(&chain, || panic!("nobody is asked"));
    *state = scene.state;
    reply.map(|reply| reply.status)
}

#[test]
fn it_is_the_last_that_refuses_and_sees_what_the_client_sent() {
    let fault = ("fault", "{ header: x-fault, delay: { for: 1h }, abort: { status: 503 } }");
    let mut state = RequestState::default();

    let headers = ("headers", "{ request: { remove: [x-fault] } }");
    assert_eq!(through_chain(&[headers, fault], &mut state), Some(503));
    assert_eq!(state.delay, Some(Duration::from_secs(3600)));
    state.clear();
    assert_eq!(state.delay, None, "the next request does not wait");

    assert_eq!(through_chain(&[fault, ("size_limit", "{ body: 10B }")], &mut state), Some(413));
    assert_eq!(state.delay, None, "a refusal does not wait");
    assert!(Ready::STAGE > Stage::Cache, "nor does any other, or an answer from a cache");

    assert_eq!(through_chain(&[("fault", "{ delay: { for: 5ms } }")], &mut state), None);
    assert_eq!(state.delay, Some(Duration::from_millis(5)));
}

#[test]
fn mistakes_are_named_and_each_once() {
    for (written, code, words) in [
        ("{}", Code::MissingKey, "has nothing to do"),
        ("{ header: x-fault }", Code::MissingKey, "has nothing to do"),
        ("{ dealy: { for: 1s } }", Code::UnknownKey, "`dealy`"),
        ("{ delay: { percent: 10% } }", Code::MissingKey, "`for`"),
        ("{ delay: { for: 0s } }", Code::InvalidValue, "a delay of zero"),
        ("{ delay: { for: 0ms, percent: 5% } }", Code::InvalidValue, "a delay of zero"),
        ("{ delay: { for: 200 } }", Code::InvalidDuration, "`200`"),
        ("{ delay: { for: 1s, percent: 101% } }", Code::InvalidPercent, "`101%`"),
        ("{ delay: { for: 1s, percent: 10 } }", Code::InvalidPercent, "`10`"),
        ("{ delay: 200ms }", Code::WrongType, "`200ms`"),
        ("{ abort: {} }", Code::MissingKey, "`status`"),
        ("{ abort: { status: 399 } }", Code::InvalidValue, "`399`"),
        ("{ abort: { status: 600 } }", Code::InvalidValue, "`600`"),
        ("{ abort: { status: 503, percent: 100.01% } }", Code::InvalidPercent, "`100.01%`"),
        ("{ abort: { status: 503 }, header: 'x fault' }", Code::InvalidHeader, "`x fault`"),
        ("{ abort: { status: 503 }, header: connection }", Code::InvalidHeader, "`connection`"),
    ] {
        let mistakes = ready(written).unwrap_err();
        let [(found, message)] = &mistakes[..] else { panic!("{written}: {mistakes:?}") };
        assert!(*found == code && message.contains(words), "{written}: {found} {message}");
    }
    let all = "{ delay: { for: 0s }, abort: { status: 200 }, header: ':' }";
    let codes: Vec<Code> = ready(all).unwrap_err().into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, [Code::InvalidValue, Code::InvalidValue, Code::InvalidHeader], "all at once");
}

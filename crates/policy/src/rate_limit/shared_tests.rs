//! Limits that gateways share, against a model of the store: what is asked, how often, and what becomes of requests.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use diagnostics::{Diagnostics, SourceId, Span};
use message::ResponseHead;
use store::{Decision, OwnAsk, Standing, Trouble};

use crate::scene::Scene;
use crate::{
    Answer, Chain, Compiling, Consumers, Decided, Errand, Halt, Link, Providers, Question, Refusal,
    ResponseCx,
};

/// What is used of each limit, of quotas in each period; nothing comes back.
#[derive(Default)]
pub(crate) struct Model {
    pub(crate) used: HashMap<Whose, u64>,
    pub(crate) decisions: usize,
    pub(crate) is_down: bool,
}

/// The identity, the name of the limit, and the period of a quota.
pub(crate) type Whose = ([u8; 16], Arc<str>, u64);

fn whose(ask: &OwnAsk) -> Whose {
    let period = match ask.limit {
        store::Limit::Quota { period_id, .. } => period_id,
        _ => 0,
    };
    (ask.identity, Arc::clone(&ask.name), period)
}

impl Model {
    pub(crate) fn decide(&mut self, asks: &[OwnAsk]) -> Result<Decision, Trouble> {
        if self.is_down {
            return Err(Trouble::Down);
        }
        self.decisions += 1;
        let full = |ask: &OwnAsk| match ask.limit {
            store::Limit::Gcra { burst, .. } => burst,
            store::Limit::Window { limit, .. } | store::Limit::Quota { limit, .. } => limit,
        };
        let left = |model: &Model, ask: &OwnAsk| {
            full(ask).saturating_sub(model.used.get(&whose(ask)).copied().unwrap_or(0))
        };
        let allowed = asks.iter().all(|ask| ask.cost <= left(self, ask));
        let mut each = Decision { allowed, each: Default::default(), unix_us: 0 };
        for ask in asks {
            let (fits, mut ahead) = (ask.cost <= left(self, ask), false);
            if allowed {
                ahead = ask.ahead > 0 && ask.cost + ask.ahead <= left(self, ask);
                *self.used.entry(whose(ask)).or_default() += ask.cost + if ahead { ask.ahead } else { 0 };
            }
            let retry_after_us = (!fits).then_some(60_000_000);
            each.each.push(Standing {
                fits,
                ahead,
                left: left(self, ask),
                reset_after_us: 90_000_000,
                retry_after_us,
            });
        }
        Ok(each)
    }

    pub(crate) fn run(&mut self, errand: Errand, at: Instant) {
        match errand {
            Errand::Fly(flight) => {
                let decision = self.decide(&[flight.own_ask()]).ok();
                flight.land_alone(decision.as_ref(), at, at);
            }
            Errand::Charge(ask) => *self.used.entry(whose(&ask)).or_default() += ask.cost,
            Errand::GiveBack(ask) => *self.used.entry(whose(&ask)).or_default() -= ask.cost,
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.used.values().sum()
    }
}

/// A gateway with this policy, whose requests ask the model.
struct Gateway {
    chain: Chain,
    begin: Instant,
}

impl Gateway {
    fn new(settings: &str) -> Gateway {
        let mut diagnostics = Diagnostics::new();
        let node = document::parse(SourceId(0), settings, &mut diagnostics).unwrap();
        let (consumers, providers) = (Arc::<Consumers>::default(), Providers::default());
        let mut cx = Compiling::new(&mut diagnostics, &consumers, &providers).sharing(true);
        let policy = crate::compile("rate_limit", &node, &mut cx).unwrap();
        assert_eq!(diagnostics.iter().count(), 0);
        let link = Link { policy: Arc::new(policy), source: Span::default() };
        Gateway { chain: Chain::new(vec![link]), begin: Instant::now() }
    }

    /// A request at a time in milliseconds; how it ends, and the request.
    fn ask(&self, model: &mut Model, millis: u64, fields: &[(&str, &str)]) -> (u16, Scene) {
        let mut scene = Scene::get("/x", fields);
        scene.at = self.begin + Duration::from_millis(millis);
        let mut asked = 0;
        let status = loop {
            let outcome = self.chain.run_request(&mut scene.cx(), |_, _, _| {});
            let at = scene.at;
            scene.state.errands.take().into_iter().for_each(|errand| model.run(errand, at));
            match outcome {
                Ok(_) => break 200,
                Err(Halt::Refused(Refusal::Reply(reply))) => break reply.status,
                Err(Halt::Ask("rate_limit", question)) => {
                    let Question::Store(asks) = *question else { panic!("{question:?}") };
                    asked += 1;
                    assert_eq!(asked, 1, "one call for one decision");
                    let decided = Decided { outcome: model.decide(&asks), asked: at, at };
                    scene.answer = Some(Answer::Store(Box::new(decided)));
                }
                Err(other) => panic!("{other:?}"),
            }
        };
        (status, scene)
    }

    fn passes(&self, model: &mut Model, fields: &[(&str, &str)]) -> usize {
        (0..10).filter(|at| self.ask(model, *at, fields).0 == 200).count()
    }

    /// The service has answered with these fields.
    fn answered(&self, model: &mut Model, scene: &Scene, fields: &[(&str, &str)]) {
        let mut head = ResponseHead::default();
        fields.iter().for_each(|(name, value)| head.headers.push(name.as_bytes(), value.as_bytes()));
        let mut cx = ResponseCx { status: 200, headers: &mut head.headers, state: &scene.state };
        self.chain.settle(&mut cx);
        self.chain.run_response(&mut cx);
        scene.state.errands.take().into_iter().for_each(|errand| model.run(errand, scene.at));
    }
}

#[test]
fn two_gateways_have_one_limit() {
    for shared in ["exact", "leased"] {
        let mut model = Model::default();
        let settings = format!("{{ limit: 7/h, burst: 7, shared: {shared} }}");
        let (one, two) = (Gateway::new(&settings), Gateway::new(&settings));
        assert_eq!(one.passes(&mut model, &[]).min(5), 5);
        assert_eq!(two.passes(&mut model, &[]), 0, "{shared}");
        assert_eq!(model.total(), 7, "{shared}");
    }
}

#[test]
fn several_limits_are_one_call_and_charged_all_or_none() {
    let mut model = Model::default();
    let gateway = Gateway::new(
        "[{ limit: [100/h, 5/min], by: client_ip, shared: exact }, { limit: 3/min, by: 'header:x-t', shared: off }, \
          { limit: 640/min, by: 'header:x-t' }]",
    );
    assert_eq!(gateway.passes(&mut model, &[("x-t", "t")]), 3);
    assert_eq!(gateway.passes(&mut model, &[("x-t", "u")]), 2);
    // What one limit has refused is not charged to the others, where it was counted as well.
    let used = |model: &Model| {
        let mut used: Vec<u64> = model.used.values().copied().collect();
        used.sort_unstable();
        used
    };
    let before = used(&model);
    assert_eq!(gateway.passes(&mut model, &[("x-t", "v")]), 0);
    assert!(before.ends_with(&[5, 5]), "{before:?}");
    let own = gateway.ask(&mut model, 10, &[("x-t", "u")]);
    assert_eq!((own.0, own.1.state.stopped_by), (429, Some(("rate_limit", "limited"))));
    assert!(used(&model).ends_with(&[5, 5]));
}

#[test]
fn leases_ask_seldom_and_exact_limits_each_time() {
    for (shared, most) in [("exact", 1000), ("leased", 60)] {
        let mut model = Model::default();
        let gateway = Gateway::new(&format!("{{ limit: 64000/h, burst: 64000, shared: {shared} }}"));
        for at in 0..1000 {
            assert_eq!(gateway.ask(&mut model, at / 10, &[]).0, 200);
        }
        assert!(model.decisions <= most, "{shared}: {}", model.decisions);
        assert!(model.total() >= 1000, "all of it is charged");
    }
}

#[test]
fn a_store_that_is_down_leaves_it_to_each_limit() {
    for shared in ["exact", "leased"] {
        for (failure, passing, status) in [("local", 3, 429), ("open", 10, 200), ("closed", 0, 503)] {
            let mut model = Model { is_down: true, ..Model::default() };
            let gateway =
                Gateway::new(&format!("{{ limit: 3/min, shared: {shared}, on_store_failure: {failure} }}"));
            assert_eq!(gateway.passes(&mut model, &[]), passing, "{shared} {failure}");
            let (last, scene) = gateway.ask(&mut model, 11, &[]);
            assert_eq!(last, status);
            if failure == "closed" {
                assert_eq!(scene.state.stopped_by, Some(("rate_limit", "store_unavailable")));
            }
            model.is_down = false;
            assert_eq!(gateway.passes(&mut model, &[]), 3, "{shared} {failure}: it counts for all again");
        }
    }
    // One limit is closed: what was counted by another one meanwhile is taken back.
    let mut model = Model { is_down: true, ..Model::default() };
    let gateway = Gateway::new(
        "[{ limit: 3/min, shared: off }, { limit: 9/min, by: route, shared: exact, on_store_failure: closed }]",
    );
    assert_eq!(gateway.passes(&mut model, &[]), 0);
    model.is_down = false;
    assert_eq!(gateway.passes(&mut model, &[]), 3);
}

#[test]
fn what_is_tried_only_stands_in_nobodys_way() {
    for shared in ["exact", "leased"] {
        let mut model = Model::default();
        let gateway = Gateway::new(&format!(
            "[{{ limit: 2/h, mode: dry_run, shared: {shared} }}, {{ limit: 5/h, by: route, shared: exact }}]"
        ));
        let outcomes: Vec<_> = (0..6)
            .map(|at| gateway.ask(&mut model, at, &[]))
            .map(|(status, scene)| (status, scene.state.tried.is_some()))
            .collect();
        let expected = [(200, false), (200, false), (200, true), (200, true), (200, true), (429, true)];
        assert_eq!(outcomes[..5], expected[..5], "{shared}");
        assert_eq!(outcomes[5].0, 429, "{shared}");
    }
}

#[test]
fn a_service_says_what_a_request_has_cost() {
    for shared in ["exact", "leased"] {
        let mut model = Model::default();
        let gateway = Gateway::new(&format!(
            "{{ limit: 10/h, cost: {{ response_header: x-cost }}, shared: {shared} }}"
        ));
        for (cost, total) in [("4", 4), ("0", 4), ("much", 5)] {
            let (status, scene) = gateway.ask(&mut model, 0, &[]);
            assert_eq!(status, 200);
            gateway.answered(&mut model, &scene, &[("x-cost", cost)]);
            if shared == "exact" {
                assert_eq!(model.total(), total, "{cost}");
            }
        }
        assert!((5..=6).contains(&model.total()), "{shared}: {}", model.total());
    }
}

#[test]
fn everybody_is_the_same_one_on_every_gateway() {
    let mut model = Model::default();
    let settings = "{ limit: 3/h, by: ['header:x-t', client_ip], shared: exact }";
    let (one, two) = (Gateway::new(settings), Gateway::new(settings));
    for fields in [[("x-t", "a")], [("x-t", "b")], [("x-t", "")]] {
        assert_eq!(one.passes(&mut model, &fields), 3);
        assert_eq!(two.passes(&mut model, &fields), 0);
    }
    assert_eq!(model.used.len(), 3);
    let names: Vec<&str> = model.used.keys().map(|(_, name, _)| &**name).collect();
    assert!(names.iter().all(|name| *name == "rate_limit:gateway:0.0:3600s"), "{names:?}");
}

#[test]
fn names_are_short_and_tell_places_apart() {
    let name = |place: &str| super::shared::name_of(place, 1, 2, "5/min".parse().unwrap());
    assert_eq!(&*name("route orders"), "rate_limit:route_orders:1.2:60s");
    assert_eq!(&*name("plan gold service a"), "rate_limit:plan_gold_service_a:1.2:60s");
    let long = "route ".to_owned() + &"x".repeat(300);
    assert!(name(&long).len() <= 128 && name(&long) != name(&(long.clone() + "y")));
    assert_ne!(name("route {a}"), name("route _a_"));
    assert_ne!(name("route ä"), name("route ö"));
}

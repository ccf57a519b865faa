//! Quotas that gateways share, against a model of the store: what is asked, and what becomes of requests, plans and
//! ledgers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use diagnostics::{Diagnostics, SourceId, Span};
use message::ResponseHead;

use crate::plan::{NewPlan, Plans};
use crate::rate_limit::shared_tests::Model;
use crate::scene::Scene;
use crate::{
    Answer, Chain, Compiling, Consumers, Decided, Errand, Halt, Link, NewConsumer, NewKey, Policy, Providers,
    Question, Refusal, ResponseCx, digest_of, quota,
};

const DAY: u64 = 86_400;
/// A Wednesday at noon in UTC.
const NOON: u64 = 20_418 * DAY + DAY / 2;

fn consumers() -> Arc<Consumers> {
    let one = NewConsumer {
        name: "gold".into(),
        api_keys: vec![NewKey { digest: digest_of(b"gold"), expires: None, name: None }],
        ..NewConsumer::default()
    };
    Arc::new(Consumers::new(&[one]))
}

/// A gateway, whose requests ask the model.
struct Gateway {
    chain: Chain,
    consumers: Arc<Consumers>,
    begin: Instant,
    providers: Providers,
}

impl Gateway {
    fn new(settings: &str) -> Gateway {
        let mut gateway = Gateway::empty();
        gateway.chain = Chain::new(vec![link(gateway.policy("quota", settings))]);
        gateway
    }

    /// With a plan for one consumer: of all services, and of one besides.
    fn with_plan(everywhere: &[(&str, &str)], of_service: &[(&str, &str)]) -> Gateway {
        let mut gateway = Gateway::empty();
        let all = |written: &[(&str, &str)]| {
            written.iter().map(|(kind, settings)| gateway.policy(kind, settings)).collect::<Vec<_>>()
        };
        let plan =
            NewPlan { everywhere: all(everywhere), services: vec![("reports".into(), all(of_service))] };
        let plans = Plans::new(vec![plan], vec![Some(0)]);
        let known = gateway.policy("api_key", "{}");
        gateway.chain = Chain::new(vec![link(known), link(plans.policy(Some("reports")))]);
        gateway
    }

    fn empty() -> Gateway {
        Gateway {
            chain: Chain::default(),
            consumers: consumers(),
            begin: Instant::now(),
            providers: Providers::default(),
        }
    }

    fn policy(&self, kind: &str, settings: &str) -> Policy {
        let mut diagnostics = Diagnostics::new();
        let node = document::parse(SourceId(0), settings, &mut diagnostics).unwrap();
        let mut cx = Compiling::new(&mut diagnostics, &self.consumers, &self.providers).sharing(true);
        let policy = crate::compile(kind, &node, &mut cx).unwrap();
        assert_eq!(diagnostics.iter().count(), 0);
        policy
    }

    /// A request at a time; how it ends, the request, and how often it has asked.
    fn ask(&self, model: &mut Model, now: u64, fields: &[(&str, &str)]) -> (u16, Scene, usize) {
        let mut fields = fields.to_vec();
        fields.push(("x-api-key", "gold"));
        let mut scene = Scene { now, consumers: Arc::clone(&self.consumers), ..Scene::get("/x", &fields) };
        scene.at = self.begin + Duration::from_secs(now - NOON);
        let mut asked = 0;
        let status = loop {
            let outcome = self.chain.run_request(&mut scene.cx(), |_, _, _| {});
            let at = scene.at;
            scene.state.errands.take().into_iter().for_each(|errand| model.run(errand, at));
            match outcome {
                Ok(_) => break 200,
                Err(Halt::Refused(Refusal::Reply(reply))) => {
                    assert!(reply.retry_after.is_some());
                    break reply.status;
                }
                Err(Halt::Ask("quota" | "plan", question)) => {
                    let Question::Store(asks) = *question else { panic!("{question:?}") };
                    asked += 1;
                    let decided = Decided { outcome: model.decide(&asks), asked: at, at };
                    scene.answer = Some(Answer::Store(Box::new(decided)));
                }
                Err(other) => panic!("{other:?}"),
            }
        };
        (status, scene, asked)
    }

    fn passes(&self, model: &mut Model, now: u64) -> usize {
        (0..10).filter(|_| self.ask(model, now, &[]).0 == 200).count()
    }

    /// What the ledger of this gateway has, and the sum of it.
    fn ledger(&self) -> u64 {
        let mut sum = 0;
        self.providers.quotas().counters().each(|counter| sum += counter.usage().used);
        sum
    }

    /// Gives back all units that nobody has used.
    fn gives_back(&self, model: &mut Model) {
        for ask in self.providers.leases().iter().flat_map(|leases| leases.everything()) {
            model.run(Errand::GiveBack(ask), self.begin);
        }
    }

    fn ready(&self) -> &quota::Ready {
        let Some(Policy::Quota(ready)) = self.chain.links().first().map(|link| &*link.policy) else {
            panic!()
        };
        ready
    }
}

fn link(policy: Policy) -> Link {
    Link { policy: Arc::new(policy), source: Span::default() }
}

#[test]
fn two_gateways_have_one_quota_and_each_writes_down_what_it_lets_pass() {
    for shared in ["exact", "leased"] {
        let mut model = Model::default();
        let settings = format!("{{ limit: 7/month, shared: {shared} }}");
        let (one, two) = (Gateway::new(&settings), Gateway::new(&settings));
        assert_eq!([(); 4].map(|()| one.ask(&mut model, NOON, &[]).0), [200; 4]);
        assert_eq!(two.passes(&mut model, NOON), 3, "{shared}");
        assert_eq!((one.ledger(), two.ledger(), model.total()), (4, 3, 7), "{shared}");
        // One that has forgotten everything gets nothing back.
        assert_eq!(Gateway::new(&settings).passes(&mut model, NOON), 0, "{shared}");
        let (status, scene, _) = one.ask(&mut model, NOON, &[]);
        assert_eq!((status, scene.state.stopped_by), (429, Some(("quota", "used_up"))));
        let name = model.used.keys().next().unwrap();
        assert!(name.1.starts_with("quota:gateway:month:") && name.2 == 20_423 * DAY, "{name:?}");
    }
}

#[test]
fn each_period_is_counted_by_itself_and_units_stay_in_theirs() {
    for shared in ["exact", "leased"] {
        let mut model = Model::default();
        let gateway = Gateway::new(&format!("{{ limit: 6400/day, shared: {shared} }}"));
        for _ in 0..300 {
            assert_eq!(gateway.ask(&mut model, NOON + DAY / 2 - 1, &[]).0, 200);
        }
        for _ in 0..300 {
            assert_eq!(gateway.ask(&mut model, NOON + DAY / 2, &[]).0, 200);
        }
        // The clock steps back: the period that has begun goes on.
        assert_eq!(gateway.ask(&mut model, NOON + DAY / 2 - 1, &[]).0, 200);
        // What is not used of the first day goes back to the first day.
        gateway.gives_back(&mut model);
        let mut used: Vec<u64> = model.used.values().copied().collect();
        used.sort_unstable();
        assert_eq!(used, [300, 301], "{shared}");
        if shared == "leased" {
            assert!(model.decisions < 120, "{}", model.decisions);
        }
    }
}

#[test]
fn all_shared_quotas_are_one_call_and_charged_all_or_none() {
    for shared in ["exact", "leased"] {
        let mut model = Model::default();
        let gateway = Gateway::new(&format!(
            "[{{ limit: [5/day, 100/month], by: client_ip, shared: {shared} }}, \
              {{ limit: 3/day, by: 'header:x-t', shared: off }}]"
        ));
        let ask = |model: &mut Model, tenant| gateway.ask(model, NOON, &[("x-t", tenant)]);
        let statuses = [(); 4].map(|()| ask(&mut model, "t").0);
        assert_eq!(statuses, [200, 200, 200, 429], "{shared}: the one that is not shared");
        assert_eq!((model.total(), gateway.ledger()), (6, 9), "{shared}");
        assert_eq!([(); 3].map(|()| ask(&mut model, "u").0), [200, 200, 429], "{shared}");
        // What the store has refused is not charged here.
        assert_eq!((model.total(), gateway.ledger()), (10, 15), "{shared}");
        assert!(ask(&mut model, "v").2 <= 1);
    }
}

#[test]
fn a_store_that_is_down_leaves_it_to_each_quota() {
    for shared in ["exact", "leased"] {
        for (failure, passing, status) in [("local", 3, 429), ("open", 10, 200), ("closed", 0, 503)] {
            let mut model = Model { is_down: true, ..Model::default() };
            let gateway =
                Gateway::new(&format!("{{ limit: 3/day, shared: {shared}, on_store_failure: {failure} }}"));
            assert_eq!(gateway.passes(&mut model, NOON), passing, "{shared} {failure}");
            assert_eq!(gateway.ledger(), passing as u64, "{shared} {failure}");
            let (last, scene, _) = gateway.ask(&mut model, NOON, &[]);
            assert_eq!(last, status);
            if failure == "closed" {
                assert_eq!(scene.state.stopped_by, Some(("quota", "store_unavailable")));
            }
            model.is_down = false;
            assert_eq!(gateway.passes(&mut model, NOON), 3, "{shared} {failure}: the store counts for all");
        }
    }
    // What this gateway has let pass counts at once when the store fails.
    let mut model = Model::default();
    let gateway = Gateway::new("{ limit: 5/day, shared: exact }");
    assert_eq!([(); 4].map(|()| gateway.ask(&mut model, NOON, &[]).0), [200; 4]);
    model.is_down = true;
    assert_eq!(gateway.passes(&mut model, NOON), 1);
}

#[test]
fn what_is_tried_only_stands_in_nobodys_way() {
    for shared in ["exact", "leased"] {
        let mut model = Model::default();
        let gateway = Gateway::new(&format!(
            "[{{ limit: 2/day, mode: dry_run, shared: {shared}, on_store_failure: closed }}, \
              {{ limit: 5/day, by: route, shared: exact }}]"
        ));
        let ask = |model: &mut Model| {
            let (status, scene, _) = gateway.ask(model, NOON, &[]);
            (status, scene.state.tried.is_some())
        };
        let outcomes = [(); 5].map(|()| ask(&mut model));
        assert_eq!(outcomes, [(200, false), (200, false), (200, true), (200, true), (200, true)], "{shared}");
        assert_eq!(ask(&mut model).0, 429, "{shared}");
        assert_eq!((model.total(), gateway.ledger()), (7, 7), "{shared}");
    }
}

#[test]
fn a_service_says_what_a_request_has_cost() {
    for (shared, limit) in [("exact", 10), ("leased", 10), ("leased", 6400)] {
        let mut model = Model::default();
        let gateway = Gateway::new(&format!(
            "{{ limit: {limit}/day, cost: {{ response_header: x-cost }}, shared: {shared} }}"
        ));
        for (cost, total) in [("4", 4), ("0", 4), ("much", 5), ("2", 7)] {
            let (status, scene, _) = gateway.ask(&mut model, NOON, &[]);
            assert_eq!(status, 200);
            let mut head = ResponseHead::default();
            head.headers.push(b"x-cost", cost.as_bytes());
            let (status, headers) = (200, &mut head.headers);
            let mut cx = ResponseCx { status, headers, state: &scene.state };
            gateway.chain.settle(&mut cx);
            gateway.chain.run_response(&mut cx);
            scene.state.errands.take().into_iter().for_each(|errand| model.run(errand, scene.at));
            assert_eq!(gateway.ledger(), total, "{shared} {cost}");
        }
        gateway.gives_back(&mut model);
        assert_eq!(model.total(), 7, "{shared} {limit}");
    }
}

#[test]
fn a_plan_asks_about_limits_and_then_about_quotas() {
    for shared in ["exact", "leased"] {
        let with = |limit: &str| format!("{{ limit: {limit}, shared: {shared} }}");
        let (rate, month, day) = (with("8/h"), with("5/month"), with("3/day"));
        let plan = || {
            let everywhere = [("rate_limit", &*rate), ("quota", &*month), ("concurrency", "1")];
            Gateway::with_plan(&everywhere, &[("quota", &*day)])
        };
        let (one, two, mut model) = (plan(), plan(), Model::default());
        let (status, scene, asked) = one.ask(&mut model, NOON, &[]);
        assert_eq!((status, asked), (200, 2), "{shared}: one call each");
        drop(scene);
        assert_eq!((two.passes(&mut model, NOON), one.passes(&mut model, NOON)), (2, 0), "{shared}");
        [&one, &two].iter().for_each(|gateway| gateway.gives_back(&mut model));
        // What the quotas have refused is given back to the limit, and no quota keeps the half of it.
        let mut used: Vec<(&str, u64)> =
            model.used.iter().map(|((_, name, _), used)| (name.split(':').next().unwrap(), *used)).collect();
        used.sort_unstable();
        assert_eq!(used, [("quota", 3), ("quota", 3), ("rate_limit", 3)], "{shared}");
        assert_eq!((one.ledger(), two.ledger()), (2, 4), "{shared}");
        // The next day: two of the month, and then it is the month that refuses.
        let next = NOON + 3600 * 24;
        assert_eq!(one.passes(&mut model, next), 2, "{shared}");
        // While the store is down, both are counted here.
        model.is_down = true;
        assert_eq!(plan().passes(&mut model, NOON), 3, "{shared}");
    }
    // The limit refuses first: no quota is asked.
    let gateway = Gateway::with_plan(
        &[("rate_limit", "{ limit: 1/h, shared: exact }"), ("quota", "{ limit: 5/day, shared: exact }")],
        &[("rate_limit", "{ limit: 4/h, shared: exact }")],
    );
    let mut model = Model::default();
    let outcomes =
        [(); 2].map(|()| gateway.ask(&mut model, NOON, &[])).map(|(status, _, asked)| (status, asked));
    assert_eq!(outcomes, [(200, 2), (429, 1)]);
    assert_eq!(gateway.ledger(), 1);
    // A quota that is closed gives back what the limit has taken by itself.
    let gateway = Gateway::with_plan(
        &[
            ("rate_limit", "{ limit: 2/h, shared: off }"),
            ("quota", "{ limit: 5/day, on_store_failure: closed }"),
        ],
        &[],
    );
    model.is_down = true;
    assert_eq!([(); 4].map(|()| gateway.ask(&mut model, NOON, &[]).0), [503; 4]);
    model.is_down = false;
    assert_eq!(gateway.passes(&mut model, NOON), 2);
}

#[test]
fn operators_are_told_whom_to_ask_and_what_to_give_back() {
    let mut model = Model::default();
    let gateway = Gateway::new("{ limit: 5/day, shared: exact }");
    assert_eq!(gateway.passes(&mut model, NOON), 5);
    let ready = gateway.ready();
    let view = ready.views(&["127.0.0.1"], NOON).remove(0);
    assert_eq!((view.shared, view.used), (Some("exact"), Some((5, 0))));
    let standing = model.decide(&[view.ask.unwrap()]).unwrap().each[0];
    assert_eq!((standing.fits, standing.left), (true, 0), "it is the same one");
    let back = ready.forget_at_store(&["127.0.0.1"], NOON).remove(0);
    assert!(back.cost >= 5);
    model.run(Errand::GiveBack(store::OwnAsk { cost: 5, ..back }), gateway.begin);
    assert_eq!((ready.reset(&["127.0.0.1"], NOON), gateway.passes(&mut model, NOON)), (1, 5));
    let mut scene = Scene { now: NOON, ..Scene::get("/", &[]) };
    scene.state.explain();
    assert!(gateway.chain.run_request(&mut scene.cx(), |_, _, _| {}).is_ok());
    let words = "5/day in UTC of client_ip 127.0.0.1, shared by gateways (exact)";
    assert_eq!(scene.state.remark_of("quota"), Some(words));
}

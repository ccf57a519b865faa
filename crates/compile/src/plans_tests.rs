//! Whose plan holds where, what requests cost of it, and where limits are.

use policy::Policy;

use crate::tests::{compile_text, finds, snapshot, with_routes};

/// A configuration with these plans, the first consumer of which has one. More routes begin at line 9.
fn text(plan: &str, plans: &str, policies: &str, routes: &str) -> String {
    format!(
        "listen: 127.0.0.1:0\nservices: {{ s: {{ endpoints: [http://127.0.0.1:1] }}, t: {{ endpoints: [http://127.0.0.1:2] }} }}\n\
         consumers: [{{ name: a, api_keys: [0123456789abcdef], plan: {plan} }}]\nplans: {{ {plans} }}\n\
         policies: {{ api_key: {{}}{policies} }}\nroutes:\n- {{ path: /s, service: s }}\n- {{ path: /t, service: t }}\n\
         {routes}- {{ path: /o, service: s, policies: {{ plan: off }} }}\n"
    )
}

#[test]
fn plans_are_found_and_hold_by_themselves() {
    let text = |consumers: &str, plans: &str, policies: &str| text(consumers, plans, policies, "");
    let kinds = |text: &str| -> Vec<bool> {
        let snapshot = snapshot(text);
        let has = |kind: &str, chain: &policy::Chain| {
            chain.links().iter().any(|link| link.policy.kind().name == kind)
        };
        snapshot.routes.iter().map(|route| has("plan", route.action.chain(0).unwrap())).collect()
    };
    let one = "p: { rate_limit: 1/s, services: { t: { rate_limit: 1/min } } }";
    assert_eq!(kinds(&text("p", one, "")), [true, true, false]);
    assert_eq!(kinds(&text("p", one, ", plan: off")), [false, false, false]);
    finds(&text("q", one, ""), &["error unknown-plan 3:60", "warning unused-setting 4:10"]);
    finds(&text("p", "p: {}", ""), &["warning unused-setting 4:10"]);
    finds(
        &text("p", "p: { rate_limit: 1/s, services: { u: { rate_limit: 1/s } } }", ""),
        &["error unknown-service 4:44"],
    );
    finds(
        &text("p", "p: { rate_limit: { limit: 1/s, cost: { response_header: x-cost } } }", ""),
        &["error invalid-value 4:27"],
    );
    finds(&text("p", "p: { rate_limit: many }", ""), &["error invalid-value 4:27"]);
    finds(&text("p", one, ", plan: {}"), &["error invalid-value 5:32"]);
}

#[test]
fn plans_that_hold_nowhere_and_costs_of_nothing_are_told() {
    let one = "p: { rate_limit: 5/s, services: { t: { rate_limit: 9/min } } }";
    finds(&text("p", one, ", plan: off", ""), &["warning unused-setting 4:10"]);
    finds(
        &text("p", one, ", api_key: off", "").replace("api_key: {}, ", ""),
        &["warning unused-setting 4:10"],
    );
    let costs = |service: &str, cost: &str| {
        text("p", one, "", &format!("- {{ path: /c, service: {service}, policies: {{ {cost} }} }}\n"))
    };
    finds(&costs("s", "plan_cost: 5"), &[]);
    finds(&costs("s", "plan_cost: 6"), &["error invalid-value 9:39"]);
    finds(&costs("t", "plan_cost: { cost: 5 }"), &[]);
    finds(&costs("s", "plan_cost: 5, plan: off"), &["warning unused-setting 9:39"]);
    let inherited = costs("s", "plan: off").replace("api_key: {}", "api_key: {}, plan_cost: 2");
    finds(&inherited, &[]);
    let inherited =
        inherited.replace("plan_cost: 2", "plan_cost: 9").replace("5/s", "20/s").replace("9/min", "8/min");
    finds(&inherited, &["error invalid-value 5:26"]);
    let said = compile_text(&costs("s", "plan_cost: 6")).rendered;
    assert!(said.contains("it counts as 6, and plan p: 5/s is less"), "{said}");
    let unknown = compile_text(&text("q", "p: { rate_limit: 1/s }, r: { rate_limit: 1/s }", "", "")).rendered;
    assert!(unknown.contains("name one of `plans`: p, r"), "{unknown}");
}

#[test]
fn a_cost_is_a_rule_that_no_other_reading_of_a_path_avoids() {
    let one = "p: { rate_limit: 50/s }";
    let routes = "- { path: /a, service: s }\n- { path: /c, service: s, policies: { plan_cost: 5 } }\n";
    let snapshot = snapshot(&text("p", one, "", routes));
    let chain = |index: usize| snapshot.routes[index].action.chain(0).unwrap();
    assert!(chain(0).guards_like(chain(2)), "both cost one");
    assert!(!chain(0).guards_like(chain(3)));
    let bulk = "p: { rate_limit: { limit: 1000M/day, cost: 1000 } }";
    let routes = "- { path: /c, service: s, policies: { plan_cost: 100000 } }\n";
    let said = compile_text(&text("p", bulk, "", routes)).rendered;
    assert!(said.contains("plan p: 1000000 at once of 1000000000/day is less"), "{said}");
}

#[test]
fn a_consumer_shares_no_limit_of_a_plan_with_others() {
    let plan = "p: { rate_limit: { limit: 9/s, by: client_ip }, quota: { limit: 9/day, by: [route, consumer] }, concurrency: { limit: 9, by: route } }";
    let snapshot = snapshot(&text("p", plan, ", quota: { limit: 1/day, by: route }", ""));
    let chain = snapshot.routes[0].action.chain(0).unwrap();
    let of = |found: &Policy| -> Vec<Vec<String>> {
        match found {
            Policy::Quota(quota) => quota.views(&[], 0).into_iter().map(|one| one.by).collect(),
            Policy::Plan(plan) => {
                let allowed = plan.plans().allowed().next().unwrap();
                let rate = allowed.rate_limit().unwrap().views(&[], std::time::Instant::now()).remove(0).by;
                let at_once = allowed.concurrency().unwrap().views(&[]).remove(0).by;
                vec![rate, allowed.quota().unwrap().views(&[], 0).remove(0).by, at_once]
            }
            _ => Vec::new(),
        }
    };
    let all: Vec<_> = chain.links().iter().flat_map(|link| of(&link.policy)).collect();
    assert_eq!(
        all,
        [vec!["consumer", "client_ip"], vec!["route", "consumer"], vec!["consumer", "route"], vec!["route"]]
    );
}

#[test]
fn what_was_used_stays_with_a_route_wherever_it_stands() {
    let places = |routes: &str| -> Vec<String> {
        let snapshot = snapshot(&with_routes(routes));
        let place = |route: &std::sync::Arc<snapshot::Route>| {
            let chain = route.action.chain(0).unwrap();
            let found = chain.links().iter().find_map(|link| match &*link.policy {
                Policy::RateLimit(limits) => Some(limits.place().to_owned()),
                _ => None,
            });
            found.unwrap()
        };
        snapshot.routes.iter().map(place).collect()
    };
    let line = |what: &str| format!("- {{ {what}, service: s, policies: {{ rate_limit: 1/s }} }}\n");
    let all = [
        "path: /x, methods: [POST, GET]",
        "path: /x, methods: PUT",
        "path: /x, hosts: [b.test, a.test]",
        "path: /x, headers: { x-secret: '${env:S}x', accept: true }",
        "path: /x, query: { v: 2 }",
        "path: /x",
        "path: /x, name: named, methods: DELETE",
    ];
    let wanted = [
        "path /x of GET,POST 1",
        "path /x of PUT 1",
        "path /x at a.test,b.test 1",
        "path /x by header accept,x-secret 1",
        "path /x by parameter v 1",
        "path /x 1",
        "route named",
    ];
    let all = all.map(|what| line(&what.replace("${env:S}", "")));
    assert_eq!(places(&all.concat()), wanted);
    let (mut turned, mut back) = (all.to_vec(), wanted.to_vec());
    turned.reverse();
    back.reverse();
    assert_eq!(places(&turned.concat()), back);
}

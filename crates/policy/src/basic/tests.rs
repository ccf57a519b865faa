//! What is taken for a name and a password. How they are looked at is tested with `auth`, and in `password.rs`.

use std::sync::Arc;

use crate::scene::{Scene, chain, policy};
use crate::{Answer, Consumers, NewConsumer};

fn consumers() -> Arc<Consumers> {
    let users = vec![("ann".into(), "$2b$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe".into())];
    Arc::new(Consumers::new(&[NewConsumer { name: "a".into(), users, ..NewConsumer::default() }]))
}

#[test]
fn what_cannot_be_read_is_refused_without_asking() {
    let consumers = consumers();
    let chain = chain(&[("basic", "{ realm: site }")], &consumers);
    let long = format!("Basic {}", "QUFB".repeat(1000));
    for value in
        ["Basic", "Basic ", "Basic !!!!", "Basic YW5u", "Basic /zo=", "Bearer YW5uOnB3", long.as_str()]
    {
        let mut scene =
            Scene { consumers: Arc::clone(&consumers), ..Scene::get("/", &[("authorization", value)]) };
        let reply = scene.run(&chain, || panic!("{value} was asked for")).unwrap();
        assert_eq!(reply.status, 401, "{value}");
        let told: Vec<_> = reply.headers.iter().filter(|(name, _)| name == "www-authenticate").collect();
        assert_eq!(told[0].1, "Basic realm=\"site\", charset=\"UTF-8\"");
    }
}

#[test]
fn whoever_does_not_exist_is_looked_at_as_well() {
    let consumers = consumers();
    let chain = chain(&[("basic", "{}")], &consumers);
    let mut asked = 0;
    // `eve:pw`. Even an answer that it is right is no answer for somebody who does not exist.
    let mut scene = Scene { consumers, ..Scene::get("/", &[("authorization", "basic ZXZlOnB3")]) };
    let reply = scene.run(&chain, || {
        asked += 1;
        Answer::Password(true)
    });
    assert_eq!((asked, reply.map(|reply| reply.status)), (1, Some(401)));
}

#[test]
fn mistakes_are_reported() {
    assert!(policy("basic", "{ realm: 'a\"b' }", &consumers()).is_err());
    assert_eq!(policy("basic", "{}", &Arc::default()).unwrap_err()[0].0, diagnostics::Code::NoCredentials);
}

#[test]
fn somebody_who_does_not_exist_costs_what_somebody_does() {
    let consumers = consumers();
    assert_eq!(consumers.decoy("eve"), consumers.user("ann").map(|user| &*user.hash));
    let users: Vec<(Box<str>, Box<str>)> =
        (0..8).map(|at| (format!("u{at}").into(), format!("hash {at}").into())).collect();
    let many = Consumers::new(&[NewConsumer { users, ..NewConsumer::default() }]);
    let taken: std::collections::BTreeSet<_> = (0..200).map(|at| many.decoy(&format!("x{at}"))).collect();
    assert_eq!((taken.len(), many.decoy("x"), Consumers::default().decoy("x")), (8, many.decoy("x"), None));
}

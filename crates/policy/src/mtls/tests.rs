//! Whose certificate it is.

use std::sync::Arc;

use message::{ClientCertificate, Encryption};

use crate::scene::{Scene, chain, policy};
use crate::{Answer, Consumers, NewConsumer};

fn consumers() -> Arc<Consumers> {
    let one = |name: &str, certificate: &str| NewConsumer {
        name: name.into(),
        certificates: vec![certificate.into()],
        ..NewConsumer::default()
    };
    Arc::new(Consumers::new(&[one("acme", "DNS:acme.test"), one("ops", "CN=ops,O=Example")]))
}

fn outcome(settings: &str, certificate: Option<(&str, &[&str])>) -> Result<String, u16> {
    let consumers = consumers();
    let chain = chain(&[("mtls", settings)], &consumers);
    let certificate = certificate.map(|(subject, names)| ClientCertificate {
        subject: subject.into(),
        names: names.iter().map(|name| (*name).into()).collect(),
        fingerprint: "00".into(),
        not_after: Scene::get("/", &[]).now + 1,
    });
    let encryption = Some(Encryption { certificate, ..Encryption::default() });
    let mut scene = Scene { consumers, encryption, ..Scene::get("/", &[]) };
    match scene.run(&chain, || -> Answer { panic!("nobody is asked") }) {
        Some(reply) => Err(reply.status),
        None => Ok(scene.cx().identity().map(|identity| identity.name().to_owned()).unwrap_or_default()),
    }
}

#[test]
fn a_certificate_belongs_to_a_consumer_by_its_subject_or_a_name() {
    for (certificate, want) in [
        (Some(("CN=x", &["DNS:other.test", "DNS:acme.test"][..])), Ok("acme")),
        (Some(("CN=ops,O=Example", &[][..])), Ok("ops")),
        (Some(("CN=ops", &["URI:acme.test", "acme.test"][..])), Err(401)),
        (None, Err(401)),
    ] {
        assert_eq!(outcome("{}", certificate), want.map(str::to_owned), "{certificate:?}");
    }
    assert_eq!(outcome("{ consumer: optional }", Some(("CN=x", &[]))), Ok("CN=x".to_owned()));
    assert_eq!(outcome("{ consumer: optional }", None), Err(401));
}

#[test]
fn mistakes_are_reported() {
    assert_eq!(policy("mtls", "{}", &Arc::default()).unwrap_err()[0].0, diagnostics::Code::NoCredentials);
    assert!(policy("mtls", "{ consumer: optional }", &Arc::default()).is_ok());
}

#[test]
fn one_that_has_ended_or_is_of_a_proxy_is_nobodys() {
    let consumers = consumers();
    let chain = chain(&[("mtls", "{ consumer: optional }")], &consumers);
    let ask = |not_after: u64, trusted_peer: bool| {
        let certificate = Some(ClientCertificate {
            subject: "CN=ops,O=Example".into(),
            names: Vec::new(),
            fingerprint: "00".into(),
            not_after,
        });
        let encryption = Some(Encryption { certificate, ..Encryption::default() });
        let consumers = Arc::clone(&consumers);
        let mut scene = Scene { consumers, encryption, trusted_peer, ..Scene::get("/", &[]) };
        let reply = scene.run(&chain, || -> Answer { panic!("nobody is asked") });
        (reply.map(|reply| reply.status), scene.state.stopped_by.map_or("", |(_, reason)| reason))
    };
    let now = Scene::get("/", &[]).now;
    assert_eq!(ask(now + 1, false), (None, ""));
    assert_eq!(ask(now, false), (Some(401), "expired"));
    assert_eq!(ask(now + 1, true), (Some(401), "missing"));
}

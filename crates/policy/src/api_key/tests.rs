//! Where keys are looked for, whose they are, and what is left of them.

use std::sync::Arc;

use diagnostics::{Code, Diagnostics, SourceId, Span};
use keys::{Id, Key, Secret};

use crate::scene::{Scene, chain, policy};
use crate::{Answer, Caller, Chain, Compiling, Consumers, Link, NewConsumer, NewKey, Providers, digest_of};

fn consumers() -> Arc<Consumers> {
    let one = |name: &str, key: &str, expires| NewConsumer {
        name: name.into(),
        groups: vec!["apps".into()],
        api_keys: vec![NewKey {
            digest: digest_of(key.as_bytes()),
            expires,
            name: expires.map(|_| "ci".into()),
        }],
        ..NewConsumer::default()
    };
    Arc::new(Consumers::new(&[one("mobile", "secret-a", None), one("old", "secret-b", Some(1_000_000))]))
}

fn nobody() -> Answer {
    panic!("nobody is asked")
}

/// The name of the consumer, or the status and the code of the answer.
fn outcome(settings: &str, target: &str, fields: &[(&str, &str)]) -> (Result<String, (u16, String)>, Scene) {
    let consumers = consumers();
    let chain = chain(&[("api_key", settings)], &consumers);
    let mut scene = Scene { consumers, ..Scene::get(target, fields) };
    let result = match scene.run(&chain, nobody) {
        None => Ok(scene.cx().identity().map(|identity| identity.name().to_owned()).unwrap_or_default()),
        Some(reply) => {
            assert!(reply.headers.iter().any(|(name, _)| name == "www-authenticate"));
            let body = String::from_utf8_lossy(&reply.body).into_owned();
            let code = body.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
            Err((reply.status, code.to_owned()))
        }
    };
    (result, scene)
}

#[test]
fn keys_are_found_where_they_may_stand() {
    let bearer = "{ header: authorization, scheme: Bearer }";
    for (settings, target, fields) in [
        ("{}", "/", &[("X-Api-Key", "secret-a")][..]),
        ("{ header: [x-key, apikey] }", "/", &[("apikey", "secret-a")]),
        (bearer, "/", &[("authorization", "bearer  secret-a")]),
        ("{ query: key }", "/?a=1&key=secret-a", &[]),
        ("{ query: key }", "/?k%65y=secret%2Da", &[]),
        ("{ query: key }", "/?key=&key=secret-a", &[]),
        ("{ query: key, cookie: key }", "/?key=", &[("cookie", "key=secret-a")]),
        ("{ cookie: key }", "/", &[("cookie", "a=1; key=secret-a")]),
        ("{ header: x-key, cookie: key }", "/", &[("cookie", "key=secret-a")]),
    ] {
        let (result, scene) = outcome(settings, target, fields);
        assert_eq!(result.as_deref(), Ok("mobile"), "{settings} {target} {fields:?}");
        assert!(matches!(scene.state.caller(), Caller::Consumer(0, "api_key")));
        let told: Vec<_> = scene.head.headers.values(b"x-consumer").collect();
        assert_eq!(told, [b"mobile"]);
        let left = String::from_utf8_lossy(scene.head.headers.text()).into_owned();
        let fields: Vec<_> = scene.head.headers.iter().collect();
        assert!(!fields.iter().any(|(_, value)| value.windows(6).any(|w| w == b"secret")), "{left}");
        assert!(!scene.head.query().unwrap_or_default().windows(6).any(|w| w == b"secret"));
    }
}

#[test]
fn what_is_not_a_key_that_holds_is_refused() {
    let long = "x".repeat(5000);
    for (settings, target, fields, want) in [
        ("{}", "/", &[][..], "unauthenticated"),
        ("{}", "/", &[("x-api-key", "")], "unauthenticated"),
        ("{}", "/?x-api-key=secret-a", &[], "unauthenticated"),
        ("{}", "/", &[("x-api-key", "secret-c")], "invalid-credentials"),
        ("{}", "/", &[("x-api-key", "secret-b")], "invalid-credentials"),
        ("{}", "/", &[("x-api-key", "secret-a,secret-a")], "invalid-credentials"),
        ("{}", "/", &[("x-api-key", long.as_str())], "invalid-credentials"),
        ("{ query: key }", "/?key=", &[], "unauthenticated"),
        ("{ query: key }", "/?key", &[], "unauthenticated"),
        ("{ header: authorization }", "/", &[("authorization", "Bearer secret-a")], "unauthenticated"),
        ("{ header: authorization }", "/", &[("authorization", "ApiKeysecret-a")], "unauthenticated"),
        ("{ cookie: key }", "/", &[("cookie", "xkey=secret-a")], "unauthenticated"),
    ] {
        let (result, _) = outcome(settings, target, fields);
        assert_eq!(result, Err((401, want.to_owned())), "{settings} {target} {fields:?}");
    }
}

#[test]
fn logs_can_tell_which_key_it_was() {
    let (result, scene) = outcome("{}", "/", &[("x-api-key", "secret-b")]);
    assert_eq!(result, Err((401, "invalid-credentials".to_owned())));
    assert_eq!(scene.state.key.as_ref().and_then(|key| scene.consumers.label(key)), Some("old/ci"));
    let (_, scene) = outcome("{}", "/", &[("x-api-key", "secret-a")]);
    assert_eq!(scene.state.key, None, "it has no name, and its consumer is known");
}

#[test]
fn the_service_gets_the_key_only_where_it_is_told_so() {
    let (result, scene) = outcome("{ forward: true }", "/", &[("x-api-key", "secret-a")]);
    assert!(result.is_ok());
    assert_eq!(scene.head.headers.values(b"x-api-key").count(), 1);
}

#[test]
fn mistakes_are_reported() {
    for (settings, want) in [
        ("{ header: 'x y' }", "`x y` is no name"),
        ("{ header: x_key }", "no request has a header `x_key` here"),
        ("{ header: connection }", "no request has a header `connection` here"),
        ("{ headers: x-key }", "unknown key `headers`"),
    ] {
        let mistakes = policy("api_key", settings, &consumers()).unwrap_err();
        assert!(mistakes.iter().any(|(_, message)| message.contains(want)), "{settings}: {mistakes:?}");
    }
    let none = policy("api_key", "{}", &Arc::default()).unwrap_err();
    assert_eq!(none[0].0, Code::NoCredentials);
    // Where keys can be made later, it is enough that there is somebody to make them for.
    let somebody = || Consumers::new(&[NewConsumer { name: "new".into(), ..NewConsumer::default() }]);
    assert!(policy("api_key", "{}", &Arc::new(somebody())).is_err());
    assert!(policy("api_key", "{}", &Arc::new(somebody().with_stored_keys())).is_ok());
    assert!(policy("api_key", "{}", &Arc::new(Consumers::default().with_stored_keys())).is_err());
}

fn stored(number: u8, consumer: &str, expires: Option<u64>) -> Key {
    Key::new(Id::of([number; 8]), consumer, "", &Secret::of(&[number; 32]), 0, expires).unwrap()
}

/// A chain that knows these keys besides those of the configuration.
fn chain_with(keys: Vec<Key>, consumers: &Arc<Consumers>) -> Chain {
    let providers = Providers::default();
    providers.stored_keys().fill(&keys.into_iter().map(|key| (key.id, Arc::new(key))).collect());
    let mut diagnostics = Diagnostics::new();
    let node = document::parse(SourceId(0), "{}", &mut diagnostics).unwrap();
    let policy =
        crate::compile("api_key", &node, &mut Compiling::new(&mut diagnostics, consumers, &providers));
    Chain::new(vec![Link { policy: Arc::new(policy.unwrap()), source: Span::default() }])
}

/// What becomes of somebody who shows a stored secret: the name of the consumer, or why not; and the key, as logs have it.
fn shown(
    chain: &Chain,
    consumers: &Arc<Consumers>,
    number: u8,
    now: u64,
) -> (Result<String, &'static str>, Option<String>) {
    let secret = Secret::of(&[number; 32]);
    let fields = [("x-api-key", secret.expose())];
    let mut scene = Scene { consumers: Arc::clone(consumers), now, ..Scene::get("/", &fields) };
    let result = match scene.run(chain, nobody) {
        None => Ok(scene.cx().identity().map(|identity| identity.name().to_owned()).unwrap_or_default()),
        Some(reply) => {
            assert_eq!(reply.status, 401);
            assert!(!String::from_utf8_lossy(&reply.body).contains(secret.expose()));
            Err(scene.state.stopped_by.unwrap().1)
        }
    };
    let label = scene.state.key.as_ref().and_then(|key| scene.consumers.label(key));
    (result, label.map(str::to_owned))
}

#[test]
fn keys_that_were_made_while_the_gateway_runs_count_too() {
    let consumers = consumers();
    let rotated = stored(3, "old", None).rotated(&Secret::of(&[4; 32]), 500, 100).unwrap();
    let mut off = stored(5, "old", None);
    off.disabled = true;
    let keys =
        vec![stored(1, "mobile", None), stored(2, "old", Some(1_000)), rotated, off, stored(6, "gone", None)];
    let chain = chain_with(keys, &consumers);
    let by = |number: u8| Some(Id::of([number; 8]).to_string());
    let known = |name: &str| Ok(name.to_owned());
    for (number, now, want) in [
        (1, 0, (known("mobile"), by(1))),
        (2, 999, (known("old"), by(2))),
        (2, 1_000, (Err("expired"), by(2))),
        (3, 599, (known("old"), by(3))),
        (3, 600, (Err("replaced"), by(3))),
        (4, 600, (known("old"), by(3))),
        (5, 0, (Err("disabled"), by(5))),
        (6, 0, (Err("no_consumer"), by(6))),
        (7, 0, (Err("unknown"), None)),
    ] {
        assert_eq!(shown(&chain, &consumers, number, now), want, "{number} at {now}");
    }
}

#[test]
fn nobody_is_unknown_while_keys_cannot_be_read() {
    let known = Arc::into_inner(consumers()).unwrap().with_stored_keys();
    let (known, providers) = (Arc::new(known), Providers::default());
    let mut diagnostics = Diagnostics::new();
    let node = document::parse(SourceId(0), "{}", &mut diagnostics).unwrap();
    let policy = crate::compile("api_key", &node, &mut Compiling::new(&mut diagnostics, &known, &providers));
    let chain = Chain::new(vec![Link { policy: Arc::new(policy.unwrap()), source: Span::default() }]);
    let status = |key: &str| {
        let mut scene = Scene { consumers: Arc::clone(&known), ..Scene::get("/", &[("x-api-key", key)]) };
        scene.run(&chain, nobody).map(|reply| reply.status)
    };
    assert_eq!((status("other"), status("secret-a")), (Some(401), None));
    providers.stored_keys().set_lacks_keys(true);
    assert_eq!((status("other"), status("secret-a")), (Some(503), None), "the configuration is known");
    providers.stored_keys().set_lacks_keys(false);
    assert_eq!(status("other"), Some(401));
}

#[test]
fn a_key_follows_its_consumer_through_every_configuration() {
    let table = |names: &[&str]| {
        let one = |name: &&str| NewConsumer { name: (*name).into(), ..NewConsumer::default() };
        Arc::new(Consumers::new(&names.iter().map(one).collect::<Vec<_>>()))
    };
    let (first, moved, gone) = (table(&["a", "b"]), table(&["c", "a", "b"]), table(&["c", "b"]));
    let chain = chain_with(vec![stored(1, "a", None)], &first);
    for _ in 0..3 {
        assert_eq!(shown(&chain, &first, 1, 0).0.as_deref(), Ok("a"));
        assert_eq!(shown(&chain, &moved, 1, 0).0.as_deref(), Ok("a"), "it has another place there");
        assert_eq!(shown(&chain, &gone, 1, 0).0, Err("no_consumer"), "another one has its place");
    }
}

/// Prints how long a look takes: `cargo test -p policy --release -- --nocapture a_look_costs`.
#[test]
fn a_look_costs_the_same_however_many_keys_there_are() {
    let consumers = consumers();
    let key = |number: u32| {
        let mut random = [0; 32];
        random[..4].copy_from_slice(&number.to_le_bytes());
        let mut id = [0; 8];
        id[..4].copy_from_slice(&number.to_le_bytes());
        let secret = Secret::of(&random);
        let key = Key::new(Id::of(id), "mobile", "", &secret, 0, None).unwrap();
        (key, secret)
    };
    let count = if cfg!(debug_assertions) { 2_000 } else { 100_000 };
    for many in [1, count] {
        let (keys, secrets): (Vec<Key>, Vec<Secret>) = (0..many).map(key).unzip();
        let chain = chain_with(keys, &consumers);
        let Some(crate::Policy::ApiKey(ready)) = chain.links().first().map(|link| &*link.policy) else {
            panic!()
        };
        let mut rng = fastrand::Rng::with_seed(1);
        let rounds = 10_000;
        let mut scenes: Vec<Scene> = (0..rounds)
            .map(|_| Scene {
                consumers: Arc::clone(&consumers),
                ..Scene::get("/", &[("x-api-key", secrets[rng.usize(..secrets.len())].expose())])
            })
            .collect();
        let begin = std::time::Instant::now();
        for scene in &mut scenes {
            let verdict = ready.authenticate(&mut scene.cx());
            assert!(matches!(verdict, crate::Verdict::Known(_)));
        }
        println!("{many} keys: {} ns", begin.elapsed().as_nanos() / rounds as u128);
    }
}

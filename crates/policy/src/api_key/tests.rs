//! Where keys are looked for, whose they are, and what is left of them.

use std::sync::Arc;

use crate::scene::{Scene, chain, policy};
use crate::{Answer, Caller, Consumers, NewConsumer, NewKey, digest_of};

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
    assert_eq!(scene.state.key.and_then(|key| scene.consumers.label(key)), Some("old/ci"));
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
    assert_eq!(none[0].0, diagnostics::Code::NoCredentials);
}

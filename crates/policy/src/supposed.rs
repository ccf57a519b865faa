//! Whom policies that know callers could recognise, without a request that shows anything.
//!
//! It is asked to explain what would become of a request of some consumer, and to find rules that hold for nobody: never
//! for a request that is served. Entry points: [`Recognises`], [`suppose`].

use crate::{Caller, Consumers, Policy, RequestCx, Verdict};

/// A policy that knows callers.
pub(crate) trait Recognises {
    /// Whether it says more of callers than the configuration does: groups, scopes, claims.
    const TELLS_MORE: bool;

    /// What a consumer lacks to be recognised, as words behind `has`; `None` if it lacks nothing. With a request, what
    /// does not hold at its time or on its connection is lacking too.
    fn lacks(&self, consumer: u32, consumers: &Consumers, on: Option<&RequestCx<'_>>)
    -> Option<&'static str>;
}

/// What a policy would say if a consumer showed the credentials that it has.
pub(crate) fn suppose(policy: &Policy, consumer: u32, cx: &mut RequestCx<'_>) -> Verdict {
    let kind = policy.kind().name;
    let consumers = cx.consumers;
    let Some(lacking) = policy.lacks(consumer, consumers, Some(cx)) else {
        let written = consumers.last_api_key(consumer);
        if matches!(policy, Policy::ApiKey(_)) && written.is_none_or(|end| end <= cx.now) {
            let words = "that it has a key of `gateward keys` is supposed: the running gateway alone knows";
            cx.state.remark(kind, || words.to_owned());
        }
        return Verdict::Known(Caller::Consumer(consumer, kind));
    };
    let name = consumers.identity(consumer).map_or("the consumer", |identity| identity.name());
    cx.state.remark(kind, || format!("{name} has {lacking}"));
    Verdict::Missing
}

impl Recognises for crate::api_key::Ready {
    const TELLS_MORE: bool = false;

    fn lacks(
        &self,
        consumer: u32,
        consumers: &Consumers,
        on: Option<&RequestCx<'_>>,
    ) -> Option<&'static str> {
        match (consumers.last_api_key(consumer), on) {
            // It may have got one while the gateway ran.
            _ if consumers.have_stored_keys() => None,
            (None, _) => Some("no API key"),
            (Some(end), Some(cx)) if cx.now >= end => Some("no API key that has not expired"),
            (Some(_), _) => None,
        }
    }
}

impl Recognises for crate::basic::Ready {
    const TELLS_MORE: bool = false;

    fn lacks(&self, consumer: u32, consumers: &Consumers, _: Option<&RequestCx<'_>>) -> Option<&'static str> {
        (!consumers.has_user(consumer)).then_some("no user name and password")
    }
}

impl Recognises for crate::hmac::Ready {
    const TELLS_MORE: bool = false;

    fn lacks(&self, consumer: u32, consumers: &Consumers, _: Option<&RequestCx<'_>>) -> Option<&'static str> {
        // A key that these rules do not allow is not among them.
        match self.signers.values().any(|signer| signer.consumer == consumer) {
            true => None,
            false if consumers.has_signer(consumer) => Some("no key to sign with that is allowed here"),
            false => Some("no key to sign with"),
        }
    }
}

impl Recognises for crate::mtls::Ready {
    const TELLS_MORE: bool = false;

    fn lacks(
        &self,
        consumer: u32,
        consumers: &Consumers,
        on: Option<&RequestCx<'_>>,
    ) -> Option<&'static str> {
        match on {
            _ if !consumers.has_certificate(consumer) => Some("no certificate"),
            Some(cx) if cx.encryption.is_none() => Some("no certificate on a connection without TLS"),
            Some(cx) if cx.trusted_peer => Some("no certificate on the connection of a proxy"),
            _ => None,
        }
    }
}

/// Whether a consumer has tokens of one of these issuers, or of any where none is named.
fn lacks_token<T: AsRef<str>>(consumer: u32, consumers: &Consumers, issuers: &[T]) -> Option<&'static str> {
    let is_issuer = |issuer: &str| issuers.is_empty() || issuers.iter().any(|own| own.as_ref() == issuer);
    if consumers.has_token(consumer, is_issuer) {
        None
    } else if consumers.has_token(consumer, |_| true) {
        Some("no token of this issuer")
    } else {
        Some("no token")
    }
}

impl Recognises for crate::jwt::Ready {
    const TELLS_MORE: bool = true;

    fn lacks(&self, consumer: u32, consumers: &Consumers, _: Option<&RequestCx<'_>>) -> Option<&'static str> {
        lacks_token(consumer, consumers, &self.rules.issuers)
    }
}

impl Recognises for crate::introspection::Ready {
    const TELLS_MORE: bool = true;

    fn lacks(&self, consumer: u32, consumers: &Consumers, _: Option<&RequestCx<'_>>) -> Option<&'static str> {
        lacks_token(consumer, consumers, &self.issuers)
    }
}

impl Recognises for crate::oidc::Ready {
    const TELLS_MORE: bool = true;

    fn lacks(&self, consumer: u32, consumers: &Consumers, _: Option<&RequestCx<'_>>) -> Option<&'static str> {
        lacks_token(consumer, consumers, &[self.issuer_name()])
    }
}

impl Recognises for crate::ldap::Ready {
    const TELLS_MORE: bool = true;

    /// Any user may be any consumer where an attribute says which, and none otherwise.
    fn lacks(&self, _: u32, _: &Consumers, _: Option<&RequestCx<'_>>) -> Option<&'static str> {
        match self.directory.consumer_attribute {
            Some(_) => None,
            None => Some("no user in the directory: no `consumer_attribute` says so"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use message::Encryption;

    use super::*;
    use crate::scene::{Scene, chain};
    use crate::{Answer, NewConsumer, NewKey, digest_of};

    const JWT: (&str, &str) = (
        "jwt",
        "{ issuer: https://a.test, audience: api, keys: { secret: 0123456789abcdef0123456789abcdef } }",
    );
    const KEY: (&str, &str) = ("api_key", "{}");

    fn consumers() -> Arc<Consumers> {
        Arc::new(table())
    }

    fn table() -> Consumers {
        let named = |name: &str| NewConsumer { name: name.into(), ..NewConsumer::default() };
        let key = |expires| vec![NewKey { digest: digest_of(b"key"), expires, name: None }];
        let token = |issuer: &str, subject: &str| vec![(issuer.into(), subject.into())];
        Consumers::new(&[
            NewConsumer { api_keys: key(None), tokens: token("", "1"), ..named("both") },
            NewConsumer { tokens: token("https://a.test", "2"), ..named("tok") },
            NewConsumer { tokens: token("https://b.test", "3"), ..named("foreign") },
            named("nothing"),
            NewConsumer {
                api_keys: vec![NewKey { digest: digest_of(b"late"), expires: Some(7), name: None }],
                ..named("late")
            },
            NewConsumer {
                users: vec![("u".into(), "$2b$05$short".into())],
                certificates: vec!["CN=u".into()],
                ..named("user")
            },
        ])
    }

    /// How somebody is recognised and what the service is told; or the status, and what was said of what is lacking.
    fn outcome(policies: &[(&str, &str)], name: &str, tls: bool) -> Result<(String, String), (u16, String)> {
        let consumers = consumers();
        let chain = chain(policies, &consumers);
        let index = consumers.find(name).unwrap();
        // What is shown does not matter, however wrong it is.
        let fields = [("x-api-key", "wrong"), ("authorization", "a"), ("authorization", "b")];
        let mut scene = Scene { consumers, ..Scene::get("/", &fields) };
        scene.encryption = tls.then(Encryption::default);
        scene.state.explain();
        scene.state.suppose(index);
        match scene.run(&chain, || -> Answer { panic!("nobody is asked") }) {
            Some(reply) => {
                let said = policies.iter().filter_map(|(kind, _)| scene.state.remark_of(kind));
                let said = said.collect::<Vec<_>>().join("; ");
                Err((reply.status, said))
            }
            None => {
                let is_left = scene.head.headers.values(b"x-api-key").next().is_some();
                assert_eq!(is_left, !policies.contains(&KEY), "what was not looked at is not told");
                let told = scene.head.headers.values(b"x-consumer").next().unwrap_or_default();
                let told = String::from_utf8_lossy(told).into_owned();
                Ok((scene.state.caller().method().to_owned(), told))
            }
        }
    }

    #[test]
    fn a_consumer_is_recognised_by_what_it_has_and_by_nothing_else() {
        let known = |by: &str, name: &str| Ok((by.to_owned(), name.to_owned()));
        let lacks = |words: &str| Err((401, words.to_owned()));
        let all = ("auth", "{ all: [api_key, jwt] }");
        let open = ("auth", "{ anonymous: allow }");
        for (policies, name, want) in [
            (&[KEY][..], "both", known("api_key", "both")),
            (&[KEY], "tok", lacks("tok has no API key")),
            (&[KEY], "late", lacks("late has no API key that has not expired")),
            (&[KEY, JWT], "tok", known("jwt", "tok")),
            (&[JWT], "both", known("jwt", "both")),
            (&[JWT], "foreign", lacks("foreign has no token of this issuer")),
            (&[KEY, JWT], "nothing", lacks("nothing has no API key; nothing has no token")),
            (&[KEY, JWT, all], "both", known("api_key", "both")),
            (&[KEY, JWT, all], "tok", lacks("tok has no API key")),
            (&[KEY, JWT, all], "nothing", lacks("nothing has no API key; nothing has no token")),
            (&[KEY, open], "nothing", known("anonymous", "")),
            (&[("basic", "{}")], "user", known("basic", "user")),
            (&[("mtls", "{}")], "user", lacks("user has no certificate on a connection without TLS")),
        ] {
            assert_eq!(outcome(policies, name, false), want, "{policies:?} {name}");
        }
        assert_eq!(outcome(&[("mtls", "{}")], "user", true), known("mtls", "user"));
    }

    #[test]
    fn who_may_have_got_a_key_while_the_gateway_ran_is_supposed_to_have_one() {
        let consumers = Arc::new(table().with_stored_keys());
        for (name, says) in [("both", false), ("tok", true), ("late", true)] {
            let chain = chain(&[KEY], &consumers);
            let mut scene = Scene { consumers: Arc::clone(&consumers), ..Scene::get("/", &[]) };
            scene.state.explain();
            scene.state.suppose(consumers.find(name).unwrap());
            assert_eq!(scene.run(&chain, || -> Answer { panic!("nobody is asked") }), None, "{name}");
            let said = scene.state.remark_of("api_key").is_some_and(|words| words.contains("is supposed"));
            assert_eq!(said, says, "{name}");
        }
    }

    #[test]
    fn the_log_names_the_first_that_found_nothing() {
        let consumers = consumers();
        let chain = chain(&[KEY, JWT, ("auth", "{ all: [api_key, jwt] }")], &consumers);
        let mut scene = Scene { consumers, ..Scene::get("/", &[("x-api-key", "key")]) };
        let reply = scene.run(&chain, || -> Answer { panic!("nobody is asked") });
        assert_eq!(reply.map(|reply| reply.status), Some(401));
        assert_eq!(scene.state.stopped_by, Some(("jwt", "missing")));
        assert_eq!(scene.state.remark_of("jwt"), None, "nobody listens");
    }
}

//! Whom policies let pass, in words and numbers: for people who look over a configuration, never for requests.
//!
//! It tells no credential and no value of a claim. Entry points: [`Policy::whom`], [`Policy::terms`].

use crate::authorize::{Demand, Test};
use crate::ip::Ranges;
use crate::{Consumers, Policy};

/// Networks that are named; more are counted.
const MOST_NAMED: usize = 3;

/// Whom a policy recognises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whom {
    /// By what, with its article: `an API key`.
    pub credential: &'static str,
    /// How many consumers have one.
    pub consumers: usize,
    /// Whether somebody who is no consumer is recognised too.
    pub others: bool,
}

impl Policy {
    /// Whom it recognises; `None` for one that knows no callers.
    pub fn whom(&self, consumers: &Consumers) -> Option<Whom> {
        let (credential, others) = match self {
            Policy::ApiKey(_) => ("an API key", false),
            Policy::Basic(_) => ("a password", false),
            Policy::Hmac(_) => ("a key to sign with", false),
            Policy::Mtls(mtls) => ("a certificate", mtls.optional),
            Policy::Jwt(jwt) => ("a token", !jwt.mapping.consumer_required),
            Policy::Introspection(asked) => ("a token that is asked about", !asked.mapping.consumer_required),
            Policy::Oidc(oidc) => ("a login", oidc.lets_strangers()),
            Policy::Ldap(ldap) => ("a password of the directory", !ldap.mapping.consumer_required),
            _ => return None,
        };
        Some(Whom { credential, consumers: consumers.recognised_by(self.kind().name), others })
    }

    /// What it asks of a request in short, where there is something to tell: `groups apps, partners`, `10.0.0.0/8`.
    pub fn terms(&self) -> Option<String> {
        match self {
            Policy::Authorize(authorize) => {
                let any = authorize.any.as_deref().map(|tests| tests_in_words(tests, ", ", " or "));
                let all = authorize.all.as_deref().map(|tests| tests_in_words(tests, " and ", " and "));
                let rule = authorize.rule.as_ref().map(|_| "a rule".to_owned());
                let parts: Vec<String> = any.into_iter().chain(all).chain(rule).collect();
                Some(parts.join("; "))
            }
            Policy::Ip(ip) => {
                let allow = ip.allow.as_ref().map(networks);
                let deny = Some(networks(&ip.deny)).filter(|text| !text.is_empty());
                let parts: Vec<String> =
                    allow.into_iter().chain(deny.map(|denied| format!("not {denied}"))).collect();
                Some(parts.join("; "))
            }
            _ => None,
        }
    }
}

/// Conditions, those of one kind together.
fn tests_in_words(demands: &[Demand], between: &str, between_kinds: &str) -> String {
    let mut kinds: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for demand in demands {
        let (one, many, name) = match &demand.test {
            Test::Consumer(name) => ("consumer", "consumers", name),
            Test::Group(name) => ("group", "groups", name),
            Test::Scope(name) => ("scope", "scopes", name),
            Test::Claim(name, _) => ("claim", "claims", name),
        };
        match kinds.iter_mut().find(|(known, ..)| *known == one) {
            Some((_, _, names)) if names.contains(&&**name) => {}
            Some((_, _, names)) => names.push(name),
            None => kinds.push((one, many, vec![name])),
        }
    }
    let parts = kinds.iter().map(|(one, many, names)| {
        format!("{} {}", if names.len() == 1 { one } else { many }, names.join(between))
    });
    parts.collect::<Vec<_>>().join(between_kinds)
}

/// Networks, the first few by their names.
fn networks(ranges: &Ranges) -> String {
    let mut all = ranges.extents();
    let mut parts: Vec<String> = all.by_ref().take(MOST_NAMED).map(|extent| extent.to_string()).collect();
    let more = all.count();
    if more > 0 {
        parts.push(format!("{more} more"));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_of_one_kind_stand_together() {
        let test = |text: &str| match text.split_once(' ').unwrap() {
            ("group", name) => Test::Group(name.into()),
            ("scope", name) => Test::Scope(name.into()),
            ("claim", name) => Test::Claim(name.into(), Some("S3CRET".into())),
            (_, name) => Test::Consumer(name.into()),
        };
        for (tests, any, all) in [
            (&["group apps", "group partners"][..], "groups apps, partners", "groups apps and partners"),
            (&["group a", "scope r", "group b"], "groups a, b or scope r", "groups a and b and scope r"),
            (&["claim staff", "consumer ops"], "claim staff or consumer ops", "claim staff and consumer ops"),
        ] {
            let demand = |text: &&str| Demand { test: test(text), place: diagnostics::Span::default() };
            let tests: Vec<Demand> = tests.iter().map(demand).collect();
            assert_eq!(tests_in_words(&tests, ", ", " or "), any);
            assert_eq!(tests_in_words(&tests, " and ", " and "), all);
        }
    }
}

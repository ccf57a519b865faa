//! What requests to services carry only if the gateway has put it there, and what they never carry.
//!
//! Services believe the fields by which they are told of callers, so clients must not send them, whatever the route.
//! The cookies of a session are for the gateway alone: a service of another route on the same host could come back with
//! them as the person. Entry points: [`Reserved::of`], [`Reserved::strip_fields`], [`Reserved::strip_cookies`].

use std::collections::BTreeSet;

use message::{Headers, is_identity_field, reads_like};
use oidc::hide_cookies;

use crate::Policy;

/// Names that belong to the gateway, by the policies of a whole configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    /// Fields that tell services of callers, in lower case, besides those that begin with `x-consumer`.
    fields: Box<[Box<[u8]>]>,
    /// Cookies of sessions, without prefix and number.
    cookies: Box<[Box<str>]>,
}

impl Reserved {
    /// What these policies reserve.
    pub fn of<'p>(policies: impl IntoIterator<Item = &'p Policy>) -> Reserved {
        let (mut fields, mut cookies) = (BTreeSet::new(), BTreeSet::new());
        for policy in policies {
            let told = policy.told_fields().into_iter().filter(|name| !is_identity_field(name));
            fields.extend(told.map(|name| Box::<[u8]>::from(name.to_ascii_lowercase())));
            if let Policy::Oidc(ready) = policy {
                cookies.insert(Box::from(ready.cookie()));
            }
        }
        Reserved { fields: fields.into_iter().collect(), cookies: cookies.into_iter().collect() }
    }

    /// Removes what only the gateway says of callers. Most requests have nothing of the kind, and are only looked at.
    #[inline]
    pub fn strip_fields(&self, headers: &mut Headers) {
        if headers.iter().any(|(name, _)| self.has_field(name)) {
            headers.retain(|field, text| !self.has_field(field.name.of(text)));
        }
    }

    /// Whether there are fields besides those that begin with `x-consumer`, which no trailers have anyway.
    #[inline]
    pub fn has_more_fields(&self) -> bool {
        !self.fields.is_empty()
    }

    /// Whether only the gateway says this of callers.
    #[inline]
    pub fn has_field(&self, name: &[u8]) -> bool {
        is_identity_field(name) || self.fields.iter().any(|field| reads_like(name, field))
    }

    /// Removes the sessions of people.
    #[inline]
    pub fn strip_cookies(&self, headers: &mut Headers) {
        if !self.cookies.is_empty() {
            hide_cookies(&self.cookies, headers);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::scene::policy;

    #[test]
    fn fields_and_sessions_of_all_policies_are_removed() {
        let ip = policy("ip", "{ allow: [10.0.0.0/8] }", &Arc::default()).unwrap();
        let jwt = "{ keys: [{ secret: 0123456789abcdef0123456789abcdef, algorithms: HS256 }], audience: a, claims_to_headers: { X-User: sub } }";
        let jwt = policy("jwt", jwt, &Arc::default()).unwrap();
        let oidc = "{ issuer: 'https://a.test', client_id: c, cookie: mine, secret: 0123456789abcdef0123456789abcdef, client_secret: s }";
        let oidc = policy("oidc", oidc, &Arc::default()).unwrap();
        let reserved = Reserved::of([&ip, &jwt, &oidc]);
        let mut headers = Headers::default();
        for (name, value) in [
            ("x.user", "root"),
            ("x-users", "a"),
            ("X-Consumer-Id", "b"),
            ("cookie", "__Host-mine.1=s; a=b; mine-login-x=l; mines=c"),
        ] {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        reserved.strip_fields(&mut headers);
        reserved.strip_cookies(&mut headers);
        let left: Vec<(&[u8], &[u8])> = headers.iter().collect();
        assert_eq!(left, [(&b"x-users"[..], &b"a"[..]), (b"cookie", b"a=b; mines=c")]);
        assert!(reserved.has_more_fields() && !Reserved::default().has_more_fields());
    }
}

//! Clients that stay where they were: with one endpoint of a service, or one service of a split.
//!
//! What they stay by is a cookie that the gateway gives them, or something that their requests have anyway. The cookie
//! of an endpoint is a message authentication code over its address: it tells nothing, and nobody can make one up.

use std::rc::Rc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use balance::hash_key;
use message::cookie;
use snapshot::{RequestKey, Sticky};

use crate::key;
use crate::live::LiveService;
use crate::member::Member;
use crate::request::Request;
use crate::route::LiveRoute;

/// The key of cookies, where the configuration gives none: it lives as long as the process.
pub(crate) struct CookieKey(hmac::Key);

impl std::fmt::Debug for CookieKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("CookieKey")
    }
}

impl CookieKey {
    /// A new one at random.
    pub(crate) fn random() -> CookieKey {
        let mut bytes = [0; 32];
        // Without randomness of the system there is no TLS either; a key that others could guess lets a client choose
        // its endpoint, and nothing else.
        if aws_lc_rs::rand::fill(&mut bytes).is_err() {
            let mut rng = fastrand::Rng::new();
            rng.fill(&mut bytes);
        }
        CookieKey(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
    }

    /// What the cookie of an address of a service holds: 32 hexadecimal digits.
    pub(crate) fn tag(&self, sticky: &Sticky, service: &str, address: &str) -> Box<str> {
        let given = sticky
            .secret
            .as_ref()
            .map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes()));
        let mut context = hmac::Context::with_key(given.as_ref().unwrap_or(&self.0));
        context.update(service.as_bytes());
        context.update(b"\0");
        context.update(address.as_bytes());
        let code = context.sign();
        let half = code.as_ref().get(..16).unwrap_or_default();
        half.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
    }
}

/// The way of a route for a request: by what the request has, where the route says so; otherwise at random.
pub(crate) fn choose_way(
    route: &LiveRoute,
    request: &mut Request,
    encrypted: bool,
    rng: &mut fastrand::Rng,
) -> usize {
    let choose = |rng: &mut fastrand::Rng, key: Option<u64>| match &route.dial {
        Some(dial) => dial.version(key.unwrap_or_else(|| rng.u64(..))),
        None => route.route.action.choose(rng, key),
    };
    let Some(by) = route.route.action.split_by() else { return choose(rng, None) };
    let mut key = key::of(by, request);
    if let (None, RequestKey::Cookie(name)) = (key, by) {
        let value = format!("{:032x}", rng.u128(..));
        key = Some(hash_key(value.as_bytes()));
        request.give_cookie(name, &value, None, encrypted);
    }
    choose(rng, key)
}

/// The way of a request whose caller is known by now, where it goes by that.
pub(crate) fn settle_way(
    route: &Rc<LiveRoute>,
    request: &mut Request,
    way: usize,
    rng: &mut fastrand::Rng,
) -> usize {
    if route.route.action.split_by() != Some(&RequestKey::Consumer) {
        return way;
    }
    let Some(key) = key::of(&RequestKey::Consumer, request) else { return way };
    let settled = match &route.dial {
        Some(dial) => dial.version(key),
        None => route.route.action.choose(rng, Some(key)),
    };
    if settled != way {
        request.change_way(route, settled);
    }
    settled
}

/// The address that a client was with before, if it may have the request.
pub(crate) fn former(
    service: &LiveService,
    request: &Request,
    tried: &[std::net::SocketAddr],
) -> Option<Rc<Member>> {
    let sticky = service.settings.sticky.as_ref()?;
    let shown = cookie(&request.head.headers, sticky.cookie.as_bytes())?;
    service.find(|member| is_of(member, shown) && member.may_take(tried))
}

/// A client that was not with this address before is told to come back to it.
pub(crate) fn remember(service: &LiveService, member: &Member, request: &mut Request, encrypted: bool) {
    let Some(sticky) = &service.settings.sticky else { return };
    let shown = cookie(&request.head.headers, sticky.cookie.as_bytes());
    if shown.is_some_and(|shown| is_of(member, shown)) {
        return;
    }
    if let Some(tag) = &*member.tag.borrow() {
        request.give_cookie(&sticky.cookie, tag, sticky.ttl, encrypted);
    }
}

fn is_of(member: &Member, shown: &[u8]) -> bool {
    member.tag.borrow().as_ref().is_some_and(|tag| verify_slices_are_equal(tag.as_bytes(), shown).is_ok())
}

/// A cookie as `Set-Cookie` has it (RFC 6265 §4.1). Scripts do not see it, and it comes back over HTTPS only if it went
/// out so.
pub(crate) fn set_cookie(name: &str, value: &str, max_age: Option<Duration>, encrypted: bool) -> Vec<u8> {
    let mut text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax");
    if let Some(age) = max_age {
        text.push_str(&format!("; Max-Age={}", age.as_secs()));
    }
    if encrypted {
        text.push_str("; Secure");
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_of_one_address_and_one_key() {
        let sticky = |secret: Option<&str>| Sticky {
            cookie: "c".into(),
            ttl: None,
            secret: secret.map(document::Secret::new),
        };
        let (one, two) = (CookieKey::random(), CookieKey::random());
        let tag = one.tag(&sticky(None), "s", "10.0.0.1:80");
        assert_eq!(tag.len(), 32);
        assert_eq!(tag, one.tag(&sticky(None), "s", "10.0.0.1:80"));
        for other in [
            one.tag(&sticky(None), "s", "10.0.0.2:80"),
            one.tag(&sticky(None), "t", "10.0.0.1:80"),
            two.tag(&sticky(None), "s", "10.0.0.1:80"),
            one.tag(&sticky(Some("secret")), "s", "10.0.0.1:80"),
        ] {
            assert_ne!(tag, other);
        }
        let secret = |key: &CookieKey| key.tag(&sticky(Some("secret")), "s", "10.0.0.1:80");
        assert_eq!(secret(&one), secret(&two), "gateways that share a secret agree");
    }

    #[test]
    fn cookies_as_they_are_written() {
        assert_eq!(set_cookie("a", "1", None, false), b"a=1; Path=/; HttpOnly; SameSite=Lax");
        let lasting = set_cookie("a", "1", Some(Duration::from_secs(3600)), true);
        assert_eq!(lasting, b"a=1; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600; Secure");
    }
}

//! The cookies of the client: their names, how they are written, read and hidden (RFC 6265, and the prefix
//! `__Host-` of its successor).
//!
//! It must not know what they hold. Entry points: [`Jar`] and [`hide_cookies`].

use message::Headers;

use crate::{Client, RequestFacts, SameSite};

/// Reads and writes the cookies of one client for one request.
///
/// All are sent for the whole host only (`Path=/`, no `Domain`), are not seen by scripts, and over TLS have the
/// prefix `__Host-`, so that neither a neighbouring host nor a page without TLS can set them.
pub(crate) struct Jar {
    name: String,
    https: bool,
    same_site: SameSite,
}

/// Characters of the part of a state that names its cookie.
pub(crate) const LOGIN_ID: usize = 12;

impl Jar {
    pub(crate) fn new(client: &Client, facts: &RequestFacts<'_>) -> Self {
        let settings = client.settings();
        let prefix = if facts.https { "__Host-" } else { "" };
        let name = format!("{prefix}{}", settings.cookie);
        Self { name, https: facts.https, same_site: settings.same_site }
    }

    /// The name of a piece of the session: the first has no number.
    pub(crate) fn session_name(&self, piece: usize) -> String {
        if piece == 0 { self.name.clone() } else { format!("{}.{piece}", self.name) }
    }

    /// The name of the cookie of a login under way.
    pub(crate) fn login_name(&self, id: &str) -> String {
        format!("{}-login-{id}", self.name)
    }

    /// The ids and values of all logins under way that a request carries, at most `most`.
    pub(crate) fn logins<'h>(&self, headers: &'h Headers, most: usize) -> Vec<(&'h str, &'h [u8])> {
        let prefix = self.login_name("");
        let of_login = |(name, value): (&'h [u8], &'h [u8])| {
            let id = std::str::from_utf8(name.strip_prefix(prefix.as_bytes())?).ok()?;
            // The id goes into a Set-Cookie: only what could be ours may.
            let ours = id.len() == LOGIN_ID
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
            ours.then_some((id, value))
        };
        pairs(headers).filter_map(of_login).take(most).collect()
    }

    /// A whole `Set-Cookie`. The session follows the setting, a login under way is always `Lax`: the provider
    /// comes back by a navigation.
    pub(crate) fn set(&self, name: &str, value: &str, max_age: u64, same_site: SameSite) -> String {
        let secure = if self.https { "; Secure" } else { "" };
        let same_site = if self.https && same_site == SameSite::None { "None" } else { "Lax" };
        format!("{name}={value}; Path=/; Max-Age={max_age}; HttpOnly{secure}; SameSite={same_site}")
    }

    pub(crate) fn set_session(&self, piece: usize, value: &str, max_age: u64) -> String {
        self.set(&self.session_name(piece), value, max_age, self.same_site)
    }

    pub(crate) fn delete_session(&self, piece: usize) -> String {
        self.set_session(piece, "", 0)
    }

    pub(crate) fn delete_login(&self, id: &str) -> String {
        self.set(&self.login_name(id), "", 0, SameSite::Lax)
    }
}

/// Name and value of all cookies.
fn pairs(headers: &Headers) -> impl Iterator<Item = (&[u8], &[u8])> {
    let fields = headers.values(b"cookie").flat_map(|field| field.split(|byte| *byte == b';'));
    fields.filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        Some((pair.get(..at)?.trim_ascii(), pair.get(at + 1..)?.trim_ascii()))
    })
}

/// Takes the cookies of clients out of a request that goes on to a service: it has no use for them, and whoever has
/// them is the person. `names` are those that are set.
pub fn hide_cookies(names: &[impl AsRef<str>], headers: &mut Headers) {
    let is_ours = |pair: &[u8]| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        let name = name.strip_prefix(b"__Host-").unwrap_or(name);
        let is_of = |plain: &str| {
            name.strip_prefix(plain.as_bytes())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b".") || rest.starts_with(b"-login-"))
        };
        names.iter().any(|plain| is_of(plain.as_ref()))
    };
    let all = || headers.values(b"cookie").flat_map(|field| field.split(|byte| *byte == b';'));
    if !all().any(is_ours) {
        return;
    }
    let others = all().filter(|pair| !is_ours(pair)).map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty());
    let left = others.collect::<Vec<_>>().join(&b"; "[..]);
    headers.remove(b"cookie");
    if !left.is_empty() {
        headers.push(b"cookie", &left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    #[test]
    fn attributes_follow_the_connection_and_the_setting() {
        let lax = World::new();
        let none = World::with(|settings| settings.same_site = SameSite::None);
        for (world, https, want) in [
            (&lax, true, "__Host-gateward=v; Path=/; Max-Age=9; HttpOnly; Secure; SameSite=Lax"),
            (&lax, false, "gateward=v; Path=/; Max-Age=9; HttpOnly; SameSite=Lax"),
            (&none, true, "__Host-gateward=v; Path=/; Max-Age=9; HttpOnly; Secure; SameSite=None"),
            (&none, false, "gateward=v; Path=/; Max-Age=9; HttpOnly; SameSite=Lax"),
        ] {
            let facts = RequestFacts { https, ..world.facts("/") };
            assert_eq!(Jar::new(&world.client, &facts).set_session(0, "v", 9), want);
        }
    }

    #[test]
    fn only_logins_that_could_be_ours_are_seen() {
        let mut world = World::new();
        world.headers.push(b"cookie", b"a=1; __Host-gateward-login-abcdefABC-_1=x; __Host-gateward=y");
        world.headers.push(b"cookie", b"__Host-gateward-login-short=x;__Host-gateward-login-abcdefABC;_1=x");
        world
            .headers
            .push(b"cookie", b"__Host-gateward-login-bbbbbbbbbbbb=z;__Host-gateward-login-cccccccccccc=");
        let jar = Jar::new(&world.client, &world.facts("/"));
        let ids: Vec<_> = jar.logins(&world.headers, 9).into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, ["abcdefABC-_1", "bbbbbbbbbbbb", "cccccccccccc"]);
        assert_eq!(jar.logins(&world.headers, 2).len(), 2);
    }

    #[test]
    fn services_do_not_see_our_cookies_and_see_all_others() {
        let world = World::new();
        for (fields, want) in [
            (&["a=1; __Host-gateward=x; b=2"][..], &["a=1; b=2"][..]),
            (&["__Host-gateward=x; __Host-gateward.1=y", "gateward-login-x=1"], &[]),
            (&["a=1;b=2", "c=3"], &["a=1;b=2", "c=3"]),
            (&["a=1", "gateward.4=x;c=3"], &["a=1; c=3"]),
            (&["gateways=1; gatewardx=2; x-gateward=3"], &["gateways=1; gatewardx=2; x-gateward=3"]),
        ] {
            let mut headers = Headers::default();
            fields.iter().for_each(|field| headers.push(b"Cookie", field.as_bytes()));
            hide_cookies(&[&world.client.settings().cookie], &mut headers);
            let left: Vec<_> = headers.values(b"cookie").collect();
            let want: Vec<_> = want.iter().map(|field| field.as_bytes()).collect();
            assert_eq!(left, want, "{fields:?}");
        }
    }
}

//! The beginning of a login: the request for authorization, and what is kept until its answer (RFC 6749 §4.1.1,
//! RFC 7636, OpenID Connect Core 1.0 §3.1.2.1).
//!
//! What is kept lies in a sealed cookie per login, so that logins in several tabs do not disturb each other. It
//! must not know the answer. Entry point: [`begin`].

use std::fmt;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::codec::{Reader, Writer};
use crate::cookies::{Jar, LOGIN_ID};
use crate::facts::local_target;
use crate::form::Form;
use crate::seal::{Binding, Purpose, random_text};
use crate::secret::same;
use crate::{Client, NoRandomness, Provider, Random, RequestFacts, SameSite, Secret};

/// Seconds until a login has to be complete.
const LIFETIME: u64 = 10 * 60;
/// Logins that a browser may have under way; the oldest gives way.
const MOST_LOGINS: usize = 4;
/// Cookies of logins that are looked at; who sends more gets the others deleted later.
const MOST_SEEN: usize = 32;
/// The longest cookie of a login that is opened, in bytes.
const LONGEST: usize = 4096;

/// A login that has begun.
#[derive(Debug)]
pub struct Login {
    /// Where to send the browser, with status 302 or 303 and `cache-control: no-store`.
    pub location: String,
    /// Complete `Set-Cookie` values.
    pub set_cookies: Vec<String>,
}

/// Why no login begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginError {
    /// Nobody would see the page to log in: answer 401.
    NotANavigation,
    /// The authority of the request is malformed: answer 400.
    BadHost,
    /// The system gave no randomness.
    NoRandomness,
}

impl fmt::Display for LoginError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoginError::NotANavigation => {
                out.write_str("a login begins only where a person waits for a page")
            }
            LoginError::BadHost => out.write_str("the authority of the request is malformed"),
            LoginError::NoRandomness => NoRandomness.fmt(out),
        }
    }
}

impl std::error::Error for LoginError {}

impl From<NoRandomness> for LoginError {
    fn from(_: NoRandomness) -> Self {
        LoginError::NoRandomness
    }
}

/// Begins a login: state, nonce and PKCE verifier are made and kept, with the target to return to.
pub fn begin(
    client: &Client,
    provider: &Provider,
    facts: &RequestFacts<'_>,
    now: u64,
    random: &mut Random<'_>,
) -> Result<Login, LoginError> {
    if !facts.is_navigation() {
        return Err(LoginError::NotANavigation);
    }
    let host = facts.host().ok_or(LoginError::BadHost)?;
    let started = Started {
        created: now,
        state: Secret::new(random_text::<33>(random)?),
        nonce: Secret::new(random_text::<32>(random)?),
        verifier: Secret::new(random_text::<32>(random)?),
        return_to: return_target(client, facts.path_and_query).to_owned(),
    };
    let jar = Jar::new(client, facts);
    let sealed = client.keys().seal(binding(client, &host), &started.encode(), random)?;
    let name = jar.login_name(login_id(started.state.expose()).unwrap_or_default());
    let mut set_cookies = prune(client, facts, &jar, &host, now);
    set_cookies.push(jar.set(&name, &sealed, LIFETIME, SameSite::Lax));
    let redirect_uri = redirect_uri(client, facts).ok_or(LoginError::BadHost)?;
    Ok(Login { location: location(client, provider, &started, &redirect_uri), set_cookies })
}

fn location(client: &Client, provider: &Provider, started: &Started, redirect_uri: &str) -> String {
    let mut form = Form::new();
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", &client.settings().client_id),
        ("redirect_uri", redirect_uri),
        ("scope", client.scope()),
        ("state", started.state.expose()),
        ("nonce", started.nonce.expose()),
        ("code_challenge", &challenge(started.verifier.expose())),
        ("code_challenge_method", "S256"),
    ] {
        form.push(name, value);
    }
    client.settings().parameters.iter().for_each(|(name, value)| form.push(name, value));
    form.behind(&provider.authorization_endpoint)
}

/// The challenge of a verifier by S256 (RFC 7636 §4.2).
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

/// The URL that the provider sends browsers back to. It has to be the same at both endpoints.
pub(crate) fn redirect_uri(client: &Client, facts: &RequestFacts<'_>) -> Option<String> {
    Some(format!("{}{}", facts.origin()?, client.settings().callback_path))
}

/// Where to return to: `/` if the target is odd, or one of our own, which would begin again.
fn return_target<'a>(client: &Client, target: &'a [u8]) -> &'a str {
    let own = |target: &str| client.owns_path(target.split('?').next().unwrap_or_default());
    local_target(target).filter(|target| !own(target)).unwrap_or("/")
}

/// The part of a state that names its cookie. The other 24 random bytes are what proves the state.
pub(crate) fn login_id(state: &str) -> Option<&str> {
    state.get(..LOGIN_ID)
}

/// Deletes cookies of logins that ended, cannot be read, or are too many.
fn prune(client: &Client, facts: &RequestFacts<'_>, jar: &Jar, host: &str, now: u64) -> Vec<String> {
    let mut alive = Vec::new();
    let mut gone = Vec::new();
    for (id, value) in jar.logins(facts.headers, MOST_SEEN) {
        match Started::open(client, host, value, now) {
            Some(started) => alive.push((started.created, id)),
            None => gone.push(id),
        }
    }
    alive.sort_unstable_by(|a, b| b.cmp(a));
    gone.extend(alive.into_iter().skip(MOST_LOGINS - 1).map(|(_, id)| id));
    gone.into_iter().map(|id| jar.delete_login(id)).collect()
}

fn binding<'a>(client: &'a Client, host: &'a str) -> Binding<'a> {
    let settings = client.settings();
    Binding { purpose: Purpose::Login, issuer: &settings.issuer, client_id: &settings.client_id, host }
}

/// A login under way, as its cookie keeps it.
pub(crate) struct Started {
    created: u64,
    state: Secret,
    pub(crate) nonce: Secret,
    pub(crate) verifier: Secret,
    pub(crate) return_to: String,
}

impl Started {
    /// The login that a state belongs to, if this browser began it on this host, not too long ago.
    pub(crate) fn find(client: &Client, facts: &RequestFacts<'_>, state: &str, now: u64) -> Option<Self> {
        let name = Jar::new(client, facts).login_name(login_id(state)?);
        let value = message::cookie(facts.headers, name.as_bytes())?;
        let started = Self::open(client, &facts.host()?, value, now)?;
        same(started.state.expose(), state).then_some(started)
    }

    fn open(client: &Client, host: &str, value: &[u8], now: u64) -> Option<Self> {
        if value.len() > LONGEST {
            return None;
        }
        let started = Self::decode(&client.keys().open(binding(client, host), value)?)?;
        (now.saturating_sub(started.created) < LIFETIME).then_some(started)
    }

    /// The `Set-Cookie` that ends it.
    pub(crate) fn delete(&self, client: &Client, facts: &RequestFacts<'_>) -> String {
        Jar::new(client, facts).delete_login(login_id(self.state.expose()).unwrap_or_default())
    }

    fn encode(&self) -> zeroize::Zeroizing<Vec<u8>> {
        let texts = [self.state.expose(), self.nonce.expose(), self.verifier.expose(), &self.return_to];
        let mut writer = Writer::with_room(8 + texts.iter().map(|text| 4 + text.len()).sum::<usize>());
        writer.number(self.created);
        texts.into_iter().for_each(|text| writer.text(text));
        writer.finish()
    }

    fn decode(plain: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(plain);
        let created = reader.number()?;
        let mut secret = || reader.text().map(|text| Secret::new(text.to_owned()));
        let (state, nonce, verifier) = (secret()?, secret()?, secret()?);
        let return_to = reader.text()?.to_owned();
        reader.is_at_end().then_some(Self { created, state, nonce, verifier, return_to })
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::error::Unspecified;
    use message::Method;

    use super::*;
    use crate::testing::{World, query_of};

    /// RFC 7636 appendix B.
    #[test]
    fn the_challenge_is_that_of_the_standard() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn the_provider_is_asked_for_all_that_is_checked_later() {
        let mut world = World::with(|settings| {
            settings.parameters = vec![("prompt".to_owned(), "select account".to_owned())];
        });
        world.provider.authorization_endpoint = "https://idp.test/auth?tenant=1".to_owned();
        let login =
            begin(&world.client, &world.provider, &world.facts("/a?b=1"), 1000, &mut world.random()).unwrap();
        let query = query_of(&login.location);
        let of = |name: &str| query.find(name).unwrap().unwrap().to_owned();
        for (name, want) in [
            ("tenant", "1"),
            ("response_type", "code"),
            ("client_id", "web"),
            ("redirect_uri", "https://app.test/.gateward/callback"),
            ("scope", "openid profile email"),
            ("code_challenge_method", "S256"),
            ("prompt", "select account"),
        ] {
            assert_eq!(of(name), want);
        }
        assert_eq!((of("state").len(), of("nonce").len(), of("code_challenge").len()), (44, 43, 43));
        let [cookie] = &login.set_cookies[..] else { panic!("{:?}", login.set_cookies) };
        let start = format!("__Host-gateward-login-{}=", &of("state")[..LOGIN_ID]);
        assert!(cookie.starts_with(&start), "{cookie}");
        assert!(cookie.ends_with("; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax"), "{cookie}");
        let started = Started::open(
            &world.client,
            "app.test",
            cookie[start.len()..].split(';').next().unwrap().as_bytes(),
            1000,
        );
        let started = started.unwrap();
        assert_eq!(started.return_to, "/a?b=1");
        assert_eq!(challenge(started.verifier.expose()), of("code_challenge"));
        assert_eq!((started.state.expose(), started.nonce.expose()), (&*of("state"), &*of("nonce")));
    }

    #[test]
    fn no_login_begins_where_nobody_could_go_on() {
        let world = World::new();
        let failing: &mut Random<'_> = &mut |_| Err(Unspecified);
        let page = world.facts("/");
        for (facts, want) in [
            (RequestFacts { method: Method::Post, ..page }, LoginError::NotANavigation),
            (RequestFacts { authority: b"a b", ..page }, LoginError::BadHost),
            (page, LoginError::NoRandomness),
        ] {
            let begun = begin(&world.client, &world.provider, &facts, 1000, failing);
            assert_eq!(begun.map(|login| login.location), Err(want));
        }
    }

    #[test]
    fn odd_targets_and_our_own_lead_to_the_beginning() {
        let world = World::new();
        for (target, want) in [
            ("/a?b=%2f", "/a?b=%2f"),
            ("//evil.test/", "/"),
            ("/\\evil.test", "/"),
            ("https://evil.test", "/"),
            ("/a\nb", "/"),
            ("/.gateward/callback?code=1", "/"),
            ("/.gateward/logout", "/"),
            ("/.gateward/other", "/.gateward/other"),
        ] {
            assert_eq!(return_target(&world.client, target.as_bytes()), want, "{target:?}");
        }
    }

    #[test]
    fn the_oldest_logins_give_way_and_dead_ones_go_first() {
        let mut world = World::new();
        world.absorb(&["__Host-gateward-login-forgedforged=x; Path=/; Max-Age=9".to_owned()]);
        let mut names = Vec::new();
        for now in 1000..1006 {
            let login =
                begin(&world.client, &world.provider, &world.facts("/"), now, &mut world.random()).unwrap();
            names.push(login.set_cookies.last().unwrap().split('=').next().unwrap().to_owned());
            world.absorb(&login.set_cookies);
        }
        let mut present: Vec<_> = world.cookies.iter().map(|(name, _)| name.clone()).collect();
        present.sort();
        let mut want = names[2..].to_vec();
        want.sort();
        assert_eq!(present, want, "the last four");
        let later = 1003 + LIFETIME;
        let login =
            begin(&world.client, &world.provider, &world.facts("/"), later, &mut world.random()).unwrap();
        world.absorb(&login.set_cookies);
        assert_eq!(world.cookies.len(), 3, "those of 1004 and 1005, and the new one");
    }

    #[test]
    fn a_long_target_still_fits_into_a_cookie() {
        let world = World::new();
        let target = format!("/{}", "a".repeat(2047));
        let facts = RequestFacts { path_and_query: target.as_bytes(), ..world.facts("/") };
        let login = begin(&world.client, &world.provider, &facts, 1000, &mut world.random()).unwrap();
        assert!(login.set_cookies[0].len() < 3800, "{}", login.set_cookies[0].len());
    }
}

//! What the operator decided: who this client is at the provider, its paths, and how long sessions last.
//!
//! It must not know the provider's document, which may change while the gateway runs. Entry points: [`Settings`]
//! and [`Client::new`].

use std::fmt;

use crate::{Keys, Secret};

/// How the client proves itself at the token endpoint (OpenID Connect Core 1.0 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// `client_secret_basic`: in the `Authorization` field.
    Basic,
    /// `client_secret_post`: in the form.
    Post,
    /// `none`: a public client, which only PKCE protects.
    None,
}

impl AuthMethod {
    /// The method of a registered name.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "client_secret_basic" => Some(AuthMethod::Basic),
            "client_secret_post" => Some(AuthMethod::Post),
            "none" => Some(AuthMethod::None),
            _ => None,
        }
    }
}

/// Which requests from other sites carry the session. There is no `Strict`: a browser would not send such a
/// cookie with the redirect that ends a login, nor when a link is followed, and its user would log in in circles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Only navigations by GET.
    #[default]
    Lax,
    /// All: for services that other sites embed. The service must protect itself against forged requests. Over
    /// plain HTTP it is `Lax`, because browsers take `None` only from encrypted connections.
    None,
}

/// What the operator writes. [`Settings::new`] fills in the defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The issuer, exactly as the provider writes it.
    pub issuer: String,
    /// Who the client is at the provider.
    pub client_id: String,
    /// What it proves that with; needed unless `auth_method` is [`AuthMethod::None`].
    pub client_secret: Option<Secret>,
    /// How it proves that. `None`: as the provider offers, Basic if it takes that.
    pub auth_method: Option<AuthMethod>,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// Where the provider sends browsers back to. `https://HOST` and this path have to be registered there.
    pub callback_path: String,
    /// Where a browser logs out.
    pub logout_path: String,
    /// Where the provider reports that a session has ended (Back-Channel Logout 1.0).
    pub backchannel_path: String,
    /// The path on the own host where a browser ends up after it has logged out. It has to be registered as a
    /// post-logout redirect URI. Where it asks for a login, logging out ends in logging in.
    pub after_logout: String,
    /// More parameters of the request for authorization, such as `prompt` or `audience`.
    pub parameters: Vec<(String, String)>,
    /// Which claims of the `id_token` the session keeps, the most important first: what does not fit into
    /// 4 KiB of JSON is left out. `sub` and `sid` are always kept.
    pub claims: Vec<String>,
    /// Name of the cookies, without prefix. Clients that serve the same host need different names.
    pub cookie: String,
    /// Which requests from other sites carry the session.
    pub same_site: SameSite,
    /// A session ends after so many seconds without a request.
    pub idle_lifetime: u64,
    /// A session ends so many seconds after the login, whatever happens.
    pub absolute_lifetime: u64,
}

impl Settings {
    /// The defaults: a confidential client that is given a secret next.
    pub fn new(issuer: &str, client_id: &str) -> Self {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect();
        Self {
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            client_secret: None,
            auth_method: None,
            scopes: texts(&["profile", "email"]),
            callback_path: "/.gateward/callback".to_owned(),
            logout_path: "/.gateward/logout".to_owned(),
            backchannel_path: "/.gateward/backchannel-logout".to_owned(),
            after_logout: "/".to_owned(),
            parameters: Vec::new(),
            claims: texts(&["email", "email_verified", "name", "preferred_username"]),
            cookie: "gateward".to_owned(),
            same_site: SameSite::Lax,
            idle_lifetime: 60 * 60,
            absolute_lifetime: 12 * 60 * 60,
        }
    }
}

/// A setting that cannot be, and what it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingsMistake {
    /// The field of [`Settings`].
    pub setting: &'static str,
    /// What it has to be: the rest of a sentence that begins with "it must".
    pub must: &'static str,
}

impl fmt::Display for SettingsMistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "`{}` must {}", self.setting, self.must)
    }
}

impl std::error::Error for SettingsMistake {}

/// A client whose settings can be used, with its keys.
pub struct Client {
    settings: Settings,
    keys: Keys,
    scope: String,
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { issuer, client_id, .. } = &self.settings;
        out.debug_struct("Client")
            .field("issuer", issuer)
            .field("client_id", client_id)
            .finish_non_exhaustive()
    }
}

/// Parameters that the protocol sets, and one whose answer nobody here would check (`max_age`).
const RESERVED: &[&str] = &[
    "response_type",
    "response_mode",
    "client_id",
    "client_secret",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
    "max_age",
];

impl Client {
    /// Checks the settings; the first mistake is named.
    pub fn new(settings: Settings, keys: Keys) -> Result<Self, SettingsMistake> {
        let mistake = |setting, must| Err(SettingsMistake { setting, must });
        let visible = |text: &str| !text.is_empty() && text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
        if !visible(&settings.issuer) || settings.issuer.len() > 1024 {
            return mistake("issuer", "be a URL of at most 1024 characters");
        }
        if !visible(&settings.client_id) || settings.client_id.len() > 512 {
            return mistake("client_id", "be 1 to 512 visible ASCII characters");
        }
        let has_secret = settings.client_secret.as_ref().is_some_and(|secret| !secret.expose().is_empty());
        match settings.auth_method {
            Some(AuthMethod::None) if has_secret => {
                return mistake("client_secret", "not be given if `auth_method` is `none`");
            }
            None | Some(AuthMethod::Basic | AuthMethod::Post) if !has_secret => {
                return mistake("client_secret", "be given, unless `auth_method` is `none`");
            }
            _ => {}
        }
        let is_scope = |scope: &String| {
            !scope.is_empty() && scope.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
        };
        if settings.scopes.len() > 64 || !settings.scopes.iter().all(is_scope) {
            return mistake("scopes", "be at most 64 names without spaces, quotes and backslashes");
        }
        check_paths(&settings)?;
        let is_free = |(name, _): &(String, String)| !name.is_empty() && !RESERVED.contains(&name.as_str());
        if settings.parameters.len() > 32 || !settings.parameters.iter().all(is_free) {
            return mistake("parameters", "be at most 32, and none that the protocol sets, nor `max_age`");
        }
        if settings.claims.len() > 64 {
            return mistake("claims", "be at most 64 names");
        }
        let token = settings.cookie.bytes().all(message::is_token_byte);
        if settings.cookie.is_empty()
            || settings.cookie.len() > 64
            || !token
            || settings.cookie.starts_with("__")
        {
            return mistake("cookie", "be a name of 1 to 64 characters that does not begin with `__`");
        }
        if settings.idle_lifetime == 0 || settings.idle_lifetime > settings.absolute_lifetime {
            return mistake("idle_lifetime", "be at least a second, and at most `absolute_lifetime`");
        }
        if settings.absolute_lifetime > 400 * 24 * 60 * 60 {
            return mistake("absolute_lifetime", "be at most 400 days: browsers keep no cookie longer");
        }
        let others = settings.scopes.iter().map(String::as_str).filter(|scope| *scope != "openid");
        let scope = ["openid"].into_iter().chain(others).collect::<Vec<_>>().join(" ");
        Ok(Self { settings, keys, scope })
    }

    /// What the operator decided.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.keys
    }

    /// All scopes, separated by spaces.
    pub(crate) fn scope(&self) -> &str {
        &self.scope
    }

    /// Whether a path is one of the three that the client answers itself.
    pub(crate) fn owns_path(&self, path: &str) -> bool {
        own_paths(&self.settings).iter().any(|(_, own)| *own == path)
    }
}

fn own_paths(settings: &Settings) -> [(&'static str, &str); 3] {
    [
        ("callback_path", &settings.callback_path),
        ("logout_path", &settings.logout_path),
        ("backchannel_path", &settings.backchannel_path),
    ]
}

fn check_paths(settings: &Settings) -> Result<(), SettingsMistake> {
    let own = own_paths(settings);
    for (index, (setting, path)) in own.iter().enumerate() {
        let is_canonical =
            message::canonicalize_path(path.as_bytes()).is_ok_and(|form| form == path.as_bytes());
        if !path.starts_with('/')
            || !is_canonical
            || path.len() > 256
            || path.contains(['?', '#'])
            || *path == "/"
        {
            let must = "be a path in its canonical form, other than `/`";
            return Err(SettingsMistake { setting, must });
        }
        if own.iter().skip(index + 1).any(|(_, other)| other == path) {
            return Err(SettingsMistake { setting, must: "differ from the other paths of the client" });
        }
    }
    let after = &settings.after_logout;
    if crate::facts::local_target(after.as_bytes()) != Some(after)
        || own.iter().any(|(_, path)| after.split('?').next() == Some(path))
    {
        let must = "be a path on the own host, other than those of the client";
        return Err(SettingsMistake { setting: "after_logout", must });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(change: impl FnOnce(&mut Settings)) -> Result<Client, SettingsMistake> {
        let mut settings = Settings::new("https://idp.test", "web");
        settings.client_secret = Some(Secret::new("hush".to_owned()));
        change(&mut settings);
        Client::new(settings, Keys::new(&[&[1; 32]]).unwrap())
    }

    #[test]
    fn openid_is_always_asked_for_and_once() {
        for (scopes, want) in
            [(&[][..], "openid"), (&["a", "openid"], "openid a"), (&["a", "b:c"], "openid a b:c")]
        {
            let made = client(|all| all.scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect());
            assert_eq!(made.unwrap().scope(), want);
        }
    }

    type Change = fn(&mut Settings);

    #[test]
    fn settings_that_cannot_be_are_named() {
        let cases: &[(&str, Change)] = &[
            ("issuer", |all| all.issuer.clear()),
            ("client_id", |all| all.client_id = "é".to_owned()),
            ("client_secret", |all| all.client_secret = None),
            ("client_secret", |all| all.client_secret = Some(Secret::default())),
            ("client_secret", |all| all.auth_method = Some(AuthMethod::None)),
            ("scopes", |all| all.scopes = vec!["a b".to_owned()]),
            ("callback_path", |all| all.callback_path = "callback".to_owned()),
            ("callback_path", |all| all.callback_path = "/a/../b".to_owned()),
            ("callback_path", |all| all.callback_path = "/".to_owned()),
            ("callback_path", |all| all.callback_path = all.logout_path.clone()),
            ("logout_path", |all| all.logout_path = "/out?x".to_owned()),
            ("logout_path", |all| all.logout_path = all.backchannel_path.clone()),
            ("after_logout", |all| all.after_logout = "https://evil.test".to_owned()),
            ("after_logout", |all| all.after_logout = "//evil.test".to_owned()),
            ("after_logout", |all| all.after_logout = "/.gateward/logout?again".to_owned()),
            ("parameters", |all| all.parameters = vec![("state".to_owned(), "x".to_owned())]),
            ("parameters", |all| all.parameters = vec![("max_age".to_owned(), "1".to_owned())]),
            ("cookie", |all| all.cookie = "__Host-a".to_owned()),
            ("cookie", |all| all.cookie = "a;b".to_owned()),
            ("idle_lifetime", |all| all.idle_lifetime = 0),
            ("idle_lifetime", |all| all.idle_lifetime = all.absolute_lifetime + 1),
            ("absolute_lifetime", |all| all.absolute_lifetime = u64::MAX),
        ];
        for (index, (setting, change)) in cases.iter().enumerate() {
            assert_eq!(client(change).unwrap_err().setting, *setting, "case {index}");
        }
        let public: Change = |all| (all.client_secret, all.auth_method) = (None, Some(AuthMethod::None));
        assert!(client(public).is_ok());
        assert!(client(|all| all.after_logout = "/bye?a=1".to_owned()).is_ok());
    }

    #[test]
    fn nothing_secret_is_shown() {
        let shown = format!("{:?} {:?}", client(|_| {}).unwrap(), client(|_| {}).unwrap().settings());
        assert!(!shown.contains("hush"), "{shown}");
    }
}

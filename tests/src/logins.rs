//! A gateway that logs people in at a real provider, and a service behind it. Entry points: [`World::new`],
//! [`World::person`].

use serde_json::{Value, json};

use crate::browser::{Browser, parameters};
use crate::oidc_provider::{Provider, machine};
use crate::{Gateway, Message, Origin, Setup, free_address};

/// What the gateway proves with who it is. It has to be escaped in `authorization` (RFC 6749 §2.3.1).
pub const CLIENT_SECRET: &str = "to be: escaped/+%&=";
/// What cookies are encrypted with.
pub const SESSION_SECRET: &str = "0123456789abcdef0123456789abcdef";
/// What tokens of programs are for.
pub const API: &str = "https://api.test/";

/// What the service says of `/public`: caches may keep it.
const PUBLIC: &str = "Cache-Control: public, max-age=600\r\nSet-Cookie: site=1; Path=/\r\n";

/// What is special about a world.
#[derive(Default)]
pub struct Wish<'a> {
    /// More settings of the policy.
    pub oidc: &'a str,
    /// More keys of the route.
    pub route: &'a str,
    /// More members of the client at the provider, by the URL of the gateway.
    pub client: Option<fn(&str) -> Value>,
    /// For how long access tokens are good, in seconds.
    pub token: Option<u64>,
}

/// A provider, a gateway that logs people in there, and a service.
pub struct World {
    /// The provider. It has a client `robot` for programs.
    pub provider: Provider,
    /// The service.
    pub origin: Origin,
    /// The gateway.
    pub gateway: Gateway,
    /// What it was started with.
    pub setup: Setup,
    /// Its URL, without a slash at the end.
    pub base: String,
}

impl World {
    /// Starts all. `None` where there is no provider.
    pub fn new(wish: &Wish<'_>) -> Option<World> {
        let address = free_address();
        let base = format!("http://{address}");
        let mut client = client(&base);
        if let Some(Value::Object(members)) = wish.client.map(|more| more(&base)) {
            client.as_object_mut().unwrap().extend(members);
        }
        let provider = Provider::start(json!({
            "keys": ["P-256"],
            "clients": [client, machine("robot")],
            "resources": { API: { "alg": "ES256" }, "https://other.test/": { "alg": "ES256" } },
            "ttl": { "AccessToken": wish.token.unwrap_or(3600) },
        }))?;
        let origin = Origin::serving(|request| {
            let fields = if request.target() == "/public" { PUBLIC } else { "" };
            Some(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 6\r\n\r\nserved").into_bytes())
        });
        let setup = setup(&address.to_string(), &provider.issuer(), &origin, wish);
        Some(World { provider, origin, gateway: setup.start(), setup, base })
    }

    /// The same with another gateway at the same address, which is started when the one before has ended.
    pub fn restarted(self, setup: Setup) -> World {
        let World { provider, origin, gateway, base, .. } = self;
        gateway.stop();
        World { provider, origin, gateway: setup.start(), setup, base }
    }

    /// Ends the gateway, and checks that it ends well.
    pub fn stop(self) {
        self.gateway.stop();
    }

    /// A URL of the gateway.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Where the provider sends browsers back to.
    pub fn callback(&self) -> String {
        self.url("/.gateward/callback")
    }

    /// Somebody who is logged in.
    pub fn person(&self, name: &str) -> Browser {
        let mut browser = Browser::default();
        let page = browser.log_in(&self.url("/"), name);
        assert_eq!((page.status(), page.url()), (200, &*self.url("/")), "{page:?}");
        browser
    }

    /// Somebody who has logged in and has not opened the page yet: the cookies are as the callback has set them.
    pub fn newcomer(&self, name: &str) -> Browser {
        let mut browser = Browser { stop_before: Some(self.url("/page")), ..Browser::default() };
        let page = browser.log_in(&self.url("/page"), name);
        assert_eq!((page.status(), page.url()), (302, &*self.url("/page")), "{page:?}");
        Browser { stop_before: None, ..browser }
    }

    /// The last request that reached the service.
    pub fn last(&self) -> Message {
        self.origin.requests().last().unwrap().clone()
    }

    /// What a script of a page gets with the cookies that a browser has, from each of the workers.
    pub fn status(&self, browser: &Browser) -> u16 {
        let statuses = [(); 6].map(|()| browser.clone().script(&self.url("/data")).status());
        assert!(statuses.iter().all(|status| *status == statuses[0]), "{statuses:?}");
        statuses[0]
    }

    /// Whether somebody who opens a page is sent to the provider.
    pub fn asks_for_login(&self, browser: &Browser) -> bool {
        let mut browser = Browser { stop_before: Some(self.provider.issuer()), ..browser.clone() };
        let page = browser.open(&self.url("/page"));
        page.status() == 302 && page.url().starts_with(&format!("{}/auth?", self.provider.issuer()))
    }
}

/// The client of a gateway, for a setup of a provider.
pub fn client(base: &str) -> Value {
    json!({
        "client_id": "web",
        "client_secret": CLIENT_SECRET,
        "redirect_uris": [format!("{base}/.gateward/callback")],
        "post_logout_redirect_uris": [format!("{base}/bye")],
    })
}

/// A gateway whose service is for people who are logged in, but for the page `/bye`.
pub fn setup(listen: &str, issuer: &str, origin: &Origin, wish: &Wish<'_>) -> Setup {
    let yaml = format!(
        "listen: {listen}\nadmin: 127.0.0.1:0\nservices: {{ site: {{ endpoints: [http://{}] }} }}\npolicies:\n  \
         oidc: {{ issuer: \"{issuer}\", client_id: web, client_secret: \"${{env:CLIENT_SECRET}}\", \
         secret: \"${{env:SESSION_SECRET}}\", after_logout: /bye, claims_to_headers: {{ x-user: sub, x-email: email }}, \
         {} }}\nroutes:\n- {{ path: /*, service: site, {} }}\n\
         - {{ path: /bye, respond: {{ body: good bye }}, policies: {{ oidc: off }} }}\n",
        origin.address(),
        wish.oidc,
        wish.route
    );
    Setup { environment: environment(), workers: Some(2), ..Setup::new(yaml) }
}

/// The secrets, as configurations name them.
pub fn environment() -> Vec<(String, String)> {
    let all = [("CLIENT_SECRET", CLIENT_SECRET), ("SESSION_SECRET", SESSION_SECRET)];
    all.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// A parameter of a URL.
///
/// # Panics
///
/// If it is not there.
pub fn parameter(url: &str, name: &str) -> String {
    let found = parameters(url).into_iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("no `{name}` in {url}")).1
}

/// The code of a problem document.
pub fn code(answer: &Message) -> String {
    let problem = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
    problem["code"].as_str().unwrap_or_default().to_owned()
}

//! What tests of this crate have in common: a client, a provider, a browser that keeps cookies, and randomness
//! that is the same every time.

use std::cell::Cell;

use aws_lc_rs::error::Unspecified;
use message::{Headers, Method};
use serde_json::{Map, Value, json};

use crate::form::Parameters;
use crate::{AuthMethod, Client, Keys, Provider, RequestFacts, Secret, Session, Settings};

pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) provider: Provider,
    pub(crate) cookies: Vec<(String, String)>,
    /// Those of the next request.
    pub(crate) headers: Headers,
    seed: Cell<u64>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::with_keys(&[&[1; 32]], change)
    }

    pub(crate) fn with_keys(keys: &[&[u8; 32]], change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::new("https://idp.test", "web");
        settings.client_secret = Some(Secret::new("hush".to_owned()));
        change(&mut settings);
        let provider = Provider {
            issuer: settings.issuer.clone(),
            authorization_endpoint: "https://idp.test/auth".to_owned(),
            token_endpoint: "https://idp.test/token".to_owned(),
            jwks_uri: "https://idp.test/jwks".to_owned(),
            end_session_endpoint: None,
            auth_methods: vec![AuthMethod::Basic],
            id_token_algorithms: Vec::new(),
            always_names_itself: false,
        };
        let client = Client::new(settings, Keys::new(keys).unwrap()).unwrap();
        let mut world =
            Self { client, provider, cookies: Vec::new(), headers: Headers::default(), seed: Cell::new(0) };
        world.absorb(&[]);
        world
    }

    /// A navigation of the browser.
    pub(crate) fn facts<'a>(&'a self, target: &'a str) -> RequestFacts<'a> {
        RequestFacts {
            https: true,
            authority: b"app.test",
            path_and_query: target.as_bytes(),
            method: Method::Get,
            headers: &self.headers,
        }
    }

    /// The browser takes note of cookies.
    pub(crate) fn absorb(&mut self, set_cookies: &[String]) {
        for line in set_cookies {
            let (name, rest) = line.split_once('=').unwrap();
            let (value, attributes) = rest.split_once(';').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            if !attributes.contains("Max-Age=0;") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        self.headers.clear();
        self.headers.push(b"accept", b"text/html");
        for (name, value) in &self.cookies {
            self.headers.push(b"cookie", format!("{name}={value}").as_bytes());
        }
    }

    /// SplitMix64: each call gives other bytes, each run the same.
    pub(crate) fn random(&self) -> impl FnMut(&mut [u8]) -> Result<(), Unspecified> + '_ {
        |out| {
            for byte in out {
                self.seed.set(self.seed.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
                let mut z = self.seed.get();
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                *byte = (z >> 56) as u8;
            }
            Ok(())
        }
    }
}

/// A session that began at 1000.
pub(crate) fn session() -> Session {
    Session {
        subject: "ada".to_owned(),
        sid: Some("sid-1".to_owned()),
        claims: object(json!({ "email": "ada@idp.test", "groups": ["a", "b"] })),
        access_token: Secret::new("access".to_owned()),
        refresh_token: Some(Secret::new("refresh".to_owned())),
        id_token: Some(Secret::new("id.token.hint".to_owned())),
        access_expires: Some(1300),
        issued: 1000,
        renewed: 1000,
        authenticated: 999,
        nonce: Secret::new("nonce".to_owned()),
    }
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        other => panic!("{other} is no object"),
    }
}

/// The parameters of a URL.
pub(crate) fn query_of(url: &str) -> Parameters {
    let (_, query) = url.split_once('?').unwrap();
    Parameters::parse(query.as_bytes(), 10_000).unwrap()
}

//! What the tests have in common: a provider that signs, a browser that keeps cookies, and a chain with the policy.

use std::rc::Rc;
use std::sync::Arc;

use ::oidc::{AuthMethod, Provider};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use diagnostics::{Diagnostics, SourceId, Span};
use message::{Method, Reply};
use serde_json::{Value, json};

use crate::scene::Scene;
use crate::{
    Answer, Chain, Compiling, Consumers, Halt, HeldBody, Issuer, Link, Providers, Question, Refusal, Verified,
};

pub(super) const ISSUER: &str = "https://idp.test";
pub(super) const SETTINGS: &str = "{ issuer: https://idp.test, client_id: web, client_secret: hush, \
     secret: 0123456789abcdef0123456789abcdef }";

/// The provider.
pub(super) struct Idp {
    key: EcdsaKeyPair,
    pub(super) kid: &'static str,
    /// What the next `id_token` says, besides what it has to.
    pub(super) nonce: String,
    pub(super) more: Value,
    /// The code and the refresh token that are good, once each.
    pub(super) code: Option<&'static str>,
    pub(super) refresh: Option<String>,
    /// How long access tokens last.
    pub(super) lifetime: u64,
    /// The forms that came to the token endpoint.
    pub(super) forms: Vec<String>,
    /// It is not there.
    pub(super) down: bool,
}

impl Idp {
    fn new() -> Idp {
        Idp {
            key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            kid: "k1",
            nonce: String::new(),
            more: json!({}),
            code: Some("code-1"),
            refresh: Some("refresh-1".to_owned()),
            lifetime: 300,
            forms: Vec::new(),
            down: false,
        }
    }

    fn jwks(&self) -> String {
        let point = self.key.public_key().as_ref().to_vec();
        let number = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let key = json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid,
            "x": number(&point[1..33]), "y": number(&point[33..]) });
        json!({ "keys": [key] }).to_string()
    }

    /// A token with these claims; those that are null are left out.
    pub(super) fn sign(&self, header: &Value, claims: &Value) -> String {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let mut whole = json!({ "alg": "ES256", "kid": self.kid });
        whole.as_object_mut().unwrap().extend(header.as_object().unwrap().clone());
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&whole), part(&claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
    }

    pub(super) fn id_token(&self, now: u64) -> String {
        let mut claims = json!({ "iss": ISSUER, "aud": "web", "sub": "ada", "sid": "s1", "iat": now, "exp": now + 300,
            "nonce": self.nonce, "email": "ada@a.test", "groups": ["staff"] });
        claims.as_object_mut().unwrap().extend(self.more.as_object().unwrap().clone());
        self.sign(&json!({}), &claims)
    }

    /// The token endpoint.
    fn tokens(&mut self, form: &str, now: u64) -> Answer {
        if self.down {
            return Answer::Nothing("down".to_owned());
        }
        self.forms.push(form.to_owned());
        let has = |pair: String| form.split('&').any(|other| *other == pair);
        let good = match (has("grant_type=refresh_token".to_owned()), self.code, self.refresh.take()) {
            (false, Some(code), refresh) => {
                self.code = None;
                self.refresh = refresh;
                has(format!("code={code}"))
                    && has("redirect_uri=https%3A%2F%2Fa.test%2F.gateward%2Fcallback".to_owned())
            }
            (true, _, Some(refresh)) => {
                // Who uses a refresh token twice loses it.
                let good = has(format!("refresh_token={refresh}"));
                self.refresh = good.then(|| format!("{refresh}x"));
                good
            }
            (false, None, _) | (true, _, None) => false,
        };
        let (status, body) = if good {
            let body = json!({ "access_token": format!("at-{}", self.forms.len()), "token_type": "Bearer",
                "expires_in": self.lifetime, "refresh_token": self.refresh, "id_token": self.id_token(now) });
            (200, body)
        } else {
            (400, json!({ "error": "invalid_grant" }))
        };
        Answer::Http(Box::new(authority::Answer {
            status,
            body: body.to_string().into_bytes().into(),
            ..Default::default()
        }))
    }
}

/// All of it.
pub(super) struct World {
    pub(super) idp: Idp,
    pub(super) now: u64,
    pub(super) cookies: Vec<(String, String)>,
    pub(super) verified: Verified,
    pub(super) issuer: Arc<Issuer>,
    /// What is sent as a body.
    pub(super) body: String,
    /// What was asked, by its kind.
    pub(super) asked: Vec<String>,
    pub(super) consumers: Arc<Consumers>,
    pub(super) providers: Providers,
    pub(super) chain: Chain,
    keeper: Vec<crate::IssuerKeeper>,
    /// Fetching the keys brings some, and says what the provider is.
    pub(super) keys_come: bool,
}

/// A policy, made with what is known of providers; or the messages of its mistakes.
pub(super) fn compile(
    settings: &str,
    consumers: &Arc<Consumers>,
    providers: &Providers,
) -> (Option<crate::Policy>, Vec<String>) {
    let mut diagnostics = Diagnostics::new();
    let node = document::parse(SourceId(0), settings, &mut diagnostics).unwrap();
    let policy = crate::compile("oidc", &node, &mut Compiling::new(&mut diagnostics, consumers, providers));
    (policy, diagnostics.iter().map(|one| format!("{}: {}", one.code, one.message)).collect())
}

pub(super) fn provider() -> Provider {
    let at = |path: &str| format!("{ISSUER}{path}");
    Provider {
        issuer: ISSUER.to_owned(),
        authorization_endpoint: at("/auth"),
        token_endpoint: at("/token"),
        jwks_uri: at("/jwks"),
        end_session_endpoint: Some(at("/logout")),
        auth_methods: vec![AuthMethod::Basic],
        id_token_algorithms: vec!["ES256".to_owned()],
        always_names_itself: false,
    }
}

impl World {
    /// With more settings than those that have to be; the provider is known.
    pub(super) fn new(more: &str) -> World {
        let mut world = World::unknown(more);
        world.fetch();
        world
    }

    /// The same, and nothing is known of the provider.
    pub(super) fn unknown(more: &str) -> World {
        World::with(more, Arc::default())
    }

    pub(super) fn with(more: &str, consumers: Arc<Consumers>) -> World {
        let providers = Providers::default();
        let settings = SETTINGS.replace(" }", &format!(", {more} }}")).replace(",  }", " }");
        let (policy, mistakes) = compile(&settings, &consumers, &providers);
        assert_eq!(mistakes, [""; 0], "{settings}");
        let link = Link { policy: Arc::new(policy.unwrap()), source: Span::default() };
        World {
            idp: Idp::new(),
            now: 1_000_000,
            cookies: Vec::new(),
            verified: Verified::default(),
            issuer: providers.issuers().remove(0),
            body: String::new(),
            asked: Vec::new(),
            consumers,
            keeper: providers.take_keepers(),
            providers,
            chain: Chain::new(vec![link]),
            keys_come: true,
        }
    }

    /// The keys of the provider are fetched.
    pub(super) fn fetch(&mut self) {
        self.keeper[0].keeper.start_from(self.idp.jwks().into_bytes().into()).unwrap();
        self.issuer.set_provider(Some(provider()));
    }

    /// A request of the browser, or of somebody with its cookies.
    pub(super) fn scene(&mut self, target: &str, fields: &[(&str, &str)]) -> Scene {
        let jar: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let jar = jar.join("; ");
        let cookies = (!jar.is_empty()).then_some(("cookie", jar.as_str()));
        let fields: Vec<_> = fields.iter().copied().chain(cookies).collect();
        let mut scene =
            Scene { now: self.now, consumers: Arc::clone(&self.consumers), ..Scene::get(target, &fields) };
        scene.state.https = true;
        scene
    }

    /// Runs the chain until it waits, or to its end.
    pub(super) fn step(&mut self, scene: &mut Scene) -> Result<Option<Reply>, Box<Question>> {
        std::mem::swap(&mut self.verified, &mut scene.verified);
        let result = self.chain.run_request(&mut scene.cx(), |_, _, _| {});
        std::mem::swap(&mut self.verified, &mut scene.verified);
        match result {
            Ok(_) => Ok(None),
            Err(Halt::Refused(Refusal::Reply(reply))) => Ok(Some(reply)),
            Err(Halt::Refused(Refusal::Fault(fault))) => Ok(Some(Reply::fault(fault, ""))),
            Err(Halt::Ask(_, question)) => Err(question),
        }
    }

    /// The answer to a question.
    pub(super) fn answer(&mut self, question: &Question) -> Answer {
        self.asked.push(format!("{question:?}"));
        match question {
            Question::Http(ask) => {
                assert_eq!((ask.uri.to_string(), ask.repeatable), (format!("{ISSUER}/token"), false));
                // `web:hush`.
                assert_eq!(ask.headers["authorization"], "Basic d2ViOmh1c2g=");
                self.idp.tokens(std::str::from_utf8(&ask.body).unwrap(), self.now)
            }
            Question::Keys(_) if self.keys_come => {
                self.fetch();
                Answer::Keys
            }
            Question::Keys(_) => Answer::Nothing("no keys".to_owned()),
            Question::Body { most, .. } => {
                assert!(self.body.len() <= *most);
                Answer::Body
            }
            Question::Later(_) => Answer::Later,
            Question::Password { .. } | Question::Ldap(_) | Question::Store(_) => {
                panic!("nobody has a password, and no limit is shared")
            }
        }
    }

    /// Runs it to the end; the browser takes note of cookies.
    pub(super) fn finish(&mut self, scene: &mut Scene) -> Option<Reply> {
        loop {
            match self.step(scene) {
                Ok(reply) => {
                    let told = reply.iter().flat_map(|reply| &reply.headers);
                    let told =
                        told.filter(|(name, _)| name == "set-cookie").map(|(_, value)| value.to_string());
                    let told: Vec<_> = told.chain(scene.state.cookies.iter().cloned()).collect();
                    self.absorb(&told);
                    return reply;
                }
                Err(question) => {
                    if matches!(*question, Question::Body { .. }) {
                        let bytes = self.body.clone().into_bytes();
                        scene.state.body = Some(Rc::new(HeldBody { bytes, is_whole: true }));
                    }
                    scene.answer = Some(self.answer(&question));
                }
            }
        }
    }

    pub(super) fn absorb(&mut self, told: &[String]) {
        for line in told {
            assert!(line.starts_with("__Host-") && line.contains("; Secure;"), "{line}");
            let (name, rest) = line.split_once('=').unwrap();
            let (value, attributes) = rest.split_once(';').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            if !attributes.contains("Max-Age=0;") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    pub(super) fn get(&mut self, target: &str, fields: &[(&str, &str)]) -> (Option<Reply>, Scene) {
        let mut scene = self.scene(target, fields);
        (self.finish(&mut scene), scene)
    }

    pub(super) fn post(&mut self, target: &str, fields: &[(&str, &str)]) -> Option<Reply> {
        let mut scene = self.scene(target, fields);
        scene.head.method = Method::Post;
        self.finish(&mut scene)
    }

    /// A page.
    pub(super) fn open(&mut self, target: &str) -> (Option<Reply>, Scene) {
        self.get(target, &[("accept", "text/html")])
    }

    /// Who the service is told to be calling; `None` if it is not called.
    pub(super) fn who(&mut self) -> Option<String> {
        let (reply, mut scene) = self.get("/api", &[]);
        if let Some(reply) = reply {
            assert!(matches!(reply.status, 401 | 503), "{reply:?}");
            return None;
        }
        Some(scene.cx().identity().unwrap().name().to_owned())
    }

    /// Begins a login, and tells with which target the provider sends the browser back.
    pub(super) fn begin(&mut self, target: &str) -> String {
        let (reply, _) = self.open(target);
        let reply = reply.unwrap();
        assert_eq!(reply.status, 302);
        let location = header(&reply, "location");
        let parameter = |name: &str| {
            let (_, rest) = location.split_once(&format!("&{name}=")).unwrap();
            rest.split('&').next().unwrap().to_owned()
        };
        self.idp.nonce = parameter("nonce");
        self.idp.code = Some("code-1");
        format!("/.gateward/callback?code=code-1&state={}", parameter("state"))
    }

    /// Logs in.
    pub(super) fn login(&mut self) {
        let back = self.begin("/");
        let (reply, _) = self.open(&back);
        assert_eq!(reply.unwrap().status, 302);
    }
}

pub(super) fn header(reply: &Reply, name: &str) -> String {
    reply
        .headers
        .iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.to_string())
        .unwrap_or_default()
}

/// The code of a problem.
pub(super) fn code(reply: &Reply) -> String {
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    body["code"].as_str().unwrap().to_owned()
}

//! Sessions and logins in cookies: only what was sealed here is opened, whole and in time, and only the answer to a
//! login that this browser has begun is taken.
//!
//! The first byte chooses the connection and the time. Then come lines: a query, and values of `Cookie`. In both
//! `{name}` stands for what a browser could have: see [`World::filled`].

#![no_main]

use std::cell::RefCell;

use aws_lc_rs::error::Unspecified;
use fuzz::{cookies, lines, query_pairs};
use libfuzzer_sys::fuzz_target;
use message::{Headers, Method};
use oidc::{
    AuthMethod, CallbackError, Client, Keys, Opened, Provider, RequestFacts, Secret, Session, Settings,
    Verified, begin, callback, hide_cookies,
};
use serde_json::json;

const ISSUER: &str = "https://idp.test";
/// When the logins began, and when the sessions did.
const BEGUN: u64 = 1000;
const IDLE: u64 = 3600;
/// The longest cookie that is read.
const PIECE: usize = 3800;

/// A client with its provider, and what a browser could have of it.
struct World {
    client: Client,
    provider: Provider,
    /// Sessions, with their sealed text: a short one, and one of two pieces.
    sessions: [(Session, String); 2],
    /// The login under way: its state, and its sealed text.
    state: String,
    login: String,
    /// The session of another client of the same provider.
    foreign: String,
}

thread_local! {
    static WORLD: World = world();
    static SEED: RefCell<fastrand::Rng> = const { RefCell::new(fastrand::Rng::with_seed(1)) };
}

fuzz_target!(|bytes: &[u8]| {
    let Some((flags, mut lines)) = lines(bytes) else { return };
    WORLD.with(|world| {
        let query = world.filled(lines.next().unwrap_or_default());
        let mut headers = Headers::default();
        headers.push(b"accept", b"text/html");
        for line in lines {
            let value = world.filled(line);
            if Headers::is_valid_value(&value) {
                headers.push(b"Cookie", &value);
            }
        }
        let target = [b"/.gateward/callback?", &query[..]].concat();
        let facts = RequestFacts {
            https: flags & 1 == 0,
            authority: b"App.test",
            path_and_query: &target,
            method: if flags & 2 == 0 { Method::Get } else { Method::Post },
            headers: &headers,
        };
        let now = BEGUN + [1, 599, 600, IDLE, IDLE + 1, 50_000][usize::from(flags >> 2) % 6];
        check_session(world, &facts, now);
        check_callback(world, &facts, &query, now);
        check_hiding(&headers);
    });
});

fn random(out: &mut [u8]) -> Result<(), Unspecified> {
    SEED.with_borrow_mut(|seed| seed.fill(out));
    Ok(())
}

fn world() -> World {
    let provider = Provider {
        issuer: ISSUER.to_owned(),
        authorization_endpoint: format!("{ISSUER}/auth"),
        token_endpoint: format!("{ISSUER}/token"),
        jwks_uri: format!("{ISSUER}/jwks"),
        end_session_endpoint: None,
        auth_methods: vec![AuthMethod::Basic],
        id_token_algorithms: Vec::new(),
        always_names_itself: false,
    };
    let client = |id: &str| {
        let mut settings = Settings::new(ISSUER, id);
        settings.client_secret = Some(Secret::new("hush".to_owned()));
        Client::new(settings, Keys::new(&[&[1; 32]]).unwrap()).unwrap()
    };
    let (own, other) = (client("web"), client("wap"));
    let short = logged_in(&own, &provider, "at");
    let long = logged_in(&own, &provider, &"t".repeat(4000));
    let foreign = logged_in(&other, &provider, "at").1;
    let [state, _, _, login] = begun(&own, &provider);
    World { sessions: [short, long], client: own, provider, state, login, foreign }
}

/// A page on the host of the client.
fn page<'f>(headers: &'f Headers, target: &'f [u8]) -> RequestFacts<'f> {
    RequestFacts { https: true, authority: b"app.test", path_and_query: target, method: Method::Get, headers }
}

/// Begins a login. Returns the state, the nonce, and the name and the value of its cookie.
fn begun(client: &Client, provider: &Provider) -> [String; 4] {
    let mut headers = Headers::default();
    headers.push(b"accept", b"text/html");
    let login = begin(client, provider, &page(&headers, b"/a?b"), BEGUN, &mut random).unwrap();
    let (_, query) = login.location.split_once('?').unwrap();
    let of = |wanted: &str| {
        let pair = query_pairs(query.as_bytes()).into_iter().find(|(name, _)| name == wanted.as_bytes());
        String::from_utf8(pair.unwrap().1).unwrap()
    };
    let (name, value) = set(&login.set_cookies[0]);
    [of("state"), of("nonce"), name, value.unwrap()]
}

/// A whole login. Returns the session and its sealed text.
fn logged_in(client: &Client, provider: &Provider, access_token: &str) -> (Session, String) {
    let [state, nonce, name, value] = begun(client, provider);
    let mut headers = Headers::default();
    headers.push(b"cookie", format!("{name}={value}").as_bytes());
    let target = format!("/.gateward/callback?code=c&state={state}");
    let facts = page(&headers, target.as_bytes());
    let pending = callback(client, provider, &facts, BEGUN).unwrap();
    let tokens = json!({ "access_token": access_token, "token_type": "Bearer", "id_token": "a.b.c" });
    let needs = pending.finish(200, tokens.to_string().as_bytes(), BEGUN).unwrap();
    let claims = json!({
        "iss": ISSUER, "aud": client.settings().client_id, "sub": "ada", "iat": BEGUN, "exp": BEGUN + 300,
        "nonce": nonce, "email": "ada@idp.test",
    });
    let verified = Verified { claims: claims.as_object().unwrap(), algorithm: "RS256" };
    let done = needs.complete(client, &facts, verified, BEGUN, &mut random).unwrap();
    assert_eq!(done.return_to, "/a?b");
    let pieces = done.set_cookies.iter().filter_map(|cookie| set(cookie).1);
    // The first character counts the pieces.
    (done.session, pieces.collect::<String>()[1..].to_owned())
}

/// Name and value of a `Set-Cookie`; no value if it deletes.
fn set(cookie: &str) -> (String, Option<String>) {
    let (pair, attributes) = cookie.split_once(';').unwrap();
    let (name, value) = pair.split_once('=').unwrap();
    (name.to_owned(), (!attributes.contains("Max-Age=0;")).then(|| value.to_owned()))
}

impl World {
    /// Puts in what a browser could have: `{short}` a session; `{first}` and `{second}` the pieces of a long one, whose
    /// number is not among them; `{foreign}` one of another client; `{login}`, `{state}` and `{id}` of the login.
    fn filled(&self, line: &[u8]) -> Vec<u8> {
        let long = &self.sessions[1].1;
        let cut = PIECE - "__Host-gateward=2".len();
        let values = [
            ("{short}", &self.sessions[0].1[..]),
            ("{first}", &long[..cut]),
            ("{second}", &long[cut..]),
            ("{foreign}", &self.foreign),
            ("{login}", &self.login),
            ("{state}", &self.state),
            ("{id}", &self.state[..12]),
        ];
        let mut out = Vec::new();
        let mut rest = line;
        while let Some((&byte, behind)) = rest.split_first() {
            match values.iter().find(|(name, _)| rest.starts_with(name.as_bytes())) {
                // What grows without end is no other case.
                Some((name, value)) if out.len() < 20_000 => {
                    out.extend_from_slice(value.as_bytes());
                    rest = &rest[name.len()..];
                }
                _ => {
                    out.push(byte);
                    rest = behind;
                }
            }
        }
        out
    }
}

/// The value of the first cookie of a name, among those that have one.
fn value(headers: &Headers, name: &str) -> Option<Vec<u8>> {
    let all = cookies(headers.values(b"cookie")).into_iter();
    all.filter(|(own, _)| own == name.as_bytes()).find_map(|(_, value)| value)
}

/// The sealed text in the cookies of a request, put together.
fn gathered(headers: &Headers, name: &str) -> Option<Vec<u8>> {
    let first = value(headers, name)?;
    let (count, first) = first.split_first()?;
    let count = char::from(*count).to_digit(10).filter(|count| (1..=5).contains(count))?;
    let more = (1..count).map(|piece| value(headers, &format!("{name}.{piece}")));
    let pieces: Option<Vec<_>> = std::iter::once(Some(first.to_vec())).chain(more).collect();
    pieces.filter(|pieces| pieces.iter().all(|piece| piece.len() <= PIECE)).map(|pieces| pieces.concat())
}

fn check_session(world: &World, facts: &RequestFacts<'_>, now: u64) {
    let name = if facts.https { "__Host-gateward" } else { "gateward" };
    let text = gathered(facts.headers, name);
    let genuine = world.sessions.iter().find(|(_, sealed)| text.as_deref() == Some(sealed.as_bytes()));
    let opened = Session::open(&world.client, facts, now);
    let mut session = match (opened, genuine) {
        (Opened::None, None) => return assert_eq!(value(facts.headers, name), None),
        (Opened::Invalid, None) => return,
        (Opened::Expired, Some(_)) => return assert!(now >= BEGUN + IDLE),
        (Opened::Valid(session), Some((genuine, _))) => {
            assert!(now < BEGUN + IDLE && *session == *genuine);
            session
        }
        (opened, _) => panic!("{opened:?} of {text:?}"),
    };

    // Sealed again, it takes the place of all that the browser has.
    let cookies = session.seal(&world.client, facts, now, &mut random).unwrap();
    let mut jar: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for (own, value) in fuzz::cookies(facts.headers.values(b"cookie")) {
        if !jar.iter().any(|(known, _)| *known == own) {
            jar.extend(value.map(|value| (own, value)));
        }
    }
    for cookie in &cookies {
        assert!(cookie.is_ascii() && cookie.len() <= 4096);
        let (own, value) = set(cookie);
        jar.retain(|(known, _)| known != own.as_bytes());
        jar.extend(value.map(|value| (own.into_bytes(), value.into_bytes())));
    }
    let mut headers = Headers::default();
    for (name, value) in &jar {
        headers.push(b"cookie", &[&name[..], b"=", value].concat());
    }
    match Session::open(&world.client, &RequestFacts { headers: &headers, ..*facts }, now) {
        Opened::Valid(again) => assert!(*again == *session && again.renewed == now),
        other => panic!("{other:?} after it was sealed"),
    }
    let pieces = (1..5).map(|piece| format!("{name}.{piece}"));
    let left = pieces.filter(|piece| jar.iter().any(|(own, _)| own == piece.as_bytes())).count();
    assert_eq!(left + 1, cookies.iter().filter(|cookie| set(cookie).1.is_some()).count());
}

fn check_callback(world: &World, facts: &RequestFacts<'_>, query: &[u8], now: u64) {
    let taken = callback(&world.client, &world.provider, facts, now);
    if let Err(CallbackError::Refused { code, description }) = &taken {
        assert!(code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'));
        let harmless = |byte: u8| (byte.is_ascii_graphic() || byte == b' ') && !b"<>&\"'`\\".contains(&byte);
        assert!(description.len() <= 256 && description.bytes().all(harmless));
    }
    let pairs = query_pairs(query);
    let once = |name: &str| {
        let mut values = pairs.iter().filter(|(own, _)| own == name.as_bytes()).map(|(_, value)| &value[..]);
        (values.next(), values.next().is_some())
    };
    let names = ["state", "code", "iss", "error", "error_description"];
    let is_text =
        pairs.iter().flat_map(|(name, value)| [name, value]).all(|text| str::from_utf8(text).is_ok());
    let percent = |at: &usize| query[*at] == b'%';
    let is_escape =
        |at: usize| query.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
    let prefix = if facts.https { "__Host-" } else { "" };
    let login = value(facts.headers, &format!("{prefix}gateward-login-{}", &world.state[..12]));
    let want = facts.method == Method::Get
        && query.len() <= 8192
        && pairs.len() <= 64
        && is_text
        && (0..query.len()).filter(percent).all(is_escape)
        && !names.into_iter().any(|name| once(name).1)
        && once("state").0 == Some(world.state.as_bytes())
        && once("iss").0.is_none_or(|issuer| issuer == ISSUER.as_bytes())
        && once("error").0.is_none()
        && once("code")
            .0
            .is_some_and(|code| (1..=4096).contains(&code.len()) && code.iter().all(u8::is_ascii_graphic))
        && login.as_deref() == Some(world.login.as_bytes())
        && now < BEGUN + 600;
    assert_eq!(taken.is_ok(), want, "{taken:?} of {}", query.escape_ascii());
}

/// The service sees no cookie of ours, and all others.
fn check_hiding(before: &Headers) {
    let is_ours = |name: &[u8]| {
        let name = name.strip_prefix(b"__Host-").unwrap_or(name);
        let rest = name.strip_prefix(b"gateward");
        rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'.' || rest.starts_with(b"-login-"))
    };
    let mut headers = before.clone();
    hide_cookies(&["gateward"], &mut headers);
    let mut want = cookies(before.values(b"cookie"));
    want.retain(|(name, _)| !is_ours(name));
    assert_eq!(cookies(headers.values(b"cookie")), want);
}

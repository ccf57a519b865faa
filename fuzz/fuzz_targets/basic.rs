//! API keys and passwords: who shows what is recognised, and the service sees none of it, nor misses anything else.
//!
//! The first byte chooses the policies. Then come lines: a name to remove, `METHOD TARGET`, and fields. Who is to be
//! recognised is said here once more, over what a simple reader makes of the request.

#![no_main]

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use diagnostics::{Diagnostics, SourceId, Span};
use fuzz::{cookies, lines, query_pairs, request};
use libfuzzer_sys::fuzz_target;
use message::{Headers, RequestHead};
use policy::{
    Answer, Chain, Compiling, Consumers, Halt, Link, NewConsumer, NewKey, Providers, Question, Refusal,
    RequestCx, RequestState, Verified, digest_of,
};
use wire::{BodyLength, RequestFraming, write_request};

type Pairs<V> = Vec<(Vec<u8>, V)>;

/// Where API keys may stand.
#[derive(Clone, Copy, Default)]
struct Places {
    header: &'static str,
    query: &'static [&'static str],
    cookie: &'static [&'static str],
}

/// A way to put policies together.
struct Case {
    policies: &'static [(&'static str, &'static str)],
    /// Where keys may stand, if they may.
    keys: Option<Places>,
    /// Whether passwords may be shown.
    passwords: bool,
    /// Whether all have to recognise the caller.
    all: bool,
    /// Whether a request that shows nothing may go on.
    anonymous: bool,
    /// Whether the service gets the key that counts.
    forward: bool,
}

const NO_PLACE: Places = Places { header: "", query: &[], cookie: &[] };
const IN_HEADER: Places = Places { header: "x-api-key", ..NO_PLACE };
const IN_SCHEME: Places = Places { header: "authorization", ..NO_PLACE };
const ANYWHERE: Places = Places { header: "x-key", query: &["key"], cookie: &["sid"] };
const PLAIN: Case =
    Case { policies: &[], keys: None, passwords: false, all: false, anonymous: false, forward: false };

const CASES: [Case; 9] = [
    Case { policies: &[("api_key", "{}")], keys: Some(IN_HEADER), ..PLAIN },
    Case { policies: &[("api_key", "{ header: authorization }")], keys: Some(IN_SCHEME), ..PLAIN },
    Case {
        policies: &[("api_key", "{ query: [key, 'a b'] }")],
        keys: Some(Places { query: &["key", "a b"], ..NO_PLACE }),
        ..PLAIN
    },
    Case {
        policies: &[("api_key", "{ cookie: [sid, key] }")],
        keys: Some(Places { cookie: &["sid", "key"], ..NO_PLACE }),
        ..PLAIN
    },
    Case {
        policies: &[("api_key", "{ header: X-Key, query: key, cookie: sid }")],
        keys: Some(ANYWHERE),
        ..PLAIN
    },
    Case {
        policies: &[("api_key", "{ header: x-key, query: key, cookie: sid, forward: true }")],
        keys: Some(ANYWHERE),
        forward: true,
        ..PLAIN
    },
    Case { policies: &[("basic", "{}")], passwords: true, ..PLAIN },
    Case {
        policies: &[
            ("api_key", "{ header: x-key, query: key, cookie: sid }"),
            ("basic", "{}"),
            ("auth", "{ anonymous: allow }"),
        ],
        keys: Some(ANYWHERE),
        passwords: true,
        anonymous: true,
        ..PLAIN
    },
    Case {
        policies: &[("api_key", "{}"), ("basic", "{}"), ("auth", "{ all: [api_key, basic] }")],
        keys: Some(IN_HEADER),
        passwords: true,
        all: true,
        ..PLAIN
    },
];

/// What one worker has.
struct Worker {
    consumers: Arc<Consumers>,
    chains: Vec<Chain>,
    verified: Verified,
}

thread_local! {
    static WORKER: RefCell<Worker> = RefCell::new(worker());
}

fuzz_target!(|bytes: &[u8]| {
    let Some((flags, mut lines)) = lines(bytes) else { return };
    let (Some(name), Some(first)) = (lines.next(), lines.next()) else { return };
    let Some(mut head) = request(first, lines) else { return };
    // The gateway removes these before policies run.
    let told = |name: &[u8]| name.to_ascii_lowercase().windows(8).any(|part| part == b"consumer");
    head.headers.retain(|field, text| !told(field.name.of(text)));
    check_removal(head.clone(), name);

    let place = usize::from(flags) % CASES.len();
    let case = &CASES[place];
    let before = Seen::of(&head);
    let passed = WORKER.with_borrow_mut(|worker| run(worker, place, &mut head));
    assert_eq!(passed, expected(case, &before), "{}", String::from_utf8_lossy(bytes));
    match passed {
        Some(_) if case.forward => check_forwarded(&before, &head),
        Some(name) => check_rest(case, &before, &head, name),
        None => {}
    }
});

/// A worker whose consumers `a` and `c` have a key and a password each, and `b` a key that has ended.
fn worker() -> Worker {
    let one = |name: &str, key: &[u8], expires, user: &str| NewConsumer {
        name: name.into(),
        api_keys: vec![NewKey { digest: digest_of(key), expires, name: None }],
        users: vec![(user.into(), format!("$hash-of-{user}").into())],
        ..NewConsumer::default()
    };
    let consumers = Arc::new(Consumers::new(&[
        one("a", b"key-a", None, "ann"),
        one("b", b"key-b", Some(1), ""),
        one("c", b"key-c", None, "c\u{e9}"),
    ]));
    let chain = |case: &Case| {
        let (mut diagnostics, providers) = (Diagnostics::new(), Providers::default());
        let links = case.policies.iter().map(|(kind, written)| {
            let node = document::parse(SourceId(0), written, &mut diagnostics).unwrap();
            let mut compiling = Compiling::new(&mut diagnostics, &consumers, &providers);
            Link {
                policy: Arc::new(policy::compile(kind, &node, &mut compiling).unwrap()),
                source: Span::default(),
            }
        });
        Chain::new(links.collect())
    };
    let chains = CASES.iter().map(chain).collect();
    Worker { consumers, chains, verified: Verified::default() }
}

/// Asks the policies; whoever is to look at a password says that `pw` is the one of everybody. Returns the name of the
/// consumer if the request may go on, empty for nobody in particular.
fn run(worker: &mut Worker, place: usize, head: &mut RequestHead) -> Option<&'static str> {
    let (mut state, mut rng) = (RequestState::default(), fastrand::Rng::with_seed(1));
    let mut answer = None;
    for _ in 0..=2 {
        let mut cx = RequestCx {
            head: &mut *head,
            body_length: Some(0),
            client: IpAddr::V4(Ipv4Addr::LOCALHOST),
            encryption: None,
            trusted_peer: false,
            state: &mut state,
            rng: &mut rng,
            now: 1_000_000,
            at: std::time::Instant::now(),
            route: "r",
            consumers: &worker.consumers,
            verified: &mut worker.verified,
            answer: answer.take(),
        };
        match worker.chains[place].run_request(&mut cx, |_, _, _| {}) {
            Ok(_) => {
                let name = cx.identity().map_or("", |identity| identity.name());
                return Some(["", "a", "b", "c"].into_iter().find(|one| *one == name).unwrap());
            }
            Err(Halt::Refused(Refusal::Reply(reply))) => {
                assert_eq!(reply.status, 401);
                assert!(reply.headers.iter().any(|(name, _)| name == "www-authenticate"));
                return None;
            }
            Err(Halt::Ask("basic", question)) => {
                let Question::Password { password, hash } = *question else { panic!("{question:?}") };
                answer =
                    Some(Answer::Password(password.as_slice() == b"pw" && hash.starts_with("$hash-of-")));
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("it asks again and again")
}

/// A request as a simple reader has it.
#[derive(Debug, PartialEq)]
struct Seen {
    fields: Pairs<Vec<u8>>,
    query: Pairs<Vec<u8>>,
    cookies: Pairs<Option<Vec<u8>>>,
}

impl Seen {
    fn of(head: &RequestHead) -> Seen {
        let is_cookie = |name: &[u8]| name.eq_ignore_ascii_case(b"cookie");
        let fields = head.headers.iter().filter(|(name, _)| !is_cookie(name));
        Seen {
            fields: fields.map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec())).collect(),
            query: query_pairs(head.query().unwrap_or_default()),
            cookies: cookies(head.headers.values(b"cookie")),
        }
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().filter(move |(own, _)| own == name.as_bytes()).map(|(_, value)| &value[..])
    }
}

/// What one kind of credential says of a request.
#[derive(Clone, Copy, PartialEq)]
enum Says {
    Nothing,
    Wrong,
    Is(&'static str),
}

/// Who the caller is, if the request may go on.
fn expected(case: &Case, seen: &Seen) -> Option<&'static str> {
    if seen.values("authorization").count() > 1 {
        return None;
    }
    let of_key = case.keys.map(|places| match shown_key(places, seen).as_deref() {
        None => Says::Nothing,
        Some(b"key-a") => Says::Is("a"),
        Some(b"key-c") => Says::Is("c"),
        Some(_) => Says::Wrong,
    });
    let of_password = case.passwords.then(|| {
        let values = seen.values("authorization");
        match values.filter_map(|value| behind(value, b"basic ")).next().map(decoded).as_ref() {
            None => Says::Nothing,
            Some(Some((b"ann", b"pw"))) => Says::Is("a"),
            Some(Some((b"", b"pw"))) => Says::Is("b"),
            Some(Some((b"c\xc3\xa9", b"pw"))) => Says::Is("c"),
            Some(_) => Says::Wrong,
        }
    });
    let all: Vec<Says> = of_key.into_iter().chain(of_password).collect();
    let known = all.iter().find_map(|one| if let Says::Is(name) = one { Some(*name) } else { None });
    match known {
        Some(name) if !case.all || all.iter().all(|one| *one == Says::Is(name)) => Some(name),
        None if case.anonymous && all.iter().all(|one| *one == Says::Nothing) => Some(""),
        _ => None,
    }
}

/// The first key in the order of the places.
fn shown_key(places: Places, seen: &Seen) -> Option<Vec<u8>> {
    let of_header = |value: &[u8]| {
        let value =
            if places.header == "authorization" { behind(value, b"apikey ")? } else { value.to_vec() };
        Some(value).filter(|value| !value.is_empty())
    };
    // What is empty shows nothing.
    let of_query = |name: &&str| {
        let mut values = seen.query.iter().filter(|(own, _)| own == name.as_bytes()).map(|(_, value)| value);
        values.find(|value| !value.is_empty()).cloned()
    };
    // Of several cookies of a name the first counts, and if that is empty, one of the next name.
    let of_cookie = |name: &&str| {
        let mut values = seen.cookies.iter().filter(|(own, _)| own == name.as_bytes());
        values.find_map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
    };
    let header = seen.values(places.header).find_map(of_header);
    let query = || places.query.iter().find_map(of_query);
    header.or_else(query).or_else(|| places.cookie.iter().find_map(of_cookie))
}

/// What stands behind a scheme.
fn behind(value: &[u8], scheme: &[u8]) -> Option<Vec<u8>> {
    let begins = value.to_ascii_lowercase().starts_with(scheme);
    begins.then(|| value[scheme.len()..].trim_ascii().to_vec())
}

/// Name and password.
fn decoded(text: Vec<u8>) -> Option<(&'static [u8], &'static [u8])> {
    let bytes = BASE64_STANDARD.decode(&text).ok().filter(|_| text.len() <= 2048)?;
    let known: [&[u8]; 3] = [b"ann", b"", b"c\xc3\xa9"];
    known.into_iter().find(|name| bytes == [name, &b":pw"[..]].concat()).map(|name| (name, &b"pw"[..]))
}

/// What the service gets: nothing that was shown, and everything else.
fn check_rest(case: &Case, before: &Seen, head: &RequestHead, name: &str) {
    let places = case.keys.unwrap_or_default();
    let is_hidden = |header: &[u8], value: &[u8]| match header {
        b"authorization" => {
            let has_key = places.header == "authorization" && behind(value, b"apikey ").is_some();
            has_key || (case.passwords && behind(value, b"basic ").is_some())
        }
        _ => header == places.header.as_bytes(),
    };
    let mut fields = before.fields.clone();
    fields.retain(|(header, value)| !is_hidden(header, value));
    if !name.is_empty() {
        fields.push((b"x-consumer".to_vec(), name.as_bytes().to_vec()));
    }
    let after = Seen {
        fields,
        query: without(&before.query, places.query.iter().map(|name| name.as_bytes())),
        cookies: without(&before.cookies, places.cookie.iter().map(|name| name.as_bytes())),
    };
    assert_eq!(Seen::of(head), after);

    // What is written is all that the service sees.
    let framing = RequestFraming {
        body: BodyLength::Empty,
        expect_continue: false,
        upgrade_websocket: false,
        te_trailers: false,
    };
    let mut out = Vec::new();
    write_request(&mut out, head, b"a.test", &framing);
    let Some(key) = case.keys.and_then(|places| shown_key(places, before)) else { return };
    let no_value = Vec::new();
    let cookies = after.cookies.iter().map(|(name, value)| (name, value.as_ref().unwrap_or(&no_value)));
    let pairs = after.fields.iter().chain(&after.query).map(|(name, value)| (name, value)).chain(cookies);
    let texts = pairs.flat_map(|(name, value)| [&name[..], value]).chain([head.path(), head.method_bytes()]);
    let is_elsewhere = texts.into_iter().any(|text| holds(text, &key));
    assert!(!key.starts_with(b"key-") || is_elsewhere || !holds(&out, &key), "the service sees the key");
}

/// The service gets the key that counts, and no other value that it could take for it.
fn check_forwarded(before: &Seen, head: &RequestHead) {
    let after = Seen::of(head);
    assert_eq!(shown_key(ANYWHERE, &after), shown_key(ANYWHERE, before));
    let values = after.values("x-key").filter(|value| !value.is_empty()).count();
    let parameters = after.query.iter().filter(|(name, _)| name == b"key").count();
    let cookies = after.cookies.iter().filter(|(name, _)| name == b"sid").count();
    assert_eq!(values + parameters + cookies, 1, "{after:?}");
}

/// Those of other names.
fn without<'n, V: Clone>(pairs: &Pairs<V>, names: impl Iterator<Item = &'n [u8]> + Clone) -> Pairs<V> {
    pairs.iter().filter(|(own, _)| !names.clone().any(|name| own == name)).cloned().collect()
}

fn holds(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Cookies and parameters of a name are removed, all of them and no others.
fn check_removal(mut head: RequestHead, name: &[u8]) {
    let before = Seen::of(&head);
    let named = || std::iter::once(name);
    if !name.is_empty() {
        head.remove_query(name);
        assert_eq!(query_pairs(head.query().unwrap_or_default()), without(&before.query, named()));
    }
    if Headers::is_valid_name(name) {
        head.headers.remove_cookie(name);
        let after = Seen::of(&head);
        assert_eq!(after.fields, before.fields);
        assert_eq!(after.cookies, without(&before.cookies, named()));
        assert_eq!(message::cookie(&head.headers, name), None);
        let is_same = before.cookies.len() == after.cookies.len();
        assert!(is_same || head.headers.values(b"cookie").all(|field| !field.is_empty()));
    }
}

//! What is asked, what follows from an answer, and for how long. Answers are made by hand, and the time is a number.

use std::sync::Arc;
use std::time::Duration;

use authority::Trust;
use base64::Engine;
use diagnostics::Code;

use super::{AskDirectory, Entry, Security, Who};
use crate::scene::{Scene, chain, policy};
use crate::{Answer, Caller, Chain, Consumers, Halt, NewConsumer, Question, Refusal};

const PLACE: &str = "url: ldaps://ldap.test, bind_dn: 'uid={username},ou=people,dc=test'";
const SEARCH: &str = "url: ldap://ldap.test:3890, start_tls: true, search: { base: 'ou=people,dc=test', \
                      filter: '(mail={username})', bind_dn: 'cn=gw,dc=test', bind_password: hush }, \
                      groups: { base: 'ou=groups,dc=test', attribute: ou, filter: '(|(member={dn})(memberUid={username}))' }";
/// When the scene plays, in seconds since 1970.
const NOW: u64 = 1_000_000;

fn consumers() -> Arc<Consumers> {
    let one =
        |name: &str| NewConsumer { name: name.into(), groups: vec!["apps".into()], ..NewConsumer::default() };
    Arc::new(Consumers::new(&[one("ops"), one("ann")]))
}

fn basic(text: impl AsRef<[u8]>) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
}

fn entry(name: &str, groups: &[&str], consumer: Option<&str>) -> Answer {
    Answer::Ldap(Some(Box::new(Entry {
        dn: format!("uid={name},ou=people,dc=test"),
        name: name.to_owned(),
        consumer: consumer.map(str::to_owned),
        groups: groups.iter().map(ToString::to_string).collect(),
    })))
}

/// What came of a request.
#[derive(Debug, PartialEq)]
enum Outcome {
    Known(String),
    /// The word for logs of a 401.
    Refused(&'static str),
    /// The status of another answer.
    Failed(u16),
}

fn known(name: &str) -> Outcome {
    Outcome::Known(name.to_owned())
}

/// A worker, with a chain of the policy alone.
struct Play {
    chain: Chain,
    scene: Scene,
    asked: Vec<AskDirectory>,
}

impl Play {
    fn new(settings: &str) -> Play {
        let consumers = consumers();
        let chain = chain(&[("ldap", &format!("{{ {settings} }}"))], &consumers);
        Play { chain, scene: Scene { consumers, ..Scene::get("/", &[]) }, asked: Vec::new() }
    }

    /// A request comes at a time, and the directory answers this if it is asked.
    fn send(&mut self, now: u64, authorization: &str, answer: Option<Answer>) -> Outcome {
        let fields = [("authorization", authorization), ("x-user", "forged")];
        let before = std::mem::replace(&mut self.scene, Scene::get("/", &fields));
        self.scene.verified = before.verified;
        self.scene.consumers = before.consumers;
        self.scene.now = now;
        let mut answer = answer;
        let reply = loop {
            match self.chain.run_request(&mut self.scene.cx(), |_, _, _| {}) {
                Ok(_) => {
                    let cx = self.scene.cx();
                    return known(cx.identity().map(|identity| identity.name()).unwrap_or_default());
                }
                Err(Halt::Refused(Refusal::Reply(reply))) => break reply,
                Err(Halt::Refused(Refusal::Fault(fault))) => return Outcome::Failed(fault.status()),
                Err(Halt::Ask(_, question)) => {
                    let Question::Ldap(ask) = *question else { panic!("{question:?}") };
                    self.asked.push(*ask);
                    self.scene.answer = Some(answer.take().expect("nobody is to be asked"));
                }
            }
        };
        match self.scene.state.stopped_by {
            Some(("ldap", word)) if reply.status == 401 => Outcome::Refused(word),
            _ => Outcome::Failed(reply.status),
        }
    }

    /// The values of a field that the service gets.
    fn told(&self, name: &str) -> Vec<String> {
        let values = self.scene.head.headers.values(name.as_bytes());
        values.map(|value| String::from_utf8_lossy(value).into_owned()).collect()
    }
}

#[test]
fn the_directory_is_asked_as_it_is_written() {
    let mut play = Play::new(&format!("{PLACE}, timeout: 700ms"));
    assert_eq!(play.send(NOW, &basic("Ann,ou=x:p:w"), Some(entry("ann", &[], None))), known("ann"));
    let AskDirectory { directory, username, password } = &play.asked[0];
    assert_eq!((&**username, &***password), ("Ann,ou=x", "p:w"));
    assert_eq!((&*directory.host, directory.port, directory.security), ("ldap.test", 636, Security::Tls));
    assert_eq!((directory.timeout, &directory.trust), (Duration::from_millis(700), &Trust::System));
    assert_eq!(
        (&*directory.name_attribute, directory.to_string().as_str()),
        ("uid", "ldaps://ldap.test:636")
    );
    let Who::Named(name) = &directory.who else { panic!("{directory:?}") };
    assert_eq!(name.fill(username, ""), r"uid=Ann\2cou\3dx,ou=people,dc=test");
    assert!(directory.groups.is_none() && directory.consumer_attribute.is_none());
    assert!(matches!(play.scene.state.caller(), Caller::Verified(_, "ldap")));

    let mut play = Play::new(&format!("{SEARCH}, consumer_attribute: employeeType"));
    play.send(NOW, &basic("*:pw"), Some(entry("ann", &[], None)));
    let directory = &play.asked[0].directory;
    assert_eq!((directory.port, directory.security), (3890, Security::StartTls));
    let Who::Found(search) = &directory.who else { panic!("{directory:?}") };
    assert_eq!((&*search.base, search.filter.fill("*", "").as_str()), ("ou=people,dc=test", r"(mail=\2a)"));
    let account = search.account.as_ref().unwrap();
    assert_eq!((&*account.dn, account.password.expose()), ("cn=gw,dc=test", "hush"));
    assert_eq!(
        (&*directory.name_attribute, directory.consumer_attribute.as_deref()),
        ("mail", Some("employeeType"))
    );
    let groups = directory.groups.as_ref().unwrap();
    assert_eq!(groups.filter.fill("ann", "uid=a*"), r"(|(member=uid\3da\2a)(memberUid=ann))");
    assert_eq!((&*groups.base, &*groups.attribute), ("ou=groups,dc=test", "ou"));
    let shown = format!("{:?} {:?}", play.asked[0], play.chain.links()[0].policy);
    assert!(!shown.contains("hush") && !shown.contains("\"pw\""), "secrets are not shown: {shown}");
}

/// A directory that is asked with an empty password says yes for anybody (RFC 4513 §5.1.2).
#[test]
fn what_no_directory_may_judge_is_not_asked_for() {
    for (shown, want) in [
        (basic("ann:"), "wrong"),
        (basic(":"), "wrong"),
        (basic(":pw"), "wrong"),
        (basic("ann:\0"), "malformed"),
        (basic("ann:\0pw"), "malformed"),
        (basic("ann:p\nw"), "malformed"),
        (basic("an\0n:pw"), "malformed"),
        (basic("an\u{85}n:pw"), "malformed"),
        (basic(b"ann:\xff\xfe"), "malformed"),
        (basic(b"\xff:pw"), "malformed"),
        (basic("ann"), "malformed"),
        ("Basic !!!!".to_owned(), "malformed"),
        ("Bearer YW5uOnB3".to_owned(), "missing"),
    ] {
        let mut play = Play::new(PLACE);
        assert_eq!(play.send(NOW, &shown, None), Outcome::Refused(want), "{shown}");
    }
}

#[test]
fn only_a_yes_lets_somebody_in() {
    let ann = basic("ann:pw");
    let mut play = Play::new(PLACE);
    assert_eq!(play.send(NOW, &ann, Some(Answer::Ldap(None))), Outcome::Refused("wrong"));
    for other in [Answer::Nothing("timeout".to_owned()), Answer::Password(true), Answer::Keys] {
        assert_eq!(play.send(NOW, &ann, Some(other)), Outcome::Failed(503));
    }
    assert_eq!(
        (play.asked.len(), play.scene.verified.len()),
        (4, 0),
        "each was asked for, and none is remembered"
    );
    assert_eq!(play.send(NOW, &ann, Some(entry("ann", &[], None))), known("ann"));
}

#[test]
fn a_yes_is_believed_for_a_while() {
    let (ann, other) = (basic("ann:pw"), basic("ann:pw2"));
    for (settings, hit, miss) in [("", NOW + 299, NOW + 300), ("cache: 10s", NOW + 9, NOW + 10)] {
        let mut play = Play::new(&format!("{PLACE}, {settings}"));
        play.send(NOW, &ann, Some(entry("ann", &[], None)));
        assert_eq!(play.send(hit, &ann, None), known("ann"), "{settings}");
        // Another password is another question, and its answer changes nothing.
        assert_eq!(play.send(hit, &other, Some(Answer::Ldap(None))), Outcome::Refused("wrong"));
        assert_eq!(play.send(hit, &ann, None), known("ann"), "{settings}");
        assert_eq!(play.send(miss, &ann, Some(Answer::Ldap(None))), Outcome::Refused("wrong"), "{settings}");
    }
    let mut play = Play::new(&format!("{PLACE}, cache: 0s"));
    for _ in 0..2 {
        assert_eq!(play.send(NOW, &ann, Some(entry("ann", &[], None))), known("ann"));
    }
    assert_eq!((play.asked.len(), play.scene.verified.len()), (2, 0));
}

#[test]
fn what_is_remembered_is_of_one_policy() {
    let ann = basic("ann:pw");
    let mut play = Play::new(PLACE);
    play.send(NOW, &ann, Some(entry("ann", &[], None)));
    let mut other = Play::new(&PLACE.replace("ldap.test", "other.test"));
    other.scene.verified = std::mem::take(&mut play.scene.verified);
    assert_eq!(other.send(NOW, &ann, Some(Answer::Ldap(None))), Outcome::Refused("wrong"));
}

#[test]
fn who_it_is_stands_in_the_directory() {
    let mut play =
        Play::new(&format!("{PLACE}, claims_to_headers: {{ x-user: sub, x-dn: dn, x-groups: groups }}"));
    // The name is that of a consumer, which it is not for that.
    let answer = Some(entry("ann", &["staff", "dev", "staff"], None));
    assert_eq!(play.send(NOW, &basic("ANN:pw"), answer), known("ann"));
    let identity = play.scene.cx().identity().unwrap().clone();
    assert_eq!((&*identity.subject, identity.index, identity.consumer), ("ann", None, None));
    assert_eq!(identity.groups, ["staff", "dev"].map(Into::into).into());
    assert_eq!(
        (play.told("x-user"), play.told("x-dn")),
        (vec!["ann".to_owned()], vec!["uid=ann,ou=people,dc=test".to_owned()])
    );
    assert_eq!((play.told("x-consumer").len(), play.told("authorization").len()), (0, 0));
    let told = play.chain.links()[0].policy.told_fields();
    assert_eq!(told, [&b"x-user"[..], b"x-dn", b"x-groups"]);

    let mut play = Play::new(&format!("{PLACE}, forward: true"));
    play.send(NOW, &basic("ann:pw"), Some(entry("ann", &[], None)));
    assert_eq!(play.told("authorization"), [basic("ann:pw")]);
}

#[test]
fn a_consumer_is_whom_the_attribute_names() {
    for (named, required, want) in [
        (Some("ops"), "", known("ops")),
        (Some("OPS"), "", known("u")),
        (Some("nobody"), "", known("u")),
        (None, "", known("u")),
        (Some("ops"), ", consumer: required", known("ops")),
        (Some("nobody"), ", consumer: required", Outcome::Refused("unknown")),
        (None, ", consumer: required", Outcome::Refused("unknown")),
    ] {
        let mut play = Play::new(&format!("{PLACE}, consumer_attribute: employeeType{required}"));
        let got = play.send(NOW, &basic("u:pw"), Some(entry("u", &["dev"], named)));
        assert_eq!(got, want, "{named:?} {required}");
        if got == known("ops") {
            let identity = play.scene.cx().identity().unwrap().clone();
            assert_eq!((identity.index, &*identity.subject), (Some(0), "u"));
            assert_eq!(identity.groups, ["apps", "dev"].map(Into::into).into());
            assert_eq!(play.told("x-consumer"), ["ops"]);
        }
    }
}

#[test]
fn the_challenge_names_the_realm() {
    let chain = chain(&[("ldap", &format!("{{ {PLACE}, realm: wiki }}"))], &consumers());
    let mut scene = Scene::get("/", &[]);
    let reply = scene.run(&chain, || panic!("nobody is to be asked")).unwrap();
    let told: Vec<_> = reply.headers.iter().filter(|(name, _)| name == "www-authenticate").collect();
    assert_eq!((reply.status, &*told[0].1, told.len()), (401, "Basic realm=\"wiki\", charset=\"UTF-8\"", 1));
}

#[test]
fn mistakes_are_reported() {
    for (good, changes) in [
        (
            PLACE,
            &[
                ("ldaps://ldap.test", "ldap.test", Code::InvalidUrl),
                ("ldaps://ldap.test", "https://ldap.test", Code::InvalidUrl),
                ("ldaps://ldap.test", "ldaps://a:b@ldap.test", Code::InvalidUrl),
                ("ldaps://ldap.test", "ldaps://ldap.test/dc=test", Code::InvalidUrl),
                ("ldaps://ldap.test", "'ldaps://ldap.test??sub'", Code::InvalidUrl),
                ("ldaps://ldap.test", "ldap://ldap.test", Code::InvalidUrl),
                ("ldaps://ldap.test", "ldap://ldap.test, allow_plaintext: true", Code::VerificationOff),
                ("ldaps://ldap.test", "ldaps://ldap.test, allow_plaintext: true", Code::UnusedSetting),
                ("ldaps://ldap.test", "ldaps://ldap.test, start_tls: true", Code::UnusedSetting),
                ("ldaps://ldap.test", "ldaps://ldap.test, ca: missing.pem", Code::MissingFile),
                ("url: ldaps://ldap.test, ", "", Code::MissingKey),
                ("bind_dn: 'uid={username},ou=people,dc=test'", "", Code::MissingKey),
                ("dc=test'", "dc=test', search: { base: dc=test }", Code::ConflictingKeys),
                ("{username}", "ann", Code::InvalidValue),
                ("{username}", "{user}", Code::InvalidValue),
                ("uid={username}", "{username}", Code::InvalidValue),
                ("dc=test'", "dc=test', timeout: 0s", Code::InvalidValue),
                ("dc=test'", "dc=test', realm: 'a\"b'", Code::InvalidValue),
                ("dc=test'", "dc=test', consumer_attribute: 'a b'", Code::InvalidValue),
                ("dc=test'", "dc=test', consumer: required", Code::MissingKey),
                ("dc=test'", "dc=test', claims_to_headers: { authorization: sub }", Code::InvalidHeader),
                ("dc=test'", "dc=test', consumers: [ops]", Code::UnknownKey),
            ][..],
        ),
        (
            SEARCH,
            &[
                ("start_tls: true, ", "", Code::InvalidUrl),
                ("(mail={username})", "mail={username}", Code::InvalidValue),
                ("(mail={username})", "(mail=ann)", Code::InvalidValue),
                ("(mail={username})", "(mail={dn})", Code::InvalidValue),
                ("base: 'ou=people,dc=test'", "base: people", Code::InvalidValue),
                ("base: 'ou=groups,dc=test'", "base: 'ou={username}'", Code::InvalidValue),
                ("bind_dn: 'cn=gw,dc=test', ", "", Code::MissingKey),
                (", bind_password: hush", "", Code::MissingKey),
                ("hush", "''", Code::InvalidValue),
                ("cn=gw,dc=test", "gw", Code::InvalidValue),
                ("attribute: ou", "attribute: 'o u'", Code::InvalidValue),
                ("(|(member={dn})(memberUid={username}))", "(member=x)", Code::InvalidValue),
                ("(|(member={dn})(memberUid={username}))", "(member={dn}", Code::InvalidValue),
            ],
        ),
    ] {
        assert!(policy("ldap", &format!("{{ {good} }}"), &consumers()).is_ok(), "{good}");
        for (from, to, code) in changes {
            let written = format!("{{ {} }}", good.replacen(from, to, 1));
            let mistakes = policy("ldap", &written, &consumers()).unwrap_err();
            let codes: Vec<_> = mistakes.iter().map(|(code, _)| *code).collect();
            assert_eq!(codes, [*code], "{written}: {mistakes:?}");
            assert!(!mistakes.iter().any(|(_, message)| message.contains("hush")), "{mistakes:?}");
        }
    }
    for loopback in ["ldap://127.0.0.1:389", "'ldap://[::1]/'", "ldap://localhost"] {
        let written = format!("{{ {} }}", PLACE.replace("ldaps://ldap.test", loopback));
        assert!(policy("ldap", &written, &consumers()).is_ok(), "{loopback}");
    }
    let required = format!("{{ {PLACE}, consumer: required, consumer_attribute: cn }}");
    assert_eq!(policy("ldap", &required, &Arc::default()).unwrap_err()[0].0, Code::NoCredentials);
}

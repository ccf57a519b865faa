//! Requests that are signed here, and what becomes of them.

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use aws_lc_rs::{hmac, rand, rsa};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use diagnostics::{Code, Diagnostics, SourceId, Span};
use signatures::ExpectedDigest;

use crate::scene::{Scene, policy};
use crate::{
    Caller, Chain, Compiling, Consumers, Link, NewConsumer, Policy, Providers, SignerKey, digest_of,
};

/// The time of the requests, as it is in [`Scene`], in the two ways in which signatures say it.
const NOW: u64 = 1_000_000;
const DATE: &str = "Mon, 12 Jan 1970 13:46:40 GMT";
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const PLAIN: &str = r#"("@method" "@authority" "@path" "@query")"#;
const BASE: [&str; 4] =
    [r#""@method": GET"#, r#""@authority": a.test"#, r#""@path": /orders"#, r#""@query": ?id=7"#];

fn mac(algorithm: hmac::Algorithm, text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(algorithm, SECRET), text.as_bytes()).as_ref().to_vec()
}

fn sha256(text: &str) -> Vec<u8> {
    mac(hmac::HMAC_SHA256, text)
}

fn pem(label: &str, der: &[u8]) -> Box<str> {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n")).into()
}

fn public(key: &impl AsDer<PublicKeyX509Der<'static>>) -> SignerKey {
    SignerKey::Public(pem("PUBLIC KEY", key.as_der().unwrap().as_ref()))
}

/// `partner` signs with these; `other` has the secret, under another id.
fn consumers(signers: Vec<(&str, SignerKey)>) -> Arc<Consumers> {
    let own = signers.into_iter().map(|(id, key)| (id.into(), key)).collect();
    let others = vec![("theirs".into(), SignerKey::Secret(SECRET.into()))];
    let one = |name: &str, signers| NewConsumer { name: name.into(), signers, ..NewConsumer::default() };
    Arc::new(Consumers::new(&[one("other", others), one("partner", own)]))
}

fn with_secret() -> Arc<Consumers> {
    consumers(vec![("k", SignerKey::Secret(SECRET.into()))])
}

/// A policy of a configuration that shares what outlives it with others.
fn prepared(settings: &str, consumers: &Arc<Consumers>, providers: &Providers) -> Chain {
    let mut diagnostics = Diagnostics::new();
    let node = document::parse(SourceId(0), settings, &mut diagnostics).unwrap();
    let policy = crate::compile("hmac", &node, &mut Compiling::new(&mut diagnostics, consumers, providers));
    Chain::new(vec![Link { policy: Arc::new(policy.unwrap()), source: Span::default() }])
}

/// A request without a body.
fn get(target: &str, fields: &[(&str, &str)], consumers: &Arc<Consumers>) -> Scene {
    Scene { body_length: Some(0), consumers: Arc::clone(consumers), ..Scene::get(target, fields) }
}

/// What `Signature-Input` and `Signature` say of a request over these lines.
fn message(lines: &[&str], list: &str, sign: impl Fn(&str) -> Vec<u8>) -> [(&'static str, String); 2] {
    let base: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let signature = STANDARD.encode(sign(&format!("{base}\"@signature-params\": {list}")));
    [("signature-input", format!("s={list}")), ("signature", format!("s=:{signature}:"))]
}

/// What `Authorization` says of a request over this text.
fn header(algorithm: &str, names: &str, signature: &[u8]) -> String {
    let signature = STANDARD.encode(signature);
    format!(r#"hmac username="k", algorithm="{algorithm}", headers="{names}", signature="{signature}""#)
}

/// A plain request in the form `message`, signed with the secret, with further parameters of the signature.
fn plain(more: &str, consumers: &Arc<Consumers>) -> Scene {
    let [one, two] = message(&BASE, &format!("{PLAIN};created={NOW};keyid=\"k\"{more}"), sha256);
    get("/orders?id=7", &[(one.0, &one.1), (two.0, &two.1)], consumers)
}

/// The name of the consumer, or the status and why.
type Outcome = Result<String, (u16, &'static str)>;

fn outcome(chain: &Chain, scene: &mut Scene) -> Outcome {
    match scene.run(chain, || panic!("nobody is asked")) {
        None => Ok(scene.cx().identity().map(|identity| identity.name().to_owned()).unwrap_or_default()),
        Some(reply) => {
            Err((reply.status, scene.state.stopped_by.map_or("unavailable", |(_, reason)| reason)))
        }
    }
}

fn refused(reason: &'static str) -> Outcome {
    Err((401, reason))
}

#[test]
fn whoever_signs_with_a_public_key_is_known() {
    let rng = rand::SystemRandom::new();
    let ed = Ed25519KeyPair::generate().unwrap();
    let ec = EcdsaKeyPair::generate(&signature::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let rsa = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
    let rsa_sign = |padding: &'static dyn signature::RsaEncoding, text: &str| {
        let mut out = vec![0; rsa.public_modulus_len()];
        rsa.sign(padding, &rng, text.as_bytes(), &mut out).unwrap();
        out
    };
    let consumers = consumers(vec![
        ("ed", public(ed.public_key())),
        ("ec", public(ec.public_key())),
        ("rsa", public(rsa.public_key())),
    ]);
    let chain = prepared("{ forms: message }", &consumers, &Providers::default());
    let pss = |text: &str| rsa_sign(&signature::RSA_PSS_SHA512, text);
    let old = |text: &str| rsa_sign(&signature::RSA_PKCS1_SHA256, text);
    let ed_sign = |text: &str| ed.sign(text.as_bytes()).as_ref().to_vec();
    let ec_sign = |text: &str| ec.sign(&rng, text.as_bytes()).unwrap().as_ref().to_vec();
    let known = || Ok("partner".to_owned());
    type Sign<'s> = &'s dyn Fn(&str) -> Vec<u8>;
    let cases: [(&str, &str, Sign<'_>, Outcome); 11] = [
        ("ed", "", &ed_sign, known()),
        ("ed", r#";alg="ed25519";nonce="1""#, &ed_sign, known()),
        ("ec", "", &ec_sign, known()),
        ("rsa", "", &pss, known()),
        ("rsa", r#";alg="rsa-pss-sha512""#, &pss, known()),
        ("rsa", r#";alg="rsa-v1_5-sha256""#, &old, known()),
        ("rsa", "", &old, refused("wrong")),
        ("rsa", r#";alg="ed25519""#, &ed_sign, refused("algorithm_mismatch")),
        ("ec", "", &ed_sign, refused("wrong")),
        ("ed", r#";alg="hmac-sha256""#, &sha256, refused("algorithm_mismatch")),
        ("theirs", r#";alg="ed25519""#, &ed_sign, refused("algorithm_mismatch")),
    ];
    for (id, more, sign, want) in cases {
        let list = format!("{PLAIN};created={NOW};keyid=\"{id}\"{more}");
        let [one, two] = message(&BASE, &list, sign);
        let mut scene = get("/orders?id=7", &[(one.0, &one.1), (two.0, &two.1)], &consumers);
        assert_eq!(outcome(&chain, &mut scene), want, "{id} {more}");
    }
    // A key that is for another algorithm than those that are allowed is none.
    let strict = prepared("{ algorithms: hmac-sha256 }", &consumers, &Providers::default());
    let [one, two] = message(&BASE, &format!("{PLAIN};created={NOW};keyid=\"ed\""), ed_sign);
    let mut scene = get("/orders?id=7", &[(one.0, &one.1), (two.0, &two.1)], &consumers);
    assert_eq!(outcome(&strict, &mut scene), refused("unknown_key"));
    // Nor is a public key one for the form of Kong.
    let text = format!("date: {DATE}\nGET /orders?id=7 HTTP/1.1");
    let shown = header("hmac-sha256", "date request-line", &sha256(&text)).replace("\"k\"", "\"ed\"");
    let mut scene = get("/orders?id=7", &[("date", DATE), ("authorization", &shown)], &consumers);
    let both = prepared("{}", &consumers, &Providers::default());
    assert_eq!(outcome(&both, &mut scene), refused("algorithm_mismatch"));
}

#[test]
fn the_form_of_kong_is_known_and_hidden() {
    let consumers = with_secret();
    let text = format!("date: {DATE}\nGET /orders?id=7 HTTP/1.1");
    for (settings, name, algorithm, want) in [
        ("{}", "hmac-sha256", hmac::HMAC_SHA256, Ok("partner".to_owned())),
        ("{ forms: header }", "hmac-sha512", hmac::HMAC_SHA512, Ok("partner".to_owned())),
        (
            "{ algorithms: [hmac-sha256, hmac-sha1] }",
            "hmac-sha1",
            hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Ok("partner".to_owned()),
        ),
        ("{}", "hmac-sha1", hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, refused("algorithm_not_allowed")),
        ("{}", "hmac-sha384", hmac::HMAC_SHA256, refused("wrong")),
        ("{ forms: message }", "hmac-sha256", hmac::HMAC_SHA256, refused("missing")),
        ("{ required: [request-line, host] }", "hmac-sha256", hmac::HMAC_SHA256, refused("not_covered")),
        ("{ forward: true }", "hmac-sha256", hmac::HMAC_SHA256, Ok("partner".to_owned())),
    ] {
        let chain = prepared(settings, &consumers, &Providers::default());
        let mut shown = header(name, "date request-line", &mac(algorithm, &text));
        if settings == "{ forms: header }" {
            shown = shown.replacen("hmac ", "HMAC\t", 1);
        }
        let fields = [("date", DATE), ("authorization", &shown), ("signature", "x=:AA==:")];
        let mut scene = get("/orders?id=7", &fields, &consumers);
        let got = outcome(&chain, &mut scene);
        assert_eq!(got, want, "{settings} {name}");
        if got.is_ok() {
            assert!(matches!(scene.state.caller(), Caller::Consumer(1, "hmac")));
            let has = |name: &[u8]| scene.head.headers.values(name).count();
            assert_eq!((has(b"x-consumer"), has(b"date")), (1, 1));
            assert_eq!(has(b"authorization"), usize::from(settings.contains("forward")));
            // Where the form is not looked at, its fields are somebody else's.
            assert_eq!(has(b"signature"), usize::from(settings.contains("for")));
        }
    }
    let chain = prepared("{}", &consumers, &Providers::default());
    let basic = &mut get("/", &[("authorization", "Basic aG1hYzpobWFj")], &consumers);
    assert_eq!(outcome(&chain, basic), refused("missing"));
}

#[test]
fn what_was_changed_or_says_too_little_is_refused() {
    let consumers = with_secret();
    let created = |at: u64, more: &str| format!("{PLAIN};created={at}{more}");
    for (settings, target, list, want) in [
        ("{}", "/orders?id=7", created(NOW, r#";keyid="k""#), Ok("partner".to_owned())),
        ("{}", "/orders?id=7", created(NOW, r#";keyid="theirs""#), Ok("other".to_owned())),
        ("{}", "/orders?id=8", created(NOW, r#";keyid="k""#), refused("wrong")),
        ("{}", "/orders", created(NOW, r#";keyid="k""#), refused("wrong")),
        ("{}", "/Orders?id=7", created(NOW, r#";keyid="k""#), refused("wrong")),
        ("{}", "/orders?id=7", created(NOW, r#";keyid="x""#), refused("unknown_key")),
        ("{}", "/orders?id=7", created(NOW, ""), refused("no_key_id")),
        ("{}", "/orders?id=7", created(NOW - 300, r#";keyid="k""#), Ok("partner".to_owned())),
        ("{}", "/orders?id=7", created(NOW - 301, r#";keyid="k""#), refused("too_old")),
        ("{}", "/orders?id=7", created(NOW + 301, r#";keyid="k""#), refused("not_yet_valid")),
        ("{ max_skew: 10s }", "/orders?id=7", created(NOW - 11, r#";keyid="k""#), refused("too_old")),
        ("{}", "/orders?id=7", created(NOW, r#";expires=1000000;keyid="k""#), refused("expired")),
        ("{}", "/orders?id=7", format!("{PLAIN};keyid=\"k\""), refused("no_time")),
        ("{}", "/orders?id=7", created(NOW, r#";keyid="k";alg="ed25519""#), refused("algorithm_mismatch")),
        (
            "{ algorithms: hmac-sha512 }",
            "/orders?id=7",
            created(NOW, r#";keyid="k""#),
            refused("algorithm_mismatch"),
        ),
        (
            "{ forms: message, require_nonce: true }",
            "/orders?id=7",
            created(NOW, r#";keyid="k""#),
            refused("no_nonce"),
        ),
        (
            "{ forms: message, require_nonce: true }",
            "/orders?id=7",
            created(NOW, r#";keyid="k";nonce="n""#),
            Ok("partner".to_owned()),
        ),
        (
            "{ required: [request-line, x-tenant] }",
            "/orders?id=7",
            created(NOW, r#";keyid="k""#),
            refused("not_covered"),
        ),
        (
            "{ required: ['@method', '@request-target'] }",
            "/orders?id=7",
            created(NOW, r#";keyid="k""#),
            Ok("partner".to_owned()),
        ),
        ("{ forms: header }", "/orders?id=7", created(NOW, r#";keyid="k""#), refused("missing")),
        ("{ tag: api }", "/orders?id=7", created(NOW, r#";keyid="k""#), refused("missing")),
        ("{ tag: api }", "/orders?id=7", created(NOW, r#";keyid="k";tag="api""#), Ok("partner".to_owned())),
        ("{ label: s }", "/orders?id=7", created(NOW, r#";keyid="k""#), Ok("partner".to_owned())),
        ("{ label: t }", "/orders?id=7", created(NOW, r#";keyid="k""#), refused("missing")),
        ("{}", "/orders?id=7", "x".to_owned(), refused("malformed")),
    ] {
        let chain = prepared(settings, &consumers, &Providers::default());
        let [one, two] = message(&BASE, &list, sha256);
        let mut scene = get(target, &[(one.0, &one.1), (two.0, &two.1)], &consumers);
        let got = outcome(&chain, &mut scene);
        assert_eq!(got, want, "{settings} {target} {list}");
        let left =
            scene.head.headers.values(b"signature").chain(scene.head.headers.values(b"signature-input"));
        assert_eq!(left.count(), if got.is_ok() { 0 } else { 2 });
    }
}

#[test]
fn a_signature_that_covers_less_is_good_only_where_that_is_said() {
    let consumers = with_secret();
    let list = format!(r#"("@method" "@path");created={NOW};keyid="k""#);
    let [one, two] = message(&[BASE[0], BASE[2]], &list, sha256);
    for (settings, want) in [("{}", refused("not_covered")), ("{ required: [] }", Ok("partner".to_owned()))] {
        let mut scene = get("/orders?id=9", &[(one.0, &one.1), (two.0, &two.1)], &consumers);
        let chain = prepared(settings, &consumers, &Providers::default());
        assert_eq!(outcome(&chain, &mut scene), want, "{settings}");
    }
}

#[test]
fn a_signature_is_good_once() {
    let consumers = with_secret();
    let providers = Providers::default();
    let chain = prepared("{}", &consumers, &providers);
    let known = || Ok("partner".to_owned());
    assert_eq!(outcome(&chain, &mut plain("", &consumers)), known());
    assert_eq!(outcome(&chain, &mut plain("", &consumers)), refused("replayed"));
    let later = &mut Scene { now: NOW + 300, ..plain("", &consumers) };
    assert_eq!(outcome(&chain, later), refused("replayed"));
    assert_eq!(outcome(&chain, &mut plain(r#";nonce="1""#, &consumers)), known(), "another one");
    let again = &mut plain(r#";expires=1000200;nonce="1""#, &consumers);
    assert_eq!(outcome(&chain, again), refused("replayed"), "the same nonce in another signature");
    // What is wrong is not remembered: nobody can use up what another one will sign.
    let [one, two] =
        message(&BASE, &format!("{PLAIN};created={NOW};keyid=\"k\";nonce=\"2\""), |_| vec![0; 32]);
    let forged = &mut get("/orders?id=7", &[(one.0, &one.1), (two.0, &two.1)], &consumers);
    assert_eq!(outcome(&chain, forged), refused("wrong"));
    assert_eq!(outcome(&chain, &mut plain(r#";nonce="2""#, &consumers)), known());

    // A configuration that comes after it, with another consumer and other settings.
    let more = Arc::new(Consumers::new(&[NewConsumer {
        name: "partner".into(),
        groups: vec!["new".into()],
        signers: vec![("k".into(), SignerKey::Secret(SECRET.into()))],
        ..NewConsumer::default()
    }]));
    let after = prepared("{ require_digest: false }", &more, &providers);
    drop(chain);
    assert_eq!(outcome(&after, &mut plain("", &more)), refused("replayed"));
    assert_eq!(outcome(&prepared("{}", &more, &Providers::default()), &mut plain("", &more)), known());

    let lax = prepared("{ replay: allow }", &consumers, &providers);
    for _ in 0..3 {
        assert_eq!(outcome(&lax, &mut plain("", &consumers)), known());
    }
}

#[test]
fn who_cannot_be_remembered_does_not_get_in() {
    let consumers = with_secret();
    let chain = prepared("{ replay_capacity: 2 }", &consumers, &Providers::default());
    for (nonce, want) in
        [(1, Ok("partner".to_owned())), (2, Ok("partner".to_owned())), (3, Err((503, "unavailable")))]
    {
        let mut scene = plain(&format!(";nonce=\"{nonce}\""), &consumers);
        assert_eq!(outcome(&chain, &mut scene), want, "{nonce}");
    }
}

#[test]
fn a_body_needs_a_digest_that_is_handed_on() {
    let consumers = with_secret();
    let (body, other) = (digest_of(b"hello"), digest_of(b""));
    let field = |digest: &[u8]| format!("sha-256=:{}:", STANDARD.encode(digest));
    let bodied = |settings: &str, covered: bool, digest: &[u8], length| {
        let chain = prepared(settings, &consumers, &Providers::default());
        let (field, mut lines) = (field(digest), BASE.map(str::to_owned).to_vec());
        let mut list = PLAIN.to_owned();
        if covered {
            lines.push(format!("\"content-digest\": {field}"));
            list = PLAIN.replace(')', " \"content-digest\")");
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let [one, two] = message(&lines, &format!("{list};created={NOW};keyid=\"k\""), sha256);
        let fields = [("content-digest", field.as_str()), (one.0, &one.1), (two.0, &two.1)];
        let mut scene = Scene { body_length: length, ..get("/orders?id=7", &fields, &consumers) };
        let got = outcome(&chain, &mut scene);
        let handed = scene.state.digest.as_deref().copied();
        scene.state.clear();
        assert_eq!(scene.state.digest, None);
        (got, handed)
    };
    let known = || Ok("partner".to_owned());
    let expected = Some(ExpectedDigest::Sha256(body));
    for (settings, covered, digest, length, want) in [
        ("{}", true, &body, Some(5), (known(), expected)),
        ("{}", true, &body, None, (known(), expected)),
        ("{}", false, &body, Some(5), (refused("digest_not_covered"), None)),
        ("{}", false, &body, None, (refused("digest_not_covered"), None)),
        ("{}", false, &body, Some(0), (known(), None)),
        ("{}", true, &other, Some(0), (known(), None)),
        ("{}", true, &body, Some(0), (refused("digest_mismatch"), None)),
        ("{ require_digest: false }", false, &body, Some(5), (known(), None)),
        ("{ require_digest: false }", true, &body, Some(5), (known(), expected)),
    ] {
        assert_eq!(bodied(settings, covered, digest, length), want, "{settings} {covered} {length:?}");
    }
}

#[test]
fn clients_are_told_what_is_asked_for_and_nothing_else() {
    let consumers = with_secret();
    let chain = prepared("{ max_skew: 2m }", &consumers, &Providers::default());
    let mut told = Vec::new();
    for scene in [&mut plain(";expires=1", &consumers), &mut plain(";keyid=\"x\"", &consumers)] {
        let reply = scene.run(&chain, || panic!("nobody is asked")).unwrap();
        let challenge = reply.headers.iter().find(|(name, _)| name == "www-authenticate").unwrap();
        assert_eq!(challenge.1, "hmac realm=\"gateward\", Signature realm=\"gateward\"");
        let body = String::from_utf8_lossy(&reply.body).into_owned();
        told.push(body.split("\"detail\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned());
    }
    assert_eq!(
        told[0],
        "The signature is not accepted. It has to be of the last 2m; cover method, path and query; in Signature-Input the authority as well; cover a digest of the body if there is one; be used once."
    );
    assert_eq!(told[0], told[1]);
}

#[test]
fn mistakes_are_reported() {
    let consumers = with_secret();
    for (settings, code, want) in [
        ("{ forms: [] }", Code::InvalidValue, "the list is empty"),
        ("{ forms: kong }", Code::InvalidValue, "`kong` is not one of"),
        ("{ algorithms: [hmac-md5] }", Code::InvalidValue, "`hmac-md5` is not one of"),
        ("{ max_skew: 0s }", Code::InvalidDuration, "cannot be good for so long"),
        ("{ max_skew: 1500ms }", Code::InvalidDuration, "cannot be good for so long"),
        ("{ max_skew: 2d }", Code::InvalidDuration, "cannot be good for so long"),
        ("{ require_nonce: true }", Code::ConflictingKeys, "has no nonce"),
        ("{ required: ['@status'] }", Code::InvalidValue, "`@status` is nothing that"),
        ("{ required: ['@method', '@target-uri'] }", Code::ConflictingKeys, "can cover `@target-uri`"),
        ("{ required: [content-type] }", Code::InvalidValue, "method, path and query"),
        (
            "{ required: [request-line, connection] }",
            Code::InvalidHeader,
            "no request has a header `connection`",
        ),
        ("{ label: Sig }", Code::InvalidValue, "no signature can have this label"),
        ("{ tag: é }", Code::InvalidValue, "no signature can have this tag"),
        ("{ forms: header, tag: api }", Code::UnusedSetting, "`tag` is for the form `message`"),
        ("{ replay_capacity: 0 }", Code::InvalidValue, "0"),
        ("{ algorithms: ed25519 }", Code::NoCredentials, "no consumer has a key"),
    ] {
        let mistakes = policy("hmac", settings, &consumers).unwrap_err();
        let found = mistakes.iter().any(|(own, text)| *own == code && text.contains(want));
        assert!(found, "{settings}: {mistakes:?}");
    }
    assert_eq!(policy("hmac", "{}", &Arc::default()).unwrap_err()[0].0, Code::NoCredentials);
    assert!(policy("hmac", "{ forms: message, required: ['@method', '@target-uri'] }", &consumers).is_ok());
}

#[test]
fn keys_that_nobody_could_use_are_reported() {
    let p384 = EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let good = Ed25519KeyPair::generate().unwrap();
    let der = good.public_key().as_der().unwrap();
    let twice = pem("PUBLIC KEY", der.as_ref()).repeat(2).into();
    for key in [
        SignerKey::Secret(Box::default()),
        SignerKey::Public("".into()),
        SignerKey::Public("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me".into()),
        SignerKey::Public(pem("PUBLIC KEY", b"nothing")),
        SignerKey::Public(pem("PRIVATE KEY", b"nothing")),
        SignerKey::Public(pem("CERTIFICATE", b"nothing")),
        SignerKey::Public(twice),
        public(p384.public_key()),
    ] {
        let mistakes = policy("hmac", "{}", &consumers(vec![("k", key)])).unwrap_err();
        assert_eq!(mistakes, [(Code::InvalidValue, "the key of the signer `k` cannot be used".to_owned())]);
    }
    let policy = policy("hmac", "{}", &consumers(vec![("k", public(good.public_key()))])).unwrap();
    assert!(matches!(&policy, Policy::Hmac(_)));
    assert!(!format!("{policy:?}").contains("48, 49, 50"), "the secret of another signer is shown");
}

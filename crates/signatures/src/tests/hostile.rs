//! No bytes make it panic, and none that we have not signed are accepted.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;

use super::*;
use crate::Algorithm;

const COMPONENTS: &[&str] = &[
    "\"@method\"",
    "\"@target-uri\"",
    "\"@authority\"",
    "\"@path\"",
    "\"@query\"",
    "\"@request-target\"",
    "\"@query-param\";name=\"a\"",
    "\"@query-param\";name=\"%C3%A9\"",
    "\"@status\"",
    "\"host\"",
    "\"x\"",
    "\"x\";bs",
    "\"x\";key=\"a\"",
    "\"date\";bs",
    "\"content-digest\"",
    "\"content-digest\";sf",
    "\"digest\"",
    "\"x\";tr",
    "x",
];

const PARAMETERS: &[&str] = &[
    "created=1618884473",
    "created=0",
    "expires=1618884500",
    "keyid=\"k\"",
    "keyid=\"l\"",
    "nonce=\"n\"",
    "alg=\"hmac-sha256\"",
    "tag=\"t\"",
    "new=?0",
];

const NAMES: &[&str] =
    &["date", "x-date", "request-line", "@request-target", "host", "x", "digest", "absent", ""];

const VALUES: &[&[u8]] = &[
    b"",
    b"a",
    b"a=1, b=(1 2);c",
    b"a=%\"%c3%a9\", b=@1, c=:AAAA:",
    b"\xff\xfe",
    b"a\nb",
    b"Tue, 20 Apr 2021 02:07:55 GMT",
    b"sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
    b"SHA-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
];

/// What replaces one byte of a field, at a place that is taken modulo its length.
type Flaw = Option<(usize, u8)>;

fn flaw() -> impl Strategy<Value = Flaw> {
    prop::option::weighted(0.15, (any::<usize>(), any::<u8>()))
}

fn with_flaw(text: String, flaw: Flaw) -> Vec<u8> {
    let mut bytes = text.into_bytes();
    if let Some((place, byte)) = flaw {
        let place = place % bytes.len();
        bytes[place] = byte;
    }
    bytes
}

fn chosen(from: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(select(from), 0..most)
}

fn message_fields() -> impl Strategy<Value = [Vec<u8>; 2]> {
    let signature = prop::collection::vec(any::<u8>(), 0..70);
    (chosen(COMPONENTS, 6), chosen(PARAMETERS, 4), signature, flaw(), flaw()).prop_map(
        |(components, parameters, signature, first, second)| {
            let parameters: String = parameters.iter().map(|parameter| format!(";{parameter}")).collect();
            let input =
                format!("sig=({});keyid=\"k\";created={CREATED}{parameters}, b=()", components.join(" "));
            let signature = format!("sig=:{}:", STANDARD.encode(signature));
            [with_flaw(input, first), with_flaw(signature, second)]
        },
    )
}

fn header_field() -> impl Strategy<Value = Vec<u8>> {
    let signature = prop::collection::vec(any::<u8>(), 0..70);
    (chosen(NAMES, 6), select(&Algorithm::ALL[..]), signature, flaw()).prop_map(
        |(names, algorithm, signature, flaw)| {
            let credentials = format!(
                "hmac username=\"k\", algorithm=\"{}\", headers=\"{}\", signature=\"{}\"",
                algorithm.as_str(),
                names.join(" "),
                STANDARD.encode(signature)
            );
            with_flaw(credentials, flaw)
        },
    )
}

fn keys() -> Vec<Key> {
    let all = Algorithm::ALL.into_iter().fold(Algorithms::NONE, Algorithms::with);
    let ed25519 = STANDARD.decode("JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=").unwrap();
    vec![Key::shared(SECRET, all).unwrap(), Key::public(Algorithm::Ed25519, &ed25519).unwrap()]
}

/// How many signatures were compared, of all that were there. None may be accepted.
fn judge_all(head: &RequestHead, keys: &[Key]) -> u32 {
    let all = Algorithm::ALL.into_iter().fold(Algorithms::NONE, Algorithms::with);
    let mut compared = 0;
    let lax = Rules { algorithms: all, require_created: false, ..lenient() };
    let sets =
        [Rules { header_form: false, ..lax.clone() }, Rules { message_form: false, ..lax }, Rules::default()];
    for rules in sets {
        let Some(Ok(presented)) = parse(head, &rules) else { continue };
        for (claim, key) in
            presented.claims().iter().flat_map(|claim| keys.iter().map(move |key| (claim, key)))
        {
            let request = Request { head, https: false, body_length: None };
            let refusal = claim.verify(key, &request, &rules, CREATED).expect_err("nobody has signed this");
            compared += u32::from(refusal == Refusal::WrongSignature);
        }
    }
    compared
}

#[test]
fn whatever_is_sent_is_refused_and_nothing_panics() {
    let strategy = (
        select(&["GET", "POST", "OPTIONS", "CONNECT", "get", ""][..]),
        "(/[a-c%&=?+\u{e9}]{0,12}|\\*|http://a:80(/[a?&=]{0,4})?|[/?*a:]{0,4})",
        message_fields(),
        header_field(),
        prop::collection::vec(
            (select(&["Date", "X-Date", "X", "Host", "Digest", "Content-Digest"][..]), select(VALUES)),
            0..8,
        ),
        any::<bool>(),
    );
    let keys = keys();
    let mut compared = 0;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..4_000 {
        let tree = strategy.new_tree(&mut runner).unwrap();
        let (method, target, [input, signature], credentials, fields, normalize) = tree.current();
        let mut head = RequestHead::default();
        head.method = Method::of(method.as_bytes());
        head.method_text = head.headers.append_text(method.as_bytes());
        head.target = head.headers.append_text(target.as_bytes());
        head.headers.push(b"Signature-Input", &input);
        head.headers.push(b"Signature", &signature);
        head.headers.push(b"Authorization", &credentials);
        fields.iter().for_each(|(name, value)| head.headers.push(name.as_bytes(), value));
        // A head that is not valid would not get here; it may not make it panic all the same.
        if normalize {
            let _ = head.normalize();
        }
        compared += judge_all(&head, &keys);
    }

    assert!(compared > 500, "too few came as far as the comparison: {compared}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(
        fields in prop::collection::vec(
            (
                select(&["Signature-Input", "Signature", "Authorization", "Content-Digest", "Digest"][..]),
                prop::collection::vec(any::<u8>(), 0..40),
            ),
            0..6,
        ),
    ) {
        let mut head = head("GET / HTTP/1.1\nHost: a");
        fields.iter().for_each(|(name, value)| head.headers.push(name.as_bytes(), value));
        let _ = crate::ExpectedDigest::from_content_digest(&head.headers);
        let _ = crate::ExpectedDigest::from_digest(&head.headers);
        prop_assert_eq!(judge_all(&head, &keys()), 0);
    }
}

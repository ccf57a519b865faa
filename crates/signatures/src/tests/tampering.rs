//! Whatever a signature covers cannot be changed, and what it does not cover can; and none is used twice.

use super::*;
use crate::{Admit, ReplayGuard};

const REQUEST: &str = "POST /pay/42?to=bob&sum=10 HTTP/1.1
    Host: bank.example
    Date: Tue, 20 Apr 2021 02:07:55 GMT
    Content-Type: application/json
    X-Trace: a
    X-Dict: a=1, b=2
    Content-Digest: sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:
    Content-Length: 18";

const LINES: [&str; 10] = [
    r#""@method": POST"#,
    r#""@scheme": https"#,
    r#""@authority": bank.example"#,
    r#""@path": /pay/42"#,
    r#""@query": ?to=bob&sum=10"#,
    r#""@query-param";name="to": bob"#,
    r#""content-type": application/json"#,
    r#""x-dict";key="a": 1"#,
    r#""date";bs: :VHVlLCAyMCBBcHIgMjAyMSAwMjowNzo1NSBHTVQ=:"#,
    r#""content-digest": sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"#,
];

/// A request with the signature of [`REQUEST`].
fn signed_then(change: impl Fn(&str) -> String) -> RequestHead {
    let names: Vec<_> = LINES.iter().map(|line| line.split_once(": ").unwrap().0).collect();
    let list =
        format!("({});created={CREATED};expires={};keyid=\"k\";nonce=\"n\"", names.join(" "), CREATED + 60);
    let base = format!("{}\n\"@signature-params\": {list}", LINES.join("\n"));
    let mac = mac(SECRET, &base);
    head(&change(&format!("{REQUEST}\nSignature-Input: sig={list}\nSignature: sig=:{mac}:")))
}

fn judge_head(head: &RequestHead, https: bool) -> Result<Accepted, Refusal> {
    let request = Request { head, https, body_length: Some(18) };
    judge_request(&request, &shared(SECRET), &Rules::default(), CREATED)
}

#[test]
fn nothing_covered_can_be_changed() {
    let accepted = judge_head(&signed_then(str::to_owned), true).unwrap();
    assert!(accepted.covers_digest());
    for (from, to) in [
        ("POST", "PUT"),
        ("POST", "post"),
        ("Host: bank.example", "Host: evil.example"),
        ("Host: bank.example", "Host: bank.example:80"),
        ("/pay/42", "/pay/43"),
        ("/pay/42", "/pay/4%32"),
        ("/pay/42", "/pay//42"),
        ("/pay/42", "/x/../pay/42"),
        ("to=bob&", "to=eve&"),
        ("sum=10", "sum=1000"),
        ("sum=10", "sum=10&"),
        ("?to=bob&sum=10", "?sum=10&to=bob"),
        ("application/json", "text/plain"),
        ("application/json", "application/json\nContent-Type: text/plain"),
        ("a=1, b=2", "a=2, b=2"),
        ("a=1, b=2", "a=1, b=2, a=3"),
        ("a=1, b=2", "a=1;x, b=2"),
        ("02:07:55", "02:07:56"),
        ("X48E9", "X48E8"),
        ("created=1618884473", "created=1618884474"),
        ("expires=1618884533", "expires=1618884534"),
        ("keyid=\"k\"", "keyid=\"K\""),
        ("nonce=\"n\"", "nonce=\"m\""),
        ("nonce=\"n\"", "nonce=\"n\";tag=\"t\""),
        ("(\"@method\" \"@scheme\"", "(\"@scheme\" \"@method\""),
        (" \"content-type\"", ""),
        (" \"date\";bs", " \"date\""),
        (" \"date\";bs", " \"date\";bs \"x-trace\""),
    ] {
        let head = signed_then(|text| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        });
        assert_eq!(judge_head(&head, true), Err(Refusal::WrongSignature), "{from} -> {to}");
    }
    assert_eq!(judge_head(&signed_then(str::to_owned), false), Err(Refusal::WrongSignature), "without TLS");
    let without_type = signed_then(|text| text.replacen("Content-Type: application/json", "X: y", 1));
    assert_eq!(judge_head(&without_type, true), Err(Refusal::MissingComponent));
}

#[test]
fn what_is_not_covered_can_be_changed() {
    for (from, to) in [
        ("X-Trace: a", "X-Trace: b"),
        ("a=1, b=2", "a=1, b=3"),
        ("a=1, b=2", "b=2,a=1"),
        ("Host: bank.example", "Host: BANK.example:443"),
        ("Content-Type", "content-TYPE"),
        ("sig=(\"@method\" ", "sig=(  \"@method\"   "),
        (";created=", ";  created="),
        ("Signature: sig=", "Signature: other=:AA==:, sig="),
    ] {
        let head = signed_then(|text| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        });
        assert_eq!(judge_head(&head, true).map(|_| ()), Ok(()), "{from} -> {to}");
    }
}

#[test]
fn a_signature_is_used_once() {
    let rules = Rules::default();
    let mut guard = ReplayGuard::new(100, rules.horizon());
    let first = judge_head(&signed_then(str::to_owned), true).unwrap();
    assert_eq!(guard.admit(first.replay_key, first.until, CREATED), Admit::Fresh);
    let again = judge_head(&signed_then(|text| text.replace("X-Trace: a", "X-Trace: b")), true).unwrap();
    assert_eq!(guard.admit(again.replay_key, again.until, CREATED + 1), Admit::Replayed);
}

#[test]
fn what_is_remembered_is_key_and_nonce_or_what_was_signed() {
    let params = |params: &str, line: &str| {
        let name = line.split_once(": ").unwrap().0;
        let list = format!("({name});created={CREATED}{params}");
        let head = signed("GET /a HTTP/1.1\nHost: a\nX: 1", &[line], &list);
        judge(&head, &shared(SECRET), &lenient(), CREATED).unwrap().replay_key
    };
    let (method, x) = (r#""@method": GET"#, r#""x": 1"#);
    let [a, b] = [";keyid=\"a\"", ";keyid=\"b\""];
    let [n, m] = [";keyid=\"a\";nonce=\"n\"", ";keyid=\"a\";nonce=\"m\""];
    assert_eq!(params(n, method), params(n, x), "one nonce, whatever is signed");
    assert_ne!(params(n, method), params(m, method));
    assert_ne!(params(n, method), params(";keyid=\"an\";nonce=\"\"", method));
    assert_ne!(params(a, method), params(a, x));
    assert_ne!(params(a, method), params(b, method));
    assert_eq!(params(a, method), params(a, method));
}

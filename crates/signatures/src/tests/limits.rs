//! What is larger than the limits is refused, and the work below them is bounded.

use super::*;
use crate::{MAX_BASE, MAX_COMPONENTS, MAX_FIELD, MAX_SIGNATURES};

fn list_of(count: usize) -> (String, String, String) {
    let mut fields = String::new();
    let (mut names, mut lines) = (Vec::new(), String::new());
    for number in 0..count {
        fields.push_str(&format!("\nx-{number}: {number}"));
        names.push(format!("\"x-{number}\""));
        lines.push_str(&format!("\"x-{number}\": {number}\n"));
    }
    let list = format!("({});created={CREATED};keyid=\"k\"", names.join(" "));
    (fields, lines, list)
}

#[test]
fn so_many_components_and_no_more() {
    for (count, want) in [(0, Ok(())), (MAX_COMPONENTS, Ok(())), (MAX_COMPONENTS + 1, Err(Refusal::TooLarge))]
    {
        let (fields, lines, list) = list_of(count);
        let mac = mac(SECRET, &format!("{lines}\"@signature-params\": {list}"));
        let head = head(&format!(
            "GET / HTTP/1.1\nHost: a{fields}\nSignature-Input: s={list}\nSignature: s=:{mac}:"
        ));
        assert_eq!(judge(&head, &shared(SECRET), &lenient(), CREATED).map(|_| ()), want, "{count}");
        let names: Vec<_> = (0..count).map(|number| format!("x-{number}")).collect();
        let credentials = format!(
            r#"hmac username="a", algorithm="hmac-sha256", headers="{}", signature="AAAA""#,
            names.join(" ")
        );
        let mut head = head.clone();
        head.headers.remove(b"signature-input");
        head.headers.push(b"Authorization", credentials.as_bytes());
        let got = judge(&head, &shared(SECRET), &lenient(), CREATED).unwrap_err();
        assert_eq!(got == Refusal::TooLarge, want.is_err(), "{count}: {got}");
    }
}

#[test]
fn so_many_bytes_and_no_more() {
    let list = format!("(\"x\");created={CREATED};keyid=\"k\"");
    let rest = format!("\"x\": \n\"@signature-params\": {list}").len();
    for (length, want) in [(MAX_BASE - rest, Ok(())), (MAX_BASE - rest + 1, Err(Refusal::TooLarge))] {
        let value = "v".repeat(length);
        let head =
            signed(&format!("GET / HTTP/1.1\nHost: a\nX: {value}"), &[&format!("\"x\": {value}")], &list);
        assert_eq!(judge(&head, &shared(SECRET), &lenient(), CREATED).map(|_| ()), want, "{length}");
    }
    let long = "a".repeat(MAX_FIELD);
    for fields in [
        format!("Signature-Input: {long}a"),
        format!("Signature-Input: a=();keyid=\"k\"\nSignature: a=:AA==:, {long}"),
        format!("Authorization: hmac {long}"),
    ] {
        let head = head(&format!("GET / HTTP/1.1\nHost: a\n{fields}"));
        assert_eq!(parse(&head, &lenient()).unwrap().unwrap_err(), Refusal::TooLarge);
    }
    for identifier in ["\"x\";key=\"a\"", "\"x\";bs"] {
        let request = format!("GET / HTTP/1.1\nHost: a\nX: {long}a");
        let list = format!("({identifier});created={CREATED};keyid=\"k\"");
        let head = signed(&request, &[""], &list);
        assert_eq!(
            judge(&head, &shared(SECRET), &lenient(), CREATED),
            Err(Refusal::TooLarge),
            "{identifier}"
        );
    }
}

#[test]
fn so_many_keys_are_looked_up_and_no_more() {
    let inputs: Vec<_> = (0..20).map(|number| format!("s{number}=();keyid=\"k{number}\"")).collect();
    let signatures: Vec<_> = (0..20).map(|number| format!("s{number}=:AA==:")).collect();
    let head = head(&format!(
        "GET / HTTP/1.1\nHost: a\nSignature-Input: {}\nSignature: {}",
        inputs.join(", "),
        signatures.join(", ")
    ));
    let presented = parse(&head, &lenient()).unwrap().unwrap();
    let mut asked = Vec::new();
    let got = presented.choose(|id| {
        asked.push(id.to_owned());
        None::<()>
    });
    assert_eq!(got.unwrap_err(), Refusal::UnknownKey);
    assert_eq!(asked.len(), MAX_SIGNATURES);
    assert_eq!((asked[0].as_str(), asked[7].as_str()), ("k0", "k7"), "in their order");
    assert_eq!(format!("{presented:?}").matches("key_id").count(), MAX_SIGNATURES);
    assert!(!format!("{presented:?}").contains("AA=="), "no signature is shown");
}

/// 64 parameters of a long query, and 64 members of a long dictionary: a second would be far too long for them.
#[test]
fn the_most_expensive_request_takes_a_bounded_time() {
    let query: Vec<_> = (0..3_000).map(|number| format!("p{number}=%61%62%63")).collect();
    let names: Vec<_> = (0..32).map(|number| format!("\"@query-param\";name=\"p{number}\"")).collect();
    let members: Vec<_> = (0..3_000).map(|number| format!("m{number}=1")).collect();
    let keys: Vec<_> = (0..32).map(|number| format!("\"x\";key=\"m{number}\"")).collect();
    let list = format!("({} {});created={CREATED};keyid=\"k\"", names.join(" "), keys.join(" "));
    let request = format!("GET /?{} HTTP/1.1\nHost: a\nX: {}", query.join("&"), members.join(", "));
    let head = signed(&request, &[""], &list);
    let started = std::time::Instant::now();
    assert_eq!(judge(&head, &shared(SECRET), &lenient(), CREATED), Err(Refusal::WrongSignature));
    assert!(started.elapsed().as_secs() < 2, "{:?}", started.elapsed());
}

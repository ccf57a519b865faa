//! The header form of Kong. The MACs are Python's: `base64.b64encode(hmac.new(b"kong-secret-of-alice", text,
//! "sha256").digest())` of the text in the comment at each; the first one was made with OpenSSL, too.

use ::message::Version;

use super::*;
use crate::{Algorithm, Form};

const KEY: &[u8] = b"kong-secret-of-alice";

/// The time of the requests: Tue, 20 Apr 2021 02:07:55 GMT.
const DATE: u64 = 1_618_884_475;

const REQUEST: &str = "GET /orders?id=7&x=%2e%2e HTTP/1.1
    Host: Shop.Example:8443
    Date: Tue, 20 Apr 2021 02:07:55 GMT";

// "date: Tue, 20 Apr 2021 02:07:55 GMT\nGET /orders?id=7&x=%2e%2e HTTP/1.1"
const SHA256: &str = "Sgrugntu504WbFk+WnJwDzt8JXAx//6cSznhv5Smw2k=";
const SHA384: &str = "rPXAFsvLd/nRaR0VztlazznqtFu3tG53AH0xmkJQgBOT3ZE38yoz2MGFaL8UMRsM";
const SHA512: &str =
    "GBdLwA67JRroxj1xoNI0G2IsidkAN5ysuo927RTnR+nxTrsEmltYvcB4T5836d0OMuc7FEDnPsji1x9RtU5E7w==";
const SHA1: &str = "NVWY4EONG4c+4dlnxScdcerfV9E=";

fn credentials(algorithm: &str, headers: &str, signature: &str) -> String {
    format!(r#"hmac username="alice", algorithm="{algorithm}", headers="{headers}", signature="{signature}""#)
}

fn with(request: &str, credentials: &str) -> RequestHead {
    head(&format!("{request}\nAuthorization: {credentials}"))
}

fn judge_kong(head: &RequestHead, rules: &Rules) -> Result<Accepted, Refusal> {
    judge(head, &shared(KEY), rules, DATE)
}

#[test]
fn the_macs_of_kong_clients_are_genuine() {
    let head = with(REQUEST, &credentials("hmac-sha256", "date request-line", SHA256));
    let presented = parse(&head, &Rules::default()).unwrap().unwrap();
    let (claim, key) = presented.choose(|id| (id == "alice").then(|| shared(KEY))).unwrap();
    assert_eq!((claim.key_id(), claim.form()), ("alice", Form::Header));
    let request = Request { head: &head, https: false, body_length: Some(0) };
    let accepted = claim.verify(&key, &request, &Rules::default(), DATE).unwrap();
    assert_eq!((accepted.created, accepted.until), (Some(DATE), DATE + 301));
    assert_eq!((accepted.expires, accepted.nonce), (None, None));

    let old = Rules { algorithms: Algorithms::default().with(Algorithm::HmacSha1), ..Rules::default() };
    let old_key = Key::shared(KEY, old.algorithms).unwrap();
    for (algorithm, mac) in
        [("hmac-sha256", SHA256), ("hmac-sha384", SHA384), ("hmac-sha512", SHA512), ("hmac-sha1", SHA1)]
    {
        let head = with(REQUEST, &credentials(algorithm, "date request-line", mac));
        let accepted =
            judge(&head, &old_key, &old, DATE).unwrap_or_else(|refusal| panic!("{algorithm}: {refusal}"));
        assert_eq!(accepted.algorithm.as_str(), algorithm);
        if algorithm == "hmac-sha1" {
            assert_eq!(judge_kong(&head, &Rules::default()), Err(Refusal::AlgorithmNotAllowed));
            assert_eq!(judge_kong(&head, &old), Err(Refusal::AlgorithmMismatch), "the key is not for it");
        }
    }
}

#[test]
fn lines_are_those_of_kong() {
    let dated = REQUEST.replace("Date:", "Date: Tue, 20 Apr 2021 09:00:00 GMT\nX-Date:");
    let post =
        "POST /foo?param=Value&Pet=dog HTTP/1.1\nHost: example.com\nDate: Tue, 20 Apr 2021 02:07:55 GMT
        Digest: SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=";
    let listed = format!("{REQUEST}\nX-List: a\nX-List: b");
    let absolute = REQUEST.replace("GET /", "GET http://shop.example:8443/");
    for (request, names, mac) in [
        // "X-Date: Tue, …\n@request-target: get /orders?id=7&x=%2e%2e\nhost: Shop.Example:8443"
        (dated.as_str(), "X-Date @request-target host", "FwwvRBWnZQ5M3XUtzeGSFnOdKeB7q/+WpixpZfe/NgA="),
        // "date: Tue, …\nPOST /foo?param=Value&Pet=dog HTTP/1.1\ndigest: SHA-256=X48E9qOo…"
        (post, "date request-line digest", "pq9b7IcXAzYUvXggD4sT/YDX8JybJOtaMb8bpzK2E/8="),
        // "date: Tue, …\nGET /orders?id=7&x=%2e%2e HTTP/1.1\nx-list: a, b"
        (&listed, "date request-line x-list", "PIPLfVrHSwTKws5IkSEgku6O3xh+0KM29T6EkomoTio="),
        // As the first one: the request line has no authority.
        (&absolute, "date request-line", SHA256),
    ] {
        let head = with(request, &credentials("hmac-sha256", names, mac));
        let accepted = judge_kong(&head, &Rules::default());
        assert_eq!(
            accepted.map(|accepted| accepted.covers_digest()),
            Ok(names.contains("digest")),
            "{names}"
        );
    }
    // "date: Tue, …\nGET /orders?id=7&x=%2e%2e HTTP/2.0"
    let mac = "e1JuSFpWW7V2rMfosW/yP9aICAxcl/TkUTW9TwbTS/k=";
    let mut head = with(REQUEST, &credentials("hmac-sha256", "date request-line", mac));
    assert_eq!(judge_kong(&head, &Rules::default()), Err(Refusal::WrongSignature));
    head.version = Version::Http2;
    assert!(judge_kong(&head, &Rules::default()).is_ok());
}

#[test]
fn the_credentials_may_be_written_in_many_ways_but_not_in_any() {
    let tail = format!(r#"algorithm="hmac-sha256",headers="date request-line",signature="{SHA256}""#);
    let good = credentials("hmac-sha256", "date request-line", SHA256);
    for credentials in [
        format!(r#"Hmac username="alice",{tail}"#),
        format!("HMAC  {tail} ,\tusername=\"alice\" "),
        format!("hmac\t{tail},username=\"alice\""),
    ] {
        assert!(judge_kong(&with(REQUEST, &credentials), &Rules::default()).is_ok(), "{credentials}");
    }
    for (credentials, want) in [
        ("hmac".to_owned(), Refusal::MalformedCredentials),
        ("hmac username=\"alice\"".to_owned(), Refusal::MalformedCredentials),
        (format!("hmac {tail}"), Refusal::MalformedCredentials),
        (format!("hmac username=\"\",{tail}"), Refusal::NoKeyId),
        (format!("hmac username=\"a\\\"b\",{tail}"), Refusal::MalformedCredentials),
        (format!("hmac username=\"a\",username=\"a\",{tail}"), Refusal::MalformedCredentials),
        (format!("hmac username=\"a\",realm=\"a\",{tail}"), Refusal::MalformedCredentials),
        (format!("hmac username=\"a\",{tail},"), Refusal::MalformedCredentials),
        (format!("hmac username=\"a\" {tail}"), Refusal::MalformedCredentials),
        (format!("hmac username=a,{tail}"), Refusal::MalformedCredentials),
        (good.replace("Sgr", "Sg*"), Refusal::MalformedCredentials),
        (good.replace("w2k=", "w2k"), Refusal::MalformedCredentials),
        (good.replace("sha256", "md5"), Refusal::AlgorithmNotAllowed),
        (good.replace("hmac-sha256", "ed25519"), Refusal::AlgorithmNotAllowed),
    ] {
        let got = parse(&with(REQUEST, &credentials), &Rules::default()).unwrap().unwrap_err();
        assert_eq!(got, want, "{credentials}");
    }
    for other in ["Basic YTpi", "hmacx a", "Bearer hmac", "", "hma"] {
        assert!(parse(&with(REQUEST, other), &Rules::default()).is_none(), "{other}");
    }
    assert!(parse(&with(REQUEST, &good), &Rules { header_form: false, ..Rules::default() }).is_none());
}

#[test]
fn the_proxy_field_goes_first_and_nothing_comes_twice() {
    let good = credentials("hmac-sha256", "date request-line", SHA256);
    let bad = credentials("hmac-sha256", "date request-line", "AAAA");
    for (fields, want) in [
        (format!("Proxy-Authorization: {good}\nAuthorization: {bad}"), Ok(())),
        (format!("Proxy-Authorization: {bad}\nAuthorization: {good}"), Err(Refusal::WrongSignature)),
        (format!("Proxy-Authorization: Basic YTpi\nAuthorization: {good}"), Ok(())),
        (format!("Authorization: {good}\nAuthorization: {good}"), Err(Refusal::MalformedCredentials)),
        (format!("Authorization: Basic YTpi\nAuthorization: {good}"), Err(Refusal::MalformedCredentials)),
    ] {
        let head = head(&format!("{REQUEST}\n{fields}"));
        assert_eq!(judge_kong(&head, &Rules::default()).map(|_| ()), want, "{fields}");
    }
}

#[test]
fn what_must_be_covered_must_be() {
    // "GET /orders?id=7&x=%2e%2e HTTP/1.1", and "date: Tue, 20 Apr 2021 02:07:55 GMT"
    let line_only = "PpXq32efJYDgvTxyA4JlxAWeeGYseDTFeK3y0WUeOMc=";
    let date_only = "lw7KWkPmUei17yOguBAd1OevI5NOZJceWWAd1I6VPsw=";
    let hosted = Rules { required_in_header: requirements(&["@authority"]), ..Rules::default() };
    let default = Rules::default();
    for (names, mac, rules, want) in [
        ("request-line", line_only, &default, Refusal::DateNotCovered),
        ("request-line", line_only, &lenient(), Refusal::DateNotCovered),
        ("date", date_only, &default, Refusal::NotCovered),
        ("date request-line", SHA256, &hosted, Refusal::NotCovered),
        ("date request-line x-absent", SHA256, &default, Refusal::MissingComponent),
        ("x-date request-line", SHA256, &default, Refusal::MissingComponent),
        ("date request-line Date", SHA256, &default, Refusal::RepeatedComponent),
        ("date  request-line", SHA256, &default, Refusal::UnsupportedComponent),
        ("date @method", SHA256, &default, Refusal::UnsupportedComponent),
        ("", SHA256, &default, Refusal::UnsupportedComponent),
        ("date request-line", SHA384, &default, Refusal::WrongSignature),
        ("date request-line", SHA256, &Rules { require_nonce: true, ..Rules::default() }, Refusal::NoNonce),
    ] {
        let head = with(REQUEST, &credentials("hmac-sha256", names, mac));
        assert_eq!(judge_kong(&head, rules), Err(want), "{names}");
    }
    assert!(judge_kong(&with(REQUEST, &credentials("hmac-sha256", "date", date_only)), &lenient()).is_ok());
    let digest = "SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=";
    for request in [REQUEST.to_owned(), format!("{REQUEST}\nDigest: {digest}")] {
        let head = with(&request, &credentials("hmac-sha256", "date request-line", SHA256));
        let request = Request { head: &head, https: true, body_length: None };
        let got = judge_request(&request, &shared(KEY), &default, DATE);
        assert_eq!(got, Err(Refusal::DigestNotCovered), "one that nobody has signed is none");
    }
}

/// The field Host says nothing where the target names another authority.
#[test]
fn a_host_that_does_not_count_covers_nothing() {
    let rules = Rules { required_in_header: requirements(&["@authority"]), ..Rules::default() };
    let text =
        "date: Tue, 20 Apr 2021 02:07:55 GMT\nGET /orders?id=7&x=%2e%2e HTTP/1.1\nhost: Shop.Example:8443";
    let credentials = credentials("hmac-sha256", "date request-line host", &mac(KEY, text));
    assert!(judge_kong(&with(REQUEST, &credentials), &rules).is_ok());
    let elsewhere = REQUEST.replace("GET /", "GET http://other.example/");
    assert_eq!(judge_kong(&with(&elsewhere, &credentials), &rules), Err(Refusal::NotCovered));
}

#[test]
fn the_date_is_good_up_to_the_edge() {
    let head = with(REQUEST, &credentials("hmac-sha256", "date request-line", SHA256));
    for (now, want) in [
        (DATE, Ok(())),
        (DATE + 300, Ok(())),
        (DATE + 301, Err(Refusal::TooOld)),
        (DATE - 300, Ok(())),
        (DATE - 301, Err(Refusal::NotYetValid)),
    ] {
        assert_eq!(judge(&head, &shared(KEY), &Rules::default(), now).map(|_| ()), want, "{now}");
    }
    for date in ["yesterday", "", "Tue, 20 Apr 1969 02:07:55 GMT", "\u{e9}"] {
        let request = REQUEST.replace("Tue, 20 Apr 2021 02:07:55 GMT", date);
        let head = with(&request, &credentials("hmac-sha256", "date request-line", SHA256));
        assert_eq!(judge_kong(&head, &Rules::default()), Err(Refusal::BadTime), "{date}");
    }
    let twice = format!("{REQUEST}\nDate: Tue, 20 Apr 2021 02:07:55 GMT");
    let head = with(&twice, &credentials("hmac-sha256", "date request-line", SHA256));
    assert_eq!(judge_kong(&head, &Rules::default()), Err(Refusal::BadTime));
}

/// `get` is another method than GET, but `@request-target` would not tell.
#[test]
fn a_method_in_lower_case_has_no_request_target() {
    let text = "date: Tue, 20 Apr 2021 02:07:55 GMT\n@request-target: get /orders?id=7&x=%2e%2e";
    let credentials = credentials("hmac-sha256", "date @request-target", &mac(KEY, text));
    assert!(judge_kong(&with(REQUEST, &credentials), &Rules::default()).is_ok());
    let lower = REQUEST.replace("GET", "get");
    assert_eq!(judge_kong(&with(&lower, &credentials), &Rules::default()), Err(Refusal::AmbiguousComponent));
}

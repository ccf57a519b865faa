//! The form of RFC 9421: values of components, what is asked of a signature, and which one is looked at.

use super::*;

const REQUEST: &str = "POST /a%2Fb/../c?x=1&y=%20z HTTP/1.1
    Host: Shop.Example:8443
    Content-Type: text/plain
    X-Two: a,  b
    X-Two: c
    X-Empty:
    X-Dict: a=1,   b=2;x=1;y=2, c=(a   b), d
    Content-Digest: sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:,sha-9=1
    Content-Length: 18";

fn check(request: &str, line: &str) -> Result<Accepted, Refusal> {
    let identifier = line.split_once(": ").map_or(line, |(identifier, _)| identifier);
    let list = format!("({identifier});created={CREATED};keyid=\"k\"");
    judge(&signed(request, &[line], &list), &shared(SECRET), &lenient(), CREATED)
}

/// Each line was written by hand after RFC 9421 §2; a wrong value would be another signature.
#[test]
fn components_have_the_values_of_the_rfc() {
    for line in [
        r#""@method": POST"#,
        r#""@scheme": https"#,
        r#""@authority": shop.example:8443"#,
        r#""@path": /a%2Fb/../c"#,
        r#""@query": ?x=1&y=%20z"#,
        r#""@request-target": /a%2Fb/../c?x=1&y=%20z"#,
        r#""@target-uri": https://shop.example:8443/a%2Fb/../c?x=1&y=%20z"#,
        r#""@query-param";name="y": %20z"#,
        r#""content-type": text/plain"#,
        r#""host": Shop.Example:8443"#,
        r#""x-two": a,  b, c"#,
        r#""x-two";bs: :YSwgIGI=:, :Yw==:"#,
        r#""x-empty": "#,
        r#""x-empty";bs: ::"#,
        r#""x-dict";key="a": 1"#,
        r#""x-dict";key="b": 2;x=1;y=2"#,
        r#""x-dict";key="c": (a b)"#,
        r#""x-dict";key="d": ?1"#,
        r#""x-dict";sf;key="d": ?1"#,
        r#""content-digest";sf: sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:, sha-9=1"#,
    ] {
        let got = check(REQUEST, line);
        assert!(got.is_ok(), "{line}: {got:?}");
    }
    for (request, line) in [
        ("GET / HTTP/1.1\nHost: a.test:443", r#""@authority": a.test"#),
        ("GET / HTTP/1.1\nHost: a.test:443", r#""@target-uri": https://a.test/"#),
        ("GET / HTTP/1.1\nHost: a.test:80", r#""@authority": a.test:80"#),
        ("GET / HTTP/1.1\nHost: a.test", r#""@query": ?"#),
        ("GET /? HTTP/1.1\nHost: a.test", r#""@query": ?"#),
        ("GET /? HTTP/1.1\nHost: a.test", r#""@target-uri": https://a.test/?"#),
        ("GET https://b.test/x?y HTTP/1.1\nHost: a.test", r#""@request-target": https://b.test/x?y"#),
        ("GET https://b.test/x?y HTTP/1.1\nHost: a.test", r#""@target-uri": https://b.test/x?y"#),
        ("GET https://b.test HTTP/1.1\nHost: a.test", r#""@path": /"#),
        ("OPTIONS * HTTP/1.1\nHost: a.test", r#""@request-target": *"#),
        ("CONNECT a.test:443 HTTP/1.1\nHost: a.test", r#""@request-target": a.test:443"#),
        ("GET / HTTP/1.1\nHost: [::1]:443", r#""@authority": [::1]"#),
    ] {
        let got = check(request, line);
        assert!(got.is_ok(), "{request} {line}: {got:?}");
    }
}

#[test]
fn without_tls_the_scheme_and_its_port_are_others() {
    for line in [r#""@scheme": http"#, r#""@authority": a.test"#, r#""@target-uri": http://a.test/"#] {
        let list = format!("({});created={CREATED};keyid=\"k\"", line.split_once(": ").unwrap().0);
        let head = signed("GET / HTTP/1.1\nHost: a.test:80", &[line], &list);
        let judge = |https| {
            let request = Request { head: &head, https, body_length: Some(0) };
            judge_request(&request, &shared(SECRET), &lenient(), CREATED)
        };
        assert!(judge(false).is_ok(), "{line}");
        assert_eq!(judge(true), Err(Refusal::WrongSignature), "{line}");
    }
}

#[test]
fn components_in_doubt_are_refused() {
    for (line, want) in [
        (r#""@status""#, Refusal::UnsupportedComponent),
        (r#""@signature-params""#, Refusal::UnsupportedComponent),
        (r#""@unknown""#, Refusal::UnsupportedComponent),
        (r#""@method";sf"#, Refusal::UnsupportedComponent),
        (r#""@method";name="x""#, Refusal::UnsupportedComponent),
        (r#""@query-param""#, Refusal::UnsupportedComponent),
        (r#""@query-param";name=x"#, Refusal::UnsupportedComponent),
        (r#""@query-param";name="z""#, Refusal::MissingComponent),
        (r#""content-type";tr"#, Refusal::UnsupportedComponent),
        (r#""content-type";req"#, Refusal::UnsupportedComponent),
        (r#""content-type";bs=?0"#, Refusal::UnsupportedComponent),
        (r#""content-type";new"#, Refusal::UnsupportedComponent),
        (r#""content-type";sf"#, Refusal::UnsupportedComponent),
        (r#""x-dict";bs;key="a""#, Refusal::UnsupportedComponent),
        (r#""content-digest";bs;sf"#, Refusal::UnsupportedComponent),
        (r#""x-dict";key="e""#, Refusal::MissingComponent),
        (r#""content-type";key="a""#, Refusal::AmbiguousComponent),
        (r#""x-absent""#, Refusal::MissingComponent),
        (r#""x-absent";bs"#, Refusal::MissingComponent),
        (r#""x-absent";key="a""#, Refusal::MissingComponent),
        (r#""Content-Type""#, Refusal::UnsupportedComponent),
        (r#""""#, Refusal::UnsupportedComponent),
        (r#""a b""#, Refusal::UnsupportedComponent),
        (r#"content-type"#, Refusal::MalformedFields),
        (r#""@method" "@method""#, Refusal::RepeatedComponent),
        (r#""x-dict";key="a" "x-dict";key="a";sf"#, Refusal::RepeatedComponent),
    ] {
        assert_eq!(check(REQUEST, line), Err(want), "{line}");
    }
    for (request, line, want) in [
        ("OPTIONS * HTTP/1.1\nHost: a", r#""@path""#, Refusal::MissingComponent),
        ("OPTIONS * HTTP/1.1\nHost: a", r#""@query""#, Refusal::MissingComponent),
        ("CONNECT a:1 HTTP/1.1\nHost: a", r#""@target-uri""#, Refusal::MissingComponent),
        ("GET /?a=1&a=2 HTTP/1.1\nHost: a", r#""@query-param";name="a""#, Refusal::AmbiguousComponent),
        ("GET /\u{e9} HTTP/1.1\nHost: a", r#""@path""#, Refusal::AmbiguousComponent),
        ("GET / HTTP/1.1\nHost: a\nX: \u{e9}", r#""x""#, Refusal::AmbiguousComponent),
    ] {
        assert_eq!(check(request, line), Err(want), "{request} {line}");
    }
    assert!(check("GET / HTTP/1.1\nHost: a\nX: \u{e9}", r#""x";bs: :w6k=:"#).is_ok());
}

#[test]
fn what_a_signature_says_of_itself_is_checked() {
    let line = r#""@method": POST"#;
    let judge_params = |params: &str, rules: &Rules, key: &Key| {
        judge(&signed(REQUEST, &[line], &format!("(\"@method\"){params}")), key, rules, CREATED)
    };
    let strict = Rules { require_nonce: true, ..lenient() };
    let timeless = Rules { require_created: false, ..lenient() };
    let no_hmac = Rules { algorithms: Algorithms::NONE.with(crate::Algorithm::Ed25519), ..lenient() };
    let key = shared(SECRET);
    for (params, rules, want) in [
        (r#";created=1618884473;keyid="k""#, &lenient(), Ok(())),
        (r#";keyid="k";created=1618884473;new=1"#, &lenient(), Ok(())),
        (r#";keyid="k";created=1618884473;alg="hmac-sha256""#, &lenient(), Ok(())),
        (r#";keyid="k";created=1618884473;alg="hmac-sha512""#, &lenient(), Err(Refusal::AlgorithmMismatch)),
        (r#";keyid="k";created=1618884473;alg="ed25519""#, &lenient(), Err(Refusal::AlgorithmMismatch)),
        (r#";keyid="k";created=1618884473;alg="""#, &lenient(), Err(Refusal::AlgorithmMismatch)),
        (r#";keyid="k";created=1618884473;alg=x"#, &lenient(), Err(Refusal::MalformedFields)),
        (r#";keyid="k";created=1618884473"#, &no_hmac, Err(Refusal::AlgorithmNotAllowed)),
        (r#";keyid="k";created=-1"#, &lenient(), Err(Refusal::BadTime)),
        (r#";keyid="k";created=1618884473.5"#, &lenient(), Err(Refusal::BadTime)),
        (r#";keyid="k";created="1618884473""#, &lenient(), Err(Refusal::BadTime)),
        (r#";keyid="k""#, &lenient(), Err(Refusal::NoTime)),
        (r#";keyid="k""#, &timeless, Err(Refusal::NoTime)),
        (r#";keyid="k";expires=1618884474"#, &timeless, Ok(())),
        (r#";keyid="k";created=1618884473;expires=1618884473"#, &lenient(), Err(Refusal::Expired)),
        (r#";keyid="k";created=1618884173"#, &lenient(), Ok(())),
        (r#";keyid="k";created=1618884172"#, &lenient(), Err(Refusal::TooOld)),
        (r#";keyid="k";created=1618884773"#, &lenient(), Ok(())),
        (r#";keyid="k";created=1618884774"#, &lenient(), Err(Refusal::NotYetValid)),
        (r#";keyid="k";created=1618884473"#, &strict, Err(Refusal::NoNonce)),
        (r#";keyid="k";created=1618884473;nonce="""#, &strict, Err(Refusal::NoNonce)),
        (r#";keyid="k";created=1618884473;nonce="n""#, &strict, Ok(())),
        (r#";keyid=k;created=1618884473"#, &lenient(), Err(Refusal::MalformedFields)),
        (r#";created=1618884473"#, &lenient(), Err(Refusal::NoKeyId)),
    ] {
        assert_eq!(judge_params(params, rules, &key).map(|_| ()), want, "{params}");
    }
    let params = r#";keyid="k";created=1618884473"#;
    let sha512 = Key::shared(SECRET, Algorithms::NONE.with(crate::Algorithm::HmacSha512)).unwrap();
    assert_eq!(judge_params(params, &lenient(), &sha512), Err(Refusal::AlgorithmMismatch));
    assert_eq!(judge_params(params, &lenient(), &shared(b"other")), Err(Refusal::WrongSignature));
}

/// What the rules ask for by default is method, authority, path, query, and a digest of a body.
#[test]
fn what_must_be_covered_must_be() {
    let all = [
        r#""@method": POST"#,
        r#""@authority": shop.example:8443"#,
        r#""@path": /a%2Fb/../c"#,
        r#""@query": ?x=1&y=%20z"#,
        r#""content-digest": sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:,sha-9=1"#,
    ];
    let judge_lines = |lines: &[&str], body_length| {
        let names: Vec<_> = lines.iter().map(|line| line.split_once(": ").unwrap().0).collect();
        let head = signed(REQUEST, lines, &format!("({});created={CREATED};keyid=\"k\"", names.join(" ")));
        let request = Request { head: &head, https: true, body_length };
        judge_request(&request, &shared(SECRET), &Rules::default(), CREATED)
    };
    let accepted = judge_lines(&all, Some(18)).unwrap();
    let mut check = accepted.digest.unwrap().check();
    check.update(br#"{"hello": "world"}"#);
    assert!(check.finish());
    for missing in 0..4 {
        let lines: Vec<_> =
            all.iter().enumerate().filter(|(at, _)| *at != missing).map(|(_, line)| *line).collect();
        assert_eq!(judge_lines(&lines, Some(18)), Err(Refusal::NotCovered), "{}", all[missing]);
    }
    let [method, uri] = [all[0], r#""@target-uri": https://shop.example:8443/a%2Fb/../c?x=1&y=%20z"#];
    assert_eq!(judge_lines(&[method, uri], Some(0)).unwrap().digest, None);
    for body_length in [Some(18), None] {
        assert_eq!(judge_lines(&[method, uri], body_length), Err(Refusal::DigestNotCovered));
    }
    let member = r#""content-digest";key="sha-9": 1"#;
    assert_eq!(judge_lines(&[method, uri, member], Some(18)), Err(Refusal::DigestNotCovered));
}

#[test]
fn a_tag_chooses_and_what_is_malformed_is_refused() {
    let rules = |tag: Option<&str>| Rules { tag: tag.map(str::to_owned), ..lenient() };
    let list = format!("(\"@method\");created={CREATED};keyid=\"k\";tag=\"ours\"");
    let head_of = |input: &str, signature: &str| {
        head(&format!("{REQUEST}\nSignature-Input: {input}\nSignature: {signature}"))
    };
    let mac = mac(SECRET, &format!("\"@method\": POST\n\"@signature-params\": {list}"));
    let two = head_of(&format!("a=();keyid=\"x\";tag=\"theirs\", b={list}"), &format!("a=:AA==:,b=:{mac}:"));
    assert!(judge(&two, &shared(SECRET), &rules(Some("ours")), CREATED).is_ok());
    assert!(parse(&two, &rules(Some("nobody's"))).is_none());
    for (input, signature, want) in [
        ("a=1", "a=:AA==:", Refusal::MalformedFields),
        ("a=(", "a=:AA==:", Refusal::MalformedFields),
        ("a=();keyid=\"k\"", "a=1", Refusal::MalformedFields),
        ("a=();keyid=\"k\"", "a=(:AA==:)", Refusal::MalformedFields),
        ("a=();keyid=\"k\"", "a=:AA=:x", Refusal::MalformedFields),
        ("a=();keyid=\"k\"", "b=:AA==:", Refusal::NoSignature),
        ("a=()", "a=:AA==:", Refusal::NoKeyId),
    ] {
        let head = head_of(input, signature);
        assert_eq!(parse(&head, &lenient()).unwrap().unwrap_err(), want, "{input} {signature}");
    }
    assert!(parse(&head(REQUEST), &lenient()).is_none());
    assert!(parse(&head_of("", "a=:AA==:"), &lenient()).is_none());
    assert!(parse(&two, &Rules { message_form: false, ..lenient() }).is_none());
}

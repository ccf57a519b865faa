//! Who may come from where, what services are told, and mistakes in what is written.

use diagnostics::{Code, Diagnostics, SourceId};
use document::{Decode, FileBytes, Files, Node, Value};
use message::{Reply, RequestHead};

use super::mmdb::{self, Value as Record};
use super::{Raw, Ready, compile};
use crate::scene::see;
use crate::{Flow, RequestState};

/// A database with a few countries.
fn countries() -> Vec<u8> {
    mmdb::database(
        "Test-Country",
        &[
            ("10.0.0.0", 8, Record::country("DE")),
            ("11.0.0.0", 9, Record::country("FR")),
            ("2001:db8::", 32, Record::country("US")),
            (
                "12.0.0.0",
                8,
                Record::Map(vec![("continent", Record::Map(vec![("code", Record::Text("EU"))]))]),
            ),
            ("13.0.0.0", 8, Record::Map(vec![("country", Record::Text("DE"))])),
            ("14.0.0.0", 8, Record::country("de")),
            ("15.0.0.0", 8, Record::country("D\u{e9}")),
            (
                "16.0.0.0",
                8,
                Record::Map(vec![("country", Record::Map(vec![("iso_code", Record::Number(6, 9))]))]),
            ),
        ],
    )
}

/// The policy, or the codes and messages of what is wrong. `database` in what is written names `bytes`.
fn ready(written: &str, bytes: Option<Vec<u8>>) -> Result<Ready, Vec<(Code, String)>> {
    let mut diagnostics = Diagnostics::new();
    let mut node = document::parse(SourceId(0), written, &mut diagnostics).unwrap();
    attach(&mut node, bytes);
    let raw = Raw::decode(&node, &mut diagnostics);
    let ready = raw.and_then(|raw| {
        compile(
            &raw,
            &mut crate::Compiling::new(
                &mut diagnostics,
                &std::sync::Arc::default(),
                &crate::Providers::default(),
            ),
        )
    });
    let said: Vec<_> = diagnostics.iter().map(|one| (one.code, one.message.clone())).collect();
    ready.filter(|_| said.is_empty()).ok_or(said)
}

/// Hangs the file on the value that names it, as reading a configuration does.
fn attach(node: &mut Node, bytes: Option<Vec<u8>>) {
    let Value::Map(entries) = &mut node.value else { return };
    let Some(entry) = entries.iter_mut().find(|entry| entry.key.value == "database") else { return };
    if let Value::Scalar(scalar) = &mut entry.node.value {
        let binary = bytes.map(|bytes| Ok(FileBytes::new(bytes)));
        scalar.files = Some(Box::new(Files { path: "c.mmdb".into(), texts: Vec::new(), binary }));
    }
}

/// The answer if a request is refused, or the values of `x-country` that the service sees.
fn outcome(ready: &Ready, client: &str) -> Result<Vec<String>, Reply> {
    let (mut head, mut state) = (RequestHead::default(), RequestState::default());
    head.headers.push(b"X-Country", b"forged");
    let flow = see(&mut head, &mut state, client.parse().unwrap(), |cx| ready.on_request(cx));
    match flow {
        Flow::Continue => {
            let values = head.headers.values(b"x-country");
            Ok(values.map(|value| String::from_utf8_lossy(value).into_owned()).collect())
        }
        Flow::Reply(reply) => Err(reply),
        other => panic!("{other:?}"),
    }
}

#[test]
fn countries_are_let_in_or_kept_out() {
    let allow = "{ database: c.mmdb, allow: [DE, US] }";
    let deny = "{ database: c.mmdb, deny: [DE] }";
    let both = "{ database: c.mmdb, allow: [DE, FR], deny: [US], unknown: allow }";
    for (written, client, passes) in [
        (allow, "10.1.2.3", true),
        (allow, "::ffff:10.1.2.3", true),
        (allow, "2001:db8::1", true),
        (allow, "11.0.0.1", false),
        (allow, "11.128.0.1", false),
        (allow, "192.0.2.1", false),
        (allow, "2001:db9::1", false),
        (deny, "10.1.2.3", false),
        (deny, "::ffff:10.1.2.3", false),
        (deny, "11.0.0.1", true),
        (deny, "127.0.0.1", false),
        (both, "11.0.0.1", true),
        (both, "2001:db8::1", false),
        (both, "127.0.0.1", true),
        // Records without a country, and broken ones.
        (allow, "12.0.0.1", false),
        (both, "12.0.0.1", true),
        (allow, "13.0.0.1", false),
        (allow, "14.0.0.1", true),
        (allow, "15.0.0.1", false),
        (allow, "16.0.0.1", false),
    ] {
        let ready = ready(written, Some(countries())).unwrap();
        assert_eq!(outcome(&ready, client).is_ok(), passes, "{written} {client}");
    }
    let reply = outcome(&ready(deny, Some(countries())).unwrap(), "10.0.0.1").unwrap_err();
    assert_eq!(reply.status, 403);
    assert!(String::from_utf8_lossy(&reply.body).contains("\"code\":\"geo-refused\""));
}

#[test]
fn services_are_told_the_country_and_nothing_that_clients_say() {
    let told = ready("{ database: c.mmdb, header: x-country }", Some(countries())).unwrap();
    for (client, want) in
        [("10.0.0.1", &["DE"][..]), ("2001:db8::1", &["US"]), ("14.0.0.1", &["DE"]), ("127.0.0.1", &[])]
    {
        assert_eq!(outcome(&told, client).unwrap(), want, "{client}");
    }
    let strict =
        ready("{ database: c.mmdb, header: x-country, unknown: refuse }", Some(countries())).unwrap();
    assert!(outcome(&strict, "127.0.0.1").is_err() && outcome(&strict, "10.0.0.1").is_ok());
    let without = ready("{ database: c.mmdb, deny: [FR] }", Some(countries())).unwrap();
    assert_eq!(outcome(&without, "10.0.0.1").unwrap(), ["forged"], "not its business");
}

#[test]
fn the_country_takes_the_place_of_no_other_field() {
    for name in ["authorization", "Cookie", "user-agent", "x-forwarded-for", "x-consumer", "X_Consumer"] {
        let written = format!("{{ database: c.mmdb, header: {name} }}");
        let mistakes = ready(&written, Some(countries())).unwrap_err();
        assert!(mistakes.iter().any(|(code, _)| *code == Code::InvalidHeader), "{name}: {mistakes:?}");
    }
}

#[test]
fn a_database_that_is_none_is_refused() {
    let written = "{ database: c.mmdb, deny: [DE] }";
    let no_countries =
        mmdb::database("Test-ASN", &[("10.0.0.0", 8, Record::Map(vec![("asn", Record::Number(6, 1))]))]);
    let whole = countries();
    let cut = whole[whole.len() / 2..].to_vec();
    for (bytes, code, words) in [
        (None, Code::MissingFile, "`c.mmdb` cannot be read: it does not exist"),
        (Some(Vec::new()), Code::InvalidValue, "`c.mmdb` is not a database of addresses"),
        (Some(b"PK\x03\x04".to_vec()), Code::InvalidValue, "is not a database of addresses"),
        (Some(whole[..whole.len() - 200].to_vec()), Code::InvalidValue, "is not a database of addresses"),
        (Some(cut), Code::InvalidValue, "is not a database of addresses"),
        (Some(no_countries), Code::InvalidValue, "`c.mmdb` (Test-ASN) does not tell countries"),
        (Some(mmdb::database("Empty", &[])), Code::InvalidValue, "does not tell countries"),
    ] {
        let said = ready(written, bytes).unwrap_err();
        assert!(said.len() == 1 && said[0].0 == code && said[0].1.contains(words), "{words}: {said:?}");
    }
}

#[test]
fn a_broken_database_never_ends_the_process() {
    let (whole, mut rng) = (countries(), fastrand::Rng::with_seed(11));
    for _ in 0..3000 {
        let mut bytes = whole.clone();
        for _ in 0..rng.usize(1..8) {
            let at = rng.usize(..bytes.len());
            bytes[at] = rng.u8(..);
        }
        // What matters is that it answers at all, whatever it is.
        if let Ok(ready) = ready("{ database: c.mmdb, allow: [DE] }", Some(bytes)) {
            for client in ["10.0.0.1", "11.0.0.1", "2001:db8::1", "255.255.255.255", "::"] {
                let _ = outcome(&ready, client);
            }
        }
    }
}

#[test]
fn mistakes_are_named() {
    let with = |more: &str| format!("{{ database: c.mmdb{more} }}");
    for (written, code, words) in [
        ("{ deny: [DE] }".to_owned(), Code::MissingKey, "`database` is missing"),
        (with(""), Code::MissingKey, "has nothing to do"),
        (with(", unknown: refuse"), Code::MissingKey, "has nothing to do"),
        (with(", allow: []"), Code::InvalidValue, "nobody could come"),
        (with(", deny: []"), Code::InvalidValue, "nobody is kept out"),
        (with(", deny: [UK]"), Code::InvalidValue, "`UK` is not the code of a country"),
        (with(", deny: [EU]"), Code::InvalidValue, "`EU`"),
        (with(", deny: [Germany]"), Code::InvalidValue, "`Germany`"),
        (with(", allow: [DE, FR], deny: [de]"), Code::UnusedSetting, "`DE` is allowed and denied"),
        (with(", header: \"x country\""), Code::InvalidHeader, "x country"),
        (with(", header: host"), Code::InvalidHeader, "host"),
        (with(", header: x-c, unknown: allow"), Code::UnusedSetting, "nobody is refused"),
        (with(", deny: [DE], unknown: pass"), Code::InvalidValue, "pass"),
    ] {
        let said = ready(&written, Some(countries())).unwrap_err();
        assert!(said.len() == 1 && said[0].0 == code && said[0].1.contains(words), "{written}: {said:?}");
    }
    // `NO` is Norway here, and not `false`.
    assert!(ready(&with(", deny: [NO, se]"), Some(countries())).is_ok());
}

#[test]
fn a_refusal_has_a_reason() {
    let ready = ready("{ database: c.mmdb, allow: [DE], deny: [US] }", Some(countries())).unwrap();
    for (client, want) in [
        ("10.1.2.3", None),
        ("11.0.0.1", Some(("not_allowed", "11.0.0.1 is in FR, which is not in allow"))),
        ("2001:db8::1", Some(("denied", "2001:db8::1 is in US, which is in deny"))),
        ("13.0.0.1", Some(("unknown_country", "the country of 13.0.0.1 is not known"))),
    ] {
        let (mut head, mut state) = (RequestHead::default(), RequestState::default());
        state.explain();
        see(&mut head, &mut state, client.parse().unwrap(), |cx| ready.on_request(cx));
        let said = state.stopped_by.map(|(_, reason)| (reason, state.remark_of("geo").unwrap_or_default()));
        assert_eq!(said, want, "{client}");
    }
}

//! What is said about handshakes that fail, by failing them.

use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};
use rustls::{AlertDescription, CertificateError, Error};

use super::{Authority, Made, client, meet, settings};
use crate::{Client, ClientAuth, ClientSettings, Server, ServerSettings, explain_client, explain_service};

fn of_service(trusted: &Authority, made: &Made) -> String {
    let server = Server::new(settings(&[made])).unwrap();
    let error = meet(&server, &Client::new(client(trusted)).unwrap(), "a.test").unwrap_err();
    explain_service(&error)
}

fn changed(
    authority: &Authority,
    hosts: &[&str],
    change: impl FnOnce(&mut rcgen::CertificateParams),
) -> Made {
    authority.make_with(hosts, &rcgen::PKCS_ECDSA_P256_SHA256, change)
}

#[test]
fn a_service_that_is_not_believed_is_described() {
    let (own, other) = (Authority::new("own"), Authority::new("other"));
    let good = own.make(&["a.test"]);
    let elsewhere = own.make(&["b.test", "*.c.test", "10.0.0.1"]);
    let nameless = own.make(&[]);
    let old = changed(&own, &["a.test"], |params| params.not_after = date_time_ymd(2020, 1, 1));
    let early = changed(&own, &["a.test"], |params| params.not_before = date_time_ymd(2999, 1, 1));
    let authority = changed(&own, &["a.test"], |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    let of_client = changed(&own, &["a.test"], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    for (trusted, made, words) in [
        (&other, &good, &["authority that is not trusted", "`tls.ca`"][..]),
        (&own, &elsewhere, &["not for a.test but for b.test, *.c.test", "`tls.server_name`"]),
        (&own, &nameless, &["names no host at all"]),
        (&own, &old, &["has expired"]),
        (&own, &early, &["not valid yet", "clocks"]),
        (&own, &authority, &["marked as an authority's", "issue a certificate", "`tls.ca`"]),
        (&own, &of_client, &["not for servers", "serverAuth"]),
    ] {
        let text = of_service(trusted, made);
        assert!(words.iter().all(|word| text.contains(word)), "{text:?} has not {words:?}");
        assert!(!text.contains("DnsName"), "{text}");
    }
}

#[test]
fn a_client_that_is_not_believed_is_described() {
    let (own, other) = (Authority::new("own"), Authority::new("other"));
    let site = own.make(&["a.test"]);
    let shows = |made: Option<&Made>| {
        let auth = ClientAuth::new(&own.authorities(), true, &[]).unwrap();
        let server = Server::new(ServerSettings { client_auth: Some(auth), ..settings(&[&site]) }).unwrap();
        let certificate = made.map(Made::certificate);
        let client = Client::new(ClientSettings { certificate, ..client(&own) }).unwrap();
        explain_client(&meet(&server, &client, "a.test").unwrap_err())
    };
    let old = changed(&own, &["a"], |params| params.not_after = date_time_ymd(2020, 1, 1));
    let of_server = changed(&own, &["a"], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    assert!(shows(None).contains("shows no certificate"), "{}", shows(None));
    for (made, words) in
        [(&other.make(&["a"]), "not in `client_auth.ca`"), (&old, "has expired"), (&of_server, "clientAuth")]
    {
        let text = shows(Some(made));
        assert!(text.contains(words), "{text:?} has not {words:?}");
    }
}

#[test]
fn what_the_other_side_says_is_put_into_words() {
    let service = |alert| explain_service(&Error::AlertReceived(alert));
    assert!(service(AlertDescription::CertificateRequired).contains("`tls.cert`"));
    assert!(service(AlertDescription::UnknownCA).contains("does not take the certificate"));
    assert!(service(AlertDescription::UnrecognisedName).contains("`tls.server_name`"));
    let client = explain_client(&Error::AlertReceived(AlertDescription::UnknownCA));
    assert!(client.contains("does not trust the certificate that it is shown"));
    let many: Vec<String> = (0..6).map(|at| format!("DnsName(\"{at}.test\")")).collect();
    let expected = "a.test".try_into().unwrap();
    let wrong = CertificateError::NotValidForNameContext { expected, presented: many };
    assert!(explain_service(&wrong.into()).contains("0.test, 1.test, 2.test, 3.test and 2 more:"));
}

//! Certificates that clients show, and services that are verified.

use super::{Authority, Made, client, meet, settings};
use crate::{Authorities, Client, ClientAuth, ClientSettings, RevocationList, Server, ServerSettings};

/// Whether a client that shows this, or nothing, is taken; and what the server knows of it then.
fn taken(server: &Server, authority: &Authority, shown: Option<&Made>) -> Option<Option<Vec<u8>>> {
    let certificate = shown.map(Made::certificate);
    let client = Client::new(ClientSettings { certificate, ..client(authority) }).unwrap();
    meet(server, &client, "a.test").ok().map(|met| met.client_shown)
}

#[test]
fn clients_are_asked_for_their_certificate() {
    let (authority, clients, others) =
        (Authority::new("ca"), Authority::new("clients"), Authority::new("others"));
    let made = authority.make(&["a.test"]);
    let [mine, foreign] = [&clients, &others].map(|issuer| issuer.make(&["me.test"]));
    let expired = clients.make_with(&["me.test"], &rcgen::PKCS_ECDSA_P256_SHA256, |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
    });
    for required in [false, true] {
        let client_auth = Some(ClientAuth::new(&clients.authorities(), required, &[]).unwrap());
        let server = Server::new(ServerSettings { client_auth, ..settings(&[&made]) }).unwrap();
        assert_eq!(taken(&server, &authority, Some(&mine)), Some(Some(mine.der.clone())));
        assert_eq!(taken(&server, &authority, None).is_some(), !required);
        // What is shown must be right, also where nothing has to be.
        assert_eq!(taken(&server, &authority, Some(&foreign)), None);
        assert_eq!(taken(&server, &authority, Some(&expired)), None);
    }
    let open = Server::new(settings(&[&made])).unwrap();
    assert_eq!(taken(&open, &authority, Some(&mine)), Some(None), "nobody has asked");
}

#[test]
fn revoked_certificates_are_refused_and_so_is_what_cannot_be_known() {
    let (authority, clients, others) =
        (Authority::new("ca"), Authority::new("clients"), Authority::new("others"));
    let made = authority.make(&["a.test"]);
    let with_serial = |serial: u64| {
        clients.make_with(&["me.test"], &rcgen::PKCS_ECDSA_P256_SHA256, |params| {
            params.serial_number = Some(rcgen::SerialNumber::from(serial));
        })
    };
    let (good, bad, other) = (with_serial(6), with_serial(7), others.make(&["me.test"]));
    let server = |lists: &[String]| {
        let lists: Vec<_> = lists.iter().map(|list| RevocationList::from_pem(list).unwrap()).collect();
        let both = Authorities::from_pem(&format!("{}{}", clients.pem, others.pem)).unwrap();
        let client_auth = Some(ClientAuth::new(&both, false, &lists).unwrap());
        Server::new(ServerSettings { client_auth, ..settings(&[&made]) }).unwrap()
    };
    let takes = |server: &Server, made: &Made| taken(server, &authority, Some(made)).is_some();
    let listed = server(&[clients.revoke(&[7], 2100)]);
    assert!(takes(&listed, &good) && !takes(&listed, &bad));
    assert!(!takes(&listed, &other), "its authority has no list");
    assert!(taken(&listed, &authority, None).is_some());
    assert!(takes(&server(&[clients.revoke(&[7], 2100), others.revoke(&[], 2100)]), &other));
    let old = server(&[clients.revoke(&[7], 2021)]);
    assert!(!takes(&old, &good), "the list is too old to know");
    assert!(takes(&server(&[]), &bad));
    let list = RevocationList::from_pem(&clients.revoke(&[7], 2021)).unwrap();
    let end = list.next_update().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(end.as_secs(), 1_609_459_200);
}

#[test]
fn services_are_verified_unless_that_is_switched_off() {
    let (authority, others) = (Authority::new("ca"), Authority::new("others"));
    let made = authority.make(&["a.test", "127.0.0.1"]);
    let server = Server::new(settings(&[&made])).unwrap();
    let reach = |settings: ClientSettings, host: &str| {
        let client = Client::new(settings).unwrap();
        let name = client.name_for(host).unwrap().to_str().into_owned();
        meet(&server, &client, &name)
    };
    assert!(reach(client(&authority), "a.test").is_ok());
    assert!(reach(client(&authority), "127.0.0.1").is_ok());
    assert!(reach(client(&authority), "b.test").is_err(), "another name");
    assert!(reach(client(&others), "a.test").is_err(), "another authority");
    let named = ClientSettings { server_name: Some("a.test".into()), ..client(&authority) };
    assert_eq!(reach(named, "10.0.0.1").unwrap().server_name.as_deref(), Some("a.test"));
    let anybody = ClientSettings { insecure_skip_verify: true, ..ClientSettings::default() };
    assert!(reach(anybody, "b.test").is_ok());
    // Without an authority nothing could be verified, so there is no such client.
    assert!(Client::new(ClientSettings::default()).is_err());
    let wrong = ClientSettings { server_name: Some("a b".into()), ..client(&authority) };
    assert!(Client::new(wrong).is_err());
}

//! Passwords that a directory verifies: the real binary and a real directory, and directories that are out to do harm.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed unwrap is a failed test")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

use end_to_end::certificates::Authority;
use end_to_end::peer::missing;
use end_to_end::slapd::{Slapd, installed};
use end_to_end::{Client, Gateway, LEFT_OUT, Origin, SOON, Setup, check, wait_until};

/// As clients send them.
fn basic(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in text.as_bytes().chunks(3) {
        let at = |index: usize| u32::from(three.get(index).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let known = digit <= three.len();
            out.push(if known { char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]) } else { '=' });
        }
    }
    out
}

fn get(client: &Client, user: &str) -> end_to_end::Message {
    let authorization = basic(user);
    client.ask(format!("GET / HTTP/1.1\r\nHost: a.test\r\nAuthorization: Basic {authorization}\r\n\r\n"))
}

/// A gateway whose only route asks a directory, as these settings say.
fn setup(origin: SocketAddr, settings: &str, authority: Option<&Authority>) -> Setup {
    let ca = authority.map(|authority| ("ca.pem".to_owned(), authority.cert().to_owned()));
    Setup {
        files: ca.into_iter().collect(),
        environment: vec![("LDAP_PASSWORD".to_owned(), "pw-gateway".to_owned())],
        ..Setup::new(format!(
            "listen: 127.0.0.1:0\nservices: {{ site: {{ endpoints: [http://{origin}] }} }}\n\
             consumers: [{{ name: ops }}]\n\
             routes:\n- path: /*\n  service: site\n  policies:\n    ldap: {{ {settings} }}\n"
        ))
    }
}

/// Whether all that these tests need is there. Says so if not.
fn ready() -> bool {
    let setup = setup(([127, 0, 0, 1], 1).into(), "url: ldap://127.0.0.1, bind_dn: 'uid={username}'", None);
    let output = check(&setup, &[]);
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    if text.contains(LEFT_OUT) {
        missing("passwords that a directory verifies", "the binary is built without `--features ldap`");
        return false;
    }
    assert!(output.status.success(), "{text}");
    installed()
}

/// The service, which says whom it was told of.
fn telling() -> Origin {
    Origin::serving(|request| {
        let told = |name| request.field(name).unwrap_or("-");
        let text = format!("{} {} {}", told("x-user"), told("x-consumer"), told("authorization"));
        Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()).into_bytes())
    })
}

const NAMED: &str = "bind_dn: 'uid={username},ou=people,dc=test', claims_to_headers: { x-user: sub }";

/// What a client gets: the status, and what the service says.
fn outcome(gateway: &Gateway, user: &str) -> (u16, String) {
    let answer = get(&gateway.connect(), user);
    let text = if answer.status() == 200 { answer.text() } else { String::new() };
    (answer.status(), text)
}

fn known(text: &str) -> (u16, String) {
    (200, format!("{text} -"))
}

fn refused() -> (u16, String) {
    (401, String::new())
}

#[test]
fn users_get_in_by_the_names_of_their_entries() {
    if !ready() {
        return;
    }
    let (authority, origin) = (Authority::new("tests"), telling());
    let slapd = Slapd::start(Some(&authority));
    let settings = format!(
        "url: 'ldaps://localhost:{}', ca: ca.pem, {NAMED}, consumer_attribute: employeeType",
        slapd.tls.port()
    );
    let gateway = setup(origin.address(), &settings, Some(&authority)).start();
    assert_eq!(outcome(&gateway, "ann:pw-ann"), known("ann ops"));
    let binds = slapd.binds();
    assert_eq!(outcome(&gateway, "ann:pw-ann"), known("ann ops"), "remembered");
    assert_eq!(slapd.binds(), binds);
    // One user has one name, however it is spelt.
    assert_eq!(outcome(&gateway, " ANN:pw-ann"), known("ann ops"));
    assert_eq!(outcome(&gateway, "bob:pw-bob"), known("bob -"));
    // What means something in names and filters is nothing but a part of a name here.
    assert_eq!(outcome(&gateway, r"a,b*(c)\:pw-odd"), known(r"a,b*(c)\ -"));
    for wrong in [
        "ann:pw-bob",
        "eve:pw-ann",
        "*:pw-ann",
        "ann,ou=people:pw-ann",
        "ann+cn=x:pw-ann",
        "secret,ou=hidden,dc=test:pw-secret",
        "locked:x",
    ] {
        assert_eq!(outcome(&gateway, wrong), refused(), "{wrong}");
    }
    gateway.stop();
}

/// A directory takes a name without a password for a visitor, and says yes (RFC 4513 §5.1.2).
#[test]
fn nobody_gets_in_without_a_password() {
    if !ready() {
        return;
    }
    let (origin, slapd) = (telling(), Slapd::start(None));
    let gateway = setup(origin.address(), &format!("url: 'ldap://{}', {NAMED}", slapd.plain), None).start();
    for empty in ["ann:", "ann:\0", ":", ":pw-ann"] {
        assert_eq!(outcome(&gateway, empty), refused(), "{empty:?}");
    }
    assert_eq!((slapd.binds(), origin.count()), (0, 0));
    gateway.stop();
}

#[test]
fn users_and_their_groups_are_looked_for() {
    if !ready() {
        return;
    }
    let (authority, origin) = (Authority::new("tests"), telling());
    let slapd = Slapd::start(Some(&authority));
    let settings = format!(
        "url: 'ldap://localhost:{}', start_tls: true, ca: ca.pem, claims_to_headers: {{ x-user: groups }}, \
         search: {{ base: 'dc=test', filter: '(|(uid={{username}})(mail={{username}}))', \
         bind_dn: 'cn=gateway,dc=test', bind_password: '${{env:LDAP_PASSWORD}}' }}, \
         groups: {{ base: 'ou=groups,dc=test', filter: '(|(member={{dn}})(memberUid={{username}}))' }} }}\n    \
         authorize: {{ any: [{{ group: staff }}, {{ group: wheel }}]",
        slapd.plain.port()
    );
    let gateway = setup(origin.address(), &settings, Some(&authority)).start();
    assert_eq!(outcome(&gateway, "ann:pw-ann"), known("staff -"));
    assert_eq!(outcome(&gateway, "ann@example.test:pw-ann"), known("staff -"));
    assert_eq!(outcome(&gateway, "BOB@example.test:pw-bob"), known("wheel -"));
    assert_eq!(outcome(&gateway, r"a,b*(c)\:pw-odd"), known("staff -"));
    // The account of the gateway is somebody too, and in no group: it is not even found.
    for wrong in
        ["ann:pw-bob", "eve:pw-ann", "*:pw-ann", "a*:pw-ann", "ann)(uid=*:pw-ann", "gateway:pw-gateway"]
    {
        assert_eq!(outcome(&gateway, wrong), refused(), "{wrong}");
    }
    assert!(slapd.log().contains("STARTTLS"), "{}", slapd.log());
    // Two entries for one name are nobody.
    let seen = gateway.log().len();
    assert_eq!(outcome(&gateway, "twice@example.test:pw-bob").0, 503);
    gateway.wait_for("fits several entries", seen);
    gateway.stop();
}

#[test]
fn whoever_is_in_no_group_may_not() {
    if !ready() {
        return;
    }
    let (origin, slapd) = (telling(), Slapd::start(None));
    let settings = format!(
        "url: 'ldap://{}', {NAMED}, groups: {{ base: 'ou=groups,dc=test' }} }}\n    \
         authorize: {{ any: [{{ group: staff }}]",
        slapd.plain
    );
    let gateway = setup(origin.address(), &settings, None).start();
    assert_eq!(outcome(&gateway, "ann:pw-ann"), known("ann -"));
    assert_eq!(outcome(&gateway, "bob:pw-bob").0, 403);
    gateway.stop();
}

/// Nobody gets in on doubt, and whoever runs the gateway is told why.
#[test]
fn a_directory_that_is_not_believed_lets_nobody_in() {
    if !ready() {
        return;
    }
    let (authority, other, origin) = (Authority::new("tests"), Authority::new("others"), telling());
    let (slapd, bare) = (Slapd::start(Some(&authority)), Slapd::start(None));
    let (tls, plain) = (slapd.tls.port(), slapd.plain.port());
    let cases = [
        (format!("url: 'ldaps://localhost:{tls}', ca: ca.pem"), "no TLS handshake"),
        (format!("url: 'ldap://localhost:{plain}', start_tls: true, ca: ca.pem"), "no TLS handshake"),
        (format!("url: 'ldaps://localhost:{plain}', ca: ca.pem"), "no TLS handshake"),
        (format!("url: 'ldap://{}', start_tls: true, ca: ca.pem", bare.plain), "does not take `start_tls`"),
    ];
    for (settings, why) in cases {
        let gateway = setup(origin.address(), &format!("{settings}, {NAMED}"), Some(&other)).start();
        assert_eq!(outcome(&gateway, "ann:pw-ann").0, 503, "{settings}");
        gateway.wait_for("policy ldap: ldap", 0);
        gateway.wait_for(why, 0);
        gateway.stop();
    }
    // The right authority, and another name than the certificate has.
    let settings = format!("url: 'ldaps://127.0.0.1:{tls}', ca: ca.pem, {NAMED}");
    let gateway = setup(origin.address(), &settings, Some(&authority)).start();
    assert_eq!(outcome(&gateway, "ann:pw-ann").0, 503);
    assert_eq!((slapd.binds() + bare.binds(), origin.count()), (0, 0), "no password was sent anywhere");
    gateway.stop();
    for (settings, why) in [
        ("bind_dn: 'uid={username},ou=hidden,dc=test'".to_owned(), "users cannot read their own entries"),
        ("search: { base: 'ou=nowhere,dc=test' }".to_owned(), "it refuses to look for users: result 32"),
        (
            "search: { base: dc=test, bind_dn: 'cn=gateway,dc=test', bind_password: x }".to_owned(),
            "result 49",
        ),
        (
            format!("{NAMED}, groups: {{ base: 'ou=nowhere,dc=test' }}"),
            "it refuses to look for groups: result 32",
        ),
    ] {
        let settings = format!("url: 'ldap://{}', {settings}", bare.plain);
        let gateway = setup(origin.address(), &settings, None).start();
        let user = if settings.contains("hidden") { "secret:pw-secret" } else { "ann:pw-ann" };
        assert_eq!(outcome(&gateway, user).0, 503, "{settings}");
        gateway.wait_for(why, 0);
        gateway.stop();
    }
}

#[test]
fn what_is_remembered_outlives_the_directory() {
    if !ready() {
        return;
    }
    let (origin, slapd) = (telling(), Slapd::start(None));
    let gateway = setup(origin.address(), &format!("url: 'ldap://{}', {NAMED}", slapd.plain), None).start();
    assert_eq!(outcome(&gateway, "ann:pw-ann"), known("ann -"));
    drop(slapd);
    let seen = gateway.log().len();
    assert_eq!(outcome(&gateway, "ann:pw-ann"), known("ann -"));
    assert_eq!(outcome(&gateway, "bob:pw-bob").0, 503);
    gateway.wait_for("no connection", seen);
    gateway.stop();
}

/// Answers whatever it is asked with these bytes, and says nothing more.
fn lying(answer: Vec<u8>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            std::thread::spawn(move || lie(&mut stream, &answer));
        }
    });
    address
}

fn lie(stream: &mut TcpStream, answer: &[u8]) {
    let mut room = [0; 4096];
    let _ = stream.read(&mut room);
    let _ = stream.write_all(answer);
    while stream.read(&mut room).is_ok_and(|count| count > 0) {}
}

/// Something nested as deep as there are bytes for it.
fn nested(levels: usize) -> Vec<u8> {
    let mut inner: Vec<u8> = Vec::new();
    let mut heads: Vec<Vec<u8>> = Vec::new();
    let mut length = 0_usize;
    for _ in 0..levels {
        let mut head = vec![0x30, 0x84];
        head.extend((length as u32).to_be_bytes());
        length += head.len();
        heads.push(head);
    }
    heads.iter().rev().for_each(|head| inner.extend(head));
    inner
}

/// Where nothing is encrypted anybody can answer, with anything.
#[test]
fn whatever_a_directory_answers_the_gateway_goes_on() {
    if !ready() {
        return;
    }
    let origin = telling();
    for (answer, why) in [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "cannot be read"),
        (b"\x30\x84\xff\xff\xff\xff".to_vec(), "answers too much"),
        (b"\x30\x05\x02\x01\x01\x61\x00".to_vec(), "cannot be read"),
        (b"\x30\x0c\x02\x01\x07\x61\x07\x0a\x01\x00\x04\x00\x04\x00".to_vec(), "cannot be read"),
        (b"\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\x00\x04\x00\x04\x00".to_vec(), "cannot be read"),
        (nested(10_000), "cannot be read"),
        (nested(100_000), "answers too much"),
        (b"\x30".to_vec(), "no answer within"),
        (Vec::new(), "no answer within"),
    ] {
        let address = lying(answer.clone());
        let settings = format!("url: 'ldap://{address}', {NAMED}, timeout: 500ms");
        let gateway = setup(origin.address(), &settings, None).start();
        assert_eq!(outcome(&gateway, "ann:pw-ann").0, 503, "{:02x?}", &answer[..answer.len().min(32)]);
        gateway.wait_for(why, 0);
        assert_eq!(outcome(&gateway, "ann:"), refused(), "it serves others still");
        gateway.stop();
    }
    assert_eq!(origin.count(), 0);
}

/// A worker asks 16 at a time, lets 8 of one client wait, and tells the rest at once.
#[test]
fn a_directory_that_hangs_holds_a_bounded_number_of_requests() {
    if !ready() {
        return;
    }
    let origin = telling();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let settings = format!("url: 'ldap://{}', {NAMED}, timeout: 60s", listener.local_addr().unwrap());
    let gateway = setup(origin.address(), &settings, None).start();
    let clients: Vec<Client> = (0..100).map(|_| gateway.connect()).collect();
    let answered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for client in &clients {
            scope.spawn(|| {
                assert_eq!(get(client, "ann:pw-ann").status(), 503);
                answered.fetch_add(1, Ordering::SeqCst);
            });
        }
        let mut held = Vec::new();
        wait_until("76 are told at once, and 16 are asked for", SOON, || {
            held.extend(listener.incoming().map_while(Result::ok));
            answered.load(Ordering::SeqCst) == 76 && held.len() == 16
        });
        assert!(listener.accept().is_err(), "more are asked for at a time");
        // It goes away: who waits is told, and the test does not have to wait for the time to be up.
        drop((held, listener));
    });
    gateway.wait_for("too many requests wait for directories", 0);
    gateway.stop();
}

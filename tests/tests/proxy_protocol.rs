//! The PROXY protocol: who says for whom it speaks, whom to believe, and how Gateward says it itself.
//!
//! <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed unwrap is a failed test"
)]

use std::process::Command;
use std::time::Duration;

use end_to_end::certificates::{Authority, Wish};
use end_to_end::http2::{Http2, request};
use end_to_end::{Gateway, Origin, SOON, Setup};
use serde_json::json;

const TRUSTED: &str = "trusted_proxies: [127.0.0.0/8]\n";
const REQUEST: &str = "GET /x HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n";

fn echo() -> Origin {
    Origin::serving(|request| {
        let body = request.field("x-forwarded-for").unwrap_or("").to_owned();
        Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
    })
}

fn yaml(origin: &Origin, listener: &str, service: &str) -> String {
    format!(
        "listen:\n- {{ address: 127.0.0.1:0{listener} }}\n\
         services: {{ site: {{ endpoints: [http://{}]{service} }} }}\nroutes: [{{ path: /*, service: site }}]\n",
        origin.address()
    )
}

fn accepting(origin: &Origin, head: &str) -> Gateway {
    Gateway::start(head.to_owned() + &yaml(origin, ", proxy_protocol: true", ""))
}

/// A header of version 2.
fn version2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, family]);
    header.extend(u16::try_from(addresses.len()).unwrap().to_be_bytes());
    header.extend(addresses);
    header
}

/// From 192.0.2.7:1000 to 192.0.2.8:443.
fn ipv4() -> Vec<u8> {
    [&[192, 0, 2, 7, 192, 0, 2, 8][..], &1000u16.to_be_bytes(), &443u16.to_be_bytes()].concat()
}

/// From [2001:db8::7]:1000 to [2001:db8::8]:443.
fn ipv6() -> Vec<u8> {
    let address =
        |last: u8| [&[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &[last]].concat();
    [address(7), address(8), 1000u16.to_be_bytes().to_vec(), 443u16.to_be_bytes().to_vec()].concat()
}

fn good() -> Vec<(Vec<u8>, &'static str)> {
    let tlvs =
        [ipv4(), vec![0x02, 0, 4, b'a', b'.', b'b', b'c', 0x04, 0, 2, 0, 0, 0x05, 0, 1, b'x']].concat();
    vec![
        (b"PROXY TCP4 192.0.2.7 192.0.2.8 1000 443\r\n".to_vec(), "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::8 1000 443\r\n".to_vec(), "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n".to_vec(), "127.0.0.1"),
        (version2(1, 0x11, &ipv4()), "192.0.2.7"),
        (version2(1, 0x21, &ipv6()), "2001:db8::7"),
        (version2(1, 0x11, &tlvs), "192.0.2.7"),
        // LOCAL: a health check of the proxy, whatever the addresses say.
        (version2(0, 0x00, &[]), "127.0.0.1"),
        (version2(0, 0x11, &ipv4()), "127.0.0.1"),
        (version2(1, 0x00, &[]), "127.0.0.1"),
    ]
}

#[test]
fn a_trusted_peer_is_believed() {
    let origin = echo();
    let gateway = accepting(&origin, TRUSTED);
    for (header, client) in good() {
        let answer = gateway.connect().ask([&header, REQUEST.as_bytes()].concat());
        assert_eq!(
            (answer.status(), answer.text().as_str()),
            (200, client),
            "{:?}",
            String::from_utf8_lossy(&header)
        );
        // However it is cut.
        let connection = gateway.connect();
        for byte in &header {
            connection.send([*byte]);
        }
        assert_eq!(connection.ask(REQUEST).text(), client);
    }
    gateway.stop();
}

/// Who speaks for others without being trusted must be neither believed nor answered as if nothing had happened.
#[test]
fn an_untrusted_peer_is_not_believed() {
    let origin = echo();
    let gateway = accepting(&origin, "trusted_proxies: [10.0.0.0/8]\n");
    for (header, _) in good() {
        let client = gateway.connect();
        client.send([&header, REQUEST.as_bytes()].concat());
        assert!(client.wait_end(SOON).is_some(), "{:?}", String::from_utf8_lossy(&header));
        let answer = String::from_utf8_lossy(&client.unread()).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    assert_eq!(origin.count(), 0);
    gateway.stop();
}

#[test]
fn malformed_headers_end_the_connection() {
    let origin = echo();
    let gateway = accepting(&origin, TRUSTED);
    let mut long = version2(1, 0x11, &ipv4());
    long[14..16].copy_from_slice(&[0xff, 0xff]);
    let bad: Vec<Vec<u8>> = vec![
        b"PROXY TCP4 192.0.2.7 192.0.2.8 1000\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.777 192.0.2.8 1000 443\r\n".to_vec(),
        b"PROXY TCP4 2001:db8::7 2001:db8::8 1000 443\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 192.0.2.8 1000 65536\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 192.0.2.8 +1 443\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 192.0.2.8 01000 443\r\n".to_vec(),
        b"PROXY  TCP4 192.0.2.7 192.0.2.8 1000 443\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 192.0.2.8 1000 443\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 192.0.2.8 1000 443 more\r\n".to_vec(),
        b"PROXY UDP4 192.0.2.7 192.0.2.8 1000 443\r\n".to_vec(),
        b"proxy TCP4 192.0.2.7 192.0.2.8 1000 443\r\n".to_vec(),
        [&b"PROXY UNKNOWN "[..], &[b'x'; 200], b"\r\n"].concat(),
        version2(1, 0x11, &ipv4()[..8]),
        version2(1, 0x21, &ipv4()),
        version2(2, 0x11, &ipv4()),
        version2(1, 0x41, &ipv4()),
        [&version2(1, 0x11, &ipv4())[..12], &[0x31, 0x11, 0, 12], &ipv4()[..]].concat(),
        // A part beyond the end.
        version2(1, 0x11, &[ipv4(), vec![0x04, 0, 9, 1]].concat()),
        // None at all.
        Vec::new(),
    ];
    for header in bad {
        let client = gateway.connect();
        client.send([&header, REQUEST.as_bytes()].concat());
        assert!(client.wait_end(SOON).is_some(), "{:?}", String::from_utf8_lossy(&header));
        let answer = String::from_utf8_lossy(&client.unread()).into_owned();
        assert!(!answer.starts_with("HTTP/1.1 2"), "{:?}: {answer}", String::from_utf8_lossy(&header));
    }
    assert_eq!(origin.count(), 0);
    let answer = gateway.connect().ask([&good()[0].0, REQUEST.as_bytes()].concat());
    assert_eq!(answer.status(), 200);
    gateway.stop();
}

#[test]
fn a_header_that_never_ends_is_not_waited_for() {
    let origin = echo();
    let yaml = TRUSTED.to_owned() + &yaml(&origin, ", proxy_protocol: true, timeouts: { header: 1s }", "");
    let gateway = Gateway::start(yaml);
    for part in [&b"PROXY TCP4 192."[..], &version2(1, 0x11, &ipv4())[..20], b""] {
        let client = gateway.connect();
        client.send(part);
        assert!(client.wait_end(Duration::from_secs(5)).is_some(), "{:?}", String::from_utf8_lossy(part));
    }
    gateway.stop();
}

#[test]
fn a_header_comes_before_tls_and_before_http2() {
    let origin = echo();
    let identity = Authority::new("tests").sign(&Wish::server(&["a.test"]));
    let tls = ", proxy_protocol: true, tls: { certificates: [{ cert: cert.pem, key: key.pem }] }";
    let setup = Setup {
        files: vec![("cert.pem".into(), identity.cert), ("key.pem".into(), identity.key)],
        ..Setup::new(TRUSTED.to_owned() + &yaml(&origin, tls, ""))
    };
    let gateway = setup.start();
    let port = gateway.address().port();
    for version in ["--http1.1", "--http2"] {
        let mut curl = Command::new("curl");
        curl.args(["-sSk", "--fail", version, "--haproxy-protocol", "--interface", "127.0.0.9"]);
        curl.args(["--resolve", &format!("a.test:{port}:127.0.0.1"), &format!("https://a.test:{port}/x")]);
        let output = curl.output().expect("this test needs curl");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "127.0.0.9", "{version}: {output:?}");
    }
    gateway.stop();
    let gateway = accepting(&origin, TRUSTED);
    let header: String = good()[0].0.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    let client = Http2::connect_with(gateway.address(), json!({ "bare": true, "silent": true }));
    let preface: String = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"
        .iter()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    client.tell(json!({ "do": "bytes", "hex": header + &preface }));
    client.headers(1, request("GET", "http", "/x", &[]), true);
    assert_eq!(client.response(1).body, "192.0.2.7");
    gateway.stop();
}

/// What a service is told: its bytes up to the request.
fn told(origin: &Origin, number: usize) -> Vec<u8> {
    let link = origin.bell().wait(SOON, || {
        let link = origin.links().get(number).cloned()?;
        // The header of version 2 begins with two empty lines itself.
        let unread = link.unread();
        let has_request = unread.windows(4).any(|method| method == b"GET ");
        (has_request && unread.ends_with(b"\r\n\r\n")).then_some(link)
    });
    let link = link.expect("the service is connected to");
    let bytes = link.unread();
    let at = bytes.windows(4).position(|method| method == b"GET ").expect("a request");
    link.try_take(|unread, _| Some(((), unread.len())));
    link.send("HTTP/1.1 204 No Content\r\n\r\n");
    bytes[..at].to_vec()
}

#[test]
fn services_are_told_in_version_1() {
    let origin = Origin::scripted();
    let gateway = Gateway::start(yaml(&origin, "", ", proxy_protocol: v1"));
    for number in 0..2 {
        let client = gateway.connect();
        client.send("GET /x HTTP/1.1\r\nHost: gw.test\r\n\r\n");
        let (from, to) = (client.local(), gateway.address());
        let wanted = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n", from.port(), to.port());
        // A connection carries one client's name: another client must get another connection.
        assert_eq!(String::from_utf8_lossy(&told(&origin, number)), wanted);
        assert_eq!(client.response().status(), 204);
    }
    gateway.stop();
}

#[test]
fn services_are_told_in_version_2() {
    let origin = Origin::scripted();
    let gateway = Gateway::start(yaml(&origin, "", ", proxy_protocol: v2"));
    let client = gateway.connect();
    client.send("GET /x HTTP/1.1\r\nHost: gw.test\r\n\r\n");
    let (from, to) = (client.local(), gateway.address());
    let addresses =
        [&[127, 0, 0, 1, 127, 0, 0, 1][..], &from.port().to_be_bytes(), &to.port().to_be_bytes()].concat();
    assert_eq!(told(&origin, 0), version2(1, 0x11, &addresses));
    assert_eq!(client.response().status(), 204);
    gateway.stop();
}

#[test]
fn what_came_in_goes_out_again() {
    for (version, service) in [("v1", ", proxy_protocol: v1"), ("v2", ", proxy_protocol: v2")] {
        let origin = Origin::scripted();
        let gateway = Gateway::start(TRUSTED.to_owned() + &yaml(&origin, ", proxy_protocol: true", service));
        for (number, header) in [version2(1, 0x21, &ipv6()), version2(1, 0x11, &ipv4())].iter().enumerate() {
            let client = gateway.connect();
            client.send([header, "GET /x HTTP/1.1\r\nHost: gw.test\r\n\r\n".as_bytes()].concat());
            let out = told(&origin, number);
            let text = [
                "PROXY TCP6 2001:db8::7 2001:db8::8 1000 443\r\n",
                "PROXY TCP4 192.0.2.7 192.0.2.8 1000 443\r\n",
            ];
            match version {
                "v1" => assert_eq!(String::from_utf8_lossy(&out), text[number]),
                _ => assert_eq!(&out, header),
            }
            assert_eq!(client.response().status(), 204);
        }
        gateway.stop();
    }
}

//! The PROXY protocol: tables after its specification, and the way there and back.

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

use crate::ProxyHeaderError::{Malformed, Missing, TooLong};
use crate::{
    PROXY_V1_LOCAL, PROXY_V2_LOCAL, ProxyHeaderError, ProxySource, parse_proxy_header, write_proxy_v1,
    write_proxy_v2,
};

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn named(client: &str, server: &str) -> ProxySource {
    ProxySource::Addresses { client: client.parse().unwrap(), server: server.parse().unwrap() }
}

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, block].concat()
}

/// Reads bytes that are whole, and checks that no shorter piece of them is judged otherwise.
fn parse(bytes: &[u8]) -> Result<Option<(usize, ProxySource)>, ProxyHeaderError> {
    let whole = parse_proxy_header(bytes);
    for len in 0..bytes.len() {
        let part = parse_proxy_header(&bytes[..len]);
        assert!(part == Ok(None) || part == whole, "{len} of {bytes:?}: {part:?}, {whole:?}");
    }
    whole
}

#[test]
fn version_1() {
    for (line, want) in [
        ("TCP4 192.168.0.1 192.168.0.11 56324 443", named("192.168.0.1:56324", "192.168.0.11:443")),
        (
            "TCP4 255.255.255.255 255.255.255.255 65535 65535",
            named("255.255.255.255:65535", "255.255.255.255:65535"),
        ),
        ("TCP6 2001:DB8::1 ::1 0 1", named("[2001:db8::1]:0", "[::1]:1")),
        ("TCP6 ::ffff:10.0.0.1 ::1 1 2", named("10.0.0.1:1", "[::1]:2")),
        ("UNKNOWN", ProxySource::Local),
        ("UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535", ProxySource::Local),
    ] {
        let header = format!("PROXY {line}\r\n");
        let bytes = format!("{header}GET / HTTP/1.1\r\n");
        assert_eq!(parse(bytes.as_bytes()), Ok(Some((header.len(), want))), "{line}");
    }
}

#[test]
fn version_1_is_strict() {
    for line in [
        "TCP4 192.168.0.1 192.168.0.11 56324",
        "TCP4 192.168.0.1 192.168.0.11 56324 443 ",
        "TCP4 192.168.0.1 192.168.0.11 56324 443 1",
        "TCP4  192.168.0.1 192.168.0.11 56324 443",
        "TCP4 192.168.0.01 192.168.0.11 56324 443",
        "TCP4 192.168.0.256 192.168.0.11 56324 443",
        "TCP4 192.168.1 192.168.0.11 56324 443",
        "TCP4 192.168.0.1 192.168.0.11 65536 443",
        "TCP4 192.168.0.1 192.168.0.11 +1 443",
        "TCP4 192.168.0.1 192.168.0.11 01 443",
        "TCP4 192.168.0.1 192.168.0.11 -1 443",
        "TCP4 ::1 ::1 1 2",
        "TCP6 1.2.3.4 1.2.3.4 1 2",
        "TCP6 fe80::1%eth0 ::1 1 2",
        "TCP4 a b 1 2",
        "tcp4 192.168.0.1 192.168.0.11 1 2",
        "UDP4 192.168.0.1 192.168.0.11 1 2",
        "UNKNOWNX",
        "",
    ] {
        assert_eq!(parse(format!("PROXY {line}\r\n").as_bytes()), Err(Malformed), "{line}");
    }
    for end in ["\n", "\r", "\rX", "\0\r\n"] {
        let bytes = format!("PROXY TCP4 1.1.1.1 2.2.2.2 1 2{end}GET");
        assert_eq!(parse(bytes.as_bytes()), Err(Malformed), "{end:?}");
    }
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"PROXYTCP4",
        b"PRI * HTTP/2.0",
        b"proxy ",
        b"\x16\x03\x01",
        b"\r\n\r\nX",
    ] {
        assert_eq!(parse(bytes), Err(Missing), "{bytes:?}");
    }
}

#[test]
fn version_1_has_at_most_107_bytes() {
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107 - 16));
    assert_eq!(parse(longest.as_bytes()), Ok(Some((107, ProxySource::Local))));
    for longer in ["x".repeat(107 - 15) + "\r\n", "x".repeat(1000)] {
        assert_eq!(parse(format!("PROXY UNKNOWN {longer}").as_bytes()), Err(TooLong));
    }
}

#[test]
fn version_2() {
    let v4 = [1, 2, 3, 4, 5, 6, 7, 8, 0xdc, 4, 1, 187];
    let mut v6 = [0u8; 36];
    (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 80, 81);
    let mut mapped = [0u8; 36];
    mapped[10..16].copy_from_slice(&[0xff, 0xff, 10, 0, 0, 1]);
    let unknown = [&v4[..], &[0x04, 0, 2, 9, 9, 0xee, 0, 0]].concat();
    let large = [&v4[..], &[0x20, 0x0f, 0xfd], &[0; 4093]].concat();
    for (command, family, block, want) in [
        (0x21, 0x11, &v4[..], named("1.2.3.4:56324", "5.6.7.8:443")),
        (0x21, 0x12, &v4, named("1.2.3.4:56324", "5.6.7.8:443")),
        (0x21, 0x21, &v6, named("[::1]:80", "[::2]:81")),
        (0x21, 0x21, &mapped, named("10.0.0.1:0", "[::]:0")),
        (0x21, 0x11, &unknown, named("1.2.3.4:56324", "5.6.7.8:443")),
        (0x21, 0x11, &large, named("1.2.3.4:56324", "5.6.7.8:443")),
        (0x21, 0x31, &[7; 216], ProxySource::Local),
        (0x21, 0x00, &[], ProxySource::Local),
        (0x21, 0x00, &[1, 2], ProxySource::Local),
        (0x20, 0x00, &[], ProxySource::Local),
        (0x20, 0xff, &v4, ProxySource::Local),
    ] {
        let header = v2(command, family, block);
        let bytes = [&header[..], b"\x16\x03\x01"].concat();
        assert_eq!(parse(&bytes), Ok(Some((header.len(), want))), "{command:#x} {family:#x} {}", block.len());
    }
}

#[test]
fn version_2_is_strict() {
    let v4 = [0; 12];
    let with = |tlvs: &[u8]| [&v4[..], tlvs].concat();
    for (command, family, block, want) in [
        (0x22, 0x11, &v4[..], Malformed),
        (0x11, 0x11, &v4, Malformed),
        (0x31, 0x11, &v4, Malformed),
        (0x01, 0x11, &v4, Malformed),
        (0x21, 0x10, &v4, Malformed),
        (0x21, 0x01, &v4, Malformed),
        (0x21, 0x13, &v4, Malformed),
        (0x21, 0x41, &v4, Malformed),
        (0x21, 0x11, &v4[..11], Malformed),
        (0x21, 0x21, &[0; 35], Malformed),
        (0x21, 0x31, &[0; 215], Malformed),
        (0x21, 0x11, &with(&[4]), Malformed),
        (0x21, 0x11, &with(&[4, 0, 1]), Malformed),
        (0x21, 0x11, &with(&[4, 0, 1, 9, 9]), Malformed),
        (0x21, 0x11, &with(&[0; 4097]), TooLong),
        (0x20, 0x00, &[0; 4097], TooLong),
        (0x21, 0x00, &[0; 65535], TooLong),
    ] {
        let bytes = v2(command, family, block);
        assert_eq!(parse_proxy_header(&bytes), Err(want), "{command:#x} {family:#x} {}", block.len());
        if block.len() < 100 {
            assert_eq!(parse(&bytes), Err(want));
        }
    }
}

#[test]
fn who_names_nobody_is_read_so() {
    for header in [PROXY_V1_LOCAL, PROXY_V2_LOCAL] {
        assert_eq!(parse(header), Ok(Some((header.len(), ProxySource::Local))));
    }
}

#[test]
fn what_is_written() {
    let mut out = Vec::new();
    write_proxy_v1(&mut out, "1.2.3.4:5".parse().unwrap(), "6.7.8.9:10".parse().unwrap());
    assert_eq!(out, b"PROXY TCP4 1.2.3.4 6.7.8.9 5 10\r\n");
    out.clear();
    write_proxy_v1(&mut out, "1.2.3.4:5".parse().unwrap(), "[2001:db8::1]:10".parse().unwrap());
    assert_eq!(out, b"PROXY TCP6 ::ffff:1.2.3.4 2001:db8::1 5 10\r\n");
    out.clear();
    write_proxy_v2(&mut out, "1.2.3.4:5".parse().unwrap(), "[::ffff:6.7.8.9]:10".parse().unwrap());
    assert_eq!(out, v2(0x21, 0x11, &[1, 2, 3, 4, 6, 7, 8, 9, 0, 5, 0, 10]));
}

fn address() -> impl Strategy<Value = SocketAddr> {
    let ip = prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
        any::<u8>().prop_map(|last| IpAddr::from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, last])),
    ];
    (ip, any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

proptest! {
    #[test]
    fn what_is_written_is_read(client in address(), server in address(), rest: Vec<u8>) {
        let want = ProxySource::Addresses {
            client: SocketAddr::new(client.ip().to_canonical(), client.port()),
            server: SocketAddr::new(server.ip().to_canonical(), server.port()),
        };
        for write in [write_proxy_v1, write_proxy_v2] {
            let mut out = Vec::new();
            write(&mut out, client, server);
            let len = out.len();
            prop_assert!(len <= 107);
            out.extend_from_slice(&rest);
            prop_assert_eq!(parse(&out), Ok(Some((len, want))));
        }
    }

    #[test]
    fn no_bytes_do_harm(start in 0usize..3, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let start = [&b""[..], b"PROXY TCP4 ", SIGNATURE][start];
        let _ = parse(&[start, &bytes].concat());
    }
}

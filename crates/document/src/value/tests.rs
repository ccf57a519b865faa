//! Every value type: what it takes, how it is shown again, and what is said about the rest.

use std::fmt::Display;

use diagnostics::{Diagnostics, Span};

use super::{ByteSize, Cidr, DurationValue, Percent, Secret, SocketAddress};
use crate::decode::Decode;
use crate::node::{Node, Scalar, Value};

/// The value as it is shown, or code and help of the one error.
fn outcome<T: Decode + Display>(text: &str) -> Result<String, (&'static str, String)> {
    let mut diagnostics = Diagnostics::new();
    let value = T::decode(&Node::plain(text, Span::default()), &mut diagnostics);
    match value {
        Some(value) => {
            assert!(diagnostics.is_empty());
            Ok(value.to_string())
        }
        None => {
            let all: Vec<_> = diagnostics.iter().collect();
            assert_eq!(all.len(), 1);
            Err((all[0].code.id(), all[0].help.clone().unwrap_or_default()))
        }
    }
}

fn check<T: Decode + Display>(code: &str, fine: &[(&str, &str)], wrong: &[(&str, &str)]) {
    for (text, shown) in fine {
        assert_eq!(outcome::<T>(text), Ok((*shown).to_owned()), "{text}");
    }
    for (text, part) in wrong {
        let (found, help) = outcome::<T>(text).unwrap_err();
        assert_eq!(found, code, "{text}");
        assert!(help.contains(part), "{text}: {help}");
    }
}

#[test]
fn durations() {
    check::<DurationValue>(
        "GW0202",
        &[
            ("10ms", "10ms"),
            ("5s", "5s"),
            ("60s", "1m"),
            ("90m", "90m"),
            ("24h", "1d"),
            ("0s", "0s"),
            ("0ms", "0s"),
        ],
        &[
            ("5", "add a unit: `5s` or `5ms`"),
            ("1.5s", "1500ms"),
            ("5 s", "whole number and a unit"),
            ("5sec", "whole number and a unit"),
            ("-5s", "whole number and a unit"),
            ("", "whole number and a unit"),
            ("36526d", "hundred years"),
            ("99999999999999999999s", "whole number and a unit"),
            ("18446744073709551615d", "hundred years"),
        ],
    );
}

#[test]
fn sizes() {
    check::<ByteSize>(
        "GW0203",
        &[
            ("512B", "512B"),
            ("1024", "1KiB"),
            ("10MiB", "10MiB"),
            ("1GiB", "1GiB"),
            ("1KB", "1000B"),
            ("0", "0B"),
            ("1536KiB", "1536KiB"),
        ],
        &[
            ("10M", "did you mean `10MiB`?"),
            ("10kb", "did you mean `10KiB`?"),
            ("1.5MiB", "whole number and a unit"),
            ("-1", "whole number and a unit"),
            ("x", "whole number and a unit"),
            ("18446744073709551615TiB", "whole number and a unit"),
        ],
    );
}

#[test]
fn shares() {
    check::<Percent>(
        "GW0204",
        &[("20%", "20%"), ("0%", "0%"), ("100%", "100%"), ("0.5%", "0.5%"), ("12.25%", "12.25%")],
        &[
            ("20", "write `20%`"),
            ("101%", "from 0 to 100"),
            ("100.01%", "from 0 to 100"),
            ("-1%", "from 0 to 100"),
            ("1.234%", "from 0 to 100"),
            ("%", "from 0 to 100"),
            ("1.%", "from 0 to 100"),
            ("65535%", "from 0 to 100"),
        ],
    );
    let mut diagnostics = Diagnostics::new();
    let share = Percent::decode(&Node::plain("0.5%", Span::default()), &mut diagnostics).unwrap();
    assert_eq!((share.hundredths(), share.fraction()), (50, 0.005));
}

#[test]
fn networks() {
    check::<Cidr>(
        "GW0206",
        &[
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("fd00::/8", "fd00::/8"),
            ("::1", "::1/128"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ],
        &[
            ("10.0.0.1/8", "`10.0.0.0/8` for the network"),
            ("10.0.0.0/33", "prefix length"),
            ("example.com", "prefix length"),
            ("", "prefix length"),
        ],
    );
}

#[test]
fn socket_addresses() {
    check::<SocketAddress>(
        "GW0206",
        &[
            ("0.0.0.0:8080", "0.0.0.0:8080"),
            ("[::]:8080", "[::]:8080"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("127.0.0.1:65535", "127.0.0.1:65535"),
        ],
        &[
            ("0.0.0.0:70000", "the port 70000 is out of range"),
            ("8080", "write `0.0.0.0:8080` for every IPv4 address"),
            (":8080", "write `0.0.0.0:8080` for every IPv4 address"),
            ("*:8080", "or \"[::]:8080\""),
            ("localhost:80", "write `127.0.0.1:80`"),
            ("example.com:80", "names are not looked up"),
            (":::8080", "put an IPv6 address in brackets"),
            ("10.0.0.1", "add a port: `10.0.0.1:8080`"),
            ("fd00::1", "add a port: \"[fd00::1]:8080\""),
            ("", "an IP address and a port"),
            ("1.2.3.4:", "an IP address and a port"),
        ],
    );
}

#[test]
fn secrets_are_not_shown() {
    let mut diagnostics = Diagnostics::new();
    let secret = Secret::decode(&Node::plain("hunter2", Span::default()), &mut diagnostics).unwrap();
    assert_eq!(
        (format!("{secret:?} {secret}"), secret.expose()),
        ("[hidden] [hidden]".to_owned(), "hunter2")
    );

    let scalar = Scalar { text: "hunter2".to_owned(), plain: true, secret: true, origin: None, files: None };
    let node = Node { span: Span::default(), value: Value::Scalar(scalar) };
    DurationValue::decode(&node, &mut diagnostics);
    ByteSize::decode(&node, &mut diagnostics);
    Percent::decode(&node, &mut diagnostics);
    Cidr::decode(&node, &mut diagnostics);
    SocketAddress::decode(&node, &mut diagnostics);
    bool::decode(&node, &mut diagnostics);
    u16::decode(&node, &mut diagnostics);
    Vec::<bool>::decode(&node, &mut diagnostics);
    assert_eq!(diagnostics.errors(), 8);
    assert!(!format!("{diagnostics:?}").contains("hunter2"), "{diagnostics:?}");
}

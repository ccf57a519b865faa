//! Whose a count is, as text: it stands in the ledger, and operators read it.
//!
//! `consumer=mobile`, or `header=acme,route=orders`. Bytes that could be taken for others are written as `%2c`; what is
//! too long is its digest. It stays the same over restarts. Entry points: [`Key::of`], [`Key::of_values`], [`Sought`].

use std::fmt::Write;
use std::net::IpAddr;

use aws_lc_rs::digest::{Context, SHA256};
use message::client_network;
use quota::KEY_MAX;

use crate::RequestCx;
use crate::subject::{PartKind, Parts, Whose};

/// A key, on the stack: each request makes one for each of its quotas.
pub(crate) struct Key {
    bytes: [u8; KEY_MAX],
    len: usize,
    /// It does not fit: what it says is not all of it.
    is_cut: bool,
}

impl Key {
    /// Whose a request is.
    #[inline]
    pub(crate) fn of(whose: &Whose, cx: &RequestCx<'_>) -> Key {
        Key::written(|out| whose.write(cx, out))
    }

    /// The key of somebody with these values, one for each of `by`.
    pub(crate) fn of_values(whose: &Whose, values: &[&str]) -> Option<Key> {
        whose.fits(values).then(|| Key::written(|out| whose.write_values(values, out)))
    }

    fn written(write: impl Fn(&mut dyn Parts)) -> Key {
        let mut key = Key { bytes: [0; KEY_MAX], len: 0, is_cut: false };
        write(&mut key);
        if key.is_cut {
            let mut digest = Digested(Context::new(&SHA256));
            write(&mut digest);
            key = Key { bytes: [0; KEY_MAX], len: 0, is_cut: false };
            key.push(b"sha256:");
            digest.0.finish().as_ref().iter().for_each(|byte| key.push_hex(*byte));
        }
        key
    }

    /// The key as text.
    pub(crate) fn as_str(&self) -> &str {
        self.bytes.get(..self.len).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    fn push(&mut self, text: &[u8]) {
        match self.bytes.get_mut(self.len..self.len + text.len()) {
            Some(room) => {
                room.copy_from_slice(text);
                self.len += text.len();
            }
            None => self.is_cut = true,
        }
    }

    fn push_hex(&mut self, byte: u8) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let digit = |four: u8| HEX.get(usize::from(four & 15)).copied().unwrap_or_default();
        self.push(&[digit(byte >> 4), digit(byte)]);
    }
}

/// A value that is looked for in the keys of counters.
#[derive(Debug)]
pub struct Sought {
    /// As it stands in a key; `None` if it is too long for one.
    text: Option<String>,
    /// The same as an address.
    address: Option<String>,
}

impl Sought {
    /// A name, an address, the value of a header.
    pub fn new(value: &str) -> Sought {
        let part = |write: &dyn Fn(&mut dyn Parts)| {
            let written = Key::written(write);
            written.as_str().split_once('=').map(|(_, value)| value.to_owned())
        };
        let address: Option<IpAddr> = value.parse().ok();
        Sought {
            text: part(&|out| out.text(PartKind::Consumer, value.as_bytes())),
            address: address.and_then(|address| part(&|out| out.address(client_network(address)))),
        }
    }

    /// Whether a key is of somebody with this value, whatever else is in it. What was too long for a key is not found.
    pub fn is_in(&self, key: &str) -> bool {
        let is_this =
            |part: &str| self.text.as_deref() == Some(part) || self.address.as_deref() == Some(part);
        key.split(',').filter_map(|part| part.split_once('=')).any(|(_, part)| is_this(part))
    }
}

impl Parts for Key {
    fn text(&mut self, kind: PartKind, value: &[u8]) {
        if self.len > 0 {
            self.push(b",");
        }
        self.push(kind.as_str().as_bytes());
        self.push(b"=");
        // Most need no escape.
        let is_plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'%' | b',' | b'=');
        let mut rest = value;
        while !rest.is_empty() && !self.is_cut {
            let plain = rest.iter().position(|byte| !is_plain(byte)).unwrap_or(rest.len());
            let (text, others) = rest.split_at(plain);
            self.push(text);
            rest = others;
            if let [special, others @ ..] = others {
                self.push(b"%");
                self.push_hex(*special);
                rest = others;
            }
        }
    }

    fn address(&mut self, address: IpAddr) {
        self.text(PartKind::Address, b"");
        let length = if address.is_ipv6() { "/64" } else { "" };
        // What does not fit is cut, as everything else.
        _ = write!(self, "{address}{length}");
    }
}

impl Write for Key {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

struct Digested(Context);

impl Parts for Digested {
    fn text(&mut self, kind: PartKind, value: &[u8]) {
        self.0.update(kind.as_str().as_bytes());
        self.0.update(&(value.len() as u64).to_le_bytes());
        self.0.update(value);
    }

    fn address(&mut self, address: IpAddr) {
        self.text(PartKind::Address, address.to_string().as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use diagnostics::{Diagnostics, SourceId, Spanned};
    use document::{Decode, OneOrMany};

    use super::*;
    use crate::subject::By;
    use crate::{Compiling, Providers};

    /// As it is written behind `by`.
    fn whose(by: &str) -> Whose {
        let mut diagnostics = Diagnostics::new();
        let node = document::parse(SourceId(0), by, &mut diagnostics).unwrap();
        let by = OneOrMany::<Spanned<By>>::decode(&node, &mut diagnostics).unwrap();
        let (consumers, providers) = (Arc::default(), Providers::default());
        Whose::prepare(&by.0, &mut Compiling::new(&mut diagnostics, &consumers, &providers)).unwrap()
    }

    fn key(by: &str, values: &[&str]) -> String {
        Key::of_values(&whose(by), values).unwrap().as_str().to_owned()
    }

    #[test]
    fn keys_can_be_read_and_are_never_those_of_others() {
        let header = "header:x-tenant";
        for (by, values, expected) in [
            ("consumer", &["mobile"][..], "consumer=mobile"),
            ("[consumer, route]", &["a", "b"], "consumer=a,route=b"),
            (header, &["a,route=b"], "header=a%2croute%3db"),
            (header, &["100 %"], "header=100%20%25"),
            (header, &["größe"], "header=gr%c3%b6%c3%9fe"),
            ("client_ip", &["192.0.2.1"], "client_ip=192.0.2.1"),
            ("client_ip", &["2001:db8:1:2:3:4:5:6"], "client_ip=2001:db8:1:2::/64"),
            ("client_ip", &["::ffff:192.0.2.1"], "client_ip=192.0.2.1"),
        ] {
            assert_eq!(key(by, values), expected);
        }
        let long = |end: &str| key(header, &[&format!("{}{end}", "x".repeat(60_000))]);
        assert!(long("a").starts_with("sha256:") && long("a").len() == 71, "{}", long("a"));
        assert_ne!(long("a"), long("b"));
        assert_eq!(long("a"), long("a"));
        assert!(Key::of_values(&whose(header), &[]).is_none());
        assert!(Key::of_values(&whose("client_ip"), &["mobile"]).is_none(), "that is no address");
    }

    #[test]
    fn a_key_is_of_each_of_its_parts() {
        for (key, value, is_of) in [
            ("consumer=mobile", "mobile", true),
            ("consumer=mobile", "mobil", false),
            ("consumer=mobile,route=orders", "orders", true),
            ("header=a%2croute%3db", "a,route=b", true),
            ("header=a%2croute%3db", "b", false),
            ("client_ip=2001:db8:1:2::/64", "2001:db8:1:2:3::9", true),
            ("client_ip=2001:db8:1:2::/64", "2001:db8:1:3::9", false),
            ("client_ip=192.0.2.1", "192.0.2.1", true),
            ("method=", "", true),
            ("method=", &"x".repeat(60_000), false),
        ] {
            assert_eq!(Sought::new(value).is_in(key), is_of, "{key} {value}");
        }
    }
}

//! Queries, cookies and JSON as a simple reader has them: a second opinion that can be seen to be right.
//!
//! It must not know Gateward's own readers. Entry points: [`query_pairs`], [`cookies`], [`Members`].

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// The parameters of a query in their order, unescaped; empty ones are left out.
pub fn query_pairs(query: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pairs = query.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty());
    pairs.map(split).map(|(name, value)| (unescaped(name), unescaped(value.unwrap_or_default()))).collect()
}

/// Text of a form: `+` is a space, `%41` is `A`, and an escape that is broken stands for itself.
pub fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let digits = text.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let escaped = digits.filter(|_| text[at] == b'%').and_then(|digits| str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if text[at] == b'+' { b' ' } else { text[at] });
                at += 1;
            }
        }
    }
    out
}

/// Names and values of the cookies in these fields, in their order and without blanks around them; what has no `=` has
/// no value. Empty ones are left out.
pub fn cookies<'f>(fields: impl Iterator<Item = &'f [u8]>) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let pairs = fields.flat_map(|field| field.split(|&byte| byte == b';')).map(<[u8]>::trim_ascii);
    let cookie = |pair| {
        let (name, value) = split(pair);
        (name.trim_ascii().to_vec(), value.map(|value| value.trim_ascii().to_vec()))
    };
    pairs.filter(|pair| !pair.is_empty()).map(cookie).collect()
}

fn split(pair: &[u8]) -> (&[u8], Option<&[u8]>) {
    match pair.iter().position(|&byte| byte == b'=') {
        Some(at) => (&pair[..at], Some(&pair[at + 1..])),
        None => (pair, None),
    }
}

/// The members of a JSON object as they are written, those that occur twice included.
#[derive(Debug)]
pub struct Members(pub Vec<(String, Value)>);

impl Members {
    /// The members, if no name occurs twice.
    pub fn unique(self) -> Option<serde_json::Map<String, Value>> {
        let count = self.0.len();
        let map: serde_json::Map<_, _> = self.0.into_iter().collect();
        (map.len() == count).then_some(map)
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Members;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_unescaped() {
        let pairs = query_pairs(b"&a+b=%41%4&c=d=e&f&=g");
        let want: [(&[u8], &[u8]); 4] = [(b"a b", b"A%4"), (b"c", b"d=e"), (b"f", b""), (b"", b"g")];
        assert_eq!(pairs, want.map(|(name, value)| (name.to_vec(), value.to_vec())));
        assert_eq!(unescaped(b"%+1%zz%\xff"), b"% 1%zz%\xff");
    }

    #[test]
    fn cookies_are_trimmed() {
        let fields: [&[u8]; 2] = [b" a = 1 ;;b=\"x=y\"", b"c; "];
        let want: [(&[u8], Option<&[u8]>); 3] = [(b"a", Some(b"1")), (b"b", Some(b"\"x=y\"")), (b"c", None)];
        let want = want.map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec)));
        assert_eq!(cookies(fields.into_iter()), want);
    }

    #[test]
    fn what_is_twice_is_seen() {
        let read = |text| serde_json::from_str::<Members>(text).ok().map(|members| members.0.len());
        assert_eq!(read(r#"{"a":1,"\u0061":{"b":1,"b":2}}"#), Some(2));
        assert!(serde_json::from_str::<Members>(r#"{"a":1,"\u0061":2}"#).unwrap().unique().is_none());
        assert_eq!((read("[]"), read("{}"), read("{} x")), (None, Some(0), None));
    }
}

//! Writes small databases of addresses, for tests: the format of MaxMind, version 2.0 (MaxMind DB File Format
//! Specification). It is written apart from what reads it, and stands alone, so that any test can use it.

use std::net::IpAddr;

/// A value of a record.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Text of fewer than 29 bytes.
    Text(&'static str),
    /// A number, with its type: 5 for 16 bits, 6 for 32, 9 for 64.
    Number(u8, u64),
    /// Keys and values.
    Map(Vec<(&'static str, Value)>),
    /// Values.
    List(Vec<Value>),
}

impl Value {
    /// A record as GeoLite2-Country has it.
    pub(crate) fn country(code: &'static str) -> Value {
        let continent = Value::Map(vec![("code", Value::Text("XX"))]);
        let country = vec![("geoname_id", Value::Number(6, 1)), ("iso_code", Value::Text(code))];
        Value::Map(vec![("continent", continent), ("country", Value::Map(country))])
    }

    fn write(&self, out: &mut Vec<u8>) {
        let mut control = |kind: u8, size: usize| {
            let size = u8::try_from(size).unwrap();
            assert!(size < 29, "larger sizes are written in another way");
            // Types beyond 7 have a byte of their own.
            match kind {
                1..=7 => out.push(kind << 5 | size),
                _ => out.extend([size, kind - 7]),
            }
        };
        match self {
            Value::Text(text) => {
                control(2, text.len());
                out.extend(text.as_bytes());
            }
            Value::Number(kind, number) => {
                let bytes = number.to_be_bytes();
                let digits = &bytes[number.leading_zeros() as usize / 8..];
                control(*kind, digits.len());
                out.extend(digits);
            }
            Value::Map(entries) => {
                control(7, entries.len());
                for (key, value) in entries {
                    Value::Text(key).write(out);
                    value.write(out);
                }
            }
            Value::List(values) => {
                control(11, values.len());
                values.iter().for_each(|value| value.write(out));
            }
        }
    }
}

/// Where a side of a node leads.
#[derive(Clone, Copy)]
enum Side {
    Nowhere,
    Node(usize),
    Data(usize),
}

/// A database with these networks, from first address and length of the prefix to a record. None holds another.
pub(crate) fn database(kind: &'static str, networks: &[(&str, u8, Value)]) -> Vec<u8> {
    let (mut nodes, mut data) = (vec![[Side::Nowhere; 2]], Vec::new());
    for (address, prefix, value) in networks {
        // IPv4 stands at ::/96.
        let (bits, length) = match address.parse::<IpAddr>().unwrap() {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), 96 + usize::from(*prefix)),
            IpAddr::V6(v6) => (v6.to_bits(), usize::from(*prefix)),
        };
        let mut at = 0;
        for depth in 0..length {
            let side = (bits >> (127 - depth) & 1) as usize;
            if depth + 1 == length {
                nodes[at][side] = Side::Data(data.len());
                break;
            }
            at = match nodes[at][side] {
                Side::Node(next) => next,
                Side::Nowhere | Side::Data(_) => {
                    nodes.push([Side::Nowhere; 2]);
                    let next = nodes.len() - 1;
                    nodes[at][side] = Side::Node(next);
                    next
                }
            };
        }
        value.write(&mut data);
    }
    let mut out = Vec::new();
    for side in nodes.iter().flatten() {
        let record = match *side {
            Side::Nowhere => nodes.len(),
            Side::Node(node) => node,
            Side::Data(offset) => nodes.len() + 16 + offset,
        };
        out.extend(&u32::try_from(record).unwrap().to_be_bytes()[1..]);
    }
    out.extend([0; 16]);
    out.extend(data);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    let nodes = nodes.len() as u64;
    Value::Map(vec![
        ("binary_format_major_version", Value::Number(5, 2)),
        ("binary_format_minor_version", Value::Number(5, 0)),
        ("build_epoch", Value::Number(9, 1_700_000_000)),
        ("database_type", Value::Text(kind)),
        ("description", Value::Map(vec![("en", Value::Text("for tests"))])),
        ("ip_version", Value::Number(5, 6)),
        ("languages", Value::List(vec![Value::Text("en")])),
        ("node_count", Value::Number(6, nodes)),
        ("record_size", Value::Number(5, 24)),
    ])
    .write(&mut out);
    out
}

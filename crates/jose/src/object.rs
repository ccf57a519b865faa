//! JSON objects that can be read in one way only.
//!
//! It must not know what the members mean. Entry point: [`unique_members`].

use serde_json::{Map, Value};

/// Why a text is no object that can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotUnique {
    /// It is not JSON, or not an object.
    NoObject,
    /// A name occurs twice at the top level.
    Twice,
}

/// The members of the object in this text. A name that occurs twice at the top level is refused (RFC 7515 §5.2,
/// RFC 7519 §4, RFC 8259 §4): two readers might disagree which value counts.
///
/// # Errors
/// It is no JSON object, or a name occurs twice.
pub fn unique_members(json: &[u8]) -> Result<Map<String, Value>, NotUnique> {
    let object: Map<String, Value> = serde_json::from_slice(json).map_err(|_| NotUnique::NoObject)?;
    if object.len() == count(json) { Ok(object) } else { Err(NotUnique::Twice) }
}

/// How many members the object has that this valid JSON is: as many as there are colons outside of strings and
/// of inner objects. Names that are written differently and mean the same are two.
fn count(json: &[u8]) -> usize {
    let (mut count, mut depth, mut quoted, mut escaped) = (0, 0_usize, false, false);
    for byte in json {
        if quoted {
            quoted = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b':' if depth == 1 => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_counted_at_the_top() {
        for (json, want) in [
            ("{}", 0),
            (r#"{"a":1}"#, 1),
            (r#"{"a":1,"a":2}"#, 2),
            (r#"{"a":{"b":1,"c":[{"d":2}]},"e":[":",":"]}"#, 2),
            (r#"{"a:\":b\\":":\\","c\\":"\\\":"}"#, 2),
            (r#" { "a" : "}" , "b" : "{" } "#, 2),
        ] {
            assert_eq!(count(json.as_bytes()), want, "{json}");
            assert!(serde_json::from_str::<Value>(json).is_ok(), "{json}");
        }
    }

    #[test]
    fn what_is_twice_is_refused_however_it_is_written() {
        for json in
            [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"":1,"":2}"#, r#"{"a":{},"b":1,"a":[]}"#]
        {
            assert_eq!(unique_members(json.as_bytes()), Err(NotUnique::Twice), "{json}");
        }
        assert!(unique_members(br#"{"a":{"b":1,"b":2}}"#).is_ok(), "only the top level is ours to read");
        assert_eq!(unique_members(b"[]"), Err(NotUnique::NoObject));
    }
}

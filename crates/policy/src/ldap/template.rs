//! Names and filters with places for what is known only when somebody calls.
//!
//! What is put in is escaped, so that it is a value wherever it stands, whatever it holds. Entry points:
//! [`Template::parse`], [`Template::fill`]; [`check_name`] for names.

use std::fmt::Write;

/// Where the name of the user goes.
pub(super) const USERNAME: &str = "{username}";
/// Where the name of the entry of the user goes.
pub(super) const DN: &str = "{dn}";

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Username,
    Dn,
}

/// A name or a filter of a directory, with places in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Box<[Piece]>);

impl Template {
    /// Of a text in which these places may stand, and nothing else in braces.
    pub(super) fn parse(text: &str, places: &[&str]) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            let Some(place) = places.iter().find(|place| from.starts_with(**place)) else {
                let names: Vec<String> = places.iter().map(|place| format!("`{place}`")).collect();
                return Err(format!("braces hold {} here, and nothing else", names.join(" or ")));
            };
            pieces.push(Piece::Text(before.into()));
            pieces.push(if *place == USERNAME { Piece::Username } else { Piece::Dn });
            rest = from.get(place.len()..).unwrap_or_default();
        }
        pieces.push(Piece::Text(rest.into()));
        pieces.retain(|piece| *piece != Piece::Text("".into()));
        Ok(Template(pieces.into()))
    }

    /// The text with these names in it, escaped.
    pub fn fill(&self, username: &str, dn: &str) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Username => escape(username, &mut out),
                Piece::Dn => escape(dn, &mut out),
            }
        }
        out
    }
}

/// Escapes all that could be more than a part of a value, each octet as a backslash and two digits. Names (RFC 4514 §2.4)
/// and filters (RFC 4515 §3) both know this form, and both let any octet be written so.
fn escape(value: &str, out: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'@') {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            _ = write!(out, "\\{byte:02x}");
        }
    }
}

/// Whether a text can be what an attribute is called: a word or numbers with dots (RFC 4512 §1.4), without options.
pub(super) fn is_attribute(text: &str) -> bool {
    let word = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let numbers =
        text.split('.').all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
    word || numbers
}

/// Checks that a text is the name of an entry (RFC 4514 §3), and says which attribute has the place in its value.
pub(super) fn check_name<'t>(text: &'t str, place: &str) -> Result<Option<&'t str>, String> {
    let mut found = None;
    let mut rest = Some(text);
    while let Some(from) = rest {
        let end = end_of_part(from)?;
        let (part, behind) = from.split_at(end);
        let Some((attribute, value)) = part.split_once('=') else {
            return Err(format!("`{part}` is no `attribute=value`"));
        };
        let attribute = attribute.trim_matches(' ');
        if !is_attribute(attribute) {
            return Err(format!("`{attribute}` is no attribute"));
        }
        if found.is_none() && !place.is_empty() && value.contains(place) {
            found = Some(attribute);
        }
        rest = behind.get(1..);
    }
    Ok(found)
}

/// Where a part of a name ends: at the next `,` or `+` that is not escaped.
fn end_of_part(text: &str) -> Result<usize, String> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b',' | b'+' => return Ok(at),
            b'"' | b';' | b'<' | b'>' | 0 => {
                return Err(format!("`{}` has to be escaped with a backslash", char::from(byte)));
            }
            _ => {}
        }
    }
    if escaped { Err("nothing stands behind the last backslash".to_owned()) } else { Ok(text.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, username: &str, dn: &str) -> String {
        Template::parse(text, &[USERNAME, DN]).unwrap().fill(username, dn)
    }

    #[test]
    fn what_is_put_in_stays_a_value() {
        for (username, want) in [
            ("ann", "ann"),
            ("ann.b_c-d@x9", "ann.b_c-d@x9"),
            ("a,ou=admins", r"a\2cou\3dadmins"),
            ("*", r"\2a"),
            ("a)(uid=*", r"a\29\28uid\3d\2a"),
            (r"a\2a", r"a\5c2a"),
            (" #a ", r"\20\23a\20"),
            ("a\0b", r"a\00b"),
            ("zoë", r"zo\c3\ab"),
            ("{dn}", r"\7bdn\7d"),
            ("a+b=\"c\";<d>", r"a\2bb\3d\22c\22\3b\3cd\3e"),
            ("", ""),
        ] {
            assert_eq!(filled("uid={username},dc=x", username, ""), format!("uid={want},dc=x"));
            assert_eq!(
                filled("(|(uid={username})(member={dn}))", "u", username),
                format!("(|(uid=u)(member={want}))")
            );
        }
        // What is put in is not looked through for places again.
        assert_eq!(filled("{username}{dn}", "{dn}", "cn=a"), r"\7bdn\7dcn\3da");
    }

    #[test]
    fn braces_hold_places_only() {
        for text in ["uid={user}", "uid={username", "uid=username}", "{ username }", "{}", "uid={dn}"] {
            assert!(Template::parse(text, &[USERNAME]).is_err(), "{text}");
        }
        assert_eq!(filled("cn=x", "u", "d"), "cn=x");
        assert_eq!(filled("{username}{username}", "u", "d"), "uu");
    }

    #[test]
    fn names_are_checked() {
        for (text, want) in [
            ("uid={username},ou=people,dc=example,dc=com", Ok(Some("uid"))),
            ("cn = x+uid={username} , o=y", Ok(Some("uid"))),
            ("uid=ext-{username}", Ok(Some("uid"))),
            (r"cn=a\,b,0.9.2342={username}", Ok(Some("0.9.2342"))),
            ("cn=a,dc=x", Ok(None)),
            ("cn=,dc=x", Ok(None)),
            ("", Err("is no `attribute=value`")),
            ("{username}", Err("is no `attribute=value`")),
            ("{username}@example.com", Err("is no `attribute=value`")),
            ("uid={username},", Err("is no `attribute=value`")),
            ("{username}=x", Err("is no attribute")),
            ("1a=x", Err("is no attribute")),
            ("cn=a;dc=x", Err("has to be escaped")),
            ("cn=\"a\"", Err("has to be escaped")),
            (r"cn=a\", Err("behind the last backslash")),
        ] {
            match (check_name(text, USERNAME), want) {
                (Ok(got), Ok(want)) => assert_eq!(got, want, "{text}"),
                (Err(got), Err(want)) => assert!(got.contains(want), "{text}: {got}"),
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
    }
}

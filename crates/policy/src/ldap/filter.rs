//! Filters of directories, checked before anybody calls (RFC 4515).
//!
//! A filter is sent as it was written once it was found right here. Entry point: [`check_filter`].

use super::template::is_attribute;

/// How deep filters may be nested.
const DEEPEST: usize = 16;

/// Checks a filter, and says which attribute has the place as a part of its value first.
pub(super) fn check_filter<'t>(text: &'t str, place: &str) -> Result<Option<&'t str>, String> {
    let mut found = None;
    let rest = one(text, place, DEEPEST, &mut found)?;
    if rest.is_empty() { Ok(found) } else { Err(format!("`{rest}` stands behind its end")) }
}

/// Reads one filter in brackets, and returns what stands behind it.
fn one<'t>(text: &'t str, place: &str, depth: usize, found: &mut Option<&'t str>) -> Result<&'t str, String> {
    let Some(depth) = depth.checked_sub(1) else { return Err("it is nested too deep".to_owned()) };
    let Some(inner) = text.strip_prefix('(') else {
        return Err("a filter begins with `(`".to_owned());
    };
    let rest = match inner.as_bytes().first() {
        Some(b'&' | b'|') => {
            let mut rest = one(inner.get(1..).unwrap_or_default(), place, depth, found)?;
            while rest.starts_with('(') {
                rest = one(rest, place, depth, found)?;
            }
            rest
        }
        Some(b'!') => one(inner.get(1..).unwrap_or_default(), place, depth, found)?,
        _ => {
            let end = inner.find(['(', ')']).unwrap_or(inner.len());
            let (item, rest) = inner.split_at(end);
            let attribute = check_item(item)?;
            if found.is_none() && item.contains(place) {
                *found = Some(attribute);
            }
            rest
        }
    };
    rest.strip_prefix(')').ok_or_else(|| "a `)` is missing".to_owned())
}

/// Checks `attribute=value` and its kin; the attribute.
fn check_item(item: &str) -> Result<&str, String> {
    let Some((left, value)) = item.split_once('=') else {
        return Err(format!("`{item}` is no `attribute=value`"));
    };
    let plain = left.trim_end_matches(['<', '>', '~']);
    if left.len() - plain.len() > 1 {
        return Err(format!("`{left}=` compares nothing"));
    }
    // `attribute:rule:=value`, and `attribute:dn:rule:=value`, say how to compare.
    let attribute = match plain.strip_suffix(':') {
        Some(extended) => {
            let mut parts = extended.split(':');
            let attribute = parts.next().unwrap_or_default();
            if !parts.all(is_attribute) {
                return Err(format!("`{extended}` names no rule"));
            }
            attribute
        }
        None => plain,
    };
    if !is_attribute(attribute) {
        return Err(format!("`{attribute}` is no attribute"));
    }
    let mut pieces = value.split('\\');
    pieces.next();
    if !pieces.all(|piece| piece.len() >= 2 && piece.bytes().take(2).all(|byte| byte.is_ascii_hexdigit())) {
        return Err("a backslash stands in front of two hexadecimal digits, and nowhere else".to_owned());
    }
    Ok(attribute)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ldap::template::USERNAME;

    #[test]
    fn filters_are_checked() {
        let deep = format!("{}(a=b){}", "(!".repeat(16), ")".repeat(16));
        for (text, want) in [
            ("(uid={username})", Ok(Some("uid"))),
            ("(|(cn=x)(mail={username})(uid={username}))", Ok(Some("mail"))),
            ("(&(objectClass=person)(!(disabled=*))(sAMAccountName={username}))", Ok(Some("sAMAccountName"))),
            ("(memberOf:1.2.840.113556.1.4.1941:={username})", Ok(Some("memberOf"))),
            ("(cn:dn:caseExactMatch:=x)", Ok(None)),
            ("(cn=*x*y*)", Ok(None)),
            (r"(cn=a\2a\28)", Ok(None)),
            ("(a>=1)", Ok(None)),
            ("(a<=1)", Ok(None)),
            ("(a~=b=c)", Ok(None)),
            ("", Err("begins with `(`")),
            ("uid={username}", Err("begins with `(`")),
            ("(uid={username}", Err("a `)` is missing")),
            ("(uid={username}))", Err("behind its end")),
            ("(uid={username})(a=b)", Err("behind its end")),
            ("(&)", Err("begins with `(`")),
            ("(&(a=b)", Err("a `)` is missing")),
            ("(!(a=b)(c=d))", Err("a `)` is missing")),
            ("(uid)", Err("is no `attribute=value`")),
            ("()", Err("is no `attribute=value`")),
            ("(={username})", Err("is no attribute")),
            ("({username}=x)", Err("is no attribute")),
            ("(a b=x)", Err("is no attribute")),
            ("(a>>=x)", Err("compares nothing")),
            ("(a:b c:=x)", Err("names no rule")),
            (r"(cn=a\,b)", Err("two hexadecimal digits")),
            (r"(cn=a\2)", Err("two hexadecimal digits")),
            (r"(cn=a\)", Err("two hexadecimal digits")),
            (deep.as_str(), Err("too deep")),
        ] {
            match (check_filter(text, USERNAME), want) {
                (Ok(got), Ok(want)) => assert_eq!(got, want, "{text}"),
                (Err(got), Err(want)) => assert!(got.contains(want), "{text}: {got}"),
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
    }
}

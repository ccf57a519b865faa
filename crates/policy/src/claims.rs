//! Who is calling, out of the claims of a token.
//!
//! Whoever calls has verified the claims before; here nothing is verified. It must not know where the claims come from:
//! a signed token, the answer of a server, a login. Entry points: [`Mapping::identity`], [`Mapping::identity_of`];
//! [`claim_name`] checks what the user writes.

use std::rc::Rc;

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::keywords;
use message::{CONSUMER_FIELD, Headers};
use serde_json::{Map, Value};

use crate::authenticate::Refused;
use crate::identity::Told;
use crate::{Caller, Consumers, Identity, RequestCx, Verdict};

/// Services refuse heads that are much larger, so what is longer is not told, in bytes.
const LONGEST: usize = 8192;

keywords! {
    /// Whether it has to be a consumer of the configuration.
    pub enum Needed {
        /// Somebody who is not named under `consumers` is refused.
        Required = "required",
        /// Somebody whose token is valid is let through, named there or not.
        Optional = "optional",
    }
}

/// A field for a service, with the claim that its value comes from: the name is in lower case.
pub(crate) type Field = (Box<[u8]>, Box<str>);

/// How claims become an identity. A claim is named by its key, or by a path through objects: `realm_access.roles`. A key
/// that has dots itself comes first.
#[derive(Debug)]
pub(crate) struct Mapping {
    /// The kind of policy that recognises the caller, as logs have it.
    pub(crate) method: &'static str,
    /// Where the subject of a consumer stands. The first claim that is there counts, and no other: names of clients and of
    /// users come from different hands, and may be the same (RFC 9068 §5).
    pub(crate) consumer_claims: Box<[Box<str>]>,
    /// Somebody who is no consumer is refused.
    pub(crate) consumer_required: bool,
    /// Where the scopes stand: a text with spaces between them (RFC 8693 §4.2), or a list.
    pub(crate) scope_claim: Box<str>,
    /// Where the groups stand: a list, or a text that is one group.
    pub(crate) groups_claim: Box<str>,
    /// What services are told.
    pub(crate) headers: Box<[Field]>,
}

impl Mapping {
    /// Who a token belongs to. Its issuer is what `iss` says.
    ///
    /// # Errors
    ///
    /// It belongs to no consumer, and has to.
    pub(crate) fn identity(
        &self,
        claims: Map<String, Value>,
        consumers: &Consumers,
    ) -> Result<Identity, Refused> {
        let consumer = self.consumer(&claims, consumers);
        if consumer.is_none() && self.consumer_required {
            return Err(Refused::new("unknown", "The token belongs to no consumer."));
        }
        Ok(self.identity_of(claims, consumer))
    }

    /// The same for a token that whoever has it may use.
    ///
    /// # Errors
    ///
    /// It belongs to no consumer, and has to; or it is bound to a key.
    pub(crate) fn bearer(
        &self,
        claims: Map<String, Value>,
        consumers: &Consumers,
    ) -> Result<Identity, Refused> {
        if claims.get("cnf").is_some_and(|bound| !bound.is_null()) {
            // Who has stolen it lacks the key (RFC 7800), and that is what it was bound for.
            return Err(Refused::new("bound", "The token is bound to a key that was not shown."));
        }
        self.identity(claims, consumers)
    }

    /// What becomes of a token of which only what it says was read.
    pub(crate) fn supposed(
        &self,
        read: Result<Map<String, Value>, jose::Refusal>,
        cx: &mut RequestCx<'_>,
    ) -> Verdict {
        cx.state.is_unverified = true;
        match read.map(|claims| self.bearer(claims, cx.consumers)) {
            Ok(Ok(identity)) => Verdict::Known(self.caller(&Rc::new(identity))),
            Ok(Err(refused)) => Verdict::Refused(refused),
            Err(refusal) => Verdict::Refused(Refused::of_token(&refusal)),
        }
    }

    /// Who somebody of whom this is known is, when it is known already which consumer it is.
    pub(crate) fn identity_of(&self, claims: Map<String, Value>, consumer: Option<&Identity>) -> Identity {
        let own = consumer.map_or(&[][..], |consumer| &consumer.groups);
        let groups = own.iter().map(|group| &**group).chain(items(claim(&claims, &self.groups_claim)));
        let scopes = match claim(&claims, &self.scope_claim) {
            Some(Value::String(text)) => once_each(text.split_ascii_whitespace()),
            other => once_each(items(other)),
        };
        let name = consumer.map(|consumer| (CONSUMER_FIELD.into(), consumer.name().as_bytes().into()));
        let told = self.headers.iter().filter_map(|(name, path)| {
            let value = field_value(claim(&claims, path)?)?;
            Some((name.clone(), value.into_bytes().into()))
        });
        Identity {
            index: consumer.and_then(|consumer| consumer.index),
            consumer: consumer.and_then(|consumer| consumer.consumer.clone()),
            subject: subject(&claims),
            groups: once_each(groups),
            scopes,
            fields: name.into_iter().chain(told).collect::<Vec<Told>>().into(),
            claims,
        }
    }

    /// How a request holds on to somebody who was recognised by this.
    #[inline]
    pub(crate) fn caller(&self, identity: &Rc<Identity>) -> Caller {
        Caller::Verified(Rc::clone(identity), self.method)
    }

    /// Names of the fields, besides `x-consumer`, by which services are told of callers.
    pub(crate) fn told_fields(&self) -> Vec<&[u8]> {
        self.headers.iter().map(|(name, _)| &**name).collect()
    }

    fn consumer<'c>(&self, claims: &Map<String, Value>, consumers: &'c Consumers) -> Option<&'c Identity> {
        let value = self.consumer_claims.iter().find_map(|path| claim(claims, path))?;
        let issuer = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        let index = match value {
            Value::String(subject) => consumers.by_token(issuer, subject),
            // Some issuers number their subjects.
            Value::Number(number) => consumers.by_token(issuer, &number.to_string()),
            _ => None,
        };
        consumers.identity(index?)
    }
}

/// A claim by its key or path; `None` for one that is null.
pub(crate) fn claim<'c>(claims: &'c Map<String, Value>, path: &str) -> Option<&'c Value> {
    let mut object = claims;
    let mut path = path;
    // Each round takes at least one byte of the path.
    loop {
        if let Some(value) = object.get(path) {
            return Some(value).filter(|value| !value.is_null());
        }
        let longest = path.rmatch_indices('.').find_map(|(dot, _)| {
            let (key, rest) = path.split_at_checked(dot)?;
            Some((object.get(key)?.as_object()?, rest.get(1..)?))
        });
        (object, path) = longest?;
    }
}

/// What a token says about who it is.
fn subject(claims: &Map<String, Value>) -> Box<str> {
    let mut found =
        ["sub", "client_id", "username"].into_iter().filter_map(|name| match claims.get(name)? {
            Value::String(text) if !text.is_empty() => Some(text.as_str().into()),
            Value::Number(number) => Some(number.to_string().into()),
            _ => None,
        });
    found.next().unwrap_or_default()
}

/// The texts of a list, or a text as the only one. What is no text is nobody's group and no scope.
fn items(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let values = match value {
        Some(Value::Array(values)) => values,
        Some(value) => std::slice::from_ref(value),
        None => &[],
    };
    values.iter().filter_map(Value::as_str).filter(|text| !text.is_empty())
}

/// Each text once, in order of appearance.
fn once_each<'t>(texts: impl Iterator<Item = &'t str>) -> Box<[Box<str>]> {
    let mut seen = std::collections::HashSet::new();
    texts.filter(|text| seen.insert(*text)).map(Into::into).collect()
}

/// A claim as the value of a field; `None` where it cannot be one, or says nothing.
///
/// Texts, numbers and booleans are written as they are. Texts of a list have commas between them, unless that could be
/// read in another way: then, and for all else, it is JSON.
fn field_value(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        Value::Array(values) => joined(values).unwrap_or_else(|| value.to_string()),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    };
    // What surrounds a value is taken away by whoever reads it (RFC 9110 §5.5): it would be another value there.
    let stands = !text.is_empty()
        && text.len() <= LONGEST
        && text.trim_ascii().len() == text.len()
        && Headers::is_valid_value(text.as_bytes());
    stands.then_some(text)
}

/// Texts with commas between them; `None` where that could be taken for other texts, or for JSON.
fn joined(values: &[Value]) -> Option<String> {
    let mut whole = String::new();
    for value in values {
        let text = value.as_str()?;
        let plain = !text.is_empty() && !text.contains(',') && text.trim_ascii().len() == text.len();
        if !plain || (whole.is_empty() && text.starts_with('[')) {
            return None;
        }
        if !whole.is_empty() {
            whole.push(',');
        }
        whole.push_str(text);
    }
    Some(whole)
}

/// Checks the name of a claim, or the path to it.
pub(crate) fn claim_name(name: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<Box<str>> {
    if !name.is_empty() {
        return Some(name.as_str().into());
    }
    diagnostics.push(
        Diagnostic::error(Code::InvalidValue, name.span, "a claim needs a name")
            .help("write its name, or the path to it: `realm_access.roles`"),
    );
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::NewConsumer;

    fn map(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("{value}") };
        map
    }

    fn texts(list: &[Box<str>]) -> Vec<&str> {
        list.iter().map(|text| &**text).collect()
    }

    #[test]
    fn claims_are_found_by_key_and_by_path() {
        let claims = map(json!({
            "sub": "me",
            "none": null,
            "realm_access": { "roles": ["a"], "none": null },
            "https://x.test/roles": ["b"],
            "a": { "b": { "c": 1 }, "b.c": 2 },
            "d": { "e": 3 },
            "d.e": { "f": 4 },
            "": { "": 5 },
        }));
        for (path, want) in [
            ("sub", Some(json!("me"))),
            ("realm_access.roles", Some(json!(["a"]))),
            ("https://x.test/roles", Some(json!(["b"]))),
            ("a.b.c", Some(json!(2))),
            ("d.e", Some(json!({ "f": 4 }))),
            ("d.e.f", Some(json!(4))),
            (".", Some(json!(5))),
            ("none", None),
            ("realm_access.none", None),
            ("realm_access.roles.0", None),
            ("sub.x", None),
            ("realm_access.", None),
            ("..", None),
            ("x", None),
        ] {
            assert_eq!(claim(&claims, path), want.as_ref(), "{path}");
        }
    }

    #[test]
    fn a_field_says_what_the_claim_says_or_nothing() {
        for (value, want) in [
            (json!("ann"), Some("ann")),
            (json!("a, b"), Some("a, b")),
            (json!("Zoë"), Some("Zoë")),
            (json!(42), Some("42")),
            (json!(1.5), Some("1.5")),
            (json!(true), Some("true")),
            (json!(["a", "b c"]), Some("a,b c")),
            (json!(["a,b", "c"]), Some(r#"["a,b","c"]"#)),
            (json!(["a", ""]), Some(r#"["a",""]"#)),
            (json!(["a", " b"]), Some(r#"["a"," b"]"#)),
            (json!(["[\"admin\"]"]), Some(r#"["[\"admin\"]"]"#)),
            (json!(["a", 1]), Some(r#"["a",1]"#)),
            (json!(["a\r\nx-admin: 1", ""]), Some(r#"["a\r\nx-admin: 1",""]"#)),
            (json!({ "a": [1] }), Some(r#"{"a":[1]}"#)),
            (json!("a\r\nx-admin: 1"), None),
            (json!(["a\nb"]), None),
            (json!("a\u{7f}"), None),
            (json!(" ann"), None),
            (json!("ann\t"), None),
            (json!(""), None),
            (json!([]), None),
            (json!(null), None),
            (json!("x".repeat(LONGEST)), Some("x".repeat(LONGEST).as_str())),
            (json!("x".repeat(LONGEST + 1)), None),
        ] {
            assert_eq!(field_value(&value).as_deref(), want, "{value}");
        }
    }

    fn mapping() -> Mapping {
        Mapping {
            method: "jwt",
            consumer_claims: ["client_id".into(), "sub".into()].into(),
            consumer_required: false,
            scope_claim: "scope".into(),
            groups_claim: "groups".into(),
            headers: [(b"x-user".as_slice().into(), "sub".into()), (b"x-id".as_slice().into(), "id".into())]
                .into(),
        }
    }

    fn consumers() -> Consumers {
        Consumers::new(&[NewConsumer {
            name: "mobile".into(),
            groups: vec!["apps".into(), "ops".into()],
            tokens: vec![("https://id.test".into(), "m1".into()), ("".into(), "7".into())],
            ..NewConsumer::default()
        }])
    }

    #[test]
    fn an_identity_has_what_the_consumer_and_the_token_say() {
        let claims = json!({
            "iss": "https://id.test", "sub": "ann", "client_id": "m1",
            "scope": "read  write read", "groups": ["dev", "ops", "", 5, ["x"], "dev"],
        });
        let identity = mapping().identity(map(claims), &consumers()).unwrap();
        assert_eq!((identity.name(), identity.index, &*identity.subject), ("mobile", Some(0), "ann"));
        assert_eq!(texts(&identity.groups), ["apps", "ops", "dev"]);
        assert_eq!(texts(&identity.scopes), ["read", "write"]);
        assert_eq!(identity.claims["client_id"], "m1");
        let told: Vec<Told> = [("x-consumer", "mobile"), ("x-user", "ann")]
            .map(|(name, value)| (name.as_bytes().into(), value.as_bytes().into()))
            .into();
        assert_eq!(*identity.fields, told);
    }

    #[test]
    fn somebody_who_is_no_consumer_is_known_by_the_token() {
        for (claims, subject, scopes, groups) in [
            (json!({ "sub": "ann", "scope": ["a b", "c"] }), "ann", vec!["a b", "c"], vec![]),
            (
                json!({ "sub": "", "client_id": "c", "groups": "Domain Admins" }),
                "c",
                vec![],
                vec!["Domain Admins"],
            ),
            (json!({ "username": "u", "scope": 5, "groups": { "a": 1 } }), "u", vec![], vec![]),
            (json!({ "sub": 8 }), "8", vec![], vec![]),
            (json!({ "sub": ["ann"] }), "", vec![], vec![]),
            // A consumer of another issuer, and one whose claim is not the first that is there.
            (json!({ "iss": "https://x.test", "sub": "m1" }), "m1", vec![], vec![]),
            (json!({ "client_id": "x", "sub": "7" }), "7", vec![], vec![]),
        ] {
            let identity = mapping().identity(map(claims.clone()), &consumers()).unwrap();
            assert_eq!(
                (&*identity.subject, identity.index, &identity.consumer),
                (subject, None, &None),
                "{claims}"
            );
            assert_eq!((texts(&identity.scopes), texts(&identity.groups)), (scopes, groups), "{claims}");
            assert!(!identity.fields.iter().any(|(name, _)| **name == *CONSUMER_FIELD), "{claims}");
            let required = Mapping { consumer_required: true, ..mapping() };
            assert!(required.identity(map(claims), &consumers()).is_err());
        }
        let numbered = mapping().identity(map(json!({ "sub": 7 })), &consumers()).unwrap();
        assert_eq!(numbered.name(), "mobile");
    }
}

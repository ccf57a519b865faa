//! Prepares the policy: which directory, and how users are found in it.

use std::sync::Arc;

use diagnostics::{Code, Diagnostic, Diagnostics, Span, Spanned};
use http::Uri;

use super::config::{Groups, Raw, Search};
use super::directory::{Account, Directory, GroupSearch, Security, UserSearch, Who};
use super::filter::check_filter;
use super::run::{KIND, Ready};
use super::template::{DN, Template, USERNAME, check_name, is_attribute};
use crate::Compiling;
use crate::claims::{Mapping, Needed};
use crate::issuer_source::{is_loopback, trust};
use crate::places::Places;
use crate::told::headers;
use crate::userpass::challenge;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let before = cx.diagnostics.errors();
    let directory = directory(raw, cx.diagnostics);
    let challenge = challenge(&raw.realm, raw.span, cx.diagnostics);
    let mapping = mapping(raw, cx.diagnostics);
    look_at_consumers(raw, cx);
    if cx.diagnostics.errors() != before {
        return None;
    }
    Some(Ready {
        directory: Arc::new(directory?),
        mapping: mapping?,
        challenge: challenge?,
        cache: raw.cache.get().as_secs(),
        forward: raw.forward,
        scope: cx.fingerprint,
    })
}

fn look_at_consumers(raw: &Raw, cx: &mut Compiling<'_>) {
    if raw.consumer != Needed::Required {
        return;
    }
    if raw.consumer_attribute.is_none() {
        cx.diagnostics.push(
            Diagnostic::error(
                Code::MissingKey,
                raw.span,
                "no user can be a consumer, and each has to be one",
            )
            .help(
                "name the attribute that holds the name of the consumer: `consumer_attribute: employeeType`",
            ),
        );
    } else if cx.consumers.is_empty() {
        cx.diagnostics.push(
            Diagnostic::warning(
                Code::NoCredentials,
                raw.span,
                "there is no consumer, so no password gets anybody in",
            )
            .help("add some: consumers: [{ name: ops }], or write `consumer: optional`"),
        );
    }
}

fn mapping(raw: &Raw, diagnostics: &mut Diagnostics) -> Option<Mapping> {
    let places = Places {
        headers: [b"authorization".as_slice().into()].into(),
        query: [].into(),
        cookies: [].into(),
        scheme: b"Basic".as_slice().into(),
    };
    Some(Mapping {
        method: KIND,
        // An attribute says it, not a claim.
        consumer_claims: [].into(),
        consumer_required: raw.consumer == Needed::Required,
        scope_claim: "scope".into(),
        groups_claim: "groups".into(),
        headers: headers(raw.claims_to_headers.as_ref(), &places, diagnostics)?,
    })
}

fn directory(raw: &Raw, diagnostics: &mut Diagnostics) -> Option<Directory> {
    let place = place(raw, diagnostics);
    let trust = trust(raw.ca.as_ref(), diagnostics);
    let who = match (&raw.bind_dn, &raw.search) {
        (Some(name), None) => named(name, diagnostics),
        (None, Some(search)) => found(search, diagnostics),
        (bind_dn, _) => {
            let (code, what) = match bind_dn {
                Some(_) => (Code::ConflictingKeys, "`bind_dn` and `search` both say how a user is found"),
                None => (Code::MissingKey, "nothing says how a user is found"),
            };
            diagnostics.push(Diagnostic::error(code, raw.span, what).help(
                "write either `bind_dn: \"uid={username},ou=people,dc=example,dc=com\"` or `search: { base: … }`",
            ));
            None
        }
    };
    let groups = match &raw.groups {
        Some(groups) => group_search(groups, diagnostics).map(Some),
        None => Some(None),
    };
    let consumer = match &raw.consumer_attribute {
        Some(name) => attribute(name, diagnostics).map(Some),
        None => Some(None),
    };
    if raw.timeout.get().is_zero() {
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, raw.timeout.span, "nobody can answer in no time")
                .help("write how long the directory may take: `3s`"),
        );
    }
    let ((host, port, security), (who, name_attribute)) = (place?, who?);
    Some(Directory {
        host,
        port,
        security,
        trust: trust?.0,
        timeout: raw.timeout.get(),
        who,
        name_attribute,
        consumer_attribute: consumer?,
        groups: groups?,
    })
}

/// Host, port and encryption.
fn place(raw: &Raw, diagnostics: &mut Diagnostics) -> Option<(Box<str>, u16, Security)> {
    let uri: Option<Uri> = raw.url.parse().ok();
    let uri = uri.filter(|uri| {
        matches!(uri.scheme_str(), Some("ldap" | "ldaps"))
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none()
            && !raw.url.contains('#')
    });
    let Some(uri) = uri else {
        diagnostics.push(
            Diagnostic::error(
                Code::InvalidUrl,
                raw.url.span,
                format!("`{}` is no URL of a directory", raw.url.value),
            )
            .help("write `ldaps://HOST` or `ldaps://HOST:PORT`, and nothing behind it"),
        );
        return None;
    };
    let encrypted = uri.scheme_str() == Some("ldaps");
    let (usual, security) = match (encrypted, raw.start_tls) {
        (true, _) => (636, Security::Tls),
        (false, true) => (389, Security::StartTls),
        (false, false) => (389, Security::Plain),
    };
    if security == Security::Plain && !is_loopback(&uri) && !raw.allow_plaintext {
        diagnostics.push(
            Diagnostic::error(Code::InvalidUrl, raw.url.span, "passwords would be sent to the directory without encryption")
                .help("use `ldaps://`, or write `start_tls: true`; `allow_plaintext: true` if nobody can get in between"),
        );
        return None;
    }
    look_at_encryption(raw, security, diagnostics);
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    Some((host.into(), uri.port_u16().unwrap_or(usual), security))
}

/// Settings that weaken encryption, or have nothing to do with it.
fn look_at_encryption(raw: &Raw, security: Security, diagnostics: &mut Diagnostics) {
    let mut warn = |code: Code, place: Span, what: &'static str, help: &'static str| {
        diagnostics.push(Diagnostic::warning(code, place, what).help(help));
    };
    if raw.start_tls && security == Security::Tls {
        let what = "`start_tls` has no effect with `ldaps://`, which is encrypted from the first byte on";
        warn(Code::UnusedSetting, raw.url.span, what, "remove it");
    }
    if raw.allow_plaintext && security == Security::Plain {
        let what = "passwords are sent without encryption, and anybody could answer for the directory";
        warn(
            Code::VerificationOff,
            raw.url.span,
            what,
            "use `ldaps://`; on this machine `allow_plaintext` is not needed",
        );
    }
    if raw.allow_plaintext && security != Security::Plain {
        let what = "`allow_plaintext` has no effect: what is said to the directory is encrypted";
        warn(Code::UnusedSetting, raw.url.span, what, "remove it");
    }
    if let (Some(ca), Security::Plain) = (&raw.ca, security) {
        let what = "`ca` has no effect without encryption";
        warn(Code::UnusedSetting, ca.span, what, "use `ldaps://`, or remove it");
    }
}

fn wrong(text: &Spanned<String>, what: &str, why: &str, help: &'static str) -> Diagnostic {
    Diagnostic::error(Code::InvalidValue, text.span, format!("`{}` is no {what}: {why}", text.value))
        .help(help)
}

/// A user by the name of the entry, and the attribute that holds what the user is called.
fn named(name: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<(Who, Box<str>)> {
    let help = "write `\"uid={username},ou=people,dc=example,dc=com\"`, or use `search`";
    let checked = check_name(name, USERNAME).and_then(|attribute| {
        let attribute =
            attribute.ok_or_else(|| format!("it would be the same for all users, without `{USERNAME}`"))?;
        Ok((Who::Named(Template::parse(name, &[USERNAME])?), attribute.into()))
    });
    checked.map_err(|why| diagnostics.push(wrong(name, "name of an entry", &why, help))).ok()
}

fn found(search: &Search, diagnostics: &mut Diagnostics) -> Option<(Who, Box<str>)> {
    let base = base(&search.base, diagnostics);
    let help = "write `\"(uid={username})\"`";
    let filter = check_filter(&search.filter, USERNAME).and_then(|attribute| {
        let attribute =
            attribute.ok_or_else(|| format!("it would be the same for all users, without `{USERNAME}`"))?;
        Ok((Template::parse(&search.filter, &[USERNAME])?, attribute.into()))
    });
    let filter =
        filter.map_err(|why| diagnostics.push(wrong(&search.filter, "filter for a user", &why, help))).ok();
    let account = account(search, diagnostics);
    let ((filter, name_attribute), base, account) = (filter?, base?, account?);
    Some((Who::Found(UserSearch { base, filter, account }), name_attribute))
}

/// Who searches; `Some(None)` for anybody.
fn account(search: &Search, diagnostics: &mut Diagnostics) -> Option<Option<Account>> {
    let (dn, password) = match (&search.bind_dn, &search.bind_password) {
        (None, None) => return Some(None),
        (Some(dn), Some(password)) => (dn, password),
        (_, password) => {
            let lacks = if password.is_some() { "bind_dn" } else { "bind_password" };
            diagnostics.push(
                Diagnostic::error(Code::MissingKey, search.span, format!("`{lacks}` is missing"))
                    .help("write both `bind_dn` and `bind_password`, or none if anybody may search"),
            );
            return None;
        }
    };
    let checked = base(dn, diagnostics);
    // A name without a password is nobody's (RFC 4513 §5.1.2), and many directories let nobody in as a visitor.
    if password.expose().is_empty() {
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, password.span, "`bind_password` is empty")
                .help("write the password of `bind_dn`, or leave both away if anybody may search"),
        );
        return None;
    }
    Some(Some(Account { dn: checked?, password: password.value.clone() }))
}

fn group_search(groups: &Groups, diagnostics: &mut Diagnostics) -> Option<GroupSearch> {
    let base = base(&groups.base, diagnostics);
    let checked = check_filter(&groups.filter, DN).and_then(|_| {
        if !groups.filter.contains(DN) && !groups.filter.contains(USERNAME) {
            return Err(format!("all users would be in the same groups, without `{DN}` or `{USERNAME}`"));
        }
        Template::parse(&groups.filter, &[DN, USERNAME])
    });
    let help = "write `\"(member={dn})\"`";
    let filter =
        checked.map_err(|why| diagnostics.push(wrong(&groups.filter, "filter for groups", &why, help))).ok();
    let attribute = attribute(&groups.attribute, diagnostics);
    Some(GroupSearch { base: base?, filter: filter?, attribute: attribute? })
}

/// The name of an entry that is the same for all users.
fn base(name: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<Box<str>> {
    let help = "write `dc=example,dc=com`, or what stands above it";
    match check_name(name, "") {
        Ok(_) if name.contains(['{', '}']) => {
            diagnostics.push(wrong(name, "name of one entry", "it has braces", help));
            None
        }
        Ok(_) => Some(name.as_str().into()),
        Err(why) => {
            diagnostics.push(wrong(name, "name of an entry", &why, help));
            None
        }
    }
}

fn attribute(name: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<Box<str>> {
    if is_attribute(name) {
        return Some(name.as_str().into());
    }
    diagnostics.push(wrong(
        name,
        "attribute",
        "it has other characters than letters, digits and `-`",
        "write `cn`",
    ));
    None
}

//! Prepares the policy: whose keys, and what a token has to be.

use authority::Trust;
use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::OneOrMany;
use jose::{Algorithm, Algorithms, Key, KeySet, Rules};

use super::config::{Jwks, KeyOf, Raw};
use super::run::{Keys, Ready};
use crate::claims::{Mapping, Needed, claim_name};
use crate::issuer_source::{plaintext, trust, url};
use crate::places::{Places, Written};
use crate::told::headers;
use crate::{Compiling, Digest, IssuerSource};

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let before = cx.diagnostics.errors();
    let algorithms = algorithms(raw.algorithms.as_ref(), cx);
    let trusted = trust(raw.ca.as_ref(), cx.diagnostics)?;
    let keys = keys(raw, trusted, cx);
    let written = Written {
        header: raw.header.as_ref(),
        query: raw.query.as_ref(),
        cookie: raw.cookie.as_ref(),
        scheme: raw.scheme.as_ref(),
    };
    let places = written.compile("authorization", cx.diagnostics);
    let mapping = places.as_ref().and_then(|places| mapping(raw, places, cx.diagnostics));
    let texts = |texts: Option<&OneOrMany<Spanned<String>>>| -> Vec<String> {
        texts.into_iter().flatten().map(|text| text.value.clone()).collect()
    };
    let rules = Rules {
        issuers: texts(raw.issuer.as_ref()),
        audiences: texts(raw.audience.as_ref()),
        leeway: raw.leeway.get().as_secs(),
        required: raw.required.iter().map(|claim| claim.value.clone()).collect(),
        algorithms: algorithms.filter(|all| !all.is_empty()),
        typ: raw.typ.as_ref().map(|typ| typ.value.clone()),
        max_age: raw.max_age.map(|age| age.get().as_secs()),
        require_exp: raw.expires,
    };
    if rules.audiences.is_empty() {
        cx.diagnostics.push(
            Diagnostic::warning(
                Code::OpenRoute,
                raw.span,
                "tokens that were issued for others get in here: there is no `audience`",
            )
            .help("name whom tokens have to be meant for: `audience: api`"),
        );
    }
    if cx.diagnostics.errors() != before {
        return None;
    }
    Some(Ready {
        keys: keys?,
        rules,
        places: places?,
        mapping: mapping?,
        forward: raw.forward,
        scope: cx.fingerprint,
    })
}

fn mapping(raw: &Raw, places: &Places, diagnostics: &mut Diagnostics) -> Option<Mapping> {
    let headers = headers(raw.claims_to_headers.as_ref(), places, diagnostics);
    let [consumer, scope, groups] =
        [&raw.consumer_claim, &raw.scope_claim, &raw.groups_claim].map(|name| claim_name(name, diagnostics));
    Some(Mapping {
        method: super::run::KIND,
        consumer_claims: [consumer?].into(),
        consumer_required: raw.consumer == Needed::Required,
        scope_claim: scope?,
        groups_claim: groups?,
        headers: headers?,
    })
}

fn algorithms(names: Option<&OneOrMany<Spanned<String>>>, cx: &mut Compiling<'_>) -> Option<Algorithms> {
    let names = names?;
    let known = || Algorithm::ALL.iter().map(|algorithm| algorithm.as_str());
    let parsed = names.iter().filter_map(|name| {
        let algorithm = Algorithm::parse(name);
        if algorithm.is_none() {
            let help = if name.eq_ignore_ascii_case("none") {
                "a token that nobody has signed says nothing".to_owned()
            } else {
                format!("possible are {}", known().collect::<Vec<_>>().join(", "))
            };
            cx.diagnostics.push(
                Diagnostic::error(
                    Code::InvalidValue,
                    name.span,
                    format!("there is no algorithm `{}`", name.value),
                )
                .help(help)
                .did_you_mean(&name.value, known()),
            );
        }
        algorithm
    });
    Some(parsed.collect())
}

/// Where the keys come from: what is written, or what the issuer publishes.
fn keys(raw: &Raw, trusted: (Trust, Digest), cx: &mut Compiling<'_>) -> Option<Keys> {
    match (&raw.jwks, &raw.keys) {
        (Some(jwks), Some(_)) => {
            cx.diagnostics.push(
                Diagnostic::error(Code::ConflictingKeys, jwks.span, "keys come from `jwks` or from `keys`")
                    .help("keep one of them; `keys: [{ jwks: FILE }, { pem: FILE }]` joins several"),
            );
            None
        }
        (Some(jwks), None) => match &jwks.value {
            Jwks::Url(text) => {
                let plaintext = plaintext(raw.allow_http);
                let uri = url(text, jwks.span, plaintext, cx.diagnostics)?;
                let source = IssuerSource {
                    issuer: issuer(raw).unwrap_or_default(),
                    jwks: Some(uri),
                    trust: trusted.0,
                    trust_id: trusted.1,
                    plaintext,
                    login: false,
                };
                Some(Keys::Fetched(cx.providers.issuer(&source)))
            }
            Jwks::File(file) => {
                let loaded = from_jwks(file, cx)?;
                set(loaded, raw, cx)
            }
        },
        (None, Some(keys)) => {
            let mut all = Vec::new();
            for key in keys.iter() {
                all.extend(written(key, cx)?);
            }
            set(all, raw, cx)
        }
        (None, None) => discovered(raw, trusted, cx),
    }
}

/// The only issuer, if there is one.
fn issuer(raw: &Raw) -> Option<String> {
    let mut issuers = raw.issuer.iter().flatten();
    let first = issuers.next()?;
    issuers.next().is_none().then(|| first.value.clone())
}

fn discovered(raw: &Raw, trusted: (Trust, Digest), cx: &mut Compiling<'_>) -> Option<Keys> {
    let Some(name) = issuer(raw) else {
        cx.diagnostics.push(
            Diagnostic::error(Code::MissingKey, raw.span, "nothing says which keys tokens are signed with")
                .help("write `jwks: https://…`, `keys: [{ pem: FILE }]`, or one `issuer` that publishes where its keys are"),
        );
        return None;
    };
    let plaintext = plaintext(raw.allow_http);
    let place = raw.issuer.iter().flatten().next().map_or(raw.span, |issuer| issuer.span);
    url(&name, place, plaintext, cx.diagnostics)?;
    let source = IssuerSource {
        issuer: name,
        jwks: None,
        trust: trusted.0,
        trust_id: trusted.1,
        plaintext,
        login: false,
    };
    Some(Keys::Fetched(cx.providers.issuer(&source)))
}

fn from_jwks(file: &document::File, cx: &mut Compiling<'_>) -> Option<Vec<Key>> {
    match KeySet::from_secret_jwks(file.text().as_bytes()) {
        Ok(loaded) => {
            for skipped in &loaded.skipped {
                cx.diagnostics.push(
                    Diagnostic::warning(
                        Code::InvalidKey,
                        file.span,
                        format!("a key of `{}` cannot be used: {skipped}", file.path.display()),
                    )
                    .help("tokens that are signed with it are refused"),
                );
            }
            Some(loaded.keys.into_keys())
        }
        Err(error) => {
            cx.diagnostics.push(
                Diagnostic::error(
                    Code::InvalidKey,
                    file.span,
                    format!("`{}` cannot be used: {error}", file.path.display()),
                )
                .help("a set of keys is JSON: { \"keys\": [ … ] } (RFC 7517)"),
            );
            None
        }
    }
}

/// The keys of one entry.
fn written(raw: &KeyOf, cx: &mut Compiling<'_>) -> Option<Vec<Key>> {
    let wanted = algorithms(raw.algorithms.as_ref(), cx).filter(|all| !all.is_empty());
    let named = |key: Key| match &raw.id {
        Some(id) => key.with_id(&id.value),
        None => key,
    };
    let (made, place, what) = if let Some(file) = &raw.pem {
        (Key::from_pem(file.text().as_bytes()), file.span, format!("`{}`", file.path.display()))
    } else if let Some(secret) = &raw.secret {
        let for_these = wanted.unwrap_or_else(|| [Algorithm::Hs256].into_iter().collect());
        (Key::from_secret(secret.expose().as_bytes(), for_these), secret.span, "the secret".to_owned())
    } else if let Some(file) = &raw.jwks {
        let keys = from_jwks(file, cx)?;
        let Some(wanted) = wanted else { return Some(keys) };
        // Those that can do none of them are for other uses.
        let narrowed: Vec<Key> = keys.into_iter().filter_map(|key| key.narrowed(wanted).ok()).collect();
        if narrowed.is_empty() {
            let message = format!("no key of `{}` can do what `algorithms` wants", file.path.display());
            cx.diagnostics.push(
                Diagnostic::error(Code::InvalidKey, file.span, message)
                    .help("every token would be refused: remove `algorithms`, or take another set"),
            );
            return None;
        }
        return Some(narrowed);
    } else {
        return None;
    };
    let narrowed = made.and_then(|key| match wanted {
        Some(wanted) if raw.secret.is_none() => key.narrowed(wanted),
        _ => Ok(key),
    });
    match narrowed {
        Ok(key) => Some(vec![named(key)]),
        Err(error) => {
            cx.diagnostics.push(
                Diagnostic::error(Code::InvalidKey, place, format!("{what} cannot be used as a key: {error}"))
                    .help("public keys are PEM (`BEGIN PUBLIC KEY`, or a certificate); a secret is as long as its hash at least: `openssl rand -hex 32`"),
            );
            None
        }
    }
}

/// With none of the algorithms that are allowed, the keys verify nothing. What is misspelt was told before.
fn warn_of_useless_algorithms(raw: &Raw, keys: &KeySet, cx: &mut Compiling<'_>) {
    let mut names = raw.algorithms.iter().flatten().peekable();
    let Some(first) = names.peek().map(|name| name.span) else { return };
    let has = |algorithm: Algorithm| {
        keys.keys().iter().any(|key| key.algorithms().iter().any(|own| own == algorithm))
    };
    if names.all(|name| Algorithm::parse(name).is_some_and(|algorithm| !has(algorithm))) {
        let possible = Algorithm::ALL.into_iter().filter(|algorithm| has(*algorithm));
        let possible: Vec<&str> = possible.map(Algorithm::as_str).collect();
        cx.diagnostics.push(
            Diagnostic::warning(
                Code::NoCredentials,
                first,
                "none of the keys can be used with these algorithms, so no token gets anybody in",
            )
            .help(format!("the keys are for {}", possible.join(", "))),
        );
    }
}

fn set(keys: Vec<Key>, raw: &Raw, cx: &mut Compiling<'_>) -> Option<Keys> {
    match KeySet::from_keys(keys) {
        Ok(keys) => {
            warn_of_useless_algorithms(raw, &keys, cx);
            Some(Keys::Written(keys))
        }
        Err(error) => {
            cx.diagnostics.push(
                Diagnostic::error(Code::InvalidKey, raw.span, format!("these keys cannot be used: {error}"))
                    .help("give at least one key, and at most a hundred"),
            );
            None
        }
    }
}

//! Prepares the policy.

use ::oidc::{Client, Keys, Settings, SettingsMistake};
use diagnostics::{Code, Diagnostic, Diagnostics, Span, Spanned, Words};
use jose::{Algorithm, Family, Rules};

use super::config::{AuthMethod, Raw, SameSite};
use super::logins::Logins;
use super::run::{KIND, Ready, Signed};
use super::session::Cookies;
use crate::claims::{Mapping, Needed, claim_name};
use crate::issuer_source::{plaintext, trust, url};
use crate::places::Places;
use crate::told::headers;
use crate::{Compiling, Digest, IssuerSource, digest_of};

/// How far the clocks of the provider and the gateway may be apart, in seconds.
const LEEWAY: u64 = 60;
/// The fewest characters of a secret that cookies are encrypted with.
const SHORTEST: usize = 32;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let allowed = plaintext(raw.allow_http);
    let address = url(&raw.issuer, raw.issuer.span, allowed, cx.diagnostics);
    let trusted = trust(raw.ca.as_ref(), cx.diagnostics);
    let mapping = mapping(raw, cx.diagnostics);
    let Some(logins) = cx.providers.logins(&raw.issuer, &raw.client_id) else {
        cx.diagnostics.push(
            Diagnostic::error(
                Code::InvalidValue,
                raw.span,
                "the system gives no random numbers to make keys of",
            )
            .help("look at what is wrong with the system: nothing can be encrypted"),
        );
        return None;
    };
    let keys = keys(raw, &logins, cx.diagnostics);
    let mapping = mapping?;
    let client = match Client::new(settings(raw, &mapping), keys?) {
        Ok(client) => client,
        Err(mistake) => {
            report(raw, mistake, cx.diagnostics);
            return None;
        }
    };
    let (_, (trust, trust_id)) = (address?, trusted?);
    let source = IssuerSource {
        issuer: raw.issuer.value.clone(),
        jwks: None,
        trust: trust.clone(),
        trust_id,
        plaintext: allowed,
        login: true,
    };
    let signed = rules(raw, vec![raw.client_id.value.clone()]);
    let audiences = raw.audience.iter().flatten().map(|audience| audience.value.clone()).collect::<Vec<_>>();
    let audiences = if audiences.is_empty() { signed.audiences.clone() } else { audiences };
    Some(Ready {
        client: Box::new(client),
        issuer: cx.providers.issuer(&source),
        logins,
        trust,
        mapping,
        rules: Box::new(Signed {
            // Some providers leave out when it ends; how old it may be is looked at in any case.
            logout: Rules { require_exp: false, ..signed.clone() },
            bearer: raw.bearer.then(|| rules(raw, audiences)),
            id: signed,
        }),
        cookies: Cookies::new(&raw.cookie),
        forward_access_token: raw.forward_access_token,
        scope: cx.fingerprint,
    })
}

/// What every token of the provider has to be. It is signed with a key that only the provider has: a secret that
/// both have proves nothing.
fn rules(raw: &Raw, audiences: Vec<String>) -> Rules {
    let of_pairs = Algorithm::ALL.into_iter().filter(|algorithm| algorithm.family() != Family::Oct);
    Rules {
        issuers: vec![raw.issuer.value.clone()],
        audiences,
        leeway: LEEWAY,
        algorithms: Some(of_pairs.collect()),
        ..Rules::default()
    }
}

fn mapping(raw: &Raw, diagnostics: &mut Diagnostics) -> Option<Mapping> {
    let places = Places {
        headers: [b"authorization".as_slice().into()].into(),
        query: Box::default(),
        cookies: Box::default(),
        scheme: b"Bearer".as_slice().into(),
    };
    let consumer = claim_name(&raw.consumer_claim, diagnostics);
    let scopes = claim_name(&raw.scope_claim, diagnostics);
    let groups = claim_name(&raw.groups_claim, diagnostics);
    let headers = headers(raw.claims_to_headers.as_ref(), &places, diagnostics);
    Some(Mapping {
        method: KIND,
        consumer_claims: [consumer?].into(),
        consumer_required: raw.consumer == Needed::Required,
        scope_claim: scopes?,
        groups_claim: groups?,
        headers: headers?,
    })
}

fn settings(raw: &Raw, mapping: &Mapping) -> Settings {
    let secret = |secret: &document::Secret| ::oidc::Secret::new(secret.expose().to_owned());
    let texts = |texts: &[Spanned<String>]| texts.iter().map(|text| text.value.clone()).collect::<Vec<_>>();
    Settings {
        client_secret: raw.client_secret.as_ref().map(|written| secret(&written.value)),
        auth_method: raw.auth_method.map(|method| match method {
            AuthMethod::Basic => ::oidc::AuthMethod::Basic,
            AuthMethod::Post => ::oidc::AuthMethod::Post,
            AuthMethod::None => ::oidc::AuthMethod::None,
        }),
        scopes: texts(&raw.scopes),
        callback_path: raw.callback_path.value.clone(),
        logout_path: raw.logout_path.value.clone(),
        backchannel_path: raw.backchannel_logout_path.value.clone(),
        after_logout: raw.after_logout.value.clone(),
        parameters: raw.parameters.iter().map(|(name, value)| (name.value.clone(), value.clone())).collect(),
        claims: kept(&texts(&raw.claims), mapping),
        cookie: raw.cookie.value.clone(),
        same_site: match raw.same_site {
            SameSite::Lax => ::oidc::SameSite::Lax,
            SameSite::None => ::oidc::SameSite::None,
        },
        idle_lifetime: raw.idle.get().as_secs(),
        absolute_lifetime: raw.lifetime.get().as_secs(),
        ..Settings::new(&raw.issuer, &raw.client_id)
    }
}

/// The claims that a session keeps: first those that something here needs, by their keys.
fn kept(written: &[String], mapping: &Mapping) -> Vec<String> {
    let told = mapping.headers.iter().map(|(_, path)| path);
    let needed =
        mapping.consumer_claims.iter().chain([&mapping.groups_claim, &mapping.scope_claim]).chain(told);
    let mut all: Vec<String> = Vec::new();
    let mut keep = |name: &str| {
        // These three are kept in any case.
        if !["iss", "sub", "sid"].contains(&name) && !all.iter().any(|known| known == name) {
            all.push(name.to_owned());
        }
    };
    for path in needed {
        // A path leads through objects, and keys may have dots themselves.
        let dots = path.match_indices('.').filter_map(|(dot, _)| path.get(..dot));
        dots.chain([&**path]).for_each(&mut keep);
    }
    written.iter().for_each(|name| keep(name));
    all
}

fn keys(raw: &Raw, logins: &Logins, diagnostics: &mut Diagnostics) -> Option<Keys> {
    let Some(secrets) = &raw.secret else {
        diagnostics.push(
            Diagnostic::warning(
                Code::MissingKey,
                raw.span,
                "sessions end when the gateway is started again, and hold on this one only: there is no `secret`",
            )
            .help("write `secret: \"${env:SESSION_SECRET}\"`, the same on each gateway; `openssl rand -hex 32` makes one"),
        );
        return Keys::new(&[logins.master()]);
    };
    let before = diagnostics.errors();
    for secret in secrets.iter().filter(|secret| secret.expose().chars().count() < SHORTEST) {
        diagnostics.push(
            Diagnostic::error(
                Code::WeakSecret,
                secret.span,
                "who finds this by trying can log in as anybody",
            )
            .help(Words::fixed(format!("use at least {SHORTEST} random characters: `openssl rand -hex 32`"))),
        );
    }
    let masters: Vec<Digest> = secrets.iter().map(|secret| digest_of(secret.expose().as_bytes())).collect();
    let keys = Keys::new(&masters.iter().collect::<Vec<_>>());
    if keys.is_none() {
        let place = secrets.iter().next().map_or(raw.span, |secret| secret.span);
        diagnostics.push(
            Diagnostic::error(
                Code::InvalidValue,
                place,
                format!("there are more than {} secrets", Keys::MOST),
            )
            .help("remove those that are older than any session"),
        );
    }
    keys.filter(|_| diagnostics.errors() == before)
}

/// Says what a setting has to be, where it is written.
fn report(raw: &Raw, mistake: SettingsMistake, diagnostics: &mut Diagnostics) {
    let first = |texts: &[Spanned<String>]| texts.first().map_or(raw.span, |text| text.span);
    let (key, place): (_, Span) = match mistake.setting {
        "issuer" => ("issuer", raw.issuer.span),
        "client_id" => ("client_id", raw.client_id.span),
        "client_secret" => {
            ("client_secret", raw.client_secret.as_ref().map_or(raw.span, |secret| secret.span))
        }
        "scopes" => ("scopes", first(&raw.scopes)),
        "claims" => ("claims", first(&raw.claims)),
        "callback_path" => ("callback_path", raw.callback_path.span),
        "logout_path" => ("logout_path", raw.logout_path.span),
        "backchannel_path" => ("backchannel_logout_path", raw.backchannel_logout_path.span),
        "after_logout" => ("after_logout", raw.after_logout.span),
        "parameters" => ("parameters", raw.parameters.iter().next().map_or(raw.span, |(name, _)| name.span)),
        "cookie" => ("cookie", raw.cookie.span),
        "idle_lifetime" => ("idle", raw.span),
        "absolute_lifetime" => ("lifetime", raw.span),
        other => (other, raw.span),
    };
    let must = mistake.must.replace("absolute_lifetime", "lifetime");
    let code = match mistake.setting {
        "client_secret" if raw.client_secret.is_none() => Code::MissingKey,
        _ => Code::InvalidValue,
    };
    diagnostics.push(
        Diagnostic::error(code, place, format!("`{key}` cannot be used: it must {must}"))
            .help(format!("correct `{key}`")),
    );
}

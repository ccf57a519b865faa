//! `consumers`

use std::collections::HashMap;
use std::time::SystemTime;

use config::{ApiKey, Config, Consumer};
use diagnostics::{Code, Diagnostic, Diagnostics, Span, Spanned, Words};
use policy::{Consumers, NewConsumer, NewKey, SignerKey, digest_of};

/// What is shorter can be found by trying, in bytes.
const SHORT: usize = 16;

/// Compiles every consumer; goes on after mistakes.
pub(crate) fn compile(config: &Config, now: SystemTime, diagnostics: &mut Diagnostics) -> Consumers {
    let mut taken = Taken { seen: HashMap::new(), diagnostics };
    let list: Vec<NewConsumer> = config.consumers.iter().map(|raw| consumer(raw, now, &mut taken)).collect();
    let table = Consumers::new(&list);
    // They are kept in the state folder.
    if config.state_dir.is_some() { table.with_stored_keys() } else { table }
}

/// Who has a credential, so that nobody else has it.
struct Taken<'a> {
    seen: HashMap<(&'static str, Vec<u8>), Span>,
    diagnostics: &'a mut Diagnostics,
}

impl Taken<'_> {
    /// Reports what somebody has already. The credential itself is never shown.
    fn take(&mut self, what: &'static str, credential: &[u8], place: Span) {
        if let Some(earlier) = self.seen.insert((what, credential.to_vec()), place) {
            let (code, message) = match what {
                "name" => (Code::DuplicateName, "another consumer has this name".to_owned()),
                what => (Code::DuplicateCredential, format!("this {what} is given twice")),
            };
            self.diagnostics.push(
                Diagnostic::error(code, place, message)
                    .related(earlier, "here")
                    .help("it has to say who is calling: give each consumer its own"),
            );
        }
    }

    /// Reports what somebody would have by having nothing.
    fn refuse_empty(&mut self, place: Span, what: &str) {
        self.diagnostics.push(
            Diagnostic::error(Code::InvalidValue, place, format!("{what} is empty"))
                .help("whoever has none would be this consumer: set the variable, or fill the file"),
        );
    }

    fn refuse_if_empty(&mut self, text: &Spanned<String>, what: &str) {
        if text.is_empty() {
            self.refuse_empty(text.span, what);
        }
    }

    fn warn_if_weak(&mut self, secret: &str, place: Span) {
        if secret.len() < SHORT {
            self.diagnostics.push(
                Diagnostic::warning(
                    Code::WeakSecret,
                    place,
                    "this is so short that it can be found by trying",
                )
                .help(Words::fixed(format!(
                    "use at least {SHORT} characters, and better `openssl rand -hex 32`"
                ))),
            );
        }
    }
}

fn consumer(raw: &Consumer, now: SystemTime, taken: &mut Taken<'_>) -> NewConsumer {
    taken.take("name", raw.name.as_bytes(), raw.name.span);
    let mut new = NewConsumer {
        name: raw.name.as_str().into(),
        groups: raw.groups.iter().map(|group| group.as_str().into()).collect(),
        ..NewConsumer::default()
    };
    new.api_keys.extend(raw.api_keys.iter().filter_map(|raw| key(raw, now, taken)));
    for user in raw.basic.iter().flatten() {
        taken.take("user name", user.username.as_bytes(), user.username.span);
        if user.username.is_empty() || user.username.contains(':') {
            taken.diagnostics.push(
                Diagnostic::error(Code::InvalidValue, user.username.span, "this is no user name")
                    .help("it must not be empty, and must not hold a colon (RFC 7617)"),
            );
        }
        if let Err(why) = policy::check_password_hash(user.password.expose()) {
            taken.diagnostics.push(
                Diagnostic::error(
                    Code::InvalidValue,
                    user.password.span,
                    Words::fixed(format!("this is no hash of a password: {why}")),
                )
                .help("`gateward hash-password` makes one; it begins with `$argon2id$`"),
            );
        }
        new.users.push((user.username.as_str().into(), user.password.expose().into()));
    }
    for token in raw.jwt.iter().flatten() {
        let issuer = token.issuer.as_ref().map_or("", |issuer| issuer.as_str());
        let key = [issuer.as_bytes(), token.subject.as_bytes()].join(&0);
        if let Some(issuer) = &token.issuer {
            taken.refuse_if_empty(issuer, "this issuer");
        }
        taken.refuse_if_empty(&token.subject, "this subject");
        taken.take("subject of tokens", &key, token.subject.span);
        new.tokens.push((issuer.into(), token.subject.as_str().into()));
    }
    for signer in raw.hmac.iter().flatten() {
        taken.refuse_if_empty(&signer.id, "this id");
        taken.take("id of a signer", signer.id.as_bytes(), signer.id.span);
        let key = match (&signer.secret, &signer.public_key) {
            (Some(secret), _) => {
                if secret.expose().is_empty() {
                    taken.refuse_empty(secret.span, "this secret");
                } else {
                    taken.warn_if_weak(secret.expose(), secret.span);
                }
                SignerKey::Secret(secret.expose().as_bytes().into())
            }
            (None, Some(file)) => SignerKey::Public(file.text().into()),
            (None, None) => continue,
        };
        new.signers.push((signer.id.as_str().into(), key));
    }
    for certificate in raw.mtls.iter().flatten() {
        let Some(name) = certificate.subject.as_ref().or(certificate.san.as_ref()) else { continue };
        taken.refuse_if_empty(name, "this subject of a certificate");
        check_certificate_name(certificate.san.as_ref(), taken.diagnostics);
        let spelled = match &certificate.subject {
            Some(subject) => {
                check_subject(subject, taken.diagnostics);
                tls::subject_as_shown(subject)
            }
            None => tls::name_as_shown(name),
        };
        taken.take("name of certificates", spelled.as_bytes(), name.span);
        new.certificates.push(spelled.into());
    }
    new
}

fn key(raw: &ApiKey, now: SystemTime, taken: &mut Taken<'_>) -> Option<NewKey> {
    let (digest, place) = match (&raw.key, &raw.sha256) {
        (Some(key), _) => {
            if key.expose().is_empty() {
                taken.refuse_empty(key.span, "this API key");
                return None;
            }
            taken.warn_if_weak(key.expose(), key.span);
            (digest_of(key.expose().as_bytes()), key.span)
        }
        (None, Some(hash)) => (from_hex(hash, taken.diagnostics)?, hash.span),
        (None, None) => return None,
    };
    taken.take("API key", &digest, place);
    let expires = match &raw.expires {
        None => None,
        Some(text) => {
            let expires = moment(text, taken.diagnostics)?;
            let today = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
            if expires <= today {
                taken.diagnostics.push(
                    Diagnostic::warning(Code::UnusedSetting, text.span, "this API key has expired")
                        .help("remove it, or give it a later end"),
                );
            }
            Some(expires)
        }
    };
    Some(NewKey { digest, expires, name: raw.name.as_deref().map(Into::into) })
}

fn from_hex(text: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<policy::Digest> {
    let mut out = [0; 32];
    let is_hex = text.len() == 64
        && out.iter_mut().zip(text.as_bytes().chunks_exact(2)).all(|(byte, pair)| {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'));
            pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).is_some_and(|value| {
                *byte = value;
                true
            })
        });
    if !is_hex {
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, text.span, "this is no SHA-256")
                .help("write its 64 hexadecimal digits: `printf %s \"$KEY\" | sha256sum`"),
        );
        return None;
    }
    Some(out)
}

/// A day, or a point in time, in seconds since 1970.
fn moment(text: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<u64> {
    let whole = if text.len() == 10 { format!("{}T00:00:00Z", text.value) } else { text.value.clone() };
    match humantime::parse_rfc3339(&whole) {
        Ok(time) => Some(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()),
        Err(_) => {
            diagnostics.push(
                Diagnostic::error(
                    Code::InvalidValue,
                    text.span,
                    format!("`{}` is no point in time", text.value),
                )
                .help("write `2027-01-31`, or `2027-01-31T12:00:00Z`"),
            );
            None
        }
    }
}

/// A subject has the form of RFC 4514, not the older one of openssl.
fn check_subject(subject: &Spanned<String>, diagnostics: &mut Diagnostics) {
    // One that is empty is refused by itself.
    if subject.starts_with('/') || !(subject.is_empty() || subject.contains('=')) {
        diagnostics.push(
            Diagnostic::error(
                Code::InvalidValue,
                subject.span,
                format!("no certificate has the subject `{}`", subject.value),
            )
            .help(
                "write it as `openssl x509 -noout -subject -nameopt RFC2253` prints it: `CN=acme,O=Acme Inc`",
            ),
        );
    }
}

/// Alternative names have their kind in front, as they are compared with it.
fn check_certificate_name(san: Option<&Spanned<String>>, diagnostics: &mut Diagnostics) {
    let Some(san) = san else { return };
    let kinds = ["DNS:", "URI:", "IP:", "email:"];
    if !kinds.iter().any(|kind| san.len() > kind.len() && san.starts_with(kind)) {
        diagnostics.push(
            Diagnostic::error(
                Code::InvalidValue,
                san.span,
                format!("`{}` does not say of which kind it is", san.value),
            )
            .help(
                "write `DNS:acme.example.com`, `URI:spiffe://…`, `IP:192.0.2.1` or `email:ops@example.com`",
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_points_in_time_are_read() {
        let read = |text: &str| {
            let mut diagnostics = Diagnostics::new();
            moment(&Spanned::new(text.to_owned(), Span::default()), &mut diagnostics)
        };
        assert_eq!(read("1970-01-02"), Some(86_400));
        assert_eq!(read("1970-01-01T00:01:00Z"), Some(60));
        assert_eq!((read("tomorrow"), read("2027-13-01"), read("2027-1-1")), (None, None, None));
    }
}

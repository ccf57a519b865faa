//! Prepares the policy.

use std::collections::HashMap;

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use signatures::{Algorithm, Algorithms, Requirement, Rules};

use super::config::{Form, Raw, Replay};
use super::keys::{Signer, Unusable};
use super::run::Ready;
use crate::Compiling;
use crate::places::check_header;

/// The longest that a signature may be good, in seconds: what is good for longer is a password.
const LONGEST_SKEW: u64 = 86_400;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let before = cx.diagnostics.errors();
    let rules = rules(raw, cx.diagnostics);
    let signers = signers(raw, &rules, cx);
    if cx.diagnostics.errors() > before {
        return None;
    }
    if signers.is_empty() {
        cx.diagnostics.push(
            Diagnostic::warning(
                Code::NoCredentials,
                raw.span,
                "no consumer has a key that signatures could be checked with here, so nobody gets in by one",
            )
            .help("add some: consumers: [{ name: partner, hmac: { id: partner, secret: \"${env:PARTNER_SECRET}\" } }]; a key must be for one of `algorithms`, and public keys are for the form `message`"),
        );
    }
    let capacity = usize::try_from(raw.replay_capacity).unwrap_or(usize::MAX);
    let replays = (raw.replay == Replay::Refuse).then(|| cx.providers.replays(capacity, rules.horizon()));
    let challenge = match (rules.header_form, rules.message_form) {
        (true, true) => "hmac realm=\"gateward\", Signature realm=\"gateward\"",
        (true, false) => "hmac realm=\"gateward\"",
        (false, _) => "Signature realm=\"gateward\"",
    };
    let advice = advice(raw, &rules).into();
    Some(Ready { rules, signers, replays, challenge, advice, forward: raw.forward })
}

fn rules(raw: &Raw, diagnostics: &mut Diagnostics) -> Rules {
    let has = |form| raw.forms.iter().any(|own| *own == form);
    let algorithms = raw.algorithms.iter().filter_map(|name| Algorithm::of(name.as_str()));
    let mut rules = Rules {
        message_form: has(Form::Message),
        header_form: has(Form::Header),
        max_skew: raw.max_skew.value.get(),
        algorithms: algorithms.fold(Algorithms::NONE, Algorithms::with),
        label: raw.label.as_ref().map(|label| label.value.clone()),
        tag: raw.tag.as_ref().map(|tag| tag.value.clone()),
        require_nonce: raw.require_nonce,
        require_digest: raw.require_digest,
        ..Rules::default()
    };
    if rules.max_skew.subsec_nanos() != 0 || !(1..=LONGEST_SKEW).contains(&rules.max_skew.as_secs()) {
        diagnostics.push(
            Diagnostic::error(
                Code::InvalidDuration,
                raw.max_skew.span,
                "a signature cannot be good for so long, or so short",
            )
            .help("write whole seconds, from `1s` to `1d`"),
        );
    }
    if rules.require_nonce && rules.header_form {
        diagnostics.push(
            Diagnostic::error(
                Code::ConflictingKeys,
                raw.span,
                "`require_nonce` refuses all signatures of the form `header`, which has no nonce",
            )
            .help("write `forms: message`, or remove `require_nonce`"),
        );
    }
    if let Some(names) = &raw.required {
        rules.required = required(names, rules.header_form, diagnostics);
        rules.required_in_header = rules.required.clone();
    }
    check_label_and_tag(raw, rules.message_form, diagnostics);
    rules
}

/// What signatures must cover, as the user has written it.
fn required(names: &[Spanned<String>], in_header: bool, diagnostics: &mut Diagnostics) -> Vec<Requirement> {
    let mut required = Vec::new();
    for name in names {
        let Some(requirement) = Requirement::of(name) else {
            diagnostics.push(
                Diagnostic::error(
                    Code::InvalidValue,
                    name.span,
                    format!("`{}` is nothing that a signature could be asked to cover", name.value),
                )
                .help("possible are \"@method\", \"@authority\", \"@path\", \"@query\", \"@request-target\", \"@target-uri\", \"@scheme\", request-line, and names of headers"),
            );
            continue;
        };
        if in_header && matches!(name.as_str(), "@scheme" | "@target-uri") {
            diagnostics.push(
                Diagnostic::error(
                    Code::ConflictingKeys,
                    name.span,
                    format!("no signature of the form `header` can cover `{}`", name.value),
                )
                .help("write `forms: message`, or ask for \"@authority\", \"@path\" and \"@query\""),
            );
        }
        if !name.starts_with('@') && name.as_str() != "request-line" {
            check_header(name, diagnostics);
        }
        required.push(requirement);
    }
    let asks = |names_of_it: &[&str]| names.iter().any(|name| names_of_it.contains(&name.as_str()));
    let whole = asks(&["@method", "request-line"])
        && asks(&["@path", "@request-target", "@target-uri", "request-line"])
        && asks(&["@query", "@request-target", "@target-uri", "request-line"]);
    if let (false, Some(first)) = (whole, names.first()) {
        diagnostics.push(
            Diagnostic::error(
                Code::InvalidValue,
                first.span,
                "this does not ask for method, path and query: a signature could be used for other requests",
            )
            .help("the list takes the place of what is asked for otherwise: add request-line, which means all three; or write `required: []` if clients sign less"),
        );
    }
    required
}

fn check_label_and_tag(raw: &Raw, in_message: bool, diagnostics: &mut Diagnostics) {
    for (key, value) in [("label", &raw.label), ("tag", &raw.tag)] {
        let Some(value) = value else { continue };
        if !in_message {
            diagnostics.push(
                Diagnostic::warning(
                    Code::UnusedSetting,
                    value.span,
                    format!("`{key}` is for the form `message`, which is not looked at"),
                )
                .help("add `message` to `forms`, or remove the key"),
            );
        }
        let fits = match key {
            "label" => is_label(value),
            _ => value.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        };
        if !fits {
            diagnostics.push(
                Diagnostic::error(Code::InvalidValue, value.span, format!("no signature can have this {key}"))
                    .help("a label has lower-case letters, digits and `_-.*`, and begins with a letter; a tag has visible characters of ASCII"),
            );
        }
    }
}

/// A key of a dictionary (RFC 9651 §3.1.2).
fn is_label(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase() || first == '*')
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.' | b'*')
        })
}

/// Who signs, with keys that were read. What is for other algorithms or forms is left out: it may be for other routes.
fn signers(raw: &Raw, rules: &Rules, cx: &mut Compiling<'_>) -> HashMap<Box<str>, Signer> {
    let mut signers = HashMap::new();
    let mut broken = Vec::new();
    for (id, (consumer, key)) in cx.consumers.signers() {
        match Signer::of(*consumer, key, rules) {
            Ok(signer) => _ = signers.insert(id.into(), signer),
            Err(Unusable::Broken(why)) => broken.push((id, why)),
            Err(Unusable::NotAllowed) => {}
        }
    }
    // The table has no order of its own.
    broken.sort_unstable();
    for (id, why) in broken {
        let message = format!("the key of the signer `{id}` cannot be used");
        cx.diagnostics.push(Diagnostic::error(Code::InvalidValue, raw.span, message).help(why));
    }
    signers
}

/// What clients are told whose signature is refused: what is asked for, and not what was wrong, so that nobody learns
/// which keys there are.
fn advice(raw: &Raw, rules: &Rules) -> String {
    let mut asked = vec![format!("be of the last {}", raw.max_skew.value)];
    match &raw.required {
        None => asked.push("cover method, path and query".to_owned()),
        Some(names) if names.is_empty() => {}
        Some(names) => {
            let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
            asked.push(format!("cover {}", names.join(", ")));
        }
    }
    if raw.required.is_none() && rules.message_form {
        asked.push("in Signature-Input the authority as well".to_owned());
    }
    if raw.require_digest {
        asked.push("cover a digest of the body if there is one".to_owned());
    }
    if raw.require_nonce {
        asked.push("have a nonce".to_owned());
    }
    if raw.replay == Replay::Refuse {
        asked.push("be used once".to_owned());
    }
    format!("The signature is not accepted. It has to {}.", asked.join("; "))
}

//! Checks and prepares the policy.

use diagnostics::{Diagnostics, Spanned};

use super::config::{Frame, Hsts, HstsSetting, Raw, ReferrerPolicy};
use super::run::{Line, Ready};
use crate::Compiling;
use crate::field::header_value;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let diagnostics = &mut *cx.diagnostics;
    let mut lines = Vec::new();
    let mut say = |name: &'static str, value: &[u8]| lines.push(Line { name, value: value.into() });
    if raw.nosniff {
        say("x-content-type-options", b"nosniff");
    }
    match raw.frame {
        Frame::Deny => say("x-frame-options", b"DENY"),
        Frame::SameOrigin => say("x-frame-options", b"SAMEORIGIN"),
        Frame::Off => {}
    }
    if let Some(referrer) = referrer(raw.referrer) {
        say("referrer-policy", referrer.as_bytes());
    }
    let mut complete = true;
    let texts = [("content-security-policy", &raw.csp), ("permissions-policy", &raw.permissions)];
    for (name, text) in texts {
        let Some(text) = text else { continue };
        match checked(text, diagnostics) {
            Some(value) => say(name, &value),
            None => complete = false,
        }
    }
    let hsts = match &raw.hsts {
        HstsSetting::Off => None,
        HstsSetting::On(hsts) => Some(transport_security(hsts).into_bytes().into()),
    };
    complete.then(|| Ready { hsts, lines: lines.into(), overrides: raw.override_service })
}

/// A value in one line: a policy of many parts is most often written in several.
fn checked(text: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<Box<[u8]>> {
    let joined: Vec<&str> = text.value.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    header_value(&Spanned { value: joined.join(" "), span: text.span }, diagnostics)
}

/// RFC 6797 section 6.1.
fn transport_security(hsts: &Hsts) -> String {
    let mut text = format!("max-age={}", hsts.max_age.get().as_secs());
    if hsts.include_subdomains {
        text.push_str("; includeSubDomains");
    }
    if hsts.preload.value {
        text.push_str("; preload");
    }
    text
}

fn referrer(referrer: ReferrerPolicy) -> Option<&'static str> {
    Some(match referrer {
        ReferrerPolicy::Nothing => "no-referrer",
        ReferrerPolicy::NoReferrerWhenDowngrade => "no-referrer-when-downgrade",
        ReferrerPolicy::Origin => "origin",
        ReferrerPolicy::OriginWhenCrossOrigin => "origin-when-cross-origin",
        ReferrerPolicy::SameOrigin => "same-origin",
        ReferrerPolicy::StrictOrigin => "strict-origin",
        ReferrerPolicy::StrictOriginWhenCrossOrigin => "strict-origin-when-cross-origin",
        ReferrerPolicy::UnsafeUrl => "unsafe-url",
        ReferrerPolicy::Off => return None,
    })
}

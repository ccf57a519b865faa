//! Checks and prepares the policy.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use message::Headers;

use super::config::{Names, Raw};
use super::origin::{Origins, WrittenOrigin};
use super::run::{Permitted, Ready};
use crate::Compiling;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let diagnostics = &mut *cx.diagnostics;
    let methods = listed(&raw.methods, method, diagnostics);
    let headers = names(&raw.headers, diagnostics);
    let expose = names(&raw.expose, diagnostics);
    let max_age = raw.max_age.value.get();
    let (methods, headers, expose) = (methods?, headers?, expose?);
    if raw.origins.is_empty() || diagnostics.has_error_in(raw.span) {
        return None;
    }
    let is_any = raw.origins.iter().any(|origin| origin.value == WrittenOrigin::Any);
    Some(Ready {
        origins: (!is_any).then(|| Origins::new(&raw.origins)),
        methods,
        headers,
        expose: match expose {
            Permitted::All => Some("*".into()),
            Permitted::Listed(text) => text,
        },
        credentials: raw.credentials.value,
        max_age: max_age.as_secs(),
        private_network: raw.private_network,
    })
}

/// A list for a header field, in one text; `None` where it is empty. All mistakes are reported.
fn listed(
    all: &[Spanned<String>],
    check: impl Fn(&Spanned<String>, &mut Diagnostics) -> bool,
    diagnostics: &mut Diagnostics,
) -> Option<Option<Box<str>>> {
    let wrong = all.iter().filter(|one| !check(one, diagnostics)).count();
    let texts: Vec<&str> = all.iter().map(|one| one.value.as_str()).collect();
    (wrong == 0).then(|| (!texts.is_empty()).then(|| texts.join(", ").into()))
}

fn names(names: &Names, diagnostics: &mut Diagnostics) -> Option<Permitted> {
    match names {
        Names::All(_) => Some(Permitted::All),
        Names::Listed(all) => listed(all, name, diagnostics).map(Permitted::Listed),
    }
}

/// Whether it is a method that a page can be allowed to use (Fetch §2.2.1).
fn method(method: &Spanned<String>, diagnostics: &mut Diagnostics) -> bool {
    let (text, upper) = (method.value.as_str(), method.value.to_ascii_uppercase());
    let help = if text == "*" {
        "list the methods: `*` would not mean all of them where credentials are sent along".to_owned()
    } else if !Headers::is_valid_name(text.as_bytes()) {
        "a method is a word such as `GET`".to_owned()
    } else if matches!(upper.as_str(), "CONNECT" | "TRACE" | "TRACK") {
        "remove it: no browser lets a page use it".to_owned()
    } else if text != upper
        && matches!(upper.as_str(), "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS")
    {
        format!("methods are written in upper case: `{upper}`")
    } else {
        return true;
    };
    let message = format!("`{text}` is not a method that pages can use");
    diagnostics.push(Diagnostic::error(Code::InvalidMethod, method.span, message).help(help));
    false
}

fn name(name: &Spanned<String>, diagnostics: &mut Diagnostics) -> bool {
    let text = name.value.as_str();
    if text != "*" && Headers::is_valid_name(text.as_bytes()) {
        return true;
    }
    let help = match text {
        "*" => "write `\"*\"` without a list to mean all",
        _ => "a name consists of letters, digits and -",
    };
    let message = format!("`{text}` is not a header name");
    diagnostics.push(Diagnostic::error(Code::InvalidHeader, name.span, message).help(help));
    false
}

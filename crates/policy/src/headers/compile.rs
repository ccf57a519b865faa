//! Checks and prepares the policy.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::Map;
use message::Name;

use super::config::{Direction, Raw};
use super::run::{Edits, Pair, Ready};
use crate::Compiling;
use crate::field::{header_name, header_value};

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let diagnostics = &mut *cx.diagnostics;
    let request = edits(raw.request.as_ref(), true, diagnostics);
    let response = edits(raw.response.as_ref(), false, diagnostics);
    Some(Ready { request: request?, response: response? })
}

fn edits(raw: Option<&Direction>, request: bool, diagnostics: &mut Diagnostics) -> Option<Edits> {
    let Some(raw) = raw else { return Some(Edits::default()) };
    let set = pairs(raw.set.as_ref(), request, diagnostics);
    let add = pairs(raw.add.as_ref(), false, diagnostics);
    let names: Vec<Option<Box<[u8]>>> =
        raw.remove.iter().flatten().map(|name| header_name(name, diagnostics)).collect();
    let remove: Option<Vec<_>> = names.into_iter().collect();
    Some(Edits { remove: remove?.into(), set: set?, add: add? })
}

/// Names and values, checked; all of them, even after the first mistake.
fn pairs(
    raw: Option<&Map<Spanned<String>>>,
    host: bool,
    diagnostics: &mut Diagnostics,
) -> Option<Box<[Pair]>> {
    let checked: Vec<Option<Pair>> = raw
        .into_iter()
        .flat_map(Map::iter)
        .map(|(name, value)| {
            if host && Name::of(name.as_bytes()) == Name::Host {
                return host_pair(value, diagnostics);
            }
            let (name, value) = (header_name(name, diagnostics), header_value(value, diagnostics));
            Some((name?, value?))
        })
        .collect();
    let all: Option<Vec<_>> = checked.into_iter().collect();
    all.map(Into::into)
}

fn host_pair(value: &Spanned<String>, diagnostics: &mut Diagnostics) -> Option<Pair> {
    if message::parse_authority(value.as_bytes()).is_err() {
        diagnostics.push(
            Diagnostic::error(Code::InvalidHost, value.span, format!("`{}` is not a host", value.value))
                .help("write a name or an address, with a port if needed: `users.internal:8080`"),
        );
        return None;
    }
    Some((Box::from(&b"host"[..]), value.as_bytes().into()))
}

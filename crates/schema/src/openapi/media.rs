//! Bodies by their media type.
//!
//! JSON and simple forms are looked into; of other types it is only known whether they are listed. It must not
//! know operations. Entry points: [`Content::read`], [`Content::check`].

use std::sync::Arc;

use serde_json::Value;

use super::description::{Description, Typed};
use super::dialect::Direction;
use super::documents::At;
use super::parameter::{Trouble, assemble};
use super::text::{essence, pairs};
use crate::reader::Json;
use crate::violation::{Place, Violation};

/// The most bytes of a body that are looked into.
pub const MAX_BODY: usize = 16 << 20;
/// The most pairs of a query or form.
pub(super) const MAX_PAIRS: usize = 1000;

/// The body of a message, as far as the caller has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'b> {
    /// There is none.
    Absent,
    /// There is one, and its content is not known: only its presence and its type are judged.
    Unseen,
    /// All of it.
    Bytes(&'b [u8]),
}

/// The media types that a body may have: exact ones first, then ranges from narrow to wide.
#[derive(Debug, Default)]
pub(super) struct Content(Vec<(String, Option<Arc<Typed>>)>);

/// Whether a media type is JSON (RFC 8259, RFC 6839 §3.1).
pub(super) fn is_json(essence: &str) -> bool {
    matches!(essence, "application/json" | "text/json") || essence.ends_with("+json")
}

fn is_form(essence: &str) -> bool {
    essence == "application/x-www-form-urlencoded"
}

impl Content {
    /// Reads the member `content` of the object there.
    pub(super) fn read(from: &mut Description, at: &At, direction: Direction) -> Content {
        let mut types: Vec<(String, Option<Arc<Typed>>)> = Vec::new();
        for name in from.names(at, "content") {
            let place = at.member("content").member(&name);
            let essence = essence(name.as_bytes());
            if types.iter().any(|(other, _)| *other == essence) {
                from.complain(
                    &place,
                    "is the type of another one: types are not told apart by parameters here",
                );
            }
            if is_form(&essence) {
                refuse_other_styles(from, &place.member("encoding"));
            }
            types.push((essence, from.typed(&place.member("schema"), direction)));
        }
        let width = |range: &str| match range {
            "*/*" => 3,
            range if range.ends_with("/*") => 2,
            range => u8::from(range.contains('*')),
        };
        types.sort_by_key(|(range, _)| width(range));
        Content(types)
    }

    /// Whether no type is listed, so that nothing is said of the body.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a type whose content is judged.
    pub(super) fn looks_inside(&self) -> bool {
        let is_read = |range: &str| is_json(range) || is_form(range) || range.contains('*');
        self.0.iter().any(|(range, typed)| typed.is_some() && is_read(range))
    }

    /// Whether a body with this type is looked into.
    pub(super) fn looks_into(&self, media_type: Option<&[u8]>) -> bool {
        let Some(essence) = media_type.map(essence) else { return false };
        (is_json(&essence) || is_form(&essence)) && matches!(self.find(&essence), Some(Some(_)))
    }

    fn find(&self, essence: &str) -> Option<Option<&Typed>> {
        let fits = |range: &str| match range.split_once('*') {
            _ if range == "*/*" => true,
            Some((start, end)) => {
                essence.len() >= start.len() + end.len()
                    && essence.starts_with(start)
                    && essence.ends_with(end)
            }
            None => range == essence,
        };
        self.0.iter().find_map(|(range, typed)| fits(range).then_some(typed.as_deref()))
    }

    /// Says what is wrong with a body that is there. `false`: its type is not listed.
    pub(super) fn check(&self, media_type: Option<&[u8]>, body: Body<'_>, out: &mut Vec<Violation>) -> bool {
        // A body without a type may be anything (RFC 9110 §8.3).
        let essence = media_type.map_or_else(|| "application/octet-stream".to_owned(), essence);
        let Some(typed) = self.find(&essence) else { return false };
        let (Some(typed), Body::Bytes(bytes)) = (typed, body) else { return true };
        if bytes.len() > MAX_BODY {
            out.push(body_violation("size", format!("has more than {MAX_BODY} bytes")));
        } else if is_json(&essence) {
            match Json::read(bytes) {
                Ok(json) => out.extend(typed.schema.validate(&json)),
                Err(error) => out.push(body_violation("json", error.to_string())),
            }
        } else if is_form(&essence) {
            match form(bytes, typed) {
                Ok(value) => out.extend(typed.schema.validate(&Json::from(&value))),
                Err(Trouble::Twice) => {
                    let message = "has a field more than once that is no list".to_owned();
                    out.push(body_violation("unique", message));
                }
                Err(_) => out.push(body_violation("syntax", "is no form that can be read".to_owned())),
            }
        }
        true
    }
}

/// A form is read as one with the usual styles: another one would be refused though it is as described.
fn refuse_other_styles(from: &mut Description, encoding: &At) {
    let Some(Value::Object(fields)) = from.get(encoding).cloned() else { return };
    for (name, field) in fields {
        let style = field.get("style").and_then(Value::as_str).is_none_or(|style| style == "form");
        let explode = field.get("explode").and_then(Value::as_bool) != Some(false);
        if !style || !explode {
            from.complain(
                &encoding.member(&name),
                "is written in a style that is not supported in forms: write `style: form` and `explode: true`",
            );
        }
    }
}

fn body_violation(keyword: &'static str, message: String) -> Violation {
    Violation::new(Place::Body, "", keyword, message)
}

fn form(bytes: &[u8], typed: &Typed) -> Result<Value, Trouble> {
    let pairs = pairs(bytes, MAX_PAIRS).ok_or(Trouble::Malformed)?;
    if pairs.is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    assemble(pairs.iter().map(|(name, text)| (name.as_ref(), *text)), typed)
}

//! Parameters: how a value is written in a path, a query, a header field or a cookie, and whether it is right.
//!
//! Texts are split first and unescaped then, so an escaped separator is part of a value. Headers of responses are
//! parameters too. It must not know operations. Entry points: [`Parameter::read`], [`Parameter::check`].

use std::sync::Arc;

use message::Headers;
use serde_json::{Map, Value};

use super::description::{Description, Typed};
use super::dialect::Direction;
use super::documents::At;
use super::media::is_json;
use super::text::{Pair, characters, essence};
use crate::reader::Json;
use crate::violation::{Place, Violation};

/// How the parts of a value are put together (OpenAPI 3.1 §4.8.12.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// `a,b` in paths and headers.
    Simple,
    /// `a,b` or `n=a&n=b`.
    Form,
    /// `a b`
    Spaces,
    /// `a|b`
    Pipes,
    /// `n[k]=v`
    Deep,
}

/// What the text of a value is.
#[derive(Debug)]
enum Form {
    Styled {
        style: Style,
        explode: bool,
        typed: Arc<Typed>,
    },
    Json(Arc<Typed>),
    /// Nothing is known of it.
    Any,
}

/// One parameter.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) place: Place,
    required: bool,
    allow_empty: bool,
    form: Form,
}

/// What a message brings.
pub(super) struct Sent<'s> {
    pub(super) path: &'s [(&'s str, &'s [u8])],
    pub(super) query: &'s [Pair<'s>],
    /// For each pair whether no parameter takes it by its name.
    pub(super) unclaimed: &'s [bool],
    pub(super) headers: &'s Headers,
}

impl Parameter {
    /// Reads a Parameter Object, or a Header Object if the name is given.
    pub(super) fn read(
        from: &mut Description,
        at: &At,
        header: Option<&str>,
        direction: Direction,
    ) -> Option<Parameter> {
        let at = from.settle(at)?;
        let (name, place) = match header {
            Some(name) => (name.to_owned(), Place::Header),
            None => {
                let place = match from.text(&at, "in") {
                    Some("path") => Place::Path,
                    Some("query") => Place::Query,
                    Some("header") => Place::Header,
                    Some("cookie") => Place::Cookie,
                    _ => {
                        from.complain(&at, "must have an `in` that is path, query, header or cookie");
                        return None;
                    }
                };
                let Some(name) = from.text(&at, "name").filter(|name| !name.is_empty()) else {
                    from.complain(&at, "must have a `name`");
                    return None;
                };
                (name.to_owned(), place)
            }
        };
        let required = from.is_true(&at, "required") || place == Place::Path;
        let allow_empty = place == Place::Query && from.is_true(&at, "allowEmptyValue");
        let form = Self::form(from, &at, place, direction)?;
        Some(Parameter { name, place, required, allow_empty, form })
    }

    fn form(from: &mut Description, at: &At, place: Place, direction: Direction) -> Option<Form> {
        let content = from.names(at, "content");
        if let Some(media_type) = content.first() {
            let schema = at.member("content").member(media_type).member("schema");
            if !is_json(&essence(media_type.as_bytes())) || from.get(&schema).is_none() {
                return Some(Form::Any);
            }
            return from.typed(&schema, direction).map(Form::Json);
        }
        if from.get(&at.member("schema")).is_none() {
            return Some(Form::Any);
        }
        let usual = if matches!(place, Place::Path | Place::Header) { "simple" } else { "form" };
        let style = match (place, from.text(at, "style").unwrap_or(usual)) {
            (Place::Path | Place::Header, "simple") => Style::Simple,
            (Place::Query | Place::Cookie, "form") => Style::Form,
            (Place::Query, "spaceDelimited") => Style::Spaces,
            (Place::Query, "pipeDelimited") => Style::Pipes,
            (Place::Query, "deepObject") => Style::Deep,
            _ => {
                from.complain(&at.member("style"), "is no style that is supported here");
                return None;
            }
        };
        let explode = from.get(at).and_then(|value| value.get("explode")).and_then(Value::as_bool);
        let explode = explode.unwrap_or(style == Style::Form) && place != Place::Cookie;
        Some(Form::Styled { style, explode, typed: from.typed(&at.member("schema"), direction)? })
    }

    /// Whether this parameter takes the pair of a query with this name.
    pub(super) fn takes(&self, name: &str) -> bool {
        if self.place != Place::Query {
            return false;
        }
        match &self.form {
            Form::Styled { style: Style::Deep, .. } => member_of(name, &self.name).is_some(),
            Form::Styled { style: Style::Form, explode: true, typed } if typed.shape.object => {
                name == self.name || typed.shape.member(name).is_some()
            }
            _ => name == self.name,
        }
    }

    /// Whether it takes what no other parameter does: an object whose members are pairs of the query.
    pub(super) fn takes_the_rest(&self) -> bool {
        match &self.form {
            Form::Styled { style: Style::Form, explode: true, typed } => {
                self.place == Place::Query && typed.shape.object && typed.shape.is_open
            }
            _ => false,
        }
    }

    /// Says what is wrong with this parameter in a message.
    pub(super) fn check(&self, sent: &Sent<'_>, out: &mut Vec<Violation>) {
        match self.value(sent) {
            Ok(Some((value, typed))) => {
                out.extend(typed.schema.violations(&Json::from(&value), self.place, &self.name));
            }
            Ok(None) => {}
            Err(Trouble::Missing) if self.required => {
                out.push(self.violation("required", "must be there"));
            }
            Err(Trouble::Missing) => {}
            Err(Trouble::Twice) => out.push(self.violation("unique", "must not be there more than once")),
            Err(Trouble::Malformed) => {
                out.push(self.violation("syntax", "is not written as it should be"));
            }
        }
    }

    fn violation(&self, keyword: &'static str, message: &str) -> Violation {
        Violation::new(self.place, &self.name, keyword, message)
    }

    /// The value that was sent; `None` where there is nothing to check.
    fn value(&self, sent: &Sent<'_>) -> Result<Option<(Value, &Typed)>, Trouble> {
        if let (Place::Query, Form::Styled { style, explode, typed }) = (self.place, &self.form) {
            if *style == Style::Deep {
                return self.deep(sent, typed).map(|value| Some((value, &**typed)));
            }
            if *explode && typed.shape.object && !typed.shape.array {
                return exploded(self, sent, typed).map(|value| Some((value, &**typed)));
            }
            if *explode && typed.shape.array {
                return self.repeated(sent, typed).map(|value| Some((value, &**typed)));
            }
        }
        let texts = self.texts(sent);
        let joined;
        let text: &[u8] = match (texts.as_slice(), self.place) {
            ([], _) => return Err(Trouble::Missing),
            ([text], _) => text,
            // Several fields of a name are one list (RFC 9110 §5.3).
            (texts, Place::Header) => {
                joined = texts.join(&b","[..]);
                &joined
            }
            _ => return Err(Trouble::Twice),
        };
        if self.allow_empty && text.is_empty() {
            return Ok(None);
        }
        match &self.form {
            Form::Any => Ok(None),
            Form::Json(typed) => {
                let text = self.unescaped(text)?;
                let json = Json::read(text.as_bytes()).map_err(|_| Trouble::Malformed)?;
                Ok(Some((json.to_value(), typed)))
            }
            Form::Styled { style, explode, typed } => {
                self.joined(text, *style, *explode, typed).map(|value| Some((value, &**typed)))
            }
        }
    }

    /// The texts of this name in the message.
    fn texts<'s>(&self, sent: &Sent<'s>) -> Vec<&'s [u8]> {
        match self.place {
            Place::Path => {
                sent.path.iter().filter(|(name, _)| *name == self.name).map(|pair| pair.1).collect()
            }
            Place::Query => {
                sent.query.iter().filter(|(name, _)| *name == self.name).map(|pair| pair.1).collect()
            }
            Place::Header => {
                let name = self.name.as_bytes();
                let fields = sent.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
                fields.map(|(_, value)| value.trim_ascii()).collect()
            }
            Place::Cookie => {
                let fields = sent.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"cookie"));
                let pairs = fields.flat_map(|(_, value)| value.split(|byte| *byte == b';'));
                let named = pairs.filter_map(|pair| {
                    let at = memchr::memchr(b'=', pair)?;
                    (pair[..at].trim_ascii() == self.name.as_bytes()).then(|| pair[at + 1..].trim_ascii())
                });
                named.collect()
            }
            Place::Body => Vec::new(),
        }
    }

    fn unescaped<'t>(&self, text: &'t [u8]) -> Result<std::borrow::Cow<'t, str>, Trouble> {
        match self.place {
            Place::Header => std::str::from_utf8(text).map(Into::into).map_err(|_| Trouble::Malformed),
            place => characters(text, place == Place::Query).ok_or(Trouble::Malformed),
        }
    }

    /// The value of one text.
    fn joined(&self, text: &[u8], style: Style, explode: bool, typed: &Typed) -> Result<Value, Trouble> {
        let shape = &typed.shape;
        let parts = || split(text, style);
        if shape.array {
            if text.is_empty() {
                return Ok(Value::Array(Vec::new()));
            }
            let items = parts().into_iter().map(|part| Ok(shape.element_value(&self.unescaped(part)?)));
            return items.collect::<Result<Vec<_>, _>>().map(Value::Array);
        }
        if !shape.object {
            return Ok(shape.value(&self.unescaped(text)?));
        }
        let mut members = Map::new();
        let mut add = |name: &[u8], value: &[u8]| {
            let name = self.unescaped(name)?.into_owned();
            let value = shape.member_value(&name, &self.unescaped(value)?);
            if members.insert(name, value).is_some() { Err(Trouble::Twice) } else { Ok(()) }
        };
        let parts = parts();
        if explode {
            for part in parts {
                let at = memchr::memchr(b'=', part).ok_or(Trouble::Malformed)?;
                add(&part[..at], &part[at + 1..])?;
            }
        } else {
            for pair in parts.chunks(2) {
                let [name, value] = pair else { return Err(Trouble::Malformed) };
                add(name, value)?;
            }
        }
        Ok(Value::Object(members))
    }

    /// `n=a&n=b`
    fn repeated(&self, sent: &Sent<'_>, typed: &Typed) -> Result<Value, Trouble> {
        let texts = self.texts(sent);
        if texts.is_empty() {
            return Err(Trouble::Missing);
        }
        let items = texts.into_iter().map(|text| Ok(typed.shape.element_value(&self.unescaped(text)?)));
        items.collect::<Result<Vec<_>, _>>().map(Value::Array)
    }

    /// `n[k]=v`
    fn deep(&self, sent: &Sent<'_>, typed: &Typed) -> Result<Value, Trouble> {
        let pairs = sent.query.iter().filter_map(|(name, text)| Some((member_of(name, &self.name)?, *text)));
        assemble(pairs, typed)
    }
}

/// Why there is no value.
pub(super) enum Trouble {
    Missing,
    Twice,
    Malformed,
}

/// The members of an object that are pairs of the query: those it lists, and all others if it is open.
fn exploded(parameter: &Parameter, sent: &Sent<'_>, typed: &Typed) -> Result<Value, Trouble> {
    let is_open = parameter.takes_the_rest();
    let pairs = sent
        .query
        .iter()
        .zip(sent.unclaimed)
        .filter(|((name, _), unclaimed)| typed.shape.member(name).is_some() || (is_open && **unclaimed));
    let pairs = pairs.map(|((name, text), _)| (name.as_ref(), *text));
    assemble(pairs, typed)
}

/// An object of pairs, as in a form.
pub(super) fn assemble<'p>(
    pairs: impl Iterator<Item = (&'p str, &'p [u8])>,
    typed: &Typed,
) -> Result<Value, Trouble> {
    let mut members = Map::new();
    for (name, text) in pairs {
        let text = characters(text, true).ok_or(Trouble::Malformed)?;
        let list = typed.shape.of_member(name).filter(|shape| shape.array);
        match (list, members.get_mut(name)) {
            (Some(shape), Some(Value::Array(items))) => items.push(shape.element_value(&text)),
            (Some(shape), _) => {
                members.insert(name.to_owned(), Value::Array(vec![shape.element_value(&text)]));
            }
            (None, Some(_)) => return Err(Trouble::Twice),
            (None, None) => {
                members.insert(name.to_owned(), typed.shape.member_value(name, &text));
            }
        }
    }
    if members.is_empty() { Err(Trouble::Missing) } else { Ok(Value::Object(members)) }
}

/// `k` of `n[k]`.
fn member_of<'q>(name: &'q str, parameter: &str) -> Option<&'q str> {
    name.strip_prefix(parameter)?.strip_prefix('[')?.strip_suffix(']')
}

/// The parts of a text.
fn split(text: &[u8], style: Style) -> Vec<&[u8]> {
    let (plain, escaped): (&[u8], &[u8]) = match style {
        Style::Simple | Style::Form | Style::Deep => (b",", b""),
        Style::Spaces => (b"+", b"%20"),
        Style::Pipes => (b"|", b"%7C"),
    };
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        let found = if rest.starts_with(plain) {
            plain.len()
        } else if !escaped.is_empty() && rest.get(..3).is_some_and(|head| head.eq_ignore_ascii_case(escaped))
        {
            escaped.len()
        } else {
            at += 1;
            continue;
        };
        parts.push(text[start..at].trim_ascii());
        at += found;
        start = at;
    }
    parts.push(text[start..].trim_ascii());
    parts
}

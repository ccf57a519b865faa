//! Covered components of HTTP Message Signatures: what their identifiers mean, and their values in a request
//! (RFC 9421 §2).
//!
//! What it does not know it refuses, as §2.5 asks: a component or parameter of which we do not know what it covers may
//! cover nothing. `tr` is refused because trailers come after the decision, `req` because it belongs to responses.
//! Entry points: [`Component::of`], [`Component::push_value`].

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use message::is_token_byte;
use sfv::{BareItem, Dictionary, FieldType, Item, ItemSerializer, ListEntry, ListSerializer, Parser};

use crate::base::Base;
use crate::coverage::{Coverage, Parts};
use crate::sent::Sent;
use crate::{MAX_FIELD, Refusal, query};

/// Fields that are known to be dictionaries, so that `sf` can be applied to them.
const DICTIONARIES: &[&str] = &[
    "content-digest",
    "repr-digest",
    "want-content-digest",
    "want-repr-digest",
    "priority",
    "signature",
    "signature-input",
];

/// A component of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Component<'a> {
    Method,
    Scheme,
    Authority,
    Path,
    Query,
    RequestTarget,
    TargetUri,
    /// The one query parameter of this name, which is encoded.
    QueryParam(&'a str),
    /// A field.
    Field(&'a str, Reading<'a>),
}

/// How a field is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading<'a> {
    /// All lines as they are (§2.1).
    Text,
    /// Each line as a byte sequence: `bs` (§2.1.3).
    Bytes,
    /// Serialised again: `sf` (§2.1.1).
    Strict,
    /// One member of a dictionary: `key` (§2.1.2).
    Member(&'a str),
}

/// The parameters of a component identifier.
#[derive(Default)]
struct Marks<'a> {
    strict: bool,
    bytes: bool,
    key: Option<&'a str>,
    name: Option<&'a str>,
}

impl<'a> Component<'a> {
    /// What an identifier means. Two that mean the same are equal, in whatever order their parameters are.
    pub(crate) fn of(item: &'a Item) -> Result<Component<'a>, Refusal> {
        let BareItem::String(name) = &item.bare_item else { return Err(Refusal::MalformedFields) };
        let marks = marks(item)?;
        let name = name.as_str();
        if name.starts_with('@') { derived(name, &marks) } else { field(name, &marks) }
    }

    /// Takes note of what is covered.
    pub(crate) fn count(self, coverage: &mut Coverage<'a>) {
        match self {
            Component::Method => coverage.add(Parts::METHOD),
            Component::Scheme => coverage.add(Parts::SCHEME),
            Component::Authority => coverage.add(Parts::AUTHORITY),
            Component::Path => coverage.add(Parts::PATH),
            Component::Query => coverage.add(Parts::QUERY),
            Component::RequestTarget => coverage.add(Parts::TARGET),
            Component::TargetUri => coverage.add(Parts::URI),
            Component::QueryParam(_) | Component::Field(_, Reading::Member(_)) => {}
            Component::Field(name, Reading::Text | Reading::Bytes | Reading::Strict) => {
                coverage.add_field(name);
            }
        }
    }

    /// Adds the value that the request has.
    ///
    /// Errors: [`Refusal::MissingComponent`], [`Refusal::AmbiguousComponent`], [`Refusal::TooLarge`].
    pub(crate) fn push_value(self, sent: &Sent<'_>, base: &mut Base) -> Result<(), Refusal> {
        match self {
            Component::Method => base.push_text(sent.head.method_bytes()),
            Component::Scheme => base.push(sent.scheme()),
            Component::Authority => base.push_text(sent.authority()?),
            Component::Path => base.push_text(sent.path()?),
            Component::Query => {
                sent.path()?;
                base.push(b"?")?;
                base.push_text(sent.query.unwrap_or_default())
            }
            Component::RequestTarget => base.push_text(sent.target),
            Component::TargetUri => {
                sent.path()?;
                base.push(sent.scheme())?;
                base.push(b"://")?;
                base.push_text(sent.authority()?)?;
                sent.push_origin_form(base)
            }
            Component::QueryParam(name) => {
                let value = query::parameter(sent.query.unwrap_or_default(), name)?;
                value.into_iter().try_for_each(|byte| base.push(&[byte]))
            }
            Component::Field(name, reading) => push_field(name, reading, sent, base),
        }
    }
}

/// Reads the parameters of an identifier.
fn marks(item: &Item) -> Result<Marks<'_>, Refusal> {
    let mut marks = Marks::default();
    for (key, value) in &item.params {
        match (key.as_str(), value) {
            ("sf", BareItem::Boolean(true)) => marks.strict = true,
            ("bs", BareItem::Boolean(true)) => marks.bytes = true,
            ("key", BareItem::String(key)) => marks.key = Some(key.as_str()),
            ("name", BareItem::String(name)) => marks.name = Some(name.as_str()),
            _ => return Err(Refusal::UnsupportedComponent),
        }
    }
    Ok(marks)
}

fn derived<'a>(name: &str, marks: &Marks<'a>) -> Result<Component<'a>, Refusal> {
    if marks.strict || marks.bytes || marks.key.is_some() {
        return Err(Refusal::UnsupportedComponent);
    }
    match (name, marks.name) {
        ("@query-param", Some(parameter)) => Ok(Component::QueryParam(parameter)),
        ("@method", None) => Ok(Component::Method),
        ("@scheme", None) => Ok(Component::Scheme),
        ("@authority", None) => Ok(Component::Authority),
        ("@path", None) => Ok(Component::Path),
        ("@query", None) => Ok(Component::Query),
        ("@request-target", None) => Ok(Component::RequestTarget),
        ("@target-uri", None) => Ok(Component::TargetUri),
        _ => Err(Refusal::UnsupportedComponent),
    }
}

fn field<'a>(name: &'a str, marks: &Marks<'a>) -> Result<Component<'a>, Refusal> {
    // §2.1: names of fields are in lower case, and §7.5.1: nothing else may pass for one.
    let is_name = !name.is_empty() && name.bytes().all(|b| is_token_byte(b) && !b.is_ascii_uppercase());
    if !is_name || marks.name.is_some() {
        return Err(Refusal::UnsupportedComponent);
    }
    let reading = match (marks.bytes, marks.key, marks.strict) {
        (false, None, false) => Reading::Text,
        (true, None, false) => Reading::Bytes,
        (false, Some(key), _) => Reading::Member(key),
        (false, None, true) if DICTIONARIES.contains(&name) => Reading::Strict,
        _ => return Err(Refusal::UnsupportedComponent),
    };
    Ok(Component::Field(name, reading))
}

fn push_field(name: &str, reading: Reading<'_>, sent: &Sent<'_>, base: &mut Base) -> Result<(), Refusal> {
    let lines = sent.head.headers.values(name.as_bytes());
    match reading {
        Reading::Text => base.push_lines(lines, Base::push_text),
        Reading::Bytes => base.push_lines(lines, |base, line| {
            if line.len() > MAX_FIELD {
                return Err(Refusal::TooLarge);
            }
            base.push(b":")?;
            base.push(STANDARD.encode(line).as_bytes())?;
            base.push(b":")
        }),
        Reading::Strict => {
            // What is empty cannot be serialised (RFC 9651 §4.1).
            let text = dictionary(lines)?.serialize().ok_or(Refusal::AmbiguousComponent)?;
            base.push_text(text.as_bytes())
        }
        Reading::Member(key) => {
            let dictionary = dictionary(lines)?;
            let member = dictionary.get(key).ok_or(Refusal::MissingComponent)?;
            base.push_text(serialize_member(member).as_bytes())
        }
    }
}

/// All lines of a field as one dictionary.
fn dictionary<'v>(lines: impl Iterator<Item = &'v [u8]>) -> Result<Dictionary, Refusal> {
    parse_dictionary(lines, Refusal::AmbiguousComponent)?.ok_or(Refusal::MissingComponent)
}

/// All lines of a field as one dictionary (RFC 9651 §4.2), or `None` where there is no line.
///
/// Errors: `malformed`, and [`Refusal::TooLarge`] where they are longer than [`MAX_FIELD`] together.
pub(crate) fn parse_dictionary<'v>(
    lines: impl Iterator<Item = &'v [u8]>,
    malformed: Refusal,
) -> Result<Option<Dictionary>, Refusal> {
    let mut found = None;
    let mut length = 0;
    for line in lines {
        length += line.len();
        if length > MAX_FIELD {
            return Err(Refusal::TooLarge);
        }
        let so_far = found.take().unwrap_or_default();
        found = Some(Parser::new(line).parse_dictionary_with_visitor(so_far).map_err(|_| malformed)?);
    }
    Ok(found)
}

fn serialize_member(member: &ListEntry) -> String {
    match member {
        ListEntry::Item(item) => {
            ItemSerializer::new().bare_item(&item.bare_item).parameters(&item.params).finish()
        }
        ListEntry::InnerList(list) => serialize_list(list),
    }
}

/// An inner list with its parameters (RFC 9651 §4.1.1.1).
pub(crate) fn serialize_list(list: &sfv::InnerList) -> String {
    let mut serializer = ListSerializer::new();
    let mut inner = serializer.inner_list();
    inner.items(&list.items);
    inner.finish().parameters(&list.params);
    serializer.finish().unwrap_or_default()
}

/// An identifier as it begins its line.
pub(crate) fn serialize_identifier(item: &Item) -> String {
    ItemSerializer::new().bare_item(&item.bare_item).parameters(&item.params).finish()
}

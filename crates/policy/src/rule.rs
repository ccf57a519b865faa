//! Conditions in CEL over a request and its caller.
//!
//! What can be spoken of is declared here, once for all policies that have conditions. Nothing is looked up before a
//! condition asks for it. Entry points: [`Rule`] is what the user writes, [`Rule::compile`] checks it,
//! [`holds`] evaluates.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::fmt;
use std::io::Write;
use std::net::IpAddr;
use std::sync::LazyLock;

use diagnostics::{Code, Diagnostic, Diagnostics};
use document::{Decode, Node, Shape};
use expression::{Entries, Failure, Limits, Nanos, Program, Schema, Sequence, Type, Value, Variables};
use message::{Headers, cookie};

use crate::{Identity, RequestCx};

/// A condition as it was written. It keeps its place, so that a mistake in it can be pointed at.
#[derive(Clone)]
pub struct Rule(Node);

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.value.fmt(f)
    }
}

impl Decode for Rule {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        String::decode(node, diagnostics).map(|_| Rule(node.clone()))
    }

    fn shape() -> Shape {
        String::shape()
    }
}

impl Rule {
    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        self.0.text().unwrap_or_default()
    }

    /// Checks the condition; every mistake is reported at its part of the text.
    pub fn compile(&self, diagnostics: &mut Diagnostics) -> Option<Program> {
        compile_part(&self.0, 0, self.text(), &Type::Bool, diagnostics)
    }
}

/// Checks an expression that is the end of what is written at a node, from a byte on; every mistake is reported at its
/// part of the text.
pub(crate) fn compile_part(
    node: &Node,
    from: usize,
    text: &str,
    want: &Type,
    diagnostics: &mut Diagnostics,
) -> Option<Program> {
    match Program::compile(text, &SCHEMA, want) {
        Ok(program) => Some(program),
        Err(mistakes) => {
            for mistake in mistakes {
                let place = node.part(from + mistake.start, from + mistake.end);
                let diagnostic = Diagnostic::error(Code::InvalidExpression, place, mistake.message);
                diagnostics.push(match mistake.help {
                    Some(help) => diagnostic.help(help),
                    None => diagnostic,
                });
            }
            None
        }
    }
}

macro_rules! variables {
    ($($key:ident = $path:literal $type:expr;)*) => {
        #[derive(Clone, Copy)]
        #[repr(u16)]
        enum Key { $($key,)* }

        impl Key {
            const ALL: &[Key] = &[$(Key::$key,)*];
        }

        fn declared() -> Schema {
            Schema::new(Limits::default())
                $(.variable($path, $type, Key::$key as u16))*
                .lower_case_map("request.headers", Type::String, HEADERS)
        }
    };
}

variables! {
    Method = "request.method" Type::String;
    Scheme = "request.scheme" Type::String;
    Host = "request.host" Type::String;
    Path = "request.path" Type::String;
    Query = "request.query" Type::map(Type::String);
    Cookies = "request.cookies" Type::map(Type::String);
    ClientIp = "client.ip" Type::String;
    Consumer = "identity.consumer" Type::String;
    How = "identity.method" Type::String;
    Subject = "identity.subject" Type::String;
    Groups = "identity.groups" Type::list(Type::String);
    Scopes = "identity.scopes" Type::list(Type::String);
    Claims = "identity.claims" Type::map(Type::Dyn);
    Now = "now" Type::Timestamp;
}

/// The key of the headers, which are declared apart.
const HEADERS: u16 = u16::MAX;

static SCHEMA: LazyLock<Schema> = LazyLock::new(declared);
static NO_CLAIMS: LazyLock<serde_json::Map<String, serde_json::Value>> = LazyLock::new(Default::default);

/// Whether a condition holds for a request.
///
/// # Errors
///
/// Why it has no value. Then it does not hold.
pub fn holds(program: &Program, cx: &RequestCx<'_>) -> Result<bool, Failure> {
    program.evaluate(&view(cx))
}

/// Whether `look` makes something of the value of an expression; not if it has none.
pub(crate) fn computed(program: &Program, cx: &RequestCx<'_>, look: impl FnOnce(&Value<'_>) -> bool) -> bool {
    program.value(&view(cx)).is_ok_and(|value| look(&value))
}

fn view<'a>(cx: &'a RequestCx<'a>) -> View<'a> {
    let identity = cx.identity();
    View {
        cx,
        client: OnceCell::new(),
        identity,
        headers: Fields(&cx.head.headers),
        query: Query { text: cx.head.query().unwrap_or_default(), names: OnceCell::new() },
        cookies: Cookies { headers: &cx.head.headers, names: OnceCell::new() },
        groups: Texts(identity.map_or(&[], |identity| &identity.groups)),
        scopes: Texts(identity.map_or(&[], |identity| &identity.scopes)),
    }
}

struct View<'a> {
    cx: &'a RequestCx<'a>,
    client: OnceCell<AddressText>,
    identity: Option<&'a Identity>,
    headers: Fields<'a>,
    query: Query<'a>,
    cookies: Cookies<'a>,
    groups: Texts<'a>,
    scopes: Texts<'a>,
}

impl Variables for View<'_> {
    fn variable(&self, key: u16) -> Option<Value<'_>> {
        if key == HEADERS {
            return Some(Value::map(&self.headers));
        }
        let head = &*self.cx.head;
        Some(match Key::ALL.get(usize::from(key))? {
            Key::Method => text(head.method_bytes()),
            Key::Scheme => Value::from(if self.cx.is_encrypted() { "https" } else { "http" }),
            Key::Host => Value::from(head.host().unwrap_or_default()),
            Key::Path => text(head.path()),
            Key::Query => Value::map(&self.query),
            Key::Cookies => Value::map(&self.cookies),
            Key::ClientIp => {
                Value::from(self.client.get_or_init(|| AddressText::of(self.cx.client)).as_str())
            }
            Key::Consumer => Value::from(
                self.identity.and_then(|identity| identity.consumer.as_deref()).unwrap_or_default(),
            ),
            Key::How => Value::from(self.cx.state.caller().method()),
            Key::Subject => Value::from(self.identity.map_or("", |identity| &identity.subject)),
            Key::Groups => Value::list(&self.groups),
            Key::Scopes => Value::list(&self.scopes),
            Key::Claims => Value::json_map(self.identity.map_or(&NO_CLAIMS, |identity| &identity.claims)),
            Key::Now => Value::Timestamp(Nanos::from_ms(self.cx.now.saturating_mul(1000))),
        })
    }
}

/// An address as text, made only where a condition asks for it, and without allocating.
struct AddressText {
    bytes: [u8; 64],
    len: usize,
}

impl AddressText {
    fn of(address: IpAddr) -> AddressText {
        let mut bytes = [0; 64];
        let mut rest = &mut bytes[..];
        // The longest address has 45 characters.
        _ = write!(rest, "{address}");
        let len = 64 - rest.len();
        AddressText { bytes, len }
    }

    fn as_str(&self) -> &str {
        self.bytes.get(..self.len).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }
}

/// Text of a request. What is not UTF-8 is shown as it would be read.
fn text(bytes: &[u8]) -> Value<'_> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => Value::from(String::from_utf8_lossy(bytes).into_owned()),
    }
}

/// Header fields by name. Several of one name are one value, with commas between them (RFC 9110 §5.2).
struct Fields<'a>(&'a Headers);

impl Entries for Fields<'_> {
    fn find(&self, key: &str) -> Option<Value<'_>> {
        let mut values = self.0.iter().filter(|(name, _)| name.eq_ignore_ascii_case(key.as_bytes()));
        let (_, first) = values.next()?;
        let Some((_, second)) = values.next() else { return Some(text(first)) };
        let mut joined = [first, second].join(&b", "[..]);
        values.for_each(|(_, more)| {
            joined.extend_from_slice(b", ");
            joined.extend_from_slice(more);
        });
        Some(Value::from(String::from_utf8_lossy(&joined).into_owned()))
    }

    fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name.eq_ignore_ascii_case(key.as_bytes()))
    }

    fn len(&self) -> usize {
        (0..self.0.len()).filter(|at| self.is_first(*at)).count()
    }

    fn key(&self, index: usize) -> Option<Value<'_>> {
        let at = (0..self.0.len()).filter(|at| self.is_first(*at)).nth(index)?;
        let (name, _) = self.0.iter().nth(at)?;
        Some(Value::from(String::from_utf8_lossy(name).to_ascii_lowercase()))
    }
}

impl Fields<'_> {
    /// Whether the field at a place is the first one of its name.
    fn is_first(&self, at: usize) -> bool {
        let Some((name, _)) = self.0.iter().nth(at) else { return false };
        !self.0.iter().take(at).any(|(other, _)| other.eq_ignore_ascii_case(name))
    }
}

/// Parameters of the query by name, decoded; of several with one name the first one.
struct Query<'a> {
    text: &'a [u8],
    /// Made once, where a condition goes through all of them.
    names: OnceCell<Vec<String>>,
}

impl Entries for Query<'_> {
    fn find(&self, key: &str) -> Option<Value<'_>> {
        let mut found = None;
        router::any_query_value(self.text, key.as_bytes(), |value| {
            found = Some(String::from_utf8_lossy(value).into_owned());
            true
        });
        found.map(Value::from)
    }

    fn len(&self) -> usize {
        self.names().len()
    }

    fn key(&self, index: usize) -> Option<Value<'_>> {
        self.names().get(index).map(|name| Value::from(&**name))
    }

    fn scanned(&self) -> usize {
        self.text.len()
    }
}

impl Query<'_> {
    fn names(&self) -> &[String] {
        self.names.get_or_init(|| {
            let mut seen = HashSet::new();
            let pairs = self.text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
            let names = pairs.map(|pair| {
                let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
                String::from_utf8_lossy(&router::decoded_query(name)).into_owned()
            });
            names.filter(|name| seen.insert(name.clone())).collect()
        })
    }
}

/// Cookies by name; of several with one name the first one.
struct Cookies<'a> {
    headers: &'a Headers,
    /// Made once, where a condition goes through all of them.
    names: OnceCell<Vec<&'a [u8]>>,
}

impl Entries for Cookies<'_> {
    fn find(&self, key: &str) -> Option<Value<'_>> {
        cookie(self.headers, key.as_bytes()).map(text)
    }

    fn len(&self) -> usize {
        self.names().len()
    }

    fn key(&self, index: usize) -> Option<Value<'_>> {
        self.names().get(index).map(|name| text(name))
    }

    fn scanned(&self) -> usize {
        self.headers.values(b"cookie").map(<[u8]>::len).sum()
    }
}

impl<'a> Cookies<'a> {
    fn names(&self) -> &[&'a [u8]] {
        self.names.get_or_init(|| {
            let mut seen = HashSet::new();
            let pairs = self.headers.values(b"cookie").flat_map(|field| field.split(|byte| *byte == b';'));
            let names = pairs.map(|pair| pair.split(|byte| *byte == b'=').next().unwrap_or_default());
            names.map(<[u8]>::trim_ascii).filter(|name| !name.is_empty() && seen.insert(*name)).collect()
        })
    }
}

struct Texts<'a>(&'a [Box<str>]);

impl Sequence for Texts<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn at(&self, index: usize) -> Option<Value<'_>> {
        self.0.get(index).map(|text| Value::from(&**text))
    }
}

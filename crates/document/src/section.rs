//! Sections: a struct, its decoder and its description from one declaration.
//!
//! Every mistake of a section and of all that is in it is reported, whatever went wrong before. Nothing here
//! knows any section of the language. Entry point: [`section!`](macro@crate::section).

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use diagnostics::{Code, Diagnostic, Diagnostics, Span, Spanned, Words};

use crate::decode::Decode;
use crate::node::{Entry, Node, Value};
use crate::parse;

/// Declares a section of the language.
///
/// Each field is a key. A default is written as it would be in a file and goes through the same decoder; a
/// field of type `Option` need not be given; every other key must be. `field as "key"` gives a key another
/// name than its field, and `field: u32 [1..=9]` takes only numbers in that range. `not_built` lists keys that are refused with [`Code::NotBuilt`]; `check` names a
/// function that looks at the whole section once it is decoded, and pushes what it finds; `short` names the
/// field that a single value stands for where no section is written: `listen: 0.0.0.0:8080`.
///
/// The struct gets a field `span` besides, a function `info()`, and an implementation of [`Decode`].
///
/// ```
/// use document::{Decode, DurationValue, Diagnostics, SourceId, Spanned};
///
/// document::section! {
///     /// How long to wait.
///     pub struct Timeouts {
///         /// For a connection.
///         connect: DurationValue = "1s",
///         /// For the end of an exchange; no limit without it.
///         request: Option<DurationValue>,
///         /// How often.
///         attempts: u32 [1..=9] = "1",
///         /// The method this holds for.
///         method as "match": Spanned<String>,
///     }
///     not_built { "dns" => "a limit for the lookup of names" }
///     check no_such_check
/// }
///
/// fn no_such_check(_timeouts: &Timeouts, _diagnostics: &mut Diagnostics) {}
///
/// let mut diagnostics = Diagnostics::new();
/// let node = document::parse(SourceId(0), "match: GET", &mut diagnostics).unwrap();
/// let timeouts = Timeouts::decode(&node, &mut diagnostics).unwrap();
/// assert_eq!(timeouts.connect.to_string(), "1s");
/// assert_eq!(timeouts.method.value, "GET");
/// ```
#[macro_export]
macro_rules! section {
    (
        $(#[doc = $doc:literal])+
        $vis:vis struct $name:ident {
            $( $(#[doc = $key_doc:literal])+ $field:ident $(as $key:literal)? : $type:ty
                $([$min:literal ..= $max:literal])? $(= $default:literal)? ),* $(,)?
        }
        $( not_built { $( $later:literal => $what:literal ),* $(,)? } )?
        $( short $short:ident )?
        $( check $check:ident )?
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug)]
        $vis struct $name {
            $( $(#[doc = $key_doc])+ $vis $field: $type, )*
            /// Where the section is written.
            #[allow(dead_code, reason = "every section knows its place, and not every one is pointed at")]
            $vis span: $crate::Span,
        }

        impl $name {
            const KEYS: &'static [$crate::Key] = &[
                $( $crate::Key {
                    name: $crate::__key!($field $($key)?),
                    doc: concat!($($key_doc, "\n"),+),
                    default: $crate::__default!($($default)?),
                } ),*
            ];
            const NOT_BUILT: &'static [(&'static str, &'static str)] = &[ $($( ($later, $what) ),*)? ];

            /// The keys of this section and what they mean.
            $vis fn info() -> $crate::SectionInfo {
                $crate::SectionInfo {
                    name: stringify!($name),
                    doc: concat!($($doc, "\n"),+),
                    keys: vec![ $( $crate::KeyInfo {
                        name: $crate::__key!($field $($key)?),
                        doc: concat!($($key_doc, "\n"),+),
                        shape: $crate::__shape!($type $(, $min, $max)?),
                        required: <$type as $crate::Decode>::absent().is_none()
                            && $crate::__default!($($default)?).is_none(),
                        default: $crate::__default!($($default)?),
                    } ),* ],
                    not_built: Self::NOT_BUILT,
                    short: $crate::__short!($($short)?),
                }
            }
        }

        impl $crate::Decode for $name {
            fn decode(node: &$crate::Node, diagnostics: &mut $crate::Diagnostics) -> Option<Self> {
                $(
                    let node = &$crate::SectionReader::short(node, stringify!($short));
                )?
                let mut section = $crate::SectionReader::open(node, Self::KEYS, Self::NOT_BUILT, diagnostics)?;
                $( let $field = section.take::<$type>(diagnostics)
                    $(.and_then(|number| section.within(number, $min..=$max, diagnostics)))?; )*
                let section = Self { $( $field: $field?, )* span: section.span() };
                $( $check(&section, diagnostics); )?
                Some(section)
            }

            fn shape() -> $crate::Shape {
                let section = $crate::Shape::Section(Self::info);
                $(
                    let short = Self::info().keys.into_iter().find(|key| key.name == stringify!($short));
                    let section = $crate::Shape::OneOf(short.map(|key| key.shape).into_iter().chain([section]).collect());
                )?
                section
            }
        }
    };
}

/// The name of a key: that of its field, unless another one is given.
#[doc(hidden)]
#[macro_export]
macro_rules! __key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:literal) => {
        $key
    };
}

/// The key that a single value stands for, if the section has a short form.
#[doc(hidden)]
#[macro_export]
macro_rules! __short {
    () => {
        None::<&'static str>
    };
    ($short:ident) => {
        Some(stringify!($short))
    };
}

/// The default of a key, if it has one.
#[doc(hidden)]
#[macro_export]
macro_rules! __default {
    () => {
        None::<&'static str>
    };
    ($default:literal) => {
        Some::<&'static str>($default)
    };
}

/// What a key may look like: what its type says, unless a range is given.
#[doc(hidden)]
#[macro_export]
macro_rules! __shape {
    ($type:ty) => {
        <$type as $crate::Decode>::shape()
    };
    ($type:ty, $min:literal, $max:literal) => {
        $crate::Shape::Integer { min: $min, max: $max }
    };
}

/// What the declaration says about a key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As it is written in a file.
    pub name: &'static str,
    /// Its doc comment.
    pub doc: &'static str,
    /// What holds without it, as it would be written in a file.
    pub default: Option<&'static str>,
}

/// Takes the keys of a section out of a node, in the order of the declaration.
#[derive(Debug)]
pub struct SectionReader<'a> {
    entries: &'a [Entry],
    span: Span,
    keys: std::slice::Iter<'static, Key>,
    /// Whether it holds keys that this version does not have.
    ahead: bool,
    /// Where the value is that was taken last.
    last: Span,
}

impl<'a> SectionReader<'a> {
    /// A single value as a section with nothing but the key `key`; a section as it is.
    pub fn short(node: &'a Node, key: &str) -> Cow<'a, Node> {
        if node.scalar().is_none() {
            return Cow::Borrowed(node);
        }
        let entry = Entry { key: Spanned::new(key.to_owned(), node.span), node: node.clone() };
        Cow::Owned(Node { span: node.span, value: Value::Map(vec![entry]) })
    }

    /// Begins to read; reports what is not a section, and keys that are unknown or not built yet.
    pub fn open(
        node: &'a Node,
        keys: &'static [Key],
        not_built: &[(&'static str, &'static str)],
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let Some(entries) = node.map() else {
            let names: Vec<String> = keys.iter().take(3).map(|key| format!("`{}`", key.name)).collect();
            let such = if names.is_empty() { "" } else { " with keys such as " };
            diagnostics.push(node.wrong_type(&format!("a section{such}{}", names.join(", "))));
            return None;
        };
        let mut ahead = false;
        for entry in entries {
            let name = entry.key.value.as_str();
            if keys.iter().any(|key| key.name == name) {
                continue;
            }
            let later = not_built.iter().find(|(later, _)| *later == name);
            ahead |= later.is_some();
            diagnostics.push(match later {
                Some((_, what)) => Diagnostic::not_built(entry.key.span, name, what),
                None => unknown_key(entry, keys),
            });
        }
        Some(Self { entries, span: node.span, keys: keys.iter(), ahead, last: node.span })
    }

    /// Where the section is written.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Keeps a number that the last call of [`Self::take`] gave in its range.
    pub fn within<T: PartialOrd + fmt::Display>(
        &self,
        number: T,
        range: RangeInclusive<T>,
        diagnostics: &mut Diagnostics,
    ) -> Option<T> {
        if range.contains(&number) {
            return Some(number);
        }
        diagnostics.push(
            Diagnostic::error(Code::InvalidValue, self.last, format!("`{number}` is out of range"))
                .label(Words::fixed(format!("must be {} to {}", range.start(), range.end()))),
        );
        // In its place, so that the rest of the section can be looked at.
        Some(range.into_inner().0)
    }

    /// Decodes the next key of the declaration, or its default.
    pub fn take<T: Decode>(&mut self, diagnostics: &mut Diagnostics) -> Option<T> {
        let key = self.keys.next()?;
        if let Some(entry) = self.entries.iter().find(|entry| entry.key.value == key.name) {
            self.last = entry.node.span;
            let decoded = T::decode(&entry.node, diagnostics);
            if decoded.is_some() || (key.default.is_none() && T::absent().is_none()) {
                return decoded;
            }
            // It was reported. What holds without the key stands in, so that the rest can be looked at.
        }
        if let Some(default) = key.default {
            return T::decode(&written(default, self.span, diagnostics)?, diagnostics);
        }
        let absent = T::absent();
        let fixed = |text: String| Words::fixed(text);
        // A key that is not built yet, and was reported, may well be what stands in for the missing one.
        if absent.is_none() && !self.ahead {
            let doc = crate::shape::tidy(key.doc);
            let text = doc.lines().collect::<Vec<_>>().join(" ");
            let summary = text.split_inclusive(". ").next().unwrap_or("").trim_end();
            diagnostics.push(
                Diagnostic::error(
                    Code::MissingKey,
                    self.span,
                    fixed(format!("the key `{}` is missing", key.name)),
                )
                .label(fixed(format!("this section needs `{}`", key.name)))
                .help(fixed(format!("add `{}`: {summary}", key.name))),
            );
        }
        absent
    }
}

fn unknown_key(entry: &Entry, keys: &[Key]) -> Diagnostic {
    let names = || keys.iter().map(|key| key.name);
    let all: Vec<String> = names().map(|name| format!("`{name}`")).collect();
    let one =
        Diagnostic::error(Code::UnknownKey, entry.key.span, format!("unknown key `{}`", entry.key.value))
            .label("not part of the language here");
    let one = if entry.is_cut_off() {
        one.help("if it belongs to the value before it, put that in quotes: in `{…}` a value ends at a comma")
    } else {
        one.help(Words::fixed(format!("the keys here are {}", all.join(", "))))
    };
    one.did_you_mean(&entry.key.value, names())
}

/// A default as a node, at the place of the section that lacks the key. `None` if it cannot be read.
pub(crate) fn written(default: &str, span: Span, diagnostics: &mut Diagnostics) -> Option<Node> {
    // Parsing costs more than all the rest of a small section: it is needed for brackets only.
    if !default.starts_with(['[', '{']) {
        return Some(Node::plain(default, span));
    }
    let mut node = parse(span.source, default, diagnostics)?;
    place(&mut node, span);
    Some(node)
}

fn place(node: &mut Node, span: Span) {
    node.span = span;
    match &mut node.value {
        Value::Null | Value::Scalar(_) => {}
        Value::List(nodes) => nodes.iter_mut().for_each(|node| place(node, span)),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| {
            entry.key.span = span;
            place(&mut entry.node, span);
        }),
    }
}

#[cfg(test)]
#[path = "section_tests.rs"]
mod tests;

//! Finds what must not be shown in a tree, by the shape of the language.
//!
//! In a section that has a secret, everything may be one: whoever mistypes a key, or writes a list in the place of a
//! value, puts the secret where none is expected. So only what stands at a known key, is no secret there, and has the
//! form that the key takes is shown, and all else is hidden. It does not decode, and knows no key of the language.
//! Entry point: [`Concealer`].

use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use diagnostics::{Hidden, Span, Spanned, Veil, closest, is_harmless_key};

use crate::effective::best;
use crate::node::{Entry, Node, Value};
use crate::parse::Draft;
use crate::shape::{SectionInfo, Shape};

/// What must not be shown of a text.
#[derive(Debug, Default)]
pub struct Concealed {
    /// For what shows the text itself.
    pub veils: Vec<Veil>,
    /// For what speaks of it.
    pub hidden: Vec<Hidden>,
}

/// Finds what must not be shown.
pub struct Concealer<'a> {
    /// The shape of what is decoded elsewhere, by the key that it stands at.
    named: &'a dyn Fn(&str) -> Option<Shape>,
    kinds: HashMap<String, Kind>,
    sections: HashMap<fn() -> SectionInfo, Rc<Section>>,
}

/// What is decoded elsewhere.
#[derive(Clone)]
enum Kind {
    /// Nobody knows what it is.
    Unknown,
    /// There is no secret in it.
    Open,
    /// There may be one in it.
    Holding(Rc<Shape>),
}

/// What needs to be known of a section.
struct Section {
    keys: Vec<Key>,
    /// What a single value stands for.
    short: Option<Shape>,
    /// Whether a key of it is secret, or a list of secrets. If not, a single value in it that is at a wrong place is
    /// a slip like any other.
    own: bool,
    /// Whether a secret can be anywhere in it.
    holds: bool,
}

struct Key {
    name: &'static str,
    shape: Shape,
    /// Whether a secret can be anywhere in it.
    holds: bool,
    /// Whether it takes single values only, or lists of them.
    flat: bool,
}

impl fmt::Debug for Concealer<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Concealer").finish_non_exhaustive()
    }
}

impl<'a> Concealer<'a> {
    /// `named` gives the shape of what is decoded elsewhere ([`Shape::Any`]), by the key that it stands at; without
    /// one, all of it is hidden.
    pub fn new(named: &'a dyn Fn(&str) -> Option<Shape>) -> Self {
        Self { named, kinds: HashMap::new(), sections: HashMap::new() }
    }

    /// Marks what must not be shown of what was read of `text` ([`Scalar::secret`](crate::Scalar)), and returns the
    /// places. It has to be filled in already.
    pub fn conceal(&mut self, draft: &mut Draft, shape: &Shape, text: &str) -> Concealed {
        let mut walk = Walk { concealer: self, text, found: Concealed::default(), inside: false };
        walk.value(&mut draft.node, shape, "", false);
        let mut found = walk.found;
        let veil = |region| Veil { region, keys: true, ..Veil::default() };
        found.veils.extend(draft.refused.iter().copied().map(veil));
        if !draft.complete {
            found.veils.push(veil(Span::new(draft.node.span.source, draft.understood, text.len())));
        }
        found
    }

    fn section(&mut self, info: fn() -> SectionInfo) -> Rc<Section> {
        let new = || {
            let known = info();
            let short = short(&known);
            let keys = known.keys;
            let own = keys.iter().any(|key| is_secret(&key.shape));
            let keys = keys.into_iter().map(|key| {
                let holds = holds(&key.shape, &mut vec![info]);
                Key { name: key.name, holds, flat: is_flat(&key.shape), shape: key.shape }
            });
            let keys: Vec<Key> = keys.collect();
            let holds = keys.iter().any(|key| key.holds);
            Rc::new(Section { keys, short, own, holds })
        };
        Rc::clone(self.sections.entry(info).or_insert_with(new))
    }

    fn kind(&mut self, name: &str) -> Kind {
        if let Some(known) = self.kinds.get(name) {
            return known.clone();
        }
        let kind = match (self.named)(name) {
            None => Kind::Unknown,
            Some(shape) if holds(&shape, &mut Vec::new()) => Kind::Holding(Rc::new(shape)),
            Some(_) => Kind::Open,
        };
        self.kinds.insert(name.to_owned(), kind.clone());
        kind
    }

    /// Whether a value at the place of such a thing is likely to be a secret.
    fn is_close(&mut self, shape: &Shape) -> bool {
        match shape {
            Shape::Section(info) => self.section(*info).own,
            Shape::List(inner) | Shape::Map(inner) => self.is_close(inner),
            Shape::OneOf(shapes) => shapes.iter().any(|shape| self.is_close(shape)),
            shape => is_secret(shape),
        }
    }
}

/// Whether a single value, or a list of them, can be a secret.
fn is_secret(shape: &Shape) -> bool {
    match shape {
        Shape::Text { format, .. } => *format == Shape::SECRET,
        Shape::List(inner) | Shape::Map(inner) => is_secret(inner),
        Shape::OneOf(shapes) => shapes.iter().any(is_secret),
        Shape::Section(info) => short(&info()).is_some_and(|shape| is_secret(&shape)),
        Shape::Any | Shape::Boolean | Shape::Integer { .. } | Shape::Keyword(_) => false,
    }
}

/// Whether it takes single values only, or lists of them.
fn is_flat(shape: &Shape) -> bool {
    match shape {
        Shape::List(inner) => is_flat(inner),
        Shape::OneOf(shapes) => shapes.iter().all(is_flat),
        Shape::Any | Shape::Map(_) | Shape::Section(_) => false,
        Shape::Text { .. } | Shape::Boolean | Shape::Integer { .. } | Shape::Keyword(_) => true,
    }
}

/// Whether a secret can be anywhere in it.
fn holds(shape: &Shape, seen: &mut Vec<fn() -> SectionInfo>) -> bool {
    match shape {
        Shape::Text { format, .. } => *format == Shape::SECRET,
        Shape::List(inner) | Shape::Map(inner) => holds(inner, seen),
        Shape::OneOf(shapes) => shapes.iter().any(|shape| holds(shape, seen)),
        Shape::Section(info) => {
            // A section may hold itself.
            if seen.contains(info) {
                return false;
            }
            seen.push(*info);
            info().keys.iter().any(|key| holds(&key.shape, seen))
        }
        Shape::Any => true,
        Shape::Boolean | Shape::Integer { .. } | Shape::Keyword(_) => false,
    }
}

fn short(info: &SectionInfo) -> Option<Shape> {
    let name = info.short?;
    info.keys.iter().find(|key| key.name == name).map(|key| key.shape.clone())
}

struct Walk<'w, 'a> {
    concealer: &'w mut Concealer<'a>,
    text: &'w str,
    found: Concealed,
    /// Whether the last veil is over what is looked at, so that what may be shown has to be named.
    inside: bool,
}

impl Walk<'_, '_> {
    /// `strict`: it is in a section that has a secret.
    fn value(&mut self, node: &mut Node, shape: &Shape, name: &str, strict: bool) {
        if node.text().is_some_and(has_credentials) {
            return self.all(node);
        }
        match (shape, &mut node.value) {
            // An alias, which was refused.
            (_, Value::Null) if self.written(node.span).starts_with('*') => self.all(node),
            (_, Value::Null) => {}
            (Shape::Any, _) => match self.concealer.kind(name) {
                Kind::Holding(shape) => self.below(node, |walk, node| walk.value(node, &shape, "", true)),
                Kind::Open => self.credentials(node),
                Kind::Unknown => self.all(node),
            },
            (Shape::OneOf(shapes), _) => match meant(shapes, node) {
                Some(meant) => self.value(node, &meant.clone(), name, strict),
                None => self.unfit(node, shape, strict),
            },
            (Shape::Text { format: Shape::SECRET, .. }, Value::Scalar(_)) => self.all(node),
            (Shape::List(inner), Value::List(nodes)) => {
                nodes.iter_mut().for_each(|node| self.value(node, inner, name, strict));
            }
            (Shape::Map(inner), Value::Map(entries)) => {
                for entry in entries {
                    self.show(entry.key.span);
                    self.value(&mut entry.node, inner, &entry.key.value, strict);
                }
            }
            (Shape::Section(info), Value::Map(_)) => {
                let section = self.concealer.section(*info);
                if strict || section.own {
                    self.below(node, |walk, node| walk.section(node, &section, true));
                } else {
                    self.section(node, &section, false);
                }
            }
            (Shape::Section(info), Value::Scalar(_)) => match &self.concealer.section(*info).short {
                Some(shape) => self.value(node, shape, name, strict),
                None => self.unfit(node, shape, strict),
            },
            (_, Value::Scalar(_)) => {
                if fits(shape, node) {
                    self.show(node.span);
                } else {
                    self.unfit(node, shape, strict);
                }
            }
            _ => self.unfit(node, shape, strict),
        }
    }

    fn section(&mut self, node: &mut Node, section: &Section, strict: bool) {
        let Value::Map(entries) = &mut node.value else { return };
        for entry in entries {
            let name = entry.key.value.as_str();
            let known = section.keys.iter().find(|key| key.name == name);
            // What is nearly a key of an outer section is taken for it. In here, it may as well be a secret.
            let meant = || closest(name, section.keys.iter().map(|key| key.name));
            let near = known.or_else(|| {
                let meant = meant().filter(|_| !strict)?;
                section.keys.iter().find(|key| key.name == meant)
            });
            let shown = known.is_some() || if strict { is_word(entry) } else { !entry.is_cut_off() };
            if shown {
                self.show(entry.key.span);
            } else {
                self.key(&entry.key);
            }
            match near {
                Some(key) if key.flat && !strict && !key.holds => {
                    self.unfit(&mut entry.node, &Shape::Any, false);
                }
                Some(key) => self.value(&mut entry.node, &key.shape, key.name, strict),
                None if strict || section.holds => self.all(&mut entry.node),
                None => self.unfit(&mut entry.node, &Shape::Any, false),
            }
        }
    }

    /// Something that does not have the form that it should.
    fn unfit(&mut self, node: &mut Node, shape: &Shape, strict: bool) {
        if strict || self.concealer.is_close(shape) {
            return self.all(node);
        }
        if let (Shape::List(inner), Value::Map(_)) = (shape, &node.value) {
            // One where a list is needed.
            return self.value(node, inner, "", false);
        }
        match &mut node.value {
            Value::Null | Value::Scalar(_) => self.credentials(node),
            Value::List(nodes) => nodes.iter_mut().for_each(|node| self.unfit(node, &Shape::Any, false)),
            Value::Map(_) => self.all(node),
        }
    }

    /// Hides URLs with passwords where nothing else is a secret.
    fn credentials(&mut self, node: &mut Node) {
        match &mut node.value {
            Value::Scalar(scalar) if has_credentials(&scalar.text) => self.all(node),
            Value::Null | Value::Scalar(_) => {}
            Value::List(nodes) => nodes.iter_mut().for_each(|node| self.credentials(node)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| self.credentials(&mut entry.node)),
        }
    }

    /// Does something with a node below a veil.
    fn below(&mut self, node: &mut Node, what: impl FnOnce(&mut Self, &mut Node)) {
        let outermost = !std::mem::replace(&mut self.inside, true);
        if outermost {
            let region = Span { start: node.span.start - self.properties(node.span.start), ..node.span };
            self.found.veils.push(Veil { region, ..Veil::default() });
        }
        what(self, node);
        self.inside = !outermost;
    }

    fn written(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    /// The length of an anchor and a tag in front of a value, which were refused.
    fn properties(&self, start: u32) -> u32 {
        let before = self.text.get(..start as usize).unwrap_or_default();
        let mut rest = before;
        loop {
            let word = rest.trim_end_matches([' ', '\t']);
            let from = word.rfind([' ', '\t', '\n', '[', '{', ',']).map_or(0, |at| at + 1);
            if !word[from..].starts_with(['&', '!']) {
                return u32::try_from(before.len() - rest.len()).unwrap_or(start);
            }
            rest = &word[..from];
        }
    }

    fn show(&mut self, span: Span) {
        if self.inside
            && let Some(veil) = self.found.veils.last_mut()
        {
            veil.shown.push(span);
        }
    }

    fn hide(&mut self, span: Span) {
        match self.found.veils.last_mut() {
            Some(veil) if self.inside => veil.hidden.push(span),
            _ => self.found.veils.push(Veil { region: span, hidden: vec![span], ..Veil::default() }),
        }
    }

    fn key(&mut self, key: &Spanned<String>) {
        self.hide(key.span);
        self.found.hidden.push(Hidden {
            span: key.span,
            parts: vec![key.span],
            texts: vec![key.value.clone()],
        });
    }

    /// Hides everything.
    fn all(&mut self, node: &mut Node) {
        self.below(node, |walk, node| match &mut node.value {
            Value::Null => {}
            Value::Scalar(_) => walk.scalar(node),
            Value::List(nodes) => nodes.iter_mut().for_each(|node| walk.all(node)),
            Value::Map(entries) => {
                for entry in entries {
                    walk.key(&entry.key);
                    walk.all(&mut entry.node);
                }
            }
        });
    }

    /// Hides a single value: all but the quotes around it, and the names of variables and files in it.
    fn scalar(&mut self, node: &mut Node) {
        let span = node.span;
        let Value::Scalar(scalar) = &mut node.value else { return };
        if matches!(self.text.get(span.start as usize..span.end as usize), Some("\"\"" | "''")) {
            return self.show(span);
        }
        scalar.secret = true;
        let origin = scalar.origin(span);
        let filled: Vec<_> = origin.pieces().iter().filter(|piece| piece.filled).copied().collect();
        let mut texts = vec![scalar.text.clone()];
        texts.extend(
            filled
                .iter()
                .filter_map(|piece| scalar.text.get(piece.at..piece.at + piece.len))
                .map(str::to_owned),
        );
        let mut from = span;
        let mut parts: Vec<Span> = filled.iter().map(|piece| piece.place).collect();
        if self.text.get(span.start as usize..).is_some_and(|text| text.starts_with(['"', '\'']))
            && span.len() > 1
        {
            self.show(span.part(0, 1));
            self.show(span.part(span.len() - 1, span.len()));
            from = span.part(1, span.len() - 1);
        }
        for piece in filled {
            let written =
                self.text.get(piece.place.start as usize..piece.place.end as usize).unwrap_or_default();
            let Some(harmless) = harmless_length(written) else { continue };
            let shown = piece.place.part(0, harmless);
            self.show(piece.place);
            self.hide_part(Span { end: shown.start.max(from.start), ..from }, &mut parts);
            from.start = shown.end;
            if harmless < piece.place.len() {
                // A value to use in its place.
                self.hide_part(piece.place.part(harmless, piece.place.len() - 1), &mut parts);
                from.start = piece.place.end;
            }
        }
        self.hide_part(from, &mut parts);
        self.found.hidden.push(Hidden { span, parts, texts });
    }

    fn hide_part(&mut self, span: Span, parts: &mut Vec<Span>) {
        if !span.is_empty() {
            self.hide(span);
            parts.push(span);
        }
    }
}

/// Whether a text may be a URL with a password: with something before an `@` in it, or with one in the query. A password
/// may hold slashes that somebody forgot to encode.
fn has_credentials(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let before = rest.rsplit_once('@').map(|(before, _)| before);
    authority.contains('@') || before.is_some_and(|before| before.contains(':')) || rest.contains("password=")
}

/// Whether a key may be shown although it is not known: a word, with a value of its own.
fn is_word(entry: &Entry) -> bool {
    is_harmless_key(&entry.key.value) && !entry.is_cut_off()
}

/// How much of a `${…}` may be shown; `None` for one that is not well formed.
fn harmless_length(written: &str) -> Option<usize> {
    if written.starts_with("${file:") {
        return Some(written.len());
    }
    let name = written.strip_prefix("${env:")?;
    let rest = name.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let at = written.len() - rest.len();
    match rest {
        "}" => Some(written.len()),
        _ if rest.starts_with(":-") => Some(at + 2),
        _ => None,
    }
}

/// Whether a single value has the form that a shape takes, as far as the shape tells.
fn fits(shape: &Shape, node: &Node) -> bool {
    best(std::slice::from_ref(shape), node).is_some()
}

/// The shape that is meant by a value. Of several that take a single value, that of a secret goes first.
fn meant<'s>(shapes: &'s [Shape], node: &Node) -> Option<&'s Shape> {
    let secret = |shape: &&Shape| is_secret(shape) && fits(shape, node);
    shapes.iter().find(|shape| node.scalar().is_some() && secret(shape)).or_else(|| best(shapes, node))
}

#[cfg(test)]
#[allow(dead_code, reason = "the sections are described here, and never decoded")]
#[path = "conceal_tests.rs"]
mod tests;

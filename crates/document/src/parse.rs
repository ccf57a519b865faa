//! YAML text to a tree.
//!
//! Structure only: what the keys and values mean is decided later. Features of YAML that make a file say
//! something else than what stands there (anchors, merge keys, tags) are refused. Entry point: [`parse()`].

use granit_parser::{Event, Parser, ScalarStyle, Span as YamlSpan, StrInput};

use diagnostics::{Code, Diagnostic, Diagnostics, SourceId, Span, Spanned, Words};

use crate::environment::MAX_FILE;
use crate::node::{Entry, Node, Scalar, Value};
use crate::origin::{Origin, Style};

/// Lists and sections inside each other.
pub const MAX_DEPTH: usize = 64;

/// Values and keys in one file.
pub const MAX_NODES: usize = 2_000_000;

/// Up to this many keys, each is compared with each: that is faster than sorting them.
const FEW_KEYS: usize = 8;

/// How the hash of a password begins.
const HASHES: &[&str] = &["$argon2", "$2a$", "$2b$", "$2y$"];

/// Reads one document.
///
/// Mistakes go to `diagnostics`. Returns `None` when the structure was lost; a text without any value gives
/// [`Value::Null`]. Time and memory grow with the length of the text and no faster.
pub fn parse(source: SourceId, text: &str, diagnostics: &mut Diagnostics) -> Option<Node> {
    draft(source, text, diagnostics).finish(diagnostics)
}

/// What stands in a text, before anything was left out: for those who must know every part of it.
#[derive(Debug)]
pub struct Draft {
    /// The tree. Keys may be there twice; of a broken text, it is what was read of it.
    pub node: Node,
    /// Whether it is all there. If not, it was said why.
    pub complete: bool,
    /// How many bytes were understood. Behind them is nothing but white space and comments if it is complete.
    pub understood: usize,
    /// Keys that were refused, and the values they have: they are not in the tree.
    pub refused: Vec<Span>,
}

/// Reads one document as far as it can be read.
pub fn draft(source: SourceId, text: &str, diagnostics: &mut Diagnostics) -> Draft {
    let options = granit_parser::options! { emit_unresolved_aliases: true };
    let parser = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder {
        parser,
        source,
        text,
        nodes: 0,
        understood: 0,
        refused: Vec::new(),
        broken: false,
        diagnostics,
    };
    if text.len() as u64 > MAX_FILE {
        let message = format!("the file is larger than {} MiB", MAX_FILE >> 20);
        builder.give_up(Diagnostic::error(Code::TooLarge, Span::new(source, 0, 0), message));
    }
    let node = builder.document();
    let Builder { understood, refused, broken, .. } = builder;
    Draft { node, complete: !broken, understood, refused }
}

impl Draft {
    /// The tree, with each key once; what was given twice is reported. `None` when the structure was lost.
    pub fn finish(mut self, diagnostics: &mut Diagnostics) -> Option<Node> {
        if !self.complete {
            return None;
        }
        keep_first(&mut self.node, diagnostics);
        Some(self.node)
    }
}

/// Takes the events of the parser and builds the tree. Once something makes it give up, there are no more events.
struct Builder<'a, 'd> {
    parser: Parser<'a, StrInput<'a>>,
    source: SourceId,
    text: &'a str,
    nodes: usize,
    understood: usize,
    refused: Vec<Span>,
    broken: bool,
    diagnostics: &'d mut Diagnostics,
}

impl<'a> Builder<'a, '_> {
    fn document(&mut self) -> Node {
        let mut root = None;
        let mut documents = 0;
        while let Some((event, at)) = self.next() {
            match event {
                Event::StreamEnd => break,
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        let one = Diagnostic::error(
                            Code::YamlFeature,
                            self.span(at),
                            "a second document begins here",
                        );
                        self.give_up(one.help("put it into a file of its own, and name that in `include`"));
                    }
                }
                event => root = Some(self.node(event, at, 1)),
            }
        }
        root.unwrap_or(Node { span: Span::new(self.source, 0, 0), value: Value::Null })
    }

    fn node(&mut self, event: Event<'a>, at: YamlSpan, depth: usize) -> Node {
        let span = self.span(at);
        self.count(span);
        self.refuse_properties(&event, at);
        let value = match event {
            Event::Scalar(text, ScalarStyle::Plain, ..)
                if matches!(&*text, "" | "~" | "null" | "Null" | "NULL") =>
            {
                Value::Null
            }
            Event::Scalar(text, style, ..) => Value::Scalar(self.scalar(text.into_owned(), style, span)),
            Event::SequenceStart(..) if self.deeper(span, depth) => return self.list(span, depth),
            Event::MappingStart(..) if self.deeper(span, depth) => return self.map(span, depth),
            // An alias, which was reported, or an event of a later version of the parser.
            _ => Value::Null,
        };
        Node { span, value }
    }

    fn scalar(&self, text: String, style: ScalarStyle, span: Span) -> Scalar {
        let written = self.text.get(span.start as usize..span.end as usize).unwrap_or_default();
        let style = match style {
            ScalarStyle::SingleQuoted => Style::Single,
            ScalarStyle::DoubleQuoted => Style::Double,
            ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
            _ => Style::Plain,
        };
        let origin = Origin::read(style, &text, written, span);
        Scalar { text, plain: style == Style::Plain, secret: false, origin, files: None }
    }

    fn list(&mut self, start: Span, depth: usize) -> Node {
        let mut nodes: Vec<Node> = Vec::new();
        let mut span = start;
        while let Some((event, at)) = self.next() {
            let last = nodes.last().map(|node| node.span);
            if event == Event::SequenceEnd {
                span = self.around(start, at, last);
                return Node { span, value: Value::List(nodes) };
            }
            nodes.push(self.node(event, at, depth + 1));
            span = nodes.last().map_or(span, |last| start.to(last.span));
        }
        Node { span, value: Value::List(nodes) }
    }

    fn map(&mut self, start: Span, depth: usize) -> Node {
        let mut entries: Vec<Entry> = Vec::new();
        let mut span = start;
        while let Some((event, at)) = self.next() {
            let last = entries.last().map(|entry| entry.node.span);
            if event == Event::MappingEnd {
                span = self.around(start, at, last);
                return Node { span, value: Value::Map(entries) };
            }
            let key = self.node(event, at, depth + 1);
            let mut node = match self.next() {
                Some((event, at)) => self.node(event, at, depth + 1),
                None => Node { span: key.span, value: Value::Null },
            };
            if node.value == Value::Null && self.is_cut_off(&key, &node) {
                node.span = Span { start: key.span.end, ..key.span };
            }
            span = start.to(key.span).to(node.span);
            let is_joined = entries.last_mut().is_some_and(|before| self.join(before, &key, &node));
            if !is_joined {
                self.entry(key, node, &mut entries);
            }
        }
        Node { span, value: Value::Map(entries) }
    }

    /// Whether there is no colon behind a key.
    fn is_cut_off(&self, key: &Node, node: &Node) -> bool {
        let (end, start) = (key.span.end as usize, node.span.start as usize);
        let between = self.text.get(end..start.max(end)).unwrap_or_default();
        let behind = self.text.get(start.max(end)..).unwrap_or_default();
        !between.contains(':') && !behind.trim_start().starts_with(':')
    }

    /// Adds an entry, unless its key is one that is refused.
    fn entry(&mut self, key: Node, node: Node, entries: &mut Vec<Entry>) {
        let (code, message, help) = match key.value {
            Value::Scalar(scalar) if scalar.plain && scalar.text == "<<" => {
                (Code::YamlFeature, "merge keys are not part of the language", "write the keys out")
            }
            Value::Scalar(scalar) => {
                entries.push(Entry { key: Spanned::new(scalar.text, key.span), node });
                return;
            }
            Value::Null => {
                (Code::YamlSyntax, "a key is missing in front of `:`", "write a key, or put it in quotes")
            }
            Value::List(_) | Value::Map(_) => {
                (Code::YamlFeature, "a key must be text", "put the key in quotes if it is meant to be text")
            }
        };
        self.refused.push(key.span.to(node.span));
        if !self.broken {
            self.diagnostics.push(Diagnostic::error(code, key.span, message).help(help));
        }
    }

    /// Joins the hash of a password that has commas in it, and was cut at one because it is not in quotes: nothing
    /// else begins in this way. Says whether this entry was a part of it.
    fn join(&mut self, before: &mut Entry, key: &Node, node: &Node) -> bool {
        let Entry { node: Node { span, value: Value::Scalar(before) }, .. } = before else {
            return false;
        };
        let between = self.text.get(span.end as usize..key.span.start as usize);
        let cut = before.plain
            && HASHES.iter().any(|begin| before.text.starts_with(begin))
            && between == Some(",")
            && node.value == Value::Null
            && node.span.start == key.span.end;
        let whole = span.to(key.span);
        let text = self.text.get(whole.start as usize..whole.end as usize);
        let Some(text) = text.filter(|_| cut) else { return false };
        if !before.text.contains(',') {
            let one = Diagnostic::error(
                Code::InvalidValue,
                whole,
                "this hash of a password is cut at its first comma",
            );
            let help = "put it in quotes: in `{…}` a value ends at a comma";
            self.diagnostics.push(one.label("this is meant to be one value").help(help));
        }
        (before.text, *span) = (text.to_owned(), whole);
        true
    }

    fn refuse_properties(&mut self, event: &Event<'_>, at: YamlSpan) {
        let span = self.span(at);
        let (span, what, help) = match event {
            Event::Alias(_) | Event::UnresolvedAlias(_) => (
                span,
                "aliases are not part of the language",
                "write the value out; put a text that begins with `*` in quotes",
            ),
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(_, anchor, _)
            | Event::MappingStart(_, anchor, _)
                if *anchor != 0 =>
            {
                (
                    span,
                    "anchors are not part of the language",
                    "remove the anchor; put a text that begins with `&` in quotes",
                )
            }
            _ if event.tag().is_some() => (
                at.tag_span().map_or(span, |tag| self.span(tag)),
                "tags are not part of the language",
                "remove the tag; put a text that begins with `!` in quotes",
            ),
            _ => return,
        };
        self.diagnostics.push(Diagnostic::error(Code::YamlFeature, span, what).help(help));
    }

    fn deeper(&mut self, span: Span, depth: usize) -> bool {
        if depth > MAX_DEPTH {
            let message = format!("lists and sections are nested more than {MAX_DEPTH} deep");
            self.give_up(Diagnostic::error(Code::TooLarge, span, message));
        }
        depth <= MAX_DEPTH
    }

    fn count(&mut self, span: Span) {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let message = format!("the file has more than {MAX_NODES} values");
            self.give_up(Diagnostic::error(Code::TooLarge, span, message));
        }
    }

    /// Says why, once, and reads no further.
    fn give_up(&mut self, why: Diagnostic) {
        if !self.broken {
            self.diagnostics.push(why);
        }
        self.broken = true;
    }

    fn next(&mut self) -> Option<(Event<'a>, YamlSpan)> {
        if self.broken {
            return None;
        }
        match self.parser.next_event() {
            Some(Ok((event, at))) => {
                self.understood = self.understood.max(self.span(at).end as usize);
                Some((event, at))
            }
            Some(Err(error)) => {
                let length = self.text.len();
                let at = error.marker().byte_offset().unwrap_or(length).min(length);
                let span = Span::new(self.source, at, (at + 1).min(length));
                let message = Words::fixed(format!("this is not valid YAML: {}", error.info()));
                let help = "check indentation, brackets and quotes here and in the line before; \
                            put values with `{`, `[`, `: ` or ` #` in quotes";
                self.give_up(Diagnostic::error(Code::YamlSyntax, span, message).help(help));
                None
            }
            None => None,
        }
    }

    fn span(&self, at: YamlSpan) -> Span {
        let start = at.start.byte_offset().unwrap_or(0);
        Span::new(self.source, start, at.end.byte_offset().unwrap_or(start))
    }

    /// The place of a list or section: to its closing bracket, or to the end of the last value in it.
    fn around(&self, start: Span, end: YamlSpan, last: Option<Span>) -> Span {
        let end = self.span(end);
        if end.is_empty() { last.map_or(start, |last| start.to(last)) } else { start.to(end) }
    }
}

/// Reports keys that are given twice, and keeps the first of each.
fn keep_first(node: &mut Node, diagnostics: &mut Diagnostics) {
    match &mut node.value {
        Value::Null | Value::Scalar(_) => {}
        Value::List(nodes) => nodes.iter_mut().for_each(|node| keep_first(node, diagnostics)),
        Value::Map(entries) => {
            entries.iter_mut().for_each(|entry| keep_first(&mut entry.node, diagnostics));
            unique(entries, diagnostics);
        }
    }
}

fn unique(entries: &mut Vec<Entry>, diagnostics: &mut Diagnostics) {
    let mut repeats: Vec<(usize, usize)> = Vec::new();
    if entries.len() <= FEW_KEYS {
        for (at, entry) in entries.iter().enumerate() {
            let first = entries.iter().position(|other| other.key == entry.key).unwrap_or(at);
            if first < at {
                repeats.push((first, at));
            }
        }
    } else {
        let mut order: Vec<usize> = (0..entries.len()).collect();
        order.sort_by(|a, b| entries[*a].key.value.cmp(&entries[*b].key.value).then(a.cmp(b)));
        for same in order.chunk_by(|a, b| entries[*a].key == entries[*b].key) {
            repeats.extend(same.iter().skip(1).map(|at| (same[0], *at)));
        }
        repeats.sort_by_key(|(_, at)| *at);
    }
    if repeats.is_empty() {
        return;
    }
    for &(first, at) in &repeats {
        let key = &entries[at].key;
        let message = format!("the key `{}` is given twice", key.value);
        diagnostics.push(
            Diagnostic::error(Code::DuplicateKey, key.span, message)
                .label("here again")
                .related(entries[first].key.span, "first here")
                .help("remove one, or join the two"),
        );
    }
    let mut keep = vec![true; entries.len()];
    repeats.iter().for_each(|(_, at)| keep[*at] = false);
    let mut keep = keep.into_iter();
    entries.retain(|_| keep.next() == Some(true));
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;

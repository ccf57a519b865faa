//! YAML text to a tree.
//!
//! Structure only: what the keys and values mean is decided later. Features of YAML that make a file say
//! something else than what stands there (anchors, merge keys, tags) are refused. Entry point: [`parse()`].

use granit_parser::{Event, Parser, ScalarStyle, Span as YamlSpan, StrInput};

use diagnostics::{Code, Diagnostic, Diagnostics, SourceId, Span, Spanned};

use crate::environment::MAX_FILE;
use crate::node::{Entry, Node, Scalar, Value};

/// Lists and sections inside each other.
pub const MAX_DEPTH: usize = 64;

/// Values and keys in one file.
pub const MAX_NODES: usize = 2_000_000;

/// Up to this many keys, each is compared with each: that is faster than sorting them.
const FEW_KEYS: usize = 8;

/// Reads one document.
///
/// Mistakes go to `diagnostics`. Returns `None` when the structure was lost; a text without any value gives
/// [`Value::Null`]. Time and memory grow with the length of the text and no faster.
pub fn parse(source: SourceId, text: &str, diagnostics: &mut Diagnostics) -> Option<Node> {
    if text.len() as u64 > MAX_FILE {
        let message = format!("the file is larger than {} MiB", MAX_FILE >> 20);
        diagnostics.push(Diagnostic::error(Code::TooLarge, Span::new(source, 0, 0), message));
        return None;
    }
    let options = granit_parser::options! { emit_unresolved_aliases: true };
    let parser = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder { parser, source, length: text.len(), nodes: 0, diagnostics };
    builder.document()
}

/// Takes the events of the parser and builds the tree. `None` means: reported, and not to be continued.
struct Builder<'a, 'd> {
    parser: Parser<'a, StrInput<'a>>,
    source: SourceId,
    length: usize,
    nodes: usize,
    diagnostics: &'d mut Diagnostics,
}

impl<'a> Builder<'a, '_> {
    fn document(&mut self) -> Option<Node> {
        let mut root = None;
        let mut documents = 0;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => break,
                (Event::StreamStart | Event::DocumentEnd, _) => {}
                (Event::DocumentStart(..), at) => {
                    documents += 1;
                    if documents > 1 {
                        let span = self.span(at);
                        let message = "a second document begins here";
                        let one = Diagnostic::error(Code::YamlFeature, span, message);
                        self.diagnostics
                            .push(one.help("put it into a file of its own, and name that in `include`"));
                        return None;
                    }
                }
                (event, at) => root = Some(self.node(event, at, 1)?),
            }
        }
        Some(root.unwrap_or(Node { span: Span::new(self.source, 0, 0), value: Value::Null }))
    }

    fn node(&mut self, event: Event<'a>, at: YamlSpan, depth: usize) -> Option<Node> {
        let span = self.span(at);
        self.count(span)?;
        self.refuse_properties(&event, at);
        match event {
            Event::Scalar(text, style, ..) => {
                let plain = style == ScalarStyle::Plain;
                if plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL") {
                    return Some(Node { span, value: Value::Null });
                }
                let scalar = Scalar { text: text.into_owned(), plain, secret: false, files: None };
                Some(Node { span, value: Value::Scalar(scalar) })
            }
            Event::SequenceStart(..) => self.deeper(span, depth).and_then(|()| self.list(span, depth)),
            Event::MappingStart(..) => self.deeper(span, depth).and_then(|()| self.map(span, depth)),
            // An alias, which was reported, or an event of a later version of the parser.
            _ => Some(Node { span, value: Value::Null }),
        }
    }

    fn list(&mut self, start: Span, depth: usize) -> Option<Node> {
        let mut nodes = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, at) => {
                    let span = self.around(start, at, nodes.last().map(|node: &Node| node.span));
                    return Some(Node { span, value: Value::List(nodes) });
                }
                (event, at) => nodes.push(self.node(event, at, depth + 1)?),
            }
        }
    }

    fn map(&mut self, start: Span, depth: usize) -> Option<Node> {
        let mut entries = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::MappingEnd {
                let span = self.around(start, at, entries.last().map(|entry: &Entry| entry.node.span));
                self.unique(&mut entries);
                return Some(Node { span, value: Value::Map(entries) });
            }
            let key = self.key(event, at, depth)?;
            let (event, at) = self.next()?;
            let node = self.node(event, at, depth + 1)?;
            entries.extend(key.map(|key| Entry { key, node }));
        }
    }

    /// The key of an entry; `Some(None)` when it was refused and the entry is left out.
    fn key(&mut self, event: Event<'a>, at: YamlSpan, depth: usize) -> Option<Option<Spanned<String>>> {
        let node = self.node(event, at, depth + 1)?;
        let (code, message, help) = match node.value {
            Value::Scalar(scalar) if scalar.plain && scalar.text == "<<" => {
                (Code::YamlFeature, "merge keys are not part of the language", "write the keys out")
            }
            Value::Scalar(scalar) => return Some(Some(Spanned::new(scalar.text, node.span))),
            Value::Null => {
                (Code::YamlSyntax, "a key is missing in front of `:`", "write a key, or put it in quotes")
            }
            Value::List(_) | Value::Map(_) => {
                (Code::YamlFeature, "a key must be text", "put the key in quotes if it is meant to be text")
            }
        };
        self.diagnostics.push(Diagnostic::error(code, node.span, message).help(help));
        Some(None)
    }

    /// Reports keys that are given twice, and keeps the first of each.
    fn unique(&mut self, entries: &mut Vec<Entry>) {
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
        for &(first, at) in &repeats {
            let key = &entries[at].key;
            self.diagnostics.push(
                Diagnostic::error(
                    Code::DuplicateKey,
                    key.span,
                    format!("the key `{}` is given twice", key.value),
                )
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

    fn refuse_properties(&mut self, event: &Event<'_>, at: YamlSpan) {
        let span = self.span(at);
        let (span, what) = match event {
            Event::Alias(_) | Event::UnresolvedAlias(_) => (span, "aliases"),
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(_, anchor, _)
            | Event::MappingStart(_, anchor, _)
                if *anchor != 0 =>
            {
                (span, "anchors")
            }
            _ if event.tag().is_some() => (at.tag_span().map_or(span, |tag| self.span(tag)), "tags"),
            _ => return,
        };
        let message = format!("{what} are not part of the language");
        let help = match what {
            "tags" => "remove the tag; put a text that begins with `!` in quotes",
            "aliases" => "write the value out; put a text that begins with `*` in quotes",
            _ => "remove the anchor; put a text that begins with `&` in quotes",
        };
        self.diagnostics.push(Diagnostic::error(Code::YamlFeature, span, message).help(help));
    }

    fn deeper(&mut self, span: Span, depth: usize) -> Option<()> {
        if depth <= MAX_DEPTH {
            return Some(());
        }
        let message = format!("lists and sections are nested more than {MAX_DEPTH} deep");
        self.diagnostics.push(Diagnostic::error(Code::TooLarge, span, message));
        None
    }

    fn count(&mut self, span: Span) -> Option<()> {
        self.nodes += 1;
        if self.nodes <= MAX_NODES {
            return Some(());
        }
        let message = format!("the file has more than {MAX_NODES} values");
        self.diagnostics.push(Diagnostic::error(Code::TooLarge, span, message));
        None
    }

    fn next(&mut self) -> Option<(Event<'a>, YamlSpan)> {
        match self.parser.next_event()? {
            Ok(event) => Some(event),
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(self.length).min(self.length);
                let span = Span::new(self.source, at, (at + 1).min(self.length));
                let message = format!("this is not valid YAML: {}", error.info());
                let help = "check indentation, brackets and quotes here and in the line before; \
                            put values with `{`, `[`, `: ` or ` #` in quotes";
                self.diagnostics.push(Diagnostic::error(Code::YamlSyntax, span, message).help(help));
                None
            }
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

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;

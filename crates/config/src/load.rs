//! From a path to the model: read, include, fill in, join, decode.
//!
//! Everything outside comes through an [`Environment`]. Entry points: [`load`], [`load_text`].

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use diagnostics::{Code, Diagnostic, Diagnostics, Hidden, Sources, Span, Spanned};
use document::{
    Concealer, Decode, Draft, Entry, Environment, MAX_FILE, Node, Shape, Value, draft, interpolate, reason,
};

use crate::attach::attach;
use crate::files::{expand, of_folder, tidy};
use crate::merge::Merged;
use crate::model::Config;
use crate::policies::PolicyShapes;

/// Files that include each other: this deep.
const MAX_DEPTH: usize = 16;

/// Files of one configuration.
const MAX_FILES: usize = 1000;

/// What became of the files.
#[derive(Debug)]
pub struct Loaded {
    /// Every text that was read, for showing the diagnostics.
    pub sources: Sources,
    /// What the user wrote. It may be there in spite of errors, so that more of them can be found: look at
    /// `diagnostics` before using it.
    pub config: Option<Config>,
    /// The tree that `config` was made of: all files joined, with the values from outside filled in. See
    /// [`effective`](crate::effective()).
    pub tree: Option<Node>,
    /// Everything there is to say.
    pub diagnostics: Diagnostics,
    /// What is not to be said of values from the environment and from files, and of secrets.
    pub unsaid: Unsaid,
}

/// What is not to be said.
#[derive(Debug, Default)]
pub struct Unsaid {
    /// Values that are not to be repeated.
    hidden: Vec<Hidden>,
    /// Values that could not be filled in.
    unfilled: Vec<Span>,
    /// Why they could not. Whatever else is wrong with them follows from that.
    reasons: Vec<Diagnostic>,
}

impl Unsaid {
    /// Takes it out of what was found, also by others who looked at the configuration: whole diagnostics where a
    /// value could not be filled in, and the value itself where it is not to be repeated.
    pub fn take_from(&self, diagnostics: &mut Diagnostics) {
        if !self.unfilled.is_empty() {
            diagnostics.retain(|one| !self.follows(one));
        }
        diagnostics.hide(&self.hidden);
    }

    /// Whether it is so only because a value could not be filled in.
    fn follows(&self, one: &Diagnostic) -> bool {
        // Whoever would have had the value may be the one that is missed elsewhere.
        let missed = matches!(one.code, Code::NoCredentials | Code::UnknownConsumer);
        missed || (self.is_unfilled(one) && !self.reasons.contains(one))
    }

    fn is_unfilled(&self, one: &Diagnostic) -> bool {
        let mut spans = one.span.iter().chain(one.related.iter().map(|(span, _)| span));
        spans.any(|span| self.unfilled.iter().any(|place| place.holds(*span)))
    }
}

/// Reads a file, or every `*.yaml` and `*.yml` of a folder in the order of their names, with all that they
/// include. `policies` gives the shape of the settings of a kind of policy, which may name files.
pub fn load(path: &Path, environment: &dyn Environment, policies: PolicyShapes) -> Loaded {
    let mut loader = Loader { policies, ..Loader::new(environment) };
    match of_folder(path, environment) {
        Ok(files) if files.is_empty() => {
            loader.unreadable(path, "there is no file in it that ends in `.yaml` or `.yml`");
        }
        Ok(files) => files.iter().for_each(|file| loader.read(file, None, 0)),
        Err(_) => loader.read(&tidy(path), None, 0),
    }
    loader.finish()
}

/// Reads a text as if it were the file `name`; what it includes is read from the environment. Nothing is known of
/// policies, not even that they could have secrets.
pub fn load_text(name: &str, text: &str, environment: &dyn Environment) -> Loaded {
    let mut loader = Loader { policies: |_| Some(Shape::TEXT), ..Loader::new(environment) };
    loader.seen.insert(tidy(Path::new(name)));
    loader.take(Path::new(name), text, 0);
    loader.finish()
}

struct Loader<'a> {
    environment: &'a dyn Environment,
    policies: PolicyShapes,
    sources: Sources,
    diagnostics: Diagnostics,
    seen: HashSet<PathBuf>,
    merged: Merged,
    /// The place of the first file that says something, which stands for the whole.
    whole: Option<Span>,
    /// The first file that says nothing.
    empty: Option<Span>,
    unsaid: Unsaid,
    /// Whether a file lost its structure, so that what is missing says nothing.
    broken: bool,
}

impl<'a> Loader<'a> {
    fn new(environment: &'a dyn Environment) -> Self {
        Self {
            environment,
            policies: |_| None,
            sources: Sources::new(),
            diagnostics: Diagnostics::new(),
            seen: HashSet::new(),
            merged: Merged::default(),
            whole: None,
            empty: None,
            unsaid: Unsaid::default(),
            broken: false,
        }
    }

    fn finish(mut self) -> Loaded {
        if let (None, Some(place), false) = (self.whole, self.empty, self.broken) {
            let message = "the configuration is empty";
            self.diagnostics.push(Diagnostic::error(Code::UnreadableFile, place, message).help(BEGIN));
        }
        let mut tree = self.whole.filter(|_| !self.broken).map(|span| self.merged.into_node(span));
        if let Some(tree) = &mut tree {
            attach(tree, &self.sources, self.environment, self.policies);
        }
        let mut mistakes = Diagnostics::new();
        let config = tree.as_ref().and_then(|tree| Config::decode(tree, &mut mistakes));
        let Self { sources, mut diagnostics, mut unsaid, .. } = self;
        unsaid.take_from(&mut mistakes);
        diagnostics.hide(&unsaid.hidden);
        unsaid.reasons = diagnostics.iter().filter(|one| unsaid.is_unfilled(one)).cloned().collect();
        diagnostics.append(mistakes);
        Loaded { sources, config, tree, diagnostics, unsaid }
    }

    /// Reads one file. `from` is the `include` that names it.
    fn read(&mut self, path: &Path, from: Option<Span>, depth: usize) {
        if !self.seen.insert(path.to_path_buf()) {
            let message = format!("`{}` is included more than once", path.display());
            let help = "each file is read once: remove the `include` that names it again";
            self.diagnostics.push(Diagnostic::error(Code::IncludeCycle, from, message).help(help));
            return;
        }
        if depth > MAX_DEPTH || self.seen.len() > MAX_FILES {
            let message =
                format!("more than {MAX_DEPTH} files inside each other, or more than {MAX_FILES} in all");
            self.diagnostics.push(Diagnostic::error(Code::TooLarge, from, message));
            self.broken = true;
            return;
        }
        match self.environment.read(path, MAX_FILE) {
            Ok(text) => self.take(path, &text, depth),
            Err(error) => {
                self.broken = true;
                let why = reason(&error);
                match from {
                    None if error.kind() == ErrorKind::NotFound => {
                        self.unreadable(path, "there is no such file");
                    }
                    None => self.unreadable(path, &why),
                    Some(place) => {
                        let message = format!("the file `{}` cannot be included: {why}", path.display());
                        let help = "the path is relative to the file that holds the `include`";
                        self.diagnostics
                            .push(Diagnostic::error(Code::IncludeNotFound, place, message).help(help));
                    }
                }
            }
        }
    }

    /// Takes in the text of one file, and then of all that it includes.
    fn take(&mut self, path: &Path, text: &str, depth: usize) {
        let source = self.sources.add(path.display().to_string(), text);
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut draft = draft(source, text, &mut self.diagnostics);
        self.fill_in(&mut draft, folder);
        let concealed = Concealer::new(&self.policies).conceal(&mut draft, &Config::shape(), text);
        concealed.veils.iter().for_each(|veil| self.sources.hide(veil));
        self.unsaid.hidden.extend(concealed.hidden);
        collect_filled(&draft.node, &mut self.unsaid.hidden);
        let Some(node) = draft.finish(&mut self.diagnostics) else {
            self.broken = true;
            return;
        };
        let span = node.span;
        let entries = match node.value {
            Value::Map(entries) => entries,
            // Fine where another file says something.
            Value::Null => {
                self.empty.get_or_insert(span);
                return;
            }
            _ => {
                let wanted = "a section with keys such as `listen`, `services`, `routes`";
                self.diagnostics.push(Node { span, ..node }.wrong_type(wanted));
                self.broken = true;
                return;
            }
        };
        self.whole.get_or_insert(span);
        let mut includes = Vec::new();
        for entry in entries {
            if entry.key.value == "include" {
                includes.extend(self.includes(&entry));
            } else {
                self.merged.add(entry, &mut self.diagnostics);
            }
        }
        for include in includes {
            self.include(&include, folder, depth + 1);
        }
    }

    /// Fills in what is taken from outside, if the text is not broken.
    fn fill_in(&mut self, draft: &mut Draft, folder: &Path) {
        let Value::Map(entries) = &mut draft.node.value else { return };
        for entry in entries.iter_mut().filter(|_| draft.complete) {
            // What is refused anyway may refer to things that this version does not know. Which files there are, the
            // files say themselves.
            if !is_not_built(&entry.key) && entry.key.value != "include" {
                let failed = interpolate(&mut entry.node, self.environment, folder, &mut self.diagnostics);
                self.unsaid.unfilled.extend(failed);
            }
        }
    }

    /// The paths and patterns of an `include`.
    fn includes(&mut self, entry: &Entry) -> Vec<Spanned<String>> {
        Vec::decode(&entry.node, &mut self.diagnostics).unwrap_or_default()
    }

    fn include(&mut self, pattern: &Spanned<String>, folder: &Path, depth: usize) {
        match expand(pattern, folder, self.environment) {
            Ok(paths) if paths.is_empty() => {
                let message = format!("`{}` matches no file", pattern.value);
                self.diagnostics.push(
                    Diagnostic::warning(Code::IncludeNotFound, pattern.span, message)
                        .help("nothing is included; correct the pattern if that is not meant"),
                );
            }
            Ok(paths) => paths.iter().for_each(|path| self.read(path, Some(pattern.span), depth)),
            Err(why) => {
                let message = format!("`{}` cannot be included: {why}", pattern.value);
                let help = "write the path of a file, or a pattern such as `conf.d/*.yaml`";
                let one = Diagnostic::error(Code::IncludeNotFound, pattern.span, message).help(help);
                self.diagnostics.push(one);
                self.broken = true;
            }
        }
    }

    fn unreadable(&mut self, path: &Path, why: &str) {
        let message = format!("the configuration `{}` cannot be read: {why}", path.display());
        self.diagnostics.push(Diagnostic::error(Code::UnreadableFile, None, message).help(BEGIN));
        self.broken = true;
    }
}

/// Values that came from outside, whatever they are.
fn collect_filled(node: &Node, hidden: &mut Vec<Hidden>) {
    match &node.value {
        Value::Null => {}
        Value::Scalar(_) => hidden.extend(node.filled()),
        Value::List(nodes) => nodes.iter().for_each(|node| collect_filled(node, hidden)),
        Value::Map(entries) => entries.iter().for_each(|entry| collect_filled(&entry.node, hidden)),
    }
}

/// Whether a key of the top level is one that this version refuses.
fn is_not_built(key: &str) -> bool {
    Config::info().not_built.iter().any(|(later, _)| *later == key)
}

/// How to begin.
const BEGIN: &str = "\
name another file with `-c`, or begin with these lines in `gateward.yaml`:
listen: 0.0.0.0:8080
services:
  app:
    endpoints: [http://127.0.0.1:3000]
routes:
  - { path: /*, service: app }";

//! Checks and prepares the policy: one automaton for all programs of a list.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use regex_automata::MatchKind;
use regex_automata::dfa::{StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;

use super::config::{Empty, Raw};
use super::run::{Programs, Ready};
use crate::Compiling;

/// The word that stands for [`AI_CRAWLERS`].
const AI_CRAWLERS_WORD: &str = "ai_crawlers";

/// Programs that collect pages to train language models, or for them to search in, as their operators document them.
/// Not those that fetch one page because a person has asked for it. `Google-Extended` and `Applebot-Extended` are
/// missing, because they are words for `robots.txt` only: no request carries them.
const AI_CRAWLERS: &[&str] = &[
    "AI2Bot",
    "Amazonbot",
    "anthropic-ai",
    "Bytespider",
    "CCBot",
    "ClaudeBot",
    "Claude-SearchBot",
    "Claude-Web",
    "cohere-ai",
    "cohere-training-data-crawler",
    "Diffbot",
    "DuckAssistBot",
    "FacebookBot",
    "Google-CloudVertexBot",
    "GPTBot",
    "ImagesiftBot",
    "meta-externalagent",
    "OAI-SearchBot",
    "omgili",
    "PanguBot",
    "PerplexityBot",
    "PetalBot",
    "TikTokSpider",
    "Timpibot",
    "Webzio-Extended",
    "YouBot",
];

/// The longest entry, in bytes.
const MAX_ENTRY: usize = 1024;
/// The most entries of a list.
const MAX_ENTRIES: usize = 1000;
/// Memory for the automaton of a list, and for making it.
const MAX_AUTOMATON: usize = 4 << 20;
/// How deep groups may nest.
const NESTING: u32 = 64;

/// The policy, ready to run.
pub fn compile(raw: &Raw, cx: &mut Compiling<'_>) -> Option<Ready> {
    let diagnostics = &mut *cx.diagnostics;
    let deny = programs("deny", &raw.deny, diagnostics);
    let allow = programs("allow", &raw.allow, diagnostics);
    let ready = Ready { deny: deny?, allow: allow?, refuse_empty: raw.empty == Empty::Refuse };
    (!diagnostics.has_error_in(raw.span)).then_some(ready)
}

/// One automaton for a list. The inner `None` is an empty one.
fn programs(key: &str, list: &[Spanned<String>], diagnostics: &mut Diagnostics) -> Option<Option<Programs>> {
    let Some(first) = list.first() else { return Some(None) };
    if list.len() > MAX_ENTRIES {
        let message = format!("`{key}` has more than {MAX_ENTRIES} entries");
        diagnostics.push(
            Diagnostic::error(Code::TooLarge, first.span, message)
                .help("keep what many programs have in common, such as `bot`"),
        );
        return None;
    }
    let entries: Vec<Option<Entry<'_>>> = list.iter().map(|entry| checked(entry, diagnostics)).collect();
    let entries = entries.into_iter().collect::<Option<Vec<_>>>()?;
    match automaton(&entries) {
        Ok(programs) => Some(Some(programs)),
        Err(_) => {
            let message = format!("`{key}` needs too much memory");
            diagnostics
                .push(Diagnostic::error(Code::InvalidRegex, first.span, message).label("this list").help(
                "make its regular expressions simpler: repetitions such as `{1,500}` and `.*` in the middle \
                     cost most",
            ));
            None
        }
    }
}

/// What an entry of a list is.
enum Entry<'a> {
    /// Parts of a name, as they are.
    Plain(Vec<&'a str>),
    /// A regular expression.
    Regex(&'a str),
}

/// An entry, if it can be used.
fn checked<'a>(entry: &'a Spanned<String>, diagnostics: &mut Diagnostics) -> Option<Entry<'a>> {
    let text = entry.value.as_str();
    if text == AI_CRAWLERS_WORD {
        return Some(Entry::Plain(AI_CRAWLERS.to_vec()));
    }
    let mut refuse = |code, message: String, help: &'static str| {
        diagnostics.push(Diagnostic::error(code, entry.span, message).help(help));
        None
    };
    let source = text.strip_prefix('~').unwrap_or(text);
    if source.trim().is_empty() {
        let help =
            "write a part of the `user-agent`, such as `curl/`; `empty: refuse` refuses requests without one";
        return refuse(Code::InvalidValue, "an empty entry would match every program".to_owned(), help);
    }
    if source.len() > MAX_ENTRY {
        let message = format!("an entry is longer than {MAX_ENTRY} bytes");
        return refuse(Code::TooLarge, message, "write a part of it");
    }
    if source.len() == text.len() {
        return Some(Entry::Plain(vec![text]));
    }
    match syntax::parse_with(source, &syntax_config()) {
        Ok(hir) if hir.properties().minimum_len() == Some(0) && hir.properties().look_set().is_empty() => {
            let message = format!("the regular expression `{source}` matches every program");
            let help = "write what has to be there; `~.` matches all that have a `user-agent`";
            refuse(Code::InvalidRegex, message, help)
        }
        Ok(_) => Some(Entry::Regex(source)),
        Err(error) => {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim();
            let why = why.strip_prefix("error: ").unwrap_or(why);
            let help = "without `~` in front, an entry is a plain part of the `user-agent`";
            refuse(Code::InvalidRegex, format!("the regular expression is not valid: {why}"), help)
        }
    }
}

fn syntax_config() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false).case_insensitive(true).nest_limit(NESTING)
}

/// Made whole beforehand, and not while requests are served: it needs no memory then, and no lock.
///
/// It is asked with names in lower case. So plain entries need not be taken in both cases: as an alternation of
/// texts they become one tree, without which a thousand of them would take seconds.
fn automaton(entries: &[Entry<'_>]) -> Result<Programs, Box<dense::BuildError>> {
    let mut plain = String::new();
    let mut patterns = Vec::new();
    let mut parts: Vec<Box<str>> = Vec::new();
    for entry in entries {
        match entry {
            Entry::Plain(texts) => texts.iter().for_each(|text| {
                plain.push_str(if plain.is_empty() { "(?-i)" } else { "|" });
                escape(text, &mut plain);
                parts.push((*text).into());
            }),
            Entry::Regex(source) => patterns.push(*source),
        }
    }
    let regexes = patterns.iter().map(|source| (*source).into()).collect();
    patterns.extend((!plain.is_empty()).then_some(plain.as_str()));
    let config = dense::Config::new()
        .match_kind(MatchKind::All)
        .start_kind(StartKind::Unanchored)
        .dfa_size_limit(Some(MAX_AUTOMATON))
        .determinize_size_limit(Some(MAX_AUTOMATON));
    let automaton = dense::Builder::new()
        .configure(config)
        .syntax(syntax_config())
        .thompson(thompson::Config::new().utf8(false).nfa_size_limit(Some(MAX_AUTOMATON)))
        .build_many(&patterns)?;
    Ok(Programs { automaton: Box::new(automaton), regexes, plain: parts.into() })
}

/// Appends a regular expression for a text in lower case.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        if "\\.+*?()|[]{}^$#&-~".contains(c) {
            out.push('\\');
        }
        out.push(c.to_ascii_lowercase());
    }
}

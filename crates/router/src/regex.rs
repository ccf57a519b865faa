//! Regexes over bytes, in linear time and bounded memory.
//!
//! It must not know what is matched. Entry point: [`ByteRegex::parse`].

use regex_automata::Input;
use regex_automata::meta::{Config, Regex};
use regex_automata::util::{primitives::PatternID, syntax};

use crate::captures::{Captures, MAX_CAPTURES};
use crate::error::PatternError;
use crate::limits::MAX_PATTERN_BYTES;

/// Memory for the automaton of one regex. Also bounds the time per byte of input.
pub(crate) const AUTOMATON_BYTES: usize = 256 << 10;
/// Memory for the lazily built states of one regex and thread.
const LAZY_BYTES: usize = 256 << 10;
/// How deep groups may nest.
const NESTING: u32 = 64;

/// A compiled regex. It works on bytes: classes such as `\d` and `\w` are ASCII, `.` is any byte but
/// a line feed, and input need not be UTF-8. Anchors are up to the user.
#[derive(Clone, Debug)]
pub(crate) struct ByteRegex {
    source: Box<str>,
    regex: Regex,
    /// Every match begins at the start of the input, with these bytes: most inputs fail by a comparison.
    start: Box<[u8]>,
}

impl ByteRegex {
    pub(crate) fn parse(source: &str) -> Result<Self, PatternError> {
        if source.is_empty() {
            return Err(PatternError::Empty);
        }
        if source.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::TooLong);
        }
        let config = Config::new()
            .utf8_empty(false)
            .nfa_size_limit(Some(AUTOMATON_BYTES))
            .onepass_size_limit(Some(AUTOMATON_BYTES))
            .hybrid_cache_capacity(LAZY_BYTES);
        let regex =
            Regex::builder().syntax(syntax()).configure(config).build(source).map_err(|error| {
                match (error.size_limit(), error.syntax_error()) {
                    (Some(_), _) => PatternError::RegexTooLarge,
                    (None, Some(syntax)) => PatternError::Regex(reason(&syntax.to_string()).into()),
                    (None, None) => PatternError::Regex(error.to_string().into()),
                }
            })?;
        Ok(Self { source: source.into(), regex, start: literal_start(source).into() })
    }

    /// As the user wrote it.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// What every match begins with, at the start of the input; empty where nothing is known.
    pub(crate) fn start(&self) -> &[u8] {
        &self.start
    }

    /// The groups in order; a group without a name is called by its number.
    pub(crate) fn group_names(&self) -> Vec<Box<str>> {
        let names = self.regex.group_info().pattern_names(PatternID::ZERO);
        names
            .enumerate()
            .skip(1)
            .map(|(number, name)| name.map_or_else(|| number.to_string().into(), Box::from))
            .collect()
    }

    pub(crate) fn is_match(&self, input: &[u8]) -> bool {
        input.starts_with(&self.start) && self.regex.is_match(input)
    }

    /// Whether it matches, and where its groups are.
    pub(crate) fn capture(&self, input: &[u8], captures: &mut Captures) -> bool {
        captures.clear();
        if !input.starts_with(&self.start) {
            return false;
        }
        let mut slots = [None; 2 * (MAX_CAPTURES + 1)];
        if self.regex.search_slots(&Input::new(input), &mut slots).is_none() {
            return false;
        }
        let groups = self.regex.captures_len().saturating_sub(1).min(MAX_CAPTURES);
        for slot in slots.chunks_exact(2).skip(1).take(groups) {
            captures.push(match slot {
                [Some(start), Some(end)] => Some((start.get(), end.get())),
                _ => None,
            });
        }
        true
    }
}

/// What a regex may be, wherever one is compiled.
pub(crate) fn syntax() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false).nest_limit(NESTING)
}

/// Literal bytes behind a leading `^`, as far as they are plain. Doubt makes it shorter, never longer.
fn literal_start(source: &str) -> &[u8] {
    let Some(body) = source.strip_prefix('^') else { return b"" };
    // An alternation may open another way from the start.
    if body.contains('|') {
        return b"";
    }
    let body = body.as_bytes();
    let plain =
        |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'%' | b'~' | b'=' | b',');
    let mut len = body.iter().take_while(|b| plain(b)).count();
    // A repetition belongs to the character before it, and may be of none.
    if matches!(body.get(len), Some(b'*' | b'?' | b'{' | b'+')) {
        len = len.saturating_sub(1);
    }
    &body[..len]
}

/// The last line of the compiler's message: the lines before it draw the regex, which the caller does better.
fn reason(message: &str) -> &str {
    let last = message.lines().last().unwrap_or(message).trim();
    last.strip_prefix("error: ").unwrap_or(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literal_starts_are_never_too_long() {
        for (source, want) in [
            ("^/legacy/(?<id>[0-9]+)$", "/legacy/"),
            ("^/a*", "/"),
            ("^/ab?c", "/a"),
            ("^/ab{0}", "/a"),
            ("^/a|/b", ""),
            ("/a", ""),
            ("^/a\\.b", "/a"),
            ("^*/a", ""),
            ("^(?i)/a", ""),
            ("^$", ""),
        ] {
            assert_eq!(literal_start(source), want.as_bytes(), "{source}");
        }
    }

    #[test]
    fn bytes_need_not_be_utf8() {
        let regex = ByteRegex::parse("^/a.b$").unwrap();
        assert!(regex.is_match(b"/a\xffb") && !regex.is_match(b"/a\xff\xffb") && !regex.is_match(b"/ab"));
    }

    #[test]
    fn errors_are_short_and_large_regexes_refused() {
        let Err(PatternError::Regex(why)) = ByteRegex::parse("^/(a") else {
            panic!("an open group must not compile")
        };
        assert_eq!(&*why, "unclosed group");
        assert_eq!(ByteRegex::parse("(a{1000}){1000}").unwrap_err(), PatternError::RegexTooLarge);
        assert!(matches!(ByteRegex::parse(&"(".repeat(2000)), Err(PatternError::Regex(_))));
        assert!(matches!(ByteRegex::parse("(?=a)b"), Err(PatternError::Regex(_))));
        assert_eq!(ByteRegex::parse("").unwrap_err(), PatternError::Empty);
    }

    #[test]
    fn groups_by_name_and_number() {
        let regex = ByteRegex::parse("^/(?<id>[0-9]+)(/x)?/(.*)$").unwrap();
        assert_eq!(regex.group_names().iter().map(|n| &**n).collect::<Vec<_>>(), ["id", "2", "3"]);
        let mut captures = Captures::new();
        assert!(regex.capture(b"/12/z", &mut captures));
        assert_eq!((captures.get(0), captures.get(1), captures.get(2)), (Some(1..3), None, Some(4..5)));
    }

    #[test]
    fn nested_repetition_takes_linear_time() {
        let regex = ByteRegex::parse("^(a|a|aa)*(a|b)*c$").unwrap();
        let input = vec![b'a'; 100_000];
        let started = std::time::Instant::now();
        assert!(!regex.is_match(&input));
        assert!(started.elapsed().as_secs() < 5);
    }
}

//! Steps: what things cost, for the estimate at load and for the count while a condition runs.
//!
//! Both use the same prices, so that what was accepted also ends. It must not know what is evaluated. Entry points:
//! [`Meter`], [`weight`], [`Pattern`].

use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use crate::evaluate::Reason;

/// The largest automaton of a pattern, in bytes.
const MAX_AUTOMATON: usize = 256 * 1024;
/// The memory of the lazy automaton of a pattern, in bytes, for each thread.
const MAX_CACHE: usize = 256 * 1024;

/// What it costs to compare, to copy or to search so many bytes, which goes many at a time.
pub(crate) fn weight(bytes: usize) -> u64 {
    bytes as u64 / 64
}

/// What it costs to look through so many bytes that have to be taken apart.
pub(crate) fn scan(bytes: usize) -> u64 {
    bytes as u64 / 8
}

/// Counts down what may be spent.
#[derive(Debug)]
pub(crate) struct Meter {
    left: u64,
}

impl Meter {
    pub(crate) fn new(steps: u32) -> Self {
        Self { left: u64::from(steps) }
    }

    /// Spends steps. Once there are too few, nothing is left for whatever would follow an error.
    pub(crate) fn spend(&mut self, steps: u64) -> Result<(), Reason> {
        match self.left.checked_sub(steps) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Reason::TooManySteps)
            }
        }
    }
}

/// A compiled pattern with its price.
#[derive(Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    price: u64,
}

impl Pattern {
    /// Compiles a pattern; the error says what is wrong with it.
    pub(crate) fn compile(pattern: &str) -> Result<Self, String> {
        let config = Regex::config()
            .nfa_size_limit(Some(MAX_AUTOMATON))
            .hybrid_cache_capacity(MAX_CACHE)
            .onepass_size_limit(Some(MAX_CACHE));
        let syntax = syntax::Config::new().nest_limit(32);
        let regex = Regex::builder().configure(config).syntax(syntax).build(pattern).map_err(|error| {
            match (error.size_limit(), error.syntax_error()) {
                (Some(_), _) => format!("it needs more than {MAX_AUTOMATON} bytes"),
                // The error shows the pattern in several lines; what is wrong stands in the last one.
                (_, Some(syntax)) => {
                    let text = syntax.to_string();
                    let last = text.lines().last().unwrap_or("");
                    last.trim_start_matches("error: ").to_owned()
                }
                _ => error.to_string(),
            }
        })?;
        // The slowest engine visits every state for every byte.
        let price = 1 + regex.memory_usage() as u64 / (16 * 1024);
        Ok(Self { regex, price })
    }

    /// What it costs to search so many bytes.
    pub(crate) fn cost(&self, bytes: usize) -> u64 {
        (bytes as u64 / 16).saturating_mul(self.price)
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

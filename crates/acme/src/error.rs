//! Why something cannot be done, in words.

/// Why something cannot be done, in words for a message: bounded, and safe to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(pub String);

/// What others say is shortened to this many characters.
const LONGEST: usize = 600;

impl Error {
    /// From words that may hold what others said. Control characters are made visible, and what is too long
    /// is cut.
    pub(crate) fn new(words: impl AsRef<str>) -> Error {
        let mut short: String = words.as_ref().trim().chars().take(LONGEST + 1).collect();
        if let Some((end, _)) = short.char_indices().nth(LONGEST) {
            short.truncate(end);
            short.push('…');
        }
        Error(diagnostics::visible(&short).into_owned())
    }

    /// An error with those it came from: libraries put the interesting part last.
    pub(crate) fn with_sources(error: &dyn std::error::Error) -> Error {
        let mut words = error.to_string();
        let mut source = error.source();
        // Bounded: nobody promises that a chain of errors ends.
        for _ in 0..8 {
            let Some(error) = source else { break };
            let said = error.to_string();
            if !words.contains(&said) {
                words.push_str(": ");
                words.push_str(&said);
            }
            source = error.source();
        }
        Error::new(words)
    }

    /// The same with what was tried in front.
    pub(crate) fn after(self, tried: impl std::fmt::Display) -> Error {
        Error(format!("{tried}: {}", self.0))
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_is_cut_and_made_visible() {
        assert_eq!(Error::new("  no\u{1b}[31m \n").0, "no␛[31m");
        let long = Error::new("ü".repeat(100_000)).0;
        assert_eq!(long.chars().count(), LONGEST + 1);
        assert!(long.ends_with("ü…"), "{long}");
        assert_eq!(Error::new("ü".repeat(LONGEST)).0, "ü".repeat(LONGEST));
    }
}

//! One diagnostic, and the bounded collection of all of them.
//!
//! Nothing here prints. Entry points: [`Diagnostic::error`], [`Diagnostic::warning`], [`Diagnostics::push`].

use crate::hidden::{Hidden, Words, hide};
use crate::suggest::closest;
use crate::{Code, Span};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, and most likely does not do what was meant.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// What is wrong, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which of the known things it is.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line that stands alone.
    pub message: String,
    /// Where; `None` where no text is to blame, such as a missing file.
    pub span: Option<Span>,
    /// What to say at the place itself.
    pub label: Option<String>,
    /// Other places that belong to it, such as the first of two equal keys.
    pub related: Vec<(Span, String)>,
    /// The next step.
    pub help: Option<String>,
    /// Which of message, label and help repeat nothing of a file.
    fixed: [bool; 3],
}

impl Diagnostic {
    /// An error at a place (`Span`, or `None` where there is none).
    pub fn error(code: Code, span: impl Into<Option<Span>>, message: impl Into<Words>) -> Self {
        Self::new(Severity::Error, code, span.into(), message.into())
    }

    /// A warning at a place (`Span`, or `None` where there is none).
    pub fn warning(code: Code, span: impl Into<Option<Span>>, message: impl Into<Words>) -> Self {
        Self::new(Severity::Warning, code, span.into(), message.into())
    }

    /// An error for a word of the language that this version refuses. `what` says what it is for.
    pub fn not_built(span: Span, word: &str, what: &str) -> Self {
        let label = format!("{what}: part of the language, but this version does not have it yet");
        Self::error(Code::NotBuilt, span, Words::fixed(format!("`{word}` is not built yet")))
            .label(Words::fixed(label))
            .help("remove it to use this version")
    }

    fn new(severity: Severity, code: Code, span: Option<Span>, message: Words) -> Self {
        let fixed = [message.fixed, true, true];
        Self {
            code,
            severity,
            message: message.text,
            span,
            label: None,
            related: Vec::new(),
            help: None,
            fixed,
        }
    }

    /// Says something at the place itself.
    #[must_use]
    pub fn label(mut self, text: impl Into<Words>) -> Self {
        let words = text.into();
        (self.label, self.fixed[1]) = (Some(words.text), words.fixed);
        self
    }

    /// Points at another place that belongs to it.
    #[must_use]
    pub fn related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related.push((span, text.into()));
        self
    }

    /// Says the next step.
    #[must_use]
    pub fn help(mut self, text: impl Into<Words>) -> Self {
        let words = text.into();
        (self.help, self.fixed[2]) = (Some(words.text), words.fixed);
        self
    }

    /// Offers the candidate that `word` was most likely meant to be. Without one, the help stays as it is.
    #[must_use]
    pub fn did_you_mean<'a>(self, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        match closest(word, candidates) {
            Some(candidate) => self.help(Words::fixed(format!("did you mean `{candidate}`?"))),
            None => self,
        }
    }

    /// The texts that may repeat something of a file.
    pub(crate) fn quoting(&mut self) -> impl Iterator<Item = &mut String> {
        let own = [Some(&mut self.message), self.label.as_mut(), self.help.as_mut()];
        let own = own.into_iter().zip(self.fixed).filter_map(|(text, fixed)| text.filter(|_| !fixed));
        own.chain(self.related.iter_mut().map(|(_, text)| text))
    }
}

/// Diagnostics of one run.
///
/// It keeps at most [`Diagnostics::LIMIT`] of them, and counts the rest: a broken file of a million lines does
/// not fill the memory or the screen. Errors push out warnings when there is no room left.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    kept: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
}

impl Diagnostics {
    /// How many are kept.
    pub const LIMIT: usize = 200;

    /// Without any.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one in.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let error = diagnostic.severity == Severity::Error;
        *(if error { &mut self.errors } else { &mut self.warnings }) += 1;
        if self.kept.len() < Self::LIMIT {
            self.kept.push(diagnostic);
        } else if error && let Some(at) = self.kept.iter().rposition(|old| old.severity == Severity::Warning)
        {
            self.kept.remove(at);
            self.kept.push(diagnostic);
        }
    }

    /// Takes in all that another collection has, its counts included.
    pub fn append(&mut self, other: Self) {
        let (errors, warnings) = (self.errors + other.errors, self.warnings + other.warnings);
        other.kept.into_iter().for_each(|diagnostic| self.push(diagnostic));
        (self.errors, self.warnings) = (errors, warnings);
    }

    /// Drops those of the kept ones that `keep` does not want, from the counts too.
    pub fn retain(&mut self, mut keep: impl FnMut(&Diagnostic) -> bool) {
        let (errors, warnings) = (&mut self.errors, &mut self.warnings);
        self.kept.retain(|one| {
            let stays = keep(one);
            *(if one.severity == Severity::Error { &mut *errors } else { &mut *warnings }) -=
                usize::from(!stays);
            stays
        });
    }

    /// Takes what stands at these places out of all texts. What is wrong, and what to do, is still said.
    pub fn hide(&mut self, places: &[Hidden]) {
        self.kept.iter_mut().for_each(|one| hide(one, places));
    }

    /// Whether an error was found at this place or inside of it.
    pub fn has_error_in(&self, place: Span) -> bool {
        self.kept
            .iter()
            .any(|one| one.severity == Severity::Error && one.span.is_some_and(|span| place.holds(span)))
    }

    /// Whether the configuration cannot be used.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.errors + self.warnings == 0
    }

    /// How many errors, with those that were not kept.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many warnings, with those that were not kept.
    pub fn warnings(&self) -> usize {
        self.warnings
    }

    /// How many were counted but not kept.
    pub fn not_kept(&self) -> usize {
        self.errors + self.warnings - self.kept.len()
    }

    /// Those that were kept, in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.kept.iter()
    }

    /// Those that were kept, as a reader meets their places; those without a place come first.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut sorted: Vec<&Diagnostic> = self.kept.iter().collect();
        sorted.sort_by_key(|diagnostic| diagnostic.span.map(|span| (span.source, span.start)));
        sorted
    }

    /// `2 errors, 1 warning`, or `no errors` when there is nothing to say.
    pub fn summary_line(&self) -> String {
        let parts = [(self.errors, "error"), (self.warnings, "warning")].into_iter();
        let parts: Vec<String> =
            parts.filter(|(number, _)| *number > 0).map(|(number, noun)| counted(number, noun)).collect();
        if parts.is_empty() { "no errors".to_owned() } else { parts.join(", ") }
    }
}

/// `1 route`, `2 routes`
pub fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::{Diagnostic, Diagnostics};
    use crate::{Code, SourceId, Span};

    fn at(start: usize) -> Span {
        Span::new(SourceId(0), start, start + 1)
    }

    #[test]
    fn the_collection_is_bounded_and_errors_displace_warnings() {
        let mut all = Diagnostics::new();
        for n in 0..300 {
            all.push(Diagnostic::warning(Code::UnusedService, at(n), "w"));
        }
        assert!(!all.has_errors());
        all.push(Diagnostic::error(Code::UnknownKey, at(0), "e"));
        assert!(all.has_errors());
        assert_eq!((all.iter().count(), all.not_kept()), (Diagnostics::LIMIT, 101));
        assert!(all.iter().any(|kept| kept.message == "e"));
        assert_eq!(all.summary_line(), "1 error, 300 warnings");

        let mut sum = Diagnostics::new();
        sum.append(all.clone());
        sum.append(all);
        assert_eq!((sum.errors(), sum.warnings(), sum.iter().count()), (2, 600, Diagnostics::LIMIT));
        sum.retain(|one| one.message == "e");
        assert_eq!((sum.errors(), sum.warnings(), sum.iter().count()), (2, 402, 2));
    }

    #[test]
    fn diagnostics_are_sorted_by_place() {
        let mut all = Diagnostics::new();
        all.push(Diagnostic::error(Code::UnknownKey, at(9), "late"));
        all.push(Diagnostic::error(Code::UnknownKey, at(1), "early"));
        all.push(Diagnostic::error(Code::NoListeners, None, "nowhere"));
        let order: Vec<&str> = all.sorted().into_iter().map(|d| d.message.as_str()).collect();
        assert_eq!(order, ["nowhere", "early", "late"]);
        assert_eq!(Diagnostics::new().summary_line(), "no errors");
    }
}

//! What is wrong in a source, and where.
//!
//! It must not know how a mistake is shown. Entry point: [`Mistake`].

/// A range of bytes of the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    /// A source is at most [`crate::MAX_SOURCE`] bytes long, so the numbers always fit.
    pub(crate) fn new(start: usize, end: usize) -> Self {
        let short = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self { start: short(start), end: short(end) }
    }

    /// From the beginning of one to the end of another.
    pub(crate) fn to(self, end: Self) -> Self {
        Self { start: self.start, end: end.end }
    }
}

/// Something in a source that must be mended before it can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The first byte of the place in the source, always at the border of a character.
    pub start: usize,
    /// The byte after the place; `start` where something is missing.
    pub end: usize,
    /// What is wrong, in a sentence without a full stop.
    pub message: String,
    /// What to write instead, if that is known.
    pub help: Option<String>,
}

impl Mistake {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self { start: span.start as usize, end: span.end as usize, message: message.into(), help: None }
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

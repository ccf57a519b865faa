//! What a value may look like: the declarations of the language as data.
//!
//! From it come the JSON Schema and the reference pages; decoding does not use it. Entry point: [`Shape`].

/// What a value may look like.
#[derive(Clone, Debug)]
pub enum Shape {
    /// Anything: what stands here is decoded elsewhere.
    Any,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer {
        /// The smallest.
        min: i64,
        /// The largest.
        max: u64,
    },
    /// A single value with a form of its own.
    Text {
        /// What it is, to be read after "a" or "an" or alone: `duration`.
        format: &'static str,
        /// A value that is right; empty for text without a form.
        example: &'static str,
    },
    /// One of a few words.
    Keyword(&'static [&'static str]),
    /// Values in order.
    List(Box<Shape>),
    /// Names that the user chooses, with values.
    Map(Box<Shape>),
    /// One of several shapes.
    OneOf(Vec<Shape>),
    /// A section with fixed keys. A function, because a section may hold itself.
    Section(fn() -> SectionInfo),
}

impl Shape {
    /// Text without a form of its own.
    pub const TEXT: Self = Self::Text { format: "text", example: "" };

    /// The format of the path of a file whose text is a part of the configuration.
    pub const FILE: &'static str = "path of a file";

    /// The format of the path of a file whose bytes are a part of the configuration.
    pub const BINARY: &'static str = "path of a binary file";

    /// The format of the path of a file that may refer to others, which are parts of the configuration like it.
    pub const LINKED: &'static str = "path of a JSON or YAML file";

    /// What [`Shape::Text`] says of the path of a file that is not read with the configuration, but watched.
    pub const WATCHED: &'static str = "path of a watched file";

    /// The format of text that is never shown.
    pub const SECRET: &'static str = "secret";

    /// In a few words, for a table: `list of duration`.
    pub fn in_words(&self) -> String {
        match self {
            Self::Any => "any value".to_owned(),
            Self::Boolean => "`true` or `false`".to_owned(),
            Self::Integer { min, max } if *max >= i64::MAX as u64 => format!("number from {min}"),
            Self::Integer { min, max } => format!("number, {min} to {max}"),
            Self::Text { format, example: "" } => (*format).to_owned(),
            Self::Text { format, example } => format!("{format}, such as `{example}`"),
            Self::Keyword(words) => {
                words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ")
            }
            Self::List(inner) => format!("list of {}", inner.in_words()),
            Self::Map(inner) => format!("names, each with {}", inner.in_words()),
            Self::OneOf(shapes) => shapes.iter().map(Self::in_words).collect::<Vec<_>>().join(", or "),
            Self::Section(info) => format!("section {}", info().name),
        }
    }
}

/// A section: its keys, and what they mean.
#[derive(Clone, Debug)]
pub struct SectionInfo {
    /// The name of its type, such as `Timeouts`.
    pub name: &'static str,
    /// Its doc comment.
    pub doc: &'static str,
    /// Its keys, in the order of the declaration.
    pub keys: Vec<KeyInfo>,
    /// Keys of the language that this version refuses, with what they are for.
    pub not_built: &'static [(&'static str, &'static str)],
    /// The key that a single value stands for where no section is written.
    pub short: Option<&'static str>,
}

/// A key of a section.
#[derive(Clone, Debug)]
pub struct KeyInfo {
    /// As it is written in a file.
    pub name: &'static str,
    /// Its doc comment.
    pub doc: &'static str,
    /// What its value may look like.
    pub shape: Shape,
    /// Whether the section means nothing without it.
    pub required: bool,
    /// What holds without it, as it would be written in a file.
    pub default: Option<&'static str>,
}

/// The lines of a doc comment, without the space that follows `///`, as paragraphs of Markdown.
pub(crate) fn tidy(doc: &str) -> String {
    doc.lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
        .trim()
        .to_owned()
}

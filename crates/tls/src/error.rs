//! Why certificates, keys or settings cannot be used.

/// Why certificates, keys or settings cannot be used, in words for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    message: String,
    help: Option<&'static str>,
}

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Error {
        Error { message: message.into(), help: None }
    }

    pub(crate) fn help(self, help: &'static str) -> Error {
        Error { help: Some(help), ..self }
    }

    /// What to do about it, where that is known.
    pub fn next_step(&self) -> Option<&'static str> {
        self.help
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

//! Writing to the terminal. A reader that has gone away (`gateward check | head`) is not an error.

use std::io::{IsTerminal, Write};

/// A line on standard output: what was asked for.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Bytes on standard output.
pub(crate) fn bytes(bytes: &[u8]) {
    let _ = std::io::stdout().lock().write_all(bytes);
}

/// A line on standard error: what is going on.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Whether standard output takes colours.
pub(crate) fn stdout_takes_colour() -> bool {
    takes_colour(std::io::stdout().is_terminal())
}

/// Whether standard error takes colours.
pub(crate) fn stderr_takes_colour() -> bool {
    takes_colour(std::io::stderr().is_terminal())
}

/// A terminal, and nobody said NO_COLOR (<https://no-color.org>).
fn takes_colour(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

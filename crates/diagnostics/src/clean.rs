//! Makes text from outside safe to print: no character of it can move a cursor, change a colour or turn the
//! direction of the line.
//!
//! It knows nothing of diagnostics. Entry point: [`visible`].

use std::borrow::Cow;

/// Replaces every control character by one that can be seen, one for one.
///
/// C0 controls and DEL become their symbols (`ESC` is shown as `␛`); C1 controls, characters that turn the
/// writing direction, and line separators become `�`. Tabs and line feeds become symbols too: the callers
/// hand over single lines.
pub fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| symbol(c) == c) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(symbol).collect())
}

/// The character to show in place of `c`, which is `c` itself where that is harmless.
///
/// One for one, so that columns that are counted in characters stay right.
pub(crate) fn symbol(c: char) -> char {
    match c {
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => '\u{fffd}',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::visible;

    #[test]
    fn control_characters_are_replaced_one_for_one() {
        for (raw, shown) in [
            ("plain", "plain"),
            ("grün → ok", "grün → ok"),
            ("\u{1b}[31mred", "␛[31mred"),
            ("a\tb\nc\r", "a␉b␊c␍"),
            ("\u{9b}31m", "\u{fffd}31m"),
            ("\u{202e}abc", "\u{fffd}abc"),
            ("\u{7f}", "␡"),
        ] {
            assert_eq!(visible(raw), shown);
            assert_eq!(raw.chars().count(), shown.chars().count());
        }
    }
}

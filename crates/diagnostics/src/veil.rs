//! Hides a part of a text, all but what is known to be harmless.
//!
//! What stands in the way of a mistake may be anywhere: in a comment, behind a comma, at a key that was mistyped. So
//! nothing is looked for that is to be hidden; what may be shown is named, and all else goes. Entry point: [`Veil`].

use crate::Span;

/// The longest key that is shown in a place where it might be a part of a secret, in bytes.
const LONGEST_KEY: usize = 24;

/// A part of a text, and what may be shown of it. The layout may always be: white space, brackets, commas, the
/// dashes of lists and the colons of keys.
#[derive(Clone, Debug, Default)]
pub struct Veil {
    /// The part. A comment that follows in the same line belongs to it.
    pub region: Span,
    /// What may be shown.
    pub shown: Vec<Span>,
    /// What may not, layout or not, also inside of `shown`.
    pub hidden: Vec<Span>,
    /// Whether words with a colon behind them may be shown. Otherwise only those that are in `shown`.
    pub keys: bool,
}

/// Whether a key is one that a person chose or mistyped, and no secret: a short word.
pub fn is_harmless_key(text: &str) -> bool {
    (1..=LONGEST_KEY).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-'))
}

impl Veil {
    /// Puts `*` over it, byte by byte, so that places stay what they are.
    pub(crate) fn draw(&self, text: &mut String) {
        let bounds = |span: Span| {
            let at = |offset: u32| text.floor_char_boundary(offset as usize);
            (at(span.start), at(span.end).max(at(span.start)))
        };
        let (start, end) = bounds(self.region);
        let end = end + comment_behind(&text[end..]);
        let mut covered = text.as_bytes()[start..end].to_vec();
        self.cover(&mut covered);
        for (spans, original) in [(&self.shown, true), (&self.hidden, false)] {
            for span in spans {
                let (from, to) = bounds(*span);
                let (from, to) = (from.clamp(start, end), to.clamp(start, end));
                for (at, byte) in text.as_bytes().iter().enumerate().take(to).skip(from) {
                    let shown = original || matches!(byte, b'\n' | b'\r');
                    covered[at - start] = if shown { *byte } else { b'*' };
                }
            }
        }
        // It cannot fail: whole characters are covered, and others are what they were.
        if let Ok(covered) = String::from_utf8(covered) {
            text.replace_range(start..end, &covered);
        }
    }

    /// Everything but the layout.
    fn cover(&self, bytes: &mut [u8]) {
        let original = bytes.to_vec();
        let blank = |at: Option<usize>| {
            at.and_then(|at| original.get(at)).is_none_or(|byte| byte.is_ascii_whitespace() || *byte == b',')
        };
        let mut word = 0;
        for at in 0..original.len() {
            let (before, after) = (blank(at.checked_sub(1)), blank(Some(at + 1)));
            let layout = match original[at] {
                b' ' | b'\t' | b'\n' | b'\r' | b'{' | b'}' | b'[' | b']' | b',' => true,
                b':' => after,
                b'-' => before && after,
                _ => false,
            };
            if !layout {
                bytes[at] = b'*';
                continue;
            }
            let key = std::str::from_utf8(&original[word..at]).unwrap_or_default();
            if self.keys && original[at] == b':' && is_harmless_key(key) {
                bytes[word..at].copy_from_slice(key.as_bytes());
            }
            word = at + 1;
        }
    }
}

/// How many bytes lead to the end of the line, if nothing but layout and a comment are in them.
fn comment_behind(rest: &str) -> usize {
    let line = rest.split('\n').next().unwrap_or_default();
    // A colon too: of a value that begins with `#`, only the key is left.
    let comment = line.trim_start_matches([' ', '\t', '}', ']', ',', ':']);
    if comment.starts_with('#') { line.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::{Veil, is_harmless_key};
    use crate::{Sources, Span};

    fn covered(text: &str, region: &str, shown: &[&str], hidden: &[&str], keys: bool) -> String {
        let mut sources = Sources::new();
        let id = sources.add("a", text);
        let find = |part: &&str| {
            let at = text.find(*part).unwrap();
            Span::new(id, at, at + part.len())
        };
        sources.hide(&Veil {
            region: find(&region),
            shown: shown.iter().map(find).collect(),
            hidden: hidden.iter().map(find).collect(),
            keys,
        });
        assert_eq!(sources.text(id).len(), text.len());
        sources.text(id).to_owned()
    }

    #[test]
    fn only_what_is_named_is_left() {
        for (text, region, shown, hidden, keys, wanted) in [
            (
                "a: { b: cü, d: e }\nf",
                "{ b: cü, d: e }",
                &["b"][..],
                &[][..],
                false,
                "a: { b: ***, *: * }\nf",
            ),
            ("- x-y:z\n- ok # old\nn", "- x-y:z\n- ok", &["ok"], &[], false, "- *****\n- ok * ***\nn"),
            ("k: \"a, b\"}  # c\nd", "k: \"a, b\"", &["k"], &["\"a, b\""], false, "k: ******}  * *\nd"),
            ("k: {x: 1} y # c", "{x: 1}", &[], &[], false, "k: {*: *} y # c"),
            ("ab: c\n  d9: e\n f", "ab: c\n  d9: e\n f", &[], &[], true, "ab: *\n  **: *\n *"),
            ("k: ${env:A:-b}", "${env:A:-b}", &["${env:A:-b}"], &["b"], false, "k: ${env:A:-*}"),
        ] {
            assert_eq!(covered(text, region, shown, hidden, keys), wanted, "{text}");
        }
    }

    #[test]
    fn a_key_is_a_short_word() {
        for (key, harmless) in
            [("api_key", true), ("apiKey", true), ("p=1$x", false), ("a1", false), ("", false), ("ü", false)]
        {
            assert_eq!(is_harmless_key(key), harmless, "{key}");
        }
        assert!(!is_harmless_key(&"a".repeat(25)));
    }
}

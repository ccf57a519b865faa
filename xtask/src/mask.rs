//! Rust source with everything but code blanked out.
//!
//! Rules look for words and braces; those in comments, strings and character literals must not count. Length
//! and line breaks stay as they were, so an offset in the masked text is an offset in the source. This is no
//! parser: it knows just enough of the lexical grammar. Entry points: [`mask`] and [`functions`].

/// A function and the lines it takes, from `fn` to its closing brace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Line of the `fn` keyword, counted from 1.
    pub(crate) line: usize,
    pub(crate) length: usize,
}

/// Replaces comments, strings and character literals by spaces.
pub(crate) fn mask(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => line_end(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => block_comment_end(bytes, at),
            b'"' => string_end(bytes, at),
            b'r' if starts_word(bytes, at) => raw_string_end(bytes, at),
            b'\'' => char_literal_end(bytes, at),
            _ => at,
        };
        if end == at {
            at += 1;
            continue;
        }
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |length| at + length)
}

fn block_comment_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0;
    let mut at = start;
    while at < bytes.len() {
        match bytes.get(at..at + 2) {
            Some(b"/*") => {
                depth += 1;
                at += 2;
            }
            Some(b"*/") => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of `r"…"` or `r#"…"#`; `start` itself where none begins (`r#type` is a name).
fn raw_string_end(bytes: &[u8], start: usize) -> usize {
    let hashes = bytes[start + 1..].iter().take_while(|&&b| b == b'#').count();
    let open = start + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return start;
    }
    let mut close = vec![b'"'];
    close.resize(1 + hashes, b'#');
    let body = open + 1;
    let found = bytes[body..].windows(close.len()).position(|window| window == close);
    found.map_or(bytes.len(), |length| body + length + close.len())
}

/// The end of a character literal; `start` itself where a lifetime or label begins.
fn char_literal_end(bytes: &[u8], start: usize) -> usize {
    match bytes.get(start + 1) {
        Some(b'\\') => {
            let rest = start + 3;
            let close = bytes.get(rest..).and_then(|rest| rest.iter().take(12).position(|&b| b == b'\''));
            close.map_or(start, |length| rest + length + 1)
        }
        Some(&first) => {
            let width = match first {
                0x00..=0x7f => 1,
                0x80..=0xdf => 2,
                0xe0..=0xef => 3,
                _ => 4,
            };
            if bytes.get(start + 1 + width) == Some(&b'\'') { start + 2 + width } else { start }
        }
        None => start,
    }
}

fn starts_word(bytes: &[u8], at: usize) -> bool {
    // `br"…"` and `cr"…"` are raw strings as well, so a single letter in front is fine.
    let is_word = |at: usize| bytes.get(at).is_some_and(|&b| b.is_ascii_alphanumeric() || b == b'_');
    at == 0 || !is_word(at - 1) || (matches!(bytes[at - 1], b'b' | b'c') && (at == 1 || !is_word(at - 2)))
}

/// Offsets at which `word` stands as a whole word in masked text.
pub(crate) fn words<'a>(masked: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_word = |byte: Option<&u8>| byte.is_some_and(|&b| b.is_ascii_alphanumeric() || b == b'_');
    let bytes = masked.as_bytes();
    masked.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        !is_word(at.checked_sub(1).and_then(|at| bytes.get(at))) && !is_word(bytes.get(at + word.len()))
    })
}

/// The line of an offset, counted from 1.
pub(crate) fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset].iter().filter(|&&b| b == b'\n').count()
}

/// Every function with a body, nested ones too.
pub(crate) fn functions(masked: &str) -> Vec<Function> {
    words(masked, "fn")
        .filter_map(|at| {
            let rest = masked[at + 2..].trim_start();
            let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if name.is_empty() {
                return None; // a function pointer type
            }
            let end = body_end(masked, at)?;
            let line = line_of(masked, at);
            Some(Function { name, line, length: line_of(masked, end) - line + 1 })
        })
        .collect()
}

/// Offset of the closing brace of the function at `start`; `None` for a declaration without body.
fn body_end(masked: &str, start: usize) -> Option<usize> {
    let mut parens = 0_usize;
    let mut braces = 0_usize;
    for (offset, byte) in masked.as_bytes().iter().enumerate().skip(start) {
        match byte {
            b'(' | b'[' if braces == 0 => parens += 1,
            b')' | b']' if braces == 0 => parens = parens.saturating_sub(1),
            b';' if braces == 0 && parens == 0 => return None,
            b'{' if parens == 0 || braces > 0 => braces += 1,
            b'}' if braces > 0 => {
                braces -= 1;
                if braces == 0 {
                    return Some(offset);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_code_is_blanked() {
        for (source, code) in [
            ("a // unsafe\nb", "a b"),
            ("a /* x /* y */ z */ b", "a b"),
            (r#"f("a\"{", b)"#, "f( , b)"),
            ("f(r#\"}\"{\"#)", "f( )"),
            ("br\"{\" r#type", "b r#type"),
            ("'{' '\\'' '\\u{7b}' 'a: loop", "'a: loop"),
            ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
            ("'é' x", "x"),
        ] {
            let masked = mask(source);
            assert_eq!(masked.len(), source.len(), "{source}");
            assert_eq!(masked.split_whitespace().collect::<Vec<_>>().join(" "), code, "{source}");
        }
    }

    #[test]
    fn functions_are_measured_to_their_closing_brace() {
        let source = "trait T { fn declared(&self); }\nfn outer(a: [u8; 2]) {\n  fn inner() { \"}\"; }\n}\nlet f: fn(u8);\n";
        let found = functions(&mask(source));
        let found: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.line, f.length)).collect();
        assert_eq!(found, [("outer", 2, 3), ("inner", 3, 1)]);
    }

    #[test]
    fn only_whole_words_count() {
        assert_eq!(words("unsafe_code unsafe", "unsafe").collect::<Vec<_>>(), [12]);
    }
}

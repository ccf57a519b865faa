//! Text to tokens, by the lexical rules of CEL (language definition, section "Syntax").
//!
//! It must not know the grammar. Entry point: [`tokens`].

use crate::mistake::{Mistake, Span};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The end of the source.
    End,
    Name,
    Int,
    Uint,
    Double,
    Text,
    Bytes,
    /// An operator, a bracket, or one of the words `true`, `false`, `null` and `in`.
    Symbol(&'static str),
}

/// A piece of the source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
}

/// Longer ones first: the first that fits is taken.
const SYMBOLS: &[&str] = &[
    "==", "!=", "<=", ">=", "&&", "||", "(", ")", "[", "]", "{", "}", ".", ",", "-", "+", "*", "/", "%", "?",
    ":", "!", "<", ">",
];

const WORDS: &[&str] = &["true", "false", "null", "in"];

/// All tokens, the last of which is [`Kind::End`], or every piece that is none.
pub(crate) fn tokens(source: &str) -> Result<Vec<Token>, Vec<Mistake>> {
    let mut lexer = Lexer { source, at: 0 };
    let (mut tokens, mut mistakes) = (Vec::new(), Vec::new());
    loop {
        lexer.skip_blanks();
        match lexer.next() {
            Ok(token) => tokens.push(token),
            Err(mistake) => mistakes.push(mistake),
        }
        if tokens.last().is_some_and(|token| token.kind == Kind::End) {
            break;
        }
    }
    if mistakes.is_empty() { Ok(tokens) } else { Err(mistakes) }
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or("")
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let after = rest.trim_start_matches(['\t', ' ', '\r', '\n', '\u{c}']);
            self.at += rest.len() - after.len();
            if !after.starts_with("//") {
                return;
            }
            self.at += after.find('\n').unwrap_or(after.len());
        }
    }

    fn next(&mut self) -> Result<Token, Mistake> {
        let (start, rest) = (self.at, self.rest());
        let Some(first) = rest.chars().next() else {
            return Ok(Token { kind: Kind::End, span: Span::new(start, start) });
        };
        let kind = if let Some(kind) = self.quoted()? {
            kind
        } else if first.is_ascii_alphabetic() || first == '_' {
            self.at += run(rest, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let word = rest.get(..self.at - start).unwrap_or("");
            WORDS.iter().find(|known| **known == word).map_or(Kind::Name, |known| Kind::Symbol(known))
        } else if first.is_ascii_digit() || (first == '.' && digits(rest.get(1..).unwrap_or("")) > 0) {
            self.number()?
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            self.at += symbol.len();
            Kind::Symbol(symbol)
        } else {
            return Err(self.stray(first));
        };
        Ok(Token { kind, span: Span::new(start, self.at) })
    }

    fn stray(&mut self, first: char) -> Mistake {
        let start = self.at;
        self.at += first.len_utf8();
        let mistake = Mistake::new(Span::new(start, self.at), format!("`{first}` has no meaning here"));
        match first {
            '=' => mistake.with_help("write `==` to compare"),
            '&' => mistake.with_help("write `&&` for \"and\""),
            '|' => mistake.with_help("write `||` for \"or\""),
            '“' | '”' | '‘' | '’' => mistake.with_help("write straight quotes: `\"` or `'`"),
            _ => mistake,
        }
    }

    fn number(&mut self) -> Result<Kind, Mistake> {
        let start = self.at;
        let mut kind = Kind::Int;
        if let Some(hex) = self.rest().strip_prefix("0x") {
            self.at += 2 + run(hex, |byte| byte.is_ascii_hexdigit());
        } else {
            self.at += digits(self.rest());
            let fraction = self.rest().strip_prefix('.').map_or(0, digits);
            if fraction > 0 {
                self.at += 1 + fraction;
                kind = Kind::Double;
            }
            if let Some(after) = self.rest().strip_prefix(['e', 'E']) {
                let sign = usize::from(after.starts_with(['+', '-']));
                let exponent = digits(after.get(sign..).unwrap_or(""));
                if exponent > 0 {
                    self.at += 1 + sign + exponent;
                    kind = Kind::Double;
                }
            }
        }
        if kind == Kind::Int && self.rest().starts_with(['u', 'U']) {
            self.at += 1;
            kind = Kind::Uint;
        }
        let trailing = run(self.rest(), |byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let broken = trailing > 0 || self.source.get(start..self.at) == Some("0x");
        self.at += trailing;
        if broken {
            return Err(Mistake::new(Span::new(start, self.at), "this is not a number"));
        }
        Ok(kind)
    }

    /// A string or bytes in quotes, if one begins here.
    fn quoted(&mut self) -> Result<Option<Kind>, Mistake> {
        let (start, rest) = (self.at, self.rest());
        let after_bytes = rest.strip_prefix(['b', 'B']);
        let after_raw = after_bytes.unwrap_or(rest).strip_prefix(['r', 'R']);
        let body = after_raw.or(after_bytes).unwrap_or(rest);
        let Some(quote) = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| body.starts_with(quote))
        else {
            return Ok(None);
        };
        let inside = body.get(quote.len()..).unwrap_or("");
        let Some(end) = end_of_quoted(inside, quote, after_raw.is_some()) else {
            // Go on after the line, so that other mistakes are found, too.
            self.at += rest.find('\n').unwrap_or(rest.len());
            let message = format!("the string is not closed: {quote} is missing");
            return Err(Mistake::new(Span::new(start, self.at), message));
        };
        self.at = self.source.len() - inside.len() + end;
        Ok(Some(if after_bytes.is_some() { Kind::Bytes } else { Kind::Text }))
    }
}

/// The number of bytes of what is in quotes, the closing quote included.
fn end_of_quoted(inside: &str, quote: &str, raw: bool) -> Option<usize> {
    let mut chars = inside.char_indices();
    while let Some((at, char)) = chars.next() {
        if inside.get(at..)?.starts_with(quote) {
            return Some(at + quote.len());
        }
        match char {
            '\n' | '\r' if quote.len() == 1 => return None,
            '\\' if !raw => drop(chars.next()),
            _ => {}
        }
    }
    None
}

fn digits(text: &str) -> usize {
    run(text, |byte| byte.is_ascii_digit())
}

fn run(text: &str, belongs: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|byte| belongs(*byte)).count()
}

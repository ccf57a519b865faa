//! Looks at what directories send before the library that understands it does.
//!
//! The library holds whatever comes, follows it however deep it is nested, and panics where it is of another shape. A
//! directory can be anybody where nothing is encrypted. So only answers to what was asked last get to it, whole, in the
//! shape that answers have (RFC 4511 §4, in the encoding of §5.1), none of them long, and not many. Entry points:
//! [`pass_questions`], [`pass_answers`], [`answer`].

use std::cell::Cell;
use std::fmt;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The most bytes that a message may have.
const LONGEST: usize = 64 * 1024;
/// The most bytes that a directory may send on a connection.
const MOST: usize = 512 * 1024;

const INTEGER: u8 = 0x02;
const TEXT: u8 = 0x04;
const ENUMERATED: u8 = 0x0a;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// Says that something consists of others.
const CONSTRUCTED: u8 = 0x20;
const BIND: u8 = 0x60;
const BOUND: u8 = 0x61;
const SEARCH: u8 = 0x63;
const ENTRY: u8 = 0x64;
const DONE: u8 = 0x65;
const REFERENCE: u8 = 0x73;
const EXTENSION: u8 = 0x77;
const EXTENDED: u8 = 0x78;
const CONTROLS: u8 = 0xa0;
const REFERRALS: u8 = 0xa3;

/// Why nothing more is passed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The connection was closed, or broke.
    Closed(String),
    /// What it says is too much.
    TooMuch,
    /// What it says is no answer.
    Nonsense,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Closed(why) => write!(f, "no answer: {why}"),
            Trouble::TooMuch => f.write_str("it answers too much"),
            Trouble::Nonsense => f.write_str("what it answers cannot be read"),
        }
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Trouble {
        Trouble::Closed(match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "it has closed the connection".to_owned(),
            _ => error.to_string(),
        })
    }
}

/// The number and the kind of a question. One is asked at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Asked {
    number: u32,
    kind: u8,
}

/// What asks for encryption, which is the first on its connection.
pub(super) const START_TLS: Asked = Asked { number: 1, kind: EXTENSION };

/// Passes on what the library asks, until it asks nothing more, and takes note of it.
pub(super) async fn pass_questions(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    asked: &Cell<Asked>,
) -> Result<(), Trouble> {
    while let Ok(question) = frame(&mut from).await {
        if let Some(one) = parts(&question) {
            asked.set(Asked { number: one.number, kind: one.kind });
        }
        to.write_all(&sequence(&question)).await?;
        to.flush().await?;
    }
    to.shutdown().await?;
    Ok(())
}

/// Passes answers on until there is trouble.
pub(super) async fn pass_answers(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    asked: &Cell<Asked>,
) -> Result<(), Trouble> {
    let mut left = MOST;
    loop {
        let body = frame(&mut from).await?;
        left = left.checked_sub(body.len()).ok_or(Trouble::TooMuch)?;
        let message = judge(&body, asked.get())?;
        if to.write_all(&message).await.is_err() {
            // Nobody reads any more: there is nothing more to be said.
            return Ok(());
        }
    }
}

/// Reads the answer to a question, and not a byte more. It has no controls any more.
pub(super) async fn answer(from: &mut (impl AsyncRead + Unpin), asked: Asked) -> Result<Vec<u8>, Trouble> {
    judge(&frame(from).await?, asked)
}

/// Reads what one message holds.
async fn frame(from: &mut (impl AsyncRead + Unpin)) -> Result<Vec<u8>, Trouble> {
    let mut head = [0; 2];
    from.read_exact(&mut head).await?;
    let [SEQUENCE, first] = head else { return Err(Trouble::Nonsense) };
    let mut length = usize::from(first);
    if first >= 0x80 {
        let mut digits = [0; 4];
        let digits = digits.get_mut(..usize::from(first & 0x7f)).filter(|digits| !digits.is_empty());
        let digits = digits.ok_or(Trouble::Nonsense)?;
        from.read_exact(digits).await?;
        length = number(digits);
    }
    if length > LONGEST {
        return Err(Trouble::TooMuch);
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).await?;
    Ok(body)
}

/// A message that holds this.
fn sequence(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + 6);
    out.extend([SEQUENCE, 0x84]);
    // No message is longer than `LONGEST`.
    out.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(body);
    out
}

/// The parts of a message.
struct Parts<'m> {
    number: u32,
    kind: u8,
    inner: &'m [u8],
    /// Number, kind and what is inside, without the controls that may come behind them.
    whole: &'m [u8],
}

fn parts(body: &[u8]) -> Option<Parts<'_>> {
    let (INTEGER, digits, rest) = element(body)? else { return None };
    let (kind, inner, rest) = element(rest)?;
    let number = (1..=4).contains(&digits.len()).then(|| u32::try_from(number(digits)).ok())??;
    let known = rest.is_empty() || matches!(element(rest)?, (CONTROLS, _, []));
    let whole = body.get(..body.len().checked_sub(rest.len())?)?;
    known.then_some(Parts { number, kind, inner, whole })
}

/// The message without its controls, if it is an answer to what was asked. Nobody has asked for controls, so they mean
/// nothing (RFC 4511 §4.1.11).
fn judge(body: &[u8], asked: Asked) -> Result<Vec<u8>, Trouble> {
    let Parts { number, kind, inner, whole } = parts(body).ok_or(Trouble::Nonsense)?;
    if (number, kind) == (0, EXTENDED) {
        // A notice of disconnection (RFC 4511 §4.4.1).
        return Err(Trouble::Closed("it ends the connection".to_owned()));
    }
    let sound = match (asked.kind, kind) {
        (BIND, BOUND) | (SEARCH, DONE) | (EXTENSION, EXTENDED) => is_result(inner),
        (SEARCH, ENTRY) => is_entry(inner),
        (SEARCH, REFERENCE) => all(inner, |kind, text| kind == TEXT && is_text(text)),
        _ => false,
    };
    if sound && number == asked.number { Ok(sequence(whole)) } else { Err(Trouble::Nonsense) }
}

/// A result: its code, a name, a text, and more of which only referrals consist of parts (RFC 4511 §4.1.9).
fn is_result(inner: &[u8]) -> bool {
    let Some((ENUMERATED, 1..=4, rest)) = element(inner).map(|(kind, code, rest)| (kind, code.len(), rest))
    else {
        return false;
    };
    let Some((TEXT, name, rest)) = element(rest) else { return false };
    let Some((TEXT, text, rest)) = element(rest) else { return false };
    let more = |kind: u8, inner: &[u8]| match kind {
        REFERRALS => all(inner, |kind, uri| kind == TEXT && is_text(uri)),
        _ => kind & CONSTRUCTED == 0 && is_text(inner),
    };
    is_text(name) && is_text(text) && all(rest, more)
}

/// An entry: its name, and attributes with their values, which are any bytes (RFC 4511 §4.5.2).
fn is_entry(inner: &[u8]) -> bool {
    let Some((TEXT, name, rest)) = element(inner) else { return false };
    let Some((SEQUENCE, attributes, [])) = element(rest) else { return false };
    let is_attribute = |kind: u8, attribute: &[u8]| {
        let Some((TEXT, name, rest)) = element(attribute) else { return false };
        let Some((SET, values, [])) = element(rest) else { return false };
        kind == SEQUENCE && is_text(name) && all(values, |kind, _| kind == TEXT)
    };
    is_text(name) && all(attributes, is_attribute)
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok()
}

/// Whether elements fill a text to its end, and something holds for each.
fn all(text: &[u8], holds: impl Fn(u8, &[u8]) -> bool) -> bool {
    let mut rest = text;
    while !rest.is_empty() {
        match element(rest) {
            Some((kind, inner, behind)) if holds(kind, inner) => rest = behind,
            _ => return false,
        }
    }
    true
}

/// The first element of a text: its kind, what it holds, and what stands behind it. Kinds have one byte, and lengths are
/// known.
fn element(text: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, first], rest) = text.split_first_chunk::<2>()?;
    if kind & 0x1f == 0x1f {
        return None;
    }
    let (length, rest) = match first {
        0..0x80 => (usize::from(first), rest),
        _ => {
            let digits = usize::from(first & 0x7f);
            let (length, rest) = rest.split_at_checked(digits).filter(|_| (1..=4).contains(&digits))?;
            (number(length), rest)
        }
    };
    let (inner, rest) = rest.split_at_checked(length)?;
    Some((kind, inner, rest))
}

/// The number that at most four bytes are.
fn number(digits: &[u8]) -> usize {
    digits.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// The result of an answer that was judged before.
pub(super) fn result_of(message: &[u8]) -> Option<u32> {
    let (_, body, _) = element(message)?;
    let (_, code, _) = element(parts(body)?.inner)?;
    u32::try_from(number(code)).ok()
}

#[cfg(test)]
mod tests;

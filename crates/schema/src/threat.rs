//! JSON that would hurt whoever builds a tree of it, found without building one.
//!
//! A [`Scanner`] is fed a body piece by piece, as it streams, and says no at the first byte that is not JSON
//! (RFC 8259, strict: UTF-8, nothing behind the value, no lone surrogates) or that goes beyond a limit. It keeps
//! a bounded stack and no text. It does not see whether a name is there twice: that would need all names of an
//! object. It must not know schemas. Entry points: [`Limits`], [`Scanner::feed`], [`Scanner::finish`].

use std::fmt;

/// The most that nesting may be limited to.
const MAX_DEPTH: usize = 1024;

/// What a JSON text may have at most. Sizes are bytes as they are sent: an escape counts as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Objects and arrays inside of each other. More than 1024 count as 1024.
    pub depth: usize,
    /// Members of one object.
    pub members: u32,
    /// Elements of one array.
    pub elements: u32,
    /// Values in all, objects and arrays among them.
    pub values: u64,
    /// Bytes of a name.
    pub name_bytes: usize,
    /// Bytes of a string.
    pub string_bytes: usize,
    /// Bytes of a number.
    pub number_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            depth: 32,
            members: 1000,
            elements: 10_000,
            values: 1_000_000,
            name_bytes: 256,
            string_bytes: 1 << 20,
            number_bytes: 64,
        }
    }
}

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threat {
    /// It is not JSON; at which byte, from zero.
    Syntax(u64),
    /// It ended too early.
    Incomplete,
    /// It is nested too deep.
    Depth,
    /// An object has too many members.
    Members,
    /// An array has too many elements.
    Elements,
    /// There are too many values.
    Values,
    /// A name is too long.
    Name,
    /// A string is too long.
    String,
    /// A number is too long.
    Number,
}

impl fmt::Display for Threat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Threat::Syntax(at) => return write!(f, "is not JSON at byte {at}"),
            Threat::Incomplete => "is not complete JSON",
            Threat::Depth => "is nested too deep",
            Threat::Members => "has an object with too many members",
            Threat::Elements => "has an array with too many elements",
            Threat::Values => "has too many values",
            Threat::Name => "has a name that is too long",
            Threat::String => "has a string that is too long",
            Threat::Number => "has a number that is too long",
        })
    }
}

impl std::error::Error for Threat {}

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value.
    Value,
    /// A value or `]`.
    FirstElement,
    /// A name or `}`.
    FirstName,
    Name,
    Colon,
    /// `,` or the end of what surrounds the value.
    After,
    /// Inside a name or string.
    Text,
    /// Behind `\`.
    Escape,
    /// So many digits of `\u` are missing.
    Hex(u8),
    /// A low surrogate must follow: its `\`, then its `u`.
    LowEscape,
    LowU,
    /// So many bytes of a character are missing, and the next one is between these.
    Character(u8, u8, u8),
    /// Behind the so many bytes of `true`, `false` or `null`.
    Word(&'static [u8]),
    Minus,
    Zero,
    Digits,
    Dot,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

/// Looks at a text as it comes.
#[derive(Clone, Debug)]
pub struct Scanner {
    limits: Limits,
    state: State,
    /// For each open object or array whether it is an object, and what it may still have.
    open: Vec<(bool, u32)>,
    /// Whether the text is a name.
    is_name: bool,
    /// What the text or number may still have.
    room: usize,
    values: u64,
    /// Bytes of pieces that are done with.
    done: u64,
    /// The digits of `\u` so far, and whether a high surrogate went before.
    unit: u16,
    after_high: bool,
    failed: Option<Threat>,
    wrong_at: u64,
}

impl Scanner {
    /// A scanner at the begin of a text.
    pub fn new(limits: Limits) -> Scanner {
        let limits = Limits { depth: limits.depth.min(MAX_DEPTH), ..limits };
        Scanner {
            limits,
            state: State::Value,
            open: Vec::with_capacity(limits.depth),
            is_name: false,
            room: 0,
            values: limits.values,
            done: 0,
            unit: 0,
            after_high: false,
            failed: None,
            wrong_at: 0,
        }
    }

    /// Looks at the next piece of the text.
    ///
    /// # Errors
    /// What is wrong with it; the same again ever after.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), Threat> {
        if let Some(threat) = self.failed {
            return Err(threat);
        }
        let result = self.scan(piece);
        self.done += piece.len() as u64;
        self.failed = result.err();
        result
    }

    /// The end of the text.
    ///
    /// # Errors
    /// It is not complete, or was wrong before.
    pub fn finish(&mut self) -> Result<(), Threat> {
        if let Some(threat) = self.failed {
            return Err(threat);
        }
        // A number that is the whole text ends only here.
        match self.feed(b" ") {
            Ok(()) if self.state == State::After && self.open.is_empty() => Ok(()),
            _ => {
                self.failed = Some(Threat::Incomplete);
                self.wrong_at = self.done.saturating_sub(1);
                Err(Threat::Incomplete)
            }
        }
    }

    /// At which byte it was seen what is wrong, from zero.
    pub fn wrong_at(&self) -> u64 {
        self.wrong_at
    }

    fn scan(&mut self, piece: &[u8]) -> Result<(), Threat> {
        let mut rest = piece;
        while let Some(byte) = rest.first().copied() {
            let step = match self.state {
                State::Text => self.text(rest),
                State::Value
                | State::FirstElement
                | State::FirstName
                | State::Name
                | State::Colon
                | State::After => self.structure(byte),
                State::Escape | State::Hex(_) | State::LowEscape | State::LowU => self.escape(byte),
                State::Character(..) => self.character(byte),
                State::Word(_) => self.word(byte),
                _ => self.number(byte),
            };
            let at = self.done + (piece.len() - rest.len()) as u64;
            let taken = step.map_err(|wrong| {
                let (offset, threat) = match wrong {
                    Wrong::Syntax(offset) => (offset as u64, Threat::Syntax(at + offset as u64)),
                    Wrong::Limit(threat) => (0, threat),
                };
                self.wrong_at = at + offset;
                threat
            })?;
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// Between values.
    fn structure(&mut self, byte: u8) -> Step {
        if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            return Ok(1);
        }
        match (self.state, byte) {
            (State::FirstElement, b']') | (State::FirstName, b'}') => self.close(byte),
            (State::Value | State::FirstElement, byte) => self.value(byte),
            (State::FirstName | State::Name, b'"') => {
                self.count()?;
                self.begin_text(true, self.limits.name_bytes)
            }
            (State::Colon, b':') => self.turn(State::Value),
            (State::After, b',') => match self.open.last() {
                Some((true, _)) => self.turn(State::Name),
                Some((false, _)) => self.turn(State::Value),
                None => Err(Wrong::Syntax(0)),
            },
            (State::After, b']' | b'}') => self.close(byte),
            _ => Err(Wrong::Syntax(0)),
        }
    }

    fn value(&mut self, byte: u8) -> Step {
        if let Some((false, _)) = self.open.last() {
            self.count()?;
        }
        self.values = self.values.checked_sub(1).ok_or(Wrong::Limit(Threat::Values))?;
        match byte {
            b'"' => self.begin_text(false, self.limits.string_bytes),
            b'{' | b'[' => {
                if self.open.len() >= self.limits.depth {
                    return Err(Wrong::Limit(Threat::Depth));
                }
                let is_object = byte == b'{';
                self.open
                    .push((is_object, if is_object { self.limits.members } else { self.limits.elements }));
                self.turn(if is_object { State::FirstName } else { State::FirstElement })
            }
            b't' => self.turn(State::Word(b"rue")),
            b'f' => self.turn(State::Word(b"alse")),
            b'n' => self.turn(State::Word(b"ull")),
            b'-' | b'0'..=b'9' => {
                self.room = self.limits.number_bytes.checked_sub(1).ok_or(Wrong::Limit(Threat::Number))?;
                self.turn(match byte {
                    b'-' => State::Minus,
                    b'0' => State::Zero,
                    _ => State::Digits,
                })
            }
            _ => Err(Wrong::Syntax(0)),
        }
    }

    fn turn(&mut self, state: State) -> Step {
        self.state = state;
        Ok(1)
    }

    fn begin_text(&mut self, is_name: bool, room: usize) -> Step {
        self.is_name = is_name;
        self.room = room;
        self.turn(State::Text)
    }

    fn close(&mut self, byte: u8) -> Step {
        match self.open.pop() {
            Some((is_object, _)) if is_object == (byte == b'}') => self.turn(State::After),
            _ => Err(Wrong::Syntax(0)),
        }
    }

    /// One more member or element of what is open.
    fn count(&mut self) -> Result<(), Wrong> {
        let Some((is_object, room)) = self.open.last_mut() else { return Ok(()) };
        let threat = if *is_object { Threat::Members } else { Threat::Elements };
        *room = room.checked_sub(1).ok_or(Wrong::Limit(threat))?;
        Ok(())
    }

    /// So many bytes more of a name or string.
    fn take(&mut self, bytes: usize) -> Result<(), Wrong> {
        let threat = if self.is_name { Threat::Name } else { Threat::String };
        self.room = self.room.checked_sub(bytes).ok_or(Wrong::Limit(threat))?;
        Ok(())
    }

    /// Inside a string: all plain bytes at once, and what comes behind them.
    fn text(&mut self, rest: &[u8]) -> Step {
        let plain = plain_bytes(rest);
        self.take(plain)?;
        let Some(byte) = rest.get(plain).copied() else { return Ok(plain) };
        self.state = match byte {
            b'"' if self.is_name => State::Colon,
            b'"' => State::After,
            b'\\' => State::Escape,
            // RFC 3629 §4: the shortest form only, no surrogates, nothing above U+10FFFF.
            0xc2..=0xdf => State::Character(1, 0x80, 0xbf),
            0xe0 => State::Character(2, 0xa0, 0xbf),
            0xed => State::Character(2, 0x80, 0x9f),
            0xe1..=0xef => State::Character(2, 0x80, 0xbf),
            0xf0 => State::Character(3, 0x90, 0xbf),
            0xf1..=0xf3 => State::Character(3, 0x80, 0xbf),
            0xf4 => State::Character(3, 0x80, 0x8f),
            _ => return Err(Wrong::Syntax(plain)),
        };
        if byte != b'"' {
            self.take(1)?;
        }
        Ok(plain + 1)
    }

    /// A further byte of a character.
    fn character(&mut self, byte: u8) -> Step {
        let State::Character(missing, low, high) = self.state else { return Err(Wrong::Syntax(0)) };
        if !(low..=high).contains(&byte) {
            return Err(Wrong::Syntax(0));
        }
        self.take(1)?;
        self.turn(if missing > 1 { State::Character(missing - 1, 0x80, 0xbf) } else { State::Text })
    }

    fn escape(&mut self, byte: u8) -> Step {
        self.take(1)?;
        match (self.state, byte) {
            (State::Escape, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.turn(State::Text),
            (State::Escape, b'u') => {
                (self.unit, self.after_high) = (0, false);
                self.turn(State::Hex(4))
            }
            (State::LowEscape, b'\\') => self.turn(State::LowU),
            (State::LowU, b'u') => {
                (self.unit, self.after_high) = (0, true);
                self.turn(State::Hex(4))
            }
            (State::Hex(missing), byte) => {
                let digit = char::from(byte).to_digit(16).and_then(|digit| u16::try_from(digit).ok());
                self.unit = self.unit << 4 | digit.ok_or(Wrong::Syntax(0))?;
                match (missing, self.after_high, self.unit) {
                    (2.., _, _) => self.turn(State::Hex(missing - 1)),
                    (_, true, 0xdc00..=0xdfff) => self.turn(State::Text),
                    // A surrogate alone is no character: readers differ in what they make of it.
                    (_, true, _) | (_, false, 0xdc00..=0xdfff) => Err(Wrong::Syntax(0)),
                    (_, false, 0xd800..=0xdbff) => self.turn(State::LowEscape),
                    _ => self.turn(State::Text),
                }
            }
            _ => Err(Wrong::Syntax(0)),
        }
    }

    fn word(&mut self, byte: u8) -> Step {
        match self.state {
            State::Word([next]) if *next == byte => self.turn(State::After),
            State::Word([next, rest @ ..]) if *next == byte => self.turn(State::Word(rest)),
            _ => Err(Wrong::Syntax(0)),
        }
    }

    fn number(&mut self, byte: u8) -> Step {
        let next = match (self.state, byte) {
            (State::Minus, b'0') => State::Zero,
            (State::Minus | State::Digits, b'0'..=b'9') => State::Digits,
            (State::Zero | State::Digits, b'.') => State::Dot,
            (State::Dot | State::Fraction, b'0'..=b'9') => State::Fraction,
            (State::Zero | State::Digits | State::Fraction, b'e' | b'E') => State::Exponent,
            (State::Exponent, b'+' | b'-') => State::ExponentSign,
            (State::Exponent | State::ExponentSign | State::ExponentDigits, b'0'..=b'9') => {
                State::ExponentDigits
            }
            (State::Zero | State::Digits | State::Fraction | State::ExponentDigits, _) => {
                // What ends a number belongs to what is around it.
                self.state = State::After;
                return Ok(0);
            }
            _ => return Err(Wrong::Syntax(0)),
        };
        self.room = self.room.checked_sub(1).ok_or(Wrong::Limit(Threat::Number))?;
        self.turn(next)
    }
}

/// What is wrong at a byte: that it is there, counted from where the step began, or that it is too much.
enum Wrong {
    Syntax(usize),
    Limit(Threat),
}

/// How many bytes were taken.
type Step = Result<usize, Wrong>;

/// How many bytes at the begin are ASCII and mean themselves inside a string. Whole chunks are looked at without
/// a branch per byte, so that the compiler uses wide registers.
fn plain_bytes(text: &[u8]) -> usize {
    const CHUNK: usize = 32;
    let is_plain = |byte: u8| (0x20..0x80).contains(&byte) & (byte != b'"') & (byte != b'\\');
    let chunks = text.chunks_exact(CHUNK);
    let whole = chunks.take_while(|chunk| chunk.iter().fold(true, |all, byte| all & is_plain(*byte))).count();
    let rest = text.get(whole * CHUNK..).unwrap_or_default();
    whole * CHUNK + rest.iter().take_while(|byte| is_plain(**byte)).count()
}

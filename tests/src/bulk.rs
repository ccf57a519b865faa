//! Large bodies that can be checked on arrival: a pattern in which every byte's place can be told.
//!
//! It works on plain streams, because the point is how fast they are read. Entry points: [`write_pattern`],
//! [`check_pattern`], [`read_head`].

use std::io::{Error, Read, Result, Write};
use std::sync::OnceLock;

/// A prime, so that a shift by any usual buffer size is noticed.
const PERIOD: usize = 65_521;
const STEP: usize = 256 * 1024;

/// More than one period of the pattern, so that any step of it is one slice.
fn pattern() -> &'static [u8] {
    static PATTERN: OnceLock<Vec<u8>> = OnceLock::new();
    PATTERN.get_or_init(|| {
        let mut state = 1u32;
        let period: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        })
        .take(PERIOD)
        .collect();
        period.iter().copied().cycle().take(PERIOD + STEP).collect()
    })
}

fn slice(offset: u64, length: usize) -> &'static [u8] {
    let start = (offset % PERIOD as u64) as usize;
    &pattern()[start..start + length]
}

/// Writes the bytes of the pattern from `from` to `to`. `sent` hears of each step.
pub fn write_pattern(out: &mut impl Write, from: u64, to: u64, mut sent: impl FnMut(u64)) -> Result<()> {
    let mut at = from;
    while at < to {
        let count = out.write(slice(at, STEP.min((to - at) as usize)))?;
        at += count as u64;
        sent(at);
    }
    Ok(())
}

/// Reads so many bytes and compares each with the pattern.
pub fn check_pattern(input: &mut impl Read, length: u64) -> Result<()> {
    let mut buffer = vec![0; STEP];
    let mut at = 0;
    while at < length {
        let most = STEP.min((length - at) as usize);
        let count = input.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(Error::other(format!("the body ended after {at} of {length} bytes")));
        }
        if buffer[..count] != *slice(at, count) {
            return Err(Error::other(format!("the body is wrong somewhere in {at}..{}", at + count as u64)));
        }
        at += count as u64;
    }
    Ok(())
}

/// Reads up to the end of a head, byte by byte, so that nothing of the body is taken.
pub fn read_head(stream: &mut impl Read) -> Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    Ok(crate::message::latin1(&head))
}

/// A reader of chunks, without extensions and trailers; it ends at the last chunk.
pub struct Chunks<R> {
    inner: R,
    left: u64,
    ended: bool,
}

impl<R: Read> Chunks<R> {
    /// Reads from behind a head.
    pub fn new(inner: R) -> Chunks<R> {
        Chunks { inner, left: 0, ended: false }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            self.inner.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        Ok(String::from_utf8_lossy(&line[..line.len() - 2]).into_owned())
    }
}

impl<R: Read> Read for Chunks<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.left == 0 && !self.ended {
            let line = self.line()?;
            self.left =
                u64::from_str_radix(&line, 16).map_err(|_| Error::other(format!("no size: {line:?}")))?;
            self.ended = self.left == 0;
            if self.ended && !self.line()?.is_empty() {
                return Err(Error::other("unexpected trailers"));
            }
        }
        if self.ended {
            return Ok(0); // reading nothing from a socket would still wait
        }
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.inner.read(&mut buffer[..most])?;
        self.left -= count as u64;
        if self.left == 0 && count > 0 && !self.line()?.is_empty() {
            return Err(Error::other("a chunk is longer than it says"));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{Chunks, PERIOD, check_pattern, write_pattern};

    #[test]
    fn the_pattern_is_checked() {
        let mut bytes = Vec::new();
        let length = 3 * PERIOD as u64 + 17;
        write_pattern(&mut bytes, 0, length, |_| ()).unwrap();
        assert!(check_pattern(&mut &bytes[..], length).is_ok());
        assert!(
            check_pattern(&mut &bytes[1..], length - 1).is_err()
                && check_pattern(&mut &bytes[..9], 10).is_err()
        );
        bytes[PERIOD + 5] ^= 1;
        assert!(check_pattern(&mut &bytes[..], length).is_err());
    }

    #[test]
    fn chunks_are_read() {
        let mut text = String::new();
        Chunks::new(&b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\nrest"[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc0123456789");
        assert!(Chunks::new(&b"3\r\nabcd\r\n"[..]).read_to_string(&mut text).is_err());
    }
}

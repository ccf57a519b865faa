//! Texts of heads that are put together where they will stand, from pieces whose lengths are known and numbers: so
//! nothing is called to copy a few bytes, and a head of an answer has many of these. Entry points: [`draw`],
//! [`push_number`].

/// The most digits of a number.
pub const DIGITS: usize = 20;

/// Appends a number in decimal digits.
#[inline]
pub fn push_number(out: &mut Vec<u8>, number: u64) {
    with_digits(number, |digits| out.extend_from_slice(digits));
}

/// Appends what `write` writes, of at most `ROOM` bytes. Where that is longer, nothing is appended and it is false.
#[inline(always)] // so that lengths are known
pub fn draw<const ROOM: usize>(out: &mut Vec<u8>, write: impl FnOnce(&mut Pen<'_>)) -> bool {
    let begin = out.len();
    out.extend_from_slice(&[0; ROOM]);
    let mut pen = Pen::new(out.get_mut(begin..).unwrap_or_default());
    write(&mut pen);
    let (len, fits) = (pen.len, pen.fits);
    debug_assert!(fits, "there is room for what is written");
    out.truncate(if fits { begin + len } else { begin });
    fits
}

/// Writes into a room of fixed size; see [`draw`].
pub struct Pen<'t> {
    room: &'t mut [u8],
    len: usize,
    fits: bool,
}

impl<'t> Pen<'t> {
    fn new(room: &'t mut [u8]) -> Pen<'t> {
        Pen { room, len: 0, fits: true }
    }

    /// Writes a piece.
    #[inline(always)] // so that its length is known
    pub fn push<const N: usize>(&mut self, piece: &[u8; N]) {
        match self.room.get_mut(self.len..).and_then(|room| room.first_chunk_mut::<N>()) {
            Some(room) => {
                *room = *piece;
                self.len += N;
            }
            None => self.fits = false,
        }
    }

    /// Writes a number in decimal digits.
    #[inline]
    pub fn push_number(&mut self, number: u64) {
        with_digits(number, |digits| {
            match self.room.get_mut(self.len..).and_then(|room| room.get_mut(..digits.len())) {
                Some(room) => {
                    room.copy_from_slice(digits);
                    self.len += digits.len();
                }
                None => self.fits = false,
            }
        });
    }

    /// How many bytes were written.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

/// Most numbers have few digits.
#[inline(always)] // so that the lengths of these are known
fn with_digits(number: u64, mut write: impl FnMut(&[u8])) {
    let two = |number: u64| PAIRS[(number % 100) as usize];
    match number {
        0..=9 => write(&[b'0' + number as u8]),
        10..=99 => write(&two(number)),
        100..=999 => {
            let [tens, ones] = two(number);
            write(&[b'0' + (number / 100) as u8, tens, ones]);
        }
        1000..=9999 => {
            let ([thousands, hundreds], [tens, ones]) = (two(number / 100), two(number));
            write(&[thousands, hundreds, tens, ones]);
        }
        _ => write(itoa::Buffer::new().format(number).as_bytes()),
    }
}

/// The two digits of each number below a hundred.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + number as u8 / 10, b'0' + number as u8 % 10];
        number += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_lengths() {
        for number in (0..12_000).chain([u64::MAX / 7, u64::MAX]) {
            let mut out = b"=".to_vec();
            push_number(&mut out, number);
            let fits = draw::<{ DIGITS + 1 }>(&mut out, |pen| {
                pen.push(b"=");
                pen.push_number(number);
            });
            assert_eq!((out, fits), (format!("={number}={number}").into_bytes(), true));
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_told() {
        let mut room = [b'.'; 6];
        let mut pen = Pen::new(&mut room);
        pen.push(b"four");
        pen.push(b"too long");
        pen.push_number(123);
        assert!(!pen.fits && pen.len() == 4);
        pen.push(b"-");
        pen.push_number(7);
        assert!(!pen.fits && pen.len() == 6 && room == *b"four-7");
    }
}

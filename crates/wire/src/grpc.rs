//! Bodies of gRPC and gRPC-Web: where messages end, base64 in and out, trailers as a frame.
//!
//! After "gRPC over HTTP2" (`doc/PROTOCOL-HTTP2.md` of grpc/grpc) and "gRPC Web" (`doc/PROTOCOL-WEB.md`). Everything
//! takes a body in pieces of any size and holds at most a few bytes of it. What messages say is not looked at.

use message::{Fault, Headers};

/// Flag and length in front of a message.
const PREFIX: usize = 5;
/// The flag of the frame of gRPC-Web that holds trailers.
const TRAILERS: u8 = 0x80;

/// Follows the messages of a body and bounds their size.
///
/// A message that claims 4 GiB is refused when its length comes, not when somebody tries to hold it.
#[derive(Debug)]
pub struct GrpcMessageScan {
    most: u32,
    prefix: [u8; PREFIX],
    /// How much of the prefix is there; all of it while the message goes on.
    have: usize,
    /// What has not come of the message.
    left: u32,
}

impl GrpcMessageScan {
    /// For a new body, whose messages have at most `most` bytes each.
    pub fn new(most: u32) -> GrpcMessageScan {
        GrpcMessageScan { most, prefix: [0; PREFIX], have: 0, left: 0 }
    }

    /// Takes the next bytes, and returns how many messages ended in them.
    ///
    /// Errors: [`Fault::BadGrpc`] for a frame that is no message, trailers of gRPC-Web too, which only an
    /// answer may have; [`Fault::BodyTooLarge`].
    pub fn pass(&mut self, mut bytes: &[u8]) -> Result<u64, Fault> {
        let mut ended = 0;
        loop {
            if self.have == PREFIX {
                let skipped = bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                bytes = &bytes[skipped..];
                // No more than `left`, which has 32 bits.
                self.left -= skipped as u32;
                if self.left > 0 {
                    return Ok(ended);
                }
                self.have = 0;
                ended += 1;
            }
            let missing = &mut self.prefix[self.have..];
            let taken = missing.len().min(bytes.len());
            missing[..taken].copy_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            self.have += taken;
            // 1 says that the message is compressed.
            if self.have > 0 && self.prefix[0] > 1 {
                return Err(Fault::BadGrpc);
            }
            if self.have < PREFIX {
                return Ok(ended);
            }
            let [_, length @ ..] = self.prefix;
            self.left = u32::from_be_bytes(length);
            if self.left > self.most {
                return Err(Fault::BodyTooLarge);
            }
        }
    }

    /// Whether the last message is whole, so that a body may end here.
    pub fn is_between_messages(&self) -> bool {
        self.have == 0
    }
}

/// Adds the frame of gRPC-Web that ends an answer: the trailers as lines, with names in lower case.
///
/// A name or value that would break its line is left out.
pub fn write_grpc_web_trailers(out: &mut Vec<u8>, trailers: &Headers) {
    let start = out.len();
    out.extend_from_slice(&[TRAILERS, 0, 0, 0, 0]);
    for (name, value) in trailers.iter() {
        if Headers::is_valid_name(name) && Headers::is_valid_value(value) {
            out.extend(name.iter().map(u8::to_ascii_lowercase));
            out.push(b':');
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
    }
    // Trailers are bounded to a few KiB.
    let length = u32::try_from(out.len() - start - PREFIX).unwrap_or(u32::MAX);
    if let Some(place) = out.get_mut(start + 1..start + PREFIX) {
        place.copy_from_slice(&length.to_be_bytes());
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// What a byte that is no digit of base64 has in [`VALUES`].
const NO_DIGIT: u8 = 64;

/// The value of each digit of base64.
const VALUES: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let mut value = 0;
    while value < ALPHABET.len() {
        table[ALPHABET[value] as usize] = value as u8;
        value += 1;
    }
    table
};

/// Decodes the text form of gRPC-Web: base64 (RFC 4648 §4) in padded segments, one behind another.
///
/// Strict: no other alphabet, no white space, no bits that are set beyond the last byte.
#[derive(Debug, Default)]
pub struct GrpcTextDecoder {
    /// The digits of a group of four, the last one lowest.
    bits: u32,
    /// How many digits of the group have come, padding too.
    have: u8,
    /// How many of them are padding.
    pads: u8,
}

impl GrpcTextDecoder {
    /// Decodes the next piece of the body, and adds what is complete. Holds back at most three digits.
    ///
    /// Errors: [`Fault::BadGrpc`].
    pub fn decode(&mut self, mut text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        out.reserve(text.len() / 4 * 3 + 3);
        while let [b, rest @ ..] = text {
            if self.have == 0
                && let Some((group, rest)) = text.split_first_chunk::<4>()
                && let Some(bits) = whole_group(*group)
            {
                out.extend_from_slice(&bits.to_be_bytes()[1..]);
                text = rest;
                continue;
            }
            text = rest;
            self.take(*b, out)?;
        }
        Ok(())
    }

    /// Takes one digit.
    fn take(&mut self, b: u8, out: &mut Vec<u8>) -> Result<(), Fault> {
        let value = VALUES[usize::from(b)];
        if b == b'=' && self.have >= 2 {
            self.pads += 1;
            self.bits <<= 6;
        } else if value != NO_DIGIT && self.pads == 0 {
            self.bits = self.bits << 6 | u32::from(value);
        } else {
            return Err(Fault::BadGrpc);
        }
        self.have += 1;
        if self.have < 4 {
            return Ok(());
        }
        let [_, bytes @ ..] = self.bits.to_be_bytes();
        let (bytes, spare) = bytes.split_at(3 - usize::from(self.pads));
        *self = GrpcTextDecoder::default();
        if spare.iter().any(|&b| b != 0) {
            return Err(Fault::BadGrpc);
        }
        out.extend_from_slice(bytes);
        Ok(())
    }

    /// The body has ended. Errors: [`Fault::BadGrpc`] in the middle of a group.
    pub fn finish(&self) -> Result<(), Fault> {
        if self.have == 0 { Ok(()) } else { Err(Fault::BadGrpc) }
    }
}

/// Four digits without padding.
#[inline]
fn whole_group(group: [u8; 4]) -> Option<u32> {
    let mut bits = 0;
    let mut all = 0;
    for b in group {
        let value = VALUES[usize::from(b)];
        all |= value;
        bits = bits << 6 | u32::from(value);
    }
    (all < NO_DIGIT).then_some(bits)
}

/// Encodes an answer as the text form of gRPC-Web.
#[derive(Debug, Default)]
pub struct GrpcTextEncoder {
    /// Bytes that do not fill a group of three: the first `have`.
    held: [u8; 3],
    have: usize,
}

impl GrpcTextEncoder {
    /// Encodes the next piece of the body. Holds back at most two bytes.
    pub fn encode(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        out.reserve(bytes.len().div_ceil(3) * 4);
        if self.have > 0 {
            bytes = self.hold(bytes);
            if self.have < self.held.len() {
                return;
            }
            self.flush(out);
        }
        let (groups, rest) = bytes.as_chunks::<3>();
        for group in groups {
            push_group(out, group);
        }
        self.hold(rest);
    }

    /// Fills the group that is held, and returns what did not go into it.
    fn hold<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let free = self.held.get_mut(self.have..).unwrap_or_default();
        let (taken, rest) = bytes.split_at(bytes.len().min(free.len()));
        free[..taken.len()].copy_from_slice(taken);
        self.have += taken.len();
        rest
    }

    /// Ends the segment, with padding, so that the client sees everything up to here. To be called when there is
    /// nothing more to send for now.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        let held = self.held.get(..self.have).unwrap_or_default();
        if !held.is_empty() {
            push_group(out, held);
        }
        self.have = 0;
    }
}

/// Adds one to three bytes as four digits.
#[inline]
fn push_group(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut bits = 0;
    for at in 0..3 {
        bits = bits << 8 | u32::from(bytes.get(at).copied().unwrap_or(0));
    }
    let mut group = [18, 12, 6, 0].map(|shift| ALPHABET[(bits >> shift & 63) as usize]);
    if let Some(padding) = group.get_mut(bytes.len() + 1..) {
        padding.fill(b'=');
    }
    out.extend_from_slice(&group);
}

//! Looks at which pseudo-header fields a compressed head names, and where (RFC 9114 §4.3, RFC 9204 §4.5).
//!
//! The library that decompresses keeps only the last of several, whatever the place, so that a head which breaks the
//! rules looks like one that keeps them. What is wrong with the compression itself is left to that library.

/// A pseudo-header field of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pseudo {
    Authority,
    Path,
    Method,
    Scheme,
    Protocol,
    /// None that a request has.
    Other,
}

/// Pseudo-header fields by their text, and by that in the code of Huffman (RFC 7541 appendix B).
const NAMES: [(&[u8], &[u8], Pseudo); 5] = [
    (b":authority", &[0xb8, 0x3b, 0x53, 0x39, 0xec, 0x32, 0x7d, 0x7f], Pseudo::Authority),
    (b":path", &[0xb9, 0x58, 0xd3, 0x3f], Pseudo::Path),
    (b":method", &[0xb9, 0x49, 0x53, 0x39, 0xe4], Pseudo::Method),
    (b":scheme", &[0xb8, 0x82, 0x4e, 0x5a, 0x4b], Pseudo::Scheme),
    (b":protocol", &[0xb9, 0x5d, 0x87, 0x49, 0xc8, 0x7a, 0x3f], Pseudo::Protocol),
];

/// Whether the pseudo-header fields of a request stand where they may, each once.
pub(super) fn may_be_head(section: &[u8]) -> bool {
    let mut seen = [false; NAMES.len()];
    let mut regular = false;
    all_names(section, |name| match name {
        None => {
            regular = true;
            true
        }
        Some(Pseudo::Other) => false,
        Some(pseudo) => {
            seen.get_mut(pseudo as usize).is_some_and(|seen| !std::mem::replace(seen, true)) && !regular
        }
    })
}

/// Whether trailers hold no pseudo-header field.
pub(super) fn may_be_trailers(section: &[u8]) -> bool {
    all_names(section, |name| name.is_none())
}

/// Whether `test` holds for every name, `None` for one that is no pseudo-header field.
fn all_names(section: &[u8], mut test: impl FnMut(Option<Pseudo>) -> bool) -> bool {
    let mut rest = section;
    // The begin says which entries of a table are needed. There is no table.
    if integer(&mut rest, 8).is_none() || integer(&mut rest, 7).is_none() {
        return true;
    }
    while !rest.is_empty() {
        match name(&mut rest) {
            Some(name) if !test(name) => return false,
            Some(_) => {}
            None => return true,
        }
    }
    true
}

/// The name of the next field, which is passed over. `None` where there is no sense in it.
fn name(rest: &mut &[u8]) -> Option<Option<Pseudo>> {
    let first = *rest.first()?;
    if first & 0xc0 == 0xc0 {
        return Some(of_table(integer(rest, 6)?));
    }
    let name = if first & 0xd0 == 0x50 {
        of_table(integer(rest, 4)?)
    } else if first & 0xe0 == 0x20 {
        let is_coded = first & 0x08 != 0;
        let length = integer(rest, 3)?;
        of_text(take(rest, length)?, is_coded)
    } else {
        return None;
    };
    let length = integer(rest, 7)?;
    take(rest, length)?;
    Some(name)
}

/// The name of an entry of the static table (RFC 9204 appendix A).
fn of_table(index: u64) -> Option<Pseudo> {
    match index {
        0 => Some(Pseudo::Authority),
        1 => Some(Pseudo::Path),
        15..=21 => Some(Pseudo::Method),
        22 | 23 => Some(Pseudo::Scheme),
        24..=28 | 63..=71 => Some(Pseudo::Other),
        _ => None,
    }
}

fn of_text(text: &[u8], is_coded: bool) -> Option<Pseudo> {
    // In the code of Huffman a colon is seven bits.
    let begins = text.first().is_some_and(|&b| if is_coded { b >> 1 == 0x5c } else { b == b':' });
    if !begins {
        return None;
    }
    let known = NAMES.iter().find(|(plain, coded, _)| text == if is_coded { *coded } else { *plain });
    Some(known.map_or(Pseudo::Other, |&(_, _, pseudo)| pseudo))
}

/// An integer in the last bits of a byte, and in those behind it (RFC 7541 §5.1).
fn integer(rest: &mut &[u8], bits: u32) -> Option<u64> {
    let (&first, mut bytes) = rest.split_first()?;
    let most = (1u64 << bits) - 1;
    let mut value = u64::from(first) & most;
    if value == most {
        for shift in (0..56).step_by(7) {
            let (&b, behind) = bytes.split_first()?;
            bytes = behind;
            value = value.checked_add(u64::from(b & 0x7f) << shift)?;
            if b & 0x80 == 0 {
                *rest = bytes;
                return Some(value);
            }
        }
        return None;
    }
    *rest = bytes;
    Some(value)
}

fn take<'a>(rest: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (text, behind) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = behind;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: &[u8] = &[0, 0];
    const METHOD: &[u8] = &[0xd1];
    const SCHEME: &[u8] = &[0xd7];
    const PATH: &[u8] = &[0xc1];
    const OTHER_PATH: &[u8] = &[0x51, 2, b'/', b'b'];
    const CODED_PATH: &[u8] = &[0x2c, 0xb9, 0x58, 0xd3, 0x3f, 1, b'/'];
    const PLAIN_PATH: &[u8] = &[0x25, b':', b'p', b'a', b't', b'h', 1, b'/'];
    const STATUS: &[u8] = &[0xd9];
    const LATE_STATUS: &[u8] = &[0xff, 0];
    const FIELD: &[u8] = &[0x23, b'a', b'b', b'c', 1, b'x'];
    const UNKNOWN: &[u8] = &[0x22, b':', b'x', 0];

    #[test]
    fn each_stands_once_and_in_front() {
        for (good, fields) in [
            (true, &[METHOD, SCHEME, PATH, FIELD, FIELD][..]),
            (true, &[METHOD, SCHEME, CODED_PATH]),
            (true, &[FIELD, FIELD]),
            (false, &[METHOD, METHOD]),
            (false, &[PATH, OTHER_PATH]),
            (false, &[PATH, CODED_PATH]),
            (false, &[PLAIN_PATH, OTHER_PATH]),
            (false, &[FIELD, PATH]),
            (false, &[FIELD, CODED_PATH]),
            (false, &[METHOD, STATUS]),
            (false, &[METHOD, LATE_STATUS]),
            (false, &[UNKNOWN]),
        ] {
            let section = [START, &fields.concat()].concat();
            assert_eq!(may_be_head(&section), good, "{section:02x?}");
            let is_plain = fields.iter().all(|field| *field == FIELD);
            assert_eq!(may_be_trailers(&section), is_plain, "{section:02x?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(section in prop::collection::vec(any::<u8>(), 0..100)) {
            may_be_head(&section);
            may_be_trailers(&section);
        }
    }
}

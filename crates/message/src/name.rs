//! The header names that the gateway itself must understand, as small integers.
//!
//! Recognising a name once, when the head is parsed, turns every later question ("is this
//! hop-by-hop?") into a comparison of one byte, or a look into a set of bits ([`Names`]). Names not in the list are
//! [`Name::Other`]; they are compared with [`is_same_name`].

macro_rules! names {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// A header name that some rule of HTTP or of the gateway refers to.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u8)]
        pub enum Name {
            $($(#[$doc])* #[doc = concat!("`", $text, "`")] $variant,)*
            /// Any other name.
            Other,
        }

        impl Name {
            /// The name in lower case; empty for [`Name::Other`].
            #[inline]
            pub const fn as_str(self) -> &'static str {
                match self { $(Name::$variant => $text,)* Name::Other => "" }
            }
        }

        const ALL: &[Name] = &[$(Name::$variant,)*];
    };
}

names! {
    Host = "host",
    Connection = "connection",
    ContentLength = "content-length",
    TransferEncoding = "transfer-encoding",
    Te = "te",
    Trailer = "trailer",
    Upgrade = "upgrade",
    KeepAlive = "keep-alive",
    ProxyConnection = "proxy-connection",
    ProxyAuthenticate = "proxy-authenticate",
    ProxyAuthorization = "proxy-authorization",
    ProxyAuthenticationInfo = "proxy-authentication-info",
    Expect = "expect",
    Via = "via",
    Forwarded = "forwarded",
    XForwardedFor = "x-forwarded-for",
    XForwardedProto = "x-forwarded-proto",
    XForwardedHost = "x-forwarded-host",
    XRealIp = "x-real-ip",
    XOriginalUrl = "x-original-url",
    XRewriteUrl = "x-rewrite-url",
    Proxy = "proxy",
    Http2Settings = "http2-settings",
    MaxForwards = "max-forwards",
    Date = "date",
    Server = "server",
}

impl Name {
    /// Recognises a name, ignoring case (RFC 9110 §5.1).
    #[inline]
    pub fn of(text: &[u8]) -> Name {
        // Length, first and last letter leave one candidate, so one comparison decides.
        let [first, .., last] = text else { return Name::Other };
        let candidate = CANDIDATES[slot(text.len(), *first, *last)];
        if is_same_name(text, candidate.as_str().as_bytes()) { candidate } else { Name::Other }
    }
}

/// Whether two names are the same, ignoring case (RFC 9110 §5.1): eight letters at a time.
#[inline]
pub fn is_same_name(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let (Some(end), Some(other_end)) = (one.last_chunk(), other.last_chunk()) else {
        return is_same_word(short_word(one), short_word(other));
    };
    // The last eight have what is no whole word; some letters are looked at twice.
    let words = one.as_chunks().0.iter().zip(other.as_chunks().0);
    is_same_word(u64::from_le_bytes(*end), u64::from_le_bytes(*other_end))
        && words.into_iter().all(|(a, b)| is_same_word(u64::from_le_bytes(*a), u64::from_le_bytes(*b)))
}

/// A name of at most seven letters.
#[inline]
fn short_word(name: &[u8]) -> u64 {
    match (name.first_chunk(), name.last_chunk()) {
        (Some(begin), Some(end)) => {
            u64::from(u32::from_le_bytes(*begin)) | u64::from(u32::from_le_bytes(*end)) << 32
        }
        _ => name.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// Whether eight bytes are the same, but for the case of letters.
#[inline]
fn is_same_word(one: u64, other: u64) -> bool {
    const EACH: u64 = u64::MAX / 255;
    const CASE: u64 = EACH * 0x20;
    let differs = one ^ other;
    if differs == 0 {
        return true;
    }
    // They may differ in the one bit that is the case, where they are letters: from `a` on the first sum carries into the
    // top bit of a byte, behind `z` the second one does. No byte carries into the next one.
    let lower = one | CASE;
    let seven = lower & (EACH * 0x7f);
    let from_a = seven + EACH * (0x80 - u64::from(b'a'));
    let behind_z = seven + EACH * (0x7f - u64::from(b'z'));
    let letters = from_a & !behind_z & !lower & (EACH * 0x80);
    differs & !CASE == 0 && (differs << 2) & !letters == 0
}

/// A set of the names that the gateway knows.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Names(u64);

const _: () = assert!((Name::Other as u32) < u64::BITS, "the set has one bit per name");

impl Names {
    /// Of these.
    pub const fn of(names: &[Name]) -> Names {
        let (mut set, mut i) = (0, 0);
        while i < names.len() {
            set |= 1 << names[i] as u32;
            i += 1;
        }
        Names(set)
    }

    /// Those for which [`Name::is_per_connection`] says so.
    pub const PER_CONNECTION: Names = Names::of(&[
        Name::Connection,
        Name::TransferEncoding,
        Name::Te,
        Name::Upgrade,
        Name::KeepAlive,
        Name::ProxyConnection,
        Name::Http2Settings,
    ]);

    /// Whether it has this name.
    #[inline]
    pub const fn has(self, name: Name) -> bool {
        self.has_any(Names::of(&[name]))
    }

    /// Whether it has one of these names.
    #[inline]
    pub const fn has_any(self, names: Names) -> bool {
        self.0 & names.0 != 0
    }

    /// And those.
    #[must_use]
    #[inline]
    pub const fn with(self, names: Names) -> Names {
        Names(self.0 | names.0)
    }

    /// Adds a name.
    #[inline]
    pub fn add(&mut self, name: Name) {
        *self = self.with(Names::of(&[name]));
    }
}

/// Number of slots of [`CANDIDATES`].
const SLOTS: usize = 64;

/// The one name that each slot may stand for. That no two names share a slot is checked here, when the
/// crate is built: a new name that does needs other factors in [`slot`], or more slots.
const CANDIDATES: [Name; SLOTS] = {
    let mut table = [Name::Other; SLOTS];
    let mut i = 0;
    while i < ALL.len() {
        let text = ALL[i].as_str().as_bytes();
        let slot = slot(text.len(), text[0], text[text.len() - 1]);
        assert!(matches!(table[slot], Name::Other), "two names share a slot");
        table[slot] = ALL[i];
        i += 1;
    }
    table
};

/// The slot of a name, the same for both cases of a letter.
const fn slot(len: usize, first: u8, last: u8) -> usize {
    (len + (first | 0x20) as usize * 21 + (last | 0x20) as usize * 5) % SLOTS
}

impl Name {
    /// Whether a field of this name is about one connection or the framing on it, so that it ends there and is
    /// written anew for the next (RFC 9110 §7.6.1).
    #[inline]
    pub const fn is_per_connection(self) -> bool {
        Names::PER_CONNECTION.has(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_but_for_the_case_of_letters() {
        for len in 0..=19 {
            let name: Vec<u8> = (0..len).map(|at| b"x-Rate_Limit"[at % 12]).collect();
            assert!(is_same_name(&name, &name.to_ascii_uppercase()) && !is_same_name(&name, b"x-Other-Name"));
            assert!(!is_same_name(&name, &[&name[..], b"x"].concat()));
            for (at, b) in (0..len).flat_map(|at| (0..=255).map(move |b| (at, b))) {
                for was in [b'k', b'Z', b'@', b'[', b'`', b'{', b'-', 0xe1] {
                    let (mut one, mut other) = (name.clone(), name.clone());
                    (one[at], other[at]) = (was, b);
                    assert_eq!(is_same_name(&one, &other), was.eq_ignore_ascii_case(&b), "{was:#x} {b:#x}");
                }
            }
        }
    }

    #[test]
    fn every_name_is_recognised_in_any_case() {
        for name in ALL {
            assert_eq!(Name::of(name.as_str().as_bytes()), *name);
            assert_eq!(Name::of(name.as_str().to_uppercase().as_bytes()), *name);
        }
        assert_eq!(Name::of(b"x-other"), Name::Other);
        assert_eq!(Name::of(b""), Name::Other);
        assert_eq!(Name::of(b"t"), Name::Other);
        assert_eq!(Name::of(b"hOsT"), Name::Host);
        assert_eq!(Name::of(b"host\0"), Name::Other);
        assert_eq!(Name::of(b"h\x4fs\x14"), Name::Other);
    }
}

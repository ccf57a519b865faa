//! The header names that the gateway itself must understand, as small integers.
//!
//! Recognising a name once, when the head is parsed, turns every later question ("is this
//! hop-by-hop?") into a comparison of one byte. Names not in the list are [`Name::Other`].

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
        if text.eq_ignore_ascii_case(candidate.as_str().as_bytes()) { candidate } else { Name::Other }
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
        matches!(
            self,
            Name::Connection
                | Name::TransferEncoding
                | Name::Te
                | Name::Upgrade
                | Name::KeepAlive
                | Name::ProxyConnection
                | Name::Http2Settings
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

//! What the user writes.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{BinaryFile, keywords, section};

use super::country::Country;

keywords! {
    /// What becomes of requests from addresses whose country is not known.
    pub enum Unknown {
        /// They pass.
        Allow = "allow",
        /// They are refused.
        Refuse = "refuse",
    }
}

section! {
    /// Lets requests in or keeps them out by the country that the address of the client is in, and tells services which
    /// one it is. It needs `allow`, `deny` or `header`.
    pub struct Raw {
        /// The database of addresses, a file in the format of MaxMind (`.mmdb`) that tells countries: GeoLite2-Country,
        /// GeoLite2-City, or another one of the same form. A new file in its place is taken over.
        database: BinaryFile,
        /// Countries that may come, by their two letters (ISO 3166-1): `DE`. All others may not. Without it, all may
        /// that `deny` does not name.
        allow: Option<Vec<Spanned<Country>>>,
        /// Countries that may not come.
        deny: Option<Vec<Spanned<Country>>>,
        /// What becomes of requests from addresses that the database has no country for, such as those of private
        /// networks. They are refused without it where there is `allow` or `deny`.
        unknown: Option<Spanned<Unknown>>,
        /// A header field that tells services the country, such as `x-geo-country`. What clients write into it is
        /// removed; it is missing where the country is not known.
        header: Option<Spanned<String>>,
    }
    check check_purpose
}

/// A policy that does nothing was meant to do something.
fn check_purpose(raw: &Raw, diagnostics: &mut Diagnostics) {
    if diagnostics.has_error_in(raw.span) {
        return;
    }
    match (&raw.allow, &raw.deny) {
        (None, None) if raw.header.is_none() => diagnostics.push(
            Diagnostic::error(Code::MissingKey, raw.span, "the policy `geo` has nothing to do")
                .label("this section needs `allow`, `deny` or `header`")
                .help("add `allow: [DE, FR]`, `deny: [US]` or `header: x-geo-country`, or remove the policy"),
        ),
        (Some(allow), _) if allow.is_empty() => diagnostics.push(
            Diagnostic::error(Code::InvalidValue, raw.span, "`allow` is empty, so nobody could come")
                .help("add a country, or remove the key"),
        ),
        (None, Some(deny)) if deny.is_empty() => diagnostics.push(
            Diagnostic::error(Code::InvalidValue, raw.span, "`deny` is empty, so nobody is kept out")
                .help("add a country, or remove the key"),
        ),
        (None, None) => {
            if let Some(unknown) = raw.unknown.as_ref().filter(|unknown| unknown.value == Unknown::Allow) {
                diagnostics.push(
                    Diagnostic::warning(
                        Code::UnusedSetting,
                        unknown.span,
                        "nobody is refused here, known or not",
                    )
                    .label("it goes with `allow` and `deny`")
                    .help("remove it"),
                );
            }
        }
        _ => {}
    }
}

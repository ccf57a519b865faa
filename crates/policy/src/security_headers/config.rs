//! What the user writes.

use diagnostics::{Code, Diagnostic, Diagnostics, Spanned};
use document::{Decode, DurationValue, Node, Shape, keywords, section};

keywords! {
    /// Who may show a page inside of another one.
    pub enum Frame {
        /// Nobody.
        Deny = "deny",
        /// Pages of the same site.
        SameOrigin = "sameorigin",
        /// Says nothing of it.
        Off = "off",
    }
}

keywords! {
    /// How much of its own address a page tells where its links lead.
    pub enum ReferrerPolicy {
        /// Nothing.
        Nothing = "no-referrer",
        /// All of it, but not from https to http.
        NoReferrerWhenDowngrade = "no-referrer-when-downgrade",
        /// Its origin.
        Origin = "origin",
        /// All of it to the same origin, to others its origin.
        OriginWhenCrossOrigin = "origin-when-cross-origin",
        /// All of it to the same origin, nothing to others.
        SameOrigin = "same-origin",
        /// Its origin, but not from https to http.
        StrictOrigin = "strict-origin",
        /// All of it to the same origin, to others its origin, and nothing from https to http.
        StrictOriginWhenCrossOrigin = "strict-origin-when-cross-origin",
        /// All of it to everybody.
        UnsafeUrl = "unsafe-url",
        /// Says nothing of it.
        Off = "off",
    }
}

section! {
    /// Tells browsers how to protect those who use the service.
    pub struct Raw {
        /// That the site is to be reached by https only, in `strict-transport-security`, or `off`. Only responses to
        /// requests that came over https have it.
        hsts: HstsSetting = "{}",
        /// Whether browsers are told to believe `content-type` and not to guess: `x-content-type-options: nosniff`.
        nosniff: bool = "true",
        /// Who may show a page inside of another one, in `x-frame-options`.
        frame: Frame = "sameorigin",
        /// How much of its own address a page tells where its links lead, in `referrer-policy`.
        referrer: ReferrerPolicy = "strict-origin-when-cross-origin",
        /// What a page may load and run, in `content-security-policy`; it is not said without this.
        csp: Option<Spanned<String>>,
        /// What a page may use of the device, in `permissions-policy`; it is not said without this.
        permissions: Option<Spanned<String>>,
        /// Whether these fields take the place of what the service has set. Without it, what the service says stays.
        override_service as "override": bool = "false",
    }
}

section! {
    /// That the site is to be reached by https only (HSTS, RFC 6797).
    pub struct Hsts {
        /// How long browsers keep to it, from their last visit. `0s` takes it back.
        max_age: DurationValue = "365d",
        /// Whether it holds for all subdomains too, also those that this gateway does not serve.
        include_subdomains: bool = "true",
        /// Whether the site may be put on the lists that browsers come with. It takes months to get off them.
        preload: Spanned<bool> = "false",
    }
    check check_hsts
}

/// `off`, or what is said.
#[derive(Clone, Debug)]
pub enum HstsSetting {
    /// Nothing is said of it.
    Off,
    /// This is.
    On(Hsts),
}

impl Decode for HstsSetting {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        if node.text() == Some("off") {
            return Some(Self::Off);
        }
        Hsts::decode(node, diagnostics).map(Self::On)
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Keyword(&["off"]), Hsts::shape()])
    }
}

/// A year, in seconds: the least that the lists of browsers take.
const YEAR: u64 = 365 * 24 * 3600;

/// The lists of browsers take no site that says less.
fn check_hsts(hsts: &Hsts, diagnostics: &mut Diagnostics) {
    let is_enough = hsts.include_subdomains && hsts.max_age.get().as_secs() >= YEAR;
    if hsts.preload.value && !is_enough && !diagnostics.has_error_in(hsts.span) {
        diagnostics.push(
            Diagnostic::error(
                Code::InvalidValue,
                hsts.preload.span,
                "`preload` needs `include_subdomains: true` and a `max_age` of a year: browsers take no less",
            )
            .help("write `max_age: 365d, include_subdomains: true`, or remove `preload`"),
        );
    }
}

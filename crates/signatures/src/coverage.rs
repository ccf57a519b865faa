//! What a signature covers, and what it must cover.
//!
//! Both forms have several names for the same: `@target-uri` says all that `@authority`, `@path` and `@query` say. So
//! the parts of a request are counted, not names. Entry points: [`Requirement::of`], [`Coverage`].

use message::is_token_byte;

use crate::Refusal;

/// Parts of a request, as a set.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Parts(u8);

impl Parts {
    pub(crate) const METHOD: Parts = Parts(1);
    pub(crate) const SCHEME: Parts = Parts(2);
    pub(crate) const AUTHORITY: Parts = Parts(4);
    pub(crate) const PATH: Parts = Parts(8);
    pub(crate) const QUERY: Parts = Parts(16);
    /// What `@request-target` says.
    pub(crate) const TARGET: Parts = Parts(8 | 16);
    /// What `@target-uri` says.
    pub(crate) const URI: Parts = Parts(2 | 4 | 8 | 16);
    /// What a request line says.
    pub(crate) const LINE: Parts = Parts(1 | 8 | 16);
}

/// What a signature covers.
#[derive(Default)]
pub(crate) struct Coverage<'a> {
    parts: Parts,
    fields: Vec<&'a str>,
}

impl<'a> Coverage<'a> {
    /// Adds parts.
    pub(crate) fn add(&mut self, parts: Parts) {
        self.parts.0 |= parts.0;
    }

    /// Adds a field that is covered with all its lines.
    pub(crate) fn add_field(&mut self, name: &'a str) {
        self.fields.push(name);
    }

    /// Whether a field is covered with all its lines.
    pub(crate) fn has_field(&self, name: &str) -> bool {
        self.fields.iter().any(|own| own.eq_ignore_ascii_case(name))
    }

    /// Whether everything is covered that must be.
    pub(crate) fn meets(&self, required: &[Requirement]) -> Result<(), Refusal> {
        let meets = |requirement: &Requirement| match &requirement.0 {
            Need::Parts(parts) => self.parts.0 & parts.0 == parts.0,
            Need::Field(name) => self.has_field(name),
        };
        if required.iter().all(meets) { Ok(()) } else { Err(Refusal::NotCovered) }
    }
}

/// Something that a signature must cover.
#[derive(Clone, PartialEq, Eq)]
pub struct Requirement(Need);

#[derive(Clone, PartialEq, Eq)]
enum Need {
    Parts(Parts),
    Field(Box<str>),
}

impl Requirement {
    /// What a name means: `@method`, `@scheme`, `@authority`, `@path`, `@query`, `@request-target`, `@target-uri`
    /// (RFC 9421 §2.2), `request-line`, or the name of a field. `None` for anything else.
    ///
    /// It is met by whatever covers the same. `@request-target` by `@path` and `@query` together, `@authority` by
    /// `@target-uri`, and so on. In the header form `request-line` and `@request-target` cover method, path and
    /// query, and `host` covers the authority unless the target names another. A field is covered with all its
    /// lines; one member of it (`key`) is not enough.
    #[must_use]
    pub fn of(name: &str) -> Option<Requirement> {
        let parts = match name {
            "@method" => Parts::METHOD,
            "@scheme" => Parts::SCHEME,
            "@authority" => Parts::AUTHORITY,
            "@path" => Parts::PATH,
            "@query" => Parts::QUERY,
            "@request-target" => Parts::TARGET,
            "@target-uri" => Parts::URI,
            "request-line" => Parts::LINE,
            _ if !name.is_empty() && name.bytes().all(is_token_byte) => {
                return Some(Requirement(Need::Field(name.to_ascii_lowercase().into())));
            }
            _ => return None,
        };
        Some(Requirement(Need::Parts(parts)))
    }

    /// What HTTP Message Signatures must cover if nothing else is said: method, authority, path and query.
    pub(crate) fn message_default() -> Vec<Requirement> {
        [Parts::METHOD, Parts::AUTHORITY, Parts::TARGET].map(|parts| Requirement(Need::Parts(parts))).into()
    }

    /// The same for the header form: method, path and query. Its clients rarely sign the host.
    pub(crate) fn header_default() -> Vec<Requirement> {
        vec![Requirement(Need::Parts(Parts::LINE))]
    }
}

impl std::fmt::Debug for Requirement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Need::Parts(parts) => write!(f, "Requirement(parts {:#b})", parts.0),
            Need::Field(name) => write!(f, "Requirement({name})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_parts_or_fields() {
        for name in ["@status", "@query-param", "@signature-params", "@", "", "a b", "é", "@Method"] {
            assert_eq!(Requirement::of(name), None, "{name}");
        }
        assert_eq!(Requirement::of("Content-Digest"), Requirement::of("content-digest"));
    }

    #[test]
    fn whatever_covers_the_same_meets_a_requirement() {
        let meets = |covered: &[Parts], name: &str| {
            let mut coverage = Coverage::default();
            covered.iter().for_each(|&parts| coverage.add(parts));
            coverage.meets(&[Requirement::of(name).unwrap()]).is_ok()
        };
        assert!(meets(&[Parts::URI], "@authority") && meets(&[Parts::URI], "@request-target"));
        assert!(meets(&[Parts::PATH, Parts::QUERY], "@request-target"));
        assert!(meets(&[Parts::LINE], "@method") && meets(&[Parts::LINE], "@query"));
        assert!(!meets(&[Parts::PATH], "@request-target"));
        assert!(!meets(&[Parts::TARGET], "request-line"));
        assert!(!meets(&[Parts::LINE, Parts::AUTHORITY], "@target-uri"), "the scheme is missing");
        assert!(!meets(&[], "date"));
    }
}

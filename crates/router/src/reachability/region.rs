//! Sets of requests: what one alternative matches, or what two of them match together.
//!
//! Host, method, path and the values of conditions are independent of each other, so a set is what each of
//! them may be. Entry points: [`Region::of`], [`Region::meet`], and [`Avoid`] for what is left out.

use smallvec::SmallVec;

use super::frame::Frame;
use super::shape::Shape;
use crate::builder::Entry;
use crate::host::HostPattern;
use crate::path::Form;
use crate::regex::ByteRegex;
use crate::value::ValuePattern;
use crate::{Match, PathPattern};

/// A condition on a header or a query parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Condition<'r> {
    /// [`Frame::Header`] or [`Frame::Query`].
    pub(super) field: Frame,
    pub(super) name: &'r str,
    pub(super) pattern: &'r ValuePattern,
}

impl Condition<'_> {
    /// Whether the two ask about the same values.
    pub(super) fn is_about(&self, other: &Condition<'_>) -> bool {
        self.field == other.field && self.name == other.name
    }
}

/// All conditions of a match.
pub(super) fn conditions(of: &Match) -> impl Iterator<Item = Condition<'_>> {
    let headers = of.headers.iter().map(|(name, pattern)| (Frame::Header, name, pattern));
    let query = of.query.iter().map(|(name, pattern)| (Frame::Query, name, pattern));
    headers.chain(query).map(|(field, name, pattern)| Condition { field, name, pattern })
}

/// A set of requests.
#[derive(Clone, Debug)]
pub(super) struct Region<'r> {
    /// `None` for any, and none.
    pub(super) host: Option<&'r HostPattern>,
    /// One of each of these serves the method.
    pub(super) methods: SmallVec<[&'r [Box<str>]; 2]>,
    pub(super) shape: Shape<'r>,
    /// All of these match the path too.
    pub(super) regexes: SmallVec<[&'r ByteRegex; 2]>,
    /// All of these hold.
    pub(super) conditions: Vec<Condition<'r>>,
    /// Whether one value has to satisfy all conditions on its name. Else each may have a value of its own.
    pub(super) has_single_values: bool,
}

impl<'r> Region<'r> {
    /// What a match takes under one of its hosts.
    pub(super) fn of(entry: &'r Entry, host: Option<&'r HostPattern>) -> Self {
        let of = &entry.of;
        Self {
            host,
            methods: std::iter::once(&*of.methods).filter(|methods| !methods.is_empty()).collect(),
            shape: Shape::of(of.path.as_ref()).unwrap_or_else(Shape::all),
            regexes: regex(of.path.as_ref()).into_iter().collect(),
            conditions: conditions(of).collect(),
            has_single_values: false,
        }
    }

    /// What is in both. `None` if nothing is; that something is stands only when it was found.
    pub(super) fn meet(mut self, other: Self) -> Option<Self> {
        self.host = if is_host_within(self.host, other.host) {
            self.host
        } else if is_host_within(other.host, self.host) {
            other.host
        } else {
            return None;
        };
        self.shape = self.shape.meet(&other.shape)?;
        self.methods.extend(other.methods);
        for regex in other.regexes {
            if self.regexes.iter().all(|known| known.source() != regex.source()) {
                self.regexes.push(regex);
            }
        }
        self.conditions.extend(other.conditions);
        Some(self)
    }
}

/// The regex of a path, if it is one.
pub(super) fn regex(path: Option<&PathPattern>) -> Option<&ByteRegex> {
    match path?.form() {
        Form::Regex(regex) => Some(regex),
        _ => None,
    }
}

/// Whether every host of `inner` is one of `outer`.
pub(super) fn is_host_within(inner: Option<&HostPattern>, outer: Option<&HostPattern>) -> bool {
    match (inner, outer) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(HostPattern::Exact(name)), Some(outer)) => outer.matches(name),
        (Some(HostPattern::Wildcard(_)), Some(HostPattern::Exact(_))) => false,
        (Some(HostPattern::Wildcard(below)), Some(HostPattern::Wildcard(outer))) => {
            below == outer || below.strip_suffix(&**outer).is_some_and(|front| front.ends_with('.'))
        }
    }
}

/// One thing that a request must not be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Avoid<'r> {
    Host(&'r HostPattern),
    /// None of these serves the method; not empty.
    Methods(&'r [Box<str>]),
    Path(&'r PathPattern),
    /// It does not hold.
    Condition(Condition<'r>),
}

impl Avoid<'_> {
    /// Whether the same requests avoid both.
    pub(super) fn is_same(&self, other: &Avoid<'_>) -> bool {
        match (self, other) {
            (Self::Host(one), Avoid::Host(other)) => one == other,
            (Self::Methods(one), Avoid::Methods(other)) => one == other,
            (Self::Path(one), Avoid::Path(other)) => one.as_str() == other.as_str(),
            (Self::Condition(one), Avoid::Condition(other)) => {
                one.is_about(other) && one.pattern == other.pattern
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_within_hosts() {
        let host = |text: &str| (text != "any").then(|| HostPattern::parse(text).unwrap());
        for (inner, outer, want) in [
            ("a.com", "a.com", true),
            ("b.a.com", "*.a.com", true),
            ("a.com", "*.a.com", false),
            ("*.b.a.com", "*.a.com", true),
            ("*.a.com", "*.a.com", true),
            ("*.a.com", "*.b.a.com", false),
            ("*.ba.com", "*.a.com", false),
            ("*.a.com", "x.a.com", false),
            ("*.a.com", "any", true),
            ("any", "*.com", false),
            ("any", "any", true),
        ] {
            assert_eq!(is_host_within(host(inner).as_ref(), host(outer).as_ref()), want, "{inner} {outer}");
        }
    }
}

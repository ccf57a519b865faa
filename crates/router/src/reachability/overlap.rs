//! Which alternatives match some requests together, while each matches others alone.
//!
//! Where the one of higher precedence lies within the other, it is an exception from it: that is how routes
//! are meant to be written, and nothing is said. Entry point: [`Solver::crosses`].

use super::region::{Condition, Region, conditions, regex};
use super::search::Found;
use super::shape::Shape;
use super::solve::Solver;
use crate::Match;
use crate::conditions::serves_method;
use crate::path::Form;
use crate::value::ValuePattern;

/// How two alternatives cross.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cross {
    /// They do not, or the higher one lies within the lower one.
    No,
    /// They do. The flag is [`Crossing::is_by_methods`](super::Crossing::is_by_methods).
    Yes { is_by_methods: bool },
    /// It was too much work.
    Unknown,
}

impl<'r> Solver<'r> {
    /// Whether two alternatives of one priority cross, of which `lower` is known to match some request that
    /// `higher` does not match. Of their paths it is known that they may meet, unless one is a regex.
    pub(super) fn crosses(
        &mut self,
        (higher, higher_of): (&Region<'r>, &'r Match),
        (lower, lower_of): (&Region<'r>, &'r Match),
    ) -> Cross {
        if !do_methods_meet(&higher_of.methods, &lower_of.methods) || !self.may_meet(higher, lower) {
            return Cross::No;
        }
        let leaves_methods = !are_methods_within(&higher_of.methods, &lower_of.methods);
        let leaves_conditions = self.leaves_conditions(higher, lower_of);
        if !leaves_methods && leaves_conditions == Some(false) && self.is_swept_within(higher, lower) {
            return Cross::No;
        }
        if !higher.regexes.is_empty() || !lower.regexes.is_empty() {
            match self.do_paths_meet(higher, lower) {
                Some(true) => {}
                Some(false) => return Cross::No,
                None => return Cross::Unknown,
            }
        }
        let leaves_path = match &lower_of.path {
            None => Some(false),
            Some(outer) => self.is_path_within(higher, outer).map(|is_within| !is_within),
        };
        match [Some(leaves_methods), leaves_conditions, leaves_path] {
            [_, Some(false), Some(false)] if leaves_methods => {
                let is_narrower = higher.host != lower.host || self.is_path_narrower(higher_of, lower);
                Cross::Yes { is_by_methods: is_narrower }
            }
            all if all.contains(&Some(true)) => Cross::Yes { is_by_methods: false },
            all if all.contains(&None) => Cross::Unknown,
            _ => Cross::No,
        }
    }

    /// A quick look at whether the paths of two regions may meet.
    fn may_meet(&mut self, one: &Region<'r>, other: &Region<'r>) -> bool {
        self.swept(one, other).is_none_or(|sweep| sweep.may_match)
    }

    /// A quick look at whether all paths of `higher` are of `lower`, which is a regex.
    fn is_swept_within(&mut self, higher: &Region<'r>, lower: &Region<'r>) -> bool {
        higher.regexes.is_empty() && self.swept(higher, lower).is_some_and(|sweep| !sweep.may_differ)
    }

    /// The quick look, where one of the two is a regex.
    fn swept(&mut self, one: &Region<'r>, other: &Region<'r>) -> Option<super::dfa::Sweep> {
        let (regex, shape) = match (&one.regexes[..], &other.regexes[..]) {
            ([regex], []) => (regex, &other.shape),
            ([], [regex]) => (regex, &one.shape),
            _ => return None,
        };
        let dfa = self.regexes.dfa(regex.source(), super::frame::Frame::Path)?;
        let (sweep, cost) = dfa.sweep(shape);
        self.work.spend(cost / 4).then_some(sweep)
    }

    /// Whether the two have a path in common; `None` if it is not known.
    fn do_paths_meet(&mut self, one: &Region<'r>, other: &Region<'r>) -> Option<bool> {
        if let ([one_regex], [other_regex]) = (&one.regexes[..], &other.regexes[..]) {
            return self.do_regexes_meet(one_regex, other_regex);
        }
        match one.clone().meet(other.clone()).map(|both| self.path(&both, &[])) {
            Some(Found::Some(_)) => Some(true),
            Some(Found::None) | None => Some(false),
            Some(Found::Unknown) => None,
        }
    }

    /// Whether some path of `lower` is none of `higher`.
    fn is_path_narrower(&mut self, higher: &'r Match, lower: &Region<'r>) -> bool {
        higher.path.as_ref().is_some_and(|path| self.is_path_within(lower, path) == Some(false))
    }

    /// Whether some request of `higher` fails a condition of `lower`; `None` if it is not known.
    fn leaves_conditions(&mut self, higher: &Region<'r>, lower: &'r Match) -> Option<bool> {
        let mut is_known = true;
        for wanted in conditions(lower) {
            let given: Vec<Condition<'r>> =
                higher.conditions.iter().filter(|given| given.is_about(&wanted)).copied().collect();
            // Each condition asks for a value of its own, so one of them alone has to be enough.
            let mut is_implied = Some(false);
            for given in given {
                match self.is_value_within(given, wanted) {
                    Some(true) => is_implied = Some(true),
                    Some(false) => {}
                    None if is_implied == Some(true) => {}
                    None => is_implied = None,
                }
                if is_implied == Some(true) {
                    break;
                }
            }
            match is_implied {
                Some(true) => {}
                Some(false) => return Some(true),
                None => is_known = false,
            }
        }
        is_known.then_some(false)
    }
}

/// Whether what is known of the two paths says that nothing can come of comparing them: an exact path is
/// matched by a regex altogether, or not at all.
pub(super) fn is_exact_in_regex(higher: &Match, lower: &Match) -> bool {
    let is_exact = matches!(higher.path.as_ref().map(|path| path.form()), Some(Form::Exact(_)));
    is_exact && regex(lower.path.as_ref()).is_some()
}

/// Whether all requests of a match are told by their host and path.
pub(super) fn is_open(of: &Match) -> bool {
    of.methods.is_empty() && of.headers.is_empty() && of.query.is_empty()
}

/// Whether two regions ask for different values of one header or parameter. Routes are told apart by a value
/// as a rule, and a request that has both is not to be thought of.
pub(super) fn are_told_apart(one: &Region<'_>, other: &Region<'_>) -> bool {
    one.conditions.iter().any(|mine| {
        let ValuePattern::Exact(value) = mine.pattern else { return false };
        let mut others = other.conditions.iter().filter(|theirs| mine.is_about(theirs));
        others.any(|theirs| matches!(theirs.pattern, ValuePattern::Exact(other) if other != value))
    })
}

/// Whether everything is matched, so that whatever comes before it is an exception from it.
pub(super) fn takes_all(region: &Region<'_>, of: &Match) -> bool {
    is_open(of) && region.host.is_none() && region.regexes.is_empty() && region.shape == Shape::all()
}

/// Whether a request of some method is for both.
pub(super) fn do_methods_meet(one: &[Box<str>], other: &[Box<str>]) -> bool {
    let served = |by: &[Box<str>], method: &str| serves_method(by, method.as_bytes());
    one.is_empty()
        || other.is_empty()
        || one.iter().any(|method| served(other, method))
        || other.iter().any(|method| served(one, method))
        || (served(one, "HEAD") && served(other, "HEAD"))
}

/// Whether every method that `inner` serves is served by `outer`.
fn are_methods_within(inner: &[Box<str>], outer: &[Box<str>]) -> bool {
    outer.is_empty()
        || (!inner.is_empty()
            && inner.iter().map(|method| &**method).all(|method| serves_method(outer, method.as_bytes()))
            && (!serves_method(inner, b"HEAD") || serves_method(outer, b"HEAD")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_methods() {
        let methods = |text: &str| text.split_whitespace().map(Box::from).collect::<Vec<Box<str>>>();
        for (one, other, do_meet, is_within) in [
            ("", "", true, true),
            ("GET", "", true, true),
            ("", "GET", true, false),
            ("GET", "POST", false, false),
            ("HEAD", "GET", true, true),
            ("GET", "HEAD", true, false),
            ("GET", "POST GET", true, true),
            ("GET PUT", "POST GET", true, false),
        ] {
            let (one, other) = (methods(one), methods(other));
            assert_eq!(do_methods_meet(&one, &other), do_meet, "{one:?} {other:?}");
            assert_eq!(do_methods_meet(&other, &one), do_meet, "{other:?} {one:?}");
            assert_eq!(are_methods_within(&one, &other), is_within, "{one:?} {other:?}");
        }
    }
}

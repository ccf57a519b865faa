//! What decides who may pass on one way of a route, and what of it another way lacks.
//!
//! Only what keeps people out counts: who is calling, what they may do, where they come from. Sizes, programs by
//! their own word and pages of other sites are about something else. It must not know paths or services. Entry points:
//! [`Guards::of`], [`Guards::lacked_by`].

use policy::{Chain, KINDS, Policy};
use router::reachability::Weaker;

/// A set of kinds of policies, one bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Kinds(u64);

impl Kinds {
    fn insert(&mut self, kind: usize) {
        self.0 |= 1_u64.checked_shl(kind as u32).unwrap_or_default();
    }

    fn without(self, other: Kinds) -> Kinds {
        Kinds(self.0 & !other.0)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those for which this is true.
    pub(crate) fn filter(self, keep: impl Fn(&str) -> bool) -> Kinds {
        let mut kept = Kinds::default();
        for (number, kind) in KINDS.iter().enumerate() {
            let mut one = Kinds::default();
            one.insert(number);
            if one.without(self).is_empty() && keep(kind.name) {
                kept.insert(number);
            }
        }
        kept
    }

    /// Their names, in the order of the list of kinds.
    pub(crate) fn names(self) -> Vec<&'static str> {
        let is_one = |number: usize| 1_u64.checked_shl(number as u32).is_some_and(|bit| self.0 & bit != 0);
        let named = KINDS.iter().enumerate().filter(|(number, _)| is_one(*number));
        named.map(|(_, kind)| kind.name).collect()
    }
}

/// What decides who may pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Guards {
    /// What knows callers, if one has to be known.
    asking: Kinds,
    /// Whether all of them have to know the caller.
    asks_all: bool,
    /// Servers that are asked whether a request may pass.
    judges: Kinds,
    /// Rules for callers who are known.
    rules: Kinds,
    /// Rules for addresses.
    addresses: Kinds,
}

/// What one way has and another one lacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lack {
    /// It does not ask who is calling; these do.
    pub(crate) asking: Kinds,
    /// It is content with less than all of these.
    pub(crate) all: Kinds,
    /// It has none of these.
    pub(crate) rules: Kinds,
    /// Something stands in front of it nevertheless.
    pub(crate) is_guarded: bool,
}

impl Lack {
    pub(crate) fn is_empty(self) -> bool {
        self.asking.is_empty() && self.all.is_empty() && self.rules.is_empty()
    }

    /// How much weaker that is.
    pub(crate) fn weaker(self) -> Weaker {
        if self.is_guarded && self.asking.is_empty() { Weaker::Less } else { Weaker::Open }
    }
}

impl Guards {
    /// Of a chain.
    pub(crate) fn of(chain: &Chain) -> Guards {
        let mut guards = Guards::default();
        for link in chain.links() {
            let set = match &*link.policy {
                policy if policy.knows_callers() && chain.demands_identity() => &mut guards.asking,
                Policy::Authorize(_) => &mut guards.rules,
                Policy::ForwardAuth(_) => &mut guards.judges,
                Policy::Ip(_) => &mut guards.addresses,
                Policy::Geo(geo) if geo.refuses() => &mut guards.addresses,
                _ => continue,
            };
            set.insert(link.policy.kind_index());
        }
        guards.asks_all = chain.demands_all() && !guards.asking.is_empty();
        guards
    }

    /// Whether anybody may pass.
    pub(crate) fn is_empty(self) -> bool {
        self == Guards::default()
    }

    /// What stands here and is missing in the other place. What the other place has instead counts: a server that is
    /// asked may stand for a key and a rule, a key for a server or for an address. Two sets of rules of one kind are not
    /// compared, nor are two ways to know a caller.
    pub(crate) fn lacked_by(self, other: Guards) -> Lack {
        let is_judged = !other.judges.without(self.judges).is_empty();
        let is_asked = !other.asking.without(self.asking).is_empty();
        let is_ruled = !other.rules.without(self.rules).is_empty();
        let unless =
            |is_made_up_for: bool, kinds: Kinds| if is_made_up_for { Kinds::default() } else { kinds };
        let is_open = other.asking.is_empty();
        let asking = unless(!is_open || is_judged, self.asking);
        let asks_as_many = !self.asks_all || (other.asks_all && self.asking == other.asking);
        let is_less = !(is_open || is_asked || asks_as_many);
        // Without a caller there is nothing to have rules for.
        let rules = unless(is_judged || !asking.is_empty(), self.rules.without(other.rules));
        let judges = unless(is_asked || is_ruled, self.judges.without(other.judges));
        let is_known_instead = self.asking.is_empty() && !is_open;
        let addresses = unless(is_judged || is_known_instead, self.addresses.without(other.addresses));
        let all = if is_less { self.asking } else { Kinds::default() };
        Lack { asking, all, rules: Kinds(rules.0 | judges.0 | addresses.0), is_guarded: !other.is_empty() }
    }
}

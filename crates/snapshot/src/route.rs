//! Routes: what to do with the requests that match.

use std::sync::Arc;
use std::time::Duration;

use diagnostics::Span;
use message::Reply;
use policy::{Chain, Consumers, Reserved};

use crate::{RequestKey, ServiceIndex, Template};

/// A route. What it matches is in the router.
#[derive(Debug)]
pub struct Route {
    /// Its name, or `path` and position where it has none.
    pub name: Box<str>,
    /// What to do.
    pub action: Action,
    /// For the whole exchange; `None` for what the service says.
    pub timeout: Option<Duration>,
    /// How a new version gets more requests step by step: the second of its ways. `None` where there is none.
    pub canary: Option<balance::rollout::Plan>,
    /// How much it matters that its requests are served.
    pub importance: balance::Importance,
    /// Who may be calling.
    pub consumers: Arc<Consumers>,
    /// What its requests carry only if the gateway has put it there.
    pub reserved: Arc<Reserved>,
    /// Whether it is for CONNECT: a connection to the service is then the client's own.
    pub connect: bool,
    /// Whether gRPC-Web is translated to gRPC.
    pub grpc_web: bool,
    /// The place in the configuration.
    pub source: Span,
}

/// What a route does.
#[derive(Debug)]
pub enum Action {
    /// Pass the request to a service.
    Forward {
        /// To which.
        split: Split,
        /// Another path for the service.
        rewrite: Option<Template>,
        /// Who gets copies.
        mirror: Option<Mirror>,
    },
    /// Send the client elsewhere.
    Redirect {
        /// Where to.
        redirect: Redirect,
        /// What holds here.
        chain: Chain,
    },
    /// Answer.
    Respond {
        /// With this.
        reply: Arc<Reply>,
        /// What holds here.
        chain: Chain,
    },
}

impl Action {
    /// How many ways there are to go on: the services of a split, otherwise one.
    pub fn ways(&self) -> usize {
        match self {
            Action::Forward { split, .. } => split.targets().len(),
            Action::Redirect { .. } | Action::Respond { .. } => 1,
        }
    }

    /// The policies of each way.
    pub fn chains(&self) -> impl Iterator<Item = &Chain> {
        (0..self.ways()).filter_map(|way| self.chain(way))
    }

    /// What requests that stay with one of the ways have in common.
    #[inline]
    pub fn split_by(&self) -> Option<&RequestKey> {
        match self {
            Action::Forward { split, .. } => split.by.as_ref(),
            Action::Redirect { .. } | Action::Respond { .. } => None,
        }
    }

    /// Chooses one of the ways: always the same one for a key, as long as shares do not change.
    #[inline]
    pub fn choose(&self, rng: &mut fastrand::Rng, key: Option<u64>) -> usize {
        match self {
            Action::Forward { split, .. } => split.choose(rng, key),
            Action::Redirect { .. } | Action::Respond { .. } => 0,
        }
    }

    /// The service that one of the ways leads to.
    pub fn service(&self, way: usize) -> Option<ServiceIndex> {
        match self {
            Action::Forward { split, .. } => split.targets().get(way).map(|target| target.service),
            Action::Redirect { .. } | Action::Respond { .. } => None,
        }
    }

    /// Who gets copies.
    pub fn mirror(&self) -> Option<&Mirror> {
        match self {
            Action::Forward { mirror, .. } => mirror.as_ref(),
            Action::Redirect { .. } | Action::Respond { .. } => None,
        }
    }

    /// The policies that hold on one of the ways.
    #[inline]
    pub fn chain(&self, way: usize) -> Option<&Chain> {
        match self {
            Action::Forward { split, .. } => split.targets().get(way).map(|target| &target.chain),
            Action::Redirect { chain, .. } | Action::Respond { chain, .. } => Some(chain),
        }
    }
}

/// One service of a route, with the policies that hold on the way to it.
#[derive(Debug)]
pub struct Target {
    /// The service.
    pub service: ServiceIndex,
    /// Its share.
    pub weight: u32,
    /// Gateway, service and route policies, the nearest of each kind.
    pub chain: Chain,
}

/// The services of a route and their shares. There is at least one, and their weights are not all zero.
#[derive(Debug)]
pub struct Split {
    targets: Box<[Target]>,
    total: u64,
    by: Option<RequestKey>,
}

impl Split {
    /// `None` where there is nothing to choose from. Requests that have in common what `by` says go the same way.
    pub fn new(targets: Vec<Target>, by: Option<RequestKey>) -> Option<Split> {
        let total: u64 = targets.iter().map(|target| u64::from(target.weight)).sum();
        (total > 0).then(|| Split { targets: targets.into(), total, by })
    }

    /// All of them.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Chooses one by weight: its position. A key is a point on the line that the shares divide, so that when shares
    /// change, only those keys move whose part of the line changes hands.
    #[inline]
    pub fn choose(&self, rng: &mut fastrand::Rng, key: Option<u64>) -> usize {
        if self.targets.len() > 1 {
            let mut ticket = match key {
                Some(key) => ((u128::from(key) * u128::from(self.total)) >> 64) as u64,
                None => rng.u64(0..self.total),
            };
            for (position, target) in self.targets.iter().enumerate() {
                match ticket.checked_sub(u64::from(target.weight)) {
                    None => return position,
                    Some(rest) => ticket = rest,
                }
            }
        }
        0
    }
}

/// A service that gets copies of some requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The service.
    pub service: ServiceIndex,
    /// The share of requests, in hundredths of a percent.
    pub share: u32,
}

impl Mirror {
    /// Whether it gets a copy this time.
    pub fn hits(&self, rng: &mut fastrand::Rng) -> bool {
        self.share > 0 && rng.u32(..10_000) < self.share
    }
}

/// Where to send a client.
#[derive(Debug)]
pub struct Redirect {
    /// The new place: a path, or a whole URL.
    pub to: Template,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_keeps_its_shares() {
        let target =
            |weight| Target { service: ServiceIndex(weight as usize), weight, chain: Chain::default() };
        assert!(Split::new(vec![], None).is_none() && Split::new(vec![target(0)], None).is_none());
        let split = Split::new(vec![target(90), target(0), target(10)], None).unwrap();
        let mut rng = fastrand::Rng::with_seed(7);
        let mut counts = [0u32; 3];
        for _ in 0..10_000 {
            counts[split.choose(&mut rng, None)] += 1;
        }
        assert!((8800..9200).contains(&counts[0]) && counts[1] == 0, "{counts:?}");
        // By a key: the shares hold too, and a larger share takes keys over without giving one away.
        let wider = Split::new(vec![target(80), target(0), target(20)], None).unwrap();
        let keys: Vec<u64> = (0..10_000).map(|_| rng.u64(..)).collect();
        let mut choose = |split: &Split, key: &u64| split.choose(&mut rng, Some(*key));
        let second = keys.iter().filter(|key| choose(&split, key) == 2).count();
        assert!((800..1200).contains(&second), "{second}");
        assert!(keys.iter().all(|key| choose(&split, key) != 2 || choose(&wider, key) == 2));
    }
}

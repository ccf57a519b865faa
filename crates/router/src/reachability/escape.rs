//! Looking for a request of a region that one alternative takes.
//!
//! A request of the region is chosen and looked up. If another alternative takes it, the next one must
//! differ from that alternative in some part: by host, method, path, or a condition. Each is tried, and what
//! was avoided before stays avoided. Every request that the alternative does take differs in one of these
//! parts from each that comes before it, so that when all have been tried and no request is left, the
//! region is taken by others: that is the proof. Entry point: [`Solver::escape`].

use super::example::{Example, Probe};
use super::region::{Avoid, Region, conditions, is_host_within};
use super::report::Part;
use super::solve::{Solved, Solver};
use crate::Router;
use crate::rank::Rank;

/// Work for one step, besides its searches: choosing and looking up.
const STEP: u64 = 40;

/// Whether an alternative takes a request of a region.
#[derive(Debug)]
pub(super) enum Verdict<'r> {
    /// It takes this one.
    Takes(Example),
    /// Others take all of them: these, the first of which takes the example.
    Taken { by: Vec<Rank>, example: Example },
    /// There is no request in the region, as nothing is left for this part.
    Impossible(Part<'r>),
    /// It is not known.
    Unknown,
}

/// One search, under way.
struct Escape<'s, 'r> {
    solver: &'s mut Solver<'r>,
    router: &'r Router,
    region: &'s Region<'r>,
    target: Rank,
    /// How many more requests may be looked up.
    left: u32,
    takers: Vec<Rank>,
    first: Option<Example>,
    /// What was avoided in vain. Whoever avoids all of it, and more, does so in vain too.
    closed: Vec<Vec<Avoid<'r>>>,
}

/// What became of a branch of the search.
enum Branch<'r> {
    Found(Example),
    Closed(Part<'r>),
    Unknown,
}

impl<'r> Solver<'r> {
    /// Whether the alternative `target` takes some request of `region`, all of which it matches. At most
    /// `steps` requests are looked up.
    pub(super) fn escape(
        &mut self,
        router: &'r Router,
        region: &Region<'r>,
        target: Rank,
        steps: u32,
    ) -> Verdict<'r> {
        let (takers, first, closed) = (Vec::new(), None, Vec::new());
        let mut escape = Escape { solver: self, router, region, target, left: steps, takers, first, closed };
        match (escape.visit(&mut Vec::new()), escape.first) {
            (Branch::Found(example), _) => Verdict::Takes(example),
            (Branch::Closed(_), Some(example)) => Verdict::Taken { by: escape.takers, example },
            (Branch::Closed(part), None) => Verdict::Impossible(part),
            (Branch::Unknown, _) => Verdict::Unknown,
        }
    }
}

impl<'r> Escape<'_, 'r> {
    fn visit(&mut self, avoided: &mut Vec<Avoid<'r>>) -> Branch<'r> {
        let holds = |way: &Avoid<'r>| avoided.iter().any(|avoided| avoided.is_same(way));
        if self.closed.iter().any(|closed| closed.iter().all(holds)) {
            return Branch::Closed(Part::Path);
        }
        if self.left == 0 || !self.solver.work.spend(STEP) {
            return Branch::Unknown;
        }
        self.left -= 1;
        let example = match self.solver.solve(self.region, avoided) {
            Solved::Request(example) => example,
            Solved::None(part) => {
                self.closed.push(avoided.clone());
                return Branch::Closed(part);
            }
            Solved::Unknown => return Branch::Unknown,
        };
        let probe = Probe::new(&example);
        let rank = self.router.best(&probe, &example.path);
        if !self.solver.work.spend(probe.asked()) {
            return Branch::Unknown;
        }
        if rank == self.target {
            return Branch::Found(example);
        }
        debug_assert!(rank < self.target, "{example} is not in the region it was chosen from");
        let Some(ways) = self.ways(rank).filter(|_| rank < self.target) else { return Branch::Unknown };
        if !self.takers.contains(&rank) {
            self.takers.push(rank);
        }
        self.first.get_or_insert(example);
        let mut is_known = true;
        for way in ways {
            avoided.push(way);
            let branch = self.visit(avoided);
            avoided.pop();
            match branch {
                Branch::Found(example) => return Branch::Found(example),
                Branch::Closed(_) => {}
                Branch::Unknown => is_known = false,
            }
        }
        if !is_known {
            return Branch::Unknown;
        }
        self.closed.push(avoided.clone());
        Branch::Closed(Part::Path)
    }

    /// The parts in which a request of the region can differ from what an alternative takes.
    fn ways(&self, rank: Rank) -> Option<Vec<Avoid<'r>>> {
        let (taker, host) = self.router.alternative(rank as usize)?;
        let mut ways = Vec::new();
        ways.extend(host.filter(|_| !is_host_within(self.region.host, host)).map(Avoid::Host));
        ways.extend((!taker.of.methods.is_empty()).then_some(Avoid::Methods(&taker.of.methods)));
        ways.extend(conditions(&taker.of).map(Avoid::Condition));
        ways.extend(taker.of.path.as_ref().map(Avoid::Path));
        Some(ways)
    }
}

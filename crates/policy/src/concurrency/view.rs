//! How limits on what is under way stand, for whoever runs the gateway.
//!
//! Entry point: [`Ready::views`].

use super::run::Ready;

/// A limit, and how it stands for somebody if that was asked.
#[derive(Clone, Debug)]
pub struct ConcurrencyView {
    /// How many at once.
    pub limit: u32,
    /// What tells those apart who have limits of their own.
    pub by: Vec<String>,
    /// Whether requests over it pass.
    pub dry_run: bool,
    /// How many have requests under way.
    pub keys: usize,
    /// How many the one who was asked for has under way.
    pub under_way: Option<u32>,
}

impl Ready {
    /// Where it is written: `gateway`, `service orders`, `route order-by-id`, `plan gold`.
    pub fn place(&self) -> &str {
        if self.place.is_empty() { "gateway" } else { &self.place }
    }

    /// All limits. `values` are those of somebody in the order of `by`.
    pub fn views(&self, values: &[&str]) -> Vec<ConcurrencyView> {
        let views = self.rules.iter().map(|rule| ConcurrencyView {
            limit: rule.most,
            by: rule.whose.names(),
            dry_run: rule.dry_run,
            keys: rule.slots.keys(),
            under_way: rule
                .whose
                .fits(values)
                .then(|| rule.slots.count(rule.slots.key(|out| rule.whose.hash_values(values, out)))),
        });
        views.collect()
    }
}

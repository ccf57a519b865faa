//! Policies that are only tried: what they would refuse passes, and is counted and logged.
//!
//! Entry points: [`Mode`], [`tried`], [`DRY_RUN`].

use document::keywords;

keywords! {
    /// What becomes of requests that a policy refuses.
    pub enum Mode {
        /// They are refused.
        Enforce = "enforce",
        /// They pass, and are counted and logged.
        DryRun = "dry_run",
    }
}

/// What stands behind a limit in words where it is only tried.
pub(crate) fn tried(dry_run: bool) -> &'static str {
    if dry_run { ", tried only: nothing is refused" } else { "" }
}

/// The reason of a request that has passed because its policy is only tried.
pub(crate) const DRY_RUN: &str = "dry_run";

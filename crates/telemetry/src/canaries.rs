//! Numbers about canaries: which share each has, and how it stands.
//!
//! They are keyed by routes of the configuration, and set by the control thread. Entry points: [`CanaryNumbers`],
//! [`Metrics::canaries`].

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::Metrics;
use crate::exposition::{CANARY_SHARE, CANARY_STATE, Text};

/// How a canary stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanaryState {
    /// It goes forward.
    Stepping = 0,
    /// It stays where it is.
    Paused = 1,
    /// It gets everything.
    Promoted = 2,
    /// It gets nothing.
    RolledBack = 3,
}

/// Numbers about canaries, by route: the share from 0 to 1, and the state.
#[derive(Debug, Default)]
pub struct CanaryNumbers(Mutex<BTreeMap<Box<str>, (f64, CanaryState)>>);

impl CanaryNumbers {
    /// There are these now.
    pub fn set(&self, all: BTreeMap<Box<str>, (f64, CanaryState)>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = all;
    }

    pub(crate) fn render(&self, text: &mut Text) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        text.family(&CANARY_SHARE);
        for (route, (share, _)) in &*all {
            text.series(CANARY_SHARE.name, "", &[("route", route)], share);
        }
        text.family(&CANARY_STATE);
        for (route, (_, state)) in &*all {
            text.series(CANARY_STATE.name, "", &[("route", route)], *state as u8);
        }
    }
}

impl Metrics {
    /// Numbers about canaries.
    pub fn canaries(&self) -> &CanaryNumbers {
        &self.canaries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_has_its_share_and_state() {
        let metrics = Metrics::new("0", 1, []);
        metrics.canaries().set(BTreeMap::from([("a".into(), (0.25, CanaryState::Paused))]));
        let text = metrics.render();
        for line in
            [r#"gateward_canary_share_ratio{route="a"} 0.25"#, r#"gateward_canary_state{route="a"} 1"#]
        {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}

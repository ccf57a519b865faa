//! Numbers about addresses and services that get no requests: how many are out, why they were ejected, and circuit
//! breakers.
//!
//! They are keyed by services of the configuration, and set by the control thread. Entry points: [`EjectionNumbers`],
//! [`Metrics::ejections`].

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use balance::Cause;
use balance::breaker::State;

use crate::Metrics;
use crate::exposition::{Text, UP_CIRCUIT, UP_EJECTIONS, UP_OPENED_CIRCUIT, UP_OUT};

/// The causes of ejections, as they stand in a label.
const CAUSES: [&str; 4] = ["in_a_row", "failure_rate", "slow", "stalled"];

const fn index(cause: Cause) -> usize {
    match cause {
        Cause::InARow(_) => 0,
        Cause::FailureRate(..) => 1,
        Cause::Slow(..) => 2,
        Cause::Stalled(..) => 3,
    }
}

/// Numbers about addresses that get no requests.
#[derive(Debug, Default)]
pub struct EjectionNumbers(Mutex<BTreeMap<Box<str>, OfService>>);

#[derive(Debug, Default)]
struct OfService {
    ejected: usize,
    drained: usize,
    ejections: [u64; CAUSES.len()],
    /// The state of its circuit breaker, if it has one that has moved.
    circuit: u8,
    opened: u64,
}

impl EjectionNumbers {
    /// There are these services from now on. Others lose their numbers.
    pub fn use_now(&self, services: &[&str]) {
        let mut all = self.lock();
        let mut old = std::mem::take(&mut *all);
        *all =
            services.iter().map(|name| (Box::from(*name), old.remove(*name).unwrap_or_default())).collect();
    }

    /// So many addresses of a service are ejected, and so many drained.
    pub fn counted(&self, service: &str, ejected: usize, drained: usize) {
        if let Some(numbers) = self.lock().get_mut(service) {
            (numbers.ejected, numbers.drained) = (ejected, drained);
        }
    }

    /// An address of a service was ejected.
    pub fn ejected(&self, service: &str, cause: Cause) {
        let mut all = self.lock();
        let count = all.get_mut(service).and_then(|numbers| numbers.ejections.get_mut(index(cause)));
        count.into_iter().for_each(|count| *count += 1);
    }

    /// The circuit breaker of a service has moved.
    pub fn circuit(&self, service: &str, state: State) {
        if let Some(numbers) = self.lock().get_mut(service) {
            numbers.circuit = match state {
                State::Closed => 0,
                State::HalfOpen { .. } => 1,
                State::Open { .. } => 2,
            };
            numbers.opened += u64::from(numbers.circuit == 2);
        }
    }

    pub(crate) fn render(&self, text: &mut Text) {
        let all = self.lock();
        text.family(&UP_OUT);
        for (service, numbers) in &*all {
            for (reason, count) in [("ejected", numbers.ejected), ("drained", numbers.drained)] {
                text.series(UP_OUT.name, "", &[("service", service), ("reason", reason)], count);
            }
        }
        text.family(&UP_EJECTIONS);
        for (service, numbers) in &*all {
            for (cause, count) in CAUSES.iter().zip(numbers.ejections) {
                text.series(UP_EJECTIONS.name, "", &[("service", service), ("cause", cause)], count);
            }
        }
        text.family(&UP_CIRCUIT);
        for (service, numbers) in &*all {
            text.series(UP_CIRCUIT.name, "", &[("service", service)], numbers.circuit);
        }
        text.family(&UP_OPENED_CIRCUIT);
        for (service, numbers) in &*all {
            text.series(UP_OPENED_CIRCUIT.name, "", &[("service", service)], numbers.opened);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Box<str>, OfService>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metrics {
    /// Numbers about addresses that get no requests.
    pub fn ejections(&self) -> &EjectionNumbers {
        &self.ejections
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_counted_by_service() {
        let metrics = Metrics::new("0", 1, []);
        let ejections = metrics.ejections();
        ejections.use_now(&["a", "b"]);
        ejections.counted("a", 1, 2);
        ejections.ejected("a", Cause::Stalled(3, 1000));
        ejections.ejected("gone", Cause::InARow(5));
        ejections.use_now(&["a"]);
        let text = metrics.render();
        for line in [
            r#"gateward_upstream_addresses_out{service="a",reason="ejected"} 1"#,
            r#"gateward_upstream_addresses_out{service="a",reason="drained"} 2"#,
            r#"gateward_upstream_ejections_total{service="a",cause="stalled"} 1"#,
            r#"gateward_upstream_ejections_total{service="a",cause="in_a_row"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains(r#"service="b""#) && !text.contains(r#"service="gone""#), "{text}");
    }
}

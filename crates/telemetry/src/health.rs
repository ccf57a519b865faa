//! Numbers about the health of services: how many addresses are healthy, and what became of probes.
//!
//! They are keyed by services of the configuration, and set by the control thread. Entry points:
//! [`HealthNumbers`], [`Metrics::health`].

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Metrics;
use crate::exposition::{Text, UP_ADDRESSES, UP_PROBES};

/// What became of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeResult {
    /// It passed.
    Passed,
    /// No connection could be opened.
    Connect,
    /// Shaking hands has failed.
    Tls,
    /// It took too long.
    Timeout,
    /// The answer was not the wanted one.
    Answer,
    /// The connection broke, or what came was no answer.
    Broke,
}

impl ProbeResult {
    /// All of them.
    const ALL: [ProbeResult; 6] = [
        ProbeResult::Passed,
        ProbeResult::Connect,
        ProbeResult::Tls,
        ProbeResult::Timeout,
        ProbeResult::Answer,
        ProbeResult::Broke,
    ];

    /// As it stands in a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            ProbeResult::Passed => "passed",
            ProbeResult::Connect => "connect",
            ProbeResult::Tls => "tls",
            ProbeResult::Timeout => "timeout",
            ProbeResult::Answer => "answer",
            ProbeResult::Broke => "broke",
        }
    }
}

/// Numbers about the health of services.
#[derive(Debug, Default)]
pub struct HealthNumbers(Mutex<BTreeMap<Box<str>, OfService>>);

#[derive(Debug, Default)]
struct OfService {
    healthy: usize,
    unhealthy: usize,
    probes: [u64; ProbeResult::ALL.len()],
}

impl HealthNumbers {
    /// These services are probed from now on. Others lose their numbers.
    pub fn use_now(&self, services: &[&str]) {
        let mut all = self.lock();
        let mut old = std::mem::take(&mut *all);
        for name in services {
            let numbers = old.remove(*name).unwrap_or_default();
            all.insert((*name).into(), numbers);
        }
    }

    /// So many addresses of a service are healthy, and so many are not.
    pub fn counted(&self, service: &str, healthy: usize, unhealthy: usize) {
        if let Some(numbers) = self.lock().get_mut(service) {
            (numbers.healthy, numbers.unhealthy) = (healthy, unhealthy);
        }
    }

    /// A probe of a service has ended.
    pub fn probed(&self, service: &str, result: ProbeResult) {
        if let Some(count) =
            self.lock().get_mut(service).and_then(|numbers| numbers.probes.get_mut(result as usize))
        {
            *count += 1;
        }
    }

    pub(crate) fn render(&self, text: &mut Text) {
        let all = self.lock();
        text.family(&UP_ADDRESSES);
        for (service, numbers) in &*all {
            for (state, count) in [("healthy", numbers.healthy), ("unhealthy", numbers.unhealthy)] {
                text.series(UP_ADDRESSES.name, "", &[("service", service), ("state", state)], count);
            }
        }
        text.family(&UP_PROBES);
        for (service, numbers) in &*all {
            for (result, count) in ProbeResult::ALL.iter().zip(numbers.probes) {
                let labels = [("service", &**service), ("result", result.as_str())];
                text.series(UP_PROBES.name, "", &labels, count);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Box<str>, OfService>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metrics {
    /// Numbers about the health of services.
    pub fn health(&self) -> &HealthNumbers {
        &self.health
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_come_and_go_with_the_configuration() {
        let metrics = Metrics::new("0", 1, []);
        let health = metrics.health();
        health.use_now(&["a", "b"]);
        health.counted("a", 2, 1);
        health.probed("a", ProbeResult::Broke);
        health.probed("a", ProbeResult::Passed);
        health.probed("unknown", ProbeResult::Passed);
        health.use_now(&["a", "c"]);
        let text = metrics.render();
        for line in [
            r#"gateward_upstream_addresses{service="a",state="healthy"} 2"#,
            r#"gateward_upstream_addresses{service="a",state="unhealthy"} 1"#,
            r#"gateward_upstream_probes_total{service="a",result="passed"} 1"#,
            r#"gateward_upstream_probes_total{service="a",result="broke"} 1"#,
            r#"gateward_upstream_probes_total{service="c",result="timeout"} 0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(!text.contains(r#"service="b""#) && !text.contains(r#"service="unknown""#), "{text}");
    }
}

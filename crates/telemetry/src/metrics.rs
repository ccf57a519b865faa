//! All numbers of a gateway, and how they stay with what they are about across reloads.
//!
//! Series are keyed by the names that stand in the configuration. A new snapshot is attached: series whose names
//! are still there go on counting, the others are forgotten, so memory follows the configuration. The lock is
//! taken when a snapshot is attached and when somebody reads, never by a request.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::callers::{MOST_CONSUMERS, OTHERS};
use crate::series::{RouteTotals, ServiceTotals, WorkerSeries};
use crate::{ConsumerSeries, ListenerSeries, LogCounts, RouteSeries, ServiceSeries};

/// A route, and the service that it leads to (empty where it leads to none). Both empty: no route was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteKey {
    /// The name of the route.
    pub route: Box<str>,
    /// The name of the service.
    pub service: Box<str>,
}

impl RouteKey {
    /// A route and its service.
    pub fn new(route: &str, service: &str) -> RouteKey {
        RouteKey { route: route.into(), service: service.into() }
    }
}

/// What became of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The new configuration is in use.
    Applied,
    /// It was refused, and the old one goes on.
    Rejected,
    /// After that, the files say again what is in use.
    Restored,
}

/// The series of one worker, in the order in which they were asked for.
#[derive(Debug)]
pub struct Attached {
    /// For each key of a route.
    pub routes: Vec<Arc<RouteSeries>>,
    /// For each name of a service.
    pub services: Vec<Arc<ServiceSeries>>,
    /// For each consumer.
    pub consumers: Vec<Arc<ConsumerSeries>>,
}

/// The same series of every worker.
type PerWorker<T> = Box<[Arc<T>]>;

#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub(crate) routes: BTreeMap<RouteKey, PerWorker<RouteSeries>>,
    pub(crate) services: BTreeMap<Box<str>, PerWorker<ServiceSeries>>,
    pub(crate) consumers: BTreeMap<Box<str>, PerWorker<ConsumerSeries>>,
    pub(crate) listeners: Vec<(Box<str>, Arc<ListenerSeries>)>,
}

/// All numbers of a gateway.
#[derive(Debug)]
pub struct Metrics {
    pub(crate) version: &'static str,
    pub(crate) workers: Box<[WorkerSeries]>,
    /// The kinds of policies, by position.
    pub(crate) policies: Box<[&'static str]>,
    tables: Mutex<Tables>,
    pub(crate) log: Arc<LogCounts>,
    pub(crate) certificates: crate::Certificates,
    pub(crate) health: crate::HealthNumbers,
    pub(crate) ejections: crate::EjectionNumbers,
    pub(crate) canaries: crate::CanaryNumbers,
    pub(crate) issuers: crate::IssuerNumbers,
    pub(crate) quotas: crate::QuotaNumbers,
    pub(crate) applied: AtomicU64,
    pub(crate) rejected: AtomicU64,
    last_failed: AtomicBool,
    loaded: AtomicU64,
    pub(crate) started: SystemTime,
    began: Instant,
}

impl Metrics {
    /// For a gateway with this many workers, and these kinds of policies.
    pub fn new(
        version: &'static str,
        workers: usize,
        policies: impl IntoIterator<Item = &'static str>,
    ) -> Arc<Metrics> {
        Arc::new(Metrics {
            version,
            workers: (0..workers).map(|_| WorkerSeries::default()).collect(),
            policies: policies.into_iter().collect(),
            tables: Mutex::default(),
            log: Arc::default(),
            certificates: crate::Certificates::default(),
            health: crate::HealthNumbers::default(),
            ejections: crate::EjectionNumbers::default(),
            canaries: crate::CanaryNumbers::default(),
            issuers: crate::IssuerNumbers::default(),
            quotas: crate::QuotaNumbers::default(),
            applied: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            last_failed: AtomicBool::new(false),
            loaded: AtomicU64::new(seconds_now()),
            started: SystemTime::now(),
            began: Instant::now(),
        })
    }

    /// The series of one worker itself.
    pub fn worker(&self, index: usize) -> Option<&WorkerSeries> {
        self.workers.get(index)
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// What the access log has written and dropped.
    pub fn log(&self) -> &Arc<LogCounts> {
        &self.log
    }

    /// How fetching the keys of issuers goes.
    pub fn issuers(&self) -> &crate::IssuerNumbers {
        &self.issuers
    }

    /// How keeping what is used up of quotas goes.
    pub fn quotas(&self) -> &crate::QuotaNumbers {
        &self.quotas
    }

    /// How long the gateway has been running.
    pub fn uptime(&self) -> std::time::Duration {
        self.began.elapsed()
    }

    /// The series for the names of a snapshot, once for each worker. Names that were there before keep their
    /// numbers; names that are not mentioned lose them. Equal keys share one series.
    pub fn attach(
        &self,
        routes: &[RouteKey],
        services: &[&str],
        consumers: &[&str],
        listeners: &[(Box<str>, Arc<ListenerSeries>)],
    ) -> Vec<Attached> {
        let mut tables = self.tables();
        let mut old = std::mem::take(&mut *tables);
        let workers = self.workers.len();
        for key in routes {
            if !tables.routes.contains_key(key) {
                let series = old.routes.remove(key).unwrap_or_else(|| fresh(workers));
                tables.routes.insert(key.clone(), series);
            }
        }
        for name in services {
            let series = old.services.remove(*name).unwrap_or_else(|| fresh(workers));
            tables.services.entry((*name).into()).or_insert(series);
        }
        let counted =
            |position: usize| consumers.get(position).filter(|_| position < MOST_CONSUMERS).copied();
        for position in 0..consumers.len().min(MOST_CONSUMERS + 1) {
            let name = counted(position).unwrap_or(OTHERS);
            let series = old.consumers.remove(name).unwrap_or_else(|| fresh(workers));
            tables.consumers.entry(name.into()).or_insert(series);
        }
        tables.listeners = listeners.to_vec();
        let of = |worker: usize| Attached {
            routes: routes.iter().filter_map(|key| tables.routes.get(key)?.get(worker).cloned()).collect(),
            services: services
                .iter()
                .filter_map(|name| tables.services.get(*name)?.get(worker).cloned())
                .collect(),
            consumers: (0..consumers.len())
                .filter_map(|position| {
                    tables.consumers.get(counted(position).unwrap_or(OTHERS))?.get(worker).cloned()
                })
                .collect(),
        };
        (0..workers).map(of).collect()
    }

    /// A reload has ended.
    pub fn reloaded(&self, outcome: Reload) {
        match outcome {
            Reload::Applied => {
                self.applied.fetch_add(1, Ordering::Relaxed);
                self.loaded.store(seconds_now(), Ordering::Relaxed);
            }
            Reload::Rejected => {
                self.rejected.fetch_add(1, Ordering::Relaxed);
            }
            Reload::Restored => {}
        }
        self.last_failed.store(outcome == Reload::Rejected, Ordering::Relaxed);
    }

    /// Whether the last reload was refused.
    pub fn last_reload_failed(&self) -> bool {
        self.last_failed.load(Ordering::Relaxed)
    }

    /// When the configuration in use was loaded, in seconds since 1970.
    pub fn loaded_at(&self) -> u64 {
        self.loaded.load(Ordering::Relaxed)
    }

    /// Every route and service with what all workers have counted.
    pub fn routes(&self) -> Vec<(RouteKey, RouteTotals)> {
        let tables = self.tables();
        let sum = |series: &PerWorker<RouteSeries>| {
            let mut totals = RouteTotals::default();
            series.iter().for_each(|own| own.add_to(&mut totals));
            totals
        };
        tables.routes.iter().map(|(key, series)| (key.clone(), sum(series))).collect()
    }

    /// Every service with what all workers have counted.
    pub fn services(&self) -> Vec<(Box<str>, ServiceTotals)> {
        let tables = self.tables();
        let sum = |series: &PerWorker<ServiceSeries>| {
            let mut totals = ServiceTotals::default();
            series.iter().for_each(|own| own.add_to(&mut totals));
            totals
        };
        tables.services.iter().map(|(name, series)| (name.clone(), sum(series))).collect()
    }

    pub(crate) fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fresh<T: Default>(workers: usize) -> PerWorker<T> {
    (0..workers).map(|_| Arc::default()).collect()
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Record;
    use message::Method;
    use std::time::Duration;

    fn record(status: u16) -> Record {
        Record { method: Some(Method::Get), status, sent: 10, ..Record::begin(Instant::now()) }
    }

    #[test]
    fn what_stays_keeps_its_numbers_and_what_goes_is_forgotten() {
        let metrics = Metrics::new("0", 2, []);
        let keys = [RouteKey::new("a", "x"), RouteKey::new("b", "x"), RouteKey::new("a", "x")];
        let attached = metrics.attach(&keys, &["x"], &[], &[]);
        assert!(attached.len() == 2 && attached[0].routes.len() == 3);
        assert!(Arc::ptr_eq(&attached[0].routes[0], &attached[0].routes[2]), "one key, one series");
        for own in &attached {
            own.routes[0].begin();
            own.routes[0].finish(&record(200), Duration::from_millis(3));
            own.routes[1].begin();
            own.services[0].opened.add(1);
        }
        let totals = |metrics: &Metrics| -> Vec<(String, u64, i64)> {
            let all = metrics.routes();
            all.iter().map(|(key, t)| (key.route.to_string(), t.requests(), t.in_flight)).collect()
        };
        assert_eq!(totals(&metrics), [("a".to_owned(), 2, 0), ("b".to_owned(), 0, 2)]);
        metrics.attach(&[RouteKey::new("a", "x"), RouteKey::new("c", "")], &["x", "y"], &[], &[]);
        assert_eq!(totals(&metrics), [("a".to_owned(), 2, 0), ("c".to_owned(), 0, 0)]);
        assert_eq!(metrics.services()[0].1.opened, 2);
        metrics.attach(&[RouteKey::new("b", "x")], &[], &[], &[]);
        assert_eq!(totals(&metrics), [("b".to_owned(), 0, 0)]);
    }
}

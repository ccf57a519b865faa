//! Numbers about certificates: when each one ends, and how orders of them went.
//!
//! They are keyed by listeners and hosts of the configuration, and set by the control thread. Entry points:
//! [`Certificates`], [`Metrics::certificates`].

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Metrics;
use crate::exposition::{CERTIFICATE_ENDS, ORDERS, Text};

/// The end of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CertificateEnd {
    /// The address of its listener.
    pub listener: Box<str>,
    /// Its first name; empty if it has none.
    pub name: Box<str>,
    /// When it ends.
    pub at: SystemTime,
}

/// Numbers about certificates.
#[derive(Debug, Default)]
pub struct Certificates(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    ends: Vec<CertificateEnd>,
    /// By host: those that brought a certificate, and those that failed.
    orders: BTreeMap<Box<str>, (u64, u64)>,
}

impl Certificates {
    /// These are in use from now on, and certificates are ordered for these hosts. Hosts that are not `known` any
    /// more lose their numbers.
    pub fn use_now(&self, mut ends: Vec<CertificateEnd>, ordered: &[&str], known: impl Fn(&str) -> bool) {
        // Two with one name differ in their kind of key; the one that ends first is what counts.
        ends.sort();
        ends.dedup_by(|later, first| later.listener == first.listener && later.name == first.name);
        let mut inner = self.lock();
        inner.ends = ends;
        inner.orders.retain(|host, _| known(host));
        for host in ordered {
            inner.orders.entry((*host).into()).or_default();
        }
    }

    /// An order for a host has ended.
    pub fn ordered(&self, host: &str, well: bool) {
        let mut inner = self.lock();
        let (obtained, failed) = inner.orders.entry(host.into()).or_default();
        *(if well { obtained } else { failed }) += 1;
    }

    pub(crate) fn render(&self, text: &mut Text) {
        let inner = self.lock();
        text.family(&CERTIFICATE_ENDS);
        for end in &inner.ends {
            let labels = [("listener", &*end.listener), ("name", &*end.name)];
            let seconds = end.at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
            text.series(CERTIFICATE_ENDS.name, "", &labels, seconds);
        }
        text.family(&ORDERS);
        for (host, (obtained, failed)) in &inner.orders {
            for (result, count) in [("obtained", obtained), ("failed", failed)] {
                text.series(ORDERS.name, "", &[("host", host), ("result", result)], count);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metrics {
    /// Numbers about certificates.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn end(name: &str, seconds: u64) -> CertificateEnd {
        let at = UNIX_EPOCH + Duration::from_secs(seconds);
        CertificateEnd { listener: "127.0.0.1:443".into(), name: name.into(), at }
    }

    #[test]
    fn each_name_has_one_end_and_hosts_come_and_go_with_the_configuration() {
        let metrics = Metrics::new("0", 1, []);
        let certificates = metrics.certificates();
        certificates.use_now(
            vec![end("a.test", 200), end("b.test", 50), end("a.test", 100)],
            &["a.test"],
            |_| true,
        );
        certificates.ordered("a.test", true);
        certificates.ordered("b.test", false);
        let text = metrics.render();
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("gateward_certificate") || line.starts_with("gateward_acme"))
            .collect();
        assert_eq!(
            lines,
            [
                r#"gateward_certificate_expiry_timestamp_seconds{listener="127.0.0.1:443",name="a.test"} 100"#,
                r#"gateward_certificate_expiry_timestamp_seconds{listener="127.0.0.1:443",name="b.test"} 50"#,
                r#"gateward_acme_orders_total{host="a.test",result="obtained"} 1"#,
                r#"gateward_acme_orders_total{host="a.test",result="failed"} 0"#,
                r#"gateward_acme_orders_total{host="b.test",result="obtained"} 0"#,
                r#"gateward_acme_orders_total{host="b.test",result="failed"} 1"#,
            ]
        );
        certificates.use_now(Vec::new(), &["c.test"], |host| host == "a.test");
        let text = metrics.render();
        assert!(
            text.contains(r#"{host="a.test",result="obtained"} 1"#) && text.contains(r#"{host="c.test","#)
        );
        assert!(!text.contains("b.test"), "{text}");
    }
}

//! The record of a request, metrics, and the access log.
//!
//! The data plane fills in a [`Record`] while it serves and hands it over once, when the request is over. Here
//! it becomes numbers ([`Metrics`]) and a line ([`LogBuffer`]). Whoever writes never waits: numbers are cells
//! that only one worker writes, lines gather in the worker's own buffer and are dropped and counted when the
//! sink is slow. It must not know snapshots or sockets. Entry points: [`Metrics::attach`], [`Sink::open`].

mod callers;
mod canaries;
mod cell;
mod certificates;
mod connections;
mod ejections;
mod exposition;
mod health;
mod histogram;
mod issuers;
mod line;
mod metrics;
mod process;
mod quotas;
mod record;
mod series;
mod sink;
mod store;
mod target;
mod writer;

pub use callers::{ConsumerSeries, PolicyCounts};
pub use canaries::{CanaryNumbers, CanaryState};
pub use cell::{Counter, Gauge};
pub use certificates::{CertificateEnd, Certificates};
pub use connections::{Abuse, ConnectionSeries, Handshake};
pub use ejections::EjectionNumbers;
pub use exposition::Family;
pub use health::{HealthNumbers, ProbeResult};
pub use histogram::Histogram;
pub use issuers::IssuerNumbers;
pub use line::Line;
pub use metrics::{Attached, Metrics, Reload, RouteKey};
pub use quotas::QuotaNumbers;
pub use record::Record;
pub use series::{ListenerSeries, RouteSeries, RouteTotals, ServiceSeries, ServiceTotals, WorkerSeries};
pub use sink::{LogBuffer, Sink};
pub use store::StoreSeries;
pub use target::{LogCounts, Target};

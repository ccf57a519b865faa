//! How the addresses of a service are probed.

use std::ops::RangeInclusive;
use std::time::Duration;

/// How the addresses of a service are probed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// What is asked.
    pub probe: Probe,
    /// From the begin of one probe to the next.
    pub every: Duration,
    /// How long a probe may take, connecting included.
    pub timeout: Duration,
    /// How many in a row settle something.
    pub thresholds: balance::Thresholds,
}

/// What a probe asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// For a path, by GET.
    Http {
        /// Path and query, as they are sent.
        path: Box<str>,
        /// Any of these is well.
        expect: Vec<RangeInclusive<u16>>,
        /// What the body has to contain; `None` for anything.
        body: Option<Box<str>>,
    },
    /// By the health service of gRPC (`grpc.health.v1.Health/Check`).
    Grpc {
        /// What it is asked about; empty for the server as a whole.
        service: Box<str>,
    },
    /// Nothing: a connection is enough.
    Tcp,
}

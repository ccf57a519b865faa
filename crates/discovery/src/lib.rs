//! Where the addresses of endpoints come from: one folder per source.
//!
//! Sources run beside the request path and never delay it. What they find is handed to the workers. A source that
//! fails never takes endpoints away: the last ones that were found stay in use. Entry points: [`dns::Dns`] and
//! [`file::watch`].

use std::net::SocketAddr;
use std::sync::Arc;

pub mod dns;
pub mod file;

/// Where a service can be reached, as a source says. Sets of them are sorted by address, and hold each address once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where to connect to.
    pub address: SocketAddr,
    /// Its share among the endpoints of the service, at least 1; `None` if the source does not say.
    pub weight: Option<u32>,
    /// Where it runs, in the words of the source.
    pub zone: Option<Arc<str>>,
}

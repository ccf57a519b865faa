//! Addresses from the domain name system, and from the hosts file.
//!
//! Owns when name servers are asked, and what is kept when they do not answer. What names are used for is not known
//! here. Entry points: [`Dns::watch`] for the addresses of a name, [`Dns::watch_srv`] for the endpoints of a service.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
    ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{Resolver, TokioResolver};

use crate::Endpoint;
use srv::Service;

mod srv;

/// A name is asked for again no sooner than this, however short its time to live.
const SHORTEST: Duration = Duration::from_secs(1);
/// And no later than this, however long it is.
const LONGEST: Duration = Duration::from_secs(60);
/// The shortest interval that may be asked for instead of the time to live.
const SHORTEST_EVERY: Duration = Duration::from_millis(100);
/// After a failure: this long at first, then twice as long each time.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest wait after failures.
const LAST_RETRY: Duration = Duration::from_secs(30);
/// The most addresses of one name that are used.
const MOST_ADDRESSES: usize = 64;

/// Asks name servers.
#[derive(Clone)]
pub struct Dns {
    resolver: TokioResolver,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The addresses, sorted. IPv6 only where there is no IPv4.
    pub addresses: Arc<[IpAddr]>,
    /// How long that holds.
    pub valid_for: Duration,
}

impl Dns {
    /// Asks the given servers, or those of the system if there are none.
    pub fn new(servers: &[SocketAddr]) -> Result<Dns, String> {
        let mut builder = if servers.is_empty() {
            Resolver::builder_tokio()
                .map_err(|error| format!("the system's name servers are not known: {error}"))?
        } else {
            let servers = servers.iter().map(name_server).collect();
            Resolver::builder_with_config(
                ResolverConfig::from_name_servers(servers),
                TokioRuntimeProvider::default(),
            )
        };
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
        options.use_hosts_file = if servers.is_empty() { ResolveHosts::Always } else { ResolveHosts::Never };
        options.timeout = Duration::from_secs(2);
        options.attempts = 2;
        // This module keeps time itself; a cache in between would only hide changes.
        options.cache_size = 0;
        options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
        let resolver = builder.build().map_err(|error| error.to_string())?;
        Ok(Dns { resolver })
    }

    /// What a name stands for now.
    pub async fn look_up(&self, name: &str) -> Result<Found, String> {
        let answer = self.resolver.lookup_ip(name).await.map_err(|error| {
            if error.is_no_records_found() { "it has no address".to_owned() } else { error.to_string() }
        })?;
        let mut addresses: Vec<IpAddr> = answer.iter().collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses.truncate(MOST_ADDRESSES);
        if addresses.is_empty() {
            return Err("it has no address".to_owned());
        }
        Ok(Found { addresses: addresses.into(), valid_for: valid_for(answer.valid_until()) })
    }

    /// Keeps asking. `changed` is called with each new set of addresses; a name that cannot be resolved
    /// any more keeps the last ones. `report` is told of the first failure in a row and of recovery.
    pub async fn watch(
        self,
        name: Arc<str>,
        changed: impl AsyncFnMut(Arc<[IpAddr]>),
        report: impl Fn(String),
    ) {
        self.watch_every(name, None, changed, report).await;
    }

    /// The same, and asks at an interval, of at least 100 ms, instead of when the answer expires: a time to live is
    /// a hint to caches, and who runs the service may know better.
    pub async fn watch_every(
        self,
        name: Arc<str>,
        every: Option<Duration>,
        changed: impl AsyncFnMut(Arc<[IpAddr]>),
        report: impl Fn(String),
    ) {
        let ask = async || self.look_up(&name).await.map(|found| (found.addresses, found.valid_for));
        keep_asking(&name, every, ask, changed, &report).await;
    }

    /// Keeps asking for the endpoints of a service, such as `_http._tcp.example.com` (RFC 2782), as
    /// [`Dns::watch_every`] does for addresses.
    ///
    /// Of the targets, those of the lowest priority number for which there is any address are used, at most 256
    /// endpoints. The weight of a record is the weight of each address of its target, and 0 counts as 1. The set is
    /// empty if the service says that it is not available. A target that does not answer keeps its last addresses
    /// while others change, and is reported.
    pub async fn watch_srv(
        self,
        name: Arc<str>,
        every: Option<Duration>,
        changed: impl AsyncFnMut(Arc<[Endpoint]>),
        report: impl Fn(String),
    ) {
        let mut service = Service::default();
        let ask = async || service.look_up(&self.resolver, &name, &report).await;
        keep_asking(&name, every, ask, changed, &report).await;
    }
}

/// Asks until it is dropped, and tells what is new. An answer comes with the time for which it is valid.
async fn keep_asking<T: ?Sized + PartialEq>(
    name: &str,
    every: Option<Duration>,
    mut ask: impl AsyncFnMut() -> Result<(Arc<T>, Duration), String>,
    mut changed: impl AsyncFnMut(Arc<T>),
    report: &impl Fn(String),
) {
    let mut last: Option<Arc<T>> = None;
    let mut failures: u32 = 0;
    loop {
        let wait = match ask().await {
            Ok((found, valid_for)) => {
                if failures > 0 {
                    report(format!("{name} can be resolved again"));
                }
                failures = 0;
                if last.as_ref() != Some(&found) {
                    last = Some(Arc::clone(&found));
                    changed(found).await;
                }
                every.map_or(valid_for, |every| every.max(SHORTEST_EVERY))
            }
            Err(error) => {
                if failures == 0 {
                    let kept = if last.is_some() {
                        "; the last addresses stay in use"
                    } else {
                        "; requests to it get 503 meanwhile"
                    };
                    report(format!("{name} cannot be resolved: {error}{kept}"));
                }
                failures = failures.saturating_add(1);
                FIRST_RETRY.saturating_mul(1 << failures.min(6).saturating_sub(1)).min(LAST_RETRY)
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// How long an answer holds that expires at the given time.
fn valid_for(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).clamp(SHORTEST, LONGEST)
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()]
        .into_iter()
        .map(|mut connection| {
            connection.port = address.port();
            connection
        })
        .collect();
    NameServerConfig::new(address.ip(), true, connections)
}

#[cfg(test)]
mod responder;
#[cfg(test)]
mod tests;

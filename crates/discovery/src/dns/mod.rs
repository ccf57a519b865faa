//! Addresses from the domain name system, and from the hosts file.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
    ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::{Resolver, TokioResolver};

/// A name is asked for again no sooner than this, however short its time to live.
const SHORTEST: Duration = Duration::from_secs(1);
/// And no later than this, however long it is.
const LONGEST: Duration = Duration::from_secs(60);
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
        let valid_for =
            answer.valid_until().saturating_duration_since(Instant::now()).clamp(SHORTEST, LONGEST);
        Ok(Found { addresses: addresses.into(), valid_for })
    }

    /// Keeps asking. `changed` is called with each new set of addresses; a name that cannot be resolved
    /// any more keeps the last ones. `report` is told of the first failure in a row and of recovery.
    pub async fn watch(
        self,
        name: Arc<str>,
        mut changed: impl AsyncFnMut(Arc<[IpAddr]>),
        report: impl Fn(String),
    ) {
        let mut last: Option<Arc<[IpAddr]>> = None;
        let mut failures: u32 = 0;
        loop {
            let wait = match self.look_up(&name).await {
                Ok(found) => {
                    if failures > 0 {
                        report(format!("{name} can be resolved again"));
                    }
                    failures = 0;
                    if last.as_ref() != Some(&found.addresses) {
                        last = Some(Arc::clone(&found.addresses));
                        changed(found.addresses).await;
                    }
                    found.valid_for
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

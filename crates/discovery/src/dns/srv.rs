//! The endpoints of a service from its SRV records (RFC 2782), and the addresses of their targets.
//!
//! Owns which records count, and what is remembered of targets between two look-ups. When to look up is the matter of
//! the module above. Entry point: [`Service::look_up`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::task::JoinSet;

use super::{Found, MOST_ADDRESSES, SHORTEST, valid_for};
use crate::Endpoint;

/// The most records of one service that are looked at, and the most endpoints that are used.
const MOST_ENDPOINTS: usize = 256;
/// How many targets are asked for at a time.
const AT_ONCE: usize = 32;
/// The most aliases in a row that are followed to the records.
const MOST_ALIASES: usize = 8;

/// What is remembered of a service between two look-ups.
#[derive(Default)]
pub(super) struct Service {
    /// The last addresses of each target that the last answer mentioned.
    last: BTreeMap<Name, Arc<[IpAddr]>>,
    /// What was reported, and still is so.
    noted: Notes,
}

/// What does not keep a service from being used, and should be known.
#[derive(Default, PartialEq, Eq)]
struct Notes {
    unresolved: BTreeSet<Name>,
    /// There are more than are used.
    cut: bool,
}

/// Why there is no news of a target.
struct Failure {
    target: Name,
    problem: String,
    kept: bool,
}

impl Service {
    /// The endpoints now, and how long that holds: the least of all records that were involved.
    ///
    /// # Errors
    /// In words: there is no answer, or it leads to no address.
    pub(super) async fn look_up(
        &mut self,
        resolver: &TokioResolver,
        name: &str,
        report: &impl Fn(String),
    ) -> Result<(Arc<[Endpoint]>, Duration), String> {
        let (answer, mut valid) = answer(resolver, name).await?;
        let mut records: Vec<&SRV> = answer.answers().iter().filter_map(service_record).collect();
        if records.iter().all(|record| record.target.is_root()) {
            // Decidedly not available, which is an answer like others.
            *self = Service::default();
            return Ok((Arc::default(), valid));
        }
        records.retain(|record| !record.target.is_root());
        // The rest of the order is there so that what is cut off is always the same.
        records.sort_by(|a, b| (a.priority, &a.target, a.port).cmp(&(b.priority, &b.target, b.port)));
        let mut notes = Notes { cut: records.len() > MOST_ENDPOINTS, ..Notes::default() };
        records.truncate(MOST_ENDPOINTS);
        let given = given_addresses(answer.additionals());
        let mut failure = None;
        let mut known = BTreeMap::new();
        let mut endpoints = Vec::new();
        for group in records.chunk_by(|a, b| a.priority == b.priority) {
            for (target, found) in resolve(resolver, group, &given).await {
                let (addresses, problem) = match found {
                    Ok(Some(found)) => {
                        valid = valid.min(found.valid_for);
                        (found.addresses, None)
                    }
                    Ok(None) => (Arc::default(), Some("has no address".to_owned())),
                    Err(error) => {
                        let last = self.last.get(&target).cloned().unwrap_or_default();
                        (last, Some(format!("cannot be resolved ({error})")))
                    }
                };
                if let Some(problem) = problem {
                    failure.get_or_insert_with(|| Failure {
                        target: target.clone(),
                        problem,
                        kept: !addresses.is_empty(),
                    });
                    notes.unresolved.insert(target.clone());
                }
                known.insert(target, addresses);
            }
            endpoints = join(group, &known);
            if !endpoints.is_empty() {
                break;
            }
        }
        if endpoints.is_empty() {
            return Err(match failure {
                Some(Failure { target, problem, .. }) => format!("its target {target} {problem}"),
                None => "its targets have no address".to_owned(),
            });
        }
        notes.cut |= endpoints.len() > MOST_ENDPOINTS;
        endpoints.truncate(MOST_ENDPOINTS);
        self.last = known;
        self.note(notes, name, failure, report);
        Ok((endpoints.into(), valid))
    }

    /// Reports what was not so at the last look-up.
    fn note(&mut self, notes: Notes, name: &str, failure: Option<Failure>, report: &impl Fn(String)) {
        if notes.cut && !self.noted.cut {
            report(format!(
                "{name} has more than {MOST_ENDPOINTS} endpoints, of which only so many are used"
            ));
        }
        if let Some(Failure { target, problem, kept }) = failure
            && notes.unresolved != self.noted.unresolved
        {
            let then = if kept { "its last addresses stay in use" } else { "it is left out" };
            let others = match notes.unresolved.len() {
                0 | 1 => String::new(),
                all => format!("; the same is true of {} more targets", all - 1),
            };
            report(format!("the target {target} of {name} {problem}; {then}{others}"));
        }
        self.noted = notes;
    }
}

/// The answer that holds the records, and how long it is valid.
async fn answer(resolver: &TokioResolver, name: &str) -> Result<(Lookup, Duration), String> {
    let none = || "it has no SRV record".to_owned();
    let mut asked = Name::from_utf8(name).map_err(|error| error.to_string())?;
    let mut valid = Duration::MAX;
    for _ in 0..=MOST_ALIASES {
        match resolver.lookup(asked.clone(), RecordType::SRV).await {
            Ok(answer) if answer.answers().iter().any(|record| service_record(record).is_some()) => {
                valid = valid.min(valid_for(answer.valid_until()));
                return Ok((answer, valid));
            }
            Ok(_) => return Err(none()),
            Err(error) if !error.is_no_records_found() => return Err(error.to_string()),
            Err(_) => {}
        }
        // The resolver takes the target of a record behind an alias for one more alias, and gets lost. Aliases are
        // followed here, then.
        let alias = resolver.lookup(asked, RecordType::CNAME).await.map_err(|_| none())?;
        valid = valid.min(valid_for(alias.valid_until()));
        let next = alias.answers().iter().find_map(|record| match &record.data {
            RData::CNAME(alias) => Some(alias.0.clone()),
            _ => None,
        });
        asked = next.ok_or_else(none)?;
    }
    Err("it is an alias of an alias, and so on".to_owned())
}

fn service_record(record: &Record) -> Option<&SRV> {
    match &record.data {
        RData::SRV(record) => Some(record),
        _ => None,
    }
}

/// The addresses that the answer itself holds.
fn given_addresses(additionals: &[Record]) -> BTreeMap<&Name, Found> {
    let mut by_name: BTreeMap<&Name, Vec<&Record>> = BTreeMap::new();
    for record in additionals {
        by_name.entry(&record.name).or_default().push(record);
    }
    by_name.into_iter().filter_map(|(name, records)| Some((name, found(&records)?))).collect()
}

/// The addresses in records of one name: IPv6 only where there is no IPv4.
fn found(records: &[&Record]) -> Option<Found> {
    let of_kind = |kind| records.iter().filter(move |record| record.record_type() == kind);
    let kind = [RecordType::A, RecordType::AAAA].into_iter().find(|kind| of_kind(*kind).next().is_some())?;
    let mut addresses: Vec<IpAddr> = of_kind(kind).filter_map(|record| record.data.ip_addr()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(MOST_ADDRESSES);
    let ttl = of_kind(kind).map(|record| record.ttl).min().unwrap_or(0);
    Some(Found { addresses: addresses.into(), valid_for: Duration::from_secs(ttl.into()).max(SHORTEST) })
}

/// What is found for each target, some of them at a time: its addresses, if it has any, or why there is no answer.
async fn resolve(
    resolver: &TokioResolver,
    records: &[&SRV],
    given: &BTreeMap<&Name, Found>,
) -> BTreeMap<Name, Result<Option<Found>, String>> {
    let targets: BTreeSet<&Name> = records.iter().map(|record| &record.target).collect();
    let mut all = BTreeMap::new();
    let mut asked = JoinSet::new();
    for target in targets {
        if let Some(found) = given.get(target) {
            all.insert(target.clone(), Ok(Some(found.clone())));
            continue;
        }
        if asked.len() >= AT_ONCE {
            all.extend(asked.join_next().await.and_then(Result::ok));
        }
        // Stands only if the task is lost.
        all.insert(target.clone(), Err("the look-up has ended early".to_owned()));
        let (resolver, target) = (resolver.clone(), target.clone());
        asked.spawn(async move {
            let found = addresses(&resolver, &target).await.map_err(|error| error.to_string());
            (target, found)
        });
    }
    while let Some(found) = asked.join_next().await {
        all.extend(found.ok());
    }
    all
}

/// The addresses of one target. That it has none, and that nobody knows, are different answers here: the first one
/// makes way for targets of another priority.
async fn addresses(resolver: &TokioResolver, target: &Name) -> Result<Option<Found>, NetError> {
    for kind in [RecordType::A, RecordType::AAAA] {
        match resolver.lookup(target.clone(), kind).await {
            Ok(answer) => {
                let records: Vec<&Record> = answer.answers().iter().collect();
                if let Some(found) = found(&records) {
                    return Ok(Some(found));
                }
            }
            Err(error) if error.is_no_records_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Each record with each address of its target, sorted, and each address once.
fn join(records: &[&SRV], addresses: &BTreeMap<Name, Arc<[IpAddr]>>) -> Vec<Endpoint> {
    let mut weights: BTreeMap<SocketAddr, u32> = BTreeMap::new();
    for record in records.iter().filter(|record| record.port > 0) {
        for ip in addresses.get(&record.target).into_iter().flat_map(|all| all.iter()) {
            // Targets may share an address, and then their shares add up.
            let weight = weights.entry(SocketAddr::new(*ip, record.port)).or_default();
            *weight = weight.saturating_add(u32::from(record.weight.max(1)));
        }
    }
    weights
        .into_iter()
        .map(|(address, weight)| Endpoint { address, weight: Some(weight), zone: None })
        .collect()
}

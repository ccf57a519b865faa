//! Keeps the keys of issuers fresh, for as long as a configuration needs them.
//!
//! Which issuers there are is known from preparing the policies ([`policy::Providers`]); what they publish is fetched
//! here, on the control thread, and read by workers without a lock. What was good is kept in the state folder, so that
//! a gateway that starts while an issuer is down knows whose tokens are genuine. Entry point: [`Issuers::adopt`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use authority::{Client, Event};
use bytes::Bytes;
use policy::{Issuer, IssuerKeeper};
use snapshot::Snapshot;
use telemetry::Metrics;

use crate::gateway::Report;

/// How long a start or a reload waits for the keys of issuers that are new.
const PATIENCE: Duration = Duration::from_secs(3);
/// The folder of what they published, in the state folder.
const FOLDER: &str = "keys";
/// What is larger was not kept by us, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// Keeps the keys of issuers fresh.
#[derive(Debug)]
pub(crate) struct Issuers {
    client: Client,
    metrics: Arc<Metrics>,
}

impl Issuers {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Issuers {
        Issuers { client: Client::new(), metrics }
    }

    /// Begins to fetch what a snapshot needs and nobody fetches yet, and waits a moment for it. A fetch that fails is
    /// reported, and tried again for as long as the issuer is needed.
    pub(crate) async fn adopt(&self, snapshot: &Snapshot, report: &Report) {
        let keepers = snapshot.providers.take_keepers();
        if keepers.is_empty() {
            return;
        }
        let folder = snapshot.state_dir.as_deref().map(|folder| folder.join(FOLDER));
        for keeper in keepers {
            self.run(keeper, folder.as_deref(), report);
        }
        let issuers = snapshot.providers.issuers();
        let all = async {
            for issuer in &issuers {
                issuer.keys().ready().await;
            }
        };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            issuers.iter().filter(|issuer| issuer.keys().generation() == 0).for_each(|issuer| {
                report(format!(
                    "the keys of {} are not there yet: who shows a token of it gets a 503 until they are",
                    issuer.name()
                ));
            });
        }
    }

    fn run(&self, keeper: IssuerKeeper, folder: Option<&Path>, report: &Report) {
        let IssuerKeeper { name, id, mut keeper } = keeper;
        let file = folder.map(|folder| folder.join(format!("{}.json", hex(&id))));
        if let Some(kept) = file.as_deref().and_then(read) {
            // What cannot be read any more is as good as not there.
            _ = keeper.start_from(kept);
        }
        let (client, metrics, report) = (self.client.clone(), Arc::clone(&self.metrics), report.clone());
        let (numbers, ended) = (Arc::clone(&self.metrics), name.clone());
        let mut failing = false;
        let on_event = move |event: Event<'_, jose::KeySet>| match event {
            Event::Refreshed { document, changed, .. } => {
                metrics.issuers().fetched(&name, true);
                if failing {
                    report(format!("the keys of {name} can be fetched again"));
                }
                failing = false;
                if let (Some(file), true) = (&file, changed)
                    && let Err(error) = keep(file, document)
                {
                    report(format!("the keys of {name} cannot be kept in {}: {error}", file.display()));
                }
            }
            Event::Failed { error, .. } => {
                metrics.issuers().fetched(&name, false);
                if !failing {
                    report(format!(
                        "the keys of {name} cannot be fetched, those that are there stay in use: {error}"
                    ));
                }
                failing = true;
            }
        };
        tokio::task::spawn_local(async move {
            keeper.run(client, fastrand::Rng::new(), on_event).await;
            numbers.issuers().forget(&ended);
        });
    }
}

/// What was kept at an earlier time.
fn read(file: &Path) -> Option<Bytes> {
    let size = std::fs::metadata(file).ok()?.len();
    (size <= LARGEST).then(|| std::fs::read(file).ok())?.map(Bytes::from)
}

/// Keeps a document: whole, or as it was before.
fn keep(file: &Path, document: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let fresh: PathBuf = file.with_extension("new");
    std::fs::write(&fresh, document)?;
    std::fs::rename(&fresh, file)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// What is known of an issuer, for those who run the gateway.
#[derive(Debug)]
pub struct IssuerView {
    /// Its name.
    pub name: String,
    /// The ids of its keys; empty texts for keys without one.
    pub keys: Vec<String>,
    /// How fetching them goes.
    pub status: authority::Status,
}

/// Every issuer that a snapshot needs.
pub(crate) fn view(snapshot: &Snapshot) -> Vec<IssuerView> {
    let of = |issuer: &Arc<Issuer>| IssuerView {
        name: issuer.name().to_owned(),
        keys: issuer.keys().load().as_ref().map_or_else(Vec::new, |keys| {
            keys.keys().iter().map(|key| key.id().unwrap_or_default().to_owned()).collect()
        }),
        status: issuer.keys().status(),
    };
    snapshot.providers.issuers().iter().map(of).collect()
}

//! Keeping a document fresh that a server publishes: fetching, refusing what cannot be read, fetching again.
//!
//! It must not know what is in the document: whoever makes a [`Plan`] says how to read it. Entry points:
//! [`Keeper::new`], [`Keeper::run`].

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fastrand::Rng;
use http::header::ACCEPT;
use http::uri::Scheme;
use http::{HeaderValue, Uri};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::freshness::max_age;
use crate::kept::Shared;
use crate::schedule::Schedule;
use crate::{Ask, Client, Kept, Pace, Trouble, Trust};

/// Reads something out of a document, or says why it cannot be used.
type Read<T> = Box<dyn Fn(&[u8]) -> Result<T, String> + Send + Sync>;

/// Where a document is.
pub enum Source {
    /// At this URL.
    At(Uri),
    /// At a URL that another document tells, such as that of OpenID Connect Discovery 1.0, section 4.
    FoundBy {
        /// Where the other document is.
        discovery: Uri,
        /// Takes the URL out of it.
        find: Read<Uri>,
    },
}

/// What is to be kept fresh, and how.
pub struct Plan<K> {
    /// Where the document is.
    pub source: Source,
    /// Reads the document. One that it refuses does not take the place of the last good one.
    pub parse: Read<K>,
    /// Whose word is taken for who the servers are.
    pub trust: Trust,
    /// For one request.
    pub timeout: Duration,
    /// How many bytes a document may have.
    pub most_body: usize,
    /// How often it is fetched.
    pub pace: Pace,
}

impl<K> Plan<K> {
    /// The default of `timeout`.
    pub const TIMEOUT: Duration = Duration::from_secs(10);
    /// The default of `most_body`, in bytes.
    pub const MOST_BODY: usize = 512 * 1024;

    /// With the defaults, and the authorities that the system trusts.
    pub fn new(
        source: Source,
        parse: impl Fn(&[u8]) -> Result<K, String> + Send + Sync + 'static,
    ) -> Plan<K> {
        Plan {
            source,
            parse: Box::new(parse),
            trust: Trust::System,
            timeout: Self::TIMEOUT,
            most_body: Self::MOST_BODY,
            pace: Pace::default(),
        }
    }
}

/// What has happened.
#[derive(Debug)]
pub enum Event<'a, K> {
    /// A document was fetched and accepted.
    Refreshed {
        /// What it says.
        value: &'a Arc<K>,
        /// Its bytes, for whoever keeps them for the next start.
        document: &'a Bytes,
        /// Whether it is another one than before.
        changed: bool,
    },
    /// A fetch has failed. The last good document stays in use.
    Failed {
        /// Why.
        error: &'a str,
        /// Since when no fetch has succeeded, in seconds since 1970.
        since: u64,
    },
}

/// Keeps a document fresh while it runs.
pub struct Keeper<K> {
    plan: Plan<K>,
    shared: Arc<Shared<K>>,
    asked: mpsc::Receiver<()>,
    document: Option<Bytes>,
}

impl<K> Keeper<K> {
    /// A keeper, and what its readers see.
    #[must_use]
    pub fn new(plan: Plan<K>) -> (Keeper<K>, Kept<K>) {
        let shared = Arc::new(Shared::new());
        // One wish is as good as many.
        let (sender, asked) = mpsc::channel(1);
        let kept = Kept { shared: Arc::clone(&shared), asked: sender };
        (Keeper { plan, shared, asked, document: None }, kept)
    }

    /// Starts from a document that was good at an earlier time: readers have it until there is a newer one.
    ///
    /// # Errors
    /// It cannot be read any more; the keeper is as before.
    pub fn start_from(&mut self, document: Bytes) -> Result<(), String> {
        let value = (self.plan.parse)(&document)?;
        self.shared.publish(Arc::new(value));
        self.document = Some(document);
        Ok(())
    }

    /// Fetches at once, and then again and again. It ends when the last [`Kept`] is dropped.
    pub async fn run(mut self, client: Client, mut rng: Rng, mut on_event: impl FnMut(Event<'_, K>)) {
        let start = Instant::now();
        let now = || u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let mut schedule = Schedule::new(self.plan.pace);
        loop {
            while schedule.due() > now() {
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(schedule.due().saturating_sub(now()))) => {}
                    asked = self.asked.recv() => match asked {
                        Some(()) => schedule.ask(now()),
                        None => return,
                    },
                }
                self.shared.note(|status| status.next = Some(later(schedule.due().saturating_sub(now()))));
            }
            schedule.begin(now());
            self.shared.note(|status| status.next = None);
            let fetched = tokio::select! {
                fetched = fetch(&self.plan, &client) => fetched,
                () = abandoned(&mut self.asked) => return,
            };
            match fetched.and_then(|(document, fresh)| Ok((self.accept(document)?, fresh))) {
                Ok((changed, fresh)) => {
                    schedule.succeed(now(), fresh, &mut rng);
                    self.tell_success(changed, &schedule, now(), &mut on_event);
                }
                Err(error) => {
                    schedule.fail(now(), &mut rng);
                    self.tell_failure(&error, &schedule, now(), &mut on_event);
                }
            }
        }
    }

    /// Whether it is another one than before. The same one is not read again, and what readers have made of it
    /// stays valid.
    fn accept(&mut self, document: Bytes) -> Result<bool, String> {
        if self.document.as_ref() == Some(&document) {
            return Ok(false);
        }
        self.start_from(document)?;
        Ok(true)
    }

    fn tell_success(
        &self,
        changed: bool,
        schedule: &Schedule,
        now: u64,
        tell: &mut impl FnMut(Event<'_, K>),
    ) {
        self.shared.note(|status| {
            status.last_success = Some(unix_seconds());
            (status.last_error, status.failing_since, status.failures) = (None, None, 0);
            status.next = Some(later(schedule.due().saturating_sub(now)));
        });
        self.shared.tell();
        if let (Some(value), Some(document)) = (self.shared.current(), &self.document) {
            tell(Event::Refreshed { value: &value, document, changed });
        }
    }

    fn tell_failure(&self, error: &str, schedule: &Schedule, now: u64, tell: &mut impl FnMut(Event<'_, K>)) {
        let mut since = unix_seconds();
        self.shared.note(|status| {
            since = *status.failing_since.get_or_insert(since);
            status.last_error = Some(error.to_owned());
            status.failures = schedule.failures();
            status.next = Some(later(schedule.due().saturating_sub(now)));
        });
        self.shared.tell();
        tell(Event::Failed { error, since });
    }
}

/// Ends when nobody reads any more. Wishes that come while a fetch is under way are what it is for.
async fn abandoned(asked: &mut mpsc::Receiver<()>) {
    while asked.recv().await.is_some() {}
}

/// The document, and for how long it is fresh if it says so.
async fn fetch<K>(plan: &Plan<K>, client: &Client) -> Result<(Bytes, Option<Duration>), String> {
    match &plan.source {
        Source::At(uri) => get(plan, client, uri).await.map_err(|trouble| trouble.to_string()),
        Source::FoundBy { discovery, find } => {
            let (found, _) =
                get(plan, client, discovery).await.map_err(|trouble| format!("discovery: {trouble}"))?;
            let uri = find(&found).map_err(|why| format!("discovery: {why}"))?;
            // Who is told by a server that was verified does not go on to one that is not.
            if discovery.scheme() == Some(&Scheme::HTTPS) && uri.scheme() != Some(&Scheme::HTTPS) {
                return Err("discovery: it points from `https` to an address without TLS".to_owned());
            }
            get(plan, client, &uri).await.map_err(|trouble| trouble.to_string())
        }
    }
}

async fn get<K>(plan: &Plan<K>, client: &Client, uri: &Uri) -> Result<(Bytes, Option<Duration>), Trouble> {
    let mut ask = Ask::get(uri.clone());
    ask.headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.1"));
    (ask.timeout, ask.most_body, ask.trust) = (plan.timeout, plan.most_body, plan.trust.clone());
    let answer = client.ask(ask).await?;
    if answer.status != 200 {
        return Err(Trouble::Status(answer.status));
    }
    let fresh = max_age(&answer.headers).map(Duration::from_secs);
    Ok((answer.body, fresh))
}

fn unix_seconds() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs()
}

fn later(millis: u64) -> u64 {
    unix_seconds().saturating_add(millis.div_ceil(1000))
}

//! What several gateways count together: how the user says so, and what it is at the store.
//!
//! It says the same on every gateway, whatever runs on it. It must not know what is counted, and asks nobody. Entry
//! points: [`sharing`], [`Shared`], [`Identity`].

use std::hash::Hasher;
use std::sync::Arc;

use aws_lc_rs::digest;
use diagnostics::{Code, Diagnostic, Spanned};
use document::keywords;
use message::Reply;
use store::{Leases, OwnAsk};

use crate::{Compiling, RequestCx, digest_of};

/// How many bytes of a place are in the name of a limit.
const PLACE: usize = 64;

keywords! {
    /// How a limit is shared by gateways.
    pub(crate) enum Sharing {
        /// Slices of it are charged at the store ahead of need, so that hardly any request waits for the store.
        Leased = "leased",
        /// The store is asked about each request.
        Exact = "exact",
        /// Each gateway counts by itself.
        Off = "off",
    }
}

keywords! {
    /// What becomes of requests that the store cannot be asked about.
    pub(crate) enum OnStoreFailure {
        /// This gateway counts them by itself, by the same limit.
        Local = "local",
        /// They pass, and nobody counts them.
        Open = "open",
        /// They are answered with 503.
        Closed = "closed",
    }
}

/// How the limits or quotas of a rule are shared; `None` where each gateway counts by itself.
pub(crate) fn sharing(
    shared: Option<&Spanned<Sharing>>,
    failure: Option<&Spanned<OnStoreFailure>>,
    cx: &mut Compiling<'_>,
) -> Option<Sharing> {
    let written = shared.map(|written| written.value);
    let off = written == Some(Sharing::Off);
    let failure = failure.map(|written| ("on_store_failure", written.span));
    let shared = shared.map(|written| ("shared", written.span));
    let idle = if cx.shares_state { failure.filter(|_| off) } else { shared.filter(|_| !off).or(failure) };
    if let Some((key, place)) = idle {
        let (why, help) = if cx.shares_state {
            ("this is not shared", "remove it, or `shared: off`")
        } else {
            (
                "gateways share no state",
                "say where they do: `state: redis://HOST` beside `listen`; or remove it",
            )
        };
        cx.diagnostics.push(
            Diagnostic::warning(Code::UnusedSetting, place, format!("`{key}` has no effect: {why}"))
                .help(help),
        );
    }
    let sharing = written.unwrap_or(Sharing::Leased);
    (cx.shares_state && sharing != Sharing::Off).then_some(sharing)
}

/// A limit that gateways share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// What the store knows it by.
    pub(crate) name: Arc<str>,
    pub(crate) limit: store::Limit,
    /// Where not each request is asked about.
    pub(crate) leases: Option<Arc<Leases>>,
}

impl Shared {
    /// How it is shared, as it is written.
    pub(crate) fn mode(&self) -> &'static str {
        if self.leases.is_some() { "leased" } else { "exact" }
    }

    /// What is asked about somebody.
    pub(crate) fn ask(&self, identity: [u8; 16], cost: u32) -> OwnAsk {
        let Shared { name, limit, .. } = self;
        OwnAsk { identity, name: Arc::clone(name), limit: *limit, cost: cost.into(), ahead: 0 }
    }
}

/// A place as it stands in the names of limits.
pub(crate) fn place_in_name(place: &str) -> String {
    let plain: String = place
        .chars()
        .map(|c| if c.is_ascii_graphic() && !"{}".contains(c) { c } else { '_' })
        .take(PLACE)
        .collect();
    let whole = plain == place.replace(' ', "_");
    // What was left out tells some from others.
    let digest = digest_of(place.as_bytes());
    let rest = if whole {
        String::new()
    } else {
        format!("~{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3])
    };
    let plain = if plain.is_empty() { "gateway" } else { &plain };
    format!("{plain}{rest}")
}

/// Who somebody is at the store: a hash that nobody can find another text for.
pub(crate) struct Identity(digest::Context);

impl Identity {
    pub(crate) fn of(write: impl FnOnce(&mut dyn Hasher)) -> [u8; 16] {
        let mut identity = Identity(digest::Context::new(&digest::SHA256));
        write(&mut identity);
        let whole = identity.0.finish();
        let mut out = [0; 16];
        out.iter_mut().zip(whole.as_ref()).for_each(|(to, from)| *to = *from);
        out
    }
}

/// Numbers are written in one order of bytes on every machine.
impl Hasher for Identity {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn write_u32(&mut self, number: u32) {
        self.0.update(&number.to_le_bytes());
    }

    fn write_u128(&mut self, number: u128) {
        self.0.update(&number.to_le_bytes());
    }

    fn write_usize(&mut self, number: usize) {
        self.0.update(&(number as u64).to_le_bytes());
    }

    fn finish(&self) -> u64 {
        0
    }
}

/// The store is asked for again within a few seconds.
pub(crate) fn unavailable(kind: &'static str, cx: &mut RequestCx<'_>) -> Reply {
    cx.state.stopped_by = Some((kind, "store_unavailable"));
    let detail = "How often you have asked cannot be found out at the moment. Try again in a moment.";
    let reply = Reply::problem(503, "store-unavailable", detail, "gateway", true, cx.request_id());
    reply.retry_after(1).header("cache-control", "no-store")
}

//! What servers have allowed lately, so that they are not asked for each request.
//!
//! One for each worker. It knows requests by a digest only, and is bounded by what it holds: what is not used makes
//! room. Entry points: [`Grants::find`], [`Grants::put`].

use std::fmt;
use std::rc::Rc;

use authority::ext_authz::{Allowed, HeaderChange};
use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use crate::Shown;

/// The most bytes of answers that one worker remembers.
const MOST_BYTES: u64 = 8 << 20;
/// How many answers that are likely to be.
const LIKELY: usize = 8192;
/// What an answer takes besides its texts, and each of its changes, in bytes.
const AROUND: usize = 256;

/// What follows from a positive answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Granted {
    /// What happens to the request; nothing in it is about the response.
    pub(super) request: Allowed,
    /// What the client gets with the response.
    pub(super) client: Option<Rc<[HeaderChange]>>,
}

impl Granted {
    /// About what it takes in memory, in bytes.
    fn size(&self) -> usize {
        let changes = self.request.headers.iter().chain(self.client.iter().flat_map(|client| client.iter()));
        let changes = changes.map(|change| change.name.as_str().len() + change.value.len());
        let removed = self.request.remove_headers.iter().map(|name| name.as_str().len());
        let set = self.request.set_query.iter().map(|(name, value)| name.len() + value.len());
        let dropped = self.request.remove_query.iter().map(String::len);
        changes.chain(removed).chain(set).chain(dropped).fold(AROUND, |sum, len| sum + len + AROUND)
    }
}

struct Grant {
    granted: Rc<Granted>,
    /// Until when it holds, in seconds since 1970.
    until: u64,
}

struct Bytes;

impl Weighter<Shown, Grant> for Bytes {
    fn weight(&self, _: &Shown, grant: &Grant) -> u64 {
        grant.granted.size() as u64
    }
}

/// What servers have allowed lately.
pub(crate) struct Grants(Cache<Shown, Grant, Bytes>);

impl Default for Grants {
    fn default() -> Self {
        Grants(Cache::with_weighter(LIKELY, MOST_BYTES, Bytes))
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grants").field("len", &self.0.len()).finish_non_exhaustive()
    }
}

impl Grants {
    /// What was allowed, if it holds still.
    #[inline]
    pub(super) fn find(&self, shown: &Shown, now: u64) -> Option<Rc<Granted>> {
        let grant = self.0.get(shown)?;
        (now < grant.until).then(|| Rc::clone(&grant.granted))
    }

    /// Takes note of what was allowed.
    pub(super) fn put(&mut self, shown: Shown, granted: Rc<Granted>, until: u64) {
        self.0.insert(shown, Grant { granted, until });
    }

    #[cfg(test)]
    pub(super) fn weight(&self) -> (u64, u64) {
        (self.0.weight(), MOST_BYTES)
    }
}

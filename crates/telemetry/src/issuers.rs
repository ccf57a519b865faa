//! How fetching the keys of issuers goes. Issuers are those of the configuration.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::exposition::{ISSUER_FETCHES, ISSUER_SUCCESS, Text};

/// The numbers of all issuers. Written by the control thread, a few times a minute.
#[derive(Debug, Default)]
pub struct IssuerNumbers {
    issuers: Mutex<BTreeMap<Box<str>, Fetches>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Fetches {
    fetched: u64,
    failed: u64,
    /// In seconds since 1970; 0 for never.
    last: u64,
}

impl IssuerNumbers {
    /// A fetch has ended, well or not.
    pub fn fetched(&self, issuer: &str, well: bool) {
        let mut issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        let fetches = issuers.entry(issuer.into()).or_default();
        if well {
            fetches.fetched += 1;
            fetches.last = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        } else {
            fetches.failed += 1;
        }
    }

    /// Nobody needs an issuer any more.
    pub fn forget(&self, issuer: &str) {
        self.issuers.lock().unwrap_or_else(PoisonError::into_inner).remove(issuer);
    }

    pub(crate) fn render(&self, text: &mut Text) {
        let issuers = self.issuers.lock().unwrap_or_else(PoisonError::into_inner);
        text.family(&ISSUER_FETCHES);
        for (name, fetches) in &*issuers {
            for (result, count) in [("fetched", fetches.fetched), ("failed", fetches.failed)] {
                text.series(ISSUER_FETCHES.name, "", &[("issuer", name), ("result", result)], count);
            }
        }
        text.family(&ISSUER_SUCCESS);
        for (name, fetches) in &*issuers {
            text.series(ISSUER_SUCCESS.name, "", &[("issuer", name)], fetches.last);
        }
    }
}

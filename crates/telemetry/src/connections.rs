//! What is counted of the connections of a listener: handshakes, protocols, and ends that clients brought about.
//!
//! Shared by all workers, because a connection may be handed over; touched when connections come and go, never by
//! requests. Only [`Protocols`] is: each worker has its own. Entry point: [`ConnectionSeries`].

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use message::Version;

use crate::Counter;

/// Declares a closed list of words.
macro_rules! words {
    ($(#[$doc:meta])+ $name:ident { $($(#[$case_doc:meta])+ $case:ident = $word:literal,)+ }) => {
        $(#[$doc])+
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name { $($(#[$case_doc])+ $case,)+ }

        impl $name {
            /// Every one.
            pub const ALL: &'static [$name] = &[$($name::$case),+];

            /// The word, as metrics have it.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$case => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// How a TLS handshake with a client has ended.
    Handshake {
        /// As it should.
        Ok = "ok",
        /// The same, and an earlier session goes on.
        Resumed = "resumed",
        /// The client has said that it does not want to go on, most often because of the certificate it was shown.
        Alert = "alert",
        /// The client has gone.
        Closed = "closed",
        /// It took too long.
        Timeout = "timeout",
        /// The client has shown no certificate, and one is required.
        NoCertificate = "no_certificate",
        /// The certificate of the client is not taken.
        BadClientCertificate = "bad_client_certificate",
        /// There is no version, suite or protocol that both speak, or no certificate for the client.
        NothingInCommon = "nothing_in_common",
        /// The client does not speak TLS, or not as it should.
        Malformed = "malformed",
        /// The gateway could not go on.
        Internal = "internal",
    }
}

words! {
    /// Why a connection was ended that asked too much for too little.
    Abuse {
        /// Its client gave up one request after another.
        ResetFlood = "reset_flood",
        /// It sent frame after frame about nothing.
        FrameFlood = "frame_flood",
        /// It began a head, on which all of the connection waits, and did not end it in time.
        HalfHead = "half_head",
        /// It went beyond what a connection may have of streams in error, pieces of heads and the like.
        Excess = "excess",
    }
}

/// What is counted of the connections of a listener.
#[derive(Debug)]
pub struct ConnectionSeries {
    handshakes: [AtomicU64; Handshake::ALL.len()],
    abuse: [AtomicU64; Abuse::ALL.len()],
    http2: AtomicU64,
    has_tls: AtomicBool,
}

impl Default for ConnectionSeries {
    fn default() -> ConnectionSeries {
        ConnectionSeries {
            handshakes: std::array::from_fn(|_| AtomicU64::new(0)),
            abuse: std::array::from_fn(|_| AtomicU64::new(0)),
            http2: AtomicU64::new(0),
            has_tls: AtomicBool::new(false),
        }
    }
}

impl ConnectionSeries {
    /// Its connections begin with handshakes, so that there is something to show before the first one.
    pub fn expect_handshakes(&self) {
        self.has_tls.store(true, Ordering::Relaxed);
    }

    /// Whether its connections begin with handshakes, or have.
    pub fn has_handshakes(&self) -> bool {
        self.has_tls.load(Ordering::Relaxed)
    }

    /// A handshake has ended.
    pub fn handshake(&self, outcome: Handshake) {
        count(&self.handshakes, outcome as usize);
    }

    /// A connection was ended because of what its client did.
    pub fn abuse(&self, reason: Abuse) {
        count(&self.abuse, reason as usize);
    }

    /// A connection carries HTTP/2.
    pub fn http2(&self) {
        self.http2.fetch_add(1, Ordering::Relaxed);
    }

    /// How many handshakes have ended in this way.
    pub fn handshakes(&self, outcome: Handshake) -> u64 {
        read(&self.handshakes, outcome as usize)
    }

    /// How many connections were ended for this reason.
    pub fn abuses(&self, reason: Abuse) -> u64 {
        read(&self.abuse, reason as usize)
    }

    /// How many connections have carried HTTP/2.
    pub fn http2_connections(&self) -> u64 {
        self.http2.load(Ordering::Relaxed)
    }
}

/// Requests by version of HTTP, of one worker.
#[derive(Debug, Default)]
pub(crate) struct Protocols([Counter; Version::ALL.len()]);

impl Protocols {
    /// A request of this version is over.
    pub(crate) fn count(&self, version: Version) {
        if let Some(counter) = self.0.get(version as usize) {
            counter.add(1);
        }
    }

    pub(crate) fn add_to(&self, totals: &mut [u64]) {
        for (own, total) in self.0.iter().zip(totals) {
            *total += own.get();
        }
    }
}

fn count(counters: &[AtomicU64], index: usize) {
    if let Some(counter) = counters.get(index) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn read(counters: &[AtomicU64], index: usize) -> u64 {
    counters.get(index).map_or(0, |counter| counter.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_is_counted_on_its_own() {
        let series = ConnectionSeries::default();
        for (times, &outcome) in Handshake::ALL.iter().enumerate() {
            (0..times).for_each(|_| series.handshake(outcome));
        }
        for (times, &reason) in Abuse::ALL.iter().enumerate() {
            (0..times).for_each(|_| series.abuse(reason));
        }
        series.http2();
        let counted: Vec<u64> = Handshake::ALL.iter().map(|&outcome| series.handshakes(outcome)).collect();
        assert_eq!(counted, (0..Handshake::ALL.len() as u64).collect::<Vec<_>>());
        let counted: Vec<u64> = Abuse::ALL.iter().map(|&reason| series.abuses(reason)).collect();
        assert_eq!(counted, [0, 1, 2, 3]);
        assert_eq!(series.http2_connections(), 1);
    }

    #[test]
    fn each_version_is_counted_on_its_own() {
        let protocols = Protocols::default();
        for (times, &version) in Version::ALL.iter().enumerate() {
            (0..times).for_each(|_| protocols.count(version));
        }
        let mut totals = [0; Version::ALL.len()];
        protocols.add_to(&mut totals);
        assert_eq!(totals, [0, 1, 2, 3]);
    }
}

//! What is told to whoever runs the keeper.

use std::fmt;
use std::time::SystemTime;

use crate::{Error, Host, moment};

/// Something happened to the certificate of a host. It is shown as one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Whose certificate.
    pub host: Host,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A certificate was there already, and can be used.
    Loaded {
        /// When it expires.
        not_after: SystemTime,
    },
    /// What was stored cannot be used. A new certificate is obtained.
    Unusable {
        /// Why.
        why: Error,
    },
    /// A certificate was obtained, or renewed, and is in the store.
    Obtained {
        /// When it expires.
        not_after: SystemTime,
    },
    /// No certificate could be obtained. One that was there stays in use.
    Failed {
        /// Why.
        why: Error,
        /// When it is tried again.
        next: SystemTime,
        /// When the certificate in use expires; `None` if there is none.
        not_after: Option<SystemTime>,
    },
    /// Something beside the certificate itself went wrong.
    Warning {
        /// What.
        why: Error,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        match &self.what {
            What::Loaded { not_after } => {
                write!(f, "acme: the certificate of {host} is valid until {}", moment::written(*not_after))
            }
            What::Unusable { why } => {
                write!(
                    f,
                    "acme: the stored certificate of {host} cannot be used, a new one is obtained: {why}"
                )
            }
            What::Obtained { not_after } => {
                let until = moment::written(*not_after);
                write!(f, "acme: obtained a certificate for {host}, valid until {until}")
            }
            What::Failed { why, next, not_after } => {
                let next = moment::written(*next);
                write!(f, "acme: no certificate for {host}: {why}; the next try is at {next}")?;
                match not_after {
                    Some(until) => {
                        write!(f, ", the one in use is valid until {}", moment::written(*until))
                    }
                    None => f.write_str(", and there is none to use until then"),
                }
            }
            What::Warning { why } => write!(f, "acme: {host}: {why}"),
        }
    }
}

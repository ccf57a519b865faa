//! What compiling needs to know that is not in the configuration.

use std::sync::Arc;
use std::time::SystemTime;

use policy::Providers;
use snapshot::AcmeShared;
use tls::Authorities;

/// What compiling needs to know that is not in the configuration. It is passed in, so that compiling stays pure.
#[derive(Debug, Clone)]
pub struct Outside {
    /// The time, for certificates.
    pub now: SystemTime,
    /// What orders of certificates share with the data plane: that of the snapshot before, if there is one.
    pub acme: AcmeShared,
    /// Whose keys are fetched: those of the snapshot before, if there is one.
    pub providers: Arc<Providers>,
    /// The authorities that the system trusts. Asked only if a service needs them.
    pub authorities: fn() -> Result<Authorities, tls::Error>,
}

impl Outside {
    /// On this system at this time, for the first snapshot of a process.
    pub fn new(now: SystemTime) -> Outside {
        Outside {
            now,
            acme: AcmeShared::default(),
            providers: Arc::default(),
            authorities: Authorities::of_system,
        }
    }
}

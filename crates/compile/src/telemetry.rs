//! `telemetry`

use config::{Config, LogTarget};
use telemetry::Target;

/// Where a line for each request goes.
pub(crate) fn access_log(config: &Config) -> Option<Target> {
    config.access_log().map(|log| match &log.to {
        LogTarget::Stdout => Target::Stdout,
        LogTarget::File(path) => Target::File(path.clone()),
    })
}

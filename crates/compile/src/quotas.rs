//! Whether what is used up of quotas is kept.

use config::Config;
use diagnostics::{Code, Diagnostic, Diagnostics};
use policy::Chain;
use snapshot::Route;

/// Warns once where quotas are forgotten at a restart.
pub(crate) fn check(config: &Config, routes: &[Route], diagnostics: &mut Diagnostics) {
    if config.state_dir.is_some() {
        return;
    }
    let chains = routes.iter().flat_map(|route| route.action.chains());
    // What the store counts, it keeps.
    if let Some(link) = chains.flat_map(Chain::links).find(|link| link.policy.keeps_quota_alone()) {
        diagnostics.push(
            Diagnostic::warning(
                Code::QuotaForgotten,
                link.source,
                "a restart forgets what is used up of this quota, because there is no `state_dir`",
            )
            .help("add it at the top of the configuration: state_dir: /var/lib/gateward"),
        );
    }
}

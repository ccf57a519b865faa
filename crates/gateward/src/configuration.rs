//! Loading, compiling and reporting a configuration: what `run`, `check` and `demo` have in common.

use std::path::Path;
use std::sync::Arc;

use diagnostics::{Diagnostics, Sources};
use snapshot::Snapshot;

/// What became of a configuration.
pub(crate) struct Outcome {
    pub(crate) sources: Sources,
    pub(crate) diagnostics: Diagnostics,
    /// There if nothing stands against serving it.
    pub(crate) snapshot: Option<Arc<Snapshot>>,
}

/// Reads and compiles a configuration. This is all that `check` does, and the first thing that `run` does.
pub(crate) fn load(path: &Path) -> Outcome {
    let config::Loaded { sources, config, mut diagnostics, secrets } =
        config::load(path, &document::SystemEnvironment);
    let snapshot = config.and_then(|config| compile::compile(&config, &mut diagnostics));
    diagnostics.hide(&secrets);
    let snapshot = snapshot.filter(|_| !diagnostics.has_errors()).map(Arc::new);
    Outcome { sources, diagnostics, snapshot }
}

/// The smallest useful configuration, to begin with.
pub(crate) const STARTER: &str = "\
# gateward.yaml
listen: 0.0.0.0:8080

services:
  users:
    endpoints: [http://127.0.0.1:3000]     # where your service listens

routes:
  - { path: /users/*, service: users }     # /users and everything below it
";

/// Says how to begin, if there is no configuration at the default place. Returns whether it did.
pub(crate) fn explain_how_to_begin(path: &Path) -> bool {
    if path != Path::new("gateward.yaml") || path.exists() {
        return false;
    }
    crate::output::note(&format!(
        "There is no gateward.yaml in this folder. A small one to begin with:\n\n{STARTER}\n\
         Save it as gateward.yaml, then run `gateward check` and `gateward run`.\n\
         A configuration elsewhere is named with -c: `gateward run -c path/to/file.yaml`.\n\
         To see Gateward at work first: `gateward demo`."
    ));
    true
}

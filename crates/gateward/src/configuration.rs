//! How to begin, where there is no configuration yet.

use std::path::Path;

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

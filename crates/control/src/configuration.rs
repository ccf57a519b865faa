//! Loading and compiling a configuration: what `run`, `check`, `explain` and every reload have in common.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use compile::Outside;
use diagnostics::{Diagnostics, Sources};
use document::Node;
use snapshot::Snapshot;

use crate::watched::{Recorder, Watched};

/// What became of a configuration.
#[derive(Debug)]
pub struct Outcome {
    /// Every text that was read, for showing places.
    pub sources: Sources,
    /// Everything there is to say.
    pub diagnostics: Diagnostics,
    /// What was written, joined and filled in.
    pub tree: Option<Node>,
    /// There if nothing stands against serving it.
    pub snapshot: Option<Arc<Snapshot>>,
    /// The files and folders that were looked at.
    pub watched: Watched,
}

/// Reads and compiles a configuration. This is all that `gateward check` does, and the first thing that
/// `gateward run` does.
pub fn load(path: &Path) -> Outcome {
    load_with(path, &Outside::new(SystemTime::now()))
}

/// Reads and compiles a configuration that is to take the place of another one.
pub(crate) fn reload(path: &Path, before: &Snapshot) -> Outcome {
    let outside = Outside {
        acme: before.acme.clone(),
        providers: Arc::clone(&before.providers),
        ..Outside::new(SystemTime::now())
    };
    let mut outcome = load_with(path, &outside);
    if let Some(snapshot) = outcome.snapshot.as_mut().and_then(Arc::get_mut) {
        snapshot.succeed(before);
    }
    outcome
}

fn load_with(path: &Path, outside: &Outside) -> Outcome {
    let recorder = Recorder::default();
    let config::Loaded { sources, config, mut diagnostics, unsaid, tree } =
        config::load(path, &recorder, policy::shape);
    let snapshot = config.and_then(|config| compile::compile(&config, outside, &mut diagnostics));
    unsaid.take_from(&mut diagnostics);
    let snapshot = snapshot.filter(|_| !diagnostics.has_errors()).map(Arc::new);
    Outcome { sources, diagnostics, tree, snapshot, watched: recorder.into_watched() }
}

//! `gateward check`

use diagnostics::counted;

use crate::arguments::{CheckOptions, Format};
use crate::{No, configuration, exposure, output};

/// Reports every diagnostic of a configuration.
pub(crate) fn check(options: &CheckOptions) -> Result<(), No> {
    let path = &options.source.path;
    if options.format == Format::Text && configuration::explain_how_to_begin(path) {
        return Err(No);
    }
    let outcome = control::load(path);
    let diagnostics = &outcome.diagnostics;
    let warned = options.deny_warnings && diagnostics.warnings() > 0;
    let fine = outcome.snapshot.is_some() && !warned;
    match options.format {
        Format::Json => {
            let mut report = serde_json::json!({
                "ok": fine,
                "errors": diagnostics.errors(),
                "warnings": diagnostics.warnings(),
                "diagnostics": diagnostics::render_json(diagnostics, &outcome.sources),
            });
            if let (Some(snapshot), true) = (&outcome.snapshot, options.exposure) {
                report["exposure"] = exposure::json(snapshot);
            }
            output::line(&format!("{report:#}"));
        }
        Format::Text => {
            let text = diagnostics::render_text(diagnostics, &outcome.sources, output::stdout_takes_colour());
            output::bytes(text.as_bytes());
            if let (Some(snapshot), true) = (&outcome.snapshot, options.exposure) {
                output::line(&exposure::text(snapshot));
            }
            match (&outcome.snapshot, fine) {
                (Some(snapshot), true) => {
                    let warnings = if diagnostics.warnings() > 0 { " with the warnings above" } else { "" };
                    output::line(&format!(
                        "{} is fine{warnings}: {}, {}, {}",
                        path.display(),
                        counted(snapshot.listeners.len(), "listener"),
                        counted(snapshot.services.len(), "service"),
                        counted(snapshot.routes.len(), "route"),
                    ));
                }
                _ => output::line(&format!("{}: {}", path.display(), diagnostics.summary_line())),
            }
        }
    }
    if fine { Ok(()) } else { Err(No) }
}

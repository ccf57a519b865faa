//! `gateward explain`: what becomes of a request, and why.
//!
//! The request is written down as a client would send it (`ask.rs`), the data plane says what becomes of it
//! ([`dataplane::explain()`]), and it is told to people (`text.rs`) or programs (`json.rs`). Entry point:
//! [`explain()`].

pub(crate) mod ask;
mod fields;
mod json;
mod limits;
mod listener;
mod mask;
mod page;
mod report;
mod routes;
mod supposed;
mod text;

use std::process::ExitCode;
use std::time::SystemTime;

use dataplane::explain::Question;
use serde_json::json;

use self::ask::Ask;
use self::mask::Mask;
use self::report::Report;
use crate::arguments::{ExplainOptions, Format};
use crate::{configuration, output};
use diagnostics::counted;

/// The command line names what is not there.
const WRONG_USAGE: u8 = 2;

/// Explains a request. Ends with 0 if it is forwarded or gets the answer that its route is for, with 1 if it is
/// refused or the configuration is wrong.
pub(crate) fn explain(options: &ExplainOptions) -> ExitCode {
    let path = &options.source.path;
    if options.format == Format::Text && configuration::explain_how_to_begin(path) {
        return ExitCode::FAILURE;
    }
    let outcome = control::load(path);
    let Some(snapshot) = &outcome.snapshot else { return refuse(options, &outcome) };
    let warnings = outcome.diagnostics.warnings();
    let ask = Ask::new(options);
    let listener = match listener::choose(&snapshot.listeners, options.listener.as_deref(), &ask) {
        Ok(listener) => listener,
        Err(message) => {
            output::note(&message);
            return ExitCode::from(WRONG_USAGE);
        }
    };
    let server_name = ask.server_name.as_deref().filter(|_| listener.tls.is_some());
    let note = listener::note(listener, &ask);
    let supposed = match &options.supposed {
        None => None,
        Some(name) => match snapshot.consumers.find(name) {
            Some(index) => Some(index),
            None => {
                output::note(&unknown_consumer(name, snapshot.consumers.names()));
                return ExitCode::from(WRONG_USAGE);
            }
        },
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let question = Question { head: &ask.head, listener, peer: ask.peer, server_name, supposed, now };
    let explanation = dataplane::explain(&question, snapshot);
    let mask = Mask::of(outcome.tree.as_ref(), options.bearer.as_deref());
    let sources = &outcome.sources;
    let name = options.supposed.as_deref();
    let report = Report {
        ask: &ask,
        listener,
        snapshot,
        sources,
        explanation: &explanation,
        server_name,
        note,
        whose: name.and_then(|name| supposed::note(name, &explanation)),
        supposed: name,
        mask: &mask,
    };
    match options.format {
        Format::Json => output::line(&format!("{:#}", json::render(&report, warnings))),
        Format::Text => {
            output::bytes(text::render(&report, options.all, output::stdout_takes_colour()).as_bytes());
            if warnings > 0 {
                let (path, warnings) = (path.display(), counted(warnings, "warning"));
                output::note(&format!("{path} has {warnings}: `gateward check` shows more"));
            }
        }
    }
    if report.is_fine() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn unknown_consumer<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    let near = diagnostics::closest(name, known.clone());
    let hint = match (near, known.clone().next()) {
        (Some(near), _) => format!("; did you mean `{near}`?"),
        (None, Some(_)) => format!("; there are {}", known.take(10).collect::<Vec<_>>().join(", ")),
        (None, None) => "; the configuration has no `consumers`".to_owned(),
    };
    format!("there is no consumer `{name}`{hint}")
}

/// Says what is wrong with a configuration.
fn refuse(options: &ExplainOptions, outcome: &control::Outcome) -> ExitCode {
    let diagnostics = &outcome.diagnostics;
    match options.format {
        Format::Json => {
            let report = json!({
                "ok": false,
                "errors": diagnostics.errors(),
                "warnings": diagnostics.warnings(),
                "diagnostics": diagnostics::render_json(diagnostics, &outcome.sources),
            });
            output::line(&format!("{report:#}"));
        }
        Format::Text => {
            let colour = output::stderr_takes_colour();
            let text = diagnostics::render_text(diagnostics, &outcome.sources, colour);
            output::note(text.trim_end());
            let path = options.source.path.display();
            output::note(&format!("\n{path}: {}; nothing can be explained", diagnostics.summary_line()));
        }
    }
    ExitCode::FAILURE
}

//! `telemetry`: what the gateway writes down about requests.
//!
//! Lines and files are for the crates above. Entry point: [`Telemetry`].

use std::path::PathBuf;

use diagnostics::{Code, Diagnostic, Diagnostics};
use document::{Decode, Node, Shape, keywords, section};

section! {
    /// What the gateway writes down about requests.
    pub struct Telemetry {
        /// A line for every request: `off`, where it goes (`stdout`, or the path of a file), or a section.
        access_log: AccessLogSetting = "off",
    }
    not_built { "traces" => "traces by OTLP" }
}

/// What is said about the access log.
#[derive(Clone, Debug)]
pub enum AccessLogSetting {
    /// `off`: there is none.
    Off,
    /// Where it goes, and what its lines look like.
    On(AccessLog),
}

section! {
    /// A line for every request, once its exchange is over. Where it goes may stand for the section:
    /// `access_log: stdout`.
    pub struct AccessLog {
        /// `stdout`, or the path of a file. Lines are added to a file that is there. A relative path begins at the
        /// working directory of the gateway, not at the folder of the configuration.
        to: LogTarget = "stdout",
        /// What a line looks like: `json` is one JSON object per line.
        format: LogFormat = "json",
    }
    not_built { "where" => "log lines of chosen requests only" }
    short to
}

keywords! {
    /// What a line of a log looks like.
    pub enum LogFormat {
        /// A JSON object.
        Json = "json",
    }
}

/// Where a log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// The standard output of the process.
    Stdout,
    /// A file. A relative path begins at the working directory of the process.
    File(PathBuf),
}

/// What nobody calls a file, and what is easily written for something else.
const NOT_A_FILE: &[&str] = &["true", "false", "yes", "no", "on", "off", "stderr"];

impl Decode for AccessLogSetting {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        if node.text() == Some("off") {
            return Some(Self::Off);
        }
        AccessLog::decode(node, diagnostics).map(Self::On)
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![Shape::Keyword(&["off"]), AccessLog::shape()])
    }
}

impl Decode for LogTarget {
    fn decode(node: &Node, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Some(text) = node.text() else {
            diagnostics.push(node.wrong_type("`stdout` or the path of a file"));
            return None;
        };
        let (message, help) = match text {
            "stdout" => return Some(Self::Stdout),
            "" => ("the path of the log is empty", "write `stdout`, or the path of a file"),
            _ if NOT_A_FILE.contains(&text.to_ascii_lowercase().as_str()) => (
                "a log goes to `stdout` or to a file",
                "write `stdout` or a path such as `logs/access.log`; `access_log: off` is no log",
            ),
            _ if text.ends_with('/') => {
                ("the path of the log is that of a folder", "add the name of a file, such as `access.log`")
            }
            _ => return Some(Self::File(PathBuf::from(text))),
        };
        diagnostics.push(Diagnostic::error(Code::InvalidValue, node.span, message).help(help));
        None
    }

    fn shape() -> Shape {
        Shape::OneOf(vec![
            Shape::Keyword(&["stdout"]),
            Shape::Text { format: "path", example: "/var/log/gateward/access.log" },
        ])
    }
}

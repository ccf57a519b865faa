//! The configuration language: files to a model of what the user wrote.
//!
//! One file per section of the language; the doc comments of the fields are the reference. The model holds what
//! was written and where, with defaults filled in. What needs more than one section at a time (does this
//! service exist? can this route match?) is for the crates above, and so are the settings of policies.
//!
//! Entry points: [`load()`], [`load_text`], [`Config`], [`effective()`].

mod admin;
mod effective;
mod endpoint;
mod files;
mod listen;
mod load;
mod merge;
mod model;
mod policies;
mod route;
mod service;
mod telemetry;
mod timeout;

pub use admin::{Admin, AdminSetting};
pub use effective::effective;
pub use endpoint::{Endpoint, EndpointUrl};
pub use listen::{Listen, ListenLimits, ListenTimeouts};
pub use load::{Loaded, load, load_text};
pub use model::{Config, Dns, Listeners, Shutdown, Workers};
pub use policies::{Policies, PolicySetting};
pub use route::{Condition, Redirect, Respond, Route};
pub use service::{Balance, Connections, Retries, RetryCondition, Service, ServiceTimeouts};
pub use telemetry::{AccessLog, AccessLogSetting, LogFormat, LogTarget, Telemetry};
pub use timeout::Timeout;

#[cfg(test)]
mod tests;

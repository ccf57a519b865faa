//! The configuration language: files to a model of what the user wrote.
//!
//! One file per section of the language; the doc comments of the fields are the reference. The model holds what
//! was written and where, with defaults filled in. What needs more than one section at a time (does this
//! service exist? can this route match?) is for the crates above, and so are the settings of policies.
//!
//! Entry points: [`load()`], [`load_text`], [`Config`], [`effective()`].

mod acme;
mod admin;
mod attach;
mod canary;
mod consumers;
mod discover;
mod effective;
mod eject;
mod endpoint;
mod files;
mod health;
mod listen;
mod load;
mod merge;
mod model;
mod overload;
mod plans;
mod policies;
mod request_key;
mod route;
mod service;
mod state;
mod telemetry;
mod timeout;
mod tls;

pub use acme::{Acme, AcmeChallenge, AcmeDirectory, StateDir, Stored};
pub use admin::{Admin, AdminSetting};
pub use canary::{AbortIf, Above, Canary};
pub use consumers::{ApiKey, CertificateOf, Consumer, Signer, TokenOf, User};
pub use discover::{Discover, NameAndPort, WatchedFile};
pub use effective::effective;
pub use eject::{Eject, Factor};
pub use endpoint::{Endpoint, EndpointUrl};
pub use health::{GrpcHealth, Health, StatusRange, Threshold};
pub use listen::{HttpVersion, Listen, ListenLimits, ListenTimeouts, RedirectHttps};
pub use load::{Loaded, Unsaid, load, load_text};
pub use model::{Config, Dns, Listeners, Shutdown, Workers};
pub use overload::{CircuitBreaker, Concurrency, ConcurrencyLimit, Importance, Overload};
pub use plans::{Plan, PlanOfService};
pub use policies::{Policies, PolicySetting, PolicyShapes};
pub use request_key::RequestKey;
pub use route::{Condition, MirrorTo, Redirect, Respond, Route, Share};
pub use service::{
    Algorithm, Balance, Connections, Hedge, HedgeAfter, ProxyProtocol, Retries, RetryCondition, Service,
    ServiceProtocol, ServiceTimeouts, Sticky,
};
pub use state::{SharedState, State, StoreUrl};
pub use telemetry::{AccessLog, AccessLogSetting, LogFormat, LogTarget, Telemetry};
pub use timeout::Timeout;
pub use tls::{CertificateFiles, ClientAuth, ClientAuthMode, ListenTls, ServiceTls, TlsVersion};

#[cfg(test)]
mod tests;

//! Policies: one folder each, the stages they run in, and the list that registers them.
//!
//! A policy decides or changes one thing about a request or response. Its folder holds what the user
//! writes (`config.rs`), how that is checked and prepared (`compile.rs`), what it does (`run.rs`), its
//! tests, and its page (`doc.md`). One line in `policies!` (in `list.rs`) registers it: the enum, the decoder,
//! the reference and the tests over all policies come from that line. Nothing here opens a socket.

mod authenticate;
mod bodies;
mod chain;
mod claims;
mod compiling;
mod consumers;
mod contract;
mod cost;
mod errand;
mod field;
mod identity;
mod issuer_source;
mod level;
mod list;
mod objection;
mod places;
mod providers;
mod question;
mod replay;
mod reserved;
mod rule;
#[cfg(test)]
mod scene;
mod sharing;
mod state;
mod subject;
mod supposed;
mod told;
mod trial;
mod userpass;
mod verified;
mod whom;

pub mod api_key;
pub mod auth;
pub mod authorize;
pub mod basic;
pub mod bots;
pub mod concurrency;
pub mod cors;
pub mod csrf;
pub mod fault;
pub mod forward_auth;
pub mod geo;
pub mod headers;
pub mod hmac;
pub mod introspection;
pub mod ip;
pub mod json_threat;
pub mod jwt;
pub mod ldap;
pub mod mtls;
pub mod oidc;
pub mod plan;
pub mod plan_cost;
pub mod quota;
pub mod rate_limit;
pub mod request_id;
pub mod security_headers;
pub mod size_limit;
pub mod validate;

pub use self::quota::{QuotaView, Quotas, Running};
pub use authenticate::{Authenticated, Refused};
pub use basic::{check_password_hash, hash_password, verify_password};
pub use chain::{Chain, Halt, Link, Permitted, Refusal, Saw};
pub use compiling::Compiling;
pub use concurrency::ConcurrencyView;
pub use consumers::{Consumers, Digest, KeyLabel, KeyOwner, NewConsumer, NewKey, SignerKey, User, digest_of};
pub use contract::{Flow, RequestCx, ResponseCx, Stage, Verdict};
pub use errand::{Errand, Errands};
pub use field::{header_name, header_value};
pub use identity::{Caller, Identity, Told};
pub use list::{KINDS, Kind, LEFT_OUT, NOT_BUILT, Policy, compile, position, shape};
pub use plan::{Allowed, NewPlan, Plans};
pub use providers::{BETWEEN_ASKED, Issuer, IssuerKeeper, IssuerSource, Providers};
pub use question::{Answer, Decided, HeldBody, Question};
pub use rate_limit::LimitView;
pub use reserved::Reserved;
pub use rule::{Rule, holds};
pub use state::{RequestId, RequestState};
pub use validate::{ResponseBody, ResponseCheck};
pub use verified::{Finding, Shown, Verified};
pub use whom::Whom;

//! Policies: one folder each, the stages they run in, and the list that registers them.
//!
//! A policy decides or changes one thing about a request or response. Its folder holds what the user
//! writes (`config.rs`), how that is checked and prepared (`compile.rs`), what it does (`run.rs`), its
//! tests, and its page (`doc.md`). One line in `policies!` (in `list.rs`) registers it: the enum, the decoder,
//! the reference and the tests over all policies come from that line. Nothing here opens a socket.

mod chain;
mod contract;
mod field;
mod list;
mod state;

pub mod fault;
pub mod headers;
pub mod request_id;
pub mod security_headers;
pub mod size_limit;

pub use chain::{Chain, Link, Permitted, Refusal};
pub use contract::{Flow, RequestCx, ResponseCx, Stage};
pub use field::{header_name, header_value};
pub use list::{KINDS, Kind, NOT_BUILT, Policy, compile};
pub use state::{RequestId, RequestState};

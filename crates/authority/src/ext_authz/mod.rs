//! Envoy's protocol for external authorization over gRPC: `envoy.service.auth.v3.Authorization/Check`.
//!
//! Pure: facts become a question, an answer becomes a decision. It must not know how a decision is carried out, nor
//! which headers may travel: a server can name any, and whoever applies its changes leaves those alone that frame
//! messages. What is in doubt is an error, never a permission. Entry points: [`check`], [`decode_check`].

mod decision;
mod facts;
mod messages;

pub use decision::{Action, Allowed, Decision, Denied, HeaderChange, decode_check};
pub use facts::{CheckBody, CheckFacts, Peer, check, encode_check};

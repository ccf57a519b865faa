//! Certificates, and what handshakes use: PEM to settings, choice by name, tickets, client certificates.
//!
//! No sockets, no files and no clock: texts and times are passed in. (The one exception is
//! [`Authorities::of_system`], which says so.) Entry points: [`Server`] is what a listener presents and demands,
//! [`Client`] is how a service is verified, [`PeerCertificate`] is who has shown a certificate,
//! [`explain_service`] and [`explain_client`] say why a handshake has failed.

mod authorities;
mod certificate;
mod challenges;
mod client;
mod client_auth;
mod error;
mod explain;
mod fingerprint;
mod host;
mod peer;
mod provider;
mod resolver;
mod server;
mod spelling;
#[cfg(test)]
mod tests;
mod wanted;

pub use authorities::Authorities;
pub use certificate::{Certificate, Chain, KeyKind};
pub use challenges::{Challenges, Full};
pub use client::{Client, ClientSettings};
pub use client_auth::{ClientAuth, RevocationList};
pub use error::Error;
pub use explain::{explain_client, explain_service};
pub use host::{folder_of, is_host};
pub use peer::PeerCertificate;
pub use provider::Version;
pub use resolver::{ACME_PROTOCOL, OnDemand, take_server_name};
pub use server::{Server, ServerSettings};
pub use spelling::{name_as_shown, subject_as_shown};
pub use wanted::Wanted;

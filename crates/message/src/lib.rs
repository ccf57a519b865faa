//! The version-neutral HTTP message: heads, headers, the canonical URI, hop-by-hop rules, faults and replies.
//!
//! Codecs deliver these types whatever came over the wire, so that routing, policies and forwarding
//! are written once. Nothing here knows sockets, clocks or configuration. Entry points:
//! [`RequestHead`], [`ResponseHead`] and [`Fault`].

mod certificate;
mod cookie;
mod fault;
mod forwarded;
mod grpc;
mod head;
mod headers;
mod hop;
mod host;
mod identity_field;
mod lax;
mod method;
mod name;
mod pen;
mod reply;
mod status;
mod uri;

pub use certificate::{ClientCertificate, is_certificate_field};
pub use cookie::cookie;
pub use fault::{Blame, Fault};
pub use forwarded::{Encryption, ForwardingInfo, client_address, client_network, write_forwarding_headers};
pub use grpc::{
    GrpcContentType, GrpcForm, GrpcStatus, grpc_message, is_grpc, is_grpc_web, parse_grpc_timeout,
    write_grpc_timeout,
};
pub use head::{RequestHead, ResponseHead, Version};
pub use headers::{Field, Headers, Span, is_token_byte};
pub use hop::{ConnectionOptions, forward_request_field, forward_response_field, trailer_may_pass};
pub use host::{HostError, parse_authority};
pub use identity_field::{CONSUMER_FIELD, is_identity_field, reads_like};
pub use lax::lax_readings;
pub use method::Method;
pub use name::{Name, Names, is_same_name};
pub use pen::{DIGITS, Pen, draw, push_number};
pub use reply::{Problem, Reply};
pub use status::{push_status_line, reason_phrase};
pub use uri::{UriError, canonical_path, canonicalize_path};

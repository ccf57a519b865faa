//! The request path: workers, connections, serve, forward, pools.
//!
//! It knows snapshots, not configurations. One worker is one thread; one task drives both legs of a
//! request. Start reading at `serve.rs`; the life of a
//! connection is in `client.rs`, an attempt at a service in `attempt.rs`.

mod affinity;
mod answer;
mod ask;
mod attempt;
mod buffers;
mod carrier;
mod client;
mod clock;
mod connection;
mod counting;
mod decide;
mod dial;
#[cfg(feature = "ldap")]
mod directory;
mod endpoint;
mod exchange;
pub mod explain;
mod finish;
mod forward;
mod fuse;
mod gate;
mod greeting;
mod handler;
mod handshake;
mod hedge;
mod hold;
mod http2;
mod http3;
mod http3_stream;
mod key;
mod listener;
mod live;
mod member;
mod mirror;
mod open;
mod outbox;
mod patience;
mod pipe;
mod places;
mod plan;
mod pools;
mod progress;
mod promise;
mod pump;
mod quic;
mod request;
mod route;
mod serve;
mod serving;
mod shedding;
mod stage;
mod stream;
mod streams;
mod thread;
mod timer;
mod tls_session;
mod tls_stream;
mod translation;
mod transport;
mod trouble;
mod tunnel;
mod udp;
mod websocket;
mod worker;

pub use dial::{Dial, Recorded};
pub use explain::explain;
pub use fuse::{Fuse, Probes};
pub use stage::{Found, ListenerId, Part, Resolved, ServiceOutages, Stage, StagedListener};
pub use thread::{Order, Setup, orders, run};
pub use trouble::{HandshakeTrouble, ServiceTrouble, Trouble, UnansweredTrouble, troubles};
pub use udp::{StagedUdp, udp_group};
pub use worker::Shared;

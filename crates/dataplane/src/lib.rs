//! The request path: workers, connections, serve, forward, pools.
//!
//! It knows snapshots, not configurations. One worker is one thread; one task drives both legs of a
//! request. Start reading at `serve.rs`; the life of a
//! connection is in `client.rs`, an attempt at a service in `attempt.rs`.

mod answer;
mod attempt;
mod buffers;
mod client;
mod decide;
mod exchange;
pub mod explain;
mod finish;
mod forward;
mod listener;
mod live;
mod patience;
mod plan;
mod pump;
mod request;
mod serve;
mod serving;
mod stage;
mod thread;
mod timer;
mod transport;
mod trouble;
mod tunnel;
mod worker;

pub use explain::explain;
pub use live::ConnectionCounts;
pub use stage::{ListenerId, Part, Resolved, Stage, StagedListener};
pub use thread::{Order, Setup, orders, run};
pub use trouble::{Trouble, troubles};
pub use worker::Shared;

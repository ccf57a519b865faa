//! Against real servers.

mod decisions;
mod failures;
mod server;
mod topologies;

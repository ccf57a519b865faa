//! What runs beside the request path: starting, resolving names, draining and stopping.
//!
//! The control thread owns the workers and tells them what to do through bounded queues. Entry point:
//! [`Gateway::start`].

mod gateway;
mod sockets;

pub use gateway::{Gateway, StartError};
pub use sockets::BindError;

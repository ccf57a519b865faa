//! What runs beside the request path: starting, reloading, resolving names, probing services, keeping certificates,
//! draining and stopping.
//!
//! The control thread owns the workers and tells them what to do through bounded queues. Entry points: [`load`]
//! reads and compiles a configuration, [`Gateway::start`] serves it, [`Supervisor::run`] keeps it current until
//! it is told to stop.

mod canaries;
mod certificates;
mod configuration;
mod gateway;
mod health;
mod issuers;
mod keys;
mod listeners;
mod log;
mod memory;
mod names;
mod quotas;
mod sockets;
mod store;
mod supervisor;
mod view;
mod watched;

pub use self::keys::{Keys, KeysError};
pub use canaries::{CanaryOrder, CanaryView};
pub use certificates::KeepError;
pub use configuration::{Outcome, load};
pub use gateway::{Gateway, Report, StartError};
pub use health::{AddressHealth, DrainError, Ejected, LastProbe, ServiceHealth};
pub use issuers::IssuerView;
pub use sockets::BindError;
pub use store::StoreView;
pub use supervisor::{Signals, Supervisor};
pub use view::{Active, Phase, Rejected, View};
pub use watched::Watched;

//! Where the addresses of endpoints come from: one folder per source.
//!
//! Sources run beside the request path and never delay it. What they find is handed to the workers.

pub mod dns;

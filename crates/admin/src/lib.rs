//! The admin listener: health, metrics, and what the configuration in use says.
//!
//! It runs on the control thread, answers those who run the gateway, and never those who use it. What it reads and what
//! it changes goes through [`control::View`]. Entry points: [`bind`], [`serve`]; the pages are in `pages.rs`.

mod access;
mod canaries;
mod certificates;
mod drain;
mod issuers;
mod keys;
mod limits;
mod listen;
mod pages;
mod problem;
mod routes;
mod services;

pub use listen::{AdminError, bind, serve, serve_fixed};

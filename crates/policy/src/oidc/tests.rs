//! Logins, sessions and logouts from end to end, with a provider and a browser in memory.

mod login;
mod logout;
mod session;
mod settings;
mod world;
